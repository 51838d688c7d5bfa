/**
 * What one cell of a layer sees of an image: the square by arithmetic, and how much of it counts.
 *
 * Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill, 2019); Luo, Li, Urtasun
 * and Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks" (2016).
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { kindOf } from "../errors.ts";
import { shapeText } from "../model/graph.ts";
import { checkModel, checkReady, type LayerInfo, type Model } from "../model/model.ts";
import { seenByCells } from "../model/receptive_field.ts";
import { abortSignal, arrayOf, readOptions, text } from "../options.ts";
import { eachGradient } from "../probe/attribution/gradients.ts";
import type { DirectionTarget } from "../probe/target.ts";
import { ReceptiveFieldFigure } from "../results/receptive_field.ts";

/** What {@linkcode receptiveFieldFigure} can be asked for. */
export class ReceptiveFieldFigureOptions {
  /**
   * The layer that the cell belongs to.
   * @default the last one whose cells have a place in the image
   */
  @text()
  layer?: string;
  /**
   * The cell, `[row, column]`; of a layer along a line `[place]`, in a volume `[slice, row, column]`.
   * @default the one in the middle
   */
  @arrayOf("numbers")
  cell?: readonly number[];
  /** Stops it. */
  @abortSignal()
  signal?: AbortSignal;
}

/** Layers with a receptive field, of which one may be asked for. */
const placed = (model: Model): readonly LayerInfo[] =>
  model.layers.filter(({ kind, receptiveField }) => receptiveField !== null && kind !== "InputLayer");

/** @throws {TypeError} that the layer's cells see no part of the image */
function withoutPlace(model: Model, name: string): TypeError {
  const { kind, outputShape } = model.layer(name);
  const others = placed(model).slice(-3).map(({ name }) => JSON.stringify(name));
  return new TypeError(
    `The numbers of layer ${JSON.stringify(name)} (${kind}), [${
      shapeText(outputShape)
    }], have no place in the image. ` +
      (others.length ? `Choose a layer with maps, as ${others.join(" or ")}.` : "No layer of this model has maps."),
  );
}

/** @throws {RangeError} if there is no such cell */
function checkCell(cell: readonly number[], cells: readonly number[], layer: string): void {
  const fits = cell.length === cells.length &&
    cell.every((at, i) => Number.isInteger(at) && at >= 0 && at < cells[i]);
  if (fits) return;
  throw new RangeError(
    `Layer ${JSON.stringify(layer)} has ${cells.join(" × ")} cells, so cell is [${
      cells.map((count) => `0…${count - 1}`).join(", ")
    }]: received ${Array.isArray(cell) ? `[${cell.map(kindOf).join(", ")}]` : kindOf(cell)}.`,
  );
}

/**
 * Draws what one cell of a layer sees of an image: its receptive field as a box on the image, also where it reaches beyond
 * the border, and how the gradient of the cell's activations is spread over it (the effective receptive field), which
 * mostly is far smaller. Over the picture of the cells the pointer shows each one's box.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels as the model takes them
 * @returns a figure that holds its numbers: `box`, in pixels `[y0, x0, y1, x1]` of the image as the model sees it, negative
 *   or larger than the image where padding is seen; `share`, `[h, w]`, of each pixel its share of the gradient's magnitude;
 *   `half`, on how many pixels half of it lies; `field`, `layer`, `cell`
 * @throws {RangeError} if there is no such layer or cell
 * @throws {TypeError} if the layer's numbers have no place in the image, as those of dense layers
 *
 * @example
 * ```ts
 * import { loadModel, photo, receptiveFieldFigure } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const seen = await receptiveFieldFigure(model, await photo("dog"), { layer: "conv3_1", cell: [4, 4] });
 * console.log(seen.box, seen.half);
 * ```
 */
export async function receptiveFieldFigure(
  model: Model,
  image: ImageLike,
  options: Partial<ReceptiveFieldFigureOptions> = {},
): Promise<ReceptiveFieldFigure> {
  checkModel("receptiveFieldFigure", model);
  const { layer: asked, cell: wanted, ...run } = readOptions(
    "receptiveFieldFigure",
    ReceptiveFieldFigureOptions,
    options,
  );
  await checkReady("receptiveFieldFigure", model);
  const layer = asked ?? placed(model).at(-1)?.name ?? model.layers.at(-1)!.name;
  const { receptiveField: field } = model.layer(layer);
  if (!field) throw withoutPlace(model, layer);
  const view = await model.view(image);
  const input = model.input(view);
  const seen = seenByCells(model.network, layer, input.shape);
  if (!seen) throw withoutPlace(model, layer);
  const cell = wanted ?? seen.cells.map((count) => Math.floor(count / 2));
  checkCell(cell, seen.cells, layer);
  const channels = model.shapeOf(layer, view.shape).at(-1)!;
  const target: DirectionTarget = {
    kind: "direction",
    layer,
    direction: new Float32Array(channels).fill(1),
    cell: cell as readonly [number, number],
    text: layer,
  };
  let share: NdArray | null = null;
  await eachGradient(model, 1, () => ({ input, target }), (_, gradient) => {
    share = sharesOf(gradient, input.shape, seen.sides);
  }, run);
  return new ReceptiveFieldFigure({
    ...seen,
    model: model.name,
    name: nameOfGiven(await toGiven(image)),
    layer,
    cell,
    field,
    image: seen.sides[0] === 0 ? view : channelsLast(view),
    share,
  });
}

/** Of each pixel its share of a gradient's magnitude; null where that is 0 everywhere. @param sides the axes that pixels have */
function sharesOf(gradient: Float32Array, shape: readonly number[], sides: readonly number[]): NdArray | null {
  const lengths = sides.map((axis) => shape[axis]);
  const behind = (list: readonly number[], i: number) => list.slice(i + 1).reduce((a, b) => a * b, 1);
  const shares = new Float32Array(lengths.reduce((a, b) => a * b, 1));
  let sum = 0;
  gradient.forEach((value, i) => {
    const at = sides.reduce(
      (at, axis, k) => at + Math.floor(i / behind(shape, axis)) % shape[axis] * behind(lengths, k),
      0,
    );
    shares[at] += Math.abs(value);
    sum += Math.abs(value);
  });
  return sum > 0 ? ndarray(shares.map((value) => value / sum), lengths) : null;
}

/** Maps `[c, …sides]` with their channels behind. */
function channelsLast({ data, shape: [channels, ...sides] }: NdArrayLike): NdArray {
  const size = data.length / channels;
  const turned = Float32Array.from(
    { length: data.length },
    (_, i) => data[(i % channels) * size + Math.floor(i / channels)],
  );
  return ndarray(turned, [...sides, channels]);
}
