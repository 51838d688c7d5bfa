import { afterEach, expect, test, vi } from "vitest";
import { Ended, endWork, GroupMember } from "../../lib/workers/member.ts";

/**
 * One of two Workers, the other of which never comes; their work is ended at some look of this one at it.
 *
 * @returns the Worker, and their memory
 */
function lonely(look: number): [member: GroupMember<unknown>, shared: SharedArrayBuffer] {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const shared = memory.buffer as unknown as SharedArrayBuffer;
  let looks = 0;
  class Watched extends GroupMember<unknown> {
    override goOn(): void {
      super.goOn();
      if (++looks === look) endWork(shared);
    }
  }
  return [new Watched({}, memory, 0, 2), shared];
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("an end between a Worker's look at it and its sleep is not slept through", () => {
  // Sleeping here would hold this thread for ever.
  const sleep = vi.spyOn(Atomics, "wait").mockReturnValue("ok");
  const [member] = lonely(1);
  expect(() => member.meet()).toThrow(Ended);
  expect(sleep).not.toHaveBeenCalled();
});

test("a Worker that is woken too early, by the meeting before, sleeps again until the other one comes", () => {
  const [member, shared] = lonely(Infinity);
  const sleep = vi.spyOn(Atomics, "wait").mockImplementation(() => {
    // As the other one does when it comes.
    if (sleep.mock.calls.length === 3) Atomics.add(new Int32Array(shared), 1, 1);
    return "ok";
  });
  member.meet();
  expect(sleep).toHaveBeenCalledTimes(3);
});
