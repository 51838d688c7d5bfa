/**
 * What `invariance` returns: how far codes are from those of the images as they are, by layer, transform and strength.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { tileOf } from "../data/sample.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { meanInterval } from "../embed/agreement.ts";
import type { Block, Chart, Picture, Series } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mosaic, type Pixels } from "../figure/mosaic.ts";
import { brief, fixed } from "../format.ts";
import { arrayOf, oneOf, readOptions } from "../options.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One layer under one transform of one strength: a row of the table. Means are over the images. */
export interface InvarianceRow {
  /** What was done to the images, as `"rotation"`. */
  transform: string;
  /** The layer's name. */
  layer: string;
  /** How strong: pixels, degrees, a factor, … */
  value: number;
  /**
   * How far the code of the transformed image is from that of the image as it is: the Euclidean distance over the length of
   * the latter, ‖f(Tx) − f(x)‖ / ‖f(x)‖. 0 is invariance. Null where ‖f(x)‖ is 0 of every image.
   */
  distance: number | null;
  /** The lower end of its interval of 95 % (bootstrap over images); null of one image. */
  distanceLow: number | null;
  /** The upper end. */
  distanceHigh: number | null;
  /** The Euclidean distance itself, ‖f(Tx) − f(x)‖, as in the paper. */
  euclidean: number;
  /**
   * How far the map of the transformed image is from the moved map of the image as it is, ‖f(Tx) − T f(x)‖ / ‖T f(x)‖, at the
   * cells that have come from inside. Near 0 where `distance` is not, the map moves along (equivariance). Null where nothing is
   * moved, or the layer has no map.
   */
  moved: number | null;
  /** The lower end of its interval. */
  movedLow: number | null;
  /** The upper end. */
  movedHigh: number | null;
  /** What the model gives the class or label that is followed, 0…1; absent where the outputs are no probabilities. */
  probability?: number | null;
  /** The lower end of its interval. */
  probabilityLow?: number | null;
  /** The upper end. */
  probabilityHigh?: number | null;
  /** The number that is followed, where the outputs are no probabilities; else absent. */
  score?: number | null;
  /** How many images. */
  images: number;
}

/** One image by itself; the numbers are those of {@linkcode InvarianceRow}. */
export interface ImageInvarianceRow {
  /** Its place among the images. */
  readonly index: number;
  /** Its name, or its id in a data set. */
  readonly image: string;
  /** What was done to it. */
  readonly transform: string;
  /** The layer's name. */
  readonly layer: string;
  /** How strong. */
  readonly value: number;
  /** The relative distance. */
  readonly distance: number | null;
  /** The Euclidean distance. */
  readonly euclidean: number;
  /** The relative distance from the moved map. */
  readonly moved: number | null;
  /** The probability that is followed. */
  readonly probability?: number | null;
  /** The number that is followed, where it is no probability. */
  readonly score?: number | null;
}

/** A small picture of a transformed image. */
export interface Example {
  readonly image: number;
  readonly transform: string;
  readonly value: number;
  readonly pixels: Pixels;
}

/** Of so many images small pictures are kept. */
export const EXAMPLES = 3;
/** The side of such a picture. */
const TILE = 56;
/** How many of them stand side by side. */
const SHOWN = 4;
/** Up to so many images have a curve each. */
const MOST_CURVES = 5;
/** How many transforms stand side by side, and how wide each is then. */
const WIDTHS = [440, 400, 262];

/** Makes a small picture. */
export const exampleOf = (picture: NdArrayLike, known: Omit<Example, "pixels">): Example => ({
  ...known,
  pixels: tileOf(picture, TILE),
});

/** What the figure draws. */
export class InvarianceFigureOptions {
  /**
   * `"images"`: a curve for each image, as in the paper; `"mean"`: the mean over the images, with its interval.
   * @default "images" up to five images, else "mean"
   */
  @oneOf("images", "mean")
  curves?: "images" | "mean";
  /**
   * Which of the layers.
   * @default all
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
}

/** A transform, and what its values are. */
interface Named {
  readonly name: string;
  readonly unit: string;
}

/** What the result is made of. */
export interface InvarianceParts {
  readonly each: readonly ImageInvarianceRow[];
  readonly examples: readonly Example[];
  readonly between: readonly (readonly number[])[];
  readonly transforms: readonly Named[];
  readonly layers: readonly { readonly layer: string; readonly stride: number | null }[];
  readonly output: { readonly isProbability: boolean; readonly text: string };
  readonly seed: number;
  readonly skipped: readonly SkippedImage[];
  readonly names: { readonly model: string; readonly images: string };
}

/** Codes of transformed images beside those of the images as they are; in a cell, the curves. */
export class Invariance extends Result<InvarianceRow> {
  /** One for each transform, layer and value: means over the images. */
  readonly rows: readonly InvarianceRow[];
  /** Each image by itself. */
  readonly each: readonly ImageInvarianceRow[];
  /** By layer: the mean distance of each image's code from that of the next image. Null of one image. */
  readonly between: Readonly<Record<string, number | null>>;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: InvarianceParts;

  /** @internal */
  constructor(parts: InvarianceParts) {
    super();
    this.#parts = parts;
    this.each = parts.each;
    this.skipped = parts.skipped;
    this.between = Object.fromEntries(
      parts.layers.map(({ layer }, i) => [layer, parts.between[i].length ? mean(parts.between[i]) : null]),
    );
    const groups = Map.groupBy(parts.each, ({ transform, layer, value }) => JSON.stringify([transform, layer, value]));
    this.rows = parts.transforms.flatMap(({ name }) => {
      const own = new Set(parts.each.filter(({ transform }) => transform === name).map(({ value }) => value));
      return parts.layers.flatMap(({ layer }) =>
        [...own].map((value) => rowOf(groups.get(JSON.stringify([name, layer, value]))!, parts.seed))
      );
    });
  }

  /** @internal */
  override arrays(): object {
    const { rows, each, between, skipped } = this;
    return { rows, each, between, skipped };
  }

  /**
   * As the paper's Fig. 5: a column for each transform; under examples the distance in each layer, how well the maps move
   * along, and what the model makes of the images.
   *
   * @throws {RangeError} if a layer was not asked for
   */
  override figure(options: Partial<InvarianceFigureOptions> = {}): Figure {
    const asked = readOptions("figure", InvarianceFigureOptions, options);
    const { names: { model, images }, transforms, output } = this.#parts;
    const layers = this.#layersAsked(asked.layers);
    const count = new Set(this.each.map(({ index }) => index)).size;
    const single = asked.curves === undefined ? count <= MOST_CURVES : asked.curves === "images";
    // Four stand in two lines.
    const columns = transforms.length === 4 ? 2 : Math.min(transforms.length, WIDTHS.length);
    const blocks: Block[] = [{
      kind: "row",
      columns,
      blocks: transforms.map((transform) => this.#column(transform, layers, single, WIDTHS[columns - 1])),
    }];
    const one = count === 1 ? this.each[0].image : `${count} images${images && ` of ${images}`}`;
    const moves = this.rows.some(({ moved }) => moved !== null);
    return new Figure({
      title: `${model} · invariance · ${
        transforms.length > 3 ? `${transforms.length} transforms` : transforms.map(({ name }) => name).join(", ")
      } · ${one}`,
      caption: [
        "Distance of each layer's code of the transformed image from that of the image as it is, over the length of the latter: " +
        "0 where the layer does not notice (Zeiler & Fergus 2013, Fig. 5, draw the Euclidean distance itself).",
        moves
          ? "Where maps are compared with the moved map of the image as it is, 0 means that the map moves along (equivariance)."
          : "",
        this.#strides(layers),
        `${output.isProbability ? "Probability" : "Output"} of ${output.text}.`,
        single || count === 1 ? "" : "Means with intervals of 95 % (bootstrap over images).",
        this.#betweenNote(layers),
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks,
      lines: this.#lines(layers),
    });
  }

  #layersAsked(asked?: readonly string[]): readonly string[] {
    const known = this.#parts.layers.map(({ layer }) => layer);
    const wrong = asked?.find((layer) => !known.includes(layer));
    if (wrong === undefined) return asked ?? known;
    throw new RangeError(
      `The layer ${JSON.stringify(wrong)} was not asked for; known are ${
        known.map((one) => JSON.stringify(one)).join(", ")
      }.`,
    );
  }

  #strides(layers: readonly string[]): string {
    const known = this.#parts.layers.filter(({ layer, stride }) =>
      layers.includes(layer) && stride !== null && stride > 1
    );
    if (known.length === 0 || !this.rows.some(({ moved }) => moved !== null)) return "";
    return `${
      known.map(({ layer, stride }) => `${layer} has a stride of ${brief(stride)} pixels`).join(", ")
    }: between its multiples the moved map falls between the cells.`;
  }

  #betweenNote(layers: readonly string[]): string {
    const known = layers.filter((layer) => this.between[layer] !== null);
    if (known.length === 0) return "";
    return `From one image to the next the distance is ${
      known.map((layer) => `${fixed(this.between[layer], 2)} in ${layer}`).join(", ")
    }.`;
  }

  #lines(layers: readonly string[]): string[] {
    return this.#parts.transforms.flatMap(({ name }) =>
      layers.map((layer) => {
        const own = this.#curve(name, layer);
        const far = own.reduce((a, b) => (b.distance ?? 0) > (a.distance ?? 0) ? b : a);
        const { isProbability } = this.#parts.output;
        return `${name} · ${layer}: at most ${fixed(far.distance)} away, at ${brief(far.value)}` +
          (isProbability ? `, where the probability is ${fixed(far.probability)}` : "");
      })
    );
  }

  #curve(transform: string, layer: string): InvarianceRow[] {
    return this.rows.filter((row) => row.transform === transform && row.layer === layer);
  }

  /** Examples of a transform, and its charts below; charts of one kind have one scale in all columns. */
  #column({ name, unit }: Named, layers: readonly string[], single: boolean, width: number): Block {
    const chart = (heading: string, y: Chart["y"], series: Series[]): Chart => ({
      kind: "chart",
      heading,
      series,
      x: { title: unit },
      y,
      width,
      height: 190,
      alt: `${heading} under ${name}`,
    });
    const scale = (values: readonly (number | null)[]) => ({
      title: "distance",
      min: 0,
      include: [0, Math.max(0.1, ...values.filter((value) => value !== null))] as const,
    });
    const { isProbability } = this.#parts.output;
    const curve = (layer: string) => this.#curve(name, layer);
    const along = layers.filter((layer) => curve(layer).some(({ moved }) => moved !== null));
    const highest = ({ distance, distanceHigh }: InvarianceRow) => distanceHigh ?? distance;
    const charts = single
      ? layers.map((layer) =>
        chart(
          `Distance at ${layer}`,
          scale(this.each.filter((one) => one.layer === layer).map(({ distance }) => distance)),
          this.#ofImages(name, layer, ({ distance }) => distance),
        )
      )
      : [
        chart(
          "Distance",
          scale(this.rows.map(highest)),
          layers.map((layer) => bandOf(layer, curve(layer), "distance")),
        ),
      ];
    if (along.length > 0) {
      const y = scale(this.rows.map(({ moved, movedHigh }) => movedHigh ?? moved));
      charts.push(chart("Distance from the moved map", y, along.map((layer) => bandOf(layer, curve(layer), "moved"))));
    }
    const y = isProbability ? { title: "probability", min: 0, max: 1 } : { title: "output" };
    const answers = single
      ? this.#ofImages(name, layers[0], ({ probability, score }) => probability ?? score ?? null)
      : [isProbability ? bandOf("mean", curve(layers[0]), "probability") : meanOf(curve(layers[0]))];
    charts.push(chart(isProbability ? "Probability" : "Output", y, answers));
    const picture = this.#examplesOf(name, width);
    return {
      kind: "row",
      columns: 1,
      heading: name[0].toUpperCase() + name.slice(1),
      blocks: [...picture ? [picture] : [], ...charts],
    };
  }

  /** A curve for each image. */
  #ofImages(name: string, layer: string, pick: (row: ImageInvarianceRow) => number | null): Series[] {
    const own = this.each.filter((row) => row.transform === name && row.layer === layer);
    const images = [...Map.groupBy(own, ({ index }) => index).values()];
    const names = images.map(([{ image }]) => image);
    return images.map((rows, i) => ({
      label: names.indexOf(names[i]) === names.lastIndexOf(names[i]) ? names[i] : `${names[i]} ${i + 1}`,
      x: rows.map(({ value }) => value),
      y: rows.map((row) => pick(row) ?? NaN),
    }));
  }

  /** Some examples of a transform, a line for each image. */
  #examplesOf(name: string, width: number): Picture | null {
    const own = this.#parts.examples.filter(({ transform }) => transform === name);
    const rows = [...Map.groupBy(own, ({ image }) => image).values()];
    if (rows.length === 0) return null;
    const shown = rows.flatMap((all) =>
      Array.from(
        { length: Math.min(SHOWN, all.length) },
        (_, i) => all[all.length <= SHOWN ? i : Math.round(i * (all.length - 1) / (SHOWN - 1))],
      )
    );
    const { width: w, height: h } = shown[0].pixels;
    const fitting = shown.filter(({ pixels }) => pixels.width === w && pixels.height === h);
    const columns = Math.min(SHOWN, rows[0].length);
    return {
      kind: "picture",
      note: `at ${fitting.slice(0, columns).map(({ value }) => brief(value)).join(", ")}`,
      ...mosaic({
        width: w,
        height: h,
        count: fitting.length,
        columns,
        maxWidth: Math.max(width, columns * (w + 2)),
        paint: (i) => fitting[i].pixels.data,
        label: (i) => `${name} ${brief(fitting[i].value)}`,
      }),
      alt: `Images under ${name} at ${fitting.slice(0, columns).map(({ value }) => brief(value)).join(", ")}`,
    };
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The mean over images and its interval, of one image none. */
function interval(values: readonly (number | null)[], seed: number) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { value: null, low: null, high: null };
  if (known.length === 1) return { value: known[0], low: null, high: null };
  return meanInterval(known, seed);
}

function rowOf(all: readonly ImageInvarianceRow[], seed: number): InvarianceRow {
  const [{ transform, layer, value }] = all;
  const distance = interval(all.map((one) => one.distance), seed);
  const moved = interval(all.map((one) => one.moved), seed);
  const isProbability = all[0].probability !== undefined;
  const answer = interval(all.map((one) => (isProbability ? one.probability : one.score) ?? null), seed);
  return {
    transform,
    layer,
    value,
    distance: distance.value,
    distanceLow: distance.low,
    distanceHigh: distance.high,
    euclidean: mean(all.map(({ euclidean }) => euclidean)),
    moved: moved.value,
    movedLow: moved.low,
    movedHigh: moved.high,
    ...isProbability
      ? { probability: answer.value, probabilityLow: answer.low, probabilityHigh: answer.high }
      : { score: answer.value },
    images: all.length,
  };
}

/** A mean with its band, where there is one. */
function bandOf(label: string, rows: readonly InvarianceRow[], of: "distance" | "moved" | "probability"): Series {
  const column = (name: keyof InvarianceRow) => rows.map((row) => row[name] as number | null ?? NaN);
  const [low, high] = [column(`${of}Low`), column(`${of}High`)];
  const x = rows.map(({ value }) => value);
  return { label, x, y: column(of), ...low.some(Number.isFinite) && { low, high } };
}

const meanOf = (rows: readonly InvarianceRow[]): Series => ({
  label: "mean",
  x: rows.map(({ value }) => value),
  y: rows.map(({ score }) => score ?? NaN),
});
