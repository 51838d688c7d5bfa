/**
 * Where in one image the places of another are found again, by a layer's features.
 *
 * Long, Zhang and Darrell 2014, "Do Convnets Learn Correspondence?": features of convolutional layers, compared at the centres
 * of their receptive fields, tell parts apart more finely than these fields are large.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, rule, RunOptions, text } from "../options.ts";
import type { DescriptorMap, Point } from "../probe/matching/descriptors.ts";
import { findPoints, type Refinement } from "../probe/matching/match.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { Correspondence, type LayerMatches, type MatchRow, sampledLikes } from "../results/correspondence.ts";
import { withProgress } from "../results/progress.ts";
import { layersAsked } from "./shared/layers.ts";
import { checkPictures, deepestPlaced, gridOf, PlacedFeatures } from "./shared/placed_features.ts";

/** The options of `correspondence`. */
export class CorrespondenceOptions extends RunOptions {
  /** The layer whose features are compared; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, one under another.
   * @default where `layer` is not given either: the deepest whose maps have 7 cells or more along each side
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * The points of the first image that are looked for, `[y, x]` in pixels of the image as the model sees it, whole numbers in
   * the middle of pixels.
   * @default a grid of 6 × 6
   */
  @rule((name, value) => checkPoints(name, value))
  points?: readonly (readonly [y: number, x: number])[];
  /**
   * How a match is placed between the cells of the layer: `"interpolate"` looks for the place around the best cell whose
   * interpolated features are most like those of the point; `"parabola"` lays parabolas through the similarities of its
   * neighbours; `"none"` takes the cell's own centre.
   * @default "interpolate"
   */
  @oneOf("interpolate", "parabola", "none")
  refine: Refinement = "interpolate";
}

/** @throws {TypeError} if they are no array of pairs of numbers @throws {RangeError} if there is none */
function checkPoints(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    throw new TypeError(`${name} are an array of points [y, x], as [[20, 30]]: received ${kindOf(value)}.`);
  }
  if (value.length === 0) throw new RangeError(`${name} is empty; wanted one point [y, x] at least.`);
  value.forEach((point, i) => {
    if (Array.isArray(point) && point.length === 2 && point.every((at) => Number.isFinite(at))) return;
    throw new TypeError(
      `${name} are pairs of numbers [y, x]: received ${
        Array.isArray(point) ? `[${point.map(kindOf).join(", ")}]` : kindOf(point)
      } at ${i}.`,
    );
  });
}

/** How many points there are along each side where none are given. */
const GRID = 6;

/** @throws {RangeError} if a point lies outside of the image */
function checkInside(points: readonly Point[], [height, width]: readonly number[], name: string): void {
  const i = points.findIndex(([y, x]) => y < -0.5 || x < -0.5 || y > height - 0.5 || x > width - 0.5);
  if (i < 0) return;
  throw new RangeError(
    `Point ${i}, [${points[i].join(", ")}], lies outside of the image ${
      JSON.stringify(name)
    }, which the model sees as ` +
      `${height} × ${width} pixels: wanted 0 ≤ y ≤ ${height - 1} and 0 ≤ x ≤ ${width - 1}.`,
  );
}

/** A match further from its point than this many cells, after the way there and back, is not consistent. */
const CONSISTENT = 1;

/** How far apart the places of a map are, along the side where they are further apart. */
function strideOf({ ys, xs }: DescriptorMap, [height, width]: readonly number[]): number {
  const along = (places: Float64Array, length: number) =>
    places.length > 1 ? (places.at(-1)! - places[0]) / (places.length - 1) : length;
  return Math.max(along(ys, height), along(xs, width));
}

/**
 * Finds places of one image in another, or in several: a layer's features at the point are compared (by their cosine) with
 * those at each cell of the other image, and the best match is placed between the cells. Each match is looked for in the first
 * image again: one that does not come back to where it began is not consistent.
 *
 * In a cell a click on the first image shows where the place is found again, and how alike all others are: offline, without a
 * kernel.
 *
 * @param model the model; nothing on it changes
 * @param imageA the image whose points are looked for
 * @param imageB the image that they are looked for in, or several
 * @returns `rows`, one for each layer, image and point: `{ layer, image, point: [y, x], match: [y, x], similarity, back:
 *   [y, x], cycle, consistent }`, in pixels of the images as the model sees them
 * @throws {TypeError} if the model reads no pictures, or a layer's cells have no place in the image, as those of dense layers
 * @throws {RangeError} if a layer does not exist, a point lies outside of the image, or there is no other image
 *
 * @example
 * ```ts
 * import { correspondence, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const found = await correspondence(model, await photo("cat"), await photo("tabby"), {
 *   layer: "activation_40",
 *   points: [[95, 93], [80, 142], [115, 130]],
 * });
 * console.log(found.rows.map(({ point, match, similarity }) => ({ point, match, similarity })));
 * ```
 */
export async function correspondence(
  model: Model,
  imageA: ImageLike,
  imageB: ImageLike | readonly ImageLike[],
  options: Partial<CorrespondenceOptions> = {},
): Promise<Correspondence> {
  checkModel("correspondence", model);
  const { points: given, refine, layer, layers, ...run } = readOptions(
    "correspondence",
    CorrespondenceOptions,
    options,
  );
  await checkReady("correspondence", model);
  checkPictures("correspondence", model);
  const others = Array.isArray(imageB) ? imageB as readonly ImageLike[] : [imageB as ImageLike];
  if (others.length === 0) {
    throw new RangeError("correspondence looks for points in other images: received an empty array of them.");
  }
  const pictures = await Promise.all([imageA, ...others].map(async (image) => {
    const source = await toGiven(image);
    return { name: nameOfGiven(source), view: await model.view(source) };
  }));
  const [first, ...rest] = pictures;
  const names = layersAsked("correspondence", model, { layer, layers }, () => [
    deepestPlaced("correspondence", model, first.view.shape),
  ]);
  const features = new PlacedFeatures("correspondence", model, names);
  pictures.forEach(({ view }) => features.placesFor(view.shape));
  const points = given ?? gridOf(first.view.shape, GRID);
  checkInside(points, first.view.shape, first.name);
  const tf = await ensureBackend();
  const { signal, onProgress } = run;
  const rows: MatchRow[] = [];
  const maps: LayerMatches[] = [];
  await withProgress(
    `Places in ${rest.length === 1 ? "another image" : `${rest.length} images`}`,
    pictures.length,
    async (
      update,
    ) => {
      const [own] = await features.of([first.view], run);
      update(1);
      for (const [n, { name, view }] of rest.entries()) {
        signal?.throwIfAborted();
        const [other] = await features.of([view], run);
        for (const [i, layer] of names.entries()) {
          const found = await findPoints(tf, own[i], other[i], points, { refine });
          const back = await findPoints(tf, other[i], own[i], found.map(({ match }) => match), { refine });
          const stride = strideOf(own[i], first.view.shape);
          found.forEach(({ match, similarity }, p) => {
            const [y, x] = points[p];
            const end = back[p].match;
            const cycle = Math.hypot(end[0] - y, end[1] - x);
            const consistent = cycle <= CONSISTENT * stride;
            rows.push({
              layer,
              image: name,
              point: [y, x],
              match: [...match],
              similarity,
              back: [...end],
              cycle,
              consistent,
            });
          });
          maps.push({
            layer,
            image: n,
            ...await sampledLikes(
              own[i],
              other[i],
              first.view.shape,
              view.shape,
              (queries, onLikes) => findPoints(tf, own[i], other[i], queries, { refine, onLikes }),
            ),
          });
        }
        update(n + 2);
      }
    },
    onProgress,
  );
  return new Correspondence({
    rows: rows.toSorted((a, b) => names.indexOf(a.layer) - names.indexOf(b.layer)),
    maps,
    layers: names,
    points,
    model: model.name,
    images: pictures.map(({ name, view }) => ({ name, pixels: model.shown(view) })),
  });
}
