/**
 * Points on a plane, coloured by their labels.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { Axis, Chart, Series } from "./blocks.ts";

/** More points than this would hide one another, and make the page heavy. */
export const MOST_POINTS = 2000;
/** More labels than this cannot be told apart by colour and shape. */
const MOST_LABELS = 16;

export interface ScatterOptions {
  labels?: readonly (string | undefined)[];
  x: Axis;
  y: Axis;
  alt: string;
}

/**
 * A chart of points `[n, ≥ 2]`, of which the first two coordinates are drawn, in the colours of their labels. Of more
 * than {@linkcode MOST_POINTS} every second, third … is drawn: {@linkcode scatterNote} says so.
 */
export function scatter({ data, shape: [count, columns] }: NdArray, { labels, x, y, alt }: ScatterOptions): Chart {
  const every = Math.ceil(count / MOST_POINTS);
  const groups = new Map<string, { x: number[]; y: number[] }>();
  const names = [...new Set(labels ?? [])];
  const named = names.length <= MOST_LABELS;
  // In the order of the alphabet, so that colours do not depend on who comes first.
  const order = named ? names.map((name) => name ?? "no label").toSorted() : [];
  for (const name of order) groups.set(name, { x: [], y: [] });
  for (let i = 0; i < count; i += every) {
    const name = labels && named ? labels[i] ?? "no label" : "points";
    const group = groups.get(name) ?? { x: [], y: [] };
    groups.set(name, group);
    group.x.push(data[i * columns]);
    group.y.push(data[i * columns + 1]);
  }
  const series = [...groups].map(([label, points]): Series => ({ label, ...points, as: "points" }));
  return { kind: "chart", series, x, y, width: 640, height: 560, alt };
}

/** What a caption must say of a {@linkcode scatter}; empty if it shows all. */
export function scatterNote(count: number, labels?: readonly unknown[]): string {
  const every = Math.ceil(count / MOST_POINTS);
  const distinct = new Set(labels ?? []).size;
  return [
    every > 1 ? `One of every ${every} points is drawn.` : "",
    distinct > MOST_LABELS ? `There are ${distinct} labels, too many to tell apart by colour.` : "",
  ].filter(Boolean).join(" ");
}
