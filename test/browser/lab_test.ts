import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { type CodeCell, type Notebook, notebookText, parseNotebook } from "../../lib/tools/notebook.ts";
import { notebookPage } from "../../lib/tools/notebook_page.ts";
import { convert, root } from "../notebook/nbconvert.ts";
import { eighty, EIGHTY_WORDS, PICTURES, pictures as picturesNotebook } from "../notebook/samples.ts";
import {
  browserAndLab,
  browserIsReady,
  codeCells,
  openNotebook,
  out,
  pictures,
  runAll,
  screenshot,
  stayLocal,
} from "./browser.ts";
import { longDescribe, longTest } from "../long.ts";

const ready = await browserIsReady();
const tour = `${root}notebooks/01_tour.ipynb`;
const TOUR_TIME = 300_000;
/** nbconvert and the kernel's own runner keep them in a plain run, too. */
const RUNS = 2;

describe.skipIf(!ready)("in a browser", () => {
  const running = browserAndLab();

  /** A new page without any network but JupyterLab's own. */
  async function withPage<T>(use: (page: Page) => Promise<T>): Promise<T> {
    const context = await running.browser.newContext({ viewport: { width: 1280, height: 900 } });
    await stayLocal(context);
    try {
      return await use(await context.newPage());
    } finally {
      await context.close();
    }
  }

  /** The picture of each of {@linkcode picturesNotebook}'s cells: its corner tells which it is. */
  const expected = Array.from({ length: PICTURES }, (_, i) => [
    { width: 16, height: 16, colours: 2, corner: [5 * i, 255 - 5 * i, 128] },
  ]);

  longTest.each(Array.from({ length: RUNS }, (_, i) => i + 1))(
    "JupyterLab keeps 80 of 80 outputs, small and of 5 MB, each under its own cell: run %i",
    (run) =>
      withPage(async (page) => {
        await Deno.writeTextFile(`${out}/lab-eighty-${run}.ipynb`, notebookText(eighty()));
        await openNotebook(page, running.lab.address(`lab-eighty-${run}.ipynb`));
        await runAll(page, 60_000);
        const found = () =>
          codeCells(page).evaluateAll((cells) =>
            cells.slice(1).map((cell) =>
              [...cell.querySelectorAll(".jp-OutputArea-output")].map((output) => output.textContent!.trim())
            )
          );
        // A cell is done when the page has its outputs; their text is painted in a later frame.
        await expect.poll(found, { timeout: 20_000 }).toEqual(EIGHTY_WORDS);
      }),
  );

  describe("a notebook of pictures", () => {
    let executed: Notebook;
    beforeAll(async () => {
      const run = await runNotebook(await picturesNotebook(), { folder: out });
      expect(run.failures).toEqual([]);
      executed = run.notebook;
    });

    test("JupyterLab runs it: each picture is painted under its own cell, and scripts run", () =>
      withPage(async (page) => {
        await Deno.writeTextFile(`${out}/lab-pictures.ipynb`, notebookText(await picturesNotebook()));
        await openNotebook(page, running.lab.address("lab-pictures.ipynb"));
        await runAll(page, 60_000);
        await screenshot(page, `${out}/lab-pictures.png`);
        const cells = await codeCells(page).all();
        expect(cells).toHaveLength(PICTURES + 1);
        const found = [];
        for (const cell of cells.slice(1)) found.push(await pictures(cell.locator(".jp-OutputArea")));
        expect(found).toMatchObject(expected);
        expect(await page.locator(".jp-OutputArea-output").count()).toBe(PICTURES);
        expect(await page.evaluate("window.scriptsRan")).toBe(PICTURES / 2);
      }));

    test("JupyterLab does not trust it: the pictures are there, no script runs", () =>
      withPage(async (page) => {
        await Deno.writeTextFile(`${out}/lab-untrusted.ipynb`, notebookText(executed));
        await openNotebook(page, running.lab.address("lab-untrusted.ipynb"));
        await screenshot(page, `${out}/lab-untrusted.png`);
        const found = [];
        for (const cell of (await codeCells(page).all()).slice(1)) found.push(await pictures(cell));
        expect(found).toMatchObject(expected);
        expect(await page.evaluate("window.scriptsRan")).toBeUndefined();
      }));

    test("nbconvert's HTML shows the pictures", () =>
      withPage(async (page) => {
        const path = `${out}/nbconvert-pictures`;
        await Deno.writeTextFile(`${path}.ipynb`, notebookText(executed));
        await convert("--to", "html", `${path}.ipynb`);
        await page.goto(`file://${path}.html`, { waitUntil: "domcontentloaded" });
        const found = [];
        for (const cell of (await page.locator(".jp-CodeCell").all()).slice(1)) found.push(await pictures(cell));
        expect(found).toMatchObject(expected);
        expect(await page.evaluate("window.scriptsRan")).toBe(PICTURES / 2);
      }));

    test("our HTML page shows the pictures, runs the scripts, asks for nothing from a network", () =>
      withPage(async (page) => {
        const asked: string[] = [];
        page.on("request", (request) => asked.push(request.url()));
        await Deno.writeTextFile(`${out}/page-pictures.html`, await notebookPage(executed));
        await page.goto(`file://${out}/page-pictures.html`);
        const found = [];
        for (const cell of (await page.locator("section.code").all()).slice(1)) found.push(await pictures(cell));
        expect(found).toMatchObject(expected);
        expect(await page.evaluate("window.scriptsRan")).toBe(PICTURES / 2);
        expect(asked.filter((url) => !/^(file|data):/.test(url))).toEqual([]);
        expect(await page.title()).toBe("Notebook");
      }));
  });

  longDescribe("the tour", () => {
    /** The tour, run without a browser. */
    let executed: Notebook;
    beforeAll(async () => {
      const notebook = parseNotebook(await Deno.readTextFile(tour), tour);
      const run = await runNotebook(notebook, { folder: `${root}notebooks` });
      expect(run.failures).toEqual([]);
      executed = run.notebook;
    }, TOUR_TIME);

    /** Which cells show something, and which of them a picture. */
    const shape = () =>
      executed.cells.flatMap((cell) => cell.cell_type === "code" ? [(cell as CodeCell).outputs.length > 0] : []);

    /** Looks at the pictures of each cell, which must be painted, and keeps a screenshot of them all. */
    async function look(page: Page, cells: string, name: string): Promise<{ shows: boolean[]; images: number }> {
      const shows: boolean[] = [];
      let images = 0;
      for (const [i, cell] of (await page.locator(cells).all()).entries()) {
        const found = await pictures(cell);
        for (const image of found) {
          expect(image.width, `${name}, cell ${i}, ${image.alt}`).toBeGreaterThan(0);
          expect(image.colours, `${name}, cell ${i}, ${image.alt}`).toBe(2);
        }
        images += found.length;
        shows.push(await cell.locator(".jp-OutputArea-output, .output").count() > 0);
      }
      await screenshot(page, `${out}/${name}.png`);
      return { shows, images };
    }

    test(
      "JupyterLab runs it: every picture is painted, outputs stand under the same cells, no error",
      () =>
        withPage(async (page) => {
          await Deno.copyFile(tour, `${out}/lab-tour.ipynb`);
          await openNotebook(page, running.lab.address("lab-tour.ipynb"));
          await runAll(page, TOUR_TIME);
          expect(await page.locator('.jp-Notebook [data-mime-type*="error"]').count()).toBe(0);
          const { shows, images } = await look(page, ".jp-Notebook .jp-CodeCell", "lab-tour");
          expect(shows).toEqual(shape());
          expect(images).toBeGreaterThan(0);
        }),
      TOUR_TIME,
    );

    test.each([
      ["untrusted in JupyterLab", "untrusted-tour", ".jp-Notebook .jp-CodeCell"],
      ["in nbconvert's HTML", "nbconvert-tour", ".jp-CodeCell"],
      ["in our HTML page", "page-tour", "section.code"],
    ])("its pictures are painted %s", (_, name, cells) =>
      withPage(async (page) => {
        await Deno.writeTextFile(`${out}/${name}.ipynb`, notebookText(executed));
        if (name === "untrusted-tour") {
          await openNotebook(page, running.lab.address(`${name}.ipynb`));
        } else {
          if (name === "nbconvert-tour") await convert("--to", "html", `${out}/${name}.ipynb`);
          else await Deno.writeTextFile(`${out}/${name}.html`, await notebookPage(executed));
          await page.goto(`file://${out}/${name}.html`, { waitUntil: "domcontentloaded" });
        }
        const { shows, images } = await look(page, cells, name);
        expect(shows).toEqual(shape());
        expect(images).toBeGreaterThan(0);
      }), TOUR_TIME);
  });
});
