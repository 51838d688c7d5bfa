import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadArray, NdArray, pca } from "../mod.ts";
import { decodeNpy, encodeNpy } from "../lib/npy.ts";
import oracle from "./oracles/fixtures/numpy_files.json" with { type: "json" };

interface Described {
  shape: number[];
  data: readonly (number | string)[];
}

const a = new NdArray(oracle.array.data, oracle.array.shape);
const bytesOf = (base64: string) => Uint8Array.fromBase64(base64);

function expectEqual(found: NdArray, { shape, data }: Described): void {
  expect(found.shape).toEqual(shape);
  expect([...found.data]).toEqual([...Float32Array.from(data as number[])]);
}

describe("an array, against NumPy", () => {
  test("gives the same parts", () => {
    const parts: Record<keyof typeof oracle.parts, NdArray> = {
      "a[1]": a.slice(1),
      "a[:, -1]": a.slice(null, -1),
      "a[..., 2]": a.slice(undefined, null, 2),
      "a[0:2, :, 1:9:2]": a.slice([0, 2], null, [1, 9, 2]),
      "a[-2:-1]": a.slice([-2, -1]),
      "a[2, 1:3, -5]": a.slice(2, [1, 3], -5),
      "a[1:1]": a.slice([1, 1]),
    };
    for (const [name, wanted] of Object.entries(oracle.parts)) {
      expectEqual(parts[name as keyof typeof parts], wanted as Described);
    }
    expect(a.at(2, -1, 0)).toBe(oracle.array.data[55]);
    expect(a.slice(2, 3, 0).at()).toBe(a.at(2, 3, 0));
  });

  test("has the same sums, means and extremes, and their places", () => {
    for (const [name, wanted] of Object.entries(oracle.reduced)) {
      const [method, axis] = name.split(/ (.*)/) as ["sum" | "mean" | "min" | "max" | "argmax", string];
      const along = JSON.parse(axis);
      const found = along === null ? a[method]() : a[method](along);
      expectEqual(typeof found === "number" ? new NdArray([found], []) : found, wanted);
    }
  });

  test("handles NaN, ties and nothing as NumPy does", () => {
    const odd = NdArray.from([[3, NaN, 3], [1, 3, 3]]);
    expect([odd.max(), odd.min(), odd.argmax(), odd.mean()]).toEqual([NaN, NaN, 1, NaN]);
    expect([...odd.max(1).data, ...odd.argmax(1).data]).toEqual([NaN, 3, 1, 1]);
    const none = new NdArray([], [0, 2]);
    expect([none.sum(), none.mean(), ...none.sum(0).data]).toEqual([0, NaN, 0, 0]);
    for (const method of ["min", "max", "argmax"] as const) {
      expect(() => none[method]()).toThrow(/no (min|max|argmax) of no value: the array has the shape \[0, 2\]/);
    }
    expect(none.max(1).shape).toEqual([0]);
  });

  test("reads files of every kind of number, byte order and memory order", () => {
    for (const [name, { file, ...wanted }] of Object.entries(oracle.files)) {
      const { data, shape } = decodeNpy(bytesOf(file), name);
      expectEqual(new NdArray(data, shape), wanted as Described);
    }
  });

  test("writes a file as NumPy writes it, byte for byte", () => {
    for (const name of ["shape ()", "shape (1,)", "shape (0, 3)", "shape (5,)", "<f4 C"] as const) {
      const { file, data, shape } = oracle.files[name];
      expect(encodeNpy(new NdArray(data, shape)).toBase64()).toBe(file);
    }
  });

  test("reads one of several arrays in an .npz, also of a compressed one", async () => {
    const folder = await Deno.makeTempDir();
    for (const kind of ["plain", "compressed"] as const) {
      const path = join(folder, `${kind}.npz`);
      await Deno.writeFile(path, bytesOf(oracle.npz[kind]));
      expectEqual(await loadArray(path, { name: "a" }), oracle.array);
      await expect(loadArray(path)).rejects.toThrow(/holds 2 arrays: name one by .*"a", "b"/);
      await expect(loadArray(path, { name: "aa" })).rejects.toThrow(/no array "aa" in .*The nearest: "a"/);
    }
    await Deno.remove(folder, { recursive: true });
  });
});

describe("an array", () => {
  test("keeps what a slice of a slice keeps, whatever the ranges", () => {
    const place = fc.integer({ min: -6, max: 6 });
    fc.assert(
      fc.property(place, place, place, place, (from, to, first, last) => {
        const cut = a.slice(null, [from, to], [first, last]);
        expect([...cut.data]).toEqual([...a.slice(null, [from, to]).slice(null, null, [first, last]).data]);
        const rows = Array.from({ length: 4 }, (_, i) => i).slice(from, to);
        const columns = Array.from({ length: 5 }, (_, i) => i).slice(first, last);
        expect(cut.shape).toEqual([3, rows.length, columns.length]);
        expect([...cut.data]).toEqual([0, 1, 2].flatMap((x) => rows.flatMap((y) => columns.map((z) => a.at(x, y, z)))));
      }),
      { seed: 1 },
    );
  });

  test("says what is wrong with what it is asked", () => {
    expect(() => a.at(1)).toThrow("at takes a place on each of the 3 axes of an array of shape [3, 4, 5]: received 1.");
    expect(() => a.at(0, 4, 0)).toThrow("Axis 1 of an array of shape [3, 4, 5] has the places 0 to 3");
    expect(() => a.slice(0.5)).toThrow("received 0.5");
    expect(() => a.slice(0, 0, 0, 0)).toThrow("at most 3");
    expect(() => a.slice([1] as unknown as number)).toThrow("or null for all: received [1]");
    expect(() => a.slice(":" as unknown as number)).toThrow('or null for all: received ":"');
    expect(() => a.slice([0, 2, 0])).toThrow("its step is at least 1: received [0, 2, 0]");
    expect(() => a.mean(3)).toThrow("mean goes along an axis of an array of shape [3, 4, 5]: wanted 0 to 2");
    expect(() => a.max([0, -3])).toThrow("max goes along each axis once: received [0, -3]");
    expect(() => NdArray.from([[1, 2], [3]])).toThrow("equally long: beside one of 2 there is one of 1");
    expect(() => NdArray.from([["1"]] as unknown as number[])).toThrow('numbers in lists: received "1"');
    expect(() => new NdArray([1], [2])).toThrow(RangeError);
  });

  test("goes to TensorFlow.js and comes back", async () => {
    const tensor = await a.toTensor();
    expectEqual(await NdArray.fromTensor(tensor), oracle.array);
    expectEqual(await NdArray.fromTensor(tensor.greater(0)), {
      shape: [3, 4, 5],
      data: oracle.array.data.map((value) => Number(value > 0)),
    });
    expect(tensor.isDisposed).toBe(false);
    tensor.dispose();
    await expect(NdArray.fromTensor(a as never)).rejects.toThrow("fromTensor takes a tensor of TensorFlow.js");
  });

  test("goes to ml-matrix: the singular values of its table are the variances of pca", async () => {
    const { Matrix, SVD } = await import("ml-matrix");
    const table = a.slice(0);
    const centred = Matrix.from1DArray(4, 5, [...table.data]).center("column");
    const variances = new SVD(centred, { autoTranspose: true }).diagonal.slice(0, 2).map((value) => value ** 2 / 3);
    expect(pca(table, { components: 2 }).explainedVariance).toEqual(variances.map((value) => expect.closeTo(value, 4)));
  });

  test("prints its shape, its range, and small tables whole", () => {
    expect(String(NdArray.from([[1, 2], [3, NaN]]))).toBe("NdArray [2, 2] · 1 … 3, 1 NaN\n  1    2\n  3  NaN");
    expect(String(a.slice(0))).toMatch(/^NdArray \[4, 5\] · −?[\d.]+ … [\d.]+, mean −?[\d.]+\n( *−?[\d.]+){5}\n/);
    expect(Deno.inspect(new NdArray(new Float32Array(100), [100]))).toBe(
      "NdArray [100] · 0 … 0, mean 0 · 0, 0, 0, 0, 0, 0, 0, 0, …",
    );
  });

  test("is saved whole or not at all, under its ending only", async () => {
    const folder = await Deno.makeTempDir();
    await a.save(join(folder, "a.npy"));
    expectEqual(await loadArray(join(folder, "a.npy")), oracle.array);
    await expect(a.save(join(folder, "a.txt"))).rejects.toThrow(/End it in \.npy/);
    await expect(a.save(join(folder, "none", "a.npy"))).rejects.toThrow();
    expect([...Deno.readDirSync(folder)].map(({ name }) => name)).toEqual(["a.npy"]);
    await Deno.remove(folder, { recursive: true });
  });

  test("is not read from what is none", async () => {
    const file = bytesOf(oracle.files["<f8 C"].file);
    const damaged: [Uint8Array, RegExp][] = [
      [file.subarray(0, 5), /is no \.npy file/],
      [file.subarray(0, 9), /its header cannot be read/],
      [file.subarray(0, 60), /its header cannot be read/],
      [file.subarray(0, -1), /damaged or cut short: an array of shape \[2, 3, 4\] of 8 bytes each takes 192 bytes/],
      [encodeNpy({ data: Float64Array.of(1e39), shape: [1] }), /holds 1e\+39, which is beyond 32-bit floats/],
      [encodeNpy({ data: Int32Array.of(16777217), shape: [1] }), /holds 16777217, which is beyond 32-bit floats/],
      ...Object.entries(oracle.npz.refused).map(([what, refused]): [Uint8Array, RegExp] => [
        bytesOf(refused),
        new RegExp(`holds ${what}; wanted real numbers`),
      ]),
    ];
    for (const [bytes, message] of damaged) {
      expect(() => decodeNpy(bytes, "x.npy")).toThrow(message);
      expect(() => decodeNpy(bytes, "x.npy")).toThrow(RangeError);
    }
    await expect(loadArray("none.npy")).rejects.toThrow(/The array none\.npy cannot be read: there is no such file/);
    await expect(loadArray("x.csv")).rejects.toThrow(/reads \.npy and \.npz files: received "x\.csv"/);
    await expect(loadArray(a as never)).rejects.toThrow(TypeError);
    await expect(loadArray("x.npz", { nam: "a" } as never)).rejects.toThrow(/no option "nam".*"name"/);
  });
});
