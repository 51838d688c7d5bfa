/**
 * The layers of a network with those inside of them, and its weights, each once, by name.
 *
 * @module
 */

import type { layers, LayersModel, Variable } from "npm:@tensorflow/tfjs@4.22.0";

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

const isNetwork = (layer: Layer): boolean => "layers" in layer;

/** The networks that may not be trained, by their path; the whole one is `""`. A network's configuration does not say it. */
export function frozenNetworks(network: LayersModel): string[] {
  const inner = [...innerLayers(network)].filter(({ layer }) => isNetwork(layer) && !layer.trainable);
  return [...(network.trainable ? [] : [""]), ...inner.map(({ path }) => path)];
}

/** Freezes networks, as {@linkcode frozenNetworks} names them. Those inside of others come first. */
export function freezeNetworks(network: LayersModel, paths: readonly string[]): void {
  for (const { path, layer } of innerLayers(network)) {
    if (isNetwork(layer) && paths.includes(path)) layer.trainable = false;
  }
  if (paths.includes("")) network.trainable = false;
}
