/**
 * What `linearExplanation` returns: the scores along the gradient's signs and at random, and how the effect grows.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import type { Block, Chart, Series } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { brief } from "../format.ts";
import { inputBlock } from "./input_block.ts";
import { changed, enlargement, largestOf, painted } from "./panels.ts";
import { Result } from "./result.ts";

/** The score of one class at one place of a direction. */
export interface LinearRow {
  /** Along the signs of the gradient, or along random signs. */
  direction: "gradient" | "random";
  /** By how much each value of the image is moved, of 255; where it is positive, the gradient lowers the score. */
  epsilon: number;
  /** The class (label, number) whose score it is. */
  label: string;
  /** The score before the softmax or sigmoid; at random the mean over the directions. */
  score: number;
  /** The least of the random directions. */
  low: number;
  /** The most of the random directions. */
  high: number;
}

/** How much the score falls when some pixels are moved by one step. */
export interface GrowthRow {
  /** How many pixels are moved. */
  pixels: number;
  /** Along the signs of the gradient. */
  gradient: number;
  /** The same if the network were linear: the step times the sum of the slope's magnitudes. */
  predicted: number;
  /** Along random signs: the root of the mean square. */
  random: number;
}

interface LinearParts {
  rows: readonly LinearRow[];
  growth: readonly GrowthRow[];
  slope: NdArrayLike;
  image: NdArrayLike;
  step: number;
  directions: number;
  names: { model: string; image: string; lowered: string; score: string };
}

/** How large the pictures are shown. */
const SHOWN = 128;

/** The linear explanation of small changes that fool, for one image. */
export class LinearExplanation extends Result<LinearRow> {
  /** The scores of each class along both directions. */
  readonly rows: readonly LinearRow[];
  /** The effect of one step by the number of pixels that it moves. */
  readonly growth: readonly GrowthRow[];
  /** By how much the score rises with each value of the image, `[h, w, c]`: of a linear model its weights. */
  readonly slope: NdArray;
  /** The image as the model saw it, `[h, w, c]`, 0…255. */
  readonly image: NdArray;
  /** By how much one step moves each value, of 255. */
  readonly step: number;
  /** How much the score falls when one step moves all pixels along the signs of the gradient. */
  readonly effect: number;
  /** The same if the network were linear. */
  readonly predicted: number;
  readonly #directions: number;
  readonly #names: LinearParts["names"];

  /** @internal */
  constructor({ rows, growth, slope, image, step, directions, names }: LinearParts) {
    super();
    this.rows = rows;
    this.growth = growth;
    this.slope = NdArray.from(slope);
    this.image = NdArray.from(image);
    this.step = step;
    this.effect = growth.at(-1)!.gradient;
    this.predicted = growth.at(-1)!.predicted;
    this.#directions = directions;
    this.#names = names;
  }

  /** The scores along both directions on one scale, the slope beside its signs, and how the effect grows. */
  override figure(): Figure {
    const { model, image, lowered } = this.#names;
    const { pixels, random } = this.growth.at(-1)!;
    const share = this.predicted ? this.effect / this.predicted : NaN;
    const times = random ? this.effect / random : NaN;
    return new Figure({
      title: `${model} · ${image} · linear explanation of ${lowered}`,
      caption: `Each value of the image is moved by up to ±ε of 255: along the signs of the gradient of ${lowered}, ` +
        `and along ${this.#directions} random choices of signs, mean and range; one scale. Lines that are straight say ` +
        `that the network is linear there. A step of ±${brief(this.step)} on all ${
          pixels.toLocaleString("en-US")
        } pixels ` +
        `lowers ${lowered} by ${brief(this.effect)}, ${
          brief(100 * share)
        } % of what a linear network would show, and ` +
        `${
          brief(times)
        } times as much as random signs move it. Of a linear network the effect grows in proportion to the number of pixels along the ` +
        `gradient, and as its root at random. Values may leave 0…255 here (Goodfellow et al. 2014).`,
      blocks: [
        { kind: "row", blocks: [this.#scores("gradient"), this.#scores("random")] },
        { kind: "row", blocks: [...this.#pictures(), this.#growth()] },
      ],
      lines: [
        `one step (±${brief(this.step)} of 255) lowers ${lowered} by ${brief(this.effect)}; were it linear by ${
          brief(this.predicted)
        }; random signs move it by ${brief(random)}`,
      ],
    });
  }

  #scores(direction: LinearRow["direction"]): Chart {
    const own = this.rows.filter((row) => row.direction === direction);
    const series = [...Map.groupBy(own, ({ label }) => label)].map(([label, rows]): Series => ({
      // What follows a dot would share its colour.
      label: label.replaceAll("·", "-"),
      x: rows.map(({ epsilon }) => epsilon),
      y: rows.map(({ score }) => score),
      ...direction === "random" && { low: rows.map(({ low }) => low), high: rows.map(({ high }) => high) },
    }));
    const all = this.rows.flatMap(({ low, high }) => [low, high]);
    return {
      kind: "chart",
      heading: direction === "gradient" ? "along the gradient's signs" : "along random signs",
      series,
      x: { title: "ε, of 255" },
      y: { title: this.#names.score, include: [Math.min(...all), Math.max(...all)] },
      width: 400,
      height: 280,
      alt: `${this.#names.score} of ${series.map(({ label }) => label).join(", ")} ${
        direction === "gradient" ? "along the gradient's signs" : "along random signs"
      }`,
    };
  }

  /** The image, its slope and the signs that are added; of what is no image the input alone. */
  #pictures(): Block[] {
    const { shape, data } = this.slope;
    const input = inputBlock(this.image, { shown: SHOWN, heading: "image", alt: this.#names.image });
    if (shape.length !== 3) return [input];
    const [height, width, channels] = shape;
    const factor = enlargement(shape, SHOWN);
    const picture = (values: (value: number) => number, heading: string): Block => {
      const pixels = new Float32Array(height * width * (channels === 3 ? 3 : 1));
      data.forEach((value, i) => pixels[channels === 3 ? i : Math.floor(i / channels)] += values(value));
      const largest = largestOf(pixels) || 1;
      return {
        kind: "picture",
        heading,
        pixels: channels === 3
          ? pixelsOf(changed({ data: pixels, shape }, 127 / largest), factor)
          : painted({ data: pixels, shape: [height, width] }, {
            low: -largest,
            high: largest,
            palette: "diverging",
            factor,
          }),
        alt: `${heading} of ${this.#names.lowered}`,
      };
    };
    return [input, picture((value) => value, "slope"), picture((value) => -Math.sign(value), "added signs")];
  }

  #growth(): Chart {
    const x = this.growth.map(({ pixels }) => pixels);
    const { lowered } = this.#names;
    const shown = (values: number[]) => values.map((value) => value > 0 ? value : NaN);
    return {
      kind: "chart",
      heading: "by the number of pixels",
      series: [
        { label: "gradient", x, y: shown(this.growth.map(({ gradient }) => gradient)) },
        { label: "gradient · if linear", dashed: true, x, y: shown(this.growth.map(({ predicted }) => predicted)) },
        { label: "random", x, y: shown(this.growth.map(({ random }) => random)) },
      ],
      x: { title: "pixels moved", scale: "log" },
      y: { title: "fall of the score", scale: "log" },
      width: 370,
      height: 260,
      alt: `How much ${lowered} falls by the number of pixels that one step moves`,
    };
  }
}
