/**
 * The types of TensorFlow.js that are part of the public face.
 *
 * @module
 */

/** A tensor of TensorFlow.js: what a network puts out, before it is downloaded. */
export type Tensor = InstanceType<typeof import("npm:@tensorflow/tfjs@4.22.0")["Tensor"]>;

/** A network of TensorFlow.js, as `tf.loadLayersModel` and `tf.model` make it. */
export type LayersModel = InstanceType<typeof import("npm:@tensorflow/tfjs@4.22.0")["LayersModel"]>;
