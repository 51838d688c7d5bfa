/** Figures of any size can be shown: what is too large is drawn smaller or in part, and the figure says so. */

import { describe, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import type { Block, Picture } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { mosaic } from "../../lib/figure/mosaic.ts";
import { longTest } from "../long.ts";

function picture(width: number, height: number): Picture {
  return {
    kind: "picture",
    pixels: { data: new Uint8Array(width * height * 3).fill(80), width, height },
    alt: "plain",
  };
}

const figureOf = (...blocks: Block[]) => new Figure({ title: "large", caption: "", blocks, text: "large" });

const names = (count: number) => Array.from({ length: count }, (_, i) => `class ${i}`);

/** The bundle of a figure, the size of its PNG, and what its PNG says (as SVG text). */
async function shown(figure: Figure) {
  const bundle = await figure.bundle();
  const { width, height } = await decodeBytes(Uint8Array.fromBase64(bundle["image/png"] as string), {
    name: "the figure",
  });
  return { html: String(bundle["text/html"]), width, height, svg: await figure.svg() };
}

function tiles(count: number, side = 2, columns?: number): Block {
  const paint = () => new Uint8Array(side * side * 3);
  return {
    kind: "picture",
    ...mosaic({ width: side, height: side, count, columns, paint, label: (i) => `tile ${i}` }),
    alt: "tiles",
  };
}

describe("a picture", () => {
  test.each([[17_000, 8], [40_000, 3], [3, 40_000]])("of %i×%i pixels is drawn smaller, and says so", async (w, h) => {
    const { svg, html, width, height } = await shown(figureOf(picture(w, h)));
    expect(Math.max(width, height)).toBeLessThan(12_500);
    expect(svg).toMatch(new RegExp(`Drawn smaller: \\d+×\\d+ of ${w}×${h} pixels`));
    expect(html).toContain("<img");
  });

  test("of a usual size is drawn as it is", async () => {
    expect((await shown(figureOf(picture(2000, 8)))).svg).not.toContain("Drawn smaller");
  });
});

describe("a mosaic", () => {
  test("of many tiles has smaller ones, each of them there", () => {
    const { pixels, grid } = mosaic({
      width: 2,
      height: 2,
      count: 20_000,
      paint: () => new Uint8Array(12),
      label: String,
    });
    expect(pixels.height).toBeLessThanOrEqual(10_001);
    expect(grid.tile[0]).toBeLessThan(24);
    expect([grid.labels.length, grid.left]).toEqual([20_000, undefined]);
  });

  test("of 100,000 tiles is drawn in part where they do not fit, and says how many are left out", async () => {
    const { html, svg } = await shown(figureOf(tiles(100_000, 12)));
    const [, drawn, left] = html.match(/The first (\d+) of 100000 are drawn; (\d+) are left out/)!;
    expect(Number(drawn) + Number(left)).toBe(100_000);
    expect(Number(drawn)).toBeGreaterThan(10_000);
    expect(svg).toContain(`The first ${drawn} of 100000 are drawn`);
  });
});

describe("words", () => {
  test("10,000 bars: the first and the last are drawn, the page has all", async () => {
    const rows = names(10_000).map((label, i) => ({ label, value: i / 10_000, text: `${i}` }));
    const { html, svg } = await shown(figureOf({ kind: "bars", width: 200, rows }));
    expect(svg).toContain("class 9999");
    expect(svg).toContain("The first 30 and the last 10; 9960 are left out.");
    expect(html).toContain("class 5000");
  });

  longTest("a chart of 10,000 names and one of 10,000 series", async () => {
    const axis = { x: { title: "" }, y: { title: "share" } };
    const x = names(10_000).map((_, i) => i);
    const many = names(10_000).map((label, i) => ({ label, x: [0, 1], y: [0, i] }));
    const { svg, height } = await shown(figureOf(
      { kind: "chart", alt: "names", ...axis, names: names(10_000), series: [{ label: "a", x, y: x, as: "bars" }] },
      { kind: "chart", alt: "series", ...axis, series: many },
    ));
    expect(svg).toMatch(/… and \d+ more/);
    expect(height).toBeLessThan(12_500);
  });

  test("a title and a caption of 100,000 letters", async () => {
    const words = "convolution ".repeat(8_000);
    const figure = new Figure({ title: words, caption: words, blocks: [picture(10, 10)], text: "" });
    const { html, height } = await shown(figure);
    expect(height).toBeLessThan(12_500);
    expect(html).toContain(words.trim());
  });
});

test("a row of 500 pictures is broken", async () => {
  const { width, svg } = await shown(
    figureOf({ kind: "row", blocks: Array.from({ length: 500 }, () => picture(100, 20)) }),
  );
  expect(width).toBeLessThan(6_100);
  expect(svg.match(/<image /g)).toHaveLength(500);
});

longTest("a table of 200,000 rows", async () => {
  const columns = [{ title: "id" }, { title: "class" }];
  const rows = names(200_000).map((name, i) => [String(i), name]);
  const { svg } = await shown(figureOf({ kind: "table", columns, rows }));
  expect(svg).toContain("… 199960 rows left out …");
});
