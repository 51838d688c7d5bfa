import { describe, expect, test } from "vitest";
import { startLiveMap } from "../../lib/figure/live_map.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const points = { data: Float32Array.of(0, 0, 1, 1, 0, 1), shape: [3, 2] };

describe("a map that settles", () => {
  test("is painted in one output now and then, and goes at the end", async () => {
    const shown: { html: string; id?: string; update?: boolean }[] = [];
    const live = startLiveMap({
      labels: ["a", "<b>", undefined],
      show: (bundle, { id, update } = {}) => {
        shown.push({ html: String(bundle["text/html"]), id, update });
        return Promise.resolve();
      },
    });
    live.update(points, "too early");
    expect(shown).toEqual([]);
    await sleep(450);
    live.update(points, "iteration 50 of 750 <");
    live.update(points, "while one is painted");
    await live.finish();
    expect(shown.map(({ update }) => update)).toEqual([false, true]);
    expect(new Set(shown.map(({ id }) => id)).size).toBe(1);
    expect(shown[0].html).toContain("iteration 50 of 750 &lt;");
    expect(shown[0].html).toContain("<img");
    expect(shown[1].html).toBe("");
  });

  test("paints nothing outside a cell, and survives a picture that cannot be painted", async () => {
    const outside = startLiveMap();
    await sleep(450);
    outside.update(points, "");
    await outside.finish();
    const live = startLiveMap({ show: () => Promise.reject(new Error("the cell is gone")) });
    await sleep(450);
    live.update({ data: Float32Array.of(NaN, 0), shape: [1, 2] }, "");
    await live.finish();
  });
});
