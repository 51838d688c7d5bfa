/**
 * Enlarging, reducing and cutting out images as Keras does: cells have their centres at half pixels.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import { channelsLast } from "./convolutions.ts";
import { type AnyLayer, optionOf, type Replacement, type Shape } from "./replacement.ts";

type Interpolation = "nearest" | "bilinear";

/** Where cells are: with their centres at half pixels, as in Keras; from the first to the last; or from the first on. */
type Coordinates = "halfPixel" | "alignCorners" | "asymmetric";

/** How much each of `from` cells has in each of `to`: `[from, to]`. */
function shares(tf: TF, from: number, to: number, interpolation: Interpolation, coordinates: Coordinates): Tensor {
  const values = new Float32Array(from * to);
  // How far into the input the middle of a cell is, and its beginning for the nearest one.
  const centreOf = (i: number) => {
    if (coordinates === "halfPixel") return (i + 0.5) * from / to;
    if (coordinates === "alignCorners") return to === 1 ? 0.5 : i * (from - 1) / (to - 1) + 0.5;
    return i * from / to + (interpolation === "nearest" ? 0 : 0.5);
  };
  for (let i = 0; i < to; i++) {
    const centre = centreOf(i);
    if (interpolation === "nearest") {
      values[Math.min(from - 1, Math.floor(centre)) * to + i] = 1;
      continue;
    }
    const place = Math.min(from - 1, Math.max(0, centre - 0.5));
    const low = Math.floor(place);
    const high = Math.min(from - 1, low + 1);
    values[low * to + i] += 1 - (place - low);
    values[high * to + i] += place - low;
  }
  return tf.tensor(values, [from, to]);
}

/**
 * Resizes maps as `tf.image.resize` of TensorFlow 2 does, without antialiasing: by a product with a matrix an axis, which
 * every backend has, and its gradient too.
 *
 * @param x `[n, h, w, c]`
 */
function resize(
  tf: TF,
  x: Tensor,
  [height, width]: [number, number],
  interpolation: Interpolation,
  coordinates: Coordinates = "halfPixel",
): Tensor {
  const [n, h, w, c] = x.shape;
  const rows = tf.reshape(tf.transpose(x, [0, 2, 3, 1]), [n * w * c, h]);
  const tall = tf.reshape(tf.matMul(rows, shares(tf, h, height, interpolation, coordinates)), [n, w, c, height]);
  const columns = tf.reshape(tf.transpose(tall, [0, 3, 2, 1]), [n * height * c, w]);
  const wide = tf.reshape(tf.matMul(columns, shares(tf, w, width, interpolation, coordinates)), [n, height, c, width]);
  return tf.transpose(wide, [0, 1, 3, 2]);
}

/** Cuts a box out of the middle of maps `[n, h, w, c]`. */
function cut(tf: TF, x: Tensor, height: number, width: number): Tensor {
  const [n, h, w, c] = x.shape;
  return tf.slice(x, [0, Math.floor((h - height) / 2), Math.floor((w - width) / 2), 0], [n, height, width, c]);
}

/** Cuts the largest box of the wanted proportions out of the middle, and resizes it. */
function cutAndResize(tf: TF, x: Tensor, height: number, width: number, interpolation: Interpolation): Tensor {
  const [, h, w] = x.shape;
  const box = cut(tf, x, Math.min(h, Math.trunc(w * height / width)), Math.min(w, Math.trunc(h * width / height)));
  return resize(tf, box, [height, width], interpolation);
}

const toSize = (layer: AnyLayer, shape: Shape): Shape => [shape[0], layer.height, layer.width, shape[3]];

/** By the classes' names. */
export const RESAMPLINGS: Record<string, Replacement> = {
  UpSampling2D: {
    when: ({ interpolation }) => interpolation === "bilinear",
    call: (tf, layer, x) =>
      channelsLast(
        tf,
        layer,
        x,
        (x) => resize(tf, x, [x.shape[1]! * layer.size[0], x.shape[2]! * layer.size[1]], "bilinear"),
      ),
  },
  Resizing: {
    // Of other programs: Keras has no such option.
    options: { coordinates: "halfPixel" },
    call(tf, layer, x) {
      const { height, width, interpolation, cropToAspectRatio } = layer;
      return cropToAspectRatio
        ? cutAndResize(tf, x, height, width, interpolation)
        : resize(tf, x, [height, width], interpolation, optionOf<Coordinates>(layer, "coordinates"));
    },
    outputShape: toSize,
  },
  CenterCrop: {
    call: (tf, { height, width }, x) =>
      x.shape[1]! >= height && x.shape[2]! >= width
        ? cut(tf, x, height, width)
        : cutAndResize(tf, x, height, width, "bilinear"),
    outputShape: toSize,
  },
};
