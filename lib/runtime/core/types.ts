/** The types that all of the runtime shares. @module */

import type { TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";

/** The TensorFlow.js namespace: `tf.conv2d`, `tf.tidy`, `tf.LayersModel` and so on. */
export type TF = typeof import("npm:@tensorflow/tfjs@4.22.0");

/** An attribute of an operation, as the addon takes it. */
export interface Attribute {
  name: string;
  type: number;
  value: unknown;
}

/** The part of tfjs-node's backend that runs an operation of TensorFlow's by its name. */
export interface NativeBackend {
  binding: Record<"TF_ATTR_TYPE" | "TF_ATTR_INT" | "TF_ATTR_BOOL" | "TF_ATTR_STRING" | "TF_FLOAT", number>;
  isUsingGpuDevice: boolean;
  executeSingleOutput(name: string, attributes: Attribute[], inputs: unknown[]): TensorInfo;
}
