/** The live view of a training run in JupyterLab, the button that reaches the kernel, and ■. */

import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { notebookText } from "../../lib/tools/notebook.ts";
import { longTest } from "../long.ts";
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
console.log("pid:" + Deno.pid + ".");
const { ending, rows } = await train(model, stripes(256), { epochs: 100_000, learningRate: 0.01 });
console.log("The run ended:", ending, rows.length > 0);`;

describe.skipIf(!ready)("in JupyterLab", () => {
  const running = browserAndLab();

  /** Runs the cells of a new notebook, and waits until the first one trains. */
  async function startRun(name: string, sources: string[]) {
    const page = await running.browser.newPage();
    await Deno.writeTextFile(`${out}/${name}.ipynb`, notebookText(notebookOf(sources)));
    await openNotebook(page, running.lab.address(`${name}.ipynb`));
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.locator('[data-command="runmenu:run-all"]').click();
    const cell = codeCells(page).first();
    const button = cell.getByRole("button", { name: "Stop training" });
    await button.waitFor({ timeout: 60_000 });
    await cell.getByText(/epoch \d\d+ of 100000 · loss/).waitFor({ timeout: 60_000 });
    return { page, cell, button };
  }

  /** Runs the cell that was clicked last. */
  async function runCell(page: Page, index: number): Promise<void> {
    await codeCells(page).nth(index).locator(".cm-content").click();
    await page.keyboard.press("Control+Enter");
  }

  test("a run is seen while it goes on, and its button ends it where the page stands", async () => {
    const { page, cell, button } = await startRun("lab-training", [endless]);
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

  longTest("■ ends the cell, its picture stays, and the next cell finds the model", async () => {
    const { page, cell, button } = await startRun("lab-interrupt", [endless, `console.log("kept", model.name)`]);
    await page.locator('[data-command="notebook:interrupt-kernel"]').first().click();
    await cell.getByText("AbortError: The cell was interrupted.").first().waitFor({ timeout: 30_000 });
    await cell.getByText(/interrupted after \d+ of 100000 epochs.* · the model keeps what it has learned/).waitFor();
    await button.waitFor({ state: "detached" });
    await runCell(page, 1);
    await codeCells(page).nth(1).getByText("kept stripes-net").waitFor({ timeout: 30_000 });
    await screenshot(page, `${out}/lab-interrupt.png`);
    await page.close();
  });

  longTest("the button of a kernel that is gone says so, and the page stays", async () => {
    const { page, cell, button } = await startRun("lab-gone", [endless]);
    const address = page.url();
    const [, pid] = (await cell.textContent())!.match(/pid:(\d+)\./)!;
    Deno.kill(Number(pid), "SIGKILL");
    await page.getByText(/Kernel Restarting|Deno \| (Restarting|Idle)/).first().waitFor({ timeout: 30_000 });
    await button.dispatchEvent("click");
    await cell.getByText("The kernel is gone.").waitFor({ timeout: 10_000 });
    expect(page.url()).toBe(address);
    expect(await button.count()).toBe(0);
    await screenshot(page, `${out}/lab-gone.png`);
    await page.close();
  });
});
