/**
 * How often places are found again: the percentage of correct keypoints (PCK), layer by layer.
 *
 * Yang and Ramanan 2013, "Articulated Human Detection with Flexible Mixtures of Parts" (PCK); Long, Zhang and Darrell 2014,
 * "Do Convnets Learn Correspondence?", §4 (keypoints carried from image to image by features, against SIFT).
 *
 * @module
 */

import { checkDataset, type Dataset, isDataset } from "../data/dataset.ts";
import type { InputArray } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { moved, warp } from "../data/warp.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, flag, oneOf, readOptions, rule, WalkOptions, whole } from "../options.ts";
import type { Refinement } from "../probe/matching/match.ts";
import { randomStream, shuffled } from "../random.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { MatchAccuracy, SAME_PLACE } from "../results/match_accuracy.ts";
import { withProgress } from "../results/progress.ts";
import { ImagesReader } from "./shared/images.ts";
import { type KeypointView, readKeypoints } from "./shared/keypoints.ts";
import { layersAsked } from "./shared/layers.ts";
import {
  type Described,
  Describer,
  drawWarp,
  Errors,
  errorsOf,
  KINDS,
  still,
  type WarpKind,
} from "./shared/place_errors.ts";
import { checkPatch, checkPictures, gridOf, placedLayers } from "./shared/placed_features.ts";

/** The options of `matchAccuracy`. */
export class MatchAccuracyOptions extends WalkOptions {
  /**
   * The layers whose features are compared.
   * @default the layers that a walk through the network stops at
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * How it is known where a place should be found: `"warps"` looks for the places of each image in the same image, warped;
   * `"keypoints"` for the keypoints of one image in another, whose column `keypoints` says where they are.
   * @default "warps"
   */
  @oneOf("warps", "keypoints")
  truth: "warps" | "keypoints" = "warps";
  /**
   * Which warps: `"translation"` by up to an eighth of the image's sides, `"rotation"` by up to 30 degrees, `"scale"` by 2/3 to
   * 3/2, `"affine"` all of these and a shear of up to 0.15.
   * @default all four
   */
  @rule((name, value) => {
    if (Array.isArray(value) && value.length > 0 && value.every((kind) => KINDS.includes(kind))) return;
    throw new RangeError(`${name} must be some of ${KINDS.map((kind) => JSON.stringify(kind)).join(", ")}.`);
  })
  warps: readonly WarpKind[] = KINDS;
  /**
   * At most so many pairs of images with keypoints, drawn at random.
   * @default 400
   */
  @whole(1)
  pairs = 400;
  /**
   * How far from its true place a match may be, as shares of the image's longer side.
   * @default [0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2]
   */
  @rule((name, value) => {
    const fits = Array.isArray(value) && value.length > 0 && value.every((at) => at > 0 && at <= 1);
    if (!fits) throw new RangeError(`${name} must be shares above 0, at most 1, as [0.05, 0.1].`);
  })
  thresholds: readonly number[] = [0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2];
  /**
   * Whether pixels and histograms of gradients of patches are compared too (`"pixels"`, `"gradients"`), and what is right
   * where nothing is looked for (`"same place"`).
   * @default true
   */
  @flag()
  baselines = true;
  /**
   * The side of these patches in pixels, a multiple of 8.
   * @default an eighth of the image's shorter side, 8 at least
   */
  @rule(checkPatch)
  patch?: number;
  /**
   * How a match is placed between cells, as for `correspondence`.
   * @default "interpolate"
   */
  @oneOf("interpolate", "parabola", "none")
  refine: Refinement = "interpolate";
  /**
   * Of the warps and of the pairs.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** A grid of so many points a side is looked for in each warped image, where they are still inside. */
const GRID = 6;

/** Finds the places of an image in its warps. */
async function warped(
  tf: TF,
  describer: Describer,
  { id, view }: { id: string; view: InputArray },
  place: number,
  { warps, refine, seed, baselines }: MatchAccuracyOptions,
  errors: Errors,
): Promise<void> {
  const { shape } = view;
  const maps = warps.map((kind) => drawWarp(kind, shape, randomStream(seed, place, KINDS.indexOf(kind))));
  const views = maps.map((map) => ({ ...view, ...warp(view, map), shape }));
  const [from, ...others] = await describer.of([view, ...views]);
  for (const [w, kind] of warps.entries()) {
    const pairs = gridOf(shape, GRID).map((point) => ({ point, goal: moved(maps[w], shape, point) }))
      .filter(({ goal: [y, x] }) => y >= 0 && x >= 0 && y <= shape[0] - 1 && x <= shape[1] - 1);
    if (pairs.length === 0) continue;
    const [points, goals] = [pairs.map(({ point }) => point), pairs.map(({ goal }) => goal)];
    const each = await errorsOf(tf, from, others[w], { points, goals, refine });
    each.forEach((own, i) => errors.add(describer.names[i], kind, id, own));
    if (baselines) errors.add(SAME_PLACE, kind, id, still(points, goals, shape));
  }
}

/** Finds the keypoints of images in others. */
async function transferred(
  tf: TF,
  describer: Describer,
  views: readonly KeypointView[],
  { pairs, refine, seed, baselines, signal }: MatchAccuracyOptions,
  errors: Errors,
  update: (done: number) => void,
): Promise<void> {
  const count = views.length;
  const all = shuffled(count * count, randomStream(seed));
  const chosen = [...all].map((i) => [Math.floor(i / count), i % count]).filter(([a, b]) => a !== b).slice(0, pairs);
  const described: Described[] = [];
  for (const { view } of views) described.push(...await describer.of([view]));
  for (const [n, [a, b]] of chosen.entries()) {
    signal?.throwIfAborted();
    const common = [...views[a].keypoints].filter(([name]) => views[b].keypoints.has(name));
    if (common.length === 0) continue;
    const points = common.map(([, point]) => point);
    const goals = common.map(([name]) => views[b].keypoints.get(name)!);
    const each = await errorsOf(tf, described[a], described[b], { points, goals, refine });
    each.forEach((own, i) => errors.add(describer.names[i], "keypoints", views[a].id, own));
    if (baselines) errors.add(SAME_PLACE, "keypoints", views[a].id, still(points, goals, views[b].view.shape));
    update((n + 1) * count / chosen.length);
  }
}

/**
 * How often places are found again by the features of each layer, where the truth is known: in warped copies of images, or by
 * keypoints that are marked in several images. A match is right that lies within a share of the image's longer side of the true
 * place (PCK, the percentage of correct keypoints).
 *
 * Beside the layers stand the pixels of the patch around a place (less their mean), histograms of its gradients (those of Dalal
 * and Triggs, relatives of SIFT), and what is right where nothing is looked for: the same place.
 *
 * @param model the model; nothing on it changes
 * @param images a data set, or an array of images; for `truth: "keypoints"` a data set with a column `keypoints`, as
 *   {@linkcode petFaces} has it
 * @returns `rows` `{ descriptor, warp, threshold, accuracy, low, high, images, points }`; the intervals are those of the
 *   bootstrap over images
 * @throws {TypeError} if the model reads no pictures, a layer's cells have no place in the image, or there are no keypoints
 * @throws {RangeError} if a layer does not exist, or an option does not fit
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, matchAccuracy } from "@convlens/convlens";
 *
 * const images = await cifar10({ split: "test", limit: 20 });
 * const found = await matchAccuracy(await loadModel("cifar-convnet"), images, { layers: ["conv1", "conv2_2", "conv3_2"] });
 * console.log(found.rows.filter(({ threshold }) => threshold === 0.1));
 * ```
 */
export async function matchAccuracy(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options: Partial<MatchAccuracyOptions> = {},
): Promise<MatchAccuracy> {
  checkModel("matchAccuracy", model);
  const all = readOptions("matchAccuracy", MatchAccuracyOptions, options);
  if (!Array.isArray(images)) checkDataset("matchAccuracy", images);
  await checkReady("matchAccuracy", model);
  checkPictures("matchAccuracy", model);
  const { truth, signal, onProgress, thresholds, seed, warps } = all;
  const layers = layersAsked("matchAccuracy", model, all, () => placedLayers(model));
  const describer = new Describer("matchAccuracy", model, layers, all);
  const tf = await ensureBackend();
  const errors = new Errors();
  const label = `Places found by features of ${model.name}`;
  const made = { names: describer.names, warps: truth === "warps" ? warps : ["keypoints"], thresholds, seed };
  if (truth === "keypoints") {
    const views = await readKeypoints("matchAccuracy", model, images as Dataset, signal);
    if (views.length < 2) throw new RangeError("Keypoints are carried from one image to another: received one image.");
    await withProgress(
      label,
      views.length,
      (update) => transferred(tf, describer, views, all, errors, update),
      onProgress,
    );
    const names = { model: model.name, dataset: (images as Dataset).name };
    return new MatchAccuracy({ ...made, errors: errors.all, ...names, skipped: [] });
  }
  const reader = new ImagesReader("matchAccuracy", model, images, all);
  await withProgress(
    label,
    reader.size,
    async (update) => {
      for await (const image of reader) {
        signal?.throwIfAborted();
        await warped(tf, describer, image, image.place, all, errors);
        update(image.place + 1);
      }
    },
    onProgress,
    reader,
  );
  const name = isDataset(images) ? reader.name : `${reader.size} images`;
  return new MatchAccuracy({ ...made, errors: errors.all, model: model.name, dataset: name, skipped: reader.skipped });
}
