/** Poolings as Keras has them. @module */

import type { Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import { channelsLast } from "./convolutions.ts";
import { type AnyLayer, optionOf, type Replacement, type Shape } from "./replacement.ts";

type Mode = "max" | "average";
type Padding = "same" | "valid";

function pool(tf: TF, mode: Mode, x: Tensor, size: number[], strides: number[], padding: Padding): Tensor {
  const [window, steps] = [size, strides] as never[];
  return mode === "max"
    ? tf.maxPool(x as Tensor4D, window, steps, padding)
    : tf.avgPool(x as Tensor4D, window, steps, padding);
}

/** TensorFlow.js has no format in one dimension. */
const formatOf = (layer: AnyLayer) => optionOf<AnyLayer["dataFormat"]>(layer, "dataFormat") ?? layer.dataFormat;

const firstInOne = (layer: AnyLayer) => formatOf(layer) === "channelsFirst";

function pooling1D(mode: Mode): Replacement {
  return {
    options: { dataFormat: "channelsLast" },
    when: firstInOne,
    call: (tf, layer, x) =>
      channelsLast(tf, { dataFormat: formatOf(layer) }, x, (x) => {
        const rows = tf.expandDims(x, 2);
        return tf.squeeze(
          pool(tf, mode, rows, [layer.poolSize[0], 1], [layer.strides[0], 1], layer.padding as Padding),
          [2],
        );
      }),
    outputShape(layer, [batch, channels, length]) {
      const [size, stride] = [layer.poolSize[0], layer.strides[0]];
      const wanted = length === null
        ? null
        : layer.padding === "same"
        ? Math.ceil(length / stride)
        : Math.floor((length - size) / stride) + 1;
      return [batch, channels, wanted];
    },
  };
}

/**
 * In three dimensions: pools rows and columns, then the depth. Largest of largest and mean of means, also of windows that
 * hang over the border, and of equal cells the first. tfjs's own are wrong on wasm, and with some paddings elsewhere.
 */
function pooling3D(mode: Mode): Replacement {
  return {
    call: (tf, layer, x) =>
      channelsLast(tf, layer, x, (x) => {
        const [batch, depth, height, width, channels] = x.shape;
        const padding = layer.padding as Padding;
        const maps = tf.reshape(x, [batch * depth, height, width, channels]);
        const flat = pool(tf, mode, maps, layer.poolSize.slice(1), layer.strides.slice(1), padding);
        const [, rows, columns] = flat.shape;
        const deep = tf.reshape(flat, [batch, depth, rows! * columns!, channels]);
        const pooled = pool(tf, mode, deep, [layer.poolSize[0], 1], [layer.strides[0], 1], padding);
        return tf.reshape(pooled, [batch, pooled.shape[1]!, rows!, columns!, channels]);
      }),
  };
}

function spatialAxes(layer: AnyLayer, rank: number): number[] {
  const from = formatOf(layer) === "channelsFirst" ? 2 : 1;
  return Array.from({ length: rank - 2 }, (_, i) => i + from);
}

function globalPooling(mode: Mode, flat: boolean): Replacement {
  return {
    options: { keepdims: false, ...flat && { dataFormat: "channelsLast" } },
    when: (layer) => optionOf<boolean>(layer, "keepdims") || (flat && firstInOne(layer)),
    call(tf, layer, x) {
      const axes = spatialAxes(layer, x.rank);
      const keep = optionOf<boolean>(layer, "keepdims");
      return mode === "max" ? tf.max(x, axes, keep) : tf.mean(x, axes, keep);
    },
    outputShape(layer, shape: Shape) {
      const axes = spatialAxes(layer, shape.length);
      if (optionOf<boolean>(layer, "keepdims")) return shape.map((length, i) => axes.includes(i) ? 1 : length);
      return shape.filter((_, i) => !axes.includes(i));
    },
  };
}

/** By the classes' names. */
export const POOLINGS: Record<string, Replacement> = {
  MaxPooling1D: pooling1D("max"),
  AveragePooling1D: pooling1D("average"),
  MaxPooling3D: pooling3D("max"),
  AveragePooling3D: pooling3D("average"),
  GlobalMaxPooling1D: globalPooling("max", true),
  GlobalAveragePooling1D: globalPooling("average", true),
  GlobalMaxPooling2D: globalPooling("max", false),
  GlobalAveragePooling2D: globalPooling("average", false),
};
