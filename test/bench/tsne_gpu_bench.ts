/**
 * t-SNE of MNIST on a graphics card, beside the processor in the same run. Where there is no real card nothing is
 * measured: one that the processor imitates would tell nothing.
 *
 * @module
 */

import type { NdArrayLike } from "../../lib/array.ts";
import { principalComponents } from "../../lib/embed/pca.ts";
import { embed, type TsneOptions } from "../../lib/embed/tsne/tsne.ts";
import { graphicsDevice } from "../../lib/runtime/webgpu.ts";
import { mnist } from "../mnist.ts";
import type { Benchmark, Line } from "./harness.ts";

const RUNS = [
  { count: 10_000, components: 2 },
  { count: 60_000, components: 2 },
  { count: 60_000, components: 3 },
] as const;

/** The milliseconds of an iteration, once the kernels are compiled, and the divergence at the end. */
async function descend(
  points: NdArrayLike,
  options: Partial<TsneOptions>,
): Promise<{ ms: number; divergence: number }> {
  const told: { iteration: number; at: number }[] = [];
  const onProgress = (iteration: number) => told.push({ iteration, at: performance.now() });
  const { klDivergence } = await embed(points, { ...options, onProgress }, graphicsDevice);
  const [first, last] = [told[0], told.at(-1)!];
  return { ms: (last.at - first.at) / (last.iteration - first.iteration), divergence: klDivergence };
}

async function beside(): Promise<Line[]> {
  try {
    const { device, name } = await graphicsDevice();
    device.destroy();
    console.log(`  graphics card: ${name}`);
  } catch (error) {
    console.log(`  left out: ${(error as Error).message}`);
    return [];
  }
  const lines: Line[] = [];
  for (const { count, components } of RUNS) {
    const { points } = principalComponents((await mnist(count)).points, { components: 50 });
    const processor = await descend(points, { components, engine: "wasm" });
    const card = await descend(points, { components, engine: "webgpu" });
    const what = `${count} points, ${components} dimensions`;
    const ratio = card.ms / processor.ms;
    lines.push({ name: `an iteration on the processor, ${what}`, median: processor.ms, unit: "ms" });
    lines.push({ name: `an iteration on the card, ${what}`, median: card.ms, unit: "ms", ratio });
    const worse = card.divergence / processor.divergence;
    lines.push({
      name: `KL divergence by the card, ${what}`,
      median: card.divergence,
      unit: "",
      ratio: worse,
      goal: 1.01,
    });
  }
  return lines;
}

export default [{ name: "t-SNE on a graphics card", run: beside }] satisfies Benchmark[];
