/**
 * The images of an embedding, side by side on a grid in its order.
 *
 * After Karpathy's "t-SNE visualization of CNN codes".
 *
 * @module
 */

import { assignToGrid, nearestOnGrid } from "../embed/assignment.ts";
import { type PointsLike, readPoints } from "../embed/points.ts";
import { oneOf, readOptions, whole } from "../options.ts";
import { EmbeddingGrid } from "../results/embedding_grid.ts";

/** The options of `embeddingGrid`. */
export class EmbeddingGridOptions {
  /**
   * How many images stand side by side.
   * @default the number that makes the grid square
   */
  @whole(1)
  columns?: number;
  /**
   * `"assigned"` gives every image a cell of its own, so that all together move as little as possible; `"nearest"` puts
   * into each cell the image nearest to its middle, and leaves out what shares a cell, so that the gaps of the embedding
   * stay.
   * @default "assigned"
   */
  @oneOf("assigned", "nearest")
  arrangement: "assigned" | "nearest" = "assigned";
}

/**
 * Puts the images of an embedding on a grid, one image a cell: the classic picture of a ConvNet's codes (Karpathy's
 * "t-SNE visualization of CNN codes").
 *
 * The embedding is stretched to the grid; then the images are assigned to cells with the smallest sum of squared
 * distances, the best of all assignments up to 2,500 images, and by sorting out overlapping windows of 16 × 16 cells above.
 *
 * @param codes what `codes` returned, or a result made of it: its thumbnails are shown
 * @param embedding of the same images, as `tsne` returns it, or points `[n, 2]`; of more dimensions the first two count,
 *   and the figure says so
 * @returns `cells`, `shape`, and rows `{ id, label, row, column }`
 * @throws {TypeError} if the codes hold no thumbnails, or either is no points
 * @throws {RangeError} if there are not as many points as codes, the points have one dimension only, or `columns` is not
 *   a whole number ≥ 1
 *
 * @example
 * ```ts
 * import { cifar10, codes, embeddingGrid, loadModel, tsne } from "@convlens/convlens";
 * const images = await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 400 }));
 * const grid = embeddingGrid(images, await tsne(images), { columns: 20 });
 * await grid.show();
 * ```
 */
export function embeddingGrid(
  codes: PointsLike,
  embedding: PointsLike,
  options: Partial<EmbeddingGridOptions> = {},
): EmbeddingGrid {
  const { columns, arrangement } = readOptions("embeddingGrid", EmbeddingGridOptions, options);
  const images = readPoints(codes);
  const points = readPoints(embedding);
  if (!images.thumbnails) {
    throw new TypeError(
      "These codes hold no thumbnails to put on a grid. Ask codes for some: codes(model, dataset, { thumbnail: 32 }).",
    );
  }
  const [[count], [placed, dimensions]] = [images.shape, points.shape];
  if (placed !== count) {
    throw new RangeError(`There are codes of ${count} images: received an embedding of ${placed} points.`);
  }
  if (dimensions < 2) throw new RangeError(`A grid takes points of two coordinates at least: received ${dimensions}.`);
  const assignment = arrangement === "nearest" ? nearestOnGrid(points, { columns }) : assignToGrid(points, { columns });
  return new EmbeddingGrid(images, assignment, arrangement, dimensions);
}
