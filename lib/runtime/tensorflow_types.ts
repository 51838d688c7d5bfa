/**
 * The types of TensorFlow.js that are part of the public face.
 *
 * @module
 */

export type { Tensor } from "../array.ts";

/** A network of TensorFlow.js, as `tf.loadLayersModel` and `tf.model` make it. */
export type LayersModel = InstanceType<typeof import("npm:@tensorflow/tfjs@4.22.0")["LayersModel"]>;
