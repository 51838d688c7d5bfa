/**
 * What in an image a unit sees, projected back to the pixels by a deconvolutional network.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §2.1 and figure 1.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { ImageLike } from "../data/image.ts";
import { checkOptions } from "../errors.ts";
import { Attribution, type AttributionFigureOptions, percentileOfMagnitudes } from "../results/attribution.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { colorize } from "../figure/color.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { startProgress } from "../figure/cell.ts";
import { checkModel, type Model } from "../model/model.ts";
import { described, eachScore, greatestMagnitude, subjectsOf, toPixels } from "../probe/attribution/attribute.ts";
import { deconvolve, type DeconvStep } from "../probe/attribution/deconvnet.ts";
import { type ClassTarget, resolveUnit, type Target, UNIT, type Unit, type UnitTarget } from "../probe/target.ts";

export interface DeconvnetOptions {
  /** The unit's layer. */
  layer?: string;
  /** The channel of the layer's maps, or the place in its vector; several make a result each. */
  channel?: number | readonly number[];
  /**
   * Row and column of the unit in its map.
   * @default the cell that is strongest for the image
   */
  cell?: readonly [y: number, x: number];
  /** A class, by label or index, or `"predicted"`, instead of a layer and a channel: its unit in the last layer. */
  target?: string | number;
  /**
   * Whether the result keeps the signal after each unpooling, rectification and filtering, and its figure shows them.
   * @default false
   */
  path?: boolean;
  /** Stops between layers. */
  signal?: AbortSignal;
  /** Called after each layer of the way back with the number of layers done, over all results. */
  onProgress?: (done: number, total: number) => void;
}

/** Of a longer path so many steps are drawn: those where the signal changes its size first. */
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

  constructor(parts: ConstructorParameters<typeof Attribution>[0], steps: readonly DeconvStep[]) {
    super(parts);
    this.steps = steps;
  }

  override figure(options: AttributionFigureOptions = {}): Figure {
    const { title, caption, blocks, text } = super.figure(options);
    const close = this.#closeUp(options);
    const path = this.#path();
    return new Figure({
      title,
      caption,
      blocks: [...blocks.slice(0, 1), ...close ? [close] : [], ...blocks.slice(1), ...path],
      text: [
        text,
        ...this.steps.map(({ layer, kind, values }) => `  ${layer} ${DONE[kind]}: ${values.shape.join("×")}`),
      ]
        .join("\n"),
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
    const { greatest } = this.scale(options);
    const cut = ({ data, shape }: NdArray, paint: (value: number) => number): NdArray => {
      const [, , channels = 1] = shape;
      const part = new Float32Array(rows * columns * 3);
      for (let i = 0; i < part.length; i++) {
        const cell = Math.floor(i / 3);
        const from = (top + Math.floor(cell / columns)) * width + left + cell % columns;
        part[i] = paint(data[from * channels + (channels === 3 ? i % 3 : 0)]);
      }
      return { data: part, shape: [rows, columns, 3] };
    };
    const factor = Math.max(1, Math.floor(ENLARGED / Math.max(rows, columns)));
    const picture = (of: NdArray, note: string, alt: string): Picture => ({
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
          cut(this.values, (value) => greatest > 0 ? 255 * (0.5 + value / (2 * greatest)) : 127.5),
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
      const pixels = pixelsOf(brightness(part ? cropped(step.values, part) : step.values));
      return {
        kind: "picture",
        heading: `${maps.indexOf(step) + 1}. ${DONE[step.kind]}`,
        note: `${step.layer} · ${step.values.shape.join("×")}`,
        pixels,
        alt: `The signal after ${step.layer} ${DONE[step.kind]} it`,
      };
    });
    const rows: Block[] = [];
    for (let i = 0; i < pictures.length; i += STEPS_IN_A_ROW) {
      rows.push({ kind: "row", blocks: pictures.slice(i, i + STEPS_IN_A_ROW) });
    }
    const left = maps.length - shown.length;
    const vectors = this.steps.length - maps.length;
    rows[0] = {
      ...rows[0],
      heading: "The way back",
      note: [
        "The greatest magnitude over the channels, each picture on its own scale; black is 0.",
        box ? "Only the part around the unit is drawn." : "",
        left ? `${left} of ${maps.length} steps are not drawn; result.steps holds all.` : "",
        vectors ? `Steps between dense layers (${vectors}) are not drawn.` : "",
      ].filter(Boolean).join(" "),
    };
    return rows;
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
function cropped({ data, shape: [height, width, channels] }: NdArray, part: readonly number[]): NdArray {
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

/** The greatest magnitude over the channels, as a picture about {@linkcode STEP_WIDTH} wide. */
function brightness({ data, shape: [height, width, channels] }: NdArray): NdArray {
  // Larger maps are made smaller by the greatest of each block, so that single points stay.
  const block = Math.max(1, Math.round(Math.max(height, width) / STEP_WIDTH));
  const [rows, columns] = [Math.ceil(height / block), Math.ceil(width / block)];
  const strength = new Float32Array(rows * columns);
  for (let i = 0; i < data.length; i++) {
    const cell = Math.floor(i / channels);
    const at = Math.floor(Math.floor(cell / width) / block) * columns + Math.floor((cell % width) / block);
    strength[at] = Math.max(strength[at], Math.abs(data[i]));
  }
  const rgb = colorize(strength, 0, percentileOfMagnitudes(strength, 99), "inferno");
  const factor = Math.max(1, Math.floor(STEP_WIDTH / Math.max(rows, columns)));
  const { data: bytes, width: wide, height: high } = pixelsOf(
    { data: Float32Array.from(rgb), shape: [rows, columns, 3] },
    factor,
  );
  return { data: Float32Array.from(bytes), shape: [high, wide, 3] };
}

/** The units that are asked for. */
function targetsOf({ layer, channel, cell, target }: DeconvnetOptions): (Unit | string | number)[] {
  if (target !== undefined) {
    if (layer !== undefined || channel !== undefined || cell !== undefined) {
      throw new TypeError("deconvnet takes either a target or a layer with a channel: received both.");
    }
    return [target];
  }
  if (layer === undefined || channel === undefined) {
    throw new TypeError(
      `deconvnet wants a layer and a channel, or a target: received layer ${JSON.stringify(layer)} and channel ` +
        `${JSON.stringify(channel)}.`,
    );
  }
  const channels = (Array.isArray(channel) ? channel : [channel]) as readonly number[];
  return channels.map((channel) => ({ layer, channel, cell }));
}

/** A class's unit in the last layer. */
function unitOfClass({ network }: Model, { index }: ClassTarget): Unit {
  const { shape, sourceLayer } = network.outputs[0];
  // One sigmoid unit stands for two classes.
  return { layer: sourceLayer.name, channel: shape.at(-1) === 1 ? 0 : index };
}

/**
 * Projects a unit of any layer back to the pixels: all other units are set to 0, and the signal is unpooled with the
 * switches of the forward pass, rectified and filtered with transposed weights, layer by layer, down to the image.
 *
 * The unit starts with 1. The paper starts with its activation, which is the result's `score`: `values` times `score`
 * are the paper's numbers, and the picture is the same. How each type of layer is gone through, and what was chosen
 * where the paper is silent (ties and overlaps of poolings), stands in `lib/probe/attribution/deconvnet.ts`.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `values` `[h, w, 3]` in RGB order, in units of the network's input; `map` `[h, w]`, the greatest magnitude of
 *   the three; `target` with the cell; `score`, the unit's activation (of a class its score before the softmax);
 *   `steps`; for several images or channels an array, one result a pair
 * @throws {RangeError} if there is no such layer, channel or cell
 * @throws {TypeError} if a layer on the way has no rule; the message names it
 *
 * @example
 * ```ts
 * await deconvnet(model, await photo("dog"), { layer: "conv1_relu", channel: 12, path: true });
 * ```
 */
export async function deconvnet(
  model: Model,
  image: ImageLike,
  options: DeconvnetOptions & { channel?: number },
): Promise<DeconvnetResult>;
export async function deconvnet(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: DeconvnetOptions,
): Promise<DeconvnetResult[]>;
export async function deconvnet(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: DeconvnetOptions = {},
): Promise<DeconvnetResult | DeconvnetResult[]> {
  checkModel("deconvnet", model);
  const { path = false, signal, onProgress } = checkOptions("deconvnet", options, {
    ...UNIT,
    target: true,
    path: true,
    signal: true,
    onProgress: true,
  });
  const units = targetsOf(options);
  const single = !Array.isArray(options.channel);
  const targets: Target | Target[] = single ? units[0] : units;
  const { subjects, many } = await subjectsOf(model, image, targets, { signal });
  const bar = many ? startProgress(`DeconvNet of ${model.name}`, subjects.length) : undefined;
  try {
    const results: DeconvnetResult[] = [];
    for (const [i, subject] of subjects.entries()) {
      const unit = subject.target.kind === "class"
        ? resolveUnit(model, unitOfClass(model, subject.target))
        : subject.target as UnitTarget;
      const { values, activation, steps, unchanged } = await deconvolve(model, subject.input, unit, {
        path,
        signal,
        onProgress: onProgress && ((done, total) => onProgress(i * total + done, subjects.length * total)),
      });
      const pixels = toPixels(model, values.data, values.shape);
      const isClass = subject.target.kind === "class";
      const score = isClass
        ? (await eachScore(model, subject.target, 1, () => subject.input, { signal }))[0]
        : activation;
      results.push(
        new DeconvnetResult({
          ...described(model, subject),
          method: "DeconvNet",
          values: pixels,
          map: greatestMagnitude(pixels),
          score,
          signed: false,
          paint: "colors",
          about:
            `All other units of ${unit.layer} are set to 0 and this one, whose ${
              isClass ? "score" : "activation"
            } is ` +
            `${Number(score.toPrecision(3))}, to 1; then back to the pixels: unpooled with the switches of the ` +
            `forward pass, rectified, filtered with transposed weights (Zeiler and Fergus 2013).` +
            (unchanged.length ? ` Passed unchanged: the response normalisation of ${unchanged.join(", ")}.` : ""),
        }, steps),
      );
      bar?.update(i + 1);
    }
    await bar?.finish();
    return many ? results : results[0];
  } catch (error) {
    await bar?.stop();
    throw error;
  }
}
