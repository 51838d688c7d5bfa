/**
 * What each layer makes of an image: one picture for each channel.
 *
 * The first pictures of cs231n's "Visualizing what ConvNets learn" and of the chapter on intermediate activations in
 * Chollet's "Deep Learning with Python" (§5.4.1 of the first edition).
 *
 * @module
 */

import { shapeList } from "../model/graph.ts";
import type { Dataset } from "../data/dataset.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, readOptions, text, WalkOptions } from "../options.ts";
import { forward, item } from "../probe/forward.ts";
import { Activations, type ActivationsOfImages } from "../results/activations.ts";
import type { CodesFile } from "../results/codes.ts";
import type { Collection } from "../results/result.ts";
import { chosen, inFile, inMemory } from "./shared/activations_of_images.ts";
import { type ImagesLike, readerOf } from "./shared/images.ts";
import { layersAsked, walkOf } from "./shared/layers.ts";

/** What `activations` can be asked for. */
export class ActivationsOptions extends WalkOptions {
  /** The layer to look into; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, in the order in which they are shown.
   * @default where `layer` is not given either: every convolution and pooling; in a model with more than 16 of them, the
   *   last layer of each resolution
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which channels to keep.
   * @default all
   */
  @arrayOf("channels")
  channels?: readonly number[];
  /**
   * Of several images, a Parquet file to write the maps to, batch by batch, so that they may be more than memory holds:
   * a row an image, a column `code_NAME` a layer, in it the numbers of `[h, w, channels]` one behind the other, as
   * {@linkcode codes} writes them; {@linkcode loadCodes} reads it.
   * @default none: they are kept in memory
   */
  @text()
  file?: string;
  /**
   * Of several images, how many run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** As below, of several images in a file. */
export async function activations(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options: Partial<ActivationsOptions> & { file: string },
): Promise<Collection<CodesFile>>;
/** As below, of several images in memory. */
export async function activations(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options?: Partial<ActivationsOptions> & { file?: undefined },
): Promise<ActivationsOfImages>;
/**
 * Runs an image through a model and keeps the outputs of one layer or several, one feature map for each channel.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these or a data set, which run in batches
 * @returns for each layer `maps` `[h, w, c]` (of a 1-D network `[length, c]`, of a 3-D one `[d, h, w, c]`), `channels`, `sparsity`, `dead`, `spread`; and `rows`, one for each channel.
 *   Of several images a collection of these, whose `layers` hold the maps of all, `[n, h, w, c]`; with `file` what is in
 *   the file
 * @throws {RangeError} if a layer or a channel does not exist, or the file exists and holds something else
 * @throws {TypeError} if both `layer` and `layers` are given, or a layer's output is neither maps nor a vector
 *
 * @example
 * ```ts
 * import { activations, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const result = await activations(model, await photo("dog"), { layer: "conv1" });
 * console.log(result.layers[0].maps.shape, result.layers[0].sparsity);
 * ```
 *
 * @example Of a data set
 * ```ts
 * import { activations, cifar10, loadModel } from "@convlens/convlens";
 *
 * const images = await cifar10({ split: "test", limit: 100 });
 * const result = await activations(await loadModel("cifar-convnet"), images, { layer: "conv1" });
 * console.log(result.layers[0].maps.shape, result[0].layers[0].sparsity);
 * ```
 */
export async function activations(
  model: Model,
  image: ImageLike,
  options?: Partial<ActivationsOptions>,
): Promise<Activations>;
export async function activations(
  model: Model,
  images: ImagesLike,
  options: Partial<ActivationsOptions> = {},
): Promise<Activations | ActivationsOfImages | Collection<CodesFile>> {
  checkModel("activations", model);
  const given = readOptions("activations", ActivationsOptions, options);
  const reader = readerOf("activations", model, images, given);
  await checkReady("activations", model);
  const names = layersAsked("activations", model, given, () => walkOf(model));
  if (names.length === 0) throw new RangeError(`${model.name} has no convolution or pooling.`);
  const { channels, file, signal } = given;
  for (const name of names) {
    const { outputShape } = model.layer(name);
    if (outputShape.length < 1 || outputShape.length > 4) {
      throw new TypeError(
        `Layer ${JSON.stringify(name)} puts out [${
          shapeList(outputShape)
        }]; wanted maps [h, w, c] ([length, c] along a ` +
          "line, [d, h, w, c] in a volume) or a vector [n].",
      );
    }
    const count = outputShape.at(-1)!;
    const unknown = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= count);
    if (unknown !== undefined) {
      throw new RangeError(`Layer ${JSON.stringify(name)} has channels 0 to ${count - 1}: received ${unknown}.`);
    }
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");

  if (reader) {
    return file === undefined ? await inMemory(model, reader, names, given) : await inFile(model, reader, names, given);
  }
  if (file !== undefined) {
    throw new TypeError("activations writes those of several images to a file: give an array of images or a data set.");
  }
  const source = await toGiven(images as ImageLike);
  const view = await model.view(source);
  const outputs = await forward(model, [model.input(view)], names, { signal });
  const kept = outputs.map((output, i) => ({ name: names[i], ...chosen(item(output, 0), channels) }));
  return new Activations(kept, model.shown(view), { model: model.name, image: nameOfGiven(source) });
}
