/**
 * Principal components: the directions in which points differ most.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { type Principal, principalComponents, type PrincipalOptions } from "../embed/pca.ts";
import { type KnownPoints, sameAs } from "../embed/points.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { scatter, scatterNote } from "../figure/scatter.ts";

export type PcaOptions = PrincipalOptions;

/** Points along their principal components; in a cell the first two of these. */
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

  override figure(): Figure {
    const { labels, about = "points", shape: [count, kept] } = this.points;
    const shares = this.explainedVarianceRatio;
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    const sum = (most: number) => shares.slice(0, most).reduce((a, b) => a + b, 0);
    const title = `PCA · ${about} · ${count}×${this.mean.shape[0]} → ${kept}`;
    const told = `${kept} components hold ${percent(sum(kept))} of the variance.`;
    const blocks: Block[] = kept < 2 ? [] : [scatter(this.points, {
      labels,
      x: { title: `component 1, ${percent(shares[0])}` },
      y: { title: `component 2, ${percent(shares[1])}` },
      alt: `${count} points along their first two principal components`,
    })];
    blocks.push({
      kind: "chart",
      series: [{
        label: "share of the variance",
        x: shares.map((_, i) => i + 1),
        y: shares,
        as: "bars",
      }],
      x: { title: "component", whole: true },
      y: { title: "share of the variance", min: 0 },
      height: 180,
      alt: `The share of the variance of each component: ${shares.slice(0, 5).map(percent).join(", ")}`,
    });
    return new Figure({
      title,
      caption: [told, kept < 2 ? "" : scatterNote(count, labels)].filter(Boolean).join(" "),
      blocks,
      text: [title, `  ${told}`, ...shares.slice(0, 10).map((share, i) => `  component ${i + 1}: ${percent(share)}`)]
        .join("\n"),
    });
  }
}

/**
 * Finds the directions in which points differ most, and where the points lie along them.
 *
 * Exact (to rounding) where the points or their dimensions are at most 512; otherwise by the randomised method of Halko,
 * Martinsson and Tropp 2011, "Finding structure with randomness", with 4 power iterations.
 *
 * @param points `[n, d]`: what `codes` returned, or any array
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
  return new PrincipalComponents(points, principalComponents(points, options));
}
