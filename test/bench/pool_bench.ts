/**
 * Forward passes of ResNet-50 on WASM over all the cores, against one.
 *
 * @module
 */

import type { NdArray } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { useBackend } from "../../lib/runtime/backend.ts";
import { forwardAll } from "../../lib/scan/pool.ts";
import { type Benchmark, compare, type Line, measure } from "./harness.ts";

const COUNT = 32;
const cores = navigator.hardwareConcurrency;

/** Noise, as the network wants its pixels. */
function noise(seed: number): NdArray {
  let state = seed;
  const data = Float32Array.from({ length: 224 * 224 * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 24) - 120;
  });
  return { data, shape: [224, 224, 3] };
}

async function pool(): Promise<Line[]> {
  await useBackend("wasm");
  try {
    const model = await loadModel("resnet50");
    const inputs = Array.from({ length: COUNT }, (_, i) => noise(i));
    const last = [model.layers.at(-1)!.name];
    const options = { batchSize: 4, workers: cores };
    const start = await measure(
      `start of ${cores} Workers with resnet50's weights`,
      () => forwardAll(model, inputs.slice(0, cores), [model.layers[0].name], { ...options, batchSize: 1 }),
      { runs: 5, warmUp: 1 },
    );
    const [one, all] = await compare(
      [`forward of ${COUNT} inputs on one core`, () => forward(model, inputs, last, options)],
      [`forwardAll of ${COUNT} inputs on ${cores} cores`, () => forwardAll(model, inputs, last, options)],
      { goal: 0.556, runs: 5, warmUp: 1 },
    );
    model.dispose();
    const rate = ({ name, median }: Line): Line => ({
      name: name.replace(`of ${COUNT} inputs`, "of resnet50, inputs"),
      median: 1000 * COUNT / median,
      unit: "per second",
    });
    return [start, one, all, rate(one), rate(all)];
  } finally {
    await useBackend();
  }
}

export default [{ name: "resnet50 over all cores on wasm", run: pool }] satisfies Benchmark[];
