/**
 * What `codes` returns: a vector an image, in memory or in a file, and their picture: one row an image, one column a unit.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import type { Points } from "../embed/points.ts";
import { Figure, Shown } from "../figure/figure.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { percent } from "../format.ts";
import { largestOf, painted } from "./panels.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One image: a row of the table. */
export interface CodeRow {
  /** The image's name. */
  id: string;
  /** What it is, where that is known. */
  label: string | null;
  /** Where predictions were kept. */
  prediction?: string;
}

/** Codes of images: points `[n, d]` that know their images. */
export class Codes extends Result<CodeRow> implements Points {
  /** Row by row, one an image. */
  readonly data: Float32Array;
  /** `[n, d]` */
  readonly shape: readonly [count: number, length: number];
  /** The id of each image. */
  readonly ids: readonly string[];
  /** The label of each image; undefined where it has none. */
  readonly labels: readonly (string | undefined)[];
  /**
   * What the model takes each image for, its likeliest class: kept where the codes are what the classifier reads, or
   * what it puts out.
   */
  readonly predictions?: readonly string[];
  /** The layer that put them out. */
  readonly layer: string;
  /** Small pictures, `[n, side, side, 3]`, one byte a value; absent where none were asked for. */
  readonly thumbnails?: { readonly data: Uint8Array; readonly side: number };
  /** What they are, in a few words. */
  readonly about: string;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];

  /** @internal */
  constructor(
    codes: NdArrayLike,
    about: Pick<Codes, "ids" | "labels" | "predictions" | "layer" | "about" | "thumbnails"> & {
      readonly skipped?: readonly SkippedImage[];
    },
  ) {
    super();
    this.data = codes.data;
    this.shape = [codes.shape[0], codes.shape[1]];
    this.ids = about.ids;
    this.labels = about.labels;
    this.predictions = about.predictions;
    this.layer = about.layer;
    this.about = about.about;
    this.thumbnails = about.thumbnails;
    this.skipped = about.skipped ?? [];
  }

  /** The codes as an array, to compute with. */
  get array(): NdArray {
    return NdArray.from(this);
  }

  /** Share of the numbers that are exactly 0. */
  get sparsity(): number {
    return zerosIn(this.data) / this.data.length;
  }

  /** The images, without their codes. */
  get rows(): CodeRow[] {
    return this.ids.map((id, i) => ({
      id,
      label: this.labels[i] ?? null,
      ...(this.predictions && { prediction: this.predictions[i] }),
    }));
  }

  /** The codes of some images as rows of cells. */
  override figure(): Figure {
    const sample = new CodesSample(this.shape[0]);
    sample.add(this, 0);
    return codesFigure(this, sample, { sparsity: this.sparsity });
  }
}

/** Codes in a file; in a cell some of them. {@linkcode loadCodes} takes them into memory. */
export class CodesFile extends Shown {
  /** Where the file is. */
  readonly path: string;
  /** `[n, d]` */
  readonly shape: readonly [count: number, length: number];
  /** The layer that put them out. */
  readonly layer: string;
  /** What they are, in a few words. */
  readonly about: string;
  /** Share of the numbers that are exactly 0. */
  readonly sparsity: number;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #sample: CodesSample;

  /** @internal */
  constructor(
    path: string,
    shape: readonly [number, number],
    { layer, about, sparsity, skipped }: Pick<CodesFile, "layer" | "about" | "sparsity" | "skipped">,
    sample: CodesSample,
  ) {
    super();
    this.path = path;
    this.shape = shape;
    this.layer = layer;
    this.about = about;
    this.sparsity = sparsity;
    this.skipped = skipped;
    this.#sample = sample;
  }

  /** The codes of some images as rows of cells. */
  override figure(): Figure {
    return codesFigure(this, this.#sample, { sparsity: this.sparsity, file: this.path });
  }
}

/** What the figure draws at most. */
const MOST_ROWS = 120;
const MOST_COLUMNS = 900;

/** The codes that the figure draws: of images evenly spread, so that all classes of a sorted data set are seen. */
export class CodesSample {
  readonly #images: readonly number[];
  #values = new Float32Array();
  #count = 0;

  constructor(count: number) {
    const rows = Math.min(count, MOST_ROWS);
    this.#images = Array.from({ length: rows }, (_, i) => Math.floor(i * count / rows));
  }

  /** Takes what it wants of some codes, the first of which is that of image `start`. */
  add({ data, shape: [count, length] }: NdArrayLike, start: number): void {
    const columns = Math.min(length, MOST_COLUMNS);
    this.#count = Math.max(this.#count, start + count);
    if (this.#values.length === 0) this.#values = new Float32Array(this.#images.length * columns);
    this.#images.forEach((image, y) => {
      const row = image - start;
      if (row < 0 || row >= count) return;
      this.#values.set(data.subarray(row * length, row * length + columns), y * columns);
    });
  }

  /** `[rows, columns]` */
  get values(): NdArrayLike {
    const columns = this.#values.length / this.#images.length;
    const rows = this.#images.filter((image) => image < this.#count).length;
    return { data: this.#values.subarray(0, rows * columns), shape: [rows, columns] };
  }
}

/** How many numbers are exactly 0. */
export function zerosIn(data: Float32Array): number {
  return data.reduce((zeros, value) => zeros + (value === 0 ? 1 : 0), 0);
}

/**
 * Draws codes as rows of light and dark cells.
 *
 * @param file where they stand, if not in memory
 */
function codesFigure(
  { about, shape: [count, length], skipped }: Pick<CodesFile, "about" | "shape" | "skipped">,
  sample: CodesSample,
  { sparsity, file }: { sparsity: number; file?: string },
): Figure {
  const { data: values, shape: [rows, columns] } = sample.values;
  const largest = largestOf(values);
  const signed = values.some((value) => value < 0);
  const factor = Math.max(1, Math.floor(900 / columns));
  const tall = Math.max(1, Math.min(factor, 8), Math.floor(240 / rows));
  const title = `${about} · codes ${count}×${length}`;
  const described = `${count} codes of ${length} numbers, ${percent(sparsity)} of them exactly 0`;
  const part = [
    rows < count ? `${rows} of the ${count} images` : "",
    columns < length ? `the first ${columns} of the ${length} units` : "",
  ].filter(Boolean).join(" and ");
  const where = file === undefined ? "" : `In the file ${file}.`;
  return new Figure({
    title,
    caption: [
      `One row an image, one column a unit; black is 0${
        signed ? ", negative numbers blue, positive ones orange" : ", white the greatest"
      }.`,
      `${described}.`,
      part && `Drawn: ${part}.`,
      where,
      skippedNote(skipped),
    ].filter(Boolean).join(" "),
    blocks: [{
      kind: "picture",
      pixels: painted(sample.values, {
        low: signed ? -largest : 0,
        high: largest,
        palette: signed ? "diverging" : "grey",
        factor: [tall, factor],
      }),
      values: sample.values,
      alt: `${described}, as rows of light and dark cells`,
    }],
  });
}
