/**
 * Which part of an image a class hangs on: a square slides over the image, and the probability of the class is watched.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §4.2 and Fig. 7. Only what the square
 * can reach is computed anew at each place: see `probe/occlusion/incremental.ts`.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import type { ModelOutput } from "../model/output.ts";
import { readOptions, text, WalkOptions, whole } from "../options.ts";
import { resolveForImages } from "../probe/attribution/inputs.ts";
import { type Baseline, checkBaseline, makeBaseline } from "../probe/attribution/baseline.ts";
import { checkMaps, lastMaps, occlude, type Occluded, positionsOf } from "../probe/occlusion/occlude.ts";
import { type OutputNumber, resolveOutput } from "../probe/output_target.ts";
import { askedOf, flatTerms, isOutputWanted, isSumWanted, type Target } from "../probe/target.ts";
import { startLiveView } from "../results/live_view.ts";
import { Occlusion, Occlusions, partialFigure } from "../results/occlusion.ts";
import { withProgress } from "../results/progress.ts";
import { scorePositionsOnAllCores } from "../scan/occlusion.ts";
import { type ImagesLike, walkImages } from "./shared/images.ts";

/** What `occlusion` can be asked for. */
export class OcclusionOptions extends WalkOptions {
  /**
   * What is watched: of a class (a label, an index, or `"predicted"`; of maps at a place, `{ label, cell }`) the probability,
   * of any other target, as a unit `{ layer, channel, cell }`, the score. Scores of other targets take a full pass for each place.
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
   * The square's side in pixels of the image as the model sees it; or several, for one map each. Over a signal it is the
   * length of a window, in a volume the side of a cube.
   * @default a seventh of the shorter side: 32 of 224; a sixteenth of a signal, a quarter of a volume's shortest side
   */
  size?: number | readonly number[];
  /**
   * Pixels from one place of the square to the next.
   * @default a quarter of the smallest size: 8 of 32; half of it in a volume
   */
  stride?: number;
  /**
   * What replaces the pixels in the square: `"grey"` (127.5), `"zero"` (what the network reads as zeros), `"mean"` (the
   * image's mean colour), `"blurred"` (the image itself, blurred), `"noise"`, a grey of 0…255, a colour `[r, g, b]`, or an
   * image.
   * @default "grey"; of signals and volumes "mean", of each channel
   */
  baseline?: Baseline;
  /**
   * The layer whose strongest feature map is summed: that of the largest sum without the square.
   * @default the last convolution, with the activation or the addition behind it
   */
  @text()
  layer?: string;
  /**
   * How many of the most probable classes are kept for each place.
   * @default 3
   */
  @whole(1)
  top = 3;
  /**
   * How many places are computed at once, at most.
   * @default 16
   */
  override batchSize = 16;
  /**
   * What noise is drawn from.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** Whether an output is named, so that it can be looked up before there is an image. */
const isSaid = (wanted: string | number | OutputNumber): boolean =>
  typeof wanted === "object"
    ? wanted.index !== undefined || (wanted.label ?? "predicted") !== "predicted"
    : wanted !== "predicted";

/** The side of a window, a square and a cube, as parts of the shortest side. */
const SHARES = [16, 7, 4];

/** How captions call baselines. */
const WORDS: Record<string, string> = {
  grey: "grey",
  zero: "what the network reads as zeros",
  mean: "the image's mean colour",
  blurred: "the blurred image",
  noise: "noise",
  black: "black",
  white: "white",
  custom: "an image of your own",
};

/** The result for one image, of the runs with each size. */
function resultOf(
  output: ModelOutput,
  image: NdArrayLike,
  names: { model: string; name: string },
  runs: readonly Occluded[],
  baseline: string,
  layer: string,
): Occlusion {
  const sum = (of: (run: Occluded) => number) => runs.reduce((total, run) => total + of(run), 0);
  const [{ unoccluded }] = runs;
  return new Occlusion({
    ...names,
    maps: runs.map(({ map }) => map),
    target: unoccluded.target,
    unoccluded,
    work: { full: sum(({ work }) => work.full), done: sum(({ work }) => work.done) },
    image,
    baseline: baseline === "mean" && image.shape.length !== 3
      ? "each channel's mean"
      : WORDS[baseline] ?? `the ${baseline}`,
    layer,
    noun: output.noun,
    note: output.note,
    labelOf: (index) => output.labels[index],
  });
}

/**
 * Slides a square over an image and runs the model at each position: where the probability of a class falls, the class
 * depends on what the square covers.
 *
 * The square is put at 0, `stride`, 2 · `stride` … pixels along each side; the last place reaches the edge or hangs over
 * it. Its size and stride count in pixels of the image as the model sees it. The network computes only what the square
 * can change, and full passes only where that is no more work; the result is that of full passes up to rounding.
 *
 * @param model any model that reads images
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these or a data set, shown in rows
 * @returns arrays `[rows, columns]`, one value a position: the score, the activity and, of a model that has them, the probability
 *   and the most probable class
 * @throws {RangeError} if the square is larger than the image, `size` or `stride` is no whole number ≥ 1, or the target,
 *   the layer or the baseline does not exist
 * @throws {TypeError} if the model does not read images, has no layer with maps, or if the target is none
 * @throws {MemoryError} if a batch does not fit: use a smaller `batchSize`
 * @throws what `signal` was aborted with; the map in the cell, filled from coarse to fine so far, stays there
 *
 * @example
 * ```ts
 * import { loadModel, occlusion, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const result = await occlusion(model, await photo("dog"), { target: "French bulldog", size: 64, stride: 32 });
 * console.log(result.probability.shape);
 * ```
 */
export async function occlusion(
  model: Model,
  image: ImageLike,
  options?: Partial<OcclusionOptions>,
): Promise<Occlusion>;
/** Occlusion of several images: an array of results that shows itself as one figure. */
export async function occlusion(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options?: Partial<OcclusionOptions>,
): Promise<Occlusions>;
export async function occlusion(
  model: Model,
  images: ImagesLike,
  options: Partial<OcclusionOptions> = {},
): Promise<Occlusion | Occlusions> {
  checkModel("occlusion", model);
  const given = readOptions("occlusion", OcclusionOptions, options);
  model = model.about(given.input);
  await checkReady("occlusion", model);
  const { dimensions } = model;
  const { target, baseline = dimensions === 2 ? "grey" : "mean", seed, onProgress } = given;
  checkBaseline(baseline, model);
  const walked = await walkImages("occlusion", model, images, given);
  if (walked.size === 0) throw new RangeError("There is no image to occlude; wanted at least one.");
  const { output, wanted } = askedOf(model, flatTerms(target)[0][1]);
  const layer = given.layer === undefined ? lastMaps(model, output) : checkMaps(model, given.layer);
  const shorter = Math.min(...walked.known.flatMap(({ view }) => view.shape.slice(0, dimensions)));
  const sizes = [given.size ?? Math.max(1, Math.round(shorter / SHARES[dimensions - 1]))].flat() as number[];
  if (sizes.length === 0) throw new RangeError("size holds no number; wanted at least one side of a square.");
  const stride = given.stride ?? Math.max(1, Math.round(Math.min(...sizes) / (dimensions === 3 ? 2 : 4)));
  const counts = walked.known.flatMap(({ view: { shape } }) =>
    sizes.map((size) => positionsOf(shape.slice(0, dimensions), size, stride).length)
  );
  const asked = !isSumWanted(target) && isOutputWanted(wanted) ? { output, wanted } : null;
  // The score of any other target takes a second walk over the places.
  const walks = asked ? 1 : 2;
  // As a rule the images of a data set have as many places as its first.
  const total = walks * counts.reduce((sum, count) => sum + count) * walked.size / walked.known.length;
  if (asked && isSaid(asked.wanted)) resolveOutput(model, asked.wanted, { output });
  const results = await withProgress(
    `Occluding with ${model.name}`,
    total,
    async (update, show) => {
      const live = startLiveView(show);
      const found: Occlusion[] = [];
      let before = 0;
      try {
        for await (const { name, view } of walked.each) {
          const names = { model: model.name, name };
          const filling = await makeBaseline(model, view, baseline, seed);
          const pair = { name, view, input: model.input(view), wanted: target };
          const watched = asked ?? (await resolveForImages(model, [pair], given))[0].target;
          const runs: Occluded[] = [];
          for (const size of sizes) {
            const run = await occlude(model, view, {
              ...given,
              target: watched,
              baseline: filling.image,
              size,
              stride,
              layer,
              score: scorePositionsOnAllCores,
              ...live.active && asked && dimensions === 2 && {
                onPart: (map, { target, score }) => live.offer(() => partialFigure({ ...names, map, target, score })),
              },
              onProgress: (done) => update(before + done),
            });
            before += walks * run.map.boxes.length;
            runs.push(run);
          }
          found.push(resultOf(output, model.shown(view), names, runs, filling.name, layer));
        }
      } finally {
        await live.end();
      }
      if (walked.reader?.skipped.length) update(total);
      return found;
    },
    onProgress,
    walked.reader,
  );
  if (!walked.many) return results[0];
  return Occlusions.titled<Occlusion, Occlusions>(results, `${model.name} · occlusion`, walked.reader?.skipped ?? []);
}
