/**
 * How features grow while a network learns, and which layers settle first.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §4 and Fig. 4: of some channels of each
 * layer what comes back to the pixels from the strongest patch, one column an epoch; lower layers converge within a few
 * epochs, upper ones take many, and sudden jumps come from a change of the image that excites a channel most.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { kindOf } from "../errors.ts";
import { shapeList } from "../model/graph.ts";
import type { Snapshot } from "../data/history.ts";
import { type Copy, modelFrom, writeWeights } from "../model/copy.ts";
import { InputReader } from "../model/inputs.ts";
import type { Model } from "../model/model.ts";
import { arrayOf, readOptions, text, WalkOptions, whole } from "../options.ts";
import { type EvolutionRow, FeatureEvolution } from "../results/feature_evolution.ts";
import { History } from "../results/history.ts";
import { withProgress } from "../results/progress.ts";
import type { LayerUnits } from "../scan/top_patches.ts";
import { foundAt, settledOf, settling } from "./shared/feature_growth.ts";
import { layerUnits } from "./shared/layer_units.ts";
import { layersAsked, walkOf } from "./shared/layers.ts";
import { pictureReader } from "./shared/pictures.ts";
import { projectPatches } from "./shared/projections.ts";

/** The options of `featureEvolution`. */
export class FeatureEvolutionOptions extends WalkOptions {
  /** The layer whose channels are drawn; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, in the order in which they are shown.
   * @default where `layer` is not given either: every convolution; of more than 10 the last layer of each resolution
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which channels of each layer are drawn.
   * @default the first 8 of one layer, of several 4, that an image excites at the end
   */
  @arrayOf("channels")
  channels?: readonly number[];
  /**
   * How many of the images that excite a channel most are compared with those at the end.
   * @default 9
   */
  @whole(1)
  top = 9;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** More convolutions than this are not all followed. */
const LONGEST = 10;

/**
 * @returns the snapshots of a run, and what it trained
 * @throws {TypeError} if it does not know its network
 * @throws {RangeError} if it has fewer than two snapshots
 */
function kept(history: History): { snapshots: readonly Snapshot[]; build: () => Promise<Copy> } {
  const { network, snapshots, model } = history;
  if (!network) {
    throw new TypeError(`The history of ${JSON.stringify(model)} does not know its network: train it anew.`);
  }
  if (snapshots.length < 2) {
    throw new RangeError(
      `The history of ${JSON.stringify(model)} has ${snapshots.length} snapshot of its weights; wanted two at least: ` +
        `train(model, images, { snapshots: [0, 1, 2, 4] }) keeps those after these epochs.`,
    );
  }
  return { snapshots, build: () => modelFrom(network) };
}

/** The channels of a layer. */
function channelsOf(model: Model, layer: string, channels?: readonly number[]): LayerUnits {
  const { outputShape } = model.layer(layer);
  if (outputShape.length !== 3) {
    throw new TypeError(`Layer ${JSON.stringify(layer)} puts out [${shapeList(outputShape)}]; wanted maps [h, w, c].`);
  }
  return layerUnits(model, layer, channels);
}

/**
 * Follows the features of a network through its training: at each snapshot that `train` kept, the images run through the
 * network as it was then, and of some channels the strongest patch is projected back to the pixels (DeconvNet). A jump marks
 * that another image has become the strongest.
 *
 * Which layers settle first is measured in two ways, each 1 at the end: `filters`, the mean cosine of the angles between a
 * layer's filters and those at the end; and `images`, of the `top` images that excite a channel most the share that is the
 * same at the end.
 *
 * @param history what `train` returned; its `snapshots` say at which epochs the weights were kept
 * @param dataset the images; they are walked once a snapshot
 * @returns `rows`, one for each channel and snapshot: `{ layer, channel, epoch, imageId, activation, cell, box, jump }`;
 *   `projection(row)`, `[h, w, c]`; `settling`, rows `{ layer, epoch, filters, images }`; `settled`, from which epoch on a layer
 *   stays near its end
 * @throws {TypeError} if the history is none, a layer puts out no maps, or DeconvNet has no rule for a layer on the way
 * @throws {RangeError} if it has fewer than two snapshots, or a layer or channel does not exist
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, cifar10, featureEvolution, train } from "@convlens/convlens";
 * const pets = await cifar10({ classes: ["cat", "dog"], limit: 100 });
 * const history = await train(await catsVsDogsConvnet(), pets, { epochs: 2, validation: 0, live: false });
 * await featureEvolution(history, pets, { layer: "conv1" });
 * ```
 */
export async function featureEvolution(
  history: History,
  dataset: Dataset,
  options: Partial<FeatureEvolutionOptions> = {},
): Promise<FeatureEvolution> {
  const asker = "featureEvolution";
  if (!(history instanceof History)) {
    throw new TypeError(
      `featureEvolution takes what train returned, as featureEvolution(await train(model, images), images): received ` +
        `${kindOf(history)}.`,
    );
  }
  checkDataset(asker, dataset);
  const { channels, top, ...run } = readOptions(asker, FeatureEvolutionOptions, options);
  const { batchSize, signal, onProgress } = run;
  const { snapshots, build } = kept(history);
  const { model, dispose } = await build();
  try {
    const stops = () => walkOf(model, /Conv/, LONGEST);
    const drawn = layersAsked(asker, model, run, stops);
    if (drawn.length === 0) throw new RangeError(`${model.name} has no convolution: name a layer.`);
    drawn.forEach((layer) => channelsOf(model, layer, channels));
    // The curves compare all layers, whichever are drawn.
    const followed = model.layers.map(({ name }) => name).filter((name) =>
      drawn.includes(name) || stops().includes(name)
    );
    const question = {
      layers: followed.map((layer) => channelsOf(model, layer)),
      top,
      cells: "strongest" as const,
    };
    const reader = new InputReader(asker, model, dataset, run);
    const read = pictureReader(model, dataset, signal);
    const pictures = new Map<string, NdArray>();
    const projections = new Map<EvolutionRow, NdArray>();
    const found = await withProgress(
      `Features of ${model.name}`,
      snapshots.length * reader.size,
      (update) => foundAt(model, snapshots, reader, question, { batchSize, signal, onProgress: update }),
      onProgress,
      reader,
    );
    const end = found.at(-1)!.layers;
    const strongest = drawn.flatMap((layer) => {
      const alive = end.get(layer)!.flatMap(([first], channel) => first?.activation > 0 ? [channel] : []);
      const first = (alive.length > 0 ? alive : [0]).slice(0, drawn.length === 1 ? 8 : 4);
      return (channels ?? first).map((channel) => ({
        layer,
        channel,
        each: found.map(({ layers }) => layers.get(layer)![channel][0]),
      }));
    });
    const rows = strongest.flatMap(({ layer, channel, each }) =>
      each.map(({ rank: _rank, unit: _unit, relevance: _relevance, ...row }, i): EvolutionRow => ({
        ...row,
        layer,
        channel,
        epoch: snapshots[i].epoch,
        jump: i > 0 && row.imageId !== each[i - 1].imageId,
      }))
    );
    for (const [i, { epoch, weights }] of snapshots.entries()) {
      signal?.throwIfAborted();
      await writeWeights(model, weights);
      const own = rows.filter((row) => row.epoch === epoch);
      const inputs = new Map<string, InputArray>();
      const images = [...new Set(own.map(({ imageId }) => imageId))].map((id) => found[i].sources.get(id)!);
      await read(images, (id, shown, view) => {
        pictures.set(id, shown as NdArray);
        inputs.set(id, model.input(view));
      });
      const asked = own.map((row) => ({ ...row, unit: row.channel, input: inputs.get(row.imageId)! }));
      await projectPatches(
        model,
        asked,
        { batchSize, signal },
        (at, projection) => projections.set(own[at], projection),
      );
    }
    const curves = settling(snapshots, found);
    return new FeatureEvolution(
      {
        rows,
        settling: curves,
        settled: settledOf(curves),
        epochs: snapshots.map(({ epoch }) => epoch),
        layers: drawn,
        top,
        images: reader.size - reader.skipped.length,
        skipped: reader.skipped,
      },
      { pictures, projections },
      { model: model.name, dataset: dataset.name },
    );
  } finally {
    dispose();
  }
}
