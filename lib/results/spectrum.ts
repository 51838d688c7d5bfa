/**
 * Power spectra as pictures.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { Picture } from "../figure/blocks.ts";
import { colorize } from "../figure/color.ts";

/** Decades that a spectrum's palette spans. */
const DECADES = 3;
const ENLARGED = 3;
const LINE_COLOR = [120, 220, 255];

/**
 * A power spectrum with zero frequency in the middle and half a cycle a sample at the edges, in logarithmic steps: black
 * is a thousandth of the greatest power.
 *
 * @param power `[n, n]`, zero frequency first, as a Fourier transform leaves it
 * @param inside whether a frequency lies in the region whose border is drawn, in cycles a sample
 */
export function spectrumPicture(
  power: NdArray,
  inside: (fx: number, fy: number) => boolean,
  alt: string,
): Picture {
  const side = power.shape[0];
  const greatest = power.data.reduce((a, b) => Math.max(a, b), 0) || 1;
  const wide = side * ENLARGED;
  const at = (pixel: number) => (pixel / ENLARGED - side / 2 + 0.5 - 0.5 / ENLARGED) / side;
  const values = new Float32Array(wide * wide);
  for (let y = 0; y < wide; y++) {
    for (let x = 0; x < wide; x++) {
      const [fy, fx] = [Math.floor(y / ENLARGED), Math.floor(x / ENLARGED)].map((i) => (i + side / 2) % side);
      values[y * wide + x] = Math.log10(power.data[fy * side + fx] / greatest + 1e-12);
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
