/**
 * Changing images against a model: goals, attacks, rounding, and what the model says before and after.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { ImageView } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { Attacker, type AttackMethod, type Goal, type Norm } from "../../probe/attack/attack.ts";
import { deepFool } from "../../probe/attack/deep_fool.ts";
import type { Encoding } from "../../probe/attack/evolution.ts";
import { asSaved, savedWithin } from "../../probe/attack/saved.ts";
import { mapGradients } from "../../probe/attribution/gradients.ts";
import { preliminaryTarget } from "../../probe/attribution/inputs.ts";
import { largestMagnitude, toPixels } from "../../probe/attribution/pixels.ts";
import { resolveOutput } from "../../probe/output_target.ts";
import { isOutput, type ResolvedTarget, type Target } from "../../probe/target.ts";
import { Fooled, type FooledAnswer, type Likeliest } from "../../results/fooled.ts";
import { ENOUGH, isPattern, type Pattern, type PatternMethod, patternOf } from "./patterns.ts";
import { lots } from "./attacked.ts";
import { reread } from "./survival.ts";

/** How an image is changed. */
export type FoolMethod = "fgsm" | "iterative" | "pgd" | "deepfool" | PatternMethod;

/** How a run is asked for: the options of `fool`. */
interface Asked extends Omit<RunOptions, "onProgress"> {
  readonly method: FoolMethod;
  readonly encoding: Encoding;
  readonly epsilon?: number;
  readonly norm: Norm;
  readonly target?: Target;
  readonly direction?: "up" | "down";
  readonly steps: number;
  readonly stepSize?: number;
  readonly seed: number;
  readonly maps: boolean;
}

/** DeepFool's change ends at the border, and rounding may lead back: so many times as long it is tried. */
const LONGER = [1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2, 3];

/** What is wanted of one image. */
interface Wanted {
  readonly goal: Goal;
  /** The class, label or number that it is about. */
  readonly index: number;
  readonly text: string;
  /** At which probability it is reached; absent where the answer itself is to change. */
  readonly enough?: number;
}

/** A model's answers for images, and what they are to become. */
export class FoolingRun {
  readonly batch: number;
  readonly #model: Model;
  readonly #asked: Asked;
  readonly #attacker: Attacker;
  /** A target that is no class, label or number of the output. */
  readonly #other: ResolvedTarget | undefined;
  /** The class, label or number that was asked for. */
  readonly #index: number | undefined;
  #done = 0;

  private constructor(model: Model, asked: Asked, attacker: Attacker, target: ResolvedTarget | undefined) {
    this.#model = model;
    this.#asked = asked;
    this.#attacker = attacker;
    this.batch = attacker.batch;
    if (target && isOutput(target) && model.output.kind !== "map") this.#index = target.index;
    else this.#other = target;
  }

  /** @throws {TypeError} if the model or the method cannot do what is asked */
  static async of(model: Model, asked: Asked): Promise<FoolingRun> {
    const { kind } = model.output;
    const named = JSON.stringify(model.name);
    if (model.dimensions !== 2) {
      throw new TypeError(
        `fool changes pictures of 0…255, which have whole numbers when they are saved; ${named} reads ` +
          `${
            ["vectors", "signals", "", "volumes"][model.dimensions]
          }. linearExplanation asks how it answers to changes.`,
      );
    }
    const shape = model.inputShape.map((length) => length ?? 64);
    const like = { data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape };
    const wanted = asked.target ?? (kind === "map" ? 0 : undefined);
    const target = wanted === undefined ? undefined : preliminaryTarget(model, wanted, like);
    const isClass = (kind === "classes" || kind === "binary") && (!target || isOutput(target));
    if (asked.method === "deepfool" && (!isClass || target)) {
      throw new TypeError(
        `"deepfool" looks for the nearest other class: received ${
          target ? `the target ${target.text}` : `a model of ${model.output.text}`
        }. Use "pgd" for that.`,
      );
    }
    if (isPattern(asked.method) && target && !isOutput(target)) {
      throw new TypeError(
        `"${asked.method}" makes what a model is sure of, a class or a label: received the target ${target.text}. Use ` +
          `"pgd" for that, or featureVisualization.`,
      );
    }
    const score = isClass ? undefined : target ?? resolveOutput(model, 0, { output: model.output });
    return new FoolingRun(model, asked, await Attacker.of("fool", model, asked.batchSize, score), target);
  }

  dispose(): void {
    this.#attacker.dispose();
  }

  /** The attack in words. */
  text(brief: (value: number) => string): string {
    const { method, encoding, norm, epsilon, steps } = this.#asked;
    if (method === "deepfool") return "DeepFool";
    if (method === "noise") return "From noise by the gradient";
    if (method === "evolution") return `Evolution of ${encoding === "cppn" ? "networks that paint (CPPNs)" : "pixels"}`;
    const named = { fgsm: "FGSM", iterative: "iterative FGSM", pgd: "PGD" }[method];
    const size = epsilon === undefined && norm === "l2" ? "" : ` ε ${brief(epsilon ?? 8)}`;
    return `${named}${size}${norm === "l2" ? " (L2)" : ""}${method === "fgsm" ? "" : `, ${steps} steps`}`;
  }

  /** Changes some images, at most a batch of them. */
  async change(images: readonly ImageView[]): Promise<Fooled[]> {
    const found: Fooled[] = [];
    const { method } = this.#asked;
    if (isPattern(method)) {
      for (const image of images) {
        const own = { ...this.#asked, method, index: this.#index };
        const pattern = await patternOf(this.#model, image.view, own);
        const named = { ...image, name: method === "noise" ? "noise" : "a bred picture", label: undefined };
        found.push(...await this.#changeLot([{ image: named, view: { ...image.view, data: pattern.start } }], pattern));
      }
      return found;
    }
    const views = images.map((image) => ({ image, view: { ...image.view, data: asSaved(image.view.data) } }));
    for (const { lot } of lots(views, this.batch)) found.push(...await this.#changeLot(lot));
    return found;
  }

  async #changeLot(
    lot: readonly { image: ImageView; view: InputArray }[],
    pattern?: Pattern,
  ): Promise<Fooled[]> {
    const views = lot.map(({ view }) => view);
    const before = await this.#answers(views);
    const truths = lot.map(({ image: { label } }) => this.#truth(label));
    const isWrong = lot.map((_, i) => truths[i] !== undefined && truths[i] !== this.#predicted(before[i].values));
    const wanted = before.map(({ values }, i) => pattern ? this.#sure(pattern) : this.#wanted(values, truths[i]));
    // Those that are wrong run along, so that no random start depends on them.
    const made = pattern ? [pattern.pixels] : await this.#attack(views, wanted.map(({ goal }) => goal));
    const changed = views.map(({ data }, i) => isWrong[i] ? data as Float32Array : made[i]);
    const after = await this.#answers(views.map((view, i) => ({ ...view, data: changed[i] })));
    const results: Fooled[] = [];
    for (const [i, { image, view }] of lot.entries()) {
      const pixels = this.#picture(view, changed[i]);
      const kept = isWrong[i] ? [] : await reread(pixels);
      const again = kept.length ? await this.#again(view, kept.map((one) => one.pixels.data)) : [];
      const isFooled = (answer: Said) => this.#fooled(answer.values, wanted[i], before[i].values);
      const saved = [{ as: "8 bits", said: after[i] }, ...kept.map(({ as }, k) => ({ as, said: again[k] }))];
      results.push(
        new Fooled({
          names: { model: this.#model.name, image: image.name, method: this.text(String), goal: wanted[i].text },
          original: this.#picture(view, view.data as Float32Array),
          image: pixels,
          before: this.#said(before[i], wanted[i]),
          after: this.#said(after[i], wanted[i]),
          fooled: isWrong[i] ? false : isFooled(after[i]),
          wrong: isWrong[i],
          ...image.label !== undefined && { label: image.label },
          rows: isWrong[i]
            ? []
            : saved.map(({ as, said }) => ({ as, ...this.#said(said, wanted[i]), fooled: isFooled(said) })),
          likeliest: this.#likeliest(before[i].values, after[i].values),
          ...this.#asked.maps &&
            { maps: await this.#maps(view, [view.data as Float32Array, changed[i]], wanted[i], before[i]) },
        }),
      );
    }
    this.#done += lot.length;
    return results;
  }

  /** The pixels of an image, `[h, w, c]`. */
  #picture({ shape }: NdArrayLike, data: Float32Array): NdArrayLike {
    return { data, shape: shape.length === 2 ? [...shape, 1] : shape };
  }

  async #answers(views: readonly InputArray[]): Promise<Said[]> {
    const values = await this.#attacker.values(views);
    const scores = this.#other ? await this.#attacker.scoresOf(views, this.#other) : null;
    return values.map((values, i) => ({ values, ...scores && { score: scores[i] } }));
  }

  /** What the model says of several pictures like one. */
  async #again(view: InputArray, pictures: readonly Float32Array[]): Promise<Said[]> {
    const said: Said[] = [];
    for (let start = 0; start < pictures.length; start += this.batch) {
      said.push(...await this.#answers(pictures.slice(start, start + this.batch).map((data) => ({ ...view, data }))));
    }
    return said;
  }

  get #isClass(): boolean {
    const { kind } = this.#model.output;
    return !this.#other && (kind === "classes" || kind === "binary");
  }

  /** The class that an image is known to have, if an untargeted attack asks for it. */
  #truth(label: string | undefined): number | undefined {
    if (label === undefined || !this.#isClass || this.#index !== undefined) return undefined;
    const at = this.#model.output.labels.indexOf(label);
    return at < 0 ? undefined : at;
  }

  #predicted(values: ArrayLike<number>): number {
    return this.#model.output.predicted(values);
  }

  #wanted(values: ArrayLike<number>, truth: number | undefined): Wanted {
    const { kind, labels } = this.#model.output;
    const { direction } = this.#asked;
    if (this.#other) {
      const sign = direction === "down" ? -1 : 1;
      const text = `the score of ${this.#other.text} ${direction ?? "up"}`;
      return { goal: { target: this.#other, sign }, index: -1, text };
    }
    if (this.#isClass) {
      if (this.#index !== undefined) {
        return { goal: { towards: this.#index }, index: this.#index, text: `towards ${labels[this.#index]}` };
      }
      const own = truth ?? this.#predicted(values);
      return { goal: own, index: own, text: `away from ${labels[own]}` };
    }
    const surest = () =>
      Array.from(values, (value) => Math.abs(value - 0.5)).reduce((best, far, i, all) => far > all[best] ? i : best, 0);
    const index = this.#index ?? (kind === "labels" ? surest() : 0);
    const up = direction ? direction === "up" : kind === "labels" ? values[index] < 0.5 : true;
    const target = resolveOutput(this.#model, index, { output: this.#model.output });
    return { goal: { target, sign: up ? 1 : -1 }, index, text: `${labels[index]} ${up ? "up" : "down"}` };
  }

  /** What is wanted of a picture of nothing. */
  #sure({ target }: Pattern): Wanted {
    const text = `towards ${this.#model.output.labels[target]}, to ${100 * ENOUGH} %`;
    return { goal: { towards: target }, index: target, text, enough: ENOUGH };
  }

  /** Whether the goal is reached; null where there is no border to cross. */
  #fooled(values: ArrayLike<number>, { goal, index, enough }: Wanted, before: ArrayLike<number>): boolean | null {
    if (enough !== undefined) return values[index] >= enough;
    if (this.#other) return null;
    if (typeof goal === "number") return this.#predicted(values) !== goal;
    if ("towards" in goal) return this.#predicted(values) === goal.towards && this.#predicted(before) !== goal.towards;
    return this.#model.output.kind === "labels" ? values[index] >= 0.5 !== before[index] >= 0.5 : null;
  }

  #said({ values, score }: Said, { index }: Wanted): FooledAnswer {
    const { kind, labels } = this.#model.output;
    if (this.#other) return { label: this.#other.text, value: score };
    const at = this.#isClass ? this.#predicted(values) : index;
    return kind === "numbers"
      ? { label: labels[at], value: values[at] }
      : { label: labels[at], probability: values[at] };
  }

  #likeliest(before: ArrayLike<number>, after: ArrayLike<number>): Likeliest[] {
    const { kind, labels } = this.#model.output;
    if (kind === "numbers" || kind === "map") return [];
    const top = (values: ArrayLike<number>) => [...labels.keys()].sort((a, b) => values[b] - values[a]).slice(0, 5);
    return [...new Set([...top(before), ...top(after)])].map((index) => ({
      label: labels[index],
      before: before[index],
      after: after[index],
    }));
  }

  /** What the attack makes of images, in whole numbers. */
  async #attack(views: readonly InputArray[], goals: readonly Goal[]): Promise<Float32Array[]> {
    const { method, norm, steps, stepSize, seed } = this.#asked;
    const originals = views.map(({ data }) => data as Float32Array);
    if (method === "deepfool") {
      const found: Float32Array[] = [];
      for (const [i, view] of views.entries()) {
        this.#asked.signal?.throwIfAborted();
        const change = await deepFool(this.#attacker, view, originals[i], { most: steps, bounded: true });
        found.push(change ? await this.#crossing(view, change, goals[i] as number) : originals[i].slice());
      }
      return found;
    }
    const epsilon = this.#asked.epsilon ?? (norm === "l2" ? 2 * Math.sqrt(originals[0].length) : 8);
    const made = await this.#attacker.perturb(
      views,
      goals,
      { method: method as AttackMethod, epsilon, norm, steps, stepSize, seed },
      this.#done,
    );
    return made.map((pixels, i) => savedWithin(originals[i], pixels, epsilon, norm));
  }

  /** A change that is as little longer as it must be to cross the border also in whole numbers. */
  async #crossing(view: InputArray, change: Float32Array, own: number): Promise<Float32Array> {
    const original = view.data as Float32Array;
    let pixels = original;
    for (const times of LONGER) {
      pixels = asSaved(original.map((value, at) => value + times * change[at]));
      const [values] = await this.#attacker.values([{ ...view, data: pixels }]);
      if (this.#predicted(values) !== own) break;
    }
    return pixels;
  }

  /** The gradient of the first answer's score for several pictures. */
  async #maps(
    view: InputArray,
    pictures: readonly Float32Array[],
    { index }: Wanted,
    before: Said,
  ): Promise<NdArrayLike[]> {
    const model = this.#model;
    const own = this.#isClass ? this.#predicted(before.values) : index;
    const target = this.#other ?? resolveOutput(model, own, { output: model.output });
    const samples = pictures.map((data) => ({ input: model.input({ ...view, data }), target }));
    return await mapGradients(
      model,
      samples,
      this.#asked,
      (gradient, { input }) => toPixels(model, gradient, input.shape, largestMagnitude).map,
    );
  }
}

/** What a model says: its probabilities or numbers, and the score of another target. */
interface Said {
  readonly values: ArrayLike<number>;
  readonly score?: number;
}
