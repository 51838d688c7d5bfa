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
import { ScoreFunction } from "../attribution/score_function.ts";
import { inputGradient, type ReluRule } from "../gradient.ts";
import { fitting } from "../memory.ts";
import { type ResolvedTarget, sumTarget, termsOf, unitTarget } from "../target.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import type { TF } from "../../runtime/core/types.ts";
import { fourierImages, type FourierOptions, type Parametrization, pixelImages } from "./parametrization.ts";
import { type PixelRegularizers, regularize } from "./pixel_regularizers.ts";
import { optimise, type Slope } from "./optimise.ts";
import { PixelPass } from "./pixel_pass.ts";
import { laidBack, laidOver } from "./transparency.ts";
import { drawTransformation, strengthAt, type Transformations, warped, warpedBack } from "./transformations.ts";

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

/** Of a gradient's root mean square at least so much. */
const LEAST = 1e-10;

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

/** The scores of images of some targets, with the gradient to their pixels. It must be disposed of. */
class Objective {
  readonly pass: PixelPass;
  readonly #targets: readonly ResolvedTarget[];
  readonly #scores: ScoreFunction;
  /** Of the outputs that which is compared, with diversity. */
  readonly #maps: number | null;
  readonly #varies: boolean;

  constructor(readonly tf: TF, model: Model, targets: readonly ResolvedTarget[], readonly options: AscentOptions) {
    const { diversity } = options;
    // A term of weight 0 brings the maps that are compared among the outputs.
    this.#targets = diversity
      ? targets.map((target) =>
        sumTarget([...termsOf(target), { weight: 0, target: { ...unitTarget(diversity.layer, 0), over: "mean" } }])
      )
      : targets;
    this.#scores = new ScoreFunction(tf, model, this.#targets[0], true);
    this.#maps = diversity && targets.length > 1
      ? this.#scores.outputs.indexOf(model.entry(diversity.layer).use)
      : null;
    this.#varies = this.#maps !== null ||
      targets.some((target) => termsOf(target).some(({ target }) => target.kind === "function"));
    this.pass = new PixelPass(tf, model, this.#scores.plan, targets.length);
  }

  /**
   * The scores of images, and the gradient of what is made greater.
   *
   * @param pixels of all images, 0…255, `[n, h, w, c]`
   * @param scale of the scores: likeness counts in shares of it
   */
  async slope(pixels: Float32Array, shape: readonly number[], relu: ReluRule, scale: number): Promise<Slope> {
    const { tf, pass } = this;
    const compute = ([x]: readonly Tensor[]) => this.#compute(x, relu, scale);
    const made: Tensor[] = [tf.tensor(pixels, [...shape])];
    try {
      made.push(...this.#varies ? compute(made) : pass.repeat(relu, made, compute));
      const [values, gradient] = await Promise.all(made.slice(1).map((one) => one.data())) as Float32Array[];
      return { values, gradient };
    } finally {
      tf.dispose(made);
    }
  }

  #compute(pixels: Tensor, relu: ReluRule, scale: number): Tensor[] {
    const { tf, options: { diversity } } = this;
    let scores: Tensor | undefined;
    const { value, gradient } = inputGradient(
      tf,
      (x) => {
        const outputs = this.pass.outputs(x);
        const own = this.#scores.score(outputs, this.#targets);
        if (this.#maps === null) return own;
        scores = tf.keep(own.clone());
        return tf.sub(own, tf.mul(likeness(tf, outputs[this.#maps]), diversity!.weight * scale));
      },
      pixels,
      { relu },
    );
    if (!scores) return [value, gradient];
    value.dispose();
    return [scores, gradient];
  }
}

/** The images of one batch as the numbers that are optimised. It must be disposed of. */
class Pictures {
  readonly images: Parametrization;
  /** `[n, h, w, c]`, without how opaque pixels are. */
  readonly shape: readonly number[];
  readonly #behind: Parametrization | null;
  readonly #deep: number;

  constructor(readonly tf: TF, readonly pass: PixelPass, n: number, sides: readonly number[], options: AscentOptions) {
    const { alpha, parametrization, fourier } = options;
    this.shape = [n, ...sides];
    this.#deep = sides[2] + (alpha ? 1 : 0);
    const own = [sides[0], sides[1], this.#deep];
    this.images = parametrization === "fourier" ? fourierImages(tf, own, fourier) : pixelImages(tf, own);
    this.#behind = alpha ? fourierImages(tf, sides, fourier) : null;
  }

  /** The pixels of numbers, with how opaque they are behind the colours, if they can be transparent. */
  async pixels(numbers: Float32Array): Promise<Float32Array> {
    const shape = [this.shape[0], ...this.images.shape];
    return await this.#read("pixels", [[numbers, shape]], ([x]) => this.images.pixels(x));
  }

  /** The gradient to the numbers. */
  async back(pixels: Float32Array, gradient: Float32Array): Promise<Float32Array> {
    const shape = [...this.shape.slice(0, 3), this.#deep];
    return await this.#read("back", [[pixels, shape], [gradient, shape]], ([x, dy]) => this.images.back(x, dy));
  }

  /** What is behind images that are transparent in places: soft noise, another at each step. */
  async backdrop(key: readonly number[]): Promise<Float32Array | null> {
    const behind = this.#behind;
    if (!behind) return null;
    return await this.#read("backdrop", [[behind.draw(key, 0.5), [1, ...behind.shape]]], ([x]) => behind.pixels(x));
  }

  async #read(
    key: string,
    given: readonly (readonly [Float32Array, readonly number[]])[],
    compute: (inputs: readonly Tensor[]) => Tensor,
  ): Promise<Float32Array> {
    const { tf } = this;
    const made = given.map(([values, shape]): Tensor => tf.tensor(values, [...shape]));
    try {
      made.push(...this.pass.repeat(key, made, (inputs) => [tf.tidy(() => compute(inputs))]));
      return await made.at(-1)!.data() as Float32Array;
    } finally {
      tf.dispose(made);
    }
  }

  dispose(): void {
    this.images.dispose();
    this.#behind?.dispose();
  }
}

/** Scales each image's gradient to a root mean square of 1. */
function leveled(gradient: Float32Array, n: number): Float32Array {
  const each = gradient.length / n;
  for (let i = 0; i < n; i++) {
    const own = gradient.subarray(i * each, (i + 1) * each);
    const size = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0) / each) + LEAST;
    for (let k = 0; k < each; k++) own[k] /= size;
  }
  return gradient;
}

/** Whether no pixel of an image changes its score. */
const isFlat = (gradient: Float32Array, n: number) =>
  Array.from({ length: n }, (_, i) => gradient.subarray(i * gradient.length / n, (i + 1) * gradient.length / n)).some(
    (own) => own.every((value) => value === 0),
  );

/** The numbers that images begin as. */
function begun(images: Parametrization, wanted: readonly Wanted[], options: AscentOptions): Float32Array {
  const { seed, start, deviation, given } = options;
  const from = start && images.numbersOf(start);
  const drawn = wanted.map(({ index }) => {
    if (given) return given.numbers;
    if (from && index === 0) return from;
    const noise = images.draw([seed, index], deviation);
    // The same photo with a little noise of its own, so that several images differ.
    return from ? from.map((value, i) => value + noise[i]) : noise;
  });
  const first = new Float32Array(wanted.length * drawn[0].length);
  drawn.forEach((numbers, i) => first.set(numbers, i * numbers.length));
  return first;
}

/** Makes images of one batch: of targets that share a score function. */
async function makeBatch(
  tf: TF,
  model: Model,
  wanted: readonly Wanted[],
  options: AscentOptions,
): Promise<(Made | null)[]> {
  const { steps, seed, transformations, alpha, signal, regularizers } = options;
  const sides = wanted[0].window?.sides ?? options.sides;
  const [height, width, channels] = sides;
  const n = wanted.length;
  const isFourier = options.parametrization === "fourier";
  // A pixel is a sum of as many waves as the image has pixels: those of a part have to go further.
  const further = isFourier ? Math.sqrt(options.sides[0] * options.sides[1] / (height * width)) : 1;
  const objective = new Objective(tf, model, wanted.map(targetIn), options);
  const pictures = new Pictures(tf, objective.pass, n, sides, options);
  const scores = wanted.map((): number[] => []);
  const made = async (numbers: Float32Array) => {
    const parts = finished(await pictures.pixels(numbers), { sides, alpha, scores });
    return parts.map((one, i) => repeated(one, wanted[i].window, options.sides));
  };
  let relu: ReluRule = "plain";
  let last: Float32Array = new Float32Array();
  const differentiate = async (numbers: Float32Array, step: number): Promise<Slope> => {
    const strength = transformations ? strengthAt(transformations, step, steps) : 0;
    const map = options.given?.maps[step] ??
      (transformations && strength > 0 ? drawTransformation(transformations, strength, seed, step, 1) : null);
    const scale = Math.max(1e-6, ...scores.map((own) => Math.abs(own.at(-1) ?? 0)));
    const pixels = await pictures.pixels(numbers);
    const behind = await pictures.backdrop([seed, step, 2]);
    const seen = behind ? laidOver(pixels, behind, channels) : pixels;
    const { values, gradient } = await objective.slope(
      map ? warped(seen, pictures.shape, map) : seen,
      pictures.shape,
      relu,
      scale,
    );
    relu = isFlat(gradient, n) ? "redirected" : "plain";
    const slope = { values, gradient: map ? warpedBack(gradient, pictures.shape, map) : gradient };
    const back = await pictures.back(pixels, behind ? laidBack(pixels, behind, slope, channels) : slope.gradient);
    return { values, gradient: last = isFourier ? back : leveled(back, n) };
  };
  try {
    const { numbers } = await optimise(begun(pictures.images, wanted, options), differentiate, {
      steps,
      ascend: true,
      ...isFourier ? {} : { rule: "momentum", momentum: 0 },
      rate: options.learningRate * further,
      signal,
      async onStep({ step, values, numbers }) {
        values.forEach((score, i) => scores[i].push(score));
        if (!isFourier) {
          regularize(numbers, last, step - 1, [height, width, alpha ? channels + 1 : channels], regularizers);
        }
        await options.onStep?.(step, () => made(numbers));
      },
    });
    return await made(numbers);
  } catch (error) {
    if (signal?.aborted && scores[0].length === 0) return wanted.map(() => null);
    throw objective.pass.explained(error);
  } finally {
    pictures.dispose();
    objective.pass.dispose();
  }
}

/** Pixels as images. */
function finished(
  values: Float32Array,
  { sides: [height, width, channels], alpha, scores }: Pick<AscentOptions, "sides" | "alpha"> & { scores: number[][] },
): Made[] {
  const deep = alpha ? channels + 1 : channels;
  const count = height * width;
  return scores.map((own, i) => {
    const at = (pixel: number, c: number) => Math.min(255, Math.max(0, values[(i * count + pixel) * deep + c]));
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
