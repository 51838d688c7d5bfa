/**
 * What each layer makes of an image: one picture for each channel.
 *
 * The first pictures of cs231n's "Visualizing what ConvNets learn" and of the chapter on intermediate activations in
 * Chollet's "Deep Learning with Python" (§5.4.1 of the first edition).
 *
 * @module
 */

import { shapeList } from "../model/graph.ts";
import type { NdArrayLike } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { abortSignal, arrayOf, readOptions, text } from "../options.ts";
import { forward, item } from "../probe/forward.ts";
import { Activations } from "../results/activations.ts";

/** What `activations` can be asked for. */
export class ActivationsOptions {
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
  /** Stops before the pass. */
  @abortSignal()
  signal?: AbortSignal;
}

/** Beyond this number of convolutions and poolings a walk stops only at the end of each stage. */
const LONGEST_WALK = 16;

/** The layers that a walk through the network stops at. */
function walk(model: Model): string[] {
  const maps = model.layers.filter(({ outputShape }) => outputShape.length === 3);
  const stops = maps.filter(({ kind }) => /Conv|Pooling/.test(kind));
  if (stops.length <= LONGEST_WALK) return stops.map(({ name }) => name);
  // The last layer of each resolution; padding and the like make resolutions of their own.
  const made = maps.filter(({ kind }) => !/^(InputLayer|ZeroPadding2D|Cropping2D)$/.test(kind));
  return made.filter((layer, i) => made[i + 1]?.outputShape[0] !== layer.outputShape[0]).map(({ name }) => name);
}

/**
 * Runs an image through a model and keeps the outputs of one layer or several, one feature map for each channel.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255
 * @returns for each layer `maps` `[h, w, c]`, `channels`, `sparsity`, `dead`, `spread`; and `rows`, one for each channel
 * @throws {RangeError} if a layer or a channel does not exist
 * @throws {TypeError} if both `layer` and `layers` are given, or a layer's output is neither maps nor a vector
 *
 * @example
 * ```ts
 * import { activations, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const result = await activations(model, await photo("dog"), { layer: "conv1_relu" });
 * console.log(result.layers[0].maps.shape, result.layers[0].sparsity);
 * ```
 */
export async function activations(
  model: Model,
  image: ImageLike,
  options: Partial<ActivationsOptions> = {},
): Promise<Activations> {
  checkModel("activations", model);
  const { layer, layers, channels, signal } = readOptions("activations", ActivationsOptions, options);
  await checkReady("activations", model);
  if (layer !== undefined && layers !== undefined) {
    throw new TypeError("activations takes either layer or layers: received both.");
  }
  const names = layer !== undefined ? [layer] : [...new Set(layers ?? walk(model))];
  if (names.length === 0) {
    throw new RangeError(
      layers ? "layers is empty; wanted at least one layer's name." : `${model.name} has no convolution or pooling.`,
    );
  }
  for (const name of names) {
    const { outputShape } = model.layer(name);
    if (outputShape.length !== 3 && outputShape.length !== 1) {
      throw new TypeError(
        `Layer ${JSON.stringify(name)} puts out [${shapeList(outputShape)}]; wanted maps [h, w, c] or a vector [n].`,
      );
    }
    const count = outputShape.at(-1)!;
    const unknown = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= count);
    if (unknown !== undefined) {
      throw new RangeError(`Layer ${JSON.stringify(name)} has channels 0 to ${count - 1}: received ${unknown}.`);
    }
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");

  const source = await toImage(image);
  const view = await model.view(source);
  const outputs = await forward(model, [model.input(view)], names, { signal });
  const kept = outputs.map((output, i) => {
    const whole = item(output, 0);
    const maps = whole.shape.length === 1 ? { data: whole.data, shape: [1, 1, whole.shape[0]] } : whole;
    const all = Array.from({ length: maps.shape[2] }, (_, channel) => channel);
    const kept = channels ? { maps: pick(maps, channels), channels: [...channels] } : { maps, channels: all };
    return { name: names[i], shape: maps.shape, ...kept };
  });
  return new Activations(kept, view, { model: model.name, image: source.name });
}

/** Some channels of `[h, w, c]`, in the order asked for. */
function pick(maps: NdArrayLike, channels: readonly number[]): NdArrayLike {
  const [height, width, count] = maps.shape;
  const data = new Float32Array(height * width * channels.length);
  for (let cell = 0; cell < height * width; cell++) {
    channels.forEach((channel, i) => data[cell * channels.length + i] = maps.data[cell * count + channel]);
  }
  return { data, shape: [height, width, channels.length] };
}
