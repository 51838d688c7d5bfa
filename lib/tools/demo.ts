/**
 * `deno task demo [NOTEBOOK]`: runs a notebook in the real Deno Jupyter kernel, without Python, and writes it with its
 * outputs, and as an HTML page, to `out/`.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { notebookPage } from "./notebook_page.ts";
import { type CellProgress, runNotebook } from "./kernel.ts";
import { notebookText, parseNotebook } from "./notebook.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

function firstLine(source: string): string {
  const lines = source.split("\n").map((line) => line.trim());
  const code = lines.find((line) => line && !line.startsWith("//")) ?? lines[0];
  return code.length > 72 ? code.slice(0, 71) + "…" : code;
}

/** Writes a line for each cell that is done and, in a terminal, one that lives for the cell that runs. */
function progressLines(): { show: (progress: CellProgress) => void; end: () => void } {
  const live = Deno.stdout.isTerminal();
  const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  let timer: ReturnType<typeof setInterval> | undefined;
  const end = () => {
    clearInterval(timer);
    if (live) write("\r\x1b[K");
  };
  const line = (mark: string, seconds: number, { number, of, source }: CellProgress) =>
    `${mark} ${`${number}/${of}`.padStart(2 * String(of).length + 1)} ${seconds.toFixed(1).padStart(6)} s  ` +
    firstLine(source);
  const show = (progress: CellProgress) => {
    end();
    const { seconds, failures = [] } = progress;
    if (seconds !== undefined) {
      write(line(failures.length ? "✗" : "✓", seconds, progress) + "\n");
      for (const { kind, message } of failures) write(`    ${kind}: ${message.replaceAll("\n", "\n    ")}\n`);
    } else if (live) {
      const start = performance.now();
      timer = setInterval(() => {
        const width = Math.max(20, Deno.consoleSize().columns - 1);
        write("\r\x1b[K" + line("·", (performance.now() - start) / 1000, progress).slice(0, width));
      }, 100);
    }
  };
  return { show, end };
}

/**
 * Runs a notebook and writes `out/NAME.ipynb` and `out/NAME.html`, also when a cell fails.
 *
 * @param path the notebook
 * @returns how many failures there were
 */
async function demo(path: string, signal: AbortSignal): Promise<number> {
  const notebook = parseNotebook(await Deno.readTextFile(path), path);
  console.log(`Running ${path} in the Deno ${Deno.version.deno} Jupyter kernel`);
  const lines = progressLines();
  let run;
  try {
    run = await runNotebook(notebook, { folder: dirname(path), signal, onProgress: lines.show });
  } finally {
    lines.end();
  }
  const out = `${root}out/${basename(path, ".ipynb")}`;
  await Deno.mkdir(`${root}out`, { recursive: true });
  await Deno.writeTextFile(`${out}.ipynb`, notebookText(run.notebook));
  await Deno.writeTextFile(`${out}.html`, await notebookPage(run.notebook));
  console.log(`\n${run.failures.length ? "Failed" : "Done"} after ${run.seconds.toFixed(1)} s. Written:`);
  console.log(`  ${out}.html   open it in a browser; it needs no network`);
  console.log(`  ${out}.ipynb   the executed notebook`);
  return run.failures.length;
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stop.abort(new Error(`Stopped by ${signal}.`)));
}
try {
  const path = resolve(Deno.args[0] ?? `${root}notebooks/01_tour.ipynb`);
  Deno.exit(await demo(path, stop.signal) ? 1 : 0);
} catch (error) {
  console.error(`The demo stopped: ${(error as Error).message}`);
  Deno.exit(stop.signal.aborted ? 130 : 1);
}
