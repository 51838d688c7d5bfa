/**
 * The filters of units that read the image's pixels.
 *
 * @module
 */

import { waysTo } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { diagnoseFilter } from "../../probe/filter_diagnostics.ts";
import { filterDirection, type Oriented } from "../../probe/patch_look.ts";
import { filterOf } from "../../results/panels.ts";

/** Layers whose kernels mix what they read. */
const MIXES = /Conv|Dense|LSTM|GRU|RNN/;

/**
 * Of each unit of a layer the direction of its own filter, if one convolution of the image makes it, with nothing behind it
 * but activations, poolings and normalisations; else null.
 */
export async function filtersOnPixels(model: Model, layer: string): Promise<Oriented[] | null> {
  const { use } = model.entry(layer);
  const mixing = [...waysTo([use])].filter(({ layer }) => MIXES.test(layer.getClassName()));
  if (mixing.length !== 1 || mixing[0].layer.getClassName() !== "Conv2D") return null;
  const [kernel] = mixing[0].layer.getWeights();
  const shape = kernel.shape as number[];
  const units = model.layer(layer).outputShape.at(-1)!;
  if (shape.at(-1) !== units || Math.max(shape[0], shape[1]) > 64) return null;
  const weights = { data: new Float32Array(await kernel.data()), shape };
  return Array.from({ length: units }, (_, unit) => {
    const filter = filterOf(weights, unit);
    // The waves of a filter run across its lines; y points down.
    const { orientation } = diagnoseFilter(filter);
    const { coherence, angle } = filterDirection(filter);
    return { coherence, angle: orientation === null ? angle : 90 - orientation };
  });
}
