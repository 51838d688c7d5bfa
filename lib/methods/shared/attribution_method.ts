/**
 * What all attribution methods share, so that each declares only what is its own: the checks, the pairing of images with
 * targets, the collection for several of them, and the result.
 *
 * @module
 */

import type { ImageLike } from "../../data/image.ts";
import { checkModel, checkReady, type Model } from "../../model/model.ts";
import { readOptions, RunOptions } from "../../options.ts";
import { type AttributionInput, type Pair, pairsOf, resolveForImages } from "../../probe/attribution/inputs.ts";
import { isOutput, type Target } from "../../probe/target.ts";
import { Attribution, type AttributionParts } from "../../results/attribution.ts";
import { collect, type Collection } from "../../results/result.ts";

/** The options that every attribution method has. */
export class AttributionOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a unit `{ layer, channel, cell }`, a direction
   * `{ layer, direction, cell }`, a function of the outputs, or a weighted sum of these, as `contrast("dog", "cat")`; or
   * an array of these, one for each image, or all for the one image.
   * @default "predicted"
   */
  target: Target | readonly Target[] = "predicted";
}

/**
 * An attribution method: how much each pixel of an image counts for a target.
 *
 * The image is an image, a path, or pixels `[h, w, c]` of 0…255. For an array of images or of targets it gives a
 * collection, one result for each pair, which shows itself as one figure.
 */
export interface AttributionFunction<Options extends AttributionOptions, Item extends Attribution = Attribution> {
  /** Explains one image. */
  (model: Model, image: ImageLike, options?: Partial<Options> & { target?: Target }): Promise<Item>;
  /** Explains several images, or one image for several targets. */
  (
    model: Model,
    images: ImageLike | readonly ImageLike[],
    options?: Partial<Options>,
  ): Promise<Collection<Item>>;
}

/** What a method makes of one image and target: the parts of the result that are its own. */
export interface Attributed extends Omit<AttributionParts, "model" | "name" | "image" | "target"> {
  /** What it was made for. */
  readonly of: AttributionInput;
}

/** What a method is given. */
export interface AttributionTask<Options> {
  readonly model: Model;
  /** The method's own options, checked and with their defaults. */
  readonly options: Options;
  /** The images with what is asked about each; targets are not yet looked up. */
  readonly pairs: readonly Pair[];
  /** The images with what each target means for its image. */
  inputs(): Promise<AttributionInput[]>;
}

/** The declaration of an attribution method. */
export interface AttributionDeclaration<
  Options extends AttributionOptions,
  Parts extends Attributed,
  Item extends Attribution,
> {
  /** The name of the function, as `"saliency"`. */
  name: string;
  options: new () => Options;
  /** Computes one result for each pair, in their order. */
  attribute(task: AttributionTask<Options>): Promise<Parts[]>;
  /** Makes the result. @default an {@linkcode Attribution} */
  result?(parts: AttributionParts, own: Parts): Item;
}

/** Makes the function of an attribution method. */
export function attributionMethod<
  Options extends AttributionOptions,
  Parts extends Attributed = Attributed,
  Item extends Attribution = Attribution,
>(
  { name, options: type, attribute, result = (parts) => new Attribution(parts) as Item }: AttributionDeclaration<
    Options,
    Parts,
    Item
  >,
): AttributionFunction<Options, Item> {
  const method = async (
    model: Model,
    images: ImageLike | readonly ImageLike[],
    given: Partial<Options> = {},
  ): Promise<Item | Collection<Item>> => {
    checkModel(name, model);
    const options = readOptions(name, type, given);
    await checkReady(name, model);
    const { pairs, many } = await pairsOf(model, images, options.target);
    const found = await attribute({
      model,
      options,
      pairs,
      inputs() {
        options.signal?.throwIfAborted();
        return resolveForImages(model, pairs, options);
      },
    });
    const results = found.map((made) => {
      const { of: { name: image, view, target, probability }, about: own, ...parts } = made;
      const about = isOutput(target) && model.output.note ? `${own} ${model.output.note}` : own;
      const described = { ...target, ...probability !== undefined && { probability } };
      return result({ ...parts, about, model: model.name, name: image, image: view, target: described }, made);
    });
    return many ? collect(results, `${model.name} · ${results[0].method}`) : results[0];
  };
  Object.defineProperty(method, "name", { value: name });
  return method as AttributionFunction<Options, Item>;
}
