/**
 * A day in the notebook: 1,399 photos of one's own are read; codes of four layers are taken; what figures weigh.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import sharp from "sharp";
import type { NdArrayLike } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { decodedImages, seenImages } from "../../lib/data/image_cache.ts";
import { type ImageFolder, imageFolder } from "../../lib/data/image_folder.ts";
import { photo } from "../../lib/data/photo.ts";
import { codes } from "../../lib/methods/codes.ts";
import { predict } from "../../lib/methods/predict.ts";
import { catsVsDogsConvnet } from "../../lib/model/architectures/builders.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import { randomStream } from "../../lib/random.ts";
import { plainResize } from "../lanczos.ts";
import { figureBytes } from "./figure_bytes.ts";
import { type Benchmark, interleave, type Line, median, timing } from "./harness.ts";

/** As many as the lecture's photos of cats and dogs. */
const PHOTOS = 1399;

/**
 * Photos as a camera's, reduced to a few hundred pixels' side: parts of the catalogue's photos, as JPEG files in two
 * folders, cat and dog. They are made anew each time, and the same each time.
 */
export async function withPhotos<T>(
  use: (photos: ImageFolder, path: string) => Promise<T>,
  count = PHOTOS,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "convlens-photos-" });
  const random = randomStream(1);
  const names = ["cat", "dog", "tabby", "beagles"] as const;
  try {
    for (const label of ["cat", "dog"]) await Deno.mkdir(join(folder, label));
    const sources = await Promise.all(names.map(async (name) => {
      const { data, shape: [height, width] } = await photo(name);
      return { pixels: Uint8Array.from(data), height, width };
    }));
    for (let i = 0; i < count; i++) {
      const { pixels, height, width } = sources[i % names.length];
      const part = 0.7 + 0.3 * random();
      const [partHeight, partWidth] = [Math.floor(part * height), Math.floor(part * width)];
      const at = {
        left: Math.floor(random() * (width - partWidth)),
        top: Math.floor(random() * (height - partHeight)),
      };
      const label = i % 2 ? "dog" : "cat";
      await sharp(pixels, { raw: { height, width, channels: 3 } })
        .extract({ ...at, width: partWidth, height: partHeight })
        .resize({ width: 320 + Math.floor(180 * random()) })
        .jpeg({ quality: 90 })
        .toFile(join(folder, label, `${String(i).padStart(4, "0")}.jpg`));
    }
    return await use(await imageFolder(folder), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Milliseconds on the clock and of all cores together that some work takes for each of some images. */
async function costOf(
  name: string,
  images: number,
  work: () => Promise<unknown>,
): Promise<{ name: string; wall: number; cpu: number }> {
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  const wall = (performance.now() - start) / images;
  const { user, system } = process.cpuUsage(before);
  return { name, wall, cpu: (user + system) / 1000 / images };
}

/** How photos were read before: one after the other, checked and resized in plain JavaScript. */
async function readPlainly(path: string, side: number): Promise<NdArrayLike> {
  const { data, info: { height, width } } = await sharp(await Deno.readFile(path)).raw().toBuffer({
    resolveWithObject: true,
  });
  const pixels = Float32Array.from(data);
  if (pixels.findIndex((value) => !(Math.abs(value) <= 65_535)) >= 0) throw new RangeError(path);
  return plainResize({ data: pixels, shape: [height, width, 3] }, [side, side], "crop");
}

/** Forgets what this process has decoded, as if it had just begun. */
function forget(): void {
  decodedImages.clear();
  seenImages.clear();
}

/** Uses the photos with a cache on disk, which is removed afterwards. */
async function fromDisk<T>(path: string, use: (photos: ImageFolder) => Promise<T>): Promise<T> {
  const cache = await Deno.makeTempDir({ prefix: "convlens-cache-" });
  try {
    return await use(await imageFolder(path, { cache }));
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

async function reading(): Promise<Line[]> {
  const side = 64;
  const model = await catsVsDogsConvnet({ size: side, seed: 1 });
  try {
    return await withPhotos(async (photos, path) => {
      const paths: string[] = [];
      for await (const { known: { id } } of photos.unread()) paths.push(join(path, id));
      const some = paths.filter((_, i) => i % 10 === 0);
      const walk = async (from = photos) => {
        for await (const { view } of new InputReader("bench", model, from)) if (view.data.length === 0) throw view;
      };
      const costs = [
        await costOf("bare sharp, decoding only, one by one", some.length, async () => {
          for (const path of some) await sharp(path).raw().toBuffer();
        }),
        await costOf("before: one by one, in JavaScript", some.length, async () => {
          for (const path of some) await readPlainly(path, side);
        }),
        await costOf("now: 1,399 photos the first time", PHOTOS, () => walk()),
        await costOf("now: 1,399 photos again", PHOTOS, () => walk()),
        await fromDisk(path, async (kept) => {
          await walk(kept);
          forget();
          return await costOf("now: by the next kernel, from a cache on disk", PHOTOS, () => walk(kept));
        }),
      ];
      const [bare, before] = costs;
      return costs.flatMap(({ name, wall, cpu }, i): Line[] => [
        { name, median: wall, unit: "ms", ...(i > 1 && { ratio: wall / before.wall }) },
        {
          name: "  of all cores together, to bare sharp",
          median: cpu,
          unit: "ms",
          ratio: cpu / bare.cpu,
          // 4 ms where bare sharp takes 2.6: on a machine that does other work, too, only the ratio tells.
          ...(i === 2 && { goal: 1.54 }),
        },
      ]);
    });
  } finally {
    model.dispose();
  }
}

/** The stages' ends of ResNet-50. */
const STAGES = ["activation_9", "activation_21", "activation_39", "activation_48"];
const IMAGES = 200;

/** Codes of four layers in one pass and one by one, beside predictions of the same images. */
async function codesOfLayers(): Promise<Line[]> {
  const model = await loadModel("resnet50");
  try {
    const names = ["cat", "dog", "tabby", "beagles"] as const;
    // Reading is another benchmark: photos of the model's own size.
    const views = await Promise.all(names.map(async (name) => await model.view(await photo(name))));
    const images = dataset(Array.from({ length: IMAGES }, (_, i) => ({ image: views[i % names.length] })));
    const tasks: [name: string, task: () => Promise<unknown>][] = [
      [`predict, ${IMAGES} images`, () => predict(model, images)],
      ["codes of four layers, their means", () => codes(model, images, { layers: STAGES, pool: "mean" })],
      ["before: layer by layer, whole maps", async () => {
        for (const layer of STAGES) await codes(model, images, { layer });
      }],
    ];
    const times = await interleave(tasks.map(([, task]) => task), { runs: 2, warmUp: 0 });
    return tasks.map(([name], t): Line => ({
      ...timing(name, times[t], t === 1 ? { goal: 1.2 } : {}),
      ...t > 0 && { ratio: median(times[t].map((time, i) => time / times[0][i])) },
    }));
  } finally {
    model.dispose();
  }
}

export default [
  { name: "1,399 photos read at 64 × 64, a photo", run: reading },
  { name: "codes of four layers of ResNet-50", run: codesOfLayers },
  { name: "bytes of figures", run: figureBytes },
] satisfies Benchmark[];
