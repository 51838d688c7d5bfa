/**
 * Giving a network the weights of another one of the same architecture: layer by layer, in the order in which the graph
 * computes them.
 *
 * @module
 */

import type { layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import type { TF } from "../runtime/core/types.ts";
import { traceAnySize, type Use } from "./graph.ts";
import { receptiveFields } from "./receptive_field.ts";
import { quoted, type Variable } from "./formats/build.ts";
import { ModelError } from "./formats/format.ts";

/** Layers whose inputs may come in any order. */
const COMMUTES = new Set(["Add", "Average", "Maximum", "Minimum", "Multiply"]);

/** Layers without weights whose numbers go with the weights of the others. */
const NORMALIZES_RESPONSE = "LocalResponseNormalization";

const tells = (layer: layers.Layer) => layer.weights.length > 0 || layer.getClassName() === NORMALIZES_RESPONSE;

/** The layers that have weights, each once: what a layer reads comes before it, of branches that are added the longest. */
function inOrder(network: LayersModel): layers.Layer[] {
  const { uses } = traceAnySize(network);
  const depths = new Map<Use, number>();
  for (const use of uses) {
    depths.set(use, Math.max(0, ...use.inputs.map((input) => depths.get(input)!)) + Number(tells(use.layer)));
  }
  const seen = new Set<Use>();
  const found = new Set<layers.Layer>();
  const visit = (use: Use) => {
    if (seen.has(use)) return;
    seen.add(use);
    const inputs = COMMUTES.has(use.layer.getClassName())
      ? use.inputs.toSorted((a, b) => depths.get(b)! - depths.get(a)!)
      : use.inputs;
    inputs.forEach(visit);
    if (tells(use.layer)) found.add(use.layer);
  };
  const read = new Set(uses.flatMap(({ inputs }) => inputs));
  uses.filter((use) => !read.has(use)).forEach(visit);
  return [...found];
}

/** What a weight that a file does not have is. */
const ABSENT: Record<string, number> = { bias: 0, beta: 0, gamma: 1, moving_mean: 0, moving_variance: 1 };

/** A layer's weights by what they are, as `"kernel"`. */
const rolesOf = ({ weights }: layers.Layer) =>
  new Map((weights as Variable[]).map((weight) => [weight.originalName.split("/").at(-1)!, weight]));

/** A shape without the sides of length 1: a convolution of 1×1 is a dense layer. */
const essence = (shape: readonly (number | null)[]) => shape.filter((length) => length !== 1).join();

/** The weights of one layer that become those of another. */
function paired(from: layers.Layer, to: layers.Layer): [Variable | number, Variable][] {
  const [given, own] = [rolesOf(from), rolesOf(to)];
  const leftOver = [...given.keys()].filter((role) => !own.has(role));
  if (from.getClassName() !== to.getClassName() && own.size === 0 || leftOver.length > 0) {
    throw new ModelError(
      `its layer ${JSON.stringify(from.name)} (${from.getClassName()}${
        leftOver.length ? ` with ${quoted(leftOver)}` : ""
      }) stands where the network has ${JSON.stringify(to.name)} (${to.getClassName()})`,
    );
  }
  return [...own].map(([role, variable]) => {
    const stored = given.get(role) ?? ABSENT[role];
    const wanted = variable.shape as number[];
    if (typeof stored === "number") return [stored, variable];
    const shape = stored?.shape as number[] | undefined;
    if (shape && essence(shape) === essence(wanted) && sizeOf(shape) === sizeOf(wanted)) return [stored!, variable];
    throw new ModelError(
      `the ${role} of its layer ${JSON.stringify(from.name)} ` +
        (shape ? `has the shape [${shape}]` : "is missing") +
        `; the network's ${JSON.stringify(to.name)} wants [${wanted}]`,
    );
  });
}

/** What else of a layer belongs to its weights. */
interface Inside {
  epsilon?: number;
  options?: object;
}

/**
 * Gives a network the weights of another one, with what normalizations add and multiply by. All fit, or nothing is changed.
 *
 * @throws {ModelError} if the two are not of one architecture: says which layer differs
 */
export function copyWeights(tf: TF, from: LayersModel, to: LayersModel): void {
  const [given, own] = [inOrder(from), inOrder(to)];
  const remedy = 'Load the file by itself, loadModel("FILE"): it brings its own layers';
  if (given.length !== own.length) {
    const counts = (of: layers.Layer[]) => `${of.length} (from ${quoted([of[0]?.name ?? "none"])} on)`;
    throw new ModelError(
      `it has ${counts(given)} layers of weights or of response normalization; the network has ${
        counts(own)
      }. ${remedy}`,
    );
  }
  const [fields, wanted] = [receptiveFields(from), receptiveFields(to)];
  const pairs = own.map((layer, i) => {
    const other = given[i];
    const [a, b] = [fields.get(other.name), wanted.get(layer.name)];
    const inside = [layer, other] as unknown as Inside[];
    if (a && b && !(a.size === b.size && a.stride === b.stride && a.offset === b.offset)) {
      const text = ({ size, stride, offset }: typeof a) => `${size} pixels, ${stride} apart, from ${offset} on`;
      throw new ModelError(
        `its layer ${JSON.stringify(other.name)} sees ${text(a)}; the network's ${JSON.stringify(layer.name)} sees ` +
          `${text(b)}: paddings or strides differ, as between the variants of resnet50 and mobilenetV2. ${remedy}`,
      );
    }
    return { weights: paired(other, layer), inside };
  });
  for (const { weights, inside: [own, other] } of pairs) {
    if (own.epsilon !== undefined && other.epsilon !== undefined) own.epsilon = other.epsilon;
    if (own.options && other.options) Object.assign(own.options, other.options);
    for (const [stored, variable] of weights) {
      tf.tidy(() => {
        const shape = variable.shape as number[];
        variable.write(
          typeof stored === "number" ? tf.fill(shape, stored) : tf.reshape(stored.read() as Tensor, shape),
        );
      });
    }
  }
}
