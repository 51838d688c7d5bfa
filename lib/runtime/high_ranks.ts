/** Operations that WebGPU's backend gets wrong on more than four axes, one axis after the other. @module */

import type { Tensor, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import type { TF } from "./core/types.ts";

/** Replaces padding and reversing of tensors with five axes and more on WebGPU. Its kernels must be registered. */
export function padAndReverseAnyRank(tf: TF): void {
  /** @param along does the work along the middle one of three axes, or is undefined where there is none */
  const replace = (
    kernelName: string,
    along: (attrs: Record<string, unknown>, axis: number, rank: number) => ((x: Tensor) => Tensor) | undefined,
  ) => {
    const stock = tf.getKernel(kernelName, "webgpu");
    tf.unregisterKernel(kernelName, "webgpu");
    tf.registerKernel({
      ...stock,
      kernelFunc: (call) => {
        const input = call.inputs.x as Tensor;
        if (input.shape.length <= 4) return stock.kernelFunc(call);
        return tf.tidy(() => {
          let x = input;
          input.shape.forEach((_, axis) => {
            const run = along(call.attrs!, axis, input.shape.length);
            if (!run) return;
            const { shape } = x;
            const flat = [sizeOf(shape.slice(0, axis)), shape[axis], sizeOf(shape.slice(axis + 1))];
            const done = run(tf.reshape(x, flat));
            x = tf.reshape(done, shape.map((length, i) => i === axis ? done.shape[1]! : length));
          });
          // What comes in must not go out.
          return x === input ? tf.clone(x) : x;
        }) as TensorInfo;
      },
    });
  };
  replace("PadV2", ({ paddings, constantValue }, axis) => {
    const amounts = (paddings as [number, number][])[axis];
    if (amounts.every((amount) => amount === 0)) return undefined;
    return (x) => tf.pad(x, [[0, 0], amounts, [0, 0]], constantValue as number);
  });
  replace("Reverse", ({ dims }, axis, rank) => {
    const axes = [dims as number | number[]].flat().map((dim) => (dim + rank) % rank);
    return axes.includes(axis) ? (x) => tf.reverse(x, 1) : undefined;
  });
}
