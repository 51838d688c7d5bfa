/**
 * Steps of feature visualization, natively and on WASM, beside the bare forward pass with the gradient to the input, and beside
 * PyTorch with equal steps in the same run. One unit at a cell; all of them run on the part of the image that it sees.
 *
 * And what the pictures are worth: how many units of `cifar-convnet` reach 5 times the best of 1,000 natural patches by default,
 * one patch an image or the best cell of whole images. `CONVLENS_BENCH_SHARE=0.1` looks at that share of the units.
 *
 * Each process of the first benchmark computes by itself, in turns. Run as a program, with the name of a backend, this file is such a
 * process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { cifar10 } from "../../lib/data/cifar10.ts";
import type { InputArray } from "../../lib/data/given.ts";
import type { ImageLike } from "../../lib/data/image.ts";
import { featureVisualization } from "../../lib/methods/feature_visualization.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { cellWindow } from "../../lib/model/cell_window.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ascend } from "../../lib/probe/optimise/ascent.ts";
import { largestScores } from "../../lib/probe/optimise/evidence.ts";
import { REGULARIZERS } from "../../lib/probe/optimise/pixel_regularizers.ts";
import { standardTransformations } from "../../lib/probe/optimise/transformations.ts";
import { resolveTarget } from "../../lib/probe/target.ts";
import type { BackendName } from "../../lib/runtime/backend.ts";
import type { Benchmark, Line } from "./harness.ts";
import { type Peer, serveBackend, type Task, withPeers } from "./peers.ts";
import { barePasses, compareSteps } from "./steps.ts";

/** What is made: of which network, which layer, at which cell, in how many steps; and the side of what the cell sees. */
const TASKS = [
  { name: "cifar-convnet", layer: "conv3_2", cell: [4, 4], steps: 100, side: 32 },
  { name: "resnet50", layer: "activation_21", cell: [14, 14], steps: 16, side: 144 },
] as const;

const PYTHON = {
  name: "PyTorch",
  module: "torch",
  script: "torch_visualization.py",
  args: [...TASKS.map(({ steps }) => steps), ...TASKS.map(({ side }) => side), availableParallelism()],
};

const compareWith = (peers: readonly Peer[]) =>
  compareSteps(peers, (task) => TASKS.find(({ name }) => task.includes(name))!.steps);

async function makeTasks(): Promise<Record<string, Task>> {
  const tasks: Record<string, Task> = {};
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
    const input = {
      data: Float32Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256 / 128 - 1),
      shape: [1, side, side, 3],
    };
    tasks[`bare visualize ${layer} of ${name}`] = () =>
      barePasses(model, layer, input, steps, (tf, maps) => tf.sum(maps));
    tasks[`visualize ${layer} of ${name}`] = () => ascend(model, wanted, how);
  }
  return tasks;
}

if (import.meta.main) await serveBackend(Deno.args[0] as BackendName, makeTasks);

const SHARE = Number(Deno.env.get("CONVLENS_BENCH_SHARE") ?? 1);
/** So many units of a layer are looked at, evenly spread; fewer where the layer has fewer that live. */
const UNITS = Math.max(4, Math.round(64 * SHARE));
const TIMES = 5;

async function worth(): Promise<Line[]> {
  const model = await loadModel("cifar-convnet");
  try {
    const images = await cifar10({ split: "test", limit: 1000 });
    const inputs: InputArray[] = [];
    for await (const { image } of images) inputs.push(model.input(await model.view(image as ImageLike)));
    const lines: Line[] = [];
    for (const layer of ["conv1", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4"]) {
      const patches = await topPatches(model, images, { layer, top: 1 });
      const { outputShape } = model.layer(layer);
      const count = outputShape.at(-1)!;
      const step = Math.max(1, Math.floor(count / UNITS));
      const channels = Array.from({ length: count }, (_, i) => i)
        .filter((i) => i % step === 0 && patches.of({ layer, unit: i })[0]?.activation > 0).slice(0, UNITS);
      const made = await featureVisualization(model, { patches, layer, channels, batchSize: 12 });
      const cell: [number, number] = [Math.floor(outputShape[0]! / 2), Math.floor(outputShape[1]! / 2)];
      const targets = channels.map((channel) => resolveTarget(model, { layer, channel, cell }));
      const central = await largestScores(model, targets, inputs, { batchSize: 64 });
      const reached = (ratios: readonly number[]) => ratios.filter((ratio) => ratio >= TIMES).length;
      const line = (what: string, ratios: readonly number[]): Line => ({
        name: `${layer}, ${what}: of ${ratios.length} units`,
        median: reached(ratios),
        unit: "",
      });
      lines.push(
        line("one patch an image", made.map(({ rows: [{ activation }] }, i) => activation / central[i])),
        line("whole images", made.map(({ rows: [{ ratio }] }) => ratio ?? Infinity)),
      );
    }
    return lines;
  } finally {
    model.dispose();
  }
}

export default [{
  name: "feature visualization against PyTorch",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}, {
  name: `units at ${TIMES} times the best of 1,000 natural patches`,
  run: worth,
}] satisfies Benchmark[];
