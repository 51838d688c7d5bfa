/**
 * Every layer that TensorFlow.js has, with its options, against Keras: as a file that `loadModel` reads, on the backend
 * under test. What `test/oracles/layers.py` computed is found by the way that all methods take, forward and back, and by
 * the one that `train` takes: or the model is refused, by an error that names layer, option and remedy.
 */

import { join } from "node:path";
import type { LayersModel, Scalar, SymbolicTensor, Tensor, Variable } from "@tensorflow/tfjs";
import { afterAll, expect, test } from "vitest";
import { traceAnySize } from "../../lib/model/graph.ts";
import { sizeOf } from "../../lib/array.ts";
import { hadChannelsFirst } from "../../lib/model/formats/build.ts";
import { ModelError } from "../../lib/model/formats/format.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { isReplaced, LayerError } from "../../lib/runtime/layers/layers.ts";
import { ALL } from "../long.ts";
import { type Packed, unpack, wave } from "../packed.ts";

const tf = await ensureBackend();

/** Of the largest value of an array; the fixture is exact to 2e-5 of it. */
const TOLERANCE = 1e-4;

interface Layer {
  class_name: string;
  config: Record<string, unknown>;
}

interface Case {
  kind: string;
  name: string;
  keras: 2 | 3;
  layers: Layer[];
  inputs: number[][];
  integers?: number;
  masked?: boolean;
  weights: [name: string, shape: number[]][];
  taught: number[];
  output: Packed;
  inputGradients: Packed[];
  weightGradients: Packed[];
}

const fixture: { source: Record<string, string>; cases: Case[] } = JSON.parse(
  Deno.readTextFileSync(new URL("../oracles/fixtures/layers.json", import.meta.url)),
);

/** A case's inputs: values and shape. */
function inputsOf({ inputs, output, integers, masked }: Case): Tensor[] {
  const batch = output[0][0];
  return inputs.map((shape, i) => {
    const all = [batch, ...shape];
    const values = wave(all, 1 + i);
    if (integers) return tf.tensor(values.map((value) => Math.floor((value + 1) / 2 * integers)), all);
    if (masked) {
      const step = sizeOf(shape.slice(1));
      values.fill(0, 0, 2 * step);
      values.fill(0, values.length - step);
    }
    return tf.tensor(values, all);
  });
}

/** A case's layers with all of their options: the first of each kind has those that the others leave out. */
const firsts = new Map<string, Layer["config"]>();
for (const { kind, keras, layers } of fixture.cases) {
  const key = `${kind} ${keras}`;
  if (layers.length === 1 && !firsts.has(key)) firsts.set(key, layers[0].config);
}
function layersOf({ kind, keras, layers }: Case): Layer[] {
  if (layers.length > 1) return layers;
  return [{ ...layers[0], config: { ...firsts.get(`${kind} ${keras}`), ...layers[0].config } }];
}

/** Writes a model of TensorFlow.js as its converter does. */
function write(folder: string, c: Case): void {
  const inputs = c.inputs.map((shape, i) => {
    const name = `input${i}`;
    const config = { batch_input_shape: [null, ...shape], dtype: "float32", sparse: false, ragged: false, name };
    return { class_name: "InputLayer", config, name, inbound_nodes: [] as unknown[] };
  });
  let below = inputs.map(({ name }) => [name, 0, 0, {}]);
  const layers = layersOf(c).map((layer) => {
    const name = layer.config.name as string;
    const whole = { ...layer, name, inbound_nodes: [below] };
    below = [[name, 0, 0, {}]];
    return whole;
  });
  const weights = c.weights.map(([name, shape], i) => ({
    name,
    shape,
    dtype: name.endsWith("/count") ? "int32" : "float32",
    values: valuesOf(name, shape, i),
  }));
  const model = {
    format: "layers-model",
    generatedBy: `keras v${c.keras === 2 ? fixture.source.tf_keras : fixture.source.keras}`,
    modelTopology: {
      keras_version: c.keras === 2 ? fixture.source.tf_keras : fixture.source.keras,
      backend: "tensorflow",
      model_config: {
        class_name: "Functional",
        config: {
          name: "case",
          layers: [...inputs, ...layers],
          input_layers: inputs.map(({ name }) => [name, 0, 0]),
          output_layers: [[layers.at(-1)!.name, 0, 0]],
        },
      },
    },
    weightsManifest: weights.length
      ? [{ paths: ["weights.bin"], weights: weights.map(({ values: _, ...spec }) => spec) }]
      : [],
  };
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(join(folder, "model.json"), JSON.stringify(model));
  if (weights.length === 0) return;
  const all = new Float32Array(weights.flatMap(({ values }) => [...values]));
  Deno.writeFileSync(join(folder, "weights.bin"), new Uint8Array(all.buffer));
}

function valuesOf(name: string, shape: number[], index: number): Float32Array {
  const spread = /variance|stddev/.test(name);
  return wave(shape, 101 + index).map((value) => spread ? Math.abs(value / 2) + 0.5 : value / 2);
}

/** How far an array is from what is wanted, as a sentence; undefined if it is not. */
async function difference(what: string, found: Tensor, wanted: Packed): Promise<string | undefined> {
  if (found.shape.join() !== wanted[0].join()) return `${what}: shape [${found.shape}], Keras [${wanted[0]}]`;
  const values = await found.data<"float32">();
  const keras = unpack(wanted);
  const worst = keras.reduce((most, value, i) => {
    const off = Math.abs(value - values[i]);
    return off >= most || Number.isNaN(off) ? off : most;
  }, 0);
  // Where all cancels out, what is left is rounding.
  const scale = Math.max(wanted[1], 0.01);
  return worst <= TOLERANCE * scale ? undefined : `${what}: off by ${(worst / scale).toPrecision(2)} of the largest`;
}

const isReplacedIn = ({ network }: Model) => network.layers.some(isReplaced);

/** A network made of what another says of itself, as Workers and saved models are. */
async function copyOf(network: LayersModel): Promise<LayersModel> {
  const modelTopology = network.toJSON(null, false) as object;
  const copy = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology }));
  copy.setWeights(network.getWeights());
  return copy;
}

/** A model that is saved and loaded. */
async function savedCopy(model: Model, folder: string): Promise<Model> {
  await model.save(folder);
  return await loadModel(folder);
}

/** Computes a case, and compares all of it with Keras. */
async function differences(model: Model, c: Case, folder: string): Promise<string[]> {
  const { network } = model;
  const found: (string | undefined)[] = [];
  // Channels that are first in the file are behind in the network.
  const isTurned = hadChannelsFirst(network);
  const turn = (x: Tensor, axes: (sides: number[]) => number[]) =>
    isTurned && x.rank > 2 ? tf.transpose(x, axes(Array.from({ length: x.rank - 2 }, (_, i) => i))) : x;
  const behind = (x: Tensor) => turn(x, (sides) => [0, ...sides.map((i) => i + 2), 1]);
  const first = (x: Tensor) => turn(x, (sides) => [0, sides.length + 1, ...sides.map((i) => i + 1)]);
  const inputs = tf.tidy(() => inputsOf(c).map(behind));
  const kept: Tensor[] = [...inputs];
  try {
    const up = tf.tensor(wave(c.output[0], 51), c.output[0]);
    kept.push(up);
    const run = (values: Tensor[]) =>
      first(network.apply(values.length > 1 ? values : values[0], { training: false }) as Tensor);
    const score = (output: Tensor) => tf.sum(tf.mul(output, up));
    const compare = async (what: string, tensor: Tensor, wanted: Packed) => {
      kept.push(tensor);
      found.push(await difference(what, tensor, wanted));
    };
    if (inputs.length === 1) {
      const plan = makePlan(network, traceAnySize(network).outputs, { fold: true, sums: true });
      await compare("output", withPlan(tf, plan, (f) => tf.tidy(() => first(f(inputs[0])[0]))), c.output);
      if (c.inputGradients.length && !found[0]) {
        const { value, gradient } = withPlan(
          tf,
          plan,
          (f) => inputGradient(tf, (x) => score(first(f(x)[0])), inputs[0]),
        );
        kept.push(value, gradient);
        await compare("input gradient", first(gradient), c.inputGradients[0]);
      }
    } else {
      await compare("output", tf.tidy(() => run(inputs)), c.output);
      if (c.inputGradients.length && !found[0]) {
        const gradients = tf.grads((...values: Tensor[]) => score(run(values)))(inputs);
        for (const [i, gradient] of gradients.entries()) {
          kept.push(gradient);
          await compare(`gradient to input ${i}`, first(gradient), c.inputGradients[i]);
        }
      }
    }
    if (isReplacedIn(model) && found.every((text) => !text)) {
      const copy = await copyOf(network);
      await compare(
        "output of a copy",
        tf.tidy(() => first(copy.apply(inputs.length > 1 ? inputs : inputs[0]) as Tensor)),
        c.output,
      );
      copy.dispose();
    }
    // What is saved does not depend on the backend; a software graphics driver is slow.
    if (tf.getBackend() !== "webgpu" && found.every((text) => !text)) {
      const again = await savedCopy(model, join(folder, "saved"));
      const [before, after] = [network, again.network].map((network) =>
        tf.tidy(() => network.predict(inputs.length > 1 ? inputs : inputs[0]) as Tensor)
      );
      kept.push(before, after);
      if (`${await before.data()}` !== `${await after.data()}`) found.push("saved and loaded, it computes other bits");
      again.dispose();
    }
    const variables = network.trainableWeights.map((weight) => weight.read() as Variable);
    const names = c.taught.map((i) => c.weights[i][0]);
    if (variables.length !== names.length) {
      found.push(`${variables.length} trainable weights, in Keras ${names.length}`);
    } else if (variables.length && found.every((text) => !text)) {
      const { value, grads } = tf.variableGrads(() => score(run(inputs)) as Scalar, variables);
      kept.push(value);
      for (const [i, { name }] of variables.entries()) {
        await compare(`gradient to ${names[i]}`, grads[name], c.weightGradients[i]);
      }
    }
  } finally {
    tf.dispose(kept);
  }
  return found.filter((text) => text !== undefined);
}

/** What became of a case. */
type Verdict = { verdict: "equal" | "replaced" | "refused" | "WRONG"; why: string };

async function judge(folder: string, c: Case): Promise<Verdict> {
  write(folder, c);
  let model: Model;
  try {
    model = await loadModel(folder);
  } catch (error) {
    const { message } = error as Error;
    // A type that is not known is named as such.
    const named = /"layer\d"/.test(message) || message.includes(`of the type ${c.kind},`);
    const told = (error instanceof ModelError || error instanceof LayerError) && named;
    return { verdict: told ? "refused" : "WRONG", why: message };
  }
  try {
    const wrong = await differences(model, c, folder);
    if (wrong.length) return { verdict: "WRONG", why: wrong.join("; ") };
    return { verdict: isReplacedIn(model) ? "replaced" : "equal", why: "" };
  } catch (error) {
    return { verdict: "WRONG", why: `throws ${(error as Error).message.slice(0, 300)}` };
  } finally {
    model.dispose();
  }
}

const kinds = [...new Set(fixture.cases.map(({ kind }) => kind))];
const folder = Deno.makeTempDirSync({ prefix: "convlens-layers-" });
afterAll(() => Deno.removeSync(folder, { recursive: true }));

// All cases in CI; in a plain run the first of each kind of layer.
test("each layer computes what Keras does, or is refused", { timeout: 240_000 }, async () => {
  const counts = kinds.map((kind) => ({ kind, equal: 0, replaced: 0, refused: 0, WRONG: 0 }));
  const wrong: string[] = [];
  for (const [i, c] of fixture.cases.entries()) {
    const row = counts[kinds.indexOf(c.kind)];
    const isFirst = row.equal + row.replaced + row.refused + row.WRONG === 0;
    if (!isFirst && !ALL) continue;
    const { verdict, why } = await judge(join(folder, String(i)), c);
    row[verdict]++;
    if (verdict === "WRONG") wrong.push(`${c.kind}, ${c.name} (Keras ${c.keras}): ${why}`);
    else if (Deno.env.get("SHOW") && verdict === "refused") console.log(`${c.kind}, ${c.name}: ${why}`);
  }
  const line = (cells: (string | number)[]) =>
    cells.map((cell, i) => String(cell).padEnd(i ? 9 : 24)).join("").trimEnd();
  console.log([
    `Layers against Keras, on ${tf.getBackend()}`,
    line(["layer", "equal", "replaced", "refused"]),
    ...counts.map(({ kind, equal, replaced, refused }) => line([kind, equal, replaced, refused])),
  ].join("\n"));
  expect(wrong).toEqual([]);
  if (!ALL) return;
  // No kind of layer is refused whole.
  expect(counts.filter(({ equal, replaced }) => equal + replaced === 0).map(({ kind }) => kind)).toEqual([]);
});

test("what a network is told to do as in training, or hides, is refused and named", async () => {
  const input = tf.input({ shape: [6, 3] });
  const masked = tf.layers.lstm({ units: 2, name: "memory" }).apply(
    tf.layers.masking({ maskValue: 0, name: "hiding" }).apply(input),
  ) as SymbolicTensor;
  const drawn = tf.layers.dropout({ rate: 0.5, name: "drawn" }).apply(input, { training: true }) as SymbolicTensor;
  const inner = tf.model({ inputs: input, outputs: drawn, name: "inner" });
  const outer = tf.input({ shape: [6, 3] });
  for (
    const [outputs, inputs, message] of [
      [masked, input, /"hiding" \(Masking\) hides steps/],
      [drawn, input, /"drawn" \(Dropout\) is called with training = true/],
      [inner.apply(outer) as SymbolicTensor, outer, /"drawn" \(Dropout\) is called with training = true/],
    ] as const
  ) {
    await expect(loadModel(tf.model({ inputs, outputs }))).rejects.toThrow(message);
  }
});
