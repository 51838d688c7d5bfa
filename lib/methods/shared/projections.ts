/**
 * Patches projected back to the pixels: what in them a unit answers to.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { deconvolve } from "../../probe/attribution/deconvnet.ts";
import { mapGradients } from "../../probe/attribution/gradients.ts";
import { largestMagnitude, toPixels } from "../../probe/attribution/pixels.ts";
import { requireRelus } from "../../probe/attribution/rectifiers.ts";
import { resolveUnit } from "../../probe/target.ts";

/** How a unit is brought back to the pixels. */
export type Projection = "deconvnet" | "guidedBackprop" | "gradient";

/** What each is called in captions. */
export const PROJECTIONS: Readonly<Record<Projection, string>> = {
  deconvnet: "DeconvNet",
  guidedBackprop: "guided backprop",
  gradient: "gradient",
};

/** A cell of a unit, and what it sees of an image. */
export interface ProjectedPatch {
  readonly layer: string;
  readonly unit: number;
  readonly cell: readonly number[];
  readonly box: readonly number[];
}

/** The rectangle `[y0, x0, y1, x1]` of an image `[h, w, c]`. */
export function cutOut({ data, shape: [, width, channels = 1] }: NdArrayLike, box: readonly number[]): NdArray {
  const [top, left, bottom, right] = box;
  const [rows, columns] = [bottom - top, right - left];
  const part = new Float32Array(rows * columns * channels);
  for (let y = 0; y < rows; y++) {
    const from = ((top + y) * width + left) * channels;
    for (let i = 0; i < columns * channels; i++) part[y * columns * channels + i] = data[from + i];
  }
  return ndarray(part, [rows, columns, channels]);
}

/**
 * Projects one cell of a unit back to the pixels, and cuts what comes back to the cell's box.
 *
 * @param input the image as the network reads it
 * @returns `[y1 − y0, x1 − x0, c]`, colours in RGB order, in units of the network's input
 * @throws {TypeError} if a layer on the way has no rule; the message names it
 */
export async function projectPatch(
  model: Model,
  input: InputArray,
  { layer, unit, cell, box }: ProjectedPatch,
  method: Projection = "deconvnet",
  signal?: AbortSignal,
): Promise<NdArray> {
  const target = resolveUnit(model, { layer, channel: unit, ...cell.length > 0 && { cell } }, input.shape);
  const pixels = (values: ArrayLike<number>) => {
    const { values: found } = toPixels(model, values, input.shape, largestMagnitude);
    return cutOut(found, box);
  };
  if (method === "deconvnet") {
    const { values } = await deconvolve(model, input, target, { signal });
    return pixels(values.data);
  }
  if (method === "guidedBackprop") requireRelus(model, target, "Guided backpropagation");
  const relu = method === "guidedBackprop" ? "guided" : "plain";
  const [found] = await mapGradients(model, [{ input, target }], { signal, relu }, (gradient) => pixels(gradient));
  return found;
}
