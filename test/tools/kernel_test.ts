import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type CellProgress, runNotebook } from "../../lib/tools/kernel.ts";
import { type CodeCell, joined, type Notebook } from "../../lib/tools/notebook.ts";
import { DISPLAY, eighty, EIGHTY_WORDS, firstWords, LONG, notebookOf } from "../notebook/samples.ts";
import { longTest } from "../long.ts";

/** The kernels' folder, and that of their temporary files. */
let folder: string;
beforeAll(async () => {
  folder = await Deno.realPath(await Deno.makeTempDir());
  Deno.env.set("TMPDIR", folder);
});
afterAll(() => Deno.remove(folder, { recursive: true }));

const run = (sources: string[], options: { timeout?: number; signal?: AbortSignal; tags?: string[] } = {}) =>
  runNotebook(notebookOf(sources, options.tags), { folder, timeout: 30_000, ...options });
const outputsOf = (notebook: Notebook) => notebook.cells.map((cell) => (cell as CodeCell).outputs);
const counts = (notebook: Notebook) => notebook.cells.map((cell) => (cell as CodeCell).execution_count);
const IMPORT = `import { display, displaySymbol, keepOutputs } from ${JSON.stringify(DISPLAY)};\nkeepOutputs();`;

/** Whether a process is there. */
function lives(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/** What kernels left in the folder for temporary files. */
const leftovers = () => [...Deno.readDirSync(folder)].map(({ name }) => name);

describe("runNotebook", () => {
  test("files results, streams, shows and errors as nbformat has them", async () => {
    const progress: CellProgress[] = [];
    const sources = [
      IMPORT,
      `console.log("one"); console.log("two"); console.error("three"); 4`,
      `({ [displaySymbol]: () => ({ "text/html": "<b>5</b>", "text/plain": "5" }) })`,
      `await display({ "text/plain": "old" }, { id: "a" });\nawait display({ "text/plain": "other" });`,
      `await display({ "text/plain": "new" }, { id: "a", update: true });`,
      `Deno.cwd()`,
    ];
    const { notebook, failures, seconds } = await runNotebook(notebookOf(sources), {
      folder,
      onProgress: (event) => progress.push(event),
    });
    expect(failures).toEqual([]);
    expect(counts(notebook)).toEqual([1, 2, 3, 4, 5, 6]);
    const [none, streams, result, shows, update, cwd] = outputsOf(notebook);
    expect(none).toEqual([]);
    expect(streams).toEqual([
      { output_type: "stream", name: "stdout", text: "one\ntwo\n" },
      { output_type: "stream", name: "stderr", text: "three\n" },
      {
        output_type: "execute_result",
        data: { "text/plain": "\x1b[33m4\x1b[39m" },
        metadata: {},
        execution_count: 2,
      },
    ]);
    expect(result).toEqual([{
      output_type: "execute_result",
      data: { "text/html": "<b>5</b>", "text/plain": "5" },
      metadata: {},
      execution_count: 3,
    }]);
    expect(shows).toEqual([
      { output_type: "display_data", data: { "text/plain": "new" }, metadata: {} },
      { output_type: "display_data", data: { "text/plain": "other" }, metadata: {} },
    ]);
    expect(update).toEqual([]);
    expect(JSON.stringify(cwd)).toContain(folder);
    expect(notebook.metadata.language_info).toMatchObject({ name: "typescript", file_extension: ".ts" });
    expect(progress.map(({ number, seconds }) => [number, seconds !== undefined])).toEqual(
      sources.flatMap((_, i) => [[i + 1, false], [i + 1, true]]),
    );
    expect(progress[1].seconds).toBeLessThanOrEqual(seconds);
  });

  test("stops at a cell that throws, and keeps what it showed before", async () => {
    const { notebook, failures } = await run([
      IMPORT,
      `await display({ "text/plain": "before" }); throw new TypeError("no <dog>")`,
      `1`,
    ]);
    expect(failures).toEqual([{ cell: 1, kind: "error", message: "TypeError: no <dog>" }]);
    expect(outputsOf(notebook)[1]).toMatchObject([
      { output_type: "display_data", data: { "text/plain": "before" } },
      { output_type: "error", ename: "TypeError", evalue: "no <dog>" },
    ]);
    expect(counts(notebook)).toEqual([1, 2, null]);
  });

  test("goes on after a cell that is tagged raises-exception", async () => {
    const { notebook, failures } = await run([`throw new Error("planned")`, `2; undefined`], {
      tags: ["raises-exception"],
    });
    expect(failures).toEqual([]);
    expect(outputsOf(notebook)[0]).toMatchObject([{ output_type: "error", evalue: "planned" }]);
    expect(counts(notebook)).toEqual([1, 2]);
  });

  test("names a syntax error, which the kernel does not publish", async () => {
    const { notebook, failures } = await run([`const = 1`]);
    expect(failures).toEqual([{ cell: 0, kind: "error", message: "SyntaxError: The code does not parse." }]);
    expect(outputsOf(notebook)[0]).toMatchObject([{ output_type: "error", ename: "SyntaxError" }]);
  });

  const busy = ["a busy loop", "for (;;);"];
  longTest.each([busy, ["a wait without end", "await new Promise((r) => setTimeout(r, 1e9))"]])(
    "ends %s when its time is up, and leaves no process and no file",
    async (_, source) => {
      const show = `await display({ "text/plain": String(Deno.pid) });`;
      // Enough for what comes before the loop, on a busy machine too: the import, and the output's way to us.
      const { notebook, failures } = await run([IMPORT, `${show}\n${source}`], { timeout: 8000 });
      expect(failures).toEqual([{ cell: 1, kind: "timeout", message: "The cell ran for more than 8 s." }]);
      const [[shown]] = outputsOf(notebook).slice(1);
      const pid = Number((shown as { data: Record<string, string> }).data["text/plain"]);
      expect(pid).toBeGreaterThan(0);
      expect(lives(pid)).toBe(false);
      expect(leftovers()).toEqual([]);
    },
  );

  test("tells that the kernel ended", async () => {
    const { failures } = await run([`Deno.exit(3)`, `1`]);
    expect(failures).toMatchObject([{ cell: 0, kind: "dead" }]);
    expect(failures[0].message).toMatch(/ended with exit code 3/);
    expect(leftovers()).toEqual([]);
  });

  test.each([0, 1, 4])("starts on other ports when its port %i was taken meanwhile", async (which) => {
    const { listen } = Deno;
    const taken: Deno.Listener[] = [];
    let asked = 0;
    vi.spyOn(Deno, "listen").mockImplementation(
      ((options: Deno.TcpListenOptions) => {
        const listener = listen(options);
        if (asked++ !== which) return listener;
        // Another program has it as soon as it is given up.
        taken.push(listener);
        return { addr: listener.addr, close: () => {} };
      }) as typeof Deno.listen,
    );
    try {
      const { failures } = await run([`1; undefined`]);
      expect([failures, asked]).toEqual([[], 10]);
      expect(leftovers()).toEqual([]);
    } finally {
      vi.restoreAllMocks();
      taken.forEach((listener) => listener.close());
    }
  });

  test("stops when its signal says so", async () => {
    const signal = AbortSignal.timeout(1500);
    const error = await run([`await new Promise((r) => setTimeout(r, 1e9))`], { signal }).catch((error) => error);
    expect(error).toBe(signal.reason);
    expect(error.name).toBe("TimeoutError");
    expect(leftovers()).toEqual([]);
  });

  longTest("notices an output that comes too late", async () => {
    // Nothing waits for these 40 MB: they are still on their way when the kernel says that it is done.
    const { failures } = await run([`console.log("x".repeat(4e7))`]);
    expect(failures).toHaveLength(1);
    expect(failures[0].kind).toMatch(/late|damaged/);
  });

  longTest("finds 80 of 80 outputs, small and of 5 MB, each under its own cell", async () => {
    const { notebook, failures } = await runNotebook(eighty(), { folder, timeout: 30_000 });
    expect(failures).toEqual([]);
    expect(firstWords(notebook)).toEqual(EIGHTY_WORDS);
    const long = outputsOf(notebook).flat().filter((output) => JSON.stringify(output).length > 5e6);
    expect(long).toHaveLength(LONG);
  });

  test("finds the outputs that cells show at the same time", async () => {
    const { notebook, failures } = await run([
      IMPORT,
      `await Promise.all(Array.from({ length: 50 }, (_, i) => display({ "text/plain": String(i) }))); undefined;`,
    ]);
    expect(failures).toEqual([]);
    const shown = outputsOf(notebook)[1].map((output) => "data" in output && output.data["text/plain"]);
    expect(shown.map((text) => joined(text as string))).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
  });
});
