/** The gradient of the ReLU on native TensorFlow, which has a kernel for it. @module */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NativeBackend, TF } from "../core/types.ts";

const KERNEL = "ReluGrad";

/**
 * Computes the gradient of ReLUs on the tensorflow backend with TensorFlow's own kernel. tfjs makes a mask by six
 * operations and multiplies by it, which takes a sixth of ResNet-50's input gradient.
 */
export function useNativeReluGradient(tf: TF): void {
  const stock = tf.getGradient("Relu");
  tf.registerKernel({
    kernelName: KERNEL,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend }) => {
      const native = backend as NativeBackend;
      const type = { name: "T", type: native.binding.TF_ATTR_TYPE, value: native.binding.TF_FLOAT };
      return native.executeSingleOutput(KERNEL, [type], [inputs.dy, inputs.x]);
    },
  });
  const pass = (dy: Tensor, x: Tensor) => tf.engine().runKernel(KERNEL, { dy, x }) as Tensor;
  tf.registerGradient({
    ...stock,
    gradFunc: (dy, saved, attrs) => {
      const [x] = saved;
      if (tf.getBackend() !== "tensorflow" || x.dtype !== "float32") return stock.gradFunc(dy, saved, attrs);
      return { x: () => pass(dy as Tensor, x) };
    },
  });
  // For gradients of gradients: the mask passes what it is given in the same places, and is a step of x.
  tf.registerGradient({
    kernelName: KERNEL,
    inputsToSave: ["x"],
    gradFunc: (dy, [x]) => ({ dy: () => pass(dy as Tensor, x), x: () => tf.zerosLike(x) }),
  });
}
