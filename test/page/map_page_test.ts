/// <reference lib="dom" />
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Figure } from "../../lib/figure/figure.ts";
import { gridBlock } from "../../lib/figure/grid.ts";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { openBrowser } from "../browser/browser.ts";
import { ALL } from "../long.ts";

const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
// Clicks in a real browser take their time: in CI.
const ready = ALL && await Deno.stat(CHROMIUM).then(() => true, () => false);
if (!ready && ALL) {
  throw new Error(`There is no Chromium at ${CHROMIUM}; set CHROMIUM to where it is.`);
}

const side = 16;
const thumbnails = {
  side,
  data: new Uint8Array(30 * side * side * 3).map((_, i) => 8 * Math.floor(i / (side * side * 3))),
};
const labels = Array.from({ length: 30 }, (_, i) => ["bird", "cat", "dog"][Math.floor(i / 10)]);
/** Three rows of ten points, one behind another in space. */
const map = (axes: 2 | 3) =>
  mapFigure({
    title: "rows",
    points: {
      data: Float32Array.from({ length: 30 * axes }, (_, i) => {
        const point = Math.floor(i / axes);
        return i % axes === 0 ? point % 10 : Math.floor(point / 10) * 5;
      }),
      shape: [30, axes],
    },
    labels,
    ids: labels.map((_, i) => `image-${i}`),
    columns: { place: labels.map((_, i) => i) },
    neighbors: { k: 2, indices: Array.from({ length: 60 }, (_, i) => i < 2 ? 9 - i : Math.max(0, (i >> 1) - 1)) },
    thumbnails,
  });

describe.skipIf(!ready)("maps and grids in a page without Jupyter, in Chromium", () => {
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  async function open(figure: Figure) {
    await page?.close();
    page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
    errors.length = 0;
    page.on("pageerror", (error) => errors.push(error.message));
    await page.setContent(`<!doctype html><body>${await figure.html()}`);
  }
  const panel = () => page.locator(".convlens-panel");
  const tiles = () => page.locator(".convlens-listed");
  const drawn = () => page.locator('.convlens-map[data-live="drawn"]').waitFor();

  test.each([2, 3] as const)(
    "a map of %i axes takes the place of its picture, finds, lists and clears",
    async (axes) => {
      await open(map(axes));
      await drawn();
      expect(await page.locator(".convlens-map > div > img").count()).toBe(0);
      await page.locator(".convlens-search").fill("cat");
      await expect.poll(() => panel().textContent()).toMatch(/^10 of 30 images with “cat”: cat 10clear/);
      expect(await tiles().count()).toBe(10);
      expect(await tiles().first().getAttribute("title")).toBe("image-10\nlabel: cat\nplace: 10");
      await page.getByRole("button", { name: "clear" }).click();
      expect(await panel().textContent()).toBe("");
      expect(await page.locator(".convlens-search").inputValue()).toBe("");
      await page.locator(".convlens-color").selectOption({ label: "place" });
      expect(errors).toEqual([]);
    },
  );

  test("a map in space names the point under the pointer, lights its neighbours up, and lists a lasso", async () => {
    await open(map(3));
    await drawn();
    const canvas = (await page.locator(".convlens-plot canvas").boundingBox())!;
    const tip = page.locator(".convlens-map-tip");
    // Along the middle of the map until a point is met.
    let met = "";
    for (let y = 40; y < canvas.height - 40 && !met; y += 10) {
      for (let x = 40; x < canvas.width - 40 && !met; x += 10) {
        await page.mouse.move(canvas.x + x, canvas.y + y);
        if (await tip.isVisible()) met = (await tip.textContent())!;
      }
    }
    expect(met).toMatch(/^image-(\d+)label: (bird|cat|dog)place: \1$/);
    await page.mouse.down();
    await page.mouse.up();
    expect(await panel().textContent()).toMatch(/^image-\d+ and its 2 true neighbours, the nearest first/);
    expect(await page.locator(".convlens-thumbnail").count()).toBeGreaterThan(2);
    await page.locator(".convlens-lasso").click();
    const corners = [[1, 1], [canvas.width - 2, 1], [canvas.width - 2, canvas.height - 2], [1, canvas.height - 2]];
    for (const [i, [x, y]] of corners.entries()) {
      await page.mouse.move(canvas.x + x, canvas.y + y);
      if (i === 0) await page.mouse.down();
    }
    await page.mouse.up();
    expect(await panel().textContent()).toMatch(/^30 of 30 images in the lasso: bird 10, cat 10, dog 10/);
    await page.locator(".convlens-class").first().click();
    expect(await page.locator(".convlens-class").first().getAttribute("aria-pressed")).toBe("false");
    expect(errors).toEqual([]);
  });

  test("a grid zooms, moves, and names its images", async () => {
    const cells = Array.from({ length: 36 }, (_, i) => i < 30 ? i : -1);
    const words = (i: number) => `image ${i}`;
    await open(
      new Figure({
        title: "a grid",
        blocks: [gridBlock({ rows: 6, columns: 6, cells, thumbnails, words, alt: "a grid" })],
      }),
    );
    const view = page.locator(".convlens-grid-view");
    const box = (await view.boundingBox())!;
    const tip = page.locator(".convlens-grid-tip");
    await page.mouse.move(box.x + box.width * 1.5 / 6, box.y + box.height * 2.5 / 6);
    expect(await tip.textContent()).toBe("image 13");
    await page.mouse.wheel(0, -150);
    const scale = () => page.locator(".convlens-grid").getAttribute("data-scale").then(Number);
    await expect.poll(scale).toBeCloseTo(Math.exp(0.5), 2);
    await page.mouse.move(box.x + box.width * 5.9 / 6, box.y + 2);
    expect(await tip.isVisible()).toBe(true);
    await view.dblclick();
    expect(await scale()).toBe(1);
    await page.mouse.move(box.x + box.width * 5.5 / 6, box.y + box.height * 5.5 / 6);
    expect(await tip.isVisible()).toBe(false);
    expect(errors).toEqual([]);
  });
});
