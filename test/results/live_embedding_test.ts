import { afterEach, describe, expect, test, vi } from "vitest";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { joined } from "../../lib/tools/notebook.ts";
import { startLiveEmbedding } from "../../lib/results/live_embedding.ts";
import { root } from "../notebook/nbconvert.ts";
import { notebookOf } from "../notebook/samples.ts";

/** Stands in for the kernel, in which alone pictures are painted. */
const inCell = () => vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: {} } }));

/** Lets so many milliseconds pass, as far as `performance.now` tells. */
function pass(ms: number): void {
  const now = performance.now() + ms;
  vi.spyOn(performance, "now").mockReturnValue(now);
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const points = { data: Float32Array.of(0, 0, 1, 1, 0, 1), shape: [3, 2] };
const inSpace = { data: Float32Array.of(0, 0, 1, 1, 0, 1, 3, 2, 1), shape: [3, 3] };

describe("an embedding on its way", () => {
  test.each([["flat", points], ["in space", inSpace]])("is painted now and then: %s", async (_, map) => {
    inCell();
    const shown: string[] = [];
    const live = startLiveEmbedding(["a", "<b>", undefined], (html) => {
      shown.push(html);
      return Promise.resolve();
    });
    live.update(map, "too early");
    expect(shown).toEqual([]);
    pass(1100);
    live.update(map, "KL divergence < 3");
    live.update(map, "while one is painted");
    await live.end();
    live.update(map, "too soon");
    await live.end();
    expect(shown).toHaveLength(1);
    expect(shown[0]).toContain("KL divergence &lt; 3");
    expect(shown[0]).toMatch(/<img src="data:image\/png;base64,[\w+/]{1000}/);
  });

  test("paints nothing outside a cell, and survives a picture that cannot be painted", async () => {
    let asked = 0;
    const show = () => {
      asked++;
      return Promise.reject(new Error("the cell is gone"));
    };
    const outside = startLiveEmbedding(undefined, show);
    pass(1100);
    outside.update(points, "");
    await outside.end();
    expect(asked).toBe(0);
    inCell();
    const live = startLiveEmbedding(undefined, show);
    pass(1100);
    live.update({ data: Float32Array.of(NaN, 0), shape: [1, 2] }, "");
    await live.end();
    pass(1100);
    live.update(points, "");
    await live.end();
    expect(asked).toBe(1);
  });
});

/**
 * Shows how an embedding takes shape, and then the value of the last expression, which the kernel may publish too late unless it is
 * told to wait, as the whole library does.
 */
const CELL = `
const lib = ${JSON.stringify(new URL("../../lib/", import.meta.url).href)};
const { keepOutputs } = await import(lib + "notebook/display.ts");
keepOutputs();
const { startLiveEmbedding } = await import(lib + "results/live_embedding.ts");
const { withProgress } = await import(lib + "notebook/progress.ts");
await withProgress("Placing", 2, async (update, show) => {
  const live = startLiveEmbedding(["a", "b", "a"], show);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  live.update({ data: Float32Array.of(0, 0, 1, 1, 0, 1), shape: [3, 2] }, "KL divergence 1");
  await live.end();
});
"the map"`;

test("in a notebook leaves the bar's last line, and nothing empty", async () => {
  const { notebook, failures } = await runNotebook(notebookOf([CELL]), { folder: root });
  expect(failures).toEqual([]);
  const [cell] = notebook.cells;
  if (cell.cell_type !== "code") throw new Error("wanted a cell of code");
  const texts = cell.outputs.map((output) => "data" in output ? joined(output.data["text/plain"] as string) : "");
  expect(texts).toEqual([expect.stringMatching(/^Placing · done in [\d.]+ s$/), expect.stringContaining("the map")]);
  expect("data" in cell.outputs[0] && joined(cell.outputs[0].data["text/html"] as string)).not.toContain("<img");
});
