/** The networks of `oracles/captum_gradients.py`, built here with the same weights. */

import type { SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import fixture from "../oracles/fixtures/captum_gradients.json" with { type: "json" };
import type { NdArrayLike } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

/** One layer of the fixture, with all that any kind of layer has. */
interface Layer {
  kind: string;
  filters: number;
  size: number;
  stride: number;
  pad: "same" | "valid";
  dilation: number;
  units: number;
  from: number;
  shape: number[];
  kernel: number[];
  bias: number[];
  gamma: number[];
  beta: number[];
  mean: number[];
  variance: number[];
}

/** What Captum found for one network. */
export interface CaptumNet {
  preprocess: { order: "rgb" | "bgr"; mean: [number, number, number]; deviation: [number, number, number] };
  layers: Layer[];
  pixels: number[];
  target: number;
  scores: number[];
  saliency: number[];
  inputXGradient: number[];
  guidedBackprop: number[];
  deconvolution: number[];
  integratedGradients: { steps: number } & Record<string, number[]>;
  smoothGrad: { samples: number; share: number; mean: number[]; deviation: number[] };
  camLayer?: number;
  gradCam?: number[];
  layerCam?: number[];
}

export const captumNets = fixture.nets as unknown as Record<string, CaptumNet>;

const SIDE = 10;

/** The name of the layer at a place in the fixture. */
export const layerName = (place: number) => `layer${place}`;

/** The image of a network. */
export const imageOf = ({ pixels }: CaptumNet): NdArrayLike => ({
  data: Float32Array.from(pixels),
  shape: [SIDE, SIDE, 3],
});

/** Values in the network's order of channels as those of an image, in RGB. */
export function inRgb({ preprocess }: CaptumNet, values: readonly number[]): number[] {
  if (preprocess.order === "rgb") return [...values];
  return values.map((_, i) => values[i - i % 3 + 2 - i % 3]);
}

/**
 * Builds a network.
 *
 * @param softmax whether it ends in a softmax, which attributions look behind; Captum's network does not
 */
export async function buildCaptumNet(net: CaptumNet, { softmax }: { softmax: boolean }): Promise<Model> {
  const tf = await ensureBackend();
  const input = tf.input({ shape: [SIDE, SIDE, 3] });
  const values: SymbolicTensor[] = [input];
  const weights = new Map<string, Tensor[]>();
  net.layers.forEach((layer, i) => {
    const name = layerName(i);
    const last = i === net.layers.length - 1;
    const x = values[i];
    const parts = (whole: number[], shape = [whole.length]) => tf.tensor(whole.map((part) => part / 512), shape);
    const pooling = { name, poolSize: layer.size, strides: layer.stride };
    const kinds: Record<string, () => { apply(x: SymbolicTensor | SymbolicTensor[]): unknown }> = {
      conv: () =>
        tf.layers.conv2d({
          name,
          filters: layer.filters,
          kernelSize: layer.size,
          strides: layer.stride,
          padding: layer.pad,
          dilationRate: layer.dilation,
        }),
      dense: () => tf.layers.dense({ name, units: layer.units, activation: last && softmax ? "softmax" : undefined }),
      norm: () => tf.layers.batchNormalization({ name, epsilon: 1e-3 }),
      relu: () => tf.layers.reLU({ name }),
      max: () => tf.layers.maxPooling2d(pooling),
      average: () => tf.layers.averagePooling2d(pooling),
      flatten: () => tf.layers.flatten({ name }),
      mean: () => tf.layers.globalAveragePooling2d({ name }),
      add: () => tf.layers.add({ name }),
    };
    values.push(kinds[layer.kind]().apply(layer.kind === "add" ? [x, values[layer.from + 1]] : x) as SymbolicTensor);
    if (layer.kernel) weights.set(name, [parts(layer.kernel, layer.shape), parts(layer.bias)]);
    if (layer.gamma) {
      weights.set(name, [layer.gamma, layer.beta, layer.mean, layer.variance].map((values) => parts(values)));
    }
  });
  const network = tf.model({ inputs: input, outputs: values.at(-1)! });
  for (const [name, tensors] of weights) {
    network.getLayer(name).setWeights(tensors);
    tf.dispose(tensors);
  }
  return await loadModel(network, { preprocess: net.preprocess });
}
