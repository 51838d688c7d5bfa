/**
 * The layers that a method is asked for: one by `layer`, or several by `layers`.
 *
 * @module
 */

import { headOf } from "../../model/ending.ts";
import { traceAnySize, type Use } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";

/**
 * @throws {TypeError} if both `layer` and `layers` are given
 * @throws {RangeError} if `layers` is empty
 */
export function checkEither(asker: string, layer?: string, layers?: readonly string[]): void {
  if (layer !== undefined && layers !== undefined) {
    throw new TypeError(`${asker} takes either layer or layers: received both.`);
  }
  if (layers?.length === 0) throw new RangeError("layers is empty; wanted at least one layer's name.");
}

/**
 * @param asker the method, as `"codes"`
 * @param fallback the layers where none is named
 * @returns each layer once, in the order asked for
 * @throws {TypeError} if both `layer` and `layers` are given
 * @throws {RangeError} if `layers` is empty, or a layer does not exist
 */
export function layersAsked(
  asker: string,
  model: Model,
  { layer, layers }: { readonly layer?: string; readonly layers?: readonly string[] },
  fallback: () => readonly string[],
): string[] {
  checkEither(asker, layer, layers);
  const names = layer !== undefined ? [layer] : [...new Set(layers ?? fallback())];
  names.forEach((name) => model.layer(name));
  return names;
}

/** The layer that the last layer with weights reads, on the way to the output. @throws {RangeError} if there is none */
export function beforeLast({ network, output, name, layers }: Model): string {
  let use: Use | undefined = traceAnySize(network).outputs[output.index];
  while (use?.layer.countParams() === 0) [use] = use.inputs;
  const before = use?.inputs[0]?.name;
  if (before && layers.some((layer) => layer.name === before)) return before;
  throw new RangeError(
    `${JSON.stringify(name)} has no layer before its last one with weights: name the layer that puts the codes out.`,
  );
}

/** What the units of a layer are called: the labels of the model's last one; null of others. */
export function labelsOfUnits(model: Model, layer: string, units: number): readonly string[] | null {
  const isLast = headOf(model.network, model.output.head).ends.some(({ name }) => name === layer);
  return isLast && model.labels?.length === units ? model.labels : null;
}

/** Layers that only make pixels or maps ready for the next one. */
const PREPARES = /^(InputLayer|ZeroPadding\dD|Cropping\dD|Random\w+|Rescaling|Normalization|Resizing|CenterCrop)$/;

/** Beyond this number of convolutions and poolings a walk stops only at the end of each stage. */
const LONGEST_WALK = 16;

/**
 * The layers that a walk through the network stops at: convolutions and poolings; of many the last layer of each resolution.
 *
 * @param stop which kinds of layers it stops at
 * @param longest how many of them are not too many
 */
export function walkOf(model: Model, stop = /Conv|Pooling/, longest = LONGEST_WALK): string[] {
  const stops = model.leaves.filter(({ kind, outputShape }) => outputShape.length > 1 && stop.test(kind));
  if (stops.length <= longest) return stops.map(({ name }) => name);
  // Padding and the like make resolutions of their own.
  const made = model.leaves.filter(({ kind, outputShape }) =>
    outputShape.length === stops[0].outputShape.length && !PREPARES.test(kind)
  );
  return made.filter((layer, i) => made[i + 1]?.outputShape[0] !== layer.outputShape[0]).map(({ name }) => name);
}
