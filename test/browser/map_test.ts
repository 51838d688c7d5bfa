/// <reference lib="dom" />
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { type Notebook, notebookText } from "../../lib/tools/notebook.ts";
import { notebookPage } from "../../lib/tools/notebook_page.ts";
import { longTest } from "../long.ts";
import { notebookOf } from "../notebook/samples.ts";
import { browserAndLab, browserIsReady, openNotebook, out, runAll, stayLocal } from "./browser.ts";

const ready = await browserIsReady();

/**
 * Thirty points in three rows of ten, a class each; the true neighbours of a point are those beside it in its row, but
 * for the first one, whose neighbours lie at the far end.
 */
const CELL = `
import { mapFigure } from "../lib/figure/map/map.ts";
const points = { data: new Float32Array(60).map((_, i) => i % 2 ? Math.floor(i / 20) * 5 : (i / 2) % 10), shape: [30, 2] };
const names = ["bird", "cat", "dog"];
const labels = Array.from({ length: 30 }, (_, i) => names[Math.floor(i / 10)]);
const side = 16;
const data = new Uint8Array(30 * side * side * 3).map((_, i) => 8 * Math.floor(i / (side * side * 3)));
const indices = Array.from({ length: 60 }, (_, e) => e < 2 ? 9 - e : e % 2 ? (e >> 1) - 1 : ((e >> 1) + 1) % 30);
mapFigure({ title: "rows", points, labels, ids: labels.map((_, i) => "image-" + i), neighbors: { k: 2, indices },
  thumbnails: { side, data }, columns: { answer: labels.map((_, i) => i % 10 ? "right" : "wrong"), place: labels.map((_, i) => i) } })`;

/** A grid of 6 × 6 shades. */
const GRID = `
import { embeddingGrid } from "../lib/methods/embedding_grid.ts";
const places = { data: new Float32Array(72).map((_, i) => i % 2 ? -Math.floor(i / 12) : (i / 2) % 6), shape: [36, 2] };
const shades = new Uint8Array(36 * 768).map((_, i) => 7 * Math.floor(i / 768));
embeddingGrid({ ...places, ids: shades.filter((_, i) => i % 768 === 0).map(String), thumbnails: { side: 16, data: shades } }, places)`;

const notebook = () => notebookOf([CELL, GRID]);

/** What Plotly keeps of a plot. */
interface Plot extends HTMLElement {
  _fullLayout: Record<"xaxis" | "yaxis", { l2p(value: number): number; _offset: number }>;
  data: { name: string; visible?: string; x: number[]; selectedpoints?: number[] | null }[];
}

/** Where a point of the map lies on the screen. */
async function place(page: Page, x: number, y: number): Promise<[number, number]> {
  const plot = page.locator(".convlens-plot").first();
  await plot.scrollIntoViewIfNeeded();
  return await plot.evaluate((plot, [x, y]) => {
    const box = plot.getBoundingClientRect();
    const { xaxis, yaxis } = (plot as Plot)._fullLayout;
    return [box.left + xaxis._offset + xaxis.l2p(x), box.top + yaxis._offset + yaxis.l2p(y)] as [number, number];
  }, [x, y]);
}
const tip = (page: Page) => page.locator(".convlens-map-tip");
const panel = (page: Page) => page.locator(".convlens-panel").first();
const plotData = (page: Page) =>
  page.locator(".convlens-plot").first().evaluate((plot) =>
    (plot as Plot).data.map(({ name, visible, x, selectedpoints }) => ({
      name,
      visible,
      x: [...x],
      selected: selectedpoints?.length,
    }))
  );

/** The whole walk; the map must be drawn. */
async function walk(page: Page) {
  await page.locator(".convlens-map[data-live=drawn]").waitFor({ timeout: 60_000 });
  expect(await page.locator(".convlens-map img").count()).toBe(0);

  // Hover: the picture and the words of the point.
  const middle = await place(page, 4, 5);
  await page.mouse.move(middle[0] - 40, middle[1] - 40);
  await page.mouse.move(...middle, { steps: 4 });
  await tip(page).waitFor({ state: "visible" });
  expect(await tip(page).innerText()).toBe("image-14\nlabel: cat\nanswer: right\nplace: 14");
  expect(
    await tip(page).locator(".convlens-thumbnail").evaluate(async (thumbnail) => {
      const style = getComputedStyle(thumbnail);
      const sheet = new Image();
      sheet.src = style.backgroundImage.slice(5, -2);
      await sheet.decode();
      return [sheet.naturalWidth, style.backgroundPosition];
    }),
  ).toEqual([480, "-1344px 0px"]);
  await page.mouse.move(middle[0] + 25, middle[1] + 30, { steps: 4 });
  await tip(page).waitFor({ state: "hidden" });

  // Click: the true neighbours.
  await page.mouse.move(...await place(page, 4, 5), { steps: 4 });
  await page.mouse.click(...await place(page, 4, 5));
  await expect.poll(() => panel(page).innerText()).toContain("image-14 and its 2 true neighbours");
  expect(await panel(page).innerText()).toContain("the map keeps all of them near");
  expect((await plotData(page)).slice(-2).map(({ x }) => x)).toEqual([[5, 3], [4]]);
  await page.mouse.move(...await place(page, 0, 0), { steps: 4 });
  await page.mouse.click(...await place(page, 0, 0));
  await expect.poll(() => panel(page).innerText()).toContain("2 of them the map has put far away");
  expect(await panel(page).locator(".convlens-listed").allInnerTexts()).toEqual([
    "bird\nchosen",
    "bird\nfar",
    "bird\nfar",
  ]);
  await panel(page).getByRole("button", { name: "clear" }).click();
  expect(await panel(page).innerText()).toBe("");

  // Lasso: what it holds.
  await page.locator(".modebar-btn[data-val=lasso]").first().click();
  const corners: [number, number][] = [];
  for (const [x, y] of [[-0.5, 4], [2.5, 4], [2.5, 6], [-0.5, 6], [-0.5, 4]]) corners.push(await place(page, x, y));
  await page.mouse.move(...corners[0]);
  await page.mouse.down();
  for (const corner of corners.slice(1)) await page.mouse.move(...corner, { steps: 6 });
  await page.mouse.up();
  await expect.poll(() => panel(page).innerText()).toContain("3 of 30 images in the lasso: cat 3");
  expect(
    await panel(page).locator(".convlens-listed").evaluateAll((tiles) =>
      tiles.map((tile) => (tile as HTMLElement).title.slice(6, 8))
    ),
  )
    .toEqual(["10", "11", "12"]);
  await panel(page).getByRole("button", { name: "clear" }).click();

  // Legend: a click hides a class.
  await page.locator(".convlens-plot .legendtoggle").nth(1).click();
  await expect.poll(async () => (await plotData(page)).slice(0, 3).map(({ visible }) => visible)).toEqual([
    undefined,
    "legendonly",
    undefined,
  ]);
  await page.locator(".convlens-plot .legendtoggle").nth(1).click();

  // Search, then other colours.
  await page.locator(".convlens-search").fill("DOG");
  await expect.poll(() => panel(page).innerText()).toContain("10 of 30 images with “DOG”: dog 10");
  expect((await plotData(page)).slice(0, 3).map(({ selected }) => selected)).toEqual([0, 0, 10]);
  await page.locator(".convlens-search").fill("");
  await expect.poll(async () => (await plotData(page))[0].selected).toBeUndefined();
  await page.locator(".convlens-color").selectOption({ label: "answer" });
  await expect.poll(async () => (await plotData(page)).slice(0, 2).map(({ name, x }) => [name, x.length])).toEqual([
    ["right", 27],
    ["wrong", 3],
  ]);
  await page.locator(".convlens-color").selectOption({ label: "place" });
  await expect.poll(async () => (await plotData(page))[0].x.length).toBe(30);
}

/** Scrolling zooms, dragging moves, a double click goes back, hovering names the image. */
async function zoom(page: Page) {
  const view = page.locator(".convlens-grid-view");
  await view.waitFor();
  await view.scrollIntoViewIfNeeded();
  const box = (await view.boundingBox())!;
  const [x, y] = [box.x + box.width * 1.5 / 6, box.y + box.height * 1.5 / 6];
  const tip = page.locator(".convlens-grid-tip");
  await page.mouse.move(x, y);
  expect(await tip.innerText()).toBe("49");
  const scale = () => page.locator(".convlens-grid").evaluate((grid) => Number((grid as HTMLElement).dataset.scale));
  expect(await scale()).toBe(1);
  await page.mouse.wheel(0, -200);
  await expect.poll(scale).toBeGreaterThan(1.5);
  // The image under the pointer stays there; dragging brings another one.
  await page.mouse.move(x + 1, y);
  expect(await tip.innerText()).toBe("49");
  await page.mouse.down();
  await page.mouse.move(x - box.width / 6 * await scale(), y, { steps: 4 });
  await page.mouse.up();
  await page.mouse.move(x, y, { steps: 3 });
  expect(await tip.innerText()).toBe("56");
  await page.mouse.dblclick(x, y);
  await expect.poll(scale).toBe(1);
}

describe.skipIf(!ready)("a map", () => {
  const running = browserAndLab();
  let executed: Notebook;
  beforeAll(async () => {
    const run = await runNotebook(notebook(), { folder: out });
    expect(run.failures).toEqual([]);
    executed = run.notebook;
  });
  const newPage = async () => {
    const page = await running.browser.newPage({ viewport: { width: 1280, height: 1100 } });
    await stayLocal(page);
    return page;
  };

  longTest("in the exported page: hover, click, lasso, legend, search, colours", async () => {
    const page = await newPage();
    const refused: string[] = [];
    page.on("console", (message) => /Content Security Policy/.test(message.text()) && refused.push(message.text()));
    page.on("pageerror", (error) => refused.push(error.message));
    await Deno.writeTextFile(`${out}/map.html`, await notebookPage(executed));
    await page.goto(`file://${out}/map.html`);
    await walk(page);
    await zoom(page);
    expect(refused).toEqual([]);
    await page.close();
  });

  test("in JupyterLab: hover, click, lasso, legend, search, colours", async () => {
    const page = await newPage();
    await Deno.writeTextFile(`${out}/lab-map.ipynb`, notebookText(notebook()));
    await openNotebook(page, running.lab.address("lab-map.ipynb"));
    await runAll(page, 60_000);
    await walk(page);
    await zoom(page);
    await page.close();
  });

  test("names that are markup, entities or TeX to Plotly are shown as they are", async () => {
    const names = ["<b>x", "AT&amp;T", "$a^2$ & $b$", "constructor"];
    const figure = mapFigure({
      title: "names",
      points: { data: new Float32Array(16).map((_, i) => i), shape: [8, 2] },
      labels: Array.from({ length: 8 }, (_, i) => names[i % 4]),
    });
    await figure.save(`${out}/names.html`);
    const page = await newPage();
    await page.goto(`file://${out}/names.html`);
    await page.locator(".convlens-map[data-live=drawn]").waitFor({ timeout: 60_000 });
    expect((await page.locator(".convlens-plot .legendtext").allTextContents()).sort()).toEqual([...names].sort());
    expect(await page.locator(".convlens-plot .legendtext").first().locator("tspan").count()).toBe(0);
    await page.close();
  });

  test("where the notebook is not trusted, the picture stays", async () => {
    const page = await newPage();
    await Deno.writeTextFile(`${out}/untrusted-map.ipynb`, notebookText(executed));
    await openNotebook(page, running.lab.address("untrusted-map.ipynb"));
    const picture = page.locator(".jp-OutputArea img").first();
    await picture.waitFor();
    expect(await picture.getAttribute("alt")).toBe("A map of 30 points, coloured by label");
    expect(await picture.evaluate((image) => (image as HTMLImageElement).naturalWidth)).toBeGreaterThan(500);
    expect(await page.locator(".jp-OutputArea img").count()).toBe(2);
    expect(await page.locator(".convlens-plot, .convlens-grid-view").count()).toBe(0);
    await page.close();
  });
});
