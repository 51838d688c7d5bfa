/**
 * What a model's numbers for one image say, as a prediction shows it.
 *
 * @module
 */

import { NdArray, sizeOf } from "../../array.ts";
import type { ModelOutput } from "../../model/output.ts";
import type { OutputPrediction, PredictRow } from "../../results/output_prediction.ts";

/** How a prediction is kept. */
interface Keeping {
  /** The shape of what the network puts out for the image, without the batch. */
  shape: readonly number[];
  /** The image's name. */
  name: string;
  /** How many rows. @default 5; of numbers all */
  top?: number;
  /** The output's name in the rows. @default none */
  named?: boolean;
  /** Of maps that are one of many: at most so many places along a side. @default all */
  side?: number;
}

/**
 * What an output says of an image.
 *
 * @param numbers what the network puts out
 * @throws {RangeError} if a number is not finite
 */
export function predictedOf(
  output: ModelOutput,
  numbers: Float32Array,
  { shape, name, top, named = false, side }: Keeping,
): OutputPrediction {
  const { kind, each, labels } = output;
  const values = output.finiteValues(numbers, name);
  const about = {
    name: output.name,
    kind,
    each,
    activation: output.reading,
    which: output.which,
    count: labels.length,
  };
  const isMap = kind === "map";
  const rows = isMap ? mapRows(output, values) : vectorRows(output, values);
  const kept = rows.slice(0, top ?? (each === "numbers" ? undefined : 5))
    .map((row) => named ? { output: output.name, ...row } : row);
  if (!isMap) return { ...about, rows: kept };
  const grid = gridOf(output, shape);
  const isClasses = each === "classes" || each === "binary";
  const own = side === undefined ? undefined : thinned(grid, side);
  const take = (data: ArrayLike<number>, channels: number) => takePlaces(data, grid, channels, own);
  return {
    ...about,
    rows: kept,
    ...isClasses && { map: new NdArray(take(output.answers(numbers), 1), own ?? grid) },
    ...(!isClasses || !own) && {
      values: new NdArray(take(values, labels.length), [...own ?? grid, labels.length]),
    },
  };
}

/** How many places a map has along each axis: where one depends on the image, as many as the network put out. */
function gridOf({ cells }: ModelOutput, shape: readonly number[]): readonly number[] {
  return cells.map((length, axis) => length ?? shape[axis]);
}

/** The likeliest first; numbers stay in their order. */
function vectorRows(output: ModelOutput, values: Float64Array): PredictRow[] {
  const isNumbers = output.each === "numbers";
  const rows = Array.from(values, (value, index): PredictRow => ({
    label: output.labels[index],
    index,
    ...isNumbers ? { value } : { probability: value },
    ...isNumbers && output.unitOf(index) && { unit: output.unitOf(index).trim() },
  }));
  return isNumbers ? rows : rows.sort((a, b) => b.probability! - a.probability! || a.index - b.index);
}

/** Of each class, label or number of a map what it is over all places. */
function mapRows(output: ModelOutput, values: Float64Array): PredictRow[] {
  const { each, labels } = output;
  const cells = values.length / labels.length;
  const shares = new Float64Array(labels.length);
  const rows = labels.map((label, index): PredictRow => {
    let [sum, low, high] = [0, Infinity, -Infinity];
    for (let i = index; i < values.length; i += labels.length) {
      const value = values[i];
      sum += value;
      if (value < low) low = value;
      if (value > high) high = value;
      if (value >= 0.5) shares[index]++;
    }
    const mean = sum / cells;
    if (each !== "numbers") return { label, index, share: 0, probability: mean };
    return { label, index, value: mean, low, high, ...output.unitOf(index) && { unit: output.unitOf(index).trim() } };
  });
  if (each === "numbers") return rows;
  if (each !== "labels") {
    shares.fill(0);
    for (let cell = 0; cell < cells; cell++) {
      shares[output.predicted(values.subarray(cell * labels.length, (cell + 1) * labels.length))]++;
    }
  }
  rows.forEach((row, i) => row.share = shares[i] / cells);
  return rows.sort((a, b) => b.share! - a.share! || b.probability! - a.probability! || a.index - b.index);
}

/** How many places of a map are kept along each axis. */
const thinned = (grid: readonly number[], side: number): readonly number[] | undefined => {
  const most = Math.max(...grid);
  return most <= side ? undefined : grid.map((length) => Math.max(1, Math.round(length * side / most)));
};

/** The numbers of a map at places evenly spread over it; as they are, not means, since classes have none. */
function takePlaces(
  data: ArrayLike<number>,
  grid: readonly number[],
  channels: number,
  wanted?: readonly number[],
): Float32Array {
  if (!wanted) return Float32Array.from(data);
  const taken = new Float32Array(sizeOf(wanted) * channels);
  for (let cell = 0; cell < taken.length / channels; cell++) {
    let [rest, from, step] = [cell, 0, 1];
    for (let axis = grid.length - 1; axis >= 0; axis--) {
      const at = rest % wanted[axis];
      rest = Math.floor(rest / wanted[axis]);
      from += step * Math.floor((at + 0.5) * grid[axis] / wanted[axis]);
      step *= grid[axis];
    }
    for (let c = 0; c < channels; c++) taken[cell * channels + c] = data[from * channels + c];
  }
  return taken;
}
