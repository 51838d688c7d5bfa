/**
 * Steps that change an image by a gradient, in turns: what each process makes a second, beside the bare passes on the same
 * backend and beside PyTorch.
 *
 * @module
 */

import type { Tensor } from "@tensorflow/tfjs";
import type { NdArrayLike } from "../../lib/array.ts";
import type { Model } from "../../lib/model/model.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { ensureBackend, type TF } from "../../lib/runtime/backend.ts";
import { type Line, median } from "./harness.ts";
import { type Peer, timesOf } from "./peers.ts";

const RUNS = 3;

/**
 * Times each task of each process, and tells the steps a second; the ratios are to the best of PyTorch's for the same task, and
 * to the bare passes, which are tasks called `bare …`.
 *
 * @param stepsOf how many steps a task makes
 * @param wanted whether a task is done in a round; round −1 does not count
 */
export async function compareSteps(
  peers: readonly Peer[],
  stepsOf: (task: string) => number,
  wanted: (peer: string, task: string, round: number) => boolean = () => true,
): Promise<Line[]> {
  const times = await timesOf(peers, RUNS, wanted);
  const rate = (key: string, task: string) => 1000 * stepsOf(task) / median(times.get(key)!);
  return [...times].flatMap(([key, runs]): Line[] => {
    const [name, of] = key.split(", ");
    const task = of.replace(/^bare /, "");
    const line = { name: key, median: rate(key, task), runs: runs.length, unit: "per second" as const };
    if (name === "PyTorch" || of.startsWith("bare")) return [line];
    const others = [...times.keys()].filter((other) => other.startsWith(`PyTorch, ${task}`));
    const best = Math.max(...others.map((other) => rate(other, task)));
    const native = name === "tensorflow";
    return [
      { ...line, name: `${key}, to bare`, ratio: line.median / rate(`${name}, bare ${task}`, task), goal: 0.95 },
      ...others.length
        ? [{ ...line, name: `${key}, to PyTorch`, ratio: line.median / best, ...native && { goal: 1 } }]
        : [],
    ];
  });
}

/**
 * As many forward passes with the gradient to the input as steps, with the folded weights kept.
 *
 * @param input `[1, h, w, c]`, as the network takes it
 * @param value what is differentiated of the layer's maps
 */
export async function barePasses(
  model: Model,
  layer: string,
  { data, shape }: NdArrayLike,
  steps: number,
  value: (tf: TF, maps: Tensor) => Tensor,
): Promise<void> {
  const tf = await ensureBackend();
  const plan = makePlan(model.network, [model.entry(layer).use], { fold: true, sums: true });
  const x = tf.tensor(data, [...shape]);
  // Passes are synchronous within `withPlan`; what is read is read behind them.
  const made = withPlan(tf, plan, (f) =>
    Array.from({ length: steps }, () => {
      const pass = inputGradient(tf, (x) => value(tf, f(x)[0]), x);
      pass.gradient.dispose();
      return pass.value;
    }));
  for (const one of made) await one.data();
  tf.dispose([x, ...made]);
}
