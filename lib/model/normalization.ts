/**
 * The response normalization that AlexNet and ZFNet have behind their first layers. TensorFlow.js has the operation, but
 * no layer of it.
 *
 * @module
 */

import type { layers, serialization, Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../runtime/backend.ts";

/** The constants of Krizhevsky et al. (2012), §3.3: n = 5, so two maps to either side. */
const CONSTANTS = { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 };

let known: (new (config: { name: string }) => layers.Layer) | undefined;

/** Makes the layer's class known to TensorFlow.js, so that saved models that have it can be read. */
export function registerResponseNormalization(tf: TF): NonNullable<typeof known> {
  if (known) return known;
  known = class LocalResponseNormalization extends tf.layers.Layer {
    static className = "LocalResponseNormalization";

    override computeOutputShape(inputShape: number[]): number[] {
      return inputShape;
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const { depthRadius, bias, alpha, beta } = CONSTANTS;
      const x = (Array.isArray(inputs) ? inputs[0] : inputs) as Tensor4D;
      return tf.localResponseNormalization(x, depthRadius, bias, alpha, beta);
    }
  };
  tf.serialization.registerClass(
    known as unknown as serialization.SerializableConstructor<serialization.Serializable>,
  );
  return known;
}

/** A layer that divides each value by `(2 + 1e-4 · Σ a²)^0.75`, the sum over the cell's five neighbouring maps. */
export function responseNormalization(tf: TF, name: string): layers.Layer {
  return new (registerResponseNormalization(tf))({ name });
}
