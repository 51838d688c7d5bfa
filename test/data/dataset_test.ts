import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../lib/codec.ts";
import { cifar10, CIFAR10_CLASSES } from "../../lib/data/cifar10.ts";
import {
  checkDataset,
  type Dataset,
  dataset,
  type ImageDataset,
  type ItemLike,
  unreadItems,
} from "../../lib/data/dataset.ts";
import { FASHION_MNIST_CLASSES, fashionMnist } from "../../lib/data/fashion_mnist.ts";
import { type Keypoints, petFaces } from "../../lib/data/pet_faces.ts";
import { Image } from "../../lib/data/image.ts";
import { imageFolder } from "../../lib/data/image_folder.ts";
import { mnist } from "../../lib/data/mnist.ts";
import type { Bars, Sheet } from "../../lib/figure/blocks.ts";
import { displaySymbol } from "../../lib/figure/cell.ts";
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

/** Rows of pixels as characters: space for black, `#` for what is bright. */
const drawn = ({ data, shape: [, width] }: Image) =>
  Array.from(
    { length: data.length / width },
    (_, y) =>
      Array.from(data.subarray(y * width, (y + 1) * width), (value) => value > 127 ? "#" : " ").join("").trimEnd(),
  );

describe("mnist", () => {
  it("gives the first images of the original, pixels and labels", async () => {
    const train = await walk(await mnist({ limit: 10, onProgress }));
    expect(train.map(({ label }) => label).join("")).toBe("5041921314");
    const test = await walk(await mnist({ split: "test", limit: 10, onProgress }));
    expect(test.map(({ label }) => label).join("")).toBe("7210414959");
    expect(test.map(({ id }) => id).slice(0, 2)).toEqual(["test-00000", "test-00001"]);
    expect(test[0].image.shape).toEqual([28, 28, 1]);
    expect(drawn(test[0].image).slice(6, 22)).toEqual([
      "",
      "       ###",
      "      ###############",
      "          ############",
      "                   ##",
      "                   ##",
      "                  ##",
      "                 ###",
      "                 ##",
      "                ###",
      "                ##",
      "                ##",
      "               ##",
      "              ###",
      "             ###",
      "             ##",
    ]);
    // The original's first training image, in its sixth row.
    expect(Array.from(train[0].image.data.subarray(5 * 28 + 12, 5 * 28 + 24))).toEqual(
      [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127],
    );
  });

  it("knows its sizes, and filters classes", async () => {
    expect((await mnist({ onProgress })).size).toBe(60_000);
    expect((await mnist({ split: "test", onProgress })).size).toBe(10_000);
    const ones = await mnist({ split: "test", classes: ["1"], onProgress });
    expect([ones.size, ones.labels]).toEqual([1135, ["1"]]);
    await expect(mnist({ classes: [1] as never })).rejects.toThrow(/no class "1" in MNIST/);
    await expect(mnist({ splitt: "test" } as never)).rejects.toThrow(/no option "splitt".*"split"/);
  });
});

describe("fashionMnist", () => {
  it("parts the images of each class in 6,000 to train on and 1,000 to test on, which share none", async () => {
    const key = ({ image }: { image: Image }) => image.data.join();
    for (const split of ["train", "test"] as const) {
      const all = await fashionMnist({ split, onProgress });
      expect(all.size).toBe(split === "train" ? 60_000 : 10_000);
      expect(all.labels).toEqual(FASHION_MNIST_CLASSES);
      const [first, last] = [
        all.filter(({ label }) => label === "Bag"),
        await fashionMnist({ split, classes: ["Bag"] }),
      ];
      expect([first.size, last.size]).toEqual([all.size / 10, all.size / 10]);
    }
    const seen = new Set((await walk(await fashionMnist({ classes: ["Bag"], onProgress }))).map(key));
    const kept = await walk(await fashionMnist({ split: "test", classes: ["Bag"], onProgress }));
    // All 7,000 bags of the package differ.
    expect(seen.size).toBe(6000);
    expect(kept.filter((item) => seen.has(key(item)))).toEqual([]);
  });

  it("reads whole images from the package, past the empty ones", async () => {
    const tops = await fashionMnist({ classes: ["T-shirt/top"], onProgress });
    const all = await walk(tops);
    expect(all).toHaveLength(6000);
    expect(all.every(({ image }) => image.shape.join() === "28,28,1" && image.data.some((value) => value > 0))).toBe(
      true,
    );
    // The package's first row of the first T-shirt, and the mean of its 7,000, less those kept for testing.
    expect(Array.from(all[0].image.data.subarray(0, 28))).toEqual(
      [0, 0, 0, 0, 0, 0, 0, 9, 8, 0, 0, 34, 29, 7, 0, 11, 24, 0, 0, 3, 3, 1, 0, 1, 1, 0, 0, 0],
    );
    const mean = all.reduce((sum, { image }) => sum + image.data.reduce((a, b) => a + b), 0) / (6000 * 784);
    expect(Math.abs(mean - 83.1)).toBeLessThan(1);
  });

  it("takes turns among the classes", async () => {
    const items = await walk(await fashionMnist({ split: "test", limit: 20, onProgress }));
    expect(items.map(({ label }) => label)).toEqual([...FASHION_MNIST_CLASSES, ...FASHION_MNIST_CLASSES]);
    expect(items[10].id).toBe("test-00010");
  });
});

describe("dataset", () => {
  const grey = (value: number) => ({ data: new Float32Array(4).fill(value), shape: [2, 2, 1] });
  const items = (count: number): ItemLike[] =>
    Array.from({ length: count }, (_, i) => ({
      id: `no. ${i}`,
      image: grey(i),
      label: i % 3 === 0 ? "third" : "other",
      light: i,
    }));
  const ids = async (images: ImageDataset) => (await walk(images)).map(({ id }) => Number(id.slice(4)));
  /** A stream of items that knows its size. */
  const stream = (count: number) => ({
    size: count,
    async *[Symbol.asyncIterator]() {
      for (const item of items(count)) yield await Promise.resolve(item);
    },
  });

  it("gives the images of an array or an iterable, with labels and columns, as often as asked", async () => {
    for (const own of [items(4), new Set(items(4))]) {
      const images = dataset(own, { name: "mine" });
      expect([images.name, images.size, images.labels]).toEqual(["mine", 4, ["other", "third"]]);
      for (let round = 0; round < 2; round++) {
        const found = await walk(images);
        expect(found.map(({ image, ...known }) => ({ ...known, pixel: image.data[0] }))).toEqual([
          { id: "no. 0", label: "third", light: 0, pixel: 0 },
          { id: "no. 1", label: "other", light: 1, pixel: 1 },
          { id: "no. 2", label: "other", light: 2, pixel: 2 },
          { id: "no. 3", label: "third", light: 3, pixel: 3 },
        ]);
        expect(found[0].image).toBeInstanceOf(Image);
      }
    }
  });

  it("needs no ids and no labels, and reads paths only when it is their turn", async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/dot.png`;
    const images = dataset([{ image: path }, { image: `${folder}/missing.png` }]);
    expect([images.name, "labels" in images]).toEqual(["images", false]);
    await Deno.writeFile(path, png({ width: 1, color: GREY, rows: [[7]] }));
    const walked = images[Symbol.asyncIterator]();
    const { value } = await walked.next();
    expect([value!.id, value!.image.data[0], "label" in value!]).toEqual(["0", 7, false]);
    await expect(walked.next()).rejects.toThrow(/no file .*missing\.png/);
    await Deno.remove(folder, { recursive: true });
  });

  it("is cut, filtered, split and shuffled", async () => {
    const images = dataset(items(30));
    expect(await ids(images.take(3))).toEqual([0, 1, 2]);
    expect(images.take(99).size).toBe(30);
    const shards = await Promise.all([0, 1, 2, 3].map((i) => ids(images.shard(i, 4))));
    expect(shards.map(({ length }) => length)).toEqual([7, 8, 7, 8]);
    expect(shards.flat()).toEqual(await ids(images));
    expect(() => images.shard(4, 4)).toThrow(/no shard 4 of 4 of the 30 images/);
    expect(() => images.shard(0, 31)).toThrow(RangeError);
    const thirds = images.filter(({ label }) => label === "third");
    expect([thirds.size, thirds.labels]).toEqual([10, ["third"]]);
    expect(await ids(thirds.take(3))).toEqual([0, 3, 6]);
    expect(await ids(images.filter(({ light }) => (light as number) > 27))).toEqual([28, 29]);

    const [some, others] = images.split(0.7, { seed: 1 });
    const [first, second] = [await ids(some), await ids(others)];
    expect([first.length, second.length]).toEqual([21, 9]);
    expect([...first, ...second].sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(first).toEqual([...first].sort((a, b) => a - b));
    expect(await ids(images.split(0.7, { seed: 1 })[0])).toEqual(first);
    expect(await ids(images.split(0.7, { seed: 2 })[0])).not.toEqual(first);

    const mixed = await ids(images.shuffle({ seed: 3 }));
    expect(mixed).not.toEqual([...mixed].sort((a, b) => a - b));
    expect(new Set(mixed).size).toBe(30);
    expect(await ids(images.shuffle({ seed: 3 }))).toEqual(mixed);
    expect(await ids(images.shuffle(3))).toEqual(mixed);
    expect(await ids(images.split(0.7, 1)[0])).toEqual(first);
    expect(() => images.shuffle("3" as never)).toThrow("shuffle takes its options as one object, as { seed: … }");
    expect(() => images.split(0.5, 1.5)).toThrow("seed must be a whole number: received 1.5");
    // A cut of what was shuffled, and what was filtered of a cut.
    expect(await ids(images.shuffle({ seed: 3 }).take(4))).toEqual(mixed.slice(0, 4));
    expect(await ids(images.take(10).filter(({ label }) => label === "third"))).toEqual([0, 3, 6, 9]);
  });

  it("shuffles what stands in several files, too", async () => {
    const dataset = await cifar10({ onProgress });
    const mixed = await walk(dataset.shuffle({ seed: 1 }).take(40));
    expect(new Set(mixed.map(({ id }) => id.slice(0, 7))).size).toBe(5);
    const some = mixed.filter(({ id }) => Number(id.slice(6)) < 10_000);
    const last = Math.max(...some.map(({ id }) => Number(id.slice(6))));
    const straight = new Map((await walk(dataset.take(last + 1))).map((item) => [item.id, item]));
    for (const { id, image, label } of some) {
      expect(straight.get(id)!.label).toBe(label);
      expect(straight.get(id)!.image.data).toEqual(image.data);
    }
  });

  it("shows how many images each label has, and a sample of all of them", async () => {
    const images = dataset(items(300), { name: "lamps", labels: ["third", "other", "none"] });
    expect(images.counts).toEqual([
      { label: "third", images: 100 },
      { label: "other", images: 200 },
      { label: "none", images: 0 },
    ]);
    expect(images.filter(({ label }) => label === "third").take(7).counts).toEqual([{ label: "third", images: 7 }]);
    expect(Deno.inspect(images)).toBe('"lamps": 300 images of 3 classes\n  "third": 100\n  "other": 200\n  "none": 0');
    const figure = await images.figure();
    expect(figure.title).toBe("lamps: 300 images of 3 classes");
    expect(figure.caption).toBe("Shown are 16 of the images, spread over the labels.");
    const [bars, sheet] = figure.blocks as [Bars, Sheet];
    expect(bars.rows.map(({ label, value, text }) => [label, value, text])).toEqual([
      ["third", 0.5, "100 (33.3 %)"],
      ["other", 1, "200 (66.7 %)"],
      ["none", 0, "0 (0.0 %)"],
    ]);
    const shown = sheet.tiles.map(({ words }) => Number(words.match(/\d+/)![0]));
    // Eight of each, the first label's first, from the first to the last.
    expect(shown.slice(0, 8)).toEqual([0, 36, 75, 111, 150, 186, 225, 261]);
    expect(shown.slice(8).every((id) => id % 3)).toBe(true);
    expect(sheet.tiles[0].lines).toEqual(["third"]);
    expect(Object.keys(await images[displaySymbol]()).sort()).toEqual(["image/png", "text/html", "text/plain"]);
  });

  it("shows what it can of images that cannot be read, and of a stream", async () => {
    const figure = await dataset([{ image: grey(5), id: "<b>" }, { image: "none.png", id: "gone" }]).figure();
    expect((figure.blocks as Sheet[]).map(({ tiles }) => tiles.length)).toEqual([1]);
    expect(figure.caption).toMatch(/^Shown are 1 of the images\. "gone" cannot be read: There is no file/);
    expect(await figure.html()).not.toContain("<b>");
    const streamed = await dataset(stream(20), { name: "stream" }).figure();
    expect([streamed.title, (streamed.blocks[0] as Sheet).tiles.length]).toEqual(["stream: 20 images", 16]);
  });

  it("takes a stream that knows its size, in its order", async () => {
    const images = dataset(stream(20), { name: "stream", labels: ["third", "other"] });
    expect([images.size, images.labels]).toEqual([20, ["third", "other"]]);
    expect(await ids(images)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(await ids(images.take(2))).toEqual([0, 1]);
    const [some, others] = images.split(0.25);
    expect([...await ids(some), ...await ids(others)].sort((a, b) => a - b)).toHaveLength(20);
    for (const refused of [() => images.shuffle(), () => images.filter(() => true)]) {
      expect(refused).toThrow(/come one after the other.*wants an array of them: dataset\(await Array\.fromAsync/);
    }
    const short = dataset({ ...stream(3), size: 5 });
    await expect(walk(short)).rejects.toThrow(/says that it holds 5 images, and gave 3/);
    expect(await ids(short.take(3))).toEqual([0, 1, 2]);
  });

  it("refuses what is no data set, by name", async () => {
    const refuse = (own: unknown, message: RegExp, options: unknown = {}) =>
      expect(() => dataset(own as ItemLike[], options as never)).toThrow(message);
    refuse(7, /wants an array of \{ image, id, label \}.*received 7/);
    refuse([], /holds no image/);
    refuse([items(1)[0], 5], /Item 1 .* must be an object .* received 5/);
    refuse([{ id: "a", picture: grey(1) }], /Item 0 .* has no image; it has id, picture/);
    refuse([{ image: grey(1), label: 3 }], /The label of item 0 .* must be a string: received 3/);
    refuse([...items(2), items(1)[0]], /Items 0 and 2 .* have the same id, "no\. 0"/);
    refuse({ async *[Symbol.asyncIterator]() {} }, /wants a size.*received the size undefined/);
    refuse(items(1), /no option "nam"/, { nam: "x" });
    refuse(items(1), /labels must be an array of labels/, { labels: "cat" });
    const images = dataset(items(4));
    for (const count of [0, 1.5, "2"]) {
      expect(() => images.take(count as number)).toThrow(/count must be a whole number/);
    }
    for (const share of [-1, 2, NaN]) expect(() => images.split(share)).toThrow(/share must be a number from 0 to 1/);
    expect(() => images.split(0.1)).toThrow(/A share of 0.1 of 4 images is none of them/);
    expect(() => images.split(1)).toThrow(/is all of them/);
    expect(() => images.filter(({ label }) => label === "cat")).toThrow(/leaves none of the 4 images.*"label":"third"/);
    expect(() => images.filter("cat" as never)).toThrow(/wants a function/);
    await expect(walk(dataset([{ image: 5 as never }]))).rejects.toThrow(/An image is what loadImage/);
  });
});

describe("checks of data sets", () => {
  const image = { data: new Float32Array(12), shape: [2, 2, 3] };
  const own = (parts: object) => ({ name: "own", size: 2, async *[Symbol.asyncIterator]() {}, ...parts });

  it.each([NaN, Infinity, -Infinity, -1, 1.5, 2 ** 60, 0])("a size of %d is refused at the border", (size) => {
    const message = size === 0 ? "holds no image; wanted at least one" : `a whole number ≥ 1: received ${size}.`;
    expect(() => checkDataset("codes", own({ size }))).toThrow(RangeError);
    expect(() => checkDataset("codes", own({ size }))).toThrow(message);
    expect(() => dataset(own({ size }))).toThrow(/a whole number ≥ 1 of how many there are/);
  });

  it("a size that is far too large takes no memory", async () => {
    const image = { data: new Float32Array(12), shape: [2, 2, 3] };
    const three = {
      async *[Symbol.asyncIterator]() {
        for (let i = 0; i < 3; i++) yield { image };
      },
    };
    const images = dataset({ ...three, size: 1e12 });
    expect([images.size, images.take(2).size, (await walk(images.take(2))).length]).toEqual([1e12, 2, 2]);
    await expect(walk(images)).rejects.toThrow("says that it holds 1000000000000 images, and gave 3");
  });

  it("labels are strings, each once", () => {
    const check = (labels: unknown) => () => checkDataset("train", own({ labels }));
    expect(check([0, 1])).toThrow('The labels of the data set "own" must be strings: received 0 at 0. Write them as');
    expect(check(["a", null])).toThrow("received null at 1");
    expect(check("cat")).toThrow(/must be an array of labels, as \["cat", "dog"\]: received "cat"/);
    expect(check(["a", "b", "a"])).toThrow('must differ: "a" stands at 0 and 2');
    expect(check(["constructor", "__proto__", "toString"])).not.toThrow();
    expect(() => dataset([{ image }], { labels: ["a", "a"] })).toThrow('labels must differ: "a"');
    expect(() => dataset([{ image }], { labels: [1] as never })).toThrow("labels must be strings: received 1 at 0");
  });

  it("items say what is wrong by their ids, in a list, in a stream and in a data set of another kind", async () => {
    const wrong: [object, string][] = [
      [{ id: "img-5", image: null }, 'Item 1 (id "img-5") of a data set has no image; it has id.'],
      [{ id: "img-5" }, 'Item 1 (id "img-5") of a data set has no image; it has id.'],
      [
        { id: "img-5", image, label: 3 },
        'The label of item 1 (id "img-5") of a data set must be a string: received 3. Write',
      ],
      [{ id: "img-5", image, label: null }, "must be a string: received null. Leave it out where there is none."],
      [{ id: "img-5", image, label: true }, "must be a string: received true. Write it as text"],
      [{ id: 7, image }, "The id of item 1 of a data set must be a string: received 7. Write it as text"],
    ];
    for (const [item, message] of wrong) {
      const items = [{ id: "img-4", image }, item] as ItemLike[];
      const stream = {
        size: 2,
        async *[Symbol.asyncIterator]() {
          yield* items;
        },
      };
      expect(() => dataset(items)).toThrow(message);
      await expect(walk(dataset(stream))).rejects.toThrow(message);
      await expect(Array.fromAsync(unreadItems({ name: "own", ...stream } as Dataset))).rejects.toThrow(message);
    }
  });

  it("names that JavaScript has, too, are labels as any other", async () => {
    const names = ["constructor", "__proto__", "toString", "hasOwnProperty", "length"];
    const own = dataset(
      names.map((label, i) => ({ id: label, label, image: { ...image, data: image.data.map(() => i) } })),
    );
    expect(own.labels).toEqual([...names].sort());
    const found = await walk(own);
    expect(found.map(({ id, label }) => [id, label])).toEqual(names.map((name) => [name, name]));
    expect((await walk(own.filter(({ label }) => label === "__proto__"))).map(({ id }) => id)).toEqual(["__proto__"]);
  });

  it("keeps a column called read, and gives each item its image", async () => {
    const [item] = await walk(dataset([{ image, read: "last year" } as ItemLike]));
    expect([(item as unknown as { read: string }).read, item.image.shape]).toEqual(["last year", [2, 2, 3]]);
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
    expect([dataset.name, dataset.size, dataset.labels]).toEqual(["pets", 3, ["cat <b>", "dog", "empty"]]);
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

  it("looks as deep as it is told to", async () => {
    await put("deep/cat/1.png", 1);
    await put("deep/cat/old/2.png", 2);
    const found = async (path: string, options: Parameters<typeof imageFolder>[1]) =>
      (await walk(await imageFolder(`${root}/${path}`, options))).map(({ id, label }) => [id, label]);
    for (const options of [{}, { recursive: true }]) {
      expect(await found("deep", options)).toEqual([["cat/1.png", "cat"], ["cat/old/2.png", "cat"]]);
    }
    expect(await found("deep", { recursive: false })).toEqual([["cat/1.png", "cat"]]);
    expect((await imageFolder(`${root}/deep`, { recursive: false })).summary.passedOver).toEqual([
      { path: "cat/old", reason: "a sub-folder, and recursive is false" },
    ]);
    // Of a folder with both, one of the two, or both.
    expect(await found("mixed", { recursive: false })).toEqual([["x.png", undefined]]);
    expect(await found("mixed", { recursive: true })).toEqual([["x.png", undefined], ["dog/y.png", "dog"]]);
    expect(await found("mixed", { recursive: false, classes: ["dog"] })).toEqual([["dog/y.png", "dog"]]);
    const both = await imageFolder(`${root}/mixed`, { recursive: true });
    expect(Deno.inspect(both)).toBe('"mixed": 2 images of 1 class\n  "dog": 1\n  without a label: 1');
    expect((await both.figure()).caption).toContain("Images without a label: 1.");
    await expect(imageFolder(`${root}/mixed`, { recursive: 1 as never })).rejects.toThrow(
      "recursive must be true or false: received 1",
    );
  });

  it("says at once what it holds and what it passed over, and why", async () => {
    const png1 = png({ width: 1, color: GREY, rows: [[7]] });
    for (const folder of ["all/cat", "all/dog", "all/fox/2024", "all/empty", "all/.git"]) {
      await Deno.mkdir(`${root}/${folder}`, { recursive: true });
    }
    for (const file of ["cat/1.png", "cat/2.JFIF", "fox/2024/3.png", ".git/x.png"]) {
      await Deno.writeFile(`${root}/all/${file}`, png1);
    }
    await Deno.writeTextFile(`${root}/all/dog/1.bmp`, "BM");
    await Deno.writeTextFile(`${root}/all/dog/2.heic`, "");
    await Deno.writeTextFile(`${root}/all/notes.txt`, "");
    await Deno.symlink("/nowhere/README", `${root}/all/cat/README`);
    await Deno.symlink("itself", `${root}/all/cat/itself`);
    await Deno.symlink("other.png", `${root}/all/cat/one.png`);
    await Deno.symlink("one.png", `${root}/all/cat/other.png`);
    await Deno.symlink("..", `${root}/all/fox/up`);
    await Deno.symlink("2024", `${root}/all/fox/twice`);
    const folder = await imageFolder(`${root}/all`);
    expect(folder.labels).toEqual(["cat", "dog", "empty", "fox"]);
    const { images, counts, passedOver } = folder.summary;
    expect([images, folder.size]).toEqual([4, 4]);
    expect(counts).toEqual([
      { label: "cat", images: 2 },
      { label: "dog", images: 0 },
      { label: "empty", images: 0 },
      { label: "fox", images: 2 },
    ]);
    expect((await walk(folder)).map(({ id, label }) => `${label}: ${id}`)).toEqual([
      "cat: cat/1.png",
      "cat: cat/2.JFIF",
      "fox: fox/2024/3.png",
      "fox: fox/twice/3.png",
    ]);
    expect(Object.fromEntries(passedOver.map(({ path, reason }) => [path, reason]))).toEqual({
      ".git": "hidden: its name starts with a dot",
      "notes.txt": expect.stringMatching(/^its name does not end in \.jpg/),
      "cat/README": "a link to a file that is not there",
      "cat/itself": "a link that leads back to itself",
      "cat/one.png": "a link that leads back to itself",
      "cat/other.png": "a link that leads back to itself",
      "dog/1.bmp": "BMP images cannot be read; convert it to PNG or JPEG",
      "dog/2.heic": "HEIC images cannot be read; convert it to PNG or JPEG",
      "fox/up": "a link to a folder that it is in",
    });
    const printed = Deno.inspect(folder);
    expect(printed).toMatch(/^"all": 4 images of 4 classes\n {2}"cat": 2\n {2}"dog": 0/);
    expect(printed).toContain('"dog/1.bmp": BMP images cannot be read');
    // What is cut off is a data set as any other.
    expect("summary" in folder.take(2)).toBe(false);
  });

  it("takes names of any character, and is found again after a change of the working directory", async () => {
    const names = [
      "a#b",
      "100%",
      "50%25",
      "what?",
      "two  spaces ",
      "ünï",
      "猫",
      "line\nbreak",
      "q\"uote'",
      "a:b",
      "&amp;",
      "__proto__",
    ];
    for (const [i, name] of [...names, "constructor", "toString"].entries()) {
      await Deno.mkdir(`${root}/odd:names/${name}`, { recursive: true });
      await Deno.writeFile(`${root}/odd:names/${name}/${name}.png`, png({ width: 1, color: GREY, rows: [[i]] }));
    }
    const sorted = [...names, "constructor", "toString"].sort();
    const before = Deno.cwd();
    try {
      Deno.chdir(root);
      const folder = await imageFolder("odd:names");
      Deno.chdir(before);
      expect(folder.labels).toEqual(sorted);
      expect(folder.summary.counts).toEqual(sorted.map((label) => ({ label, images: 1 })));
      const items = await walk(folder);
      expect(items.map(({ id }) => id)).toEqual(sorted.map((name) => `${name}/${name}.png`));
      items.forEach(({ image, label }) =>
        expect(image.data[0]).toBe([...names, "constructor", "toString"].indexOf(label!))
      );
      // Captions call it as it was asked for.
      expect(items[0].image.source).toBe(`odd:names/${items[0].id}`);
      expect(folder.filter(({ label }) => label === "__proto__").labels).toEqual(["__proto__"]);
      Deno.chdir(`${root}/flat`);
      expect((await imageFolder(".")).name).toBe("flat");
    } finally {
      Deno.chdir(before);
    }
  });

  it("takes some images by a seed, and some classes", async () => {
    for (let i = 0; i < 40; i++) await put(`many/${"abcd"[i % 4]}/${String(i).padStart(2, "0")}.png`, i);
    const ids = async (options: Parameters<typeof imageFolder>[1]) =>
      (await walk(await imageFolder(`${root}/many`, options))).map(({ id }) => id);
    const all = await ids({});
    const some = await ids({ limit: 12 });
    expect(some).toHaveLength(12);
    expect(some).toEqual(all.filter((id) => some.includes(id)));
    expect(new Set(some.map((id) => id[0])).size).toBe(4);
    expect(await ids({ limit: 12 })).toEqual(some);
    expect(await ids({ limit: 12, seed: 1 })).not.toEqual(some);
    expect(await ids({ limit: 99 })).toEqual(all);
    const two = await imageFolder(`${root}/many`, { classes: ["d", "b"], limit: 20 });
    expect([two.size, two.labels]).toEqual([20, ["b", "d"]]);
    const one = await imageFolder(`${root}/many`, { limit: 1 });
    expect([one.size, one.labels]).toEqual([1, ["a", "b", "c", "d"]]);
    await expect(imageFolder(`${root}/many`, { classes: ["e"] })).rejects.toThrow(
      /no sub-folder "e" in the folder ".*many"\. The nearest: "a"/,
    );
    for (const limit of [0, 1.5, NaN]) {
      await expect(imageFolder(`${root}/many`, { limit })).rejects.toThrow("limit must be a whole number ≥ 1");
    }
  });

  it("tells what stood there instead of images", async () => {
    await Deno.mkdir(`${root}/lost/dog`, { recursive: true });
    await Deno.writeTextFile(`${root}/lost/dog/1.bmp`, "BM");
    await expect(imageFolder(`${root}/lost`)).rejects.toThrow(/Passed over: "dog\/1\.bmp" \(BMP images cannot be read/);
  });

  it("names the broken image when it comes to it", async () => {
    const seen: string[] = [];
    await expect((async () => {
      for await (const { id } of await imageFolder(`${root}/broken`)) seen.push(id);
    })()).rejects.toThrow(/broken\/2\.jpg" is not an image that can be read: found text/);
    expect(seen).toEqual(["1.png"]);
  });
});

describe("petFaces", () => {
  it.each([["cifar10", 21], ["photos", 5]] as const)(
    "%s has eyes and a nose inside each image",
    async (from, size) => {
      const faces = await petFaces({ from, onProgress });
      expect(faces.size).toBe(size);
      for await (const item of faces) {
        const { "right eye": right, "left eye": left, nose } = (item as unknown as { keypoints: Keypoints }).keypoints;
        const [height, width] = item.image.shape;
        for (const [y, x] of [right, left, nose]) {
          expect(y >= 0 && y <= height - 1 && x >= 0 && x <= width - 1, item.id).toBe(true);
        }
        // An animal that looks at us has its right eye on the left of the picture, and its nose below its eyes.
        expect(right[1], item.id).toBeLessThan(left[1]);
        expect(nose[0], item.id).toBeGreaterThan(Math.max(right[0], left[0]) - 1);
        expect(["cat", "dog"]).toContain(item.label);
      }
    },
  );
});
