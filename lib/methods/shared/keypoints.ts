/**
 * Images whose keypoints are marked, as a model sees them.
 *
 * @module
 */

import { checkDataset, type Dataset, type DatasetItem } from "../../data/dataset.ts";
import type { InputArray } from "../../data/given.ts";
import { kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";

/** An image as a model sees it, with its keypoints in the pixels of that. */
export interface KeypointView {
  readonly id: string;
  readonly label?: string;
  readonly view: InputArray;
  /** `[y, x]` in pixels of the view; those that it cuts off are left out. */
  readonly keypoints: ReadonlyMap<string, readonly [y: number, x: number]>;
}

/** @throws {TypeError} if an item has no keypoints, or some that are no points */
function keypointsOf(asker: string, item: DatasetItem): [string, readonly [number, number]][] {
  const { keypoints } = item as { keypoints?: unknown };
  const named = `The image ${JSON.stringify(item.id)}`;
  if (kindOf(keypoints) !== "an object") {
    throw new TypeError(
      `${asker} wants images with a column keypoints, as { keypoints: { "left eye": [y, x], nose: [y, x] } } or as ` +
        `await petFaces() has them: ${named.replace("The", "the")} has ${
          keypoints === undefined ? "none" : kindOf(keypoints)
        }.`,
    );
  }
  return Object.entries(keypoints as Record<string, unknown>).map(([name, point]) => {
    if (Array.isArray(point) && point.length === 2 && point.every(Number.isFinite)) {
      return [name, point as unknown as readonly [number, number]];
    }
    throw new TypeError(
      `${named} has a keypoint ${JSON.stringify(name)} that is no point [y, x] in pixels: received ${kindOf(point)}.`,
    );
  });
}

/** Where a point of an image lies once the image was brought to a model's size. */
export function pointInView(
  [y, x]: readonly [number, number],
  from: readonly number[],
  to: readonly number[],
  fit: "crop" | "squash",
): [y: number, x: number] {
  if (from[0] === to[0] && from[1] === to[1]) return [y, x];
  const scales = fit === "squash"
    ? [from[0] / to[0], from[1] / to[1]]
    : new Array<number>(2).fill(Math.min(from[0] / to[0], from[1] / to[1]));
  const along = (at: number, k: number) => (at + 0.5 - (from[k] - to[k] * scales[k]) / 2) / scales[k] - 0.5;
  return [along(y, 0), along(x, 1)];
}

/**
 * Reads images with their keypoints.
 *
 * @param asker the method, as `"matchAccuracy"`
 * @param required whether each image must have some @default true
 * @throws {TypeError} if it is no data set, or an image has no column `keypoints` and must have one
 */
export async function readKeypoints(
  asker: string,
  model: Model,
  dataset: Dataset,
  signal?: AbortSignal,
  required = true,
): Promise<KeypointView[]> {
  checkDataset(asker, dataset);
  const views: KeypointView[] = [];
  for await (const item of dataset) {
    signal?.throwIfAborted();
    const isMarked = required || (item as { keypoints?: unknown }).keypoints !== undefined;
    const marked = isMarked ? keypointsOf(asker, item) : [];
    const view = await model.view(item.image);
    const placed = marked.map(([name, point]) =>
      [name, pointInView(point, item.image.shape, view.shape, model.preprocess.fit)] as const
    );
    const inside = placed.filter(([, [y, x]]) =>
      y > -0.5 && x > -0.5 && y < view.shape[0] - 0.5 && x < view.shape[1] - 0.5
    );
    views.push({ id: item.id, label: item.label, view, keypoints: new Map(inside) });
  }
  return views;
}
