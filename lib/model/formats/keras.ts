/**
 * Models that Keras saved: HDF5 files (`.h5`) of Keras 1, 2 and 3, and archives (`.keras`) of Keras 3 and 2.12 on.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { messageOf } from "../../errors.ts";
import { bytesAt, type Place, PlacedFiles, placeOf } from "../../files.ts";
import { bytesText } from "../../format.ts";
import { checkMachineMemory } from "../../memory.ts";
import { zipAt, zipEntries } from "../../zip.ts";
import type { TF } from "../../runtime/backend.ts";
import { buildNetwork, disposeNetwork, type NetworkConfig, uploaded } from "./build.ts";
import type { LayerReplacements } from "./custom.ts";
import { isObject, ModelError, type ModelFormat, otherFormat, type ReadModelOptions } from "./format.ts";
import { Hdf5File } from "./hdf5.ts";
import { fromKeras1 } from "./keras1.ts";
import { type Assignment, assignWeights, type Writer } from "./keras_weights.ts";
import { withChannelsLast } from "./channels_last.ts";
import { readTopology } from "./topology.ts";

/** No file is longer. */
const MOST_BYTES = 2 ** 32;

/** A file of Keras that is open. */
interface KerasFile {
  weights: Hdf5File;
  /** The description of the layers; undefined in a file of weights alone. */
  topology?: unknown;
  writer: Writer;
}

const begins = (bytes: Uint8Array, ...start: number[]) => start.every((byte, i) => bytes[i] === byte);

/** Text that is JSON. */
function jsonIn(text: unknown, what: string): unknown {
  try {
    return JSON.parse(typeof text === "string" ? text : new TextDecoder().decode(text as Uint8Array));
  } catch (error) {
    throw new ModelError(`its ${what} is not JSON (${messageOf(error)})`, { cause: error });
  }
}

/** Opens an archive. */
async function openArchive(archive: Place, files: PlacedFiles): Promise<KerasFile> {
  const entries = new Map((await zipEntries(zipAt(archive))).map((entry) => [entry.name, entry]));
  const missing = ["config.json", "model.weights.h5"].find((name) => !entries.has(name));
  if (missing) throw new ModelError(`its archive holds no ${missing}, which Keras puts there`);
  const sizes = [...entries.values()].reduce((sum, { size }) => sum + size, 0);
  if (sizes > MOST_BYTES) throw new ModelError(`its archive unpacks to ${bytesText(sizes)}, more than is read`);
  checkMachineMemory("What its archive unpacks to", sizes, "Load it where there is more.");
  const json = async (name: string) => jsonIn(await entries.get(name)?.read() ?? "{}", name);
  const metadata = await json("metadata.json");
  const topology = await json("config.json");
  const weights = entries.get("model.weights.h5")!;
  return {
    topology,
    weights: await Hdf5File.open(await weights.place(files)),
    writer: { version: isObject(metadata) ? String(metadata.keras_version ?? "") : "", backend: "" },
  };
}

/** Opens a file of either kind, whatever it is called. */
async function openFile(url: URL, files: PlacedFiles): Promise<KerasFile> {
  const place = await files.find(url, { room: { bytes: MOST_BYTES } });
  const bytes = bytesAt(place, 0, Math.min(place.size, 64));
  if (begins(bytes, 0x50, 0x4b, 3, 4)) return await openArchive(place, files);
  if (!begins(bytes, 0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a)) {
    throw new ModelError(
      `it is ${
        (bytes.length > 0 && otherFormat(url.pathname, bytes)) || "neither an HDF5 file nor an archive of Keras"
      }`,
    );
  }
  const weights = await Hdf5File.open(place);
  const { model_config: config, keras_version: version, backend } = {
    ...weights.entries.get("model_weights")?.attributes,
    ...weights.entries.get("")!.attributes,
  };
  return {
    topology: config === undefined ? undefined : jsonIn(config, "model_config"),
    weights,
    writer: { version: String(version ?? ""), backend: String(backend ?? "") },
  };
}

/** Gives a network the weights that a file holds, one at a time. */
async function fill(tf: TF, assignments: readonly Assignment[], weights: Hdf5File): Promise<void> {
  for (const { variable, path, turn } of assignments) {
    const values = await weights.values(path);
    tf.tidy(() => {
      const stored = uploaded(tf, values, weights.entries.get(path)!.shape!);
      variable.write(tf.cast(turn ? turn(tf, stored) : stored, variable.dtype));
    });
  }
}

/** Runs a task; what it throws names the file. */
async function explained<T>(url: URL, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw new ModelError(`The model ${placeOf(url)} could not be loaded: ${messageOf(error)}.`, { cause: error });
  }
}

/** How the layers are described, in the words of TensorFlow.js. */
const described = (tf: TF, topology: unknown, version: string, layers?: LayerReplacements): NetworkConfig =>
  withChannelsLast(readTopology(tf, { model_config: fromKeras1(topology), keras_version: version }, layers));

async function read(tf: TF, url: URL, { layers }: ReadModelOptions = {}): Promise<LayersModel> {
  return await explained(url, async () => {
    await using files = new PlacedFiles();
    const { topology, weights, writer } = await openFile(url, files);
    try {
      if (topology === undefined) {
        throw new ModelError(
          "it holds weights alone. Load the network that they belong to, and give them to it: " +
            'loadModel("architecture.json", { weights: "FILE.h5" }), where the JSON is what model.to_json() gives in Keras',
        );
      }
      const config = described(tf, topology, writer.version, layers);
      const most = [...weights.entries.values()].reduce((sum, { shape }) => sum + (shape ? sizeOf(shape) : 0), 0);
      const network = buildNetwork(tf, config, most);
      try {
        await fill(tf, assignWeights(weights, network, writer, config), weights);
        return network;
      } catch (error) {
        disposeNetwork(network);
        throw error;
      }
    } finally {
      weights.close();
    }
  });
}

/**
 * Gives a network that is there the weights of a file of Keras, by the layers' names, else in their order.
 *
 * @throws {ModelError} if they do not fit; then the network keeps what it had
 */
export async function readWeights(tf: TF, url: URL, network: LayersModel): Promise<void> {
  await explained(url, async () => {
    await using files = new PlacedFiles();
    const { weights, writer } = await openFile(url, files);
    try {
      await fill(tf, assignWeights(weights, network, writer), weights);
    } finally {
      weights.close();
    }
  });
}

/** A network as `model.to_json()` describes it in Keras, without weights. */
export function networkOf(tf: TF, topology: unknown, layers?: LayerReplacements): LayersModel {
  const { keras_version: version } = isObject(topology) ? topology : {} as Record<string, unknown>;
  return buildNetwork(tf, described(tf, topology, String(version ?? ""), layers));
}

/** Reads what Keras saved. */
export const kerasFormat: ModelFormat = { fits: (path) => /\.(h5|hdf5|keras)$/i.test(path), read };
