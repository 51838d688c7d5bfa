/**
 * Runs the programs in the docs of public functions and classes, two at a time, each in a process of its own, and fails
 * if one fails. `deno run -A test/examples.ts` runs all, with names only those of these.
 */

import { fileURLToPath } from "node:url";
import { encodePng } from "../lib/codec.ts";
import { photo } from "../lib/data/photo.ts";
import { publicNames, tagged } from "../lib/methods/shared/doc_comments.ts";

const mod = new URL("../mod.ts", import.meta.url).href;
const root = fileURLToPath(new URL("../", import.meta.url));

const programs = [...publicNames()].flatMap(([name, declarations]) => {
  const docs = declarations.flatMap(({ jsDoc, def }) => [jsDoc, ...(def.methods ?? []).map((method) => method.jsDoc)]);
  const texts = docs.flatMap((doc) => tagged(doc, "example")).flatMap((text) =>
    text.match(/(?<=```ts\n)[\s\S]*?(?=\n```)/g) ?? []
  );
  return [...new Set(texts)].map((text, i) => ({ name: i ? `${name} ${i + 1}` : name, text }));
}).filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));

const folder = await Deno.makeTempDir();
/** What stands for a reader's own photos, in a folder for each label. */
const photos = await Promise.all(["dog", "cat"].map(async (label) => {
  const { data, shape: [height, width] } = await photo(label);
  return { label, bytes: await encodePng(Uint8ClampedArray.from(data), width, height, 3) };
}));
const failed: string[] = [];
const waiting = programs.entries();

async function runNext(): Promise<void> {
  for (const [i, { name, text }] of waiting) {
    const cwd = `${folder}/${i}`;
    const path = `${cwd}/program.ts`;
    for (const { label, bytes } of photos) {
      await Deno.mkdir(`${cwd}/photos/${label}`, { recursive: true });
      for (const n of [1, 2, 3]) await Deno.writeFile(`${cwd}/photos/${label}/${label}-${n}.png`, bytes);
    }
    await Deno.writeTextFile(
      `${cwd}/photos.csv`,
      "path,label,age\nphotos/dog/dog-1.png,dog,4\nphotos/cat/cat-1.png,cat,12\n",
    );
    await Deno.writeTextFile(path, text.replaceAll(/"(@convlens\/convlens|(\.\.\/)+mod\.ts)"/g, JSON.stringify(mod)));
    const args = ["run", "-A", `--config=${root}deno.json`, path];
    const start = performance.now();
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd, stdout: "null" }).output();
    console.log(`${success ? "ok" : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(0)} s)`);
    if (!success) failed.push(`${name}:\n${new TextDecoder().decode(stderr).trim()}`);
  }
}

await Promise.all([runNext(), runNext()]);
await Deno.remove(folder, { recursive: true });
console.log(`${programs.length - failed.length} of ${programs.length} programs in the docs ran to their end.`);
if (failed.length > 0) {
  console.error(failed.join("\n\n"));
  Deno.exit(1);
}
