import { afterEach, describe, expect, test, vi } from "vitest";
import { progressHtml, progressText, startProgress, withProgress } from "../../lib/notebook/progress.ts";

describe("what the bar says", () => {
  test.each([
    [0, 10, 0, "Work · 0 of 10 · 0.0 s"],
    [1, 10, 2_000, "Work · 1 of 10 · 2.0 s · 18 s left"],
    [4, 10, 8_000, "Work · 4 of 10 · 8.0 s · 12 s left"],
    [9, 10, 9_940, "Work · 9 of 10 · 9.9 s · 1.1 s left"],
    [10, 10, 12_345, "Work · 10 of 10 · 12 s"],
    [1, 100, 3_000, "Work · 1 of 100 · 3.0 s · 4 min 57 s left"],
    [1, 1000, 9_990, "Work · 1 of 1000 · 10 s · 2 h 46 min left"],
  ])("%i of %i after %i ms", (done, total, elapsed, wanted) => {
    expect(progressText("Work", done, total, elapsed)).toBe(wanted);
  });

  test.each([[59_400, "59 s"], [59_700, "1 min 0 s"], [119_800, "2 min 0 s"], [9_960, "10 s"], [
    3_599_800,
    "1 h 0 min",
  ]])(
    "rounds %i ms to a time that exists",
    (elapsed, wanted) => {
      expect(progressText("Work", 0, undefined, elapsed)).toBe(`Work · ${wanted}`);
    },
  );

  test("only counts the seconds where no total is known", () => {
    expect(progressText("Work", 5, undefined, 61_000)).toBe("Work · 1 min 1 s");
  });

  test("escapes its label, fills the bar to the share, and leaves text in the page's colour", () => {
    const html = progressHtml("<b>", 0.25);
    expect(html).toContain("&lt;b&gt;");
    expect(html).toContain("width:25.0%;height:6px");
    expect(html).not.toMatch(/[;"]color:/);
    expect(progressHtml("a", undefined)).not.toContain("height:6px");
  });
});

/** Standard error as a terminal or not; what was written to it. */
function fakeError(terminal: boolean): { written: string[] } {
  const written: string[] = [];
  vi.spyOn(Deno.stderr, "isTerminal").mockReturnValue(terminal);
  vi.spyOn(Deno.stderr, "writeSync").mockImplementation((bytes) => {
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  });
  return { written };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A clock that stands still until it is set to another time, in milliseconds: a busy machine does not change it. */
function fakeClock(): (ms: number) => void {
  const now = vi.spyOn(performance, "now").mockReturnValue(0);
  return (ms) => void now.mockReturnValue(ms);
}

describe("startProgress", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("rewrites one line of a terminal, and leaves the last", async () => {
    const { written } = fakeError(true);
    const setClock = fakeClock();
    const bar = startProgress("Work", 4);
    bar.update(1);
    setClock(400);
    // Back to the start of the line, and clear it.
    const lines = () => written.join("").split("\r\x1b[K");
    await expect.poll(lines).toContain("Work · 1 of 4 · 0.4 s · 1.2 s left");
    await bar.finish();
    expect(lines().slice(0, 3)).toEqual(["", "Work · 0 of 4 · 0.0 s", "Work · 1 of 4 · 0.4 s · 1.2 s left"]);
    expect(lines().at(-1)).toBe("Work · done in 0.4 s\n");
    expect(lines().filter((line) => line.includes("\n"))).toHaveLength(1);
    const before = written.length;
    await sleep(400);
    expect(written).toHaveLength(before);
  });

  test("prints the last line only where standard error is no terminal", async () => {
    const { written } = fakeError(false);
    const setClock = fakeClock();
    const bar = startProgress("Work", 4);
    bar.update(2);
    setClock(300);
    await sleep(300);
    await bar.stop();
    expect(written.join("")).toBe("Work · stopped after 2 of 4, 0.3 s\n");
  });

  test("says how long it ran when it stops without a total", async () => {
    const { written } = fakeError(false);
    fakeClock();
    await startProgress("Work").stop();
    expect(written).toEqual(["Work · stopped after 0.0 s\n"]);
  });

  test(
    "keeps a picture under the bar until the work is done, all in one output, and has none in a terminal",
    async () => {
      const shown: { html: string; id: string }[] = [];
      const jupyter = {
        display: (bundle: Record<string, string>, options: { display_id: string }) => {
          shown.push({ html: bundle["text/html"], id: options.display_id });
          return Promise.resolve();
        },
        broadcast: () => Promise.resolve(),
      };
      fakeError(true);
      vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: jupyter } }));
      try {
        const setClock = fakeClock();
        const bar = startProgress("Work", 4);
        await bar.show("<img alt=first>");
        const before = shown.length;
        bar.update(2);
        // The picture goes to the page less often than the bar alone would: after a second only.
        setClock(990);
        await sleep(600);
        expect(shown).toHaveLength(before);
        setClock(1010);
        await expect.poll(() => shown.length).toBe(before + 1);
        expect(shown.at(-1)!.html).toMatch(/2 of 4.*<img alt=first>$/);
        await bar.show("<img alt=second>");
        await bar.finish();
        const stopped = startProgress("Other", 4);
        await stopped.show("<img alt=kept>");
        await stopped.stop();
      } finally {
        vi.unstubAllGlobals();
      }
      const work = shown.filter(({ id }) => id === shown[0].id);
      const other = shown.filter(({ id }) => id !== shown[0].id);
      expect(new Set(other.map(({ id }) => id)).size).toBe(1);
      expect(work.some(({ html }) => html.endsWith("<img alt=first>") && html.includes("Work · "))).toBe(true);
      expect(work.at(-2)!.html).toMatch(/2 of 4.*<img alt=second>$/);
      expect(work.at(-1)!.html).toMatch(/Work · done in [\d.]+ s<\/div>$/);
      expect(other.at(-1)!.html).toMatch(/Other · stopped after 0 of 4.*<img alt=kept>$/);
      const { written } = fakeError(true);
      const bar = startProgress("Work", 4);
      await bar.show("<img>");
      await bar.finish();
      expect(written.join("")).not.toContain("<img>");
    },
  );

  test("is not shown of work that is part of other work", async () => {
    const { written } = fakeError(false);
    const part = () => withProgress("Part", 2, () => Promise.resolve(1));
    const whole = async () => await part() + await part();
    expect(await withProgress("Whole", 2, whole)).toBe(2);
    expect(written.join("")).toMatch(/^Whole · done in [\d.]+ s\n$/);
    const failing = withProgress("Failing", 2, () => Promise.reject(new Error("enough")));
    await expect(failing).rejects.toThrow("enough");
    await part();
    expect(written.at(-1)).toMatch(/^Part · done/);
  });

  test("paints one output of the cell, whose last state says that it is done", async () => {
    const shown: { bundle: Record<string, string>; id: string; update: boolean }[] = [];
    const jupyter = {
      display: (bundle: Record<string, string>, options: { display_id: string; update: boolean }) => {
        shown.push({ bundle, id: options.display_id, update: options.update });
        return Promise.resolve();
      },
      broadcast: () => Promise.resolve(),
    };
    vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: jupyter } }));
    const { written } = fakeError(true);
    try {
      const bar = startProgress("Work", 4);
      bar.update(3);
      await expect.poll(() => shown.at(-1)!.bundle["text/plain"]).toMatch(/^Work · 3 of 4/);
      await bar.finish();
    } finally {
      vi.unstubAllGlobals();
    }
    expect(new Set(shown.map(({ id }) => id)).size).toBe(1);
    expect(shown.map(({ update }) => update)).toEqual([false, ...new Array(shown.length - 1).fill(true)]);
    expect(shown.some(({ bundle }) => bundle["text/plain"].startsWith("Work · 3 of 4"))).toBe(true);
    expect(shown.at(-1)!.bundle["text/plain"]).toMatch(/^Work · done in /);
    expect(shown.at(-1)!.bundle["text/html"]).not.toContain("height:6px");
    expect(written).toEqual([]);
  });
});
