/**
 * What a unit looks for: the patches of many images that excite it most, cut to what its cell sees.
 *
 * Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection and semantic segmentation"
 * (2014), §3.1; Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), Fig. 2.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { ndarray, type NdArrayLike } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { shapeList } from "../model/graph.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, rule, text, WalkOptions, whole } from "../options.ts";
import { withProgress } from "../results/progress.ts";
import { TopPatches } from "../results/top_patches.ts";
import { type LayerUnits, listsFor, scanTop, type TopQuestion } from "../scan/top_patches.ts";
import { layersAsked } from "./shared/layers.ts";
import { patchRows } from "./shared/patch_rows.ts";
import { pictureReader } from "./shared/pictures.ts";

/** Directions in a layer's space of channels by their names, each one number a channel. */
export type Directions = Readonly<Record<string, NdArrayLike | readonly number[] | Float32Array>>;

/** The options of `topPatches`. */
export class TopPatchesOptions extends WalkOptions {
  /** The layer whose units are asked about; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, in the order in which they are shown.
   * @default where `layer` is not given either: every convolution
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which channels of each layer.
   * @default all
   */
  @arrayOf("channels")
  channels?: readonly number[];
  /**
   * Directions in the space of one layer's channels instead of its channels, by their names, as `{ mine: [0.5, …] }`: a
   * direction's activation is its dot product with the activations of all channels at a cell.
   * @default none
   */
  @rule((name, value) => {
    if (kindOf(value) === "an object") return;
    throw new TypeError(`${name} are given by their names, as { mine: [0.5, …] }: received ${kindOf(value)}.`);
  })
  directions?: Directions;
  /**
   * How many patches of each unit.
   * @default 9
   */
  @whole(1)
  top = 9;
  /**
   * `"strongest"`: each image gives a unit its strongest cell, so that the patches come from as many images; `"all"`: all
   * cells count.
   * @default "strongest"
   */
  @oneOf("strongest", "all")
  cells: "strongest" | "all" = "strongest";
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The layers where none is named. */
const convolutions = (model: Model): string[] =>
  model.leaves.filter(({ kind, outputShape }) => outputShape.length > 1 && /Conv/.test(kind)).map(({ name }) => name);

/** The units of a layer that are asked for. */
function unitsOf(model: Model, layer: string, channels?: readonly number[], directions?: Directions): LayerUnits {
  const { outputShape } = model.layer(layer);
  const named = JSON.stringify(layer);
  if (outputShape.length < 1 || outputShape.length > 4) {
    throw new TypeError(
      `Layer ${named} puts out [${shapeList(outputShape)}]; wanted maps [h, w, c] ([length, c] along a line, ` +
        `[d, h, w, c] in a volume) or a vector [n].`,
    );
  }
  const count = outputShape.at(-1)!;
  if (directions) {
    const names = Object.keys(directions);
    if (names.length === 0) throw new RangeError("directions is empty; wanted at least one.");
    const data = new Float32Array(names.length * count);
    names.forEach((name, i) => {
      const given = directions[name];
      const numbers = Array.isArray(given) || given instanceof Float32Array ? given : (given as NdArrayLike)?.data;
      if (numbers?.length !== count || !numbers.every(Number.isFinite)) {
        throw new RangeError(
          `The direction ${JSON.stringify(name)} must be ${count} finite numbers, one for each channel of ${named}: ` +
            `received ${numbers ? `${numbers.length} numbers` : kindOf(given)}.`,
        );
      }
      data.set(numbers, i * count);
    });
    return { layer, units: names, directions: ndarray(data, [names.length, count]) };
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");
  const unknown = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= count);
  if (unknown !== undefined) {
    throw new RangeError(`Layer ${named} has channels 0 to ${count - 1}: received ${unknown}.`);
  }
  const units = channels ? [...new Set(channels)].sort((a, b) => a - b) : Array.from({ length: count }, (_, i) => i);
  return { layer, units };
}

/**
 * Runs a data set through a model once and keeps for each unit of some layers the patches that excite it most: what it
 * looks for. A patch is what the unit's strongest cell sees of an image, to the pixel, clipped at the image's border.
 *
 * Memory does not grow with the number of images. Larger activations stand first, equal ones by the image's id and the
 * cell's place, so that the order of the images does not change the result.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images; they are read one batch at a time
 * @returns `rows`, one a patch: `{ layer, unit, rank, imageId, label, activation, cell: [y, x], box: [y0, x0, y1, x1] }`, the
 *   box in pixels of the image as the model sees it
 * @throws {TypeError} if the model or the data set is none, both `layer` and `layers` are given, or a layer puts out neither
 *   maps nor a vector
 * @throws {RangeError} if a layer, a channel or an image does not exist, or a direction has not one number a channel
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, topPatches } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const patches = await topPatches(model, await cifar10({ split: "test", limit: 500 }), { layer: "conv2_1" });
 * console.log(patches.of({ unit: 0 }));
 * ```
 */
export async function topPatches(
  model: Model,
  dataset: Dataset,
  options: Partial<TopPatchesOptions> = {},
): Promise<TopPatches> {
  checkModel("topPatches", model);
  const { channels, directions, top, cells, ...run } = readOptions("topPatches", TopPatchesOptions, options);
  const { batchSize, signal, onProgress } = run;
  const reader = new InputReader("topPatches", model, dataset, run);
  await checkReady("topPatches", model);
  const names = layersAsked("topPatches", model, run, () => convolutions(model));
  if (names.length === 0) throw new RangeError(`${model.name} has no convolution: name a layer.`);
  if (directions && (channels || names.length > 1)) {
    throw new TypeError("directions are those of one layer: give layer, and neither channels nor further layers.");
  }
  const layers = names.map((layer) => unitsOf(model, layer, channels, directions));
  const question: TopQuestion = { layers, top, cells };
  const lists = listsFor(question);
  await withProgress(
    `Patches of ${model.name} · ${names.length > 3 ? `${names.length} layers` : names.join(", ")}`,
    reader.size,
    (update) => scanTop(model, reader, question, lists, { batchSize, signal, onProgress: update }),
    onProgress,
    reader,
  );
  const { rows, sources } = patchRows(model, question, lists);
  const patches = new TopPatches(rows, {
    model: model.name,
    dataset: dataset.name,
    top,
    cells,
    rank: "activation",
    images: reader.size - reader.skipped.length,
    skipped: reader.skipped,
    dimensions: model.dimensions,
    layers: names,
    sources,
    read: pictureReader(model, dataset),
  });
  return await patches.load();
}
