/**
 * Insertion and deletion curves of several maps, with their areas.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../array.ts";
import type { Curve } from "../data/records.ts";
import type { Block, Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed } from "../format.ts";
import { readOptions } from "../options.ts";
import { type AttributionTarget, flatMapOf, targetText } from "./attribution.ts";
import { yEnds, type YRange, yRange } from "./axes.ts";
import { Result } from "./result.ts";

export type { Curve };

/** What a map has to beat: pixels in a random order. */
export const CONTROL = "random order";

/** The areas of one map on one baseline. */
export interface FaithfulnessRow {
  /** The map's method, or `"random order"`. */
  method: string;
  /** What replaced the missing pixels. */
  baseline: string;
  /** The area under the insertion curve; larger is better. */
  insertion: number;
  /** The area under the deletion curve; smaller is better. */
  deletion: number;
}

/** How the curves are drawn. */
export class FaithfulnessFigureOptions {
  /**
   * What the y axes of all charts show: `"fit"` what the curves need; `"full"` a probability from 0 to 1, and scores with
   * 0; or `[low, high]`.
   * @default "fit"
   */
  @yRange()
  yRange: YRange = "fit";
}

/** Insertion and deletion curves and their areas; in a cell, the curves. */
export class Faithfulness extends Result<FaithfulnessRow> {
  /** All curves: of each map, then of the random control, on each baseline. */
  readonly curves: readonly Curve[];
  /** The areas, one row for each map and baseline. */
  readonly rows: readonly FaithfulnessRow[];
  /** What was scored. */
  readonly target: AttributionTarget;
  readonly #names: { model: string; image: string };
  readonly #remarks: string;

  /** @internal */
  constructor(
    curves: readonly Curve[],
    target: AttributionTarget,
    names: { model: string; image: string },
    maps: readonly { method: string; map: NdArrayLike }[],
  ) {
    super();
    this.#remarks = remarksOn(maps);
    this.curves = curves;
    this.target = target;
    this.#names = names;
    this.rows = curves.filter(({ kind }) => kind === "insertion").map(({ method, baseline, area }) => ({
      method,
      baseline,
      insertion: area,
      deletion:
        curves.find((other) => other.kind === "deletion" && other.method === method && other.baseline === baseline)!
          .area,
    }));
  }

  /** The first map's insertion curve: by default from the blurred image, as in the paper. */
  get insertion(): Curve {
    return this.curves.find(({ kind }) => kind === "insertion")!;
  }

  /** The first map's deletion curve: to grey where that was walked, as in the paper, else to the first baseline. */
  get deletion(): Curve {
    const own = this.curves.filter(({ kind, method }) => kind === "deletion" && method === this.insertion.method);
    return own.find(({ baseline }) => baseline === "grey") ?? own[0];
  }

  /**
   * The curves of all maps, of insertion and deletion side by side on one scale, and a table of their areas.
   *
   * @throws {RangeError} if `yRange` is none
   */
  override figure(options: Partial<FaithfulnessFigureOptions> = {}): Figure {
    const { yRange } = readOptions("figure", FaithfulnessFigureOptions, options);
    const { model, image } = this.#names;
    const { text } = this.target;
    const title = `${model} · insertion and deletion · ${targetText(this.target)} · ${image}`;
    const scored = scoredOf(this.target);
    const score = scored[0].toUpperCase() + scored.slice(1) +
      (scored === "probability" ? "" : this.insertion.plain ? " itself" : ", as a share of that for the whole image,");
    const caption = [
      `${score} of ${text} as pixels come (insertion: from the baseline to the image) or go (deletion: from the image to`,
      `the baseline), the most important first, in ${
        this.insertion.share.length - 1
      } steps. A faithful map has a large`,
      `area under its insertion curve and a small one under its deletion curve; what is no better than the random order`,
      `tells nothing. Areas by the trapezoidal rule (Petsiuk et al. 2018).`,
      plainNote(this.curves),
      baselineWarning(this.curves),
      this.#remarks,
    ].filter(Boolean).join(" ");
    const baselines = [...new Set(this.rows.map(({ baseline }) => baseline))];
    const blocks: Block[] = baselines.map((baseline) => ({
      kind: "row",
      blocks: [this.#chart("insertion", baseline, yRange), this.#chart("deletion", baseline, yRange)],
    }));
    blocks.push({
      kind: "table",
      columns: [
        { title: "map" },
        { title: "baseline" },
        { title: "insertion ↑", align: "right" },
        { title: "deletion ↓", align: "right" },
      ],
      rows: this.rows.map((row) => [row.method, row.baseline, fixed(row.insertion), fixed(row.deletion)]),
    });
    return new Figure({ title, caption, blocks });
  }

  #chart(kind: Curve["kind"], baseline: string, range: YRange): Chart {
    const curves = this.curves.filter((curve) => curve.kind === kind && curve.baseline === baseline);
    // All charts of a figure have one scale.
    const scores = this.curves.flatMap(({ score }) => [...score]);
    const [lowest, highest] = extent(scores);
    const full = { min: Math.min(0, lowest), max: Math.max(1, highest) };
    return {
      kind: "chart",
      heading: kind === "insertion" ? `Insertion, from ${named(baseline)}` : `Deletion, to ${named(baseline)}`,
      x: { title: kind === "insertion" ? "share of pixels put in" : "share of pixels taken out", min: 0, max: 1 },
      y: {
        title: scoredOf(this.target),
        ...yEnds(range, scores, full),
        include: range === "fit" ? [lowest, highest] : undefined,
      },
      series: curves.map(({ method, share, score, area }) => ({
        label: `${method} ${fixed(area)}`,
        x: share,
        y: score,
        dashed: method === CONTROL,
      })),
      alt: `${kind} curves on the baseline ${baseline}: ` +
        curves.map(({ method, area }) => `${method} has the area ${fixed(area)}`).join(", "),
    };
  }
}

/** What of a target is scored. */
const scoredOf = ({ probability, layer }: AttributionTarget): string =>
  probability !== undefined ? "probability" : layer !== undefined ? "activation" : "score";

const named = (baseline: string) => baseline === "custom" ? "an image of one's own" : baseline;

/** A sentence on each map without a peak: the order of equal pixels is random, as the control's. */
export function remarksOn(maps: readonly { method: string; map: NdArrayLike }[]): string {
  return maps.flatMap(({ method, map }) => {
    const flat = flatMapOf(map);
    if (!flat) return [];
    const isRandom = flat.kind === "zero" || flat.kind === "constant";
    return [`The map of ${method} ${flat.text}${isRandom ? ": its pixels are in a random order" : ""}.`];
  }).join(" ");
}

/** What is to be known of scores of which no share can be taken. */
export function plainNote([{ plain, score }]: readonly Curve[]): string {
  if (!plain) return "";
  return `For the whole image it is ${
    brief(score.at(-1))
  }, not above 0, so that no share of it can be taken: areas compare maps of this image alone.`;
}

/** A sentence on each baseline that keeps more than half of the score: maps can hardly be compared on it. */
export function baselineWarning(curves: readonly Curve[]): string {
  const kept = new Map(
    curves.filter(({ kind, score, plain }) => kind === "insertion" && !plain && score[0] > score.at(-1)! / 2)
      .map(({ baseline, score }) => [baseline, score[0]]),
  );
  return [...kept].map(([baseline, score]) =>
    `The baseline ${baseline} alone still scores ${fixed(score, 2)}: its areas tell maps apart badly.`
  ).join(" ");
}
