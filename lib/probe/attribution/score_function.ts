/**
 * The score of a target as a function of the network's input: what attribution methods differentiate.
 *
 * Of a class it is the number before the last softmax or sigmoid (Simonyan et al. 2013, §3: the unnormalised class score;
 * Captum's users feed networks that end there), of a number of the output the number itself, of a unit its activation, of a direction the dot product with the
 * activations at one cell, of a function what it returns, of a weighted sum the weighted sum of these.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type Head, headOf } from "../../model/ending.ts";
import { traceAnySize, type Use } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import type { TF } from "../../runtime/backend.ts";
import { along, type Fed, fedTo, foldAll, type Folded, makePlan, type Plan, type Step } from "../plan.ts";
import { outputFor, type OutputTarget, placeWeights } from "../output_target.ts";
import { type FunctionTarget, isOutput, type ResolvedTarget, type SingleTarget, termsOf } from "../target.ts";

/** Where in a network a target's score is read: targets of one source share a plan. */
const sourceOf = (target: SingleTarget): string =>
  target.kind === "unit" || target.kind === "direction"
    ? `layer ${target.layer}`
    : `${isOutput(target) ? "output" : "function"} ${target.output ?? ""}`;

/** What of all cells of a map is the score; undefined for targets at one cell, and for outputs. */
const overCells = (target: SingleTarget) =>
  target.kind === "unit" || target.kind === "direction" ? target.cell ? undefined : target.over : undefined;

/** The function from a batch of inputs to the scores of their targets, which are all of one kind. */
export class ScoreFunction {
  readonly plan: Plan;
  /** What the scores are made of, each once. */
  readonly outputs: readonly Use[];
  readonly #folded = new Map<Step, Folded>();
  readonly #model: Model;
  /** The heads of the outputs that targets belong to. */
  readonly #heads = new Map<string, Head>();
  /** The indices in `outputs` of what each source reads. */
  readonly #sources = new Map<string, readonly number[]>();

  /** @param fold whether batch normalisations are folded into convolutions; then {@linkcode fold} must be called */
  constructor(readonly tf: TF, model: Model, target: ResolvedTarget, fold: boolean) {
    const { network } = model;
    this.#model = model;
    const terms = termsOf(target).map((term) => term.target);
    const outputs: Use[] = [];
    for (const term of terms) {
      if (isOutput(term)) this.#heads.set(sourceOf(term), headOf(network, outputFor(model, term).head));
      const read = isOutput(term)
        ? this.#heads.get(sourceOf(term))!.taps
        : term.kind === "function"
        ? [traceAnySize(network).outputs[outputFor(model, term).index]]
        : [model.entry(term.layer).use];
      this.#sources.set(
        sourceOf(term),
        read.map((use) => {
          const at = outputs.indexOf(use);
          return at < 0 ? outputs.push(use) - 1 : at;
        }),
      );
    }
    this.outputs = outputs;
    this.plan = makePlan(network, outputs, { fold, sums: true });
  }

  /** Targets of one key share a score function. */
  static key(target: ResolvedTarget): string {
    return termsOf(target).map((term) => sourceOf(term.target)).join(" + ");
  }

  /** Folds the weights of the plan, which {@linkcode dispose} frees. */
  fold(): void {
    foldAll(this.tf, this.plan, this.#folded);
  }

  dispose(): void {
    for (const { kernel, bias } of this.#folded.values()) this.tf.dispose([kernel, bias]);
  }

  /** The values of `outputs` for a batch of inputs. */
  run(batch: Fed): Tensor[] {
    return along(this.tf, this.plan, fedTo(this.plan, batch), this.#folded);
  }

  /** The scores of a target's output, `[n, count]`; of maps `[n, cells · count]`. */
  outputScores(outputs: readonly Tensor[], target: OutputTarget): Tensor {
    const source = sourceOf(target);
    return this.#heads.get(source)!.scores(this.tf, this.#sources.get(source)!.map((at) => outputs[at]));
  }

  /** The score of each item's target, `[n]`. */
  score(outputs: readonly Tensor[], targets: readonly ResolvedTarget[]): Tensor {
    const { tf } = this;
    const items = targets.map(termsOf);
    const sums = items[0].map((_, i) => {
      const own = items.map((terms) => terms[i]);
      const scores = this.#scoreOf(outputs, own.map(({ target }) => target));
      return own.every(({ weight }) => weight === 1)
        ? scores
        : tf.mul(scores, tf.tensor1d(own.map(({ weight }) => weight)));
    });
    return sums.reduce((sum, scores) => tf.add(sum, scores));
  }

  /** The scores of targets of one source. */
  #scoreOf(outputs: readonly Tensor[], targets: readonly SingleTarget[]): Tensor {
    const { tf } = this;
    const output = outputs[this.#sources.get(sourceOf(targets[0]))![0]];
    if (targets[0].kind === "function") {
      return tf.concat(targets.map((target, i) => this.#apply(target as FunctionTarget, output, i)));
    }
    if (overCells(targets[0])) return this.#overCells(output, targets);
    const all = isOutput(targets[0]) ? this.#ofEach(outputs, targets[0]) : output;
    const flat = tf.reshape(all, [targets.length, -1]);
    const size = flat.shape[1]!;
    const sides = all.shape.slice(1, -1);
    const channels = sides.length ? all.shape.at(-1)! : 0;
    const weights = new Float32Array(targets.length * size);
    targets.forEach((target, i) => {
      if (isOutput(target)) {
        const places = placeWeights(target) ?? [1];
        const count = size / places.length;
        places.forEach((weight, cell) => weights[i * size + cell * count + target.index] = weight);
      } else if (target.kind !== "function") {
        const cell = target.cell?.reduce((at, place, axis) => at * sides[axis] + place, 0) ?? 0;
        const start = i * size + cell * channels;
        if (target.kind === "unit") weights[start + target.channel] = 1;
        else weights.set(target.direction, start);
      }
    });
    return tf.sum(tf.mul(flat, tf.tensor2d(weights, [targets.length, size])), 1);
  }

  /** The scores of units and directions over all cells of their maps: the mean, or the largest. */
  #overCells(maps: Tensor, targets: readonly SingleTarget[]): Tensor {
    const { tf } = this;
    const n = targets.length;
    const channels = maps.shape.at(-1)!;
    const weights = new Float32Array(n * channels);
    targets.forEach((target, i) => {
      if (target.kind === "unit") weights[i * channels + target.channel] = 1;
      else if (target.kind === "direction") weights.set(target.direction, i * channels);
    });
    const cells = tf.sum(tf.mul(tf.reshape(maps, [n, -1, channels]), tf.tensor3d(weights, [n, 1, channels])), 2);
    return overCells(targets[0]) === "mean" ? tf.mean(cells, 1) : tf.max(cells, 1);
  }

  /** The scores of all that can be asked for: one number for two classes is also minus the score of class 0. */
  #ofEach(outputs: readonly Tensor[], target: OutputTarget): Tensor {
    const { tf } = this;
    const { each, logits } = outputFor(this.#model, target);
    const scores = this.outputScores(outputs, target);
    if (each !== "binary") return scores;
    return tf.stack([logits ? tf.neg(scores) : tf.sub(1, scores), scores], 2);
  }

  #apply(target: FunctionTarget, outputs: Tensor, index: number): Tensor {
    const { tf } = this;
    const own = tf.slice(outputs, [index], [1]);
    const value = target.of(own);
    if (!(value instanceof tf.Tensor)) {
      throw new TypeError(`A target's function returns a tensor of one number: received ${typeof value}.`);
    }
    if (value.size !== 1) {
      throw new TypeError(
        `A target's function returns a tensor of one number: received one of shape [${value.shape}]. ` +
          `Pick one of its numbers, or sum them.`,
      );
    }
    return tf.reshape(value, [1]);
  }
}
