/**
 * Codes as a picture: one row an image, one column a unit.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { colorize } from "../figure/color.ts";
import { Figure } from "../figure/figure.ts";

/** What the figure draws at most. */
const MOST_ROWS = 120;
const MOST_COLUMNS = 900;

/** The codes that the figure draws: of images evenly spread, so that all classes of a sorted data set are seen. */
export class CodesSample {
  readonly #images: readonly number[];
  #values = new Float32Array();

  constructor(count: number) {
    const rows = Math.min(count, MOST_ROWS);
    this.#images = Array.from({ length: rows }, (_, i) => Math.floor(i * count / rows));
  }

  /** Takes what it wants of some codes, the first of which is that of image `start`. */
  add({ data, shape: [count, length] }: NdArray, start: number): void {
    const columns = Math.min(length, MOST_COLUMNS);
    if (this.#values.length === 0) this.#values = new Float32Array(this.#images.length * columns);
    this.#images.forEach((image, y) => {
      const row = image - start;
      if (row < 0 || row >= count) return;
      this.#values.set(data.subarray(row * length, row * length + columns), y * columns);
    });
  }

  /** `[rows, columns]` */
  get values(): NdArray {
    return { data: this.#values, shape: [this.#images.length, this.#values.length / this.#images.length] };
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
export function codesFigure(
  { about, shape: [count, length] }: { about: string; shape: readonly [number, number] },
  sample: CodesSample,
  { sparsity, file }: { sparsity: number; file?: string },
): Figure {
  const { data: values, shape: [rows, columns] } = sample.values;
  const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const signed = values.some((value) => value < 0);
  const factor = Math.max(1, Math.floor(900 / columns));
  const tall = Math.max(1, Math.min(factor, 8), Math.floor(240 / rows));
  const small = colorize(values, signed ? -greatest : 0, greatest, signed ? "diverging" : "grey");
  const data = new Uint8Array(columns * factor * rows * tall * 3);
  for (let y = 0, at = 0; y < rows * tall; y++) {
    for (let x = 0; x < columns * factor; x++) {
      const from = (Math.floor(y / tall) * columns + Math.floor(x / factor)) * 3;
      for (let c = 0; c < 3; c++) data[at++] = small[from + c];
    }
  }
  const title = `${about} · codes ${count}×${length}`;
  const told = `${count} codes of ${length} numbers, ${(100 * sparsity).toFixed(1)} % of them exactly 0`;
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
      `${told}.`,
      part && `Drawn: ${part}.`,
      where,
    ].filter(Boolean).join(" "),
    blocks: [{
      kind: "picture",
      pixels: { data, width: columns * factor, height: rows * tall },
      values: { data: values, shape: [rows, columns] },
      alt: `${told}, as rows of light and dark cells`,
    }],
    text: [title, `  ${told}`, where && `  ${where}`].filter(Boolean).join("\n"),
  });
}
