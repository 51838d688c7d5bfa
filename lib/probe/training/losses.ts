/**
 * The losses of an epoch's steps. They stay on the backend for some steps, so that it does not wait for their reading.
 *
 * @module
 */

import type { Scalar } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";

/** What one step put out: mean loss, and the score of its images added up, as tensors. */
export interface StepOutcome {
  loss: Scalar;
  score: Scalar;
  /** How many images it was about. */
  images: number;
}

/** Adds up the losses and scores of an epoch. */
export class EpochLosses {
  /** The loss of all images read so far, added up. */
  loss = 0;
  /** Their scores, added up: of classes how many were right. */
  score = 0;
  /** Mean loss and score over the steps that were read last; NaN before the first. */
  recent: { loss: number; score: number } = { loss: NaN, score: NaN };
  readonly #tf: TF;
  #pending: StepOutcome[] = [];

  constructor(tf: TF) {
    this.#tf = tf;
  }

  /** How many steps have not been read. */
  get pending(): number {
    return this.#pending.length;
  }

  add(step: StepOutcome): void {
    this.#pending.push(step);
  }

  /**
   * Reads the steps that are pending.
   *
   * @returns the first loss that is no finite number, and how many steps before the last it was; null if all are
   */
  async read(): Promise<{ loss: number; stepsAgo: number } | null> {
    const steps = this.#pending;
    const stacked = this.#tf.tidy(() => this.#tf.stack(steps.flatMap(({ loss, score }) => [loss, score])));
    this.dispose();
    const values = await stacked.data();
    stacked.dispose();
    let sum = 0;
    let hits = 0;
    let count = 0;
    for (const [i, { images }] of steps.entries()) {
      const [loss, score] = [values[2 * i], values[2 * i + 1]];
      if (!Number.isFinite(loss)) return { loss, stepsAgo: steps.length - 1 - i };
      sum += loss * images;
      hits += score;
      count += images;
    }
    this.loss += sum;
    this.score += hits;
    this.recent = { loss: sum / count, score: hits / count };
    return null;
  }

  /** Frees what has not been read. */
  dispose(): void {
    for (const { loss, score } of this.#pending) this.#tf.dispose([loss, score]);
    this.#pending = [];
  }
}
