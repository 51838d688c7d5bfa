/**
 * Attributions of ResNet-50 on one image of 224×224: integrated gradients of 50 steps, SmoothGrad of 50 samples, Grad-CAM,
 * natively and on WASM, beside Captum on PyTorch in the same run, with the most memory that each takes.
 *
 * Each computes in a process of its own, in turns. Run as a program, with the name of a backend, this file is such a
 * process.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { ndarray } from "../../lib/array.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { BackendName } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { type Answer, type Peer, serveBackend, type Task, withPeers } from "./peers.ts";

/** The class that is explained: a tabby. */
const CLASS = 281;

/** How often each map counts, after one that does not. */
const RUNS: Record<string, number> = { tensorflow: 2, Captum: 2, wasm: 1 };

const PYTHON = { name: "Captum", module: "captum.attr", script: "torch_gradients.py", args: [availableParallelism()] };

async function compareWith(peers: readonly Peer[]): Promise<Line[]> {
  const answers = new Map<Peer, Map<string, Answer[]>>(
    peers.map((peer) => [peer, new Map(peer.tasks.map((task) => [task, []]))]),
  );
  for (let round = -1; round < Math.max(...Object.values(RUNS)); round++) {
    for (const peer of peers) {
      // On WASM a map takes long, and the first is like the others.
      if (round >= RUNS[peer.name] || (round < 0 && peer.name === "wasm")) continue;
      for (const task of peer.tasks) {
        const answer = await peer.ask(task);
        if (round >= 0) answers.get(peer)!.get(task)!.push(answer);
      }
    }
  }
  console.log(`  load of the last five minutes: ${Deno.loadavg()[1].toFixed(2)}`);
  return linesOf(answers);
}

/** Time and memory of each map; the ratios are to the best of Captum's for the same map. */
function linesOf(answers: ReadonlyMap<Peer, ReadonlyMap<string, Answer[]>>): Line[] {
  const lines: Line[] = [];
  const all = [...answers].flatMap(([{ name }, tasks]) => [...tasks].map(([task, runs]) => ({ name, task, runs })));
  const time = (runs: Answer[]) => median(runs.map(({ ms }) => ms));
  const peak = (runs: Answer[]) => Math.max(...runs.map(({ peak }) => peak ?? NaN));
  for (const { name, task, runs } of all) {
    const peers = all.filter((other) => other.name === "Captum" && other.task.startsWith(task));
    const compared = name !== "Captum" && peers.length > 0;
    const [bestTime, bestPeak] = [time, peak].map((of) => Math.min(...peers.map(({ runs }) => of(runs))));
    const goal = (value: number) => compared && name === "tensorflow" ? { goal: value } : {};
    lines.push(
      {
        name: `${name}, ${task}`,
        median: time(runs),
        runs: runs.length,
        unit: "ms",
        ...compared && { ratio: time(runs) / bestTime },
        ...goal(1),
      },
      {
        name: `${name}, ${task}, peak memory`,
        median: peak(runs),
        unit: "bytes",
        ...compared && { ratio: peak(runs) / bestPeak },
        ...goal(0.5),
      },
    );
  }
  return lines;
}

async function makeTasks(): Promise<Record<string, Task>> {
  const model = await loadModel("resnet50");
  const image = ndarray(Float32Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * 7919) % 256), [224, 224, 3]);
  return {
    "integrated gradients, 50 steps": () => integratedGradients(model, image, { target: CLASS, steps: 50 }),
    "SmoothGrad, 50 samples": () => smoothGrad(model, image, { target: CLASS, samples: 50 }),
    "Grad-CAM": () => gradCam(model, image, { target: CLASS }),
  };
}

if (import.meta.main) await serveBackend(Deno.args[0] as BackendName, makeTasks);

export default [{
  name: "attributions of resnet50 against Captum",
  run: () => withPeers(import.meta.url, PYTHON, compareWith),
}] satisfies Benchmark[];
