/**
 * The walk through the layers of a network, from edges and colours over textures to parts and objects.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), Fig. 2, drew it; lessons for beginners
 * tell it: grey what comes back from a unit, beside it the patches that excite it. Here each name is a measured rule's.
 *
 * @module
 */

import { NdArray } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { shapeList } from "../model/graph.ts";
import type { ImageView } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, readOptions, WalkOptions, whole } from "../options.ts";
import { lookOf, type PatchLook } from "../probe/patch_look.ts";
import { RULES } from "../probe/unit_name.ts";
import { FeatureHierarchy, type HierarchyPatch } from "../results/feature_hierarchy.ts";
import { withProgress } from "../results/progress.ts";
import type { PatchImage, PatchRow } from "../results/top_patches.ts";
import type { LayerUnits, TopQuestion } from "../scan/top_patches.ts";
import { layerUnits } from "./shared/layer_units.ts";
import { layersAsked, walkOf } from "./shared/layers.ts";
import { type PatchScan, scanPatches } from "./shared/patch_scan.ts";
import { pictureReader } from "./shared/pictures.ts";
import { cutOut, projectPatches } from "./shared/projections.ts";
import { drawnUnits, type Looked, nameLayer } from "./shared/unit_names.ts";

/** The options of `featureHierarchy`. */
export class FeatureHierarchyOptions extends WalkOptions {
  /**
   * Which layers, from the first to the last that is shown.
   * @default every convolution; of more than 10 the last layer of each resolution
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * How many patches of each unit.
   * @default 9
   */
  @whole(1)
  top = 9;
  /**
   * How many units of each layer are drawn, with what comes back from them: the clearest of each name. All are named.
   * @default 6
   */
  @whole(1)
  units = 6;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** More convolutions than this are not all walked through. */
const LONGEST = 10;

/** The images of rows, each once. */
const imagesOf = (rows: readonly PatchRow[], sources: ReadonlyMap<string, PatchImage>): PatchImage[] =>
  [...new Set(rows.map(({ imageId }) => imageId))].map((id) => sources.get(id)!);

/** All channels of a layer. */
function channelsOf(model: Model, layer: string): LayerUnits {
  const { outputShape } = model.layer(layer);
  if (outputShape.length !== 1 && outputShape.length !== 3) {
    throw new TypeError(
      `Layer ${JSON.stringify(layer)} puts out [${shapeList(outputShape)}]; wanted maps [h, w, c] or a vector [n].`,
    );
  }
  return layerUnits(model, layer);
}

/** The patches that excite units, with what they look like. */
async function looked(
  model: Model,
  dataset: Dataset,
  { rows, sources }: PatchScan,
  signal: AbortSignal | undefined,
): Promise<Looked[]> {
  const exciting = rows.filter(({ activation }) => activation > 0);
  const looks = new Map<PatchRow, PatchLook>();
  const byImage = Map.groupBy(exciting, ({ imageId }) => imageId);
  await pictureReader(model, dataset, signal)(imagesOf(exciting, sources), (id, shown) => {
    for (const row of byImage.get(id) ?? []) looks.set(row, lookOf(cutOut(shown, row.box)));
  });
  return exciting.map((row) => ({ ...row, unit: row.unit as number, look: looks.get(row)! }));
}

/** What comes back to patches, layer by layer, and the images that they are from. */
async function project(
  model: Model,
  dataset: Dataset,
  rows: readonly Looked[],
  sources: ReadonlyMap<string, PatchImage>,
  { signal, batchSize }: { signal?: AbortSignal; batchSize: number },
): Promise<{ pictures: Map<string, NdArray>; projected: HierarchyPatch[] }> {
  const pictures = new Map<string, NdArray>();
  const views = new Map<string, InputArray>();
  await pictureReader(model, dataset, signal)(imagesOf(rows, sources), (id, shown, view) => {
    views.set(id, view);
    pictures.set(id, NdArray.from(shown));
  });
  const inputs = rows.map((row) => ({ ...row, input: model.input(views.get(row.imageId)!) }));
  const projected: HierarchyPatch[] = [];
  await projectPatches(model, inputs, { signal, batchSize }, (i, response) => {
    const { look: _, ...row } = rows[i];
    projected.push({ ...row, response });
  });
  return { pictures, projected };
}

/**
 * Walks through the layers of a network, and says of each unit what it looks for: an edge, a colour, a texture, a part or an
 * object of a class. Each name is given by a rule that is measured on the patches that excite the unit most (and, in the
 * first layer, on its filter); the result holds the rules with their thresholds, and the numbers. What no rule fits is
 * "unnamed". How many names there would be by chance, if the patches of a layer were dealt out to its units at random, stands
 * beside them.
 *
 * Where chance gives nearly as many, as with few images of few colours, names mean nothing. Between the first and the last
 * layers they depend on the images: on another half of the same images about a third of the units had the same name.
 *
 * Of some units of each layer it draws what comes back to the pixels (DeconvNet, on grey) beside the patches. Parts and
 * objects are told by the data set's labels; without labels there are none.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images; they are walked once, and those that excite units most are read again
 * @returns `rows`, one a unit: `{ layer, unit, kind, name, also, direction, angle, … }`; `layers` with the share of each kind;
 *   `patches` of the units that are drawn, with `response`; `rules`
 * @throws {TypeError} if the model reads no images, a layer puts out neither maps nor a vector, or DeconvNet has no rule for a
 *   layer
 * @throws {RangeError} if a layer does not exist
 *
 * @example
 * ```ts
 * import { cifar10, featureHierarchy, loadModel } from "@convlens/convlens";
 *
 * const images = await cifar10({ split: "test", limit: 300 });
 * const walk = await featureHierarchy(await loadModel("cifar-convnet"), images, { layers: ["conv1", "conv2_2"], units: 3 });
 * console.log(walk.of("edge", { layer: "conv1" }).map(({ unit, name }) => `${unit} ${name}`));
 * ```
 */
export async function featureHierarchy(
  model: Model,
  dataset: Dataset,
  options: Partial<FeatureHierarchyOptions> = {},
): Promise<FeatureHierarchy> {
  checkModel("featureHierarchy", model);
  const { top, units, ...run } = readOptions("featureHierarchy", FeatureHierarchyOptions, options);
  const { signal, onProgress } = run;
  checkDataset("featureHierarchy", dataset);
  await checkReady("featureHierarchy", model);
  if (model.dimensions !== 2) {
    throw new TypeError(
      `featureHierarchy names what is seen in pictures, and ${JSON.stringify(model.name)} reads ` +
        `${model.dimensions === 1 ? "signals" : "volumes"}. topPatches gives the strongest places of these.`,
    );
  }
  const names = layersAsked("featureHierarchy", model, run, () => walkOf(model, /Conv/, LONGEST));
  if (names.length === 0) throw new RangeError(`${model.name} has no convolution: name its layers.`);
  const question: TopQuestion = { layers: names.map((layer) => channelsOf(model, layer)), top, cells: "strongest" };
  const counts = new Map<string, number>();
  let pixels = 0;
  const onRead = ({ label, view: { shape } }: ImageView) => {
    if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
    pixels = Math.max(pixels, shape[0] * shape[1]);
  };
  const title = `What the units of ${model.name} look for`;
  const found = await scanPatches("featureHierarchy", model, dataset, question, { ...run, title, onRead });
  const { images, skipped, sources } = found;
  const shares = new Map([...counts].map(([label, count]) => [label, count / images]));
  return await withProgress("Looking at patches", names.length + 1, async (update) => {
    const patches = await looked(model, dataset, found, signal);
    const named = [];
    for (const layer of names) {
      const own = patches.filter((patch) => patch.layer === layer);
      named.push(await nameLayer(model, layer, own, { pixels, shares }));
      update(named.length);
    }
    const drawn = named.flatMap(({ rows }) => drawnUnits(rows, units));
    const shown = drawn.flatMap(({ layer, unit }) => patches.filter((row) => row.layer === layer && row.unit === unit));
    const { pictures, projected } = await project(model, dataset, shown, sources, run);
    update(names.length + 1);
    return new FeatureHierarchy(
      {
        rows: named.flatMap(({ rows }) => rows),
        layers: named.map(({ about }) => about),
        patches: projected,
        rules: RULES,
        images,
        skipped,
      },
      pictures,
      { model: model.name, dataset: dataset.name },
    );
  }, onProgress);
}
