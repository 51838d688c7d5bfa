/**
 * What a training run left behind.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type { Ending, EpochRow, HistoryData, LayerRow, Snapshot } from "../data/history.ts";
import type { Figure } from "../figure/figure.ts";
import { readOptions } from "../options.ts";
import { Result } from "./result.ts";
import { historyFigure, HistoryFigureOptions } from "./training_figures.ts";

/** What a training run left behind; in a cell, its curves. */
export class History extends Result<EpochRow> implements HistoryData {
  /** The model's name. */
  readonly model: string;
  /** The data set's name. */
  readonly dataset: string;
  /** The class labels in the order of the outputs. */
  readonly labels: readonly string[];
  /** One row an epoch. */
  readonly rows: readonly EpochRow[];
  /** One row for each epoch, from 0 on, and layer: its sparsity and its share of dead maps. */
  readonly layers: readonly LayerRow[];
  /** The weights and the probe image's activations at chosen epochs. */
  readonly snapshots: readonly Snapshot[];
  /** The probe image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly probe: NdArray | null;
  /** The images that could not be read, and were left out, those of the validation too. */
  readonly skipped: readonly SkippedImage[];
  /** Why the run ended. */
  readonly ending: Ending;
  readonly #order: "rgb" | "bgr";

  /** @internal */
  constructor(data: HistoryData, { order }: { order: "rgb" | "bgr" }) {
    super();
    this.model = data.model;
    this.dataset = data.dataset;
    this.labels = data.labels;
    this.rows = data.rows;
    this.layers = data.layers;
    this.snapshots = data.snapshots;
    this.probe = data.probe;
    this.skipped = data.skipped;
    this.ending = data.ending;
    this.#order = order;
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
