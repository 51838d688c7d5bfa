/**
 * Filters that never fire: which feature maps stay at zero whatever the network looks at, and which hardly ever leave it.
 *
 * A ReLU whose input is negative for every image puts out zero and passes no gradient back, so its filter cannot learn
 * its way out. cs231n ("Visualizing what ConvNets learn", on activations) names this pitfall and what it points to: a
 * learning rate that was too high.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type LayerInfo, type Model } from "../model/model.ts";
import { arrayOf, readOptions, WalkOptions, within } from "../options.ts";
import { type DeadFilterRow, DeadFilters } from "../results/dead_filters.ts";
import { withProgress } from "../results/progress.ts";
import { forwardEach } from "../scan/forward_all.ts";

/** The options of `deadFilters`. */
export class DeadFiltersOptions extends WalkOptions {
  /**
   * Which layers to watch.
   * @default every layer that ends in a ReLU, but for the last layer of the model
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * A filter that fires on a smaller share of the images than this, but not on none, hardly fires.
   * @default 0.01
   */
  @within(0, 1)
  hardly = 0.01;
  /**
   * How many images run at once, at most: fewer where the watched outputs of so many exceed a quarter of a gigabyte.
   * @default 64
   */
  override batchSize = 64;
}

/** Statistics of one layer's feature maps, added up batch by batch. */
class Tally {
  readonly max: Float64Array;
  readonly sum: Float64Array;
  readonly cells: Float64Array;
  readonly fired: Float64Array;
  /** Cells of one feature map. */
  area = 0;
  images = 0;

  constructor(readonly layer: string, readonly channels: number) {
    this.max = new Float64Array(channels).fill(-Infinity);
    this.sum = new Float64Array(channels);
    this.cells = new Float64Array(channels);
    this.fired = new Float64Array(channels);
  }

  /** @param output `[n, h, w, c]` or `[n, c]` */
  add({ data, shape }: NdArrayLike): void {
    const { channels } = this;
    const images = shape[0];
    this.area = sizeOf(shape.slice(1, -1));
    const before = new Float64Array(channels);
    for (let image = 0, at = 0; image < images; image++) {
      before.set(this.cells);
      for (let cell = 0; cell < this.area; cell++) {
        for (let channel = 0; channel < channels; channel++, at++) {
          const value = data[at];
          if (value > this.max[channel]) this.max[channel] = value;
          this.sum[channel] += value;
          this.cells[channel] += Number(value > 0);
        }
      }
      for (let channel = 0; channel < channels; channel++) {
        this.fired[channel] += Number(this.cells[channel] > before[channel]);
      }
    }
    this.images += images;
  }

  rows(hardly: number): DeadFilterRow[] {
    const all = this.images * this.area;
    return Array.from({ length: this.channels }, (_, channel) => {
      const activeFraction = this.fired[channel] / this.images;
      return {
        layer: this.layer,
        channel,
        max: this.max[channel],
        mean: this.sum[channel] / all,
        activeFraction,
        activeCells: this.cells[channel] / all,
        dead: activeFraction === 0,
        hardly: activeFraction > 0 && activeFraction < hardly,
      };
    });
  }
}

/** The layers that end in a ReLU, but for the model's last. */
function rectified(model: Model): string[] {
  const rectifies = ({ name, kind }: LayerInfo) => {
    const { activation, negativeSlope } = model.entry(name).layer.getConfig();
    return kind === "ReLU" ? !negativeSlope : /^relu6?$/.test(String(activation));
  };
  return model.leaves.slice(0, -1).filter(rectifies).map(({ name }) => name);
}

/** At most this many numbers are in the watched outputs of one batch. */
const MOST_FLOATS = 64e6;

/**
 * Runs a data set through a model and finds the filters that never fire, and those that hardly do.
 *
 * What counts is what comes out behind the ReLU. On a single image many filters are silent, and rightly so: use
 * some hundred images of all kinds before you call a filter dead, and give them the preprocessing of the training. A
 * layer with many dead filters has lost part of its width. The usual reason is a learning rate that threw the weights
 * so far that no input reaches them any more; a smaller rate or a warm-up prevents it, nothing repairs it.
 *
 * @param model the model; nothing on it changes
 * @param dataset images to look at; they are read one batch at a time
 * @returns `rows`, one a filter: `{ layer, channel, max, mean, activeFraction, activeCells, dead, hardly }`
 * @throws {TypeError} if `layers` is no array
 * @throws {RangeError} if a layer does not exist, there is none to watch, the data set is empty, or `hardly` is not from 0
 *   to 1
 * @throws {MemoryError} if a batch does not fit: use a smaller `batchSize`
 *
 * @example
 * ```ts
 * import { cifar10, deadFilters, loadModel } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const silent = await deadFilters(model, await cifar10({ split: "test", limit: 500 }));
 * console.log(silent.rows.filter(({ dead }) => dead));
 * ```
 */
export async function deadFilters(
  model: Model,
  dataset: Dataset,
  options: Partial<DeadFiltersOptions> = {},
): Promise<DeadFilters> {
  checkModel("deadFilters", model);
  const { layers, hardly, ...run } = readOptions("deadFilters", DeadFiltersOptions, options);
  const { batchSize, signal, onProgress } = run;
  const reader = new InputReader("deadFilters", model, dataset, run);
  await checkReady("deadFilters", model);
  const names = [...new Set(layers ?? rectified(model))];
  names.forEach((name) => model.layer(name));
  if (names.length === 0) {
    throw new RangeError(
      layers
        ? "layers is empty; wanted at least one layer's name."
        : `No layer of ${
          JSON.stringify(model.name)
        } ends in a ReLU, so no filter can be dead. Name the layers to watch in ` +
          `the option layers.`,
    );
  }
  const shapes = names.map((name) => model.layer(name).outputShape);
  const tallies = names.map((name, i) => new Tally(name, shapes[i].at(-1)!));
  const floats = shapes.reduce((sum, shape) => sum + sizeOf(shape.map((length) => length ?? 100)), 0);
  const fitting = Math.max(1, Math.floor(MOST_FLOATS / floats));
  await withProgress(
    `Looking for dead filters in ${model.name}`,
    dataset.size,
    (update) =>
      forwardEach(
        model,
        reader.inputs(),
        names,
        (outputs) => outputs.forEach((output, i) => tallies[i].add(output)),
        { batchSize: Math.min(batchSize, fitting), signal, onProgress: update },
      ),
    onProgress,
    reader,
  );
  return new DeadFilters(tallies.flatMap((tally) => tally.rows(hardly)), reader, {
    model: model.name,
    dataset: dataset.name,
    hardly,
  });
}
