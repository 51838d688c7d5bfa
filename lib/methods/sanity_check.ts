/**
 * Whether an attribution method looks at what the network learned, or only at the image.
 *
 * Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim, "Sanity Checks for Saliency Maps" (2018).
 *
 * @module
 */

import { toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { kindOf } from "../errors.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { abortSignal, arrayOf, callback, oneOf, readOptions, text, whole } from "../options.ts";
import { attributionInputs } from "../probe/attribution/inputs.ts";
import { likeness, type MapMethod, randomizeLayers, stops, topDown, untrained } from "../probe/attribution/sanity.ts";
import { type Target, targetAgain } from "../probe/target.ts";
import type { Attribution } from "../results/attribution.ts";
import { withProgress } from "../results/progress.ts";
import { RANDOM_LABELS, SanityCheck } from "../results/sanity_check.ts";

/** An attribution method, as `saliency`, or a function that calls one with options of its own. */
export type AttributionMethod = MapMethod<Attribution>;

/** What `sanityCheck` can be asked for. */
export class SanityCheckOptions {
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
   * `"cascading"`: all layers from the top down to each stop have random weights; `"independent"`: only the one layer
   * has.
   * @default "cascading"
   */
  @oneOf("cascading", "independent")
  mode: "cascading" | "independent" = "cascading";
  /**
   * At which layers a map is made, in any order; they are gone through from the top down.
   * @default of all layers with kernels at most 11, evenly spread, the last and the first among them
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Trains the model that it is given, whose weights are all random, on labels that were shuffled, and returns it. If it
   * is given, the map of what it returns is compared, too (§4.2 of the paper).
   */
  @callback()
  randomLabels?: (untrained: Model, options: { seed: number; signal?: AbortSignal }) => Promise<Model>;
  /**
   * Sets the random weights.
   * @default 0
   */
  @whole()
  seed = 0;
  /** Stops between maps; the method is given it, too. */
  @abortSignal()
  signal?: AbortSignal;
  /** Called after each map with the number of maps made. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/** With the trained model's map they fill the rows of the figure. */
const MOST_STOPS = 11;

/**
 * Checks whether an attribution method depends on the network's weights: its map is compared with those of copies of the
 * network whose layers are randomised from the top down.
 *
 * Random weights are those before training: normally distributed kernels of variance 2 / fan-in, zeros, and ones for
 * scales and variances.
 *
 * @param model the model; nothing on it changes, all is done on a copy
 * @param method an attribution method, called with a class's index, a unit or what was given as its `target`
 * @returns `rows` `{ layer, spearman, spearmanSigned, ssim }`; `score`, how much of the map is left; `passed`; the maps
 * @throws {RangeError} if a layer does not exist or has no weights
 *
 * @example
 * ```ts
 * import { gradCam, loadModel, photo, saliency, sanityCheck } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const dog = await photo("dog");
 * console.log((await sanityCheck(model, dog, saliency)).passed);
 * await sanityCheck(model, dog, (model, image, { target }) => gradCam(model, image, { target }));
 * ```
 */
export async function sanityCheck(
  model: Model,
  image: ImageLike,
  method: AttributionMethod,
  options: Partial<SanityCheckOptions> = {},
): Promise<SanityCheck> {
  checkModel("sanityCheck", model);
  const { target, input, mode, randomLabels, seed, signal, onProgress, ...read } = readOptions(
    "sanityCheck",
    SanityCheckOptions,
    options,
  );
  await checkReady("sanityCheck", model);
  if (typeof method !== "function") {
    throw new TypeError(`sanityCheck wants an attribution method, as saliency: received ${kindOf(method)}.`);
  }
  const chosen = read.layers && topDown(model, read.layers);
  const source = await toGiven(image);
  const [subject] = await attributionInputs(model.about(input), source, target, { signal });
  const layers = chosen ?? stops(model, MOST_STOPS, subject.target);
  const asked = targetAgain(subject.target);
  const make = (of: Model) => method(of, source, { target: asked, ...input !== undefined && { input }, signal });
  const total = layers.length + 1 + Number(Boolean(randomLabels));
  return await withProgress(`Sanity check with ${model.name}`, total, async (update) => {
    const [{ trained, stages }] = await randomizeLayers(model, [make], {
      mode,
      layers,
      seed,
      signal,
      onProgress: update,
    });
    if (randomLabels) {
      const fresh = await untrained(model, seed);
      try {
        const attribution = await make(await randomLabels(fresh.model, { seed, signal }));
        stages.push({ layer: RANDOM_LABELS, attribution, ...likeness(trained, attribution) });
      } finally {
        fresh.dispose();
      }
      update(total);
    }
    return new SanityCheck(trained, stages, mode);
  }, onProgress);
}
