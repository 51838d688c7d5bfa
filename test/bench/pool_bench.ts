/**
 * Forward passes of ResNet-50 on WASM over all the cores, against one; and what processes that share nothing lose to
 * each other when all compute at once, which no pool can win back.
 *
 * Run as a program, this file is such a process.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { useBackend } from "../../lib/runtime/backend.ts";
import { forwardAll } from "../../lib/scan/forward_all.ts";
import { type Benchmark, compare, type Line } from "./harness.ts";
import { noise } from "./noise.ts";
import { servePeer, startPeer } from "./peers.ts";

const cores = navigator.hardwareConcurrency;

/** The start of the Workers weighs on few inputs more than on many. */
const COUNTS = [32, 96];
const BATCH = 4;
/** How many inputs a process computes. */
const SHARE = 16;

async function pool(): Promise<Line[]> {
  await useBackend("wasm");
  try {
    const model = await loadModel("resnet50");
    const inputs = Array.from({ length: Math.max(...COUNTS) }, (_, i) => noise(i));
    const last = [model.layers.at(-1)!.name];
    const options = { batchSize: BATCH, workers: cores };
    const lines: Line[] = [];
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
    return [...lines, ...await apart()];
  } finally {
    await useBackend();
  }
}

/** One process alone, then one a core at once. */
async function apart(): Promise<Line[]> {
  const self = ["run", "-A", fileURLToPath(import.meta.url)];
  const starts = Array.from({ length: cores }, (_, i) => startPeer(`process ${i + 1}`, Deno.execPath(), self));
  const peers = await Promise.all(starts);
  try {
    return await compare(
      [`one process, ${SHARE} inputs`, () => peers[0].ask("forward")],
      [`${cores} processes at once, ${SHARE} each`, () => Promise.all(peers.map((peer) => peer.ask("forward")))],
      { runs: 5, warmUp: 1 },
    );
  } finally {
    for (const peer of peers) peer.end();
  }
}

if (import.meta.main) {
  const { version } = await useBackend("wasm");
  const model = await loadModel("resnet50");
  const inputs = Array.from({ length: SHARE }, (_, i) => noise(i));
  const last = [model.layers.at(-1)!.name];
  await servePeer({ about: version }, { forward: () => forward(model, inputs, last, { batchSize: BATCH }) });
}

export default [{ name: "resnet50 over all cores on wasm", run: pool }] satisfies Benchmark[];
