import { beforeEach, describe, expect, test } from "vitest";
import { MemoryError } from "../../lib/memory.ts";
import { PackedFilters } from "../../lib/runtime/wasm_convolution/packed_filters.ts";

/** A backend with some bytes of memory; what is taken stands in `taken`. */
function backendOf(room: number) {
  const taken = new Map<number, number>();
  let next = 8;
  const used = () => [...taken.values()].reduce((sum, bytes) => sum + bytes, 0);
  return {
    taken,
    used,
    wasm: {
      _malloc(bytes: number) {
        if (used() + bytes > room) throw new MemoryError("full");
        next += 8;
        taken.set(next, bytes);
        return next;
      },
      _free: (offset: number) => void taken.delete(offset),
    },
    disposeData: (_id: object, force = false) => force,
  };
}

describe("packed filters", () => {
  let backend: ReturnType<typeof backendOf>;
  let packed: PackedFilters;
  let packings: number;
  /** Uses a filter of ten floats as the kernels do. */
  const use = (id: object, way = 1) => {
    const { panels, kept } = packed.get(id, way, 10, () => packings++);
    expect(backend.taken.get(panels)).toBe(40);
    if (!kept) backend.wasm._free(panels);
    return kept;
  };
  beforeEach(() => {
    backend = backendOf(200);
    packed = new PackedFilters(backend, 100);
    packings = 0;
  });

  test("are kept from their second use on, each way of packing by itself", () => {
    const filter = {};
    expect([use(filter), use(filter), use(filter), use(filter, 2), use(filter, 2)]).toEqual([
      false,
      true,
      true,
      true,
      true,
    ]);
    expect(packings).toBe(3);
    expect(packed.bytes).toBe(80);
    expect(backend.used()).toBe(80);
  });

  test("go with the filter's data, not before", () => {
    const filter = {};
    use(filter);
    use(filter);
    backend.disposeData(filter);
    expect(backend.used()).toBe(40);
    backend.disposeData(filter, true);
    expect([packed.bytes, backend.used()]).toEqual([0, 0]);
    // The same data again, from another backend say, are packed anew.
    use(filter);
    expect(packings).toBe(3);
  });

  test("stay below their limit", () => {
    for (const filter of [{}, {}, {}]) [use(filter), use(filter)];
    expect(packed.bytes).toBe(80);
    expect(backend.used()).toBe(80);
  });

  test("make way when memory is full", () => {
    const filter = {};
    use(filter);
    use(filter);
    backend.wasm._malloc(180);
    expect([packed.bytes, backend.used()]).toEqual([0, 180]);
    expect(() => backend.wasm._malloc(40)).toThrow(MemoryError);
  });
});
