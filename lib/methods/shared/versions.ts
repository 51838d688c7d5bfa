/**
 * A walk over images, each as it is and then in other versions: transformed, or corrupted.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import type { SkippedImage } from "../../data/dataset.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { ImageView, StreamedInputs } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { type Baseline, makeBaseline } from "../../probe/attribution/baseline.ts";
import type { TransformRun } from "../../probe/transforms.ts";
import { forwardEach } from "../../scan/forward_all.ts";

/** Reads the images that are walked. */
interface Reader extends AsyncIterable<ImageView> {
  readonly size: number;
  readonly skipped: readonly SkippedImage[];
}

/** What is asked of a walk. */
export interface VersionsAsked<Step> {
  /** What is done to each image, one after the other, for images of a size. */
  stepsFor(sides: readonly number[]): readonly Step[];
  /** Makes a version of an image as the network sees it. */
  make(shown: NdArrayLike, step: Step, run: TransformRun): NdArrayLike | Promise<NdArrayLike>;
  /** Layers by name, outputs by index. */
  readonly outputs: readonly (string | number)[];
  readonly baseline: Baseline;
  readonly seed: number;
}

/** What the network makes of one version; `outputs` stand in the batch, and are given up with it. */
export interface Version<Step> {
  readonly image: ImageView;
  /** What was done to it; null for the image as it is, which comes first. */
  readonly step: Step | null;
  /** Whether no pixel was changed: then the answer is the same, however backends round in batches. */
  readonly isSame: boolean;
  readonly outputs: readonly { readonly data: Float32Array; readonly shape: readonly number[] }[];
}

/** Sees the pictures that are made, before the network does. */
type Look<Step> = (picture: NdArrayLike, step: Step, image: ImageView) => void;

/**
 * Walks images, version by version.
 *
 * @param receive called with each version in its order: an image as it is, then the steps
 * @param look called with each version's picture
 * @returns the steps; of free sizes those of the first image
 */
export async function walkVersions<Step>(
  model: Model,
  reader: Reader,
  asked: VersionsAsked<Step>,
  receive: (version: Version<Step>) => void,
  look: Look<Step>,
  { batchSize, signal, onProgress }: Pick<RunOptions, "batchSize" | "signal"> & { onProgress: (done: number) => void },
): Promise<readonly Step[]> {
  const isFree = model.inputShape.includes(null);
  let steps = isFree ? [] : asked.stepsFor(model.inputShape as readonly number[]);
  /** Images of which some outputs have not come yet, and for each version whether it left all pixels as they were. */
  const waiting: { readonly image: ImageView; readonly same: boolean[] }[] = [];
  /** Of the image whose outputs come, how many have come. */
  let at = 0;
  const take = (outputs: readonly NdArrayLike[]) => {
    const [{ shape: [count] }] = outputs;
    for (let i = 0; i < count; i++) {
      const [{ image, same }] = waiting;
      const own = outputs.map(({ data, shape: [, ...shape] }) => {
        const each = sizeOf(shape);
        return { data: data.subarray(i * each, (i + 1) * each), shape };
      });
      receive({ image, step: at === 0 ? null : steps[at - 1], isSame: same[at], outputs: own });
      if (++at <= steps.length) continue;
      waiting.shift();
      at = 0;
    }
  };
  /** What the network reads of an image as it is, and of its versions. */
  async function* inputsOf(image: ImageView): AsyncGenerator<InputArray, undefined> {
    const { view, place } = image;
    const shown = model.shown(view);
    const baseline = model.shown((await makeBaseline(model, view, asked.baseline, asked.seed)).image);
    const isPicture = model.dimensions === 2 && [1, 3].includes(shown.shape.at(-1)!);
    const run = { baseline, seed: [asked.seed, place], range: isPicture ? [0, 255] as const : null };
    const same = [true];
    waiting.push({ image, same });
    yield model.input(view);
    for (const step of steps) {
      const picture = await asked.make(shown, step, run);
      look(picture, step, image);
      same.push(picture.data.every((one, i) => one === shown.data[i]));
      yield model.input(inPlaceOf(view, picture.data));
    }
  }
  if (!isFree) {
    const per = steps.length + 1;
    const versions: StreamedInputs = {
      size: reader.size * per,
      get missing() {
        return reader.skipped.length * per;
      },
      async *[Symbol.asyncIterator]() {
        for await (const image of reader) yield* inputsOf(image);
      },
    };
    const told = (done: number) => onProgress(Math.floor(done / per));
    await forwardEach(model, versions, asked.outputs, take, { batchSize, signal, onProgress: told });
    return steps;
  }
  // Images that may differ in size run one by one.
  let done = 0;
  for await (const image of reader) {
    if (done === 0) steps = asked.stepsFor(image.view.shape);
    await forwardEach(model, await Array.fromAsync(inputsOf(image)), asked.outputs, take, { batchSize, signal });
    onProgress(++done);
  }
  return steps;
}
