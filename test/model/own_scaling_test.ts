/** Networks that scale their pixels themselves get pixels of 0…255, unless they are asked for otherwise. */

import type { layers as tfLayers, LayersModel, serialization, Tensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { predict } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;

/** As Keras has it: `(pixel − mean) / √variance`, both of them weights or in the configuration. */
class Normalization extends L.Layer {
  static className = "Normalization";
  constructor(readonly given: { mean: number[]; variance: number[]; asWeights?: boolean; name?: string }) {
    super({ name: given.name });
  }
  override build() {
    if (!this.given.asWeights) return;
    for (const part of ["mean", "variance"] as const) {
      const values = this.given[part];
      this.addWeight(part, [values.length], "float32", tf.initializers.zeros(), undefined, false)
        .write(tf.tensor1d(values));
    }
  }
  override computeOutputShape(shape: number[]) {
    return shape;
  }
  override getConfig() {
    const { mean, variance } = this.given.asWeights ? {} as Partial<typeof this.given> : this.given;
    return { ...super.getConfig(), ...mean && { mean, variance } };
  }
  override call(inputs: Tensor | Tensor[]): Tensor {
    const { mean, variance } = this.given;
    return tf.div(
      tf.sub(Array.isArray(inputs) ? inputs[0] : inputs, tf.tensor1d(mean)),
      tf.sqrt(tf.tensor1d(variance)),
    );
  }
}
tf.serialization.registerClass(
  Normalization as unknown as serialization.SerializableConstructor<serialization.Serializable>,
);

const rescaling = (scale: number, offset: number, more = {}) =>
  L.rescaling({ scale, offset, name: "scale", ...more } as never);
const inputShape = [12, 12, 3];

/** Some first layers before a small network. */
function network(first: tfLayers.Layer[]): LayersModel {
  const net = tf.sequential();
  net.add(L.inputLayer({ inputShape }));
  first.forEach((layer) => net.add(layer));
  net.add(
    L.conv2d({
      filters: 4,
      kernelSize: 3,
      activation: "relu",
      kernelInitializer: tf.initializers.heNormal({ seed: 1 }),
    }),
  );
  net.add(L.flatten());
  net.add(L.dense({ units: 3, activation: "softmax", kernelInitializer: tf.initializers.glorotNormal({ seed: 2 }) }));
  return net;
}

const random = uniforms(5);
const image = { data: Float32Array.from({ length: 432 }, () => Math.floor(256 * random())), shape: inputShape };

/** What the network itself gives for pixels that are divided by a number before. */
async function truth(net: LayersModel, divisor: number): Promise<number[]> {
  const output = tf.tidy(() => net.predict(tf.div(tf.tensor(image.data, [1, ...inputShape]), divisor)) as Tensor);
  const values = [...await output.data()];
  output.dispose();
  return values;
}

const imagenet = { mean: [123.675, 116.28, 103.53], variance: [3409.98, 3262.69, 3291.89] };
const nested = (layer: tfLayers.Layer) => {
  const inner = tf.sequential({ name: "inner" });
  inner.add(L.inputLayer({ inputShape }));
  inner.add(layer);
  return inner;
};
const functional = (layer: tfLayers.Layer) => {
  const input = tf.input({ shape: inputShape });
  return tf.model({ inputs: input, outputs: layer.apply(input) as never, name: "inner" });
};

const cases: [name: string, first: () => tfLayers.Layer[], mode: "none" | "unit", layer: string | null][] = [
  ["Rescaling by 1/255", () => [rescaling(1 / 255, 0)], "none", "scale"],
  ["Rescaling to −1…1", () => [rescaling(1 / 127.5, -1)], "none", "scale"],
  ["minus 127", () => [rescaling(1, -127)], "none", "scale"],
  ["Rescaling made for pixels of 0…1", () => [rescaling(2, -1)], "unit", "scale"],
  ["Rescaling that does nothing", () => [rescaling(1, 0)], "unit", null],
  ["a nested Sequential", () => [nested(rescaling(1 / 255, 0))], "none", "inner/scale"],
  ["a nested model", () => [functional(rescaling(1 / 255, 0))], "none", "inner/scale"],
  [
    "behind padding and dropout",
    () => [
      L.zeroPadding2d({ padding: 1 }),
      L.dropout({ rate: 0.5 }),
      rescaling(1 / 255, 0),
    ],
    "none",
    "scale",
  ],
  ["Normalization", () => [new Normalization({ ...imagenet, name: "norm" })], "none", "norm"],
  [
    "Normalization with weights",
    () => [new Normalization({ ...imagenet, asWeights: true, name: "norm" })],
    "none",
    "norm",
  ],
  [
    "Normalization of pixels of 0…1",
    () => [
      new Normalization({ mean: [0.485, 0.456, 0.406], variance: [0.052, 0.05, 0.05], name: "norm" }),
    ],
    "unit",
    "norm",
  ],
  [
    "Rescaling, then Normalization",
    () => [
      rescaling(1 / 255, 0),
      new Normalization({ mean: [0.485, 0.456, 0.406], variance: [0.052, 0.05, 0.05], name: "norm" }),
    ],
    "none",
    "scale",
  ],
  ["batch normalisation first", () => [L.batchNormalization()], "unit", null],
  [
    "Rescaling behind a convolution",
    () => [L.conv2d({ filters: 3, kernelSize: 1 }), rescaling(1 / 255, 0)],
    "unit",
    null,
  ],
  ["none", () => [], "unit", null],
];

for (const [name, first, mode, layer] of cases) {
  test(`${name}: ${mode === "none" ? "pixels of 0…255" : "pixels of 0…1"}`, async () => {
    const net = network(first());
    const model = await loadModel(net);
    expect(model.preprocess.mode).toBe(mode);
    const wanted = await truth(net, mode === "none" ? 1 : 255);
    const { rows } = await predict(model, image);
    for (const { index, probability } of rows) expect(probability!).toBeCloseTo(wanted[index], 5);
    const { text } = model.figure();
    if (layer) {
      // What is nested first of all in a Sequential is, to tfjs, a layer of its own.
      const found = /scales them itself, by its layer "([^"]+)"/.exec(text)?.[1];
      expect([layer, layer.split("/").at(-1)]).toContain(found);
    } else expect(text).not.toContain("scales them itself");

    const asked = await loadModel(net, { preprocess: "unit" });
    expect(asked.preprocess.mode).toBe("unit");
    const divided = await truth(net, 255);
    for (const { index, probability } of (await predict(asked, image)).rows) {
      expect(probability!).toBeCloseTo(divided[index], 5);
    }
    net.dispose();
  });
}
