/**
 * A network at a glance: one bar a layer.
 *
 * @module
 */

import type { Pixels } from "./mosaic.ts";

/** What a bar needs to know of its layer. */
export interface SilhouetteLayer {
  readonly kind: string;
  readonly outputShape: readonly (number | null)[];
}

const WIDTH = 720;
const HEIGHT = 72;
const WEIGHTED = [86, 180, 233];
const POOLING = [230, 159, 0];
const OTHER = [150, 150, 150];
const GROUND = [38, 42, 48];

/**
 * Draws one bar a layer in the order of the network: its height is the resolution of the output (the square root of
 * the share of the finest layer's side), its brightness the number of channels (on a log scale), its colour the kind.
 */
export function drawSilhouette(layers: readonly SilhouetteLayer[]): Pixels {
  const side = ({ outputShape }: SilhouetteLayer) => outputShape.length === 3 ? outputShape[0] ?? 0 : 1;
  const channels = ({ outputShape }: SilhouetteLayer) => outputShape.at(-1) ?? 1;
  const finest = Math.max(1, ...layers.map(side));
  const most = Math.max(2, ...layers.map(channels));
  const step = Math.max(2, Math.min(24, Math.floor(WIDTH / Math.max(1, layers.length))));
  const bar = Math.max(1, step - (step > 3 ? 1 : 0));
  const width = Math.max(1, layers.length * step);
  const data = new Uint8Array(width * HEIGHT * 3);
  for (let i = 0; i < data.length; i += 3) data.set(GROUND, i);
  layers.forEach((layer, index) => {
    const color = /Pooling/.test(layer.kind) ? POOLING : /Conv|Dense/.test(layer.kind) ? WEIGHTED : OTHER;
    const light = 0.4 + 0.6 * (Math.log2(Math.max(1, channels(layer))) / Math.log2(most));
    const tall = Math.max(2, Math.round((HEIGHT - 4) * Math.sqrt(side(layer) / finest)));
    const top = Math.floor((HEIGHT - tall) / 2);
    for (let y = top; y < top + tall; y++) {
      for (let x = index * step; x < index * step + bar; x++) {
        data.set(color.map((c) => Math.round(c * light)), (y * width + x) * 3);
      }
    }
  });
  return { data, width, height: HEIGHT };
}
