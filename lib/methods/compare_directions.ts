/**
 * Are single units special? Top patches of units, of random directions, of principal components and of class means, and how
 * alike they are, in numbers.
 *
 * Szegedy et al. 2014, "Intriguing properties of neural networks", §3: the images that excite a random direction of a layer
 * look as alike as those that excite a unit, so it is "the space, rather than the individual units, that contains the
 * semantic information". They judged by eye; here it is measured, against patches that are dealt to the directions at
 * random. (Bau et al. 2017, "Network dissection", found units easier to name than random rotations of them.)
 *
 * @module
 */

import { checkDataset, type Dataset } from "../data/dataset.ts";
import { kindOf } from "../errors.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, checkArray, readOptions, rule, text, WalkOptions, whole } from "../options.ts";
import { Directions } from "../results/directions.ts";
import { DirectionsComparison, DRAWN } from "../results/directions_comparison.ts";
import { withProgress } from "../results/progress.ts";
import { TopPatches } from "../results/top_patches.ts";
import { directionsIn, lookAtPatches, measureDirections, ownDirections } from "./shared/direction_sets.ts";
import { findDirections, needsImages } from "./shared/find_directions.ts";
import type { NamedDirections } from "./shared/layer_units.ts";
import { layersAsked } from "./shared/layers.ts";
import { fieldsOf } from "./shared/patch_rows.ts";
import { scanPatches } from "./shared/patch_scan.ts";
import { pictureReader } from "./shared/pictures.ts";

const KINDS = ["units", "random", "principal", "classes"] as const;
type Kind = (typeof KINDS)[number];

/** The options of `compareDirections`. */
export class CompareDirectionsOptions extends WalkOptions {
  /**
   * The layer in whose space of channels the directions are.
   * @default the last convolution, or without any the layer before the last
   */
  @text()
  layer?: string;
  /** Several layers, in the order wanted: how the measures change with depth. */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which kinds of directions, of `"units"`, `"random"`, `"principal"` and `"classes"`, as `directions` makes them. The
   * first is the one that others are compared with.
   * @default all four; without labels all but the classes
   */
  @rule((name, value) => {
    checkArray(name, value, 'kinds, as ["units", "random"]');
    const kinds = value as Kind[];
    const wrong = kinds.find((kind) => !KINDS.includes(kind));
    if (kinds.length > 0 && wrong === undefined) return;
    throw new RangeError(
      `${name} are of ${KINDS.map((kind) => JSON.stringify(kind)).join(", ")}, one at least: received ` +
        `${kinds.length > 0 ? kindOf(wrong) : "none"}.`,
    );
  })
  kinds?: readonly ("units" | "random" | "principal" | "classes")[];
  /**
   * Directions of your own beside these: of one layer, by their names, or as `directions(…)` returns them.
   * @default none
   */
  @rule((name, value) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
    throw new TypeError(`${name} are given by their names, as { mine: [0.5, …] }: received ${kindOf(value)}.`);
  })
  directions?: NamedDirections | Directions;
  /**
   * How many directions of each kind, at most.
   * @default 64
   */
  @whole(2)
  count = 64;
  /**
   * How many patches of each direction: one of each image, the strongest.
   * @default 9
   */
  @whole(2)
  top = 9;
  /**
   * The images in which principal components and class means are found: others than those that the patches come from, to
   * be sure that a class mean does not find the very images that it was made of.
   * @default the same images
   */
  @rule((name, value, asker) => checkDataset(`${asker}'s ${name}`, value))
  from?: Dataset;
  /**
   * Of the choice of units, of random vectors, of what is dealt at random, and of the intervals.
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

/** The last convolution, or what the last layer reads. */
function lastLayer({ leaves }: Model): string {
  const maps = leaves.filter(({ kind, outputShape }) => outputShape.length > 1 && /Conv/.test(kind));
  return (maps.at(-1) ?? leaves.at(-2) ?? leaves[0]).name;
}

/**
 * Compares directions in a layer: are random directions as meaningful as units? Of each direction the strongest patches are
 * found, and measured is how alike they are: how often they show one class, and how near they are in colour and in texture.
 * Beside it stands what the same measures are of the same patches dealt to the directions at random. With `layers` it shows
 * how these measures, as the class purity of units, change with depth.
 *
 * The images are walked twice, once where no components or class means are asked for.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images that patches come from; with labels, if classes are to be measured
 * @returns rows, one for each layer, kind and measure, with intervals; `directions`, each by itself; and the `patches`
 * @throws {RangeError} if a layer does not exist, a kind is unknown, or no direction answers to two images
 * @throws {TypeError} if class means are asked for and an image has no label, or `directions` come with several layers
 *
 * @example
 * ```ts
 * import { cifar10, compareDirections, loadModel } from "@convlens/convlens";
 * const images = await cifar10({ split: "test", limit: 300 });
 * const found = await compareDirections(await loadModel("cifar-convnet"), images, { layer: "conv3_2", count: 16 });
 * console.log(found.rows.filter(({ measure }) => measure === "class"));
 * ```
 */
export async function compareDirections(
  model: Model,
  dataset: Dataset,
  options: Partial<CompareDirectionsOptions> = {},
): Promise<DirectionsComparison> {
  const asker = "compareDirections";
  checkModel(asker, model);
  const { kinds: given, directions, count, top, from, seed, ...run } = readOptions(
    asker,
    CompareDirectionsOptions,
    options,
  );
  const { batchSize, signal, onProgress } = run;
  checkDataset(asker, dataset);
  await checkReady(asker, model);
  const source = from ?? dataset;
  const kinds = [...new Set(given ?? KINDS.filter((kind) => kind !== "classes" || source.labels !== undefined))];
  if (directions instanceof Directions && run.layers === undefined) run.layer ??= directions.layer;
  const layers = layersAsked(asker, model, run, () => [lastLayer(model)]);
  const own = ownDirections(model, layers, directions);
  const labelled = from ? kinds.includes("classes") : given?.includes("classes");
  const finder = kinds.some(needsImages) ? new InputReader(asker, model, source, { ...run, labelled }) : undefined;
  const where = `${model.name} · ${layers.length > 3 ? `${layers.length} layers` : layers.join(", ")}`;
  const asked = { layers, kinds, count, seed, labels: source.labels };
  const found = finder
    ? await withProgress(
      `Directions of ${where}`,
      finder.size,
      (update) => findDirections(model, finder, asked, { batchSize, signal, onProgress: update }),
      onProgress,
      finder,
    )
    : await findDirections(model, undefined, asked, { batchSize });
  const each = layers.map((layer) => directionsIn(model, layer, [...found, ...own]));
  const question = { layers: each.map(({ units }) => units), top, cells: "strongest" as const };
  const title = `Patches of ${where}`;
  const { rows, sources, images, skipped } = await scanPatches(asker, model, dataset, question, { ...run, title });
  const read = pictureReader(model, dataset);
  const looks = await withProgress("Looking at patches", sources.size, async (update) => {
    let done = 0;
    const onImage = () => (signal?.throwIfAborted(), update(++done));
    return model.dimensions === 2 ? await lookAtPatches(rows, sources, read, onImage) : new Map();
  }, onProgress);
  const groups = each.flatMap(({ groups }) => groups);
  const measured = measureDirections(groups, rows, looks, seed);
  if (measured.rows.length === 0) {
    throw new RangeError(
      `No direction of ${where} answers to two of the ${images} images, or nothing of their patches can be measured: ` +
        `take more images, or such with labels.`,
    );
  }
  const patches = new TopPatches(rows, {
    model: model.name,
    dataset: dataset.name,
    top,
    cells: "strongest",
    rank: "activation",
    images,
    skipped,
    dimensions: model.dimensions,
    layers,
    sources,
    read,
    fields: fieldsOf(model, layers),
  });
  const drawn = groups.flatMap(({ layer, kind }) =>
    measured.directions.filter((one) => one.layer === layer && one.kind === kind).slice(0, DRAWN)
  );
  const isDrawn = new Set(drawn.map(({ layer, unit }) => `${layer} ${unit}`));
  if (model.dimensions === 2) await patches.loadRows(rows.filter(({ layer, unit }) => isDrawn.has(`${layer} ${unit}`)));
  return new DirectionsComparison({
    ...measured,
    patches,
    skipped,
    top,
    names: { model: model.name, dataset: dataset.name, from: from?.name },
  });
}
