/**
 * Loading 100 MB of weights: ResNet-50 as `.h5` and `.keras` beside Keras, dense layers as `.onnx` beside ONNX Runtime or
 * the package `onnx`, a `model.json` beside TensorFlow.js, each in the same run.
 *
 * Each loads in a process of its own, in turns. Run as a program, with the name of a backend and a folder of such files, this file is such a process.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { io, LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { loadModel } from "../../lib/model/load.ts";
import { type BackendName, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, type Line, median, timing } from "./harness.ts";
import { type Peer, pythonWith, servePeer, startPeer } from "./peers.ts";

/** How often each file is loaded, after once that does not count. */
const RUNS = 3;

/** The task of loading a `model.json` with TensorFlow.js alone. */
const PLAIN = "TensorFlow.js";

const self = fileURLToPath(import.meta.url);
const large = fileURLToPath(new URL("../model/large_files.ts", import.meta.url));
const script = fileURLToPath(new URL("python_loading.py", import.meta.url));

async function loading(): Promise<Line[]> {
  const found = pythonWith("keras");
  if (!found) {
    console.log(
      "  left out, no Python here can import keras; activate an environment in which it can, and name its KERAS_BACKEND",
    );
    return [];
  }
  const { name: backend } = await useBackend();
  const folder = await Deno.makeTempDir({ prefix: "convlens-" });
  const peers: Peer[] = [];
  try {
    const written = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", large, "25", "1000", `${folder}/net.onnx`],
    }).output();
    if (!written.success) throw new Error(new TextDecoder().decode(written.stderr));
    // Keras writes the files of ResNet-50.
    const start = async (name: string, command: string, ...args: string[]) => {
      const peer = await startPeer(name, command, [...args, folder]);
      console.log(`  ${name}: ${peer.about}`);
      peers.push(peer);
      return peer;
    };
    const python = await start("Python", found, script);
    const own = await start("convlens", Deno.execPath(), "run", "-A", self, backend);
    const lines: Line[] = [];
    for (const task of ["model.json", ...python.tasks]) {
      const other = task === "model.json" ? { name: PLAIN, ask: () => own.ask(PLAIN) } : python;
      const [theirs, ours]: number[][] = [[], []];
      for (let round = -1; round < RUNS; round++) {
        const [a, b] = [await other.ask(task), await own.ask(task)];
        if (round < 0) continue;
        theirs.push(a.ms);
        ours.push(b.ms);
      }
      const ratio = median(ours.map((time, i) => time / theirs[i]));
      lines.push(timing(`${task}, ${other.name}`, theirs), { ...timing(`${task}, convlens`, ours), ratio, goal: 1 });
    }
    return lines;
  } finally {
    for (const peer of peers) peer.end();
    await Deno.remove(folder, { recursive: true });
  }
}

/** The files of a layers model, as TensorFlow.js's loader takes them. */
async function filesOf(path: string): Promise<io.ModelArtifacts> {
  const { modelTopology, weightsManifest } = JSON.parse(await Deno.readTextFile(`${path}/model.json`));
  const { paths, weights } = weightsManifest[0];
  const parts = await Promise.all(paths.map((name: string) => Deno.readFile(`${path}/${name}`)));
  return { modelTopology, weightSpecs: weights, weightData: await new Blob(parts).arrayBuffer() };
}

/** Serves the files of a folder, in which it saves a `model.json` first. */
async function serve(backend: BackendName, folder: string): Promise<void> {
  await useBackend(backend);
  const tf = await ensureBackend();
  const first = await loadModel(`${folder}/net.keras`);
  await first.save(`${folder}/net`);
  first.dispose();
  const load = (name: string) => async () => (await loadModel(`${folder}/${name}`)).dispose();
  const plain = async () => {
    const network: LayersModel = await tf.loadLayersModel({ load: () => filesOf(`${folder}/net`) });
    network.dispose();
  };
  const names = ["net.h5", "net.keras", "net.onnx"].map((name) => [name, load(name)] as const);
  await servePeer({ about: backend }, {
    ...Object.fromEntries(names),
    "model.json": load("net"),
    [PLAIN]: plain,
  });
}

const benchmarks: Benchmark[] = [{ name: "loading 100 MB of weights", run: loading }];
export default benchmarks;

if (import.meta.main) await serve(Deno.args[0] as BackendName, Deno.args[1]);
