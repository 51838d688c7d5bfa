/**
 * What a square does to a target as it slides over an image: maps with one cell for each place of the square.
 *
 * @module
 */

import { bandsNote, pixelRemark } from "../data/pixels.ts";
import { extent, NdArray, ndarray, type NdArrayLike, placeOf, sizeOf } from "../array.ts";
import type { OcclusionMap } from "../data/records.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import type { Block, Marks, Picture } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { brief, fixed, percent, probabilityText } from "../format.ts";
import { oneOf, readOptions } from "../options.ts";
import { Attribution, type AttributionTarget } from "./attribution.ts";
import {
  classColors,
  classLegend,
  filledCoarsely,
  MOST_COLORS,
  photoFactor,
  photoWithSquare,
  positionColors,
  type PositionMap,
  positionPicture,
} from "./position_map.ts";
import { Collection, type CollectionFigureOptions, Result } from "./result.ts";

/** How an occlusion's figure is drawn. */
export class OcclusionFigureOptions {
  /**
   * What the third panel shows: the probability, always from 0 to 1, or the target's score, from its smallest to its
   * largest value.
   * @default "probability" for classes, "score" for all other targets
   */
  @oneOf("probability", "score")
  show?: "probability" | "score";
}

/** One place of the square: a row of the table. */
export interface OcclusionRow {
  /** The square's side in pixels. */
  size: number;
  /** The slice of the place in its map; only in a volume. */
  slice?: number;
  /** The row of the place in its map; 0 over a signal. */
  row: number;
  /** The column of the place in its map. */
  column: number;
  /**
   * `[y0, x0, y1, x1]` of the square in pixels; it may hang over the lower and the right edge. Of a window over a signal
   * `[t0, t1]`, of a cube in a volume `[z0, y0, x0, z1, y1, x1]`.
   */
  box: readonly number[];
  /** Of the target. */
  score: number;
  /** Of the target, 0…1; `null` where it is no class or label. Absent where the model's outputs are no probabilities. */
  probability?: number | null;
  /** The most probable class or label; absent likewise. */
  predicted?: string;
  /** The probability of that class or label, 0…1; absent likewise. */
  predictedProbability?: number;
  /** The sum over the strongest feature map of the layer. */
  activity: number;
}

/** What an {@linkcode Occlusion} is made of. */
export interface OcclusionParts extends Pick<Occlusion, "maps" | "target" | "name" | "model"> {
  image: NdArrayLike;
  /** Without a square: the target's score, the sum over the strongest feature map and its channel. */
  unoccluded: { readonly score: number; readonly activity: number; readonly channel: number };
  /** Multiply-adds of full passes, and as many as were done. */
  work: { readonly full: number; readonly done: number };
  /** The baseline in words. */
  baseline: string;
  /** The layer whose feature maps are summed. */
  layer: string;
  /** What the outputs are called: `"class"`, `"label"` or `"output"`. */
  noun: string;
  /** What is to be known of the score; empty for nothing. */
  note: string;
  /** The label of an output. */
  labelOf: (index: number) => string;
}

/** The classes that have a colour of their own, and how many have none. */
interface ClassOrder {
  shown: { index: number; share: number }[];
  others: number;
}

/** In maps of up to this number of positions the hover lists all numbers; in larger ones only the first, or they grow large. */
const MOST_DETAILED = 2_500;

/** Maps are this large at most, in pixels: four panels stand side by side in a cell. */
const MAP_SHOWN = 180;

/** What slides over a signal, an image, a volume. */
const WINDOWS = ["window", "square", "cube"];

type Square = readonly [number, number, number, number];

/** How a target and its value without a square are written. */
const valueText = (target: AttributionTarget, score: number) =>
  target.probability === undefined ? brief(score) : probabilityText(target.probability);

/** How a target's score or probability changes as a square slides over an image; in a cell, four panels. */
export class Occlusion extends Result<OcclusionRow> {
  /** One map for each size of the square, in the order asked for. */
  readonly maps!: readonly OcclusionMap[];
  /** Of the first size: the target's score at each place, `[rows, columns]`; of a class, before the softmax or sigmoid. */
  readonly score!: NdArray;
  /** Of the first size: the sum over the layer's strongest feature map, `[rows, columns]`. */
  readonly activity!: NdArray;
  /** Without a square: the target's probability if it is a class, else its score. */
  readonly unoccluded: number;
  /** The target's score without a square. */
  readonly unoccludedScore: number;
  /** The sum over the layer's strongest feature map without a square. */
  readonly unoccludedActivity: number;
  /** What was asked about, with its probability without a square if it is a class. */
  readonly target!: AttributionTarget;
  /** The layer whose feature maps are summed, and the channel of the strongest. */
  readonly layer: { readonly name: string; readonly channel: number };
  /**
   * Of the first size: how much the target's probability (its score, if it is no class) falls on average while a square
   * covers the pixel, `[h, w]`; 0 where none does. It is what Captum's `Occlusion` returns.
   */
  readonly map: NdArray;
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255; `[h, w, c]` for models of other channels. */
  readonly image!: NdArray;
  /** What the image is called. */
  readonly name!: string;
  /** What the model is called. */
  readonly model!: string;
  /** Floating-point operations (two for each multiply-add) of full passes, and as many as were done. */
  readonly flops: { readonly full: number; readonly done: number };
  readonly #words: { baseline: string; noun: string; nouns: string; note: string };
  readonly #labelOf: OcclusionParts["labelOf"];

  /** @internal */
  constructor(parts: OcclusionParts) {
    super();
    const { unoccluded, work, baseline, layer, noun, note, labelOf, ...own } = parts;
    const [{ score, activity }] = own.maps;
    Object.assign(this, own, { score, activity, image: NdArray.from(own.image) });
    this.unoccluded = own.target.probability ?? unoccluded.score;
    this.unoccludedScore = unoccluded.score;
    this.unoccludedActivity = unoccluded.activity;
    this.layer = { name: layer, channel: unoccluded.channel };
    this.map = pixelMap(own.maps[0], this.unoccluded, own.image.shape);
    this.flops = { full: 2 * work.full, done: 2 * work.done };
    this.#words = { baseline, noun, nouns: noun === "class" ? "classes" : `${noun}s`, note };
    this.#labelOf = labelOf;
  }

  /**
   * Of the first size: the target's probability with the square at each place, `[rows, columns]`, 0…1.
   *
   * @throws {TypeError} if the target is no class or label
   */
  get probability(): NdArray {
    const { probability } = this.maps[0];
    if (probability) return probability;
    const what = this.target.index === undefined ? "is no class, so it has no probability" : "is no probability";
    throw new TypeError(`The target ${this.target.text} ${what}; read its score.`);
  }

  /**
   * Of the first size: the index of the most probable class or label, or of the largest number, `[rows, columns]`.
   *
   * @throws {TypeError} if the model puts out maps, and the target is none of its classes
   */
  get predicted(): NdArray {
    const { predicted } = this.maps[0];
    if (predicted) return predicted;
    throw new TypeError(
      `The model ${
        JSON.stringify(this.model)
      } puts out maps, of which the target ${this.target.text} is none; read the score.`,
    );
  }

  /** One row for each place, size after size. */
  get rows(): OcclusionRow[] {
    return this.maps.flatMap(({ size, probability, score, activity, top, boxes }) =>
      boxes.map((box, i) => ({
        size,
        ...placedAt(placeOf(i, score.shape)),
        box,
        ...top[i].length > 0 && { probability: probability?.data[i] ?? null },
        score: score.data[i],
        ...top[i].length > 0 && {
          predicted: this.#labelOf(top[i][0].index),
          predictedProbability: top[i][0].probability,
        },
        activity: activity.data[i],
      }))
    );
  }

  /** The rows as a Polars data frame; the box in columns `y0`, `x0`, `y1`, `x1`. */
  override table(): Promise<DataFrame> {
    return toDataFrame(this.rows.map(flatBox));
  }

  /**
   * The photo, and beside it the maps of activity, of probability or score, and of the most probable class or label.
   *
   * @throws {RangeError} if `show` is neither `"probability"` nor `"score"`
   * @throws {TypeError} if the probability is asked for of a target that is no class or label
   */
  override figure(options: Partial<OcclusionFigureOptions> = {}): Figure {
    const { show = this.#watched } = readOptions("figure", OcclusionFigureOptions, options);
    if (show === "probability") void this.probability;
    const { text: targetText } = this.target;
    const title = `${this.model} · occlusion · ${targetText} (${this.#unoccludedText}) · ${this.name}`;
    if (this.#dimensions !== 2) return this.#alongSides(title, show);
    const order = this.#classOrder();
    const blocks = [this.#slides((map) => this.#panels(map, order, show)), ...order ? [this.#legend(order)] : []];
    const { full, done } = this.flops;
    const score = brief(this.unoccludedScore);
    const watched = this.#watched === "score"
      ? `Score: that of ${targetText}, ${score} without the square. `
      : `Probability: from 0 to 1, ${this.#unoccludedText} without the square` +
        (show === "score"
          ? `; shown is the score${this.#words.note ? "" : " before the softmax or sigmoid"}, ${score} without. `
          : ". ");
    const caption =
      `A square filled with ${this.#words.baseline} stands at places ${
        this.maps[0].stride
      } pixels apart; each cell of a map is one place. ` + watched +
      `Activity: sum over channel ${this.layer.channel} of ${this.layer.name}, the strongest without the square; ` +
      `bright is more. Hovering tells the ${
        order ? `likeliest ${this.#words.nouns}` : "numbers"
      } and shows the square. ` +
      [pixelRemark(this.image), bandsNote(this.image.shape), this.#words.note].filter(Boolean).map((note) => `${note} `)
        .join("") +
      this.maps.flatMap((map) =>
        this.#remark(map)
          ? [`With the square of ${map.size} pixels the ${this.#watched} is ${this.#remark(map)}. `]
          : []
      ).join("") +
      (done < full ? `Full passes would have taken ${fixed(full / done, 1)} times the multiply-adds.` : "");
    return new Figure({ title, caption, blocks, lines: this.maps.map((map) => this.#summary(map)) });
  }

  /**
   * The photo, and beside it the map of what is watched, for each size: a row of several images.
   *
   * @internal
   */
  panels(): Block {
    if (this.#dimensions !== 2) {
      const { blocks: [first, ...rest] } = this.#alongSides("", this.#watched);
      return {
        kind: "row",
        heading: `${this.name} · ${this.target.text} ${this.#unoccludedText}`,
        blocks: [first, ...rest.slice(0, 1)],
      };
    }
    const order = this.#classOrder();
    return this.#slides((map) => {
      const [photo, , watched] = this.#panels(map, order, this.#watched);
      // The map's marks lie on the photo that stands beside it.
      photo.heading = this.name;
      const remark = this.#remark(map);
      photo.note = `${this.target.text} ${this.#unoccludedText}` + (remark && `, ${remark}`);
      return [photo, watched];
    });
  }

  /** Along how many axes the window slides. */
  get #dimensions(): number {
    return this.image.shape.length - 1;
  }

  /** What slides. */
  get #window(): string {
    return WINDOWS[this.#dimensions - 1];
  }

  /** The figure for a signal or a volume: how much what is watched falls, over the input, and its values along a signal. */
  #alongSides(title: string, show: "probability" | "score"): Figure {
    const isSignal = this.#dimensions === 1;
    const window = this.#window;
    const [{ size, stride }] = this.maps;
    const fall = new Attribution({
      model: this.model,
      name: this.name,
      target: this.target,
      image: this.image,
      values: this.map,
      map: this.map,
      method: `fall of the ${this.#watched}`,
      score: this.unoccludedScore,
      signed: true,
      paint: "map",
      clip: 100,
      about: "",
    });
    const blocks = isSignal
      ? [
        { ...fall.blend(), heading: `${fall.method}, behind the signal` },
        ...this.maps.map((map) => this.#chart(map, show)),
        fall.bar(),
      ]
      : [fall.photo(), fall.picture(), fall.blend(), fall.bar()];
    const caption = [
      `A ${window} of ${this.maps.map(({ size }) => size).join(", ")} cells${isSignal ? "" : " a side"}, filled with ` +
      `${this.#words.baseline}, stands at places ${stride} cells apart.`,
      `Drawn over the ${
        isSignal ? "signal" : "volume"
      }: how much the ${this.#watched} falls on average while the ${window} ` +
      `of ${size} covers a cell; orange where it falls, blue where it rises.`,
      `Without the ${window} it is ${this.#unoccludedText}.`,
      pixelRemark(this.image),
      this.#words.note,
      ...this.maps.map((map) =>
        this.#remark(map) && `With the ${window} of ${map.size} cells the ${this.#watched} is ${this.#remark(map)}.`
      ),
    ].filter(Boolean).join(" ");
    return new Figure({ title, caption, blocks, lines: this.maps.map((map) => this.#summary(map)) });
  }

  /** What is watched while the window stands at each place of a signal. */
  #chart({ size, boxes, score, probability }: OcclusionMap, show: "probability" | "score"): Block {
    const values = (show === "probability" ? probability! : score).data;
    const x = boxes.map(([start, end]) => (start + Math.min(end, this.image.shape[0]) - 1) / 2);
    const without = show === "probability" ? this.unoccluded : this.unoccludedScore;
    return {
      kind: "chart",
      heading: `${show} with the window at each place`,
      series: [
        { label: `window of ${size}`, x, y: [...values] },
        { label: "without it", x, y: x.map(() => without), dashed: true },
      ],
      x: { title: "middle of the window", min: -0.5, max: this.image.shape[0] - 0.5 },
      y: { title: show, ...show === "probability" && { min: 0, max: 1 } },
      width: 790,
      height: 200,
      alt: `${show} of ${this.target.text} with the window at each place`,
    };
  }

  /** A row for each size; a slider chooses among several. */
  #slides(panels: (map: OcclusionMap) => Block[]): Block {
    const frames = this.maps.map((map) => ({
      label: `${map.size} pixels`,
      block: { kind: "row" as const, blocks: panels(map) },
    }));
    return frames.length === 1 ? frames[0].block : { kind: "slides", label: "side of the square", frames, start: 0 };
  }

  /** What is watched as the square slides. */
  get #watched(): "probability" | "score" {
    return this.maps[0].probability ? "probability" : "score";
  }

  get #unoccludedText(): string {
    return valueText(this.target, this.unoccludedScore);
  }

  /** @internal What the outputs are called. */
  get noun(): string {
    return this.#words.noun;
  }

  #summary(map: OcclusionMap): string {
    const { data, shape } = map[this.#watched]!;
    const write = this.#watched === "probability" ? percent : brief;
    const [low, high] = extent(data);
    const box = map.boxes[Math.max(0, data.indexOf(low))];
    const sides = this.#dimensions;
    const axes = sides === 1 ? ["cells"] : ["slices", "rows", "columns"].slice(3 - sides);
    const where = this.#remark(map) ||
      `lowest at ${axes.map((axis, i) => `${axis} ${box[i]}–${box[sides + i] - 1}`).join(", ")}`;
    return `${new Array(sides).fill(map.size).join("×")} ${this.#window}, ${shape.join("×")} places: ${this.#watched} ${
      write(low)
    } … ${write(high)}, ${where}`;
  }

  /** What is unusual about a map: that the square changes nothing, or lowers it nowhere; empty where it lowers it somewhere. */
  #remark(map: OcclusionMap): string {
    const { data } = map[this.#watched]!;
    const [low, high] = extent(data);
    const bad = data.reduce((count, value) => count + Number(!Number.isFinite(value)), 0);
    if (bad) {
      return `not finite at ${bad} of ${data.length} places: a weight, or what is made of it, is no 32-bit number`;
    }
    // Equal numbers may differ in their last digits, since they were computed in different batches.
    if (high - low <= 1e-6 * Math.max(Math.abs(low), Math.abs(high))) {
      return `the same at all places: it does not depend on what the ${this.#window} covers`;
    }
    return low >= this.unoccluded
      ? `nowhere lower than without the ${this.#window}: nothing it covers speaks for the target`
      : "";
  }

  /** The colours of the classes or labels. */
  #legend({ shown, others }: ClassOrder): Block {
    const shares = shown.map(({ index, share }) => `${this.#labelOf(index)} · ${percent(share)} of places`);
    const { noun, nouns } = this.#words;
    return classLegend(shares, others > 0 ? `${others} other ${others > 1 ? nouns : noun}` : undefined);
  }

  /** The classes or labels that are most probable somewhere, most often first; the target leads. Null where there are none. */
  #classOrder(): ClassOrder | null {
    if (!this.maps[0].top.some((classes) => classes.length > 0)) return null;
    const counts = new Map<number, number>();
    const target = this.target.index;
    if (target !== undefined) counts.set(target, 0);
    let all = 0;
    for (const { predicted } of this.maps) {
      for (const index of predicted!.data) {
        counts.set(index, (counts.get(index) ?? 0) + 1);
        all++;
      }
    }
    const order = counts.entries().map(([index, count]) => ({ index, share: count / all })).toArray().sort((a, b) =>
      Number(b.index === target) - Number(a.index === target) || b.share - a.share || a.index - b.index
    );
    return { shown: order.slice(0, MOST_COLORS), others: Math.max(0, order.length - MOST_COLORS) };
  }

  /** The photo with the square where what is watched is lowest. */
  #photo(map: OcclusionMap): Picture {
    const { boxes, baseline, size } = map;
    const remark = this.#remark(map);
    const watched = map[this.#watched]!.data;
    const factor = photoFactor(this.image.shape);
    return {
      kind: "picture",
      heading: `${size}×${size} square`,
      note: remark ? "" : `framed: lowest ${this.#watched}`,
      alt: `${this.name} with the square where ` +
        (this.#watched === "probability"
          ? `${this.target.text} is least probable`
          : `the score of ${this.target.text} is lowest`),
      pixels: remark
        ? pixelsOf(this.image, factor)
        : photoWithSquare(this.image, baseline, boxes[watched.indexOf(extent(watched)[0])] as Square),
      marked: {
        around: pixelsOf(this.image, factor),
        ...!isFlat(baseline) && { inside: pixelsOf(baseline, factor) },
      },
    };
  }

  /** What the hover says of each place. */
  #labels({ probability, score, activity, boxes, top }: OcclusionMap): string[] {
    const { text } = this.target;
    return boxes.map((_, i) => {
      const own = `${text} ${probability ? probabilityText(probability.data[i]) : brief(score.data[i])}`;
      if (boxes.length > MOST_DETAILED) return own;
      const numbers = (probability ? `score ${brief(score.data[i])} · ` : "") + `activity ${brief(activity.data[i])}`;
      const classes = top[i].map(({ index, probability }, k) =>
        `${k + 1}. ${this.#labelOf(index)} ${probabilityText(probability)}`
      );
      return [`${own} · ${numbers}`, ...classes].join("\n");
    });
  }

  #panels(map: OcclusionMap, order: ClassOrder | null, show: "probability" | "score"): Picture[] {
    const { activity, predicted, boxes } = map;
    const shown = map[show]!.data;
    const [rows, columns] = map.score.shape;
    const photo = this.#photo(map);
    const factor = photoFactor(this.image.shape);
    const marks: Marks = {
      on: photo,
      boxes: boxes.map((box) => box.map((side) => side * factor) as unknown as Square),
      ...isFlat(map.baseline) && { fill: hexOf(map.baseline) },
    };
    const common = { rows, columns, labels: this.#labels(map), marks };
    const [smallest, largest] = show === "probability" ? [0, 1] : extent(shown);
    const [quiet, loud] = extent(activity.data);
    const [black, white] = [Math.min(0, quiet), Math.max(loud, this.unoccludedActivity)];
    const { channel, name: layer } = this.layer;
    return [
      photo,
      positionPicture({
        ...common,
        shown: MAP_SHOWN,
        heading: `activity of ${layer}`,
        note: `channel ${channel} · ${brief(black)} … ${brief(white)}`,
        alt: `Activity of channel ${channel} of ${layer} with the square at each place`,
        colors: positionColors(activity.data, black, white, "grey"),
        bar: "grey",
      }),
      watchedPicture(show, shown, [smallest, largest], {
        ...common,
        note: `${brief(smallest)} … ${brief(largest)}`,
        alt: `${this.target.text} with the square at each place`,
      }),
      ...order
        ? [positionPicture({
          ...common,
          shown: MAP_SHOWN,
          heading: `most probable ${this.#words.noun}`,
          note: "colours below",
          alt: `The most probable ${this.#words.noun} with the square at each place`,
          colors: classColors(predicted!.data, order.shown.map(({ index }) => index)),
        })]
        : [],
    ];
  }
}

/** The map of what is watched, with its colour bar; `alt` says of what. */
const watchedPicture = (
  show: "probability" | "score",
  values: Float32Array,
  [low, high]: readonly number[],
  { alt, ...map }: Omit<PositionMap, "heading" | "colors" | "shown">,
): Picture =>
  positionPicture({
    ...map,
    shown: MAP_SHOWN,
    heading: show,
    alt: `${show === "probability" ? "Probability" : "Score"} of ${alt}`,
    colors: positionColors(values, low, high, "inferno"),
    bar: "inferno",
  });

/** Occlusion of several images: an array of results that shows itself as one figure, an image below the other. */
export class Occlusions extends Collection<Occlusion> {
  /** The rows of all as a Polars data frame, with the image's name in a column `image`. */
  override table(): Promise<DataFrame> {
    return toDataFrame(this.flatMap(({ name, rows }) => rows.map((row) => ({ image: name, ...flatBox(row) }))));
  }

  /** Of each image the photo, and beside it the map of what is watched. */
  override figure(options: Partial<CollectionFigureOptions> = {}): Figure {
    const drawn = this.drawn(options);
    const title = `${this[0].model} · occlusion · ${this.length} images`;
    const { noun } = this[0];
    const isProbable = this.every(({ target }) => target.probability !== undefined);
    const caption = this[0].image.shape.length !== 3
      ? "How much what is watched falls on average while a cell is covered: orange where it falls, blue where it rises."
      : isProbable
      ? `Left, the photo with the square where the ${noun} is least probable, and the ${noun}'s probability ` +
        "without the square; right, its probability with the square at each place, from 0 (black) to 1."
      : "Left, the photo with the square where the score is lowest, and the score without the square; right, the score " +
        "with the square at each place, from its smallest (black) to its largest value.";
    return new Figure({
      title,
      caption: [caption, this.note(drawn.length)].filter(Boolean).join(" "),
      blocks: drawn.map((result) => result.panels()),
      text: [title, ...drawn.map((result) => result.figure().text)].join("\n"),
    });
  }
}

/**
 * What is seen while a map fills from coarse to fine.
 *
 * @param map the map so far: NaN where nothing is known yet
 */
export function partialFigure(
  { model, name, target, map, score }: {
    model: string;
    name: string;
    target: AttributionTarget;
    map: OcclusionMap;
    score: number;
  },
): Figure {
  const watched = map.probability ?? map.score;
  const [rows, columns] = watched.shape;
  const known = watched.data.filter((value) => !Number.isNaN(value));
  const [low, high] = map.probability ? [0, 1] : extent(known);
  const show = map.probability ? "probability" : "score";
  return new Figure({
    title: `${model} · occlusion · ${target.text} (${valueText(target, score)}) · ${name}`,
    caption: `${known.length} of ${rows * columns} places, from coarse to fine; ${show} from ${brief(low)} (black) ` +
      `to ${brief(high)}.`,
    blocks: [
      watchedPicture(show, filledCoarsely(watched), [low, high], { rows, columns, alt: `${target.text}, so far` }),
    ],
  });
}

/** Where a place is in a map. */
const placedAt = (place: readonly number[]) => {
  const [row, column, slice] = place.length === 1
    ? [0, ...place]
    : place.length === 2
    ? place
    : [...place.slice(1), place[0]];
  return { ...slice !== undefined && { slice }, row, column };
};

/** A row of the table: the box in a column for each number. */
function flatBox({ box, ...row }: OcclusionRow) {
  const axes = box.length === 2 ? ["t"] : ["z", "y", "x"].slice(3 - box.length / 2);
  const names = [...axes.map((axis) => `${axis}0`), ...axes.map((axis) => `${axis}1`)];
  return { ...row, ...Object.fromEntries(box.map((side, i) => [names[i], side])) };
}

/** Whether all pixels have one colour. */
const isFlat = ({ data, shape }: NdArrayLike) => data.every((value, i) => value === data[i % shape[2]]);

/** The first pixel's colour as CSS has it. */
const hexOf = ({ data, shape: [, , channels] }: NdArrayLike) =>
  "#" + [0, 1, 2].map((k) => Math.round(data[k % channels]).toString(16).padStart(2, "0")).join("");

/** How much what is watched falls on average while a square (a window, a cube) covers each pixel. */
function pixelMap({ probability, score, boxes }: OcclusionMap, unoccluded: number, shape: readonly number[]): NdArray {
  const { data } = probability ?? score;
  const sides = shape.slice(0, -1);
  const sums = new Float32Array(sizeOf(sides));
  const counts = new Float32Array(sums.length);
  boxes.forEach((box, i) => {
    const add = (axis: number, at: number) => {
      if (axis === sides.length) {
        sums[at] += unoccluded - data[i];
        counts[at]++;
      } else {
        const end = Math.min(box[sides.length + axis], sides[axis]);
        for (let k = box[axis]; k < end; k++) add(axis + 1, at * sides[axis] + k);
      }
    };
    add(0, 0);
  });
  return ndarray(sums.map((sum, i) => counts[i] ? sum / counts[i] : 0), sides);
}
