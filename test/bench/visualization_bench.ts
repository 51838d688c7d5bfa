/**
 * Steps of feature visualization, natively and on WASM, beside the bare forward pass with the gradient to the input, and beside
 * PyTorch with equal steps in the same run. One unit at a cell; all of them run on the part of the image that it sees.
 *
 * Each computes in a process of its own, in turns. Run as a program, with the name of a backend, this file is such a
 * process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { cellWindow } from "../../lib/model/cell_window.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ascend } from "../../lib/probe/optimise/ascent.ts";
import { REGULARIZERS } from "../../lib/probe/optimise/pixel_regularizers.ts";
import { standardTransformations } from "../../lib/probe/optimise/transformations.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { resolveTarget } from "../../lib/probe/target.ts";
import { BackendError, type BackendName, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Peer, servePeer, withPeers } from "./peers.ts";

/** What is made: of which network, which layer, at which cell, in how many steps; and the side of what the cell sees. */
const TASKS = [
  { name: "cifar-convnet", layer: "conv3_2", cell: [4, 4], steps: 100, side: 32 },
  { name: "resnet50", layer: "activation_21", cell: [14, 14], steps: 16, side: 144 },
] as const;
const RUNS = 3;

const PYTHON = {
  name: "PyTorch",
  module: "torch",
  script: "torch_visualization.py",
  args: [...TASKS.map(({ steps }) => steps), ...TASKS.map(({ side }) => side), availableParallelism()],
};

async function compareWith(peers: readonly Peer[]): Promise<Line[]> {
  const times = new Map<string, number[]>();
  for (let round = -1; round < RUNS; round++) {
    for (const { name, tasks, ask } of peers) {
      for (const task of tasks) {
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
  const rate = (key: string, task: string) =>
    1000 * TASKS.find(({ name }) => task.includes(name))!.steps / median(times.get(key)!);
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
async function bare(model: Model, layer: string, side: number, steps: number): Promise<void> {
  const tf = await ensureBackend();
  const plan = makePlan(model.network, [model.entry(layer).use], { fold: true, sums: true });
  const x = tf.tensor(Float32Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256 / 128 - 1), [
    1,
    side,
    side,
    3,
  ]);
  // Passes are synchronous within `withPlan`; what is read is read behind them.
  const made = withPlan(tf, plan, (f) =>
    Array.from({ length: steps }, () => {
      const { value, gradient } = inputGradient(tf, (x) => tf.sum(f(x)[0]), x);
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
  for (const { name, layer, cell, steps, side } of TASKS) {
    const model = await loadModel(name);
    const sides = [model.inputShape[0]!, model.inputShape[1]!, 3];
    const window = cellWindow(model.network, layer, cell, sides, { margin: 18 });
    const made = window?.sides[0] ?? sides[0];
    if (made !== side) throw new Error(`What ${layer} of ${name} sees has a side of ${made}, not ${side}.`);
    const wanted = [{ target: resolveTarget(model, { layer, channel: 5, cell: [...cell] }), window, index: 0 }];
    const how = {
      sides,
      steps,
      seed: 0,
      parametrization: "fourier",
      fourier: {},
      regularizers: REGULARIZERS.none,
      transformations: { ...standardTransformations(side), until: 1 },
      learningRate: 0.1,
      deviation: 0.01,
      diversity: null,
      alpha: false,
      batchSize: 1,
    } as const;
    tasks[`bare visualize ${layer} of ${name}`] = () => bare(model, layer, side, steps);
    tasks[`visualize ${layer} of ${name}`] = () => ascend(model, wanted, how);
  }
  await servePeer({ about }, tasks);
}

if (import.meta.main) await serve(Deno.args[0] as BackendName);

export default [{
  name: "feature visualization against PyTorch",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
