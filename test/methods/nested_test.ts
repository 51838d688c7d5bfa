/**
 * A network inside of a network, as transfer learning makes them: every method gives what it gives for the same layers
 * without the nesting.
 */

import type { layers as tfLayers, SymbolicTensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import {
  activations,
  codes,
  compareModels,
  correspondence,
  dataset,
  deadFilters,
  deconvnet,
  faithfulness,
  featureVisualization,
  filters,
  fool,
  gradCam,
  guidedBackprop,
  inputXGradient,
  integratedGradients,
  invariance,
  linearExplanation,
  linearProbes,
  loadModel,
  type Model,
  occlusion,
  predict,
  robustness,
  saliency,
  sanityCheck,
  smoothGrad,
  strideDiagnosis,
  transferability,
} from "../../mod.ts";
import { ndarray, sizeOf } from "../../lib/array.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const { layers: L } = tf;

const next = uniforms(3);
const image = ndarray(Array.from({ length: 12 * 12 * 3 }, () => Math.round(255 * next())), [12, 12, 3]);

/** Convolutions with batch normalisation and a way past them. */
function body(input: SymbolicTensor): SymbolicTensor {
  const apply = (layer: tfLayers.Layer, ...x: SymbolicTensor[]) =>
    layer.apply(x.length === 1 ? x[0] : x) as SymbolicTensor;
  const block = (x: SymbolicTensor, name: string) => {
    const y = apply(L.conv2d({ name, filters: 4, kernelSize: 3, padding: "same", useBias: false }), x);
    return apply(L.reLU({ name: `${name}_relu` }), apply(L.batchNormalization({ name: `${name}_norm` }), y));
  };
  const first = apply(L.maxPooling2d({ name: "pool", poolSize: 2 }), block(input, "first"));
  return apply(L.add({ name: "sum" }), first, block(first, "second"));
}

const head = () => [
  L.globalAveragePooling2d({ name: "mean" }) as tfLayers.Layer,
  L.dense({ name: "hidden", units: 5, activation: "relu" }),
  L.dense({ name: "classes", units: 3, activation: "softmax" }),
];

/** The same weights in the same layers: in one network, and with all but the head in a model that is its first layer. */
async function pair(): Promise<{ flat: Model; nested: Model }> {
  const input = tf.input({ shape: [12, 12, 3], name: "in" });
  const outputs = head().reduce((x, layer) => layer.apply(x) as SymbolicTensor, body(input));
  const flat = tf.model({ inputs: input, outputs, name: "flat" });
  const inside = tf.input({ shape: [12, 12, 3], name: "inside" });
  const nested = tf.sequential({ name: "nested" });
  nested.add(tf.model({ inputs: inside, outputs: body(inside), name: "base" }));
  head().forEach((layer) => nested.add(layer));
  const weights = flat.getWeights().map(({ shape }) => {
    const values = Float32Array.from({ length: sizeOf(shape) }, () => shape.length > 1 ? next() - 0.5 : 0.5 + next());
    return tf.tensor(values, shape);
  });
  for (const network of [flat, nested]) network.setWeights(weights);
  tf.dispose(weights);
  const [a, b] = await Promise.all([flat, nested].map((network) => loadModel(network, { preprocess: "unit" })));
  return { flat: a, nested: b };
}

const { flat, nested } = await pair();

/** All numbers of a result, wherever they stand in it. */
function numbersIn(value: unknown, seen = new Set<unknown>()): number[] {
  if (typeof value === "number") return [value];
  if (typeof value !== "object" || value === null || seen.has(value)) return [];
  seen.add(value);
  if (ArrayBuffer.isView(value)) return [...value as Float32Array];
  return Object.values(value).flatMap((part) => numbersIn(part, seen));
}

const images = (labels: readonly string[] = ["even", "odd"]) =>
  dataset(Array.from({ length: 24 }, (_, i) => ({
    id: String(i),
    image: ndarray(image.data.map((value, k) => (value * (1 + i % 5) + 37 * i + k) % 256), [12, 12, 3]),
    label: labels[i % labels.length],
  })));

const methods: Record<string, (model: Model, inside: string) => Promise<unknown>> = {
  predict: async (model) => (await predict(model, image)).rows,
  "activations, of every layer": async (model) => (await activations(model, image)).rows,
  "activations, of one": async (model, inside) => (await activations(model, image, { layer: `${inside}second` })).rows,
  correspondence: async (model, inside) =>
    (await correspondence(model, image, image, { layer: `${inside}second` })).rows.map(({ layer: _, ...row }) => row),
  filters: async (model) => (await filters(model)).weights,
  "filters, of one": async (model, inside) => (await filters(model, { layer: `${inside}second` })).weights,
  gradCam: async (model) => (await gradCam(model, image)).map,
  "gradCam, of one": async (model, inside) => (await gradCam(model, image, { layer: `${inside}second_relu` })).map,
  saliency: async (model) => (await saliency(model, image)).values,
  "saliency, of a unit": async (model, inside) =>
    (await saliency(model, image, { target: { layer: `${inside}second`, channel: 1 } })).values,
  inputXGradient: async (model) => (await inputXGradient(model, image)).values,
  guidedBackprop: async (model) => (await guidedBackprop(model, image)).values,
  deconvnet: async (model) => (await deconvnet(model, image)).values,
  "deconvnet, of a unit": async (model, inside) =>
    (await deconvnet(model, image, { target: { layer: `${inside}sum`, channel: 2 } })).values,
  smoothGrad: async (model) => (await smoothGrad(model, image, { samples: 3 })).values,
  integratedGradients: async (model) => (await integratedGradients(model, image, { steps: 8 })).values,
  occlusion: async (model) => {
    const { probability, activity } = await occlusion(model, image, { size: 4, stride: 4 });
    return { probability, activity };
  },
  "occlusion, of one": async (model, inside) =>
    (await occlusion(model, image, { size: 4, stride: 4, layer: `${inside}first_relu` })).activity,
  faithfulness: async (model) => (await faithfulness(model, image, await saliency(model, image))).rows,
  "featureVisualization, of a unit": async (model, inside) =>
    (await featureVisualization(model, { target: { layer: `${inside}second`, channel: 1 }, steps: 2 })).image,
  invariance: async (model, inside) => {
    const options = { transform: "rotation", values: [0, 30], layers: [`${inside}sum`, "hidden"] } as const;
    return (await invariance(model, images(), options)).rows.map(({ layer: _, ...row }) => row);
  },
  deadFilters: async (model) => (await deadFilters(model, images())).rows.map(({ layer: _, ...row }) => row),
  codes: async (model) => (await codes(model, images())).data,
  "codes, of one": async (model, inside) =>
    (await codes(model, images(), { layer: `${inside}pool`, pool: "max" })).data,
  fool: async (model) => (await fool(model, image, { method: "iterative", steps: 2 })).image,
  robustness: async (model) =>
    (await robustness(model, images(model.output.labels), { epsilons: [0, 8], methods: ["fgsm"] })).rows
      .map(({ model: _, ...row }) => row),
  transferability: async (model) =>
    (await transferability([model, model], images(model.output.labels), { steps: 1 })).rows
      .map(({ from: _, to: __, ...row }) => row),
  linearExplanation: async (model) => {
    const { rows, growth } = await linearExplanation(model, image, { epsilon: 1, steps: 2, directions: 2 });
    return { rows, growth };
  },
  compareModels: async (model, inside) => {
    const options = { layers: [`${inside}sum`, "hidden"], minibatch: 8 };
    return (await compareModels(model, model, images(), options)).rows.map(({ cka, low, high }) => ({
      cka,
      low,
      high,
    }));
  },
  linearProbes: async (model, inside) => {
    const options = { layers: [`${inside}sum`, "hidden"], embedding: "pca" as const };
    return (await linearProbes(model, images(), options)).rows.map(({ layer: _, ...row }) => row);
  },
  sanityCheck: async (model, inside) =>
    (await sanityCheck(model, image, saliency, { layers: [`${inside}second`] })).rows,
  strideDiagnosis: async (model) =>
    (await strideDiagnosis([model], images(), { images: 2 })).rows.map(({ model: _, ...row }) => row),
};

describe("a model in a model gives what its layers give without it", () => {
  test.each(Object.entries(methods))("%s", async (_, method) => {
    const [wanted, found] = [numbersIn(await method(flat, "")), numbersIn(await method(nested, "base/"))];
    expect(found).toHaveLength(wanted.length);
    const largest = Math.max(...wanted.map(Math.abs).filter(Number.isFinite));
    expect(largest).toBeGreaterThan(0);
    wanted.forEach((value, i) =>
      Number.isFinite(value)
        ? expect(Math.abs(found[i] - value)).toBeLessThan(1e-4 * largest)
        : expect(found[i]).toBe(value)
    );
  });

  test("the table: the same layers under the model's name, the same fields", () => {
    const table = (model: Model) =>
      model.leaves.filter(({ kind }) => kind !== "InputLayer").map(({ name, receptiveField, outputShape, params }) => ({
        name: name.replace("base/", ""),
        receptiveField,
        outputShape,
        params,
      }));
    expect(table(nested)).toEqual(table(flat));
    expect(nested.params).toBe(flat.params);
    expect(nested.layers[0]).toMatchObject({ name: "base", isModel: true, outputShape: [6, 6, 4] });
  });

  test("an inner name alone is answered by the whole one", async () => {
    await expect(activations(nested, image, { layer: "second" })).rejects.toThrow(
      /There is no layer "second" in model "nested".*"base\/second"/,
    );
    expect(nested.layer("base:1/second:1")).toBe(nested.layer("base/second"));
    expect(() => nested.layer("base/second:2")).toThrow(RangeError);
  });
});
