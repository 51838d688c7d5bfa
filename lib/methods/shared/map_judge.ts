/**
 * What an evaluation makes of maps: each place is right or wrong, or has an error.
 *
 * @module
 */

import { ndarray, type NdArrayLike, sizeOf } from "../../array.ts";
import { brief, percent } from "../../format.ts";
import type { ImageView } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { TruthReader } from "../../probe/truth.ts";
import { MapNumberScores, MapScores } from "../../results/map_scores.ts";
import { type Judge, Worst } from "./judge.ts";

/** The colour of the places that are wrong, over the photo. */
const WRONG = [255, 138, 0];

export function mapJudge(model: Model, truth: TruthReader, most: number): Judge<Float32Array> {
  const { output, preprocess: { fit } } = model;
  const { each, labels } = output;
  const worst = new Worst(most);
  const gridOf = ({ view }: ImageView) =>
    output.cells.map((length, axis) => length ?? model.shapeOf(output.layer, view.shape)[axis]!);
  const read: Judge<Float32Array>["read"] = (row, image) =>
    truth.mapOf(row, { grid: gridOf(image), seen: image.view.shape, fit });
  if (each === "numbers") {
    const scores = new MapNumberScores(labels, labels.map((_, i) => output.unitOf(i)));
    return {
      worst: [worst],
      read,
      judge(values, own, image) {
        const cost = scores.add(image.id, values, own);
        if (cost > 0) worst.add({ actual: image.id, predicted: `±${brief(cost)}${output.unitOf(0)}`, cost }, image);
      },
      scores: () => scores,
    };
  }
  const scores = new MapScores(labels, each === "labels");
  return {
    worst: [worst],
    read,
    judge(values, own, image) {
      const answers = each === "labels" ? new Float32Array() : answersOf(values, labels.length);
      const before = scores.rows.length;
      const wrong = scores.add(image.id, values, own, answers);
      // Of some images nothing is known.
      const row = scores.rows[before];
      if (!row || row.accuracy === 1 || !worst.wants(row.loss)) return;
      const view = marked(image, wrong, gridOf(image));
      const [predicted, actual] = [`${percent(row.accuracy)} right`, `IoU ${percent(row.meanIoU)}`];
      worst.add({ actual, predicted, cost: row.loss }, { id: image.id, view });
    },
    scores: () => scores,
  };
}

/** The most probable class of each place. */
function answersOf(values: ArrayLike<number>, count: number): Float32Array {
  return Float32Array.from({ length: values.length / count }, (_, cell) => {
    let best = 0;
    for (let i = 1; i < count; i++) if (values[cell * count + i] > values[cell * count + best]) best = i;
    return best;
  });
}

/** The image with the wrong places of its map in a colour. */
function marked({ view }: ImageView, wrong: Uint8Array, [rows, columns]: readonly number[]): NdArrayLike {
  if (view.shape.length !== 3 || sizeOf([rows, columns ?? 1]) !== wrong.length) return view;
  const [height, width, channels] = view.shape;
  const data = new Float32Array(height * width * 3);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    const [y, x] = [Math.floor(pixel / width), pixel % width];
    const isWrong = wrong[Math.floor(y * rows / height) * columns + Math.floor(x * columns / width)];
    const value = view.data[channels === 3 ? i : pixel * channels];
    data[i] = isWrong ? 0.4 * value + 0.6 * WRONG[i % 3] : value;
  }
  return ndarray(data, [height, width, 3]);
}
