/**
 * Codes on their way out of a model: kept in memory, or in a file.
 *
 * @module
 */

import { checkReplaceable, type CodesPart, CodesWriter } from "../data/codes_file.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { floatsFor } from "../memory.ts";
import { Codes, CodesFile, CodesSample, zerosIn } from "./codes.ts";

/** Takes codes part by part, in their order, and makes a result of them. */
export interface CodesKeeper<Result> {
  add(part: CodesPart, start: number): void | Promise<void>;
  /** @param skipped the images that were left out */
  finish(skipped: readonly SkippedImage[]): Result | Promise<Result>;
  /** Whatever happened: nothing half done is left. */
  abandon?(): Promise<void>;
}

/** Keeps codes in memory. */
export function keepInMemory(size: number, { layer, about }: { layer: string; about: string }): CodesKeeper<Codes> {
  let data = new Float32Array();
  let pictures = new Uint8Array();
  let length = 0;
  const ids: string[] = [];
  const labels: (string | undefined)[] = [];
  const predictions: string[] = [];
  return {
    add({ codes, ids: names, pictures: some, ...part }, start) {
      if (start === 0) {
        length = codes.shape[1];
        const remedy = "Write them to a file, with the option file, or take fewer images.";
        data = floatsFor(`An array of ${size} codes of ${length} numbers`, size * length, remedy);
        pictures = new Uint8Array(some ? some.length / names.length * size : 0);
      }
      data.set(codes.data, start * length);
      if (some) pictures.set(some, start * (some.length / names.length));
      // One by one: a call takes no more than about 100,000 arguments.
      for (const id of names) ids.push(id);
      for (const label of part.labels) labels.push(label);
      for (const prediction of part.predictions ?? []) predictions.push(prediction);
    },
    finish(skipped) {
      const each = pictures.length / size;
      return new Codes({ data: cut(data, ids.length * length), shape: [ids.length, length] }, {
        ids,
        labels,
        ...(predictions.length > 0 && { predictions }),
        layer,
        about,
        ...(each > 0 && { thumbnails: { data: cut(pictures, ids.length * each), side: Math.sqrt(each / 3) } }),
        skipped,
      });
    },
  };
}

/** The first numbers: all as they are where there are no more. */
const cut = <T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(all: T, count: number): T =>
  (count < all.length ? all.slice(0, count) : all) as T;

/** Keeps codes in a file. */
export async function keepInFile(
  path: string,
  size: number,
  about: { layer: string; about: string },
  has: { predictions: boolean; pictures: boolean },
): Promise<CodesKeeper<CodesFile>> {
  await checkReplaceable(path, about.about, size);
  const writer = await CodesWriter.create(path, about, size, has);
  const sample = new CodesSample(size);
  let length = 0;
  let zeros = 0;
  let count = 0;
  return {
    async add(part, start) {
      count += part.ids.length;
      length = part.codes.shape[1];
      zeros += zerosIn(part.codes.data);
      sample.add(part.codes, start);
      await writer.add(part);
    },
    async finish(skipped) {
      await writer.finish();
      return new CodesFile(path, [count, length], { ...about, sparsity: zeros / (count * length), skipped }, sample);
    },
    abandon: () => writer.abandon(),
  };
}
