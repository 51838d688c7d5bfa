/**
 * Which part of an image a class hangs on: a square slides over the image, and the probability of the class is watched.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §4.2 and Fig. 7. Only what the square
 * can reach is computed anew at each place: see `probe/occlusion/incremental.ts`.
 *
 * @module
 */

import { extent, type NdArray, ndarray } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import type { Block, Marks, Picture } from "../figure/blocks.ts";
import { brief } from "../format.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { startLiveView } from "../results/live_view.ts";
import {
  classColors,
  classLegend,
  filledCoarsely,
  MOST_COLORS,
  photoFactor,
  photoWithSquare,
  placeColors,
  placePicture,
} from "../results/places.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { inKernel } from "../figure/cell.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type LayerInfo, type Model } from "../model/model.ts";
import type { Work } from "../probe/occlusion/incremental.ts";
import { type Fill, occlude, type OcclusionMap, placesAlong, type Verdict } from "../probe/occlusion/occlude.ts";
import { checkClassTarget, labelOf, resolveClass } from "../probe/target.ts";
import { readingsOnAllCores } from "../scan/readings.ts";

export interface OcclusionOptions {
  /**
   * The class whose probability is watched: a label, an index, or the class that the model takes the image for.
   * @default "predicted"
   */
  target?: string | number;
  /**
   * The square's side in pixels of the image as the model sees it; or several, for one map each.
   * @default a seventh of the shorter side: 32 of 224
   */
  size?: number | readonly number[];
  /**
   * Pixels from one place of the square to the next.
   * @default a quarter of the smallest size: 8 of 32
   */
  stride?: number;
  /**
   * What stands in the square: `"grey"` (127.5), `"zero"` (what the network reads as zeros), `"mean"` (the image's mean
   * colour), `"blur"` (the image itself, blurred), `"noise"`, or a grey of 0…255 or a colour `[r, g, b]` of these.
   * @default "grey"
   */
  fill?: Fill;
  /**
   * The layer whose strongest map is watched: that of the greatest sum without the square.
   * @default the last convolution, with the activation or the addition behind it
   */
  layer?: string;
  /**
   * How many of the likeliest classes are kept for each place.
   * @default 3
   */
  top?: number;
  /**
   * How many places are computed at once: what bounds memory, however small the stride.
   * @default 16
   */
  batchSize?: number;
  /**
   * What noise is drawn from.
   * @default 0
   */
  seed?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of places done. */
  onProgress?: (done: number, total: number) => void;
}

export interface OcclusionFigureOptions {
  /**
   * What the third panel shows: the probability, always from 0 to 1, or the score before the softmax, from its least to
   * its greatest value.
   * @default "probability"
   */
  show?: "probability" | "logit";
}

/** One place of the square: a row of the table. */
export interface OcclusionRow {
  /** The square's side in pixels. */
  size: number;
  /** The place in the map. */
  row: number;
  column: number;
  /** `[y0, x0, y1, x1]` of the square in pixels; it may hang over the lower and the right edge. */
  box: readonly [number, number, number, number];
  /** Of the target. */
  probability: number;
  logit: number;
  /** The most probable class. */
  predicted: string;
  predictedProbability: number;
  /** The sum over the strongest map of the layer. */
  activity: number;
}

/** The classes that have a colour of their own, and how many have none. */
interface ClassOrder {
  shown: { index: number; share: number }[];
  others: number;
}

interface OcclusionParts {
  maps: readonly OcclusionMap[];
  unoccluded: Verdict;
  work: Work;
  image: NdArray;
  fill: Fill;
  layer: string;
  model: Model;
  name: string;
}

/** The hover tells all of a place in maps of up to so many; in larger ones only the probability, or they grow large. */
const MOST_TOLD = 2_500;

/** Maps are this large at most, in pixels: four panels stand side by side in a cell. */
const MAP_SHOWN = 180;

const FILL_WORDS = {
  grey: "grey",
  zero: "what the network reads as zeros",
  mean: "the image's mean colour",
  blur: "the blurred image",
  noise: "noise",
};

/** What the slider sets. */
const SIZES = "side of the square";

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const times = (value: number) => `${value.toFixed(1)} times`;

/** What a class's probability becomes as a square slides over an image; in a cell, four panels. */
export class Occlusion extends Shown {
  /** One map for each size of the square, in the order asked for. */
  readonly maps: readonly OcclusionMap[];
  /** Of the first size: the target's probability with the square at each place, `[rows, columns]`, 0…1. */
  readonly probability: NdArray;
  /** Of the first size: the target's score before the softmax or sigmoid, `[rows, columns]`. */
  readonly logit: NdArray;
  /** Of the first size: the index of the most probable class, `[rows, columns]`. */
  readonly predicted: NdArray;
  /** Of the first size: the sum over the layer's strongest map, `[rows, columns]`. */
  readonly activity: NdArray;
  /** The target's probability without a square. */
  readonly unoccluded: number;
  /** The target's score without a square. */
  readonly unoccludedLogit: number;
  /** The sum over the layer's strongest map without a square. */
  readonly unoccludedActivity: number;
  /** The class whose probability is watched. */
  readonly target: { readonly index: number; readonly label: string };
  /** The layer that is watched, and the channel of its strongest map. */
  readonly layer: { readonly name: string; readonly channel: number };
  /**
   * Of the first size: how much the probability falls on average while a square covers the pixel, `[h, w]`; 0 where none
   * does. It is what Captum's `Occlusion` returns.
   */
  readonly map: NdArray;
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly image: NdArray;
  /** Floating-point operations (two for each multiply-add) of full passes, and as many as were done. */
  readonly flops: { readonly full: number; readonly done: number };
  readonly #parts: OcclusionParts;

  constructor(parts: OcclusionParts) {
    super();
    const { maps, unoccluded, work, image } = parts;
    this.maps = maps;
    this.probability = maps[0].probability;
    this.logit = maps[0].logit;
    this.predicted = maps[0].predicted;
    this.activity = maps[0].activity;
    this.unoccluded = unoccluded.probability;
    this.unoccludedLogit = unoccluded.logit;
    this.unoccludedActivity = unoccluded.activity;
    this.target = { index: unoccluded.target.index, label: unoccluded.target.label };
    this.layer = { name: parts.layer, channel: unoccluded.channel };
    this.map = pixelMap(maps[0], unoccluded.probability, image.shape);
    this.image = image;
    this.flops = { full: 2 * work.full, done: 2 * work.done };
    this.#parts = parts;
  }

  /** One row for each place, size after size. */
  get rows(): OcclusionRow[] {
    return this.maps.flatMap(({ size, probability, logit, activity, top, boxes }) =>
      boxes.map((box, i) => ({
        size,
        row: Math.floor(i / probability.shape[1]),
        column: i % probability.shape[1],
        box,
        probability: probability.data[i],
        logit: logit.data[i],
        predicted: labelOf(this.#parts.model, top[i][0].index),
        predictedProbability: top[i][0].probability,
        activity: activity.data[i],
      }))
    );
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows.map(({ box: [y0, x0, y1, x1], ...row }) => ({ ...row, y0, x0, y1, x1 })));
  }

  /** @throws {RangeError} if `show` is neither `"probability"` nor `"logit"` */
  override figure(options: OcclusionFigureOptions = {}): Figure {
    const { show = "probability" } = checkOptions("figure", options, { show: true });
    if (show !== "probability" && show !== "logit") {
      throw new RangeError(`show must be "probability" or "logit": received ${JSON.stringify(show)}.`);
    }
    const { model, name, fill } = this.#parts;
    const { label } = this.target;
    const title = `${model.name} · occlusion · ${label} (${percent(this.unoccluded)}) · ${name}`;
    const order = this.#classOrder();
    const frames = this.maps.map((map) => ({
      label: `${map.size} pixels`,
      block: { kind: "row" as const, blocks: this.#panels(map, order, show) },
    }));
    const shares = order.shown.map(({ index, share }) => `${labelOf(model, index)} · ${percent(share)} of places`);
    const legend = classLegend(
      shares,
      order.others > 0 ? `${order.others} other ${order.others > 1 ? "classes" : "class"}` : undefined,
    );
    const blocks: Block[] = frames.length === 1
      ? [frames[0].block, legend]
      : [{ kind: "slides", label: SIZES, frames, start: 0 }, legend];
    const { full, done } = this.flops;
    const what = typeof fill === "string" ? FILL_WORDS[fill] : `the colour ${[fill].flat().join(", ")}`;
    const caption =
      `A square filled with ${what} stands at places ${
        this.maps[0].stride
      } pixels apart; each cell of a map is one place. ` +
      `Probability: from 0 to 1, ${percent(this.unoccluded)} without the square` +
      (show === "logit"
        ? `; shown is the score before the softmax or sigmoid, ${brief(this.unoccludedLogit)} without. `
        : ". ") +
      `Activity: sum over channel ${this.layer.channel} of ${this.layer.name}, the strongest without the square; ` +
      `bright is more. Hovering tells the likeliest classes and shows the square. ` +
      `Full passes would have taken ${times(full / done)} the multiply-adds.`;
    const text = this.maps.map((map) => `  ${this.#summary(map)}`);
    return new Figure({ title, caption, blocks, text: [title, ...text, `  ${caption}`].join("\n") });
  }

  /** What the image is called. */
  get name(): string {
    return this.#parts.name;
  }

  /** The photo, and the map of probabilities beside it, for each size: a row of several images. */
  panels(): Block {
    const order = this.#classOrder();
    const frames = this.maps.map((map) => {
      const [photo, , probability] = this.#panels(map, order, "probability");
      // The map's marks lie on the photo that stands beside it.
      photo.heading = this.name;
      photo.note = `${this.target.label} ${percent(this.unoccluded)}`;
      return { label: `${map.size} pixels`, block: { kind: "row" as const, blocks: [photo, probability] } };
    });
    return frames.length === 1 ? frames[0].block : { kind: "slides", label: SIZES, frames, start: 0 };
  }

  #summary({ size, probability, boxes }: OcclusionMap): string {
    const [low, high] = extent(probability.data);
    const [y0, x0, y1, x1] = boxes[probability.data.indexOf(low)];
    return `${size}×${size} square, ${probability.shape.join("×")} places: probability ${percent(low)} … ${
      percent(high)
    }, lowest at rows ${y0}–${y1 - 1}, columns ${x0}–${x1 - 1}`;
  }

  /** The classes that are most probable somewhere, most often first; the target leads. */
  #classOrder(): ClassOrder {
    const counts = new Map<number, number>([[this.target.index, 0]]);
    let all = 0;
    for (const { predicted } of this.maps) {
      for (const index of predicted.data) {
        counts.set(index, (counts.get(index) ?? 0) + 1);
        all++;
      }
    }
    const [target, ...rest] = counts.entries().map(([index, count]) => ({ index, share: count / all })).toArray();
    rest.sort((a, b) => b.share - a.share || a.index - b.index);
    return { shown: [target, ...rest.slice(0, MOST_COLORS - 1)], others: Math.max(0, rest.length + 1 - MOST_COLORS) };
  }

  #panels(map: OcclusionMap, order: ClassOrder, show: "probability" | "logit"): Picture[] {
    const { model, name, fill, layer } = this.#parts;
    const { probability, logit, activity, predicted, boxes, top, size } = map;
    const [rows, columns] = probability.shape;
    const lowest = probability.data.indexOf(extent(probability.data)[0]);
    const { label } = this.target;
    const photo: Picture = {
      kind: "picture",
      heading: `${size}×${size} square`,
      note: "framed: lowest probability",
      alt: `${name} with the square where ${label} is least probable`,
      pixels: photoWithSquare(this.image, map.fill, boxes[lowest]),
    };
    const factor = photoFactor(this.image.shape);
    const flat = fill !== "blur" && fill !== "noise";
    photo.marked = {
      around: pixelsOf(this.image, factor),
      ...!flat && { inside: pixelsOf(map.fill, factor) },
    };
    const marks: Marks = {
      on: photo,
      boxes: boxes.map((box) => box.map((side) => side * factor) as unknown as typeof box),
      ...flat && { fill: hexOf(map.fill) },
    };
    const labels = boxes.map((_, i) => {
      const own = `${label} ${percent(probability.data[i])}`;
      if (boxes.length > MOST_TOLD) return own;
      const numbers = `score ${brief(logit.data[i])} · activity ${brief(activity.data[i])}`;
      const likeliest = top[i].map(({ index, probability }, k) =>
        `${k + 1}. ${labelOf(model, index)} ${percent(probability)}`
      );
      return [`${own} · ${numbers}`, ...likeliest].join("\n");
    });
    const common = { rows, columns, shown: MAP_SHOWN, labels, marks };
    const [least, most] = show === "probability" ? [0, 1] : extent(logit.data);
    const [quiet, loud] = [
      Math.min(0, extent(activity.data)[0]),
      Math.max(extent(activity.data)[1], this.unoccludedActivity),
    ];
    return [
      photo,
      placePicture({
        ...common,
        heading: `activity of ${layer}`,
        note: `channel ${this.layer.channel} · ${brief(quiet)} … ${brief(loud)}`,
        alt: `Activity of channel ${this.layer.channel} of ${layer} with the square at each place`,
        colors: placeColors(activity.data, quiet, loud, "grey"),
        bar: "grey",
      }),
      placePicture({
        ...common,
        heading: show === "probability" ? "probability" : "score",
        note: `${brief(least)} … ${brief(most)}`,
        alt: `${show === "probability" ? "Probability" : "Score"} of ${label} with the square at each place`,
        colors: placeColors(show === "probability" ? probability.data : logit.data, least, most, "inferno"),
        bar: "inferno",
      }),
      placePicture({
        ...common,
        heading: "most probable class",
        note: "colours below",
        alt: "The most probable class with the square at each place",
        colors: classColors(predicted.data, order.shown.map(({ index }) => index)),
      }),
    ];
  }
}

/** Occlusion of several images, one below the other. */
export class Occlusions extends Shown {
  /** One result an image. */
  readonly results: readonly Occlusion[];
  readonly #model: string;

  constructor(results: readonly Occlusion[], model: string) {
    super();
    this.results = results;
    this.#model = model;
  }

  /** One row for each place, image after image. */
  get rows(): ({ image: string } & OcclusionRow)[] {
    return this.results.flatMap(({ name, rows }) => rows.map((row) => ({ image: name, ...row })));
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows.map(({ box: [y0, x0, y1, x1], ...row }) => ({ ...row, y0, x0, y1, x1 })));
  }

  override figure(): Figure {
    const title = `${this.#model} · occlusion · ${this.results.length} images`;
    const caption = "Left, the photo with the square where the class is least probable, and the class's probability " +
      "without the square; right, its probability with the square at each place, from 0 (black) to 1.";
    return new Figure({
      title,
      caption,
      blocks: this.results.map((result) => result.panels()),
      text: [title, ...this.results.map((result) => result.figure().text)].join("\n"),
    });
  }
}

/** The first pixel's colour as CSS has it. */
const hexOf = ({ data }: NdArray) =>
  "#" + [...data.slice(0, 3)].map((value) => Math.round(value).toString(16).padStart(2, "0")).join("");

/** How much a probability falls on average while a square covers each pixel. */
function pixelMap(
  { probability, boxes }: OcclusionMap,
  unoccluded: number,
  [height, width]: readonly number[],
): NdArray {
  const sums = new Float32Array(height * width);
  const counts = new Float32Array(height * width);
  boxes.forEach(([y0, x0, y1, x1], i) => {
    for (let y = y0; y < Math.min(y1, height); y++) {
      for (let x = x0; x < Math.min(x1, width); x++) {
        sums[y * width + x] += unoccluded - probability.data[i];
        counts[y * width + x]++;
      }
    }
  });
  return ndarray(sums.map((sum, i) => counts[i] ? sum / counts[i] : 0), [height, width]);
}

const CONVOLVES = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D"]);
/** What stands behind a convolution and works on its maps as they are. */
const FOLLOWS = new Set(["BatchNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Add", "Dropout"]);

const isMap = ({ outputShape: [height, width], outputShape }: LayerInfo) =>
  outputShape.length === 3 && (height ?? 2) * (width ?? 2) > 1;

/** The last convolution that puts out maps, with what works on its maps as they are. */
function lastMaps(model: Model): string {
  let at = model.layers.findLastIndex((layer) => CONVOLVES.has(layer.kind) && isMap(layer));
  if (at < 0) at = model.layers.findLastIndex(isMap);
  if (at < 0) {
    throw new TypeError(
      `The model ${
        JSON.stringify(model.name)
      } has no layer with maps, [h, w, c]; wanted a ConvNet, whose strongest map ` +
        "is shown beside the probability.",
    );
  }
  const { outputShape } = model.layers[at];
  while (FOLLOWS.has(model.layers[at + 1]?.kind) && String(model.layers[at + 1].outputShape) === String(outputShape)) {
    at++;
  }
  return model.layers[at].name;
}

/** What is seen while the map fills. */
function partialFigure(model: Model, map: OcclusionMap, { target, probability }: Verdict, name: string): Figure {
  const [rows, columns] = map.probability.shape;
  const known = map.probability.data.filter((value) => !Number.isNaN(value)).length;
  return new Figure({
    title: `${model.name} · occlusion · ${target.label} (${percent(probability)}) · ${name}`,
    caption: `${known} of ${rows * columns} places, from coarse to fine; probability from 0 (black) to 1.`,
    blocks: [
      placePicture({
        heading: "probability",
        alt: `Probability of ${target.label}, so far`,
        rows,
        columns,
        shown: MAP_SHOWN,
        colors: placeColors(filledCoarsely(map.probability), 0, 1, "inferno"),
        bar: "inferno",
      }),
    ],
  });
}

/**
 * Slides a square over an image and asks the model at each place: where the probability of a class falls, the class hangs
 * on what the square covers.
 *
 * The square stands at 0, `stride`, 2 · `stride` … pixels along each side; the last place reaches the edge or hangs over
 * it. Its size and stride count in pixels of the image as the model sees it. The network computes only what the square
 * can change, and full passes only where that is no more work; the result is that of full passes up to rounding.
 *
 * @param model any model that reads images and puts out one number a class
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these, shown in rows
 * @returns maps `[rows, columns]` of probability, score, activity and most probable class, one value a place
 * @throws {RangeError} if the square is larger than the image, `size` or `stride` is no whole number ≥ 1, or the target,
 *   the layer or the fill does not exist
 * @throws {TypeError} if the model does not read images, has no layer with maps, or does not put out one number a class,
 *   or if the target is neither a label nor an index
 * @throws {MemoryError} if a batch does not fit: use a smaller `batchSize`
 * @throws what `signal` was aborted with; the map that stands in the cell by then, coarse to fine, stays there
 *
 * @example
 * ```ts
 * const model = await loadModel("resnet50");
 * const result = await occlusion(model, await photo("dog"), { target: "French bulldog", size: [32, 64] });
 * result.probability.shape; // [25, 25]
 * ```
 */
export async function occlusion(model: Model, image: ImageLike, options?: OcclusionOptions): Promise<Occlusion>;
export async function occlusion(
  model: Model,
  images: readonly ImageLike[],
  options?: OcclusionOptions,
): Promise<Occlusions>;
export async function occlusion(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  options: OcclusionOptions = {},
): Promise<Occlusion | Occlusions> {
  checkModel("occlusion", model);
  checkOptions("occlusion", options, {
    target: true,
    size: true,
    stride: true,
    fill: true,
    layer: true,
    top: true,
    batchSize: true,
    seed: true,
    signal: true,
    onProgress: true,
  });
  const { target = "predicted", fill = "grey", top = 3, batchSize = 16, seed = 0, signal, onProgress } = options;
  checkClassTarget("occlusion", target);
  const many = Array.isArray(images);
  const sources = await Promise.all((many ? images as readonly ImageLike[] : [images as ImageLike]).map(toImage));
  if (sources.length === 0) throw new RangeError("There is no image to occlude; wanted at least one.");
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const shorter = Math.min(...views.flatMap(({ shape }) => shape.slice(0, 2)));
  const sizes = [options.size ?? Math.max(1, Math.round(shorter / 7))].flat() as number[];
  if (sizes.length === 0) throw new RangeError("size holds no number; wanted at least one side of a square.");
  const stride = options.stride ?? Math.max(1, Math.round(Math.min(...sizes) / 4));
  const total = views.reduce(
    (sum, { shape: [height, width] }) =>
      sum +
      sizes.reduce(
        (places, size) => places + placesAlong(height, size, stride).length * placesAlong(width, size, stride).length,
        0,
      ),
    0,
  );
  if (target !== "predicted") resolveClass(model, target);
  const layer = options.layer ?? lastMaps(model);
  if (!isMap(model.layer(layer))) {
    throw new RangeError(
      `Layer ${JSON.stringify(layer)} puts out [${model.layer(layer).outputShape.map((n) => n ?? "?").join(", ")}]; ` +
        "wanted a layer with maps, [h, w, c].",
    );
  }

  const results = await withProgress(`Occluding with ${model.name}`, total, async (update, show) => {
    const live = startLiveView(show);
    let before = 0;
    try {
      const found: Occlusion[] = [];
      for (const [i, view] of views.entries()) {
        const { name } = sources[i];
        const maps: OcclusionMap[] = [];
        const work = { full: 0, done: 0 };
        let unoccluded: Verdict;
        for (const size of sizes) {
          const one = await occlude(model, view, {
            target,
            size,
            stride,
            fill,
            layer,
            top,
            batchSize,
            seed,
            signal,
            read: readingsOnAllCores,
            ...inKernel() && { onPart: (map, verdict) => live.offer(() => partialFigure(model, map, verdict, name)) },
            onProgress: (done) => {
              update(before + done);
              onProgress?.(before + done, total);
            },
          });
          before += one.map.boxes.length;
          maps.push(one.map);
          work.full += one.work.full;
          work.done += one.work.done;
          unoccluded = one.unoccluded;
        }
        found.push(new Occlusion({ maps, unoccluded: unoccluded!, work, image: view, fill, layer, model, name }));
      }
      return found;
    } finally {
      await live.end();
    }
  });
  return many ? new Occlusions(results, model.name) : results[0];
}
