import { afterEach, describe, expect, test, vi } from "vitest";
import { startLiveMap } from "../../lib/figure/live_map.ts";

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

describe("a map that settles", () => {
  test.each([["flat", points], ["in space", inSpace]])("is painted now and then: %s", async (_, map) => {
    inCell();
    const shown: string[] = [];
    const live = startLiveMap(["a", "<b>", undefined], (html) => {
      shown.push(html);
      return Promise.resolve();
    });
    live.update(map, "too early");
    expect(shown).toEqual([]);
    pass(450);
    live.update(map, "KL divergence < 3");
    live.update(map, "while one is painted");
    await live.finish();
    live.update(map, "too soon");
    await live.finish();
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
    const outside = startLiveMap(undefined, show);
    pass(450);
    outside.update(points, "");
    await outside.finish();
    expect(asked).toBe(0);
    inCell();
    const live = startLiveMap(undefined, show);
    pass(450);
    live.update({ data: Float32Array.of(NaN, 0), shape: [1, 2] }, "");
    await live.finish();
    live.update(points, "");
    await live.finish();
    expect(asked).toBe(1);
  });
});
