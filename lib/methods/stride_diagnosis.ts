/**
 * What a first layer's kernel and stride do to the frequencies that a network can see.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §4.1 and Fig. 6: in AlexNet "the
 * first layer filters are a mix of extremely high and low frequency information, with little coverage of the mid
 * frequencies", and the second layer "shows aliasing artifacts caused by the large stride 4"; with 7×7 and stride 2
 * instead both went away and accuracy rose. There it was seen by eye; here it is measured.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, checkWhole, kindOf } from "../errors.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { filterPicture } from "../results/training_figures.ts";
import { startProgress } from "../figure/cell.ts";
import { spectrumPicture } from "../results/spectrum.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, type Model } from "../model/model.ts";
import { BAND_EDGES, filterSpectrum, measureAliasing } from "../probe/spectrum.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { forwardEach } from "../scan/forward_all.ts";

export interface StrideDiagnosisOptions {
  /**
   * The first and the second layer to look at.
   * @default the first two convolutions of each model
   */
  layers?: readonly [first: string, second: string];
  /**
   * On how many images of the data set aliasing is measured; accuracy is measured on all.
   * @default 16
   */
  images?: number;
  /**
   * How many images run at once for the accuracy: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called now and then with how much of the work is done. */
  onProgress?: (done: number, total: number) => void;
}

/** One network in numbers. */
export interface StrideRow {
  model: string;
  /** Side of the first layer's filters in pixels, and its stride. */
  kernel: number;
  stride: number;
  /** Shares of the first layer's filters' energy below 1/6 of a cycle a pixel, from there to 1/3, and above. */
  low: number;
  mid: number;
  high: number;
  /** Share of the energy of the first layer's response that its stride folds down to wrong frequencies. */
  aliasing1: number;
  /** The same of the second layer's response and the stride of both layers, poolings between them counted in. */
  aliasing2: number;
  /** The stride of the second layer's cells in pixels. */
  stride2: number;
  /** Share of the data set's images classified right; `null` where the labels are not those of the model. */
  accuracy: number | null;
}

/** What is drawn of one network. */
export interface StrideSpectra {
  /** The first layer's filters, `[kh, kw, cin, cout]`. */
  readonly filters: NdArray;
  /** The order of colours that they read. */
  readonly order: "rgb" | "bgr";
  /** `[64, 64]`: their mean power spectrum, zero frequency first. */
  readonly filterPower: NdArray;
  /** `[p, p]`: the second layer's mean power spectrum at every pixel, zero frequency first. */
  readonly responsePower: NdArray;
}

const percent = (share: number | null) => share === null ? "–" : `${(100 * share).toFixed(1)} %`;

/** Networks side by side; in a cell, their first filters, spectra and numbers. */
export class StrideDiagnosis extends Shown {
  /** One row a network. */
  readonly rows: readonly StrideRow[];
  /** In the order of the rows. */
  readonly spectra: readonly StrideSpectra[];
  readonly #dataset: string;

  constructor(rows: StrideRow[], spectra: StrideSpectra[], dataset: string) {
    super();
    this.rows = rows;
    this.spectra = spectra;
    this.#dataset = dataset;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const columns = ["model", "first layer", "low", "mid", "high", "aliasing 1", "aliasing 2", "accuracy"];
    const cells = this.rows.map((row) => [
      row.model,
      `${row.kernel}×${row.kernel} / ${row.stride}`,
      ...[row.low, row.mid, row.high, row.aliasing1, row.aliasing2, row.accuracy].map(percent),
    ]);
    const widths = columns.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i].length)));
    const line = (row: string[]) => `  ${row.map((text, i) => text.padEnd(widths[i])).join("  ").trimEnd()}`;
    const title = `Stride diagnosis · ${this.rows.map(({ model }) => model).join(", ")} · ${this.#dataset}`;
    const drawn = this.rows.flatMap((row, i): Block[] => [{
      kind: "row",
      heading: `${row.model} · first layer ${row.kernel}×${row.kernel}, stride ${row.stride}`,
      blocks: this.#pictures(row, this.spectra[i]),
    }]);
    return new Figure({
      title,
      caption:
        "Spectra have zero frequency in the middle and half a cycle a pixel at the edges, black is a thousandth " +
        "of the greatest power. Of the filters, circles part low, mid and high (1/6 and 1/3 of a cycle a pixel). " +
        "Of the second layer's response at every pixel, what lies outside the square is finer than its stride can " +
        "hold: it aliases. White noise would fill the bands with " +
        `${percent(Math.PI / 36)}, ${percent(Math.PI / 12)} and ${percent(1 - Math.PI / 9)}.`,
      blocks: [
        {
          kind: "table",
          columns: columns.map((title, i) => ({ title, ...(i > 1 && { align: "right" }) })),
          rows: cells,
        },
        ...drawn,
        {
          kind: "row",
          blocks: [
            this.#bars("First filters: energy by frequency", ["low", "mid", "high"], (row) => [
              row.low,
              row.mid,
              row.high,
            ]),
            this.#bars("Aliasing and accuracy", ["aliasing 1", "aliasing 2", "accuracy"], (row) => [
              row.aliasing1,
              row.aliasing2,
              row.accuracy ?? NaN,
            ]),
          ],
        },
      ],
      text: [title, line(columns), ...cells.map(line)].join("\n"),
    });
  }

  #bars(heading: string, names: string[], values: (row: StrideRow) => number[]): Block {
    return {
      kind: "chart",
      heading,
      series: this.rows.map((row) => ({ label: row.model, x: names.map((_, i) => i), y: values(row), as: "bars" })),
      x: { title: "" },
      y: { title: "share", min: 0, max: 1 },
      names,
      alt: `${heading} of ${this.rows.map(({ model }) => model).join(" and ")}`,
    };
  }

  #pictures(row: StrideRow, { filters, order, filterPower, responsePower }: StrideSpectra): Block[] {
    const radius = (fx: number, fy: number) => Math.hypot(fx, fy);
    const circles = (fx: number, fy: number) => (radius(fx, fy) < BAND_EDGES[0]) !== (radius(fx, fy) < BAND_EDGES[1]);
    const square = (fx: number, fy: number) => Math.max(Math.abs(fx), Math.abs(fy)) <= 0.5 / row.stride2;
    return [
      {
        ...filterPicture(filters, `first layer of ${row.model}`, { order, maxWidth: 480, maxHeight: 240 }),
        note: `${filters.shape[3]} filters`,
      },
      {
        ...spectrumPicture(filterPower, circles, `Mean spectrum of the first filters of ${row.model}`),
        note: `their spectrum: ${percent(row.mid)} mid`,
      },
      {
        ...spectrumPicture(responsePower, square, `Mean spectrum of the second layer's response of ${row.model}`),
        note: `layer 2, stride ${row.stride2}: ${percent(row.aliasing2)} aliases`,
      },
    ];
  }
}

/** The first two convolutions, or the layers asked for. */
function layersOf(model: Model, wanted: readonly [string, string] | undefined): [string, string] {
  if (wanted) {
    if (wanted.length !== 2) throw new RangeError(`layers names the first and the second: received ${wanted.length}.`);
    wanted.forEach((name) => model.layer(name));
    return [...wanted];
  }
  const found = model.layers.filter(({ kind }) => kind === "Conv2D").map(({ name }) => name);
  if (found.length < 2) {
    throw new RangeError(`${JSON.stringify(model.name)} has ${found.length} convolutions; wanted at least two.`);
  }
  return [found[0], found[1]];
}

/** The share of images classified right. */
async function accuracyOf(
  model: Model,
  dataset: Dataset,
  options: { batchSize?: number; signal?: AbortSignal; onProgress: (done: number) => void },
): Promise<number | null> {
  const known = new Map(model.labels?.map((label, index) => [label, index]));
  if (!dataset.labels?.every((label) => known.has(label))) return null;
  const classes: number[] = [];
  const inputs = new InputReader("strideDiagnosis", model, dataset, { labelled: true }).inputs(({ label }) => {
    classes.push(known.get(label!)!);
  });
  let right = 0;
  await forwardEach(model, inputs, [model.layers.at(-1)!.name], ([{ data, shape: [count, outputs] }], start) => {
    for (let i = 0; i < count; i++) {
      const own = data.subarray(i * outputs, (i + 1) * outputs);
      const found = outputs === 1 ? Number(own[0] > 0.5) : own.indexOf(own.reduce((a, b) => Math.max(a, b)));
      right += Number(found === classes[start + i]);
    }
    options.onProgress(start + count);
  }, { batchSize: options.batchSize, signal: options.signal });
  return right / dataset.size;
}

/**
 * Compares networks by what their first layers let through: which frequencies the filters cover, how much of the first
 * and the second layer's response aliases, and how well the networks do.
 *
 * Meant for networks that differ in the first layer only, trained alike. For the definition of the bands see `low`, `mid`
 * and `high` of {@linkcode StrideRow}. Aliasing is measured on the response that one would see at every pixel: the image is
 * moved pixel by pixel, and what of the response's energy is above half a cycle a stride cannot be told from slower
 * waves in the map.
 *
 * @param models the networks; nothing on them changes
 * @param dataset labelled images: aliasing is measured on the first of them, accuracy on all
 * @returns `rows`, one a network: `{ model, kernel, stride, low, mid, high, aliasing1, aliasing2, accuracy }`
 * @throws {RangeError} if there is no model or image, a layer does not exist, or a stride is no power of two
 * @throws {TypeError} if the models are no array, or a model's first layer does not read a picture of one or three colours
 *
 * @example
 * ```ts
 * await strideDiagnosis([coarse, fine], await cifar10({ split: "test" }));
 * ```
 */
export async function strideDiagnosis(
  models: readonly Model[],
  dataset: Dataset,
  options: StrideDiagnosisOptions = {},
): Promise<StrideDiagnosis> {
  if (!Array.isArray(models)) {
    throw new TypeError(`strideDiagnosis compares models: wanted an array, as [model]; received ${kindOf(models)}.`);
  }
  models.forEach((model) => checkModel("strideDiagnosis", model));
  checkDataset("strideDiagnosis", dataset);
  const { layers, images = 16, batchSize, signal, onProgress } = checkOptions("strideDiagnosis", options, {
    layers: true,
    images: true,
    batchSize: true,
    signal: true,
    onProgress: true,
  });
  if (models.length === 0) throw new RangeError("There is no model to diagnose; wanted at least one.");
  checkWhole("images", images, 1);
  const chosen = models.map((model) => layersOf(model, layers));
  models.forEach((model, i) => {
    const kernel = model.network.getLayer(chosen[i][0]).getWeights()[0]?.shape ?? [];
    if (kernel.length !== 4 || (kernel[2] !== 3 && kernel[2] !== 1)) {
      throw new TypeError(
        `Layer ${JSON.stringify(chosen[i][0])} of ${JSON.stringify(model.name)} has weights [${kernel.join(", ")}]; ` +
          `wanted filters [kh, kw, 1 or 3, filters], which read the image.`,
      );
    }
  });
  await ensureBackend();
  const samples = Math.min(images, dataset.size);
  const each = 2 * samples + dataset.size;
  const total = models.length * each;
  const progress = startProgress(`Diagnosing ${models.map(({ name }) => name).join(", ")}`, total);
  const report = (done: number) => {
    progress.update(done);
    onProgress?.(done, total);
  };
  try {
    const rows: StrideRow[] = [];
    const spectra: StrideSpectra[] = [];
    for (const [i, model] of models.entries()) {
      const [first, second] = chosen[i];
      const done = i * each;
      const reader = new InputReader("strideDiagnosis", model, dataset, { limit: samples });
      const views = (await Array.fromAsync(reader)).map(({ view }) => view);
      const layer = model.network.getLayer(first);
      const kernel = layer.getWeights()[0];
      const filters = { data: new Float32Array(await kernel.data()), shape: kernel.shape };
      const { bands, power } = filterSpectrum(filters);
      const own = await measureAliasing(model, first, views, { signal, onProgress: (n) => report(done + n) });
      const next = await measureAliasing(model, second, views, {
        signal,
        onProgress: (n) => report(done + samples + n),
      });
      const accuracy = await accuracyOf(model, dataset, {
        batchSize,
        signal,
        onProgress: (n) => report(done + 2 * samples + n),
      });
      rows.push({
        model: model.name,
        kernel: kernel.shape[0],
        stride: (layer.getConfig()["strides"] as number[])[0],
        ...bands,
        aliasing1: own.share,
        aliasing2: next.share,
        stride2: next.stride,
        accuracy,
      });
      spectra.push({ filters, order: model.preprocess.order, filterPower: power, responsePower: next.power });
    }
    await progress.finish();
    return new StrideDiagnosis(rows, spectra, dataset.name);
  } catch (error) {
    await progress.stop();
    throw error;
  }
}
