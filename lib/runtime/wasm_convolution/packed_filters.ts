/**
 * Filters in the order in which the kernels read them. Packing those of ResNet-50 takes a fifth of the time of a pass of
 * one image; so a filter that is used a second time stays packed, for as long as its tensor lives.
 *
 * @module
 */

import { MemoryError } from "../../memory.ts";

/** The part of tfjs's wasm backend that allocates and frees. */
interface Backend {
  wasm: { _malloc(bytes: number): number; _free(offset: number): void };
  disposeData(id: object, force?: boolean): boolean;
}

/** A filter in memory. */
interface Packed {
  panels: number;
  bytes: number;
}

/** Packed filters. They make way when WASM's memory is full. */
export class PackedFilters {
  readonly #backend: Backend;
  /** By the data of the filter's tensor, then by the way of packing. */
  readonly #kept = new Map<object, Map<number, Packed>>();
  readonly #usedOnce = new WeakSet<object>();
  #bytes = 0;

  /** @param limit how many bytes are kept at most */
  constructor(backend: Backend, readonly limit = 2 ** 29) {
    this.#backend = backend;
    this.connect();
    const dispose = backend.disposeData.bind(backend);
    backend.disposeData = (id, force) => {
      const gone = dispose(id, force);
      if (gone) this.#forget(id);
      return gone;
    };
  }

  /** Begins with empty hands, on the module that the backend has now. */
  connect(): void {
    this.#kept.clear();
    this.#bytes = 0;
    const { wasm } = this.#backend;
    const allocate = wasm._malloc;
    wasm._malloc = (bytes) => {
      try {
        return allocate(bytes);
      } catch (error) {
        if (!(error instanceof MemoryError) || this.#bytes === 0) throw error;
        for (const id of [...this.#kept.keys()]) this.#forget(id);
        return allocate(bytes);
      }
    };
  }

  /** How many bytes are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A filter, packed.
   *
   * @param id the data of its tensor
   * @param way distinguishes ways of packing the same data
   * @param count how many floats it takes, packed
   * @param pack packs it to an address
   * @returns its address: valid until the next allocation, if it is kept; else it is the caller's, to be freed
   */
  get(id: object, way: number, count: number, pack: (to: number) => void): { panels: number; kept: boolean } {
    const known = this.#kept.get(id)?.get(way);
    if (known) return { panels: known.panels, kept: true };
    const bytes = 4 * count;
    const panels = this.#backend.wasm._malloc(bytes);
    pack(panels);
    const kept = this.#usedOnce.has(id) && this.#bytes + bytes <= this.limit;
    this.#usedOnce.add(id);
    if (kept) {
      const ways = this.#kept.get(id) ?? new Map<number, Packed>();
      this.#kept.set(id, ways.set(way, { panels, bytes }));
      this.#bytes += bytes;
    }
    return { panels, kept };
  }

  #forget(id: object): void {
    for (const { panels, bytes } of this.#kept.get(id)?.values() ?? []) {
      this.#backend.wasm._free(panels);
      this.#bytes -= bytes;
    }
    this.#kept.delete(id);
  }
}
