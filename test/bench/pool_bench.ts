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

/** The start of the Workers weighs on few inputs more than on many. */
const COUNTS = [32, 96];

async function pool(): Promise<Line[]> {
  await useBackend("wasm");
  try {
    const model = await loadModel("resnet50");
    const inputs = Array.from({ length: Math.max(...COUNTS) }, (_, i) => noise(i));
    const last = [model.layers.at(-1)!.name];
    const options = { batchSize: 4, workers: cores };
    const lines = [
      await measure(
        `start of ${cores} Workers with their weights`,
        () => forwardAll(model, inputs.slice(0, cores), [model.layers[0].name], { ...options, batchSize: 1 }),
        { runs: 5, warmUp: 1 },
      ),
    ];
    for (const count of COUNTS) {
      const some = inputs.slice(0, count);
      const [one, all] = await compare(
        [`forward, ${count} inputs on one core`, () => forward(model, some, last, options)],
        [`forwardAll, ${count} inputs on ${cores} cores`, () => forwardAll(model, some, last, options)],
        { goal: 0.556, runs: 3, warmUp: count === COUNTS[0] ? 1 : 0 },
      );
      const rates = [one, all].map(({ name, median }): Line => ({
        name: `  ${name}`,
        median: 1000 * count / median,
        unit: "per second",
      }));
      lines.push(one, all, ...rates);
    }
    model.dispose();
    return lines;
  } finally {
    await useBackend();
  }
}

export default [{ name: "resnet50 over all cores on wasm", run: pool }] satisfies Benchmark[];
