import { afterEach, describe, expect, test, vi } from "vitest";
import type { Block } from "../../lib/figure/blocks.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { startLive } from "../../lib/figure/live.ts";

interface Shown {
  html: string;
  id: string;
  update: boolean;
}

/** Stands in for the kernel. */
function fakeKernel(): Shown[] {
  const shown: Shown[] = [];
  const jupyter = {
    display(bundle: Record<string, string>, options: { display_id: string; update: boolean }) {
      shown.push({ html: bundle["text/html"], id: options.display_id, update: options.update });
      return Promise.resolve();
    },
    broadcast: () => Promise.resolve(),
  };
  vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: jupyter } }));
  return shown;
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

describe("a live figure", () => {
  test("is painted now and then, and gone at the end", async () => {
    const shown = fakeKernel();
    const live = startLive();
    live.offer(figure("too early"));
    pass(1.1);
    live.offer(figure("first"));
    live.offer(figure("still busy"));
    await vi.waitFor(() => expect(shown).toHaveLength(1));
    // The first one must have left the kernel.
    await vi.waitFor(() => {
      pass(1.1);
      live.offer(figure("second"));
      expect(shown).toHaveLength(2);
    }, 15_000);
    live.offer(figure("too soon"));
    await live.end();
    expect(shown.map(({ html }) => html.match(/first|second/)?.[0] ?? html)).toEqual(["first", "second", ""]);
    expect(shown.map(({ update }) => update)).toEqual([false, true, true]);
    expect(new Set(shown.map(({ id }) => id)).size).toBe(1);
  });

  test("leaves nothing where it was never painted", async () => {
    const shown = fakeKernel();
    await startLive().end();
    expect(shown).toEqual([]);
  });

  test("that cannot be drawn is an error at the end", async () => {
    fakeKernel();
    const picture: Block = { kind: "picture", alt: "", pixels: { data: new Uint8Array(1), width: 9, height: 9 } };
    const live = startLive();
    pass(1.1);
    live.offer(() => new Figure({ title: "bad", blocks: [picture] }));
    await expect(live.end()).rejects.toThrow();
  });

  test("does nothing outside a cell", async () => {
    const live = startLive();
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
