/**
 * How many bytes a notebook keeps of a figure: of its HTML, and of its PNG in base64.
 *
 * @module
 */

import { ndarray } from "../../lib/array.ts";
import { photo } from "../../lib/data/photo.ts";
import type { Shown } from "../../lib/figure/figure.ts";
import { activations } from "../../lib/methods/activations.ts";
import { compare } from "../../lib/methods/compare.ts";
import { embeddingGrid } from "../../lib/methods/embedding_grid.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { tsne } from "../../lib/methods/tsne.ts";
import { loadModel } from "../../lib/model/load.ts";
import { resize } from "../../lib/resize/resize.ts";
import type { Line } from "./harness.ts";

const NAMES = ["dog", "cat", "tabby", "beagles", "beach", "biplane", "boats"];
const SIDE = 64;
const COLUMNS = 16;

/** Points in seven clusters, each with a part of one of the catalogue's photos. */
async function pointsWithPictures(count: number) {
  const photos = await Promise.all(NAMES.map((name) => photo(name)));
  let state = 7;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const data = new Uint8Array(count * SIDE * SIDE * 3);
  for (let i = 0; i < count; i++) {
    const source = photos[i % 7];
    const [height, width] = source.shape;
    const side = Math.floor(Math.min(height, width) * (0.3 + 0.6 * random()));
    const [top, left] = [Math.floor((height - side) * random()), Math.floor((width - side) * random())];
    const part = source.crop([top, left, top + side, left + side]);
    data.set(Uint8ClampedArray.from(resize(part, [SIDE, SIDE]).data), i * SIDE * SIDE * 3);
  }
  const values = Float32Array.from(
    { length: count * COLUMNS },
    (_, e) => random() + (Math.floor(e / COLUMNS) % 7 === e % COLUMNS ? 2 : 0),
  );
  return {
    ...ndarray(values, [count, COLUMNS]),
    labels: Array.from({ length: count }, (_, i) => NAMES[i % 7]),
    ids: Array.from({ length: count }, (_, i) => `img-${i}`),
    thumbnails: { data, side: SIDE },
  };
}

/** What a notebook kept of the same figures when every picture was a PNG in full colours (issue 14). */
const BEFORE: Record<string, number> = {
  "a photo": 1_058_000,
  "five attributions": 5_369_000,
  "64 maps": 3_011_000,
  "a grid of 1,399 images": 8_102_000,
  "a t-SNE map of 1,399 images": 2_965_000,
  "a t-SNE map of 200 images": 1_164_000,
};

/** Those of which a day's notebook is made, and the bytes that these may take together. */
const DAY = ["a photo", "five attributions", "64 maps", "a grid of 1,399 images"];
const GOAL = 5_000_000;

/** Bytes a figure; the ratio is to what it was before. */
export async function figureBytes(): Promise<Line[]> {
  const model = await loadModel("resnet50");
  try {
    const dog = await photo("dog");
    const five = [
      await saliency(model, dog),
      await inputXGradient(model, dog),
      await guidedBackprop(model, dog),
      await gradCam(model, dog),
      await smoothGrad(model, dog, { samples: 4 }),
    ];
    const many = await pointsWithPictures(1399);
    const map = await tsne(many, { iterations: 300, seed: 1 });
    const figures: Record<string, Pick<Shown, "figure">> = {
      "a photo": dog,
      "five attributions": compare(five),
      "64 maps": await activations(model, dog, { layer: "conv1" }),
      "a grid of 1,399 images": await embeddingGrid(many, map),
      "a t-SNE map of 1,399 images": map,
      "a t-SNE map of 200 images": await tsne(await pointsWithPictures(200), {
        iterations: 300,
        seed: 1,
        perplexity: 15,
      }),
    };
    const lines: Line[] = [];
    for (const [name, result] of Object.entries(figures)) {
      const bundle = await result.figure().bundle();
      const bytes = String(bundle["text/html"]).length + String(bundle["image/png"]).length;
      lines.push({ name, median: bytes, unit: "bytes", ratio: bytes / BEFORE[name] });
    }
    const sum = lines.filter(({ name }) => DAY.includes(name)).reduce((all, { median }) => all + median, 0);
    return [...lines, { name: "the first four together", median: sum, unit: "bytes", goal: GOAL }];
  } finally {
    model.dispose();
  }
}
