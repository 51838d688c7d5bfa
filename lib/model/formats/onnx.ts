/**
 * Networks as ONNX files (`.onnx`), which PyTorch, MXNet, Caffe and others export, rebuilt as layers.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { PlacedFiles, placeOf } from "../../files.ts";
import { ModelError, type ModelFormat } from "./format.ts";
import { FOLDS } from "./onnx_constants.ts";
import { type OnnxNode, readOnnx } from "./onnx_file.ts";
import { channelsBehind, type Rebuilding } from "./onnx_graph.ts";
import { computeOnnx, LAYERS } from "./onnx_layers.ts";
import { networkOfGraph } from "./rebuild.ts";

const isKnown = ({ op, domain }: OnnxNode) => domain === "" && (Object.hasOwn(LAYERS, op) || Object.hasOwn(FOLDS, op));

/** The order in which an input's axes come: maps with channels behind, and what the graph itself turns as it is. */
function orderOf(graph: Rebuilding, name: string, shape: readonly (number | null)[]): number[] {
  const plain = shape.map((_, axis) => axis);
  const readers = graph.readersOf(name);
  const [, channels, , last] = shape;
  if (shape.length === 4) {
    const turned = readers.length > 0 && readers.every(({ op }) => op === "Transpose");
    const isBehind = (last === 1 || last === 3) && channels !== null && channels > 4;
    return turned && readers.every((node) => (node as OnnxNode).ints("perm")?.join() === "0,3,1,2") || isBehind
      ? plain
      : channelsBehind(4);
  }
  const windows = /^(Conv|ConvTranspose|MaxPool|AveragePool|BatchNormalization|Global\w+Pool|InstanceNormalization)$/;
  return shape.length > 4 || shape.length === 3 && readers.some(({ op }) => windows.test(op))
    ? channelsBehind(shape.length)
    : plain;
}

/** Reads what other programs export as ONNX. */
export const onnxFormat: ModelFormat = {
  fits: (path) => /\.onnx$/i.test(path),
  async read(tf, url) {
    try {
      await using files = new PlacedFiles();
      const file = await readOnnx(url, files);
      return networkOfGraph(tf, file, {
        version: `opset ${file.opset}`,
        isKnown,
        folds: ({ op }) => Object.hasOwn(FOLDS, op),
        orderOf,
        compute: computeOnnx,
        flattens: true,
      });
    } catch (error) {
      throw new ModelError(`The model ${placeOf(url)} could not be loaded: ${messageOf(error)}.`, { cause: error });
    }
  },
};
