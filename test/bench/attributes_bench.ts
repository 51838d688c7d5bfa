/**
 * Measuring the attributes of CIFAR-10's images: how many a second, and the memory that few and many take.
 *
 * `CONVLENS_BENCH_SHARE=0.1 deno task bench attributes` measures that share of the images. Run as a program, this file is a
 * process that measures as many as it is asked for.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { cifar10 } from "../../lib/data/cifar10.ts";
import { imageAttributes } from "../../lib/methods/image_attributes.ts";
import type { Benchmark, Line } from "./harness.ts";
import { servePeer, startPeer } from "./peers.ts";

const SHARE = Number(Deno.env.get("CONVLENS_BENCH_SHARE") ?? 1);
const [FEW, MANY] = [10_000, 50_000].map((count) => Math.max(100, Math.round(SHARE * count)));

/** Each number of images in a process of its own, so that its memory is its own, too. */
async function attributes(): Promise<Line[]> {
  const answers = [];
  for (const count of [FEW, MANY]) {
    const peer = await startPeer("convlens", Deno.execPath(), ["run", "-A", fileURLToPath(import.meta.url)]);
    answers.push(await peer.ask(`${count}`));
    peer.end();
  }
  const [few, many] = answers;
  const lines: Line[] = [{
    name: `attributes of ${FEW} images of 32×32`,
    median: 1000 * FEW / few.ms,
    unit: "per second",
    goal: 500,
  }];
  if (few.peak === undefined || many.peak === undefined) return lines;
  return [
    ...lines,
    { name: `peak, ${FEW} images`, median: few.peak, unit: "bytes" },
    // Images are read one after the other. The rows are kept, a third of a kilobyte each, and what the collector has not yet taken back.
    { name: `peak, ${MANY} images`, median: many.peak, unit: "bytes", ratio: many.peak / few.peak },
  ];
}

if (import.meta.main) {
  const task = (limit: number) => async () => await imageAttributes(await cifar10({ split: "train", limit }));
  await servePeer({ about: "convlens" }, Object.fromEntries([FEW, MANY].map((count) => [`${count}`, task(count)])));
}

export default [{ name: "attributes of images", run: attributes }] satisfies Benchmark[];
