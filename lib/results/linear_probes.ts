/**
 * What `linearProbes` returns: how well a linear classifier does on each layer, with an embedding of each.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import type { Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mapLegend, smallMap } from "../figure/map/map.ts";
import { percent } from "../format.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One layer: a row of the table. */
export interface ProbeRow {
  /** The layer's name, or "pixels". */
  layer: string;
  /** How many numbers an image has there, as the probe reads them. */
  dimensions: number;
  /** Share of the held-out images that the probe gets right; beside it its interval of 95 % (Wilson). */
  accuracy: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
  /** The same share of the images that it was trained on. */
  trained: number;
}

/** Of a small embedding, so that three of them stand side by side in a cell of JupyterLab, its file browser open. */
const SIDE = 260;

/** What probes are made of. */
interface ProbesParts {
  rows: ProbeRow[];
  embeddings: NdArrayLike[];
  labels: string[];
  trained: number;
  tested: number;
  skipped: readonly SkippedImage[];
  names: { model: string; dataset: string; embedding: string };
}

/** Probes of layers, with an embedding of each. */
export class LinearProbes extends Result<ProbeRow> {
  /** One for each layer, the pixels first. */
  readonly rows: readonly ProbeRow[];
  /** The embedding of each layer, `[n, 2]`. */
  readonly embeddings: readonly NdArray[];
  /** The label of each image. */
  readonly labels: readonly string[];
  /** How many images the probes were trained on. */
  readonly trained: number;
  /** How many other images they were tested on. */
  readonly tested: number;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #names: ProbesParts["names"];

  /** @internal */
  constructor({ rows, embeddings, labels, trained, tested, skipped, names }: ProbesParts) {
    super();
    this.rows = rows;
    this.embeddings = embeddings.map(NdArray.from);
    this.labels = labels;
    this.trained = trained;
    this.tested = tested;
    this.skipped = skipped;
    this.#names = names;
  }

  /** The accuracy of each layer as bars, and under it a small embedding of each layer. */
  override figure(): Figure {
    const { model, dataset, embedding } = this.#names;
    const title = `Linear probes · ${model} · ${dataset}`;
    const chance = Math.max(...Map.groupBy(this.labels, (label) => label).values().map((one) => one.length)) /
      this.labels.length;
    return new Figure({
      title,
      caption: [
        `A linear classifier on each layer, trained on ${this.trained} images and tested on ${this.tested} others; ` +
        `bars of 95 %. Always the most frequent class would get ${
          percent(chance)
        }. Below, each layer's map by ${embedding}: ` +
        "near points are alike there.",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        { kind: "row", blocks: [this.#chart(chance), mapLegend(this.labels)] },
        {
          kind: "row",
          columns: 3,
          blocks: this.rows.map((row, i) =>
            smallMap({ points: this.embeddings[i], labels: this.labels }, {
              heading: `${row.layer} · ${percent(row.accuracy)}`,
              side: SIDE,
            })
          ),
        },
      ],
      lines: this.rows.map(({ layer, accuracy, low, high }) =>
        `${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${layer}`
      ),
    });
  }

  /** The accuracy of each layer, and that of always naming the most frequent class. */
  #chart(chance: number): Chart {
    // From edge to edge of the chart.
    const places = [-0.5, ...this.rows.keys(), this.rows.length - 0.5];
    return {
      kind: "chart",
      series: [{
        label: "accuracy on held-out images",
        x: this.rows.map((_, i) => i),
        y: this.rows.map(({ accuracy }) => accuracy),
        low: this.rows.map(({ low }) => low),
        high: this.rows.map(({ high }) => high),
        as: "bars",
      }, {
        label: "always the most frequent class",
        x: places,
        y: places.map(() => chance),
        dashed: true,
      }],
      x: { title: "" },
      y: { title: "accuracy", min: 0, max: 1 },
      names: this.rows.map(({ layer }) => layer),
      width: Math.min(600, Math.max(400, 110 * this.rows.length)),
      alt: `Accuracy of linear probes: ${
        this.rows.map(({ layer, accuracy }) => `${layer} ${percent(accuracy)}`).join(", ")
      }`,
    };
  }
}
