import { afterEach, describe, expect, test } from "vitest";
import { WorkerError, WorkerPool } from "../../lib/workers/pool.ts";
import { COUNT, DOUBLE, FAIL, FAIL_LATER, WAIT } from "./functions.ts";

let pool: WorkerPool;
afterEach(() => pool.end());

function start(count: number, signal?: AbortSignal): WorkerPool {
  return pool = new WorkerPool(count, { signal, remedy: "Try fewer." });
}

describe("a pool of Workers", () => {
  test("calls functions of a module in each Worker, and gives each call its own result", async () => {
    const { workers } = start(3);
    expect(workers.map(({ name }) => name)).toEqual(["Worker 1 of 3", "Worker 2 of 3", "Worker 3 of 3"]);
    const calls = workers.flatMap((worker, i) => [worker.call(DOUBLE, i), worker.call(DOUBLE, 10 + i)]);
    expect(await Promise.all(calls)).toEqual([0, 20, 2, 22, 4, 24]);
  });

  test("begins the calls of one Worker in their order, and does not wait for the ends", async () => {
    const [worker] = start(1).workers;
    const ends: string[] = [];
    const call = async (name: string, ms: number) => {
      const before = await worker.call(WAIT, { name, ms });
      ends.push(name);
      return before;
    };
    expect(await Promise.all([call("slow", 300), call("quick", 0)])).toEqual([[], ["slow"]]);
    expect(ends).toEqual(["quick", "slow"]);
  });

  test("hears of progress, and moves buffers without a copy", async () => {
    const seen: number[] = [];
    const [worker] = start(1).workers;
    const all = await worker.call(COUNT, 3, { onProgress: ([number]) => seen.push(number) });
    expect(seen).toEqual([1, 2, 3]);
    expect(all).toEqual(new Uint8Array(3));
  });

  test("fails as a whole when a call fails: says which Worker, on what, why and what to do", async () => {
    const [first, second] = start(2).workers;
    const other = first.call(WAIT, { name: "long", ms: 60_000 });
    const failing = second.call(FAIL, "7 is too much", { about: "on input 7" });
    const error = await failing.catch((error) => error) as WorkerError;
    expect(error).toBeInstanceOf(WorkerError);
    expect(error.message).toBe(
      "Worker 2 of 2 failed on input 7: 7 is too much. All Workers of this call were ended. Try fewer.",
    );
    await expect(other).rejects.toBe(error);
    await expect(first.call(DOUBLE, 1)).rejects.toBe(error);
    await expect(pool.race(new Promise(() => {}))).rejects.toBe(error);
  });

  test("fails when a Worker dies of an error that no call threw", async () => {
    const [worker] = start(1).workers;
    await expect(worker.call(FAIL_LATER, undefined, { about: "later" })).rejects.toThrow(
      /^Worker 1 of 1 failed later: .*out of the blue/,
    );
  });

  test("fails with the error of whoever listens to the progress", async () => {
    const [worker] = start(1).workers;
    const onProgress = () => {
      throw new Error("no screen");
    };
    await expect(worker.call(COUNT, 3, { onProgress })).rejects.toThrow("no screen");
  });

  test("fails at once when it is aborted, with the reason", async () => {
    const stop = new AbortController();
    const [worker] = start(1, stop.signal).workers;
    const call = worker.call(WAIT, { name: "long", ms: 60_000 });
    stop.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    expect(() => new WorkerPool(1, { signal: stop.signal, remedy: "" })).toThrow("enough");
  });

  test("that is ended leaves nobody waiting", async () => {
    const [worker] = start(1).workers;
    const call = worker.call(WAIT, { name: "long", ms: 60_000 });
    pool.end();
    await expect(call).rejects.toThrow("The Workers were ended.");
  });
});
