/**
 * Images that are transparent in places, over what is behind them; their pixels have how opaque they are, 0…255, behind their
 * colours. The score of what is seen asks for pixels only where they matter.
 *
 * Mordvintsev, Pezzotti, Schubert and Olah, "Differentiable Image Parameterizations" (Distill 2018), "Transparency".
 *
 * @module
 */

import type { Slope } from "./optimise.ts";

/** Pixels with what is behind them. */
export function laidOver(pixels: Float32Array, behind: Float32Array, channels: number): Float32Array {
  const count = pixels.length / (channels + 1);
  return Float32Array.from({ length: count * channels }, (_, i) => {
    const [pixel, c] = [Math.floor(i / channels), i % channels];
    const at = pixel * (channels + 1);
    const opaque = pixels[at + channels] / 255;
    return opaque * pixels[at + c] + (1 - opaque) * behind[i % behind.length];
  });
}

/**
 * The gradient to pixels that can be transparent, of which that to {@linkcode laidOver} is given. What is opaque costs: the
 * score counts less, as far as the image is (Lucid's alpha).
 */
export function laidBack(
  pixels: Float32Array,
  behind: Float32Array,
  { values, gradient }: Slope,
  channels: number,
): Float32Array {
  const each = pixels.length / values.length;
  const out = new Float32Array(pixels.length);
  values.forEach((value, i) => {
    const own = pixels.subarray(i * each, (i + 1) * each);
    const count = each / (channels + 1);
    let sum = 0;
    for (let p = 0; p < count; p++) sum += own[p * (channels + 1) + channels];
    const share = 1 - sum / 255 / count;
    for (let p = 0; p < count; p++) {
      const at = p * (channels + 1);
      let through = 0;
      for (let c = 0; c < channels; c++) {
        const slope = gradient[(i * count + p) * channels + c] * share;
        out[i * each + at + c] = slope * own[at + channels] / 255;
        through += slope * (own[at + c] - behind[p * channels + c]);
      }
      out[i * each + at + channels] = (through - value / count) / 255;
    }
  });
  return out;
}
