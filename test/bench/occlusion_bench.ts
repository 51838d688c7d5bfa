/**
 * One occlusion map of 25×25 places (a square of 32 pixels, 8 apart, on 224×224): a VGG-16 and a ResNet-50, natively and
 * on WASM with all cores, beside Captum's `Occlusion` on PyTorch in the same run.
 *
 * Each computes in a process of its own, one map when it is asked to, in turns. Run as a program, with the name of a
 * backend and a network, this file is such a process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { ndarray } from "../../lib/array.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { vgg16 } from "../../lib/model/architectures/builders.ts";
import { loadModel } from "../../lib/model/load.ts";
import { BackendError, type BackendName, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Answer, type Introduction, peakBytes, type Peer, pythonWith, startPeer } from "./peers.ts";

type Network = "vgg16" | "resnet50";

/** How much faster than the faster of Captum's two layouts. */
const GOALS: Record<Network, number> = { vgg16: 3, resnet50: 1.3 };
const BATCH = 16;
/** Maps that count; one before them does not, where a map is cheap. */
const RUNS: Record<Network, { runs: number; warmUp: number }> = {
  vgg16: { runs: 1, warmUp: 0 },
  resnet50: { runs: 2, warmUp: 1 },
};

interface Measured extends Peer {
  answers: Map<string, Answer[]>;
}

async function compareOn(network: Network): Promise<Line[]> {
  const peers: Measured[] = [];
  try {
    const add = async (name: string, command: string, args: string[]) => {
      const peer = await startPeer(name, command, args);
      console.log(`  ${name}: ${peer.missing ? `left out: ${peer.missing}` : peer.about}`);
      peers.push({ ...peer, answers: new Map(peer.tasks.map((task) => [task, []])) });
    };
    const own = fileURLToPath(import.meta.url);
    for (const backend of ["tensorflow", "wasm"]) {
      await add(backend, Deno.execPath(), ["run", "-A", own, backend, network]);
    }
    const python = pythonWith("captum.attr");
    if (python) {
      const script = fileURLToPath(new URL("torch_occlusion.py", import.meta.url));
      await add("Captum", python, [script, network, String(BATCH), String(availableParallelism())]);
    } else {
      console.log("  Captum: left out, no Python here can import captum; activate an environment in which it can");
    }
    const { runs, warmUp } = RUNS[network];
    for (let round = -warmUp; round < runs; round++) {
      for (const { tasks, answers, ask } of peers) {
        for (const task of tasks) {
          const answer = await ask(task);
          if (round >= 0) answers.get(task)!.push(answer);
        }
      }
    }
    const time = (answers: Answer[]) => median(answers.map(({ ms }) => ms));
    const captum = peers.find(({ name }) => name === "Captum");
    const best = captum && Math.min(...captum.answers.values().map(time));
    return peers.flatMap(({ name, answers }) =>
      [...answers].flatMap(([task, all]): Line[] => {
        const title = `${network}, ${name}${task ? `, ${task}` : ""}`;
        const { peak, told } = all.at(-1)!;
        const goal = name === "tensorflow" && best ? 1 / GOALS[network] : undefined;
        return [
          {
            name: told ? `${title}, 1/${told.saved.toFixed(1)} of the work` : title,
            median: time(all),
            runs: all.length,
            unit: "ms",
            ...best && { ratio: time(all) / best, goal: goal && Number(goal.toFixed(2)) },
          },
          ...peak ? [{ name: `${title}, peak memory`, median: peak, unit: "bytes" as const }] : [],
        ];
      })
    );
  } finally {
    for (const peer of peers) peer.end();
  }
}

/** Introduces itself, then makes a map whenever it is asked to. */
async function serve(backend: BackendName, network: Network): Promise<void> {
  const say = (message: Introduction | Answer) => console.log(JSON.stringify(message));
  try {
    const { version, device } = await useBackend(backend);
    say({ about: `${version} on ${device}`, tasks: [""] });
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    say({ missing: error.reason, tasks: [] });
    return;
  }
  const model = network === "vgg16" ? await vgg16() : await loadModel("resnet50");
  const image = ndarray(Float32Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * 7919) % 256), [224, 224, 3]);
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  // One map is asked for at a time, so every piece is one line.
  for await (const _ of lines) {
    const start = performance.now();
    const { flops } = await occlusion(model, image, {
      target: 281,
      size: 32,
      stride: 8,
      baseline: "zero",
      batchSize: BATCH,
    });
    say({ ms: performance.now() - start, peak: peakBytes(), told: { saved: flops.full / flops.done } });
  }
}

if (import.meta.main) {
  const [backend, network] = Deno.args;
  await serve(backend as BackendName, network as Network);
}

export default [
  { name: "occlusion of vgg16 against Captum", run: () => compareOn("vgg16") },
  { name: "occlusion of resnet50 against Captum", run: () => compareOn("resnet50") },
] satisfies Benchmark[];
