/**
 * Functions of tensors that are computed many times over, as the steps of an optimisation are: on native TensorFlow, on
 * processors, each becomes one call (`native/recording.ts`); elsewhere it is computed as it is written.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { throwIfInterrupted } from "../interrupt.ts";
import type { TF } from "./core/types.ts";
import { Recording } from "./native/recording.ts";

/** So many are kept at most: each takes memory of its own. */
const MOST = 16;

/** What is recorded of functions. It must be disposed of. */
export class Recordings {
  readonly #tf: TF;
  /** Null of what cannot be recorded; `"once"` of what was computed once: recording costs more than a single pass. */
  readonly #all = new Map<string, Recording | "once" | null>();

  constructor(tf: TF) {
    this.#tf = tf;
  }

  /**
   * Computes a function, from the third time on by what was recorded the second time.
   *
   * @param key names the function: all that has one key computes the same from inputs of the same shapes
   * @param inputs all that may differ from one time to the next
   * @param compute gives tensors of single precision, made of the inputs and of numbers that stay the same; it leaves no
   *   other tensors
   * @throws {Interrupted} if ■ was pressed
   */
  run(key: string, inputs: readonly Tensor[], compute: (inputs: readonly Tensor[]) => Tensor[]): Tensor[] {
    const tf = this.#tf;
    if (!canRecord(tf) || inputs.some(({ dtype }) => dtype !== "float32")) return compute(inputs);
    const name = [key, ...inputs.map(({ shape }) => shape.join())].join(" | ");
    const found = this.#all.get(name);
    if (found instanceof Recording) {
      throwIfInterrupted();
      return found.run(inputs);
    }
    // Of inputs that share their numbers nobody could tell afterwards which was meant.
    if (found === "once" && new Set(inputs.map(({ dataId }) => dataId)).size === inputs.length) {
      const { outputs, recording } = Recording.of(tf, inputs, () => compute(inputs));
      this.#all.set(name, recording);
      return outputs;
    }
    if (found === undefined && this.#all.size < MOST) this.#all.set(name, "once");
    return compute(inputs);
  }

  dispose(): void {
    for (const one of this.#all.values()) if (one instanceof Recording) one.dispose();
    this.#all.clear();
  }
}

/** Whether the backend is native TensorFlow on a processor; a graphics card keeps its own pace. */
function canRecord(tf: TF): boolean {
  if (tf.getBackend() !== "tensorflow") return false;
  return !(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice;
}
