/** The live view of a training run in JupyterLab, and the button that reaches the kernel. */

import { describe, expect, test } from "vitest";
import { notebookText } from "../../lib/tools/notebook.ts";
import { notebookOf } from "../notebook/samples.ts";
import { browserAndLab, browserIsReady, codeCells, openNotebook, out, screenshot } from "./browser.ts";

const ready = await browserIsReady();
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

describe.skipIf(!ready)("in JupyterLab", () => {
  const running = browserAndLab();

  test("a run is seen while it goes on, and its button ends it where the page stands", async () => {
    const page = await running.browser.newPage();
    await Deno.writeTextFile(`${out}/lab-training.ipynb`, notebookText(notebookOf([endless])));
    await openNotebook(page, running.lab.address("lab-training.ipynb"));
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
    // What the cell shows last may be painted later than what it printed.
    await button.waitFor({ state: "detached" });
    await cell.getByText(/Training stripes-net on stripes · \d+ of 100000 epochs/).waitFor();
    await page.close();
  });
});
