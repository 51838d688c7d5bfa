/**
 * What all attribution methods share: images and targets paired up, and gradients and scores of many samples in batches.
 *
 * What is differentiated is the target's score: of a class the number before the last softmax or sigmoid (Simonyan et
 * al. 2013, §3: the unnormalised class score; Captum's users feed networks that end there), of a unit its activation, of
 * a function what it returns. It is differentiated to the network's input, after the model's own preprocessing.
 *
 * @module
 */

import type { SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, ndarray, sizeOf } from "../../array.ts";
import { type ImageLike, toImage } from "../../data/image.ts";
import { checkWhole } from "../../errors.ts";
import { type Model, outputOf } from "../../model/model.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { memoryLeft } from "../../runtime/core/memory.ts";
import { FOLD_FROM } from "../forward.ts";
import { inputGradient, type ReluRule } from "../gradient.ts";
import { along, type Head, headOf, probabilityOf } from "./head.ts";
import { execute, foldAll, type Folded, makePlan, type Plan, type Step } from "../plan.ts";
import {
  type ClassTarget,
  predictedClass,
  type ResolvedTarget,
  resolveTarget,
  type Target,
  type UnitTarget,
  unitTarget,
} from "../target.ts";

/** How long work runs: the same for every attribution method. */
export interface RunOptions {
  /**
   * How many samples run at once, at most: fewer where memory does not hold them.
   * @default 8
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of samples done. */
  onProgress?: (done: number, total: number) => void;
}

/** The names of {@linkcode RunOptions}. */
export const RUN_OPTIONS = { batchSize: true, signal: true, onProgress: true } satisfies Record<keyof RunOptions, true>;

/** One image with one target. */
export interface Subject {
  /** The image's name. */
  readonly name: string;
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly view: NdArray;
  /** What goes into the network, `[h, w, c]`, channels in its own order. */
  readonly input: NdArray;
  readonly target: ResolvedTarget;
  /** What the model gives the class, 0…1; absent for other targets. */
  readonly probability?: number;
}

/** One input to run, with the target whose score is wanted. */
export interface Sample {
  readonly input: NdArray;
  readonly target: ResolvedTarget;
}

const BYTES_PER_FLOAT = 4;

/** On the way back as much again is held as was on the way there, and half of it for what operations take inside. */
const GRADIENT_ROOM = 1.5;

/** The way to the score of one kind of target. */
export class Route {
  readonly plan: Plan;
  /** What the plan leads to. */
  readonly output: SymbolicTensor;
  readonly folded = new Map<Step, Folded>();
  readonly #head: Head | null;

  constructor(readonly tf: TF, model: Model, target: ResolvedTarget, fold: boolean) {
    const { network } = model;
    this.#head = target.kind === "class" ? headOf(network) : null;
    this.output = this.#head?.tap ??
      (target.kind === "unit" ? outputOf(network, network.getLayer(target.layer)) : network.outputs[0]);
    this.plan = makePlan(network, [this.output], { fold, sums: true });
  }

  /** Targets of one key share a route. */
  static key(target: ResolvedTarget): string {
    return target.kind === "unit" ? `unit of ${target.layer}` : target.kind;
  }

  fold(): void {
    foldAll(this.tf, this.plan, this.folded);
  }

  dispose(): void {
    for (const { kernel, bias } of this.folded.values()) this.tf.dispose([kernel, bias]);
  }

  /** The tensor in which the targets are found, of a batch. */
  tap(x: Tensor): Tensor {
    return along(this.tf, this.plan, new Map([[this.plan.input, x]]), this.folded)[0];
  }

  /** The scores of the classes, `[n, classes]`. */
  classScores(tap: Tensor): Tensor {
    return this.#head!.scores(this.tf, tap);
  }

  get activation(): Head["activation"] {
    return this.#head!.activation;
  }

  /** The score of each item's target, `[n]`. */
  score(tap: Tensor, targets: readonly ResolvedTarget[]): Tensor {
    const { tf } = this;
    if (targets[0].kind === "function") return tf.concat(targets.map((target, i) => this.#apply(target, tap, i)));
    const whole = this.#head ? this.classScores(tap) : tap;
    // One sigmoid unit tells two classes apart: the score of class 0 is minus that of class 1.
    const all = this.#head && whole.shape[1] === 1 ? tf.concat([tf.neg(whole), whole], 1) : whole;
    const flat = tf.reshape(all, [targets.length, -1]);
    const [, , width = 1, channels = 0] = all.shape;
    const places = targets.map((target) => {
      if (target.kind === "class") return target.index;
      const { channel, cell: [y, x] = [0, 0] } = target as Extract<ResolvedTarget, { kind: "unit" }>;
      return (y * width + x) * channels + channel;
    });
    const one = tf.oneHot(tf.tensor1d(places, "int32"), flat.shape[1]!);
    return tf.sum(tf.mul(flat, tf.cast(one, "float32")), 1);
  }

  #apply(target: ResolvedTarget, outputs: Tensor, index: number): Tensor {
    const { tf } = this;
    const own = tf.slice(outputs, [index], [1]);
    const value = (target as Extract<ResolvedTarget, { kind: "function" }>).of(own);
    if (!(value instanceof tf.Tensor)) {
      throw new TypeError(`A target's function returns a tensor of one number: received ${typeof value}.`);
    }
    if (value.size !== 1) {
      throw new TypeError(
        `A target's function returns a tensor of one number: received one of shape [${value.shape}]. ` +
          `Pick one of its numbers, or sum them.`,
      );
    }
    return tf.reshape(value, [1]);
  }
}

/** All samples in their order, in batches that share a route and a shape. */
function* batchesOf(
  count: number,
  sample: (index: number) => Sample,
  sizeFor: (target: ResolvedTarget) => number,
): Generator<{ start: number; samples: Sample[]; key: string; shape: readonly number[] }> {
  let next: Sample | null = null;
  for (let start = 0; start < count;) {
    const samples = [next ?? sample(start)];
    next = null;
    const { target, input: { shape } } = samples[0];
    const key = Route.key(target);
    const size = sizeFor(target);
    while (samples.length < size && start + samples.length < count) {
      next = sample(start + samples.length);
      if (Route.key(next.target) !== key || next.input.shape.join() !== shape.join()) break;
      samples.push(next);
      next = null;
    }
    yield { start, samples, key, shape };
    start += samples.length;
  }
}

function pack(tf: TF, samples: readonly Sample[], shape: readonly number[]): Tensor {
  const size = sizeOf(shape);
  const packed = new Float32Array(samples.length * size);
  samples.forEach(({ input }, i) => packed.set(input.data, i * size));
  return tf.tensor(packed, [samples.length, ...shape]);
}

/** How many samples of a plan fit into memory at once, at most `batchSize`; at least one is tried. */
function fitting(tf: TF, plan: Plan, batchSize: number, room: number): number {
  const left = memoryLeft(tf);
  if (left === undefined) return batchSize;
  const one = room * BYTES_PER_FLOAT * plan.floats.values().reduce((sum, floats) => sum + floats, 0);
  return Math.max(1, Math.min(batchSize, Math.floor(left / Math.max(1, one))));
}

/** An error of tfjs about gradients in words that tell what to do; others as they are. */
function explained(error: unknown, model: Model): unknown {
  const message = error instanceof Error ? error.message : "";
  const missing = /gradient function not found for (\w+)/.exec(message)?.[1];
  if (missing) {
    return new TypeError(
      `${JSON.stringify(model.name)} cannot be differentiated: TensorFlow.js has no gradient for its operation ` +
        `${missing}. Choose a target behind which there is none of these.`,
      { cause: error },
    );
  }
  if (/encloses all operations that lead from x to y/.test(message)) {
    return new TypeError("The target does not depend on the image, so there is nothing to attribute.", {
      cause: error,
    });
  }
  return error;
}

/**
 * The gradient of each sample's score to the network's input.
 *
 * @param count how many samples there are
 * @param sample gives a sample when it is its turn; called once for each
 * @param receive takes a sample's gradient, in the order and of the shape of its input, and its score; the array is
 *   valid until it returns
 * @param options.relu what ReLUs pass back
 * @throws {MemoryError} if not even one sample fits
 */
export async function eachGradient(
  model: Model,
  count: number,
  sample: (index: number) => Sample,
  receive: (index: number, gradient: Float32Array, score: number) => void,
  { batchSize = 8, signal, onProgress, relu = "plain" }: RunOptions & { relu?: ReluRule } = {},
): Promise<void> {
  checkWhole("batchSize", batchSize, 1);
  const tf = await ensureBackend();
  const routes = new Map<string, Route>();
  const routeTo = (target: ResolvedTarget) => {
    const key = Route.key(target);
    const known = routes.get(key);
    if (known) return known;
    const route = new Route(tf, model, target, count >= FOLD_FROM);
    routes.set(key, route);
    route.fold();
    return route;
  };
  const size = (target: ResolvedTarget) => fitting(tf, routeTo(target).plan, batchSize, GRADIENT_ROOM);
  try {
    for (const { start, samples, shape } of batchesOf(count, sample, size)) {
      signal?.throwIfAborted();
      const route = routeTo(samples[0].target);
      const targets = samples.map(({ target }) => target);
      const made: Tensor[] = [];
      try {
        const x = pack(tf, samples, shape);
        made.push(x);
        const { value, gradient } = inputGradient(tf, (x) => route.score(route.tap(x), targets), x, { relu });
        made.push(value, gradient);
        const [scores, gradients] = await Promise.all([value.data(), gradient.data()]) as Float32Array[];
        const each = sizeOf(shape);
        samples.forEach((_, i) => receive(start + i, gradients.subarray(i * each, (i + 1) * each), scores[i]));
      } finally {
        tf.dispose(made);
      }
      onProgress?.(start + samples.length, count);
    }
  } catch (error) {
    throw explained(error, model);
  } finally {
    routes.forEach((route) => route.dispose());
  }
}

/**
 * The score of one target for many inputs of one shape, without gradients.
 *
 * @param input gives an input, `[h, w, c]`, when it is its turn; called once for each
 */
export async function eachScore(
  model: Model,
  target: ResolvedTarget,
  count: number,
  input: (index: number) => NdArray,
  { batchSize = 8, signal, onProgress }: RunOptions = {},
): Promise<Float32Array> {
  checkWhole("batchSize", batchSize, 1);
  const tf = await ensureBackend();
  const route = new Route(tf, model, target, count >= FOLD_FROM);
  const size = fitting(tf, route.plan, batchSize, 1);
  const scores = new Float32Array(count);
  let done = 0;
  const batches = function* () {
    for (let start = 0; start < count; start += size) {
      signal?.throwIfAborted();
      const samples = Array.from({ length: Math.min(size, count - start) }, (_, i) => ({
        input: input(start + i),
        target,
      }));
      yield () => pack(tf, samples, samples[0].input.shape);
    }
  };
  await execute(tf, route.plan, batches(), async ([tap]) => {
    const value = tf.tidy(() => route.score(tap, new Array(tap.shape[0]).fill(target)));
    try {
      scores.set(await value.data() as Float32Array, done);
    } finally {
      value.dispose();
    }
    done += tap.shape[0];
    onProgress?.(done, count);
  });
  return scores;
}

/** What a target comes to for an image. */
export type Settled = Pick<Subject, "target" | "probability">;

/** A target before the image was looked at; the predicted class stands in as the first. */
export const unsettled = (model: Model, target: Target): ResolvedTarget =>
  target === "predicted" ? resolveTarget(model, 0) : resolveTarget(model, target);

/** What a class comes to, given the scores of all: the one that is predicted, its probability. */
function classOf(model: Model, { activation }: Route, scores: Float32Array, target: Target): Settled {
  const found = target === "predicted" ? predictedOf(model, scores) : resolveTarget(model, target) as ClassTarget;
  return { target: found, probability: probabilityOf(scores, found.index, activation) };
}

/** What a class comes to for one image, given what its route leads to. */
export async function settleClass(model: Model, route: Route, tap: Tensor, target: Target): Promise<Settled> {
  const scores = route.tf.tidy(() => route.classScores(tap));
  try {
    return classOf(model, route, await scores.data() as Float32Array, target);
  } finally {
    scores.dispose();
  }
}

/** Whether the image has to be looked at: for the class that is predicted, a probability, the cell that is strongest. */
const isOpen = (model: Model, target: ResolvedTarget): boolean =>
  target.kind === "class" ||
  (target.kind === "unit" && !target.cell && model.layer(target.layer).outputShape.length === 3);

/** Settles what each pair's target means for its image. Each image runs once for all its targets on one route. */
export async function settle(
  model: Model,
  pairs: readonly Pair[],
  { batchSize = 8, signal }: Pick<RunOptions, "batchSize" | "signal"> = {},
): Promise<Subject[]> {
  checkWhole("batchSize", batchSize, 1);
  const tf = await ensureBackend();
  const targets = pairs.map(({ wanted }) => unsettled(model, wanted));
  const subjects: Subject[] = pairs.map(({ wanted: _, ...image }, i) => ({ ...image, target: targets[i] }));
  const open = [...pairs.keys()].filter((i) => isOpen(model, targets[i]));
  const shared = Map.groupBy(open, (i) => `${Route.key(targets[i])} on ${pairs[i].input.shape}`);
  for (const indices of shared.values()) {
    const byInput = [...Map.groupBy(indices, (i) => pairs[i].input)];
    const target = targets[indices[0]];
    const route = new Route(tf, model, target, byInput.length >= FOLD_FROM);
    const size = fitting(tf, route.plan, batchSize, 1);
    const batches = function* () {
      for (let start = 0; start < byInput.length; start += size) {
        signal?.throwIfAborted();
        const samples = byInput.slice(start, start + size).map(([input]) => ({ input, target }));
        yield () => pack(tf, samples, samples[0].input.shape);
      }
    };
    let done = 0;
    await execute(tf, route.plan, batches(), async ([tap]) => {
      const values = tf.tidy(() => target.kind === "class" ? route.classScores(tap) : tf.clone(tap));
      try {
        const data = await values.data() as Float32Array;
        const each = data.length / values.shape[0];
        for (let k = 0; k < values.shape[0]; k++) {
          const own = data.subarray(k * each, (k + 1) * each);
          for (const i of byInput[done + k][1]) {
            const settled = target.kind === "class"
              ? classOf(model, route, own, pairs[i].wanted)
              : { target: strongest(targets[i] as UnitTarget, own, values.shape) };
            subjects[i] = { ...subjects[i], ...settled };
          }
        }
        done += values.shape[0];
      } finally {
        values.dispose();
      }
    });
  }
  return subjects;
}

/** The class with the greatest score; of one sigmoid unit, class 1 where its score is positive. */
function predictedOf(model: Model, scores: Float32Array) {
  return predictedClass(model, scores.length === 1 ? [-scores[0], scores[0]] : scores);
}

/** A unit with the cell of its map that holds the greatest value. */
function strongest(
  { layer, channel }: UnitTarget,
  maps: Float32Array,
  [, , width, channels]: number[],
): ResolvedTarget {
  let best = channel;
  for (let i = channel; i < maps.length; i += channels) if (maps[i] > maps[best]) best = i;
  const cell = (best - channel) / channels;
  return unitTarget(layer, channel, [Math.floor(cell / width), cell % width]);
}

/** One image and what is asked about it. */
export interface Pair extends Pick<Subject, "name" | "view" | "input"> {
  readonly wanted: Target;
}

/**
 * Pairs images with targets.
 *
 * @param images one image, or many
 * @param targets one target for all images; or many: one for each image, or all for the one image
 * @returns the pairs; `many` tells whether an array was given
 * @throws {RangeError} if the numbers of images and of targets do not go together
 */
export async function pairsOf(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  targets: Target | readonly Target[] = "predicted",
): Promise<{ pairs: Pair[]; many: boolean }> {
  const many = Array.isArray(images) || Array.isArray(targets);
  const given = (Array.isArray(images) ? images : [images]) as readonly ImageLike[];
  const wanted = (Array.isArray(targets) ? targets : [targets]) as readonly Target[];
  if (given.length === 0 || wanted.length === 0) {
    throw new RangeError(`There is no ${given.length === 0 ? "image" : "target"}; wanted at least one.`);
  }
  if (given.length !== wanted.length && given.length !== 1 && wanted.length !== 1) {
    throw new RangeError(
      `${given.length} images and ${wanted.length} targets cannot be paired; wanted as many targets as images, or one.`,
    );
  }
  const sources = await Promise.all(given.map(toImage));
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const inputs = views.map((view) => model.input(view));
  const pairs = Array.from({ length: Math.max(given.length, wanted.length) }, (_, i) => {
    const image = given.length === 1 ? 0 : i;
    return {
      name: sources[image].name,
      view: views[image],
      input: inputs[image],
      wanted: wanted[wanted.length === 1 ? 0 : i],
    };
  });
  return { pairs, many };
}

/**
 * Pairs images with targets as {@linkcode pairsOf}, and settles what each target means for its image.
 *
 * @throws {RangeError} if the numbers of images and of targets do not go together, or a target does not exist
 */
export async function subjectsOf(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  targets: Target | readonly Target[] = "predicted",
  run: Pick<RunOptions, "batchSize" | "signal"> = {},
): Promise<{ subjects: Subject[]; many: boolean }> {
  const { pairs, many } = await pairsOf(model, images, targets);
  run.signal?.throwIfAborted();
  return { subjects: await settle(model, pairs, run), many };
}

/** What every attribution's result tells of its subject. */
export function described(model: Model, { name, view, target, probability }: Subject) {
  return {
    model: model.name,
    name,
    image: view,
    target: { ...target, ...probability !== undefined && { probability } },
  };
}

/**
 * Values at a network's input as values of the image: colours in RGB order.
 *
 * @param values `h · w · c`, channels in the network's order
 * @returns `[h, w, 3]`; `[h, w]` for a network of grey images
 */
export function toPixels(
  model: Model,
  values: ArrayLike<number>,
  [height, width, channels]: readonly number[],
): NdArray {
  const data = Float32Array.from(values);
  if (channels === 1) return ndarray(data, [height, width]);
  if (model.preprocess.order === "bgr") {
    for (let i = 0; i < data.length; i += 3) [data[i], data[i + 2]] = [data[i + 2], data[i]];
  }
  return ndarray(data, [height, width, 3]);
}

/** `[h, w, 3]` (or `[h, w]`) as `[h, w]`: `reduce` makes one number of the three colours. */
function overColors({ data, shape }: NdArray, reduce: (r: number, g: number, b: number) => number): NdArray {
  const [height, width, channels = 1] = shape;
  const map = new Float32Array(height * width);
  for (let i = 0; i < map.length; i++) {
    map[i] = channels === 1 ? reduce(data[i], 0, 0) : reduce(data[i * 3], data[i * 3 + 1], data[i * 3 + 2]);
  }
  return ndarray(map, [height, width]);
}

/** The magnitude of the greatest of the three colours. */
export const greatestMagnitude = (values: NdArray): NdArray =>
  overColors(values, (r, g, b) => Math.max(Math.abs(r), Math.abs(g), Math.abs(b)));

/** The colour of the greatest magnitude, with its sign. */
export const greatestSigned = (values: NdArray): NdArray =>
  overColors(values, (r, g, b) => {
    const first = Math.abs(r) >= Math.abs(g) ? r : g;
    return Math.abs(first) >= Math.abs(b) ? first : b;
  });

/** The sum of the three colours. */
export const sumOfColors = (values: NdArray): NdArray => overColors(values, (r, g, b) => r + g + b);
