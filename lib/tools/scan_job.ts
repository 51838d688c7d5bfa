/**
 * A scan in shards: what was asked, where each shard is kept, how far it is.
 *
 * The scan's folder holds `scan.json`, what was asked; `directions.json`, the vectors, where directions were asked about;
 * `shards/0001`, …, a folder a shard; `logs`; and in the end what `topPatches` leaves in its folder, so that the same question, asked there, is answered from it.
 *
 * @module
 */

import { join } from "node:path";
import type { Dataset, ImageDataset } from "../data/dataset.ts";
import { cifar10 } from "../data/cifar10.ts";
import { fashionMnist } from "../data/fashion_mnist.ts";
import { imageFolder } from "../data/image_folder.ts";
import { imageManifest } from "../data/image_manifest.ts";
import { mnist } from "../data/mnist.ts";
import { mergeRanked } from "../data/table.ts";
import { messageOf } from "../errors.ts";
import { replaceWhole, writeChunks } from "../files.ts";
import { topPatches, type TopPatchesOptions } from "../methods/top_patches.ts";
import { loadModel } from "../model/load.ts";
import { differenceText } from "../probe/training/identity.ts";
import { useBackend } from "../runtime/backend.ts";
import { imagesOf } from "../scan/question.ts";
import { type DirectionsAsked, keepDirections, keptDirections } from "./scan_directions.ts";
import { type FoundPatch, readResult, ScanFolder, stateOf } from "../scan/scan_folder.ts";

/** What is asked of a scan: no other may be asked in its folder. */
export interface Asked {
  readonly model: string;
  readonly dataset: string;
  readonly limit?: number;
  readonly shards: number;
  /** Directions of the one layer, instead of its channels. */
  readonly directions?: DirectionsAsked;
  readonly options: Pick<Partial<TopPatchesOptions>, "layers" | "channels" | "top" | "cells" | "rank" | "target">;
}

/** How it runs: that may differ from call to call. */
export interface Running {
  readonly backend?: string;
  readonly workers?: number;
  readonly batchSize?: number;
  /** Shards are submitted to Slurm, with these lines for `sbatch`. */
  readonly slurm?: readonly string[];
}

export interface Job {
  readonly asked: Asked;
  readonly running: Running;
}

/** How far a shard is. */
export interface ShardState {
  /** From 1. */
  readonly shard: number;
  readonly state: "finished" | "running" | "stopped" | "waiting";
  /** How many images are done. */
  readonly images: number;
  /** Why it stopped, where it could say so. */
  readonly reason?: string;
}

const numberOf = (shard: number) => String(shard).padStart(4, "0");

/** Where a shard is kept; a single one in the scan's own folder. */
export const shardFolder = (folder: string, shard: number, { shards }: Asked): string =>
  shards === 1 ? folder : join(folder, "shards", numberOf(shard));

/** What a shard prints. */
export const logOf = (folder: string, shard: number): string => join(folder, "logs", `shard-${numberOf(shard)}.log`);

/** The line of a log that says why a shard failed begins with this. */
export const FAILED = "The scan failed: ";

/** What was asked in a folder. */
export async function readJob(folder: string): Promise<Job> {
  try {
    return JSON.parse(await Deno.readTextFile(join(folder, "scan.json")));
  } catch (error) {
    throw new Error(
      `There is no scan in ${folder}: ${messageOf(error)}. Begin one by deno task scan MODEL DATASET --layers … ` +
        `--folder ${folder}`,
    );
  }
}

/** Keeps what is asked in a folder, which is made if there is none. */
export async function keepJob(folder: string, job: Job): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  if (names.includes("scan.json")) {
    const { asked } = await readJob(folder);
    const differing = differenceText({ ...asked }, { ...job.asked });
    if (differing) {
      throw new Error(
        `${folder} belongs to another scan; it differs in ${differing}. Name another folder, or remove this one.`,
      );
    }
  } else if (names.length > 0) {
    throw new Error(`${folder} holds something else (${names.sort()[0]}): name a folder that is new or empty.`);
  }
  await Deno.mkdir(join(folder, "logs"), { recursive: true });
  const text = new TextEncoder().encode(JSON.stringify(job, null, 2) + "\n");
  await replaceWhole(join(folder, "scan.json"), (to) => writeChunks(to, [text]));
  // The mark of a scan's folder.
  await Deno.writeFile(join(folder, "lock"), new Uint8Array(), { append: true });
}

/** The images that are scanned. */
export async function readDataset({ dataset, limit }: Asked): Promise<ImageDataset> {
  const [name, split] = dataset.split(":");
  // deno-lint-ignore no-explicit-any
  const sets: Record<string, (options: any) => Promise<Dataset>> = { cifar10, mnist, "fashion-mnist": fashionMnist };
  const set = Object.hasOwn(sets, name)
    ? await sets[name]({ limit, ...split && { split } })
    : await (/\.(csv|parquet)$/i.test(dataset) ? imageManifest : imageFolder)(dataset, { limit });
  return set as ImageDataset;
}

/** Finds the directions that are asked about, if any are, and keeps them for the shards. */
export async function prepareDirections(
  folder: string,
  { asked, running: { backend, batchSize } }: Job,
  images: ImageDataset,
): Promise<void> {
  const { directions, options: { layers = [] } } = asked;
  if (!directions) return;
  // deno-lint-ignore no-explicit-any
  if (backend) await useBackend(backend as any);
  await keepDirections(folder, directions, layers[0], { model: () => loadModel(asked.model), images, batchSize });
}

/** Scans one shard, or what is missing of it. */
export async function scanShard(folder: string, shard: number): Promise<void> {
  const { asked, running: { backend, workers, batchSize } } = await readJob(folder);
  // deno-lint-ignore no-explicit-any
  if (backend) await useBackend(backend as any);
  const images = await readDataset(asked);
  const model = await loadModel(asked.model);
  const own = asked.shards === 1 ? images : images.shard(shard - 1, asked.shards);
  const directions = asked.directions && await keptDirections(folder);
  const run = { workers, batchSize, folder: shardFolder(folder, shard, asked) };
  await topPatches(model, own, { ...asked.options, ...directions && { directions }, ...run });
}

/** How far all shards are. */
export async function shardStates(folder: string, asked: Asked): Promise<ShardState[]> {
  const states: ShardState[] = [];
  for (let shard = 1; shard <= asked.shards; shard++) {
    const { state, images } = await stateOf(shardFolder(folder, shard, asked));
    const log = state === "stopped" || state === "waiting"
      ? await Deno.readTextFile(logOf(folder, shard)).catch(() => "")
      : "";
    const reason = log.split("\n").findLast((line) => line.startsWith(FAILED))?.slice(FAILED.length);
    states.push({ shard, state: reason && state === "waiting" ? "stopped" : state, images, ...reason && { reason } });
  }
  return states;
}

/** A shard's state in words. */
export const stateText = ({ shard, state, images, reason }: ShardState, { shards }: Asked): string =>
  `shard ${shard} of ${shards}: ${state}` +
  (state === "waiting" ? "" : `, ${images} images${state === "finished" ? "" : " done"}`) +
  (reason ? ` (${reason})` : "");

/**
 * Merges what the shards have found into the folder of the whole scan.
 *
 * @throws {Error} if a shard has not finished, by its number
 */
export async function mergeShards(folder: string, asked: Asked): Promise<void> {
  const missing = (await shardStates(folder, asked)).filter(({ state }) => state !== "finished");
  if (missing.length > 0) {
    throw new Error(
      `${missing.length} of ${asked.shards} shards ${missing.length === 1 ? "has" : "have"} not finished:\n` +
        `${missing.map((state) => `  ${stateText(state, asked)}`).join("\n")}\n` +
        `Finish ${missing.length === 1 ? "it" : "them"} alone by: deno task scan --folder ${folder} --rerun`,
    );
  }
  if (asked.shards === 1) return;
  const { shards } = asked;
  const folders = Array.from({ length: shards }, (_, i) => shardFolder(folder, i + 1, asked));
  const read = (place: string) => Deno.readTextFile(join(place, "manifest.json")).then(JSON.parse);
  const first = await read(folders[0]);
  const skipped = [];
  const files = [];
  let offset = 0;
  for (const [i, place] of folders.entries()) {
    const differing = differenceText(first, { ...await read(place), images: first.images });
    if (differing) throw new Error(`Shard ${i + 1} was scanned otherwise than shard 1: they differ in ${differing}.`);
    const { about } = (await readResult(place))!;
    files.push({ path: join(place, "top_patches.parquet"), offset });
    skipped.push(...about.skipped);
    offset += about.images;
  }
  const question = { ...first, images: imagesOf(await readDataset(asked)) };
  using kept = await ScanFolder.open(folder, question);
  if (kept.patches) return;
  const { list, by } = listsOf(question);
  const rows = await mergeRanked(files, { list, by, top: question.top });
  await kept.finish(rows as unknown as FoundPatch[], { images: offset, skipped });
}

/** The number of the list of each unit, and what lists are ranked by, as a manifest says. */
function listsOf(
  { layers, target }: { layers: { layer: string; units: string | (string | number)[] }[]; target?: unknown },
) {
  const first = new Map<string, number>();
  const named = new Map<string, Map<string | number, number>>();
  let count = 0;
  for (const { layer, units } of layers) {
    first.set(layer, count);
    if (typeof units !== "string") named.set(layer, new Map(units.map((unit, i) => [unit, i])));
    count += typeof units === "string" ? Number(units.split(" ")[1]) : units.length;
  }
  const list = (layer: string, unit: string | number) =>
    first.get(layer)! + (named.get(layer)?.get(unit) ?? Number(unit));
  return { list, by: target === undefined ? "activation" : "relevance" };
}
