/**
 * What a training run leaves behind, in plain arrays: written by `probe/training`, drawn by `results`.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { brief, percent } from "../format.ts";
import type { SkippedImage } from "./dataset.ts";

/** One epoch in numbers. */
export interface EpochRow {
  /** From 1. */
  readonly epoch: number;
  /** Mean loss over the epoch's training images, with dropout and augmentation, weight decay left out. */
  readonly loss: number;
  /**
   * Share of the epoch's training images that were classified right, as they were trained on; of independent labels that of
   * single labels, of maps that of places; undefined where the outputs are numbers.
   */
  readonly accuracy: number;
  /** Of numbers: the mean of the errors' magnitudes over the epoch's training images. */
  readonly error?: number;
  /** Mean loss over the validation images after the epoch; NaN without validation. */
  readonly validationLoss: number;
  /** Share of the validation images classified right after the epoch; NaN without validation, undefined of numbers. */
  readonly validationAccuracy: number;
  /** Of numbers: the mean of the errors' magnitudes over the validation images after the epoch. */
  readonly validationError?: number;
  /** The learning rate of the epoch's last step. */
  readonly learningRate: number;
  /** How long the epoch took, its validation and measurements included. */
  readonly seconds: number;
}

/** What one layer's maps did on the images that the run watches, after one epoch. */
export interface LayerRow {
  /** The epoch after which it was measured; 0 is before training. */
  readonly epoch: number;
  /** The layer's name. */
  readonly layer: string;
  /** Share of its values that are exactly 0, after the activation. */
  readonly sparsity: number;
  /** Share of its channels that are 0 for every watched image. */
  readonly dead: number;
}

/** The network at one moment of the run. */
export interface Snapshot {
  /** The epoch after which it was taken; 0 is before training. With a fraction where the run was aborted in between. */
  readonly epoch: number;
  /**
   * Every weight by `"layer/weight"`, as `"conv1/kernel"`: `[kh, kw, cin, cout]`, `"conv1/bias"`: `[cout]`; of a layer in a
   * nested model, `"features/conv1/kernel"`.
   */
  readonly weights: Readonly<Record<string, NdArray>>;
  /** What the watched layers put out for the probe image, `[h, w, c]` or `[n]`, by layer; empty without a probe. */
  readonly activations: Readonly<Record<string, NdArray>>;
}

/** A model in plain data, without its weights; `lib/model/copy.ts` writes it, and builds the model again. */
export interface ModelDescription {
  /** The model's name. */
  readonly name: string;
  /** Its layers and how they are connected, as TensorFlow.js describes them. */
  readonly topology: object;
  /** Each layer with its type. */
  readonly kinds: readonly { readonly layer: string; readonly kind: string }[];
  /** Its labels, preprocessing and outputs. */
  readonly options: object;
}

/** Why a run ended. */
export type Ending = "done" | "stopped early" | "aborted";

/** One training run of a model in a few numbers, as a saved model keeps them. */
export interface TrainingSummary {
  /** The data set's name. */
  readonly dataset: string;
  /** How many images were trained on. */
  readonly images: number;
  /** How many images the validation had. */
  readonly validationImages: number;
  /** How many epochs were done, with the share of one that was broken off. */
  readonly epochs: number;
  /** Why the run ended; `"failed"` by an error, as when the loss was no number any more. */
  readonly ending: Ending | "failed";
  /** Loss of the last full epoch, as in {@linkcode EpochRow}; null where there was none. */
  readonly loss: number | null;
  /** Accuracy of the last full epoch; null where there was none. */
  readonly accuracy: number | null;
  /** Validation loss after the last full epoch; null without validation. */
  readonly validationLoss: number | null;
  /** Validation accuracy after the last full epoch; null without validation. */
  readonly validationAccuracy: number | null;
  /** The kind of optimizer. */
  readonly optimizer: string;
  /** The learning rate that the run was asked for. */
  readonly learningRate: number;
  /** How many images made one step. */
  readonly batchSize: number;
  /** The run's seed. */
  readonly seed: number;
}

/** Epochs in words, as `3 epochs`. */
const epochsText = (epochs: number): string => `${Number(epochs.toFixed(2))} epoch${epochs === 1 ? "" : "s"}`;

/** The runs that a model has behind it in words, as `3 epochs on pets (8,000 images), validation accuracy 74.3 %`. */
export function trainingText(runs: readonly TrainingSummary[]): string {
  const last = runs.at(-1)!;
  const { dataset, images, validationAccuracy, accuracy, ending } = last;
  const all = epochsText(runs.reduce((sum, { epochs }) => sum + epochs, 0));
  const count = images?.toLocaleString("en-US");
  const score = validationAccuracy != null
    ? `, validation accuracy ${percent(validationAccuracy)}`
    : accuracy != null
    ? `, accuracy ${percent(accuracy)}`
    : "";
  return `${all}${runs.length > 1 ? ` in ${runs.length} runs, the last` : ""} on ${dataset} (${count} images)${score}` +
    (ending === "failed" ? ", where it failed" : "");
}

/** The share that is right, or of numbers the mean error, in words. */
export const scoreText = ({ accuracy, error }: { accuracy?: number; error?: number }): string =>
  error === undefined ? `accuracy ${percent(accuracy)}` : `mean error ${brief(error)}`;

/** What a run began with. */
export interface TrainingStart {
  /**
   * Where the weights came from: `"scratch"` if they were drawn for this run, `"trained"` if earlier runs of `train` had
   * trained them, `"loaded"` if they were read from a file, `"new"` if the network was just built, or made by other code.
   */
  readonly from: "scratch" | "trained" | "loaded" | "new";
  /** The runs before this one that its weights come from. */
  readonly before: readonly TrainingSummary[];
}

/** What a run began with in words; empty for a network that was just built. */
export function startText({ from, before }: TrainingStart): string {
  const anew = `To begin anew: train(…, { from: "scratch" }).`;
  if (from === "trained") return `Went on from trained weights: ${trainingText(before)}. ${anew}`;
  if (from === "loaded") return `Went on from the weights that were loaded. ${anew}`;
  return from === "scratch" ? "Began anew, from fresh weights." : "";
}

/** A training run as plain data: what its figures are drawn from. */
export interface HistoryData {
  /** The model's name. */
  readonly model: string;
  /** The data set's name. */
  readonly dataset: string;
  /** The class labels in the order of the outputs. */
  readonly labels: readonly string[];
  /** What the run began with. */
  readonly start: TrainingStart;
  /** One row an epoch. */
  readonly rows: readonly EpochRow[];
  /** One row for each epoch (from 0 on) and watched layer: convolutions, poolings, dense layers but the last. */
  readonly layers: readonly LayerRow[];
  /** In the order of their epochs. */
  readonly snapshots: readonly Snapshot[];
  /** The probe image as the model saw it, `[h, w, 3]`, RGB of 0…255; null without a probe. */
  readonly probe: NdArray | null;
  /** The images that could not be read, and were left out, those of the validation too. */
  readonly skipped: readonly SkippedImage[];
  /** Why it ended. */
  readonly ending: Ending;
}

/** What can be seen of a run between two of its steps. */
export interface TrainingView {
  /** Everything up to the last full epoch. */
  readonly history: HistoryData;
  /** The epoch that is running, from 1. */
  readonly epoch: number;
  /** How much of it is done, from 0 to 1. */
  readonly share: number;
  /** Mean loss over the last steps; NaN before the first. */
  readonly loss: number;
  /** Mean accuracy over the last steps; NaN before the first, absent where the outputs are numbers. */
  readonly accuracy?: number;
  /** Of numbers: the mean of the errors' magnitudes over the last steps. */
  readonly error?: number;
  /** The first convolution's filters and the probe image's activations as they are now. */
  readonly peek: () => Promise<Snapshot>;
}

/** Who watches a run. The run waits for what these return. */
export interface TrainingWatcher {
  /** While images are read before training, those of the validation too. */
  onRead?(done: number): void;
  /** A few times a second, between two steps. */
  onMoment?(view: TrainingView): Promise<void> | void;
  /** After each epoch, and before the first. */
  onEpoch?(history: HistoryData): Promise<void> | void;
}

/** The layer of a weight of a {@linkcode Snapshot}, from its name: `"conv1"` of `"conv1/kernel"`. */
export const layerOf = (weight: string): string => weight.slice(0, weight.lastIndexOf("/"));
