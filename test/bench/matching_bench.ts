/**
 * A thousand points found among the features of 14 × 14 cells with 1024 channels, on one core (WASM), against a plain loop over
 * points, cells and channels.
 *
 * @module
 */

import type { DescriptorMap, Point } from "../../lib/probe/matching/descriptors.ts";
import { describe } from "../../lib/probe/matching/descriptors.ts";
import { findPoints } from "../../lib/probe/matching/match.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { randomStream } from "../../lib/random.ts";
import { type Benchmark, compare, type Line } from "./harness.ts";

const [CELLS, LENGTH, POINTS] = [14, 1024, 1000];

/** Features of length 1, as if at a stride of 16 pixels. */
function features(seed: number): DescriptorMap {
  const random = randomStream(seed);
  const data = new Float32Array(CELLS * CELLS * LENGTH).map(() => random() - 0.3);
  for (let at = 0; at < data.length; at += LENGTH) {
    const part = data.subarray(at, at + LENGTH);
    const norm = Math.sqrt(part.reduce((sum, value) => sum + value * value, 0));
    part.forEach((value, i) => part[i] = value / norm);
  }
  const places = Float64Array.from({ length: CELLS }, (_, i) => 7.5 + 16 * i);
  return { data, length: LENGTH, ys: places, xs: places };
}

/** The best cell of each point, by a loop. */
function loop(from: DescriptorMap, to: DescriptorMap, points: readonly Point[]): number[] {
  const queries = describe(from, points);
  return points.map((_, p) => {
    let [best, most] = [0, -Infinity];
    for (let cell = 0; cell < CELLS * CELLS; cell++) {
      let sum = 0;
      for (let i = 0; i < LENGTH; i++) sum += queries[p * LENGTH + i] * to.data[cell * LENGTH + i];
      if (sum > most) [best, most] = [cell, sum];
    }
    return best;
  });
}

async function matches(): Promise<Line[]> {
  await useBackend("wasm");
  try {
    const tf = await ensureBackend();
    const [from, to] = [features(1), features(2)];
    const random = randomStream(3);
    const points = Array.from({ length: POINTS }, (): Point => [223 * random(), 223 * random()]);
    return await compare(
      ["a loop, best cells only", () => loop(from, to, points)],
      [
        "1,000 matches, placed between cells",
        () => findPoints(tf, from, to, points, { refine: "interpolate" }),
      ],
      { runs: 10 },
    );
  } finally {
    await useBackend();
  }
}

export default [{ name: "Matches of 14 × 14 × 1024 features", run: matches }] satisfies Benchmark[];
