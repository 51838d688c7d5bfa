import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataset } from "../../lib/data/dataset.ts";
import { imageFolder } from "../../lib/data/image_folder.ts";
import { mergeRanked } from "../../lib/data/table.ts";
import { writeRows } from "../../lib/data/rows_file.ts";
import { directions } from "../../lib/methods/directions.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { useBackend } from "../../lib/runtime/backend.ts";
import { keepJob, mergeShards, readJob, scanShard, shardStates } from "../../lib/tools/scan_job.ts";
import {
  type DirectionsAsked,
  directionsAsked,
  keepDirections,
  keptDirections,
} from "../../lib/tools/scan_directions.ts";
import { ranges } from "../../lib/tools/scan_slurm.ts";
import { png, RGB } from "../data/png.ts";
import { longDescribe, skipFor } from "../long.ts";
import { tinyNet, uniforms } from "../nets.ts";
import { Cluster, PACKAGES } from "./slurm.ts";

const folder = await Deno.makeTempDir();
afterAll(() => Deno.remove(folder, { recursive: true }));

const script = fileURLToPath(new URL("../../lib/tools/scan.ts", import.meta.url));
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** Runs `deno task scan` to its end. */
async function scan(args: string[], env: Readonly<Record<string, string>> = {}) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, ...args],
    env,
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { success, out, error };
}

describe("deno task scan", () => {
  test("writes shards as Slurm reads them", () => {
    expect([[3], [1, 2, 3], [1, 3, 4, 9]].map(ranges)).toEqual(["3", "1-3", "1,3-4,9"]);
  });

  test("merges the lists of shards as a sort of all would, in any order of the shards", async () => {
    const random = uniforms(5);
    const rows = Array.from({ length: 300 }, (_, i) => ({
      layer: i % 2 ? "b" : "a",
      unit: i % 3,
      rank: 1,
      // The order of code units is another one than that of bytes.
      imageId: `${["￼", "𝄞", "z"][i % 7 % 3]}${Math.floor(i / 6)}`,
      activation: Math.round(3 * random()),
      cell: [Math.floor(3 * random()), i % 5],
      index: i,
    }));
    const columns = [
      { name: "layer", kind: "text" },
      { name: "unit", kind: "whole" },
      { name: "rank", kind: "whole" },
      { name: "imageId", kind: "text" },
      { name: "activation", kind: "number" },
      { name: "cell", kind: "wholes" },
      { name: "index", kind: "whole" },
    ] as const;
    const paths = ["0", "1", "2"].map((name) => `${folder}/merge-${name}.parquet`);
    await Promise.all(paths.map((path, i) => writeRows(path, columns, rows.slice(100 * i, 100 * i + 100), {})));
    const list = (layer: string, unit: number | string) => (layer === "b" ? 0 : 3) + Number(unit);
    const wanted = Map.groupBy(rows, ({ layer, unit }) => list(layer, unit));
    const best = [0, 1, 2, 3, 4, 5].flatMap((at) =>
      wanted.get(at)!.sort((a, b) =>
        b.activation - a.activation || (a.imageId < b.imageId ? -1 : a.imageId > b.imageId ? 1 : 0) ||
        a.cell[0] - b.cell[0] || a.cell[1] - b.cell[1]
      ).slice(0, 7).map((row, i) => ({ ...row, rank: i + 1, index: row.index + 1 }))
    );
    for (const order of [[0, 1, 2], [2, 0, 1]]) {
      const files = order.map((i) => ({ path: paths[i], offset: 1 }));
      expect(await mergeRanked(files, { list, by: "activation", top: 7 })).toEqual(best);
    }
  });
});

describe("directions of a scan", () => {
  const place = (name: string) => join(folder, name);
  const images = dataset([0, 1, 2, 3].map((i) => ({
    id: `${i}`,
    label: ["even", "odd"][i % 2],
    image: { data: Float32Array.from({ length: 48 }, (_, at) => (at * 7 + i * 90) % 256), shape: [4, 4, 3] },
  })));
  let model: Model;
  beforeAll(async () => {
    await useBackend("cpu");
    model = await loadModel(await tinyNet());
  });

  async function kept(name: string, asked: DirectionsAsked) {
    await Deno.mkdir(place(name));
    await keepDirections(place(name), asked, "conv", { model: () => Promise.resolve(model), images });
    return await keptDirections(place(name));
  }

  test("are those that directions finds, and kept as they are", async () => {
    for (const kind of ["random", "units", "principal", "classes"] as const) {
      const asked = await directionsAsked(kind, { ...kind !== "classes" && { count: 2, seed: 3 } });
      const found = await kept(`found ${kind}`, asked);
      const options = { layer: "conv", kind, ...kind !== "classes" && { count: 2, seed: 3 } };
      const { vectors } = await directions(model, images, options);
      expect(found).toEqual(Object.fromEntries(Object.entries(vectors).map(([name, one]) => [name, Array.from(one)])));
      // Once found, they are not found anew.
      await keepDirections(place(`found ${kind}`), { kind, seed: 9 }, "conv", {
        model: () => Promise.reject(new Error("not wanted")),
        images,
      });
    }
  });

  test("are read from JSON and Parquet; what holds none is named", async () => {
    const wanted = { b: [0.5, -1, 0.25], a: [1, 2, 3] };
    const [json, parquet] = [place("mine.json"), place("mine.parquet")];
    await Deno.writeTextFile(json, JSON.stringify(wanted));
    const rows = Object.entries(wanted).map(([name, vector]) => ({ name, vector }));
    const { default: pl } = await import("nodejs-polars");
    pl.DataFrame(rows).writeParquet(parquet);
    for (const [i, path] of [json, parquet].entries()) {
      const found = await kept(`own ${i}`, await directionsAsked(path, {}));
      expect(Object.entries(found)).toEqual(Object.entries(wanted));
    }
    const asked = await directionsAsked(json, {});
    await Deno.writeTextFile(json, "{");
    await expect(kept("changed", asked)).rejects.toThrow("has changed since the scan was asked for");
    await expect(kept("broken", await directionsAsked(json, {}))).rejects.toThrow("must be JSON");
    await Deno.writeTextFile(json, "[1, 2]");
    await expect(kept("list", await directionsAsked(json, {}))).rejects.toThrow("must have names");
    pl.DataFrame([{ name: "a", vector: [1] }, { name: "a", vector: [2] }]).writeParquet(parquet);
    await expect(kept("twice", await directionsAsked(parquet, {}))).rejects.toThrow('"a" is there twice');
    pl.DataFrame([{ title: "a", vector: [1] }]).writeParquet(parquet);
    await expect(kept("unnamed", await directionsAsked(parquet, {}))).rejects.toThrow('no column "name"');
    await expect(directionsAsked("nothing.json", {})).rejects.toThrow(
      /must be units, random, principal, classes, or a/,
    );
    await expect(directionsAsked(json, { seed: 1 })).rejects.toThrow("are taken as they are");
    await expect(directionsAsked("random", { classes: ["a"] })).rejects.toThrow("--classes goes with");
    await expect(directionsAsked("random", { images: 5 })).rejects.toThrow("random looks at none");
  });
});

longDescribe("shards of a scan", () => {
  const IMAGES = 600;
  const [MODEL, PHOTOS] = [join(folder, "model"), join(folder, "photos")];
  const ARGUMENTS = [MODEL, PHOTOS, "--layers", "conv,flat", "--top", "4", "--backend", "cpu", "--batch-size", "1"];

  let whole: Uint8Array;
  beforeAll(async () => {
    await useBackend("cpu");
    await (await loadModel(await tinyNet())).save(MODEL);
    for (const label of ["even", "odd"]) await Deno.mkdir(join(PHOTOS, label), { recursive: true });
    const random = uniforms(1);
    for (let i = 0; i < IMAGES; i++) {
      const rows = Array.from({ length: 4 }, () => Array.from({ length: 12 }, () => Math.floor(256 * random())));
      const name = `${i % 2 ? "odd" : "even"}/${String(i).padStart(3, "0")}.png`;
      await Deno.writeFile(join(PHOTOS, name), png({ width: 4, color: RGB, rows }));
    }
    const alone = join(folder, "alone");
    const options = { layers: ["conv", "flat"], top: 4, folder: alone };
    const { rows } = await topPatches(await loadModel(`${MODEL}/model.json`), await imageFolder(PHOTOS), options);
    expect(rows.length).toBeGreaterThan(0);
    whole = await Deno.readFile(`${alone}/top_patches.parquet`);
  });

  /** Kills the second shard when it has kept something: 200 batches take it a while. */
  async function killTheSecond(scanning: string): Promise<void> {
    const shard = join(scanning, "shards", "0002");
    while (
      !(await Array.fromAsync(Deno.readDir(shard)).catch(() => [])).some(({ name }) => /^progress.*t$/.test(name))
    ) {
      await new Promise((done) => setTimeout(done, 1));
    }
    Deno.kill(Number((await Deno.readTextFile(join(shard, "lock"))).split(" ")[0]), "SIGKILL");
  }

  async function holdsAll(scanning: string): Promise<void> {
    expect((await Deno.readFile(join(scanning, "top_patches.parquet"))).toHex()).toBe(whole.toHex());
    const states = await shardStates(scanning, (await readJob(scanning)).asked);
    expect(states.map(({ state, images }) => [state, images])).toEqual(Array(3).fill(["finished", 200]));
    // What topPatches is asked in the folder is answered from there, without a pass.
    const options = { layers: ["conv", "flat"], top: 4, folder: scanning };
    const model = await loadModel(`${MODEL}/model.json`);
    const { rows, images } = await topPatches(model, await imageFolder(PHOTOS), options);
    expect([rows.length > 0, images]).toEqual([true, IMAGES]);
  }

  test("run here; one that is killed is named, and rerun alone", async () => {
    const here = join(folder, "here");
    const first = scan([...ARGUMENTS, "--folder", here, "--shards", "3"]);
    await killTheSecond(here);
    const { success, error } = await first;
    expect([success, error]).toEqual([
      false,
      expect.stringMatching(
        /1 of 3 shards has not finished:\n {2}shard 2 of 3: stopped, [1-9]\d* images done\n.*--rerun/,
      ),
    ]);
    const before = await Deno.stat(join(here, "shards/0001/top_patches.parquet"));
    const second = await scan(["--folder", here, "--rerun"]);
    expect(second.error).toBe("");
    expect(second.out).toMatch(/shard 2 of 3: finished, 200 images\n(\d+) images in .*images\/s\nWritten/);
    expect(await Deno.stat(join(here, "shards/0001/top_patches.parquet"))).toEqual(before);
    await holdsAll(here);
    const other = await scan([...ARGUMENTS, "--folder", here, "--shards", "4"]);
    expect(other.error).toMatch(/belongs to another scan; it differs in shards \(3 there, 4 here\)/);
  }, 120_000);

  test("by relevance, are merged by it", async () => {
    const options = { layers: ["conv", "flat"], top: 4, rank: "relevance" as const, target: 1 };
    const asked = { model: MODEL, dataset: PHOTOS, limit: 50, shards: 3, options };
    const here = join(folder, "relevance");
    await keepJob(here, { asked, running: { backend: "cpu" } });
    for (const shard of [3, 1, 2]) await scanShard(here, shard);
    await mergeShards(here, asked);
    const alone = join(folder, "relevance alone");
    const images = await imageFolder(PHOTOS, { limit: 50 });
    const { rows } = await topPatches(await loadModel(`${MODEL}/model.json`), images, { ...options, folder: alone });
    // Otherwise ranked than by activation, or this shows nothing.
    expect(rows.some(({ rank, activation }, i) => rank > 1 && activation > rows[i - 1].activation)).toBe(true);
    const [merged, single] = await Promise.all(
      [here, alone].map((place) => Deno.readFile(join(place, "top_patches.parquet"))),
    );
    expect(merged.toHex()).toBe(single.toHex());
  });

  test.each([
    ["principal", "--count", "2", "--direction-images", "40"],
    ["a file"],
  ])("of %s directions give the bytes of one run, and of topPatches", async (kind, ...more) => {
    const name = `directions ${kind}`;
    const asked = [MODEL, PHOTOS, "--layers", "conv", "--top", "4", "--backend", "cpu", "--limit", "60"];
    const file = join(folder, "own.json");
    const channels = (await loadModel(`${MODEL}/model.json`)).layer("conv").outputShape.at(-1)!;
    await Deno.writeTextFile(file, JSON.stringify({ mine: Array(channels).fill(0.5), "−": Array(channels).fill(-1) }));
    const how = ["--directions", kind === "a file" ? file : kind, ...more];
    const bytes: string[] = [];
    let vectors = "";
    for (const shards of ["1", "3"]) {
      const here = join(folder, `${name} ${shards}`);
      const { success, error } = await scan([...asked, ...how, "--folder", here, "--shards", shards]);
      expect(success, error).toBe(true);
      vectors = await Deno.readTextFile(join(here, "directions.json"));
      bytes.push(vectors, (await Deno.readFile(join(here, "top_patches.parquet"))).toHex());
    }
    expect(bytes.slice(2)).toEqual(bytes.slice(0, 2));
    const directions = JSON.parse(vectors);
    const options = { layer: "conv", top: 4, directions, folder: join(folder, `${name} alone`) };
    const images = await imageFolder(PHOTOS, { limit: 60 });
    const { rows } = await topPatches(await loadModel(`${MODEL}/model.json`), images, options);
    expect(new Set(rows.map(({ unit }) => unit))).toEqual(new Set(Object.keys(directions)));
    expect((await Deno.readFile(join(options.folder, "top_patches.parquet"))).toHex()).toBe(bytes[1]);
  }, 60_000);

  test("run as an array job of Slurm; one that is killed is named, and rerun alone", async () => {
    const place = await Deno.makeTempDir();
    await using cluster = await Cluster.start(place);
    if (!cluster) return skipFor(`Slurm is missing, or this is not root: apt-get install ${PACKAGES}`);
    const slurm = join(folder, "slurm scan");
    const first = scan([...ARGUMENTS, "--folder", slurm, "--shards", "3", "--slurm", "--wait"], cluster.env);
    await killTheSecond(slurm);
    const { success, out, error } = await first;
    expect(out).toMatch(/^Submitted 3 shards as job \d+, and job \d+/);
    expect([success, error]).toEqual([false, expect.stringMatching(/shard 2 of 3: stopped, [1-9]\d* images done/)]);
    expect(await Deno.readTextFile(join(slurm, "logs", "merge.log"))).toMatch(/shard 2 of 3: stopped/);
    const second = await scan(["--folder", slurm, "--rerun", "--wait"], cluster.env);
    expect([second.error, second.out]).toEqual(["", expect.stringMatching(/Submitted 1 shard as job/)]);
    await holdsAll(slurm);
    await Deno.remove(place, { recursive: true });
  }, 180_000);
});
