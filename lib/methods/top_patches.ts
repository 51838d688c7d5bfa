/**
 * What a unit looks for: the patches of many images that excite it most, cut to what its cell sees.
 *
 * Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection and semantic segmentation"
 * (2014), §3.1; Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), Fig. 2.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, rule, text, WalkOptions, whole } from "../options.ts";
import { channelsOf } from "../probe/target.ts";
import { Directions } from "../results/directions.ts";
import type { Target } from "../probe/target.ts";
import { TopPatches } from "../results/top_patches.ts";
import type { TopQuestion } from "../scan/top_patches.ts";
import { labelsOfUnits, layersAsked } from "./shared/layers.ts";
import { layerUnits, type NamedDirections, vectorsOf } from "./shared/layer_units.ts";
import { scanPatches } from "./shared/patch_scan.ts";
import { fieldsOf } from "./shared/patch_rows.ts";
import { pictureReader } from "./shared/pictures.ts";

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
   * direction's activation is its dot product with the activations of all channels at a cell. What `directions(…)` returns
   * will do, with its layer.
   * @default none
   */
  @rule((name, value) => {
    if (value instanceof Directions || kindOf(value) === "an object") return;
    throw new TypeError(
      `${name} are given by their names, as { mine: [0.5, …] }, or as directions(…) returns them: received ` +
        `${kindOf(value)}.`,
    );
  })
  directions?: NamedDirections | Directions;
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
   * By what patches are ordered: `"activation"`, what excites a unit; `"relevance"`, what it is used for: its activation
   * times the gradient of the score of `target` to it, by which the score would fall without it, to first order. Rows have
   * `relevance` then. It takes a pass back as well, on one core.
   * @default "activation"
   */
  @oneOf("activation", "relevance")
  rank: "activation" | "relevance" = "activation";
  /**
   * With `rank: "relevance"` the class, or whatever a target can be, whose score is differentiated; `"predicted"` is each
   * image's own likeliest class.
   * @default "predicted"
   */
  @rule(() => {})
  target?: Target;
  /**
   * A folder to keep what is found in, batch by batch, so that a scan that was killed goes on where it was when the same
   * is asked again: what was under way is computed twice, a batch, or on WASM one a thread. At the end it holds
   * `top_patches.parquet`, a row a patch, which pandas, Polars and DuckDB read, and the same call reads it instead of
   * scanning. One process at a time writes to it.
   * @default none: what is found is kept in memory
   */
  @text()
  folder?: string;
  /**
   * Over how many threads the images are spread at most, on the WASM backend; no result depends on it.
   * @default as many as there are cores and memory has room for
   */
  @whole(1)
  workers?: number;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The layers where none is named. */
const convolutions = (model: Model): string[] =>
  model.leaves.filter(({ kind, outputShape }) => outputShape.length > 1 && /Conv/.test(kind)).map(({ name }) => name);

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
  const { channels, directions: given, top, cells, rank, target, ...run } = readOptions(
    "topPatches",
    TopPatchesOptions,
    options,
  );
  checkDataset("topPatches", dataset);
  await checkReady("topPatches", model);
  const directions = given instanceof Directions ? given.vectors : given;
  if (given instanceof Directions && run.layers === undefined) run.layer ??= given.layer;
  const names = layersAsked("topPatches", model, run, () => convolutions(model));
  if (names.length === 0) throw new RangeError(`${model.name} has no convolution: name a layer.`);
  if (directions && (channels || names.length > 1)) {
    throw new TypeError("directions are those of one layer: give layer, and neither channels nor further layers.");
  }
  if (given instanceof Directions && given.layer !== names[0]) {
    throw new RangeError(
      `The directions are those of layer ${JSON.stringify(given.layer)}: received ${JSON.stringify(names[0])}.`,
    );
  }
  const layers = names.map((layer) => layerUnits(model, layer, channels, directions));
  if (target !== undefined && rank !== "relevance") {
    throw new TypeError('target goes with rank: "relevance": give that, or leave target out.');
  }
  const question: TopQuestion = { layers, top, cells, ...rank === "relevance" && { target: target ?? "predicted" } };
  const { rows, sources, images, skipped } = await scanPatches("topPatches", model, dataset, question, {
    ...run,
    title: `Patches of ${model.name} · ${names.length > 3 ? `${names.length} layers` : names.join(", ")}`,
  });
  const patches = new TopPatches(rows, {
    model: model.name,
    dataset: dataset.name,
    top,
    cells,
    rank,
    images,
    skipped,
    dimensions: model.dimensions,
    layers: names,
    sources,
    read: pictureReader(model, dataset),
    fields: fieldsOf(model, names),
    labels: new Map(layers.flatMap(({ layer, directions }) => {
      const labels = directions ? null : labelsOfUnits(model, layer, channelsOf(model, layer));
      return labels ? [[layer, labels] as const] : [];
    })),
    ...layers[0].directions && { directions: vectorsOf(layers[0]) },
  });
  return await patches.load();
}
