/** The types that all of the runtime shares. @module */

/** The TensorFlow.js namespace: `tf.conv2d`, `tf.tidy`, `tf.LayersModel` and so on. */
export type TF = typeof import("npm:@tensorflow/tfjs@4.22.0");
