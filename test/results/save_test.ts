import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { isNdArray } from "../../lib/array.ts";
import { ParquetFile } from "../../lib/data/parquet.ts";
import {
  activations,
  cifar10,
  codes,
  type Collection,
  compare,
  deconvnet,
  faithfulness,
  filters,
  gradCam,
  loadArray,
  loadModel,
  NdArray,
  neighbors,
  occlusion,
  pca,
  predict,
  saliency,
  sanityCheck,
  type Savable,
} from "../../mod.ts";
import { zipEntries, zipOnDisk } from "../../lib/zip.ts";
import { landscape, wavesNet } from "../nets.ts";

let results: Record<string, Savable | Collection<Savable>>;
let folder: string;

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  const model = await loadModel(await wavesNet());
  const image = landscape();
  const layer = model.layers.find(({ kind }) => /Conv/.test(kind))!.name;
  const points = NdArray.from(Array.from({ length: 6 }, (_, i) => [i, i * i, 1]));
  const named = { data: points.data, shape: points.shape, ids: [..."abcdef"], labels: ["x", undefined, ..."yyzz"] };
  const map = await saliency(model, image, { target: 0 });
  results = {
    activations: await activations(model, image, { layers: [layer, model.layers.at(-1)!.name] }),
    codes: await codes(model, (await cifar10({ split: "test" })).take(3), { layer, pool: "mean" }),
    predictions: await predict(model, [image, image]),
    occlusion: await occlusion(model, image, { size: 8, stride: 8, target: 0 }),
    filters: await filters(model, { layer }),
    saliency: map,
    gradCam: await gradCam(model, [image, image], { target: 0 }),
    deconvnet: await deconvnet(model, image, { target: { layer, channel: 0 }, path: true }),
    pca: pca(named, { components: 2 }),
    neighbors: await neighbors(named, { k: 2 }),
    faithfulness: await faithfulness(model, image, map),
    comparison: compare([map, map]),
    sanityCheck: await sanityCheck(model, image, saliency),
  } as unknown as typeof results;
});

/** Paths to arrays within a value that are plain objects. */
function plainArrays(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  if (isNdArray(value) && !(value instanceof NdArray) && !("figure" in value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => plainArrays(inner, `${path}.${key}`));
}

const namesIn = async (path: string) => (await zipEntries(zipOnDisk(path))).map(({ name }) => name.slice(0, -4));

describe("a result", () => {
  test("holds arrays that one can work with, whatever made it", () => {
    for (const [name, result] of Object.entries(results)) expect(plainArrays(result, name), name).toEqual([]);
  });

  test("is saved as .npz, from which each array comes back", async () => {
    const wanted: Record<string, readonly string[]> = {
      activations: ["layers/conv1/maps", "layers/conv1/channels", "layers/conv1/extent", "rows/mean", "image"],
      codes: ["data", "ids", "labels", "thumbnails"],
      predictions: ["0/rows/probability", "1/rows/label", "0/image"],
      occlusion: ["score", "maps/0/probability", "maps/0/boxes", "map", "flops/done", "unoccluded"],
      filters: ["weights", "rows/noise", "layer"],
      saliency: ["values", "map", "image", "target/text", "score"],
      gradCam: ["0/cam", "1/map"],
      deconvnet: ["values", "steps/0/values"],
      pca: ["points", "points/ids", "points/labels", "components", "mean", "explainedVariance"],
      neighbors: ["indices", "distances"],
      faithfulness: ["curves/share", "rows/insertion"],
      comparison: [],
      sanityCheck: ["rows/layer"],
    };
    for (const [name, result] of Object.entries(results)) {
      const path = join(folder, `${name}.npz`);
      await result.save(path);
      const names = await namesIn(path);
      expect(names, name).toEqual(expect.arrayContaining([...wanted[name]]));
      expect(names.length, name).toBeGreaterThan(1);
    }
    const { layers: [{ maps, sparsity }] } = results.activations as Awaited<ReturnType<typeof activations>>;
    const read = (file: string, name: string) => loadArray(join(folder, `${file}.npz`), { name });
    expect(await read("activations", "layers/conv1/maps")).toEqual(maps);
    expect(await read("activations", "layers/conv1/sparsity")).toEqual(new NdArray([sparsity], []));
    expect((await read("neighbors", "indices")).shape).toEqual([6, 2]);
    expect((await read("codes", "thumbnails")).shape.slice(2)).toEqual([expect.any(Number), 3]);
    expect((await read("occlusion", "maps/0/boxes")).shape).toEqual([expect.any(Number), 4]);
    await expect(read("pca", "points/ids")).rejects.toThrow(/holds texts/);
  });

  test("is saved as .csv and .parquet where it has rows", async () => {
    await results.neighbors.save(join(folder, "near.csv"));
    const [head, first, ...rest] = (await Deno.readTextFile(join(folder, "near.csv"))).trim().split("\n");
    expect([head, first.split(",").slice(0, 4), rest.length]).toEqual([
      "id,label,rank,neighbor,neighborLabel,distance",
      ["a", "x", "1", "b"],
      11,
    ]);
    await results.predictions.save(new URL(`file://${folder}/100%.parquet`));
    const table = await ParquetFile.open(join(folder, "100%.parquet"));
    expect(table!.columns).toEqual(expect.arrayContaining(["label", "index", "probability"]));
    expect(await table!.texts("label")).toHaveLength(table!.count);
    await results.occlusion.save(join(folder, "boxes.csv"));
    expect(await Deno.readTextFile(join(folder, "boxes.csv"))).toMatch(/^size,row,column,.*y0,x0,y1,x1/);
  });

  test("is saved as its figure, too", async () => {
    await results.saliency.save(join(folder, "map.svg"));
    expect(await Deno.readTextFile(join(folder, "map.svg"))).toMatch(/^<svg/);
  });

  test("says what it cannot be saved as, and leaves no part of a file", async () => {
    await expect(results.saliency.save(join(folder, "map.csv"))).rejects.toThrow(
      "Attribution has no rows, so there is no table of it. Save its arrays as .npz, or its figure.",
    );
    await expect(results.gradCam.save(join(folder, "map.csv"))).rejects.toThrow(/have no rows/);
    await expect(results.saliency.save(join(folder, "map.jpg"))).rejects.toThrow(
      /saved as \.npz .*, \.csv or \.parquet .*\.html \(its figure\): received the path .*map\.jpg/,
    );
    await expect(results.neighbors.save(join(folder, "x.csv"), { width: 3 })).rejects.toThrow(/pictures only/);
    await expect(results.neighbors.save(join(folder, "none", "x.npz"))).rejects.toThrow(Deno.errors.NotFound);
    expect([...Deno.readDirSync(folder)].filter(({ name }) => /partial|jpg/.test(name))).toEqual([]);
  });
});
