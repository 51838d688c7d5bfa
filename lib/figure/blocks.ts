/**
 * What a figure is made of: pictures, bars and tables, side by side or one under another.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Mosaic, Pixels, TileGrid } from "./mosaic.ts";
import type { Typesetter } from "./text.ts";
import type { Theme } from "./theme.ts";

interface BlockText {
  /** A line above the block, in bold. */
  heading?: string;
  /** A line under the heading, smaller. */
  note?: string;
}

/** A picture, shown pixel by pixel. */
export interface Picture extends BlockText {
  kind: "picture";
  pixels: Pixels;
  /** What the picture shows, in words, for those who cannot see it. */
  alt: string;
  /** Its tiles, if the hover should name each. */
  grid?: TileGrid;
  /** Lays its tiles out anew. */
  lay?: Mosaic["lay"];
  /**
   * The numbers behind the pixels, `[h, w]` or `[h, w, c]`, stretched over the whole picture: the hover rings the cell
   * under the pointer and reads its numbers.
   */
  values?: NdArrayLike;
  /**
   * While another picture marks a box on this one: what is seen around the box instead of `pixels`, and what in it, if
   * that is no flat colour. Both are as large as this picture.
   */
  marked?: { around: Pixels; inside?: Pixels };
  /** What hovering over a tile of `grid`, or without one over a cell of `values`, marks on another picture. */
  marks?: Marks;
}

/** One box for each tile of a picture, painted on another picture of the figure while the pointer is over the tile. */
export interface Marks {
  /** The other picture. */
  on: Picture;
  /** `[y0, x0, y1, x1]` in pixels of the other picture, one for each tile or cell; they may hang over its edge. */
  boxes: readonly (readonly [number, number, number, number])[];
  /** What fills a box, as `"#808080"`. @default what `marked.inside` of the other picture shows, or nothing: an outline */
  fill?: string;
}

/** Horizontal bars on a fixed scale of 0 to 1. */
export interface Bars extends BlockText {
  kind: "bars";
  rows: { label: string; value: number; text: string }[];
  /** The length of a full bar in pixels. */
  width: number;
}

/** A table of text. */
export interface Table extends BlockText {
  kind: "table";
  columns: { title: string; align?: "left" | "right" }[];
  rows: string[][];
}

/** Blocks side by side. */
export interface Row extends BlockText {
  kind: "row";
  blocks: Block[];
  /** How many are side by side before the next line begins. @default as many as there is room for */
  columns?: number;
  /** Whether lines stay whole where there is little room: the blocks are drawn smaller instead. @default false */
  unbroken?: boolean;
}

/** One of the axes of a chart. */
export interface Axis {
  title: string;
  /**
   * Where the axis begins, and where it ends; what lies outside is cut off.
   * @default what the data need; on the y axis, and for points on both, out to the next tick
   */
  min?: number;
  max?: number;
  /** Two numbers that a y axis holds besides its data, as where several charts have one scale. */
  include?: readonly [low: number, high: number];
  /** @default "linear" */
  scale?: "linear" | "log";
  /** Ticks are at whole numbers only, as for epochs. @default false */
  whole?: boolean;
}

/** What a chart draws, in its own colour and named by its label. */
export interface Series {
  label: string;
  x: readonly number[];
  /** Of the length of `x`; NaN leaves a gap. */
  y: readonly number[];
  /** The bottom and the top of a band around a line, or of the error bars of points and bars. */
  low?: readonly number[];
  high?: readonly number[];
  /** @default "line" */
  as?: "line" | "points" | "bars";
  /** A line is dashed, as for validation beside training: series of one `label` up to the first "·" share a colour. */
  dashed?: boolean;
  /** Whether it has the colour of words, to be seen over a {@linkcode Shade}. @default false */
  ink?: boolean;
}

/** What lies behind lines: stripes side by side, each as strong as its share. */
export interface Shade {
  /** From −1, wholly the first colour of series, over 0, nothing, to 1, wholly the second. */
  readonly shares: readonly number[];
  /** Where the first stripe begins and the last ends, on the x axis. */
  readonly from: number;
  readonly to: number;
}

/** Lines, points or bars over two axes. */
export interface Chart extends BlockText {
  kind: "chart";
  series: Series[];
  x: Axis;
  y: Axis;
  /** Of the whole chart in pixels. @default 400 */
  width?: number;
  /** @default 240 */
  height?: number;
  /** @default nothing */
  shade?: Shade;
  /** Names of the places 0, 1, 2 … on the x axis, instead of numbers. */
  names?: readonly string[];
  /** The label of slides of the figure: a click on the first bar or point shows the first of their frames, and so on. */
  chooses?: string;
  /** What the chart shows, in words. */
  alt: string;
}

/**
 * Frames of which one is seen at a time; a slider chooses. Where scripts do not run, only the frame `start` is seen.
 *
 * The page holds all frames: together they are as large as that many figures.
 */
export interface Slides extends BlockText {
  kind: "slides";
  /** What the slider sets, as `"epoch"`. Slides of one figure with one label move together. */
  label: string;
  frames: { label: string; block: Block }[];
  /** The place of the frame shown first. @default the last */
  start?: number;
}

/**
 * A picture that lies over a photo of the same proportions, stretched over it where it is coarser; a slider sets how
 * much of it is seen. The sliders of one figure move together.
 */
export interface Blend extends BlockText {
  kind: "blend";
  below: Pixels;
  above: Pixels;
  /** From 0 (only the photo) to 1. @default 0.6 */
  opacity?: number;
  /** The numbers behind the upper picture, for the hover. */
  values?: NdArrayLike;
  alt: string;
}

/** SVG elements, their origin at the upper left corner of a box of this size. */
export interface Drawing {
  svg: string;
  width: number;
  height: number;
}

/** What a drawing is printed in. */
export interface Print {
  /** The width that there is, in pixels of the page. @default the drawing's own */
  room?: number;
}

/** A drawing that a script replaces by an interactive one. */
export interface Live extends BlockText {
  kind: "live";
  /** What the drawing shows, in words. */
  alt: string;
  /**
   * The drawing, its words set by `type`, in the colours of a theme: as large as what a script puts in its place, or as
   * it is printed.
   */
  still: (type: Typesetter, theme: Theme, print?: Print) => Drawing | Promise<Drawing>;
  /** What is put behind the drawing: the data, in script elements that are not run, and the scripts. */
  html: () => Promise<string>;
  /** The name of the class by which the script finds the drawing. */
  className: string;
  /** What a page shows in place of the drawing, as PNG or WebP of the same proportions. @default the drawing */
  picture?: () => Promise<Uint8Array>;
  /** The same as a Plotly figure, for viewers that draw these themselves. @default none */
  plotly?: () => unknown;
}

/** A part of a tile's picture that the pointer meets by itself. */
export interface TileSpot {
  /** Where it is, in the picture's pixels. */
  box: readonly [x: number, y: number, width: number, height: number];
  /** What is shown enlarged beside it: another part of the picture. */
  pair?: TileSpot["box"];
  words: string;
  /** The picture that it was cut from, and where it was, as shares of the sides: `[y0, x0, y1, x1]`. */
  whole?: { of: Pixels; box: readonly number[] };
}

/** Small words on a tile's picture, or on a strip of it that is transparent. */
export interface TileText {
  text: string;
  /** The upper left corner, in the picture's pixels. */
  x: number;
  y: number;
  /** Whether they stand on something painted: white on a dark ground. @default false */
  painted?: boolean;
}

/** One picture of a {@linkcode Sheet}. */
export interface SheetTile {
  /** At most as large as the sheet's `side`; smaller ones are shown enlarged by a whole factor. */
  pixels: Pixels;
  /** What stands below it, the first line in bold; what is too long is cut on a page, and broken in print. */
  lines: readonly string[];
  /** All that is known of it, for the hover and for terminals. */
  words: string;
  alt: string;
  /** @default false */
  outlined?: boolean;
  /** @default none */
  texts?: readonly TileText[];
  /** What the pointer meets in the picture: it is shown enlarged, on the whole that it was cut from. @default none */
  spots?: readonly TileSpot[];
}

/** A contact sheet: pictures on a grid, each with its words below. */
export interface Sheet extends BlockText {
  kind: "sheet";
  tiles: readonly SheetTile[];
  /** The side of the square that each picture is shown in, in pixels. */
  side: number;
  /** How many are side by side. @default as many as there is room for */
  columns?: number;
  /** Orders that the reader can choose among: the tiles' places, first to last; those of the first as they stand. */
  orders?: readonly { name: string; places: readonly number[] }[];
  /** What the reader can search the tiles for, as `"channel"`: by the first of their lines. @default nothing */
  filter?: string;
  /** How many more there are than have tiles. @default 0 */
  left?: number;
}

/** A cell of a {@linkcode Matrix}. */
export interface MatrixCell {
  count: number;
  /** What stands in it. @default its count */
  text?: string;
  /** Its share of the row, 0…1: how strong it is shaded. */
  share: number;
  /** Whether row and column are one class. */
  right: boolean;
  /** What it counts, for the hover. */
  words: string;
}

/** Counts in rows and columns, as of labels by what was predicted. */
export interface Matrix extends BlockText {
  kind: "matrix";
  rows: readonly string[];
  columns: readonly string[];
  cells: readonly (readonly MatrixCell[])[];
  /** What rows and columns are. */
  corner: string;
  /** Further columns of text, right of the cells. */
  sides: readonly { title: string; texts: readonly string[] }[];
}

export type Block = Picture | Bars | Table | Row | Chart | Slides | Blend | Live | Sheet | Matrix;
