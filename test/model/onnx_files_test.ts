/**
 * ONNX files as PyTorch exports them, against what PyTorch computes of them: `test/oracles/onnx_files.py`.
 */

import { join } from "node:path";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long } from "../long.ts";
import { distance, type Packed, readArchive, wave } from "../packed.ts";
import { uniforms } from "../nets.ts";
import { field, number } from "./protobuf.ts";

const tf = await ensureBackend();

interface Case {
  name: string;
  file: string;
  inputs: number[][];
  outputs: Packed[];
  gradients: Packed[];
}

const { entries, cases } = await readArchive<Case>("onnx_files.zip");

const folder = Deno.makeTempDirSync({ prefix: "convlens-onnx-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

/** Writes the file of a case, and gives its path. */
async function written({ file }: Case): Promise<string> {
  await Deno.writeFile(join(folder, file), await entries.get(file)!.read());
  return join(folder, file);
}

const caseOf = (name: string) => cases.find((c) => c.name === name)!;

const shown = long(cases, cases.filter(({ name }) => ["residual", "alexnet", "shuffled"].includes(name)));

describe("files of ONNX", () => {
  test.each(shown.map((c) => [c.name, c] as const))("%s", { timeout: 120_000 }, async (_, c) => {
    const model = await loadModel(await written(c));
    const worst = tf.tidy(() => {
      const inputs = c.inputs.map((shape, i) => tf.tensor(wave(shape, 1 + i), shape));
      const run = (x: Tensor[]) => [model.network.apply(x.length > 1 ? x : x[0])].flat() as Tensor[];
      const outputs = run(inputs);
      expect(outputs.length).toBe(c.outputs.length);
      const loss = (...x: Tensor[]) =>
        tf.addN(run(x).map((y, i) => tf.sum(tf.mul(y, tf.tensor(wave(y.shape, 51 + i), y.shape))))) as Scalar;
      const gradients = tf.grads(loss)(inputs);
      return {
        outputs: Math.max(...outputs.map((y, i) => distance(y, c.outputs[i]))),
        gradients: Math.max(...gradients.map((x, i) => distance(x, c.gradients[i]))),
      };
    });
    model.dispose();
    expect.soft(worst.outputs, "outputs").toBeLessThan(1e-4);
    expect.soft(worst.gradients, "gradients").toBeLessThan(1e-4);
  });
});
/** The content of a file with one operator's name put in the place of another, of the same length. */
function renamed(bytes: Uint8Array, from: string, to: string): Uint8Array<ArrayBuffer> {
  const latin = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("").replaceAll(from, to);
  return Uint8Array.from(latin, (letter) => letter.charCodeAt(0));
}

const contentOf = (name: string) => entries.get(name)!.read();

/** What a file computes of the waves of the first case, and its numbers. */
async function computed(path: string): Promise<number> {
  const model = await loadModel(path);
  const c = caseOf("sequential");
  const worst = tf.tidy(() =>
    distance(model.network.predict(tf.tensor(wave(c.inputs[0], 1), c.inputs[0])) as Tensor, c.outputs[0])
  );
  model.dispose();
  return worst;
}

describe("what else an ONNX file has", () => {
  test("weights in another file, as lists of numbers, in half precision", async () => {
    await Deno.writeFile(join(folder, "weights.bin"), await contentOf("weights.bin"));
    for (const [kind, most] of [["outside", 1e-4], ["fields", 1e-4], ["half", 3e-3]] as const) {
      const path = join(folder, `sequential.${kind}.onnx`);
      await Deno.writeFile(path, await contentOf(`sequential.${kind}.onnx`));
      expect.soft(await computed(path), kind).toBeLessThan(most);
    }
  });

  test("long lists of numbers, wherever they stand; what is cut short in them is refused", async () => {
    const units = 200;
    const values = Float32Array.from({ length: units ** 2 }, uniforms(3));
    const bytes = new Uint8Array(values.buffer);
    const dims = [8, ...number(units), 8, ...number(units)];
    const tensor = (name: string, ...numbers: Uint8Array[]) => [dims, [8 * 2, 1], field(8, name), ...numbers];
    const outside = ["location", "long.bin", "offset", "8"];
    await Deno.writeFile(join(folder, "long.bin"), Uint8Array.from([...Array(8).fill(1), ...bytes]));
    const kernels = [
      field(5, ...tensor("w0", field(9, bytes))),
      field(5, ...tensor("w1", field(4, bytes))),
      field(5, ...tensor("w2"), ...[0, 2].map((i) => field(13, field(1, outside[i]), field(2, outside[i + 1]))), [
        112,
        1,
      ]),
    ];
    const node = (op: string, output: string, inputs: string[], ...more: Uint8Array[]) =>
      field(1, ...inputs.map((name) => field(1, name)), field(2, output), field(4, op), ...more);
    const constant = field(5, field(1, "value"), field(5, ...tensor("", field(9, bytes))));
    const shape = field(2, field(1, [8, 1]), field(1, [8, ...number(units)]));
    const value = (name: string) => [field(1, name), field(2, field(1, [8, 1], shape))];
    const graph = field(
      7,
      node("Constant", "w3", [], constant),
      // Of a long constant a new one is computed.
      node("Neg", "w4", ["w0"]),
      ...[0, 1, 2, 3, 4].map((i) => node("MatMul", `y${i}`, [i ? `y${i - 1}` : "x", `w${i}`])),
      ...kernels,
      field(11, ...value("x")),
      field(12, ...value("y4")),
    );
    const path = join(folder, "long.onnx");
    const file = Uint8Array.from([8, 8, ...graph, ...field(8, [16, 17])]);
    await Deno.writeFile(path, file);
    const { network } = await loadModel(path);
    const read = network.weights.map((weight) => weight.read().dataSync());
    expect(read.length).toBe(5);
    for (const kernel of read.slice(0, 4)) expect(kernel).toEqual(values);
    expect(read[4]).toEqual(values.map((value) => -value));
    network.dispose();
    for (const part of [0.1, 0.3, 0.5, 0.9]) {
      await Deno.writeFile(path, file.subarray(0, part * file.length));
      await expect(loadModel(path)).rejects.toThrow(
        /no ONNX file, or a damaged one \(.* is longer than what holds it\)/,
      );
    }
  });

  test("weights outside of the model's folder are refused, as are missing and short ones", async () => {
    const bytes = await contentOf("sequential.outside.onnx");
    await Deno.mkdir(join(folder, "inner"), { recursive: true });
    const path = join(folder, "inner", "net.onnx");
    for (const [name, message] of [["../eights.x", /leads to a folder above/], ["/etc/passwd", /begins at the root/]]) {
      await Deno.writeFile(path, renamed(bytes, "weights.bin", (name as string).padEnd(11, "x")));
      await expect(loadModel(path)).rejects.toThrow(message);
    }
    await Deno.writeFile(path, bytes);
    await expect(loadModel(path)).rejects.toThrow(/"weights\.bin" cannot be read: there is no such file/);
    await Deno.writeFile(join(folder, "inner", "weights.bin"), new Uint8Array(16));
    await expect(loadModel(path)).rejects.toThrow(/in weights\.bin, which has 16/);
  });

  test("operators that are not known are listed all at once, with the opset", async () => {
    const bytes = renamed(renamed(await contentOf("mobile.onnx"), "HardSwish", "Harmonize"), "Conv", "Warp");
    const path = join(folder, "unknown.onnx");
    await Deno.writeFile(path, bytes);
    await expect(loadModel(path)).rejects.toThrow(/no layers for the operators "Harmonize", "Warp" \(opset 17\)/);
  });

  test("layers are called as PyTorch's modules are, and their receptive fields are exact", async () => {
    const model = await loadModel(await written(caseOf("residual")));
    const names = model.layers.map(({ name }) => name);
    for (const name of ["stem", "pool", "a", "b", "down", "fc"]) expect(names).toContain(name);
    expect(model.network.getLayer("stem").getClassName()).toBe("Conv2D");
    expect(model.name).toBe("residual");
    model.dispose();
  });
});

test("what was read is saved and comes back", async () => {
  for (const name of long(["alexnet", "shuffled", "mobile", "norms"], ["shuffled"])) {
    const model = await loadModel(await written(caseOf(name)));
    const path = join(folder, `${name}.zip`);
    await model.save(path);
    const again = await loadModel(path);
    const [shape] = caseOf(name).inputs;
    const x = tf.tensor(wave(shape, 1), shape);
    const [a, b] = [model, again].map(({ network }) => (network.predict(x) as Tensor).dataSync());
    expect(b).toEqual(a);
    model.dispose();
    again.dispose();
  }
});

/** Changes bytes: one bit, one byte, a part taken away, repeated or set to 0, or the end cut off. */
function changed(bytes: Uint8Array<ArrayBuffer>, random: () => number): Uint8Array<ArrayBuffer> {
  // Half of the changes are where names, shapes and options are: in the first part of the file.
  const at = Math.floor(random() * (random() < 0.5 ? Math.min(2500, bytes.length) : bytes.length));
  const length = 1 + Math.floor(random() * 16);
  const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
  const kinds = [
    () => bytes.with(at, bytes[at] ^ (1 << Math.floor(random() * 8))),
    () => bytes.with(at, Math.floor(random() * 256)),
    () => join(bytes.subarray(0, at), bytes.subarray(at + length)),
    () => join(bytes.subarray(0, at + length), bytes.subarray(at)),
    () => bytes.slice().fill(0, at, at + length),
    () => bytes.slice().fill(255, at, at + length),
    () => bytes.slice(0, at),
  ];
  return kinds[Math.floor(random() * kinds.length)]();
}

test("damaged files: a named error, or a network that computes", { timeout: 120_000 }, async () => {
  const random = uniforms(15);
  const names = ["alexnet", "shuffled", "mobile", "segmentation"];
  const whole = await Promise.all(names.map((name) => contentOf(`${name}.onnx`)));
  const path = join(folder, "damaged.onnx");
  const before = tf.memory().numTensors;
  const wrong: string[] = [];
  for (let n = 0; n < long(400, 12); n++) {
    await Deno.writeFile(path, changed(whole[n % whole.length] as Uint8Array<ArrayBuffer>, random));
    const started = performance.now();
    try {
      (await loadModel(path)).dispose();
    } catch (error) {
      const { name, message } = error as Error;
      const isNamed = ["ModelError", "MemoryError"].includes(name) && message.includes("damaged");
      if (!isNamed || /Cannot (read|create|set)|is not a function|reading '/.test(message)) {
        wrong.push(`${n} ${name}: ${message}`);
      }
    }
    if (performance.now() - started > 5000) wrong.push(`${n} took ${performance.now() - started} ms`);
    if (tf.memory().numTensors !== before) {
      wrong.push(`${n} left tensors`);
      break;
    }
  }
  expect(wrong).toEqual([]);
});
