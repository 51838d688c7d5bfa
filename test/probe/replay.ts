/** What TensorFlow.js computes inside a network, and passes that go on from a tap. */

import type { layers, LayersModel, Tensor } from "@tensorflow/tfjs";
import { expect } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { distributedBy, entryOf, graphOf, traceAnySize, waysTo } from "../../lib/model/graph.ts";
import { along, makePlan } from "../../lib/probe/plan.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const tf = await ensureBackend();

type Patched = layers.Layer & { call: layers.Layer["call"] };

/** All layers of a network and of the models in it, each once. */
function layersOf(network: LayersModel, found = new Set<layers.Layer>()): Set<layers.Layer> {
  for (const own of network.layers) {
    const layer = distributedBy(own) ?? own;
    if (graphOf(layer)) layersOf(layer as LayersModel, found);
    else if (layer.getClassName() !== "InputLayer") found.add(layer);
  }
  return found;
}

/** Lets TensorFlow.js run a network, and keeps what each layer puts out whenever it is called. */
export function recordCalls(network: LayersModel, x: Tensor) {
  const calls = new Map<layers.Layer, Float32Array[]>();
  const all = [...layersOf(network)] as Patched[];
  for (const layer of all) {
    layer.call = (...args) => {
      const made = Object.getPrototypeOf(layer).call.apply(layer, args) as Tensor;
      calls.set(layer, [...calls.get(layer) ?? [], made.dataSync<"float32">().slice()]);
      return made;
    };
  }
  try {
    tf.dispose([network.predict(x), x]);
  } finally {
    for (const layer of all) delete (layer as Partial<Patched>).call;
  }
  return {
    /** How many calls were made; those for the steps of a sequence count as one. */
    count: (steps: number) =>
      calls.values().reduce((sum, { length }) => sum + (length % steps ? length : length / steps), 0),
    /** How far numbers are from the closest of a layer's calls, against their size; one call may be one step of them. */
    closest(layer: layers.Layer, data: Float32Array, steps = 1): number {
      const made = calls.get(layer);
      if (!made) throw new Error(`TensorFlow.js does not call ${layer.name}.`);
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
      const apart = Array.from({ length: made.length / steps }, (_, k) => {
        const call = made.slice(k * steps, (k + 1) * steps).flatMap((part) => [...part]);
        if (call.length !== data.length) return Infinity;
        return data.reduce((most, value, i) => Math.max(most, Math.abs(value - call[i])), 0);
      });
      return Math.min(...apart) / largest;
    },
  };
}

const most = (a: Tensor, b: Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);

/** The network's outputs, computed from a tap on, are its own; from another value of the tap they are others. */
export function expectReplays(network: LayersModel, name: string, { data, shape }: NdArrayLike): void {
  const { inputs: [input], outputs } = traceAnySize(network);
  const { use } = entryOf(network, name);
  tf.tidy(() => {
    const x = tf.tensor(data, [1, ...shape]);
    const own = [network.predict(x) as Tensor | Tensor[]].flat();
    const [tap] = along(tf, makePlan(network, [use], { fold: false }), new Map([[input.id, x]]));
    const plan = makePlan(network, [...outputs, use], { fold: false });
    const from = (value: Tensor) => along(tf, plan, new Map([[input.id, x], [use.id, value]])).slice(0, -1);
    const replayed = from(tap);
    const others = from(tf.add(tf.mul(tap, 1.5), 0.5));
    let moved = 0;
    own.forEach((output, i) => {
      const size = tf.max(tf.abs(output)).dataSync()[0];
      expect(most(output, replayed[i]), `replayed from ${name}`).toBeLessThanOrEqual(1e-5 * size);
      if (waysTo([outputs[i]]).has(use)) moved += most(output, others[i]);
    });
    if (outputs.some((output) => waysTo([output]).has(use))) expect(moved, `moved at ${name}`).toBeGreaterThan(0);
  });
}
