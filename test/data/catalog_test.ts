import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogEntries, CatalogError, fetchEntry } from "../../lib/data/catalog.ts";
import { publishedNetworks } from "../../lib/model/published.ts";
import { photo } from "../../lib/data/photo.ts";
import catalog from "../../data/catalog.json" with { type: "json" };
import { photoFile, startRegistry, testCatalog } from "./registry.ts";

const quiet = () => {};

/** Every file below a folder. */
async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await filesBelow(path));
    else found.push(path);
  }
  return found.sort();
}

describe("the catalogue", () => {
  const exact = /^(@[a-z0-9-]+\/)?[a-z0-9_-]+@\d+\.\d+\.\d+$/;

  it("names for each entry an exact package, a licence, and size and hash of each file", () => {
    for (const entry of Object.values(catalogEntries)) {
      expect(entry.package).toMatch(exact);
      expect(entry.licence).toMatch(/\w/);
      expect(entry.what).toMatch(/\w.*\.$/);
      expect(Object.keys(entry.files).length).toBeGreaterThan(0);
      for (const { bytes, sha256 } of Object.values(entry.files)) {
        expect(bytes).toBeGreaterThan(0);
        expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      }
    }
    const used = [...new Set(Object.values(catalogEntries).map((entry) => entry.package))].sort();
    expect(Object.keys(catalog.packages).sort()).toEqual(used);
    for (const { integrity } of Object.values(catalog.packages)) expect(integrity).toMatch(/^sha512-[\w+/]{86}==$/);
  });

  it("has two cats, a dog and others, a network and data sets", () => {
    const names = (kind: string) => Object.keys(catalogEntries).filter((name) => catalogEntries[name].kind === kind);
    expect(names("photo")).toEqual(["dog", "cat", "tabby", "beagles", "beach", "biplane", "boats"]);
    expect(names("model")).toEqual(["resnet50"]);
    expect(names("dataset")).toEqual(["cifar10", "mnist", "fashion-mnist"]);
    expect(names("labels")).toEqual(["imagenet"]);
  });

  it("has networks whose weights are published, each with an address, its bytes and its sum", () => {
    expect(Object.keys(publishedNetworks)).toEqual([
      "alexnet",
      "caffenet",
      "zfnet512",
      "vgg16",
      "googlenet",
      "squeezenet",
      "resnet18",
      "mobilenetV2",
      "vgg16-keras",
      "vgg19-keras",
    ]);
    for (const { url, bytes, sha256, md5, what, licence, preprocess } of Object.values(publishedNetworks)) {
      expect(url).toMatch(/^https:\/\/[\w./-]+\.(onnx|h5)$/);
      expect(bytes).toBeGreaterThan(9e6);
      expect(sha256 ?? md5).toMatch(sha256 ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{32}$/);
      expect(what).toMatch(/\w.*\.$/);
      expect(licence).toMatch(/\w/);
      expect(["caffe", "torch"]).toContain(preprocess);
    }
  });

  it("has photos that load, of these sizes", async () => {
    const sizes: Record<string, number[]> = {
      dog: [300, 449],
      cat: [300, 300],
      tabby: [224, 224],
      beagles: [399, 600],
      beach: [399, 600],
      biplane: [717, 1024],
      boats: [819, 1024],
    };
    for (const [name, size] of Object.entries(sizes)) {
      const image = await photo(name, { onProgress: quiet });
      expect(image.shape).toEqual([...size, 3]);
      expect(image.name).toBe(name);
      expect(image.about).toBe(catalogEntries[name].what);
      expect(image.source).toContain(catalogEntries[name].licence);
    }
  });

  it("has a network whose files are all there and right", async () => {
    const { paths, name } = await fetchEntry("resnet50", "model", { onProgress: quiet });
    expect(name).toBe("resnet50");
    const model = JSON.parse(await Deno.readTextFile(paths["ResNet50/model.json"]));
    for (const shard of model.weightsManifest.flatMap((group: { paths: string[] }) => group.paths)) {
      expect(paths).toHaveProperty([`ResNet50/${shard}`]);
    }
    expect(Object.keys(JSON.parse(await Deno.readTextFile(paths["assets/labels.json"])))).toHaveLength(1000);
  });

  it("lists the nearest names of the same kind when there is no such entry", async () => {
    await expect(photo("dogg")).rejects.toThrow(/There is no photo "dogg" in the catalogue\. The nearest: "dog"/);
    await expect(fetchEntry("dog", "model")).rejects.toThrow(/There is no model "dog".*"resnet50"/);
    await expect(photo("constructor")).rejects.toThrow(RangeError);
    await expect(photo("<b>x</b>")).rejects.toThrow('"<b>x</b>"');
  });
});

describe("fetching", () => {
  let registry: ReturnType<typeof startRegistry>;
  let cache: string;
  const names = ["DENO_DIR", "NPM_CONFIG_REGISTRY", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "TMPDIR"];
  const before = new Map<string, string | undefined>();

  beforeEach(async () => {
    registry = startRegistry();
    cache = await Deno.makeTempDir();
    for (const name of names) before.set(name, Deno.env.get(name));
    Deno.env.set("DENO_DIR", cache);
    Deno.env.set("NPM_CONFIG_REGISTRY", registry.url);
    Deno.env.set("NO_PROXY", "127.0.0.1");
    Deno.env.set("no_proxy", "127.0.0.1");
    await Deno.mkdir(`${cache}/temporary`);
    Deno.env.set("TMPDIR", `${cache}/temporary`);
  });

  afterEach(async () => {
    for (const name of names) {
      const value = before.get(name);
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await registry.stop();
    await Deno.remove(cache, { recursive: true });
  });

  /** The package's files in the cache: none, or whole ones. */
  const kept = async () => (await filesBelow(cache)).filter((path) => /photo\.png|big\.bin/.test(path));

  it("downloads once, says so, and works offline afterwards", async () => {
    const said: string[] = [];
    const options = { onProgress: (text: string) => said.push(text) };
    const [first, again] = await Promise.all([
      fetchEntry("tiny", "photo", { ...options, catalog: testCatalog() }),
      fetchEntry("tiny", "photo", { ...options, catalog: testCatalog() }),
    ]);
    expect(again.paths).toEqual(first.paths);
    expect(await Deno.readFile(first.paths["photo.png"])).toEqual(photoFile);
    expect(said[0]).toMatch(/^Fetching convlens-test-photos@1\.0\.0 for "tiny", \d+ kB, through npm/);
    const downloads = registry.state.archives;

    registry.state.mode = "error 500";
    said.length = 0;
    const image = await photo("tiny", { ...options, catalog: testCatalog() });
    expect(Array.from(image.data)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(image.source).toBe("convlens-test-photos@1.0.0 (CC0-1.0)");
    expect(said).toEqual([]);
    expect(registry.state.archives).toBe(downloads);
  });

  it("shares one download between calls at the same time, and checks hashes once a process", async () => {
    const shared = testCatalog();
    const [one, two] = await Promise.all([
      fetchEntry("tiny", "photo", { onProgress: quiet, catalog: shared }),
      fetchEntry("tiny", "photo", { onProgress: quiet, catalog: shared }),
    ]);
    expect(two).toBe(one);
    expect(registry.state.archives).toBe(1);
  });

  it("touches neither the lock file nor the node_modules of the project that it is called from", async () => {
    const library = new URL("../../lib/data/catalog.ts", import.meta.url).href;
    const shared = JSON.stringify(testCatalog());
    const code = `import { fetchEntry } from ${JSON.stringify(library)};` +
      `console.log((await fetchEntry("tiny", "photo", { catalog: ${shared} })).paths["photo.png"]);`;
    const projects: Record<string, string>[] = [
      {},
      { "deno.json": '{ "nodeModulesDir": "auto" }', "deno.lock": '{ "version": "5" }' },
      { "package.json": '{ "name": "own", "version": "1.0.0" }' },
    ];
    for (const project of projects) {
      const folder = await Deno.makeTempDir();
      await Deno.writeTextFile(`${folder}/own.ts`, code);
      for (const [name, text] of Object.entries(project)) await Deno.writeTextFile(`${folder}/${name}`, text);
      const files = await filesBelow(folder);
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "own.ts"],
        cwd: folder,
      }).output();
      expect(success, new TextDecoder().decode(stderr)).toBe(true);
      expect(new TextDecoder().decode(stdout)).toContain(cache);
      expect(await filesBelow(folder)).toEqual(files);
      for (const [name, text] of Object.entries(project)) {
        expect(await Deno.readTextFile(`${folder}/${name}`)).toBe(text);
      }
      await Deno.remove(folder, { recursive: true });
    }
  });

  it("says in one error what is missing when there is no network and nothing in the cache", async () => {
    await registry.stop();
    const error = await fetchEntry("tiny", "photo", { onProgress: quiet, catalog: testCatalog() })
      .then(() => undefined, (error) => error);
    expect(error).toBeInstanceOf(CatalogError);
    expect(error.name).toBe("CatalogError");
    expect(error.message).toMatch(
      /The photo "tiny" needs the npm package convlens-test-photos@1\.0\.0, which is not in Deno's cache and could not be downloaded\. Connect to the network and try again/,
    );
    expect(error.message).toMatch(/Deno said: .*(refused|connect)/i);
    expect(await kept()).toEqual([]);
    registry = startRegistry();
  });

  it("says the same of a real photo when the way out is closed", async () => {
    Deno.env.delete("NPM_CONFIG_REGISTRY");
    for (const name of ["NO_PROXY", "no_proxy"]) Deno.env.delete(name);
    for (const name of ["HTTPS_PROXY", "https_proxy"]) Deno.env.set(name, "http://127.0.0.1:9");
    await expect(photo("biplane", { onProgress: quiet, catalog: structuredClone(catalog) as never }))
      .rejects.toThrow(/The photo "biplane" needs the npm package @stdlib\/datasets-img-airplane-from-above@0\.2\.3/);
  });

  it.each(["cut off", "another file", "error 500"] as const)(
    "keeps nothing of an archive that came as %s, and works when it comes whole",
    async (mode) => {
      const shared = testCatalog();
      registry.state.mode = mode;
      await expect(fetchEntry("big", "model", { onProgress: quiet, catalog: shared })).rejects.toThrow(CatalogError);
      expect(registry.state.archives).toBeGreaterThan(0);
      expect(await kept()).toEqual([]);
      registry.state.mode = "whole";
      const { paths } = await fetchEntry("big", "model", { onProgress: quiet, catalog: shared });
      expect((await Deno.stat(paths["big.bin"])).size).toBe(200_000);
    },
  );

  it("refuses a file whose hash differs, and a missing one; its remedy works", async () => {
    const { paths } = await fetchEntry("tiny", "photo", { onProgress: quiet, catalog: testCatalog() });
    const path = paths["photo.png"];
    for (const spoil of [(p: string) => Deno.writeFile(p, new Uint8Array(9)), (p: string) => Deno.remove(p)]) {
      await spoil(path);
      const error = await photo("tiny", { onProgress: quiet, catalog: testCatalog() })
        .then(() => undefined, (error) => error);
      expect(error).toBeInstanceOf(CatalogError);
      expect(error.message).toContain(`The photo "tiny" was not loaded: its file ${path} is not the one`);
      expect(error.message).toContain(testCatalog().entries.tiny.files["photo.png"].sha256);
      expect(error.message).toMatch(/found (9 bytes with SHA-256 [0-9a-f]{64}|none)/);
      const folder = error.message.match(/Remove the folder (.*) and try again/)[1];
      await Deno.remove(folder, { recursive: true });
      const again = await fetchEntry("tiny", "photo", { onProgress: quiet, catalog: testCatalog() });
      expect(await Deno.readFile(again.paths["photo.png"])).toEqual(photoFile);
    }
  });

  it("leaves no temporary folder behind", async () => {
    await fetchEntry("tiny", "photo", { onProgress: quiet, catalog: testCatalog() });
    registry.state.mode = "error 500";
    await Deno.remove(`${cache}/npm`, { recursive: true });
    await expect(fetchEntry("big", "model", { onProgress: quiet, catalog: testCatalog() })).rejects.toThrow();
    expect(await Array.fromAsync(Deno.readDir(`${cache}/temporary`))).toEqual([]);
  });
});
