/** A scan that is killed at any moment and taken up again leaves the same bytes, and loses a batch at most. */

import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const script = fileURLToPath(new URL("scan_process.ts", import.meta.url));
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** Starts a scan, or takes it up. */
const start = (folder: string) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, folder],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();

/**
 * Runs a scan, and kills it after so many lines and milliseconds.
 *
 * @returns what it printed
 */
async function run(folder: string, kill?: { lines: number; delay: number }): Promise<string[]> {
  const child = start(folder);
  let text = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (!kill || text.split("\n").length <= kill.lines) continue;
    timer ??= setTimeout(() => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended, and its last lines are not read yet.
      }
    }, kill.delay);
  }
  clearTimeout(timer);
  await child.status;
  return text.split("\n").slice(0, -1);
}

const keptIn = (lines: readonly string[]) =>
  lines.flatMap((line) => line.startsWith("kept ") ? Number(line.slice(5)) : []);
const isOver = (lines: readonly string[]) => lines.at(-1)!.startsWith("rows ");

async function filesIn(folder: string): Promise<Record<string, string>> {
  const names = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  const bytes = names.map(async (name) => [name, (await Deno.readFile(`${folder}/${name}`)).toBase64()] as const);
  return Object.fromEntries(await Promise.all(bytes));
}

/** The images that each folder may begin behind: those of the last batch that was kept, or of the one before. */
async function killAndResume(folder: string, whole: Record<string, string>, kills: number, random: () => number) {
  let reached = 0;
  for (let done = 0; done < kills;) {
    const lines = await run(folder, { lines: 1 + Math.floor(12 * random()), delay: 12 * random() });
    const kept = keptIn(lines);
    // A line is printed when its batch is kept; the first one stands for the first batch after the start.
    if (kept.length > 0) expect(kept[0], String(lines)).toBeGreaterThanOrEqual(reached);
    reached = kept.at(-1) ?? reached;
    if (!lines.length || !isOver(lines)) done++;
    else {
      expect(await filesIn(folder)).toEqual(whole);
      await Deno.remove(folder, { recursive: true });
      reached = 0;
    }
  }
  expect((await run(folder)).at(-1)).toMatch(/^rows \d+$/);
  expect(await filesIn(folder)).toEqual(whole);
}

const [CHAINS, KILLS] = [2, 25];

longTest(`kill -9 at ${CHAINS * KILLS} random moments`, async () => {
  const folder = await Deno.makeTempDir();
  expect((await run(`${folder}/whole`)).at(-1)).toMatch(/^rows \d+$/);
  const whole = await filesIn(`${folder}/whole`);
  expect(Object.keys(whole)).toEqual(["lock", "manifest.json", "top_patches.parquet"]);
  const random = uniforms(Date.now());
  // Side by side, since most of the time is spent starting.
  await Promise.all(
    Array.from({ length: CHAINS }, (_, chain) => killAndResume(`${folder}/${chain}`, whole, KILLS, random)),
  );
  await Deno.remove(folder, { recursive: true });
}, 600_000);

longTest("a second process is refused while the first one lives, and takes over when it was killed", async () => {
  const folder = await Deno.makeTempDir();
  const child = start(`${folder}/scan`);
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  await lines.read();
  child.kill("SIGSTOP");
  expect((await run(`${folder}/scan`)).at(-1)).toMatch(/is being written by another scan \(process \d+ on .+\)/);
  child.kill("SIGKILL");
  await child.status;
  await lines.cancel();
  expect((await run(`${folder}/scan`)).at(-1)).toMatch(/^rows \d+$/);
  await Deno.remove(folder, { recursive: true });
}, 60_000);
