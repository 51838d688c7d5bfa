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
const HEIGHT = 84;
const WEIGHTED = [66, 146, 222];
const POOLING = [230, 159, 0];

/** Layers that get a bar: those that look at the image through windows or weights. */
const drawn = ({ kind }: SilhouetteLayer) => /Conv|Dense|Pooling/.test(kind);

/**
 * Draws one bar a convolution, pooling or dense layer, in the order of the network: its height is the resolution of the
 * output (the square root of the share of the finest layer's side), its width grows with the number of channels (on a
 * log scale), its colour is the kind. The ground is transparent.
 */
export function drawSilhouette(layers: readonly SilhouetteLayer[]): Pixels {
  const bars = layers.filter(drawn);
  const side = ({ outputShape }: SilhouetteLayer) => outputShape.length === 3 ? outputShape[0] ?? 1 : 1;
  const channels = ({ outputShape }: SilhouetteLayer) => outputShape.at(-1) ?? 1;
  const finest = Math.max(1, ...bars.map(side));
  const most = Math.max(2, ...bars.map(channels));
  const room = Math.max(4, Math.min(30, Math.floor(WIDTH / Math.max(1, bars.length))));
  const widths = bars.map((bar) =>
    Math.max(2, Math.round((room - 2) * Math.log2(1 + channels(bar)) / Math.log2(1 + most)))
  );
  const width = Math.max(1, widths.reduce((sum, w) => sum + w + 2, 0));
  const data = new Uint8Array(width * HEIGHT * 4);
  let left = 0;
  bars.forEach((bar, index) => {
    const color = /Pooling/.test(bar.kind) ? POOLING : WEIGHTED;
    const tall = Math.max(3, Math.round(HEIGHT * Math.sqrt(side(bar) / finest)));
    const top = Math.floor((HEIGHT - tall) / 2);
    for (let y = top; y < top + tall; y++) {
      for (let x = left; x < left + widths[index]; x++) data.set([...color, 255], (y * width + x) * 4);
    }
    left += widths[index] + 2;
  });
  return { data, width, height: HEIGHT };
}
