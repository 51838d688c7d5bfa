import { describe, expect, test } from "vitest";
import type { PatchRow } from "../../lib/data/records.ts";
import { ndarray } from "../../lib/array.ts";
import type { Sheet } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import type { Pixels } from "../../lib/figure/mosaic.ts";
import { encodeWholes, shrink } from "../../lib/figure/sprites.ts";
import { patchBlocks, unitsDrawn } from "../../lib/results/patch_figures.ts";
import { patchTile } from "../../lib/results/patch_tiles.ts";

/** An image whose red is the row and whose green the column. */
const placed = (height: number, width: number): Pixels => ({
  data: Uint8Array.from({ length: height * width * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    return [Math.floor(at / width), at % width, 200][i % 3];
  }),
  width,
  height,
});

const colorAt = ({ data, width }: Pixels, x: number, y: number) =>
  Array.from(data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4));

const patch = (box: number[], image = placed(20, 30)) => ({ image, box, value: "1", words: "a patch" });

describe("a unit's patches in one picture", () => {
  test("are enlarged by a whole factor, pixel by pixel, with a line of a pixel around each", () => {
    const { pixels, spots } = patchTile([patch([4, 6, 9, 11])], { field: [5, 5], size: 57, columns: 1 });
    expect([pixels.width, pixels.height]).toEqual([57, 57]);
    expect(spots[0].box).toEqual([1, 1, 55, 55]);
    for (const [x, y] of [[0, 0], [4, 4], [2, 3]]) {
      expect(colorAt(pixels, 1 + x * 11, 1 + y * 11)).toEqual([4 + y, 6 + x, 200, 255]);
      expect(colorAt(pixels, 1 + x * 11 + 10, 1 + y * 11 + 10)).toEqual([4 + y, 6 + x, 200, 255]);
    }
    expect(spots[0].whole!.box).toEqual([4 / 20, 6 / 30, 9 / 20, 11 / 30]);
  });

  test("that are clipped keep their place in the receptive field; what is beyond the border is hatched, not stretched", () => {
    const clipped = [[0, 0, 3, 5], [17, 27, 20, 30], [4, 0, 9, 2]];
    const { pixels, spots } = patchTile(clipped.map((box) => patch(box)), { field: [5, 5], size: 50, columns: 3 });
    const seenOf = (i: number, x: number, y: number) =>
      colorAt(pixels, spots[i].box[0] + 10 * x + 5, spots[i].box[1] + 10 * y + 5);
    const isHatch = (color: number[]) => color[3] < 255;
    expect([0, 1].map((y) => isHatch(seenOf(0, 2, y)))).toEqual([true, true]);
    expect(seenOf(0, 0, 2)).toEqual([0, 0, 200, 255]);
    expect(seenOf(1, 0, 0)).toEqual([17, 27, 200, 255]);
    expect(isHatch(seenOf(1, 3, 0)) && isHatch(seenOf(1, 0, 3))).toBe(true);
    expect(isHatch(seenOf(2, 2, 0))).toBe(true);
    expect(seenOf(2, 3, 4)).toEqual([8, 0, 200, 255]);
  });

  test("stand row by row, each with its value below it, what came back to their pixels left of them", () => {
    const projection = { data: new Uint8Array(25 * 3).fill(77), width: 5, height: 5 };
    const patches = Array.from(
      { length: 5 },
      (_, i) => ({ ...patch([i, i, i + 5, i + 5]), projection, value: `${i}` }),
    );
    const { pixels, spots, texts } = patchTile(patches, { field: [5, 5], size: 40, columns: 3, values: true });
    const [first, , third, fourth] = spots;
    expect(fourth.box[0]).toBe(first.box[0]);
    expect(fourth.box[1]).toBeGreaterThan(third.box[1] + 40);
    expect(texts.map(({ text }) => text)).toEqual(["0", "1", "2", "3", "4"]);
    expect(texts[3]).toMatchObject({ x: fourth.box[0], y: fourth.box[1] + 40 });
    expect(first.pair![0]).toBe(1);
    expect(colorAt(pixels, first.pair![0] + 20, first.pair![1] + 20)).toEqual([77, 77, 77, 255]);
    expect(pixels.width).toBe(first.box[0] + 3 * 43 - 3 + 1);
  });

  test("are marked on the whole image by a white box that covers none of their pixels", () => {
    const { pixels, spots } = patchTile([patch([8, 10, 12, 14])], { field: [4, 4], size: 60, columns: 1, whole: true });
    const [left, top, width, height] = spots[0].box;
    expect([width, height]).toEqual([60, 40]);
    const at = (x: number, y: number) => colorAt(pixels, left + x, top + y);
    expect(at(18, 18)).toEqual([255, 255, 255, 255]);
    expect(at(20, 16)).toEqual([8, 10, 200, 255]);
    expect(at(27, 23)).toEqual([11, 13, 200, 255]);
    expect(at(0, 0)).toEqual([0, 0, 200, 255]);
  });
});

const rows = (layer: string, units: number, boxed = [0, 0, 2, 2]): PatchRow[] =>
  Array.from({ length: units }, (_, unit) =>
    [1, 2].map((rank) => ({
      layer,
      unit,
      rank,
      imageId: `image ${rank}`,
      label: rank > 1 || unit > 0 ? "<cat>" : "dog",
      activation: unit === 1 ? 0 : 10 * unit + 1 / rank,
      cell: [1, 1],
      box: boxed,
    }))).flat();

const source = (layers: string[], units: number, boxed?: number[]) => ({
  rows: layers.flatMap((layer) => rows(layer, units, boxed)),
  layers,
  picture: (id: string) =>
    id === "image 2" || id === "image 1" ? ndarray(new Float32Array(48).fill(9), [4, 4, 3]) : undefined,
});

describe("the figure of top patches", () => {
  test("names each unit, its range, and what half of its patches are; a unit that is always 0 is outlined", () => {
    const { blocks: [block], caption } = patchBlocks(source(["conv"], 3), {});
    const { tiles, orders, filter } = block as Sheet;
    expect(tiles.map(({ lines }) => lines)).toEqual([["channel 0"], ["channel 1", "2 of 2 <cat>"], [
      "channel 2",
      "2 of 2 <cat>",
    ]]);
    expect(tiles.map(({ outlined }) => outlined)).toEqual([false, true, false]);
    expect(tiles[2].words).toBe("channel 2  21 … 20.5  2 of 2 <cat>");
    expect(tiles[2].texts!.map(({ text }) => text)).toEqual(["21.0", "20.5"]);
    expect(tiles[2].spots![1].words).toContain(
      "2. activation 20.5\nimage 2 · <cat>\ncell [1, 1], rows 0 to 1, columns 0 to 1",
    );
    expect(filter).toBe("channel");
    expect(orders![1].places).toEqual([2, 0, 1]);
    expect(caption).toContain("Outlined: 1 of these 3 units is 0 on every image.");
    expect(caption).not.toContain("Hatched");
  });

  test("draws the first units of many, fewer of each of several layers, and others by their names", () => {
    expect([1, 2, 8, 49].map(unitsDrawn)).toEqual([24, 24, 12, 2]);
    const { blocks } = patchBlocks(source(["a", "b"], 30), {});
    expect(blocks.map(({ heading, note }) => [heading, note])).toEqual([
      ["a", '24 of 30 units; figure({ layer: "a", units: […] }) draws others.'],
      ["b", '24 of 30 units; figure({ layer: "b", units: […] }) draws others.'],
    ]);
    const chosen = patchBlocks(source(["a", "b"], 30), { layer: "b", units: [29, 3] });
    expect((chosen.blocks[0] as Sheet).tiles.map(({ lines }) => lines[0])).toEqual(["channel 29", "channel 3"]);
  });

  test("refuses a layer or unit that has no patches, and pictures that were not read, with what to do", () => {
    const some = source(["conv"], 3);
    expect(() => patchBlocks(some, { layer: "conf" })).toThrow(/no layer "conf".*"conv"/s);
    expect(() => patchBlocks(some, { units: [7] })).toThrow(/no unit "7"/);
    expect(() => patchBlocks(some, { units: [] })).toThrow(RangeError);
    expect(() => patchBlocks({ ...some, picture: () => undefined }, {})).toThrow(
      '`await patches.load({ layer: "conv", units: [0] })`',
    );
  });

  test("shows what is beyond the border where all patches are clipped alike: the network says how large a field is", () => {
    const some = source(["conv"], 2, [0, 0, 3, 2]);
    const drawn = (fieldOf?: () => number[]) => patchBlocks({ ...some, fieldOf }, {});
    const sizeOf = ({ blocks: [block] }: ReturnType<typeof drawn>) => (block as Sheet).tiles[0].spots![0].box.slice(2);
    expect(sizeOf(drawn())).toEqual([38, 57]);
    expect(sizeOf(drawn(() => [3, 3]))).toEqual([57, 57]);
    expect(drawn(() => [3, 3]).caption).toContain("Hatched");
    // As far as an image of 4×4 has room for it; where the network does not know, the patches do.
    expect(sizeOf(drawn(() => [0, 100]))).toEqual([56, 42]);
  });

  test("of signals is a table, and says so", () => {
    const { blocks: [block], caption } = patchBlocks(source(["conv"], 2, [3, 9]), {});
    expect(block.kind).toBe("table");
    expect(caption).toContain("Patches of signals and volumes are no pictures");
  });

  test("escapes labels, and holds the whole images once, for the pointer", async () => {
    const made = new Figure({ title: "patches", ...patchBlocks(source(["conv"], 3), {}) });
    const html = await made.html();
    expect(html).not.toContain("<cat>");
    const wholes = /<script type="application\/json" class="convlens-wholes">(.*?)<\/script>/s.exec(html)![1];
    expect(JSON.parse(wholes)).toHaveLength(2);
    expect(html.match(/alt="The top 2 patches of channel/g)).toHaveLength(3);
    const svg = await made.svg({ theme: "dark" });
    expect(svg).toContain(">20.5</text>");
  });
});

describe("wholes", () => {
  test("of few pixels are exact; many shrink until they fit into the budget", async () => {
    const small = placed(8, 8);
    const [png] = (await encodeWholes([small])).values();
    expect(png[0]).toBe(0x89);
    const noise = Array.from({ length: 4 }, (_, k) => ({
      data: Uint8Array.from({ length: 256 * 200 * 3 }, (_, i) => (i * 7919 * (k + 3)) % 251),
      width: 200,
      height: 256,
    }));
    const sum = (made: Map<Pixels, Uint8Array>) => [...made.values()].reduce((sum, { length }) => sum + length, 0);
    const all = sum(await encodeWholes(noise));
    const fewer = sum(await encodeWholes(noise, { budget: all / 4 }));
    expect(fewer).toBeLessThan(all / 4 * 1.1);
  });

  test("that are not square shrink to the mean of what each pixel covers", () => {
    const into = new Uint8Array(2 * 3);
    shrink(Uint8Array.from([10, 0, 0, 30, 0, 0, 50, 0, 0, 90, 0, 0]), 0, [1, 4], [1, 2], into);
    expect([...into]).toEqual([20, 0, 0, 70, 0, 0]);
  });
});
