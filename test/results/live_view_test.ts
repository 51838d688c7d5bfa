import { afterEach, describe, expect, test, vi } from "vitest";
import type { Block } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { startLiveView } from "../../lib/results/live_view.ts";

/** Stands in for the kernel, in which alone figures are painted; what goes under the bar. */
function fakeBar(): { shown: string[]; show: (html: string) => Promise<void> } {
  vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: {} } }));
  const shown: string[] = [];
  return {
    shown,
    async show(html) {
      shown.push(html);
      await Promise.resolve();
    },
  };
}

const figure = (title: string) => () => new Figure({ title, blocks: [] });

/** Lets so many seconds pass, as far as `performance.now` tells. */
function pass(seconds: number): void {
  const now = performance.now() + 1000 * seconds;
  vi.spyOn(performance, "now").mockReturnValue(now);
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("a live view", () => {
  test("is painted now and then", async () => {
    const { shown, show } = fakeBar();
    const live = startLiveView(show);
    live.offer(figure("too early"));
    pass(1.1);
    live.offer(figure("first"));
    live.offer(figure("still busy"));
    await live.end();
    live.offer(figure("too soon"));
    pass(1.1);
    live.offer(figure("second"));
    await live.end();
    expect(shown.map((html) => html.match(/first|second/)?.[0] ?? html)).toEqual(["first", "second"]);
  });

  test("leaves nothing where it was never painted", async () => {
    const { shown, show } = fakeBar();
    await startLiveView(show).end();
    expect(shown).toEqual([]);
  });

  test("that cannot be drawn is an error at the end", async () => {
    const { show } = fakeBar();
    const picture: Block = { kind: "picture", alt: "", pixels: { data: new Uint8Array(1), width: 9, height: 9 } };
    const live = startLiveView(show);
    pass(1.1);
    live.offer(() => new Figure({ title: "bad", blocks: [picture] }));
    await expect(live.end()).rejects.toThrow();
  });

  test("does nothing outside a cell", async () => {
    const live = startLiveView(() => Promise.reject(new Error("there is no cell")));
    pass(1.1);
    let made = 0;
    live.offer(() => {
      made++;
      return figure("none")();
    });
    await live.end();
    expect(made).toBe(0);
  });
});
