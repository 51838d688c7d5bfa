/**
 * Images of one kind warped onto one of them, by matched features.
 *
 * Long, Zhang and Darrell 2014, "Do Convnets Learn Correspondence?", §4.1: images of a class are aligned to one another by
 * features, and the mean of the aligned ones is sharper where the features know what belongs together. There a smooth flow is
 * found by SIFT flow; here matches that come back to where they began are taken, an affine map that most of them agree on
 * (RANSAC), and through these a thin-plate spline that may bend a little.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { checkDataset, type Dataset, dataset, isDataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { type PointMap, robustAffine, thinPlate } from "../embed/point_maps.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, RunOptions, text, whole, within } from "../options.ts";
import type { DescriptorMap, Point } from "../probe/matching/descriptors.ts";
import { findPoints } from "../probe/matching/match.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { AlignedImages, type AlignedRow } from "../results/aligned_images.ts";
import { withProgress } from "../results/progress.ts";
import { type KeypointView, readKeypoints } from "./shared/keypoints.ts";
import { checkPictures, deepestPlaced, gridOf, PlacedFeatures } from "./shared/placed_features.ts";

/** The options of `alignImages`. */
export class AlignImagesOptions extends RunOptions {
  /**
   * The layer whose features are compared.
   * @default the deepest whose maps have 7 cells or more along each side
   */
  @text()
  layer?: string;
  /**
   * The place of the image that the others are warped onto.
   * @default 0
   */
  @whole(0)
  onto = 0;
  /**
   * How stiff the warp is: 0 goes through all matches that agree, large values leave the affine map alone.
   * @default 10
   */
  @within(0)
  smoothing = 10;
  /**
   * Which share of the matches that come back must agree with one affine map; images with fewer are left out.
   * @default 0.4
   */
  @within(0, 1)
  agreement = 0.4;
  /**
   * How far a match may be from the affine map to agree with it, in cells of the layer.
   * @default 2
   */
  @within(0)
  tolerance = 2;
  /**
   * Of the choice of matches that affine maps are tried by.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** So many points of the first image along a side are looked for in the others. */
const GRID = 12;

/** An image whose places are taken from where a map says, bilinear, the border's pixels beyond it. */
function pulled({ data, shape }: NdArrayLike, map: PointMap): NdArray {
  const [height, width, channels] = shape;
  const made = new Float32Array(data.length);
  const within = (at: number, length: number) => Math.min(length - 1, Math.max(0, at));
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromY, fromX] = map([y, x]);
      const [row, column] = [within(fromY, height), within(fromX, width)];
      const [top, left] = [Math.floor(row), Math.floor(column)];
      const [bottom, right] = [Math.min(height - 1, top + 1), Math.min(width - 1, left + 1)];
      const [down, across] = [row - top, column - left];
      const at = (y: number, x: number, c: number) => data[(y * width + x) * channels + c];
      for (let c = 0; c < channels; c++, to++) {
        made[to] = (1 - down) * ((1 - across) * at(top, left, c) + across * at(top, right, c)) +
          down * ((1 - across) * at(bottom, left, c) + across * at(bottom, right, c));
      }
    }
  }
  return ndarray(made, shape);
}

/** The warp that takes places of one image to those of another, with how many matches it is made of. */
async function warpBetween(
  tf: TF,
  from: DescriptorMap,
  to: DescriptorMap,
  shape: readonly number[],
  { smoothing, agreement, tolerance, seed }: AlignImagesOptions,
): Promise<{ map: PointMap | null; matches: number; inliers: number }> {
  const stride = from.ys.length > 1 ? from.ys[1] - from.ys[0] : shape[0];
  const points = gridOf(shape, GRID);
  const there = await findPoints(tf, from, to, points, { refine: "interpolate" });
  const back = await findPoints(tf, to, from, there.map(({ match }) => match), { refine: "interpolate" });
  const pairs = points.flatMap((point, i) => {
    const [y, x] = back[i].match;
    return Math.hypot(y - point[0], x - point[1]) <= stride ? [{ point, match: there[i].match }] : [];
  });
  // In cells, so that smoothing means the same at each layer.
  const inCells = (all: readonly Point[]) => all.map(([y, x]): Point => [y / stride, x / stride]);
  const [own, other] = [inCells(pairs.map(({ point }) => point)), inCells(pairs.map(({ match }) => match))];
  const affine = robustAffine(own, other, { tolerance, seed });
  const inliers = affine?.inliers ?? [];
  if (!affine || inliers.length < agreement * pairs.length) {
    return { map: null, matches: pairs.length, inliers: inliers.length };
  }
  // The spline bends what the affine map leaves over.
  const moved = inliers.map((i) => affine.map(own[i]));
  const spline = thinPlate(moved, inliers.map((i) => other[i]), smoothing);
  const map: PointMap = ([y, x]) => {
    const straight = affine.map([y / stride, x / stride]);
    const [toY, toX] = spline ? spline(straight) : straight;
    return [toY * stride, toX * stride];
  };
  return { map, matches: pairs.length, inliers: inliers.length };
}

/** The mean distance of keypoints, before and after; null where there are none in common. */
function keypointDistances(onto: KeypointView, image: KeypointView, map: PointMap) {
  const common = [...onto.keypoints].filter(([name]) => image.keypoints.has(name));
  if (common.length === 0) return { before: null, after: null };
  const mean = (place: (point: Point) => Point) =>
    common.reduce((sum, [name, point]) => {
      const [y, x] = image.keypoints.get(name)!;
      const [ownY, ownX] = place(point);
      return sum + Math.hypot(ownY - y, ownX - x);
    }, 0) / common.length;
  return { before: mean((point) => point), after: mean(map) };
}

/** @throws {RangeError} if there are too few images, the one to warp onto is none of them, or their sizes differ */
function checkViews(views: readonly KeypointView[], onto: number): void {
  if (views.length < 2) throw new RangeError(`alignImages wants two images at least: received ${views.length}.`);
  if (onto >= views.length) {
    throw new RangeError(
      `onto is the place of one of ${views.length} images, 0…${views.length - 1}: received ${onto}.`,
    );
  }
  const other = views.find(({ view }) => view.shape.join() !== views[0].view.shape.join());
  if (!other) return;
  throw new RangeError(
    `alignImages wants images of one size: received ${views[0].view.shape.join(" × ")} and ${
      other.view.shape.join(" × ")
    }, ${JSON.stringify(other.id)}. Crop or resize them.`,
  );
}

/**
 * Warps images of one kind onto one of them by a layer's features, and shows their mean before and after: the sharper it
 * becomes, the better the features know what belongs together. Images for which no warp is found that four matches agree on are
 * left out of both means.
 *
 * @param model the model; nothing on it changes
 * @param images a data set, as photos of one class, or an array of images; with a column `keypoints`, as {@linkcode petFaces}
 *   has it, their mean distance before and after is measured as well
 * @returns `rows`, one an image: `{ image, aligned, matches, inliers, before, after }`, the last two the mean distance of its
 *   keypoints from those of the image that it is warped onto, in pixels; `before` and `after`, the mean images `[h, w, c]`;
 *   `images`, each warped
 * @throws {TypeError} if the model reads no pictures, or the layer's cells have no place in the image
 * @throws {RangeError} if the layer does not exist, there are fewer than two images, or they differ in size
 *
 * @example
 * ```ts
 * import { alignImages, loadModel, petFaces } from "@convlens/convlens";
 *
 * const cats = (await petFaces()).filter(({ label }) => label === "cat");
 * const aligned = await alignImages(await loadModel("cifar-convnet"), cats, { layer: "conv3_1" });
 * console.log(aligned.rows);
 * ```
 */
export async function alignImages(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options: Partial<AlignImagesOptions> = {},
): Promise<AlignedImages> {
  checkModel("alignImages", model);
  const all = readOptions("alignImages", AlignImagesOptions, options);
  if (!Array.isArray(images)) checkDataset("alignImages", images);
  await checkReady("alignImages", model);
  checkPictures("alignImages", model);
  const { onto, signal, onProgress } = all;
  const given = isDataset(images) ? images : dataset([...images].map((image) => ({ image })), { name: "the array" });
  const views = await readKeypoints("alignImages", model, given, signal, false);
  checkViews(views, onto);
  const { shape } = views[onto].view;
  const layer = model.layer(all.layer ?? deepestPlaced("alignImages", model, shape)).name;
  const features = new PlacedFeatures("alignImages", model, [layer]);
  const tf = await ensureBackend();
  const rows: AlignedRow[] = [];
  const warped: NdArrayLike[] = [];
  await withProgress(`Images of ${given.name} warped onto one`, views.length, async (update) => {
    const [[own]] = await features.of([views[onto].view], all);
    for (const [i, image] of views.entries()) {
      signal?.throwIfAborted();
      const same: PointMap = ([y, x]) => [y, x];
      const [[other]] = i === onto ? [[own]] : await features.of([image.view], all);
      const found = i === onto
        ? { map: same, matches: GRID * GRID, inliers: GRID * GRID }
        : await warpBetween(tf, own, other, shape, all);
      const { map, matches, inliers } = found;
      const distances = keypointDistances(views[onto], image, map ?? same);
      rows.push({ image: image.id, aligned: map !== null, matches, inliers, ...distances });
      warped.push(map ? pulled(image.view, map) : image.view);
      update(i + 1);
    }
  }, onProgress);
  return new AlignedImages({
    rows,
    originals: views.map(({ view }) => model.shown(view)),
    warped,
    onto,
    names: { model: model.name, layer, dataset: given.name },
  });
}
