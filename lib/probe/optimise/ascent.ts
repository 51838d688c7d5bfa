/**
 * Images that raise the score of targets, step by step: the loop of feature visualization.
 *
 * Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network" (2009); Simonyan et al. 2013, §2;
 * Olah et al. 2017.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { NdArray, type NdArrayLike } from "../../array.ts";
import type { Affine } from "../../data/warp.ts";
import type { CellWindow } from "../../model/cell_window.ts";
import type { Model } from "../../model/model.ts";
import { explained } from "../attribution/gradients.ts";
import { ScoreFunction } from "../attribution/score_function.ts";
import { inputGradient, type ReluRule } from "../gradient.ts";
import { fitting } from "../memory.ts";
import { type ResolvedTarget, sumTarget, termsOf, unitTarget } from "../target.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import type { TF } from "../../runtime/core/types.ts";
import { fourierImages, type FourierOptions, type Parametrization, pixelImages } from "./parametrization.ts";
import { type PixelRegularizers, regularize } from "./pixel_regularizers.ts";
import { preprocessTensor } from "./pixel_gradient.ts";
import { drawTransformation, strengthAt, type Transformations, warped } from "./transformations.ts";

/** One image that is to be made. */
export interface Wanted {
  readonly target: ResolvedTarget;
  /** The part of the image that a target at one cell sees: only that is made, and beyond it the image repeats. Null for all. */
  readonly window?: CellWindow | null;
  /** Which of several images of its target it is: each begins with other noise. */
  readonly index: number;
}

/** How images are made. */
export interface AscentOptions {
  /** `[h, w, c]` */
  readonly sides: readonly number[];
  readonly steps: number;
  readonly seed: number;
  readonly parametrization: "fourier" | "pixels";
  readonly fourier: FourierOptions;
  readonly regularizers: PixelRegularizers;
  /** Null for none. */
  readonly transformations: Transformations | null;
  readonly learningRate: number;
  /** Of the noise that an image begins as. */
  readonly deviation: number;
  /** What all images begin as, `[h, w, c]`, 0…255; absent for noise. */
  readonly start?: NdArrayLike;
  /** How much images of one target are kept apart, with the layer whose maps are compared. */
  readonly diversity: { readonly weight: number; readonly layer: string } | null;
  readonly alpha: boolean;
  readonly batchSize: number;
  /** Numbers and transformations that another program begins with and takes, one of these a step: for tests. */
  readonly given?: { readonly numbers: Float32Array; readonly maps: readonly Affine[] };
  readonly signal?: AbortSignal;
  /** After each step of some images: how many images and steps are done. */
  readonly onStep?: (done: number, images: () => Promise<Made[]>) => void | Promise<void>;
}

/** An image that was made. */
export interface Made {
  /** `[h, w, c]`, 0…255. */
  readonly image: NdArray;
  /** How opaque each pixel is, `[h, w]`, 0…1; only with `alpha`. */
  readonly alpha?: NdArray;
  /** The target's score before each step, of the image as it was transformed for it. */
  readonly scores: readonly number[];
}

/** How the averages of Adam fade, and what its denominator is at least (Kingma and Ba 2015; the last as small, for gradients are). */
const ADAM = { first: 0.9, second: 0.999, least: 1e-10 };

/** One step of Adam uphill. */
function adam(tf: TF, step: number, rate: number, state: Tensor[], gradient: Tensor): Tensor[] {
  const [numbers, first, second] = state;
  return tf.tidy(() => {
    const mean = tf.add(tf.mul(first, ADAM.first), tf.mul(gradient, 1 - ADAM.first));
    const square = tf.add(tf.mul(second, ADAM.second), tf.mul(tf.square(gradient), 1 - ADAM.second));
    const size = rate * Math.sqrt(1 - ADAM.second ** (step + 1)) / (1 - ADAM.first ** (step + 1));
    const least = ADAM.least * Math.sqrt(1 - ADAM.second ** (step + 1));
    return [tf.add(numbers, tf.mul(tf.div(mean, tf.add(tf.sqrt(square), least)), size)), mean, square];
  });
}

/** How alike each image's maps are to those of the others, by their Gram matrices, `[n]`: the mean of the cosines. */
export function likeness(tf: TF, maps: Tensor): Tensor {
  const n = maps.shape[0];
  const channels = maps.shape.at(-1)!;
  const flat = tf.reshape(maps, [n, -1, channels]) as never;
  const grams = tf.reshape(tf.matMul(flat, flat, true), [n, channels * channels]);
  const unit = tf.div(grams, tf.sqrt(tf.add(tf.sum(tf.square(grams), 1, true), 1e-12)));
  const cosines = tf.matMul(unit as never, unit as never, false, true);
  return tf.div(tf.sub(tf.sum(cosines, 1), 1), Math.max(1, n - 1));
}

/** The score of images of some targets as a function of their pixels. */
class Objective {
  readonly scores: ScoreFunction;
  readonly #maps: number | null;

  constructor(
    readonly tf: TF,
    readonly model: Model,
    readonly targets: readonly ResolvedTarget[],
    readonly options: AscentOptions,
  ) {
    const { diversity } = options;
    // A term of weight 0 brings the maps that are compared among the outputs.
    this.targets = diversity
      ? targets.map((target) =>
        sumTarget([...termsOf(target), { weight: 0, target: { ...unitTarget(diversity.layer, 0), over: "mean" } }])
      )
      : targets;
    this.scores = new ScoreFunction(tf, model, this.targets[0], true);
    this.#maps = diversity ? this.scores.outputs.indexOf(model.entry(diversity.layer).use) : null;
    this.scores.fold();
  }

  /** Pixels as the network takes them. */
  #input(pixels: Tensor): Tensor {
    const { tf } = this;
    const x = preprocessTensor(tf, pixels, this.model.reading);
    return this.model.inputShape.length === 2 ? tf.squeeze(x, [-1]) : x;
  }

  /** The targets' scores, and what is made greater, of images `[n, h, w, c]` that are given with how opaque they are. */
  of(pixels: Tensor, scale: number): { scores: Tensor; value: Tensor } {
    const { tf, options: { diversity } } = this;
    const outputs = this.scores.run({ x: this.#input(pixels) });
    const scores = this.scores.score(outputs, this.targets);
    if (!diversity || this.targets.length < 2) return { scores, value: scores };
    const alike = likeness(tf, outputs[this.#maps!]);
    return { scores, value: tf.sub(scores, tf.mul(alike, diversity.weight * scale)) };
  }

  dispose() {
    this.scores.dispose();
  }
}

/** What is behind an image that is transparent in places: soft noise, another at each step. */
function backdrop(tf: TF, behind: Parametrization, n: number, key: readonly number[]): Tensor {
  return behind.pixels(tf.tensor(behind.draw(key, 0.5), [1, ...behind.shape])).tile([n, 1, 1, 1]);
}

/** Makes images of one batch: of targets that share a score function. */
async function makeBatch(tf: TF, model: Model, wanted: readonly Wanted[], options: AscentOptions): Promise<Made[]> {
  const { steps, seed, start, transformations, alpha, signal } = options;
  const sides = wanted[0].window?.sides ?? options.sides;
  const [height, width, channels] = sides;
  const n = wanted.length;
  const isFourier = options.parametrization === "fourier";
  // A pixel is a sum of as many waves as the image has pixels: those of a part have to go further.
  const rate = options.learningRate * Math.sqrt(options.sides[0] * options.sides[1] / (height * width));
  const own = alpha ? [height, width, channels + 1] : sides;
  const images = isFourier ? fourierImages(tf, own, options.fourier) : pixelImages(tf, own);
  const behind = alpha ? fourierImages(tf, sides, options.fourier) : null;
  const objective = new Objective(tf, model, wanted.map(targetIn), options);
  const scores = wanted.map((): number[] => []);
  const drawn = wanted.map(({ index }) => {
    if (options.given) return options.given.numbers;
    const noise = images.draw([seed, index], options.deviation);
    if (!start) return noise;
    const numbers = images.numbersOf(start);
    // The same photo with a little noise of its own, so that several images differ.
    return index === 0 ? numbers : numbers.map((value, i) => value + noise[i]);
  });
  const first = new Float32Array(n * drawn[0].length);
  drawn.forEach((numbers, i) => first.set(numbers, i * numbers.length));
  let state = tf.tidy(() => {
    const numbers = tf.tensor(first, [n, ...images.shape]);
    return [numbers, tf.zerosLike(numbers), tf.zerosLike(numbers)] as Tensor[];
  });
  const made = async () => {
    const parts = await finished(tf, images, state[0], { sides, alpha, scores });
    return parts.map((one, i) => repeated(one, wanted[i].window, options.sides));
  };
  let relu: ReluRule = "plain";
  try {
    for (let step = 0; step < steps && !signal?.aborted; step++) {
      const strength = transformations ? strengthAt(transformations, step, steps) : 0;
      const map = options.given?.maps[step] ??
        (transformations && strength > 0 ? drawTransformation(transformations, strength, seed, step, 1) : null);
      const scale = Math.max(1e-6, ...scores.map((own) => Math.abs(own.at(-1) ?? 0)));
      let seen: Tensor | undefined;
      const { value, gradient } = inputGradient(
        tf,
        (numbers) => {
          const all = images.pixels(numbers);
          let pixels = all;
          let opaque: Tensor | undefined;
          if (behind) {
            opaque = tf.div(tf.slice(all, [0, 0, 0, channels], [n, height, width, 1]), 255);
            const colors = tf.slice(all, [0, 0, 0, 0], [n, height, width, channels]);
            const back = backdrop(tf, behind, n, [seed, step, 2]);
            pixels = tf.add(tf.mul(colors, opaque), tf.mul(back, tf.sub(1, opaque)));
          }
          if (map) pixels = warped(tf, pixels, map);
          const { scores, value } = objective.of(pixels, scale);
          seen = tf.keep(scores.clone());
          // What is opaque costs: the score counts less, as far as the image is (Lucid's alpha).
          return opaque ? tf.mul(value, tf.sub(1, tf.mean(opaque, [1, 2, 3]))) : value;
        },
        state[0],
        { relu },
      );
      value.dispose();
      const slope = tf.tidy(() => tf.max(tf.abs(tf.reshape(gradient, [n, -1])), 1));
      try {
        const [found, largest] = await Promise.all([seen!.data(), slope.data()]);
        found.forEach((score, i) => scores[i].push(score));
        relu = largest.some((value) => value === 0) ? "redirected" : "plain";
        const next = isFourier
          ? adam(tf, step, rate, state, gradient)
          : await ascendPixels(tf, state, gradient, step, own, options);
        tf.dispose(state);
        state = next;
      } finally {
        tf.dispose([seen!, slope, gradient]);
      }
      await options.onStep?.(step + 1, made);
    }
    return await made();
  } catch (error) {
    throw explained(error, model);
  } finally {
    tf.dispose(state);
    images.dispose();
    behind?.dispose();
    objective.dispose();
  }
}

/** A step of gradient ascent on pixels, of a gradient that is scaled to a root mean square of 1; then the regularisers. */
async function ascendPixels(
  tf: TF,
  [numbers, ...rest]: readonly Tensor[],
  gradient: Tensor,
  step: number,
  sides: readonly number[],
  { learningRate, regularizers }: AscentOptions,
): Promise<Tensor[]> {
  const axes = numbers.shape.map((_, axis) => axis).slice(1);
  const raised = tf.tidy(() => {
    const size = tf.sqrt(tf.mean(tf.square(gradient), axes, true));
    return tf.add(numbers, tf.mul(tf.div(gradient, tf.add(size, ADAM.least)), learningRate));
  });
  try {
    const [values, slopes] = await Promise.all([raised.data(), gradient.data()]) as Float32Array[];
    regularize(values, slopes, step, sides, regularizers);
    return [tf.tensor(values, numbers.shape), ...rest.map((tensor) => tensor.clone())];
  } finally {
    raised.dispose();
  }
}

/** The images as they are now. */
async function finished(
  tf: TF,
  images: Parametrization,
  numbers: Tensor,
  { sides: [height, width, channels], alpha, scores }: Pick<AscentOptions, "sides" | "alpha"> & { scores: number[][] },
): Promise<Made[]> {
  const pixels = tf.tidy(() => tf.clipByValue(images.pixels(numbers), 0, 255));
  const values = await pixels.data() as Float32Array;
  pixels.dispose();
  const deep = alpha ? channels + 1 : channels;
  const count = height * width;
  return scores.map((own, i) => {
    const at = (pixel: number, c: number) => values[(i * count + pixel) * deep + c];
    const image = new Float32Array(count * channels);
    for (let p = 0; p < count; p++) for (let c = 0; c < channels; c++) image[p * channels + c] = at(p, c);
    const opaque = Float32Array.from({ length: alpha ? count : 0 }, (_, p) => at(p, channels) / 255);
    return {
      image: new NdArray(image, [height, width, channels]),
      ...alpha && { alpha: new NdArray(opaque, [height, width]) },
      scores: [...own],
    };
  });
}

/** A target as it is in the part of the image that it sees. */
const targetIn = ({ target, window }: Wanted): ResolvedTarget =>
  window ? { ...target, cell: window.cell } as ResolvedTarget : target;

/** An image of a part of its size, again and again. */
function repeated(made: Made, window: CellWindow | null | undefined, [height, width]: readonly number[]): Made {
  if (!window) return made;
  const { origin: [top, left], sides: [rows, columns, channels] } = window;
  const image = new Float32Array(height * width * channels);
  const within = (at: number, length: number) => (at % length + length) % length;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (within(y - top, rows) * columns + within(x - left, columns)) * channels;
      image.set(made.image.data.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  return { ...made, image: new NdArray(image, [height, width, channels]) };
}

/**
 * Makes images that raise the score of their targets. Those whose scores are read at one place of the network run together.
 * With a signal that is aborted it returns what there is; images that were not begun are missing.
 *
 * @throws {TypeError} if the network cannot be differentiated
 * @throws {MemoryError} if not even one image fits, or with `diversity` not those of one target
 */
export async function ascend(
  model: Model,
  wanted: readonly Wanted[],
  options: AscentOptions,
): Promise<(Made | null)[]> {
  const tf = await ensureBackend();
  const made: (Made | null)[] = wanted.map(() => null);
  const places = wanted.map((_, i) => i);
  const groups = Map.groupBy(
    places,
    (i) =>
      (options.diversity ? `${wanted[i].target.text} ` : "") + ScoreFunction.key(wanted[i].target) +
      kindsOf(wanted[i].target) + (wanted[i].window?.sides ?? ""),
  );
  let done = 0;
  for (const group of groups.values()) {
    const plan = new ScoreFunction(tf, model, wanted[group[0]].target, false).plan;
    const size = options.diversity ? group.length : fitting(tf, plan, options.batchSize, { gradient: true });
    for (let from = 0; from < group.length && !options.signal?.aborted; from += size) {
      const some = group.slice(from, from + size);
      const before = done;
      const batch = await makeBatch(tf, model, some.map((i) => wanted[i]), {
        ...options,
        onStep: (step, images) => options.onStep?.(before + step * some.length, images),
      });
      batch.forEach((one, i) => made[some[i]] = one);
      done += some.length * options.steps;
    }
  }
  return made;
}

/** Targets of one kind have one way to a score. */
const kindsOf = (target: ResolvedTarget) =>
  termsOf(target).map(({ target }) => ` ${target.kind}${"cell" in target && target.cell ? " at a cell" : ""}`).join();
