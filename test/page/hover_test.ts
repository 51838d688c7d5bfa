/// <reference lib="dom" />
import sharp from "sharp";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import type { Block, Chart, Picture } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { mosaic } from "../../lib/figure/mosaic.ts";
import { chromiumIsReady, openBrowser } from "../browser/browser.ts";
import { ALL } from "../long.ts";

// Clicks in a real browser take their time: in CI.
const ready = ALL && await chromiumIsReady();

/** Thirteen tiles of 16 cells, each of one shade. */
const { pixels, grid } = mosaic({
  width: 16,
  height: 16,
  count: 13,
  columns: 5,
  paint: (i) => new Uint8Array(16 * 16 * 3).fill(10 * i),
  label: (i) => `channel ${i}\n<img src=x onerror="document.title='broken'">`,
});
const picture: Picture = { kind: "picture", pixels, grid, alt: "thirteen shades" };
const GUTTER = grid.gutter ?? 1;
const STEP = grid.tile[0] + GUTTER;

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
  width: number;
  height: number;
}

/** What the hover shows: words, a ring around what they tell of, a mark on another picture, a line through a chart. */
interface Seen {
  tip: Box & { text: string } | null;
  ring: Box | null;
  mark: Box & { fill: string } | null;
  line: Box | null;
}

const NOTHING: Seen = { tip: null, ring: null, mark: null, line: null };

function seen(page: Page): Promise<Seen> {
  return page.evaluate(() => {
    const [tip, ring, mark, line] = ["99999", "99998", "99997", "99996"].map((layer) =>
      Array.from(document.body.children).find((element) =>
        (element as HTMLElement).style.zIndex === layer && (element as HTMLElement).style.display === "block"
      ) as HTMLElement | undefined
    );
    const box = (element: HTMLElement) => {
      const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
      return { left, top, right, bottom, width, height };
    };
    return {
      tip: tip ? { ...box(tip), text: tip.innerText } : null,
      ring: ring ? box(ring) : null,
      mark: mark ? { ...box(mark), fill: getComputedStyle(mark).backgroundColor } : null,
      line: line ? box(line) : null,
    };
  });
}

describe.skipIf(!ready)("hovering over a mosaic in Chromium", () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1000, height: 800 } });
    const html = await new Figure({ title: "Shades", blocks: [picture, { ...picture, heading: "Again" }] }).html();
    const script = html.match(/<script>[\s\S]*<\/script>/)![0];
    await page.setContent(`<body style="margin:0">${html}${script}<div style="height:2000px"></div>`);
  });
  afterAll(() => browser?.close());

  /** Moves the pointer to the middle of a place of the grid of picture `which`; where the picture stands, and how large. */
  async function moveTo(column: number, row: number, which = 0) {
    const box = (await page.locator("img[data-convlens]").nth(which).boundingBox())!;
    const zoom = box.width / pixels.width;
    await page.mouse.move(box.x + (column + 0.5) * STEP * zoom, box.y + (row + 0.5) * STEP * zoom);
    return { box, zoom };
  }

  test.each([[1000, 0], [1000, 1], [300, 0], [180, 1]])(
    "names the tile and rings it, in a window of %i pixels, in picture %i",
    async (width, which) => {
      await page.setViewportSize({ width, height: 1400 });
      for (const [column, row] of [[0, 0], [3, 1], [4, 0], [2, 2]]) {
        const { box, zoom } = await moveTo(column, row, which);
        if (width < 400) expect(zoom).toBeLessThan(1);
        else expect(zoom).toBe(1);
        const { tip, ring } = await seen(page);
        expect(tip!.text.split("\n")[0]).toBe(`channel ${row * 5 + column}`);
        expect(ring!.left).toBeCloseTo(box.x + (column * STEP + GUTTER) * zoom, 0);
        expect(ring!.top).toBeCloseTo(box.y + (row * STEP + GUTTER) * zoom, 0);
        expect(ring!.width).toBeCloseTo(grid.tile[0] * zoom, 0);
        expect(ring!.height).toBeCloseTo(grid.tile[1] * zoom, 0);
      }
    },
  );

  test("keeps the words within the window, beside the pointer", async () => {
    await page.setViewportSize({ width: 600, height: 150 });
    for (const [column, row] of [[4, 0], [0, 1], [2, 1]]) {
      const { box, zoom } = await moveTo(column, row);
      const pointer = box.y + (row + 0.5) * STEP * zoom;
      if (pointer > 150) continue;
      const { tip } = await seen(page);
      expect(tip!.left).toBeGreaterThanOrEqual(0);
      expect(tip!.right).toBeLessThanOrEqual(600);
      expect(tip!.bottom).toBeLessThanOrEqual(150);
      expect(tip!.top > pointer || tip!.bottom < pointer).toBe(true);
    }
    await page.setViewportSize({ width: 1000, height: 800 });
  });

  test("shows labels as text", async () => {
    await moveTo(1, 0);
    expect((await seen(page)).tip!.text).toBe(`channel 1\n<img src=x onerror="document.title='broken'">`);
    expect(await page.title()).not.toBe("broken");
  });

  test("goes away over an empty place, beside the picture, on scrolling, and when the pointer leaves the page", async () => {
    const gone = async () => expect(await seen(page)).toEqual(NOTHING);
    await moveTo(3, 2);
    await gone();
    const { box } = await moveTo(1, 1);
    expect((await seen(page)).tip).not.toBeNull();
    await page.mouse.move(box.x + box.width + 40, box.y + 10);
    await gone();
    await moveTo(1, 1);
    await page.evaluate(() => scrollBy(0, 5));
    await expect.poll(() => seen(page)).toEqual(NOTHING);
    await moveTo(1, 1);
    expect((await seen(page)).tip).not.toBeNull();
    await page.locator("html").dispatchEvent("mouseleave");
    await gone();
  });

  test("is there once, however many figures carry it", async () => {
    await moveTo(0, 0);
    const count = await page.evaluate(() =>
      Array.from(document.body.children).filter((element) => (element as HTMLElement).style.zIndex === "99999").length
    );
    expect(count).toBe(1);
  });
});

describe.skipIf(!ready)("hovering in Chromium", () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  async function open(blocks: Block[], width = 900) {
    await page?.close();
    page = await browser.newPage({ viewport: { width, height: 700 } });
    await page.setContent(`<!doctype html><body>${await new Figure({ title: "A figure", blocks }).html()}`);
  }

  /** Moves the pointer to a place of a picture, given as shares of its width and height. */
  async function pointAt(which: number, x: number, y: number): Promise<Box> {
    const image = page.locator("figure img").nth(which);
    const { left, top, right, bottom, width, height } = await image.evaluate((image) => {
      const { left, top, right, bottom, width, height } = image.getBoundingClientRect();
      return { left, top, right, bottom, width, height };
    });
    await page.mouse.move(left + x * width, top + y * height);
    return { left, top, right, bottom, width, height };
  }

  const grey = (side: number): Picture["pixels"] => ({
    data: new Uint8Array(side * side * 3),
    width: side,
    height: side,
  });
  const values = ndarray([0.123456, -4.2e-5, 0, NaN, 12_345.6, 1], [2, 3]);

  test.each([900, 100])("a map reads its numbers, in a window of %i pixels", async (width) => {
    await open([{ kind: "picture", pixels: grey(120), values, alt: "a map" }], width);
    const words = [];
    for (let i = 0; i < 6; i++) {
      const box = await pointAt(0, ((i % 3) + 0.5) / 3, (Math.floor(i / 3) + 0.5) / 2);
      const { tip, ring } = await seen(page);
      words.push(tip!.text);
      expect(ring!.left).toBeCloseTo(box.left + (i % 3) * box.width / 3, 0);
      expect(ring!.top).toBeCloseTo(box.top + Math.floor(i / 3) * box.height / 2, 0);
      expect(ring!.width).toBeCloseTo(box.width / 3, 0);
    }
    expect(words.map((text) => text.split("   ")[0])).toEqual(["0.123", "−4.20e−5", "0", "none", "12300", "1.00"]);
    expect(words[4]).toContain("(row 1, column 1)");
  });

  test("a map of colours reads all of a cell's numbers", async () => {
    const pixels = grey(40);
    await open([{ kind: "picture", pixels, values: ndarray([1, 2, 3, -1, -2, -3], [1, 2, 3]), alt: "a map" }]);
    await pointAt(0, 0.75, 0.5);
    expect((await seen(page)).tip!.text).toBe("−1.00, −2.00, −3.00   (row 0, column 1)");
  });

  test("a tile marks its box on the other picture, cut to it", async () => {
    const photo: Picture = { kind: "picture", pixels: grey(100), alt: "a photo" };
    const tiles = { columns: 2, tile: [30, 30] as const, gutter: 0, labels: ["a", "b", "c", "d"] };
    const boxes = [[10, 20, 40, 70], [-20, 90, 20, 130], [0, 0, 100, 100], [50, 50, 60, 60]] as const;
    const filled: Picture = {
      kind: "picture",
      pixels: grey(60),
      grid: tiles,
      alt: "tiles",
      marks: { on: photo, boxes, fill: "#808080" },
    };
    await open([{ kind: "row", blocks: [photo, filled, { ...filled, marks: { on: photo, boxes } }] }]);
    const other = await pointAt(0, 0.5, 0.5);
    expect(await seen(page)).toEqual(NOTHING);
    await pointAt(1, 0.25, 0.25);
    let { tip, mark } = await seen(page);
    expect(tip!.text).toBe("a");
    expect(mark).toMatchObject({ left: other.left + 20, top: other.top + 10, width: 50, height: 30 });
    expect(mark!.fill).toBe("rgb(128, 128, 128)");
    await pointAt(2, 0.75, 0.25);
    ({ mark } = await seen(page));
    expect(mark).toMatchObject({ left: other.left + 90, top: other.top, right: other.right, height: 20 });
    expect(mark!.fill).toBe("rgba(0, 0, 0, 0)");
  });

  test("while a box is marked, what is around it and in it can be other pictures", async () => {
    const shade = (value: number) => ({ ...grey(100), data: grey(100).data.map(() => value) });
    const photo: Picture = {
      kind: "picture",
      pixels: grey(100),
      alt: "a photo",
      marked: { around: shade(60), inside: shade(255) },
    };
    const tiles = { columns: 2, tile: [30, 30] as const, gutter: 0, labels: ["a", "b", "c", "d"] };
    const boxes = [[10, 20, 40, 70], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]] as const;
    const map: Picture = { kind: "picture", pixels: grey(60), grid: tiles, alt: "tiles", marks: { on: photo, boxes } };
    await open([{ kind: "row", blocks: [photo, map] }]);
    const other = await pointAt(0, 0.5, 0.5);
    await pointAt(1, 0.25, 0.25);
    expect((await seen(page)).mark).toMatchObject({
      left: other.left + 20,
      top: other.top + 10,
      width: 50,
      height: 30,
    });
    const shot = await page.screenshot({ clip: { x: other.left, y: other.top, width: 100, height: 100 } });
    const { data, info } = await sharp(shot).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const at = (y: number, x: number) => data[(y * info.width + x) * 3];
    expect([at(5, 5), at(25, 45), at(90, 90)]).toEqual([60, 255, 60]);
  });

  test("the cell of a map without tiles marks its box too", async () => {
    const photo: Picture = { kind: "picture", pixels: grey(100), alt: "a photo" };
    const boxes = Array.from({ length: 6 }, (_, i) => [i, i, i + 10, i + 10] as const);
    const map: Picture = { kind: "picture", pixels: grey(60), values, alt: "map", marks: { on: photo, boxes } };
    await open([{ kind: "row", blocks: [map, photo] }]);
    const other = await pointAt(1, 0.5, 0.5);
    await pointAt(0, 0.9, 0.9);
    expect((await seen(page)).mark).toMatchObject({ left: other.left + 5, top: other.top + 5, width: 10 });
  });

  test("a map over a photo reads its numbers, also once the slider is there", async () => {
    await open([{ kind: "blend", below: grey(120), above: grey(120), values, alt: "a blend" }]);
    await pointAt(0, 0.1, 0.1);
    expect((await seen(page)).tip!.text).toBe("0.123   (row 0, column 0)");
  });

  const chart: Chart = {
    kind: "chart",
    alt: "loss",
    x: { title: "epoch", whole: true },
    y: { title: "loss", min: 0, max: 4 },
    series: [
      { label: "training", x: [1, 2, 3], y: [3, 2, 1] },
      { label: "<b>validation", x: [1, 2, 3], y: [3.5, NaN, 2], low: [3, 2, 1], high: [4, 3, 3] },
    ],
  };

  test.each([900, 240])("a chart reads all lines at the nearest place, in a window of %i pixels", async (width) => {
    await open([chart], width);
    const box = await pointAt(0, 0.16, 0.4);
    let { tip, line } = await seen(page);
    expect(tip!.text.split("\n")).toEqual(["epoch 1", "training: 3.000", "<b>validation: 3.500  (3.000 to 4.000)"]);
    expect(line!.left).toBeGreaterThan(box.left);
    expect(line!.left).toBeLessThan(box.left + 0.2 * box.width);
    // Without a number there, a line is left out.
    await pointAt(0, 0.4, 0.4);
    ({ tip, line } = await seen(page));
    expect(tip!.text.split("\n")).toEqual(["epoch 2", "training: 2.000"]);
    await pointAt(0, 0.4, 0.99);
    expect(await seen(page)).toEqual(NOTHING);
  });

  test("a chart of points reads the nearest point, within reach of it", async () => {
    const points: Chart = {
      kind: "chart",
      alt: "points",
      x: { title: "area", min: 0, max: 10 },
      y: { title: "energy", min: 0, max: 10 },
      series: [
        { label: "cats", as: "points", x: [5], y: [5] },
        { label: "dogs", as: "points", x: [5, 9], y: [9, 1] },
      ],
    };
    await open([points]);
    await pointAt(0, 0.515, 0.52);
    expect((await seen(page)).tip!.text.split("\n")).toEqual(["area 5", "cats: 5.000"]);
    await pointAt(0, 0.515, 0.3);
    expect((await seen(page)).tip!.text.split("\n")).toEqual(["area 5", "dogs: 9.000"]);
    await pointAt(0, 0.3, 0.6);
    expect(await seen(page)).toEqual(NOTHING);
  });

  test("a chart of names says the name", async () => {
    await open([{ ...chart, names: ["conv0", "conv1", "conv2", "conv3"], x: { title: "layer" } }]);
    await pointAt(0, 0.3, 0.4);
    expect((await seen(page)).tip!.text.split("\n")[0]).toBe("conv1");
  });

  test("a click on a bar shows its frame of the slides that the chart chooses of", async () => {
    const frames = [0, 1, 2].map((i) => ({
      label: `part ${i}`,
      block: { kind: "picture", pixels: grey(40 + 40 * i), alt: `frame ${i}` } as Picture,
    }));
    const bars: Chart = {
      kind: "chart",
      alt: "bars",
      x: { title: "part" },
      y: { title: "share", min: 0, max: 1 },
      series: [{ label: "share", as: "bars", x: [0, 1, 2], y: [0.2, 0.5, 0.8] }],
      names: ["part 0", "part 1", "part 2"],
      chooses: "part",
    };
    await open([bars, { kind: "slides", label: "part", frames, start: 0 }]);
    const where = () => page.locator(".convlens-where").first().textContent();
    expect(await where()).toBe("part part 0 · 1 of 3");
    await page.locator(".convlens-slides input").waitFor();
    const box = (await page.locator("img[data-convlens]").first().boundingBox())!;
    await page.mouse.move(box.x + 0.9 * box.width, box.y + 0.4 * box.height);
    expect(await page.locator("img[data-convlens]").first().evaluate((image) => image.style.cursor)).toBe("pointer");
    await page.mouse.click(box.x + 0.9 * box.width, box.y + 0.4 * box.height);
    expect(await where()).toBe("part part 2 · 3 of 3");
    await page.mouse.click(box.x + 0.5 * box.width, box.y + 0.7 * box.height);
    expect(await where()).toBe("part part 1 · 2 of 3");
  });
});
