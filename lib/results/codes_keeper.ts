/**
 * Codes on their way out of a model: kept in memory, or in a file.
 *
 * @module
 */

import { checkReplaceable, type CodesFileParts, type CodesPart, CodesWriter } from "../data/codes_file.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { checkMachineMemory } from "../memory.ts";
import { Codes, CodesFile, CodesSample, zerosIn } from "./codes.ts";

/** Takes codes part by part, in their order, and makes results of them, one a layer. */
export interface CodesKeeper<Result> {
  add(part: CodesPart, start: number): void | Promise<void>;
  /** @param skipped the images that were left out */
  finish(skipped: readonly SkippedImage[]): Result[] | Promise<Result[]>;
  /** Whatever happened: nothing half done is left. */
  abandon?(): Promise<void>;
}

/** What codes of a layer are. */
export interface LayerAbout {
  readonly layer: string;
  readonly about: string;
}

/** Keeps codes in memory. */
export function keepInMemory(size: number, layers: readonly LayerAbout[]): CodesKeeper<Codes> {
  let stores: Float32Array<ArrayBuffer>[] = [];
  let pictures = new Uint8Array();
  const ids: string[] = [];
  const labels: (string | undefined)[] = [];
  const predictions: string[] = [];
  return {
    add({ codes, ids: names, pictures: some, ...part }, start) {
      if (start === 0) {
        stores = floatsForAll(size, codes.map(({ shape }) => shape[1]));
        pictures = new Uint8Array(some ? some.length / names.length * size : 0);
      }
      codes.forEach(({ data, shape: [, length] }, i) => stores[i].set(data, start * length));
      if (some) pictures.set(some, start * (some.length / names.length));
      // One by one: a call takes no more than about 100,000 arguments.
      for (const id of names) ids.push(id);
      for (const label of part.labels) labels.push(label);
      for (const prediction of part.predictions ?? []) predictions.push(prediction);
    },
    finish(skipped) {
      const each = pictures.length / size;
      const shared = {
        ids,
        labels,
        ...(predictions.length > 0 && { predictions }),
        ...(each > 0 && { thumbnails: { data: cut(pictures, ids.length * each), side: Math.sqrt(each / 3) } }),
        skipped,
      };
      return layers.map((about, i) => {
        const length = stores[i].length / size;
        return new Codes({ data: cut(stores[i], ids.length * length), shape: [ids.length, length] }, {
          ...shared,
          ...about,
        });
      });
    },
  };
}

/** Room for codes of these lengths. */
function floatsForAll(size: number, lengths: readonly number[]): Float32Array<ArrayBuffer>[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const what = `An array of ${size} codes of ${total} numbers`;
  checkMachineMemory(
    what,
    4 * size * total,
    'Take the means of feature maps, with pool: "mean"; write the codes to a file, with the option file; or take fewer images.',
  );
  return lengths.map((length) => new Float32Array(size * length));
}

/** The first numbers: all as they are where there are no more. */
const cut = <T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(all: T, count: number): T =>
  (count < all.length ? all.slice(0, count) : all) as T;

/** Keeps codes in a file. */
export async function keepInFile(
  path: string,
  layers: readonly LayerAbout[],
  parts: CodesFileParts,
): Promise<CodesKeeper<CodesFile>> {
  await checkReplaceable(path, parts.about, parts.size);
  const writer = await CodesWriter.create(path, parts);
  const samples = layers.map(() => new CodesSample(parts.size));
  const zeros = layers.map(() => 0);
  const lengths = layers.map(() => 0);
  let count = 0;
  return {
    async add(part, start) {
      count += part.ids.length;
      part.codes.forEach((codes, i) => {
        lengths[i] = codes.shape[1];
        zeros[i] += zerosIn(codes.data);
        samples[i].add(codes, start);
      });
      await writer.add(part);
    },
    async finish(skipped) {
      await writer.finish();
      return layers.map((about, i) => {
        const sparsity = zeros[i] / (count * lengths[i]);
        return new CodesFile(path, [count, lengths[i]], { ...about, sparsity, skipped }, samples[i]);
      });
    },
    abandon: () => writer.abandon(),
  };
}
