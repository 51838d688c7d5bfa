/** How a backend is picked, with made-up backends: order, refusals, errors, and calls at the same time. */

import { describe, expect, test } from "vitest";
import { BackendError, type BackendName, type Candidate } from "../../lib/runtime/candidate.ts";
import { Runtime } from "../../lib/runtime/runtime.ts";
import type { TF } from "../../lib/runtime/core/types.ts";

interface Plan {
  fails?: string;
  onlyByName?: string;
  advice?: string;
}

/** A runtime on backends that only pretend, with a log of what happened. */
function pretend(
  plans: Partial<Record<BackendName, Plan>>,
  { preferred = undefined as string | undefined, switches = true } = {},
) {
  const log: string[] = [];
  const said: string[] = [];
  let active = "none";
  const tf = {
    setBackend: (name: string) => {
      log.push(`set ${name}`);
      if (switches) active = name;
      return Promise.resolve(true);
    },
    getBackend: () => active,
    engine: () => ({ state: { registeredVariables: {} } }),
  } as unknown as TF;
  const candidates = Object.entries(plans).map(([name, plan]): Candidate => ({
    name: name as BackendName,
    onlyByName: () => Promise.resolve(plan.onlyByName),
    start: async () => {
      log.push(`start ${name}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`end ${name}`);
      if (plan.fails) throw new BackendError(name, plan.fails, "Do something.");
      const { advice } = plan;
      return {
        device: `${name} device`,
        version: "1.0",
        threads: name === "wasm" ? 2 : undefined,
        selfCheck: 0,
        advice,
      };
    },
  }));
  const runtime = new Runtime({
    candidates,
    tf: () => Promise.resolve(tf),
    preferred: () => preferred,
    say: (line) => said.push(line),
  });
  return {
    useBackend: runtime.useBackend.bind(runtime),
    ensureBackend: runtime.ensureBackend.bind(runtime),
    doctor: runtime.doctor.bind(runtime),
    log,
    said,
    plans,
    active: () => active,
  };
}

describe("auto", () => {
  test("takes the first that starts, and starts no other", async () => {
    const { useBackend, log } = pretend({ tensorflow: {}, webgpu: {}, wasm: {}, cpu: {} });
    expect(await useBackend()).toEqual({ name: "tensorflow", device: "tensorflow device", version: "1.0" });
    expect(log).toEqual(["start tensorflow", "end tensorflow", "set tensorflow"]);
  });

  test("goes on past one that fails", async () => {
    const { useBackend } = pretend({ tensorflow: { fails: "no library" }, webgpu: {}, wasm: {} });
    expect((await useBackend("auto")).name).toBe("webgpu");
  });

  test("passes over one that may be taken by name only, without starting it", async () => {
    const { useBackend, log } = pretend({ webgpu: { onlyByName: "software" }, wasm: {} });
    expect(await useBackend("auto")).toEqual({ name: "wasm", device: "wasm device", version: "1.0", threads: 2 });
    expect(log).not.toContain("start webgpu");
  });

  test("such a one is taken when asked for by name, or by the environment", async () => {
    expect((await pretend({ webgpu: { onlyByName: "software" }, wasm: {} }).useBackend("webgpu")).name).toBe("webgpu");
    const { ensureBackend, active } = pretend({ webgpu: { onlyByName: "software" }, wasm: {} }, {
      preferred: "webgpu",
    });
    await ensureBackend();
    expect(active()).toBe("webgpu");
  });

  test("is an error that lists every reason when none is left", async () => {
    const { ensureBackend, said } = pretend({ wasm: { fails: "no package" }, cpu: { onlyByName: "slow" } });
    await expect(ensureBackend()).rejects.toThrow(/no backend starts here \(wasm: no package; cpu: slow\)/);
    expect(said).toEqual([]);
  });

  test("says once what it took; a backend asked for by name needs no line", async () => {
    const { useBackend, ensureBackend, said } = pretend({ wasm: {}, cpu: {} });
    await useBackend("cpu");
    expect(said).toEqual([]);
    await useBackend("auto");
    await useBackend("cpu");
    await useBackend("auto");
    await ensureBackend();
    expect(said).toEqual(["convlens computes with wasm on wasm device, 2 threads; doctor() tells why."]);
  });
});

describe("calls at the same time", () => {
  test("share one start", async () => {
    const { ensureBackend, log } = pretend({ wasm: {} });
    const all = await Promise.all(Array.from({ length: 8 }, () => ensureBackend()));
    expect(new Set(all).size).toBe(1);
    expect(log).toEqual(["start wasm", "end wasm", "set wasm"]);
  });

  test("switch one after the other, the last asked for wins", async () => {
    const { useBackend, log, active } = pretend({ wasm: {}, cpu: {} });
    await Promise.all([useBackend("wasm"), useBackend("cpu")]);
    expect(log).toEqual(["start wasm", "end wasm", "set wasm", "start cpu", "end cpu", "set cpu"]);
    expect(active()).toBe("cpu");
  });

  test("do not stop at one that fails, and the failed one is tried again when asked again", async () => {
    const { useBackend, plans } = pretend({ webgpu: { fails: "no adapter" }, wasm: {} });
    const [first, second] = await Promise.allSettled([useBackend("webgpu"), useBackend("wasm")]);
    expect([first.status, second.status]).toEqual(["rejected", "fulfilled"]);
    plans.webgpu = Object.assign(plans.webgpu!, { fails: undefined });
    expect((await useBackend("webgpu")).name).toBe("webgpu");
  });
});

describe("a backend asked for by name", () => {
  test("never becomes another one", async () => {
    const { useBackend, log } = pretend({ webgpu: { fails: "no adapter" }, wasm: {} });
    await expect(useBackend("webgpu")).rejects.toThrow(
      'The backend "webgpu" cannot be used: no adapter. Do something.',
    );
    expect(log).not.toContain("start wasm");
  });

  test("is an error if tfjs says yes but computes on another", async () => {
    const { useBackend } = pretend({ wasm: {} }, { switches: false });
    await expect(useBackend("wasm")).rejects.toThrow(/did not switch to it and computes on "none"/);
  });
});

describe("doctor", () => {
  test("starts all, switches to none, and tells why auto passes each by", async () => {
    const { doctor, log } = pretend({ tensorflow: { fails: "no library" }, webgpu: {}, wasm: {}, cpu: {} });
    const { rows, auto } = await doctor();
    expect(auto).toBe("webgpu");
    expect(rows.map(({ name, available, reason }) => [name, available, reason])).toEqual([
      ["tensorflow", false, "no library"],
      ["webgpu", true, ""],
      ["wasm", true, "auto prefers webgpu"],
      ["cpu", true, "auto prefers webgpu"],
    ]);
    expect(log.filter((line) => line.startsWith("set"))).toEqual([]);
  });

  test("follows the environment", async () => {
    const { doctor } = pretend({ webgpu: {}, wasm: {} }, { preferred: "wasm" });
    const { rows, auto } = await doctor();
    expect(auto).toBe("wasm");
    expect(rows.map((row) => row.reason)).toEqual(["the environment's CONVLENS_BACKEND asks for wasm", ""]);
  });

  test("gives the advice of a backend that could be faster, and so does useBackend", async () => {
    const { doctor, useBackend } = pretend({ tensorflow: { advice: "slow. Build it." }, wasm: {} });
    const report = await doctor();
    expect(report.rows.map((row) => row.advice)).toEqual(["slow. Build it.", undefined]);
    expect(String(report)).toMatch(/\ntensorflow: slow\. Build it\.\nauto takes tensorflow\.$/);
    expect(await useBackend("tensorflow")).toMatchObject({ advice: "slow. Build it." });
    expect(await useBackend("wasm")).not.toHaveProperty("advice");
  });

  test("says so when auto finds none", async () => {
    const report = await pretend({ wasm: { fails: "no package" } }).doctor();
    expect(report.auto).toBe("");
    expect(String(report)).toMatch(/✗ +wasm +no package\nauto finds no backend to take\.$/);
  });
});
