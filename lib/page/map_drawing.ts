/**
 * What a map asks of those who draw its points, and what they report.
 *
 * @module
 */
/// <reference lib="dom" />

import type { MapData, PageColumn } from "./data.ts";
import type { Pictures } from "./sheets.ts";

/** A column as the page uses it. */
export type Column = PageColumn<Uint8Array, Float32Array>;

/** A map's data, unpacked. */
export interface Points extends Omit<MapData, "x" | "y" | "z" | "columns"> {
  count: number;
  x: Float32Array;
  y: Float32Array;
  z?: Float32Array;
  columns: Column[];
}

/** What the reader does on a map. */
export interface MapEvents {
  hover(point: number, event: MouseEvent): void;
  leave(): void;
  click(point: number): void;
  select(points: number[]): void;
  deselect(): void;
}

/** Where points are drawn: `host` is empty, `bar` is above it, `still` is the picture that it takes the place of. */
export interface Stage {
  points: Points;
  host: HTMLElement;
  bar: HTMLElement;
  still: HTMLImageElement;
  pictures?: Pictures;
  on: MapEvents;
}

/** Points, drawn. */
export interface Drawing {
  /** How the map is moved, and what else can be done, in words. */
  readonly help: string;
  readonly lassoHelp: string;
  draw(column: Column | undefined): Promise<void> | void;
  color(column: Column | undefined): void;
  /** Lights a point up, and lines to its neighbours: near ones and far ones. */
  mark(point: number, close: number[], far: number[]): void;
  unmark(): void;
  /** Leaves only these points in colour, or all of them for null. */
  only(chosen: number[] | null): void;
  endLasso(): void;
  /** Shows the stage's pictures, which are loaded, on the points; or takes them away. */
  showPictures(shown: boolean): void;
}
