/**
 * ResNet-50 on each backend that is present, beside PyTorch in the same run: forward through one batch, forward through
 * several in one call, and the gradient to the input of one batch. Ratios are to the best of PyTorch's ways, and all
 * three carry the goal. What PyTorch folds beforehand, convlens folds in each call.
 *
 * Each backend, and PyTorch, computes in a process of its own and does one task when it is asked to: so they take turns
 * and do not share a heap. Run as a program, with the name of a backend and a batch size, this file is such a process.
 *
 * @module
 */

import type { KernelConfig, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { traceAnySize } from "../../lib/model/graph.ts";
import { loadModel } from "../../lib/model/load.ts";
import { FOLD_FROM, forward } from "../../lib/probe/forward.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { type BackendName, ensureBackend, type TF } from "../../lib/runtime/backend.ts";
import { stockKernels } from "../../lib/runtime/gradients/wasm_kernels.ts";
import { type Benchmark, type Line, median } from "./harness.ts";
import { noise } from "./noise.ts";
import { type Peer, pythonWith, serveBackend, startPeer } from "./peers.ts";

/** The class whose probability is differentiated: a tabby. */
const CLASS = 281;

/** How often each computes: the slow ones less. */
const EFFORTS: Record<BackendName, { batch: number; runs: number; warmUp: number }> = {
  tensorflow: { batch: 8, runs: 7, warmUp: 2 },
  wasm: { batch: 8, runs: 5, warmUp: 1 },
  webgpu: { batch: 1, runs: 1, warmUp: 1 },
  cpu: { batch: 1, runs: 1, warmUp: 0 },
};

const TORCH = { batch: 8, runs: 7, warmUp: 2 };

/** Images of a walk: batch after batch in one call, as through a data set. */
const WALK = 32;

const WALKS = { forward: `walk over ${WALK}, forward`, gradient: `walk over ${WALK}, gradient` };

/** A process that does tasks when asked to, and what it did. */
interface Runner extends Peer {
  batch: number;
  runs: number;
  warmUp: number;
  /** Milliseconds of each run, by task. */
  times: Map<string, number[]>;
}

async function start(
  name: string,
  command: string,
  args: string[],
  effort: { batch: number; runs: number; warmUp: number },
): Promise<Runner> {
  const peer = await startPeer(name, command, args);
  console.log(`  ${name}: ${peer.missing ? `left out: ${peer.missing}` : peer.about}`);
  return { ...peer, ...effort, times: new Map(peer.tasks.map((task) => [task, []])) };
}

/** Lets threads that spin after their work fall asleep before another process works. */
const rest = () => new Promise((done) => setTimeout(done, 300));

/** Lets all take turns, task for task, until each has done its runs. */
async function takeTurns(runners: readonly Runner[]): Promise<void> {
  const rounds = Math.max(...runners.map(({ runs, warmUp }) => runs + warmUp));
  for (let round = 0; round < rounds; round++) {
    for (const { runs, warmUp, tasks, times, ask } of runners) {
      if (round >= runs + warmUp) continue;
      for (const task of tasks) {
        await rest();
        const { ms } = await ask(task);
        if (round >= warmUp) times.get(task)!.push(ms);
      }
    }
  }
}

/** Images per second. */
const rate = ({ batch, times }: Runner, task: string) =>
  1000 * (task.startsWith("walk") ? WALK : batch) / median(times.get(task)!);

/** What a runner's tasks of a kind did, as lines; the ratio is to the rate of `peer`, if there is one. */
function linesOf(runner: Runner, kind: string, peer?: number, goal?: number): Line[] {
  return runner.tasks.filter((task) => task.startsWith(kind)).map((task) => ({
    name: `${runner.name}, ${task}${runner.batch === 1 ? ", batch of 1" : ""}`,
    median: rate(runner, task),
    runs: runner.times.get(task)!.length,
    unit: "per second",
    ratio: peer && rate(runner, task) / peer,
    goal: peer && goal,
  }));
}

async function compareAll(): Promise<Line[]> {
  const runners: Runner[] = [];
  try {
    for (const [name, effort] of Object.entries(EFFORTS)) {
      const args = ["run", "-A", fileURLToPath(import.meta.url), name, String(effort.batch)];
      runners.push(await start(name, Deno.execPath(), args, effort));
    }
    const python = pythonWith("torch");
    if (python) {
      const script = fileURLToPath(new URL("torch_resnet50.py", import.meta.url));
      const args = [script, String(TORCH.batch), String(WALK), String(availableParallelism())];
      runners.push(await start("PyTorch", python, args, TORCH));
    } else {
      console.log("  PyTorch: left out, no Python here can import torch; activate an environment in which it can");
    }
    await takeTurns(runners);
    console.log(`  load of the last five minutes: ${Deno.loadavg()[1].toFixed(2)}`);

    const torch = runners.find(({ name }) => name === "PyTorch");
    const lines: Line[] = [];
    for (const kind of ["forward", WALKS.forward, "gradient", WALKS.gradient]) {
      const best = torch && Math.max(...torch.tasks.filter((task) => task.startsWith(kind)).map((t) => rate(torch, t)));
      for (const runner of runners) {
        lines.push(...linesOf(runner, kind, best, runner.name === "tensorflow" ? 1 : undefined));
      }
    }
    const wasm = runners.find(({ name }) => name === "wasm")!;
    if (!wasm.missing) {
      lines.push(...linesOf(wasm, "predict"));
      const stock = rate(wasm, "predict of tfjs");
      lines.push({ ...linesOf(wasm, "forward", stock, 2)[0], name: "wasm, forward, to predict of tfjs" });
    }
    return lines;
  } finally {
    for (const runner of runners) runner.end();
  }
}

/** Runs with tfjs's own kernels on wasm. */
async function withStockKernels<T>(tf: TF, run: () => Promise<T>): Promise<T> {
  const own = [...stockKernels.keys()].map((name) => tf.getKernel(name, "wasm"));
  const use = (kernels: Iterable<KernelConfig>) => {
    for (const kernel of kernels) {
      tf.unregisterKernel(kernel.kernelName, "wasm");
      tf.registerKernel(kernel);
    }
  };
  use(stockKernels.values());
  try {
    return await run();
  } finally {
    use(own);
  }
}

/** The tasks of one backend, by name. */
async function tasksOf(batch: number): Promise<Record<string, () => Promise<unknown>>> {
  const tf = await ensureBackend();
  const model = await loadModel("resnet50");
  const { network } = model;
  const inputs = Array.from({ length: batch }, (_, i) => noise(i + 1));
  const packed = new Float32Array(batch * inputs[0].data.length);
  inputs.forEach(({ data }, i) => packed.set(data, i * data.length));
  const last = model.layers.at(-1)!.name;
  const upload = () => tf.tensor(packed, [batch, 224, 224, 3]);
  const spend = async (...tensors: Tensor[]) => {
    await tensors[0].data();
    tf.dispose(tensors);
  };
  const gradients = async (batches: number) => {
    const plan = makePlan(network, traceAnySize(network).outputs, { fold: batches * batch >= FOLD_FROM, sums: true });
    const score = (outputs: Tensor[]) => tf.sum(tf.slice(outputs[0], [0, CLASS], [batch, 1]));
    const found = withPlan(tf, plan, (f) =>
      Array.from({ length: batches }, () => {
        const x = upload();
        const { gradient, value } = inputGradient(tf, (x) => score(f(x)), x);
        tf.dispose([x, value]);
        return gradient;
      }));
    for (const gradient of found) await spend(gradient);
  };
  return {
    forward: () => forward(model, inputs, [last], { batchSize: batch }),
    ...tf.getBackend() === "tensorflow" && {
      [WALKS.forward]: () => {
        const walk = Array.from({ length: WALK }, (_, i) => inputs[i % batch]);
        return forward(model, walk, [last], { batchSize: batch });
      },
      [WALKS.gradient]: () => gradients(WALK / batch),
    },
    gradient: () => gradients(1),
    ...tf.getBackend() === "wasm" && {
      "predict of tfjs": () =>
        withStockKernels(tf, async () => {
          const x = upload();
          await spend(network.predict(x) as Tensor, x);
        }),
    },
  };
}

/** Is the process of one backend. */
if (import.meta.main) {
  const [name, batch] = Deno.args;
  await serveBackend(name as BackendName, () => tasksOf(Number(batch)));
}

export default [{ name: "resnet50 on every backend", run: compareAll }] satisfies Benchmark[];
