/**
 * Adversarial training: each step also sees its images as an attacker would change them.
 *
 * Goodfellow, Shlens and Szegedy 2014, "Explaining and Harnessing Adversarial Examples", §6, by the fast gradient sign
 * method; with several steps Madry et al. 2017, "Towards Deep Learning Models Resistant to Adversarial Attacks", §2.1, by
 * projected gradient ascent from a random start.
 *
 * @module
 */

import type { Scalar, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { Model } from "../../model/model.ts";
import { type Preprocess, preprocess } from "../../model/preprocess.ts";
import { positive, readOptions, whole, within } from "../../options.ts";
import { randomStream } from "../../random.ts";
import type { TF } from "../../runtime/backend.ts";
import { withTape } from "../../runtime/gradients/tape.ts";
import type { Samples } from "./samples.ts";

/** How images are changed against the network while it trains. */
export class AdversarialTraining {
  /**
   * The most by which a value of a pixel changes, in the pixels' own units, 0…255: 8 are 8/255 of the range.
   * @default 8
   */
  @positive()
  epsilon = 8;
  /**
   * The weight of the loss of the images as they are; that of the changed ones has the rest.
   * @default 0.5
   */
  @within(0, 1)
  alpha = 0.5;
  /**
   * How many steps the change takes: one is the fast gradient sign method. Several begin at a random place, and each is
   * 2.5 · epsilon / steps long.
   * @default 1
   */
  @whole(1)
  steps = 1;
}

/**
 * Fills in what is not asked for.
 *
 * @throws {TypeError} if an option is unknown, or what is trained on are no images
 * @throws {RangeError} if a number does not fit
 */
export function adversary(
  options: Partial<AdversarialTraining>,
  { name }: Model,
  { shape }: Pick<Samples, "shape">,
): AdversarialTraining {
  const read = readOptions("adversarialTraining", AdversarialTraining, options);
  if (shape.length === 3) return read;
  throw new TypeError(
    `adversarialTraining changes pixels of 0…255, [height, width, channels]: the model ${JSON.stringify(name)} takes ` +
      `an input of shape [${shape.join(", ")}]. Leave it out.`,
  );
}

/** A pixel's value before the first layer, one number a channel of the network's input. */
function levels(value: number, channels: number, how: Preprocess): Float32Array {
  return preprocess({ data: new Float32Array(channels).fill(value), shape: [1, 1, channels] }, how);
}

/**
 * Images changed so that the loss grows as much as it can within the bounds: no value changes by more than `epsilon`, and
 * none leaves 0…255.
 *
 * @param lossOf the mean loss of a batch, of the network as it trains
 * @param x `[n, h, w, c]`, as they go into the network
 * @param key what the random start is drawn from
 * @returns as `x`; the caller disposes of it
 */
export function adversarial(
  tf: TF,
  lossOf: (x: Tensor) => Scalar,
  x: Tensor,
  { preprocess: how }: Model,
  { epsilon, steps }: AdversarialTraining,
  key: readonly number[],
): Tensor {
  const channels = x.shape.at(-1)!;
  const [black, white] = [0, 255].map((value) => levels(value, channels, how));
  return tf.tidy(() => {
    // A deviation may be negative: then white lies below black.
    const ends = [black, white].map((end) => tf.tensor1d(end));
    const [lowest, highest] = [tf.minimum(ends[0], ends[1]), tf.maximum(ends[0], ends[1])];
    const most = tf.mul(tf.sub(highest, lowest), epsilon / 255);
    const low = tf.maximum(lowest, tf.sub(x, most));
    const high = tf.minimum(highest, tf.add(x, most));
    const within = (value: Tensor) => tf.minimum(tf.maximum(value, low), high);
    const random = randomStream(...key);
    const start = () => Float32Array.from({ length: sizeOf(x.shape) }, () => 2 * random() - 1);
    const length = tf.mul(most, steps === 1 ? 1 : 2.5 / steps);
    let changed = steps === 1 ? tf.clone(x) : within(tf.add(x, tf.mul(most, tf.tensor(start(), x.shape))));
    for (let step = 0; step < steps; step++) {
      const from = changed;
      changed = tf.tidy(() => {
        const gradient = withTape(tf, () => tf.grad((x) => lossOf(x))(from));
        return within(tf.add(from, tf.mul(length, tf.sign(gradient))));
      });
      from.dispose();
    }
    return changed;
  });
}
