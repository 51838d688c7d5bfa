/**
 * What all attribution methods share, so that each declares only what is its own: the checks, the pairing of images with
 * targets, the collection for several of them, and the result.
 *
 * @module
 */

import type { Dataset } from "../../data/dataset.ts";
import type { ImageLike } from "../../data/image.ts";
import { checkMachineMemory } from "../../memory.ts";
import { checkModel, checkReady, type Model } from "../../model/model.ts";
import { readOptions, text, WalkOptions } from "../../options.ts";
import {
  type AttributionInput,
  checkPairing,
  type Pair,
  pairsOf,
  resolveForImages,
} from "../../probe/attribution/inputs.ts";
import { outputFor } from "../../probe/output_target.ts";
import { isOutput, type Target } from "../../probe/target.ts";
import { Attribution, type AttributionParts } from "../../results/attribution.ts";
import { withProgress } from "../../results/progress.ts";
import { collect, type Collection } from "../../results/result.ts";
import { type ImagesLike, ImagesReader, isWalked } from "./images.ts";

/** The options that every attribution method has. */
export class AttributionOptions extends WalkOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, of maps a class at a place `{ label, cell }`, a unit
   * `{ layer, channel, cell }`, a direction `{ layer, direction, cell }`, one of several outputs `{ output, target }`, a function of the outputs, or a weighted sum of these, as `contrast("dog", "cat")`; or
   * an array of these, one for each image (of a data set in its order), or all for the one image.
   * @default "predicted"
   */
  target: Target | readonly Target[] = "predicted";
  /**
   * Of a network of several inputs the one that is asked about, by its name; the others keep their values.
   * @default the first image
   */
  @text()
  input?: string;
}

/**
 * An attribution method: how much each pixel of an image counts for a target.
 *
 * The image is an image, a path, or pixels `[h, w, c]` of 0…255. For an array of images or of targets it gives a
 * collection, one result for each pair, which shows itself as one figure. A data set is read some images at a time, under
 * a progress bar; those that cannot be read are left out and listed in the collection's `skipped`.
 */
export interface AttributionFunction<Options extends AttributionOptions, Item extends Attribution = Attribution> {
  /** Explains one image. */
  (model: Model, image: ImageLike, options?: Partial<Options> & { target?: Target }): Promise<Item>;
  /** Explains several images or those of a data set, or one image for several targets. */
  (
    model: Model,
    images: ImageLike | readonly ImageLike[] | Dataset,
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

/** A caption for an input of some shape: colours are those of pictures in RGB, and pixels those of images. */
function inWordsOf(shape: readonly number[], text: string): string {
  const channels = shape.length === 3 && shape[2] === 3 ? text : text.replace(/\bcolour(s?)\b/g, "channel$1");
  return shape.length === 3 ? channels : channels.replace(/\bpixel(s?)\b/g, "cell$1");
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
  /** The results for some pairs. */
  const attributeAll = async (model: Model, pairs: readonly Pair[], options: Options): Promise<Item[]> => {
    const found = await attribute({
      model,
      options,
      pairs,
      inputs() {
        options.signal?.throwIfAborted();
        return resolveForImages(model, pairs, options);
      },
    });
    return found.map((made) => {
      const { of: { name: image, view, target, probability }, about: own, ...parts } = made;
      const note = isOutput(target) ? outputFor(model, target).note : "";
      const about = inWordsOf(view.shape, [own, note, model.inputNote].filter(Boolean).join(" "));
      const whyZero = parts.whyZero && inWordsOf(view.shape, parts.whyZero);
      const described = { ...target, ...probability !== undefined && { probability } };
      const named = { model: model.name, name: image, image: model.shown(view), target: described };
      return result({ ...parts, about, ...whyZero && { whyZero }, ...named }, made);
    });
  };
  const method = async (
    model: Model,
    images: ImagesLike,
    given: Partial<Options> = {},
  ): Promise<Item | Collection<Item>> => {
    checkModel(name, model);
    const options = readOptions(name, type, given);
    model = model.about(options.input);
    const reader = isWalked(images, options) ? new ImagesReader(name, model, images, options) : null;
    await checkReady(name, model);
    const titled = (results: readonly Item[]) =>
      collect(results, `${model.name} · ${results[0].method}`, reader?.skipped);
    if (reader) return titled(await attributeSet(name, model, reader, options, attributeAll));
    const { pairs, many } = await pairsOf(model, images as ImageLike | readonly ImageLike[], options.target);
    const results = await attributeAll(model, pairs, options);
    return many ? titled(results) : results[0];
  };
  Object.defineProperty(method, "name", { value: name });
  return method as AttributionFunction<Options, Item>;
}

/** So many batches of a data set's images are read at a time. */
const BATCHES = 4;

/** Refuses what memory cannot hold when the first results are there. */
function checkRoom(name: string, first: readonly Attribution[], size: number): void {
  const [{ image, values, map }] = first;
  const each = [...new Set([image, values, map])].reduce((sum, { data }) => sum + data.byteLength, 0);
  const what = `What ${name} gives for the other ${size - first.length} images`;
  checkMachineMemory(what, (size - first.length) * each, "Take fewer images, as dataset.take(100).");
}

/** The results for all images of a data set, of which some at a time are in memory. */
async function attributeSet<Options extends AttributionOptions, Item extends Attribution>(
  name: string,
  model: Model,
  reader: ImagesReader,
  options: Options,
  attributeAll: (model: Model, pairs: readonly Pair[], options: Options) => Promise<Item[]>,
): Promise<Item[]> {
  const { size } = reader;
  const targets = [options.target].flat() as readonly Target[];
  checkPairing(size, targets);
  return await withProgress(
    `${name} of ${model.name}`,
    size,
    async (update) => {
      const results: Item[] = [];
      for await (const chunk of reader.chunks(BATCHES * options.batchSize)) {
        const before = results.length + reader.skipped.length;
        const pairs = chunk.flatMap((image): Pair[] => {
          const { view, index } = image;
          const shared = { name: reader.nameOf(image), view, input: model.input(view) };
          const wanted = targets.length === size ? [targets[index]] : targets;
          return wanted.map((wanted) => ({ ...shared, wanted }));
        });
        const onProgress = (done: number, total: number) => update(before + Math.floor(chunk.length * done / total));
        results.push(...await attributeAll(model, pairs, { ...options, onProgress }));
        if (before === reader.skipped.length) checkRoom(name, results, size);
      }
      if (reader.skipped.length > 0) update(size);
      return results;
    },
    options.onProgress,
    reader,
  );
}
