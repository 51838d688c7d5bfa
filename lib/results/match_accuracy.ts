/**
 * How often places are found again, by layer.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { meanInterval } from "../embed/agreement.ts";
import type { Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { percent } from "../format.ts";
import { readOptions, rule } from "../options.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** What a match has to beat: the point itself, in the other image. */
export const SAME_PLACE = "same place";

/** How often matches of one descriptor are right: a row of the table. */
export interface MatchAccuracyRow {
  /** A layer's name, `"pixels"`, `"gradients"`, or `"same place"`: the same point, nothing looked for. */
  descriptor: string;
  /** The kind of warp, `"all"` of them together, or `"keypoints"`. */
  warp: string;
  /** How far from its true place a match may be, as a share of the image's longer side. */
  threshold: number;
  /** The share of matches that are right: the mean over images. Beside it its interval of 95 %, by the bootstrap over images. */
  accuracy: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
  /** Of how many images. */
  images: number;
  /** How many matches there were. */
  points: number;
}

/** How far off the matches of one descriptor are. */
export interface MatchErrors {
  readonly descriptor: string;
  readonly warp: string;
  /** As shares of the image's longer side, by the image that the points are in. */
  readonly byImage: Map<string, number[]>;
}

/** What a {@linkcode MatchAccuracy} is made of. */
export interface MatchAccuracyParts {
  errors: readonly MatchErrors[];
  /** The descriptors, layers first. */
  names: readonly string[];
  warps: readonly string[];
  thresholds: readonly number[];
  seed: number;
  model: string;
  dataset: string;
  skipped: readonly SkippedImage[];
}

/** How the accuracies are drawn. */
export class MatchAccuracyFigureOptions {
  /**
   * The threshold at which layers are compared: one of those that were asked for.
   * @default 0.1 or the one nearest to it
   */
  @rule((name, value) => {
    if (typeof value !== "number") throw new TypeError(`${name} is one of the thresholds, as 0.1.`);
  })
  threshold?: number;
}

/** How often places are found again, by layer; in a cell, the layers side by side, and curves over the threshold. */
export class MatchAccuracy extends Result<MatchAccuracyRow> {
  /** One for each descriptor, kind of warp and threshold. */
  readonly rows: readonly MatchAccuracyRow[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: MatchAccuracyParts;

  /** @internal */
  constructor(parts: MatchAccuracyParts) {
    super();
    this.#parts = parts;
    this.skipped = parts.skipped;
    const { thresholds, seed } = parts;
    this.rows = withAll(parts).flatMap(({ descriptor, warp, byImage }) => {
      const each = [...byImage.values()];
      return thresholds.map((threshold) => {
        const shares = each.map((errors) => errors.filter((error) => error <= threshold).length / errors.length);
        const { value, low, high } = meanInterval(shares, seed);
        const points = each.reduce((sum, { length }) => sum + length, 0);
        return { descriptor, warp, threshold, accuracy: value, low, high, images: each.length, points };
      });
    });
  }

  #at(descriptor: string, warp: string, threshold: number): MatchAccuracyRow | undefined {
    return this.rows.find((row) => row.descriptor === descriptor && row.warp === warp && row.threshold === threshold);
  }

  /**
   * The accuracy of each layer at one threshold, and how it grows with the threshold.
   *
   * @throws {RangeError} if the threshold is none of those asked for
   */
  override figure(options: Partial<MatchAccuracyFigureOptions> = {}): Figure {
    const { thresholds, names, warps, model, dataset } = this.#parts;
    const nearest = thresholds.reduce((best, one) => Math.abs(one - 0.1) < Math.abs(best - 0.1) ? one : best);
    const { threshold = nearest } = readOptions("figure", MatchAccuracyFigureOptions, options);
    if (!thresholds.includes(threshold)) {
      throw new RangeError(`threshold is one of ${thresholds.join(", ")}: received ${threshold}.`);
    }
    const whole = warps.length > 1 ? "all" : warps[0];
    const compared = names.map((name) => this.#at(name, whole, threshold)!);
    const same = this.#at(SAME_PLACE, whole, threshold);
    const [{ images, points }] = compared;
    const title = `${model} · places found again · ${dataset}`;
    const truth = warps[0] === "keypoints"
      ? `keypoints of ${images} images in other images`
      : `${points} places of ${images} images in warped copies of them`;
    return new Figure({
      title,
      caption: [
        `PCK: the share of ${truth} whose best match lies within a share of the longer side of the true place (above: ` +
        `${
          percent(threshold, 0)
        }). Bars and bands: 95 %, by the bootstrap over images. pixels: patches less their mean;`,
        `gradients: histograms of oriented gradients of the same patches. same place (dashed): nothing is looked for.`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        {
          kind: "row",
          blocks: [this.#byDescriptor(compared, threshold, same), this.#curves(whole)],
        },
        ...warps.length > 1
          ? [{ kind: "row" as const, columns: 2, blocks: warps.map((warp) => this.#curves(warp)) }]
          : [],
      ],
      lines: compared.map(({ descriptor, accuracy, low, high }) =>
        `${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${descriptor}`
      ),
    });
  }

  #byDescriptor(rows: readonly MatchAccuracyRow[], threshold: number, same?: MatchAccuracyRow): Chart {
    const places = [-0.5, ...rows.keys(), rows.length - 0.5];
    return {
      kind: "chart",
      heading: `Within ${percent(threshold, 0)} of the longer side`,
      series: [
        {
          label: "right matches",
          x: rows.map((_, i) => i),
          y: rows.map(({ accuracy }) => accuracy),
          low: rows.map(({ low }) => low),
          high: rows.map(({ high }) => high),
          as: "bars",
        },
        ...same ? [{ label: SAME_PLACE, x: places, y: places.map(() => same.accuracy), dashed: true }] : [],
      ],
      names: rows.map(({ descriptor }) => descriptor),
      x: { title: "" },
      y: { title: "share of places (PCK)", min: 0, max: 1 },
      width: 400,
      height: 280,
      alt: rows.map(({ descriptor, accuracy }) => `${descriptor} ${percent(accuracy)}`).join(", "),
    };
  }

  /** How the accuracy grows with the threshold, for some layers and the baselines. */
  #curves(warp: string): Chart {
    const { names, thresholds } = this.#parts;
    const layers = names.filter((name) => name !== "pixels" && name !== "gradients");
    const last = Math.max(0, layers.length - 1);
    const some = [...new Set([0, 1, 2, 3].map((i) => layers[Math.round(i * last / 3)]))].filter(Boolean);
    const others = names.filter((name) => !layers.includes(name));
    const drawn = [...some, ...others, ...this.#at(SAME_PLACE, warp, thresholds[0]) ? [SAME_PLACE] : []];
    return {
      kind: "chart",
      heading: warp === "all" ? "All warps" : warp[0].toUpperCase() + warp.slice(1),
      series: drawn.map((descriptor) => {
        const rows = thresholds.map((threshold) => this.#at(descriptor, warp, threshold)!)
          .toSorted((a, b) => a.threshold - b.threshold);
        return {
          label: descriptor,
          x: rows.map((row) => row.threshold),
          y: rows.map(({ accuracy }) => accuracy),
          low: rows.map(({ low }) => low),
          high: rows.map(({ high }) => high),
          dashed: !some.includes(descriptor),
        };
      }),
      x: { title: "distance allowed, as a share of the longer side", min: 0 },
      y: { title: "share of places (PCK)", min: 0, max: 1 },
      width: 400,
      height: 280,
      alt: `PCK over the threshold, ${warp}: ` + drawn.join(", "),
    };
  }
}

/** The errors of each kind of warp; of several also those of all together. */
function withAll({ errors, warps }: MatchAccuracyParts): MatchErrors[] {
  if (warps.length < 2) return [...errors];
  const together = [...Map.groupBy(errors, ({ descriptor }) => descriptor)].map(([descriptor, some]) => {
    const byImage = new Map<string, number[]>();
    for (const { byImage: own } of some) {
      for (const [image, each] of own) byImage.set(image, [...byImage.get(image) ?? [], ...each]);
    }
    return { descriptor, warp: "all", byImage };
  });
  return [...errors, ...together];
}
