/**
 * What a network is trained towards, where that is more than one class an image: several labels, numbers, and maps of
 * classes, labels or numbers; and what each kind of output loses and scores.
 *
 * @module
 */

import type { Scalar, Tensor2D } from "npm:@tensorflow/tfjs@4.22.0";
import { mirrored } from "../../data/warp.ts";
import type { ModelOutput } from "../../model/output.ts";
import type { TF } from "../../runtime/backend.ts";
import { type Augment, type Change, changeOf } from "./augment.ts";
import type { Samples, Targets } from "./samples.ts";
import { crossEntropy, LEAST, type Loss, rightOnes } from "./training_pass.ts";

/**
 * The targets of a batch, maps changed as the images are.
 *
 * @param key as of `batchOf`
 */
export function targetsOf(
  samples: Samples,
  indexes: ArrayLike<number>,
  augment: Augment,
  key: readonly number[],
): Float32Array {
  const { classes, targets } = samples;
  if (!targets) return Float32Array.from(indexes, (index) => classes[index]);
  const size = targets.values[0].length;
  const all = new Float32Array(indexes.length * size);
  for (let i = 0; i < indexes.length; i++) {
    const own = targets.values[indexes[i]];
    const change = targets.grid.length === 2 ? changeOf(augment, key, indexes[i]) : null;
    all.set(change ? changed(own, targets, change, augment.pad) : own, i * size);
  }
  return all;
}

/** A map mirrored and shifted as its image; what comes in at the border is not known, unless it is mirrored. */
function changed(
  values: Float32Array,
  { grid: [rows, columns], channels }: Targets,
  { mirror, down, right }: Change,
  pad: Augment["pad"],
): Float32Array {
  if (!mirror && down === 0 && right === 0) return values;
  const made = new Float32Array(values.length).fill(NaN);
  for (let y = 0; y < rows; y++) {
    const row = pad === "reflect" ? mirrored(y + down, rows) : y + down;
    if (row < 0 || row >= rows) continue;
    for (let x = 0; x < columns; x++) {
      const from = right + (mirror ? columns - 1 - x : x);
      const column = pad === "reflect" ? mirrored(from, columns) : from;
      if (column < 0 || column >= columns) continue;
      for (let c = 0; c < channels; c++) {
        made[(y * columns + x) * channels + c] = values[(row * columns + column) * channels + c];
      }
    }
  }
  return made;
}

/** Whether what is true of an image is the index of a class, at each place. */
const isClassed = ({ each }: ModelOutput) => each === "classes" || each === "binary";

/**
 * The mean loss of a batch over all that is known, and its score: of classes and labels the share that is right, of numbers the
 * mean of the errors' magnitudes; the score times the number of images.
 *
 * @param made what the pass gave, `[places, count]`: before the last activation, of numbers the outputs
 */
export function lossAndScore(
  tf: TF,
  output: ModelOutput,
  loss: Loss,
  made: Tensor2D,
  targets: Float32Array,
  images: number,
  smoothing: number,
): { loss: Scalar; score: Scalar } {
  const unknown = targets.reduce((count, value) => count + Number(Number.isNaN(value)), 0);
  const scale = images / Math.max(1, targets.length - unknown);
  if (isClassed(output)) {
    // What is not known is left out: its rows are not gathered.
    const places = unknown === 0 ? null : Int32Array.from(targets.keys()).filter((i) => !Number.isNaN(targets[i]));
    const known = places ? tf.gather(made, tf.tensor1d(places, "int32")) as Tensor2D : made;
    const classes = Int32Array.from(places ?? targets, (value) => places ? targets[value] : value);
    const right = rightOnes(tf, known, classes);
    return {
      loss: crossEntropy(tf, loss, known, classes, smoothing),
      score: scale === 1 ? right : tf.mul(right, scale) as Scalar,
    };
  }
  const [, count] = made.shape;
  const wanted = tf.tensor2d(targets.map((value) => Number.isNaN(value) ? 0 : value), [targets.length / count, count]);
  const weights = unknown === 0
    ? tf.scalar(1)
    : tf.tensor2d(targets.map((value) => Number(!Number.isNaN(value))), wanted.shape);
  const meanOf = (values: Tensor2D) =>
    tf.div(tf.sum(tf.mul(values, weights)), Math.max(1, targets.length - unknown)) as Scalar;
  if (output.each === "numbers") {
    const errors = tf.sub(made, wanted) as Tensor2D;
    return { loss: meanOf(tf.square(errors)), score: tf.mul(meanOf(tf.abs(errors)), images) as Scalar };
  }
  const costs = tf.losses.sigmoidCrossEntropy(wanted, made, undefined, smoothing, tf.Reduction.NONE) as Tensor2D;
  const right = tf.cast(tf.equal(tf.greater(made, 0), tf.greater(wanted, 0.5)), "float32") as Tensor2D;
  return { loss: meanOf(costs), score: tf.mul(meanOf(right), images) as Scalar };
}

/** As {@linkcode lossAndScore}, of one image, from what the network puts out. */
export function imageLossAndScore(
  output: ModelOutput,
  loss: Loss,
  outputs: Float32Array,
  targets: Float32Array,
): { loss: number; score: number } {
  const values = output.values(outputs);
  const { length } = output.labels;
  const costOf = (probability: number) => -Math.log(Math.max(LEAST, probability));
  let [cost, score, known] = [0, 0, 0];
  for (let i = 0; i < targets.length; i++) {
    const wanted = targets[i];
    if (Number.isNaN(wanted)) continue;
    known++;
    if (isClassed(output)) {
      const own = values.subarray(i * length, (i + 1) * length);
      cost += loss === "softmax" || length === 2
        ? costOf(own[wanted])
        : own.reduce((sum, p, k) => sum + costOf(k === wanted ? p : 1 - p), 0) / length;
      score += Number(output.predicted(own) === wanted);
    } else if (output.each === "numbers") {
      cost += (values[i] - wanted) ** 2;
      score += Math.abs(values[i] - wanted);
    } else {
      cost += costOf(wanted ? values[i] : 1 - values[i]);
      score += Number(values[i] >= 0.5 === wanted > 0.5);
    }
  }
  return { loss: cost / Math.max(1, known), score: score / Math.max(1, known) };
}
