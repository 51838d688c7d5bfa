/**
 * What is followed of a model's output while its images are changed.
 *
 * @module
 */

import type { ImageView } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { type OutputTarget, placeWeights, resolveOutput } from "../../probe/output_target.ts";
import { askedOf, isOutputWanted, isSumWanted, type SingleWanted, type Target } from "../../probe/target.ts";

/** What is followed of the model's output. */
export class OutputAsked {
  /** Which of the network's outputs. */
  readonly output: ModelOutput;
  readonly #model: Model;
  readonly #wanted: string | number | object | undefined;
  /** What it is for the image at hand. */
  #target?: OutputTarget;
  readonly #texts = new Set<string>();
  #own = 0;
  #predicted = 0;

  /** @throws {TypeError} if the target is none of the output's */
  constructor(asker: string, model: Model, target: Target | undefined) {
    const asked = target === undefined || isSumWanted(target) ? undefined : askedOf(model, target as SingleWanted);
    if (target !== undefined && !(asked && isOutputWanted(asked.wanted))) {
      throw new TypeError(
        `${asker} follows a class, a label or a number of the output: received another kind of target. What a layer makes of ` +
          `the images is asked for by layers.`,
      );
    }
    this.#model = model;
    this.output = asked?.output ?? model.output;
    this.#wanted = asked?.wanted as string | undefined;
  }

  /** Finds out what is followed for an image, from what the network puts out for it as it is. */
  resolve(numbers: Float32Array, { view, label }: ImageView): void {
    const { output } = this;
    const isKnown = this.#wanted === undefined && label !== undefined && output.noun !== "output" &&
      output.given?.includes(label) === true;
    if (isKnown) this.#own++;
    else if (this.#wanted === undefined) this.#predicted++;
    const wanted = (this.#wanted ?? (isKnown ? label : "predicted")) as string;
    this.#target = resolveOutput(this.#model, wanted, { output, numbers, of: "outputs", inputShape: view.shape });
    this.#texts.add(this.#target.text);
  }

  /** What the network gives it. @returns null where a number is none */
  answer(numbers: Float32Array): number | null {
    const value = this.output.valuesOver(numbers, placeWeights(this.#target!))[this.#target!.index];
    return Number.isFinite(value) ? value : null;
  }

  /** What was followed, for captions. */
  get description(): { readonly isProbability: boolean; readonly text: string } {
    const { noun } = this.output;
    const text = this.#texts.size === 1
      ? [...this.#texts][0]
      : `the ${noun} ${
        this.#predicted === 0 && this.#own > 0
          ? "that each image has"
          : this.#own === 0
          ? "that is predicted for each image as it is"
          : "that each image has, or where it has none that is predicted"
      }`;
    return { isProbability: noun !== "output", text };
  }
}
