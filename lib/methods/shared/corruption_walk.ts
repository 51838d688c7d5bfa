/**
 * The walk of `corruptionRobustness`: each image as it is and corrupted in every way, and whether a model is right.
 *
 * @module
 */

import type { Dataset, DatasetRow, SkippedImage } from "../../data/dataset.ts";
import { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions, WalkOptions } from "../../options.ts";
import type { Baseline } from "../../probe/attribution/baseline.ts";
import { corrupted, type Corruption, strengthsFor } from "../../probe/corruptions.ts";
import { type Known, type TruthOf, TruthReader } from "../../probe/truth.ts";
import { type Example, exampleOf } from "../../results/invariance.ts";
import { walkVersions } from "./versions.ts";

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
interface Question extends Pick<RunOptions, "batchSize" | "signal">, Pick<WalkOptions, "onBadImage"> {
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

/** Walks all images through one model. */
export async function walkCorruptions(
  asker: string,
  model: Model,
  dataset: Dataset,
  { corruptions, baseline, seed, truth, onBadImage, batchSize, signal }: Question,
  onProgress: (done: number) => void,
): Promise<Corrupted> {
  const reader = new InputReader(asker, model, dataset, { onBadImage, signal });
  const known = new TruthReader(model, dataset, truth);
  const images: (CorruptedImage & { readonly steps: boolean[] })[] = [];
  const examples: Example[] = [];
  /** The classes of the image at hand that count as right. */
  let own: readonly number[] = [];
  const steps = await walkVersions<CorruptionStep>(
    model,
    reader,
    {
      stepsFor: (sides) => stepsOf(corruptions, sides.slice(0, -1)),
      make: (shown, { corruption, strength }, run) => corrupted(shown, corruption, strength, run),
      outputs: [model.output.index],
      baseline,
      seed,
    },
    ({ image, step, isSame, outputs: [{ data }] }) => {
      const values = model.output.finiteValues(data, image.id);
      if (step === null) own = known.classesOf(image.known as Known);
      const right = own.includes(values.reduce((most, value, index) => value > values[most] ? index : most, 0));
      if (step === null) images.push({ known: image.known, label: known.labels[own[0]], right, steps: [] });
      else {
        const last = images.at(-1)!;
        last.steps.push(isSame ? last.right : right);
      }
    },
    (picture, { corruption, strength }, { place }) => {
      if (place > 0 || model.dimensions !== 2) return;
      examples.push(exampleOf(picture, { image: 0, transform: corruption.name, value: strength }));
    },
    { batchSize, signal, onProgress },
  );
  return { images, steps, examples, skipped: reader.skipped };
}
