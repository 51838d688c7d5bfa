/**
 * Watching a ConvNet learn: its curves, its filters, its feature maps and their sparsity, live in the cell.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../data/dataset.ts";
import type { HistoryData } from "../data/history.ts";
import { descriptionOf } from "../model/copy.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { Interrupted } from "../interrupt.ts";
import { flag, readOptions } from "../options.ts";
import { TrainingSpec } from "../probe/training/options.ts";
import { trainAsRead } from "../probe/training/train.ts";
import { History } from "../results/history.ts";
import { LiveTraining } from "../results/live_training.ts";

/** Options of {@linkcode train}. */
export class TrainOptions extends TrainingSpec {
  /**
   * Whether the cell shows the network while it learns, and a terminal one line an epoch.
   * @default true
   */
  @flag()
  live = true;
}

/**
 * Trains a model on a data set, and shows it learn: loss and accuracy, the filters of the first layer, the maps of one
 * image, and the sparsity of each layer.
 *
 * The weights of `model` change, and `model.training` says by which runs; nothing else of it does. A model that was trained
 * before goes on from there, also when a cell is run again, and the figure says so; with `from: "scratch"` it begins anew. A run that is aborted, by `signal` or by the button in the
 * cell, keeps what was learned by then, and returns. Jupyter's ■ ends the cell with an `AbortError`; the model keeps what
 * it has learned then, too. With `checkpoint` it can be taken up again later, also after the process was
 * killed, and then reaches the same weights as a run that was never stopped, bit by bit on the same backend and machine.
 * A checkpoint belongs to one run: to its images with their ids and labels (checksums over all of them), its network,
 * preprocessing and options. With anything else it is refused, but for more epochs: the run goes on to these.
 *
 * The button reaches a kernel on the browser's own machine; elsewhere use ■.
 *
 * Images are brought to the model's size, once, and rounded to bytes. Up to 1 GB of them stays in memory; more goes to
 * a temporary file. What the model puts out (`model.output`) says what the loss is: the cross-entropy over classes, the
 * binary one of a single unit or of each of several labels, the mean of the squared errors of numbers; of maps the same at each
 * place. What is true of an image stands in the data set's columns, or `truth` says it, as for `evaluate`; maps are mirrored
 * and shifted as their images are, and places of which nothing is known (NaN, or 255 in a mask of bytes) train nothing. Several linear outputs, as many as the data set has labels, are taken for logits (load the
 * model with `output: "classes"`, and `predict` takes them so, too). Layers
 * inside of models and wrappers train as all others.
 *
 * @param model what to train, as from `loadModel` or `catsVsDogsConvnet`
 * @param dataset images with labels: those of the model or, if it has none, as many as it has outputs; or with what else is
 *   true of them, in columns `labels`, `value`, `values`, `mask` or `map`
 * @returns rows `{ epoch, loss, accuracy, validationLoss, validationAccuracy, learningRate, seconds }`, of numbers `error` and
 *   `validationError` for the two accuracies; `layers`, with
 *   the sparsity and the share of dead maps; `snapshots`; `ending`
 * @throws {TypeError} if the data set does not say what is true of its images, or the model has a layer that cannot be
 *   trained so that a run repeats
 * @throws {RangeError} if an option or a label does not fit
 * @throws {TrainingError} if the loss or the weights are no longer numbers
 * @throws what `signal` was aborted with, if that happens while the images are still read; an `AbortError` at ■
 * @throws {CheckpointError} if the checkpoint belongs to another run, is damaged, or cannot be written
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, cifar10, train } from "@convlens/convlens";
 *
 * const model = await catsVsDogsConvnet();
 * const pets = await cifar10({ classes: ["cat", "dog"], limit: 1000 });
 * const history = await train(model, pets, { optimizer: "adam", epochs: 2 });
 * history.figure({ view: "filters" });
 * ```
 */
export async function train(
  model: Model,
  dataset: Dataset,
  options: Partial<TrainOptions> = {},
): Promise<History> {
  checkModel("train", model);
  checkDataset("train", dataset);
  const { live, ...spec } = readOptions("train", TrainOptions, options);
  await checkReady("train", model, { weights: spec.from !== "scratch" });
  const { order } = model.preprocess;
  // A run that is stopped returns what it has; ■ ends the cell, too.
  const interruptOf = ({ ending }: HistoryData) =>
    ending === "aborted" && spec.signal?.reason instanceof Interrupted ? spec.signal.reason : undefined;
  const ended = (data: HistoryData) => {
    const interrupt = interruptOf(data);
    if (interrupt) throw interrupt;
    return new History(data, { order, network: descriptionOf(model) });
  };
  if (!live) return ended(await trainAsRead(model, dataset, spec));
  const { validation, epochs } = spec;
  const images = dataset.size + (typeof validation === "number" ? 0 : validation.size);
  const view = new LiveTraining({ model: model.name, dataset: dataset.name, images, epochs, order });
  const signals = [spec.signal, view.signal].filter((signal) => signal !== undefined);
  let data: HistoryData;
  try {
    data = await trainAsRead(model, dataset, { ...spec, signal: AbortSignal.any(signals) }, view);
    await view.finish(data, interruptOf(data));
  } catch (error) {
    await view.fail(error);
    throw error;
  } finally {
    await view.close();
  }
  return ended(data);
}
