/**
 * A layer's features with their places in the image, as vectors that are compared from image to image.
 *
 * @module
 */

import type { InputArray } from "../../data/given.ts";
import type { SeenByCells } from "../../data/records.ts";
import type { Model } from "../../model/model.ts";
import { seenByCells } from "../../model/receptive_field.ts";
import { type DescriptorMap, layerDescriptors, type Point } from "../../probe/matching/descriptors.ts";
import { forward, item } from "../../probe/forward.ts";
import { walkOf } from "./layers.ts";

/** Whether a layer's output has rows and columns that move along those of the image. */
function placeOf(model: Model, layer: string, shape: readonly number[]): SeenByCells | null {
  if (model.shapeOf(layer, shape).length !== 3) return null;
  const seen = seenByCells(model.network, layer, shape);
  if (!seen || seen.axes.length !== 2 || seen.axes[0] !== 0 || seen.axes[1] !== 1) return null;
  return seen.cells.every((count) => count > 0) && seen.at([0, 0]) ? seen : null;
}

/** The layers that have a place, at their first use, with maps of several cells. */
export const placedLayers = (model: Model, stop?: RegExp): string[] =>
  walkOf(model, stop).filter((layer) => {
    const { receptiveField: field, outputShape } = model.layer(layer);
    return field !== null && outputShape.length === 3 && field.stride > 0;
  });

/**
 * The deepest layer whose maps still have so many cells along each side; else the one with the largest maps.
 *
 * @throws {TypeError} if there is none
 */
export function deepestPlaced(asker: string, model: Model, shape: readonly number[], least = 7): string {
  const layers = placedLayers(model);
  const side = (layer: string) => Math.min(...model.shapeOf(layer, shape).slice(0, 2).map(Number));
  const layer = layers.findLast((name) => side(name) >= least) ?? layers.toSorted((a, b) => side(b) - side(a))[0];
  if (layer !== undefined) return layer;
  throw new TypeError(`${asker} wants a layer whose cells have a place in the image: ${model.name} has none.`);
}

/** @throws {TypeError} if the model does not read pictures */
export function checkPictures(asker: string, model: Model): void {
  if (model.dimensions === 2 && model.inputShape.length === 3) return;
  const reads = model.dimensions === 1 ? "signals" : model.dimensions === 3 ? "volumes" : "images without channels";
  throw new TypeError(
    `${asker} finds places in pictures [h, w, c], and ${JSON.stringify(model.name)} reads ${reads}. ` +
      `activations shows what its layers put out.`,
  );
}

/** A grid of points over an image, each in the middle of its part. */
export const gridOf = ([height, width]: readonly number[], count: number): Point[] =>
  Array.from({ length: count * count }, (_, i): Point => [
    (Math.floor(i / count) + 0.5) * height / count - 0.5,
    (i % count + 0.5) * width / count - 0.5,
  ]);

/** The side of patches where none is asked for: an eighth of the image's shorter side, a multiple of 8. */
export const patchFor = ([height, width]: readonly number[]): number =>
  8 * Math.max(1, Math.round(Math.min(height, width) / 64));

/** @throws {RangeError} if it is no multiple of 8 */
export function checkPatch(name: string, value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) % 8 === 0) return;
  throw new RangeError(`${name} is the side of a patch in pixels, a multiple of 8: received ${value}.`);
}

/** What cells of layers see of images of one size. */
export class PlacedFeatures {
  readonly #model: Model;
  readonly #layers: readonly string[];
  readonly #places = new Map<string, readonly SeenByCells[]>();

  /** @param asker the method, for messages */
  constructor(readonly asker: string, model: Model, layers: readonly string[]) {
    this.#model = model;
    this.#layers = layers;
  }

  /**
   * The places of each layer's cells for images of a size.
   *
   * @throws {TypeError} if a layer's cells have none: names one whose cells have
   */
  placesFor(shape: readonly number[]): readonly SeenByCells[] {
    const known = this.#places.get(shape.join());
    const places = known ?? this.#layers.map((layer) => {
      const seen = placeOf(this.#model, layer, shape);
      if (seen) return seen;
      const others = placedLayers(this.#model);
      const other = others.length > 0 ? ` Name one whose cells have, as ${JSON.stringify(others.at(-1))}.` : "";
      throw new TypeError(
        `${this.asker} finds places by a layer's cells, and those of ${JSON.stringify(layer)} have no place in the ` +
          `image.${other}`,
      );
    });
    this.#places.set(shape.join(), places);
    return places;
  }

  /**
   * What each layer makes of each of some images of one size.
   *
   * @param views as the model sees them
   * @returns by image, then by layer
   */
  async of(
    views: readonly InputArray[],
    run: { batchSize?: number; signal?: AbortSignal } = {},
  ): Promise<DescriptorMap[][]> {
    if (this.#layers.length === 0) return views.map(() => []);
    const places = this.placesFor(views[0].shape);
    const outputs = await forward(this.#model, views.map((view) => this.#model.input(view)), this.#layers, run);
    return views.map((_, i) => outputs.map((output, n) => layerDescriptors(item(output, i), places[n])));
  }
}
