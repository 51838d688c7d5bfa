/**
 * The directions that a scan is asked about: found once, before the shards begin, and kept in the scan's folder, so that all
 * shards look for the same to the bit.
 *
 * @module
 */

import { join } from "node:path";
import { sha256Of } from "../checksum.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { ParquetFile } from "../data/parquet.ts";
import { kindOf, messageOf } from "../errors.ts";
import { replaceWhole, writeChunks } from "../files.ts";
import { directions, type DirectionsOptions } from "../methods/directions.ts";
import type { Model } from "../model/model.ts";

/** Which directions are asked for: some that `directions` finds, or a user's own. */
export type DirectionsAsked =
  | Pick<Partial<DirectionsOptions>, "kind" | "count" | "seed" | "classes" | "against"> & {
    /** How many images are looked at for them. @default all */
    readonly images?: number;
  }
  | { readonly file: string; readonly sum: string };

/** Named vectors, one number a channel. */
type Vectors = Readonly<Record<string, readonly number[]>>;

const KINDS: readonly string[] = ["units", "random", "principal", "classes"] satisfies DirectionsOptions["kind"][];

const isTable = (path: string) => /\.parquet$/i.test(path);

/**
 * What the command line asks for.
 *
 * @param given a kind, or the path of a JSON or Parquet file
 * @throws {Error} if it is neither, or further options go with another kind
 */
export async function directionsAsked(
  given: string,
  more: { count?: number; seed?: number; classes?: string[]; against?: string; images?: number },
): Promise<DirectionsAsked> {
  if (KINDS.includes(given)) {
    const { classes, against, images, ...own } = more;
    const wrong = given === "classes" ? undefined : classes ? "classes" : against ? "against" : undefined;
    if (wrong) throw new Error(`--${wrong} goes with --directions classes: received --directions ${given}.`);
    if (images && (given === "units" || given === "random")) {
      throw new Error(`--direction-images goes with --directions principal or classes: ${given} looks at none.`);
    }
    return { kind: given as DirectionsOptions["kind"], ...own, classes, against, images };
  }
  const useless = Object.entries(more).find(([, value]) => value !== undefined)?.[0];
  const bytes = await Deno.readFile(given).catch((error) => {
    throw new Error(
      `--directions must be ${
        KINDS.join(", ")
      }, or a JSON or Parquet file of vectors: received ${given}, which cannot ` +
        `be read (${messageOf(error)}).`,
    );
  });
  if (useless) throw new Error(`--directions ${given} are taken as they are: leave out the ${useless} of directions.`);
  return { file: await Deno.realPath(given), sum: sha256Of(bytes) };
}

/** @throws {Error} if the file holds no named vectors */
async function readVectors(path: string): Promise<Vectors> {
  const named = `The directions in ${path}`;
  if (isTable(path)) {
    const file = (await ParquetFile.open(path))!;
    const missing = ["name", "vector"].find((column) => !file.columns.includes(column));
    if (missing) {
      throw new Error(
        `${named} must be rows of a name and a vector, a list of numbers: there is no column "${missing}" among ` +
          `${file.columns.join(", ")}.`,
      );
    }
    const [names, { data, length }] = [await file.texts("name"), await file.vectors("vector")];
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice !== undefined) {
      throw new Error(`${named} must have different names: ${JSON.stringify(twice)} is there twice.`);
    }
    const unnamed = names.indexOf(undefined);
    if (unnamed >= 0) throw new Error(`${named} must have names: row ${unnamed} has none.`);
    return Object.fromEntries(names.map((name, i) => [name, Array.from(data.subarray(i * length, (i + 1) * length))]));
  }
  let found: unknown;
  try {
    found = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    throw new Error(`${named} must be JSON, as {"mine": [0.5, …]}, or a Parquet file: ${messageOf(error)}.`);
  }
  if (kindOf(found) !== "an object") {
    throw new Error(`${named} must have names, as {"mine": [0.5, …]}: received ${kindOf(found)}.`);
  }
  return found as Vectors;
}

/** The file in a scan's folder. */
export const directionsFile = (folder: string): string => join(folder, "directions.json");

/** The directions that a scan's folder keeps. */
export async function keptDirections(folder: string): Promise<Vectors> {
  return JSON.parse(await Deno.readTextFile(directionsFile(folder)));
}

/**
 * Finds the directions that are asked for and keeps them in the scan's folder, where they are not yet.
 *
 * @param images what principal components and means of classes are found in
 */
export async function keepDirections(
  folder: string,
  asked: DirectionsAsked,
  layer: string,
  { model, images, batchSize }: { model: () => Promise<Model>; images: ImageDataset; batchSize?: number },
): Promise<void> {
  if (await Deno.stat(directionsFile(folder)).then(() => true, () => false)) return;
  let vectors: Vectors;
  if ("file" in asked) {
    if (sha256Of(await Deno.readFile(asked.file)) !== asked.sum) {
      throw new Error(`${asked.file} has changed since the scan was asked for: name another folder.`);
    }
    vectors = await readVectors(asked.file);
  } else {
    const { images: limit, ...options } = asked;
    const own = limit === undefined ? images : images.take(limit);
    // What is not given is left to its default.
    const given = JSON.parse(JSON.stringify({ ...options, layer, batchSize }));
    const found = await directions(await model(), own, given);
    vectors = Object.fromEntries(Object.entries(found.vectors).map(([name, vector]) => [name, Array.from(vector)]));
  }
  const text = new TextEncoder().encode(JSON.stringify(vectors) + "\n");
  await replaceWhole(directionsFile(folder), (to) => writeChunks(to, [text]));
}
