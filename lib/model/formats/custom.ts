/**
 * What a user puts in the place of layers that cannot be read: Lambdas, whose Python is never run, and classes of others.
 *
 * @module
 */

import { kindOf, nearestOf } from "../../errors.ts";
import type { TF } from "../../runtime/core/types.ts";
import { keepFunction, type LayerFunction } from "../../runtime/layers/operations.ts";

/** A class of layers, as `class extends tf.layers.Layer` makes one; it has a static `className`. */
export type LayerConstructor = { new (config: never): Layer; className: string };

/** A layer of TensorFlow.js. */
export type Layer = InstanceType<typeof import("npm:@tensorflow/tfjs@4.22.0")["layers"]["Layer"]>;

/** By the name of a layer, or of a class of layers: a function of its input (or its inputs), or a class of layers. */
export type LayerReplacements = Readonly<Record<string, LayerFunction | LayerConstructor>>;

/** The replacements for one file. */
export class CustomLayers {
  readonly #tf: TF;
  readonly #given: LayerReplacements;
  readonly #used = new Set<string>();
  /** The names of all layers that were asked about. */
  readonly #seen = new Set<string>();

  constructor(tf: TF, given: LayerReplacements = {}) {
    this.#tf = tf;
    this.#given = given;
  }

  /** What stands in for a layer, as TensorFlow.js takes it; undefined if nothing does. */
  of(layer: Record<string, unknown>): { className: string; config: Record<string, unknown> } | undefined {
    const config = (layer.config ?? {}) as Record<string, unknown>;
    const [name, type] = [String(config.name ?? layer.name ?? ""), String(layer.class_name)];
    this.#seen.add(name).add(type);
    const key = [name, type].find((key) => Object.hasOwn(this.#given, key));
    if (key === undefined) return undefined;
    this.#used.add(key);
    const given = this.#given[key];
    const { batch_input_shape: shape } = config;
    const own = { name, ...shape ? { batchInputShape: shape } : {} };
    if (isClass(given)) {
      this.#tf.serialization.registerClass(given as never);
      return { className: given.className, config: { ...config, ...own } };
    }
    return { className: "UserFunction", config: { ...own, key: keepFunction(key, given) } };
  }

  /** @throws {RangeError} if a replacement was for no layer of the file */
  checkUsed(): void {
    const unused = Object.keys(this.#given).find((key) => !this.#used.has(key));
    if (unused === undefined) return;
    throw new RangeError(
      `layers has ${JSON.stringify(unused)}, and the model has no layer and no class of layers of that name. ` +
        nearestOf(unused, [...this.#seen], 5),
    );
  }
}

const isClass = (value: LayerFunction | LayerConstructor): value is LayerConstructor => "className" in value;

/** @throws {TypeError} if `layers` is not what loadModel takes */
export function checkReplacements(value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`layers must be an object, as { lambda_1: (x) => x.div(255) }: received ${kindOf(value)}.`);
  }
  for (const [name, given] of Object.entries(value)) {
    if (typeof given !== "function") {
      throw new TypeError(
        `layers.${name} must be a function of tensors, or a class of layers: received ${kindOf(given)}.`,
      );
    }
  }
}
