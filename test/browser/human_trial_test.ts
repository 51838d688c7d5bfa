/// <reference lib="dom" />
/** The cell for labelling: as a page by itself, beside a kernel, and in JupyterLab whose kernel dies. */

import type { BrowserContext, Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readAnswers } from "../../lib/data/answers.ts";
import { notebookText } from "../../lib/tools/notebook.ts";
import { longDescribe } from "../long.ts";
import { notebookOf } from "../notebook/samples.ts";
import { petTrial } from "../trials.ts";
import {
  browserAndFolder,
  browserAndLab,
  browserIsReady,
  chromiumIsReady,
  codeCells,
  openNotebook,
  out,
  screenshot,
} from "./browser.ts";

const ready = await chromiumIsReady();
const labReady = await browserIsReady();

/** Waits for an image of the trial, as "Test · image 2 of 6". */
const shown = (page: Page, place: string) => page.getByText(place).waitFor({ timeout: 20_000 });

/** Names the image that is shown by keys alone, and waits for what comes next. */
async function name(page: Page, keys: string, next: string): Promise<void> {
  await page.keyboard.type(keys);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  if (next.startsWith("Training") || next === "Test · image 1 of 6") {
    await page.locator(".convlens-trial-truth").waitFor();
    await page.keyboard.press("Enter");
  }
  await shown(page, next);
}

longDescribe("a page for labelling", () => {
  if (!ready) return;
  const own = browserAndFolder();
  let context: BrowserContext;
  beforeEach(async () => {
    context = await own.browser.newContext({ viewport: { width: 1000, height: 800 } });
  });
  afterEach(() => context.close());

  test("works without a kernel by keys alone, and the trial reads its file", async () => {
    const trial = await petTrial(`${own.folder}/page.jsonl`, { training: 1, limit: 4 });
    await trial.save(`${own.folder}/trial.html`);
    // Of what the images show it holds nothing.
    const html = await Deno.readTextFile(`${own.folder}/trial.html`);
    for (const id of trial.truth.keys()) expect(html).not.toContain(id);
    expect(html).not.toContain("127.0.0.1");
    expect(html).not.toContain(own.folder);
    const page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    await page.goto(`file://${own.folder}/trial.html`);
    await page.locator(".convlens-trial-start").waitFor();
    // The name first, where the keys are already.
    await page.keyboard.press("Enter");
    await page.getByText("Write your name first").waitFor();
    await page.keyboard.type("Åsa Öst");
    await page.keyboard.press("Enter");
    await shown(page, "Training · image 1 of 1");
    // Nothing named, a class that there is not, the same twice, the list by arrows, an order changed.
    await page.keyboard.press("Enter");
    await page.getByText("Name at least one class").waitFor();
    await page.keyboard.type("horse");
    await page.keyboard.press("Enter");
    await page.getByText("No class holds “horse”: Escape").waitFor();
    await page.keyboard.press("Escape");
    for (const key of ["ArrowDown", "ArrowDown", "Enter", "d", "o", "g", "Enter"]) await page.keyboard.press(key);
    await page.getByText("secret-dog is named already").waitFor();
    for (const key of ["c", "a", "t", "Enter", "Alt+ArrowUp"]) await page.keyboard.press(key);
    const labels = () => page.locator(".convlens-trial-labels li").allTextContents();
    expect(await labels()).toEqual(["1secret-cat×", "2secret-dog×", "Next image (Enter)"]);
    await page.keyboard.press("Backspace");
    expect((await labels())[0]).toBe("1secret-cat×");
    await page.keyboard.press("Enter");
    await page.locator(".convlens-trial-truth").waitFor();
    expect(await page.locator(".convlens-trial-truth").textContent()).toBe(trial.truth.get(trial.trainingIds[0]));
    await page.keyboard.press("Enter");
    await shown(page, "Test · image 1 of 4");
    await name(page, "dog", "Test · image 2 of 4");
    // Closed in the middle of an image, and opened again: nothing is lost.
    await page.keyboard.type("cat");
    await page.keyboard.press("Enter");
    await page.reload();
    await page.locator(".convlens-trial-start").waitFor();
    await page.keyboard.press("Enter");
    await shown(page, "Test · image 2 of 4");
    expect((await labels())[0]).toBe("1secret-cat×");
    await page.keyboard.press("Enter");
    await shown(page, "Test · image 3 of 4");
    // One by the mouse alone.
    await page.locator(".convlens-trial-list").getByText("secret-dog").click();
    await page.locator(".convlens-trial-next").click();
    await shown(page, "Test · image 4 of 4");
    await name(page, "cat", "Done. Thank you!");
    const download = page.waitForEvent("download");
    await page.keyboard.press("Enter");
    await (await download).saveAs(`${own.folder}/downloaded.jsonl`);
    expect(await trial.add(`${own.folder}/downloaded.jsonl`)).toBe(5);
    expect(trial.rows.map(({ person, phase, labels }) => [person, phase, ...labels])).toEqual([
      ["Åsa Öst", "training", "secret-cat"],
      ["Åsa Öst", "test", "secret-dog"],
      ["Åsa Öst", "test", "secret-cat"],
      ["Åsa Öst", "test", "secret-dog"],
      ["Åsa Öst", "test", "secret-cat"],
    ]);
    expect(trial.rows.every(({ seconds }) => seconds > 0 && seconds < 60)).toBe(true);
    expect(errors).toEqual([]);
  });

  test("beside a kernel: two tabs, one that is lost, and what was answered meanwhile", async () => {
    const trial = await petTrial(`${own.folder}/kernel.jsonl`, { person: "Ada" });
    let html = await (await trial.connected()).html();
    const notebook = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(`<!doctype html><meta charset="utf-8">${html}`, { headers: { "content-type": "text/html" } }),
    );
    // As JupyterLab's, the page is of another origin than the kernel's server.
    const address = `http://localhost:${notebook.addr.port}/`;
    const start = async () => {
      const page = await context.newPage();
      await page.goto(address);
      await page.locator(".convlens-trial-start").waitFor();
      await page.keyboard.press("Enter");
      return page;
    };
    const rows = () => trial.rows.length;
    try {
      const page = await start();
      await shown(page, "Training · image 1 of 2");
      await name(page, "cat", "Training · image 2 of 2");
      await name(page, "cat", "Test · image 1 of 6");
      const tab = await start();
      await shown(tab, "Test · image 1 of 6");
      await name(tab, "dog", "Test · image 2 of 6");
      // The first tab still shows the image before.
      await page.keyboard.type("cat");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Enter");
      await shown(page, "Test · image 2 of 6");
      await page.getByText("this answer was not taken").waitFor();
      expect(rows()).toBe(3);
      await tab.close();
      await trial.close();
      await page.keyboard.type("dog");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Enter");
      await page.getByText("The kernel does not answer").waitFor();
      await page.locator(".convlens-trial-alone").click();
      await shown(page, "Test · image 3 of 6");
      expect(rows()).toBe(3);
      await name(page, "cat", "Test · image 4 of 6");
      await page.close();
      // The page as it was saved, without its kernel: it knows what was answered.
      const saved = await start();
      await saved.getByText("No kernel answers").waitFor();
      await shown(saved, "Test · image 4 of 6");
      await saved.close();
      // The cell is run again.
      html = await (await trial.connected()).html();
      const back = await start();
      await shown(back, "Test · image 4 of 6");
      await back.getByText("2 answers that this browser kept went to").waitFor();
      expect(rows()).toBe(5);
      for (const place of [5, 6]) await name(back, "cat", `Test · image ${place} of 6`);
      await name(back, "cat", "Done. Thank you!");
      expect(rows()).toBe(8);
      expect(await readAnswers(trial.path)).toEqual(trial.rows);
    } finally {
      await trial.close();
      await notebook.shutdown();
    }
  });
});

const file = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

longDescribe("in JupyterLab", () => {
  if (!labReady) return;
  const running = browserAndLab();

  test("20 images by keys alone, the kernel killed midway: nothing is lost", async () => {
    const path = await Deno.makeTempDir() + "/answers.jsonl";
    const cell = `
import { petTrial } from ${file("test/trials.ts")};
console.log("pid:" + Deno.pid + ".");
const trial = await petTrial(${JSON.stringify(path)}, { person: "Ada", training: 2, limit: 18 });
trial`;
    const page = await running.browser.newPage({ viewport: { width: 1280, height: 900 } });
    await Deno.writeTextFile(`${out}/lab-trial.ipynb`, notebookText(notebookOf([cell, `"below"`])));
    await openNotebook(page, running.lab.address("lab-trial.ipynb"));
    const code = codeCells(page).first();
    const run = async (begin: RegExp) => {
      await code.locator(".cm-content").click();
      await page.keyboard.press("Control+Enter");
      await code.getByText(begin).waitFor({ timeout: 60_000 });
      // The keys go there by themselves.
      await page.waitForFunction(() => document.activeElement?.className === "convlens-trial-start");
      await page.keyboard.press("Enter");
    };
    const answers = async () => (await readAnswers(path)).length;
    const one = async (done: number) => {
      await page.keyboard.type(done % 3 ? "cat" : "dog");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Enter");
      await expect.poll(answers, { timeout: 10_000 }).toBe(done);
      if (done > 2) return;
      await page.locator(".convlens-trial-truth").waitFor();
      await page.keyboard.press("Enter");
    };
    await run(/What do you see\?/);
    await shown(page, "Training · image 1 of 2");
    for (let done = 1; done <= 9; done++) {
      await one(done);
      await shown(page, done < 2 ? "Training · image 2 of 2" : `Test · image ${done - 1} of 18`);
    }
    await screenshot(page, `${out}/lab-trial.png`);
    // An answer is half given when the kernel dies.
    const [, pid] = (await code.textContent())!.match(/pid:(\d+)\./)!;
    await page.keyboard.type("dog");
    await page.keyboard.press("Enter");
    Deno.kill(Number(pid), "SIGKILL");
    await page.keyboard.press("Enter");
    await code.getByText("The kernel does not answer").waitFor();
    expect(await answers()).toBe(9);
    // JupyterLab says that it starts it anew.
    const dialog = page.locator(".jp-Dialog");
    await dialog.getByText("Kernel Restarting").waitFor({ timeout: 30_000 });
    await dialog.locator("button.jp-mod-accept").click();
    await run(/What do you see\?/);
    await shown(page, "Test · image 8 of 18");
    expect(await page.locator(".convlens-trial-labels li").first().textContent()).toBe("1secret-dog×");
    await page.keyboard.press("Enter");
    await shown(page, "Test · image 9 of 18");
    for (let done = 11; done <= 20; done++) {
      await one(done);
      await shown(page, done < 20 ? `Test · image ${done - 1} of 18` : "Done. Thank you!");
    }
    const rows = await readAnswers(path);
    expect(rows).toHaveLength(20);
    expect(new Set(rows.map(({ image }) => image)).size).toBe(20);
    expect(rows.map(({ phase }) => phase)).toEqual([...Array(2).fill("training"), ...Array(18).fill("test")]);
    // No key went to the notebook: its cells are as they were.
    expect(await codeCells(page).count()).toBe(2);
    expect(await codeCells(page).nth(1).locator(".cm-content").textContent()).toBe('"below"');
    await page.close();
  });
});
