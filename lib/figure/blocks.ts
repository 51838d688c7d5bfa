/**
 * What a figure is made of: pictures, bars and tables, side by side or one under another.
 *
 * @module
 */

import type { Pixels, TileGrid } from "./mosaic.ts";

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
  /** Its tiles, if the hover should tell them apart. */
  grid?: TileGrid;
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
}

export type Block = Picture | Bars | Table | Row;
