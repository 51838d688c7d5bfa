/**
 * Passes through a network from pixels, and back, many times over: what attacks, inversions and pictures of units are made of.
 *
 * The plan through the network is made once and its weights are folded once, for all passes. The pixels are those of the
 * image, 0…255 in the image's own order of channels: the model's preprocessing is part of what is differentiated.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { Model } from "../../model/model.ts";
import type { Preprocess } from "../../model/preprocess.ts";
import type { TF } from "../../runtime/backend.ts";
import { Recordings } from "../../runtime/recordings.ts";
import { explained } from "../attribution/gradients.ts";
import { explainMemory, fitting } from "../memory.ts";
import { along, type Fed, fedTo, foldAll, type Folded, type Plan, type Step } from "../plan.ts";

/** Pixels as what the network reads, as {@linkcode preprocess} of plain arrays, with a gradient. To be called in a tidy. */
export function preprocessTensor(tf: TF, pixels: Tensor, { order, mean, deviation }: Preprocess): Tensor {
  const channels = pixels.shape.at(-1)!;
  const row = (values: readonly number[]) =>
    values.length === channels ? tf.tensor1d([...values]) : tf.scalar(values[0]);
  let x = channels === 3 && order === "bgr" ? tf.reverse(pixels, -1) : pixels;
  if (mean.some((value) => value !== 0)) x = tf.sub(x, row(mean));
  if (deviation.some((value) => value !== 1)) x = tf.div(x, row(deviation));
  return x;
}

/** The way from pixels to what a plan taps. It must be disposed of. */
export class PixelPass {
  /** How many images run at once, at most. */
  readonly batch: number;
  readonly #folded = new Map<Step, Folded>();
  readonly #recordings: Recordings;

  /** @param batchSize how many images run at once, if memory holds them on the way there and back */
  constructor(readonly tf: TF, readonly model: Model, readonly plan: Plan, batchSize: number) {
    this.batch = fitting(tf, plan, batchSize, { gradient: true });
    this.#recordings = new Recordings(tf);
    foldAll(tf, plan, this.#folded);
  }

  /** What the plan taps, for pixels `[n, h, w, c]`; it has a gradient. To be called in a tidy. */
  outputs(pixels: Tensor, others?: Fed["others"]): Tensor[] {
    const x = preprocessTensor(this.tf, pixels, this.model.reading);
    return along(this.tf, this.plan, fedTo(this.plan, { x, ...others && { others } }), this.#folded);
  }

  /** Computes what is computed again and again; see {@linkcode Recordings.run}. */
  repeat(key: string, inputs: readonly Tensor[], compute: (inputs: readonly Tensor[]) => Tensor[]): Tensor[] {
    return this.#recordings.run(key, inputs, compute);
  }

  /** An error as one that says what did not fit, or what has no gradient. */
  explained(error: unknown, count = this.batch): unknown {
    const what = `A step of ${count} images through ${JSON.stringify(this.model.name)} and back`;
    return explained(explainMemory(this.tf, error, what), this.model);
  }

  dispose(): void {
    this.#recordings.dispose();
    for (const { kernel, bias } of this.#folded.values()) this.tf.dispose([kernel, bias]);
    this.#folded.clear();
  }
}
