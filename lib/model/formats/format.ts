/**
 * What a reader of a file format of models is, and the error of what cannot be read.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";
import type { LayerReplacements } from "./custom.ts";

/** A part of a file, of which nothing is known yet. */
export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A model that cannot be read, with the reason and the remedy. */
export class ModelError extends Error {
  /** `"ModelError"` */
  override name = "ModelError";
}

/** What is told to the reader of a file. */
export interface ReadModelOptions {
  /** What stands in for layers that cannot be read. */
  layers?: LayerReplacements;
  /** A file of weights, for a file that describes layers alone. */
  weights?: URL;
}

/** Reads one file format. */
export interface ModelFormat {
  /** Whether a file may be of this format, by the path in its address. */
  fits(path: string): boolean;
  /**
   * Reads a file and builds its network.
   *
   * @throws {ModelError} if a file is missing or damaged
   * @throws {MemoryError} if the network does not fit into the backend's memory
   */
  read(tf: TF, url: URL, options?: ReadModelOptions): Promise<LayersModel>;
}

const FROM_KERAS =
  `Where the network is at hand as a Keras model, save it with model.save("net.keras"), and load that.`;

const EXPORT = "In PyTorch, build the network, load these weights into it (model.load_state_dict), export it with " +
  'torch.onnx.export(model.eval(), torch.zeros(1, 3, 224, 224), "net.onnx") (a picture of its own size), and load ' +
  "net.onnx.";

/** Formats that are not read: how a file of one ends or begins, what it is, and how its model can be had all the same. */
const OTHERS: { ends?: RegExp; begins?: RegExp; is: string; remedy: string }[] = [
  {
    ends: /\.(pt|pth|ckpt|safetensors)$/i,
    is: "a file of PyTorch or of weights alone",
    remedy: EXPORT,
  },
  {
    ends: /\.(pb|pbtxt)$/i,
    is: "a TensorFlow graph, whose layers are gone",
    remedy: FROM_KERAS,
  },
  {
    ends: /\.tflite$/i,
    begins: /^.{4}TFL3/s,
    is: "a TensorFlow Lite graph, whose layers are gone",
    remedy: FROM_KERAS,
  },
  {
    begins: /^PK\cC\cD/,
    is: "a zip archive (as .keras files and those of PyTorch are)",
    remedy:
      "Name the file with its own ending: .zip where it holds a model.json; .keras or .pt to be told how its model " +
      "can be had.",
  },
  {
    begins: /^\s*</,
    is: "a web page, not the file itself",
    remedy: "Open the address in a browser: it may want a login, or be wrong; a site of repositories has another " +
      "address for the raw file.",
  },
  { ends: /\.bin$/i, is: "a file of weights alone", remedy: "Name the model.json beside it." },
];

/**
 * What a file is that is in none of the formats that are read, with the remedy; undefined if nothing says so.
 *
 * @param path its path or address
 * @param bytes its beginning, if it has been read
 */
export function otherFormat(path: string, bytes: Uint8Array = new Uint8Array()): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 64));
  const found = OTHERS.find(({ ends, begins }) => start ? begins?.test(start) : ends?.test(path));
  return found &&
    `${found.is}; wanted a Keras file (.keras, .h5), an ONNX file (.onnx) or the model.json of a TensorFlow.js layers model. ${found.remedy}`;
}
