/// <reference lib="dom" />
/** Errors that are sorted by kind on the page, and the file that compareHumans reads. */

import { expect, test } from "vitest";
import { compareHumans } from "../../lib/methods/compare_humans.ts";
import { longDescribe } from "../long.ts";
import { petModel, pets } from "../trials.ts";
import { browserAndFolder, chromiumIsReady } from "./browser.ts";

const ready = await chromiumIsReady();

longDescribe("errors on the page", () => {
  if (!ready) return;
  const own = browserAndFolder();

  test("are sorted by the keyboard, kept by the browser, downloaded, and read", async () => {
    const [model, dataset] = [await petModel(), pets(8)];
    const answers = dataset.known!.map(({ id }, i) => ({
      trial: "a trial",
      person: "Ada",
      image: id,
      phase: "test" as const,
      shown: new Date(1e12 + 1e4 * i).toISOString(),
      seconds: 2,
      labels: ["secret-cat"],
    }));
    const given = { model, dataset, answers };
    const found = await compareHumans(given);
    const wrong = found.images.filter(({ group }) => group !== "both right").map(({ id }) => id);
    expect(wrong.length).toBeGreaterThanOrEqual(4);
    await found.figure().save(`${own.folder}/errors.html`);
    const page = await own.browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    await page.goto(`file://${own.folder}/errors.html`);
    const field = (id: string) => page.getByLabel(`kind of error of ${id}`, { exact: true });
    await field(wrong[0]).waitFor();
    await field(wrong[0]).focus();
    await page.keyboard.type("<b>odd</b>");
    await page.keyboard.press("Tab");
    expect(await field(wrong[1]).evaluate((own) => own === document.activeElement)).toBe(true);
    await page.keyboard.type("other");
    await page.keyboard.press("Tab");
    const counts = page.locator(".convlens-taxonomy-counts");
    await expect.poll(() => counts.textContent()).toBe(`2 of ${wrong.length} sorted: <b>odd</b> 1 · other 1`);
    // What was filled in is there again.
    await page.reload();
    await field(wrong[0]).waitFor();
    expect(await field(wrong[0]).inputValue()).toBe("<b>odd</b>");
    await page.locator(".convlens-taxonomy-group").selectOption({ index: 1 });
    const download = page.waitForEvent("download");
    await page.locator(".convlens-taxonomy-download").click();
    await (await download).saveAs(`${own.folder}/taxonomy.json`);
    const { categories } = await compareHumans(given, { taxonomy: `${own.folder}/taxonomy.json` });
    expect(categories.map(({ category, images }) => [category, images])).toEqual([
      ["<b>odd</b>", 1],
      ["other", 1],
      ["none", 6],
    ]);
    expect(errors).toEqual([]);
    model.dispose();
  });
});
