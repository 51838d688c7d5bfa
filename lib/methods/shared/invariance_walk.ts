/**
 * The walk of `invariance`: each image as it is, then transformed, and what each layer makes of it.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import { kindOf } from "../../errors.ts";
import type { ImageView, StreamedInputs } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { checkArray, checkWithin, type RunOptions } from "../../options.ts";
import { type Baseline, makeBaseline } from "../../probe/attribution/baseline.ts";
import { type OutputTarget, placeWeights, resolveOutput } from "../../probe/output_target.ts";
import { askedOf, isOutputWanted, isSumWanted, type SingleWanted, type Target } from "../../probe/target.ts";
import {
  codeDistance,
  distanceAlong,
  mapOfCells,
  type Transform,
  transformed,
  TRANSFORMS,
  valuesFor,
} from "../../probe/transforms.ts";
import { type Example, exampleOf, EXAMPLES, type ImageInvarianceRow } from "../../results/invariance.ts";
import { forwardEach } from "../../scan/forward_all.ts";
import type { ImagesReader } from "./images.ts";

/** @throws {RangeError} if a transform is unknown, or there is none */
export function checkTransforms(name: string, value: unknown): void {
  const all = [value].flat();
  const wrong = all.find((one) => typeof one !== "function" && !TRANSFORMS.some((known) => known === one));
  if (all.length > 0 && wrong === undefined && new Set(all).size === all.length) return;
  const known = TRANSFORMS.map((one) => JSON.stringify(one)).join(", ");
  throw new RangeError(
    `${name} is of ${known}, or a function (image, value) => image; each once: received ${
      all.length === 0 ? "none" : wrong === undefined ? "one of them twice" : kindOf(wrong)
    }.`,
  );
}

function checkValues(what: string, { name }: Transform, value: unknown): readonly number[] {
  checkArray(what, value, "numbers");
  const values = value as number[];
  if (values.length === 0) throw new RangeError(`${what} is empty; wanted at least one number.`);
  const isLength = name === "scale" || name === "blur" || name === "noise";
  values.forEach((one) => checkWithin(`${what} of ${name}`, one, isLength ? 0 : -1e6, 1e6));
  if (name === "scale" && values.some((one) => one < 0.01)) {
    throw new RangeError(`${what} of scale must be a factor of at least 0.01: received ${Math.min(...values)}.`);
  }
  return values;
}

/**
 * The values of each transform; null where they are to be found.
 *
 * @throws {TypeError} if they are neither an array nor arrays by the transforms' names
 * @throws {RangeError} if there is none, one does not fit, or a function has none
 */
export function curvesOf(transforms: readonly Transform[], values: unknown): (readonly number[] | null)[] {
  const isRecord = typeof values === "object" && values !== null && !Array.isArray(values);
  if (values !== undefined && !isRecord && transforms.length > 1) {
    throw new TypeError(
      `values of several transforms are given by their names, as { ${JSON.stringify(transforms[0].name)}: [0, 1] }: ` +
        `received ${kindOf(values)}.`,
    );
  }
  const given = (isRecord ? values : values === undefined ? {} : { [transforms[0].name]: values }) as Record<
    string,
    unknown
  >;
  const unknown = Object.keys(given).find((name) => !transforms.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`values names ${JSON.stringify(unknown)}, which is not among the transforms asked for.`);
  }
  return transforms.map((transform) => {
    const { name, apply } = transform;
    if (given[name] !== undefined) return checkValues("values", transform, given[name]);
    if (!apply) return null;
    throw new RangeError(`Only you know the values of the function ${name}: give them as values: [0, 1, 2].`);
  });
}

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

/** What a walk is asked. */
interface Question {
  readonly transforms: readonly Transform[];
  /** The values of each transform; null where they are to be found. */
  readonly curves: readonly (readonly number[] | null)[];
  readonly layers: readonly string[];
  readonly output: OutputAsked;
  readonly baseline: Baseline;
  readonly seed: number;
}

/** An image on its way through the network. */
interface Walked {
  readonly image: ImageView;
  /** Of each step whether it left every pixel as it was: then the codes are the same, however backends round in batches. */
  readonly same: boolean[];
}

/** Images on their way through the network, and what was found. */
export class InvarianceWalk {
  readonly #model: Model;
  readonly #reader: ImagesReader;
  readonly #asked: Question;
  /** What is done to each image, one after the other; known with the first image's size. */
  #steps: { readonly transform: Transform; readonly value: number }[] = [];
  /** Images whose outputs have not come yet. */
  readonly #waiting: Walked[] = [];
  /** The image whose outputs come, its codes as it is, and what is followed of its output. */
  #now?: Walked & { readonly codes: readonly NdArrayLike[]; readonly answer: number | null };
  readonly #each: ImageInvarianceRow[] = [];
  readonly #between: number[][];
  readonly #examples: Example[] = [];

  constructor(model: Model, reader: ImagesReader, asked: Question) {
    this.#model = model;
    this.#reader = reader;
    this.#asked = asked;
    this.#between = asked.layers.map(() => []);
    if (!model.inputShape.includes(null)) this.#setSteps(model.inputShape as readonly number[]);
  }

  /** What was found in each image, in pictures, and between images. */
  get found() {
    return { each: this.#each, examples: this.#examples, between: this.#between };
  }

  /** Walks all images. */
  async run(
    { batchSize, signal, onProgress }: Pick<RunOptions, "batchSize" | "signal"> & {
      onProgress: (done: number) => void;
    },
  ): Promise<void> {
    const wanted = [...this.#asked.layers, this.#asked.output.output.index];
    const receive = (outputs: NdArrayLike[], start: number) => this.#receive(outputs, start);
    if (!this.#model.inputShape.includes(null)) {
      const per = this.#steps.length + 1;
      await forwardEach(this.#model, this.#stream(per), wanted, receive, {
        batchSize,
        signal,
        onProgress: (done) => onProgress(Math.floor(done / per)),
      });
      return;
    }
    // Images that may differ in size run one by one.
    let done = 0;
    for await (const image of this.#reader) {
      if (this.#steps.length === 0) this.#setSteps(image.view.shape);
      await forwardEach(this.#model, await Array.fromAsync(this.#inputsOf(image)), wanted, receive, {
        batchSize,
        signal,
      });
      onProgress(++done);
    }
  }

  #setSteps(sides: readonly number[]): void {
    const { transforms, curves } = this.#asked;
    this.#steps = transforms.flatMap((transform, i) =>
      (curves[i] ?? valuesFor(transform, sides)!).map((value) => ({ transform, value }))
    );
  }

  #stream(per: number): StreamedInputs {
    const reader = this.#reader;
    const inputsOf = (image: ImageView) => this.#inputsOf(image);
    return {
      size: reader.size * per,
      get missing() {
        return reader.skipped.length * per;
      },
      async *[Symbol.asyncIterator]() {
        for await (const image of reader) yield* inputsOf(image);
      },
    };
  }

  /** What the network reads of an image as it is, and of it transformed. */
  async *#inputsOf(image: ImageView): AsyncGenerator<InputArray, undefined> {
    const { baseline, seed } = this.#asked;
    const model = this.#model;
    const { view, place } = image;
    const shown = model.shown(view);
    const made = await makeBaseline(model, view, baseline, seed);
    const isPixels = model.dimensions === 2 && [1, 3].includes(shown.shape.at(-1)!);
    const run = { baseline: model.shown(made.image), seed: [seed, place], range: isPixels ? [0, 255] as const : null };
    const drawn = place < EXAMPLES && model.dimensions === 2;
    const same: boolean[] = [];
    this.#waiting.push({ image, same });
    yield model.input(view);
    for (const { transform, value } of this.#steps) {
      const picture = transformed(shown, transform, value, run);
      if (drawn) this.#examples.push(exampleOf(picture, { image: place, transform: transform.name, value }));
      same.push(picture.data.every((one, i) => one === shown.data[i]));
      yield model.input(inPlaceOf(view, picture.data));
    }
  }

  /** Takes what the network makes of a batch. */
  #receive(outputs: readonly NdArrayLike[], start: number): void {
    const { output, layers } = this.#asked;
    const [{ shape: [count] }] = outputs;
    for (let i = 0; i < count; i++) {
      const own = outputs.map(({ data, shape: [, ...shape] }) => {
        const each = sizeOf(shape);
        return { data: data.subarray(i * each, (i + 1) * each), shape };
      });
      const numbers = own.pop()!.data;
      const at = (start + i) % (this.#steps.length + 1);
      if (at === 0) {
        const walked = this.#waiting.shift()!;
        // The batch is given up, so what is kept is copied.
        const codes = own.map(({ data, shape }) => ({ data: data.slice(), shape }));
        this.#now?.codes.forEach(({ data }, k) => {
          // Of free sizes, codes of two images need not be as long.
          const { distance } = data.length === codes[k].data.length
            ? codeDistance(data, codes[k].data)
            : { distance: null };
          if (distance !== null) this.#between[k].push(distance);
        });
        output.resolve(numbers, walked.image);
        this.#now = { ...walked, codes, answer: output.answer(numbers) };
        continue;
      }
      const { transform, value } = this.#steps[at - 1];
      const { image, codes, same, answer: before } = this.#now!;
      const isSame = same[at - 1];
      const answer = isSame ? before : output.answer(numbers);
      const isProbability = output.output.noun !== "output";
      layers.forEach((layer, k) => {
        const code = isSame ? codes[k] : own[k];
        this.#each.push({
          index: image.place,
          image: this.#reader.nameOf(image),
          transform: transform.name,
          layer,
          value,
          ...codeDistance(codes[k].data, code.data),
          moved: this.#moved(layer, codes[k], code, transform, value),
          ...isProbability ? { probability: answer } : { score: answer },
        });
      });
    }
  }

  /** How far a map is from that of the image as it is, had that moved along; null where it could not. */
  #moved(layer: string, still: NdArrayLike, code: NdArrayLike, { map }: Transform, value: number): number | null {
    if (!map || still.shape.length !== 3) return null;
    const sides = this.#now!.image.view.shape;
    const ofCells = mapOfCells(map(value), this.#model.layer(layer).receptiveField, sides, still.shape);
    return ofCells && distanceAlong(still, code, ofCells);
  }
}
