/**
 * A class, a label or a number of one of a model's outputs as a target; of maps at a cell, in a box or in a mask.
 *
 * @module
 */

import { isNdArray, type NdArrayLike, sizeOf } from "../array.ts";
import { kindOf, nearestOf } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { ModelOutput } from "../model/output.ts";

/** Places of a map, in its own cells. */
export interface Place {
  /** One cell, `[y, x]`, counted from 0. */
  cell?: readonly number[];
  /** All cells of a box, `[y0, x0, y1, x1]`; `y1` and `x1` lie outside. */
  box?: readonly number[];
  /** The cells where a mask `[h, w]` is above 0, by its values as weights. */
  mask?: NdArrayLike;
}

/**
 * A class, a label or a number of the output by name or index. Of maps its mean over some places is asked about; without a
 * place over the whole map. With a place alone it is what is predicted there.
 */
export interface OutputNumber extends Place {
  /** Its label, or `"predicted"`. */
  label?: string;
  /** Its index. */
  index?: number;
}

/** One of the model's outputs: a class, one of several independent labels, or a number that is no probability. */
export interface OutputTarget extends Place {
  readonly kind: "class" | "label" | "number";
  readonly index: number;
  /** Its label; without one `"class 3"`, `"label 3"` or `"output 3"`. */
  readonly label: string;
  /** For captions; of several outputs of a network with the one that it belongs to. */
  readonly text: string;
  /** Of a network with several outputs: the name of the one that it belongs to. */
  readonly output?: string;
  /** Of maps: how many cells the map has along each axis, for this image. */
  readonly grid?: readonly number[];
}

/** The output that a target belongs to. */
export const outputFor = ({ output, outputs }: Model, target: { readonly output?: string }): ModelOutput =>
  target.output === undefined ? output : outputs.find(({ name }) => name === target.output)!;

/** How many cells an output's map has along each axis for an image; none of a vector, undefined where that is not known. */
function gridOf(model: Model, output: ModelOutput, inputShape?: readonly number[]): readonly number[] | undefined {
  const { cells } = output;
  if (!cells.includes(null)) return cells as readonly number[];
  return inputShape && model.shapeOf(output.layer, inputShape).slice(0, cells.length) as number[];
}

const AXES: Record<number, string[]> = { 1: ["x"], 2: ["y", "x"], 3: ["z", "y", "x"] };

/** Checks that a place lies on a map. */
function checkPlace(name: string, { cell, box, mask }: Place, grid: readonly number[]): void {
  const where = `${JSON.stringify(name)} puts out maps of ${grid.join("×")} cells`;
  const axes = AXES[grid.length] ?? grid.map((_, i) => `axis ${i}`);
  const listed = (value: unknown) =>
    Array.isArray(value) ? `[${value.map((one) => kindOf(one)).join(", ")}]` : kindOf(value);
  const isWhole = (value: unknown, least: number, most: number) =>
    Number.isInteger(value) && value as number >= least && value as number <= most;
  if (cell !== undefined) {
    if (Array.isArray(cell) && cell.length === grid.length && grid.every((n, i) => isWhole(cell[i], 0, n - 1))) return;
    throw new RangeError(`${where}: received the cell ${listed(cell)}; wanted [${axes.join(", ")}], counted from 0.`);
  }
  if (box !== undefined) {
    const fits = Array.isArray(box) && box.length === 2 * grid.length &&
      grid.every((n, i) => isWhole(box[i], 0, n - 1) && isWhole(box[grid.length + i], box[i] + 1, n));
    if (fits) return;
    throw new RangeError(
      `${where}: received the box ${listed(box)}; wanted [${
        [0, 1].flatMap((end) => axes.map((axis) => axis + end))
          .join(", ")
      }], where the last ones lie outside.`,
    );
  }
  if (mask === undefined) return;
  if (!isNdArray(mask)) {
    throw new TypeError(`A mask is { data: Float32Array, shape: [${grid.join(", ")}] }: received ${kindOf(mask)}.`);
  }
  const sides = mask.shape.length === grid.length + 1 && mask.shape.at(-1) === 1 ? mask.shape.slice(0, -1) : mask.shape;
  if (sides.join() !== grid.join() || mask.data.length !== sizeOf(grid)) {
    throw new RangeError(`${where}: received a mask of the shape [${mask.shape.join(", ")}].`);
  }
  if (!mask.data.every((value) => value >= 0 && Number.isFinite(value)) || !mask.data.some((value) => value > 0)) {
    throw new RangeError(
      `A mask holds numbers of at least 0, some of them above: received none above 0, or a negative one.`,
    );
  }
}

/**
 * How much each cell of the map counts, with the sum 1; null for a vector.
 */
export function placeWeights({ grid, cell, box, mask }: OutputTarget): Float32Array | null {
  if (!grid) return null;
  const weights = new Float32Array(sizeOf(grid));
  if (mask) weights.set(mask.data);
  else if (!cell && !box) weights.fill(1);
  else {
    const [from, to] = cell ? [cell, cell.map((at) => at + 1)] : [box!.slice(0, grid.length), box!.slice(grid.length)];
    for (let i = 0, rest = 0; i < weights.length; i++) {
      rest = i;
      const inside = grid.toReversed().every((length, k) => {
        const at = rest % length;
        rest = Math.floor(rest / length);
        return at >= from.at(-1 - k)! && at < to.at(-1 - k)!;
      });
      if (inside) weights[i] = 1;
    }
  }
  const sum = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / sum);
}

function placeText({ cell, box, mask }: Place, rank: number): string {
  const names = rank === 2 ? ["row", "column"] : rank === 1 ? ["place"] : ["slice", "row", "column"];
  const each = (word: (name: string, i: number) => string) => names.map(word).join(", ");
  if (cell) return ` at ${each((name, i) => `${name} ${cell[i]}`)}`;
  if (box) return ` in ${each((name, i) => `${name}s ${box[i]}–${box[rank + i] - 1}`)}`;
  if (mask) return ` in a mask of ${mask.data.reduce((count, value) => count + Number(value > 0), 0)} cells`;
  return ", mean over the map";
}

/**
 * Looks up an output by its label or index, or takes the one that is predicted: the likeliest class or label, the largest
 * number; of maps of classes the one that is predicted at most cells.
 *
 * @param options.output which of several outputs; @default the one that is looked at
 * @param options.numbers what the output is, or its scores, for the image; needed for `"predicted"` alone
 * @param options.inputShape the shape of the image as the model sees it, on which a map's size may depend
 */
export function resolveOutput(
  model: Model,
  target: string | number | OutputNumber,
  { output = model.output, numbers, of, inputShape }: {
    output?: ModelOutput;
    numbers?: ArrayLike<number>;
    of?: "outputs" | "scores";
    inputShape?: readonly number[];
  } = {},
): OutputTarget {
  const asked: OutputNumber = typeof target === "string"
    ? { label: target }
    : typeof target === "number"
    ? { index: target }
    : checkNumber(target);
  const { label: wanted = asked.index ?? "predicted", index: _index, label: _label, ...place } = asked;
  const isMap = output.kind === "map";
  const grid = isMap ? gridOf(model, output, inputShape) : undefined;
  if (grid) checkPlace(model.name, place, grid);
  if (!isMap && Object.keys(place).length > 0) {
    throw new TypeError(
      `${JSON.stringify(model.name)} puts out a vector, which has no places: received ${
        Object.keys(place).join(", ")
      }.`,
    );
  }
  const { noun, labels, each } = output;
  const about = { ...grid && { grid }, ...place };
  let index = wanted as number;
  if (wanted === "predicted") {
    if (!numbers) throw new TypeError(`The target "predicted" depends on the image; wanted the model's output for it.`);
    index = isMap && noun === "class" && Object.keys(place).length === 0
      ? mostFrequent(output.answers(numbers, of))
      : output.predicted(output.valuesOver(numbers, placeWeights(about as OutputTarget), of));
  } else if (typeof wanted === "string") index = output.indexOf(wanted);
  else if (!Number.isInteger(wanted) || wanted < 0 || wanted >= labels.length) {
    const name = JSON.stringify(model.name);
    throw new RangeError(
      labels.length === 1
        ? `The model ${name} has one ${noun}, 0: received the target ${wanted}.`
        : `The model ${name} has ${output.nouns} 0 to ${labels.length - 1}: received the target ${wanted}.`,
    );
  }
  const label = labels[index];
  const largest = each === "numbers" && wanted === "predicted" && labels.length > 1
    ? ` (the largest of ${labels.length})`
    : "";
  return {
    kind: noun === "output" ? "number" : noun,
    index,
    label,
    text: label + largest + (isMap ? placeText(place, output.cells.length) : "") + output.which,
    ...model.outputs.length > 1 && { output: output.name },
    ...about,
  };
}

/** The class that is predicted at most cells. */
function mostFrequent(answers: Float32Array): number {
  const counts = new Map<number, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return [...counts].reduce((best, one) =>
    one[1] > best[1] || (one[1] === best[1] && one[0] < best[0]) ? one : best
  )[0];
}

const KEYS = ["label", "index", "cell", "box", "mask"] as const;

/** @throws {TypeError} if a key is unknown, or too much is given at once */
function checkNumber(target: OutputNumber): OutputNumber {
  const given = Object.fromEntries(Object.entries(target).filter(([, value]) => value !== undefined)) as OutputNumber;
  const keys = Object.keys(given);
  const unknown = keys.find((key) => !(KEYS as readonly string[]).includes(key));
  if (unknown !== undefined) {
    throw new TypeError(`target has no option ${JSON.stringify(unknown)}. ${nearestOf(unknown, [...KEYS])}`);
  }
  if (given.label !== undefined && given.index !== undefined) {
    throw new TypeError("A target has a label or an index: received both.");
  }
  const places = keys.filter((key) => ["cell", "box", "mask"].includes(key));
  if (places.length > 1) throw new TypeError(`A target has one place: received ${places.join(" and ")}.`);
  if (given.label !== undefined && typeof given.label !== "string") {
    throw new TypeError(`A target's label is a string: received ${kindOf(given.label)}.`);
  }
  return given;
}

/** The same target again, whatever is predicted: as a user would write it. */
export function outputAgain({ index, output, cell, box, mask }: Place & { index: number; output?: string }):
  | number
  | OutputNumber
  | { output: string; target: number | OutputNumber } {
  const isPlaced = cell || box || mask;
  const own = isPlaced ? { index, ...cell && { cell }, ...box && { box }, ...mask && { mask } } : index;
  return output === undefined ? own : { output, target: own };
}
