/**
 * How well a network does on images with known classes, and what its layers do meanwhile.
 *
 * @module
 */

import { type NdArray, ndarray, sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import { endingOf, headOf, SOFT } from "../../model/ending.ts";
import { entryOf, traceAnySize } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { pack } from "../batches.ts";
import { planTo } from "../forward.ts";
import { execute, type Fed, makePlan } from "../plan.ts";
import { imageLossAndScore } from "./targets.ts";
import { lossKind } from "./training_pass.ts";

/** How well a network does. */
export interface Evaluation {
  /** Mean cross-entropy; of numbers the mean of the squared errors. */
  loss: number;
  /** The share that is right: of images, of single labels, of places; of numbers the mean of the errors' magnitudes. */
  score: number;
}

/** What a layer's maps did on some images. */
export interface LayerState {
  layer: string;
  /** Share of values that are exactly 0. */
  sparsity: number;
  /** Share of channels that are 0 for every image. */
  dead: number;
  /** What it put out for the first image, if that was asked for. */
  maps?: NdArray;
}

/** How many images run at once: those that are classified, and those of which every layer is read. */
const BATCH = 64;
const WATCHED_BATCH = 16;

/** Makes a tensor of each batch of inputs. */
function* batchesOf(
  tf: TF,
  inputs: Iterable<InputArray>,
  size: number,
  signal?: AbortSignal,
): Generator<() => Fed> {
  let batch: InputArray[] = [];
  const waiting = (inputs: readonly InputArray[]) => () => pack(tf, inputs);
  for (const input of inputs) {
    signal?.throwIfAborted();
    batch.push(input);
    if (batch.length < size) continue;
    yield waiting(batch);
    batch = [];
  }
  if (batch.length) yield waiting(batch);
}

/**
 * Mean loss and score over images.
 *
 * @param output what is trained
 * @param inputs what `model.input` returned, one after the other
 * @param targetOf what is true of an image
 */
export async function evaluate(
  model: Model,
  output: ModelOutput,
  inputs: Iterable<InputArray>,
  targetOf: (index: number) => Float32Array,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Evaluation> {
  const tf = await ensureBackend();
  const kind = lossKind(output);
  const plan = makePlan(model.network, [traceAnySize(model.network).outputs[output.index]], { fold: true });
  let loss = 0;
  let score = 0;
  let done = 0;
  await execute(tf, plan, batchesOf(tf, inputs, BATCH, signal), async ([outputs]) => {
    const [count] = outputs.shape;
    const values = await outputs.data() as Float32Array;
    const each = values.length / count;
    for (let i = 0; i < count; i++) {
      const own = imageLossAndScore(output, kind, values.subarray(i * each, (i + 1) * each), targetOf(done + i));
      loss += own.loss;
      score += own.score;
    }
    done += count;
    await new Promise((resolve) => setTimeout(resolve, 0));
  });
  return { loss: loss / done, score: score / done };
}

/** The layers whose outputs show how training goes: after their activations, poolings too, the last layer left out. */
export function watchedLayers({ network, output }: Model): string[] {
  const last = new Set([
    network.outputs[output.index].sourceLayer,
    ...headOf(network, output.head).ends.map(({ layer }) => layer),
  ]);
  const activations = /^(Activation|ReLU|LeakyReLU|PReLU|ELU|ThresholdedReLU)$/;
  const own = network.layers.map((layer) => entryOf(network, layer.name));
  return own.filter(({ layer, use, isModel }) => {
    const kind = layer.getClassName();
    if (last.has(layer) || (use.shape.length !== 4 && use.shape.length !== 2)) return false;
    const behind = layer.outboundNodes.some(({ outboundLayer }) =>
      last.has(outboundLayer) && /^(Softmax|Activation)$/.test(outboundLayer.getClassName())
    );
    if (behind) return false;
    if (activations.test(kind) || /Pooling2D$/.test(kind)) return true;
    // A linear convolution is watched at the activation behind it; a softmax is an output.
    const activation = isModel ? endingOf(use).activation : String(layer.getConfig()["activation"] ?? "linear");
    return (isModel || /Conv2D|Dense/.test(kind)) && activation !== "linear" && !SOFT.test(activation);
  }).map(({ name }) => name);
}

/** What layers do on some images. */
export async function observe(
  model: Model,
  inputs: readonly InputArray[],
  layers: readonly string[],
  keep: boolean,
): Promise<LayerState[]> {
  if (layers.length === 0) return [];
  const tf = await ensureBackend();
  const states = layers.map(() => ({
    zeros: 0,
    values: 0,
    alive: new Uint8Array(0),
    maps: undefined as NdArray | undefined,
  }));
  await execute(tf, planTo(model.network, layers, false), batchesOf(tf, inputs, WATCHED_BATCH), async (outputs) => {
    for (const [i, output] of outputs.entries()) {
      const values = await output.data() as Float32Array;
      const channels = output.shape.at(-1)!;
      const state = states[i];
      if (state.alive.length === 0) state.alive = new Uint8Array(channels);
      const { alive } = state;
      let zeros = 0;
      for (let at = 0; at < values.length; at += channels) {
        for (let c = 0; c < channels; c++) {
          const zero = Number(values[at + c] === 0);
          zeros += zero;
          alive[c] |= 1 - zero;
        }
      }
      state.zeros += zeros;
      state.values += values.length;
      if (keep && !state.maps) {
        const shape = output.shape.slice(1) as number[];
        state.maps = ndarray(values.slice(0, sizeOf(shape)), shape);
      }
    }
  });
  return states.map(({ zeros, values, alive, maps }, i) => ({
    layer: layers[i],
    sparsity: zeros / values,
    dead: alive.reduce((sum, one) => sum + 1 - one, 0) / alive.length,
    ...(maps && { maps }),
  }));
}
