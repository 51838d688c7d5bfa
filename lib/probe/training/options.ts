/**
 * How a network is trained: the options of a run.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../../data/dataset.ts";
import type { ImageLike } from "../../data/image.ts";
import { kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";
import { belowOne, oneOf, positive, readOptions, rule, text, WalkOptions, whole } from "../../options.ts";
import { type TruthOf, truthOf } from "../truth.ts";
import { AdversarialTraining } from "./adversarial.ts";
import { Augment } from "./augment.ts";
import { type Optimizer, readOptimizer } from "./optimizer.ts";
import { readSchedule, type Schedule, startSchedule } from "./schedule.ts";

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** A data set, or a share from 0 to below 1. */
const validationImages = rule((name, value) => {
  if (isObject(value)) return checkDataset(name, value);
  if (typeof value !== "number") {
    throw new TypeError(`${name} must be a data set or a share: received ${kindOf(value)}.`);
  }
  if (value >= 0 && value < 1) return;
  throw new RangeError(`${name} must be a data set, or a share from 0 to below 1: received ${value}.`);
});

const epochNumbers = rule((name, value) => {
  if (!Array.isArray(value)) {
    throw new TypeError(`${name} must be an array of epochs, as [0, 1, 5]: received ${kindOf(value)}.`);
  }
  const invalid = value.find((epoch) => !Number.isInteger(epoch) || epoch < 0);
  if (invalid === undefined) return;
  throw new RangeError(`${name} must hold whole numbers of epochs ≥ 0: received ${kindOf(invalid)}.`);
});

const augmentObject = rule((name, value) => {
  if (isObject(value)) return void readOptions(name, Augment, value);
  throw new TypeError(`${name} must be an object, as { flip: true, crop: 4 }: received ${kindOf(value)}.`);
});

const adversarialObject = rule((name, value) => {
  if (isObject(value)) return void readOptions(name, AdversarialTraining, value);
  throw new TypeError(`${name} must be an object, as { epsilon: 8, alpha: 0.5 }: received ${kindOf(value)}.`);
});

/** All options of a run, with their defaults. */
export class TrainingSpec extends WalkOptions {
  /**
   * Of several labels, numbers and maps: where it stands what is true of an image, as for `evaluate`: the name of a column, or a
   * function of the row `{ id, label, …columns }`.
   * @default of labels `labels`, else `label`; of numbers `values`, else `value`, else the columns named as the outputs, else
   *   `label` as a number; of maps `mask`, else `map`
   */
  @truthOf
  truth?: TruthOf;
  /**
   * How gradients become steps.
   * @default "sgd", with momentum 0.9
   */
  optimizer: Optimizer | Optimizer["kind"] = "sgd";
  /**
   * The size of a step.
   * @default 0.01 with `"sgd"`, 0.001 with `"adam"`
   */
  @positive()
  learningRate?: number;
  /**
   * How the learning rate changes.
   * @default "constant"
   */
  schedule: Schedule | Schedule["kind"] = "constant";
  /**
   * How often every image is seen.
   * @default 10
   */
  @whole(1)
  epochs = 10;
  /**
   * How many images make one step.
   * @default 32
   */
  override batchSize = 32;
  /**
   * Images that are never trained on: a data set, or a share of the given one (chosen at random by the seed).
   * @default 0.1
   */
  @validationImages
  validation: Dataset | number = 0.1;
  /**
   * L2 decay of kernels; biases and normalisations are left alone. With `"adam"` it is decoupled from the gradient.
   * @default 0
   */
  @belowOne()
  weightDecay = 0;
  /**
   * The share of each target that is spread over all classes (Szegedy et al. 2015, §7).
   * @default 0
   */
  @belowOne()
  labelSmoothing = 0;
  /**
   * How images are changed each time that they are seen.
   * @default not at all
   */
  @augmentObject
  augment?: Partial<Augment>;
  /**
   * Trains on each image also as an attacker would change it, so that the network withstands such changes: the loss is
   * `alpha` times that of the images as they are, plus `1 − alpha` times that of images of which each value was moved by up
   * to `epsilon`, of 255, against the network as it is then (Goodfellow et al. 2014, §6; with `steps` Madry et al. 2017).
   * The accuracy that is told is that on the images as they are. A step takes about three times as long.
   * @default not at all
   */
  @adversarialObject
  adversarialTraining?: Partial<AdversarialTraining>;
  /**
   * Stops when the validation loss has not fallen for this many epochs.
   * @default never
   */
  @whole(1)
  earlyStop?: number;
  /**
   * Which weights the run begins with: `"current"` are those that the model has; `"scratch"` are drawn anew by the layers'
   * own initializers and `seed`. Layers that are frozen keep theirs.
   * @default "current": a cell that is run again goes on with what it has trained, and says so
   */
  @oneOf("current", "scratch")
  from: "current" | "scratch" = "current";
  /**
   * The order of images, augmentation, dropout, the choice of validation images and, from scratch, the weights depend on
   * it, and on nothing else.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * After which epochs the weights are kept; 0 is before training. The last is always kept.
   * @default 0, 1, 2, 4, 8 …; of networks with more than 4 million parameters only the last
   */
  @epochNumbers
  snapshots?: readonly number[];
  /**
   * A file to save the run in after each epoch; its folder is made. If it is there already, the run goes on from it. It
   * belongs to one run: to its images with their ids and labels, its network, preprocessing and options. More `epochs`
   * make no other run, nor do the names of layers.
   * @default none
   */
  @text()
  checkpoint?: string;
  /**
   * The image whose activations the snapshots keep.
   * @default the first validation image, or else the first of all
   */
  probe?: ImageLike;
  /** Ends the run between two steps; what was learned by then stays. */
  declare signal?: AbortSignal;
  /** Called now and then with the number of images trained on so far and in all. */
  declare onProgress?: (done: number, total: number) => void;
}

/** Options of a run, of which those that are not given have their defaults. */
export type TrainingOptions = Partial<TrainingSpec>;

/** Parameters beyond which only the last weights are kept unless snapshots are asked for. */
const SNAPSHOT_PARAMS = 4e6;

/**
 * Resolves what depends on the model or on another option.
 *
 * @returns all that the course of a run depends on, beside its images: a checkpoint is of one such recipe
 * @throws {RangeError} if an option does not fit to another
 */
export function recipeOf(model: Model, spec: TrainingSpec) {
  const { epochs, batchSize, seed, weightDecay, labelSmoothing, validation, schedule, earlyStop } = spec;
  const optimizer = readOptimizer(spec.optimizer);
  if (validation === 0) refuseUnvalidated(spec, "received validation: 0");
  // What is wrong with a schedule is reported before images are read.
  startSchedule(schedule, { epochs, stepsPerEpoch: 1 });
  const doubling = [0, ...Array.from({ length: 31 }, (_, i) => 2 ** i)];
  const snapshots = spec.snapshots ?? (model.params > SNAPSHOT_PARAMS ? [] : doubling);
  return {
    optimizer,
    learningRate: spec.learningRate ?? (optimizer.kind === "sgd" ? 0.01 : 0.001),
    schedule: readSchedule(schedule),
    epochs,
    batchSize,
    validation,
    weightDecay,
    labelSmoothing,
    earlyStop: earlyStop ?? null,
    seed,
    // Checkpoints of runs that began otherwise do not say it.
    ...(spec.from === "scratch" && { from: spec.from }),
    ...(spec.adversarialTraining && {
      adversarialTraining: readOptions("adversarialTraining", AdversarialTraining, spec.adversarialTraining),
    }),
    snapshots: [...new Set(snapshots)].filter((epoch) => epoch <= epochs).sort((a, b) => a - b),
  };
}

/** What {@linkcode recipeOf} returns. */
export type Recipe = ReturnType<typeof recipeOf>;

/** @throws {RangeError} if something looks at validation images, of which there are none */
export function refuseUnvalidated({ earlyStop, schedule }: TrainingSpec, found: string): void {
  const plateau = (typeof schedule === "object" ? schedule.kind : schedule) === "plateau";
  if (earlyStop === undefined && !plateau) return;
  throw new RangeError(
    `${earlyStop !== undefined ? "earlyStop" : 'The schedule "plateau"'} looks at validation images: ${found}; ` +
      `wanted a data set or a share that holds at least one.`,
  );
}
