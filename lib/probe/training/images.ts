/**
 * The images of a run: those to train on and those of the validation, read and at hand.
 *
 * @module
 */

import type { InputArray } from "../../data/given.ts";
import type { Dataset } from "../../data/dataset.ts";
import type { TrainingWatcher } from "../../data/history.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { randomStream, shuffled } from "../../random.ts";
import { refuseUnvalidated, type TrainingSpec } from "./options.ts";
import { part, readSamples, sampleAt, type Samples } from "./samples.ts";
import { TruthReader } from "../truth.ts";

/** What a random stream is for, so that no two uses share one. */
export const Randomness = { split: 0, order: 1, augment: 2, dropout: 3, adversary: 4 } as const;

/** The images of a run. */
export interface TrainingImages {
  training: Samples;
  validation?: Samples;
}

/** Reads the images to train on and those of the validation. */
export async function readImages(
  model: Model,
  output: ModelOutput,
  dataset: Dataset,
  labels: readonly string[],
  spec: TrainingSpec,
  watcher: TrainingWatcher,
): Promise<TrainingImages & { close(): void }> {
  const { validation, onBadImage, signal, seed } = spec;
  const { kind } = output;
  const isClassed = kind === "classes" || kind === "binary";
  const truthOf = (from: Dataset) => isClassed ? undefined : new TruthReader(model, from, spec.truth);
  const read = (from: Dataset, before: number) =>
    readSamples(model, from, labels, {
      truth: truthOf(from),
      onBadImage,
      signal,
      onProgress: (done) => watcher.onRead?.(before + done),
    });
  const samples = await read(dataset, 0);
  try {
    if (typeof validation === "number") {
      const parts = split(samples, validation, randomStream(seed, Randomness.split));
      if (!parts.validation) refuseUnvalidated(spec, `a share of ${validation} of ${samples.count} images is none`);
      return { ...parts, close: samples.close };
    }
    const held = await read(validation, dataset.size);
    return { training: samples, validation: held, close: () => [samples, held].forEach(({ close }) => close()) };
  } catch (error) {
    samples.close();
    throw error;
  }
}

/** Some images apart from the others, in the order of the data set. */
function split(samples: Samples, share: number, random: () => number): TrainingImages {
  const held = Math.round(samples.count * share);
  if (held === 0) return { training: samples };
  if (held === samples.count) {
    throw new RangeError(`A validation share of ${share} leaves none of the ${samples.count} images to train on.`);
  }
  const chosen = shuffled(samples.count, random);
  return {
    training: part(samples, chosen.slice(held).sort()),
    validation: part(samples, chosen.slice(0, held).sort()),
  };
}

/** The first images as the network reads them, one after the other. */
export function* inputsOf(model: Model, samples: Samples, count = samples.count): Generator<InputArray> {
  for (let i = 0; i < count; i++) yield model.input(sampleAt(samples, i));
}
