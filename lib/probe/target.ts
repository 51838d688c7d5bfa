/**
 * What a method is asked about: a class, a unit or a direction of any layer, a function of the outputs, or a weighted sum
 * of these.
 *
 * @module
 */

import { shapeList } from "../model/graph.ts";
import { isNdArray, type NdArrayLike } from "../array.ts";
import { kindOf, nearestOf } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { Tensor } from "../runtime/tensorflow_types.ts";

/** One unit of a layer: a channel of its feature maps at one cell, or a number of its vector. */
export interface Unit {
  /** The layer's name. */
  layer: string;
  /** The channel of the layer's feature maps, or the index in its vector. */
  channel: number;
  /**
   * Row and column of the unit in its feature map.
   * @default the cell with the largest activation for the image
   */
  cell?: readonly [y: number, x: number];
}

/** A direction in the space of a layer's channels: its score is the dot product with the activations at one cell. */
export interface Direction {
  /** The layer's name. */
  layer: string;
  /** One number a channel, `[c]`. */
  direction: NdArrayLike | readonly number[] | Float32Array;
  /**
   * Row and column of the cell whose activations are taken.
   * @default the cell with the largest dot product for the image
   */
  cell?: readonly [y: number, x: number];
}

/** A weighted sum of targets. {@linkcode contrast} makes the commonest one. */
export interface WeightedSum {
  /** The targets with their weights. */
  sum: readonly (readonly [weight: number, target: Target])[];
}

/**
 * What is asked about:
 * - a class, a label or a number of the output, by its label or its index;
 * - `"predicted"`: the class that the model predicts for the image; of numbers the largest;
 * - a function of what the model puts out for one image, `[1, …output shape]`, to one number;
 * - a unit of any layer, `{ layer, channel, cell? }`;
 * - a direction in a layer, `{ layer, direction, cell? }`;
 * - a weighted sum of these, `{ sum: [[1, "dog"], [-0.5, "cat"]] }`.
 */
export type Target = string | number | ((outputs: Tensor) => Tensor) | Unit | Direction | WeightedSum;

/**
 * The difference of two targets: what speaks for the first and against the second.
 *
 * @param a what is added
 * @param b what is subtracted
 * @returns a target for every method
 *
 * @example
 * ```ts
 * import { contrast, loadModel, photo, saliency } from "@convlens/convlens";
 * const model = await loadModel("resnet50");
 * await saliency(model, await photo("dog"), { target: contrast("French bulldog", "pug") });
 * ```
 */
export function contrast(a: Target, b: Target): WeightedSum {
  return { sum: [[1, a], [-1, b]] };
}

/** One of the model's outputs: a class, one of several independent labels, or a number that is no probability. */
export interface OutputTarget {
  readonly kind: "class" | "label" | "number";
  readonly index: number;
  /** Its label; without one `"class 3"`, `"label 3"` or `"output 3"`. */
  readonly label: string;
  /** For captions; of several outputs of a network with the one that it belongs to. */
  readonly text: string;
}

/** A unit of a layer. */
export interface UnitTarget {
  readonly kind: "unit";
  readonly layer: string;
  readonly channel: number;
  /** Row and column; absent for a layer that puts out a vector, and until the strongest cell is looked for. */
  readonly cell?: readonly [y: number, x: number];
  readonly text: string;
}

/** A direction in a layer. */
export interface DirectionTarget {
  readonly kind: "direction";
  readonly layer: string;
  readonly direction: Float32Array;
  /** Row and column; absent for a layer that puts out a vector, and until the cell of the largest product is known. */
  readonly cell?: readonly [y: number, x: number];
  readonly text: string;
}

/** A function of the outputs. */
export interface FunctionTarget {
  readonly kind: "function";
  readonly of: (outputs: Tensor) => Tensor;
  readonly text: string;
}

/** A target with one score of its own. */
export type SingleTarget = OutputTarget | UnitTarget | DirectionTarget | FunctionTarget;

/** A weighted sum of targets. */
export interface SumTarget {
  readonly kind: "sum";
  readonly terms: readonly { readonly weight: number; readonly target: SingleTarget }[];
  readonly text: string;
}

/** A target that was looked up in a model. */
export type ResolvedTarget = SingleTarget | SumTarget;

/** The targets that a target is a weighted sum of; itself with the weight 1 where it is none. */
export const termsOf = (target: ResolvedTarget): SumTarget["terms"] =>
  target.kind === "sum" ? target.terms : [{ weight: 1, target }];

/** A weighted sum in words, as `dog − cat` or `0.5 × dog + 2 × cat`. */
export function sumTarget(terms: SumTarget["terms"]): SumTarget {
  const parts = terms.map(({ weight, target: { text } }, i) => {
    const sign = weight < 0 ? (i ? " − " : "−") : (i ? " + " : "");
    const factor = Math.abs(weight) === 1 ? "" : `${Number(Math.abs(weight).toPrecision(3))} × `;
    return sign + factor + text;
  });
  return { kind: "sum", terms, text: parts.join("") };
}

/** Whether a target is one of the model's outputs. */
export const isOutput = (target: ResolvedTarget): target is OutputTarget =>
  target.kind === "class" || target.kind === "label" || target.kind === "number";

/**
 * Looks a target up in a model.
 *
 * @param target what is asked for
 * @param output what the model puts out for the image; needed for `"predicted"` alone
 * @throws {RangeError} if there is no such label (the nearest are named), index, layer, channel or cell, or if several
 *   outputs have the label
 * @throws {TypeError} if the target is none of these kinds, or the model cannot answer for it
 *
 * @example
 * ```ts
 * import { loadModel } from "@convlens/convlens";
 * import { resolveTarget } from "./target.ts";
 *
 * resolveTarget(await loadModel("resnet50"), "tabby"); // { kind: "class", index: 281, label: "tabby", text: "tabby" }
 * ```
 */
export function resolveTarget(model: Model, target: Target, output?: ArrayLike<number>): ResolvedTarget {
  if (!isSum(target)) return resolveSingle(model, target, output);
  return sumTarget(
    flatTerms(target).map(([weight, term]) => ({ weight, target: resolveSingle(model, term, output) })),
  );
}

/** A target that is no sum. */
export type SingleWanted = Exclude<Target, WeightedSum>;

const isSum = (target: Target): target is WeightedSum =>
  typeof target === "object" && target !== null && "sum" in target;

/**
 * The targets that a target is a weighted sum of, sums within sums multiplied out; itself with the weight 1 where it is
 * none.
 *
 * @throws {TypeError} if a sum has no terms, or one that is no pair of a number and a target
 */
export function flatTerms(target: Target): [weight: number, target: SingleWanted][] {
  if (!isSum(target)) return [[1, target]];
  checkKeys(target, ["sum"]);
  const { sum } = target;
  if (!Array.isArray(sum) || sum.length === 0) {
    throw new TypeError(`A sum of targets wants at least one [weight, target]: received ${kindOf(sum)}.`);
  }
  return sum.flatMap((term) => {
    if (!Array.isArray(term) || term.length !== 2 || !Number.isFinite(term[0])) {
      throw new TypeError(
        `A sum of targets is made of pairs [weight, target], as [0.5, "dog"]: received ${
          Array.isArray(term) ? `[${term.map(kindOf).join(", ")}]` : kindOf(term)
        }.`,
      );
    }
    return flatTerms(term[1]).map(([weight, single]): [number, SingleWanted] => [term[0] * weight, single]);
  });
}

function checkKeys(target: object, known: readonly string[]): void {
  const unknown = Object.keys(target).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new TypeError(`target has no option ${JSON.stringify(unknown)}. ${nearestOf(unknown, known)}`);
}

/**
 * Looks up a target that is no sum.
 *
 * @param inputShape `[h, w, c]` of the image, which says how many cells there are where the network takes any size
 */
export function resolveSingle(
  model: Model,
  target: SingleWanted,
  output?: ArrayLike<number>,
  inputShape?: readonly number[],
): SingleTarget {
  if (typeof target === "function") {
    return { kind: "function", of: target, text: (target.name || "a function of the outputs") + model.output.which };
  }
  if (typeof target === "string" || typeof target === "number") {
    return resolveOutput(model, target, output && model.output.values(output));
  }
  if (typeof target !== "object" || target === null || typeof target.layer !== "string") {
    throw new TypeError(
      `A target is a label, an index, "predicted", a function of the outputs, { layer, channel, cell }, ` +
        `{ layer, direction, cell } or { sum: [[weight, target], …] }: received ${kindOf(target)}.`,
    );
  }
  if ("direction" in target) {
    checkKeys(target, ["layer", "direction", "cell"]);
    return resolveDirection(model, target, inputShape);
  }
  checkKeys(target, ["layer", "channel", "cell"]);
  return resolveUnit(model, target, inputShape);
}

/**
 * Looks up an output by its label or index, or takes the one that is predicted: the likeliest class or label, the largest
 * number.
 *
 * @param values one number for each label, as `model.output.values` gives them; needed for `"predicted"` alone
 */
export function resolveOutput(
  { name, output }: Model,
  target: string | number,
  values?: ArrayLike<number>,
): OutputTarget {
  const { noun, labels, kind } = output;
  output.checkVector("Give a unit { layer, channel, cell } or a function of the outputs as the target.");
  let index = target as number;
  if (target === "predicted") {
    if (!values) throw new TypeError(`The target "predicted" depends on the image; wanted the model's output for it.`);
    index = output.predicted(values);
  } else if (typeof target === "string") index = output.indexOf(target);
  else if (!Number.isInteger(target) || target < 0 || target >= labels.length) {
    throw new RangeError(
      labels.length === 1
        ? `The model ${JSON.stringify(name)} has one ${noun}, 0: received the target ${target}.`
        : `The model ${JSON.stringify(name)} has ${output.nouns} 0 to ${
          labels.length - 1
        }: received the target ${target}.`,
    );
  }
  const label = labels[index];
  const largest = kind === "numbers" && target === "predicted" && labels.length > 1
    ? ` (the largest of ${labels.length})`
    : "";
  return { kind: noun === "output" ? "number" : noun, index, label, text: label + largest + output.which };
}

const place = (cell: readonly [number, number]) => `row ${cell[0]}, column ${cell[1]}`;

/** A unit with its cell, as text for captions. */
export function unitTarget(layer: string, channel: number, cell?: readonly [number, number]): UnitTarget {
  const text = `${layer}, channel ${channel}${cell ? `, ${place(cell)}` : ""}`;
  return { kind: "unit", layer, channel, ...cell && { cell: [cell[0], cell[1]] as const }, text };
}

/** A direction with its cell, as text for captions. */
export function directionTarget(
  layer: string,
  direction: Float32Array,
  cell?: readonly [number, number],
): DirectionTarget {
  const text = `a direction of ${layer}${cell ? `, ${place(cell)}` : ""}`;
  return { kind: "direction", layer, direction, ...cell && { cell: [cell[0], cell[1]] as const }, text };
}

/** The channels of a layer whose activations a target is made of. */
function channelsOf(model: Model, layer: string): number {
  const { outputShape } = model.layer(layer);
  if (outputShape.length !== 1 && outputShape.length !== 3) {
    throw new TypeError(
      `Layer ${JSON.stringify(layer)} puts out [${shapeList(outputShape)}]; ` +
        `a target is found in feature maps [h, w, c] or a vector [n].`,
    );
  }
  return outputShape.at(-1)!;
}

/** @throws {RangeError} if a layer has no such cell */
function checkCell(model: Model, layer: string, cell: readonly number[], inputShape?: readonly number[]): void {
  const shape = model.shapeOf(layer, inputShape);
  const [height, width] = shape;
  const quoted = JSON.stringify(layer);
  if (shape.length === 1) {
    throw new RangeError(`Layer ${quoted} puts out a vector, which has no cells: received the cell [${cell}].`);
  }
  const inside = (at: number, length: number | null) => Number.isInteger(at) && at >= 0 && at < (length ?? Infinity);
  if (Array.isArray(cell) && cell.length === 2 && inside(cell[0], height) && inside(cell[1], width)) return;
  throw new RangeError(
    `Layer ${quoted} has maps of ${height ?? "?"}×${width ?? "?"} cells${
      inputShape ? " for this image" : ""
    }: received the cell ${
      Array.isArray(cell) ? `[${cell.join(", ")}]` : kindOf(cell)
    }; wanted [y, x], counted from 0.`,
  );
}

/** Looks up a layer, and checks that it has the channel and the cell. */
export function resolveUnit(model: Model, { layer, channel, cell }: Unit, inputShape?: readonly number[]): UnitTarget {
  const count = channelsOf(model, layer);
  if (!Number.isInteger(channel) || channel < 0 || channel >= count) {
    throw new RangeError(`Layer ${JSON.stringify(layer)} has channels 0 to ${count - 1}: received ${channel}.`);
  }
  if (cell !== undefined) checkCell(model, layer, cell, inputShape);
  return unitTarget(layer, channel, cell);
}

/** Looks up a layer, and checks that the direction has as many numbers as the layer has channels. */
function resolveDirection(
  model: Model,
  { layer, direction, cell }: Direction,
  inputShape?: readonly number[],
): DirectionTarget {
  const count = channelsOf(model, layer);
  const numbers = isNdArray(direction) ? direction.data : direction;
  if (!Array.isArray(numbers) && !(numbers instanceof Float32Array)) {
    throw new TypeError(
      `A direction is an array of numbers, a Float32Array or { data: Float32Array, shape: [c] }: received ` +
        `${kindOf(numbers)}.`,
    );
  }
  const values = Float32Array.from(numbers);
  if (values.length !== count) {
    throw new RangeError(
      `Layer ${JSON.stringify(layer)} has ${count} channels: received a direction of ${values.length} numbers.`,
    );
  }
  if (!values.every(Number.isFinite)) throw new RangeError("A direction is made of finite numbers: one is not.");
  if (cell !== undefined) checkCell(model, layer, cell, inputShape);
  return directionTarget(layer, values, cell);
}
