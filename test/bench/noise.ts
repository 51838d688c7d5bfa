/** Inputs for the benchmarks. */

import type { NdArrayLike } from "../../lib/array.ts";

/** Noise, as ResNet-50 wants its pixels: `[224, 224, 3]`, another one for each seed. */
export function noise(seed: number): NdArrayLike {
  let state = seed;
  const data = Float32Array.from({ length: 224 * 224 * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 24) - 120;
  });
  return { data, shape: [224, 224, 3] };
}
