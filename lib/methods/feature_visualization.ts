/**
 * Feature visualization: images that excite a unit, a class or any other target as much as possible, found by gradient ascent.
 *
 * Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill 2017); with `parametrization: "pixels"` Simonyan, Vedaldi and
 * Zisserman, "Deep Inside Convolutional Networks" (2013), §2, and Yosinski et al., "Understanding Neural Networks Through Deep
 * Visualization" (2015), §3; from a photo Mordvintsev, Olah and Tyka, "Inceptionism" (2015).
 *
 * @module
 */

import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions } from "../options.ts";
import { ascend, type AscentOptions, type Made } from "../probe/optimise/ascent.ts";
import { evidenceOf } from "../probe/optimise/evidence.ts";
import type { Target } from "../probe/target.ts";
import { FeatureVisualization, FeatureVisualizations, livePictures } from "../results/feature_visualization.ts";
import { startLiveView } from "../results/live_view.ts";
import { withProgress } from "../results/progress.ts";
import type { TopPatches } from "../results/top_patches.ts";
import { FeatureVisualizationOptions } from "./shared/visualization_options.ts";
import {
  comparedLayer,
  largestNatural,
  pictureSides,
  regularizersOf,
  seenBox,
  targetsAsked,
  transformationsOf,
  windowOf,
} from "./shared/visualized.ts";

export { FeatureVisualizationOptions };

/** How far a step goes unless it is said. */
const RATES = { fourier: 0.1, pixels: 0.03 };
/** The noise that images begin as: of coefficients as in Lucid; of pixels a little grey. */
const DEVIATIONS = { fourier: 0.01, pixels: 0.05 };
/** So often an unfinished image is shown. */
const SHOWN = 12;

/**
 * Makes images that excite a target as much as possible: what it looks for, as far as gradient ascent finds it. Beside each
 * stands what it is worth: its activation against the best natural patch, against noise of the same spectrum, and after
 * transformations that it was not optimised under.
 *
 * Many images excite a target more than any photo does without looking like one: a picture is evidence of what a unit answers
 * to, not of what it sees in photos. Look at its patches too.
 *
 * @param model a model that reads images; nothing on it changes
 * @returns `image`, `[h, w, c]`, 0…255, the best of `images` (of a unit at a cell what it sees is made, and beyond that the image
 *   repeats); `score`, the target's score at each step, of the image as it was
 *   transformed then; `rows`, one an image, with the comparisons. For several targets an array of these that shows itself as
 *   one sheet. With a `signal` that is aborted, what there is.
 * @throws {RangeError} if a target, a layer or a channel does not exist, or an option is out of range
 * @throws {TypeError} if the model reads no images or several inputs, or cannot be differentiated
 * @throws what `signal` was aborted with, if no step was done
 *
 * @example
 * ```ts
 * import { featureVisualization, loadModel } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const { image, score } = await featureVisualization(model, { target: { layer: "conv3_2", channel: 5 }, steps: 32, seed: 1 });
 * console.log(image.shape, score.at(-1));
 * ```
 */
export async function featureVisualization(
  model: Model,
  options:
    & Partial<FeatureVisualizationOptions>
    & ({ target: readonly Target[] } | { layer: string } | { patches: TopPatches; target?: undefined }),
): Promise<FeatureVisualizations>;
/** An image of one target. */
export async function featureVisualization(
  model: Model,
  options?: Partial<FeatureVisualizationOptions>,
): Promise<FeatureVisualization>;
export async function featureVisualization(
  model: Model,
  options: Partial<FeatureVisualizationOptions> = {},
): Promise<FeatureVisualization | FeatureVisualizations> {
  const asker = "featureVisualization";
  checkModel(asker, model);
  const asked = readOptions(asker, FeatureVisualizationOptions, options);
  const { steps, seed, images, parametrization, patches, dataset, diversity, alpha, signal, batchSize } = asked;
  await checkReady(asker, model);
  signal?.throwIfAborted();
  const { sides, start } = await pictureSides(asker, model, asked);
  const { targets, many } = await targetsAsked(asker, model, asked, sides);
  const resolved = targets.map(({ target }) => target);
  const seen = resolved.map((target) => seenBox(model, target, sides));
  const moves = transformationsOf(asked.transformations, seen, sides);
  // Where a photo goes on, or what is not needed is to be seen through, the whole image counts.
  const windows = resolved.map((target, i) => start || alpha ? null : windowOf(model, target, sides, seen[i], moves));
  const wanted = resolved.flatMap((target, i) =>
    Array.from({ length: images }, (_, index) => ({ target, index, window: windows[i] }))
  );
  const ascent: AscentOptions = {
    sides,
    steps,
    seed,
    parametrization,
    fourier: { decay: asked.decay, decorrelate: asked.decorrelate },
    regularizers: regularizersOf(asked.regularizers),
    transformations: moves,
    learningRate: asked.learningRate ?? RATES[parametrization],
    deviation: DEVIATIONS[parametrization],
    ...start && { start },
    diversity: diversity > 0 && images > 1 ? { weight: diversity, layer: comparedLayer(model, resolved[0]) } : null,
    alpha,
    batchSize,
    signal,
  };
  const about = {
    model: model.name,
    steps,
    seed,
    parametrization,
    moves,
    regularized: asked.regularizers !== "none",
    diversity: ascent.diversity !== null,
    from: start?.name,
  };
  const label = targets.length === 1 ? resolved[0].text : `${targets.length} targets`;
  const made = await withProgress(`Images of ${model.name} · ${label}`, wanted.length * steps, async (update, show) => {
    const live = startLiveView(show);
    const every = Math.max(1, Math.round(steps / SHOWN));
    let next = every;
    const onStep = async (done: number, now: () => Promise<Made[]>) => {
      update(done);
      if (!live.active || done < next) return;
      next = done + every;
      const unfinished = (await now()).map(({ image }) => image);
      live.offer(() => livePictures(about.model, label, unfinished));
    };
    try {
      return await ascend(model, wanted, { ...ascent, onStep });
    } finally {
      await live.end();
    }
  }, asked.onProgress);
  if (made.every((one) => one === null || one.scores.length === 0)) signal?.throwIfAborted();
  // What was begun is measured also when the run was stopped.
  const run = signal?.aborted ? { batchSize } : { batchSize, signal };
  const natural = await largestNatural(asker, model, targets, { patches, dataset, ...run });
  const results: FeatureVisualization[] = [];
  for (const [i, { target, unit }] of targets.entries()) {
    const own = made.slice(i * images, (i + 1) * images);
    const pictures = [];
    for (const [index, one] of own.entries()) {
      if (one === null || one.scores.length === 0) continue;
      pictures.push({ ...one, index, ...await evidenceOf(model, target, one.image, [seed, i, index, 3], run) });
    }
    if (pictures.length === 0) continue;
    results.push(
      new FeatureVisualization({
        ...about,
        target,
        unit,
        box: seen[i],
        pictures,
        natural: natural?.of[i],
        compared: natural?.words,
        patches,
      }),
    );
  }
  await patches?.loadRows(results.flatMap((result) => result.patchRows), Infinity);
  const title = `${model.name} · feature visualization`;
  return many
    ? FeatureVisualizations.titled<FeatureVisualization, FeatureVisualizations>(results, title, [])
    : results[0];
}
