/**
 * Weights as they were before all training: drawn anew by the layers' own initializers.
 *
 * @module
 */

import type { layers, LayersModel, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { messageOf } from "../../errors.ts";
import { makeLayer } from "../../model/formats/build.ts";
import { seedOf } from "../../model/architectures/stack.ts";
import type { TF } from "../../runtime/backend.ts";

type Layer = layers.Layer;
type Config = Record<string, unknown>;
type Shape = (number | null)[];

/** The layers of a network that are no networks themselves, each once. */
function wholeLayers(network: LayersModel): { layer: Layer; trainable: boolean }[] {
  const found = new Map<Layer, boolean>();
  const walk = ({ layers, trainable }: LayersModel, open: boolean) => {
    for (const layer of layers) {
      if ("layers" in layer) walk(layer as LayersModel, open && trainable);
      else if (!found.has(layer)) found.set(layer, open && trainable && layer.trainable);
    }
  };
  walk(network, true);
  return [...found].map(([layer, trainable]) => ({ layer, trainable }));
}

/** A layer's configuration in which each initializer that draws has a seed of its own. */
function seeded(config: Config, nextSeed: () => number): Config {
  const copy = (value: unknown, key: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => copy(item, ""));
    if (typeof value !== "object" || value === null) return value;
    const { config } = value as { config?: Config };
    if (/initializer$/i.test(key) && config && "seed" in config) {
      return { ...value, config: { ...config, seed: nextSeed() } };
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item, key)]));
  };
  return copy(config, "") as Config;
}

/** A layer as it was when it was made, with weights. */
function madeAnew(tf: TF, layer: Layer, config: Config): Layer {
  const shapes = layer.inboundNodes[0].inputShapes as Shape[];
  const made = makeLayer(tf, layer.getClassName(), config);
  // What its initializers make on the way is freed; variables stay.
  tf.tidy(() => made.build(shapes.length === 1 ? shapes[0] : shapes));
  const wanted = layer.weights.map(({ shape }) => `[${shape}]`).join(", ");
  const found = made.weights.map(({ shape }) => `[${shape}]`).join(", ");
  if (wanted === found) return made;
  for (const weight of made.weights) weight.dispose();
  throw new TypeError(`made again, it has weights of the shapes ${found || "none"}; wanted ${wanted}`);
}

/**
 * Gives all layers that may be trained the weights that they had before training: what their initializers draw with the
 * seed, and moving averages of a normalisation that has seen nothing. Layers that are frozen keep theirs.
 *
 * @throws {TypeError} if a layer cannot be made again from its configuration; all weights stay as they are then
 */
export function beginAnew(tf: TF, network: LayersModel, name: string, seed: number): void {
  let drawn = 0;
  const made: { layer: Layer; fresh: Layer }[] = [];
  try {
    for (const { layer, trainable } of wholeLayers(network)) {
      if (layer.weights.length === 0) continue;
      // Those that are frozen count, too: what is drawn does not depend on which are.
      const config = seeded(layer.getConfig() as Config, () => seedOf(seed, drawn++));
      if (!trainable) continue;
      try {
        made.push({ layer, fresh: madeAnew(tf, layer, config) });
      } catch (error) {
        throw new TypeError(
          `${JSON.stringify(name)} cannot begin from scratch: its layer ${JSON.stringify(layer.name)} ` +
            `(${layer.getClassName()}) cannot be made again from what its getConfig returns: ${
              messageOf(error)
            }. Let ` +
            `getConfig return all that its constructor takes, or build the network anew and train that.`,
          { cause: error },
        );
      }
    }
    for (const { layer, fresh } of made) {
      layer.weights.forEach((weight, i) => (weight.read() as Variable).assign(fresh.weights[i].read() as Variable));
    }
  } finally {
    for (const { fresh } of made) for (const weight of fresh.weights) weight.dispose();
  }
}
