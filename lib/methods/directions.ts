/**
 * Directions in the space of a layer: what else than single channels one may ask about.
 *
 * Szegedy et al. 2014, "Intriguing properties of neural networks", found the images that excite random directions of a
 * layer as alike as those of its units, and took the space of the channels for what holds the meaning, not the single
 * unit. Bau et al. 2017, "Network dissection", measured that units are easier to name than rotated ones. Here are the
 * directions to try it with; `compareDirections` does.
 *
 * @module
 */

import type { Dataset } from "../data/dataset.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, text, WalkOptions, whole } from "../options.ts";
import { channelsOf } from "../probe/target.ts";
import { type DirectionKind, Directions } from "../results/directions.ts";
import { withProgress } from "../results/progress.ts";
import { findDirections, needsImages } from "./shared/find_directions.ts";

/** The options of `directions`. */
export class DirectionsOptions extends WalkOptions {
  /** The layer whose channels the directions weigh. */
  @text()
  layer?: string;
  /**
   * What they are: `"units"`, single channels chosen at random; `"random"`, random vectors; `"principal"`, the principal
   * components of what the channels put out at single cells; `"classes"`, for each label the mean of its images, less the
   * mean of all others.
   * @default "principal"
   */
  @oneOf("units", "random", "principal", "classes")
  kind: Exclude<DirectionKind, "own"> = "principal";
  /**
   * How many.
   * @default 16, or as many as there are; of classes all
   */
  @whole(1)
  count?: number;
  /**
   * Of the choice of units, of random vectors, and of the cells that principal components are found in.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * With `kind: "classes"`: the labels that directions are made of.
   * @default all
   */
  @arrayOf('labels, as ["cat", "dog"]')
  classes?: readonly string[];
  /**
   * With `kind: "classes"`: the label whose mean is taken off, as `{ classes: ["cat"], against: "dog" }`.
   * @default the mean of all other images
   */
  @text()
  against?: string;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

const DEFAULT_COUNT = 16;

/**
 * Named directions in the space of a layer's channels, each a vector of length 1: for {@linkcode topPatches}, as
 * `topPatches(model, data, { layer, directions: await directions(model, data, { layer }) })`, and one by one as a target
 * `{ layer, direction }`. The activation of a direction at a cell is the dot product with the channels there.
 *
 * Principal components are found in 20,000 vectors at most: cells drawn at random, as many of each image. Means of classes
 * are over all cells of all images.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images that are looked at for principal components and classes; `undefined` will do for the others
 * @returns `vectors`, by name, and rows `{ name, kind, channel, weight, spread, share, images }`
 * @throws {TypeError} if no layer is named, or it puts out no feature maps and no vector
 * @throws {RangeError} if the layer does not exist, there are fewer directions than `count`, a label is unknown, or there
 * are fewer than two
 *
 * @example
 * ```ts
 * import { cifar10, directions, loadModel } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const images = await cifar10({ split: "test", limit: 100 });
 * const layer = model.layers.findLast(({ kind }) => kind === "Conv2D")!.name;
 * console.log(await directions(model, images, { layer, kind: "classes" }));
 * ```
 */
export async function directions(
  model: Model,
  dataset: Dataset | undefined,
  options: Partial<DirectionsOptions> = {},
): Promise<Directions> {
  checkModel("directions", model);
  const given = readOptions("directions", DirectionsOptions, options);
  const { layer, kind, count, seed, classes, against, onProgress, ...run } = given;
  const looks = needsImages(kind) || dataset !== undefined;
  const reader = looks && new InputReader("directions", model, dataset!, { labelled: kind === "classes", ...run });
  if (layer === undefined) throw new TypeError('directions wants the layer whose channels they weigh: { layer: "…" }.');
  const channels = channelsOf(model, layer);
  if (kind !== "random" && kind !== "classes" && count !== undefined && count > channels) {
    throw new RangeError(
      `Layer ${JSON.stringify(layer)} has ${channels} channels, and no more ${
        kind === "units" ? "units" : "components"
      }: ` +
        `received the count ${count}.`,
    );
  }
  if (kind !== "classes" && (classes ?? against) !== undefined) {
    throw new TypeError(`classes and against go with kind: "classes": received the kind ${JSON.stringify(kind)}.`);
  }
  const asked = {
    layers: [layer],
    kinds: [kind],
    count: count ?? (kind === "classes" ? undefined : DEFAULT_COUNT),
    seed,
    classes,
    against,
    labels: dataset?.labels,
  };
  const names = { model: model.name, dataset: needsImages(kind) ? dataset!.name : undefined };
  if (!reader || !needsImages(kind)) {
    const [found] = await findDirections(model, undefined, asked, run);
    return new Directions(found, [], names);
  }
  await checkReady("directions", model);
  const [found] = await withProgress(
    `Directions in ${layer} of ${model.name}`,
    reader.size,
    (update) => findDirections(model, reader, asked, { ...run, onProgress: update }),
    onProgress,
    reader,
  );
  return new Directions(found, reader.skipped, names);
}
