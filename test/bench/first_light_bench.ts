/**
 * The first pictures of a session: the import, the model, a prediction, activations and their figure.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { activations, loadModel, photo, predict } from "../../mod.ts";
import { Activations } from "../../lib/results/activations.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, compare, interleave, type Line, measure, timing } from "./harness.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Runs a line of code in a process of its own and waits for its end. */
async function inFreshProcess(code: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd: root }).output();
  if (!success) throw new Error(`deno eval failed: ${new TextDecoder().decode(stderr)}`);
}

async function importing(): Promise<Line[]> {
  const code = `import ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)}`;
  const [bare, whole] = await interleave([() => inFreshProcess(""), () => inFreshProcess(code)], { runs: 15 });
  return [
    timing("fresh process that does nothing", bare),
    timing("fresh process that imports mod.ts", whole),
    timing("import of mod.ts (their difference)", whole.map((time, i) => time - bare[i])),
  ];
}

let shared: Promise<Model> | undefined;
const resnet50 = () => shared ??= loadModel("resnet50");

async function loading(): Promise<Line[]> {
  const load = async () => (await loadModel("resnet50")).dispose();
  return [await measure("loadModel of resnet50, from the cache", load, { runs: 5, warmUp: 1 })];
}

async function predicting(): Promise<Line[]> {
  const model = await resnet50();
  const dog = await photo("dog");
  const line = await measure("predict of resnet50, one image at a time", () => predict(model, dog));
  return [line, { name: "predict of resnet50, images", median: 1000 / line.median, unit: "per second" }];
}

/** `activations` of a photo against the least that TensorFlow.js must do for the same numbers. */
async function activationsOf(layer: string): Promise<Line[]> {
  const tf = await ensureBackend();
  const model = await resnet50();
  const dog = await photo("dog");
  const input = model.input(await model.view(dog));
  const { network } = model;
  const part = tf.model({ inputs: network.inputs, outputs: network.getLayer(layer).getOutputAt(0) });
  // The photo was resized and preprocessed before; what is left is the pass and the download of its values.
  const bare = async () => {
    const [x, y] = tf.tidy(() => {
      const x = tf.tensor(input.data, [1, ...input.shape]);
      return [x, tf.keep(part.predict(x) as typeof x)];
    });
    try {
      await y.data();
    } finally {
      tf.dispose([x, y]);
    }
  };
  const shape = model.layer(layer).outputShape.join("×");
  return await compare(
    [`bare predict to ${layer} (${shape})`, bare],
    [`activations of ${layer}`, () => activations(model, dog, { layer })],
    { goal: 1.2 },
  );
}

/** Maps as a ReLU leaves them: two values in three are 0, one map in fifty is 0 everywhere. */
function sparseMaps(height: number, width: number, channels: number): Float32Array {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from(
    { length: height * width * channels },
    (_, i) => i % channels % 50 === 0 ? 0 : Math.max(0, random() - 2 / 3),
  );
}

async function mosaicToBundle(): Promise<Line[]> {
  const channels = Array.from({ length: 512 }, (_, channel) => channel);
  const shape = [14, 14, 512];
  const maps = { data: sparseMaps(14, 14, 512), shape };
  const image = { data: new Float32Array(224 * 224 * 3), shape: [224, 224, 3] };
  const result = new Activations([{ name: "maps", shape, maps, channels }], image, { model: "random", image: "noise" });
  const line = await measure("512 maps of 14×14 to their bundle", () => result.figure().bundle(), { goal: 100 });
  const sizes = Object.entries(await result.figure().bundle()).map(([type, content]): Line => ({
    name: `  of that bundle, ${type}`,
    median: new TextEncoder().encode(content as string).length,
    unit: "bytes",
  }));
  return [line, ...sizes];
}

export default [
  { name: "import of mod.ts", run: importing },
  { name: "mosaic to bundle", run: mosaicToBundle },
  { name: "loadModel of resnet50", run: loading },
  { name: "predict of resnet50", run: predicting },
  ...["conv1", "activation_9", "activation_40"].map((layer) => ({
    name: `activations of ${layer}`,
    run: () => activationsOf(layer),
  })),
] satisfies Benchmark[];
