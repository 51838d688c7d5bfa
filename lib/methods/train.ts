/**
 * Watching a ConvNet learn: its curves, its filters, its maps and their sparsity, live in the cell.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import { type Figure, Shown } from "../figure/figure.ts";
import { historyFigure, type HistoryFigureOptions } from "../results/training_figures.ts";
import { type LiveTraining, startLiveTraining } from "../results/live_training.ts";
import { inKernel } from "../figure/cell.ts";
import { startStopButton } from "../figure/cell.ts";
import { startProgress } from "../figure/cell.ts";
import { checkModel, type Model } from "../model/model.ts";
import type { Ending, EpochRow, HistoryData, LayerRow, Snapshot } from "../probe/training/history.ts";
import { runTraining, TRAINING_OPTIONS, type TrainingOptions } from "../probe/training/train.ts";

export interface TrainOptions extends TrainingOptions {
  /**
   * Whether the cell shows the network while it learns, and a terminal one line an epoch.
   * @default true
   */
  live?: boolean;
}

/** What a training run left behind; in a cell, its curves. */
export class History extends Shown implements HistoryData {
  readonly model: string;
  readonly dataset: string;
  readonly labels: readonly string[];
  /** One row an epoch. */
  readonly rows: readonly EpochRow[];
  /** One row for each epoch, from 0 on, and layer: its sparsity and its share of dead maps. */
  readonly layers: readonly LayerRow[];
  /** The weights and the probe image's activations at chosen epochs. */
  readonly snapshots: readonly Snapshot[];
  /** The probe image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly probe: NdArray | null;
  readonly ending: Ending;
  readonly #order: "rgb" | "bgr";

  constructor(data: HistoryData, { order }: { order: "rgb" | "bgr" }) {
    super();
    this.model = data.model;
    this.dataset = data.dataset;
    this.labels = data.labels;
    this.rows = data.rows;
    this.layers = data.layers;
    this.snapshots = data.snapshots;
    this.probe = data.probe;
    this.ending = data.ending;
    this.#order = order;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  /**
   * Draws the run: `"curves"`, `"filters"`, `"activations"` or `"sparsity"`.
   *
   * @throws {RangeError} if the view is unknown, or the run kept nothing to draw in it
   */
  override figure(options: Omit<HistoryFigureOptions, "order"> = {}): Figure {
    checkOptions("figure", options, { view: true, layer: true, maps: true });
    return historyFigure(this, { ...options, order: this.#order });
  }
}

/**
 * Trains a model on a data set, and shows it learn: loss and accuracy, the filters of the first layer, the maps of one
 * image, and the sparsity of each layer.
 *
 * The weights of `model` change; nothing else of it does. A run that is aborted, by `signal` or by the button in the
 * cell, keeps what was learned by then. With `checkpoint` it can be taken up again later, also after the process was
 * killed, and then reaches the same weights as a run that was never stopped, bit by bit on the same backend and machine.
 * A checkpoint belongs to one run: with other options, more epochs among them, it is refused.
 *
 * The button reaches a kernel on the browser's own machine; elsewhere, abort by `signal`.
 *
 * Images are brought to the model's size, once, and rounded to bytes. Up to 1 GB of them stays in memory; more goes to
 * a temporary file. The last layer's activation says what the loss is: softmax (or none, for logits) gives the
 * cross-entropy over classes, a single sigmoid unit the binary one.
 *
 * @param model what to train, as from `loadModel` or `catsVsDogsConvnet`
 * @param dataset images with labels: those of the model or, if it has none, as many as it has outputs
 * @returns rows `{ epoch, loss, accuracy, validationLoss, validationAccuracy, learningRate, seconds }`; `layers`, with
 *   the sparsity and the share of dead maps; `snapshots`; `ending`
 * @throws {TypeError} if the data set has no labels, or the model is no classifier of images that can be trained here
 * @throws {RangeError} if an option or a label does not fit
 * @throws {TrainingError} if the loss or the weights are no longer numbers
 * @throws what `signal` was aborted with, if that happens while the images are still read
 * @throws {CheckpointError} if the checkpoint belongs to another run
 *
 * @example
 * ```ts
 * const model = await catsVsDogsConvnet();
 * const pets = await cifar10({ classes: ["cat", "dog"] });
 * const history = await train(model, pets, { optimizer: "adam", epochs: 5 });
 * history.figure({ view: "filters" });
 * ```
 */
export async function train(
  model: Model,
  dataset: Dataset,
  options: TrainOptions = {},
): Promise<History> {
  checkModel("train", model);
  checkDataset("train", dataset);
  const { live = true, ...how } = checkOptions("train", options, { ...TRAINING_OPTIONS, live: true });
  const { order } = model.preprocess;
  const validated = typeof how.validation === "number" ? 0 : how.validation?.size ?? 0;
  const reading = live ? startProgress(`Reading ${dataset.name}`, dataset.size + validated) : undefined;
  const button = live && inKernel() ? startStopButton("Stop training") : undefined;
  const signals = [how.signal, button?.signal].filter((signal) => signal !== undefined);
  let view: LiveTraining | undefined;
  try {
    const data = await runTraining(model, dataset, { ...how, signal: AbortSignal.any(signals) }, {
      onRead: (done) => reading?.update(done),
      async onEpoch(history) {
        if (!live) return;
        if (!view) {
          await reading?.finish();
          const label = `Training ${model.name} on ${dataset.name}`;
          view = startLiveTraining(label, { order, epochs: how.epochs ?? 10, control: button?.html });
        }
        await view.epoch(history);
      },
      onMoment: (moment) => view?.moment(moment),
    });
    await view?.finish(data);
    return new History(data, { order });
  } catch (error) {
    await (view ?? reading)?.stop();
    throw error;
  } finally {
    await button?.close();
  }
}
