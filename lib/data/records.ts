/**
 * What computations hand to results, in plain numbers: computed by `probe`, drawn by `results`.
 *
 * @module
 */

import type { NdArray } from "../array.ts";

/** The diagnostics of one filter. */
export interface FilterDiagnostics {
  /**
   * Smoothness, low is smooth: the mean absolute step between neighbouring cells, horizontal and vertical together,
   * over all channels, after the kernel was scaled to 0…1 by its own extremes. A constant kernel has 0.
   */
  totalVariation: number;
  /**
   * How evenly the power is spread over all frequencies, 0…1: the entropy of the power spectrum over its largest
   * possible value. Stripes and blobs gather their power in few places (.65 to .82 for kernels of 7×7 and 11×11),
   * white noise fills them all (.95 with one channel, .98 with three).
   */
  noise: number;
  /** Share of the power above half of the Nyquist frequency (a quarter of a cycle a pixel), 0…1. */
  highFrequency: number;
  /** The dominant spatial frequency in cycles a pixel, 0…0.71; 0 where the kernel is flat. */
  frequency: number;
  /**
   * Direction of the dominant wave in degrees, 0 ≤ orientation < 180: 0 is vertical stripes, 90 horizontal ones, 45 a
   * wave that runs down to the right. `null` where the kernel is flat.
   */
  orientation: number | null;
  /**
   * For three channels: the mean over the cells of the standard deviation of their colours, over the standard deviation
   * of the whole kernel: 0 is grey. `null` for other numbers of channels.
   */
  colorfulness: number | null;
}

/** One size of the square: arrays `[rows, columns]`, one value for each place. */
export interface OcclusionMap {
  /** The square's side in pixels. */
  readonly size: number;
  /** Pixels from place to place. */
  readonly stride: number;
  /** The target's probability, 0…1; only of a class or label. */
  readonly probability?: NdArray;
  /** The target's score: of a class or label, the number before the softmax or sigmoid. */
  readonly score: NdArray;
  /** The sum over the feature map that is strongest without the square. */
  readonly activity: NdArray;
  /** The index of the most probable class or label, or of the largest number; absent where the model puts out maps. */
  readonly predicted?: NdArray;
  /** The most probable classes or labels at each place, row by row; empty where the outputs are no probabilities. */
  readonly top: readonly (readonly { readonly index: number; readonly probability: number }[])[];
  /**
   * `[y0, x0, y1, x1]` of the square at each place, row by row, in pixels; the last ones may hang over the edge. Of a window
   * over a signal `[t0, t1]`, of a cube in a volume `[z0, y0, x0, z1, y1, x1]`.
   */
  readonly boxes: readonly (readonly number[])[];
  /** What replaces the pixels in the square, as an image `[h, w, c]`. */
  readonly baseline: NdArray;
}

/** How a target's score changes from one image to another. */
export interface Curve {
  /** Whose map set the order. */
  readonly method: string;
  /** The baseline's name, `"custom"` for an image of one's own. */
  readonly baseline: string;
  /** `"insertion"`: from the baseline to the image; `"deletion"`: from the image to the baseline. */
  readonly kind: "insertion" | "deletion";
  /** Share of the pixels that have changed, 0…1. */
  readonly share: readonly number[];
  /**
   * The class's or label's probability; the score of any other target as a share of that for the whole image, or, where that
   * is not above 0, the score itself.
   */
  readonly score: readonly number[];
  /** The area under the curve by the trapezoidal rule: for probabilities 0…1. */
  readonly area: number;
  /** Whether `score` is the score itself, of which no share can be taken, since for the whole image it is not above 0. */
  readonly plain?: boolean;
}

/** How alike two maps are. */
export interface Likeness {
  /** Rank correlation of the maps' magnitudes, −1 … 1. */
  readonly spearman: number;
  /** Rank correlation of the values with their signs. */
  readonly spearmanSigned: number;
  /** Structural similarity of the maps' magnitudes, 0…1 after clipping at the 99th percentile, as figures paint them. */
  readonly ssim: number;
}

/** What one cell sees along one side of the image, in pixels of the network's input. */
export interface AxisField {
  /** How many pixels a cell sees. They may reach beyond the image. `Infinity` for all of an image of any size. */
  readonly size: number;
  /**
   * How far that moves from one cell to the next: a fraction behind layers that enlarge maps, 0 where all cells see the
   * same.
   */
  readonly stride: number;
  /** First pixel that the first cell sees; negative where padding is seen. */
  readonly offset: number;
  /** Whether it is just that; false where it is only a bound: each cell sees no more. */
  readonly exact: boolean;
  /** Why it is only a bound; absent where it is exact. */
  readonly reason?: string;
}

/** What one cell sees, in pixels of the network's input: of a signal, an image or a volume. */
export interface ReceptiveField extends AxisField {
  /** The field along each side, as rows and columns; absent where all are alike. Then the square holds them all. */
  readonly axes?: readonly AxisField[];
}

/** What the cells of a layer see of an image. */
export interface SeenByCells {
  /** How many cells the layer has along each side. */
  readonly cells: readonly number[];
  /** Of each cell the pixels it sees along each side, which may lie beyond the border; null where it sees nothing. */
  readonly at: (cell: readonly number[]) => readonly (readonly [start: number, end: number])[] | null;
  /** Why that is only a bound; null where it is exact. */
  readonly reason: string | null;
  /** The axes of the network's input that are sides of the image. */
  readonly sides: readonly number[];
  /** Of each side the axis of the layer's output along which that moves; null where all cells see the same. */
  readonly axes: readonly (number | null)[];
}

/** What a unit looks for, in one word. */
export type UnitKind = "edge" | "colour" | "texture" | "part" | "object" | "unnamed";

/** All kinds, from the simplest on. */
export const UNIT_KINDS: readonly UnitKind[] = ["edge", "colour", "texture", "part", "object", "unnamed"];

/** A unit's name with the numbers that it was given by. */
export interface NamedUnit {
  /** What it looks for, as far as a rule fits. */
  readonly kind: UnitKind;
  /** As `"edge −45°"`, `"colour green"`, `"part of frog"`; `"unnamed"` where no rule fits. */
  readonly name: string;
  /** What other rules fit, too, simpler ones; empty for none. */
  readonly also: string;
  /** How much the lines in all patches run one way, 0…1. */
  readonly direction: number;
  /** Which way, in degrees: 0 horizontal, 90 vertical, +45 rising to the right, −45 falling. */
  readonly angle: number;
  /** The same of the unit's own filter, where it reads the image; else null. */
  readonly filterDirection: number | null;
  /** The direction of the filter's own lines in degrees; null where it does not read the image. */
  readonly filterAngle: number | null;
  /** How far the patches' mean colours are from grey, 0…1. */
  readonly chroma: number;
  /** How much these colours are of one hue, 0…1. */
  readonly hue: number;
  /** How many waves fit into a patch, on average. */
  readonly cycles: number;
  /** How evenly a patch's edges are spread over its quarters, 1/4…1. */
  readonly evenness: number;
  /** How much nearer the patches' spectra are to each other than to those of the layer's other units: 1 for equal, 0 for not. */
  readonly likeness: number;
  /** The most frequent label among the patches; null without labels. */
  readonly label: string | null;
  /** Its share of the patches; null without labels. */
  readonly purity: number | null;
  /**
   * The probability that it is as frequent among as many images drawn at random, times the number of labels; null without
   * labels.
   */
  readonly chance: number | null;
}

/** One patch: a cell of a unit, and what it sees of an image. */
export interface PatchRow {
  /** The layer's name. */
  layer: string;
  /** A channel's number, or a direction's name. */
  unit: number | string;
  /** Its place in the unit's list, from 1 on. */
  rank: number;
  /** The image's id in the data set. */
  imageId: string;
  /** What the image shows, where that is known. */
  label?: string;
  /** The unit's activation at the cell; of a direction its dot product with the activations of all channels there. */
  activation: number;
  /** With `rank: "relevance"`: the activation times the gradient of the class score to it. */
  relevance?: number;
  /** `[y, x]`; `[t]` along a signal, `[z, y, x]` in a volume; `[]` of a vector's number. */
  cell: readonly number[];
  /**
   * What the cell sees, `[y0, x0, y1, x1]`, `y1` and `x1` not counted in: in pixels of the image as the model sees it,
   * clipped at its border. `[t0, t1]` of a signal, `[z0, y0, x0, z1, y1, x1]` of a volume; of a vector's number the whole
   * image.
   */
  box: readonly number[];
}
