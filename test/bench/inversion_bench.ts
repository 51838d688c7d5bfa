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
import { loadModel } from "../../lib/model/load.ts";
import { invertCode } from "../../lib/probe/optimise/inversion.ts";
import type { BackendName } from "../../lib/runtime/backend.ts";
import type { Benchmark } from "./harness.ts";
import { type Peer, serveBackend, type Task, withPeers } from "./peers.ts";
import { barePasses, compareSteps } from "./steps.ts";

/** How many steps a task makes, by the network. */
const STEPS: Record<string, number> = { "cifar-convnet": 100, resnet50: 8 };
const TASKS = [["cifar-convnet", "conv3_2"], ["resnet50", "activation_21"]] as const;

const PYTHON = {
  name: "PyTorch",
  module: "torch",
  script: "torch_inversion.py",
  args: [...Object.values(STEPS), availableParallelism()],
};

// On WASM ResNet-50 takes long, and the first run is like the others.
const compareWith = (peers: readonly Peer[]) =>
  compareSteps(
    peers,
    (task) => STEPS[task.split(" ").at(-1)!],
    (peer, task, round) => peer !== "wasm" || !task.includes("resnet50") || round === 0,
  );

async function makeTasks(): Promise<Record<string, Task>> {
  const tasks: Record<string, Task> = {};
  for (const [name, layer] of TASKS) {
    const model = await loadModel(name);
    const side = model.inputShape[0]!;
    const data = Float32Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256);
    const view = { data, shape: [side, side, 3] };
    const steps = STEPS[name];
    const priors = { alpha: 6, beta: 2, norm: 0.01, variation: 0.01 };
    const how = { layer, steps, priors, jitter: 0, rule: "adam", momentum: 0.9, rate: 10, batchSize: 1 } as const;
    const input = { data: model.input(view).data, shape: [1, ...view.shape] };
    tasks[`bare invert ${layer} of ${name}`] = () =>
      barePasses(model, layer, input, steps, (tf, maps) => tf.sum(tf.square(maps)));
    tasks[`invert ${layer} of ${name}`] = () => invertCode(model, view, { ...how, seeds: [0] });
  }
  return tasks;
}

if (import.meta.main) await serveBackend(Deno.args[0] as BackendName, makeTasks);

export default [{
  name: "inverting codes against PyTorch",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
