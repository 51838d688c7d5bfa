/**
 * Steps of inverting codes, natively and on WASM, beside the bare forward pass with the gradient to the input, and beside
 * PyTorch with equal steps in the same run.
 *
 * Each computes in a process of its own, in turns. Run as a program, with the name of a backend, this file is such a
 * process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import type { InputArray } from "../../lib/data/given.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { invertCode } from "../../lib/probe/optimise/inversion.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { BackendError, type BackendName, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Peer, servePeer, withPeers } from "./peers.ts";

/** How many steps a task makes, by the network. */
const STEPS: Record<string, number> = { "cifar-convnet": 100, resnet50: 8 };
const TASKS = [["cifar-convnet", "conv3_2"], ["resnet50", "activation_21"]] as const;
const RUNS = 3;

const PYTHON = {
  name: "PyTorch",
  module: "torch",
  script: "torch_inversion.py",
  args: [...Object.values(STEPS), availableParallelism()],
};

async function compareWith(peers: readonly Peer[]): Promise<Line[]> {
  const times = new Map<string, number[]>();
  for (let round = -1; round < RUNS; round++) {
    for (const { name, tasks, ask } of peers) {
      // On WASM ResNet-50 takes long, and the first run is like the others.
      for (const task of tasks) {
        if (name === "wasm" && task.includes("resnet50") && round !== 0) continue;
        const { ms } = await ask(task);
        const key = `${name}, ${task}`;
        if (round >= 0) times.set(key, [...times.get(key) ?? [], ms]);
      }
    }
  }
  console.log(`  load of the last five minutes: ${Deno.loadavg()[1].toFixed(2)}`);
  return linesOf(times);
}

/** Steps a second; the ratios are to the best of PyTorch's, and to the bare passes. */
function linesOf(times: ReadonlyMap<string, readonly number[]>): Line[] {
  const rate = (key: string, task: string) => 1000 * STEPS[task.split(" ").at(-1)!] / median(times.get(key)!);
  return [...times].flatMap(([key, runs]): Line[] => {
    const [name, of] = key.split(", ");
    const task = of.replace(/^bare /, "");
    const line = { name: key, median: rate(key, task), runs: runs.length, unit: "per second" as const };
    if (name === "PyTorch" || of.startsWith("bare")) return [line];
    const peers = [...times.keys()].filter((other) => other.startsWith(`PyTorch, ${task}`));
    const best = Math.max(...peers.map((peer) => rate(peer, task)));
    const native = name === "tensorflow";
    return [
      { ...line, name: `${key}, to bare`, ratio: line.median / rate(`${name}, bare ${task}`, task), goal: 0.95 },
      ...peers.length
        ? [{ ...line, name: `${key}, to PyTorch`, ratio: line.median / best, ...native && { goal: 1 } }]
        : [],
    ];
  });
}

/** As many forward passes with the gradient to the input as steps, with the folded weights kept. */
async function bare(model: Model, layer: string, view: InputArray, steps: number): Promise<void> {
  const tf = await ensureBackend();
  const plan = makePlan(model.network, [model.entry(layer).use], { fold: true, sums: true });
  const x = tf.tensor(model.input(view).data, [1, ...view.shape]);
  // Passes are synchronous within `withPlan`; what is read is read behind them.
  const made = withPlan(tf, plan, (f) =>
    Array.from({ length: steps }, () => {
      const { value, gradient } = inputGradient(tf, (x) => tf.sum(tf.square(f(x)[0])), x);
      gradient.dispose();
      return value;
    }));
  for (const value of made) await value.data();
  tf.dispose([x, ...made]);
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
  for (const [name, layer] of TASKS) {
    const model = await loadModel(name);
    const side = model.inputShape[0]!;
    const data = Float32Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256);
    const view = { data, shape: [side, side, 3] };
    const steps = STEPS[name];
    const priors = { alpha: 6, beta: 2, norm: 0.01, variation: 0.01 };
    const how = { layer, steps, priors, jitter: 0, rule: "adam", momentum: 0.9, rate: 10, batchSize: 1 } as const;
    tasks[`bare invert ${layer} of ${name}`] = () => bare(model, layer, view, steps);
    tasks[`invert ${layer} of ${name}`] = () => invertCode(model, view, { ...how, seeds: [0] });
  }
  await servePeer({ about }, tasks);
}

if (import.meta.main) await serve(Deno.args[0] as BackendName);

export default [{
  name: "inverting codes against PyTorch",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
