/**
 * What a training run left behind.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type {
  Ending,
  EpochRow,
  HistoryData,
  LayerRow,
  ModelDescription,
  Snapshot,
  TrainingStart,
} from "../data/history.ts";
import type { Figure } from "../figure/figure.ts";
import { readOptions } from "../options.ts";
import { Result } from "./result.ts";
import { historyFigure, HistoryFigureOptions } from "./training_figures.ts";

/** What a training run left behind; in a cell, its curves. */
export class History extends Result<EpochRow> implements HistoryData {
  /** The model's name. */
  declare readonly model: string;
  /** The data set's name. */
  declare readonly dataset: string;
  /** The class labels in the order of the outputs. */
  declare readonly labels: readonly string[];
  /** What the run began with: fresh weights, or those of earlier runs. */
  declare readonly start: TrainingStart;
  /** One row an epoch. */
  declare readonly rows: readonly EpochRow[];
  /** One row for each epoch, from 0 on, and layer: its sparsity and its share of dead maps. */
  declare readonly layers: readonly LayerRow[];
  /** The weights and the probe image's activations at chosen epochs. */
  declare readonly snapshots: readonly Snapshot[];
  /** The probe image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  declare readonly probe: NdArray | null;
  /** The images that could not be read, and were left out, those of the validation too. */
  declare readonly skipped: readonly SkippedImage[];
  /** Why the run ended. */
  declare readonly ending: Ending;
  readonly #order: "rgb" | "bgr";
  readonly #network: ModelDescription | null;

  /** @internal */
  constructor(data: HistoryData, { order, network }: { order: "rgb" | "bgr"; network?: ModelDescription }) {
    super();
    Object.assign(this, data);
    this.#order = order;
    this.#network = network ?? null;
  }

  /** @internal What was trained, so that it can be built again with the weights of a snapshot; null where it is not known. */
  get network(): ModelDescription | null {
    return this.#network;
  }

  /**
   * Draws the run: `"curves"`, `"filters"`, `"activations"` or `"sparsity"`.
   *
   * @throws {RangeError} if the view is unknown, or the run kept nothing to draw in it
   */
  override figure(options: Partial<HistoryFigureOptions> = {}): Figure {
    const wanted = readOptions("figure", HistoryFigureOptions, options);
    return historyFigure(this, wanted, this.#order);
  }
}
