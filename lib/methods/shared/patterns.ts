/**
 * Pictures of nothing that a model is sure of, for `fool`: by the gradient from noise, and by evolution.
 *
 * Nguyen, Yosinski and Clune 2015, "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable
 * Images".
 *
 * @module
 */

import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { inPlaceOf } from "../../data/given.ts";
import { type Encoding, evolve } from "../../probe/attack/evolution.ts";
import { noiseTo } from "../../probe/attack/noise.ts";
import { forward, item } from "../../probe/forward.ts";
import { resolveOutput } from "../../probe/output_target.ts";

/** How a picture of nothing is made. */
export type PatternMethod = "noise" | "evolution";

/** How it is asked for. */
export interface PatternAsked {
  readonly method: PatternMethod;
  readonly encoding: Encoding;
  /** The class or label that the model is to be sure of. @default what it says of the image */
  readonly index?: number;
  readonly steps: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly signal?: AbortSignal;
}

/** The model is sure enough from here on. */
export const ENOUGH = 0.99;
/** A step of evolution looks at so many children, some at a time. */
const CHILDREN = 250;
const BROOD = 50;

/** A picture of nothing. */
export interface Pattern {
  /** Where it began, and what became of it. */
  readonly start: Float32Array;
  readonly pixels: Float32Array;
  /** The class or label that the model is to be sure of. */
  readonly target: number;
}

/** Whether a method makes a picture of nothing instead of changing an image. */
export const isPattern = (method: string): method is PatternMethod => method === "noise" || method === "evolution";

/**
 * Makes a picture of nothing of the size of an image.
 *
 * @param view an image as the model sees it: of a network of several inputs the others keep its values
 * @returns where it began, and what became of it, of whole numbers 0…255
 * @throws {TypeError} if the model gives no probabilities
 */
export async function patternOf(
  model: Model,
  view: InputArray,
  { method, encoding, index, steps, seed, batchSize, signal }: PatternAsked,
): Promise<Pattern> {
  const { output } = model;
  if (output.kind === "numbers" || output.kind === "map") {
    throw new TypeError(
      `"${method}" makes what a model is sure of: ${
        JSON.stringify(model.name)
      } puts out ${output.text}. Use "pgd" to ` +
        `drive it up or down.`,
    );
  }
  const look = async (pictures: readonly Float32Array[]) => {
    const inputs = pictures.map((data) => model.input(inPlaceOf(view, data)));
    const [outputs] = await forward(model, inputs, [output.index], { batchSize, signal });
    return pictures.map((_, i) => output.values(item(outputs, i).data));
  };
  const target = index ?? output.predicted((await look([view.data as Float32Array]))[0]);
  if (method === "noise") {
    const about = resolveOutput(model, target, { output });
    return { ...await noiseTo(model, view, about, { enough: ENOUGH, steps, seed, signal }), target };
  }
  const shape = view.shape.length === 3 ? view.shape : [view.shape[0], view.shape[1] ?? 1, 1];
  const children = CHILDREN * steps;
  const found = await evolve(look, shape, {
    encoding,
    target,
    enough: ENOUGH,
    children,
    batchSize: BROOD,
    seed,
    signal,
  });
  return { ...found, target };
}
