import { describe, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import type { Picture } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { uniforms } from "../nets.ts";

/** A picture of seeded noise: found again in a larger one, it can only be itself. */
function noise(width: number, height: number, seed: number): Picture {
  const random = uniforms(seed);
  const data = Uint8Array.from({ length: width * height * 3 }, () => Math.floor(256 * random()));
  return { kind: "picture", pixels: { data, width, height }, alt: "noise" };
}

const decoded = async (figure: Figure) => await decodeBytes(await figure.png(), { name: "the figure" });

/** Where a picture stands in a larger one with not one pixel changed; `undefined` if nowhere. */
function find(
  { data, width, height }: Picture["pixels"],
  whole: { data: Uint8Array; width: number; height: number },
): [x: number, y: number] | undefined {
  for (let top = 0; top + height <= whole.height; top++) {
    for (let left = 0; left + width <= whole.width; left++) {
      const here = (y: number) => {
        const start = ((top + y) * whole.width + left) * 3;
        for (let i = 0; i < width * 3; i++) if (whole.data[start + i] !== data[y * width * 3 + i]) return false;
        return true;
      };
      let y = 0;
      while (y < height && here(y)) y++;
      if (y === height) return [left, top];
    }
  }
}

/** The lines of a picture that hold anything but white. */
function inkedRows({ data, width, height }: { data: Uint8Array; width: number; height: number }): number[] {
  return Array.from({ length: height }, (_, y) => y)
    .filter((y) => data.subarray(y * width * 3, (y + 1) * width * 3).some((byte) => byte !== 255));
}

describe("the whole figure as one PNG", () => {
  test("is as large as its parts and its margins, and holds the picture pixel by pixel", async () => {
    const picture = noise(600, 40, 1);
    const png = await decoded(new Figure({ title: "A title", caption: "A caption", blocks: [picture] }));
    // 12 around it all; the title 21, a gap of 8, the picture, a gap of 8, the caption 17.
    expect([png.width, png.height]).toEqual([600 + 24, 12 + 21 + 8 + 40 + 8 + 17 + 12]);
    expect(find(picture.pixels, png)).toEqual([12, 12 + 21 + 8]);
  });

  test("holds every picture of a row, side by side, and what is beside them", async () => {
    const pictures = [noise(50, 30, 2), noise(70, 60, 3)];
    const bars = { kind: "bars" as const, width: 100, rows: [{ label: "cat", value: 0.5, text: "50 %" }] };
    const png = await decoded(
      new Figure({ title: "A row", blocks: [{ kind: "row", heading: "Two", blocks: [...pictures, bars] }] }),
    );
    const [first, second] = pictures.map(({ pixels }) => find(pixels, png)!);
    expect(second).toEqual([first[0] + 50 + 20, first[1]]);
    // The bar is half as long as its ground.
    const middle = png.data.subarray(((first[1] + 12) * png.width + second[0] + 70) * 3);
    let filled = 0;
    for (let x = 0; x < png.width - second[0] - 70 - 12; x++) {
      if (middle[x * 3] === 0x3b && middle[x * 3 + 1] === 0x82 && middle[x * 3 + 2] === 0xc4) filled++;
    }
    expect(Math.abs(filled - 50)).toBeLessThanOrEqual(1);
  });

  test("holds of slides the frame that is shown first, under the words that say which", async () => {
    const frames = [5, 6, 7].map((seed, i) => ({ label: `${i}`, block: noise(50, 30, seed) }));
    const drawn = async (start?: number) =>
      await decoded(new Figure({ title: "Slides", blocks: [{ kind: "slides", label: "epoch", frames, start }] }));
    const places = async (start?: number) => {
      const png = await drawn(start);
      return frames.map(({ block }) => find(block.pixels, png));
    };
    // 12 around it; the title 21, a gap of 8, the words 17, a gap of 4.
    const place = [12, 12 + 21 + 8 + 17 + 4];
    expect(await places()).toEqual([undefined, undefined, place]);
    expect(await places(0)).toEqual([place, undefined, undefined]);
  });

  test("holds a picture over a photo at its own opacity", async () => {
    const [below, above] = [noise(40, 30, 8).pixels, noise(40, 30, 9).pixels];
    const png = await decoded(
      new Figure({ title: "", blocks: [{ kind: "blend", below, above, opacity: 0.25, alt: "" }] }),
    );
    const data = Uint8Array.from(below.data, (byte, i) => Math.round(0.75 * byte + 0.25 * above.data[i]));
    expect(find({ data, width: 40, height: 30 }, png)).toBeDefined();
  });

  test("lays transparent places on white", async () => {
    const data = new Uint8Array(30 * 30 * 4);
    const picture: Picture = { kind: "picture", pixels: { data, width: 30, height: 30 }, alt: "nothing" };
    const png = await decoded(new Figure({ title: "", blocks: [picture] }));
    expect(png.data.every((byte) => byte === 255)).toBe(true);
  });

  test("wraps titles and captions, broken words too, rather than growing wide", async () => {
    const png = await decoded(
      new Figure({
        title: "W".repeat(300),
        caption: "word ".repeat(100) + "x".repeat(500),
        blocks: [noise(40, 40, 4)],
      }),
    );
    expect(png.width).toBe(480 + 24);
    expect(png.height).toBeGreaterThan(12 + 21 * 5 + 40 + 17 * 8);
    // No letter was cut off: the margins are white.
    for (let y = 0; y < png.height; y++) {
      for (const x of [0, 6, 11, png.width - 11, png.width - 1]) expect(png.data[(y * png.width + x) * 3]).toBe(255);
    }
  });

  test("cuts long labels of bars", async () => {
    const bars = (label: string) =>
      new Figure({ title: "Bars", blocks: [{ kind: "bars", width: 260, rows: [{ label, value: 1, text: "100 %" }] }] });
    expect((await decoded(bars("a terrier of many names ".repeat(20)))).width).toBeLessThan(12 + 320 + 20 + 260 + 60);
  });

  test("draws the first and the last rows of a long table", async () => {
    const table = (count: number) =>
      new Figure({
        title: "Table",
        blocks: [{
          kind: "table",
          columns: [{ title: "layer" }, { title: "output", align: "right" }],
          rows: Array.from({ length: count }, (_, i) => [`layer ${i}`, "1×1"]),
        }],
      });
    const [forty, fortyOne, long] = await Promise.all([40, 41, 400].map((count) => decoded(table(count))));
    expect(forty.height).toBe(12 + 21 + 8 + 19 * 41 + 4 + 12);
    expect(fortyOne.height).toBe(forty.height + 19);
    expect(long.height).toBe(fortyOne.height);
    expect(inkedRows(long).length).toBeGreaterThan(inkedRows(forty).length);
  });

  test("draws words that look like markup", async () => {
    const evil = `</svg><script>&"'`;
    const png = await decoded(
      new Figure({
        title: evil,
        caption: evil,
        blocks: [
          { ...noise(30, 30, 5), heading: evil, note: evil, alt: evil },
          { kind: "table", columns: [{ title: evil }], rows: [[evil]] },
          { kind: "bars", width: 50, rows: [{ label: evil, value: 2, text: evil }] },
        ],
      }),
    );
    expect(find(noise(30, 30, 5).pixels, png)).toBeDefined();
  });

  test("leaves out what would make it taller than 12,000 pixels, and says so", async () => {
    const blocks = Array.from({ length: 130 }, (_, i) => noise(20, 300, i));
    const png = await decoded(new Figure({ title: "Tall", blocks }));
    const kept = Math.floor(12_000 / 308);
    expect(png.height).toBe(12 + 21 + kept * 308 + 8 + 18 + 12);
    const bottom = png.data.subarray((12 + 21 + 8 + (kept - 1) * 308) * png.width * 3);
    expect(find(blocks[kept - 1].pixels, { data: bottom, width: png.width, height: 300 })).toEqual([12, 0]);
    expect(inkedRows(png).some((y) => y > png.height - 12 - 18)).toBe(true);
  });
});
