/**
 * Projected gradient descent of 40 steps on 50 images of 32×32 and on 8 of 224×224, natively and on WASM, beside Foolbox on
 * PyTorch with equal steps in the same run.
 *
 * Each computes in a process of its own, in turns. Run as a program, with the name of a backend, this file is such a
 * process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { loadModel } from "../../lib/model/load.ts";
import { Attacker } from "../../lib/probe/attack/attack.ts";
import { BackendError, type BackendName, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Peer, servePeer, withPeers } from "./peers.ts";

const STEPS = 40;
/** How many images of each network. */
const IMAGES: Record<string, number> = { "cifar-convnet": 50, resnet50: 8 };
const RUNS = 3;

const PYTHON = {
  name: "Foolbox",
  module: "foolbox",
  script: "foolbox_attacks.py",
  args: [STEPS, ...Object.values(IMAGES), availableParallelism()],
};

async function compareWith(peers: readonly Peer[]): Promise<Line[]> {
  const times = new Map<string, number[]>();
  for (let round = -1; round < RUNS; round++) {
    for (const { name, tasks, ask } of peers) {
      for (const task of tasks) {
        // ResNet-50 takes minutes: once, and on WASM not at all.
        if (task.includes("resnet50") && (name === "wasm" || round !== 0)) continue;
        const { ms } = await ask(task);
        if (round >= 0) times.set(`${name}, ${task}`, [...times.get(`${name}, ${task}`) ?? [], ms]);
      }
    }
  }
  console.log(`  load of the last five minutes: ${Deno.loadavg()[1].toFixed(2)}`);
  const rate = ([key, runs]: readonly [string, readonly number[]]) => {
    const [count] = Object.entries(IMAGES).flatMap(([name, count]) => key.includes(name) ? [count] : []);
    return 1000 * count * STEPS / median([...runs]);
  };
  return [...times].map((entry): Line => {
    const [key, runs] = entry;
    const [name, task] = key.split(", ");
    const peers = [...times].filter(([other]) => other.startsWith(`Foolbox, ${task}`));
    const line = {
      name: `${key}, steps of images`,
      median: rate(entry),
      runs: runs.length,
      unit: "per second" as const,
    };
    if (name === "Foolbox" || peers.length === 0) return line;
    const ratio = line.median / Math.max(...peers.map(rate));
    return { ...line, ratio, ...name === "tensorflow" && { goal: 1 } };
  });
}

async function serve(backend: BackendName): Promise<void> {
  let about: string;
  try {
    const { version, device } = await useBackend(backend);
    about = `${version} on ${device}`;
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    return await servePeer({ missing: error.reason }, {});
  }
  const tasks: Record<string, () => Promise<unknown>> = {};
  for (const [name, count] of Object.entries(IMAGES)) {
    const model = await loadModel(name);
    const side = model.inputShape[0]!;
    const views = Array.from({ length: count }, (_, k) => ({
      data: Float32Array.from({ length: side * side * 3 }, (_, i) => ((i + 31 * k) * 7919) % 256),
      shape: [side, side, 3],
    }));
    const attacker = await Attacker.of("bench", model, count);
    const step = attacker.batch;
    const attack = { method: "pgd", epsilon: 4, steps: STEPS, seed: 0 } as const;
    tasks[`PGD on ${name}`] = async () => {
      for (let start = 0; start < count; start += step) {
        const lot = views.slice(start, start + step);
        const answers = await attacker.answers(lot);
        await attacker.perturb(lot, answers.map(({ index }) => index), attack, start);
      }
    };
  }
  await servePeer({ about }, tasks);
}

if (import.meta.main) await serve(Deno.args[0] as BackendName);

export default [{
  name: "attacks against Foolbox",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
