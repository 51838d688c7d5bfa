/**
 * What units are used for: of each unit its activation times the gradient of a target's score to it, cell by cell.
 *
 * To first order that is by how much the score would fall without the activation (Molchanov et al., "Pruning Convolutional
 * Neural Networks for Resource Efficient Inference", 2017, §2.2, which takes its magnitude).
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { InputArray } from "../../data/given.ts";
import { throwIfInterrupted } from "../../interrupt.ts";
import type { Model } from "../../model/model.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { withTape } from "../../runtime/gradients/tape.ts";
import { resolveForImages } from "./inputs.ts";
import { ScoreFunction } from "./score_function.ts";
import { checkInputs, missingOf, pack, shapesText, tensorsOf } from "../batches.ts";
import { type ForwardOptions, useOf } from "../forward.ts";
import { fitting } from "../memory.ts";
import { type Fed, fedTo, foldAll, type Folded, makePlan, type Plan, type Step } from "../plan.ts";
import { type Candidates, joined, rowsFor, strongestOf, type StrongestWanted, unitsOf } from "../strongest.ts";
import type { ResolvedTarget, Target } from "../target.ts";
import type { StreamedInputs } from "../../model/inputs.ts";

/** Some inputs of one shape at a time. */
async function* groups(inputs: StreamedInputs, most: () => number): AsyncGenerator<InputArray[]> {
  let group: InputArray[] = [];
  for await (const input of inputs) {
    const ends = group.length > 0 && (group.length >= most() || shapesText(group[0]) !== shapesText(input));
    if (ends) {
      yield group;
      group = [];
    }
    group.push(input);
  }
  if (group.length > 0) yield group;
}

/** The way to the outputs that a target's score is read from, and past the layers that are looked at. */
class Relevance {
  readonly #folded = new Map<Step, Folded>();
  readonly #score: ScoreFunction;
  readonly plan: Plan;

  constructor(readonly tf: TF, readonly model: Model, readonly layers: readonly string[], target: ResolvedTarget) {
    this.#score = new ScoreFunction(tf, model, target, true);
    const uses = layers.map((layer) => useOf(model.network, layer));
    this.plan = makePlan(model.network, [...this.#score.outputs, ...uses], { fold: true, sums: true });
    foldAll(tf, this.plan, this.#folded);
  }

  dispose(): void {
    for (const { kernel, bias } of this.#folded.values()) this.tf.dispose([kernel, bias]);
  }

  /** The outputs of the plan where each layer's output is replaced by what `at` makes of it. */
  #follow(batch: Fed, at: (layer: number, output: Tensor) => Tensor): Tensor[] {
    const { tf, plan } = this;
    const taps = plan.taps.slice(this.#score.outputs.length);
    const values = fedTo(plan, batch);
    const look = (id: number) => {
      taps.forEach((tap, layer) => tap === id && values.set(id, at(layer, values.get(id)!)));
    };
    for (const id of values.keys()) look(id);
    for (const step of plan.steps) {
      throwIfInterrupted();
      values.set(step.output, step.run(tf, step.inputs.map((id) => values.get(id)!), this.#folded));
      look(step.output);
    }
    return plan.taps.map((id) => values.get(id)!);
  }

  /**
   * The activations of each layer and the gradient of the sum of the scores to them; the caller disposes of them.
   *
   * @param shapes of each layer's output
   */
  differentiate(batch: Fed, targets: readonly ResolvedTarget[], shapes: readonly number[][]): [Tensor, Tensor][] {
    const { tf } = this;
    const maps: Tensor[] = [];
    const count = this.#score.outputs.length;
    // The gradient to what is added to an output is the gradient to the output.
    const score = (...added: Tensor[]) => {
      const outputs = this.#follow(batch, (layer, output) => {
        maps[layer] = tf.keep(tf.clone(output));
        return tf.add(output, added[layer]);
      });
      return tf.sum(this.#score.score(outputs.slice(0, count), targets));
    };
    try {
      const gradients = withTape(tf, () =>
        tf.tidy(() => {
          const { grads } = tf.valueAndGrads(score as never)(shapes.map((shape) => tf.zeros(shape)));
          const without = grads.findIndex((gradient) => !gradient);
          if (without >= 0) {
            throw new RangeError(
              `The score of ${targets[0].text} does not depend on layer ${
                JSON.stringify(this.layers[without])
              }: rank ` +
                `its units by "activation", or name a layer before the target.`,
            );
          }
          return grads;
        }));
      return gradients.map((gradient, i) => [maps[i], gradient]);
    } catch (error) {
      tf.dispose(maps);
      // What tfjs says where none of the layers leads to the score.
      const none = error instanceof Error && /encloses all operations that lead from x to y/.test(error.message);
      throw none ? this.#unrelated(targets[0], this.layers[0]) : error;
    }
  }

  #unrelated({ text }: ResolvedTarget, layer: string): RangeError {
    return new RangeError(
      `The score of ${text} does not depend on layer ${
        JSON.stringify(layer)
      }: rank its units by "activation", or name a ` +
        `layer before the target.`,
    );
  }
}

/**
 * Walks inputs, and hands over batch by batch the cells where units are most relevant to a target.
 *
 * @param layers names of layers
 * @param target what is asked about each image; `"predicted"` is looked up for each
 * @param receive called with what is found in each batch, and of how many inputs that is
 * @throws {RangeError} if a layer does not exist, or the target does not depend on it
 */
export async function relevantEach(
  model: Model,
  inputs: StreamedInputs,
  layers: readonly string[],
  target: Target,
  wanted: StrongestWanted,
  receive: (found: Candidates, count: number) => void | Promise<void>,
  { batchSize = 16, signal, onProgress }: ForwardOptions = {},
): Promise<void> {
  const size = checkInputs(model, inputs, layers, { batchSize });
  const tf = await ensureBackend();
  const rows = rowsFor(tf, batchSize, model.inputShape.includes(null));
  let relevance: Relevance | undefined;
  let done = 0;
  try {
    const most = () => rows ?? (relevance ? fitting(tf, relevance.plan, batchSize, { gradient: true }) : 1);
    for await (const group of groups(inputs, most)) {
      signal?.throwIfAborted();
      const count = group.length;
      while (rows && group.length < rows) group.push(group[count - 1]);
      const pairs = group.map((input) => ({ name: "", view: input, input, wanted: target }));
      const targets = (await resolveForImages(model, pairs, { batchSize, signal })).map(({ target }) => target);
      relevance ??= new Relevance(tf, model, layers, targets[0]);
      const found: Candidates[] = [];
      const batch = pack(tf, group);
      const made: Tensor[] = tensorsOf(batch);
      try {
        const shapes = layers.map((layer) => [group.length, ...model.shapeOf(layer, group[0].shape) as number[]]);
        const each = relevance.differentiate(batch, targets, shapes);
        made.push(...each.flat());
        for (const [layer, [maps, gradient]] of each.entries()) {
          const { directions } = wanted.units[layer];
          const activations = tf.tidy(() => unitsOf(tf, maps, directions));
          made.push(activations);
          const values = tf.tidy(() => tf.mul(activations, unitsOf(tf, gradient, directions)));
          made.push(values);
          found.push(await strongestOf(tf, values, wanted, layer, count, activations));
        }
      } finally {
        tf.dispose(made);
      }
      await receive(joined(found), count);
      done += count;
      onProgress?.(done + missingOf(inputs), size);
    }
  } finally {
    relevance?.dispose();
  }
}
