/**
 * What the model says an image is.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { startProgress } from "../figure/cell.ts";
import { checkModel, type Model } from "../model/model.ts";
import { item } from "../probe/forward.ts";
import { forwardAll } from "../scan/forward_all.ts";

export interface PredictOptions {
  /**
   * How many classes to keep, the likeliest first.
   * @default 5
   */
  top?: number;
  /**
   * Of many images, how many run at once: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
}

export interface PredictRow {
  /** The class's label, or `"class N"` where the model has no labels. */
  label: string;
  /** The class's index in the model's output. */
  index: number;
  /** From 0 to 1. */
  probability: number;
}

/** A smaller photo is shown enlarged by a whole factor, up to this size. */
const SHOWN = 224;

/** The likeliest classes of one image; in a cell, bars beside the photo. */
export class Prediction extends Shown {
  /** The likeliest classes, the likeliest first. */
  readonly rows: readonly PredictRow[];
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly image: NdArray;
  /** How the model's output became probabilities: it was one already, or went through a softmax here. */
  readonly activation: "softmax" | "sigmoid" | "softmax of logits";
  readonly #names: { model: string; image: string };

  constructor(
    rows: PredictRow[],
    image: NdArray,
    activation: Prediction["activation"],
    names: { model: string; image: string },
  ) {
    super();
    this.rows = rows;
    this.image = image;
    this.activation = activation;
    this.#names = names;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { model, image } = this.#names;
    const percent = (p: number) => `${(100 * p).toFixed(1)} %`;
    const best = this.rows[0];
    const [height, width] = this.image.shape;
    const title = `${model} · ${image}: ${best.label}, ${percent(best.probability)}`;
    const caption = `Top ${this.rows.length} probabilities (${this.activation}), bars from 0 to 1. ` +
      `The photo is what the model saw: ${height}×${width} pixels.`;
    const text = this.rows.map(({ label, probability }) => `  ${percent(probability).padStart(7)}  ${label}`);
    return new Figure({
      title,
      caption,
      blocks: [{
        kind: "row",
        blocks: [
          {
            kind: "picture",
            pixels: pixelsOf(this.image, Math.max(1, Math.floor(SHOWN / Math.max(height, width)))),
            alt: `${image}, which ${model} takes for ${best.label}`,
          },
          {
            kind: "bars",
            width: 260,
            rows: this.rows.map(({ label, probability }) => ({
              label,
              value: probability,
              text: percent(probability),
            })),
          },
        ],
      }],
      text: [title, ...text].join("\n"),
    });
  }
}

function softmax(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const raised = Array.from(logits, (value) => Math.exp(value - most));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

/**
 * Classifies an image, or many.
 *
 * The model's last layer must put out one number a class. Where its activation is softmax, or sigmoid, the numbers are
 * taken as they are (one sigmoid unit makes two rows); otherwise they are taken for logits and go through a softmax,
 * and the caption says so.
 *
 * @param model what to ask
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these, which runs in batches (on WASM
 *   over all cores) under a progress bar
 * @returns rows `{ label, index, probability }`, the likeliest first; for an array one {@linkcode Prediction} an image
 * @throws {RangeError} if `top` is not a whole number ≥ 1
 * @throws {TypeError} if the model does not put out one number a class, or does not read images
 */
export async function predict(model: Model, image: ImageLike, options?: PredictOptions): Promise<Prediction>;
export async function predict(
  model: Model,
  images: readonly ImageLike[],
  options?: PredictOptions,
): Promise<Prediction[]>;
export async function predict(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  options: PredictOptions = {},
): Promise<Prediction | Prediction[]> {
  checkModel("predict", model);
  const { top = 5, batchSize, signal } = checkOptions("predict", options, { top: true, batchSize: true, signal: true });
  const last = model.layers.at(-1)!;
  if (last.outputShape.length !== 1) {
    throw new TypeError(
      `The last layer of ${JSON.stringify(model.name)}, ${JSON.stringify(last.name)}, puts out ` +
        `[${last.outputShape.join(", ")}]; predict wants one number a class.`,
    );
  }
  const many = Array.isArray(images);
  const sources = await Promise.all((many ? images as readonly ImageLike[] : [images as ImageLike]).map(toImage));
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const inputs = views.map((view) => model.input(view));
  const bar = many ? startProgress(`Classifying with ${model.name}`, inputs.length) : undefined;
  let output: NdArray;
  try {
    const onProgress = (done: number) => bar?.update(done);
    [output] = await forwardAll(model, inputs, [last.name], { batchSize, signal, onProgress });
    await bar?.finish();
  } catch (error) {
    await bar?.stop();
    throw error;
  }

  const config = model.network.getLayer(last.name).getConfig();
  const named = last.kind === "Softmax" ? "softmax" : String(config["activation"] ?? "linear");
  const activation = named === "softmax" || named === "sigmoid" ? named : "softmax of logits";
  const predictions = views.map((view, i) => {
    const values = item(output, i).data;
    const probabilities = activation === "softmax of logits" ? softmax(values) : Array.from(values);
    if (probabilities.length === 1 && activation === "sigmoid") probabilities.unshift(1 - probabilities[0]);
    const rows = probabilities
      .map((probability, index) => ({ label: model.labels?.[index] ?? `class ${index}`, index, probability }))
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, top);
    return new Prediction(rows, view, activation, { model: model.name, image: sources[i].name });
  });
  return many ? predictions : predictions[0];
}
