/**
 * What pictures are like, as numbers to keep small: values near the middle grey, and neighbours that are alike.
 *
 * Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", §3.1; their scales from the
 * longer version of 2016, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-Images", §4.3, so that neither
 * depends on the size of the image. Gradients are written out: they cost a few operations, and no tape.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";
import type { ValueAndGradient } from "../gradient.ts";

/** The middle of the pixels' range. */
export const MIDDLE = 127.5;
/** How far pixels of photographs are from the middle, about. */
export const SPREAD = 80;
/** How far neighbours of photographs are apart, about. */
export const STEP = SPREAD / 6.5;

const axesOf = ({ rank }: Tensor) => Array.from({ length: rank - 1 }, (_, i) => i + 1);
const eachOf = ({ shape: [count], size }: Tensor) => size / count;

/**
 * The α-norm of each image about the middle grey: the mean of `|(x − 127.5) / 80|^α`. To be called in a tidy.
 *
 * @param pixels `[n, …sides, c]`, 0…255
 * @returns `[n]` and the gradient of their sum
 */
export function alphaNorm(tf: TF, pixels: Tensor, alpha: number): ValueAndGradient {
  const x = tf.div(tf.sub(pixels, MIDDLE), SPREAD);
  // Even powers of what may be negative, as powers of the square.
  const square = tf.square(x);
  const power = alpha === 2 ? tf.scalar(1) : alpha === 6
    ? tf.square(square) // A power takes far longer.
    : tf.pow(alpha < 2 ? tf.add(square, 1e-12) : square, alpha / 2 - 1);
  return {
    value: tf.mean(tf.mul(power, square), axesOf(pixels)),
    gradient: tf.mul(tf.mul(power, x), alpha / (SPREAD * eachOf(pixels))),
  };
}

/** `next − here` along an axis; 0 behind the last. */
function difference(tf: TF, x: Tensor, axis: number): Tensor {
  const { shape } = x;
  if (shape[axis] < 2) return tf.zerosLike(x);
  const size = shape.map((side, i) => i === axis ? side - 1 : side);
  const begin = (from: number) => shape.map((_, i) => i === axis ? from : 0);
  const inner = tf.sub(tf.slice(x, begin(1), size), tf.slice(x, begin(0), size));
  return tf.pad(inner, shape.map((_, i): [number, number] => i === axis ? [0, 1] : [0, 0]));
}

/** What {@linkcode difference} passes back: `before − here` of what came to each difference. */
function differenceBack(tf: TF, dy: Tensor, axis: number): Tensor {
  const { shape } = dy;
  if (shape[axis] < 2) return tf.zerosLike(dy);
  const size = shape.map((side, i) => i === axis ? side - 1 : side);
  const pad = (before: number) => shape.map((_, i): [number, number] => i === axis ? [before, 1 - before] : [0, 0]);
  // The last difference is none, so what comes to it goes nowhere.
  const inner = tf.slice(dy, shape.map(() => 0), size);
  return tf.sub(tf.pad(inner, pad(1)), tf.pad(inner, pad(0)));
}

/**
 * The total variation of each image: the mean of `((Σ over the axes of difference²)^(β/2)) / 12.3^β`. To be called in a
 * tidy.
 *
 * @param pixels `[n, …sides, c]`, 0…255
 * @returns `[n]` and the gradient of their sum
 */
export function totalVariation(tf: TF, pixels: Tensor, beta: number): ValueAndGradient {
  const axes = axesOf(pixels).slice(0, -1);
  const differences = axes.map((axis) => difference(tf, pixels, axis));
  const square = differences.map((one) => tf.square(one)).reduce((sum, one) => tf.add(sum, one));
  const scale = STEP ** -beta / eachOf(pixels);
  const sum = (x: Tensor) => tf.mul(tf.sum(x, axesOf(pixels)), scale);
  const back = (weigh: (one: Tensor) => Tensor) =>
    differences.map((one, i) => differenceBack(tf, weigh(one), axes[i])).reduce((sum, one) => tf.add(sum, one));
  if (beta === 2) return { value: sum(square), gradient: tf.mul(back((one) => one), 2 * scale) };
  // Where all is flat, a power below 1 has no slope.
  const soft = tf.add(square, 1e-6);
  const power = tf.pow(soft, beta / 2 - 1);
  return { value: sum(tf.mul(power, soft)), gradient: tf.mul(back((one) => tf.mul(power, one)), beta * scale) };
}
