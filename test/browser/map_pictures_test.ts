/// <reference lib="dom" />
/** Pictures on the points of a map, in a page of its own. */

import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { FRAME, pictureSide } from "../../lib/page/pictures.ts";
import { longTest } from "../long.ts";
import { browserAndFolder, chromiumIsReady } from "./browser.ts";

const ready = await chromiumIsReady();

const COUNT = 12;
/** Points far apart on a circle, the pictures of which are of one shade of green. */
function circle(dimensions: 2 | 3, pictures?: boolean) {
  const data = Float32Array.from({ length: COUNT * dimensions }, (_, e) => {
    const angle = 2 * Math.PI * Math.floor(e / dimensions) / COUNT;
    return [Math.cos(angle), Math.sin(angle), 0][e % dimensions];
  });
  return mapFigure({
    title: "circle",
    points: { data, shape: [COUNT, dimensions] },
    labels: Array.from({ length: COUNT }, (_, i) => i % 2 ? "odd" : "even"),
    neighbors: { k: 1, indices: Array.from({ length: COUNT }, (_, i) => (i + 1) % COUNT) },
    thumbnails: { side: 16, data: new Uint8Array(COUNT * 768).map((_, i) => [20, 200, 60][i % 3]) },
    pictures,
  });
}

describe.skipIf(!ready)("pictures on a map", () => {
  const own = browserAndFolder();

  const open = async (dimensions: 2 | 3, pictures?: boolean): Promise<Page> => {
    await circle(dimensions, pictures).save(`${own.folder}/map.html`);
    const page = await own.browser.newPage({ viewport: { width: 900, height: 800 } });
    await page.goto(`file://${own.folder}/map.html`);
    await page.locator(".convlens-map[data-live=drawn]").waitFor({ timeout: 60_000 });
    return page;
  };
  /** How many pixels of the map's uppermost canvas are of a colour, within 20 of 255. */
  const painted = (page: Page, color: number[]) =>
    page.locator(".convlens-plot").evaluate((plot, color) => {
      const canvas = [...plot.querySelectorAll(":scope > canvas")].at(-1) as HTMLCanvasElement | undefined;
      if (!canvas?.width) return 0;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (color.every((value, c) => Math.abs(data[at + c] - value) <= 20)) found++;
      }
      return found;
    }, color);
  const green = (page: Page) => painted(page, [20, 200, 60]);
  const whole = COUNT * Math.round(pictureSide(COUNT)) ** 2;

  longTest.each([2, 3] as const)(
    "of %i dimensions change with the zoom, and a button takes them away",
    async (dimensions) => {
      const page = await open(dimensions);
      const shown = page.locator(".convlens-pictures");
      expect(await shown.getAttribute("aria-pressed")).toBe("true");
      // In space near ones are larger, far ones smaller, and some are partly hidden.
      await expect.poll(() => green(page)).toBeGreaterThan(dimensions === 2 ? 0.99 * whole : 0.6 * whole);
      const before = await green(page);
      // All stay in sight while it is zoomed a little.
      const box = (await page.locator(".convlens-plot").boundingBox())!;
      await page.mouse.move(box.x + 280, box.y + 280);
      await page.mouse.wheel(0, dimensions === 2 ? -60 : -30);
      if (dimensions === 2) await expect.poll(() => green(page)).toBeGreaterThan(1.02 * before);
      else await expect.poll(() => green(page)).not.toBe(before);
      await shown.click();
      await expect.poll(() => green(page)).toBe(0);
      await shown.click();
      await expect.poll(() => green(page)).toBeGreaterThan(0.6 * before);
      await page.close();
    },
  );

  longTest("leave with their class, and with what a search does not find", async () => {
    const page = await open(2);
    await expect.poll(() => green(page)).toBeGreaterThan(0.99 * whole);
    await page.locator(".convlens-plot .legendtoggle").first().click();
    await expect.poll(() => green(page)).toBeLessThan(0.51 * whole);
    await page.locator(".convlens-plot .legendtoggle").first().click();
    await expect.poll(() => green(page)).toBeGreaterThan(0.99 * whole);
    await page.locator(".convlens-search").fill("odd");
    await expect.poll(() => green(page)).toBeLessThan(0.51 * whole);
    await page.close();
  });

  longTest(
    "show a chosen point and its neighbour in frames of their own, and are hidden unless asked for",
    async () => {
      const page = await open(2);
      await expect.poll(() => green(page)).toBeGreaterThan(0.99 * whole);
      // The first point: the rightmost.
      const [x, y] = await page.locator(".convlens-plot").evaluate((plot) => {
        const { xaxis, yaxis } = (plot as unknown as {
          _fullLayout: Record<string, { l2p(value: number): number; _offset: number }>;
        })._fullLayout;
        const box = plot.getBoundingClientRect();
        return [box.left + xaxis._offset + xaxis.l2p(1), box.top + yaxis._offset + yaxis.l2p(0)];
      });
      await page.mouse.move(x, y, { steps: 4 });
      await page.locator(".convlens-map-tip").waitFor({ state: "visible" });
      await page.mouse.click(x, y);
      const frame = 4 * 2 * FRAME * Math.round(pictureSide(COUNT));
      await expect.poll(() => painted(page, [214, 0, 108])).toBeGreaterThan(frame);
      expect(await painted(page, [17, 17, 17])).toBeGreaterThan(frame);
      await page.close();
      const bare = await open(2, false);
      expect(await green(bare)).toBe(0);
      expect(await bare.locator(".convlens-pictures").getAttribute("aria-pressed")).toBe("false");
      await bare.locator(".convlens-pictures").click();
      await expect.poll(() => green(bare)).toBeGreaterThan(0.99 * whole);
      await bare.close();
    },
  );
});
