/**
 * Whether a network's preprocessing is the one that it was trained with: the evidence, and what follows from it.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { fixed } from "../format.ts";
import { randomStream } from "../random.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { traceAnySize, type Use } from "./graph.ts";
import { ownScaling, preprocessing } from "./preprocess.ts";
import { alike, type Candidate, candidatesFor, prepared } from "./candidates.ts";
import type { Model } from "./model.ts";
import type { ModelView } from "./view.ts";
import { misfit, type Moments, momentsOf, pooled, readsInput, type StoredMoments, storedMoments } from "./moments.ts";

/** What speaks for a preprocessing and against it. */
export interface Evidence {
  readonly candidate: Candidate;
  /** How far the moments before the first batch normalisation are from those that it has stored; null where it has none. */
  readonly misfit: number | null;
  /** The same of each image. */
  readonly misfits: readonly number[];
  /** Of each image whether the model says its label; null where there are no labels. */
  readonly right: readonly boolean[] | null;
  /** The median of the natural logarithm of how much likelier the first class is than the second; null where not asked. */
  readonly gap: number | null;
}

/** What follows from the evidence about the preprocessing in use. */
export interface Judgement {
  readonly verdict: "right" | "wrong" | "unknown";
  /** The candidates that fit, the best first: where it is wrong, what to use instead. */
  readonly fits: readonly Candidate[];
  /** Why, as a sentence; empty where nothing is known. */
  readonly reason: string;
}

/** Moments that are no farther apart are those of one distribution, whatever the images show. */
const CLOSE = 0.2;
/** The least that moments must be closer by than those of the preprocessing in use. */
const CLOSER = 0.33;
/** Another scale altogether: so far apart are no images of another kind. */
const ANOTHER_SCALE = 1.5;
/** The order of colours hardly moves the moments: by so much it does. */
const ORDER_CLOSER = 0.04;
/** How sure a difference of right answers must be: a sign test's probability. */
const SURE = 1e-3;
/** A softmax whose first class is e⁶⁰ times as likely as the second was never trained to that. */
const SATURATED = 60;
/** One where it is e²⁵ at most may have been. */
const TRAINED = 25;

/** The probability of at least so many heads of some coins. */
function headsOf(count: number, heads: number): number {
  let [term, sum] = [2 ** -count, 0];
  for (let k = 0; k <= count; k++) {
    if (k >= heads) sum += term;
    term *= (count - k) / (k + 1);
  }
  return sum;
}

const share = (right: readonly boolean[]) => right.filter(Boolean).length / right.length;

/** Whether some answers are right more often than others to the same images, surely so. */
function beats(right: readonly boolean[], other: readonly boolean[]): number {
  const won = right.filter((is, i) => is && !other[i]).length;
  const lost = right.filter((is, i) => !is && other[i]).length;
  return headsOf(won + lost, won);
}

const names = (fits: readonly Evidence[]) => fits.map(({ candidate }) => candidate);

/** Judges by labels: which preprocessing is answered right most often. */
function byLabels(evidence: readonly Evidence[]): Judgement | null {
  const [current] = evidence;
  const asked = evidence.filter(({ right }) => right?.length);
  if (!current.right || asked.length < 2) return null;
  const order = asked.toSorted((a, b) => share(b.right!) - share(a.right!));
  const [best] = order;
  const of = (one: Evidence) => `${one.right!.filter(Boolean).length} of ${one.right!.length}`;
  if (best !== current && beats(best.right!, current.right) <= SURE) {
    const fits = order.filter((one) => one === best || share(one.right!) >= share(best.right!) - 0.02);
    return {
      verdict: "wrong",
      fits: names(fits),
      reason: `${of(current)} images are answered right; with ${best.candidate.words} ${of(best)}.`,
    };
  }
  const beaten = asked.filter((one) => one !== current && beats(current.right!, one.right!) <= SURE);
  // No candidate is better, and at least another scale is worse.
  if (share(current.right) < share(best.right!) || beaten.length === 0) return null;
  return {
    verdict: "right",
    fits: [current.candidate],
    reason: `${of(current)} images are answered right, with no other preprocessing more.`,
  };
}

const sameScale = ({ how: a }: Candidate, { how: b }: Candidate) =>
  a.order !== b.order && [...a.mean].reverse().join() === b.mean.join() &&
  [...a.deviation].reverse().join() === b.deviation.join();

/** Judges by the moments that the first batch normalisation has stored. */
function byMoments(evidence: readonly Evidence[], layer: string, order: boolean): Judgement | null {
  const [current] = evidence;
  // Moments do not tell dark from bright.
  const asked = evidence.filter((one, i): one is Evidence & { misfit: number } =>
    Number.isFinite(one.misfit) && (i === 0 || one.candidate.how.deviation[0] > 0)
  );
  if (current.misfit === null || !Number.isFinite(current.misfit) || asked.length < 2) return null;
  // Of those that fit alike, the one that is listed first is the commonest.
  const least = Math.min(...asked.map(({ misfit }) => misfit));
  const close = asked.filter(({ misfit }) => misfit <= Math.max(least + 0.04, least * 1.3));
  const [best] = close;
  const far = current.misfit - best.misfit;
  const saying = `What the first batch normalisation, ${JSON.stringify(layer)}, reads is ${
    fixed(current.misfit, 2)
  } away from the moments that it has stored`;
  const wrong = {
    verdict: "wrong" as const,
    fits: names(close),
    reason: `${saying}; with ${best.candidate.words} ${fixed(best.misfit, 2)}.`,
  };
  if (best.misfit <= CLOSE && far >= CLOSER && current.misfit >= 2.5 * best.misfit) return wrong;
  if (best.misfit <= 3 * CLOSE && far >= ANOTHER_SCALE) return wrong;
  const other = asked.find(({ candidate }) =>
    candidate !== current.candidate && sameScale(candidate, current.candidate)
  );
  const turned = other && order && other.misfits.length >= 4 && other.misfit <= CLOSE / 2 &&
    current.misfit - other.misfit >= ORDER_CLOSER && current.misfit >= 2 * other.misfit &&
    other.misfits.every((own, i) => own < current.misfits[i]);
  if (turned) {
    return {
      verdict: "wrong",
      fits: [other.candidate],
      reason: `${saying}; with the colours in the other order ${fixed(other.misfit, 2)}.`,
    };
  }
  if (current.misfit > CLOSE || !close.some((one) => one === current)) return null;
  const others = names(close).filter((one) => one !== current.candidate);
  const fits = [current.candidate, ...others];
  // Another scale that fits as well may be the right one, and so may the commoner order of the colours.
  if (!others.every((one) => sameScale(one, current.candidate))) return { verdict: "unknown", fits, reason: "" };
  if (current.candidate.how.mode === "custom" && others.some(({ how }) => how.mode !== "custom")) {
    return {
      verdict: "unknown",
      fits,
      reason: `${saying}, and with ${others[0].words} ${
        fixed(other!.misfit, 2)
      }: the scale fits; of the two orders of the colours this is the rarer one. Labelled images tell which is right.`,
    };
  }
  return { verdict: "right", fits, reason: `${saying}: they fit.` };
}

/** Judges by probabilities that no training reaches. */
function byGaps(evidence: readonly Evidence[]): Judgement | null {
  const [current] = evidence;
  if (current.gap === null || current.gap < SATURATED) return null;
  const fits = evidence.filter(({ gap }) => gap !== null && gap > 0.05 && gap <= TRAINED);
  if (fits.length === 0) return null;
  return {
    verdict: "wrong",
    fits: names(fits),
    reason:
      `The likeliest class is e^${
        Math.round(current.gap)
      } times as likely as the second, which no training reaches: the numbers are ` +
      `too large. With ${fits[0].candidate.words} it is e^${fixed(fits[0].gap!, 1)} times.`,
  };
}

/**
 * What follows from the evidence.
 *
 * @param evidence of the preprocessing in use first
 * @param layer the first batch normalisation
 * @param order whether the images tell the order of colours: not where they are bluer than most
 */
export function judge(evidence: readonly Evidence[], layer: string, order: boolean): Judgement {
  return byLabels(evidence) ?? byMoments(evidence, layer, order) ?? byGaps(evidence) ??
    { verdict: "unknown", fits: [], reason: "" };
}

/** The moments of some inputs under a preprocessing, and how far they are from the stored ones. */
export async function weighMoments(
  model: Model,
  stored: StoredMoments,
  inputs: readonly ModelView[],
  { how }: Candidate,
): Promise<{ seen: Moments; misfit: number; misfits: number[] }> {
  const tf = await ensureBackend();
  const each: Moments[] = [];
  for (const input of inputs) each.push(await momentsOf(tf, stored, prepared(input, model.preprocess, how)));
  const seen = pooled(each);
  return { seen, misfit: misfit(seen, stored), misfits: each.map((one) => misfit(one, stored)) };
}

/** The stored moments that a model's images can be held against; null where there are none. */
export async function momentsToCheck(model: Model): Promise<StoredMoments | null> {
  const stored = await storedMoments(model.network);
  return stored && readsInput(stored, model.inputShape) ? stored : null;
}

/** How a preprocessing is written in a call. */
export function written({ name, how: { mode, order, mean, deviation } }: Candidate): string {
  if (mode !== "custom") return JSON.stringify(mode);
  if (name === "custom") return "as it is";
  const list = (values: readonly number[]) => `[${values.map((value) => Number(value.toFixed(3))).join(", ")}]`;
  return `{ order: ${JSON.stringify(order)}, mean: ${list(mean)}, deviation: ${list(deviation)} }`;
}

/** Models that were looked at once: with an image, and without one when they were loaded. */
const [seen, loaded] = [new WeakSet<Model>(), new WeakSet<Model>()];

/** The least misfit at which the other preprocessings are tried, without being asked to. */
const ODD = 0.45;

/**
 * Says in one line that a model's preprocessing is wrong, when that is sure; once a model.
 *
 * It costs a pass of one input to the first batch normalisation, and where that fits nothing more.
 *
 * @param input what the network reads of an image; @default of a picture with the statistics of photographs
 */
export async function warnOnce(model: Model, input?: ModelView): Promise<void> {
  const looks = input ? seen : loaded;
  if (looks.has(model)) return;
  looks.add(model);
  const stored = await momentsToCheck(model);
  if (!stored) return;
  const photo = input ?? typicalInput(model);
  if (!photo || photo.shape.length !== 3) return;
  const [current, ...others] = candidatesFor(model, photo.shape[2]);
  const own = await weighMoments(model, stored, [photo], current);
  if (own.misfit < ODD) return;
  const evidence: Evidence[] = [{ candidate: current, ...own, right: null, gap: null }];
  for (const candidate of others) {
    evidence.push({ candidate, ...await weighMoments(model, stored, [photo], candidate), right: null, gap: null });
  }
  const { verdict, fits: [best], reason } = judge(evidence, stored.layer, false);
  if (verdict !== "wrong") return;
  const closest = evidence.find(({ candidate }) => candidate === best)!.misfit!;
  // Without an image of the user's the network may be for other pictures than photographs.
  if (!input && (closest > 0.75 * CLOSE || own.misfit - closest < 1.5 * CLOSER)) return;
  seen.add(model);
  console.log(
    `convlens: the preprocessing of ${JSON.stringify(model.name)}, ${current.words}, does not fit it. ` +
      `${input ? "" : "Of a picture with the statistics of photographs: "}${reason} ` +
      `Load it with preprocess: ${written(best)}; checkInputs(model, images) shows the evidence.`,
  );
}

/** Means of the colours in photographs, and how far pixels are from them. */
const MEANS = [124, 117, 104];
const DEVIATION = 65;
/** How contrast falls from one scale to the next finer one. */
const FALLS = 0.4;

/** The input of a picture with the statistics of photographs: as much contrast at each scale; null where it reads no colours. */
function typicalInput(model: Model): ModelView | null {
  const [height = null, width = null, channels] = model.inputShape;
  if (model.inputs.length > 1 || model.inputShape.length !== 3 || channels !== 3) return null;
  const [rows, columns] = [height ?? 96, width ?? 96];
  const random = randomStream(1);
  const data = new Float32Array(rows * columns * 3);
  for (let size = 2; size < Math.max(rows, columns) * 2; size *= 2) {
    const across = size + 2;
    const weight = size ** -FALLS;
    const grid = Float32Array.from({ length: across * across * 3 }, () => random() - 0.5);
    const [dy, dx] = [random(), random()];
    for (let y = 0; y < rows; y++) {
      const v = y / rows * size + dy;
      for (let x = 0; x < columns; x++) {
        const u = x / columns * size + dx;
        const at = (Math.floor(v) * across + Math.floor(u)) * 3;
        // Hard edges, as things in front of each other have them.
        const lightness = grid[at];
        for (let c = 0; c < 3; c++) {
          data[(y * columns + x) * 3 + c] += weight * (lightness + 0.35 * (grid[at + c] - lightness));
        }
      }
    }
  }
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const spread = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
  const pixels = data.map((value, i) => Math.min(255, Math.max(0, MEANS[i % 3] + (value - mean) / spread * DEVIATION)));
  return model.input(ndarray(pixels, [rows, columns, 3]));
}

/** Something that is scaled or squashed twice. */
interface Doubled {
  readonly about: "scaling" | "softmax";
  readonly sure: boolean;
  readonly text: string;
}

/** Whether pixels are scaled before they reach a network that scales them itself. */
export async function scaledTwice(model: Model, fits = false): Promise<Doubled[]> {
  const own = await ownScaling(model.network);
  if (!own || fits) return [];
  const { mean, deviation } = model.preprocess;
  const wanted = preprocessing(own.wants);
  if (alike(mean, wanted.mean) && alike(deviation, wanted.deviation)) return [];
  const text = `The network scales its pixels itself, by its layer ${
    JSON.stringify(own.layer)
  }, which is made for those of 0 to ${
    own.wants === "none" ? 255 : 1
  }; the preprocessing in use scales them before. Load the model with preprocess: ${JSON.stringify(own.wants)}.`;
  return [{ about: "scaling", sure: true, text }];
}

/** Layers that hand on what they read, or change its shape only. */
const HANDS_ON = /^(Flatten|Reshape|Permute|\w*Dropout\w*|ActivityRegularization|Identity)$/;

const softmaxOf = (layer: Use["layer"]): boolean =>
  layer.getClassName() === "Softmax" || layer.getConfig()["activation"] === "softmax";

/** The two layers by which a network puts its outputs through a softmax twice; null where it does not. */
export function softmaxTwice({ network, output }: Model): readonly [first: string, second: string] | null {
  const handed = (use: Use): Use =>
    HANDS_ON.test(use.layer.getClassName()) && use.inputs.length === 1 ? handed(use.inputs[0]) : use;
  const last = handed(traceAnySize(network).outputs[output.index]);
  const isPlain = last.layer.countParams() === 0 && last.inputs.length === 1;
  if (!isPlain || !softmaxOf(last.layer)) return null;
  const before = handed(last.inputs[0]);
  return softmaxOf(before.layer) ? [before.name, last.name] : null;
}

/** Whether outputs go through a softmax twice: in the network, or once more here because they are taken for logits. */
export function outputsTwice(model: Model) {
  let sums = false;
  const { output } = model;
  const isRead = output.kind === "classes" && output.count > 1 && output.reading.includes("of logits");
  return {
    /** @param outputs the numbers that the network puts out, `[n, classes]` */
    look({ data, shape }: NdArrayLike): void {
      const each = data.length / shape[0];
      sums = isRead &&
        Array.from({ length: shape[0] }, (_, i) => data.subarray(i * each, (i + 1) * each)).every((values) =>
          values.every((value) => value >= 0) && Math.abs(values.reduce((sum, value) => sum + value, 0) - 1) < 1e-3
        );
    },
    findings(): Doubled[] {
      const layers = softmaxTwice(model);
      const found: Doubled[] = [];
      if (layers) {
        found.push({
          about: "softmax",
          sure: true,
          text: `The network puts its classes through a softmax twice, in ${
            layers.map((name) => JSON.stringify(name)).join(" and ")
          }: ` +
            `no probability can exceed ${
              fixed(Math.E / (Math.E + output.count - 1), 2)
            }. Take the second away, or load the model ` +
            `with the output of the first.`,
        });
      }
      if (sums) {
        found.push({
          about: "softmax",
          sure: true,
          text:
            "The outputs are taken for logits and go through a softmax here, but they are probabilities already: they add " +
            'up to 1. Load the model with output: { kind: "classes", activation: "softmax" }.',
        });
      }
      return found;
    },
  };
}
