/**
 * What a model finds alike: the nearest images of each image, by their codes.
 *
 * @module
 */

import { nearestNeighbors, WorkerOptions } from "../embed/neighbors.ts";
import { type PointsLike, readPoints } from "../embed/points.ts";
import { callback, flag, readOptions, whole } from "../options.ts";
import { NearestNeighbors } from "../results/neighbors.ts";
import { withProgress } from "../results/progress.ts";

/** The options of `neighbors`. */
export class NeighborsOptions extends WorkerOptions {
  /**
   * How many neighbours.
   * @default 9
   */
  @whole(1)
  k = 9;
  /**
   * Whether all points are compared. Otherwise a few neighbours are missed: of MNIST's 60,000 images in 50 dimensions,
   * 0.2 % of 90.
   * @default true up to 20,000 points
   */
  @flag()
  exact?: boolean;
  /**
   * Of the sample that the search among many points begins with.
   * @default 0
   */
  @whole()
  seed = 0;
  /** Called with the number of points whose neighbours are found. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/**
 * Finds the nearest neighbours of points, by Euclidean distance: for codes, the images that the model finds most alike.
 *
 * @param points `[n, d]`: what `codes` returned, any other result that has points, or any array
 * @returns `indices` and `distances` `[n, k]`, the nearest first, and rows with a neighbour each
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if k is not a whole number from 1 to n − 1, or a number is not finite
 * @throws {MemoryError} if it does not fit into memory
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadModel, neighbors } from "@convlens/convlens";
 * const images = await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 1000 }));
 * const near = await neighbors(images, { k: 9 });
 * console.log(near.rows[0].neighbor);
 * ```
 */
export async function neighbors(
  points: PointsLike,
  options: Partial<NeighborsOptions> = {},
): Promise<NearestNeighbors> {
  const { k, onProgress, ...all } = readOptions("neighbors", NeighborsOptions, options);
  const from = readPoints(points);
  const search = (update: (done: number) => void) => nearestNeighbors(from, k, { ...all, onProgress: update });
  return new NearestNeighbors(from, await withProgress("Nearest neighbours", from.shape[0], search, onProgress));
}
