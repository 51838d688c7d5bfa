/**
 * What a map is made of: where its points lie, and what they are coloured by.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../../array.ts";
import type { SpacePoints } from "../../page/view.ts";
import type { Thumbnails } from "../sprites.ts";

/** What a map shows. */
export interface MapData {
  /** Where the images lie, on a flat map `[n, 2]` or in space `[n, 3]`. */
  points: NdArrayLike;
  /** The name of each image. @default its index */
  ids?: readonly string[];
  /** The label of each image, the first thing to colour by. */
  labels?: readonly (string | undefined)[];
  /** What else the images can be coloured by: strings are classes, numbers a scale. */
  columns?: Readonly<Record<string, readonly string[] | ArrayLike<number>>>;
  /** The true neighbours of each image, the nearest first: `[n, k]` places. At most 10 of each are kept. */
  neighbors?: { readonly k: number; readonly indices: ArrayLike<number> };
  thumbnails?: Thumbnails;
  /** Whether the thumbnails stand on the points, where they fit. @default of up to 300 points */
  pictures?: boolean;
  /** How many of the first images are pale; the others are laid upon them, larger and ringed. @default 0 */
  background?: number;
  /** The bytes that all thumbnails may take. @default 6 MB */
  budget?: number;
}

/** Where points lie on a flat map. */
export interface FlatPoints {
  kind: "flat";
  count: number;
  x: Float32Array;
  y: Float32Array;
  /** The middle and the side of the square that holds all points. */
  box: { x: number; y: number; side: number };
}

export type MapPoints = FlatPoints | SpacePoints;

/** Classes, each with a colour of its own. */
export interface ClassColumn {
  kind: "classes";
  name: string;
  names: string[];
  /** How many points each has. */
  counts: number[];
  palette: string[];
  /** The class of each point. */
  color: Uint8Array;
  /** Of a column with more classes than colours: every point's own value. */
  values: readonly string[];
}

/** Numbers from low to high. */
export interface NumberColumn {
  kind: "numbers";
  name: string;
  low: number;
  high: number;
  palette: string[];
  /** The place of each point in the palette. */
  color: Uint8Array;
  values: Float32Array;
}

export type MapColumn = ClassColumn | NumberColumn;

/** Ten colours that are distinct for the colour-blind, too: Petroff 2021, "Accessible color sequences", §4. */
const TEN = [
  "#3f90da",
  "#ffa90e",
  "#bd1f01",
  "#832db6",
  "#92dadd",
  "#a96b59",
  "#e76300",
  "#b9ac70",
  "#717581",
  "#94a4a2",
];
/** More classes are distinguished by their shape; all further ones share one class. */
const MOST = 2 * TEN.length;
const REST = "#d0d0d0";
/** The label of images without one: the last of the classes, without a colour of its own. */
export const NO_LABEL = "no label";
/** Right and wrong, and others of their kind, in colours that speak. */
const SPOKEN = new Map([["right", "#3f90da"], ["wrong", "#bd1f01"]]);
/** Of growing lightness, both ends to be seen on white. */
const NUMBERS = ["#2c105c", "#711f81", "#b63679", "#ee605e", "#fdae78"];
/** How many colours numbers are painted in; one more is for NaN. */
export const SHADES = 64;

/** Later classes with the colours of earlier ones are squares. */
export function shapeOf(index: number): "circle" | "square" {
  return index >= TEN.length && index < MOST ? "square" : "circle";
}

const hex = (value: number) => Math.round(value).toString(16).padStart(2, "0");

function ramp(anchors: readonly string[], steps: number): string[] {
  const colors = anchors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
  return Array.from({ length: steps }, (_, i) => {
    const at = i / (steps - 1) * (anchors.length - 1);
    const low = Math.min(anchors.length - 2, Math.floor(at));
    return "#" +
      [0, 1, 2].map((c) => hex(colors[low][c] + (at - low) * (colors[low + 1][c] - colors[low][c]))).join("");
  });
}

/** In an order that people expect: by number where there is one, else by letter. */
const byName = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });

function classColumn(name: string, values: readonly string[]): ClassColumn {
  const sizes = new Map<string, number>();
  for (const value of values) sizes.set(value, (sizes.get(value) ?? 0) + 1);
  const all = [...sizes.keys()].filter((value) => value !== NO_LABEL);
  const many = all.length > MOST;
  const kept = many ? all.sort((a, b) => sizes.get(b)! - sizes.get(a)! || byName(a, b)).slice(0, MOST - 1) : all;
  kept.sort(byName);
  const places = new Map(kept.map((value, i) => [value, i]));
  const names = many ? [...kept, `${all.length - kept.length} others`] : [...kept];
  if (sizes.has(NO_LABEL)) places.set(NO_LABEL, names.push(NO_LABEL) - 1);
  const color = Uint8Array.from(values, (value) => places.get(value) ?? kept.length);
  const counts = names.map(() => 0);
  for (const c of color) counts[c]++;
  const palette = names.map((value, i) => i >= kept.length ? REST : SPOKEN.get(value) ?? TEN[i % TEN.length]);
  return { kind: "classes", name, names, counts, palette, color, values };
}

function numberColumn(name: string, numbers: ArrayLike<number>): NumberColumn {
  const values = Float32Array.from(numbers);
  const [low, high] = extent(values);
  const palette = [...ramp(NUMBERS, SHADES), REST];
  const color = Uint8Array.from(values, (value) => {
    if (!Number.isFinite(value)) return SHADES;
    return high > low ? Math.min(SHADES - 1, Math.floor((value - low) / (high - low) * SHADES)) : 0;
  });
  return {
    kind: "numbers",
    name,
    low,
    high,
    palette: palette.slice(0, color.includes(SHADES) ? SHADES + 1 : SHADES),
    color,
    values,
  };
}

/**
 * A column: strings are classes, numbers a scale.
 *
 * @throws {RangeError} if it has not one value a point
 */
export function columnOf(name: string, values: readonly string[] | ArrayLike<number>, count: number): MapColumn {
  if (values.length !== count) {
    throw new RangeError(
      `The column ${JSON.stringify(name)} of a map wants one value for each of its ${count} points: received ` +
        `${values.length}.`,
    );
  }
  return typeof values[0] === "string"
    ? classColumn(name, values as readonly string[])
    : numberColumn(name, values as ArrayLike<number>);
}

/**
 * Points and the room that they take.
 *
 * @param points `[n, 2]` or `[n, 3]`
 * @throws {RangeError} if they are of another shape, there is none, or a number is not finite
 */
export function mapPoints({ data, shape }: NdArrayLike): MapPoints {
  const [count, columns] = shape;
  if (shape.length !== 2 || count < 1 || (columns !== 2 && columns !== 3)) {
    throw new RangeError(`A map is drawn of points [n, 2] or [n, 3], one at least: received [${shape.join(", ")}].`);
  }
  const invalid = data.findIndex((value) => !Number.isFinite(value));
  if (invalid >= 0) {
    const point = Math.floor(invalid / columns);
    const place = [...data.subarray(point * columns, (point + 1) * columns)].join(", ");
    throw new RangeError(`The points of a map must be finite: point ${point} is (${place}).`);
  }
  const axes = Array.from(
    { length: columns },
    (_, axis) => Float32Array.from({ length: count }, (_, i) => data[i * columns + axis]),
  );
  const ends = axes.map(extent);
  const side = Math.max(...ends.map(([low, high]) => high - low)) || 1;
  const [x, y, z] = axes;
  const [cx, cy, cz] = ends.map(([low, high]) => (low + high) / 2);
  if (columns === 2) return { kind: "flat", count, x, y, box: { x: cx, y: cy, side } };
  let radius = 0;
  for (let i = 0; i < count; i++) radius = Math.max(radius, Math.hypot(x[i] - cx, y[i] - cy, z[i] - cz));
  return { kind: "space", count, x, y, z, box: { x: cx, y: cy, z: cz, side, radius: radius || 1 } };
}

/** The columns of what a model takes the images for, and whether that is so where it is known of all. */
export function predictionColumns(
  predictions: readonly string[] | undefined,
  labels: readonly (string | undefined)[] | undefined,
): Record<string, readonly string[]> {
  if (!predictions) return {};
  return {
    prediction: predictions,
    ...(labels?.every((label) => label !== undefined) && {
      "right or wrong": predictions.map((prediction, i) => prediction === labels[i] ? "right" : "wrong"),
    }),
  };
}
