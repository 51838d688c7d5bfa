/**
 * The leanest way through a network to the layers that are asked for: batch normalisation folded into the convolution
 * before it, activations fused, what is not needed left out.
 *
 * A plan holds no tensors and changes nothing on the network: it calls the network's own layers, and folded weights live
 * only while {@linkcode execute} runs. So weights that change between two calls (training) are never stale.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor, Tensor, Tensor1D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import type { TF } from "../runtime/backend.ts";

/** One step: what it reads, what it makes, what it is the last to read. */
interface Step {
  inputs: number[];
  output: number;
  /** Read here for the last time. */
  spent: number[];
  run: (tf: TF, inputs: Tensor[], folded: ReadonlyMap<Step, Folded>) => Tensor;
  fold?: () => Folded;
}

/** A convolution's weights with the batch normalisation behind it in them. */
interface Folded {
  kernel: Tensor4D;
  bias: Tensor1D;
}

/** A way from a network's input to the outputs of some of its layers. */
export interface Plan {
  steps: Step[];
  input: number;
  taps: number[];
  /**
   * How many numbers each tensor holds for one input: 0 for one that is only handed on in another shape, or whose shape
   * depends on the input.
   */
  floats: ReadonlyMap<number, number>;
}

/** The layers that hand on their input's numbers and hold none of their own. */
const HANDS_ON = new Set(["Flatten", "Reshape", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout"]);

function floatsOf({ sourceLayer, shape }: SymbolicTensor): number {
  const sides = shape.slice(1);
  if (HANDS_ON.has(sourceLayer.getClassName()) || sides.includes(null)) return 0;
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
  const most = config["maxValue"] ?? config["max_value"] ?? null;
  return most === null ? "relu" : most === 6 ? "relu6" : null;
}

/** Whether a layer is a 2-D convolution, plain or depthwise, that other layers can be folded into. */
function foldable(layer: layers.Layer): boolean {
  const config = layer.getConfig();
  const kind = layer.getClassName();
  // The depthwise layer of tfjs passes its dilation over; what it really computes is left to it.
  const plain = kind === "Conv2D" ||
    (kind === "DepthwiseConv2D" && [config["dilationRate"]].flat().every((dilation) => dilation === 1));
  return plain && config["activation"] === "linear" && config["dataFormat"] === "channelsLast";
}

/** Whether a batch normalisation works channel by channel on the last axis of maps. */
function normalizesChannels(layer: layers.Layer): boolean {
  return layer.getClassName() === "BatchNormalization" && [-1, 3].includes(Number(layer.getConfig()["axis"]));
}

/** A layer's weight by the name it was made under, as `"kernel"`; null where it has none. */
function weight(layer: layers.Layer, name: string): Tensor | null {
  const found = layer.weights.find(({ originalName }) => originalName.split("/").at(-1) === name);
  return found ? found.read() as Tensor : null;
}

function foldInto(convolution: layers.Layer, norm: layers.Layer): Folded {
  const depthwise = convolution.getClassName() === "DepthwiseConv2D";
  const kernel = weight(convolution, depthwise ? "depthwise_kernel" : "kernel") as Tensor4D;
  const variance = weight(norm, "moving_variance") as Tensor1D;
  const mean = weight(norm, "moving_mean") as Tensor1D;
  let scale = variance.add(Number(norm.getConfig()["epsilon"])).rsqrt();
  const gamma = weight(norm, "gamma");
  if (gamma) scale = scale.mul(gamma);
  const before = weight(convolution, "bias");
  let bias = (before ? before.sub(mean) : mean.neg()).mul(scale);
  const beta = weight(norm, "beta");
  if (beta) bias = bias.add(beta);
  // A depthwise kernel is [h, w, channels, multiplier]; its outputs are numbered channel by channel.
  const shaped = depthwise ? scale.reshape([kernel.shape[2], kernel.shape[3]]) : scale;
  return { kernel: kernel.mul(shaped), bias: bias as Tensor1D };
}

/** The single tensor that a layer's call returns. */
function single(result: Tensor | Tensor[]): Tensor {
  return Array.isArray(result) ? result[0] : result;
}

/**
 * Plans the way to some outputs of a network.
 *
 * @param options.fold whether batch normalisations are folded: each run of the plan then makes the folded weights, which
 *   pays from a few inputs on
 */
export function makePlan(
  network: LayersModel,
  outputs: readonly SymbolicTensor[],
  { fold }: { fold: boolean },
): Plan {
  const node = (tensor: SymbolicTensor) => tensor.sourceLayer.inboundNodes[tensor.nodeIndex];
  const isInput = (tensor: SymbolicTensor) => network.inputs.some(({ id }) => id === tensor.id);

  // All that the taps need, in the order in which it can be computed, and who reads it.
  const needed: SymbolicTensor[] = [];
  const readers = new Map<number, SymbolicTensor[]>();
  const visit = (tensor: SymbolicTensor) => {
    if (readers.has(tensor.id)) return;
    readers.set(tensor.id, []);
    if (!isInput(tensor)) {
      for (const input of node(tensor).inputTensors) {
        visit(input);
        readers.get(input.id)!.push(tensor);
      }
    }
    needed.push(tensor);
  };
  outputs.forEach(visit);

  const tapped = new Set(outputs.map(({ id }) => id));
  /** The only reader of a tensor that nobody taps. */
  const onlyReader = (tensor: SymbolicTensor) => {
    const all = readers.get(tensor.id)!;
    return all.length === 1 && !tapped.has(tensor.id) ? all[0] : null;
  };

  const steps: Step[] = [];
  const done = new Set<number>();
  for (const tensor of needed) {
    if (isInput(tensor) || done.has(tensor.id)) continue;
    const layer = tensor.sourceLayer;
    const inputs = node(tensor).inputTensors.map(({ id }) => id);
    let output = tensor;
    if (foldable(layer)) {
      let next = onlyReader(output);
      const norm = fold && next && normalizesChannels(next.sourceLayer) ? next.sourceLayer : null;
      if (norm) {
        done.add(next!.id);
        output = next!;
        next = onlyReader(output);
      }
      const activation = next && activationOf(next.sourceLayer);
      if (activation) {
        done.add(next!.id);
        output = next!;
      }
      if (norm || activation) {
        steps.push(convolutionStep(layer, norm, activation ?? "linear", inputs, output.id));
        continue;
      }
    }
    steps.push({
      inputs,
      output: output.id,
      spent: [],
      run: (_tf, values) => single(layer.call(values.length === 1 ? values[0] : values, { training: false })),
    });
  }
  const last = new Map<number, Step>();
  for (const step of steps) for (const id of step.inputs) last.set(id, step);
  const input = network.inputs[0].id;
  for (const [id, step] of last) if (!tapped.has(id) && id !== input) step.spent.push(id);
  const floats = new Map(needed.map((tensor) => [tensor.id, floatsOf(tensor)]));
  return { steps, input, taps: outputs.map(({ id }) => id), floats };
}

function convolutionStep(
  layer: layers.Layer,
  norm: layers.Layer | null,
  activation: Activation,
  inputs: number[],
  output: number,
): Step {
  const config = layer.getConfig();
  const depthwise = layer.getClassName() === "DepthwiseConv2D";
  const step: Step = {
    inputs,
    output,
    spent: [],
    run(tf, [x], folded) {
      const { kernel, bias } = folded.get(step) ?? {
        kernel: weight(layer, depthwise ? "depthwise_kernel" : "kernel") as Tensor4D,
        bias: weight(layer, "bias") as Tensor1D | null ?? undefined,
      };
      const convolve = depthwise ? tf.fused.depthwiseConv2d : tf.fused.conv2d;
      return convolve({
        x: x as Tensor4D,
        filter: kernel,
        strides: config["strides"] as [number, number],
        pad: config["padding"] as "same" | "valid",
        dataFormat: "NHWC",
        dilations: config["dilationRate"] as [number, number],
        bias,
        activation,
      });
    },
  };
  if (norm) step.fold = () => foldInto(layer, norm);
  return step;
}

/** Makes the folded weights of a plan, one after the other, so that a failure leaves those that were made. */
function foldAll(tf: TF, plan: Plan, folded: Map<Step, Folded>): void {
  for (const step of plan.steps) {
    if (step.fold) folded.set(step, tf.tidy(() => step.fold!() as never) as Folded);
  }
}

/**
 * A plan as a function to differentiate: no batch normalisation on the way back, either. The folded weights live while
 * `use` runs, which is synchronous.
 *
 * @param use receives the function from a batch to the outputs of the taps, which `tf.valueAndGrad` may call
 *
 * @example
 * ```ts
 * const { value, gradient } = withPlan(tf, plan, (f) => inputGradient(tf, (x) => tf.sum(f(x)[0]), batch));
 * ```
 */
export function withPlan<T>(tf: TF, plan: Plan, use: (f: (x: Tensor) => Tensor[]) => T): T {
  const folded = new Map<Step, Folded>();
  try {
    foldAll(tf, plan, folded);
    return use((x) => {
      const values = new Map([[plan.input, x]]);
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
 * Runs batches along a plan.
 *
 * @param batches makes the tensor of each batch in turn; it is disposed here
 * @param receive takes the outputs of the taps of each batch; they are disposed afterwards
 */
export async function execute(
  tf: TF,
  plan: Plan,
  batches: Iterable<() => Tensor>,
  receive: (outputs: readonly Tensor[]) => Promise<void>,
): Promise<void> {
  const folded = new Map<Step, Folded>();
  const live = new Map<number, Tensor>();
  try {
    foldAll(tf, plan, folded);
    for (const make of batches) {
      live.set(plan.input, make());
      for (const step of plan.steps) {
        const inputs = step.inputs.map((id) => live.get(id)!);
        live.set(step.output, tf.tidy(() => step.run(tf, inputs, folded)));
        for (const id of step.spent) {
          // A layer may hand its input on (dropout does); it lives as long as anyone holds it.
          const tensor = live.get(id)!;
          live.delete(id);
          if (![...live.values()].includes(tensor)) tensor.dispose();
        }
      }
      await receive(plan.taps.map((id) => live.get(id)!));
      tf.dispose([...new Set(live.values())]);
      live.clear();
    }
  } finally {
    tf.dispose([...new Set(live.values())]);
    for (const { kernel, bias } of folded.values()) tf.dispose([kernel, bias]);
  }
}
