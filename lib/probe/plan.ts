/**
 * The leanest way through a network to the layers that are asked for: batch normalisation folded into the convolution
 * before it, activations fused, what is not needed left out.
 *
 * A plan holds no tensors and changes nothing on the network: it calls the network's own layers, and folded weights live
 * only while {@linkcode execute} runs. So weights that change between two calls (training) are never stale.
 *
 * @module
 */

import type { layers, LayersModel, Tensor, Tensor1D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { callUse, traceAnySize, type Use } from "../model/graph.ts";
import type { TF } from "../runtime/backend.ts";
import { convolution } from "../runtime/core/convolution.ts";
import { normalization } from "../runtime/core/normalization.ts";
import { letOthersRun } from "../runtime/core/event_loop.ts";

/** One step: what it reads, what it makes, what it is the last to read. */
export interface Step {
  /** What reads and what it reads: of a convolution, without the normalisation and the activation behind it. */
  layer: layers.Layer;
  inputs: number[];
  output: number;
  /** Read here for the last time. */
  spent: number[];
  run: (tf: TF, inputs: Tensor[], folded: ReadonlyMap<Step, Folded>) => Tensor;
  /** The layers to fold: a convolution, and the batch normalisation behind it; or one that stands alone. */
  fold?: { convolution: layers.Layer | null; norm: layers.Layer };
  /** Of a convolution: the same on maps that bring their padding with them. */
  unpadded?: Step["run"];
  /** Of an operator that has to be waited for: what computes it where that can be done. */
  later?: (inputs: Tensor[]) => Promise<Tensor>;
}

/** A convolution's weights with the batch normalisation behind it in them; of a normalisation alone what it multiplies with and adds. */
export interface Folded {
  kernel: Tensor4D | Tensor1D;
  bias: Tensor1D;
}

/** A batch of inputs: of the input that is asked about, and of the others. */
export interface Fed {
  readonly x: Tensor;
  /** In the network's order, null at the place of `x`; absent for a network of one input. */
  readonly others?: readonly (Tensor | null)[];
}

/** A way from a network's inputs to the outputs of some of its layers. */
export interface Plan {
  steps: Step[];
  /** The network's inputs, in its order. */
  inputs: readonly number[];
  taps: number[];
  /**
   * How many numbers each tensor holds for one input: 0 for one that is only handed on in another shape, or whose shape
   * depends on the input.
   */
  floats: ReadonlyMap<number, number>;
}

/** The layers that hand on their input's numbers and hold none of their own. */
const HANDS_ON = new Set(["Flatten", "Reshape", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout"]);

function floatsOf({ layer, shape }: Use): number {
  const sides = shape.slice(1);
  if (HANDS_ON.has(layer.getClassName()) || sides.includes(null)) return 0;
  return sizeOf(sides as number[]);
}

/** The activations that tfjs fuses into a convolution. */
const FUSED = new Set(["relu", "relu6", "elu", "sigmoid"]);

type Activation = "linear" | "relu" | "relu6" | "elu" | "sigmoid";

/** The activation that a layer is, if a convolution can take it over. */
function activationOf(layer: layers.Layer): Activation | null {
  const config = layer.getConfig();
  if (layer.getClassName() === "Activation") {
    return FUSED.has(String(config["activation"])) ? config["activation"] as Activation : null;
  }
  if (layer.getClassName() !== "ReLU") return null;
  if (config["negativeSlope"] || config["threshold"]) return null;
  const most = config["maxValue"] ?? config["max_value"] ?? null;
  return most === null ? "relu" : most === 6 ? "relu6" : null;
}

/** Whether each filter of a convolution reads some of the channels only. */
const grouped = (layer: layers.Layer) => Number(layer.getConfig()["groups"] ?? 1) > 1;

/** Whether a layer is a 2-D convolution with channels last, plain or depthwise, and what its activation is. */
function convolutionOf(layer: layers.Layer): { activation: string; depthwise: boolean } | null {
  const config = layer.getConfig();
  const depthwise = layer.getClassName() === "DepthwiseConv2D";
  const plain = depthwise || (layer.getClassName() === "Conv2D" && !grouped(layer));
  return plain && config["dataFormat"] === "channelsLast"
    ? { activation: String(config["activation"]), depthwise }
    : null;
}

/** Whether a batch normalisation works channel by channel on the last axis of maps. */
function normalizesChannels(layer: layers.Layer): boolean {
  return layer.getClassName() === "BatchNormalization" && [-1, 3].includes(Number(layer.getConfig()["axis"]));
}

/** Whether a use is a batch normalisation of maps, channel by channel. */
const normalizesMaps = ({ layer, shape }: Use): boolean => shape.length === 4 && normalizesChannels(layer);

/** A layer's weight by the name it was made under, as `"kernel"`; null where it has none. */
export function weight(layer: layers.Layer, name: string): Tensor | null {
  const found = layer.weights.find(({ originalName }) => originalName.split("/").at(-1) === name);
  return found ? found.read() as Tensor : null;
}

/**
 * Plans the way to some outputs of a network.
 *
 * @param options.fold whether batch normalisations are folded: each run of the plan then makes the folded weights, which
 *   pays from a few inputs on
 * @param options.sums whether a convolution, or where it folds a normalisation that stands alone, also takes over an
 *   addition behind it, and reads what is added as its second input; @default false
 * @param options.pools what is taken over all cells of each output, so that the maps themselves need not last; @default
 *   nothing
 * @param options.passing whether outputs are looked at as soon as they are there, so that none need last; @default false
 */
export function makePlan(
  network: LayersModel,
  outputs: readonly Use[],
  { fold, sums = false, pools = [], passing = false }: {
    fold: boolean;
    sums?: boolean;
    pools?: readonly (Pooling | undefined)[];
    passing?: boolean;
  },
): Plan {
  // All that the taps need, in the order in which it can be computed, and who reads it.
  const needed: Use[] = [];
  const readers = new Map<Use, Use[]>();
  const visit = (use: Use) => {
    if (readers.has(use)) return;
    readers.set(use, []);
    for (const input of use.inputs) {
      visit(input);
      readers.get(input)!.push(use);
    }
    needed.push(use);
  };
  outputs.forEach(visit);

  const tapped = new Set(outputs);
  /** What an `Add` layer adds to a tensor, if that is one tensor of the same shape. */
  const sideOf = (sum: Use, use: Use) => {
    const [side, ...more] = sum.inputs.filter((input) => input !== use);
    const taken = sum.layer.getClassName() === "Add" && side && more.length === 0 &&
      side.shape.join() === use.shape.join() && !use.shape.slice(1).includes(null);
    return taken ? side : null;
  };
  /** The only reader of a tensor that nobody taps. */
  const onlyReader = (use: Use) => {
    const all = readers.get(use)!;
    return all.length === 1 && all[0].steps === use.steps && !tapped.has(use) ? all[0] : null;
  };

  const steps: Step[] = [];
  const done = new Set<Use>();
  const computed = new Set(needed.filter(({ inputs }) => inputs.length === 0));
  for (const use of needed) {
    if (computed.has(use) || done.has(use)) continue;
    const { layer } = use;
    const inputs = use.inputs.map(({ id }) => id);
    let output = use;
    const window = use.steps === 0 ? convolutionOf(layer) : null;
    const alone = fold && sums && normalizesMaps(use);
    if (use.steps === 0 && (alone || window?.activation === "linear")) {
      let next = onlyReader(output);
      const take = () => {
        done.add(next!);
        output = next!;
        next = onlyReader(output);
      };
      const norm = alone ? layer : fold && next && normalizesChannels(next.layer) ? next.layer : null;
      if (norm && !alone) take();
      const side = sums && next ? sideOf(next, output) : null;
      if (side && computed.has(side)) {
        inputs.push(side.id);
        take();
      }
      const activation = next && activationOf(next.layer);
      if (activation) take();
      if (norm || activation || inputs.length > 1) {
        steps.push(
          alone
            ? normalizationStep(layer, activation ?? "linear", inputs, output.id)
            : convolutionStep(layer, norm, activation ?? "linear", inputs, output.id),
        );
        computed.add(output);
        continue;
      }
    }
    computed.add(output);
    // One that rectifies itself: tfjs's own takes several operations where it is differentiated.
    if (window && !window.depthwise && (window.activation === "relu" || window.activation === "linear")) {
      steps.push(convolutionStep(layer, null, window.activation, inputs, output.id));
      continue;
    }
    steps.push({
      layer,
      inputs,
      output: output.id,
      spent: [],
      run: (tf, values) => callUse(tf, use, values),
      later: (layer as { later?: Step["later"] }).later,
      ...["Conv2D", "DepthwiseConv2D"].includes(layer.getClassName()) && !grouped(layer) && use.steps === 0 &&
        { unpadded: unpaddedConvolution(layer) },
    });
  }
  const floats = new Map(needed.map((use) => [use.id, floatsOf(use)]));
  const taps = outputs.map(({ id, layer, shape }, i) => {
    const pooling = pools[i];
    if (!pooling || shape.length < 3) return id;
    // Uses count from 0 on.
    const output = -1 - i;
    const run: Step["run"] = (tf, [maps]) => poolCells(tf, maps, pooling);
    steps.splice(steps.findIndex((step) => step.output === id) + 1, 0, {
      layer,
      inputs: [id],
      output,
      spent: [],
      run,
    });
    floats.set(output, shape.at(-1) ?? 0);
    return output;
  });
  const last = new Map<number, Step>();
  for (const step of steps) for (const id of step.inputs) last.set(id, step);
  const inputs = traceAnySize(network).inputs.map(({ id }) => id);
  const kept = new Set([...inputs, ...passing ? [] : taps]);
  for (const [id, step] of last) if (!kept.has(id)) step.spent.push(id);
  return { steps, inputs, taps, floats };
}

/** The input of a plan that `x` goes to. */
export const placeOf = ({ inputs }: Plan, { others }: { others?: readonly unknown[] }): number =>
  inputs[others?.indexOf(null) ?? 0];

/** The tensors of a plan that are made of one of them, itself among them. */
export function madeOf(plan: Plan, id: number): Set<number> {
  const found = new Set([id]);
  for (const { inputs, output } of plan.steps) if (inputs.some((input) => found.has(input))) found.add(output);
  return found;
}

/** The tensors of a batch by their ids in a plan. */
export const fedTo = (plan: Plan, { x, others }: Fed): Map<number, Tensor> =>
  new Map(plan.inputs.flatMap((id, i) => {
    const tensor = others ? others[i] ?? x : i === 0 ? x : null;
    return tensor ? [[id, tensor] as const] : [];
  }));

/** What is taken over all cells of a feature map. */
export type Pooling = "mean" | "max";

/** `[n, …cells, c]` to `[n, c]`, to be called in a tidy. As a window as large as the map, which no backend has to transpose first. */
export function poolCells(tf: TF, maps: Tensor, pooling: Pooling): Tensor {
  const [count, rows, ...rest] = maps.shape;
  const channels = rest.pop()!;
  const columns = sizeOf(rest);
  const flat = tf.reshape(maps, [count, rows, columns, channels]) as Tensor4D;
  const pool = pooling === "mean" ? tf.avgPool : tf.maxPool;
  return tf.reshape(pool(flat, [rows, columns], 1, "valid"), [count, channels]);
}

/** A convolution with what follows it, as one operation where that is possible. */
function convolve(
  layer: layers.Layer,
  pad: "same" | "valid",
  activation: Activation,
  folded: Folded | undefined,
): (tf: TF, inputs: Tensor[]) => Tensor {
  const config = layer.getConfig();
  const depthwise = layer.getClassName() === "DepthwiseConv2D";
  const window = {
    strides: config["strides"] as [number, number],
    pad,
    dilations: config["dilationRate"] as [number, number],
  };
  return (tf, [image, side]) => {
    const x = image as Tensor4D;
    const { kernel: filter, bias } = folded as { kernel: Tensor4D; bias: Tensor1D } | undefined ?? {
      kernel: weight(layer, depthwise ? "depthwise_kernel" : "kernel") as Tensor4D,
      bias: weight(layer, "bias") as Tensor1D | null ?? undefined,
    };
    if (!depthwise && bias && (activation === "linear" || activation === "relu")) {
      const rectify = activation === "relu";
      return convolution(tf, { x, filter, bias, side: side as Tensor4D | undefined }, { ...window, rectify });
    }
    const fused = depthwise ? tf.fused.depthwiseConv2d : tf.fused.conv2d;
    const parts = { x, filter, bias, ...window, dataFormat: "NHWC" as const };
    if (!side) return fused({ ...parts, activation });
    const sum = tf.add(fused({ ...parts, activation: "linear" }), side);
    return activation === "linear" ? sum : tf[activation](sum);
  };
}

/** A convolution without its padding, but with an activation of its own. */
function unpaddedConvolution(layer: layers.Layer): Step["run"] {
  const { activation } = layer as unknown as { activation: { apply(x: Tensor): Tensor } };
  const name = String(layer.getConfig()["activation"]);
  if (name === "linear" || FUSED.has(name)) {
    return (tf, inputs) => convolve(layer, "valid", name as Activation, undefined)(tf, inputs);
  }
  return (tf, inputs) => activation.apply(convolve(layer, "valid", "linear", undefined)(tf, inputs));
}

function convolutionStep(
  layer: layers.Layer,
  norm: layers.Layer | null,
  activation: Activation,
  inputs: number[],
  output: number,
): Step {
  const runPadded = (pad: "same" | "valid"): Step["run"] => (tf, inputs, folded) =>
    convolve(layer, pad, activation, folded.get(step))(tf, inputs);
  const step: Step = {
    layer,
    inputs,
    output,
    spent: [],
    run: runPadded(layer.getConfig()["padding"] as "same" | "valid"),
    unpadded: runPadded("valid"),
  };
  if (norm) step.fold = { convolution: layer, norm };
  return step;
}

/** A normalisation that stands alone, with what follows it. */
function normalizationStep(
  layer: layers.Layer,
  activation: Activation,
  inputs: number[],
  output: number,
): Step {
  const rectify = activation === "relu";
  const step: Step = {
    layer,
    inputs,
    output,
    spent: [],
    run: (tf, [x, side], folded) => {
      const { kernel: scale, bias: shift } = folded.get(step) as { kernel: Tensor1D; bias: Tensor1D };
      const all = { x: x as Tensor4D, scale, shift, side: side as Tensor4D | undefined };
      const sum = normalization(tf, all, rectify);
      return activation === "linear" || rectify ? sum : tf[activation](sum);
    },
    fold: { convolution: null, norm: layer },
  };
  return step;
}

/**
 * Makes the folded weights of a plan and puts them into `folded`; all of them, or none if it throws. The vectors of the
 * batch normalisations are worked on as one, because they are many and small.
 */
export function foldAll(tf: TF, plan: Plan, folded: Map<Step, Folded>): void {
  const steps = plan.steps.filter(({ fold }) => fold);
  if (steps.length === 0) return;
  const weights = tf.tidy(() => {
    const folds = steps.map(({ fold }) => fold!);
    const channels = folds.map(({ norm }) => weight(norm, "moving_variance")!.size);
    const all = (name: string, missing: number, of: "convolution" | "norm" = "norm") =>
      tf.concat(folds.map((fold, i) => (fold[of] && weight(fold[of], name)) ?? tf.fill([channels[i]], missing)));
    const epsilons = folds.flatMap(({ norm }, i) => Array(channels[i]).fill(Number(norm.getConfig()["epsilon"])));
    const scale = tf.mul(tf.rsqrt(tf.add(all("moving_variance", 0), tf.tensor1d(epsilons))), all("gamma", 1));
    const shift = tf.sub(all("bias", 0, "convolution"), all("moving_mean", 0));
    const biases = tf.split(tf.add(tf.mul(shift, scale), all("beta", 0)), channels);
    const scales = tf.split(scale, channels);
    return folds.map(({ convolution }, i) => {
      if (!convolution) return { kernel: scales[i], bias: biases[i] };
      const depthwise = convolution.getClassName() === "DepthwiseConv2D";
      const kernel = weight(convolution, depthwise ? "depthwise_kernel" : "kernel") as Tensor4D;
      // A depthwise kernel is [h, w, channels, multiplier]; its outputs are numbered channel by channel.
      const shaped = depthwise ? tf.reshape(scales[i], [kernel.shape[2], kernel.shape[3]]) : scales[i];
      return { kernel: tf.mul(kernel, shaped), bias: biases[i] };
    }) as never;
  }) as Folded[];
  steps.forEach((step, i) => folded.set(step, weights[i]));
}

/**
 * A plan as a function to differentiate: no batch normalisation on the way back, either. The folded weights live while
 * `use` runs, which is synchronous.
 *
 * @param use receives the function from a batch to the outputs of the taps, which `tf.valueAndGrad` may call
 * @param others what goes to the network's other inputs
 *
 * @example
 * ```ts
 * import { loadModel } from "@convlens/convlens";
 * import { traceAnySize } from "../model/graph.ts";
 * import { inputGradient } from "./gradient.ts";
 * import { makePlan, withPlan } from "./plan.ts";
 * import { ensureBackend } from "../runtime/backend.ts";
 *
 * const tf = await ensureBackend();
 * const { network } = await loadModel("cifar-convnet");
 * const plan = makePlan(network, traceAnySize(network).outputs, { fold: true });
 * const batch = tf.zeros([1, 32, 32, 3]);
 * const { value, gradient } = withPlan(tf, plan, (f) => inputGradient(tf, (x) => tf.sum(f(x)[0]), batch));
 * ```
 */
export function withPlan<T>(
  tf: TF,
  plan: Plan,
  use: (f: (x: Tensor) => Tensor[]) => T,
  others?: Fed["others"],
): T {
  const folded = new Map<Step, Folded>();
  try {
    foldAll(tf, plan, folded);
    return use((x) => {
      const values = fedTo(plan, { x, others });
      for (const step of plan.steps) {
        values.set(step.output, step.run(tf, step.inputs.map((id) => values.get(id)!), folded));
      }
      return plan.taps.map((id) => values.get(id)!);
    });
  } finally {
    for (const { kernel, bias } of folded.values()) tf.dispose([kernel, bias]);
  }
}

/**
 * Follows a plan from tensors that are known to its taps; what is not needed is not computed.
 *
 * @param given tensors of the plan by their ids; at least what every way to the taps goes through
 * @param folded the weights of folded steps, if the plan has any
 */
export function along(
  tf: TF,
  plan: Plan,
  given: ReadonlyMap<number, Tensor>,
  folded: ReadonlyMap<Step, Folded> = new Map(),
): Tensor[] {
  const needed = new Set(plan.taps);
  const way: Step[] = [];
  for (const step of plan.steps.toReversed()) {
    if (!needed.has(step.output) || given.has(step.output)) continue;
    way.push(step);
    for (const id of step.inputs) needed.add(id);
  }
  const values = new Map(given);
  for (const step of way.toReversed()) {
    values.set(step.output, step.run(tf, step.inputs.map((id) => values.get(id)!), folded));
  }
  return plan.taps.map((id) => values.get(id)!);
}

/**
 * Runs batches along a plan.
 *
 * @param batches makes the tensors of each batch in turn; they are disposed here
 * @param receive takes the outputs of the taps of each batch; they are disposed afterwards
 * @param signal stops between two steps of a batch
 * @param look is given each tap's output as soon as it is there, for a plan whose outputs pass; `receive` gets none then
 */
export async function execute(
  tf: TF,
  plan: Plan,
  batches: Iterable<() => Fed>,
  receive: (outputs: readonly Tensor[]) => Promise<void>,
  signal?: AbortSignal,
  look?: (tap: number, output: Tensor) => Promise<void>,
): Promise<void> {
  const folded = new Map<Step, Folded>();
  const live = new Map<number, Tensor>();
  const lookAt = async (id: number) => {
    for (const [tap, of] of plan.taps.entries()) if (look && of === id) await look(tap, live.get(id)!);
  };
  try {
    foldAll(tf, plan, folded);
    for (const make of batches) {
      for (const [id, tensor] of fedTo(plan, make())) live.set(id, tensor);
      for (const id of plan.inputs) await lookAt(id);
      for (const step of plan.steps) {
        const inputs = step.inputs.map((id) => live.get(id)!);
        live.set(step.output, await step.later?.(inputs) ?? tf.tidy(() => step.run(tf, inputs, folded)));
        await lookAt(step.output);
        for (const id of step.spent) {
          // A layer may hand its input on (dropout does); it lives as long as anyone holds it.
          const tensor = live.get(id)!;
          live.delete(id);
          if (![...live.values()].includes(tensor)) tensor.dispose();
        }
        await letOthersRun();
        signal?.throwIfAborted();
      }
      await receive(look ? [] : plan.taps.map((id) => live.get(id)!));
      tf.dispose([...new Set(live.values())]);
      live.clear();
    }
  } finally {
    tf.dispose([...new Set(live.values())]);
    for (const { kernel, bias } of folded.values()) tf.dispose([kernel, bias]);
  }
}
