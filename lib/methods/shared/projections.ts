/**
 * Patches projected back to the pixels: what in them a unit answers to.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { eachDeconvolution } from "../../probe/attribution/deconvnet.ts";
import { eachGradient } from "../../probe/attribution/gradients.ts";
import { largestMagnitude, toPixels } from "../../probe/attribution/pixels.ts";
import { requireRelus } from "../../probe/attribution/rectifiers.ts";
import { directionTarget, resolveUnit } from "../../probe/target.ts";

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
  /** The unit's channel, or the numbers of a direction. */
  readonly unit: number | Float32Array;
  /** `[y, x]`; `[]` of a vector's number. */
  readonly cell: readonly number[];
  /** What the cell sees, `[y0, x0, y1, x1]`. */
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

/** How patches are projected. */
interface ProjectOptions {
  /** @default "deconvnet" */
  method?: Projection;
  batchSize?: number;
  signal?: AbortSignal;
}

/** How many of the first have the key of the first. */
function alike<Item>(items: readonly Item[], keyOf: (item: Item) => string): number {
  const end = items.findIndex((item) => keyOf(item) !== keyOf(items[0]));
  return end < 0 ? items.length : end;
}

/**
 * Projects cells of units back to the pixels, several at a time, and cuts what comes back to each cell's box.
 *
 * @param patches each with its image as the network reads it; those of one layer run together
 * @param receive takes of each patch, in their order, `[y1 − y0, x1 − x0, c]`, colours in RGB order, in units of the
 *   network's input; and the unit's activation
 * @throws {TypeError} if a layer on the way has no rule; the message names it
 */
export async function projectPatches(
  model: Model,
  patches: readonly (ProjectedPatch & { readonly input: InputArray })[],
  { method = "deconvnet", ...run }: ProjectOptions,
  receive: (index: number, projection: NdArray, activation: number) => void,
): Promise<void> {
  const targets = patches.map(({ layer, unit, cell, input }) => {
    const place = cell.length > 0 ? { cell } : {};
    return typeof unit === "number"
      ? resolveUnit(model, { layer, channel: unit, ...place }, input.shape)
      : directionTarget(layer, unit, place.cell);
  });
  const samples = patches.map(({ input }, i) => ({ input, target: targets[i], unit: targets[i] }));
  const give = (index: number, values: ArrayLike<number>, activation: number) => {
    const { input, box } = patches[index];
    receive(index, cutOut(toPixels(model, values, input.shape, largestMagnitude).values, box), activation);
  };
  if (method === "deconvnet") {
    for (let start = 0; start < samples.length;) {
      const own = samples.slice(start);
      const some = own.slice(0, alike(own, ({ unit: { layer }, input: { shape } }) => `${layer} ${shape}`));
      const from = start;
      await eachDeconvolution(model, some, (i, { values, activation }) => give(from + i, values.data, activation), run);
      start += some.length;
    }
    return;
  }
  const relu = method === "guidedBackprop" ? "guided" : "plain";
  if (relu === "guided") {
    const firsts = new Map(targets.map((target) => [target.layer, target])).values();
    for (const target of firsts) requireRelus(model, target, "Guided backpropagation");
  }
  await eachGradient(model, samples.length, (i) => samples[i], give, { ...run, relu });
}

/** Projects one cell of a unit, as {@linkcode projectPatches}. */
export async function projectPatch(
  model: Model,
  input: InputArray,
  patch: ProjectedPatch,
  method: Projection = "deconvnet",
  signal?: AbortSignal,
): Promise<NdArray> {
  let found!: NdArray;
  await projectPatches(model, [{ ...patch, input }], { method, signal }, (_, projection) => found = projection);
  return found;
}
