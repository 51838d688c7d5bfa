/// <reference lib="dom" />
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Picture } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { mosaic } from "../../lib/figure/mosaic.ts";
import { openBrowser } from "../browser/browser.ts";

const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
const ready = await Deno.stat(CHROMIUM).then(() => true, () => false);
if (!ready && Deno.env.get("CONVLENS_TEST_ALL")) {
  throw new Error(`There is no Chromium at ${CHROMIUM}; set CHROMIUM to where it is.`);
}

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
const STEP = grid.tile[0] + 1;

interface Seen {
  tip: { text: string; left: number; top: number; right: number; bottom: number } | null;
  ring: { left: number; top: number; width: number; height: number } | null;
}

/** What the hover shows. */
function seen(page: Page): Promise<Seen> {
  return page.evaluate(() => {
    const [tip, ring] = ["99999", "99998"].map((layer) =>
      Array.from(document.body.children).find((element) =>
        (element as HTMLElement).style.zIndex === layer && (element as HTMLElement).style.display === "block"
      ) as HTMLElement | undefined
    );
    const box = (element: HTMLElement) => {
      const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
      return { left, top, right, bottom, width, height };
    };
    return {
      tip: tip ? { ...box(tip), text: tip.textContent ?? "" } : null,
      ring: ring ? box(ring) : null,
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
        expect(ring!.left).toBeCloseTo(box.x + (column * STEP + 1) * zoom, 0);
        expect(ring!.top).toBeCloseTo(box.y + (row * STEP + 1) * zoom, 0);
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
    const gone = async () => expect(await seen(page)).toEqual({ tip: null, ring: null });
    await moveTo(3, 2);
    await gone();
    const { box } = await moveTo(1, 1);
    expect((await seen(page)).tip).not.toBeNull();
    await page.mouse.move(box.x + box.width + 40, box.y + 10);
    await gone();
    await moveTo(1, 1);
    await page.evaluate(() => scrollBy(0, 5));
    await expect.poll(() => seen(page)).toEqual({ tip: null, ring: null });
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
