/**
 * Lists of what is largest: for each unit its strongest cells over any number of images.
 *
 * Larger values stand first; equal ones by the image's id, code unit by code unit, then by the cell's place. So lists do not
 * depend on the order in which cells come, and those of parts of a data set are merged into those of the whole.
 *
 * @module
 */

import { byCodeUnit } from "../data/dataset.ts";
import type { Candidates } from "../probe/strongest.ts";

/** An image that stands in a list. */
export interface ListedImage {
  /** Its id in the data set. */
  readonly id: string;
  readonly label?: string;
  /** Its place in the data set, by which it is read again. */
  readonly index: number;
  /** Its shape as the network reads it, `[h, w, c]`. */
  readonly shape: readonly number[];
}

/** One cell in a list. */
export interface TopEntry {
  /** By what the list is ordered. */
  readonly value: number;
  /** The unit's activation at the cell: `value` itself unless another number sets the order. */
  readonly activation: number;
  readonly image: ListedImage;
  /** The cell's place among the cells of the layer's output, counted row by row. */
  readonly cell: number;
}

/** Some lists of at most `top` entries each. */
export class TopLists {
  readonly #values: Float32Array;
  readonly #activations: Float32Array;
  readonly #cells: Int32Array;
  readonly #images: ListedImage[];
  /** How many entries each list has. */
  readonly #counts: Int32Array;
  /** The least value that may enter each list, −Infinity while there is room: in memory that Workers may share. */
  readonly floors: Float32Array;

  /**
   * @param count how many lists
   * @param top how many entries each has at most
   */
  constructor(readonly count: number, readonly top: number) {
    this.#values = new Float32Array(count * top);
    this.#activations = new Float32Array(count * top);
    this.#cells = new Int32Array(count * top);
    this.#images = new Array(count * top);
    this.#counts = new Int32Array(count);
    this.floors = new Float32Array(new SharedArrayBuffer(4 * count)).fill(-Infinity);
  }

  /** Whether a cell would stand before an entry. */
  #isBefore(value: number, id: string, cell: number, at: number): boolean {
    if (value !== this.#values[at]) return value > this.#values[at];
    const order = byCodeUnit(id, this.#images[at].id);
    return order === 0 ? cell < this.#cells[at] : order < 0;
  }

  /**
   * Puts a cell into a list, if it is one of the largest. One that is in it already is not put there again.
   *
   * @returns whether it was put there
   */
  add(list: number, { value, activation, image, cell }: TopEntry): boolean {
    // Numbers as the lists hold them, so that what is compared is what is kept; no number is in no list.
    value = Math.fround(value);
    if (Number.isNaN(value) || value < this.floors[list]) return false;
    const first = list * this.top;
    let end = first + this.#counts[list];
    let at = first;
    for (let last = end; at < last;) {
      const middle = (at + last) >> 1;
      if (this.#isBefore(value, image.id, cell, middle)) last = middle;
      else at = middle + 1;
    }
    const before = at - 1;
    const known = before >= first && this.#cells[before] === cell && this.#values[before] === value &&
      this.#images[before].id === image.id;
    if (known || at === first + this.top) return false;
    if (this.#counts[list] < this.top) this.#counts[list]++;
    else end--;
    for (const column of [this.#values, this.#activations, this.#cells, this.#images]) {
      column.copyWithin(at + 1, at, end);
    }
    this.#values[at] = value;
    this.#activations[at] = activation;
    this.#cells[at] = cell;
    this.#images[at] = image;
    if (this.#counts[list] === this.top) this.floors[list] = this.#values[first + this.top - 1];
    return true;
  }

  /** Puts the cells of a batch into their lists, and gives those that were put there. */
  addAll(
    { lists, values, activations = values, images, cells }: Candidates,
    batch: readonly ListedImage[],
  ): { list: number; entry: TopEntry }[] {
    const added: { list: number; entry: TopEntry }[] = [];
    for (let i = 0; i < lists.length; i++) {
      const entry = { value: values[i], activation: activations[i], image: batch[images[i]], cell: cells[i] };
      if (this.add(lists[i], entry)) added.push({ list: lists[i], entry });
    }
    return added;
  }

  /** Takes what other lists of the same units hold. */
  merge(other: TopLists): void {
    for (let list = 0; list < other.count; list++) other.entries(list).forEach((entry) => this.add(list, entry));
  }

  /** A list's entries, the largest first. */
  entries(list: number): TopEntry[] {
    return Array.from({ length: this.#counts[list] }, (_, i) => {
      const at = list * this.top + i;
      return {
        value: this.#values[at],
        activation: this.#activations[at],
        image: this.#images[at],
        cell: this.#cells[at],
      };
    });
  }
}
