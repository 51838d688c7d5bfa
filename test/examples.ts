/**
 * Runs the programs in the docs of public functions and classes, and fails if one fails. `deno run -A test/examples.ts`
 * runs all, with names only those of these.
 *
 * Two processes at a time run them, each several programs one after the other, so that the library is loaded a few times
 * only. What a process has not noted as run to its end has failed, or comes again in the next process.
 */

import { fileURLToPath, pathToFileURL } from "node:url";
import { encodePng } from "../lib/codec.ts";
import { photo } from "../lib/data/photo.ts";
import { publicNames, tagged } from "../lib/methods/shared/doc_comments.ts";
import { useBackend } from "../mod.ts";

const mod = new URL("../mod.ts", import.meta.url).href;
const root = fileURLToPath(new URL("../", import.meta.url));

/** How many programs a process runs at most: what they leave in memory goes with it. */
const IN_A_PROCESS = 10;

/** Runs programs, each in its folder, and notes each with its seconds in a file. Ends at the first that fails. */
async function runAll(notes: string, folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    Deno.chdir(folder);
    const start = performance.now();
    await import(pathToFileURL(`${folder}/program.ts`).href);
    // Some choose a backend; the next one begins with the usual one.
    await useBackend();
    await Deno.writeTextFile(notes, `${((performance.now() - start) / 1000).toFixed(0)}\n`, { append: true });
  }
}

interface Program {
  readonly name: string;
  readonly text: string;
  readonly folder: string;
}

function programs(folder: string): Program[] {
  return [...publicNames()].flatMap(([name, declarations]) => {
    const docs = declarations.flatMap((
      { jsDoc, def },
    ) => [jsDoc, ...(def.methods ?? []).map((method) => method.jsDoc)]);
    const texts = docs.flatMap((doc) => tagged(doc, "example")).flatMap((text) =>
      text.match(/(?<=```ts\n)[\s\S]*?(?=\n```)/g) ?? []
    );
    return [...new Set(texts)].map((text, i) => ({ name: i ? `${name} ${i + 1}` : name, text }));
  }).map((program, i) => ({ ...program, folder: `${folder}/${i}` }));
}

/** Writes programs into their folders, with what stands for a reader's own photos, in a folder for each label. */
async function write(all: readonly Program[]): Promise<void> {
  const photos = await Promise.all(["dog", "cat"].map(async (label) => {
    const { data, shape: [height, width] } = await photo(label);
    return { label, bytes: await encodePng(Uint8ClampedArray.from(data), width, height, 3) };
  }));
  for (const { text, folder } of all) {
    for (const { label, bytes } of photos) {
      await Deno.mkdir(`${folder}/photos/${label}`, { recursive: true });
      for (const n of [1, 2, 3]) await Deno.writeFile(`${folder}/photos/${label}/${label}-${n}.png`, bytes);
    }
    await Deno.writeTextFile(
      `${folder}/photos.csv`,
      "path,label,age\nphotos/dog/dog-1.png,dog,4\nphotos/cat/cat-1.png,cat,12\n",
    );
    const own = text.replaceAll(/"(@convlens\/convlens|(\.\.\/)+mod\.ts)"/g, JSON.stringify(mod));
    await Deno.writeTextFile(`${folder}/program.ts`, own);
  }
}

/** Runs programs in one process. @returns how many ran to their end, and what was said if not all went well */
async function inOneProcess(some: readonly Program[]): Promise<{ ended: number; error?: string }> {
  const notes = `${some[0].folder}/notes`;
  await Deno.writeTextFile(notes, "");
  const args = ["run", "-A", `--config=${root}deno.json`, fileURLToPath(import.meta.url), "--run", notes];
  args.push(...some.map(({ folder }) => folder));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null" }).output();
  const seconds = (await Deno.readTextFile(notes)).split("\n").filter(Boolean);
  seconds.forEach((time, i) => console.log(`ok ${some[i].name} (${time} s)`));
  if (success && seconds.length === some.length) return { ended: seconds.length };
  return { ended: seconds.length, error: new TextDecoder().decode(stderr).trim() || "It ended before its end." };
}

if (Deno.args[0] === "--run") {
  await runAll(Deno.args[1], Deno.args.slice(2));
} else {
  const folder = await Deno.makeTempDir();
  const wanted = programs(folder).filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));
  await write(wanted);
  const waiting = [...wanted];
  const failed: string[] = [];
  const runNext = async () => {
    while (waiting.length > 0) {
      const some = waiting.splice(0, Math.min(IN_A_PROCESS, Math.ceil(waiting.length / 4)));
      const { ended, error } = await inOneProcess(some);
      if (error === undefined) continue;
      // Where all ran to their end, one of them left something behind that failed afterwards.
      const names = ended < some.length ? some[ended].name : `after ${some.map(({ name }) => name).join(", ")}`;
      console.log(`FAILED ${names}`);
      failed.push(`${names}:\n${error}`);
      waiting.unshift(...some.slice(ended + 1));
    }
  };
  await Promise.all([runNext(), runNext()]);
  await Deno.remove(folder, { recursive: true });
  console.log(`${wanted.length - failed.length} of ${wanted.length} programs in the docs ran to their end.`);
  if (failed.length > 0) {
    console.error(failed.join("\n\n"));
    Deno.exit(1);
  }
}
