/**
 * Images whose code at a layer is that of another image.
 *
 * Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", eq. 1 and §3.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { extent, type NdArrayLike, sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { normalStream, randomStream } from "../../random.ts";
import { annealed, type Moment, optimise, type Slope, type StepRule } from "./optimise.ts";
import { PixelGradient } from "./pixel_gradient.ts";
import { addAlphaNorm, addTotalVariation, MIDDLE } from "./priors.ts";

/** What is asked of pictures besides their code. */
export interface PriorWeights {
  /** The power of the norm about the middle grey. */
  readonly alpha: number;
  /** The power of the total variation. */
  readonly beta: number;
  /** The weight of the norm, beside that of the code's error, which is 1. */
  readonly norm: number;
  /** The weight of the total variation. */
  readonly variation: number;
}

/** The part of a code that counts: some channels, some cells. */
export interface SubCode {
  /** @default all */
  readonly channels?: readonly number[];
  /** From the first cell to before the last, of each axis: `[y0, x0, y1, x1]`. @default all */
  readonly region?: readonly number[];
}

/** How codes are inverted. */
export interface InversionOptions extends SubCode {
  readonly layer: string;
  readonly steps: number;
  readonly priors: PriorWeights;
  /** The image is shifted by up to so many pixels before each step, another way each time; by less towards the end. */
  readonly jitter: number;
  /** How far before each step, `[steps][2]`, down and to the right. @default drawn from the first seed */
  readonly shifts?: readonly (readonly number[])[];
  readonly rule: StepRule;
  readonly momentum: number;
  /** The longest step of a pixel, at the beginning; it is annealed to 0. */
  readonly rate: number;
  readonly batchSize: number;
  /** One picture for each. */
  readonly seeds: readonly number[];
  /** Where all begin, instead of noise: as large as the view. */
  readonly start?: NdArrayLike;
  readonly signal?: AbortSignal;
  /** Is given the pictures as they are after a step, one behind the other; see {@linkcode Moment}. */
  readonly onStep?: (moment: Moment) => void | Promise<void>;
}

/** A picture for each seed. */
export interface Inverted {
  /** Each of the view's shape, in its own range. */
  readonly images: Float32Array[];
  /** Of each picture the normalised error of the code before each step. */
  readonly losses: number[][];
  /** Of each picture the normalised error at its end. */
  readonly errors: number[];
  readonly aborted?: unknown;
}

/** Noise of this deviation is what is begun with. */
const NOISE = 20;

/** 1 where a code counts, 0 elsewhere, `[1, …shape]`; null where all of it counts. */
export function maskOf(shape: readonly number[], { channels, region }: SubCode): Float32Array | null {
  if (!channels && !region) return null;
  const count = shape.at(-1)!;
  const sides = shape.slice(0, -1);
  const mask = new Float32Array(sizeOf(shape));
  const kept = new Set(channels ?? Array.from({ length: count }, (_, c) => c));
  for (let cell = 0; cell < mask.length / count; cell++) {
    let rest = cell;
    let inside = true;
    for (let axis = sides.length - 1; axis >= 0; axis--) {
      const at = rest % sides[axis];
      rest = Math.floor(rest / sides[axis]);
      if (region && (at < region[axis] || at >= region[axis + sides.length])) inside = false;
    }
    if (inside) { for (const c of kept) mask[cell * count + c] = 1; }
  }
  return mask;
}

/**
 * Shifts images by whole pixels.
 *
 * @param shape `[n, …sides, c]`
 * @param by how far along each side
 * @param into gets what is inside afterwards; what comes in is left as it is there
 */
export function shift(from: Float32Array, shape: readonly number[], by: readonly number[], into: Float32Array): void {
  const channels = shape.at(-1)!;
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const row = shape.length - 2;
  const [along, side] = [by.at(-1)!, shape[row]];
  const length = Math.max(0, side - Math.abs(along)) * channels;
  const walk = (axis: number, source: number, target: number) => {
    if (axis === row) {
      const start = source + Math.max(0, -along) * channels;
      into.set(from.subarray(start, start + length), target + Math.max(0, along) * channels);
      return;
    }
    const far = axis === 0 ? 0 : by[axis - 1];
    for (let at = Math.max(0, far); at < shape[axis] + Math.min(0, far); at++) {
      walk(axis + 1, source + (at - far) * strides[axis], target + at * strides[axis]);
    }
  };
  walk(0, 0, 0);
}

/**
 * The normalised error of codes and its gradient, made ready once for an image.
 *
 * @throws {RangeError} if the code is zero everywhere
 */
export async function codeError(
  model: Model,
  view: InputArray,
  { layer, batchSize, seeds, ...sub }: Pick<InversionOptions, "layer" | "batchSize" | "seeds"> & SubCode,
): Promise<{ gradients: PixelGradient; dispose(): void }> {
  const kept: Tensor[] = [];
  let code: Tensor, mask: Tensor | null = null, scale = 1;
  const options = { batchSize: Math.min(batchSize, seeds.length), inputs: model.input(view) };
  const gradients = await PixelGradient.of(model, {
    layers: [layer],
    score([output]) {
      const { tf } = gradients;
      const apart = tf.sub(output, code);
      const square = tf.square(mask ? tf.mul(apart, mask) : apart);
      return tf.mul(tf.sum(tf.reshape(square, [output.shape[0], -1]), 1), scale);
    },
  }, options);
  const { tf } = gradients;
  const dispose = () => {
    gradients.dispose();
    tf.dispose(kept);
  };
  try {
    const pixels = tf.tensor(view.data, [1, ...view.shape]);
    kept.push(pixels);
    [code] = gradients.outputs(pixels);
    kept.push(code);
    const numbers = maskOf(code.shape.slice(1), sub);
    if (numbers) kept.push(mask = tf.tensor(numbers, code.shape));
    const norm = tf.tidy(() => tf.sum(tf.square(mask ? tf.mul(code, mask) : code)));
    kept.push(norm);
    const [size] = await norm.data();
    if (!(size > 0)) {
      throw new RangeError(
        `The code of the image at ${JSON.stringify(layer)}${numbers ? ", the part that is asked for," : ""} is ` +
          `${
            size === 0 ? "0 everywhere" : size
          }: there is nothing to invert. Choose another layer, other channels or cells.`,
      );
    }
    scale = 1 / size;
    return { gradients, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** What the values of a view may be: 0…255 of pictures; of other channels a little more than those of the image. */
export function rangeOf({ data, shape }: NdArrayLike): readonly [low: number, high: number] {
  const [low, high] = extent(data);
  const isPicture = shape.length === 2 || shape.at(-1) === 1 || shape.at(-1) === 3;
  if (isPicture && low >= 0 && high <= 255) return [0, 255];
  const edge = 0.1 * (high - low) || 1;
  return [low - edge, high + edge];
}

/** Images whose code at a layer is that of a view, one for each seed. */
export async function invertCode(model: Model, view: InputArray, options: InversionOptions): Promise<Inverted> {
  const { seeds, priors, jitter, rate, steps, rule, momentum, signal, onStep } = options;
  const { gradients, dispose } = await codeError(model, view, options);
  const { tf } = gradients;
  // What is optimised has an axis for channels and values of 0…255, whatever the network reads.
  const shape = view.shape.length === 2 ? [...view.shape, 1] : [...view.shape];
  const [low, high] = rangeOf(view);
  const per = (high - low) / 255;
  const isPlain = low === 0 && high === 255;
  const each = sizeOf(shape);
  const all = [seeds.length, ...shape];
  const [shifted, gradient] = [new Float32Array(seeds.length * each), new Float32Array(seeds.length * each)];
  const random = randomStream(seeds[0], 2);
  // Shifts are annealed as steps are: the last steps are made where the picture stands.
  const drawn = (step: number) => {
    const most = Math.round(jitter * annealed(step, steps));
    return shape.slice(0, -1).map(() => most > 0 ? Math.floor(random() * (2 * most + 1)) - most : 0);
  };
  /** Pictures as the view has its values. */
  const seen = (numbers: Float32Array) => isPlain ? numbers : numbers.map((value) => value * per + low);
  const differentiate = async (numbers: Float32Array, step: number): Promise<Slope> => {
    const by = options.shifts?.[step] ?? drawn(step);
    const stands = by.every((one) => one === 0);
    if (!stands) shift(numbers, all, by, shifted.fill(MIDDLE));
    const made: Tensor[] = [tf.tensor(seen(stands ? numbers : shifted), [seeds.length, ...view.shape])];
    try {
      const code = gradients.valueAndGradient(made[0]);
      made.push(code.value, code.gradient);
      const [values, slopes] = await Promise.all([code.value.data(), code.gradient.data()]) as Float32Array[];
      if (stands) gradient.set(slopes);
      else shift(slopes, all, by.map((one) => -one), gradient.fill(0));
      if (per !== 1) { for (let i = 0; i < gradient.length; i++) gradient[i] *= per; }
      const pictures = { data: numbers, shape: all };
      if (priors.norm > 0) addAlphaNorm(pictures, priors.alpha, gradient, priors.norm);
      if (priors.variation > 0) addTotalVariation(pictures, priors.beta, gradient, priors.variation);
      return { values, gradient };
    } finally {
      tf.dispose(made);
    }
  };
  const made: Tensor[] = [];
  try {
    const { numbers, values, aborted } = await optimise(begun(options, { each, low, per }), differentiate, {
      steps,
      rule,
      momentum,
      // Gradients are those of means over all values: without Adam's division they are smaller the larger an image is.
      rate: (step) => rate * annealed(step, steps) * (rule === "momentum" ? each : 1),
      range: [0, 255],
      signal,
      onStep,
    });
    const pixels = seen(numbers);
    made.push(tf.tensor(pixels, [seeds.length, ...view.shape]));
    made.push(gradients.scores(made[0]));
    const errors = await made[1].data();
    return {
      images: seeds.map((_, i) => pixels.slice(i * each, (i + 1) * each)),
      losses: seeds.map((_, i) => [...values.map((value) => value[i]), errors[i]]),
      errors: [...errors],
      ...aborted !== undefined && { aborted },
    };
  } finally {
    tf.dispose(made);
    dispose();
  }
}

/** What is begun with: noise of each seed, or the image that is given for it. */
function begun(
  { seeds, start }: InversionOptions,
  { each, low, per }: { each: number; low: number; per: number },
): Float32Array {
  const first = new Float32Array(each * seeds.length);
  seeds.forEach((seed, i) => {
    const noise = normalStream(seed, 1);
    for (let k = 0; k < each; k++) {
      first[i * each + k] = start ? (start.data[k] - low) / per : MIDDLE + NOISE * noise();
    }
  });
  return first;
}
