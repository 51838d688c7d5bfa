/** The live view of a training run in JupyterLab, and the button that reaches the kernel. */

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { notebookText } from "../../lib/figure/jupyter/notebook.ts";
import { root } from "../notebooks/nbconvert.ts";
import { notebookOf } from "../notebooks/samples.ts";
import { browserIsReady, codeCells, type Lab, openBrowser, openNotebook, screenshot, startLab } from "./browser.ts";

const ready = await browserIsReady();
const out = `${root}out`;
const file = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

/** Trains until it is stopped. */
const endless = `
import { train } from ${file("lib/methods/train.ts")};
import { loadModel } from ${file("lib/model/load.ts")};
import { ensureBackend, useBackend } from ${file("lib/runtime/backend.ts")};
import { stripes, stripesNet } from ${file("test/probe/training/toys.ts")};
await useBackend("wasm");
const model = await loadModel(stripesNet(await ensureBackend()));
const { ending, rows } = await train(model, stripes(256), { epochs: 100_000, learningRate: 0.01 });
console.log("The run ended:", ending, rows.length > 0);`;

let browser: Browser;
let lab: Lab;
let own: string;

describe.skipIf(!ready)("in JupyterLab", () => {
  beforeAll(async () => {
    own = await Deno.makeTempDir();
    await Deno.mkdir(out, { recursive: true });
    browser = await openBrowser();
    lab = await startLab(out, own);
  });
  afterAll(async () => {
    await browser?.close();
    await lab?.stop();
    await Deno.remove(own, { recursive: true });
  });

  test("a run is seen while it goes on, and its button ends it where the page stands", async () => {
    const page = await browser.newPage();
    await Deno.writeTextFile(`${out}/lab-training.ipynb`, notebookText(notebookOf([endless])));
    await openNotebook(page, lab.address("lab-training.ipynb"));
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.locator('[data-command="runmenu:run-all"]').click();
    const cell = codeCells(page).first();
    const button = cell.getByRole("button", { name: "Stop training" });
    await button.waitFor({ timeout: 60_000 });
    await cell.getByText(/epoch \d\d+ of 100000 · loss/).waitFor({ timeout: 60_000 });
    await screenshot(page, `${out}/lab-training.png`);
    const address = page.url();
    // The picture is repainted under the pointer: pressed by the page itself.
    await button.dispatchEvent("click");
    await cell.getByText("The run ended: aborted true").waitFor({ timeout: 30_000 });
    expect(page.url()).toBe(address);
    expect(await button.count()).toBe(0);
    await cell.getByText(/Training stripes-net on stripes · \d+ of 100000 epochs/).waitFor();
    await page.close();
  });
});
