/**
 * The layers of two networks that are compared.
 *
 * @module
 */

import type { Model } from "../../model/model.ts";
import type { LayerSimilarity } from "../../results/model_comparison.ts";
import type { Two } from "./pair_walk.ts";

/** The layers of both networks, or of each. */
export type LayersOfTwo = readonly string[] | { readonly a?: readonly string[]; readonly b?: readonly string[] };

const MOST_LAYERS = 12;
/** With so many joins, a network is seen as blocks between them. */
const JOINS = 4;
const JOINING = /^(Add|Concatenate|Average|Maximum|Multiply)$/;
const COMPUTING = /Conv|Pool|Dense|LSTM|GRU|RNN|Attention/;
/** What only goes on with each number of the layer before. */
const ACTIVATING = /^(Activation|\w*ReLU|ELU|Softmax|BatchNormalization|Dropout|SpatialDropout\w*)$/;

/** Layers evenly spread over a network, each with the activation behind it. */
function defaultLayers({ leaves, name }: Model): string[] {
  const joins = leaves.filter(({ kind }) => JOINING.test(kind)).length;
  const blocks = joins >= JOINS
    ? new RegExp(`${JOINING.source}|Pool|Dense`)
    : new RegExp(`${JOINING.source}|${COMPUTING.source}`);
  const found = leaves.flatMap(({ kind }, i) => {
    if (!blocks.test(kind)) return [];
    let last = i;
    while (last + 1 < leaves.length && ACTIVATING.test(leaves[last + 1].kind)) last++;
    return [leaves[last].name];
  });
  if (found.length === 0) {
    throw new RangeError(
      `No layer of ${
        JSON.stringify(name)
      } is known to compute something: name those that you want compared, with layers.`,
    );
  }
  const count = Math.min(MOST_LAYERS, found.length);
  return Array.from(
    { length: count },
    (_, i) => found[count === 1 ? 0 : Math.round(i * (found.length - 1) / (count - 1))],
  );
}

/** The layers of each network, in the order asked for. */
export function layersOfTwo(models: Two<Model>, given: LayersOfTwo | undefined): Two<string[]> {
  const own = Array.isArray(given)
    ? { a: given, b: given }
    : given as { a?: readonly string[]; b?: readonly string[] } | undefined;
  const of = (model: Model, names?: readonly string[]) => {
    if (!names) return defaultLayers(model);
    names.forEach((name) => model.layer(name));
    return [...new Set(names)];
  };
  return [of(models[0], own?.a), of(models[1], own?.b)];
}

/** @throws {RangeError} if they are not two, or a layer does not exist */
export function checkMaps([a, b]: Two<Model>, maps: readonly string[] | undefined): void {
  if (!maps) return;
  if (maps.length !== 2) throw new RangeError(`maps names one layer of each network: received ${maps.length}.`);
  a.layer(maps[0]);
  b.layer(maps[1]);
}

/** The two layers with feature maps that are most alike; null where one network has none. */
export function mostAlike(models: Two<Model>, rows: readonly LayerSimilarity[]): readonly [string, string] | null {
  const isMap = (model: Model, layer: string) => model.layer(layer).outputShape.length > 1;
  const able = rows.filter(({ a, b }) => isMap(models[0], a) && isMap(models[1], b));
  // Of a network and itself all are: the first is taken.
  const best = able.reduce((most, { cka }) => Number.isNaN(cka) ? most : Math.max(most, cka), -Infinity);
  const found = able.find(({ cka }) => cka >= best - 1e-6);
  return found ? [found.a, found.b] : null;
}
