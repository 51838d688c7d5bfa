/**
 * Codes on their way out of a model: kept in memory, or in a file.
 *
 * @module
 */

import { checkReplaceable, type CodesPart, CodesWriter } from "../data/codes_file.ts";
import { Codes, CodesFile, CodesSample, zerosIn } from "./codes.ts";

/** Takes codes part by part, in their order, and makes a result of them. */
export interface CodesKeeper<Result> {
  add(part: CodesPart, start: number): void | Promise<void>;
  finish(): Result | Promise<Result>;
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
        data = new Float32Array(size * length);
        pictures = new Uint8Array(some ? some.length / names.length * size : 0);
      }
      data.set(codes.data, start * length);
      if (some) pictures.set(some, start * (some.length / names.length));
      // One by one: a call takes no more than about 100,000 arguments.
      for (const id of names) ids.push(id);
      for (const label of part.labels) labels.push(label);
      for (const prediction of part.predictions ?? []) predictions.push(prediction);
    },
    finish: () =>
      new Codes({ data, shape: [size, length] }, {
        ids,
        labels,
        ...(predictions.length > 0 && { predictions }),
        layer,
        about,
        ...(pictures.length > 0 && { thumbnails: { data: pictures, side: Math.sqrt(pictures.length / size / 3) } }),
      }),
  };
}

/** Keeps codes in a file. */
export async function keepInFile(
  path: string,
  size: number,
  about: { layer: string; about: string },
  has: { predictions: boolean; pictures: boolean },
): Promise<CodesKeeper<CodesFile>> {
  await checkReplaceable(path, about.about, size);
  const writer = await CodesWriter.create(path, about, has);
  const sample = new CodesSample(size);
  let length = 0;
  let zeros = 0;
  return {
    async add(part, start) {
      length = part.codes.shape[1];
      zeros += zerosIn(part.codes.data);
      sample.add(part.codes, start);
      await writer.add(part);
    },
    async finish() {
      await writer.finish();
      return new CodesFile(path, [size, length], { ...about, sparsity: zeros / (size * length) }, sample);
    },
    abandon: () => writer.abandon(),
  };
}
