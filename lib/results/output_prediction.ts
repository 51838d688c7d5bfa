/**
 * What a model says of one image at one of its outputs: the likeliest classes, numbers, or a map of answers.
 *
 * @module
 */

import { extent, type NdArray, type NdArrayLike } from "../array.ts";
import type { Blend, Block, Chart, Picture } from "../figure/blocks.ts";
import { type Palette, paletteRow } from "../figure/color.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { brief, percent, probabilityText } from "../format.ts";
import { enlargement, largestOf, painted, sideBySide, slicesOf } from "./panels.ts";
import { classColors, classLegend, MOST_COLORS } from "./position_map.ts";

/** One class, label or number of a `Prediction`. */
export interface PredictRow {
  /** Of a network with several outputs: the name of the output. */
  output?: string;
  /** Its label; where the model has none `"class 3"`, `"label 3"` or `"output 3"`. */
  label: string;
  /** Its index in the model's output. */
  index: number;
  /** Of a class or a label: from 0 to 1; of a map the mean over it. */
  probability?: number;
  /** Of a class in a map: at which share of the places it is predicted; of a label, at which its probability is at least 0.5. */
  share?: number;
  /** Of an output that is no probability: the number itself; of a map the mean over it. */
  value?: number;
  /** Of numbers in a map: the smallest. */
  low?: number;
  /** Of numbers in a map: the largest. */
  high?: number;
  /** The unit of the number, where the model has one. */
  unit?: string;
}

/** What a model says of an image at one of its outputs. */
export interface OutputPrediction {
  /** The output's name. */
  readonly name: string;
  /** What it is: `"classes"`, `"binary"`, `"labels"`, `"numbers"` or `"map"`. */
  readonly kind: string;
  /** What is at each place of a map; else the same as `kind`. */
  readonly each: string;
  /** Where its numbers come from, as `"softmax"`. */
  readonly activation: string;
  /** The likeliest classes or labels, the likeliest first; numbers in their order. */
  readonly rows: readonly PredictRow[];
  /** Of maps of classes: the index of the class that is predicted at each place, `[h, w]`. */
  readonly map?: NdArray;
  /**
   * Of maps: the probabilities or numbers at each place, `[h, w, c]`; of two classes by one number both. Of a data set only
   * of maps without classes, on fewer places where there are more than 104 along a side.
   */
  readonly values?: NdArray;
  /** How many classes, labels or numbers there are. */
  readonly count: number;
  /** @internal Which of several outputs, in words; empty where there is one. */
  readonly which: string;
}

/** A row's number in words. */
export function rowWords({ probability, value, share, low, high, unit }: PredictRow): string {
  const own = unit ? ` ${unit}` : "";
  if (share !== undefined) return `${percent(share)} of the map`;
  if (probability !== undefined) return probabilityText(probability);
  return low === undefined
    ? `${brief(value!)}${own}`
    : `${brief(value!)}${own} on average, ${brief(low)} … ${brief(high!)}`;
}

/** What is predicted at an output, in words. A number that is the only one of its output is called as that. */
export function foundWords({ rows, each, count, which }: OutputPrediction): string {
  const [best] = rows;
  if (each === "numbers" && count === 1 && which) return rowWords(best);
  return each === "numbers" && rows.length > 1 ? `${rows.length} numbers` : `${best.label}, ${rowWords(best)}`;
}

/** A map is shown enlarged by a whole factor, up to this size. */
const SHOWN = 224;
/** At most so many maps of labels or numbers stand side by side. */
const MOST_MAPS = 6;

/**
 * The classes that have colours in some maps: by their index where there are few, else those that take most places; and the
 * legend of these colours.
 */
export function mapColors(parts: readonly OutputPrediction[]): { order: readonly number[]; legend: readonly Block[] } {
  const [{ count, map }] = parts;
  if (!map) return { order: [], legend: [] };
  const shares = new Map<number, { label: string; share: number }>();
  for (const { index, label, share = 0 } of parts.flatMap(({ rows }) => rows)) {
    shares.set(index, { label, share: (shares.get(index)?.share ?? 0) + share / parts.length });
  }
  const order = count <= MOST_COLORS
    ? Array.from({ length: count }, (_, i) => i)
    : [...shares.keys()].sort((a, b) => shares.get(b)!.share - shares.get(a)!.share).slice(0, MOST_COLORS);
  const names = order.map((index) => {
    const { label = `class ${index}`, share = 0 } = shares.get(index) ?? {};
    return `${label} · ${percent(share)} of the ${parts.length > 1 ? "maps" : "map"}`;
  });
  const left = count - order.length;
  return { order, legend: [classLegend(names, left > 0 ? `${left} other class${left > 1 ? "es" : ""}` : undefined)] };
}

/** How much of a map's colours is seen over a photo. */
const OPACITY = 0.55;

/** A photo with the colours of a map `[h, w]` of classes over it. */
export function overlaid(
  { data, shape: [rows, columns] }: NdArrayLike,
  photo: Pixels,
  order: readonly number[],
): Pixels {
  const { width, height } = photo;
  const colors = classColors(Float32Array.from(data), order);
  const channels = photo.data.length / (width * height);
  const mixed = photo.data.map((value, i) => {
    const [pixel, channel] = [Math.floor(i / channels), i % channels];
    if (channel > 2) return value;
    const [y, x] = [Math.floor(pixel / width), pixel % width];
    const cell = Math.floor(y * rows / height) * columns + Math.floor(x * columns / width);
    return Math.round((1 - OPACITY) * value + OPACITY * colors[3 * cell + channel]);
  });
  return { data: mixed, width, height };
}

/** One channel of maps as a picture's rows and columns: of a line one row, of a volume some slices side by side. */
function planeOf({ data, shape }: NdArrayLike, grid: readonly number[], channel = 0): NdArrayLike {
  const channels = shape.length > grid.length ? shape.at(-1)! : 1;
  const own = channels === 1
    ? data
    : Float32Array.from({ length: data.length / channels }, (_, i) => data[i * channels + channel]);
  if (grid.length === 1) return { data: own, shape: [1, grid[0]] };
  if (grid.length === 2) return { data: own, shape: grid };
  const slices = slicesOf(grid[0], 8);
  const plane = sideBySide(own, grid, slices);
  return { data: plane, shape: [grid[1], plane.length / grid[1]] };
}

/** How much a plane is enlarged to be about as large as the photo that is shown beside it. */
function factorOf({ shape: [rows, columns] }: NdArrayLike, photo: NdArrayLike): [number, number] {
  if (rows === 1) return [24, Math.max(1, Math.floor(480 / columns))];
  const shown = photo.shape.length < 3
    ? SHOWN
    : enlargement(photo.shape, SHOWN) * Math.max(photo.shape[0], photo.shape[1]);
  const factor = enlargement([rows, columns], shown);
  return [factor, factor];
}

/** The answers of a map over the photo; where the map lies not in the photo's plane, by themselves. */
function answersOver(map: NdArrayLike, photo: NdArrayLike, order: readonly number[], alt: string): Blend | Picture {
  const plane = planeOf(map, map.shape);
  const colors = { data: classColors(Float32Array.from(plane.data), order), shape: [...plane.shape, 3] };
  if (map.shape.length !== 2 || photo.shape.length !== 3) {
    return { kind: "picture", pixels: pixelsOf(colors, factorOf(plane, photo)), values: plane, alt };
  }
  const factor = enlargement(photo.shape, SHOWN);
  const [down, across] = [0, 1].map((axis) => Math.max(1, Math.floor(factor * photo.shape[axis] / plane.shape[axis])));
  return {
    kind: "blend",
    below: pixelsOf(photo, factor),
    above: pixelsOf(colors, [down, across]),
    opacity: OPACITY,
    values: plane,
    alt,
  };
}

/** The scale of a map: of probabilities 0 to 1, of numbers what they need, with 0 in the middle where they have both signs. */
function scaleOf(each: string, { data }: NdArrayLike): { low: number; high: number; palette: Palette } {
  if (each !== "numbers") return { low: 0, high: 1, palette: "inferno" };
  const [low, high] = extent(data);
  if (low >= 0 || high <= 0) return { low, high, palette: "inferno" };
  const most = largestOf(data);
  return { low: -most, high: most, palette: "diverging" };
}

function barOf({ low, high, palette }: ReturnType<typeof scaleOf>, unit = ""): Picture {
  const note = `${brief(low)} … ${brief(high)}${unit && ` ${unit}`}`;
  const row = { data: paletteRow(palette, SHOWN), shape: [1, SHOWN, 3] };
  return { kind: "picture", note, pixels: pixelsOf(row, [10, 1]), alt: `Colour bar: ${note}` };
}

/** One channel of a map with its colour bar under it. */
function channelPicture({ each, values }: OutputPrediction, row: PredictRow, photo: NdArrayLike): Block {
  const plane = planeOf(values!, values!.shape.slice(0, -1), row.index);
  const made = scaleOf(each, plane);
  // What is made of a vector is a picture itself.
  const isPicture = photo.shape.length === 1 && made.palette === "inferno" && each === "numbers";
  const scale = isPicture ? { ...made, palette: "grey" as const } : made;
  const picture: Picture = {
    kind: "picture",
    heading: row.label,
    note: rowWords(row),
    pixels: painted(plane, { ...scale, factor: factorOf(plane, photo) }),
    values: plane,
    alt: `${row.label} at each place`,
  };
  return each === "numbers" ? { kind: "row", columns: 1, blocks: [picture, barOf(scale, row.unit)] } : picture;
}

/** Three channels that are a picture, as of an autoencoder: painted from their smallest number to their largest. */
function colourPicture(values: NdArrayLike): Picture {
  const [low, high] = extent(values.data);
  const [black, white] = low >= 0 && high <= 1 ? [0, 1] : low >= 0 && high <= 255 ? [0, 255] : [low, high];
  const data = values.data.map((value) => 255 * (value - black) / (white - black || 1));
  return {
    kind: "picture",
    heading: "as colours",
    note: `as red, green, blue: ${brief(black)} … ${brief(white)}`,
    pixels: pixelsOf({ data, shape: values.shape }, enlargement(values.shape, SHOWN)),
    values,
    alt: "The three channels as red, green and blue",
  };
}

const sizeText = ({ shape: [height, width] }: NdArrayLike): string =>
  width === undefined ? `${height} numbers` : `${height}×${width} pixels`;

/** The blocks of a map, beside a picture of the photo where that is not seen elsewhere. */
function mapBlocks(part: OutputPrediction, photo: NdArrayLike, picture: Picture | Chart | null, name: string): Block[] {
  const { each, rows, values, map, count } = part;
  const seen = picture ? [{ ...picture, heading: "as the model saw it", note: sizeText(photo) }] : [];
  if (map) {
    const { order, legend } = mapColors([part]);
    const over = answersOver(map, photo, order, `What is predicted at each place of ${name}`);
    const beside = { ...over, heading: "what is predicted at each place", note: "colours below" };
    return [{ kind: "row", blocks: [...seen, beside, ...values ? [confidenceOf(part, photo)] : []] }, ...legend];
  }
  const columns = rows.slice(0, MOST_MAPS).map((row) => channelPicture(part, row, photo));
  const isColour = each === "numbers" && count === 3 && values!.shape.length === 3;
  const blocks = [...seen, ...isColour ? [colourPicture(values!)] : [], ...columns];
  return [{ kind: "row", blocks }, ...each === "numbers" ? [] : [barOf({ low: 0, high: 1, palette: "inferno" })]];
}

/** How probable the answer is at each place; of two classes, the second of them. */
function confidenceOf({ each, values, map, rows }: OutputPrediction, photo: NdArrayLike): Picture {
  const { data, shape } = values!;
  const channels = shape.at(-1)!;
  const isBinary = each === "binary";
  const sure = Float32Array.from(map!.data, (answer, i) => data[i * channels + (isBinary ? 1 : answer)]);
  const plane = planeOf({ data: sure, shape: map!.shape }, map!.shape);
  return {
    kind: "picture",
    heading: `probability of ${
      isBinary ? rows.find(({ index }) => index === 1)?.label ?? "class 1" : "what is predicted"
    }`,
    note: "black 0 … brightest 1",
    pixels: painted(plane, { low: 0, high: 1, palette: "inferno", factor: factorOf(plane, photo) }),
    values: plane,
    alt: "The probability at each place",
  };
}

/** What a figure shows of an output: beside the photo, or of maps with it. */
export function outputBlocks(
  part: OutputPrediction,
  photo: NdArrayLike,
  picture: Picture | Chart | null,
  name: string,
): Block[] {
  const { kind, each, rows } = part;
  if (kind === "map") {
    return mapBlocks(part, photo, picture, name);
  }
  const shown: Block = each === "numbers"
    ? {
      kind: "table",
      columns: [{ title: "output" }, { title: "value", align: "right" }],
      rows: rows.map((row) => [row.label, rowWords(row)]),
    }
    : {
      kind: "bars",
      width: 260,
      rows: rows.map((row) => ({ label: row.label, value: row.probability!, text: rowWords(row) })),
    };
  return picture ? [{ kind: "row", blocks: [picture, shown] }] : [shown];
}

/** How an output's part of a figure is read. */
export function outputCaption({ kind, each, activation, which, rows, count, map, values }: OutputPrediction): string {
  if (kind !== "map") {
    if (each === "numbers") return `Numbers (${activation})${which}; they are no probabilities.`;
    const own = each === "labels" ? ", each label for itself" : "";
    return `Top ${rows.length} probabilities (${activation})${which}${own}, bars from 0 to 1.`;
  }
  const grid = (map?.shape ?? values!.shape.slice(0, -1)).join("×");
  const of = `A map of ${grid} places (${activation})${which}`;
  if (each === "numbers") {
    const left = count > MOST_MAPS ? ` The first ${MOST_MAPS} of ${count} are drawn.` : "";
    return `${of}: at each place ${count === 1 ? "a number" : `${count} numbers`}, no probabilit${
      count === 1 ? "y" : "ies"
    }; each channel has its own colour bar.${left}`;
  }
  if (each === "labels") {
    const left = count > MOST_MAPS ? `, the ${MOST_MAPS} that are found at most places` : "";
    return `${of}: the probability of each label for itself${left}; the share is that of the places with at least 50 %.`;
  }
  return `${of}: each place takes the likeliest of ${count} classes, in the colours below, with the share of the map that it takes.`;
}
