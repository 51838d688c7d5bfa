/**
 * What a patch of an image looks like, in a few numbers: the direction of its edges, its colour, how fine and how even
 * its structure is.
 *
 * Edges are measured by the structure tensor: the products of the differences of neighbouring pixels along x and y, added
 * up over the patch (Bigün and Granlund 1987). Angles are those of the line, not of the gradient: from −90° to 90°,
 * 0° horizontal, +45° rising to the right ("/"), −45° falling ("\").
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { LUMA } from "../data/pixels.ts";

/** A patch in numbers. Shares are from 0 to 1. */
export interface PatchLook {
  /** Height and width in pixels. */
  readonly side: readonly [height: number, width: number];
  /** How much of the patch's gradient runs one way: 0 for none more than another, 1 for straight parallel lines. */
  readonly coherence: number;
  /** The direction of its lines in degrees, above −90 and up to 90; 0 where nothing runs. */
  readonly angle: number;
  /** Its mean colour, red, green and blue, 0…1. */
  readonly color: readonly [number, number, number];
  /** The standard deviation of its brightness, 0…1. */
  readonly contrast: number;
  /** How many waves of its mean frequency fit into its shorter side; 0 for a flat patch. */
  readonly cycles: number;
  /** How evenly its edges are spread over its four quarters: from 1/4 (all in one) to 1. */
  readonly evenness: number;
  /** At three scales: the share of the gradient's power, and where it runs, as `[share, cos 2θ, sin 2θ]`. */
  readonly spectrum: readonly number[];
}

/** Brightness, or another plane of numbers, `[h, w]`. */
interface Plane {
  readonly data: Float64Array;
  readonly height: number;
  readonly width: number;
}

/** The structure tensor: the power of the gradient, and its double angle weighted by it. */
interface Tensor2 {
  power: number;
  cos: number;
  sin: number;
}

/** The differences of 2 × 2 pixels are added up over the cells from `[y0, x0]` to below `[y1, x1]`. */
function tensorOf({ data, height, width }: Plane, box = [0, 0, height - 1, width - 1]): Tensor2 {
  const sum = { power: 0, cos: 0, sin: 0 };
  for (let y = box[0]; y < box[2]; y++) {
    for (let x = box[1]; x < box[3]; x++) {
      const at = y * width + x;
      const [a, b, c, d] = [data[at], data[at + 1], data[at + width], data[at + width + 1]];
      const [across, down] = [(b + d - a - c) / 2, (c + d - a - b) / 2];
      sum.power += across * across + down * down;
      sum.cos += across * across - down * down;
      sum.sin += 2 * across * down;
    }
  }
  return sum;
}

/** The direction of the lines whose gradient has this double angle (y downwards). */
const lineAngle = (cos: number, sin: number): number => {
  const angle = 90 - Math.atan2(sin, cos) * 90 / Math.PI;
  return angle > 90 ? angle - 180 : angle;
};

/** Half as large, each pixel the mean of four; null where that leaves too little. */
function halved({ data, height, width }: Plane): Plane | null {
  const [rows, columns] = [Math.floor(height / 2), Math.floor(width / 2)];
  if (rows < 2 || columns < 2) return null;
  const half = new Float64Array(rows * columns);
  for (let i = 0; i < half.length; i++) {
    const at = 2 * (Math.floor(i / columns) * width + i % columns);
    half[i] = (data[at] + data[at + 1] + data[at + width] + data[at + width + 1]) / 4;
  }
  return { data: half, height: rows, width: columns };
}

function spectrumOf(plane: Plane): number[] {
  const tensors: Tensor2[] = [];
  for (let scale: Plane | null = plane; scale && tensors.length < 3; scale = halved(scale)) {
    const tensor = tensorOf(scale);
    const cells = (scale.height - 1) * (scale.width - 1);
    tensors.push({ ...tensor, power: tensor.power / cells, cos: tensor.cos / cells, sin: tensor.sin / cells });
  }
  const all = tensors.reduce((sum, { power }) => sum + power, 0);
  return Array.from({ length: 3 }, (_, i) => {
    const { power, cos, sin } = tensors[i] ?? { power: 0, cos: 0, sin: 0 };
    return all > 0 ? [power, cos, sin].map((value) => value / all) : [0, 0, 0];
  }).flat();
}

/** How evenly numbers are spread: (Σa)² / (n·Σa²), as of Treves and Rolls (1991). */
function evennessOf(values: readonly number[]): number {
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  return squares > 0 ? values.reduce((sum, value) => sum + value, 0) ** 2 / (values.length * squares) : 1;
}

/** The power of the gradient in each quarter of the patch. */
function quarters(plane: Plane): number[] {
  const [rows, columns] = [plane.height - 1, plane.width - 1];
  const [y, x] = [rows / 2, columns / 2];
  const boxes = [[0, 0, Math.ceil(y), Math.ceil(x)], [0, Math.floor(x), Math.ceil(y), columns], [
    Math.floor(y),
    0,
    rows,
    Math.ceil(x),
  ], [Math.floor(y), Math.floor(x), rows, columns]];
  return boxes.map((box) => tensorOf(plane, box).power);
}

/**
 * Measures a patch.
 *
 * @param patch `[h, w, c]` of 0…255; of other than three channels their mean is looked at, and it has no colour
 */
export function lookOf({ data, shape: [height, width, channels] }: NdArrayLike): PatchLook {
  const cells = height * width;
  const weights = channels === 3 ? LUMA : Array<number>(channels).fill(1 / channels);
  const bright = new Float64Array(cells);
  const sums = Array<number>(channels).fill(0);
  for (let i = 0; i < data.length; i++) {
    const value = data[i] / 255;
    bright[Math.floor(i / channels)] += weights[i % channels] * value;
    sums[i % channels] += value;
  }
  const plane = { data: bright, height, width };
  const mean = bright.reduce((sum, value) => sum + value, 0) / cells;
  const variance = bright.reduce((sum, value) => sum + (value - mean) ** 2, 0) / cells;
  const { power, cos, sin } = tensorOf(plane);
  // Of a wave of frequency f the gradient has (2πf)² times its power.
  const frequency = variance > 1e-9 ? Math.sqrt(power / ((height - 1) * (width - 1)) / variance) / (2 * Math.PI) : 0;
  return {
    side: [height, width],
    coherence: power > 0 ? Math.hypot(cos, sin) / power : 0,
    angle: power > 0 ? lineAngle(cos, sin) : 0,
    color: channels === 3 ? sums.map((sum) => sum / cells) as [number, number, number] : [mean, mean, mean],
    contrast: Math.sqrt(variance),
    cycles: Number.isFinite(frequency) ? frequency * Math.min(height, width) : 0,
    evenness: evennessOf(quarters(plane)),
    spectrum: spectrumOf(plane),
  };
}

/** A direction that patches or a filter share, and how much of them shares it. */
export interface Oriented {
  /** From 0 (no direction more than another) to 1 (all lines are parallel). */
  readonly coherence: number;
  /** In degrees, as {@linkcode PatchLook.angle}. */
  readonly angle: number;
}

/** The direction of several patches: the mean of their double angles, each weighted by its coherence. */
export function commonDirection(looks: readonly Pick<PatchLook, "coherence" | "angle">[]): Oriented {
  let [cos, sin] = [0, 0];
  for (const { coherence, angle } of looks) {
    const double = (90 - angle) * Math.PI / 90;
    cos += coherence * Math.cos(double) / looks.length;
    sin += coherence * Math.sin(double) / looks.length;
  }
  return { coherence: Math.hypot(cos, sin), angle: cos || sin ? lineAngle(cos, sin) : 0 };
}

/** The direction of a filter `[h, w, c]`, over all of its channels. */
export function filterDirection({ data, shape: [height, width, channels] }: NdArrayLike): Oriented {
  const all = { power: 0, cos: 0, sin: 0 };
  for (let channel = 0; channel < channels; channel++) {
    const plane = Float64Array.from({ length: height * width }, (_, i) => data[i * channels + channel]);
    const { power, cos, sin } = tensorOf({ data: plane, height, width });
    all.power += power;
    all.cos += cos;
    all.sin += sin;
  }
  const { power, cos, sin } = all;
  return power > 0
    ? { coherence: Math.hypot(cos, sin) / power, angle: lineAngle(cos, sin) }
    : { coherence: 0, angle: 0 };
}

/** How far two lines are turned against each other, 0…90 degrees. */
export function turn(a: number, b: number): number {
  const apart = Math.abs(a - b) % 180;
  return Math.min(apart, 180 - apart);
}

/** A colour's hue and strength: a vector on the plane of chroma, its angle the hue (red 0°, green 120°, blue 240°). */
export function chromaOf([red, green, blue]: readonly number[]): readonly [number, number] {
  return [red - (green + blue) / 2, Math.sqrt(3) / 2 * (green - blue)];
}

/** The names of hues, and where each ends, in degrees. */
const HUES: readonly (readonly [end: number, name: string])[] = [
  [15, "red"],
  [45, "orange"],
  [70, "yellow"],
  [160, "green"],
  [200, "cyan"],
  [260, "blue"],
  [290, "purple"],
  [345, "magenta"],
  [360, "red"],
];

/** The name of a hue given as a vector on the plane of chroma. */
export function hueName([along, up]: readonly number[]): string {
  const hue = (Math.atan2(up, along) * 180 / Math.PI + 360) % 360;
  return HUES.find(([end]) => hue <= end)![1];
}
