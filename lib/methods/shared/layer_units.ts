/**
 * The units and directions of a layer that a method is asked about.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import { kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";
import { channelsOf } from "../../probe/target.ts";
import type { LayerUnits } from "../../scan/top_patches.ts";

/** Directions in a layer's space of channels by their names, each one number a channel. */
export type NamedDirections = Readonly<Record<string, NdArrayLike | readonly number[] | Float32Array>>;

/**
 * The units of a layer that are asked for.
 *
 * @throws {RangeError} if there is no such channel, or a direction has not one number a channel
 */
export function layerUnits(
  model: Model,
  layer: string,
  channels?: readonly number[],
  directions?: NamedDirections,
): LayerUnits {
  const count = channelsOf(model, layer);
  const named = JSON.stringify(layer);
  if (directions) {
    const names = Object.keys(directions);
    if (names.length === 0) throw new RangeError("directions is empty; wanted at least one.");
    const data = new Float32Array(names.length * count);
    names.forEach((name, i) => {
      const given = directions[name];
      const numbers = Array.isArray(given) || given instanceof Float32Array ? given : (given as NdArrayLike)?.data;
      if (numbers?.length !== count || !numbers.every(Number.isFinite)) {
        throw new RangeError(
          `The direction ${JSON.stringify(name)} must be ${count} finite numbers, one for each channel of ${named}: ` +
            `received ${numbers ? `${numbers.length} numbers` : kindOf(given)}.`,
        );
      }
      data.set(numbers, i * count);
    });
    return { layer, units: names, directions: ndarray(data, [names.length, count]) };
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");
  const unknown = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= count);
  if (unknown !== undefined) {
    throw new RangeError(`Layer ${named} has channels 0 to ${count - 1}: received ${unknown}.`);
  }
  const units = channels ? [...new Set(channels)].sort((a, b) => a - b) : Array.from({ length: count }, (_, i) => i);
  return { layer, units };
}

/** The directions that stand for units, by their names. */
export function vectorsOf({ units, directions }: LayerUnits): ReadonlyMap<string, Float32Array> {
  const count = directions?.shape[1] ?? 0;
  return new Map(units.map((name, i) => [
    String(name),
    Float32Array.from(directions?.data.subarray(i * count, (i + 1) * count) ?? []),
  ]));
}
