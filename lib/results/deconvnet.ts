/**
 * What came back to the pixels from one unit, and its figure: the picture beside the photo, and the path if it was kept.
 *
 * @module
 */

import type { NdArray, NdArrayLike } from "../array.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import {
  Attribution,
  type AttributionFigureOptions,
  type AttributionParts,
  percentileOfMagnitudes,
} from "./attribution.ts";
import { enlargement, painted } from "./panels.ts";

/** One step of the way back to the pixels. */
export interface DeconvStep {
  /** The layer's name; for a layer inside a nested model `"model/layer"`. */
  readonly layer: string;
  /**
   * What the layer did: `"unpool"` (max-pooling), `"rectify"` (ReLU), `"filter"` (convolution, dense), `"spread"`
   * (average pooling) or `"scale"` (batch normalisation).
   */
  readonly kind: "unpool" | "rectify" | "filter" | "spread" | "scale";
  /** The signal afterwards: `[h, w, c]`, or `[n]` between dense layers. */
  readonly values: NdArray;
}

/** How many steps of a longer path are drawn: those where the signal changes its size first. */
const MOST_STEPS = 24;
const STEPS_IN_A_ROW = 5;
/** Steps are drawn this wide, about. */
const STEP_WIDTH = 140;
/** What a unit sees is shown by itself, enlarged, where it takes less than this share of the image's side. */
const SMALL = 0.6;
const ENLARGED = 224;

const DONE: Record<DeconvStep["kind"], string> = {
  unpool: "unpooled",
  rectify: "rectified",
  filter: "filtered",
  spread: "spread",
  scale: "scaled",
};

/** What came back to the pixels from one unit; in a cell, the picture beside the photo, and the path if it was kept. */
export class DeconvnetResult extends Attribution {
  /** The signal after each step of the way back; empty unless `path` was asked for. */
  readonly steps: readonly DeconvStep[];

  /** @internal */
  constructor(parts: AttributionParts, steps: readonly DeconvStep[]) {
    super(parts);
    this.steps = steps;
  }

  /** The photo and the picture beside it, enlarged where the unit sees a small part, and the path if it was kept. */
  override figure(options: AttributionFigureOptions = {}): Figure {
    const { title, caption, blocks } = super.figure(options);
    const close = this.#closeUp(options);
    const path = this.#path();
    return new Figure({
      title,
      caption,
      blocks: [...blocks.slice(0, 1), ...close ? [close] : [], ...blocks.slice(1), ...path],
      lines: [
        this.summary(),
        ...this.steps.map(({ layer, kind, values }) => `${layer} ${DONE[kind]}: ${values.shape.join("×")}`),
      ],
    });
  }

  /** Where something came back, `[top, left, bottom, right]`; null where that is most of the image. */
  #box(): [number, number, number, number] | null {
    const [height, width] = this.map.shape;
    let [top, left, bottom, right] = [height, width, 0, 0];
    this.map.data.forEach((value, i) => {
      if (value === 0) return;
      const [y, x] = [Math.floor(i / width), i % width];
      top = Math.min(top, y);
      left = Math.min(left, x);
      bottom = Math.max(bottom, y + 1);
      right = Math.max(right, x + 1);
    });
    const some = bottom > top && bottom - top <= SMALL * height && right - left <= SMALL * width;
    return some ? [top, left, bottom, right] : null;
  }

  /** The part of the image that the unit sees, and what came back there, enlarged. */
  #closeUp(options: AttributionFigureOptions): Block | null {
    const box = this.#box();
    if (!box) return null;
    const [top, left, bottom, right] = box;
    const [rows, columns] = [bottom - top, right - left];
    const width = this.map.shape[1];
    const { largest } = this.scale(options);
    const cut = ({ data, shape }: NdArrayLike, paint: (value: number) => number): NdArrayLike => {
      const [, , channels = 1] = shape;
      const part = new Float32Array(rows * columns * 3);
      for (let i = 0; i < part.length; i++) {
        const cell = Math.floor(i / 3);
        const from = (top + Math.floor(cell / columns)) * width + left + cell % columns;
        part[i] = paint(data[from * channels + (channels === 3 ? i % 3 : 0)]);
      }
      return { data: part, shape: [rows, columns, 3] };
    };
    const factor = enlargement([rows, columns], ENLARGED);
    const picture = (of: NdArrayLike, note: string, alt: string): Picture => ({
      kind: "picture",
      note,
      pixels: pixelsOf(of, factor),
      alt,
    });
    const where = `rows ${top}–${bottom - 1}, columns ${left}–${right - 1}`;
    return {
      kind: "row",
      heading: `What the unit sees: ${where}, enlarged ${factor} times`,
      blocks: [
        picture(cut(this.image, (value) => value), "the photo there", `${this.name}, ${where}`),
        picture(
          cut(this.values, (value) => largest > 0 ? 255 * (0.5 + value / (2 * largest)) : 127.5),
          "what came back",
          `DeconvNet of ${this.target.text} on ${this.name}, ${where}`,
        ),
      ],
    };
  }

  #path(): Block[] {
    const maps = this.steps.filter(({ values }) => values.shape.length === 3);
    if (maps.length === 0) return [];
    const shown = chosenSteps(maps);
    const box = this.#box();
    const [height, width] = this.map.shape;
    const part = box && [box[0] / height, box[1] / width, box[2] / height, box[3] / width];
    const pictures = shown.map((step): Picture => {
      const pixels = brightness(part ? cropped(step.values, part) : step.values);
      return {
        kind: "picture",
        heading: `${maps.indexOf(step) + 1}. ${DONE[step.kind]}`,
        note: `${step.layer} · ${step.values.shape.join("×")}`,
        pixels,
        alt: `The signal after ${step.layer} ${DONE[step.kind]} it`,
      };
    });
    const left = maps.length - shown.length;
    const vectors = this.steps.length - maps.length;
    return [{
      kind: "row",
      columns: STEPS_IN_A_ROW,
      blocks: pictures,
      heading: "The way back",
      note: [
        "The greatest magnitude over the channels, each picture on its own scale; black is 0.",
        box ? "Only the part around the unit is drawn." : "",
        left ? `${left} of ${maps.length} steps are not drawn; result.steps holds all.` : "",
        vectors ? `Steps between dense layers (${vectors}) are not drawn.` : "",
      ].filter(Boolean).join(" "),
    }];
  }
}

/** The steps to draw: where there are too many, those after which the signal has another size, and of the others some. */
function chosenSteps(steps: readonly DeconvStep[]): DeconvStep[] {
  const first = (i: number) =>
    i === 0 || i === steps.length - 1 || steps[i].values.shape[0] !== steps[i - 1].values.shape[0];
  const others = steps.filter((_, i) => !first(i));
  const places = MOST_STEPS - (steps.length - others.length);
  const kept = new Set(others.filter((_, i) =>
    Math.floor((i * places) / others.length) !==
      Math.floor(((i - 1) * places) / others.length)
  ));
  return steps.filter((step, i) => others.length <= places || first(i) || kept.has(step)).slice(-MOST_STEPS);
}

/** The part of `[h, w, c]` between shares of its sides, with one more cell around it. */
function cropped({ data, shape: [height, width, channels] }: NdArrayLike, part: readonly number[]): NdArrayLike {
  const top = Math.max(0, Math.floor(part[0] * height) - 1);
  const left = Math.max(0, Math.floor(part[1] * width) - 1);
  const rows = Math.min(height, Math.ceil(part[2] * height) + 1) - top;
  const columns = Math.min(width, Math.ceil(part[3] * width) + 1) - left;
  const out = new Float32Array(rows * columns * channels);
  for (let y = 0; y < rows; y++) {
    const from = ((top + y) * width + left) * channels;
    out.set(data.subarray(from, from + columns * channels), y * columns * channels);
  }
  return { data: out, shape: [rows, columns, channels] };
}

/** The largest magnitude over the channels, as a picture about {@linkcode STEP_WIDTH} wide. */
function brightness({ data, shape: [height, width, channels] }: NdArrayLike): Pixels {
  // Larger maps are made smaller by the maximum of each block, so that single points stay.
  const block = Math.max(1, Math.round(Math.max(height, width) / STEP_WIDTH));
  const [rows, columns] = [Math.ceil(height / block), Math.ceil(width / block)];
  const strength = new Float32Array(rows * columns);
  for (let i = 0; i < data.length; i++) {
    const cell = Math.floor(i / channels);
    const at = Math.floor(Math.floor(cell / width) / block) * columns + Math.floor((cell % width) / block);
    strength[at] = Math.max(strength[at], Math.abs(data[i]));
  }
  return painted({ data: strength, shape: [rows, columns] }, {
    low: 0,
    high: percentileOfMagnitudes(strength, 99),
    palette: "inferno",
    factor: enlargement([rows, columns], STEP_WIDTH),
  });
}
