/**
 * The weights of a network that is trained: each once, by name, to plain arrays and back.
 *
 * @module
 */

import type { layers, LayersModel, Scalar, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArray } from "../../array.ts";
import type { Trained } from "./optimizer.ts";

type Layer = layers.Layer;

/** A layer of a network, or one inside of a model, a wrapper or a recurrent layer of it. */
interface InnerLayer {
  /** As `"conv1"`, or `"features/conv1"` inside of a model. */
  path: string;
  layer: Layer;
  /** Whether it may be trained: not if it or what it is inside of is frozen. */
  trainable: boolean;
}

/** Where layers of tfjs keep layers of their own. */
interface Parts {
  layers?: Layer[];
  forwardLayer?: Layer;
  backwardLayer?: Layer;
  layer?: Layer;
  cell?: Layer;
  cells?: Layer[];
}

/** The layers inside of a layer: of a model, a wrapper or a recurrent layer. */
export function partsOf(layer: Layer): Layer[] {
  const { layers, forwardLayer, backwardLayer, layer: wrapped, cell, cells } = layer as unknown as Parts;
  // A bidirectional layer also keeps the layer that it made two of.
  const parts = layers ?? cells ?? (forwardLayer ? [forwardLayer, backwardLayer] : [wrapped ?? cell]);
  return parts.filter((part): part is Layer => typeof part?.getClassName === "function");
}

/** All layers of a network, those inside of others before these. A layer that is used in several places comes up again. */
export function* innerLayers({ layers, trainable }: LayersModel): Generator<InnerLayer> {
  function* walk(layer: Layer, path: string, open: boolean): Generator<InnerLayer> {
    const parts = partsOf(layer);
    const free = open && layer.trainable;
    for (const part of parts) {
      yield* walk(part, "layers" in layer || parts.length > 1 ? `${path}/${part.name}` : path, free);
    }
    yield { path, layer, trainable: free };
  }
  for (const layer of layers) yield* walk(layer, layer.name, trainable);
}

/** The weights of a network, each once, by `"layer/weight"`; a second one of the same name is `"layer/weight_2"`. */
export function namedWeights(network: LayersModel): Map<string, Variable> {
  const named = new Map<string, Variable>();
  const seen = new Set<Variable>();
  for (const { path, layer } of innerLayers(network)) {
    for (const weight of layer.weights) {
      const variable = weight.read() as Variable;
      if (seen.has(variable)) continue;
      seen.add(variable);
      const name = `${path}/${weight.originalName.split("/").at(-1)}`;
      let own = name;
      for (let number = 2; named.has(own); number++) own = `${name}_${number}`;
      named.set(own, variable);
    }
  }
  return named;
}

/**
 * The weights that training changes: those that may be trained and that the outputs depend on.
 *
 * @param used the weights that the outputs depend on
 */
export function trainedWeights(
  network: LayersModel,
  all: ReadonlyMap<string, Variable>,
  used: ReadonlySet<Variable>,
): Trained[] {
  const trainable = new Map(network.trainableWeights.map((weight) => [weight.read() as Variable, weight]));
  return [...all].flatMap(([name, variable]) => {
    const weight = trainable.get(variable);
    if (!weight || !used.has(variable)) return [];
    const { constraint } = weight as unknown as Pick<Trained, "constraint">;
    return { name, variable, decays: /kernel$/.test(weight.originalName), constraint };
  });
}

/** What the layers' own regularizers add to the loss, each weight's once. */
export function penaltiesOf(network: LayersModel): (() => Scalar)[] {
  const all = [...innerLayers(network)].flatMap(({ layer }) => layer.losses as unknown as (() => Scalar)[]);
  return [...new Set(all)];
}

/** Reads variables back as plain arrays. */
export async function download(variables: ReadonlyMap<string, Variable>): Promise<Record<string, NdArray>> {
  const entries = await Promise.all(
    [...variables].map(async ([name, variable]) => {
      const data = await variable.data() as Float32Array;
      return [name, { data: data.slice(), shape: [...variable.shape] }] as const;
    }),
  );
  return Object.fromEntries(entries);
}
