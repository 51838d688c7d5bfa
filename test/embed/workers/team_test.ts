import { afterEach, expect, test, vi } from "vitest";
import type { Kernels } from "../../../lib/embed/workers/kernels.ts";
import { Ended, endWork, Team } from "../../../lib/embed/workers/team.ts";

/** One of two Workers, the other of which never comes; their work is ended at some look of this one at it. */
function lonely(look: number): Team {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const shared = memory.buffer as unknown as SharedArrayBuffer;
  let looks = 0;
  class Watched extends Team {
    override goOn(): void {
      super.goOn();
      if (++looks === look) endWork(shared);
    }
  }
  return new Watched({} as Kernels, memory, 0, 2);
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("an end between a Worker's look at it and its sleep is not slept through", () => {
  // Sleeping here would hold this thread for ever.
  const sleep = vi.spyOn(Atomics, "wait").mockReturnValue("ok");
  expect(() => lonely(1).meet()).toThrow(Ended);
  expect(sleep).not.toHaveBeenCalled();
});

test("without an end a Worker sleeps until the other one comes", () => {
  const sleep = vi.spyOn(Atomics, "wait").mockReturnValue("ok");
  lonely(Infinity).meet();
  expect(sleep).toHaveBeenCalledOnce();
});
