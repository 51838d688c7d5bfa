/**
 * What in an image a unit sees, projected back to the pixels by a deconvolutional network.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §2.1 and figure 1.
 *
 * @module
 */

import { brief } from "../format.ts";
import { headOf } from "../model/ending.ts";
import type { Model } from "../model/model.ts";
import { flag } from "../options.ts";
import { deconvolve } from "../probe/attribution/deconvnet.ts";
import { eachScore } from "../probe/attribution/gradients.ts";
import type { AttributionInput } from "../probe/attribution/inputs.ts";
import { largestMagnitude, toPixels } from "../probe/attribution/pixels.ts";
import { outputFor } from "../probe/output_target.ts";
import { isOutput, resolveUnit, type Unit, type UnitTarget } from "../probe/target.ts";
import { DeconvnetResult, type DeconvStep } from "../results/deconvnet.ts";
import { withProgress } from "../results/progress.ts";
import {
  type Attributed,
  type AttributionFunction,
  attributionMethod,
  AttributionOptions,
} from "./shared/attribution_method.ts";

/** Options of {@linkcode deconvnet}. The `target` is a unit or a class; `onProgress` counts layers over all results. */
export class DeconvnetOptions extends AttributionOptions {
  /**
   * Whether the result keeps the signal after each unpooling, rectification and filtering, and its figure shows them.
   * @default false
   */
  @flag()
  path = false;
}

interface Deconvolved extends Attributed {
  readonly steps: readonly DeconvStep[];
}

/**
 * The unit to start from; of a class its unit in the last layer.
 *
 * @throws {TypeError} if the target is neither a unit nor a class
 */
function unitOf(model: Model, { target }: AttributionInput): UnitTarget {
  if (target.kind === "unit") return target;
  if (!isOutput(target)) {
    throw new TypeError(
      `deconvnet starts from one unit: wanted a class or a unit { layer, channel, cell } as the target, received ` +
        `${target.text}. For other targets use guidedBackprop.`,
    );
  }
  const output = outputFor(model, target);
  const { layer, count, head } = output;
  if (!target.cell) {
    output.checkVector(
      "Give a class at one cell, { label, cell: [y, x] }, or a unit { layer, channel, cell } as the target.",
    );
  }
  // What only changes the shape behind the layer whose activation makes the output is passed over.
  const [end, ...more] = headOf(model.network, head).ends;
  const start = more.length === 0 ? end.name : layer;
  // One number is for two classes.
  return resolveUnit(model, {
    layer: start,
    channel: count === 1 ? 0 : target.index,
    cell: target.cell as Unit["cell"],
  });
}

/** Projects one unit of one image back to the pixels. */
async function project(
  model: Model,
  of: AttributionInput,
  { path, signal, onProgress }: Pick<DeconvnetOptions, "path" | "signal" | "onProgress">,
): Promise<Deconvolved> {
  const unit = unitOf(model, of);
  const found = await deconvolve(model, of.input, unit, { path, signal, onProgress });
  const pixels = toPixels(model, found.values.data, found.values.shape, largestMagnitude);
  const isScored = isOutput(of.target);
  const score = isScored ? (await eachScore(model, of.target, 1, () => of.input, { signal }))[0] : found.activation;
  const unchanged = found.unchanged.length
    ? ` Passed unchanged: the response normalisation of ${found.unchanged.join(", ")}.`
    : "";
  return {
    method: "DeconvNet",
    of,
    ...pixels,
    score,
    signed: false,
    paint: "colors",
    steps: found.steps,
    whyZero: "Nothing came back to the pixels: the signal was 0 or below at a rectification on the way.",
    about:
      `All other units of ${unit.layer} are set to 0 and this one, whose ${isScored ? "score" : "activation"} is ` +
      `${brief(score)}, to 1; then back to the pixels: unpooled with the switches of the ` +
      `forward pass, rectified, filtered with transposed weights (Zeiler and Fergus 2013).${unchanged}`,
  };
}

/**
 * Projects a unit of any layer back to the pixels: all other units are set to 0, and the signal is unpooled with the
 * switches of the forward pass, rectified and filtered with transposed weights, layer by layer, down to the image.
 *
 * The unit starts with 1. The paper starts with its activation, which is the result's `score`: `values` times `score`
 * are the paper's numbers, and the picture is the same. How each type of layer is gone through, and what was chosen
 * where the paper is silent (ties and overlaps of poolings), is documented in `lib/probe/attribution/deconvnet.ts`.
 *
 * Gives `values`, `[h, w, 3]` in RGB order, in units of the network's input; `map`, `[h, w]`, the largest magnitude of
 * the three; `target` with the cell; `score`, the unit's activation (of a class its score before the softmax); `steps`,
 * with `path`. Throws a `RangeError` if there is no such layer, channel or cell, a `TypeError` if a layer on the way has
 * no rule (the message names it) or the target is no unit or class.
 *
 * @example
 * ```ts
 * import { deconvnet, loadModel, photo } from "@convlens/convlens";
 * const target = { layer: "activation_9", channel: 12 };
 * await deconvnet(await loadModel("resnet50"), await photo("dog"), { target, path: true });
 * ```
 */
export const deconvnet: AttributionFunction<DeconvnetOptions, DeconvnetResult> = attributionMethod({
  name: "deconvnet",
  options: DeconvnetOptions,
  async attribute({ model, inputs, pairs, options: { path, signal, onProgress } }) {
    const all = await inputs();
    // What cannot be started from is refused before anything is computed.
    all.forEach((of) => unitOf(model, of));
    const projectAll = async (update: (done: number) => void) => {
      const made: Deconvolved[] = [];
      for (const [i, of] of all.entries()) {
        const report = onProgress &&
          ((done: number, total: number) => onProgress(i * total + done, all.length * total));
        made.push(await project(model, of, { path, signal, onProgress: report }));
        update(i + 1);
      }
      return made;
    };
    if (pairs.length === 1) return await projectAll(() => {});
    return await withProgress(`DeconvNet of ${model.name}`, all.length, projectAll);
  },
  result: (parts, { steps }) => new DeconvnetResult(parts, steps),
});
