/**
 * Principal components: the directions in which points differ most.
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { type Principal, principalComponents, type PrincipalOptions, projectOn } from "../embed/pca.ts";
import { type KnownPoints, sameAs } from "../embed/points.ts";
import { checkOptions } from "../errors.ts";
import type { Chart } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mapBlock } from "../figure/map/map.ts";
import { predictionColumns } from "../figure/map/columns.ts";

export type PcaOptions = PrincipalOptions;

export interface PcaFigureOptions {
  /**
   * How many components the map has.
   * @default 3 where exactly three were asked for, else 2
   */
  dimensions?: 2 | 3;
  /** What else the points can be coloured by: strings are classes, numbers a scale. */
  columns?: Readonly<Record<string, readonly string[] | ArrayLike<number>>>;
}

/** Points along their principal components; in a cell a map of the first two or three of these. */
export class PrincipalComponents extends Shown implements Principal {
  /** `[n, components]`, around 0, with the ids and labels of the points. */
  readonly points: KnownPoints;
  /** The directions, of length 1, `[components, d]`. The number that is largest by size in each is positive. */
  readonly components: NdArray;
  /** What was taken off each column first, `[d]`. */
  readonly mean: NdArray;
  /** The variance along each component (with n − 1). */
  readonly explainedVariance: readonly number[];
  /** Its share of the whole variance; 0 where there is none. */
  readonly explainedVarianceRatio: readonly number[];

  constructor(from: KnownPoints, { points, components, mean, explainedVariance, explainedVarianceRatio }: Principal) {
    super();
    this.points = sameAs(from, points);
    this.components = components;
    this.mean = mean;
    this.explainedVariance = explainedVariance;
    this.explainedVarianceRatio = explainedVarianceRatio;
  }

  /**
   * Where other points lie along these components: new codes, to place on a map that was made of the old ones.
   *
   * @param points `[m, d]`: codes of the same layer
   * @returns `[m, components]`, with the ids and labels of the points
   * @throws {TypeError} if it is no array of shape [m, d]
   * @throws {RangeError} if the points have other dimensions, or a number is not finite
   *
   * @example
   * ```ts
   * const small = pca(await codes(model, images), { components: 50 });
   * const map = await tsne(small.points);
   * await map.place(small.project(await codes(model, newImages)));
   * ```
   */
  project(points: KnownPoints): KnownPoints {
    return sameAs(points, projectOn(this, points));
  }

  /**
   * A map of the first components, and the share of the variance of each.
   *
   * @throws {RangeError} if the map is to have more components than there are, or other than 2 or 3
   */
  override figure(options: PcaFigureOptions = {}): Figure {
    const { ids, labels, predictions, thumbnails, about = "points", shape: [count, kept] } = this.points;
    const { columns, dimensions = kept === 3 ? 3 : 2 } = checkOptions("figure", options, {
      columns: true,
      dimensions: true,
    });
    if (dimensions !== 2 && dimensions !== 3 || options.dimensions !== undefined && dimensions > kept) {
      throw new RangeError(
        `A map of principal components has 2 or 3 dimensions, and no more than the components kept, here ${kept}: ` +
          `received ${dimensions}.`,
      );
    }
    const shares = this.explainedVarianceRatio;
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    const sum = (most: number) => shares.slice(0, most).reduce((a, b) => a + b, 0);
    const title = `PCA · ${about} · ${count}×${this.mean.shape[0]} → ${kept}`;
    const told = `${kept} ${kept === 1 ? "component holds" : "components hold"} ${percent(sum(kept))} of the variance.`;
    const chart: Chart = {
      kind: "chart",
      series: [{
        label: "share of the variance",
        x: shares.map((_, i) => i + 1),
        y: shares,
        as: "bars",
      }],
      x: { title: "component", whole: true },
      y: { title: "share of the variance", min: 0 },
      width: 560,
      height: 180,
      alt: `The share of the variance of each component: ${shares.slice(0, 5).map(percent).join(", ")}`,
    };
    const heading = dimensions === 2
      ? `Component 1 (${percent(shares[0])}) across, component 2 (${percent(shares[1])}) upwards`
      : `Components 1 to 3 (${shares.slice(0, 3).map(percent).join(", ")})`;
    const map = kept >= 2 &&
      mapBlock({
        points: this.#first(dimensions),
        ids,
        labels,
        thumbnails,
        columns: { ...predictionColumns(predictions, labels), ...columns },
      }, { title, heading });
    return new Figure({
      title,
      caption: [told, map && dimensions === 3 ? "Farther points are smaller and paler." : ""].filter(Boolean).join(" "),
      blocks: [...(map ? [map] : []), chart],
      text: [title, `  ${told}`, ...shares.slice(0, 10).map((share, i) => `  component ${i + 1}: ${percent(share)}`)]
        .join("\n"),
    });
  }

  /** The first components of each point. */
  #first(count: number): NdArray {
    const { data, shape: [rows, kept] } = this.points;
    const from = (i: number) => data[Math.floor(i / count) * kept + i % count];
    return ndarray(Float32Array.from({ length: rows * count }, (_, i) => from(i)), [rows, count]);
  }
}

/**
 * Finds the directions in which points differ most, and where the points lie along them.
 *
 * Exact (to rounding) where the points or their dimensions are at most 512, or 1024 if more than 16 components are
 * wanted; otherwise by the randomised method of Halko, Martinsson and Tropp 2011, "Finding structure with randomness",
 * with 4 power iterations.
 *
 * @param points `[n, d]`: what `codes` returned, or any array
 * @returns `points` `[n, components]`, the `components` themselves `[components, d]`, and the variance along each
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are fewer than 2 points, a number is not finite, or `components` is not a whole number
 *   from 1 to min(n, d)
 *
 * @example
 * ```ts
 * const small = pca(await codes(model, images), { components: 50 });
 * await tsne(small.points);
 * ```
 */
export function pca(points: KnownPoints, options: PcaOptions = {}): PrincipalComponents {
  checkOptions("pca", options, { components: true, seed: true });
  return new PrincipalComponents(points, principalComponents(points, options));
}
