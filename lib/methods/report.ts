/**
 * Maps of several methods, each with its error bars, in one figure.
 *
 * @module
 */

import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, kindOf } from "../errors.ts";
import type { Attribution } from "../results/attribution.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import { subjectsOf } from "../probe/attribution/attribute.ts";
import {
  FAILS_FROM,
  type Likeness,
  type MapMethod,
  randomizeLayers,
  sanityScore,
  stops,
  topDown,
} from "../probe/attribution/sanity.ts";
import { checkClassTarget, type ClassTarget } from "../probe/target.ts";
import {
  type Baseline,
  baselinesOf,
  baselineWarning,
  CONTROL,
  controlMap,
  type Curve,
  walkCurves,
} from "../scan/faithfulness.ts";

/** Methods to compare: as `saliency`, or functions that call one with options of their own. */
export type Methods = readonly MapMethod<Attribution>[] | Readonly<Record<string, MapMethod<Attribution>>>;

export interface ReportOptions {
  /**
   * The class that all maps explain: a label, an index or `"predicted"`.
   * @default "predicted"
   */
  target?: string | number;
  /**
   * What stands where a pixel is missing, one or several; see `faithfulness`.
   * @default ["blurred", "grey"]
   */
  baselines?: Baseline | readonly Baseline[];
  /**
   * In how many steps the pixels come or go.
   * @default 50
   */
  steps?: number;
  /**
   * At which layers of the sanity check maps are made; see `sanityCheck`.
   * @default of all layers with kernels at most 5, evenly spread
   */
  layers?: readonly string[];
  /**
   * Sets all that is random.
   * @default 0
   */
  seed?: number;
  /**
   * How many images run at once: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches and maps; the methods are given it, too. */
  signal?: AbortSignal;
  /** Called with how much of the work is done: maps, and images of the insertion and deletion curves. */
  onProgress?: (done: number, total: number) => void;
}

/** A method with its error bars. */
export interface ReportRow {
  method: string;
  /** The area under the insertion curve, the mean over the baselines; the greater, the better. */
  insertion: number;
  /** The area under the deletion curve, the mean over the baselines; the less, the better. */
  deletion: number;
  /** How much of the map is left when the layers are randomised, 0…1; `null` for the control. */
  left: number | null;
  /** Whether that is below the threshold of `sanityCheck`. */
  passed: boolean | null;
  /**
   * For methods that share the score out among the pixels: how much of the score's difference to the baseline the sum of
   * the map misses, as a share of it; `null` for others.
   */
  missed: number | null;
}

const MOST_STOPS = 5;
const IN_A_ROW = 3;

const brief = (value: number) => value.toFixed(3);
const percent = (share: number) => share < 1e-4 ? "< 0.01 %" : `${Number((100 * share).toPrecision(2))} %`;

/** What the map's sum misses of the score's difference, as a share of it. */
function missedShare({ values, convergenceDelta }: Attribution): number | null {
  if (convergenceDelta === undefined) return null;
  const sum = values.data.reduce((total, value) => total + value, 0);
  const difference = sum - convergenceDelta;
  return difference === 0 ? null : Math.abs(convergenceDelta / difference);
}

/** Several methods' maps with their error bars; in a cell, the maps, the numbers and the curves. */
export class Report extends Shown {
  /** One row a method, and one for the random order. */
  readonly rows: readonly ReportRow[];
  /** The maps, in the order of the rows. */
  readonly attributions: readonly Attribution[];
  /** All insertion and deletion curves. */
  readonly curves: readonly Curve[];
  readonly #steps: number;
  readonly #layers: readonly string[];

  constructor(
    methods: readonly { name: string; attribution: Attribution; stages: readonly Likeness[] }[],
    curves: readonly Curve[],
    { steps, layers }: { steps: number; layers: readonly string[] },
  ) {
    super();
    this.attributions = methods.map(({ attribution }) => attribution);
    this.curves = curves;
    this.#steps = steps;
    this.#layers = layers;
    const area = (name: string, kind: Curve["kind"]) => {
      const areas = curves.filter((curve) => curve.method === name && curve.kind === kind).map(({ area }) => area);
      return areas.reduce((sum, area) => sum + area, 0) / areas.length;
    };
    const areas = (method: string) => ({
      method,
      insertion: area(method, "insertion"),
      deletion: area(method, "deletion"),
    });
    this.rows = [
      ...methods.map(({ name, attribution, stages }) => {
        const left = sanityScore(stages);
        return { ...areas(name), left, passed: left < FAILS_FROM, missed: missedShare(attribution) };
      }),
      { ...areas(CONTROL), left: null, passed: null, missed: null },
    ];
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const [first] = this.attributions;
    const title = `${first.model} · attribution report · ${first.targetText} · ${first.name}`;
    const caption = this.#caption();
    const pictures: Picture[] = this.attributions.map((attribution, i) => ({
      ...attribution.picture(),
      heading: this.rows[i].method,
    }));
    const all = [first.photo(), ...pictures];
    const blocks: Block[] = [];
    for (let i = 0; i < all.length; i += IN_A_ROW) blocks.push({ kind: "row", blocks: all.slice(i, i + IN_A_ROW) });
    const shares = this.#shares();
    const columns = ["insertion ↑", "deletion ↓", "left ↓", "sanity check", ...shares ? ["missed ↓"] : []];
    const cells = this.rows.map(({ method, insertion, deletion, left, passed, missed }) => [
      method,
      brief(insertion),
      brief(deletion),
      left === null ? "" : brief(left),
      passed === null ? "" : passed ? "passes" : "fails",
      ...shares ? [missed === null ? "" : percent(missed)] : [],
    ]);
    blocks.push(
      {
        kind: "table",
        columns: [{ title: "method" }, ...columns.map((title) => ({ title, align: "right" as const }))],
        rows: cells,
      },
      this.#chart(),
    );
    const text = cells.map(([method, insertion, deletion, left, passed, missed]) =>
      `  ${method.padEnd(24)} insertion ${insertion}  deletion ${deletion}` +
      (left && `  left ${left}, ${passed}`) + (missed ? `  missed ${missed}` : "")
    );
    return new Figure({ title, caption, blocks, text: [title, ...text].join("\n") });
  }

  /** Whether a method shares the score out among the pixels. */
  #shares(): boolean {
    return this.rows.some(({ missed }) => missed !== null);
  }

  #caption(): string {
    const baselines = [...new Set(this.curves.map(({ baseline }) => baseline))].join(", ");
    return [
      `Insertion and deletion: areas under the probability of ${
        this.attributions[0].target.text
      } as pixels come and go`,
      `in the order of the map, in ${this.#steps} steps, mean over the baselines ${baselines} (bars in the chart: least`,
      `and greatest); a map that is no better than the random order tells nothing (Petsiuk et al. 2018).`,
      baselineWarning(this.curves),
      `Left: how much of the map is left when the layers from the top down to ${
        this.#layers.join(", ")
      } are randomised,`,
      `the mean of SSIM and of rank correlations with and without signs; a method fails from ${FAILS_FROM} on (Adebayo`,
      `et al. 2018; the threshold is ours).`,
      this.#shares()
        ? "Missed: what the sum of the map lacks of the score's difference to the method's own baseline, as a share of it."
        : "",
      "Each map is painted on its own scale, clipped as the method's own figure says.",
    ].filter(Boolean).join(" ");
  }

  #chart(): Block {
    const areas = (method: string, kind: Curve["kind"]) =>
      this.curves.filter((curve) => curve.method === method && curve.kind === kind).map(({ area }) => area);
    const names = this.rows.map(({ method }) => method);
    return {
      kind: "chart",
      heading: "Areas with their range over the baselines",
      series: (["insertion", "deletion"] as const).map((kind) => ({
        label: kind,
        as: "bars",
        x: names.map((_, i) => i),
        y: this.rows.map((row) => row[kind]),
        low: names.map((name) => Math.min(...areas(name, kind))),
        high: names.map((name) => Math.max(...areas(name, kind))),
      })),
      x: { title: "" },
      y: { title: "area under the curve", min: 0, max: 1 },
      names,
      width: 640,
      alt: `Insertion and deletion areas: ` +
        this.rows.map(({ method, insertion, deletion }) => `${method} ${brief(insertion)} and ${brief(deletion)}`).join(
          ", ",
        ),
    };
  }
}

/**
 * Makes the maps of several methods for one class, and puts each to the tests of `faithfulness` and `sanityCheck`.
 *
 * @param model the model; nothing on it changes
 * @param methods attribution methods, called with the class's index as their `target`; the names of the rows are those
 *   that the maps tell, or the keys of an object
 * @returns `rows` `{ method, insertion, deletion, left, passed, missed }`, one a method and one for a random order; the
 *   maps; the curves
 * @throws {RangeError} if there is no method, or two maps of one name (give an object with a key for each)
 *
 * @example
 * ```ts
 * await report(model, dog, [saliency, integratedGradients, guidedBackprop, gradCam]);
 * ```
 */
export async function report(
  model: Model,
  image: ImageLike,
  methods: Methods,
  options: ReportOptions = {},
): Promise<Report> {
  checkModel("report", model);
  checkOptions("report", options, {
    target: true,
    baselines: true,
    steps: true,
    layers: true,
    seed: true,
    batchSize: true,
    signal: true,
    onProgress: true,
  });
  const { target = "predicted", baselines = ["blurred", "grey"], steps = 50, seed = 0, batchSize, signal } = options;
  checkClassTarget("report", target);
  if (typeof methods !== "object" || methods === null) {
    throw new TypeError(`report wants attribution methods, as [saliency, gradCam]: received ${kindOf(methods)}.`);
  }
  const entries: [name: string | undefined, method: MapMethod<Attribution>][] = Array.isArray(methods)
    ? methods.map((method) => [undefined, method])
    : Object.entries(methods);
  if (entries.length === 0) throw new RangeError("There is no method to report on; wanted at least one.");
  const odd = entries.find(([, method]) => typeof method !== "function");
  if (odd) throw new TypeError(`report wants attribution methods, as saliency: received ${kindOf(odd[1])}.`);
  const layers = options.layers ? topDown(model, options.layers) : stops(model, MOST_STOPS);
  const source = await toImage(image);
  const { subjects: [{ view, target: settled }] } = await subjectsOf(model, source, target, { signal });
  const { index } = settled as ClassTarget;
  const grounds = baselinesOf(view, baselines);

  const makers = entries.map(([, method]) => (of: Model) => method(of, source, { target: index, signal }));
  const maps = makers.length * (layers.length + 1);
  const pixels = view.shape[0] * view.shape[1];
  const total = maps + 2 * (makers.length + 1) * grounds.length * (Math.min(steps, pixels) + 1) + 1;
  return await withProgress(`Attribution report of ${model.name}`, total, async (update) => {
    const progress = (done: number) => {
      update(done);
      options.onProgress?.(done, total);
    };
    const checked = await randomizeLayers(model, makers, {
      mode: "cascading",
      layers,
      seed,
      signal,
      onProgress: progress,
    });
    const named = checked.map(({ trained, stages }, i) => ({
      name: entries[i][0] ?? trained.method,
      attribution: trained,
      stages,
    }));
    const twice = named.find(({ name }, i) => named.findIndex((other) => other.name === name) < i);
    if (twice) {
      throw new RangeError(`Two maps are named ${JSON.stringify(twice.name)}; give the methods as { name: method }.`);
    }
    const walked = [
      ...named.map(({ name, attribution: { map } }) => ({ method: name, map })),
      controlMap(view.shape, seed),
    ];
    const curves = await walkCurves(model, view, walked, settled as ClassTarget, {
      baselines: grounds,
      steps,
      seed,
      batchSize,
      signal,
      onProgress: (done) => progress(maps + done),
    });
    return new Report(named, curves, { steps: curves[0].share.length - 1, layers });
  });
}
