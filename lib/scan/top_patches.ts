/**
 * A walk over a data set that keeps for each unit of some layers the cells where it is strongest: what all methods are made
 * of that show patches.
 *
 * @module
 */

import { type NdArrayLike, placeOf } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type { ImageView, InputReader } from "../model/inputs.ts";
import type { Model } from "../model/model.ts";
import { seenByCells } from "../model/receptive_field.ts";
import { relevantEach } from "../probe/attribution/relevance.ts";
import type { Candidates, UnitsWanted } from "../probe/strongest.ts";
import type { Target } from "../probe/target.ts";
import { strongestEach } from "./forward_all.ts";
import { type ListedImage, type TopEntry, TopLists } from "./top_lists.ts";

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
  /** What cells must be relevant to: their activations times the gradient of its score order them. @default activations alone */
  readonly target?: Target;
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
  const { layers, cells, top } = question;
  let first = 0;
  const units = layers.map(({ units, directions }): UnitsWanted => {
    const own = { first, ...directions ? { directions } : { channels: units as number[] } };
    first += units.length;
    return own;
  });
  const names = layers.map(({ layer }) => layer);
  const wanted = { units, cells, top, floors: lists.floors };
  const receive = async (found: Candidates, count: number) => {
    const batch = waiting.splice(0, count);
    const added = lists.addAll(found, batch.map(({ image }) => image));
    const { image: { index, id: last }, skipped } = batch.at(-1)!;
    await onPart?.({ walked: index + 1, last, skipped: reader.skipped.slice(0, skipped), added });
  };
  const { target } = question;
  if (target !== undefined) return await relevantEach(model, inputs, names, target, wanted, receive, run);
  await strongestEach(model, inputs, names, wanted, (found, _, count) => receive(found, count), run);
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
