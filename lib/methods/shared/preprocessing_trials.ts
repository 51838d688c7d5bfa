/**
 * Trying preprocessings on the pixels of some images: what each makes of them to a network that has stored moments of what it
 * was trained on, and how it is answered.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { type Candidate, candidatesFor, prepared } from "../../model/candidates.ts";
import type { Model } from "../../model/model.ts";
import type { StoredMoments } from "../../model/moments.ts";
import { type Evidence, momentsToCheck, outputsTwice, weighMoments } from "../../model/preflight.ts";
import type { ModelView } from "../../model/view.ts";
import { item } from "../../probe/forward.ts";
import type { SeenChannels } from "../../results/input_check.ts";
import { forwardAll } from "../../scan/forward_all.ts";

/** What a pass of all images says of a preprocessing. */
interface Answers {
  right: boolean[] | null;
  confidence: number;
  gap: number;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
/** The smallest number that is told from 0. */
const LEAST = 1e-45;

/** What the model answers to inputs, and whether that is right. */
function answersTo(model: Model, outputs: NdArrayLike, truth: number[][] | null): Answers {
  const { output } = model;
  const right: boolean[] = [];
  const [tops, gaps]: number[][] = [[], []];
  for (let i = 0; i < outputs.shape[0]; i++) {
    const values = output.values(item(outputs, i).data);
    if (truth) right.push(truth[i].includes(output.predicted(values)));
    const [first, second] = Array.from(values).sort((a, b) => b - a);
    tops.push(first);
    gaps.push(Math.log(first) - Math.log(Math.max(second, LEAST)));
  }
  return {
    right: truth && right,
    confidence: tops.reduce((sum, top) => sum + top, 0) / tops.length,
    gap: median(gaps),
  };
}

/** What was found of each preprocessing. */
export interface Trials {
  readonly candidates: readonly Candidate[];
  readonly evidence: readonly Evidence[];
  /** The mean probability of the likeliest class; null where it was not asked for. */
  readonly confidence: readonly (number | null)[];
  /** What the first batch normalisation has stored, if there is one. */
  readonly stored: StoredMoments | null;
  /** Whether what the network puts out was put through a softmax before. */
  readonly twice: ReturnType<typeof outputsTwice>;
  /** What a candidate makes of each channel of the first batch normalisation; empty without one. */
  readonly channelsOf: (candidate: Candidate) => SeenChannels[];
}

/** What a run of all images takes. */
interface TrialRun {
  batchSize: number;
  signal?: AbortSignal;
  /** Is given which share of the passes is done. */
  onTried: (share: number) => void;
}

/**
 * Tries each preprocessing that may have been meant.
 *
 * @param inputs as the model reads them now
 * @param truth the classes that are right for each image; null where that is not known
 */
export async function tryPreprocessings(
  model: Model,
  inputs: readonly ModelView[],
  truth: number[][] | null,
  { onTried, ...run }: TrialRun,
): Promise<Trials> {
  const candidates = candidatesFor(model, inputs[0].shape.at(-1)!);
  const stored = await momentsToCheck(model);
  const weighed: (Awaited<ReturnType<typeof weighMoments>> | null)[] = [];
  for (const candidate of candidates) {
    run.signal?.throwIfAborted();
    weighed.push(stored && await weighMoments(model, stored, inputs, candidate));
  }
  // Where moments tell the scale, only what fits them is asked for its answers.
  const least = Math.min(...weighed.map((one) => one?.misfit ?? Infinity));
  const worth = (i: number) => i === 0 || !stored || weighed[i]!.misfit <= Math.max(0.3, 1.5 * least);
  const asks = ["classes", "binary"].includes(model.output.kind);
  const answers: (Answers | null)[] = [];
  const twice = outputsTwice(model);
  const asked = candidates.filter((_, i) => worth(i)).length + 1;
  for (const [i, { how }] of candidates.entries()) {
    if (!asks || !worth(i)) {
      answers.push(null);
      continue;
    }
    const all = inputs.map((input) => prepared(input, model.preprocess, how));
    const [outputs] = await forwardAll(model, all, [model.output.index], run);
    if (i === 0) twice.look(outputs);
    answers.push(answersTo(model, outputs, truth));
    onTried(answers.length / asked);
  }
  return {
    candidates,
    evidence: candidates.map((candidate, i) => ({
      candidate,
      misfit: weighed[i]?.misfit ?? null,
      misfits: weighed[i]?.misfits ?? [],
      right: answers[i]?.right ?? null,
      gap: answers[i]?.gap ?? null,
    })),
    confidence: answers.map((one) => one?.confidence ?? null),
    stored,
    twice,
    channelsOf(candidate) {
      const seen = weighed[candidates.indexOf(candidate)]?.seen;
      if (!stored || !seen) return [];
      const deviations = Array.from(stored.variance, (value) => Math.sqrt(value + stored.epsilon));
      return [{
        preprocess: candidate.words,
        mean: deviations.map((deviation, i) => (seen.mean[i] - stored.mean[i]) / deviation),
        deviation: deviations.map((deviation, i) => Math.sqrt(seen.variance[i]) / deviation),
      }];
    },
  };
}
