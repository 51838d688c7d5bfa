/**
 * Training a network from a data set, step by step, so that a run can be watched, stopped and taken up again.
 *
 * All that a run depends on is in its weights, its optimiser's slots, its schedule's state and the number of the step:
 * every random number is a function of the seed and of what it is for.
 *
 * @module
 */

import type { LayersModel, Scalar, Tensor, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArray } from "../../array.ts";
import { checkDataset, type Dataset } from "../../data/dataset.ts";
import type { ImageLike } from "../../data/image.ts";
import { checkOptions, kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";
import { preprocess } from "../../model/preprocess.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { withTape } from "../../runtime/gradients/tape.ts";
import { type Augment, augmentation, batchOf } from "./augment.ts";
import { checkSameRun, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { evaluate, type Evaluation, type LayerState, observe, watchedLayers } from "./evaluate.ts";
import type { Ending, EpochRow, HistoryData, LayerRow, Snapshot } from "./history.ts";
import { type Optimizer, optimizer as fullOptimizer, startOptimizer, type Trained } from "./optimizer.ts";
import { randomStream, shuffled } from "../../random.ts";
import { labelsFor, part, readSamples, type Samples } from "./samples.ts";
import { type Schedule, type ScheduleState, startSchedule } from "./schedule.ts";
import { crossEntropy, type Moving, rightOnes, trainingPass } from "./training_pass.ts";

/** A run that cannot go on, with the reason and the remedy. */
export class TrainingError extends Error {
  override name = "TrainingError";
}

export interface TrainingOptions {
  /**
   * How gradients become steps.
   * @default "sgd", with momentum 0.9
   */
  optimizer?: Optimizer | Optimizer["kind"];
  /** @default 0.01 with `"sgd"`, 0.001 with `"adam"` */
  learningRate?: number;
  /**
   * How the learning rate changes.
   * @default "constant"
   */
  schedule?: Schedule | Schedule["kind"];
  /**
   * How often every image is seen.
   * @default 10
   */
  epochs?: number;
  /**
   * How many images make one step.
   * @default 32
   */
  batchSize?: number;
  /**
   * Images that are never trained on: a data set, or a share of the given one (chosen at random by the seed).
   * @default 0.1
   */
  validation?: Dataset | number;
  /**
   * L2 decay of kernels; biases and normalisations are left alone. With `"adam"` it is decoupled from the gradient.
   * @default 0
   */
  weightDecay?: number;
  /**
   * The share of each target that is spread over all classes (Szegedy et al. 2015, §7).
   * @default 0
   */
  labelSmoothing?: number;
  /**
   * How images are changed each time that they are seen.
   * @default not at all
   */
  augment?: Augment;
  /**
   * Stops when the validation loss has not fallen for so many epochs.
   * @default never
   */
  earlyStop?: number;
  /**
   * The order of images, augmentation, dropout and the choice of validation images depend on it, and on nothing else.
   * @default 0
   */
  seed?: number;
  /**
   * After which epochs the weights are kept; 0 is before training. The last is always kept.
   * @default 0, 1, 2, 4, 8 …; of networks with more than 4 million parameters only the last
   */
  snapshots?: readonly number[];
  /**
   * A file to save the run in after each epoch; its folder is made. If it is there already, the run goes on from it.
   * @default none
   */
  checkpoint?: string;
  /**
   * The image whose activations the snapshots keep.
   * @default the first validation image, or else the first of all
   */
  probe?: ImageLike;
  /** Ends the run between two steps; what was learned by then stays. */
  signal?: AbortSignal;
  /** Called now and then with the number of images trained on so far and in all. */
  onProgress?: (done: number, total: number) => void;
}

/** The names of {@linkcode TrainingOptions}. */
export const TRAINING_OPTIONS = {
  epochs: true,
  optimizer: true,
  learningRate: true,
  schedule: true,
  batchSize: true,
  validation: true,
  weightDecay: true,
  labelSmoothing: true,
  augment: true,
  earlyStop: true,
  seed: true,
  snapshots: true,
  checkpoint: true,
  probe: true,
  signal: true,
  onProgress: true,
} satisfies Record<keyof TrainingOptions, true>;

/** What can be seen of a run while it goes on. */
export interface TrainingView {
  /** Everything up to the last full epoch. */
  history: HistoryData;
  /** The epoch that is running, from 1, and how much of it is done, from 0 to 1. */
  epoch: number;
  share: number;
  /** Mean loss and accuracy over the last steps; NaN before the first. */
  loss: number;
  accuracy: number;
  /** The first convolution's filters and the probe image's activations as they are now. */
  peek: () => Promise<Snapshot>;
}

/** Who watches a run. The run waits for what these return. */
export interface TrainingWatcher {
  /** While images are read before training, those of the validation too. */
  onRead?: (done: number, total: number) => void;
  /** A few times a second, between two steps. */
  onMoment?: (view: TrainingView) => Promise<void> | void;
  /** After each epoch, and before the first. */
  onEpoch?: (history: HistoryData) => Promise<void> | void;
}

/** Parameters beyond which only the last weights are kept unless snapshots are asked for. */
const SNAPSHOT_PARAMS = 4e6;
/** Losses are looked at after so many steps. */
const STEPS_PER_LOOK = 16;
/** Timers and signals get their turn after so many milliseconds. */
const BREATH_MS = 100;
/** How many images the layers' sparsity is measured on. */
const WATCHED_IMAGES = 64;

/** The weights of a network by `"layer/weight"`. */
export function namedWeights(network: LayersModel): Map<string, Variable> {
  const named = new Map<string, Variable>();
  for (const layer of network.layers) {
    for (const weight of layer.weights) {
      named.set(`${layer.name}/${weight.originalName.split("/").at(-1)}`, weight.read() as Variable);
    }
  }
  return named;
}

/** Reads variables back as plain arrays. */
async function download(variables: ReadonlyMap<string, Variable>): Promise<Record<string, NdArray>> {
  const entries = await Promise.all(
    [...variables].map(async ([name, variable]) => {
      const data = await variable.data() as Float32Array;
      return [name, { data: data.slice(), shape: [...variable.shape] }] as const;
    }),
  );
  return Object.fromEntries(entries);
}

function assign(tf: TF, variables: ReadonlyMap<string, Variable>, arrays: Record<string, NdArray>, prefix: string) {
  tf.tidy(() => {
    for (const [name, variable] of variables) {
      const { data, shape } = arrays[`${prefix}${name}`];
      variable.assign(tf.tensor(data, [...shape]));
    }
  });
}

const isWhole = (value: number, least: number) => Number.isInteger(value) && value >= least;

/** @throws {RangeError} if something looks at validation images, which there are none of */
function refuseUnvalidated({ earlyStop, schedule }: TrainingOptions, found: string): void {
  const plateau = (typeof schedule === "object" ? schedule.kind : schedule) === "plateau";
  if (earlyStop === undefined && !plateau) return;
  throw new RangeError(
    `${
      earlyStop !== undefined ? "earlyStop" : 'The schedule "plateau"'
    } looks at validation images: ${found}; wanted ` +
      `a data set or a share that holds at least one.`,
  );
}

/** A cell's code is not type-checked: @throws {TypeError} if an option is of a wrong kind. */
function checkKinds({ validation, snapshots, augment }: TrainingOptions): void {
  const isObject = (value: unknown) => typeof value === "object" && value !== null;
  const checks: [string, unknown, boolean, string][] = [
    ["validation", validation, typeof validation === "number" || isObject(validation), "a data set or a share"],
    ["snapshots", snapshots, Array.isArray(snapshots), "an array of epochs, as [0, 1, 5]"],
    ["augment", augment, isObject(augment), "an object, as { flip: true, crop: 4 }"],
  ];
  for (const [name, value, fits, wanted] of checks) {
    if (value === undefined || fits) continue;
    throw new TypeError(`${name} must be ${wanted}: received ${kindOf(value)}.`);
  }
  if (isObject(validation)) checkDataset("validation", validation);
  if (augment) checkOptions("augment", augment, { flip: true, crop: true, pad: true });
}

/** All options with their defaults, checked. */
function settle(model: Model, options: TrainingOptions) {
  checkKinds(options);
  const optimizer = fullOptimizer(options.optimizer ?? "sgd");
  const { epochs = 10, batchSize = 32, seed = 0, weightDecay = 0, labelSmoothing = 0, validation = 0.1 } = options;
  const { learningRate = optimizer.kind === "sgd" ? 0.01 : 0.001, earlyStop, schedule = "constant" } = options;
  const checks: [string, number | undefined, boolean, string][] = [
    ["epochs", epochs, isWhole(epochs, 1), "a whole number ≥ 1"],
    ["batchSize", batchSize, isWhole(batchSize, 1), "a whole number ≥ 1"],
    ["seed", seed, Number.isSafeInteger(seed), "a whole number"],
    ["learningRate", learningRate, learningRate > 0 && Number.isFinite(learningRate), "a number above 0"],
    ["weightDecay", weightDecay, weightDecay >= 0 && weightDecay < 1, "at least 0 and below 1"],
    ["labelSmoothing", labelSmoothing, labelSmoothing >= 0 && labelSmoothing < 1, "at least 0 and below 1"],
    ["earlyStop", earlyStop, earlyStop === undefined || isWhole(earlyStop, 1), "a whole number of epochs ≥ 1"],
  ];
  if (typeof validation === "number") {
    checks.push([
      "validation",
      validation,
      validation >= 0 && validation < 1,
      "a data set, or a share from 0 to below 1",
    ]);
  }
  for (const [name, value, fits, wanted] of checks) {
    if (!fits) throw new RangeError(`${name} must be ${wanted}: received ${value}.`);
  }
  if (validation === 0) refuseUnvalidated({ earlyStop, schedule }, "received validation: 0");
  // What is wrong with a schedule is told before images are read.
  startSchedule(schedule, { epochs, stepsPerEpoch: 1 });
  const doubling = [0, ...Array.from({ length: 31 }, (_, i) => 2 ** i)];
  const wanted = options.snapshots ?? (model.params > SNAPSHOT_PARAMS ? [] : doubling);
  const odd = wanted.find((epoch) => !isWhole(epoch, 0));
  if (odd !== undefined) throw new RangeError(`snapshots must hold whole numbers of epochs ≥ 0: received ${odd}.`);
  const snapshots = [...new Set(wanted)].filter((epoch) => epoch <= epochs).sort((a, b) => a - b);
  return {
    optimizer,
    learningRate,
    schedule,
    epochs,
    batchSize,
    validation,
    weightDecay,
    labelSmoothing,
    earlyStop: earlyStop ?? null,
    seed,
    snapshots,
  };
}

/** What a checkpoint keeps beside arrays. */
interface SavedState {
  epoch: number;
  schedule: ScheduleState;
  rows: EpochRow[];
  layers: LayerRow[];
  /** The epochs of the snapshots, and the layers of which each has activations. */
  snapshots: { epoch: number; weights: string[]; activations: string[] }[];
}

/** A NaN cannot be told in JSON. */
const withoutNaN = (rows: readonly EpochRow[]) =>
  rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([key, value]) => [key, value === value ? value : null]))
  );
const withNaN = (rows: readonly EpochRow[]) =>
  rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([key, value]) => [key, value ?? NaN]))
  ) as unknown as EpochRow[];

/** What a random stream is for, so that no two uses share one. */
const Use = { Split: 0, Shuffle: 1, Augment: 2, Dropout: 3 } as const;

/**
 * Trains a network. It is the one place that changes a model: its weights. A run that is aborted, or that fails, leaves
 * them as they are by then.
 *
 * @throws {TrainingError} if the loss or the weights are no longer numbers
 */
export async function runTraining(
  model: Model,
  dataset: Dataset,
  options: TrainingOptions = {},
  { onRead, onMoment, onEpoch }: TrainingWatcher = {},
): Promise<HistoryData> {
  const settled = settle(model, options);
  const { epochs, batchSize, seed, learningRate } = settled;
  const { signal } = options;
  const labels = labelsFor(model, dataset);
  const ownProbe = options.probe === undefined ? undefined : await model.view(options.probe);
  const tf = await ensureBackend();
  const pass = trainingPass(tf, model.network, model.name);
  const all = namedWeights(model.network);
  const trained = trainedWeights(model, all);

  const opened: Samples[] = [];
  const toRead = dataset.size + (typeof settled.validation === "number" ? 0 : settled.validation.size);
  const open = async (from: Dataset) => {
    const before = opened.reduce((sum, { count }) => sum + count, 0);
    const onProgress = (done: number) => onRead?.(before + done, toRead);
    const samples = await readSamples(model, from, labels, { signal, onProgress });
    opened.push(samples);
    return samples;
  };
  const running = startOptimizer(tf, settled.optimizer, trained, settled.weightDecay);
  try {
    const samples = await open(dataset);
    const { training, validation } = typeof settled.validation === "number"
      ? split(samples, settled.validation, randomStream(seed, Use.Split))
      : { training: samples, validation: await open(settled.validation) };
    if (!validation) {
      refuseUnvalidated(options, `a share of ${settled.validation} of ${samples.count} images is none`);
    }
    const augment = augmentation(options.augment ?? {}, samples);
    const stepsPerEpoch = Math.ceil(training.count / batchSize);
    const schedule = startSchedule(settled.schedule, { epochs, stepsPerEpoch });

    const watched = watchedLayers(model);
    const shown = validation ?? training;
    const first = batchOf(shown, [0], augment, null);
    const probe = ownProbe ?? { data: first.data, shape: first.shape.slice(1) };
    const rows: EpochRow[] = [];
    const layers: LayerRow[] = [];
    const snapshots: Snapshot[] = [];
    let ending: Ending = "done";
    const history = (): HistoryData => ({
      model: model.name,
      dataset: dataset.name,
      labels,
      rows: [...rows],
      layers: [...layers],
      snapshots: [...snapshots],
      probe,
      ending,
    });

    const snapshot = async (epoch: number, variables: ReadonlyMap<string, Variable>): Promise<Snapshot> => {
      const weights = await download(variables);
      const state = await observe(model, [model.input(probe)], watched, true);
      return { epoch, weights, activations: Object.fromEntries(state.map(({ layer, maps }) => [layer, maps!])) };
    };
    const take = async (epoch: number) => {
      if (snapshots.at(-1)?.epoch !== epoch) snapshots.push(await snapshot(epoch, all));
    };
    const firstFilters = new Map([...all].filter(([, { shape }]) => shape.length === 4).slice(0, 1));
    const look = async (epoch: number) => {
      const images = Array.from({ length: Math.min(WATCHED_IMAGES, shown.count) }, (_, i) => i);
      const state = await observe(model, inputsOf(model, shown, images), watched, false);
      layers.push(...state.map(({ layer, sparsity, dead }: LayerState) => ({ epoch, layer, sparsity, dead })));
      if (settled.snapshots.includes(epoch)) await take(epoch);
    };

    const run = {
      model: model.name,
      weights: [...all].map(([name, { shape }]) => [name, ...shape]),
      dataset: [dataset.name, dataset.size],
      ...settled,
      validation: typeof settled.validation === "number"
        ? settled.validation
        : [settled.validation.name, settled.validation.size],
      augment,
    };
    const save = async (path: string, epoch: number) => {
      const arrays: Record<string, NdArray> = {};
      const add = (prefix: string, some: Readonly<Record<string, NdArray>>) => {
        for (const [name, array] of Object.entries(some)) arrays[`${prefix}${name}`] = array;
      };
      add("weights/", await download(all));
      add("slots/", await download(running.slots));
      snapshots.forEach((snapshot) => {
        add(`snapshots/${snapshot.epoch}/weights/`, snapshot.weights);
        add(`snapshots/${snapshot.epoch}/activations/`, snapshot.activations);
      });
      const state = {
        epoch,
        schedule: schedule.state,
        rows: withoutNaN(rows),
        layers,
        snapshots: snapshots.map(({ epoch, weights, activations }) => ({
          epoch,
          weights: Object.keys(weights),
          activations: Object.keys(activations),
        })),
      };
      await writeCheckpoint(path, { run, state, arrays });
    };
    const resume = async (path: string): Promise<number> => {
      const checkpoint = await readCheckpoint(path);
      if (!checkpoint) return -1;
      checkSameRun(path, checkpoint.run, JSON.parse(JSON.stringify(run)));
      const state = checkpoint.state as SavedState;
      const { arrays } = checkpoint;
      assign(tf, all, arrays, "weights/");
      assign(tf, running.slots, arrays, "slots/");
      Object.assign(schedule.state, state.schedule);
      rows.push(...withNaN(state.rows));
      layers.push(...state.layers);
      for (const { epoch, weights, activations } of state.snapshots) {
        const pick = (names: string[], kind: string) =>
          Object.fromEntries(names.map((name) => [name, arrays[`snapshots/${epoch}/${kind}/${name}`]]));
        snapshots.push({
          epoch,
          weights: pick(weights, "weights"),
          activations: pick(activations, "activations"),
        });
      }
      return state.epoch;
    };

    const total = epochs * training.count;
    /** How much of the running epoch is done, from 0 to 1. */
    let share = 0;
    let epoch = options.checkpoint === undefined ? -1 : await resume(options.checkpoint);
    if (epoch < 0) {
      await look(0);
      epoch = 0;
    }
    await onEpoch?.(history());
    let breath = performance.now();
    let recent = { loss: NaN, accuracy: NaN };

    /** One epoch; false if it was aborted. */
    const trainEpoch = async (): Promise<boolean> => {
      const start = performance.now();
      const order = shuffled(training.count, randomStream(seed, Use.Shuffle, epoch));
      const pending: Scalar[][] = [];
      let loss = 0;
      let right = 0;
      let rate = 0;
      /** Reads the losses of the last steps. */
      const settleLosses = async (upTo: number) => {
        const stacked = tf.tidy(() => tf.stack(pending.flat()));
        tf.dispose(pending);
        const counts = pending.map((_, i) => batchCount(upTo - pending.length + i));
        pending.length = 0;
        const values = await stacked.data();
        stacked.dispose();
        const images = counts.reduce((a, b) => a + b, 0);
        let sum = 0;
        let hits = 0;
        counts.forEach((count, i) => {
          if (!Number.isFinite(values[2 * i])) {
            throw new TrainingError(
              `The loss became ${values[2 * i]} in epoch ${epoch + 1}, step ${upTo - counts.length + i + 1} of ` +
                `${stepsPerEpoch}. Lower the learningRate (${learningRate} here), and start again from a fresh model: ` +
                `the weights of this one are spoilt.`,
            );
          }
          sum += values[2 * i] * count;
          hits += values[2 * i + 1];
        });
        loss += sum;
        right += hits;
        recent = { loss: sum / images, accuracy: hits / images };
      };
      const batchCount = (step: number) => Math.min(batchSize, training.count - step * batchSize);
      try {
        for (let step = 0; step < stepsPerEpoch; step++) {
          if (signal?.aborted) return false;
          const indexes = order.subarray(step * batchSize, (step + 1) * batchSize);
          const global = epoch * stepsPerEpoch + step;
          rate = learningRate * schedule.factorAt(global);
          const images = batchOf(training, indexes, augment, [seed, Use.Augment, epoch]);
          pending.push(trainStep(images, Int32Array.from(indexes, (i) => training.classes[i]), global, rate));
          share = (step * batchSize + indexes.length) / training.count;
          if (pending.length === STEPS_PER_LOOK || step === stepsPerEpoch - 1) await settleLosses(step + 1);
          if (performance.now() - breath < BREATH_MS) continue;
          options.onProgress?.(Math.round((epoch + share) * training.count), total);
          await onMoment?.({
            history: history(),
            epoch: epoch + 1,
            share,
            ...recent,
            peek: () => snapshot(epoch, firstFilters),
          });
          await new Promise((resolve) => setTimeout(resolve, 0));
          breath = performance.now();
        }
      } finally {
        tf.dispose(pending);
      }
      const spoilt = await firstSpoilt(tf, trained);
      if (spoilt !== undefined) {
        throw new TrainingError(
          `The weights ${JSON.stringify(spoilt)} are no longer numbers after epoch ${epoch + 1}. Lower the ` +
            `learningRate (${learningRate} here), and start again from a fresh model.`,
        );
      }
      let checked: Evaluation = { loss: NaN, accuracy: NaN };
      try {
        if (validation) checked = await evaluate(model, inputsIn(model, validation), validation.classes, { signal });
      } catch (error) {
        if (signal?.aborted) return false;
        throw error;
      }
      epoch++;
      share = 0;
      schedule.noteError(1 - checked.accuracy);
      rows.push({
        epoch,
        loss: loss / training.count,
        accuracy: right / training.count,
        validationLoss: checked.loss,
        validationAccuracy: checked.accuracy,
        learningRate: rate,
        seconds: NaN,
      });
      await look(epoch);
      rows[rows.length - 1] = { ...rows.at(-1)!, seconds: (performance.now() - start) / 1000 };
      return true;
    };

    const trainStep = (images: NdArray, classes: Int32Array, step: number, rate: number): Scalar[] => {
      const moving: Moving[] = [];
      const kept: Tensor[] = [];
      const [count, height, width] = images.shape;
      const channels = model.inputShape[2] as 1 | 3;
      const pixels = preprocess({ data: images.data, shape: [count * height, width, 3] }, model.preprocess, channels);
      const x = tf.tensor(pixels, [count, height, width, channels]);
      try {
        const { value, grads } = withTape(tf, () =>
          tf.variableGrads(() => {
            const logits = pass.run(x, [seed, Use.Dropout, step], moving);
            kept.push(tf.keep(rightOnes(tf, pass.head, logits, classes)));
            const loss = crossEntropy(tf, pass.head, logits, classes, settled.labelSmoothing);
            kept.push(tf.keep(loss));
            const penalties = model.network.calculateLosses();
            return penalties.length ? tf.addN([loss, ...penalties]) : tf.clone(loss);
          }, trained.map(({ variable }) => variable)));
        value.dispose();
        running.apply(grads, rate, step);
        tf.dispose(grads);
        tf.tidy(() => {
          for (const { variable, constraint } of trained) {
            if (constraint) variable.assign(constraint.apply(variable));
          }
          for (const { variable, statistic, momentum } of moving) {
            variable.assign(tf.add(tf.mul(variable, momentum), tf.mul(statistic, 1 - momentum)));
          }
        });
        const [right, loss] = kept as Scalar[];
        kept.length = 0;
        return [loss, right];
      } finally {
        x.dispose();
        tf.dispose(moving.map(({ statistic }) => statistic));
        tf.dispose(kept);
      }
    };

    const stalled = () => {
      if (settled.earlyStop === null) return false;
      const losses = rows.map(({ validationLoss }) => validationLoss);
      return losses.length - 1 - losses.indexOf(Math.min(...losses)) >= settled.earlyStop;
    };
    while (epoch < epochs && ending === "done") {
      if (stalled()) ending = "stopped early";
      else if (!await trainEpoch()) ending = "aborted";
      else {
        if (options.checkpoint !== undefined) await save(options.checkpoint, epoch);
        options.onProgress?.(epoch * training.count, total);
        await onEpoch?.(history());
      }
    }
    await take(share === 0 ? epoch : epoch + Math.min(0.99, Math.max(0.01, Number(share.toFixed(2)))));
    return history();
  } finally {
    running.dispose();
    opened.forEach((samples) => samples.close());
  }
}

/** The weights that training changes. */
function trainedWeights(model: Model, all: ReadonlyMap<string, Variable>): Trained[] {
  const trainable = new Map(model.network.trainableWeights.map((weight) => [weight.read() as Variable, weight]));
  const trained = [...all].filter(([, variable]) => trainable.has(variable)).map(([name, variable]) => {
    const { constraint } = trainable.get(variable) as unknown as Pick<Trained, "constraint">;
    return { name, variable, decays: /kernel$/.test(name), constraint };
  });
  if (trained.length === 0) {
    throw new TypeError(`The model ${JSON.stringify(model.name)} has no weights that may be trained.`);
  }
  return trained;
}

/**
 * The first of the weights that hold a NaN or an infinity. The loss alone does not tell: the ReLU of some backends makes
 * a NaN 0.
 */
async function firstSpoilt(tf: TF, trained: readonly Trained[]): Promise<string | undefined> {
  const sums = tf.tidy(() => tf.stack(trained.map(({ variable }) => tf.sum(variable))));
  const values = await sums.data();
  sums.dispose();
  return trained.find((_, i) => !Number.isFinite(values[i]))?.name;
}

/** Some images apart from the others, in the order of the data set. */
function split(samples: Samples, share: number, random: () => number): { training: Samples; validation?: Samples } {
  const held = Math.round(samples.count * share);
  if (held === 0) return { training: samples };
  if (held === samples.count) {
    throw new RangeError(`A validation share of ${share} leaves none of the ${samples.count} images to train on.`);
  }
  const chosen = shuffled(samples.count, random);
  return {
    training: part(samples, chosen.slice(held).sort()),
    validation: part(samples, chosen.slice(0, held).sort()),
  };
}

/** Some images as the network reads them. */
function inputsOf(model: Model, samples: Samples, indexes: readonly number[]): NdArray[] {
  return indexes.map((index) => {
    const { data, shape } = batchOf(samples, [index], { flip: false, crop: 0, pad: "black" }, null);
    return model.input({ data, shape: shape.slice(1) });
  });
}

/** All images as the network reads them, one after the other. */
function* inputsIn(model: Model, samples: Samples): Generator<NdArray> {
  for (let i = 0; i < samples.count; i++) yield inputsOf(model, samples, [i])[0];
}
