/** Shards of a scan as an array job of Slurm, and a job that merges them. @module */

import { join } from "node:path";
import { replaceWhole, writeChunks } from "../files.ts";
import { lastLines, run } from "./run.ts";

/** The jobs of a scan that were submitted last. */
interface Submitted {
  /** The array job. */
  readonly shards: string;
  /** The job that merges. */
  readonly merge: string;
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Runs a program of Slurm. */
async function slurm(program: string, args: string[]): Promise<string> {
  const ended = await run(program, args);
  if (!ended) {
    throw new Error(
      `There is no ${program} on this machine: call from one that submits to Slurm, or leave out --slurm to run the ` +
        `shards here.`,
    );
  }
  if (!ended.success) throw new Error(`${program} refuses: ${lastLines(ended.stderr || ended.stdout)}`);
  return ended.stdout;
}

async function writeScript(path: string, lines: readonly string[], command: readonly string[]): Promise<void> {
  const words = command.map((word) => word.startsWith("$") ? `"${word}"` : quoted(word)).join(" ");
  const text = ["#!/bin/bash", ...lines.map((line) => `#SBATCH ${line}`), `exec ${words}`, ""].join("\n");
  await replaceWhole(path, (to) => writeChunks(to, [new TextEncoder().encode(text)]));
}

/** The jobs of a folder that are still in the queue. */
export async function queued(folder: string): Promise<string[]> {
  const file = join(folder, "slurm.json");
  const text = await Deno.readTextFile(file).catch(() => undefined);
  if (text === undefined) return [];
  const { shards, merge }: Submitted = JSON.parse(text);
  // A job that is over is unknown after a while, which is an error of squeue.
  const found = await Promise.all(
    [shards, merge].map(async (id) => (await run("squeue", ["-h", "-j", id]))?.stdout && id),
  );
  return found.filter((id): id is string => Boolean(id));
}

/**
 * Submits shards, and their merge for when all have ended, whether they failed or not.
 *
 * @param command what runs here, but for the part that is wanted
 * @param options lines for sbatch, as `--partition=gpu`
 * @param wait whether to wait until the merge is over
 * @returns the numbers of both jobs
 */
export async function submit(
  folder: string,
  shards: readonly number[],
  { command, options, wait }: { command: readonly string[]; options: readonly string[]; wait: boolean },
): Promise<Submitted> {
  const [script, merge] = ["shards.sbatch", "merge.sbatch"].map((name) => join(folder, name));
  const log = (name: string) => [`--output="${join(folder, "logs", name)}"`, "--open-mode=append"];
  await writeScript(
    script,
    ["--job-name=convlens-scan", `--array=${ranges(shards)}`, ...log("shard-%4a.log"), ...options],
    [...command, "--shard", "$SLURM_ARRAY_TASK_ID"],
  );
  await writeScript(merge, ["--job-name=convlens-merge", ...log("merge.log"), ...options], [...command, "--merge"]);
  const [id] = (await slurm("sbatch", ["--parsable", script])).split(";");
  const after = ["--parsable", `--dependency=afterany:${id}`];
  const [merging] = (await slurm("sbatch", [...after, merge])).split(";");
  const submitted = { shards: id, merge: merging };
  await Deno.writeTextFile(join(folder, "slurm.json"), JSON.stringify(submitted) + "\n");
  if (wait) {
    // A job of its own that does nothing but be waited for would stand in the queue: this looks at the queue instead.
    while ((await queued(folder)).length > 0) await new Promise((done) => setTimeout(done, 2000));
  }
  return submitted;
}

/** Numbers as Slurm writes them: `1-4,7`. */
export function ranges(numbers: readonly number[]): string {
  const parts: [from: number, to: number][] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join();
}
