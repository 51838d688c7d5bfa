import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { mosaic, type MosaicOptions, pixelsOf } from "../../lib/figure/mosaic.ts";
import { uniforms } from "../nets.ts";

const ORANGE = [255, 138, 0];

/** Tiles of seeded noise, `level` bright. */
function noise(width: number, height: number, count: number, level = 60): Uint8Array[] {
  const random = uniforms(width * 1000 + height * 100 + count);
  return Array.from(
    { length: count },
    () => Uint8Array.from({ length: width * height * 3 }, () => Math.floor(level + 40 * random())),
  );
}

/** As `expect(found).toEqual(wanted)`, for what is asked of each pixel. */
function same(found: readonly number[], wanted: readonly number[], x: number, y: number): void {
  if (found.some((value, i) => value !== wanted[i])) {
    throw new Error(`Pixel (${x}, ${y}) is ${found}; wanted ${wanted}.`);
  }
}

function build(options: Omit<MosaicOptions, "paint" | "label"> & { tiles: Uint8Array[] }) {
  const { tiles, ...rest } = options;
  const made = mosaic({ ...rest, paint: (i) => tiles[i], label: (i) => `tile ${i}` });
  const { data, width, height } = made.pixels;
  const depth = data.length / (width * height);
  const at = (x: number, y: number) => Array.from(data.subarray((y * width + x) * depth, (y * width + x) * depth + 3));
  const alpha = (x: number, y: number) => depth === 4 ? data[(y * width + x) * 4 + 3] : 255;
  return { ...made, width, height, depth, at, alpha };
}

/** A quarter of a cell, from 1 to 6 pixels. */
const gutterAt = (scale: number) => Math.max(1, Math.min(6, Math.round(scale / 4)));

const sizes = fc.record({
  width: fc.integer({ min: 1, max: 40 }),
  height: fc.integer({ min: 1, max: 40 }),
  count: fc.integer({ min: 1, max: 60 }),
  maxWidth: fc.integer({ min: 60, max: 300 }),
  maxHeight: fc.integer({ min: 30, max: 300 }),
});

describe("a mosaic of any size", () => {
  test("holds each tile's pixels at the grid's place, each cell a square, behind a gutter that grows with the cell", () => {
    fc.assert(
      fc.property(sizes, ({ width, height, count, maxWidth, maxHeight }) => {
        const tiles = noise(width, height, count);
        const made = build({ width, height, count, maxWidth, maxHeight, tiles });
        const { columns, tile: [tileWidth, tileHeight], labels, gutter = 1 } = made.grid;
        const scale = tileWidth / width;
        expect(gutter).toBe(gutterAt(scale));
        expect(Number.isInteger(scale)).toBe(true);
        expect(tileHeight).toBe(height * scale);
        expect(labels).toEqual(tiles.map((_, i) => `tile ${i}`));
        const rows = Math.ceil(count / columns);
        expect(made.width).toBe(columns * (tileWidth + gutter) + gutter);
        expect(made.height).toBe(rows * (tileHeight + gutter) + gutter);
        tiles.forEach((tile, index) => {
          const left = (index % columns) * (tileWidth + gutter) + gutter;
          const top = Math.floor(index / columns) * (tileHeight + gutter) + gutter;
          // The four corners and the middle of the enlarged tile.
          for (const y of [0, tileHeight >> 1, tileHeight - 1]) {
            for (const x of [0, tileWidth >> 1, tileWidth - 1]) {
              const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
              same(made.at(left + x, top + y), Array.from(tile.subarray(from, from + 3)), left + x, top + y);
            }
          }
          for (
            const [x, y] of [
              [left - gutter, top],
              [left, top - 1],
              [left + tileWidth + gutter - 1, top],
              [left, top + tileHeight],
            ]
          ) {
            same(made.at(x, y), [98, 108, 120], x, y);
          }
        });
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("has tiles of 24 pixels at least that fit into 10,000 rows of pixels, and keeps to the width wherever a tile does", () => {
    fc.assert(
      fc.property(sizes, ({ width, height, count, maxWidth, maxHeight }) => {
        const made = build({ width, height, count, maxWidth, maxHeight, tiles: noise(width, height, count) });
        if (made.grid.tile[0] < 24) {
          // Enlarged once more it would have been too tall; a grid has at least 60 % of the columns that fit.
          const scale = made.grid.tile[0] / width + 1;
          const gutter = gutterAt(scale);
          const columns = Math.max(1, Math.floor((maxWidth - gutter) / (width * scale + gutter)));
          expect(Math.ceil(count / Math.ceil(0.6 * columns)) * (height * scale + gutter)).toBeGreaterThan(10_000);
        }
        if (made.width <= maxWidth) return;
        // Wider only where not even one tile at its least enlargement fits.
        expect(made.grid.columns).toBe(1);
        expect(made.grid.tile[0]).toBeLessThanOrEqual(Math.ceil(24 / width) * width);
      }),
      { numRuns: 100, seed: 2 },
    );
  });

  test("is transparent where the last row has no tiles, and nowhere else", () => {
    fc.assert(
      fc.property(sizes, ({ width, height, count, maxWidth, maxHeight }) => {
        const made = build({ width, height, count, maxWidth, maxHeight, tiles: noise(width, height, count) });
        const { columns, tile: [tileWidth, tileHeight], gutter = 1 } = made.grid;
        const empty = columns * Math.ceil(count / columns) - count;
        expect(made.depth).toBe(empty ? 4 : 3);
        for (let y = 0; y < made.height; y += 3) {
          for (let x = 0; x < made.width; x += 3) {
            const beyond = y >= made.height - tileHeight - gutter && x >= made.width - empty * (tileWidth + gutter);
            same([made.alpha(x, y)], [beyond ? 0 : 255], x, y);
          }
        }
      }),
      { numRuns: 60, seed: 3 },
    );
  });

  test("outlines tiles in the gutter, so that no cell is covered", () => {
    fc.assert(
      fc.property(sizes, fc.nat(), ({ width, height, count, maxWidth, maxHeight }, pick) => {
        const chosen = pick % count;
        const options = { width, height, count, maxWidth, maxHeight, tiles: noise(width, height, count) };
        const plain = build(options);
        const outlined = build({ ...options, outlined: (i) => i === chosen });
        const { columns, tile: [tileWidth, tileHeight], gutter = 1 } = plain.grid;
        const left = gutter + (chosen % columns) * (tileWidth + gutter);
        const top = gutter + Math.floor(chosen / columns) * (tileHeight + gutter);
        const wide = Math.ceil(gutter / 2);
        const within = (x: number, y: number, more: number) =>
          x >= left - more && x < left + tileWidth + more && y >= top - more && y < top + tileHeight + more;
        for (let y = 0; y < plain.height; y++) {
          for (let x = 0; x < plain.width; x++) {
            const edge = within(x, y, wide) && !within(x, y, 0);
            same(outlined.at(x, y), edge ? ORANGE : plain.at(x, y), x, y);
          }
        }
      }),
      { numRuns: 20, seed: 4 },
    );
  });
});

describe("the layout", () => {
  const grid = (width: number, count: number, rest: Partial<MosaicOptions> = {}) =>
    build({ width, height: width, count, tiles: noise(width, width, count), ...rest });

  test.each([
    [7, 64, 16],
    [14, 512, 32],
    [7, 2048, 32],
    [56, 64, 16],
    [112, 64, 8],
    [11, 96, 16],
    [5, 20, 5],
  ])("puts tiles of %i cells, %i of them, in %i even columns", (width, count, columns) => {
    const made = grid(width, count);
    expect(made.grid.columns).toBe(columns);
    expect(count % columns).toBe(0);
    expect(made.width).toBeLessThanOrEqual(930);
  });

  test("keeps tiles to 240 pixels and cells to 40", () => {
    expect(grid(30, 1).grid.tile).toEqual([240, 240]);
    expect(grid(4, 1).grid.tile).toEqual([160, 160]);
    expect(grid(1, 5).grid.tile).toEqual([40, 40]);
  });

  test("takes the columns that are asked for, as far as there are tiles", () => {
    expect(grid(8, 10, { columns: 4 }).grid.columns).toBe(4);
    expect(grid(8, 3, { columns: 4 }).grid.columns).toBe(3);
  });

  test("is made anew in other columns, or for a page of another width", () => {
    const made = grid(16, 64);
    expect(made.lay({ columns: 4 }).grid.columns).toBe(4);
    const [narrow, wide] = [made.lay({ width: 300 }), made.lay({ width: 1860 })];
    expect(narrow.pixels.width).toBeLessThanOrEqual(300);
    expect(narrow.grid.columns).toBeLessThan(made.grid.columns);
    expect(wide.grid.tile[0]).toBeGreaterThan(made.grid.tile[0]);
    expect(wide.pixels.width).toBeLessThanOrEqual(1860);
    expect(made.lay({}).pixels).toEqual(made.pixels);
    // What was set before holds on.
    expect(grid(16, 64, { columns: 8 }).lay({ width: 300 }).grid.columns).toBe(8);
  });

  test("sets filters of 3×3 apart by a gutter that is seen", () => {
    for (const count of [12, 64]) expect(grid(3, count).grid.gutter).toBeGreaterThanOrEqual(2);
  });

  test("draws dark lines between light tiles", () => {
    const light = build({ width: 7, height: 7, count: 4, tiles: noise(7, 7, 4, 110) });
    expect(light.at(0, 0)).toEqual([24, 26, 30]);
  });

  test("keeps a tile that is wider than the cell", () => {
    expect(grid(1000, 1).width).toBe(1002);
  });

  test("refuses no tiles, empty tiles, and tiles of another size", () => {
    expect(() => build({ width: 3, height: 3, count: 0, tiles: [] })).toThrow("received 0 of 3×3");
    expect(() => build({ width: 0, height: 3, count: 1, tiles: noise(1, 1, 1) })).toThrow(RangeError);
    expect(() => build({ width: 3, height: 3, count: 1, tiles: noise(2, 3, 1) })).toThrow(
      "Tile 0 has 18 bytes; wanted 3×3×3.",
    );
  });
});

describe("pixelsOf", () => {
  test("repeats each pixel as a square", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        (width, height, factor) => {
          const [data] = noise(width, height, 1);
          const large = pixelsOf(ndarray(data, [height, width, 3]), factor);
          expect([large.width, large.height]).toEqual([width * factor, height * factor]);
          for (let y = 0; y < large.height; y++) {
            for (let x = 0; x < large.width; x++) {
              const at = (y * large.width + x) * 3;
              const from = (Math.floor(y / factor) * width + Math.floor(x / factor)) * 3;
              same([...large.data.subarray(at, at + 3)], [...data.subarray(from, from + 3)], x, y);
            }
          }
        },
      ),
      { numRuns: 40, seed: 5 },
    );
  });

  test("rounds, and clips to bytes", () => {
    expect([...pixelsOf(ndarray([-3, 0.4, 0.6, 254.6, 300, 128], [1, 2, 3])).data]).toEqual([0, 0, 1, 255, 255, 128]);
  });
});
