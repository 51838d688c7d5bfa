/**
 * Filters that never fire: which maps stay at zero whatever the network looks at, and which hardly ever leave it.
 *
 * A ReLU whose input is negative for every image puts out zero and passes no gradient back, so its filter cannot learn
 * its way out. cs231n ("Visualizing what ConvNets learn", on activations) names this pitfall and what it points to: a
 * learning rate that was too high.
 *
 * @module
 */

import { type NdArray, sizeOf } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { startProgress } from "../figure/cell.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, type Model, outputOf } from "../model/model.ts";
import { forwardEach } from "../scan/forward_all.ts";

export interface DeadFiltersOptions {
  /**
   * Which layers to watch.
   * @default every layer that ends in a ReLU, but for the last layer of the model
   */
  layers?: readonly string[];
  /**
   * A filter that fires on a smaller share of the images than this, but not on none, hardly fires.
   * @default 0.01
   */
  hardly?: number;
  /**
   * How many images run at once: what bounds memory.
   * @default as many as keep the watched outputs below a quarter of a gigabyte, at most 64
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of images done. */
  onProgress?: (done: number, total: number) => void;
}

/** One filter over all images. */
export interface DeadFilterRow {
  layer: string;
  channel: number;
  /** The greatest value that its map took. */
  max: number;
  /** The mean over all images and cells. */
  mean: number;
  /** Share of the images on which it fired: its map was above 0 somewhere. */
  activeFraction: number;
  /** Share of all cells of all images that were above 0. */
  activeCells: number;
  /** Whether it fired on none. */
  dead: boolean;
  /** Whether it fired, but on a smaller share of the images than `hardly` says. */
  hardly: boolean;
}

/** One layer's filters counted. */
export interface DeadFilterLayer {
  layer: string;
  channels: number;
  dead: number;
  hardly: number;
}

/** Colours of a tile: what is behind the bar, the bar, and the bar of a filter that hardly fires. */
const BACK = [38, 42, 48];
const BAR = [142, 190, 232];
const HARDLY = [240, 196, 25];
const TILE = { width: 24, height: 18 };

const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`;
const brief = (value: number) => Number(value.toPrecision(3)).toString();

/** Every watched filter with how often it fired; in a cell, a strip of bars a layer. */
export class DeadFilters extends Shown {
  /** One row a filter, layer after layer. */
  readonly rows: readonly DeadFilterRow[];
  /** One entry a layer. */
  readonly layers: readonly DeadFilterLayer[];
  /** How many images were looked at. */
  readonly images: number;
  readonly #names: { model: string; dataset: string; hardly: number };

  constructor(
    rows: DeadFilterRow[],
    images: number,
    names: { model: string; dataset: string; hardly: number },
  ) {
    super();
    this.rows = rows;
    this.images = images;
    this.#names = names;
    this.layers = [...new Set(rows.map(({ layer }) => layer))].map((layer) => {
      const own = rows.filter((row) => row.layer === layer);
      return {
        layer,
        channels: own.length,
        dead: own.filter(({ dead }) => dead).length,
        hardly: own.filter(({ hardly }) => hardly).length,
      };
    });
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { model, dataset, hardly } = this.#names;
    const dead = this.layers.reduce((sum, layer) => sum + layer.dead, 0);
    const title = `${model} · ${dead} of ${this.rows.length} filters dead on ${this.images} images of ${dataset}`;
    const caption = `One tile a filter: the bar is the share of images on which it fired, from none to all. ` +
      `Outlined in orange: never. Yellow: on less than ${percent(hardly)} of them. ` +
      // If a share p of all images fires it, n images in a row miss it with probability (1 − p)ⁿ.
      `A filter that is dead here fires on less than ${percent(1 - 0.05 ** (1 / this.images))} of such images ` +
      `(95 % confidence); other images may still wake it.`;
    const lines = this.layers.map((layer) => `  ${layer.layer.padEnd(24)} ${this.#note(layer)}`);
    return new Figure({
      title,
      caption,
      blocks: this.layers.map((layer) => this.#strip(layer)),
      text: [title, ...lines].join("\n"),
    });
  }

  #note({ channels, dead, hardly }: DeadFilterLayer): string {
    return `${channels} filters · ${dead} dead · ${hardly} hardly fire`;
  }

  #strip(layer: DeadFilterLayer): Block {
    const rows = this.rows.filter((row) => row.layer === layer.layer);
    const { width, height } = TILE;
    const { pixels, grid } = mosaic({
      width,
      height,
      count: rows.length,
      paint: (i) => {
        const { activeFraction, hardly } = rows[i];
        // A filter that fires at all has a line of its own.
        const filled = Math.max(Math.round(activeFraction * height), activeFraction > 0 ? 1 : 0);
        const tile = new Uint8Array(width * height * 3);
        for (let at = 0; at < tile.length; at++) {
          const y = Math.floor(at / (3 * width));
          tile[at] = (y < height - filled ? BACK : hardly ? HARDLY : BAR)[at % 3];
        }
        return tile;
      },
      label: (i) => {
        const { channel, max, mean, activeFraction, activeCells, dead } = rows[i];
        return `channel ${channel}${dead ? " · dead" : ""}\nfires on ${percent(activeFraction)} of the images, ` +
          `in ${percent(activeCells)} of the cells\nmax ${brief(max)}, mean ${brief(mean)}`;
      },
      outlined: (i) => rows[i].dead,
      // Tiles of all layers are of one size.
      maxHeight: TILE.height,
    });
    return {
      kind: "picture",
      heading: layer.layer,
      note: this.#note(layer),
      pixels,
      grid,
      alt: `How often each of the ${layer.channels} filters of layer ${layer.layer} of ${this.#names.model} fires, ` +
        `${layer.dead} of them never`,
    };
  }
}

/** What the watched maps amount to, added up batch by batch. */
class Tally {
  readonly max: Float64Array;
  readonly sum: Float64Array;
  readonly cells: Float64Array;
  readonly fired: Float64Array;
  /** Cells of one map. */
  area = 0;
  images = 0;

  constructor(readonly layer: string, readonly channels: number) {
    this.max = new Float64Array(channels).fill(-Infinity);
    this.sum = new Float64Array(channels);
    this.cells = new Float64Array(channels);
    this.fired = new Float64Array(channels);
  }

  /** @param output `[n, h, w, c]` or `[n, c]` */
  add({ data, shape }: NdArray): void {
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
  const rectifies = (layer: Model["network"]["layers"][number]) =>
    layer.getClassName() === "ReLU" || /^relu6?$/.test(String(layer.getConfig()["activation"]));
  return model.network.layers.slice(0, -1).filter(rectifies).map(({ name }) => name);
}

/** The watched outputs of one batch stay below so many numbers. */
const MOST_FLOATS = 64e6;
const LARGEST_BATCH = 64;

/**
 * Runs a data set through a model and finds the filters that never fire, and those that hardly do.
 *
 * What counts is what comes out behind the ReLU. On a single image many filters are silent, and rightly so: look at
 * some hundred images of all kinds before you call a filter dead, and give them the preprocessing of the training. A
 * layer with many dead filters has lost part of its width. The usual reason is a learning rate that threw the weights
 * so far that no input reaches them any more; a smaller rate or a warm-up prevents it, nothing repairs it.
 *
 * @param model the model; nothing on it changes
 * @param dataset images to look at; they are read one batch at a time
 * @returns `rows`, one a filter: `{ layer, channel, max, mean, activeFraction, activeCells, dead, hardly }`
 * @throws {TypeError} if `layers` is no array
 * @throws {RangeError} if a layer does not exist, there is none to watch, or the data set is empty
 *
 * @example
 * ```ts
 * const silent = await deadFilters(model, await cifar10({ split: "test", limit: 500 }));
 * silent.rows.filter(({ dead }) => dead);
 * ```
 */
export async function deadFilters(
  model: Model,
  dataset: Dataset,
  options: DeadFiltersOptions = {},
): Promise<DeadFilters> {
  checkModel("deadFilters", model);
  const reader = new InputReader("deadFilters", model, dataset);
  const { layers, hardly = 0.01, batchSize, signal, onProgress } = checkOptions("deadFilters", options, {
    layers: true,
    hardly: true,
    batchSize: true,
    signal: true,
    onProgress: true,
  });
  if (!(hardly >= 0 && hardly <= 1)) throw new RangeError(`hardly is a share from 0 to 1: received ${hardly}.`);
  const names = [...new Set(layers ?? rectified(model))];
  names.forEach((name) => model.layer(name));
  if (names.length === 0) {
    throw new RangeError(
      layers
        ? "layers is empty; wanted at least one layer's name."
        : `No layer of ${
          JSON.stringify(model.name)
        } ends in a ReLU, so none can be dead. Name layers to watch all the ` +
          `same.`,
    );
  }
  const shapes = names.map((name) => outputOf(model.network, model.network.getLayer(name)).shape.slice(1));
  const tallies = names.map((name, i) => new Tally(name, shapes[i].at(-1)!));
  const floats = shapes.reduce((sum, shape) => sum + sizeOf(shape.map((length) => length ?? 100)), 0);
  const fitting = Math.min(LARGEST_BATCH, Math.max(1, Math.floor(MOST_FLOATS / floats)));
  const progress = startProgress(`Looking for dead filters in ${model.name}`, dataset.size);
  try {
    await forwardEach(
      model,
      reader.inputs(),
      names,
      (outputs) => outputs.forEach((output, i) => tallies[i].add(output)),
      {
        batchSize: batchSize ?? fitting,
        signal,
        onProgress(done, total) {
          progress.update(done);
          onProgress?.(done, total);
        },
      },
    );
  } catch (error) {
    await progress.stop();
    throw error;
  }
  await progress.finish();
  return new DeadFilters(tallies.flatMap((tally) => tally.rows(hardly)), dataset.size, {
    model: model.name,
    dataset: dataset.name,
    hardly,
  });
}
