import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { type Notebook, notebookText } from "../../lib/tools/notebook.ts";
import { notebookOf } from "../notebook/samples.ts";
import { browserAndLab, browserIsReady, codeCells, openNotebook, out, runAll } from "./browser.ts";

const ready = await browserIsReady();

/** Slides of four shades over a chart, then a second figure of the same kind. */
const CELL = `
import { Figure } from "../lib/figure/figure.ts";
const shade = (value, alt) => ({
  kind: "picture", alt, pixels: { data: new Uint8Array(30 * 30 * 3).fill(value), width: 30, height: 30 },
});
const make = (name) => new Figure({ title: name, blocks: [
  { kind: "slides", label: "epoch", frames: [0, 1, 2, 3].map((i) => ({ label: String(i), block: shade(60 * i, name + i) })) },
  { kind: "chart", alt: "a line", x: { title: "epoch" }, y: { title: "loss" }, series: [{ label: "loss", x: [0, 1], y: [1, 2] }] },
  { kind: "blend", alt: "a blend", below: shade(0, "").pixels, above: shade(200, "").pixels },
] });
make("a")`;

const notebook = () => notebookOf([CELL, 'make("b")']);

describe.skipIf(!ready)("interactive figures in JupyterLab", () => {
  let page: Page;
  const running = browserAndLab();

  async function open(name: string, content: Notebook) {
    await page?.close();
    page = await running.browser.newPage({ viewport: { width: 1280, height: 1600 } });
    await Deno.writeTextFile(`${out}/${name}`, notebookText(content));
    await openNotebook(page, running.lab.address(name));
  }
  /** The words for the pictures of slides that can be seen. */
  const seen = () =>
    page.locator(".convlens-frames img").evaluateAll((images) =>
      images.filter((image) => getComputedStyle(image).visibility === "visible")
        .map((image) => (image as HTMLImageElement).alt)
    );

  test("the slider moves its own figure, and its keys do nothing to the notebook", async () => {
    await open("lab-controls.ipynb", notebook());
    await runAll(page, 60_000);
    await page.locator(".convlens-slides input").nth(1).waitFor();
    expect(await seen()).toEqual(["a3", "b3"]);
    await page.locator(".convlens-slides input").first().focus();
    for (const key of ["ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowDown", "d", "d", "b", "m"]) {
      await page.keyboard.press(key);
    }
    expect(await seen()).toEqual(["a1", "b3"]);
    expect(await codeCells(page).count()).toBe(2);
    await page.getByRole("button", { name: "one on" }).nth(1).click();
    expect(await seen()).toEqual(["a1", "b3"]);
    await page.getByRole("button", { name: "one back" }).nth(1).click();
    expect(await seen()).toEqual(["a1", "b2"]);
    // Run once more: the output is made anew, with one slider.
    await runAll(page, 60_000);
    await expect.poll(seen, { timeout: 20_000 }).toEqual(["a3", "b3"]);
    expect(await page.locator(".convlens-control").count()).toBe(4);
  });

  test("where the notebook is not trusted, the last frame, the chart and the blend are there, and nothing dead", async () => {
    const run = await runNotebook(notebook(), { folder: out });
    expect(run.failures).toEqual([]);
    await open("untrusted-controls.ipynb", run.notebook);
    await page.locator(".convlens-frames img, .jp-OutputArea img").nth(5).waitFor();
    expect(
      await page.locator(".jp-OutputArea img").evaluateAll((images) =>
        images.map((image) => (image as HTMLImageElement).alt)
      ),
    ).toEqual(["a3", "a line", "a blend", "b3", "a line", "a blend"]);
    expect(await page.locator(".jp-OutputArea").first().textContent()).toContain("epoch 3 · 4 of 4");
    expect(await page.locator(".jp-OutputArea input, .jp-OutputArea button, .convlens-control").count()).toBe(0);
  });
});
