/**
 * The layers that a method is asked for: one by `layer`, or several by `layers`.
 *
 * @module
 */

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
