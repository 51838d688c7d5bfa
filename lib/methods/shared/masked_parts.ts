/**
 * Squares around the parts of images, and how alike the changes of codes are when they are masked.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { pairDifference, pairMean } from "../../embed/pairs.ts";
import { randomStream } from "../../random.ts";
import { type PartRow, RANDOM_PLACES } from "../../results/part_correspondence.ts";
import type { KeypointView } from "./keypoints.ts";

/** Changes that are smaller than this share of a layer's largest activation are roundings: their sign is 0. */
const ROUNDING = 1e-6;

/** A square to mask in an image. */
export interface Square {
  readonly part: string;
  /** Which of the random ones. */
  readonly draw: number;
  readonly top: number;
  readonly left: number;
}

/** The names of the parts that are masked. @throws {RangeError} if one is not known, or fewer than two images have it */
export function partsOf(views: readonly KeypointView[], asked?: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const { keypoints } of views) for (const name of keypoints.keys()) counts.set(name, (counts.get(name) ?? 0) + 1);
  const known = [...counts].filter(([, count]) => count > 1).map(([name]) => name);
  const wrong = asked?.find((name) => !known.includes(name));
  if (wrong === undefined && (asked ?? known).length > 0) return [...new Set(asked ?? known)];
  throw new RangeError(
    `${
      wrong === undefined ? "No part" : `The part ${JSON.stringify(wrong)}`
    } is marked in two images as the model sees ` +
      `them; wanted pairs of images. ${
        known.length ? `Known are ${known.map((one) => JSON.stringify(one)).join(", ")}.` : ""
      }`
        .trim(),
  );
}

/** The squares of an image: around its parts, and at random places within it. */
export function squaresOf(
  view: KeypointView,
  parts: readonly string[],
  size: number,
  draws: number,
  key: number[],
): Square[] {
  const [height, width] = view.view.shape;
  const around = parts.flatMap((part): Square[] => {
    const point = view.keypoints.get(part);
    const [top, left] = (point ?? [0, 0]).map((at) => Math.round(at - (size - 1) / 2));
    return point ? [{ part, draw: 0, top, left }] : [];
  });
  const random = randomStream(...key);
  const anywhere = Array.from({ length: draws }, (_, draw): Square => ({
    part: RANDOM_PLACES,
    draw,
    top: Math.floor(random() * (height - size + 1)),
    left: Math.floor(random() * (width - size + 1)),
  }));
  return [...around, ...anywhere];
}

/** An image whose pixels in a square are those of a baseline; a square that hangs over the edge is cut. */
export function masked(
  { data, shape: [height, width, channels] }: NdArrayLike,
  base: NdArrayLike,
  size: number,
  at: Square,
) {
  const out = data.slice();
  for (let y = Math.max(0, at.top); y < Math.min(height, at.top + size); y++) {
    const start = (y * width + Math.max(0, at.left)) * channels;
    const end = (y * width + Math.min(width, at.left + size)) * channels;
    if (end > start) out.set(base.data.subarray(start, end), start);
  }
  return out;
}

/** The signs of a change; of roundings 0. */
export function signsOf(code: Float32Array, changed: Float32Array): Int8Array {
  let largest = 0;
  for (const value of code) largest = Math.max(largest, Math.abs(value));
  return Int8Array.from(code, (value, i) => {
    const change = value - changed[i];
    return Math.abs(change) <= ROUNDING * largest ? 0 : Math.sign(change);
  });
}

/** The share of places at which signs differ. */
function hamming(a: Int8Array, b: Int8Array): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count / a.length;
}

/** By layer and part: the signs of each image that has it, draw by draw. */
export type Signs = Map<string, Map<number, Int8Array[]>>;

/** The rows of a layer: of each part, and of random places. */
export function rowsOf(layer: string, parts: readonly string[], signs: Signs, seed: number): PartRow[] {
  const memory = new Map<string, number>();
  /** The mean over draws of the distance between two images. */
  const distanceOf = (part: string) => {
    const own = signs.get(part)!;
    return (a: number, b: number) => {
      const key = `${part} ${Math.min(a, b)} ${Math.max(a, b)}`;
      const [one, other] = [own.get(a)!, own.get(b)!];
      const known = memory.get(key) ?? one.reduce((sum, sign, i) => sum + hamming(sign, other[i]), 0) / one.length;
      memory.set(key, known);
      return known;
    };
  };
  const byChance = distanceOf(RANDOM_PLACES);
  return [...parts, RANDOM_PLACES].map((part): PartRow => {
    const images = [...signs.get(part)!.keys()];
    const distance = distanceOf(part);
    const of = (pair: (a: number, b: number) => number) => (i: number, j: number) => pair(images[i], images[j]);
    const { value, deviation, low, high } = pairMean(images.length, of(distance), seed);
    const less = part === RANDOM_PLACES ? null : pairDifference(images.length, of(distance), of(byChance), seed);
    return {
      layer,
      part,
      distance: value,
      low,
      high,
      deviation,
      difference: less?.value ?? null,
      differenceLow: less?.low ?? null,
      differenceHigh: less?.high ?? null,
      images: images.length,
      pairs: images.length * (images.length - 1) / 2,
    };
  });
}
