/**
 * The gradients of tfjs's fused operations, each computed only when it is asked for.
 *
 * Layers models convolve and multiply with operations that add the bias, too. Their gradient computes those to input,
 * filter and bias all at once, though often only the one to the input is wanted, and refuses dilated convolutions. Here
 * they take the gradient of the operation without bias, which tfjs's tape asks for the wanted parts only.
 *
 * @module
 */

import type { NamedAttrMap, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";

/** The operations by the name of their scope, and the kernel without bias whose gradient serves. */
const FUSED: Record<string, { kernel: string; unfused: string; saved: (saved: Tensor[]) => Tensor[] }> = {
  fusedConv2d__op: { kernel: "FusedConv2D", unfused: "Conv2D", saved: ([filter, x]) => [x, filter] },
  fusedDepthwiseConv2d__op: {
    kernel: "FusedDepthwiseConv2D",
    unfused: "DepthwiseConv2dNative",
    saved: ([filter, x]) => [x, filter],
  },
  fusedMatMul__op: { kernel: "_FusedMatMul", unfused: "BatchMatMul", saved: ([a, b]) => [a, b] },
};

type Gradients = Record<string, () => Tensor>;

/** A kernel to run, or a piece of code with a gradient of its own, as tfjs's engine takes it. */
interface Call {
  kernelName?: string;
  attrs?: NamedAttrMap;
  forwardFunc?: (backend: unknown, save: unknown) => unknown;
  backwardsFunc?: (dy: Tensor, saved: Tensor[]) => Gradients;
}

/** The parts of tfjs's engine that every operation goes through. */
interface Engine {
  state: { activeScope: { name: string } | null };
  runKernelFunc(call: Call): unknown;
}

/** Makes the fused operations' gradients lazy, on every backend, once and for all. */
export function makeFusedGradientsLazy(tf: TF): void {
  const engine = tf.engine() as unknown as Engine;
  const run = engine.runKernelFunc.bind(engine);
  const kernels = new Set(Object.values(FUSED).map(({ kernel }) => kernel));
  let latest: NamedAttrMap = {};

  engine.runKernelFunc = (call) => {
    const { kernelName, attrs, forwardFunc, backwardsFunc } = call;
    if (kernelName) {
      if (kernels.has(kernelName)) latest = attrs ?? {};
      return run(call);
    }
    const fused = FUSED[engine.state.activeScope?.name ?? ""];
    if (!fused || !forwardFunc || !backwardsFunc) return run(call);

    let own: NamedAttrMap = {};
    return run({
      ...call,
      forwardFunc: (backend, save) => {
        const output = forwardFunc(backend, save);
        // The fused kernel ran just now, inside.
        own = latest;
        return output;
      },
      backwardsFunc: (dy, saved) => {
        // tfjs refuses channels first in fused gradients, and says so.
        if (own.dataFormat === "NCHW") return backwardsFunc(dy, saved);
        const [output, bias] = saved.slice(2);
        // A single image came without its batch axis and got one.
        const full = tf.reshape(dy, output.shape);
        const parts = tf.getGradient(fused.unfused).gradFunc(full, fused.saved(saved), own) as Gradients;
        const [first, second] = Object.values(parts);
        return { 0: first, 1: second, 2: () => biasGradient(tf, full, bias) };
      },
    });
  };
}

function biasGradient(tf: TF, dy: Tensor, bias: Tensor): Tensor {
  const axes = tf.backend_util.getReductionAxes(bias.shape, dy.shape);
  return tf.reshape(tf.sum(dy, axes), bias.shape);
}
