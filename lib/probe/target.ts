/**
 * What a map is asked to explain: a class, a unit of any layer, or a function of the outputs.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { checkOptions, kindOf, unknownName } from "../errors.ts";
import type { Model } from "../model/model.ts";

/** One unit of a layer: a channel of its maps at one cell, or a number of its vector. */
export interface Unit {
  /** The layer's name. */
  layer: string;
  /** The channel of the layer's maps, or the place in its vector. */
  channel: number;
  /**
   * Row and column of the unit in its map.
   * @default the cell that is strongest for the image
   */
  cell?: readonly [y: number, x: number];
}

/** The names of the parts of a {@linkcode Unit}. */
export const UNIT = { layer: true, channel: true, cell: true } satisfies Record<keyof Unit, true>;

/**
 * What is explained:
 * - a class, by its label or its index;
 * - `"predicted"`: the class that the model takes the image for;
 * - a function of what the model puts out for one image, `[1, …output shape]`, to one number;
 * - a unit of any layer.
 */
export type Target = string | number | ((outputs: Tensor) => Tensor) | Unit;

/** A class of the model's output. */
export interface ClassTarget {
  readonly kind: "class";
  readonly index: number;
  /** Its label, or `"class N"` where the model has no labels. */
  readonly label: string;
  /** For captions. */
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

/** A function of the outputs. */
export interface FunctionTarget {
  readonly kind: "function";
  readonly of: (outputs: Tensor) => Tensor;
  readonly text: string;
}

/** A target that was looked up in a model. */
export type ResolvedTarget = ClassTarget | UnitTarget | FunctionTarget;

/**
 * How many classes a model tells apart. One sigmoid unit tells two apart: it is the probability of class 1.
 *
 * @throws {TypeError} if the model does not put out one number a class
 */
export function classCount(model: Model): number {
  const shape = model.network.outputs[0].shape.slice(1);
  if (shape.length !== 1 || shape[0] === null) {
    throw new TypeError(
      `The model ${JSON.stringify(model.name)} puts out [${shape.map((n) => n ?? "?").join(", ")}], not one number a ` +
        `class. Give a unit { layer, channel } or a function of the outputs as the target.`,
    );
  }
  return shape[0] === 1 && model.labels?.length !== 1 ? 2 : shape[0];
}

/** The label of a class, or `"class N"` where the model has no labels. */
export const labelOf = (model: Model, index: number): string => model.labels?.[index] ?? `class ${index}`;

function ofClass(model: Model, index: number): ClassTarget {
  const label = labelOf(model, index);
  return { kind: "class", index, label, text: label };
}

/**
 * The class that some outputs speak for.
 *
 * @param output what the model puts out for one image: one number a class, logits or probabilities; or one probability,
 *   that of class 1
 */
export function predictedClass(model: Model, output: ArrayLike<number>): ClassTarget {
  if (output.length === 1) return ofClass(model, output[0] > 0.5 ? 1 : 0);
  let best = 0;
  for (let i = 1; i < output.length; i++) if (output[i] > output[best]) best = i;
  return ofClass(model, best);
}

/**
 * Looks a target up in a model.
 *
 * @param target what is asked for
 * @param output what the model puts out for the image; needed for `"predicted"` alone
 * @throws {RangeError} if there is no such label (the nearest are named), class, layer, channel or cell, or if several
 *   classes have the label
 * @throws {TypeError} if the target is none of these kinds, or the model cannot answer for it
 *
 * @example
 * ```ts
 * resolveTarget(model, "tabby"); // { kind: "class", index: 281, label: "tabby", text: "tabby" }
 * ```
 */
export function resolveTarget(model: Model, target: Target, output?: ArrayLike<number>): ResolvedTarget {
  if (typeof target === "function") {
    return { kind: "function", of: target, text: target.name || "a function of the outputs" };
  }
  if (typeof target === "string" || typeof target === "number") return resolveClass(model, target, output);
  if (typeof target !== "object" || target === null || typeof target.layer !== "string") {
    throw new TypeError(
      `A target is a label, an index, "predicted", a function of the outputs, or { layer, channel, cell }: ` +
        `received ${kindOf(target)}.`,
    );
  }
  return resolveUnit(model, checkOptions("target", target, UNIT));
}

/**
 * For what can be asked of classes only.
 *
 * @param asker the function that is asked
 * @throws {TypeError} if the target is no class
 */
export function checkClassTarget(asker: string, target: unknown): asserts target is string | number {
  if (typeof target === "string" || typeof target === "number") return;
  throw new TypeError(
    `${asker} wants a class as its target, by its label, its index or "predicted": received ${kindOf(target)}.`,
  );
}

/** Looks up a class by its label or index, or takes the one that the outputs speak for. */
export function resolveClass(model: Model, target: string | number, output?: ArrayLike<number>): ClassTarget {
  const count = classCount(model);
  if (typeof target === "number") {
    if (!Number.isInteger(target) || target < 0 || target >= count) {
      throw new RangeError(
        `The model ${JSON.stringify(model.name)} has classes 0 to ${count - 1}: received the target ${target}.`,
      );
    }
    return ofClass(model, target);
  }
  if (target === "predicted") {
    if (output) return predictedClass(model, output);
    throw new TypeError(`The target "predicted" depends on the image; wanted the model's output for it.`);
  }
  if (!model.labels) {
    throw new TypeError(
      `The model ${JSON.stringify(model.name)} has no labels: received the target ${JSON.stringify(target)}. ` +
        `Give the index of a class, 0 to ${count - 1}, or load the model with labels.`,
    );
  }
  const index = model.labels.indexOf(target);
  if (index < 0) {
    throw unknownName("label", target, model.labels, `model ${JSON.stringify(model.name)}`);
  }
  const same = model.labels.flatMap((label, i) => label === target ? [i] : []);
  if (same.length > 1) {
    throw new RangeError(
      `The label ${JSON.stringify(target)} names the classes ${same.join(" and ")} of ` +
        `${JSON.stringify(model.name)}. Give the index of one of them.`,
    );
  }
  return ofClass(model, index);
}

const place = (cell: readonly [number, number]) => `row ${cell[0]}, column ${cell[1]}`;

/** A unit with its cell, as text for captions. */
export function unitTarget(layer: string, channel: number, cell?: readonly [number, number]): UnitTarget {
  const text = `${layer}, channel ${channel}${cell ? `, ${place(cell)}` : ""}`;
  return { kind: "unit", layer, channel, ...cell && { cell: [cell[0], cell[1]] as const }, text };
}

/** Looks up a layer, and checks that it has the channel and the cell. */
export function resolveUnit(model: Model, { layer, channel, cell }: Unit): UnitTarget {
  const { outputShape } = model.layer(layer);
  const quoted = JSON.stringify(layer);
  if (outputShape.length !== 1 && outputShape.length !== 3) {
    throw new TypeError(
      `Layer ${quoted} puts out [${outputShape.map((n) => n ?? "?").join(", ")}]; ` +
        `a unit stands in maps [h, w, c] or a vector [n].`,
    );
  }
  const count = outputShape.at(-1)!;
  if (!Number.isInteger(channel) || channel < 0 || channel >= count) {
    throw new RangeError(`Layer ${quoted} has channels 0 to ${count - 1}: received ${channel}.`);
  }
  if (cell === undefined) return unitTarget(layer, channel);
  if (outputShape.length === 1) {
    throw new RangeError(`Layer ${quoted} puts out a vector, which has no cells: received the cell [${cell}].`);
  }
  const [height, width] = outputShape;
  const inside = (at: number, length: number | null) => Number.isInteger(at) && at >= 0 && at < (length ?? Infinity);
  if (!Array.isArray(cell) || cell.length !== 2 || !inside(cell[0], height) || !inside(cell[1], width)) {
    throw new RangeError(
      `Layer ${quoted} has maps of ${height ?? "?"}×${width ?? "?"} cells: received the cell ${
        Array.isArray(cell) ? `[${cell.join(", ")}]` : kindOf(cell)
      }; ` +
        `wanted [y, x], counted from 0.`,
    );
  }
  return unitTarget(layer, channel, cell);
}
