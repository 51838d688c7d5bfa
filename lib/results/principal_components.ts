/**
 * What `pca` returns: points along their principal components.
 *
 * @module
 */

import { NdArray, ndarray } from "../array.ts";
import { type Principal, projectOn } from "../embed/pca.ts";
import { type PointArray, type Points, type PointsLike, readPoints, sameAs } from "../embed/points.ts";
import { kindOf } from "../errors.ts";
import type { Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { predictionColumns } from "../figure/map/columns.ts";
import { mapBlock } from "../figure/map/map.ts";
import { percent } from "../format.ts";
import { readOptions, rule } from "../options.ts";
import { Savable } from "./result.ts";
import { PointsFigureOptions } from "./points.ts";

const twoOrThree = rule((name, value) => {
  if (value === 2 || value === 3) return;
  throw new RangeError(`${name} must be 2 or 3: received ${kindOf(value)}.`);
});

/** The options of the figure of principal components. */
export class PcaFigureOptions extends PointsFigureOptions {
  /**
   * How many components the map has.
   * @default 3 where exactly three were asked for, else 2
   */
  @twoOrThree
  dimensions?: 2 | 3;
}

/** Points along their principal components; in a cell a map of the first two or three of these. */
export class PrincipalComponents extends Savable {
  /** `[n, components]`, around 0, with the ids and labels of the points. */
  readonly points: PointArray;
  /** The directions, of length 1, `[components, d]`. The number that is largest by size in each is positive. */
  readonly components: NdArray;
  /** What was taken off each column first, `[d]`. */
  readonly mean: NdArray;
  /** The same in 64 bits. @internal */
  readonly centre: Float64Array;
  /** The variance along each component (with n − 1). */
  readonly explainedVariance: readonly number[];
  /** Its share of the whole variance; 0 where there is none. */
  readonly explainedVarianceRatio: readonly number[];

  /** What {@linkcode project} has returned. */
  readonly #made = new WeakSet<object>();

  /** @internal */
  constructor(
    from: Points,
    { points, components, mean, centre, explainedVariance, explainedVarianceRatio }: Principal,
  ) {
    super();
    this.points = sameAs(from, points);
    this.components = NdArray.from(components);
    this.mean = NdArray.from(mean);
    this.centre = centre;
    this.explainedVariance = explainedVariance;
    this.explainedVarianceRatio = explainedVarianceRatio;
  }

  /**
   * Where other points lie along these components.
   *
   * @param points `[m, d]`: codes of the same layer
   * @returns `[m, components]`, with the ids and labels of the points
   * @throws {TypeError} if it is no array of shape [m, d]
   * @throws {RangeError} if the points have other dimensions, or a number is not finite
   *
   * @example
   * ```ts
   * import { cifar10, codes, loadModel, pca } from "../../mod.ts";
   * const model = await loadModel("cifar-convnet");
   * const small = pca(await codes(model, await cifar10({ split: "train", limit: 400 })), { components: 50 });
   * const others = small.project(await codes(model, await cifar10({ split: "test", limit: 100 })));
   * console.log(others.shape);
   * ```
   */
  project(points: PointsLike): PointArray {
    const from = readPoints(points);
    const projected = sameAs(from, projectOn(this, from));
    this.#made.add(projected);
    return projected;
  }

  /** Whether points are in the coordinates of these components already. @internal */
  made(points: PointsLike): boolean {
    return points === this || points === this.points || this.#made.has(points);
  }

  /**
   * A map of the first components, and the share of the variance of each.
   *
   * @throws {RangeError} if the map is to have more dimensions than there are components, or other than 2 or 3
   */
  override figure(options: Partial<PcaFigureOptions> = {}): Figure {
    const { ids, labels, predictions, thumbnails, about = "points", shape: [count, kept] } = this.points;
    const { columns, thumbnails: pictures, dimensions = kept === 3 ? 3 : 2 } = readOptions(
      "figure",
      PcaFigureOptions,
      options,
    );
    if (options.dimensions !== undefined && dimensions > kept) {
      throw new RangeError(
        `A map of principal components has no more dimensions than there are components, here ${kept}: received ` +
          `${dimensions}.`,
      );
    }
    const shares = this.explainedVarianceRatio;
    const sum = (most: number) => shares.slice(0, most).reduce((a, b) => a + b, 0);
    const title = `PCA · ${about} · ${count}×${this.mean.shape[0]} → ${kept}`;
    const held = `${kept} ${kept === 1 ? "component holds" : "components hold"} ${percent(sum(kept))} of the variance.`;
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
      alt: `The share of the variance of each component: ${
        shares.slice(0, 5).map((share) => percent(share)).join(", ")
      }`,
    };
    const heading = dimensions === 2
      ? `Component 1 (${percent(shares[0])}) across, component 2 (${percent(shares[1])}) upwards`
      : `Components 1 to 3 (${shares.slice(0, 3).map((share) => percent(share)).join(", ")})`;
    const map = kept >= 2 &&
      mapBlock({
        points: this.#first(dimensions),
        ids,
        labels,
        thumbnails,
        pictures,
        columns: { ...predictionColumns(predictions, labels), ...columns },
      }, { title, heading });
    return new Figure({
      title,
      caption: [held, map && dimensions === 3 ? "Farther points are smaller and paler." : ""].filter(Boolean).join(" "),
      blocks: [...(map ? [map] : []), chart],
    });
  }

  /** The first components of each point. */
  #first(count: number): NdArray {
    const { data, shape: [rows, kept] } = this.points;
    const from = (i: number) => data[Math.floor(i / count) * kept + i % count];
    return ndarray(Float32Array.from({ length: rows * count }, (_, i) => from(i)), [rows, count]);
  }
}
