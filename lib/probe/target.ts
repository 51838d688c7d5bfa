/**
 * What a method is asked about: a class, at any place of a map, a unit or a direction of any layer, a function of the
 * outputs, or a weighted sum of these.
 *
 * @module
 */

import { shapeList } from "../model/graph.ts";
import { isNdArray, type NdArrayLike } from "../array.ts";
import { kindOf, nearestOf, unknownName } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { ModelOutput } from "../model/output.ts";
import type { Tensor } from "../runtime/tensorflow_types.ts";
import { outputAgain, type OutputNumber, type OutputTarget, resolveOutput } from "./output_target.ts";

/** A cell's place on each axis of a map: `[y, x]`, `[t]` along a signal, `[z, y, x]` in a volume. */
export type Cell = readonly number[];

/** One unit of a layer: a channel of its feature maps at one cell, or a number of its vector. */
export interface Unit {
  /** The layer's name; in a nested model as `"features/conv1"`. */
  layer: string;
  /** The channel of the layer's feature maps, or the index in its vector. */
  channel: number;
  /**
   * Row and column of the unit in its feature map; its place `[t]` along a signal, `[z, y, x]` in a volume.
   * @default the cell with the largest activation for the image
   */
  cell?: readonly number[];
}

/** A direction in the space of a layer's channels: its score is the dot product with the activations at one cell. */
export interface Direction {
  /** The layer's name. */
  layer: string;
  /** One number a channel, `[c]`. */
  direction: NdArrayLike | readonly number[] | Float32Array;
  /**
   * Row and column of the cell whose activations are taken; its place `[t]` along a signal, `[z, y, x]` in a volume.
   * @default the cell with the largest dot product for the image
   */
  cell?: readonly number[];
}

/** A weighted sum of targets. {@linkcode contrast} makes the commonest one. */
export interface WeightedSum {
  /** The targets with their weights. */
  sum: readonly (readonly [weight: number, target: Target])[];
}

/** A target in one of several outputs of a network. */
export interface OfOutput {
  /** The output's name, or its index. */
  output: string | number;
  /**
   * What of it: a class, a label or a number, a function of it, or a sum of these.
   * @default "predicted"
   */
  target?: string | number | OutputNumber | ((output: Tensor) => Tensor) | WeightedSum;
}

/**
 * What is asked about:
 * - a class, a label or a number of the output, by its label or its index;
 * - `"predicted"`: the class that the model predicts for the image; of numbers the largest; of maps of classes the one that
 *   is predicted at most places;
 * - of maps a class at some places, in the map's own cells: `{ label: "cat", cell: [y, x] }`,
 *   `{ index: 3, box: [y0, x0, y1, x1] }` or `{ label: "cat", mask }`: the mean over the places, without a place over the
 *   whole map; with a place alone what is predicted there;
 * - of a network with several outputs, which one: `{ output: "age", target: 0 }`;
 * - a function of what the model puts out for one image, `[1, …output shape]`, to one number;
 * - a unit of any layer, `{ layer, channel, cell? }`;
 * - a direction in a layer, `{ layer, direction, cell? }`;
 * - a weighted sum of these, `{ sum: [[1, "dog"], [-0.5, "cat"]] }`.
 */
export type Target =
  | string
  | number
  | OutputNumber
  | ((outputs: Tensor) => Tensor)
  | Unit
  | Direction
  | WeightedSum
  | OfOutput;

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

/** A unit of a layer. */
export interface UnitTarget {
  readonly kind: "unit";
  readonly layer: string;
  readonly channel: number;
  /** Row and column; absent for a layer that puts out a vector, and until the strongest cell is looked for. */
  readonly cell?: Cell;
  /** Without a cell: what of all cells is the score. @default the first cell alone */
  readonly over?: "mean" | "strongest";
  readonly text: string;
}

/** A direction in a layer. */
export interface DirectionTarget {
  readonly kind: "direction";
  readonly layer: string;
  readonly direction: Float32Array;
  /** Row and column; absent for a layer that puts out a vector, and until the cell of the largest product is known. */
  readonly cell?: Cell;
  /** Without a cell: what of all cells is the score. @default the first cell alone */
  readonly over?: "mean" | "strongest";
  readonly text: string;
}

/** A function of the outputs. */
export interface FunctionTarget {
  readonly kind: "function";
  readonly of: (outputs: Tensor) => Tensor;
  readonly text: string;
  /** Of a network with several outputs: the name of the one that it is of. */
  readonly output?: string;
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
  const terms = flatTerms(target).map(([weight, term]) => ({ weight, target: resolveSingle(model, term, output) }));
  return isSumWanted(target) ? sumTarget(terms) : terms[0].target;
}

/** A target that is no sum. */
export type SingleWanted = Exclude<Target, WeightedSum>;

/** Whether a target is a weighted sum, also of what is asked about one output. */
export const isSumWanted = (target: Target): boolean =>
  isSum(target) || (isOfOutput(target) && target.target !== undefined && isSum(target.target));

const isOfOutput = (target: Target): target is OfOutput =>
  typeof target === "object" && target !== null && "output" in target;

const isSum = (target: Target): target is WeightedSum =>
  typeof target === "object" && target !== null && "sum" in target;

/**
 * The targets that a target is a weighted sum of, sums within sums multiplied out; itself with the weight 1 where it is
 * none.
 *
 * @throws {TypeError} if a sum has no terms, or one that is no pair of a number and a target
 */
export function flatTerms(target: Target): [weight: number, target: SingleWanted][] {
  if (isOfOutput(target) && target.target !== undefined && isSum(target.target)) {
    return flatTerms(target.target).map((
      [weight, term],
    ) => [weight, { ...target, target: term as OfOutput["target"] }]);
  }
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

/** Which output a target that is no sum is about, and what of it. */
export function askedOf(
  model: Model,
  target: SingleWanted,
): { output: ModelOutput; wanted: Exclude<SingleWanted, OfOutput> } {
  if (!isOfOutput(target)) return { output: model.output, wanted: target };
  checkKeys(target, ["output", "target"]);
  const { output: asked, target: wanted = "predicted" } = target;
  const output = model.outputs.find(({ name, index }) => name === asked || index === asked);
  if (!output) {
    throw unknownName(
      "output",
      String(asked),
      model.outputs.map(({ name }) => name),
      `model ${JSON.stringify(model.name)}`,
    );
  }
  if (typeof wanted === "object" && wanted !== null && ("layer" in wanted || "output" in wanted)) {
    throw new TypeError(
      `A target of the output ${
        JSON.stringify(output.name)
      } is a class, a label or a number of it, a function of it, or a ` +
        `sum of these: received { ${Object.keys(wanted).join(", ")} }.`,
    );
  }
  return { output, wanted: wanted as Exclude<SingleWanted, OfOutput> };
}

/** Whether a target that is no sum is a class, a label or a number of an output. */
export const isOutputWanted = (target: unknown): target is string | number | OutputNumber =>
  typeof target === "string" || typeof target === "number" ||
  (typeof target === "object" && target !== null && !Array.isArray(target) &&
    ["label", "index", "cell", "box", "mask"].some((key) => key in target) && !("layer" in target));

/**
 * Looks up a target that is no sum.
 *
 * @param outputs what the model puts out for the image at the target's output; needed for `"predicted"` alone
 * @param inputShape `[h, w, c]` of the image, which says how many cells there are where the network takes any size
 */
export function resolveSingle(
  model: Model,
  target: SingleWanted,
  outputs?: ArrayLike<number>,
  inputShape?: readonly number[],
): SingleTarget {
  const { output, wanted } = askedOf(model, target);
  if (typeof wanted === "function") {
    const own = model.outputs.length > 1 ? { output: output.name } : {};
    return { kind: "function", of: wanted, text: (wanted.name || "a function of the outputs") + output.which, ...own };
  }
  if (isOutputWanted(wanted)) {
    return resolveOutput(model, wanted, { output, numbers: outputs, inputShape });
  }
  if (typeof wanted !== "object" || wanted === null || typeof wanted.layer !== "string") {
    throw new TypeError(
      `A target is a label, an index, "predicted", { label or index, cell, box or mask } of maps, a function of the outputs, ` +
        `{ layer, channel, cell }, { layer, direction, cell }, { output, target } or { sum: [[weight, target], …] }: received ` +
        `${kindOf(wanted)}.`,
    );
  }
  if ("direction" in wanted) {
    checkKeys(wanted, ["layer", "direction", "cell"]);
    return resolveDirection(model, wanted, inputShape);
  }
  checkKeys(wanted, ["layer", "channel", "cell"]);
  return resolveUnit(model, wanted, inputShape);
}

/** The target as it was resolved, so that it stays the same for another model or image. */
export function targetAgain(resolved: ResolvedTarget): Target {
  switch (resolved.kind) {
    case "class":
    case "label":
    case "number":
      return outputAgain(resolved);
    case "function":
      return resolved.output === undefined ? resolved.of : { output: resolved.output, target: resolved.of };
    case "sum":
      return { sum: resolved.terms.map(({ weight, target }) => [weight, targetAgain(target)]) };
    case "unit": {
      const { layer, channel, cell } = resolved;
      return { layer, channel, cell };
    }
    case "direction": {
      const { layer, direction, cell } = resolved;
      return { layer, direction, cell };
    }
  }
}

const AXES = [["place"], ["row", "column"], ["slice", "row", "column"]];
const place = (cell: Cell) => cell.map((at, i) => `${AXES[cell.length - 1][i]} ${at}`).join(", ");

/** A unit with its cell, as text for captions. */
export function unitTarget(layer: string, channel: number, cell?: Cell): UnitTarget {
  const text = `${layer}, channel ${channel}${cell ? `, ${place(cell)}` : ""}`;
  return { kind: "unit", layer, channel, ...cell && { cell: [...cell] }, text };
}

/** A direction with its cell, as text for captions. */
export function directionTarget(
  layer: string,
  direction: Float32Array,
  cell?: Cell,
): DirectionTarget {
  const text = `a direction of ${layer}${cell ? `, ${place(cell)}` : ""}`;
  return { kind: "direction", layer, direction, ...cell && { cell: [...cell] }, text };
}

/** The channels of a layer whose activations a target is made of. */
export function channelsOf(model: Model, layer: string): number {
  const { outputShape } = model.layer(layer);
  if (outputShape.length < 1 || outputShape.length > 4) {
    throw new TypeError(
      `Layer ${JSON.stringify(layer)} puts out [${shapeList(outputShape)}]; ` +
        `a target is found in feature maps [h, w, c] or a vector [n].`,
    );
  }
  return outputShape.at(-1)!;
}

/** @throws {RangeError} if a layer has no such cell */
function checkCell(model: Model, layer: string, cell: unknown, inputShape?: readonly number[]): void {
  const sides = model.shapeOf(layer, inputShape).slice(0, -1);
  const quoted = JSON.stringify(layer);
  const found = Array.isArray(cell) ? `[${cell.join(", ")}]` : kindOf(cell);
  if (sides.length === 0) {
    throw new RangeError(`Layer ${quoted} puts out a vector, which has no cells: received the cell ${found}.`);
  }
  const inside = (side: number | null, i: number) =>
    Number.isInteger((cell as Cell)[i]) && (cell as Cell)[i] >= 0 && (cell as Cell)[i] < (side ?? Infinity);
  if (Array.isArray(cell) && cell.length === sides.length && sides.every(inside)) return;
  const size = `${sides.map((side) => side ?? "?").join("×")} cells${inputShape ? " for this image" : ""}`;
  throw new RangeError(
    `Layer ${quoted} has maps of ${size}: received the cell ${found}; wanted ` +
      `${["[t]", "[y, x]", "[z, y, x]"][sides.length - 1]}, counted from 0.`,
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
