import { describe, expect, test } from "vitest";
import { loadModel } from "../../../lib/model/load.ts";
import { labelsFor, part, readSamples } from "../../../lib/probe/training/samples.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { datasetOf, stripes, stripesNet } from "./toys.ts";

const tf = await ensureBackend();
const model = await loadModel(stripesNet(tf));

describe.each([["in memory", 1e9], ["in a file", 100]])("kept %s", (_, inMemoryUpTo) => {
  test("images come back byte by byte, in any order, with their classes", async () => {
    const dataset = stripes(10);
    const wanted = await Array.fromAsync(dataset);
    const samples = await readSamples(model, dataset, ["down", "across"], { inMemoryUpTo });
    const into = new Uint8Array(192);
    for (const i of [7, 0, 9, 3, 3, 8]) {
      samples.read(i, into);
      expect([...into]).toEqual([...wanted[i].image.data]);
      expect(["down", "across"][samples.classes[i]]).toBe(wanted[i].label);
    }
    const some = part(samples, Uint32Array.of(8, 2));
    some.read(1, into);
    expect([...into]).toEqual([...wanted[2].image.data]);
    expect([some.count, ...some.classes]).toEqual([2, samples.classes[8], samples.classes[2]]);
    samples.close();
  });

  test("images of another size are resized and rounded", async () => {
    const pixels = new Float32Array(16 * 16 * 3).fill(99.6);
    const dataset = datasetOf([{ pixels, shape: [16, 16, 3], label: "a" }], ["a", "b"]);
    const samples = await readSamples(model, dataset, ["a", "b"], { inMemoryUpTo });
    const into = new Uint8Array(192);
    samples.read(0, into);
    expect(new Set(into)).toEqual(new Set([100]));
    samples.close();
  });

  test("no file is left behind, also after a failure", async () => {
    const folder = await Deno.makeTempDir();
    const former = Deno.env.get("TMPDIR");
    Deno.env.set("TMPDIR", folder);
    try {
      const image = { pixels: new Float32Array(192), shape: [8, 8, 3] as [number, number, number] };
      const broken = datasetOf([{ ...image, label: "a" }, { ...image, label: "c" }], ["a", "b"]);
      await expect(readSamples(model, broken, ["a", "b"], { inMemoryUpTo })).rejects.toThrow(/no class "c"/);
      (await readSamples(model, stripes(4), ["across", "down"], { inMemoryUpTo })).close();
      expect([...Deno.readDirSync(folder)]).toEqual([]);
    } finally {
      if (former === undefined) Deno.env.delete("TMPDIR");
      else Deno.env.set("TMPDIR", former);
      await Deno.remove(folder, { recursive: true });
    }
  });
});

test("progress is told image by image, and reading can be stopped", async () => {
  const told: number[][] = [];
  const onProgress = (...numbers: number[]) => void told.push(numbers);
  (await readSamples(model, stripes(3), ["across", "down"], { onProgress })).close();
  expect(told).toEqual([[1, 3], [2, 3], [3, 3]]);
  const signal = AbortSignal.abort();
  await expect(readSamples(model, stripes(3), ["across", "down"], { signal })).rejects.toThrow(/abort/i);
});

test("a data set that counts wrong is told", async () => {
  const liar = { ...stripes(3), size: 4 };
  await expect(readSamples(model, liar, ["across", "down"])).rejects.toThrow(/says that it holds 4 images, and gave 3/);
  await expect(readSamples(model, { ...liar, size: 0 }, ["across", "down"])).rejects.toThrow(/holds no image/);
});

test("the labels are the model's, or else the data set's", async () => {
  const named = await loadModel(stripesNet(tf), { labels: ["x", "y"] });
  expect(labelsFor(named, stripes(1))).toEqual(["x", "y"]);
  expect(labelsFor(model, stripes(1))).toEqual(["across", "down"]);
});
