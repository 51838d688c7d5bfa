/// <reference lib="dom" />
/** A map in space, in a page of its own. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { mapPoints } from "../../lib/figure/map/columns.ts";
import { bestView, project, type SpacePoints, type View } from "../../lib/page/view.ts";
import { uniforms } from "../nets.ts";
import { browserIsReady, openBrowser } from "./browser.ts";

const ready = await browserIsReady();

/** Three heaps of ten, a class each, far apart. */
const random = uniforms(2);
const names = ["bird", "cat", "dog"];
const heap = (i: number) => Math.floor(i / 10);
const points = {
  data: Float32Array.from(
    { length: 90 },
    (_, e) => (e % 3 === heap(Math.floor(e / 3)) ? 8 : 0) + 3 * random(),
  ),
  shape: [30, 3],
};
const labels = Array.from({ length: 30 }, (_, i) => names[heap(i)]);
const space = mapPoints(points) as SpacePoints;
const view = bestView(space);

/** The next one in the heap, and the first of the next heap. */
const indices = Int32Array.from(
  { length: 60 },
  (_, e) => e % 2 ? (10 * (heap(e >> 1) + 1)) % 30 : 10 * heap(e >> 1) + ((e >> 1) + 1) % 10,
);
const figure = mapFigure({
  title: "heaps",
  points,
  labels,
  ids: labels.map((_, i) => i === 3 ? "dogfish" : `image-${i}`),
  neighbors: { k: 2, indices },
  thumbnails: { side: 16, data: new Uint8Array(30 * 768).map((_, i) => 8 * Math.floor(i / 768)) },
  columns: { place: labels.map((_, i) => i) },
});

/** Where a point is seen on the screen. */
async function place(page: Page, i: number, from: View = view): Promise<[number, number]> {
  const box = (await page.locator(".convlens-plot canvas").boundingBox())!;
  const { u, v } = project(space, from);
  // As in the script: a margin for the dots, 9 pixels wide here.
  const scale = box.width / 2 - 0.75 * 9 - 2;
  return [box.x + box.width / 2 + u[i] * scale, box.y + box.height / 2 - v[i] * scale];
}

/** Of how many pixels the canvas is painted in a colour, within 12 of 255. */
const painted = (page: Page, color: [number, number, number]) =>
  page.locator(".convlens-plot canvas").evaluate(async (canvas, color) => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const { width, height } = canvas as HTMLCanvasElement;
    const { data } = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (color.every((value, c) => Math.abs(data[at + c] - value) <= 12)) found++;
    }
    return found;
  }, color);

/** The point of a heap that no other one covers: the nearest to the eye. */
function nearest(of: number): number {
  const { depth } = project(space, view);
  return Array.from({ length: 10 }, (_, i) => 10 * of + i).sort((a, b) => depth[b] - depth[a])[0];
}

describe.skipIf(!ready)("a map in space", () => {
  let browser: Browser;
  let folder: string;
  let page: Page;
  beforeAll(async () => {
    folder = await Deno.makeTempDir();
    await figure.save(`${folder}/map.html`);
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 900, height: 1000 } });
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => asked.push(error.message));
    await page.goto(`file://${folder}/map.html`);
    await page.locator(".convlens-map[data-live=drawn]").waitFor();
    expect(asked.filter((url) => !/^(file|data|blob):/.test(url))).toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    await Deno.remove(folder, { recursive: true });
  });
  const tip = () => page.locator(".convlens-map-tip");
  const panel = () => page.locator(".convlens-panel");

  test("shows the picture of the point under the pointer", async () => {
    expect(await page.locator(".convlens-map img").count()).toBe(0);
    const i = nearest(1);
    await page.mouse.move(...await place(page, i));
    await tip().waitFor({ state: "visible" });
    expect(await tip().innerText()).toBe(`image-${i}\nlabel: cat\nplace: ${i}`);
    expect(await tip().locator(".convlens-thumbnail").count()).toBe(1);
    const box = (await page.locator(".convlens-plot canvas").boundingBox())!;
    await page.mouse.move(box.x + 3, box.y + box.height - 3);
    await tip().waitFor({ state: "hidden" });
  });

  test("lights the true neighbours up on a click", async () => {
    const i = nearest(2);
    await page.mouse.click(...await place(page, i));
    await expect.poll(() => panel().innerText()).toContain(
      `image-${i} and its 2 true neighbours, the nearest first; `,
    );
    expect(await panel().innerText()).toMatch(/[12] of them the map has put far away/);
    // The ring, and the line to what is far.
    expect(await painted(page, [214, 0, 108])).toBeGreaterThan(40);
    expect(await painted(page, [231, 99, 0])).toBeGreaterThan(60);
    await panel().getByRole("button", { name: "clear" }).click();
    expect(await panel().innerText()).toBe("");
    expect(await painted(page, [214, 0, 108])).toBe(0);
  });

  test("turns with the pointer, zooms with the wheel, and comes back", async () => {
    const box = (await page.locator(".convlens-plot canvas").boundingBox())!;
    const [x, y] = [box.x + box.width / 2, box.y + box.height - 20];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 100, y - 25, { steps: 5 });
    await page.mouse.up();
    const turned = { ...view, azimuth: view.azimuth - 40, elevation: view.elevation - 10 };
    const depth = project(space, turned).depth;
    const i = [...depth.keys()].sort((a, b) => depth[b] - depth[a])[0];
    await painted(page, [0, 0, 0]);
    await page.mouse.move(...await place(page, i, turned));
    await tip().waitFor({ state: "visible" });
    expect(await tip().innerText()).toContain(`image-${i}\n`);
    expect(await panel().innerText()).toBe("");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const before = await painted(page, [255, 255, 255]);
    await page.mouse.wheel(0, -300);
    expect(await painted(page, [255, 255, 255])).not.toBe(before);
    await page.mouse.dblclick(box.x + 5, box.y + 5);
    await painted(page, [0, 0, 0]);
    await page.mouse.move(...await place(page, nearest(0)));
    await expect.poll(() => tip().innerText()).toContain(`image-${nearest(0)}\n`);
  });

  test("the legend hides a class, and shows one alone", async () => {
    const classes = page.locator(".convlens-class");
    expect(await classes.allInnerTexts()).toEqual(names.map((name) => `${name}\n10`));
    const spot = await place(page, nearest(0));
    await classes.nth(0).click();
    await painted(page, [0, 0, 0]);
    await page.mouse.move(5, 5);
    await page.mouse.move(...spot);
    await page.waitForTimeout(50);
    expect(await tip().isVisible() ? await tip().innerText() : "").not.toContain("bird");
    await classes.nth(0).click();
    await classes.nth(1).dblclick();
    expect(await classes.evaluateAll((rows) => rows.map((row) => row.getAttribute("aria-pressed")))).toEqual([
      "false",
      "true",
      "false",
    ]);
    await classes.nth(1).dblclick();
    expect(await classes.evaluateAll((rows) => rows.map((row) => row.getAttribute("aria-pressed")))).toEqual([
      "true",
      "true",
      "true",
    ]);
  });

  test("a lasso and a search list what they find, other columns colour the points", async () => {
    await page.locator(".convlens-lasso").click();
    const heapPlaces = await Promise.all(Array.from({ length: 10 }, (_, i) => place(page, 10 + i)));
    const [xs, ys] = [heapPlaces.map(([x]) => x), heapPlaces.map(([, y]) => y)];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    await page.mouse.move(left - 6, top - 6);
    await page.mouse.down();
    for (const corner of [[right + 6, top - 6], [right + 6, bottom + 6], [left - 6, bottom + 6]] as const) {
      await page.mouse.move(...corner, { steps: 4 });
    }
    await page.mouse.up();
    await expect.poll(() => panel().innerText()).toContain("10 of 30 images in the lasso: cat 10");
    expect(await panel().locator(".convlens-listed").count()).toBe(10);
    await page.locator(".convlens-search").fill("DOG");
    await expect.poll(() => panel().innerText()).toContain("10 of 30 images with “DOG”: dog 10");
    // What is a class or a name in full is that one alone; else all that hold the letters.
    await page.locator(".convlens-search").fill("image-1");
    await expect.poll(() => panel().innerText()).toContain("1 of 30 images with “image-1”");
    await page.locator(".convlens-search").fill("age-1");
    await expect.poll(() => panel().innerText()).toContain("11 of 30 images with “age-1”");
    await page.locator(".convlens-search").fill("do");
    await expect.poll(() => panel().innerText()).toContain("11 of 30 images with “do”: dog 10, bird 1");
    await page.locator(".convlens-search").fill("");
    await page.locator(".convlens-color").selectOption({ label: "place" });
    await expect.poll(() => page.locator(".convlens-legend").innerText()).toBe("place\n29\n0");
  });

  test("spins, and the arrow keys turn it", async () => {
    const canvas = page.locator(".convlens-plot canvas");
    const picture = () => canvas.evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    const still = await picture();
    await page.locator(".convlens-spin").click();
    await expect.poll(picture).not.toBe(still);
    await page.locator(".convlens-spin").click();
    await painted(page, [0, 0, 0]);
    const stopped = await picture();
    await canvas.press("ArrowLeft");
    await painted(page, [0, 0, 0]);
    expect(await picture()).not.toBe(stopped);
  });
});
