import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../lib/codec.ts";
import { cifar10, CIFAR10_CLASSES, type Dataset, imageFolder } from "../../lib/data/dataset.ts";
import { GREY, png } from "./png.ts";

const onProgress = () => {};
const walk = (dataset: Dataset) => Array.fromAsync(dataset);

describe("cifar10", () => {
  it("gives the first test images of the original, pixels and labels", async () => {
    const dataset = await cifar10({ split: "test", limit: 10, onProgress });
    expect(dataset.size).toBe(10);
    expect(dataset.labels).toEqual(CIFAR10_CLASSES);
    const items = await walk(dataset);
    expect(items.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, i) => `test-0000${i}`));
    // The first ten labels of the original's test_batch: 3 8 8 0 6 6 1 6 3 1.
    expect(items.map(({ label }) => label)).toEqual(
      ["cat", "ship", "ship", "airplane", "frog", "frog", "automobile", "frog", "cat", "automobile"],
    );
    for (const { image } of items) expect(image.shape).toEqual([32, 32, 3]);
    // Red, green and blue at the top left of the original's first test image.
    expect(Array.from(items[0].image.data.subarray(0, 3))).toEqual([158, 112, 49]);
    // It is smooth: rows of pixels in a wrong order would not be.
    const { data } = items[0].image;
    const steps = (by: number) =>
      data.subarray(by).reduce((sum, value, i) => sum + Math.abs(value - data[i]), 0) / (data.length - by);
    expect(steps(3)).toBeLessThan(steps(16 * 3) / 2);
    expect(steps(96)).toBeLessThan(steps(16 * 96) / 2);
  });

  it("gives the first training images, by default", async () => {
    const [first, second] = await walk(await cifar10({ limit: 2, onProgress }));
    expect([first.id, first.label, second.label]).toEqual(["train-00000", "frog", "truck"]);
    expect(Array.from(first.image.data.subarray(0, 3))).toEqual([59, 62, 63]);
  });

  it("knows its size before it is walked: 50,000 and 10,000, a tenth in each class", async () => {
    expect((await cifar10({ onProgress })).size).toBe(50_000);
    expect((await cifar10({ split: "test", onProgress })).size).toBe(10_000);
    for (const name of CIFAR10_CLASSES) {
      expect((await cifar10({ split: "test", classes: [name], onProgress })).size).toBe(1000);
      expect((await cifar10({ classes: [name], onProgress })).size).toBe(5000);
    }
  });

  it("filters classes and keeps ids, across files and as often as it is walked", async () => {
    const dataset = await cifar10({ classes: ["dog", "cat"], limit: 2100, onProgress });
    expect(dataset.labels).toEqual(["cat", "dog"]);
    const items = await walk(dataset);
    expect(items).toHaveLength(2100);
    expect(new Set(items.map(({ label }) => label))).toEqual(new Set(["cat", "dog"]));
    expect(new Set(items.map(({ id }) => id)).size).toBe(2100);
    const last = items.at(-1)!;
    expect(Number(last.id.slice(6))).toBeGreaterThan(10_000);
    const again = (await walk(dataset)).at(-1)!;
    expect(again.id).toBe(last.id);
    expect(again.image.data).toEqual(last.image.data);
    // The same image, found without a filter.
    const index = Number(last.id.slice(6));
    let seen = 0;
    for await (const { id, image, label } of await cifar10({ limit: index + 1, onProgress })) {
      if (seen++ < index) continue;
      expect([id, label]).toEqual([last.id, last.label]);
      expect(image.data).toEqual(last.image.data);
    }
    expect(seen).toBe(index + 1);
  });

  it("refuses an unknown split or class, and a limit that is none", async () => {
    await expect(cifar10({ split: "tset" as "test" })).rejects.toThrow(/no split "tset" in CIFAR-10.*"test"/);
    await expect(cifar10({ classes: ["automobil"] as never })).rejects.toThrow(
      /no class "automobil" in CIFAR-10.*"automobile"/,
    );
    for (const limit of [0, -1, 2.5, NaN]) {
      await expect(cifar10({ limit })).rejects.toThrow(`a whole number ≥ 1: received ${limit}`);
    }
  });
});

describe("imageFolder", () => {
  let root: string;
  const put = async (path: string, grey?: number) => {
    await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    const text = new TextEncoder().encode("no image");
    await Deno.writeFile(`${root}/${path}`, grey === undefined ? text : png({ width: 1, color: GREY, rows: [[grey]] }));
  };

  beforeAll(async () => {
    root = await Deno.makeTempDir();
    await put("pets/dog/b.png", 20);
    await put("pets/dog/a.PNG", 10);
    await put("pets/dog/notes.txt");
    await put("pets/dog/.hidden.png");
    await put("pets/cat <b>/1.png", 30);
    await put("pets/empty/readme.md");
    await put("pets/.git/x.png");
    await put("flat/2.png", 2);
    await put("flat/10.png", 10);
    await put("mixed/x.png", 1);
    await put("mixed/dog/y.png", 1);
    await put("none/readme.md");
    await put("broken/1.png", 1);
    await put("broken/2.jpg");
    await Deno.mkdir(`${root}/linked`);
    await Deno.symlink(`${root}/flat/2.png`, `${root}/linked/two.png`);
  });
  afterAll(() => Deno.remove(root, { recursive: true }));

  it("takes sub-folders as labels, in the order of names", async () => {
    const dataset = await imageFolder(`${root}/pets`);
    expect([dataset.name, dataset.size, dataset.labels]).toEqual(["pets", 3, ["cat <b>", "dog"]]);
    for (let round = 0; round < 2; round++) {
      expect((await walk(dataset)).map(({ id, label, image }) => [id, label, image.data[0]])).toEqual([
        ["cat <b>/1.png", "cat <b>", 30],
        ["dog/a.PNG", "dog", 10],
        ["dog/b.png", "dog", 20],
      ]);
    }
  });

  it("takes a flat folder without labels, and follows links", async () => {
    const dataset = await imageFolder(`${root}/flat/`);
    expect(dataset.name).toBe("flat");
    expect("labels" in dataset).toBe(false);
    const items = await walk(dataset);
    expect(items.map(({ id }) => id)).toEqual(["10.png", "2.png"]);
    expect(items.every((item) => !("label" in item))).toBe(true);
    expect((await walk(await imageFolder(`${root}/linked`)))[0].image.data[0]).toBe(2);
  });

  it("refuses what is no folder of images", async () => {
    const message = async (path: string) => {
      const error = await imageFolder(`${root}/${path}`).then(() => undefined, (error) => error);
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toContain(JSON.stringify(`${root}/${path}`));
      return error.message;
    };
    expect(await message("nowhere")).toContain("There is no folder");
    expect(await message("flat/2.png")).toContain("is a file; wanted a folder of images. loadImage(");
    expect(await message("none")).toContain("holds no image: wanted files that end in .jpg");
    expect(await message("mixed")).toMatch(
      /directly \("x\.png"\) and in sub-folders \("dog"\).*all of them in sub-folders/,
    );
  });

  it("names the broken image when it comes to it", async () => {
    const seen: string[] = [];
    await expect((async () => {
      for await (const { id } of await imageFolder(`${root}/broken`)) seen.push(id);
    })()).rejects.toThrow(/broken\/2\.jpg" is not an image that can be read: found text/);
    expect(seen).toEqual(["1.png"]);
  });
});
