/**
 * Whether the pixels that a map calls important are: the class must rise as they come and fall as they go.
 *
 * Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018), §4.1 and §4.2.
 *
 * @module
 */

import { isNdArray, type NdArray } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, kindOf } from "../errors.ts";
import type { AttributionTarget } from "../results/attribution.ts";
import type { Block, Chart } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import { subjectsOf } from "../probe/attribution/attribute.ts";
import type { Target } from "../probe/target.ts";
import {
  type Baseline,
  baselinesOf,
  baselineWarning,
  CONTROL,
  controlMap,
  type Curve,
  walkCurves,
} from "../scan/faithfulness.ts";

/** A map to put to the test: an `Attribution`, or anything like it. */
export interface MapToTest {
  /** `[h, w]` in the grid that the model sees; greater is more important. */
  readonly map: NdArray;
  /** @default "map" */
  readonly method?: string;
  /** What it explains. */
  readonly target?: Partial<AttributionTarget>;
  /** The image that it was made of, as the model saw it, `[h, w, 3]`; an `Attribution` has it. */
  readonly image?: NdArray;
}

export interface FaithfulnessOptions {
  /**
   * What is scored: a label, an index, `"predicted"`, or a unit `{ layer, channel, cell }`.
   * @default what the maps explain; `"predicted"` where they do not tell
   */
  target?: Exclude<Target, (...of: never) => unknown>;
  /**
   * What stands where a pixel is missing: `"blurred"`, `"grey"`, `"black"`, `"noise"`, or an image `[h, w, 3]` in the
   * grid that the model sees; or several. Each gives an insertion and a deletion curve.
   * @default ["blurred", "grey"]
   */
  baselines?: Baseline | readonly Baseline[];
  /**
   * In how many steps the pixels come or go, at most one step a pixel. The paper takes as many as the image has rows.
   * @default 50
   */
  steps?: number;
  /**
   * Sets the order of pixels with equal values, the noise, and the order of the random control.
   * @default 0
   */
  seed?: number;
  /**
   * How many images run at once, in each Worker where there are several: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of images done. */
  onProgress?: (done: number, total: number) => void;
}

/** The areas of one map on one baseline. */
export interface FaithfulnessRow {
  method: string;
  baseline: string;
  /** The area under the insertion curve; the greater, the better. */
  insertion: number;
  /** The area under the deletion curve; the less, the better. */
  deletion: number;
}

const brief = (value: number) => value.toFixed(3);

/** Insertion and deletion curves and their areas; in a cell, the curves. */
export class Faithfulness extends Shown {
  /** All curves: of each map, then of the random control, on each baseline. */
  readonly curves: readonly Curve[];
  /** The areas, one row for each map and baseline. */
  readonly rows: readonly FaithfulnessRow[];
  /** What was scored. */
  readonly target: AttributionTarget;
  readonly #names: { model: string; image: string };

  constructor(curves: readonly Curve[], target: AttributionTarget, names: { model: string; image: string }) {
    super();
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

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { model, image } = this.#names;
    const { text, probability } = this.target;
    const of = probability === undefined ? text : `${text} (${(100 * probability).toFixed(1)} %)`;
    const title = `${model} · insertion and deletion · ${of} · ${image}`;
    const score = this.target.layer === undefined
      ? "Probability"
      : "Activation, as a share of that for the whole image,";
    const caption = [
      `${score} of ${text} as pixels come (insertion: from the baseline to the image) or go (deletion: from the image to`,
      `the baseline), the most important first, in ${
        this.insertion.share.length - 1
      } steps. A faithful map has a large`,
      `area under its insertion curve and a small one under its deletion curve; what is no better than the random order`,
      `tells nothing. Areas by the trapezoidal rule (Petsiuk et al. 2018).`,
      baselineWarning(this.curves),
    ].filter(Boolean).join(" ");
    const baselines = [...new Set(this.rows.map(({ baseline }) => baseline))];
    const blocks: Block[] = baselines.map((baseline) => ({
      kind: "row",
      blocks: [this.#chart("insertion", baseline), this.#chart("deletion", baseline)],
    }));
    blocks.push({
      kind: "table",
      columns: [
        { title: "map" },
        { title: "baseline" },
        { title: "insertion ↑", align: "right" },
        { title: "deletion ↓", align: "right" },
      ],
      rows: this.rows.map((row) => [row.method, row.baseline, brief(row.insertion), brief(row.deletion)]),
    });
    const lines = this.rows.map(({ method, baseline, insertion, deletion }) =>
      `  ${method.padEnd(22)} ${baseline.padEnd(8)} insertion ${brief(insertion)}  deletion ${brief(deletion)}`
    );
    return new Figure({ title, caption, blocks, text: [title, ...lines].join("\n") });
  }

  #chart(kind: Curve["kind"], baseline: string): Chart {
    const curves = this.curves.filter((curve) => curve.kind === kind && curve.baseline === baseline);
    const highest = Math.max(1, ...curves.flatMap(({ score }) => score));
    const lowest = Math.min(0, ...curves.flatMap(({ score }) => score));
    return {
      kind: "chart",
      heading: kind === "insertion" ? `Insertion, from ${named(baseline)}` : `Deletion, to ${named(baseline)}`,
      x: { title: kind === "insertion" ? "share of pixels put in" : "share of pixels taken out", min: 0, max: 1 },
      y: { title: this.target.layer === undefined ? "probability" : "activation", min: lowest, max: highest },
      series: curves.map(({ method, share, score, area }) => ({
        label: `${method} ${brief(area)}`,
        x: share,
        y: score,
        dashed: method === CONTROL,
      })),
      alt: `${kind} curves on the baseline ${baseline}: ` +
        curves.map(({ method, area }) => `${method} has the area ${brief(area)}`).join(", "),
    };
  }
}

const named = (baseline: string) => baseline === "custom" ? "an image of one's own" : baseline;

const sameImage = (a: NdArray, b: NdArray) =>
  a.shape.join() === b.shape.join() && a.data.every((value, i) => value === b.data[i]);

/** What the maps say that they explain. */
function targetOf(maps: readonly MapToTest[]): FaithfulnessOptions["target"] {
  const targets = maps.map(({ target }): NonNullable<FaithfulnessOptions["target"]> => {
    if (target?.index !== undefined) return target.index;
    const { layer, channel, cell } = target ?? {};
    if (layer !== undefined && channel !== undefined) return { layer, channel, cell };
    if (target?.text === undefined) return "predicted";
    throw new TypeError(
      `The map explains ${JSON.stringify(target.text)}, which is neither a class nor a unit. Give a target to score.`,
    );
  });
  const [first] = targets;
  const other = targets.find((target) => JSON.stringify(target) !== JSON.stringify(first));
  if (other === undefined) return first;
  throw new RangeError(
    `The maps explain ${JSON.stringify(first)} and ${
      JSON.stringify(other)
    }; wanted maps of one target, or a target to ` +
      `score them all by.`,
  );
}

/**
 * Puts one map or several to the test by insertion and deletion, beside a random order as a control.
 *
 * The steps of the paper: pixels are sorted by the map, those that speak against the target last. Insertion starts at the
 * baseline and brings them in, deletion starts at the image and takes them out; after each step the probability of the
 * target is read, and the area under the curve is the score.
 *
 * @param model the model; nothing on it changes
 * @param image the image that the maps were made of
 * @param attribution the result of an attribution method, or any `{ map }`; or several of them, of one target
 * @returns `rows` `{ method, baseline, insertion, deletion }`; `curves`; `insertion` and `deletion`, the first map's
 * @throws {RangeError} if a map has not the sides that the model sees or was made of another image, or the maps explain
 *   different targets
 *
 * @example
 * ```ts
 * const map = await saliency(model, dog);
 * (await faithfulness(model, dog, map)).insertion.area;
 * ```
 */
export async function faithfulness(
  model: Model,
  image: ImageLike,
  attribution: MapToTest | readonly MapToTest[],
  options: FaithfulnessOptions = {},
): Promise<Faithfulness> {
  checkModel("faithfulness", model);
  const { target: asked, baselines = ["blurred", "grey"], steps = 50, seed = 0, onProgress, ...run } = checkOptions(
    "faithfulness",
    options,
    { target: true, baselines: true, steps: true, seed: true, batchSize: true, signal: true, onProgress: true },
  );
  const maps = (Array.isArray(attribution) ? attribution : [attribution]) as readonly MapToTest[];
  for (const map of maps) {
    if (isNdArray(map?.map)) continue;
    throw new TypeError(
      `faithfulness takes the result of an attribution method, or an object whose map is an array [h, w]: received ${
        kindOf(map)
      }.`,
    );
  }
  if (maps.length === 0) throw new RangeError("There is no map to test; wanted at least one.");
  const source = await toImage(image);
  const { subjects: [{ view, target, probability }] } = await subjectsOf(
    model,
    source,
    asked ?? targetOf(maps),
    run,
  );
  const foreign = maps.find(({ image }) => image && !sameImage(image, view));
  if (foreign) {
    throw new RangeError(
      `The ${foreign.method ?? "map"} was made of another image than ${
        JSON.stringify(source.name)
      }, as the model sees ` +
        `it. Give the image that it was made of.`,
    );
  }
  if (target.kind === "function") {
    throw new TypeError("faithfulness scores a class or a unit: received a function as the target.");
  }
  const grounds = baselinesOf(view, baselines);
  const walked = [...maps.map(({ method = "map", map }) => ({ method, map })), controlMap(view.shape, seed)];
  const total = 2 * walked.length * grounds.length * (Math.min(steps, view.data.length / 3) + 1) + 1;
  const curves = await withProgress(
    `Insertion and deletion with ${model.name}`,
    total,
    (update) =>
      walkCurves(model, view, walked, target, {
        ...run,
        baselines: grounds,
        steps,
        seed,
        onProgress: (done, total) => {
          update(done);
          onProgress?.(done, total);
        },
      }),
  );
  return new Faithfulness(curves, { ...target, ...probability !== undefined && { probability } }, {
    model: model.name,
    image: source.name,
  });
}
