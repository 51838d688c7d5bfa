/**
 * Networks compared by the frequencies that their first layers let through: numbers, first filters and spectra.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import type { NdArray, NdArrayLike } from "../array.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { colorize } from "../figure/color.ts";
import { Figure } from "../figure/figure.ts";
import { percent } from "../format.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";
import { filterPicture } from "./training_figures.ts";

/** One network in numbers. */
export interface StrideRow {
  /** The network's name. */
  model: string;
  /** The side of the first layer's filters in pixels. */
  kernel: number;
  /** The first layer's stride in pixels. */
  stride: number;
  /** The share of the first filters' energy, 0…1, below 1/6 of a cycle a pixel. */
  low: number;
  /** The share from 1/6 to 1/3 of a cycle a pixel. */
  mid: number;
  /** The share above 1/3 of a cycle a pixel. */
  high: number;
  /** The share, 0…1, of the energy of the first layer's response that its stride folds down to wrong frequencies. */
  aliasing1: number;
  /** The same of the second layer's response and the stride of both layers, poolings between them counted in. */
  aliasing2: number;
  /** The stride of the second layer's cells in pixels. */
  stride2: number;
  /** The share of the data set's images classified right, 0…1; `null` where the labels are not those of the model. */
  accuracy: number | null;
}

/** What is drawn of one network. */
export interface StrideSpectra {
  /** The first layer's filters, `[kh, kw, cin, cout]`. */
  readonly filters: NdArray;
  /** The order of the colour channels in the network's input. */
  readonly order: "rgb" | "bgr";
  /** `[64, 64]`: their mean power spectrum, zero frequency first. */
  readonly filterPower: NdArray;
  /** `[p, p]`: the second layer's mean power spectrum at every pixel, zero frequency first. */
  readonly responsePower: NdArray;
}

/** Networks side by side; in a cell, their first filters, spectra and numbers. */
export class StrideDiagnosis extends Result<StrideRow> {
  /** One row a network. */
  readonly rows: readonly StrideRow[];
  /** First filters and spectra of each network, in the order of the rows. */
  readonly spectra: readonly StrideSpectra[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #dataset: string;
  readonly #bandEdges: readonly [number, number];

  /** @internal */
  constructor(
    rows: StrideRow[],
    spectra: StrideSpectra[],
    { dataset, bandEdges, skipped = [] }: {
      dataset: string;
      bandEdges: readonly [number, number];
      skipped?: readonly SkippedImage[];
    },
  ) {
    super();
    this.rows = rows;
    this.spectra = spectra;
    this.skipped = skipped;
    this.#dataset = dataset;
    this.#bandEdges = bandEdges;
  }

  /** A table of the numbers; each network's first filters and spectra; charts of the shares. */
  override figure(): Figure {
    // Of networks that tell no classes apart, or others than the data set has, there is no accuracy to draw.
    const measured = this.rows.some(({ accuracy }) => accuracy !== null);
    const only = <T>(accuracy: T) => measured ? [accuracy] : [];
    const columns = ["model", "first layer", "low", "mid", "high", "aliasing 1", "aliasing 2", "accuracy"];
    const cells = this.rows.map((row) => [
      row.model,
      `${row.kernel}×${row.kernel} / ${row.stride}`,
      ...[row.low, row.mid, row.high, row.aliasing1, row.aliasing2, row.accuracy].map((share) => percent(share)),
    ]);
    const title = `Stride diagnosis · ${this.rows.map(({ model }) => model).join(", ")} · ${this.#dataset}`;
    const drawn = this.rows.flatMap((row, i): Block[] => [{
      kind: "row",
      heading: `${row.model} · first layer ${row.kernel}×${row.kernel}, stride ${row.stride}`,
      blocks: this.#pictures(row, this.spectra[i]),
    }]);
    return new Figure({
      title,
      caption:
        "Spectra have zero frequency in the middle and half a cycle a pixel at the edges, black is a thousandth " +
        "of the greatest power. Of the filters, circles part low, mid and high (1/6 and 1/3 of a cycle a pixel). " +
        "Of the second layer's response at every pixel, what lies outside the square is finer than its stride can " +
        "hold: it aliases. White noise would fill the bands with " +
        `${percent(Math.PI / 36)}, ${percent(Math.PI / 12)} and ${percent(1 - Math.PI / 9)}. ${
          skippedNote(this.skipped)
        }`.trimEnd(),
      blocks: [
        {
          kind: "table",
          columns: columns.map((title, i) => ({ title, ...(i > 1 && { align: "right" }) })),
          rows: cells,
        },
        ...drawn,
        {
          kind: "row",
          blocks: [
            this.#bars("First filters: energy by frequency", ["low", "mid", "high"], (row) => [
              row.low,
              row.mid,
              row.high,
            ]),
            this.#bars(measured ? "Aliasing and accuracy" : "Aliasing", [
              "aliasing 1",
              "aliasing 2",
              ...only("accuracy"),
            ], (row) => [
              row.aliasing1,
              row.aliasing2,
              ...only(row.accuracy ?? NaN),
            ]),
          ],
        },
      ],
    });
  }

  #bars(heading: string, names: string[], values: (row: StrideRow) => number[]): Block {
    return {
      kind: "chart",
      heading,
      series: this.rows.map((row) => ({ label: row.model, x: names.map((_, i) => i), y: values(row), as: "bars" })),
      x: { title: "" },
      y: { title: "share", min: 0, max: 1 },
      names,
      alt: `${heading} of ${this.rows.map(({ model }) => model).join(" and ")}`,
    };
  }

  #pictures(row: StrideRow, { filters, order, filterPower, responsePower }: StrideSpectra): Block[] {
    const radius = (fx: number, fy: number) => Math.hypot(fx, fy);
    const [low, high] = this.#bandEdges;
    const circles = (fx: number, fy: number) => (radius(fx, fy) < low) !== (radius(fx, fy) < high);
    const square = (fx: number, fy: number) => Math.max(Math.abs(fx), Math.abs(fy)) <= 0.5 / row.stride2;
    return [
      {
        ...filterPicture(filters, `first layer of ${row.model}`, { order, maxWidth: 480, maxHeight: 240 }),
        note: `${filters.shape[3]} filters`,
      },
      {
        ...spectrumPicture(filterPower, circles, `Mean spectrum of the first filters of ${row.model}`),
        note: `their spectrum: ${percent(row.mid)} mid`,
      },
      {
        ...spectrumPicture(responsePower, square, `Mean spectrum of the second layer's response of ${row.model}`),
        note: `layer 2, stride ${row.stride2}: ${percent(row.aliasing2)} aliases`,
      },
    ];
  }
}

/** Decades that a spectrum's palette spans. */
const DECADES = 3;
const ENLARGED = 3;
const LINE_COLOR = [120, 220, 255];

/**
 * A power spectrum with zero frequency in the middle and half a cycle a sample at the edges, in logarithmic steps: black
 * is a thousandth of the largest power.
 *
 * @param power `[n, n]`, zero frequency first, as a Fourier transform leaves it
 * @param inside whether a frequency lies in the region whose border is drawn, in cycles a sample
 */
export function spectrumPicture(
  power: NdArrayLike,
  inside: (fx: number, fy: number) => boolean,
  alt: string,
): Picture {
  const side = power.shape[0];
  const largest = power.data.reduce((a, b) => Math.max(a, b), 0) || 1;
  const wide = side * ENLARGED;
  const at = (pixel: number) => (pixel / ENLARGED - side / 2 + 0.5 - 0.5 / ENLARGED) / side;
  const values = new Float32Array(wide * wide);
  for (let y = 0; y < wide; y++) {
    for (let x = 0; x < wide; x++) {
      const [fy, fx] = [Math.floor(y / ENLARGED), Math.floor(x / ENLARGED)].map((i) => (i + side / 2) % side);
      values[y * wide + x] = Math.log10(power.data[fy * side + fx] / largest + 1e-12);
    }
  }
  const data = colorize(values, -DECADES, 0, "inferno");
  for (let y = 0; y < wide; y++) {
    for (let x = 0; x < wide; x++) {
      // A line runs where the next cell to the right or below is on its other side.
      const here = inside(at(x), at(y));
      if (here !== inside(at(x + 1), at(y)) || here !== inside(at(x), at(y + 1))) {
        data.set(LINE_COLOR, (y * wide + x) * 3);
      }
    }
  }
  return { kind: "picture", pixels: { data, width: wide, height: wide }, alt };
}
