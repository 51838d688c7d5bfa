/**
 * Enlarging, reducing and cutting out images as Keras does: cells have their centres at half pixels.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import { channelsLast } from "./convolutions.ts";
import { type AnyLayer, optionOf, type Replacement, type Shape } from "./replacement.ts";

/** How one axis is resized. All but the lengths may be left out: then it is as in Keras. */
export interface Resampled {
  from: number;
  to: number;
  interpolation: "nearest" | "bilinear" | "bicubic";
  /**
   * Where cells are: with their centres at half pixels (symmetric: as many on both sides of the middle; of PyTorch: a single
   * cell at the beginning), from the first to the last, from the first on, or in a region.
   */
  coordinates?: "halfPixel" | "halfPixelSymmetric" | "pytorchHalfPixel" | "alignCorners" | "asymmetric" | "region";
  /** How many times longer it becomes, where that is no whole number of cells. */
  scale?: number;
  /** Which cell is the nearest. */
  rounding?: "floor" | "ceil" | "preferFloor" | "preferCeil";
  /** The slope of the cubic curve. */
  cubic?: number;
  /** Whether cells beyond the border weigh nothing; else the border goes on. */
  excludeOutside?: boolean;
  /** Whether smaller maps are means of all cells. */
  antialias?: boolean;
  /** The part of the axis, from 0 to 1, and the number outside of it. */
  region?: [from: number, to: number];
}

/** Where the middle of a cell is, in cells of what is resized. */
function placeOf(i: number, { from, to, coordinates = "halfPixel", scale = to / from, region = [0, 1] }: Resampled) {
  const half = (i + 0.5) / scale - 0.5;
  switch (coordinates) {
    case "alignCorners":
      return scale * from === 1 ? 0 : i * (from - 1) / (scale * from - 1);
    case "asymmetric":
      return i / scale;
    case "pytorchHalfPixel":
      return to > 1 ? half : 0;
    case "halfPixelSymmetric":
      return from / 2 * (1 - to / (scale * from)) + half;
    case "region": {
      const [first, last] = region.map((end) => end * (from - 1));
      return to > 1 ? first + i * (last - first) / (to - 1) : (first + last) / 2;
    }
    default:
      return half;
  }
}

const ROUNDINGS = {
  floor: Math.floor,
  ceil: Math.ceil,
  preferFloor: (x: number) => Math.ceil(x - 0.5),
  preferCeil: (x: number) => Math.floor(x + 0.5),
};

/** Keys's curve of third degree. */
function keys(distance: number, a: number): number {
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance ** 2 + 1;
  return distance < 2 ? ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a : 0;
}

/** How much each of `from` cells has in each of `to`: `[from, to]`. */
function shares(tf: TF, axis: Resampled): Tensor {
  const { from, to, interpolation, coordinates, scale = to / from, cubic = -0.75, excludeOutside, antialias } = axis;
  const rounding = ROUNDINGS[axis.rounding ?? (coordinates === "asymmetric" ? "floor" : "preferCeil")];
  const values = new Float32Array(from * to);
  const shrunk = antialias ? Math.min(1, scale) : 1;
  const reach = (interpolation === "bicubic" ? 2 : 1) / shrunk;
  for (let i = 0; i < to; i++) {
    const place = placeOf(i, axis);
    // What is outside of a region is none of the axis.
    if (coordinates === "region" && !(place >= 0 && place <= from - 1)) continue;
    const inside = (cell: number) => Math.min(from - 1, Math.max(0, cell));
    if (interpolation === "nearest") {
      values[inside(rounding(place)) * to + i] = 1;
      continue;
    }
    const taps: [cell: number, share: number][] = [];
    for (let cell = Math.ceil(place - reach); cell <= place + reach; cell++) {
      const distance = Math.abs(cell - place) * shrunk;
      const share = interpolation === "bicubic" ? keys(distance, cubic) : Math.max(0, 1 - distance);
      if (!excludeOutside || cell === inside(cell)) taps.push([inside(cell), share]);
    }
    const sum = taps.reduce((all, [, share]) => all + share, 0);
    for (const [cell, share] of taps) values[cell * to + i] += share / sum;
  }
  return tf.tensor(values, [from, to]);
}

/**
 * Resizes axes, by a product with a matrix each, which every backend has, and its gradient too.
 *
 * @param axes for each axis how it is resized; null where it stays
 */
export function resample(tf: TF, x: Tensor, axes: readonly (Resampled | null)[]): Tensor {
  return axes.reduce((y, axis, place) => {
    if (!axis) return y;
    const order = y.shape.map((_, i) => i);
    const turned = [...order.filter((i) => i !== place), place];
    const rows = tf.reshape(tf.transpose(y, turned), [-1, y.shape[place]]);
    const made = tf.reshape(
      tf.matMul(rows, shares(tf, { ...axis, from: y.shape[place] })),
      [...turned.slice(0, -1).map((i) => y.shape[i]), axis.to],
    );
    return tf.transpose(made, order.map((i) => turned.indexOf(i)));
  }, x);
}

/**
 * Resizes maps as `tf.image.resize` of TensorFlow 2 does, without antialiasing.
 *
 * @param x `[n, h, w, c]`
 */
function resize(
  tf: TF,
  x: Tensor,
  sides: [number, number],
  interpolation: Resampled["interpolation"],
  coordinates: Resampled["coordinates"] = "halfPixel",
): Tensor {
  const [rows, columns] = sides.map((to, i) => ({ from: x.shape[i + 1], to, interpolation, coordinates }));
  return resample(tf, x, [null, rows, columns, null]);
}

/** Cuts a box out of the middle of maps `[n, h, w, c]`. */
function cut(tf: TF, x: Tensor, height: number, width: number): Tensor {
  const [n, h, w, c] = x.shape;
  return tf.slice(x, [0, Math.floor((h - height) / 2), Math.floor((w - width) / 2), 0], [n, height, width, c]);
}

/** Cuts the largest box of the wanted proportions out of the middle, and resizes it. */
function cutAndResize(
  tf: TF,
  x: Tensor,
  height: number,
  width: number,
  interpolation: Resampled["interpolation"],
): Tensor {
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
        : resize(tf, x, [height, width], interpolation, optionOf<Resampled["coordinates"]>(layer, "coordinates"));
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
