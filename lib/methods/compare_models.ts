/**
 * Two networks side by side: how alike their layers are, how far they agree, and on which images they part.
 *
 * Layers by linear CKA: Kornblith, Norouzi, Lee and Hinton 2019, "Similarity of neural network representations revisited", §3,
 * over minibatches as in Nguyen, Raghu and Kornblith 2021, "Do wide and deep networks learn the same things?", eq. 3 and 4.
 * Errors: McNemar 1947; error consistency of Geirhos, Meding and Wichmann 2020, "Beyond accuracy", eq. 1 to 3.
 *
 * @module
 */

import { checkDataset, type Dataset, ImageDataset, type SkippedImage } from "../data/dataset.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { centred, LEAST_IMAGES, SimilaritySums } from "../embed/cka.ts";
import { kindOf } from "../errors.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, rule, WalkOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { gramOf } from "../probe/gram.ts";
import { type LayerSimilarity, ModelComparison } from "../results/model_comparison.ts";
import { withProgress } from "../results/progress.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { forwardAll } from "../scan/forward_all.ts";
import { chosen } from "./shared/activations_of_images.ts";
import { checkMaps, type LayersOfTwo, layersOfTwo, mostAlike } from "./shared/compared_layers.ts";
import { namesOf } from "./shared/model_names.ts";
import { type Cut, type Minibatch, PairReader, type SeenByBoth, type Two, walkPair } from "./shared/pair_walk.ts";
import { PartedAnswers } from "./shared/parted.ts";

/** The options of `compareModels`. */
export class CompareModelsOptions extends WalkOptions {
  /**
   * The layers that are compared, each with each: names that both networks have, or those of each, as
   * `{ a: ["conv1", "conv2"], b: ["block1"] }`.
   * @default of each up to 12, evenly spread over its depth: convolutions, poolings and dense layers, each with the activation
   *   behind it; where branches join, what they join to
   */
  @rule((name, value) => {
    const each = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.values(value) : [value];
    const isList = (list: unknown) =>
      Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === "string");
    if (each.length > 0 && each.every((list) => list === undefined || isList(list))) return;
    throw new TypeError(
      `${name} must be an array of layers' names, or one for each network, as { a: ["conv1"], b: ["conv1"] }: received ` +
        `${kindOf(value)}.`,
    );
  })
  layers?: LayersOfTwo;
  /**
   * What becomes of feature maps: `"none"` lays them out whole, as in the paper; `"mean"` and `"max"` take one number of each
   * map, which is quicker, and asks which channels answer to an image, whatever the place.
   * @default "none"
   */
  @oneOf("none", "mean", "max")
  pool: "none" | "mean" | "max" = "none";
  /**
   * How many images in each minibatch of the estimator: what is expected does not depend on it, and memory does.
   * @default 64, or fewer, down to 8, where what the layers put out for them would take more than 512 MB
   */
  @whole(LEAST_IMAGES)
  minibatch?: number;
  /**
   * The image whose activations are drawn side by side.
   * @default the one on which both are surest of different classes; without any the first
   */
  image?: ImageLike;
  /**
   * The layers whose activations are drawn: one of each network, `[of a, of b]`.
   * @default those compared ones, with feature maps, that are most alike
   */
  @arrayOf("two layers' names")
  maps?: readonly [string, string];
  /**
   * Of the images on which the two part, so many are kept as pictures: where only one is right, only the other, and none, each.
   * @default 12
   */
  @whole(0)
  examples = 12;
  /**
   * Of the order in which images come to minibatches, and of the bootstrap.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** Whether what a model puts out for an image is one of several classes. */
const tellsClasses = ({ output: { kind } }: Model) => kind === "classes" || kind === "binary";

/** Images of one class often stand together; a minibatch is to hold those of all. */
function inRandomOrder(dataset: Dataset, seed: number): Dataset {
  return dataset instanceof ImageDataset && dataset.known ? dataset.shuffle(seed) : dataset;
}

/** What both networks make of one image at two layers. */
async function activationsOf(
  models: Two<Model>,
  views: SeenByBoth["views"],
  layers: readonly [string, string],
  signal?: AbortSignal,
) {
  const parts = [];
  for (const [i, model] of models.entries()) {
    const [output] = await forwardAll(model, [model.input(views[i])], [layers[i]], { signal });
    const { maps, shape, channels } = chosen(item(output, 0));
    parts.push({ layer: layers[i], maps, shape, channels });
  }
  return parts as unknown as Two<(typeof parts)[number]>;
}

/**
 * Compares two networks on the same images: the similarity of each layer of one with each of the other (linear CKA: 1 where
 * one is the other turned or scaled, 0 where they have nothing in common), with intervals; how often they give the same answer;
 * where images have labels, the accuracy of both, whether the difference may be chance, and whether they err on the same
 * images; the images on which they part; and, for one image, the activations of two layers on one scale.
 *
 * They may differ in the size of their inputs and in the order of their classes, which are compared by their names. Images come
 * to minibatches in a random order; those of a data set that is not known before it is walked in its own order, which should be
 * mixed then. Memory does not grow with the images, but for an answer of each.
 *
 * @param a the first network; nothing on it changes
 * @param b the second network
 * @param dataset images that both can read, at least 4
 * @returns rows `{ a, b, cka, low, high }`, one for each pair of layers; `similarity`, `[layers of a, layers of b]`; `answers`,
 *   one an image; `agreement` and `accuracy`, null where there are no classes to compare, or no labels
 * @throws {RangeError} if a layer does not exist or there are fewer than 4 images
 * @throws {TypeError} if one cannot read the images
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, cifar10, compareModels, train } from "@convlens/convlens";
 * const pets = await cifar10({ classes: ["cat", "dog"], limit: 400 });
 * const [a, b] = [await catsVsDogsConvnet({ seed: 1 }), await catsVsDogsConvnet({ seed: 2 })];
 * for (const model of [a, b]) await train(model, pets, { optimizer: "adam", epochs: 1, live: false });
 * const found = await compareModels(a, b, await cifar10({ classes: ["cat", "dog"], split: "test", limit: 200 }));
 * console.log(found.similarity.shape, found.agreement?.value, found.accuracy?.mcnemar.p);
 * ```
 */
export async function compareModels(
  a: Model,
  b: Model,
  dataset: Dataset,
  options: Partial<CompareModelsOptions> = {},
): Promise<ModelComparison> {
  const asker = "compareModels";
  const models = [a, b] as const;
  for (const model of models) checkModel(asker, model);
  const all = readOptions(asker, CompareModelsOptions, options);
  const { pool, minibatch, image, maps, examples, seed, batchSize, signal, onProgress } = all;
  checkDataset(asker, dataset);
  for (const model of models) await checkReady(asker, model);
  const layers = layersOfTwo(models, all.layers);
  checkMaps(models, maps);
  checkCount(dataset.size, dataset.name);
  const names = namesOf(models) as [string, string];
  const reader = new PairReader(asker, models, inRandomOrder(dataset, seed), all);
  const answers = new PartedAnswers(models, examples);
  const tf = await ensureBackend();
  let sums: SimilaritySums | undefined;
  const receive = async ({ index, images, outputs }: Minibatch, { count }: Cut) => {
    sums ??= new SimilaritySums(layers[0].length, layers[1].length, count);
    if (images < LEAST_IMAGES) return;
    const grams: Float64Array[][] = [[], []];
    for (const [i, stores] of outputs.entries()) {
      for (const { data, each } of stores) {
        signal?.throwIfAborted();
        grams[i].push(centred(await gramOf(tf, data, images, each), images));
      }
    }
    sums.add(index, grams[0], grams[1], images);
  };
  const wanted = layers.map((own) => own.map((layer) => pool === "none" ? layer : { layer, pool }));
  await withProgress(
    `${names[0]} and ${names[1]}`,
    reader.size,
    (update) =>
      walkPair(models, reader, {
        layers: [wanted[0], wanted[1]],
        answers: models.every(tellsClasses),
        minibatch,
        batchSize,
        signal,
        update,
        onRead: (seen) => answers.read(seen),
        onAnswers: (which, outputs, start) => answers.add(which, outputs, start),
        receive,
      }),
    onProgress,
    reader,
  );
  const images = reader.size - reader.skipped.length;
  checkCount(images, dataset.name, reader.skipped);
  const { values, low, high } = sums!.finish(seed, 1);
  const rows = layers[0].flatMap((one, y) =>
    layers[1].map((other, x): LayerSimilarity => {
      const at = y * layers[1].length + x;
      return { a: one, b: other, cka: values[at], low: low && low[at], high: high && high[at] };
    })
  );
  const shown = image === undefined ? answers.shown : await given(models, image);
  const drawn = maps ?? mostAlike(models, rows);
  return new ModelComparison({
    rows,
    layers,
    images,
    answers: answers.inOrderOf(dataset),
    parted: answers.parted,
    activations: drawn && {
      image: shown.name,
      view: models[0].shown(shown.views[0]),
      of: await activationsOf(models, shown.views, drawn, signal),
    },
    skipped: reader.skipped,
    seed,
    names: { a: names[0], b: names[1], dataset: dataset.name, pool, why: answers.why },
  });
}

/** @throws {RangeError} if there are too few images for the estimator */
function checkCount(size: number, name: string, skipped: readonly SkippedImage[] = []): void {
  if (size >= LEAST_IMAGES) return;
  throw new RangeError(
    `compareModels wants at least ${LEAST_IMAGES} images, of which similarities are estimated: ${
      JSON.stringify(name)
    } holds ` +
      `${size}${
        skipped.length ? ` that can be read; ${JSON.stringify(skipped[0].id)} cannot: ${skipped[0].reason}` : ""
      }.`,
  );
}

/** An image that was asked for, as both see it. */
async function given([a, b]: Two<Model>, image: ImageLike) {
  const source = await toGiven(image);
  return { name: nameOfGiven(source), views: [await a.view(source), await b.view(source)] as const };
}
