/**
 * What a figure packs for the page: figures write it as JSON, the scripts of the page read it.
 *
 * @module
 */

import type { MapBox, View } from "./view.ts";

/** Numbers behind a picture: half floats of `numbers · scale`, row by row, channels last. */
export interface PackedValues {
  rows: number;
  columns: number;
  channels: number;
  /** What a half float is divided by. */
  scale: number;
  /** The half floats, the lower byte first, as base64. */
  halves: string;
}

/** What hovering over a tile or cell marks on the picture with the number `on`. */
export interface PackedMarks {
  on?: number;
  /** `[y0, x0, y1, x1]` in pixels of that picture, one for each tile or cell. */
  boxes: readonly (readonly [number, number, number, number])[];
  fill?: string;
}

/** What the hover reads of a picture: its tiles, its numbers, or both. */
export interface PictureHover {
  columns?: number;
  tile?: readonly [width: number, height: number];
  /** Pixels between tiles, and around them. @default 1 */
  gutter?: number;
  labels?: readonly string[];
  values?: PackedValues;
  marks?: PackedMarks;
}

/** One axis of a chart. */
export interface HoverAxis {
  title: string;
  domain: readonly [number, number];
  log: boolean;
  names?: readonly string[];
}

/** One series of a chart; null where there is no finite number. */
export interface HoverSeries {
  label: string;
  color: string;
  as: "line" | "points" | "bars";
  x: (number | null)[];
  y: (number | null)[];
  low?: (number | null)[];
  high?: (number | null)[];
}

/** What the hover reads of a chart; sizes and places are in the chart's pixels. */
export interface ChartHover {
  size: [width: number, height: number];
  plot: [left: number, top: number, width: number, height: number];
  x: HoverAxis;
  y: HoverAxis;
  series: HoverSeries[];
  /** The label of the slides of which a click shows a frame: that of the bar's or point's place in its series. */
  chooses?: string;
}

/** Frames of slides: the HTML of each, null for the one that the page already shows. */
export interface SlidesData {
  start: number;
  labels: string[];
  frames: (string | null)[];
}

/** A box in a picture's own pixels. */
export type SpotBox = readonly [x: number, y: number, width: number, height: number];

/** What the pointer meets in a tile: shown enlarged, with what is beside it and the whole that it was cut from. */
export interface SpotData {
  box: SpotBox;
  pair?: SpotBox;
  words: string;
  /** The place of the whole among the figure's, and the box on it as shares of its sides, `[y0, x0, y1, x1]`. */
  whole?: readonly [of: number, box: readonly number[]];
}

/** What the reader can do with a contact sheet. */
export interface SheetData {
  /** The orders of the tiles: their places, first to last. */
  orders: readonly { name: string; places: readonly number[] }[];
  /** What the tiles can be searched for, and the name of each. */
  filter?: { of: string; names: readonly string[] };
  /** Of each tile what is met in it; the wholes are in the figure's element of class `convlens-wholes`. */
  spots?: readonly (readonly SpotData[])[];
}

/** Two pictures, one over the other. */
export interface BlendData {
  /** The address of the photo, or the number of the figure's picture that it is. */
  below: string | number;
  /** The address of the map. */
  above: string;
  opacity: number;
}

/** A grid of images that the page shows as one picture, and the words for each cell, row by row. */
export interface GridData {
  rows: number;
  columns: number;
  words: string[];
}

/** What points are coloured by; `C` and `N` are the codes of colours and the numbers, packed or not. */
export type PageColumn<C, N> =
  & { name: string; palette: string[]; /** For each point its place in the palette. */ color: C }
  & (
    | { kind: "numbers"; low: number; high: number; values: N }
    | {
      kind: "classes";
      names: string[];
      counts: number[];
      shapes: ("circle" | "square")[];
      /** The value of each point, where its class has none of its own. */
      values?: readonly string[];
    }
  );

/** Thumbnails in sheets (WebP in base64); of every `step`-th point there is one. */
export interface PackedSprites {
  /** Tiles in a row of a sheet, and rows in a full sheet. */
  columns: number;
  step: number;
  sheets: string[];
}

/** A map of points; typed arrays are in base64. */
export interface MapData {
  x: string;
  y: string;
  z?: string;
  /** Of points in space: where they are looked at from at first. */
  view?: View;
  box: MapBox;
  /** The diameter of a dot in pixels. */
  dot: number;
  /** How many of the first points are pale. */
  background: number;
  ids?: readonly string[];
  columns: PageColumn<string, string>[];
  neighbors?: { k: number; wide: boolean; indices: string };
  sprites?: PackedSprites;
  /** Whether pictures stand on the points at first. @default false */
  pictures?: boolean;
}

/** How alike places of an image are to the cells of another; places and edges are in pixels of the images. */
export interface PackedLikeness {
  /** The rows and columns of places. */
  ys: readonly number[];
  xs: readonly number[];
  /** Where the cells of the other image end. */
  rowEdges: readonly number[];
  columnEdges: readonly number[];
  /** Bytes `[places, rows, columns]` as base64. */
  likes: string;
  /** Where each place is found. */
  matches: readonly (readonly [y: number, x: number])[];
}

/** An image to click at, and others that answer. */
export interface LikenessData {
  /** The image to click at, then the others; `scale` is how large a pixel is shown. */
  photos: readonly { name: string; height: number; width: number; scale: number; address: string }[];
  /** Where the cross is at first. */
  start: readonly [y: number, x: number];
  layers: readonly { layer: string; images: readonly PackedLikeness[] }[];
}

/** One image of a trial, as the page knows it. */
export interface TrialImage {
  /** Tells nothing of what it shows. */
  code: string;
  width: number;
  height: number;
  /** Its picture as an address of data; only the kernel has it where there is none. */
  picture?: string;
  /** The class that it is: of images for training only. */
  truth?: string;
}

/** A branch of the tree of classes. */
export interface TrialBranch {
  name: string;
  branches: TrialBranch[];
  /** The classes that hang on it. */
  classes: string[];
}

/** Errors that are to be sorted by kind. */
export interface TaxonomyData {
  /** What tells the comparison from others. */
  key: string;
  /** What the fields offer. */
  kinds: readonly string[];
  images: readonly {
    id: string;
    /** Who is wrong. */
    group: string;
    words: readonly string[];
    /** Empty for none. */
    category: string;
    /** An address of data. */
    picture: string;
    width: number;
    height: number;
  }[];
}

/** What a cell for labelling needs. */
export interface TrialData {
  /** The trial. */
  id: string;
  classes: readonly string[];
  /** Its root has no name. */
  tree: TrialBranch;
  /** How many classes may be named for an image. */
  most: number;
  /** Those for training first. */
  images: readonly TrialImage[];
  /** Pictures of each class, as addresses of data. */
  examples: Readonly<Record<string, readonly string[]>>;
  /** Who answers; the page asks where it is not known. */
  person?: string;
  /** The codes of the images that each person has answered for already. */
  answered: Readonly<Record<string, readonly string[]>>;
  /** Where the kernel listens, and the file with its answers; neither is there in a page by itself. */
  url?: string;
  file?: string;
}

/** What the page says of an image. */
export interface TrialAnswer {
  trial: string;
  person: string;
  /** The image's code. */
  image: string;
  phase: "training" | "test";
  /** When it was shown, ISO 8601. */
  shown: string;
  seconds: number;
  labels: string[];
  truth?: string;
}

/** What the kernel says. */
export interface TrialState {
  /** The codes of the images that the person has answered for. */
  answered: string[];
  /** The code of the image that is next; null where all are answered. */
  next: string | null;
}
