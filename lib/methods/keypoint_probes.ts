/**
 * How well a layer knows which part of a thing is where: keypoints told apart by the features at their cell.
 *
 * Long, Zhang and Darrell 2014, "Do Convnets Learn Correspondence?", §5: a linear classifier on the features at a cell says
 * which keypoint is there, layer by layer, against SIFT.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { meanInterval } from "../embed/agreement.ts";
import { classify, fitLogistic } from "../embed/logistic.ts";
import { principalComponents } from "../embed/pca.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, flag, readOptions, rule, RunOptions, whole } from "../options.ts";
import { describe } from "../probe/matching/descriptors.ts";
import { randomStream, shuffled } from "../random.ts";
import { type KeypointProbeRow, KeypointProbes } from "../results/keypoint_probes.ts";
import { withProgress } from "../results/progress.ts";
import { type KeypointView, readKeypoints } from "./shared/keypoints.ts";
import { layersAsked } from "./shared/layers.ts";
import { Describer } from "./shared/place_errors.ts";
import { checkPatch, checkPictures, placedLayers } from "./shared/placed_features.ts";

/** The options of `keypointProbes`. */
export class KeypointProbesOptions extends RunOptions {
  /**
   * The layers.
   * @default the layers that a walk through the network stops at
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Into how many parts the images are dealt: each is told by a classifier that learnt from all others.
   * @default 10, at most as many as there are images
   */
  @whole(2)
  folds = 10;
  /**
   * Whether patches are asked as well, by their pixels and their histograms of gradients, and the keypoint's position alone.
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
   * Of the dealing of images to parts.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** What a keypoint's place alone is called: where eyes are in a picture says much of which eye it is. */
const POSITION = "position";
/** Features are turned to at most so many principal components, as for `linearProbes`. */
const COMPONENTS = 64;

/** A keypoint of an image, as a probe sees it. */
interface Sample {
  readonly image: number;
  readonly kind: number;
}

/** The whole of one size. */
function scaled({ data, shape }: NdArrayLike): NdArrayLike {
  const size = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length) || 1;
  return ndarray(data.map((value) => value / size), shape);
}

/** Which samples are right that a classifier tells which learnt from other images. */
function heldOut(
  points: NdArrayLike,
  samples: readonly Sample[],
  partOf: readonly number[],
  { folds, kinds }: { folds: number; kinds: number },
): boolean[] {
  const [, columns] = points.shape;
  const right = new Array<boolean>(samples.length).fill(false);
  for (let fold = 0; fold < folds; fold++) {
    const places = (held: boolean) => samples.flatMap(({ image }, i) => (partOf[image] === fold) === held ? [i] : []);
    const rows = (some: readonly number[]) => {
      const data = new Float32Array(some.length * columns);
      some.forEach((i, n) => data.set(points.data.subarray(i * columns, (i + 1) * columns), n * columns));
      return ndarray(data, [some.length, columns]);
    };
    const [training, testing] = [places(false), places(true)];
    if (training.length === 0 || testing.length === 0) continue;
    const fit = fitLogistic(rows(training), training.map((i) => samples[i].kind), kinds);
    classify(fit, rows(testing)).forEach((guess, n) => right[testing[n]] = guess === samples[testing[n]].kind);
  }
  return right;
}

/** @throws {RangeError} if there are too few images or kinds of keypoints */
function checkEnough(images: number, kinds: number, name: string): void {
  if (images >= 4 && kinds >= 2) return;
  throw new RangeError(
    `keypointProbes wants four images at least, and two kinds of keypoints: ${name} has ${images} images and ${kinds} ${
      kinds === 1 ? "kind" : "kinds"
    }.`,
  );
}

/** The keypoints' positions as shares of the sides. */
const positionsOf = (views: readonly KeypointView[]): Float32Array =>
  Float32Array.from(
    views.flatMap(({ view: { shape: [height, width] }, keypoints }) =>
      [...keypoints.values()].flatMap(([y, x]) => [y / height - 0.5, x / width - 0.5])
    ),
  );

/**
 * Tells which keypoint is at a place by the features of each layer there: a linear classifier learns from some images, and is
 * asked about others. Beside the layers stand the pixels and the histograms of gradients of the patch around the place, and the
 * place in the image alone.
 *
 * Features are those between the four cells around the keypoint, of length 1, turned to at most 64 principal components; the
 * classifier is a multinomial logistic regression (penalty as scikit-learn's C = 1).
 *
 * @param model the model; nothing on it changes
 * @param dataset images with a column `keypoints`, as {@linkcode petFaces} has it
 * @returns `rows` `{ descriptor, accuracy, low, high, keypoints, images }`, one a layer or baseline; the intervals are those
 *   of the bootstrap over images
 * @throws {TypeError} if an image has no keypoints, or a layer's cells have no place in the image
 * @throws {RangeError} if a layer does not exist, or there are fewer than four images or two kinds of keypoints
 *
 * @example
 * ```ts
 * import { keypointProbes, loadModel, petFaces } from "@convlens/convlens";
 * console.log((await keypointProbes(await loadModel("cifar-convnet"), await petFaces())).rows);
 * ```
 */
export async function keypointProbes(
  model: Model,
  dataset: Dataset,
  options: Partial<KeypointProbesOptions> = {},
): Promise<KeypointProbes> {
  checkModel("keypointProbes", model);
  const all = readOptions("keypointProbes", KeypointProbesOptions, options);
  checkDataset("keypointProbes", dataset);
  await checkReady("keypointProbes", model);
  checkPictures("keypointProbes", model);
  const { baselines, seed, signal, onProgress } = all;
  const layers = layersAsked("keypointProbes", model, all, () => placedLayers(model));
  const views = (await readKeypoints("keypointProbes", model, dataset, signal)).filter(({ keypoints }) =>
    keypoints.size > 0
  );
  const names = [...new Set(views.flatMap(({ keypoints }) => [...keypoints.keys()]))];
  checkEnough(views.length, names.length, dataset.name);
  const describer = new Describer("keypointProbes", model, layers, all);
  const samples = views.flatMap(({ keypoints }, image) =>
    [...keypoints.keys()].map((name): Sample => ({ image, kind: names.indexOf(name) }))
  );
  const folds = Math.min(all.folds, views.length);
  const order = shuffled(views.length, randomStream(seed));
  const partOf = new Array<number>(views.length);
  order.forEach((image, i) => partOf[image] = i % folds);
  const rows: KeypointProbeRow[] = [];
  await withProgress(`Keypoints told by ${model.name}`, views.length, async (update) => {
    const parts: Float32Array[][] = describer.names.map(() => []);
    for (const [n, { view, keypoints }] of views.entries()) {
      signal?.throwIfAborted();
      const [{ maps }] = await describer.of([view]);
      maps.forEach((map, i) => parts[i].push(describe(map, [...keypoints.values()])));
      update(n + 1);
    }
    const tell = (descriptor: string, data: Float32Array) => {
      const points = ndarray(data, [samples.length, data.length / samples.length]);
      const components = Math.min(COMPONENTS, points.shape[1], samples.length);
      const told = components > 2 ? principalComponents(points, { components, seed }).points : points;
      const right = heldOut(scaled(told), samples, partOf, { folds, kinds: names.length });
      const shares = views.map((_, image) => {
        const own = right.filter((_, i) => samples[i].image === image);
        return own.filter(Boolean).length / own.length;
      });
      const { value, low, high } = meanInterval(shares, seed);
      rows.push({ descriptor, accuracy: value, low, high, keypoints: samples.length, images: views.length });
    };
    describer.names.forEach((name, i) => tell(name, Float32Array.from(parts[i].flatMap((part) => [...part]))));
    if (baselines) tell(POSITION, positionsOf(views));
  }, onProgress);
  const most = Math.max(...names.map((_, kind) => samples.filter((sample) => sample.kind === kind).length));
  return new KeypointProbes({
    rows,
    names,
    folds,
    chance: most / samples.length,
    model: model.name,
    dataset: dataset.name,
  });
}
