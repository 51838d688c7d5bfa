/**
 * Whether the pixels that a map calls important are: the class must rise as they come and fall as they go.
 *
 * Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018), §4.1 and §4.2.
 *
 * @module
 */

import { isNdArray, ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { kindOf } from "../errors.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, RunOptions, text, whole } from "../options.ts";
import { attributionInputs } from "../probe/attribution/inputs.ts";
import { type Baseline, baselinesOf, makeBaseline } from "../probe/attribution/baseline.ts";
import { outputAgain } from "../probe/output_target.ts";
import type { Target, Unit } from "../probe/target.ts";
import type { AttributionTarget } from "../results/attribution.ts";
import { CONTROL, Faithfulness } from "../results/faithfulness.ts";
import { withProgress } from "../results/progress.ts";
import { controlMap, walkCurves } from "../scan/faithfulness.ts";

/** A map to put to the test: an `Attribution`, or anything like it. */
export interface MapToTest {
  /** `[h, w]` in the grid that the model sees; greater is more important. */
  readonly map: NdArrayLike;
  /**
   * What it is called.
   * @default "map"
   */
  readonly method?: string;
  /** What it explains. */
  readonly target?: Partial<AttributionTarget>;
  /** The image that it was made of, as the model saw it, `[h, w, 3]`; an `Attribution` has it. */
  readonly image?: NdArrayLike;
}

/** What `faithfulness` can be asked for. */
export class FaithfulnessOptions extends RunOptions {
  /**
   * What is scored: a label, an index, `"predicted"`, a unit `{ layer, channel, cell }`, or any other target. Classes are
   * scored by their probability, all others by their score as a share of that for the whole image.
   * @default what the maps explain; `"predicted"` where they do not say
   */
  target?: Target;
  /**
   * Of a network of several inputs the one that the maps explain, by its name; the others keep their values.
   * @default the first image
   */
  @text()
  input?: string;
  /**
   * What replaces a missing pixel: `"grey"` (127.5), `"zero"` (what the network reads as zeros), `"mean"` (the image's
   * mean colour), `"blurred"` (from which no sharp edge comes; the paper's choice for insertion), `"noise"`, a grey of
   * 0…255, a colour `[r, g, b]` or an image; or several. Each gives an insertion and a deletion curve.
   * @default ["blurred", "grey"]
   */
  baseline: Baseline | readonly Baseline[] = ["blurred", "grey"];
  /**
   * In how many steps the pixels come or go, at most one step a pixel. The paper takes as many as the image has rows.
   * @default 50
   */
  @whole(1)
  steps = 50;
  /**
   * Sets the order of pixels with equal values, the noise, and the order of the random control.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, in each Worker where there are several, at most.
   * @default 16
   */
  override batchSize = 16;
}

const sameImage = (a: NdArrayLike, b: NdArrayLike) =>
  a.shape.join() === b.shape.join() && a.data.every((value, i) => value === b.data[i]);

/** The target that all maps explain. */
function targetOf(maps: readonly MapToTest[]): Target {
  const targets = maps.map(({ target }): Target => {
    if (target?.index !== undefined) return outputAgain({ ...target, index: target.index });
    const { layer, channel, cell } = target ?? {};
    if (layer !== undefined && channel !== undefined) return { layer, channel, cell: cell as Unit["cell"] };
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
 * import { faithfulness, loadModel, photo, saliency } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const dog = await photo("dog");
 * const map = await saliency(model, dog);
 * const { insertion, deletion } = await faithfulness(model, dog, map);
 * console.log(insertion.area, deletion.area);
 * ```
 */
export async function faithfulness(
  model: Model,
  image: ImageLike,
  attribution: MapToTest | readonly MapToTest[],
  options: Partial<FaithfulnessOptions> = {},
): Promise<Faithfulness> {
  checkModel("faithfulness", model);
  const { target: asked, input, baseline, steps, seed, onProgress, ...run } = readOptions(
    "faithfulness",
    FaithfulnessOptions,
    options,
  );
  model = model.about(input);
  await checkReady("faithfulness", model);
  const maps = (Array.isArray(attribution) ? attribution : [attribution]) as readonly MapToTest[];
  for (const map of maps) {
    if (isNdArray(map?.map)) {
      ndarray(map.map.data, map.map.shape);
      continue;
    }
    throw new TypeError(
      `faithfulness takes the result of an attribution method, or an object whose map is { data: Float32Array, shape: [h, w] }: received ${
        kindOf(map?.map ?? map)
      }.`,
    );
  }
  if (maps.length === 0) throw new RangeError("There is no map to test; wanted at least one.");
  const source = await toGiven(image);
  const [{ view, target, probability }] = await attributionInputs(
    model,
    source,
    asked ?? targetOf(maps),
    run,
  );
  const foreign = maps.find(({ image }) => image && !sameImage(image, model.shown(view)));
  if (foreign) {
    throw new RangeError(
      `The ${foreign.method ?? "map"} was made of another image than ${
        JSON.stringify(nameOfGiven(source))
      }, as the model sees ` +
        `it. Give the image that it was made of.`,
    );
  }
  const baselines = await Promise.all(
    baselinesOf(baseline, model).map((one) => makeBaseline(model, view, one, seed)),
  );
  const walked = [
    ...maps.map(({ method = "map", map }) => ({ method, map })),
    { method: CONTROL, map: controlMap(model.shown(view).shape, seed) },
  ];
  const total =
    2 * walked.length * baselines.length * (Math.min(steps, sizeOf(view.shape.slice(0, model.dimensions))) + 1) + 1;
  const curves = await withProgress(
    `Insertion and deletion with ${model.name}`,
    total,
    (onProgress) => walkCurves(model, view, walked, target, { ...run, baselines, steps, seed, onProgress }),
    onProgress,
  );
  return new Faithfulness(curves, { ...target, ...probability !== undefined && { probability } }, {
    model: model.name,
    image: nameOfGiven(source),
  }, walked);
}
