/**
 * Pictures that have the same code at a layer as an image, beside it.
 *
 * @module
 */

import { extent, NdArray, type NdArrayLike } from "../array.ts";
import type { Block, Chart, Picture, Row } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { brief, briefPercent, percent, probabilityText } from "../format.ts";
import type { PredictRow } from "./output_prediction.ts";
import { enlargement, painted } from "./panels.ts";
import { Result } from "./result.ts";

/** A layer's inverted pictures. */
export interface InvertedLayer {
  /** The layer's name. */
  readonly layer: string;
  /** Where the noise of each picture came from. */
  readonly seeds: readonly number[];
  /** By up to how many pixels the picture was shifted before each step. */
  readonly jitter: number;
  /** One picture a seed, `[h, w, c]`, 0…255. */
  readonly images: readonly NdArray[];
  /** Of each picture the normalised error of its code before each step, and at the end. */
  readonly losses: readonly (readonly number[])[];
  /** Of each picture the normalised error of its code at the end. */
  readonly errors: readonly number[];
}

/** One picture: a row of the table. */
export interface InversionRow {
  /** The layer's name. */
  layer: string;
  /** Where its noise came from. */
  seed: number;
  /** How many steps were made. */
  steps: number;
  /** `‖Φ(x) − Φ₀‖² / ‖Φ₀‖²` of the picture. */
  error: number;
  /** The label that the model gives the picture; absent for maps. */
  predicted?: string;
  /** Of that label, 0…1; absent for numbers. */
  probability?: number;
  /** The number that the model gives the picture first; of numbers only. */
  value?: number;
  /** Whether it is the label that the model gives the image itself; of classes only. */
  same?: boolean;
}

interface About {
  model: string;
  /** What the image is called. */
  name: string;
  /** As the model saw it, `[h, w, c]`. */
  original: NdArray;
}

const SHOWN = 132;

/** A picture of the view's own range: of channels that are no picture's, stretched from the smallest to the largest value. */
function pictureOf({ data, shape }: NdArrayLike, words: Pick<Picture, "heading" | "note" | "alt">): Picture {
  const [low, high] = extent(data);
  const stretched = low < 0 || high > 255 ? data.map((value) => (value - low) / (high - low) * 255) : data;
  return { kind: "picture", ...words, pixels: pixelsOf({ data: stretched, shape }, enlargement(shape, SHOWN)) };
}

/** The standard deviation of each pixel over some pictures, the mean over its channels, `[h, w]`; null of one picture. */
function spreadOf(images: readonly NdArray[]): NdArray | null {
  if (images.length < 2) return null;
  const [height, width, channels = 1] = images[0].shape;
  const map = new Float32Array(height * width);
  for (let i = 0; i < map.length * channels; i++) {
    const mean = images.reduce((sum, { data }) => sum + data[i], 0) / images.length;
    const variance = images.reduce((sum, { data }) => sum + (data[i] - mean) ** 2, 0) / (images.length - 1);
    map[Math.floor(i / channels)] += Math.sqrt(variance) / channels;
  }
  return new NdArray(map, [height, width]);
}

/** What is seen while an inversion goes on. */
export function inversionSoFar(
  { model, name, original }: About,
  done: readonly InvertedLayer[],
  { layer, step, steps, pictures }: { layer: string; step: number; steps: number; pictures: ArrayLike<number> },
): Figure {
  const now = { data: Float32Array.from(pictures).slice(0, original.data.length), shape: original.shape };
  return new Figure({
    title: `${model} · inverting ${layer} · step ${step} of ${steps}`,
    blocks: [{
      kind: "row",
      blocks: [
        pictureOf(original, { heading: name, alt: `the image ${name}` }),
        ...done.map(({ layer, images }) => pictureOf(images[0], { heading: layer, alt: `inverted from ${layer}` })),
        pictureOf(now, { heading: layer, alt: `on its way from ${layer}` }),
      ],
    }],
  });
}

/** Pictures that have an image's code at some layers; in a cell beside the image, with the errors of their codes. */
export class Inversion extends Result<InversionRow> {
  /** Of the first layer and seed: the picture, `[h, w, c]`, 0…255, RGB. */
  readonly image: NdArray;
  /** Of the first layer and seed: the normalised error of its code before each step, and at the end. */
  readonly loss: number[];
  /** Of the first layer and seed: the normalised error of its code at the end, `‖Φ(x) − Φ₀‖² / ‖Φ₀‖²`. */
  readonly error: number;
  /** All layers, each with a picture for each seed and, of several, their spread `[h, w]`: the standard deviation of each pixel. */
  readonly layers: readonly (InvertedLayer & { readonly spread: NdArray | null })[];
  /** The image as the model saw it, `[h, w, c]`. */
  readonly original: NdArray;
  /** What the image is called. */
  readonly name: string;
  /** What the model is called. */
  readonly model: string;
  /** One row a layer and seed. */
  readonly rows: readonly InversionRow[];
  /** Whether the run was ended before its last step. */
  readonly interrupted: boolean;
  readonly #first: PredictRow | undefined;
  readonly #caption: string;

  /** @internal @param said what the model says of the image, and of each picture */
  constructor(
    about: About,
    layers: readonly InvertedLayer[],
    said: readonly PredictRow[],
    { steps, priors, aborted, part: { channels, region }, kind }: {
      steps: number;
      priors: { alpha: number; beta: number; norm: number; variation: number };
      aborted: boolean;
      part: { channels?: readonly number[]; region?: readonly number[] };
      kind: string;
    },
  ) {
    super();
    this.model = about.model;
    this.name = about.name;
    this.original = about.original;
    this.layers = layers.map((layer) => ({ ...layer, spread: spreadOf(layer.images) }));
    const [{ images: [image], losses: [loss], errors: [error] }] = layers;
    [this.image, this.loss, this.error, this.interrupted] = [image, [...loss], error, aborted];
    this.#first = said[0];
    const tells = kind === "classes" || kind === "binary";
    this.rows = layers.flatMap(({ layer, seeds, losses, errors }, at) =>
      seeds.map((seed, i): InversionRow => {
        const own = said[1 + at * seeds.length + i];
        return {
          layer,
          seed,
          steps: losses[i].length - 1,
          error: errors[i],
          ...own && {
            predicted: own.label,
            ...own.probability !== undefined ? { probability: own.probability } : { value: own.value },
            ...tells && { same: own.label === said[0].label },
          },
        };
      })
    );
    const some = [
      channels && `channels ${channels.join(", ")}`,
      region && `cells [${region.join(", ")}]`,
    ].filter(Boolean).join(" and ");
    const same = this.rows.filter(({ same }) => same).length;
    this.#caption = [
      `Pictures made from noise in ${steps} steps so that ${
        some ? `${some} of ` : ""
      }the layer's code is that of the image; ` +
      "the error is ‖Φ(x) − Φ₀‖² / ‖Φ₀‖².",
      `α-norm ${brief(priors.alpha)} with weight ${brief(priors.norm)}, total variation ${
        brief(priors.beta)
      } with weight ` +
      `${brief(priors.variation)}.`,
      tells ? `The model gives ${same} of ${this.rows.length} pictures the image's own label, ${said[0].label}.` : "",
      layers[0].seeds.length > 1
        ? "Spread: the standard deviation of each pixel among the seeds, black where there is none."
        : "",
      aborted ? "The run was ended before its last step." : "",
    ].filter(Boolean).join(" ");
  }

  /** The image beside the picture of each layer, with the errors; of several seeds a line for each layer, with their spread. */
  override figure(): Figure {
    const { layers, rows } = this;
    const seeds = layers[0].seeds.length;
    const original = pictureOf(this.original, {
      heading: this.name,
      note: saidText(this.#first),
      alt: `the image ${this.name} as the model sees it`,
    });
    const most = Math.max(...layers.map(({ spread }) => spread ? extent(spread.data)[1] : 0));
    const pictures = (at: number): Picture[] =>
      layers[at].images.map((image, i) => {
        const row = rows[at * seeds + i];
        return pictureOf(image, {
          heading: seeds > 1 ? `seed ${row.seed}` : row.layer,
          note: [`error ${briefPercent(row.error)}`, saidText(row)].filter(Boolean).join(" · "),
          alt: `a picture with the image's code at ${row.layer}, error ${briefPercent(row.error)}`,
        });
      });
    const blocks: Block[] = seeds === 1
      ? [{ kind: "row", blocks: [original, ...layers.flatMap((_, at) => pictures(at))] }]
      : layers.map(({ layer, spread }, at): Row => ({
        kind: "row",
        heading: layer,
        blocks: [original, ...pictures(at), {
          kind: "picture",
          heading: "spread",
          note: `up to ${brief(most)}`,
          pixels: painted(spread!, {
            low: 0,
            high: most,
            palette: "inferno",
            factor: enlargement(spread!.shape, SHOWN),
          }),
          values: spread!,
          alt: `how far the pictures of ${layer} differ at each pixel`,
        }],
      }));
    const title = `${this.model} · inversion of ${
      layers.length > 1 ? `${layers.length} layers` : layers[0].layer
    } · ${this.name}`;
    return new Figure({
      title,
      caption: this.#caption,
      blocks: [...blocks, { kind: "row", blocks: this.#charts() }],
      text: [
        title,
        ...rows.map((row) => `${row.layer}, seed ${row.seed}: error ${percent(row.error)} ${saidText(row)}`.trimEnd()),
      ].join("\n"),
    });
  }

  #charts(): Chart[] {
    const { layers } = this;
    const loss: Chart = {
      kind: "chart",
      heading: "Error of the code",
      x: { title: "step", min: 0 },
      y: { title: "error", scale: "log" },
      series: layers.map(({ layer, losses: [loss] }) => ({ label: layer, x: loss.map((_, i) => i), y: loss })),
      alt: "the normalised error of the code over the steps, of the first seed",
    };
    if (layers.length < 2) return [loss];
    const mean = layers.map(({ errors }) => errors.reduce((a, b) => a + b, 0) / errors.length);
    const spread = layers[0].seeds.length > 1;
    return [loss, {
      kind: "chart",
      heading: "Error by depth",
      x: { title: "layer" },
      y: { title: "error at the end", min: 0 },
      names: layers.map(({ layer }) => layer),
      series: [{
        label: spread ? "mean, from the least to the most" : "error",
        x: layers.map((_, i) => i),
        y: mean,
        ...spread && {
          low: layers.map(({ errors }) => Math.min(...errors)),
          high: layers.map(({ errors }) => Math.max(...errors)),
        },
      }],
      alt: layers.map(({ layer }, i) => `${layer}: ${briefPercent(mean[i])}`).join(", "),
    }];
  }
}

/** What the model says of a picture, in a few words. */
function saidText(
  row: { predicted?: string; label?: string; probability?: number; value?: number } | undefined,
): string {
  const label = row?.predicted ?? row?.label;
  if (!row || label === undefined) return "";
  return row.probability !== undefined
    ? `${label} ${probabilityText(row.probability)}`
    : `${label} ${brief(row.value)}`;
}
