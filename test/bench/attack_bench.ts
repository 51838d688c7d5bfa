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
import type { BackendName } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Peer, serveBackend, type Task, timesOf, withPeers } from "./peers.ts";

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
  // ResNet-50 takes minutes: once, and on WASM not at all.
  const times = await timesOf(
    peers,
    RUNS,
    (peer, task, round) => !task.includes("resnet50") || (peer !== "wasm" && round === 0),
  );
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

async function makeTasks(): Promise<Record<string, Task>> {
  const tasks: Record<string, Task> = {};
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
  return tasks;
}

if (import.meta.main) await serveBackend(Deno.args[0] as BackendName, makeTasks);

export default [{
  name: "attacks against Foolbox",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
