/** The recurrent layer that TensorFlow.js lacks: GRU as Keras 2 and 3 make it, with `reset_after`. @module */

import type { Tensor, Tensor2D } from "npm:@tensorflow/tfjs@4.22.0";
import { type Config, keepOptions, optionOf, type Replacement } from "./replacement.ts";

const after = (layer: Parameters<typeof optionOf>[0]) => optionOf<boolean>(layer, "resetAfter");

/** A layer inside another, as a configuration has it. */
interface Inner {
  className: string;
  config: Config;
}

/** Whether a backward layer is the forward one, turned round, which TensorFlow.js makes by itself. */
function mirrors(backward: Inner, forward: Inner): boolean {
  const plain = ({ className, config }: Inner) => {
    const entries = Object.entries(config).filter(([key]) => !/^(name|goBackwards)$|Initializer$/.test(key));
    return JSON.stringify([className, entries.sort(([a], [b]) => a < b ? -1 : 1)]);
  };
  return !backward.config.goBackwards !== !forward.config.goBackwards && plain(backward) === plain(forward);
}

/** A GRU hands what it is made with on to its cell. */
export const RECURRENT: Record<string, Replacement> = {
  Bidirectional: {
    // Keras 3 writes both layers, under names that TensorFlow.js makes itself.
    prepare(config) {
      const { layer, backwardLayer } = config as { layer: Inner; backwardLayer?: Inner };
      if (!backwardLayer || !mirrors(backwardLayer, layer)) return;
      delete config.backwardLayer;
      const name = String(layer.config.name).replace(/^forward_/, "");
      config.layer = { ...layer, config: { ...layer.config, name } };
    },
  },
  GRU: {
    options: { resetAfter: false },
    hidden: ["resetAfter"],
    // The layer makes its cell itself, and shows it no option that TensorFlow.js refuses.
    build(layer, shape, stock) {
      keepOptions(layer.cell!, { resetAfter: after(layer) });
      stock(shape);
    },
  },
  GRUCell: {
    options: { resetAfter: false },
    hidden: ["resetAfter"],
    when: after,
    build(cell, shape, stock) {
      const { useBias } = cell;
      cell.useBias = false;
      stock(shape);
      cell.useBias = useBias;
      if (!useBias) return;
      const { biasInitializer, biasRegularizer, biasConstraint } = cell as unknown as Record<string, undefined>;
      const weight = [2, 3 * cell.units];
      const add = (cell as unknown as { addWeight(...parts: unknown[]): never }).addWeight.bind(cell);
      cell.bias = add("bias", weight, null, biasInitializer, biasRegularizer, true, biasConstraint);
    },
    call(tf, cell, x, { inputs: [, before], training }) {
      if (training && (cell.dropout > 0 || cell.recurrentDropout > 0)) {
        throw new Error(
          `${cell.name}: a GRU with reset_after is not trained with dropout here. Make it with dropout and ` +
            "recurrent_dropout 0, and use a Dropout layer in front of it.",
        );
      }
      const [own, recurrent] = cell.bias ? tf.unstack(cell.bias.read()) : [];
      const parts = (input: Tensor, kernel: Tensor, bias: Tensor | undefined) => {
        const product = tf.matMul(input as Tensor2D, kernel as Tensor2D) as Tensor;
        return tf.split(bias ? tf.add(product, bias) : product, 3, 1);
      };
      const [updateX, resetX, newX] = parts(x, cell.kernel.read(), own);
      const [updateH, resetH, newH] = parts(before, cell.recurrentKernel.read(), recurrent);
      const update = cell.recurrentActivation.apply(tf.add(updateX, updateH));
      const reset = cell.recurrentActivation.apply(tf.add(resetX, resetH));
      const candidate = cell.activation!.apply(tf.add(newX, tf.mul(reset, newH)));
      const state = tf.add(tf.mul(update, before), tf.mul(tf.sub(1, update), candidate));
      return [state, state];
    },
  },
};
