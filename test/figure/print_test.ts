/** Figures for print and slides: their size, resolution, colours and arrangement. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { decodeBytes } from "../../lib/codec.ts";
import type { Block } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { mosaic } from "../../lib/figure/mosaic.ts";
import type { FigureSaveOptions } from "../../lib/figure/save.ts";
import { rgbOf } from "../../lib/page/disc.ts";
import { longTest } from "../long.ts";

let folder: string;
beforeAll(async () => {
  folder = await Deno.makeTempDir();
});
afterAll(() => Deno.remove(folder, { recursive: true }));

const grey = (width: number, height: number): Block => ({
  kind: "picture",
  pixels: { data: new Uint8Array(width * height * 3).fill(120), width, height },
  alt: "grey",
});
const tiles = (count: number, side = 28): Block => ({
  kind: "picture",
  ...mosaic({
    width: side,
    height: side,
    count,
    paint: (i) => new Uint8Array(side * side * 3).fill(2 * i + 30),
    label: String,
  }),
  alt: "tiles",
});
const chart: Block = {
  kind: "chart",
  alt: "a line",
  x: { title: "epoch" },
  y: { title: "loss" },
  series: [{ label: "training", x: [1, 2, 3], y: [3, 2, 1] }],
};
const long = "a label that is so long that it would not have been drawn to its end in a figure of an earlier version";
const figure = new Figure({
  title: "The title",
  caption: "The caption.",
  blocks: [
    tiles(40),
    { kind: "row", blocks: [chart, chart] },
    { kind: "bars", width: 240, rows: [{ label: long, value: 0.5, text: "50 %" }] },
    { kind: "table", columns: [{ title: "layer" }, { title: "what" }], rows: [["conv1", long]] },
  ],
});

/** Pixels to an inch, as the chunk pHYs says, and which chunks there are. */
function physical(png: Uint8Array): { dpi: number[]; chunks: string[] } {
  const view = new DataView(png.buffer, png.byteOffset);
  const dpi: number[] = [];
  const chunks: string[] = [];
  for (let at = 8; at < png.length; at += 12 + view.getUint32(at)) {
    const name = new TextDecoder().decode(png.subarray(at + 4, at + 8));
    chunks.push(name);
    if (name === "pHYs") dpi.push(view.getUint32(at + 8) * 0.0254, view.getUint32(at + 12) * 0.0254);
  }
  return { dpi, chunks };
}

async function saved(options: Partial<FigureSaveOptions>, of = figure) {
  await of.save(`${folder}/figure.png`, options);
  const png = await Deno.readFile(`${folder}/figure.png`);
  return { ...await decodeBytes(png, { name: "figure.png" }), ...physical(png) };
}

/** The size of an SVG, and of its drawing in pixels of the page. */
const sizesOf = (svg: string) =>
  svg.match(/^<svg [^>]*width="([\d.]+)" height="([\d.]+)" viewBox="0 0 ([\d.]+) ([\d.]+)"/)!.slice(1).map(Number);
const wordsOf = (svg: string) => [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, words]) => words);

describe("the size of a saved figure", () => {
  test("is the width that is asked for: the figure as it is, enlarged", async () => {
    const plain = await saved({});
    const wide = await saved({ width: 1920 });
    expect(wide.width).toBe(1920);
    expect(wide.height).toBeCloseTo(plain.height * 1920 / plain.width, -1);
  });

  test("is scaled", async () => {
    const plain = await saved({});
    const double = await saved({ scale: 2 });
    expect([double.width, double.height]).toEqual([2 * plain.width, 2 * plain.height]);
    expect(double.dpi[0]).toBeCloseTo(192, 1);
  });

  test("is that of a column of a paper, with its dpi in the PNG and words as large as in print", async () => {
    const column = await saved({ width: 1050, dpi: 300 });
    expect(column.width).toBe(1050);
    expect(column.dpi).toHaveLength(2);
    for (const dpi of column.dpi) expect(dpi).toBeCloseTo(300, 1);
    expect(column.chunks).not.toContain("iCCP");
    // 3.5 inches are 336 pixels of the page.
    const [width, , page] = sizesOf(await figure.svg({ width: 1050, dpi: 300 }));
    expect([width, page]).toEqual([336, 336]);
    expect((await saved({ dpi: 300 })).width).toBeCloseTo((await saved({})).width * 300 / 96, -1);
  });

  test.each([["3.5in", 1050], ["88.9mm", 1050], ["8.89 cm", 1050], ["252pt", 1050]])(
    "is a width on paper, %s, of 300 dpi",
    async (width, pixels) => {
      const found = await saved({ width });
      expect(found.width).toBe(pixels);
      expect(found.dpi[0]).toBeCloseTo(300, 1);
    },
  );

  longTest("is the same on paper as SVG and PDF", async () => {
    for (const options of [{ width: "85mm" }, { width: 1000, dpi: 300 }, { width: 800 }, { scale: 2 }, { dpi: 150 }]) {
      const { width, dpi } = await saved(options);
      const inches = width / dpi[0];
      expect(sizesOf(await figure.svg(options))[0] / 96, JSON.stringify(options)).toBeCloseTo(inches, 2);
      const pdf = new TextDecoder("latin1").decode(await figure.pdf(options));
      expect(Number(pdf.match(/\/MediaBox \[0 0 ([\d.]+)/)![1]) / 72, JSON.stringify(options)).toBeCloseTo(inches, 2);
    }
  });

  test("leaves nothing beyond the edge, at any width: all is wrapped, arranged anew or drawn smaller", async () => {
    for (const width of [130, 300, 700, 2400]) {
      const svg = await figure.svg({ width, scale: 1 });
      const [, , page] = sizesOf(svg);
      expect(page).toBe(width);
      for (const [, x, length] of svg.matchAll(/<text x="([\d.-]+)" [^>]*textLength="([\d.]+)"/g)) {
        expect(Number(x) + Number(length)).toBeLessThanOrEqual(Math.max(width, 1000));
      }
      expect(wordsOf(svg).join(" ")).not.toContain("…");
    }
  });

  test("is refused where words could not be read, or no picture be so large", async () => {
    await expect(figure.png({ width: 100, scale: 1 })).rejects.toThrow(
      "A figure of the width 100 at scale 1 leaves a page of 100 pixels, and needs 120 (1.25 inches) for its words. " +
        "Give a larger width, or a smaller scale.",
    );
    await expect(figure.svg({ width: "1in" })).rejects.toThrow("Give a larger width, or a smaller dpi.");
    await expect(figure.png({ scale: 100 })).rejects.toThrow(
      /^A PNG has at most 30000 pixels a side: .* save it as \.pdf/,
    );
  });
});

describe("the look of a saved figure", () => {
  test("is dark where that is asked for: ground, words, charts", async () => {
    const dark = await saved({ theme: "dark" });
    expect([...dark.data.subarray(0, 3)]).toEqual(rgbOf("#14171c"));
    expect([...(await saved({})).data.subarray(0, 3)]).toEqual([255, 255, 255]);
    const svg = await figure.svg({ theme: "dark" });
    expect(svg).not.toMatch(/#ffffff|#1a1a1a|#555555/);
    await figure.save(`${folder}/dark.html`, { theme: "dark" });
    expect(await Deno.readTextFile(`${folder}/dark.html`)).toContain('name="color-scheme" content="dark"');
  });

  test("has another title, or none, and no caption", async () => {
    expect(wordsOf(await figure.svg()).at(0)).toBe("The title");
    const bare = wordsOf(await figure.svg({ title: false, caption: false }));
    expect(bare).not.toContain("The title");
    expect(bare).not.toContain("The caption.");
    expect(wordsOf(await figure.svg({ title: "Fig. 3 <b>" }))[0]).toBe("Fig. 3 &lt;b&gt;");
    expect((await saved({ title: false })).height).toBeLessThan((await saved({})).height);
    await figure.save(`${folder}/bare.html`, { title: false, caption: false });
    const page = await Deno.readTextFile(`${folder}/bare.html`);
    expect(page.match(/The title/g)).toHaveLength(1);
    expect(page).toContain("<title>The title</title>");
    expect(page).not.toContain("The caption.");
  });

  test("has long labels to their end, broken into lines", async () => {
    const words = wordsOf(await figure.svg()).join(" ");
    expect(words.split(long)).toHaveLength(3);
  });

  test("has the labels and the names of a chart to their end", async () => {
    const names = ["integrated gradients", "occlusion with a large square", "saliency", "guided backprop"];
    const series = ["first", "second"].map((label) => ({
      label: `${label}: ${long}`,
      x: [0, 1, 2, 3],
      y: [1, 2, 3, 4],
    }));
    for (const width of [400, 260]) {
      const named: Block = { ...chart, width, names, series };
      const svg = await new Figure({ title: "t", blocks: [named] }).svg();
      const words = wordsOf(svg).join(" ");
      for (const whole of [...names, `first: ${long}`, `second: ${long}`]) expect(words).toContain(whole);
    }
  });

  test("has so many tiles side by side, or pictures where there are no tiles", async () => {
    const gridOf = async (columns?: number) => {
      const html = await new Figure({ title: "t", blocks: [tiles(40)] }).html({ columns });
      return Number(html.match(/"columns":(\d+)/)![1]);
    };
    expect(await gridOf(4)).toBe(4);
    expect(await gridOf(100)).toBe(40);
    const row = new Figure({
      title: "t",
      blocks: [{ kind: "row", blocks: Array.from({ length: 6 }, () => grey(90, 60)) }],
    });
    const places = async (options: Partial<FigureSaveOptions>) => {
      const svg = await row.svg(options);
      return [...svg.matchAll(/<image x="([\d.]+)" y="([\d.]+)"/g)].map(([, x]) => Number(x));
    };
    expect(new Set(await places({})).size).toBe(6);
    expect(new Set(await places({ columns: 2 })).size).toBe(2);
    // In a narrow column the row is kept that was asked for.
    expect(new Set(await places({ columns: 6, width: "60mm" })).size).toBe(6);
    await expect(new Figure({ title: "t", blocks: [chart] }).png({ columns: 2 })).rejects.toThrow(
      "columns: 2 finds nothing to arrange: this figure has no grid of pictures and none side by side.",
    );
  });

  test("fills its canvas with a map: without blank margins, the legend below it in a narrow column", async () => {
    const data = Float32Array.from({ length: 80 }, (_, i) => i % 2 ? 0.2 * Math.sin(i) : i / 40);
    const labels = Array.from({ length: 40 }, (_, i) => i % 2 ? "cat" : "dog");
    const map = mapFigure({ title: "map", points: ndarray(data, [40, 2]), labels });
    // Of five times the width of its height, on a page of 930 pixels and in a column.
    const heights = await Promise.all([{}, { width: 321, scale: 1 }, { width: 1920, scale: 2 }].map(async (options) => {
      const svg = await map.svg(options);
      expect(wordsOf(svg)).toEqual(["map", "label", "cat", "20", "dog", "20"]);
      const [, , width, height] = sizesOf(svg);
      const [, left] = svg.match(/translate\((\d+) \d+\)">(?:<rect [^>]*>)?<text [^>]*>label</)!;
      expect(Number(left) === 0, JSON.stringify(options)).toBe(width < 400);
      return height;
    }));
    expect(heights[0]).toBeLessThan(240);
    expect(heights[1]).toBeLessThan(280);
    expect(heights[2]).toBeGreaterThan(heights[0]);
    expect(new TextDecoder().decode((await map.pdf({ width: "85mm" })).subarray(0, 5))).toBe("%PDF-");
    // What a script is put in place of stays as it was.
    expect(await map.html()).toMatch(/alt="A map of 40 points[^>]*height="560"/);
  });

  test("keeps pixels sharp where they are enlarged", async () => {
    const checks = new Uint8Array(4 * 4 * 3).map((_, i) => (Math.floor(i / 3) % 4 + Math.floor(i / 12)) % 2 ? 0 : 255);
    const small: Block = { kind: "picture", pixels: { data: checks, width: 4, height: 4 }, alt: "checks" };
    const { data } = await saved({ scale: 8, title: false }, new Figure({ title: "t", blocks: [small] }));
    const colors = new Set(Array.from({ length: data.length / 3 }, (_, i) => data[3 * i]));
    expect([...colors].sort()).toEqual([0, 255]);
  });
});

describe("what cannot be", () => {
  test.each([
    [{ widht: 800 }, 'save has no option "widht". The nearest: "width"'],
    [{ width: 0 }, "width must be a number of pixels above 0, or a length as"],
    [{ width: "wide" }, 'received "wide"'],
    [{ width: "-3cm" }, 'received "-3cm"'],
    [{ scale: -1 }, "scale must be a number above 0"],
    [{ dpi: 0 }, "dpi must be a number from 1 to 10000"],
    [{ theme: "sepia" }, 'theme must be "light" or "dark"'],
    [{ columns: 0 }, "columns must be a whole number ≥ 1"],
    [{ title: 3 }, "title must be true, false or another title"],
    [{ caption: "no" }, "caption must be true or false"],
  ])("is refused, and nothing written: %o", async (options, message) => {
    await expect(figure.save(`${folder}/none.png`, options as Partial<FigureSaveOptions>)).rejects.toThrow(message);
    await expect(Deno.stat(`${folder}/none.png`)).rejects.toThrow(Deno.errors.NotFound);
  });

  test("is a size of a page that is as wide as its window", async () => {
    for (const option of [{ width: 800 }, { scale: 2 }, { dpi: 300 }]) {
      await expect(figure.save(`${folder}/none.html`, option)).rejects.toThrow(
        `${Object.keys(option)[0]} is for .png, .svg and .pdf; an HTML page is as wide as its window. Leave it out.`,
      );
    }
  });
});
