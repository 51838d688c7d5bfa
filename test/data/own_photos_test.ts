import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodePng } from "../../lib/codec.ts";
import { Cache, decodedImages, madeOf, seenImages, stampOf } from "../../lib/data/image_cache.ts";
import { readAhead } from "../../lib/data/read_ahead.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { dataset, imageFolder, loadImage } from "../../mod.ts";
import { plainResize } from "../lanczos.ts";
import { tinyNet } from "../nets.ts";

const SIDE = 12;
/** A picture that is unlike others, as the bytes of its pixels. */
const picture = (seed: number) => Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 37 + seed * 101) % 256);
const png = (seed: number) => encodePng(picture(seed), SIDE, SIDE, 3);

let model: Model;
let root: string;
beforeAll(async () => {
  model = await loadModel(await tinyNet(), { preprocess: "tf", name: "tiny" });
  root = await Deno.makeTempDir();
});
afterAll(async () => {
  model.dispose();
  await Deno.remove(root, { recursive: true });
});

/** A folder of pictures, and what the caches held of others forgotten. */
async function folderOf(name: string, count: number): Promise<string> {
  forget();
  const folder = join(root, name);
  await Deno.mkdir(folder);
  for (let i = 0; i < count; i++) await Deno.writeFile(join(folder, `${i}.png`), await png(i));
  return folder;
}

function forget(): void {
  decodedImages.clear();
  seenImages.clear();
}

/** What the network sees of pictures. */
const seen = (...seeds: number[]) =>
  seeds.map((seed) => {
    const whole = { data: Float32Array.from(picture(seed)), shape: [SIDE, SIDE, 3] };
    return [...plainResize(whole, [4, 4]).data];
  });

const read = async (photos: ConstructorParameters<typeof InputReader>[2]) =>
  (await Array.fromAsync(new InputReader("test", model, photos))).map(({ view }) => [...view.data]);

/** Counts how often files are read. */
async function readsOf(work: () => Promise<unknown>): Promise<number> {
  const real = Deno.readFile;
  let count = 0;
  Deno.readFile = (...given) => {
    count++;
    return real(...given);
  };
  try {
    await work();
  } finally {
    Deno.readFile = real;
  }
  return count;
}

describe("photos of a folder", () => {
  test("are read once, however often and at whatever sizes they are wanted", async () => {
    const photos = await imageFolder(await folderOf("once", 5));
    expect(await readsOf(async () => expect(await read(photos)).toEqual(seen(0, 1, 2, 3, 4)))).toBe(5);
    expect(await readsOf(async () => expect(await read(photos)).toEqual(seen(0, 1, 2, 3, 4)))).toBe(0);
    expect(
      await readsOf(async () => {
        const images = (await Array.fromAsync(photos)).map(({ image }) => [...image.data]);
        expect(images).toEqual([0, 1, 2, 3, 4].map((seed) => [...picture(seed)]));
      }),
    ).toBe(0);
    const same = dataset([{ image: join(root, "once", "3.png") }, { image: join(root, "once", "1.png") }]);
    expect(await readsOf(async () => expect(await read(same)).toEqual(seen(3, 1)))).toBe(0);
  });

  test("are read anew when a file has changed, and told when it has gone", async () => {
    const folder = await folderOf("changing", 2);
    const photos = await imageFolder(folder);
    expect(await read(photos)).toEqual(seen(0, 1));
    await Deno.writeFile(join(folder, "1.png"), await png(7));
    await Deno.utime(join(folder, "1.png"), 1e9, 1e9);
    expect(await read(photos)).toEqual(seen(0, 7));
    await Deno.remove(join(folder, "0.png"));
    const reader = new InputReader("test", model, photos);
    expect((await Array.fromAsync(reader)).map(({ id }) => id)).toEqual(["1.png"]);
    expect(reader.skipped).toEqual([{ id: "0.png", reason: expect.stringMatching(/There is no file .*0\.png/) }]);
  });

  test("are the caller's own: writing into one changes no other", async () => {
    const photos = await imageFolder(await folderOf("own", 1));
    for await (const { view } of new InputReader("test", model, photos)) view.data.fill(0);
    for await (const { view } of new InputReader("test", model, photos)) view.data.fill(0);
    for await (const { image } of photos) image.data.fill(0);
    expect(await read(photos)).toEqual(seen(0));
    expect([...(await loadImage(join(root, "own", "0.png"))).data]).toEqual([...picture(0)]);
  });

  test("are warned of each time where they may not be what was meant", async () => {
    const folder = await folderOf("odd", 1);
    await Deno.writeFile(join(folder, "0.png"), await encodePng(new Uint8Array(27).fill(9), 3, 3, 3));
    const photos = await imageFolder(folder);
    const said: unknown[] = [];
    const real = console.log;
    console.log = (...words) => said.push(...words);
    try {
      await read(photos);
      await read(photos);
    } finally {
      console.log = real;
    }
    expect(said).toHaveLength(2);
    expect(said[1]).toMatch(/All pixels of the image are alike \(9\)/);
  });
});

describe("the cache of an image folder", () => {
  test("spares the next kernel the decoding, but not of files that have changed or of a damaged cache", async () => {
    const folder = await folderOf("kept", 3);
    const cache = join(root, "kept-cache");
    const photos = await imageFolder(folder, { cache });
    expect(await read(photos)).toEqual(seen(0, 1, 2));
    const files = (await Array.fromAsync(Deno.readDir(cache))).map(({ name }) => join(cache, name));
    expect(files).toHaveLength(3);
    // Only the cache's files are read.
    forget();
    expect(await readsOf(async () => expect(await read(photos)).toEqual(seen(0, 1, 2)))).toBe(3);
    expect(await readsOf(async () => expect(await read(photos)).toEqual(seen(0, 1, 2)))).toBe(0);
    for (const file of files) {
      const bytes = await Deno.readFile(file);
      bytes[bytes.length - 3] ^= 1;
      await Deno.writeFile(file, bytes);
    }
    forget();
    expect(await readsOf(async () => expect(await read(photos)).toEqual(seen(0, 1, 2)))).toBe(6);
    await Deno.writeFile(join(folder, "2.png"), await png(9));
    await Deno.writeFile(files[1], new Uint8Array(5));
    await Deno.writeTextFile(files[2], "null\n");
    forget();
    expect(await read(photos)).toEqual(seen(0, 1, 9));
    expect((await Array.fromAsync(Deno.readDir(cache))).length).toBe(3);
  });

  test("takes what was read before there was one, or before it was emptied", async () => {
    const folder = await folderOf("later", 2);
    const cache = join(root, "later-cache");
    await read(await imageFolder(folder));
    for (let i = 0; i < 2; i++) {
      const photos = await imageFolder(folder, { cache });
      await read(photos);
      forget();
      expect(await readsOf(async () => expect(await read(photos.take(2))).toEqual(seen(0, 1)))).toBe(2);
      expect((await Array.fromAsync(Deno.readDir(cache))).length).toBe(2);
      await Deno.remove(cache, { recursive: true });
    }
  });

  test("is beside the images, and a folder", async () => {
    const folder = await folderOf("beside", 1);
    await expect(imageFolder(folder, { cache: folder })).rejects.toThrow(/is in the folder of the images.*beside it/);
    await expect(imageFolder(folder, { cache: join(folder, "x") })).rejects.toThrow(RangeError);
    await expect(imageFolder(folder, { cache: join(folder, "0.png") })).rejects.toThrow(/cannot be made/);
    await expect(imageFolder(folder, { cache: 5 as never })).rejects.toThrow(TypeError);
  });

  test("says once that it cannot be written, and the photos are read all the same", async () => {
    const photos = await imageFolder(await folderOf("full", 2), { cache: join(root, "full-cache") });
    await Deno.remove(join(root, "full-cache"), { recursive: true });
    const said: unknown[] = [];
    const real = console.log;
    console.log = (...words) => said.push(...words);
    try {
      expect(await read(photos)).toEqual(seen(0, 1));
    } finally {
      console.log = real;
    }
    expect(said).toEqual([expect.stringMatching(/full-cache" cannot keep images/)]);
  });
});

describe("a cache in memory", () => {
  const value = (bytes: number) => ({ data: new Uint8Array(bytes), shape: [bytes] });

  test("stays within its bytes, and keeps what fits of a set that is larger and walked again and again", () => {
    const cache = new Cache(() => 100);
    const hits: number[] = [];
    for (let walk = 0; walk < 5; walk++) {
      let found = 0;
      for (let i = 0; i < 15; i++) {
        if (cache.get(`${i}`, "now")) found++;
        else cache.put(`${i}`, "now", value(10));
      }
      hits.push(found);
    }
    expect(hits[0]).toBe(0);
    for (const found of hits.slice(1)) expect(found).toBeGreaterThanOrEqual(9);
    // Others take their place once nobody asks for them.
    for (let walk = 0; walk < 3; walk++) for (let i = 0; i < 10; i++) cache.put(`new ${i}`, "now", value(10));
    expect(Array.from({ length: 10 }, (_, i) => cache.get(`new ${i}`, "now")).filter(Boolean)).toHaveLength(10);
    cache.put("large", "now", value(101));
    expect(cache.get("large", "now")).toBeUndefined();
  });

  test("gives nothing of another state of the file, and makes room when there is less", () => {
    let room = 100;
    const cache = new Cache(() => room);
    cache.put("a", "then", value(60));
    expect(cache.get("a", "now")).toBeUndefined();
    cache.put("a", "now", value(70));
    expect(cache.get("a", "now")?.data.length).toBe(70);
    room = 30;
    for (let i = 0; i < 50; i++) cache.put(`${i}`, "now", value(20));
    cache.put("last", "now", value(20));
    cache.put("last but one", "now", value(20));
    cache.put("last", "now", value(20));
    expect(cache.get("a", "now")).toBeUndefined();
  });

  test("has another state for another time, size or file", async () => {
    const path = join(root, "stamp");
    const states = new Set<string>();
    const note = async () => states.add(stampOf(await Deno.stat(path)));
    await Deno.writeTextFile(path, "one");
    await note();
    await Deno.writeTextFile(path, "other");
    await note();
    await Deno.utime(path, 1e9, 1e9);
    await note();
    expect(states.size).toBe(3);
    const made = { made: { data: Float32Array.of(1), shape: [1] }, keep: true };
    expect((await madeOf({ path: join(root, "nowhere") }, "as it is", () => Promise.resolve(made))).data[0]).toBe(1);
  });
});

describe("reading ahead", () => {
  const numbers = (count: number, fails?: Error) =>
    (async function* () {
      for (let i = 0; i < count; i++) yield i;
      if (fails) throw fails;
    })();

  test("gives all in their order, some read at the same time, errors in their place", async () => {
    let running = 0;
    let most = 0;
    const got: unknown[] = [];
    const items = readAhead(numbers(20, new Error("the source")), {
      read: async (item) => {
        most = Math.max(most, ++running);
        // Later ones are done sooner.
        for (let turns = 0; turns < 30 - item; turns++) await Promise.resolve();
        running--;
        if (item === 7) throw new Error("seven");
        return 10 * item;
      },
      goOn: () => true,
      bytes: () => 1,
    });
    const walk = async () => {
      for await (const { item, value } of items) got.push(item, await value().catch(({ message }) => message));
    };
    await expect(walk()).rejects.toThrow("the source");
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => [i, i === 7 ? "seven" : 10 * i]).flat());
    expect(most).toBe(navigator.hardwareConcurrency + 2);
  });

  test("takes few at a time of large images, one where asking costs something, and leaves no failure unheard", async () => {
    const ask = async (bytes: number, goOn: boolean) => {
      let begun = 0;
      let most = 0;
      let done = 0;
      const items = readAhead(numbers(9), {
        read: () => {
          most = Math.max(most, ++begun - done);
          return Promise.resolve(0);
        },
        goOn: () => goOn,
        bytes: () => bytes,
      });
      for await (const { value } of items) {
        await value();
        done++;
      }
      return most;
    };
    expect(await ask(3e8, true)).toBe(2);
    expect(await ask(1, false)).toBe(1);
    let closed = false;
    const source = (async function* () {
      try {
        yield* numbers(9);
      } finally {
        closed = true;
      }
    })();
    const items = readAhead(source, {
      read: (item) => item < 1 ? Promise.resolve(0) : Promise.reject(new Error(`${item}`)),
      goOn: () => true,
      bytes: () => 1,
    });
    for await (const { item, value } of items) {
      if (item === 1) break;
      await value();
    }
    expect(closed).toBe(true);
  });
});
