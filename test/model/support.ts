/** Receptive fields against what the gradient says: on copies of networks whose every weight counts. */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import type { AxisField, ReceptiveField } from "../../lib/data/records.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** From the first to the last, that one not counted in, along each axis. */
export type Region = readonly (readonly [start: number, end: number])[];

/** The least box around what is not 0 of `[1, …sides, c]`, or of other axes than the batch's and the last; null if all is. */
export async function supportOf(map: Tensor, sides = map.shape.slice(1, -1).map((_, i) => i + 1)) {
  const others = map.shape.map((_, i) => i).filter((axis) => !sides.includes(axis));
  const found: [number, number][] = [];
  for (const side of sides) {
    const sums = tf.tidy(() => tf.sum(tf.abs(map), [...others, ...sides.filter((axis) => axis !== side)]));
    const values = await sums.data();
    sums.dispose();
    const filled = Array.from(values, (value, i) => value > 0 ? i : -1).filter((i) => i >= 0);
    if (filled.length === 0) return null;
    found.push([filled[0], filled.at(-1)! + 1]);
  }
  return found;
}

export const isWithin = (inner: Region, outer: Region) =>
  inner.every(([start, end], axis) => outer[axis][0] <= start && end <= outer[axis][1]);

/** The square of a cell, by the numbers in the table. */
export function squareOf(field: ReceptiveField, cell: readonly number[], axes = true): Region {
  const each: readonly AxisField[] = (axes ? field.axes : undefined) ?? cell.map(() => field);
  return each.map(({ size, stride, offset }, axis) => {
    const start = offset + cell[axis] * stride;
    return [start, start + size] as const;
  });
}

/**
 * A network of the same windows whose every weight counts: weights above 0, no activation, means in the place of maxima.
 *
 * @param filters how many maps each convolution makes, so that it is quick; @default as many as the network has
 */
export function counting(network: LayersModel, ends: SymbolicTensor[], filters?: number): Promise<LayersModel> {
  const cut = tf.model({ inputs: network.inputs, outputs: ends });
  const text = cut.toJSON(null, false) as unknown as string | object;
  const json = (typeof text === "string" ? text : JSON.stringify(text))
    .replaceAll('"MaxPooling', '"AveragePooling').replaceAll('"GlobalMaxPooling', '"GlobalAveragePooling')
    .replaceAll(/"activation":"(?!softmax)\w+"/g, '"activation":"linear"')
    .replaceAll(/"filters":\d+/g, (found) => filters ? `"filters":${filters}` : found);
  return tf.models.modelFromJSON({ modelTopology: JSON.parse(json) } as never)
    .then((copy) => {
      const next = uniforms(1);
      for (const layer of copy.layers) fill(layer, next);
      return copy;
    });
}

function fill(layer: layers.Layer, next: () => number): void {
  const values = layer.weights.map(({ originalName, shape }) => {
    const lengths = shape as number[];
    const size = lengths.reduce((a, b) => a * b, 1);
    const inputs = size / (lengths.at(-1) ?? 1);
    const value = (): number => {
      if (/kernel/.test(originalName)) return (0.5 + next()) / Math.max(1, inputs);
      return /gamma|variance|scale|alpha/.test(originalName) ? 1 : 0;
    };
    return tf.tensor(Float32Array.from({ length: size }, value), lengths);
  });
  layer.setWeights(values);
  tf.dispose(values);
}

/** One layer with a field, at one cell. */
export interface Confirmed {
  layer: string;
  cell: readonly number[];
  field: ReceptiveField;
  square: Region;
  /** What the gradient fills, within the image. */
  support: Region | null;
}

/**
 * What the gradient says of layers of a network, at three cells each.
 *
 * @param fieldOf the field of a layer; null if it has none
 * @param most of so many layers, evenly spaced, the last among them; @default all
 */
export async function* confirm(
  copy: LayersModel,
  lengths: readonly number[],
  fieldOf: (name: string) => ReceptiveField | null,
  most = Infinity,
): AsyncGenerator<Confirmed> {
  const next = uniforms(2);
  const pixels = tf.tensor(Float32Array.from({ length: lengths.reduce((a, b) => a * b, 1) }, () => 0.5 + next()), [
    1,
    ...lengths,
  ]);
  const sides = lengths.slice(0, -1).map((_, i) => i + 1);
  const placed = copy.layers.filter((layer) => layer.getClassName() !== "InputLayer" && fieldOf(layer.name));
  const step = Math.max(1, Math.ceil(placed.length / most));
  for (const layer of placed.filter((_, i) => (placed.length - 1 - i) % step === 0)) {
    const field = fieldOf(layer.name)!;
    const to = tf.model({ inputs: copy.inputs, outputs: layer.getOutputAt(0) as SymbolicTensor });
    const shape = tf.tidy(() => (to.predict(pixels) as Tensor).shape);
    const maps = shape.slice(1, -1);
    for (const at of [0, 0.5, 0.999]) {
      const cell = maps.map((length) => Math.floor(at * length));
      const begin = shape.map(() => 0);
      const size = [...shape];
      cell.forEach((place, i) => (begin[1 + i] = place, size[1 + i] = 1));
      const { value, gradient } = inputGradient(
        tf,
        (x) => tf.sum(tf.slice(to.apply(x) as Tensor, begin, size)),
        pixels,
      );
      const support = await supportOf(gradient, sides);
      tf.dispose([value, gradient]);
      yield { layer: layer.name, cell, field, square: squareOf(field, cell), support };
    }
  }
  pixels.dispose();
}
