/**
 * The walk of `corruptionRobustness`: each image as it is and corrupted in every way, and whether a model is right.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { Dataset, DatasetRow, SkippedImage } from "../../data/dataset.ts";
import { type ImageView, InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions, WalkOptions } from "../../options.ts";
import { type Baseline, makeBaseline } from "../../probe/attribution/baseline.ts";
import { corrupted, type Corruption, strengthsFor } from "../../probe/corruptions.ts";
import { type Known, type TruthOf, TruthReader } from "../../probe/truth.ts";
import { type Example, exampleOf } from "../../results/invariance.ts";
import { forwardEach } from "../../scan/forward_all.ts";

/** One corruption at one strength. */
export interface CorruptionStep {
  readonly corruption: Corruption;
  readonly strength: number;
}

/** One image: whether the model is right as it is, and at each step. */
export interface CorruptedImage {
  readonly known: DatasetRow;
  readonly label: string;
  readonly right: boolean;
  readonly steps: readonly boolean[];
}

/** What a walk is asked. */
interface Question {
  readonly corruptions: readonly Corruption[];
  readonly baseline: Baseline;
  readonly seed: number;
  readonly truth?: TruthOf;
}

/** What a walk finds. */
export interface Corrupted {
  readonly images: readonly CorruptedImage[];
  readonly steps: readonly CorruptionStep[];
  readonly examples: readonly Example[];
  readonly skipped: readonly SkippedImage[];
}

/** Every corruption at each of its strengths, for images of a size. */
const stepsOf = (corruptions: readonly Corruption[], sides: readonly number[]): CorruptionStep[] =>
  corruptions.flatMap((corruption) => strengthsFor(corruption, sides).map((strength) => ({ corruption, strength })));

/** An image on its way through the network. */
interface Walked {
  readonly image: ImageView;
  readonly own: readonly number[];
  /** Of each step whether it left every pixel as it was: then the answer is the same, however backends round in batches. */
  readonly same: boolean[];
  right?: boolean;
  readonly steps: boolean[];
}

/** Walks all images through one model. */
export class CorruptionWalk {
  readonly #model: Model;
  readonly #reader: InputReader;
  readonly #truth: TruthReader;
  readonly #asked: Question;
  #steps: CorruptionStep[] = [];
  /** Images whose outputs have not all come yet. */
  readonly #waiting: Walked[] = [];
  readonly #images: CorruptedImage[] = [];
  readonly #examples: Example[] = [];

  constructor(
    asker: string,
    model: Model,
    dataset: Dataset,
    asked: Question & Pick<WalkOptions, "onBadImage" | "signal">,
  ) {
    this.#model = model;
    this.#reader = new InputReader(asker, model, dataset, { onBadImage: asked.onBadImage, signal: asked.signal });
    this.#truth = new TruthReader(model, dataset, asked.truth);
    this.#asked = asked;
  }

  async run(
    { batchSize, signal, onProgress }: Pick<RunOptions, "batchSize" | "signal"> & {
      onProgress: (done: number) => void;
    },
  ): Promise<Corrupted> {
    const reader = this.#reader;
    const { inputShape, output } = this.#model;
    const receive = ([outputs]: NdArrayLike[]) => this.#receive(outputs);
    if (inputShape.includes(null)) {
      // Images that may differ in size run one by one.
      let done = 0;
      for await (const image of reader) {
        if (done === 0) this.#steps = stepsOf(this.#asked.corruptions, image.view.shape.slice(0, -1));
        const versions = await Array.fromAsync(this.#versions(image));
        await forwardEach(this.#model, versions, [output.index], receive, { batchSize, signal });
        onProgress(++done);
      }
    } else {
      this.#steps = stepsOf(this.#asked.corruptions, (inputShape as readonly number[]).slice(0, -1));
      const per = this.#steps.length + 1;
      const versions = (image: ImageView) => this.#versions(image);
      const stream = {
        size: reader.size * per,
        get missing() {
          return reader.skipped.length * per;
        },
        async *[Symbol.asyncIterator]() {
          for await (const image of reader) yield* versions(image);
        },
      };
      await forwardEach(this.#model, stream, [output.index], receive, {
        batchSize,
        signal,
        onProgress: (done) => onProgress(Math.floor(done / per)),
      });
    }
    return { images: this.#images, steps: this.#steps, examples: this.#examples, skipped: reader.skipped };
  }

  /** What the network reads of an image as it is, and of it corrupted. */
  async *#versions(image: ImageView): AsyncGenerator<InputArray, undefined> {
    const { baseline, seed } = this.#asked;
    const model = this.#model;
    const { view, place } = image;
    const shown = model.shown(view);
    const cover = model.shown((await makeBaseline(model, view, baseline, seed)).image);
    const isPicture = model.dimensions === 2 && [1, 3].includes(shown.shape.at(-1)!);
    const run = { baseline: cover, seed: [seed, place], range: isPicture ? [0, 255] as const : null };
    const same: boolean[] = [];
    this.#waiting.push({ image, own: this.#truth.classesOf(image.known as Known), same, steps: [] });
    yield model.input(view);
    for (const { corruption, strength } of this.#steps) {
      const made = await corrupted(shown, corruption, strength, run);
      if (place === 0 && model.dimensions === 2) {
        this.#examples.push(exampleOf(made, { image: 0, transform: corruption.name, value: strength }));
      }
      same.push(made.data.every((one, i) => one === shown.data[i]));
      yield model.input(inPlaceOf(view, made.data));
    }
  }

  /** Takes what the network makes of a batch. */
  #receive({ data, shape: [count, ...shape] }: NdArrayLike): void {
    const each = sizeOf(shape);
    for (let i = 0; i < count; i++) {
      const [walked] = this.#waiting;
      const { image, own, same, steps } = walked;
      const numbers = data.subarray(i * each, (i + 1) * each);
      const values = this.#model.output.finiteValues(numbers, image.id);
      const best = values.reduce((most, value, index) => value > values[most] ? index : most, 0);
      const right = own.includes(best);
      if (walked.right === undefined) walked.right = right;
      else steps.push(same[steps.length] ? walked.right : right);
      if (steps.length < this.#steps.length) continue;
      this.#waiting.shift();
      this.#images.push({ known: image.known, label: this.#truth.labels[own[0]], right: walked.right, steps });
    }
  }
}
