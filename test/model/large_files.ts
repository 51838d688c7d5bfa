/**
 * Writes a network of dense layers as a file of any format, without another program: `large_files.ts LAYERS UNITS PATH…`.
 *
 * @module
 */

import { File as Hdf5, type Group, ready } from "npm:h5wasm@0.10.3";
import { writeChunks } from "../../lib/files.ts";
import { zipped } from "../../lib/zip.ts";
import { field, number } from "./protobuf.ts";

/** How many layers there are, and how many units each has; there are no biases. */
interface Size {
  layers: number;
  units: number;
}

const names = ({ layers }: Size) => Array.from({ length: layers }, (_, i) => `dense_${i}`);

/** The numbers of each layer: no two are the same. */
const numbersOf = ({ units }: Size) => Float32Array.from({ length: units ** 2 }, (_, i) => i / units ** 2 - 0.5);
const bytesOf = (numbers: Float32Array) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/** What Keras says of the network. */
function topology(size: Size) {
  const dense = names(size).map((name, i) => ({
    class_name: "Dense",
    config: { name, units: size.units, use_bias: false, ...i === 0 && { batch_input_shape: [null, size.units] } },
  }));
  return { class_name: "Sequential", config: { name: "large", layers: dense } };
}

/** A file of HDF5 with a dataset at each path, and attributes of groups. */
async function hdf5(
  datasets: Map<string, Float32Array>,
  shape: number[],
  attributes: Map<string, Record<string, string | string[]>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { FS } = await ready;
  const file = new Hdf5("/written", "w");
  const groups = new Set(
    [...datasets.keys()].flatMap((path) =>
      path.split("/").slice(0, -1).map((_, i, parts) => parts.slice(0, i + 1).join("/"))
    ),
  );
  for (const group of groups) file.create_group(group);
  for (const [path, data] of datasets) file.create_dataset({ name: path, data, shape });
  for (const [group, values] of attributes) {
    const holder = group ? file.get(group) as Group : file;
    for (const [name, value] of Object.entries(values)) holder.create_attribute(name, value);
  }
  file.close();
  const bytes = FS.readFile("/written");
  FS.unlink("/written");
  return bytes as Uint8Array<ArrayBuffer>;
}

/** `.h5` as Keras 2 and 3 write it. */
async function writeH5(path: string, size: Size): Promise<void> {
  const numbers = numbersOf(size);
  const datasets = new Map(names(size).map((name) => [`model_weights/${name}/${name}/kernel:0`, numbers]));
  const attributes = new Map<string, Record<string, string | string[]>>([
    ["", { keras_version: "2.15.0", backend: "tensorflow", model_config: JSON.stringify(topology(size)) }],
    ["model_weights", { layer_names: names(size) }],
    ...names(size).map((name): [string, Record<string, string[]>] => [
      `model_weights/${name}`,
      { weight_names: [`${name}/kernel:0`] },
    ]),
  ]);
  await writeChunks(path, [await hdf5(datasets, [size.units, size.units], attributes)]);
}

/** `.keras` as Keras 3 writes it. */
async function writeKeras(path: string, size: Size): Promise<void> {
  const numbers = numbersOf(size);
  const datasets = new Map(names(size).map((name) => [`layers/${name}/vars/0`, numbers]));
  const weights = await hdf5(datasets, [size.units, size.units], new Map());
  await writeChunks(
    path,
    zipped([
      { name: "metadata.json", content: JSON.stringify({ keras_version: "3.0.0" }) },
      { name: "config.json", content: JSON.stringify(topology(size)) },
      { name: "model.weights.h5", content: weights },
    ]),
  );
}

/** `.onnx` with a MatMul a layer. */
async function writeOnnx(path: string, size: Size): Promise<void> {
  const raw = field(9, bytesOf(numbersOf(size)));
  const dims = [1, ...number(size.units)].with(0, 8);
  const tensors = names(size).map((name) => field(5, [...dims, ...dims, 8 * 2, 1], field(8, name), raw));
  const nodes = names(size).map((name, i) =>
    field(1, field(1, i ? `y${i - 1}` : "x"), field(1, name), field(2, `y${i}`), field(3, name), field(4, "MatMul"))
  );
  const shape = field(2, field(1, [8, 1]), field(1, [8, ...number(size.units)]));
  const value = (name: string) => [field(1, name), field(2, field(1, [8, 1], shape))];
  const ends = [field(11, ...value("x")), field(12, ...value(`y${size.layers - 1}`))];
  await writeChunks(path, [
    Uint8Array.from([8, 8]),
    field(7, ...nodes, field(2, "large"), ...tensors, ...ends),
    field(8, [16, 17]),
  ]);
}

/** A graph model of TensorFlow.js, its weights in two files. */
async function writeGraphModel(folder: string, size: Size): Promise<void> {
  await Deno.mkdir(folder);
  const shapeOf = (rows: string) => ({ dim: [{ size: rows }, { size: `${size.units}` }] });
  const float = { type: "DT_FLOAT" };
  const nodes = [
    { name: "x", op: "Placeholder", attr: { dtype: float, shape: { shape: shapeOf("-1") } } },
    ...names(size).flatMap((name, i) => [
      { name: `${name}/kernel`, op: "Const", attr: { dtype: float } },
      { name: `${name}/MatMul`, op: "MatMul", input: [i ? `dense_${i - 1}/MatMul` : "x", `${name}/kernel`], attr: {} },
    ]),
  ];
  const weights = names(size).map((name) => ({
    name: `${name}/kernel`,
    shape: [size.units, size.units],
    dtype: "float32",
  }));
  const json = {
    format: "graph-model",
    modelTopology: { node: nodes },
    weightsManifest: [{ paths: ["a.bin", "b.bin"], weights }],
  };
  await Deno.writeTextFile(`${folder}/model.json`, JSON.stringify(json));
  const bytes = bytesOf(numbersOf(size));
  // The first file ends inside of a weight.
  await writeChunks(`${folder}/a.bin`, [bytes, bytes.subarray(0, 1002)]);
  await writeChunks(`${folder}/b.bin`, [bytes.subarray(1002), ...Array<Uint8Array>(size.layers - 2).fill(bytes)]);
}

/** A zip archive of a layers model of TensorFlow.js, with its weights as they are. */
async function writeZip(path: string, size: Size): Promise<void> {
  const weights = names(size).map((name) => ({
    name: `${name}/kernel`,
    shape: [size.units, size.units],
    dtype: "float32",
  }));
  const json = { modelTopology: { model_config: topology(size) }, weightsManifest: [{ paths: ["w.bin"], weights }] };
  const bytes = bytesOf(numbersOf(size));
  await writeChunks(
    path,
    zipped([
      { name: "model.json", content: JSON.stringify(json) },
      { name: "w.bin", content: ReadableStream.from(Array<Uint8Array>(size.layers).fill(bytes)) },
    ]),
  );
}

const [layers, units, ...paths] = Deno.args;
const writers = { h5: writeH5, keras: writeKeras, onnx: writeOnnx, zip: writeZip, graph: writeGraphModel };
for (const path of paths) {
  const ending = path.split(".").at(-1) as keyof typeof writers;
  await writers[ending](path, { layers: Number(layers), units: Number(units) });
}
