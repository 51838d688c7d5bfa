/**
 * `deno task scan MODEL DATASET --layers … --folder FOLDER`: the patches that excite units most, over data sets that outgrow
 * one process: in shards, here or as an array job of Slurm.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { useBackend } from "../runtime/backend.ts";
import {
  FAILED,
  type Job,
  keepJob,
  logOf,
  mergeShards,
  prepareDirections,
  readDataset,
  readJob,
  scanShard,
  shardStates,
  stateText,
} from "./scan_job.ts";
import { directionsAsked } from "./scan_directions.ts";
import { queued, submit } from "./scan_slurm.ts";

const HELP = `deno task scan MODEL DATASET --layers NAME,NAME --folder FOLDER
  the patches that excite the units of these layers most; FOLDER holds them as top_patches.parquet, and
  topPatches(model, dataset, { …, folder: FOLDER }) reads them from there. The same command goes on where it was stopped.

  MODEL     a name of the catalogue ("resnet50"), or a path that loadModel reads
  DATASET   a folder of images, a CSV or Parquet table of images, or cifar10, mnist, fashion-mnist (cifar10:test)

  --channels 0,5,7   only these channels          --top 9       patches of each unit
  --cells all        not only the strongest       --limit N     only so many images
  --rank relevance   by what units are used for   --target dog  for which class; without it the predicted one
  --directions KIND  instead of channels: random, principal, classes or units; or a FILE, JSON {"mine": [0.5, …]} or
                     Parquet with a name and a vector in each row. FOLDER/directions.json holds them
  --count N          how many directions          --seed S      of random ones and of components
  --classes cat,dog  of these labels              --against dog less this one's mean instead of all others'
  --direction-images N   the first N images are looked at for components and classes
  --shards N         in N parts                   --backend B   wasm, tensorflow, webgpu or cpu
  --workers N        threads of each shard        --batch-size N
  --slurm            as an array job of Slurm     --sbatch="--partition=gpu --time=4:00:00", more for sbatch
  --wait             until its jobs are over

deno task scan --folder FOLDER --status   how far it is
deno task scan --folder FOLDER --rerun    what is missing, as it was asked before
deno task scan --folder FOLDER --merge    only puts finished shards together`;

const OPTIONS = {
  layers: { type: "string" },
  channels: { type: "string" },
  top: { type: "string" },
  cells: { type: "string" },
  rank: { type: "string" },
  target: { type: "string" },
  directions: { type: "string" },
  count: { type: "string" },
  seed: { type: "string" },
  classes: { type: "string" },
  against: { type: "string" },
  "direction-images": { type: "string" },
  limit: { type: "string" },
  shards: { type: "string" },
  backend: { type: "string" },
  workers: { type: "string" },
  "batch-size": { type: "string" },
  folder: { type: "string" },
  sbatch: { type: "string" },
  slurm: { type: "boolean" },
  wait: { type: "boolean" },
  status: { type: "boolean" },
  rerun: { type: "boolean" },
  merge: { type: "boolean" },
  shard: { type: "string" },
  help: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new Error(`--${name} must be a whole number ≥ 1: received ${text}.`);
}

/** A path from the root, so that it means the same on each machine; names of models and data sets stay. */
const placeOf = async (name: string) => await Deno.stat(name).then(() => resolve(name), () => name);

/** The directions that the command line asks for. */
async function directionsOf(values: Values): Promise<Job["asked"]["directions"]> {
  const { directions, count, seed, classes, against } = values;
  const more = {
    count: whole("count", count),
    seed: seed === undefined ? undefined : Number(seed),
    classes: classes?.split(","),
    against,
    images: whole("direction-images", values["direction-images"]),
  };
  if (more.seed !== undefined && !Number.isSafeInteger(more.seed)) {
    throw new Error(`--seed must be a whole number: received ${seed}.`);
  }
  if (directions !== undefined) {
    if (values.channels || values.layers!.includes(",")) {
      throw new Error("--directions are those of one layer: give one of --layers, and no --channels.");
    }
    return await directionsAsked(directions, more);
  }
  const lone = ["count", "seed", "classes", "against", "direction-images"].find((name) => Object.hasOwn(values, name));
  if (lone) throw new Error(`--${lone} goes with --directions: give that, or leave it out.`);
}

/** What the command line asks for. */
async function jobOf([model, dataset]: string[], values: Values): Promise<Job> {
  if (!model || !dataset || !values.layers) {
    throw new Error(`${!model ? "MODEL" : !dataset ? "DATASET" : "--layers"} is missing.\n\n${HELP}`);
  }
  const { cells, slurm, sbatch, backend } = values;
  return {
    asked: {
      model: await placeOf(model),
      dataset: await placeOf(dataset),
      limit: whole("limit", values.limit),
      shards: whole("shards", values.shards) ?? 1,
      directions: await directionsOf(values),
      options: {
        layers: values.layers.split(","),
        channels: values.channels?.split(",").map(Number),
        top: whole("top", values.top),
        cells: cells as "strongest" | "all" | undefined,
        rank: values.rank as "activation" | "relevance" | undefined,
        target: values.target,
      },
    },
    running: {
      backend: backend ?? Deno.env.get("CONVLENS_BACKEND"),
      workers: whole("workers", values.workers),
      batchSize: whole("batch-size", values["batch-size"]),
      ...slurm && { slurm: sbatch?.split(/\s+(?=-)/) ?? [] },
    },
  };
}

/** The command that goes on with a folder's scan. */
const commandOf = (folder: string): string[] => [
  Deno.execPath(),
  "run",
  "-A",
  "--config",
  fileURLToPath(new URL("../../deno.json", import.meta.url)),
  fileURLToPath(import.meta.url),
  "--folder",
  folder,
];

/** Runs shards on this machine, some at a time, each in a process of its own. */
async function runHere(folder: string, job: Job, shards: number[]): Promise<void> {
  const { name: backend } = await useBackend(job.running.backend as never);
  // The other backends use the whole machine by themselves.
  const atOnce = backend === "wasm" || backend === "cpu" ? Math.min(shards.length, navigator.hardwareConcurrency) : 1;
  const workers = job.running.workers ?? Math.max(1, Math.floor(navigator.hardwareConcurrency / atOnce));
  await keepJob(folder, { ...job, running: { ...job.running, backend, workers } });
  const [program, ...args] = commandOf(folder);
  const queue = [...shards];
  const runner = async () => {
    for (let shard; (shard = queue.shift()) !== undefined;) {
      using log = await Deno.open(logOf(folder, shard), { append: true, create: true });
      const child = new Deno.Command(program, {
        args: [...args, "--shard", String(shard)],
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const write = async (stream: ReadableStream<Uint8Array>) => {
        for await (const part of stream) await log.write(part);
      };
      await Promise.all([write(child.stdout), write(child.stderr), child.status]);
      const state = (await shardStates(folder, job.asked))[shard - 1];
      console.log(stateText(state, job.asked));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
}

async function scan(folder: string, job: Job, wait: boolean): Promise<void> {
  await keepJob(folder, job);
  const images = await readDataset(job.asked);
  const { size } = images;
  const { shards } = job.asked;
  if (shards > size) throw new Error(`--shards must be at most the number of images, ${size}: received ${shards}.`);
  const states = await shardStates(folder, job.asked);
  const missing = states.filter(({ state }) => state !== "finished");
  for (const state of states) if (state.images > 0) console.log(stateText(state, job.asked));
  const { slurm } = job.running;
  if (missing.length > 0) await prepareDirections(folder, job, images);
  const begun = performance.now();
  if (missing.length === 0) await mergeShards(folder, job.asked);
  else if (slurm) {
    const jobs = await queued(folder);
    if (jobs.length > 0) {
      throw new Error(
        `Jobs ${jobs.join(" and ")} of this scan are still in the queue: wait until they are over, or cancel them by ` +
          `scancel ${jobs.join(" ")}.`,
      );
    }
    const numbers = missing.map(({ shard }) => shard);
    const options = { command: commandOf(folder), options: slurm, wait };
    const submitted = await submit(folder, numbers, options);
    console.log(
      `Submitted ${numbers.length} ${
        numbers.length === 1 ? "shard" : "shards"
      } as job ${submitted.shards}, and job ${submitted.merge}, which puts them ` +
        `together. How far they are: deno task scan --folder ${folder} --status`,
    );
    if (!wait) return;
    await mergeShards(folder, job.asked);
  } else {
    await runHere(folder, job, missing.map(({ shard }) => shard));
    await mergeShards(folder, job.asked);
    const done = size - states.reduce((sum, { images }) => sum + images, 0);
    const seconds = (performance.now() - begun) / 1000;
    console.log(`${done} images in ${seconds.toFixed(0)} s: ${(done / seconds).toPrecision(3)} images/s`);
  }
  console.log(`Written: ${join(folder, "top_patches.parquet")}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ args: Deno.args, options: OPTIONS, allowPositionals: true });
  if (values.help || Deno.args.length === 0) return console.log(HELP);
  if (!values.folder) throw new Error("--folder is missing: where the scan is kept.");
  const folder = resolve(values.folder);
  if (values.shard) return await scanShard(folder, whole("shard", values.shard)!);
  if (values.status) {
    const { asked } = await readJob(folder);
    for (const state of await shardStates(folder, asked)) console.log(stateText(state, asked));
    const jobs = await queued(folder);
    if (jobs.length > 0) console.log(`In Slurm's queue: ${jobs.join(", ")}`);
  } else if (values.merge) await mergeShards(folder, (await readJob(folder)).asked);
  else {await scan(
      folder,
      values.rerun ? await readJob(folder) : await jobOf(positionals, values),
      values.wait ?? false,
    );}
}

try {
  await main();
} catch (error) {
  // As it is, for it may list shards line by line.
  console.error(FAILED + (error as Error).message);
  Deno.exit(1);
}
