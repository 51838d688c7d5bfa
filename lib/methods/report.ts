/**
 * Maps of several methods, each with its error bars, in one figure.
 *
 * @module
 */

import { sizeOf } from "../array.ts";
import { toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { kindOf } from "../errors.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, readOptions, RunOptions, text, whole } from "../options.ts";
import { attributionInputs } from "../probe/attribution/inputs.ts";
import { type Baseline, baselinesOf, makeBaseline } from "../probe/attribution/baseline.ts";
import { type MapMethod, randomizeLayers, stops, topDown } from "../probe/attribution/sanity.ts";
import { type Target, targetAgain } from "../probe/target.ts";
import type { Attribution } from "../results/attribution.ts";
import { CONTROL } from "../results/faithfulness.ts";
import { withProgress } from "../results/progress.ts";
import { Report } from "../results/report.ts";
import { controlMap, walkCurves } from "../scan/faithfulness.ts";

/** Methods to compare: as `saliency`, or functions that call one with options of their own. */
export type Methods = readonly MapMethod<Attribution>[] | Readonly<Record<string, MapMethod<Attribution>>>;

/** What `report` can be asked for. */
export class ReportOptions extends RunOptions {
  /**
   * What all maps explain: a label, an index, `"predicted"`, a unit `{ layer, channel, cell }`, or any other target.
   * @default "predicted"
   */
  target: Target = "predicted";
  /**
   * Of a network of several inputs the one that is asked about, by its name; the others keep their values.
   * @default the first image
   */
  @text()
  input?: string;
  /**
   * What replaces a missing pixel, one or several; see `faithfulness`.
   * @default ["blurred", "grey"]
   */
  baseline: Baseline | readonly Baseline[] = ["blurred", "grey"];
  /**
   * In how many steps the pixels come or go.
   * @default 50
   */
  @whole(1)
  steps = 50;
  /**
   * At which layers of the sanity check maps are made; see `sanityCheck`.
   * @default of all layers with kernels at most 5, evenly spread
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Sets all that is random.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

const MOST_STOPS = 5;

/**
 * Makes the maps of several methods for one target, and puts each to the tests of `faithfulness` and `sanityCheck`.
 *
 * @param model the model; nothing on it changes
 * @param methods attribution methods, called with a class's index, a unit or what was given as their `target`; the names of the rows are those
 *   of the maps, or the keys of an object
 * @returns `rows` `{ method, insertion, deletion, left, passed, missed }`, one a method and one for a random order; the
 *   maps; the curves
 * @throws {RangeError} if there is no method, or two maps of one name (give an object with a key for each)
 *
 * @example
 * ```ts
 * import { gradCam, guidedBackprop, integratedGradients, loadModel, photo, report, saliency } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const dog = await photo("dog");
 * await report(model, dog, [saliency, integratedGradients, guidedBackprop, gradCam]);
 * ```
 */
export async function report(
  model: Model,
  image: ImageLike,
  methods: Methods,
  options: Partial<ReportOptions> = {},
): Promise<Report> {
  checkModel("report", model);
  const { target, input, baseline, steps, seed, batchSize, signal, onProgress, ...read } = readOptions(
    "report",
    ReportOptions,
    options,
  );
  await checkReady("report", model);
  const entries = entriesOf(methods);
  const chosen = read.layers && topDown(model, read.layers);
  const source = await toGiven(image);
  const [{ view, target: resolved }] = await attributionInputs(model.about(input), source, target, { signal });
  const layers = chosen ?? stops(model, MOST_STOPS, resolved);
  const asked = targetAgain(resolved);
  const baselines = await Promise.all(
    baselinesOf(baseline, model.about(input)).map((one) => makeBaseline(model.about(input), view, one, seed)),
  );

  const makers = entries.map(([, method]) => (of: Model) =>
    method(of, source, { target: asked, ...input !== undefined && { input }, signal })
  );
  const maps = makers.length * (layers.length + 1);
  const pixels = sizeOf(view.shape.slice(0, model.dimensions));
  const total = maps + 2 * (makers.length + 1) * baselines.length * (Math.min(steps, pixels) + 1) + 1;
  return await withProgress(`Attribution report of ${model.name}`, total, async (update) => {
    const checked = await randomizeLayers(model, makers, {
      mode: "cascading",
      layers,
      seed,
      signal,
      onProgress: update,
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
      { method: CONTROL, map: controlMap(model.shown(view).shape, seed) },
    ];
    const curves = await walkCurves(model.about(input), view, walked, resolved, {
      baselines,
      steps,
      seed,
      batchSize,
      signal,
      onProgress: (done) => update(maps + done),
    });
    return new Report(named, curves, { steps: curves[0].share.length - 1, layers });
  }, onProgress);
}

/** The methods with the names that they were given, if any. */
function entriesOf(methods: Methods): (readonly [name: string | undefined, method: MapMethod<Attribution>])[] {
  if (typeof methods !== "object" || methods === null) {
    throw new TypeError(`report wants attribution methods, as [saliency, gradCam]: received ${kindOf(methods)}.`);
  }
  const entries = Array.isArray(methods)
    ? methods.map((method) => [undefined, method] as const)
    : Object.entries(methods);
  if (entries.length === 0) throw new RangeError("There is no method to report on; wanted at least one.");
  const invalid = entries.find(([, method]) => typeof method !== "function");
  if (invalid) throw new TypeError(`report wants attribution methods, as saliency: received ${kindOf(invalid[1])}.`);
  return entries;
}
