/**
 * A walk over a data set that keeps for each unit of some layers the cells where it is strongest: what all methods are made
 * of that show patches.
 *
 * @module
 */

import { placeOf, sizeOf } from "../array.ts";
import type { NdArrayLike } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type { ImageView, InputReader } from "../model/inputs.ts";
import type { Model } from "../model/model.ts";
import { seenByCells } from "../model/receptive_field.ts";
import { forwardEach } from "./forward_all.ts";
import { type Candidates, type ListedImage, type TopEntry, TopLists } from "./top_lists.ts";

/** The units of a layer that are looked at. */
export interface LayerUnits {
  readonly layer: string;
  /** Channels by their numbers, or directions by their names. */
  readonly units: readonly (number | string)[];
  /** Of directions, one behind the other: `[units, channels]`. */
  readonly directions?: NdArrayLike;
}

/** What is asked of a walk. */
export interface TopQuestion {
  readonly layers: readonly LayerUnits[];
  /** How many cells a unit's list has at most. */
  readonly top: number;
  /** Whether an image gives a unit its strongest cell only. */
  readonly cells: "strongest" | "all";
}

/** What a part of a walk has put into the lists. */
export interface TopPart {
  /** How many images have been walked in all, those among them that could not be read. */
  readonly walked: number;
  /** The id of the last of these. */
  readonly last: string;
  /** The images before it that could not be read. */
  readonly skipped: readonly SkippedImage[];
  /** What was put into the lists, by the number of the list. */
  readonly added: readonly { readonly list: number; readonly entry: TopEntry }[];
}

export interface TopRun {
  batchSize?: number;
  workers?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
  /** Called with each image when it is read, in their order. */
  onRead?: (image: ImageView) => void;
  /** Called after each batch, before the next one is taken in. */
  onPart?: (part: TopPart) => void | Promise<void>;
}

/** The lists of some units, layer after layer. */
export const listsFor = ({ layers, top }: TopQuestion): TopLists =>
  new TopLists(layers.reduce((sum, { units }) => sum + units.length, 0), top);

/**
 * Walks the images that a reader gives.
 *
 * @param lists what is known already; what is found is put into them
 */
export async function scanTop(
  model: Model,
  reader: InputReader,
  question: TopQuestion,
  lists: TopLists,
  { onPart, onRead, ...run }: TopRun = {},
): Promise<void> {
  const waiting: { image: ListedImage; skipped: number }[] = [];
  const inputs = reader.inputs((image) => {
    const { id, label, index, view } = image;
    onRead?.(image);
    waiting.push({
      image: { id, ...label !== undefined && { label }, index, shape: view.shape },
      skipped: reader.skipped.length,
    });
  });
  await forwardEach(model, inputs, question.layers.map(({ layer }) => layer), async (outputs) => {
    const batch = waiting.splice(0, outputs[0].shape[0]);
    const images = batch.map(({ image }) => image);
    const added: TopPart["added"][number][] = [];
    let first = 0;
    question.layers.forEach((asked, i) => {
      added.push(...lists.addAll(candidatesOf(outputs[i], asked, question.cells, lists, first), images));
      first += asked.units.length;
    });
    const { image: { index, id: last }, skipped } = batch.at(-1)!;
    await onPart?.({ walked: index + 1, last, skipped: reader.skipped.slice(0, skipped), added });
  }, run);
}

/** The cells of a batch that may enter lists. */
function candidatesOf(
  output: NdArrayLike,
  { units, directions }: LayerUnits,
  wanted: "strongest" | "all",
  lists: TopLists,
  first: number,
): Candidates {
  const [images] = output.shape;
  const channels = output.shape.at(-1)!;
  const cells = sizeOf(output.shape.slice(1, -1));
  const found: [list: number, value: number, image: number, cell: number][] = [];
  const at = (start: number, unit: number) => {
    if (!directions) return output.data[start + (units[unit] as number)];
    let sum = 0;
    for (let i = 0; i < channels; i++) sum += output.data[start + i] * directions.data[unit * channels + i];
    return Math.fround(sum);
  };
  for (let image = 0; image < images; image++) {
    for (let unit = 0; unit < units.length; unit++) {
      const floor = lists.floor(first + unit);
      let [most, place] = [-Infinity, 0];
      for (let cell = 0; cell < cells; cell++) {
        const value = at((image * cells + cell) * channels, unit);
        if (wanted === "all" && value >= floor) found.push([first + unit, value, image, cell]);
        if (value > most) [most, place] = [value, cell];
      }
      if (wanted === "strongest" && most >= floor) found.push([first + unit, most, image, place]);
    }
  }
  return {
    lists: Int32Array.from(found, ([list]) => list),
    values: Float32Array.from(found, ([, value]) => value),
    images: Int32Array.from(found, ([, , image]) => image),
    cells: Int32Array.from(found, ([, , , cell]) => cell),
  };
}

/** Where cells of layers lie in images: their places in the maps, and the boxes they see. */
export class CellPlaces {
  readonly #known = new Map<string, { maps: readonly number[]; box: (cell: readonly number[]) => number[] }>();

  constructor(readonly model: Model) {}

  /**
   * @param cell its place among all of the layer, counted row by row
   * @param shape the image's, as the network reads it
   * @returns the cell's place, `[y, x]`, and the box it sees, clipped at the image's border
   */
  of(layer: string, cell: number, shape: readonly number[]): { cell: number[]; box: number[] } {
    const key = `${layer} ${shape}`;
    let known = this.#known.get(key);
    if (!known) this.#known.set(key, known = this.#look(layer, shape));
    const place = placeOf(cell, known.maps);
    return { cell: place, box: known.box(place) };
  }

  #look(layer: string, shape: readonly number[]) {
    const { model } = this;
    const maps = (model.shapeOf(layer, shape) as readonly number[]).slice(0, -1);
    const seen = maps.length > 0 ? seenByCells(model.network, layer, shape) : null;
    const sides = seen?.sides ?? Array.from({ length: model.dimensions }, (_, i) => i);
    const lengths = sides.map((side) => shape[side]);
    const clip = (at: number, side: number) => Math.min(Math.max(at, 0), lengths[side]);
    const box = (cell: readonly number[]): number[] => {
      if (!seen) return [...lengths.map(() => 0), ...lengths];
      const ranges = seen.at(seen.axes.map((axis) => axis === null ? 0 : cell[axis])) ?? [];
      return [0, 1].flatMap((end) => lengths.map((_, side) => clip(ranges[side]?.[end] ?? 0, side)));
    };
    return { maps, box };
  }
}
