/**
 * `deno task bench [words…]`: runs every benchmark of the `*_bench.ts` files beside this one, or those whose suite or
 * name holds one of the words, and prints a table. A suite is called as its file: `first_light_bench.ts` is
 * `first-light`.
 *
 * @module
 */

import { availableParallelism, cpus } from "node:os";
import { useBackend } from "../../mod.ts";
import { type Benchmark, format, head } from "./harness.ts";

interface Suite {
  name: string;
  benchmarks: Benchmark[];
}

async function suites(): Promise<Suite[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(new URL(".", import.meta.url))) {
    if (name.endsWith("_bench.ts")) files.push(name);
  }
  return await Promise.all(
    files.sort().map(async (file) => ({
      name: file.replace(/_bench\.ts$/, "").replaceAll("_", "-"),
      benchmarks: (await import(new URL(file, import.meta.url).href)).default as Benchmark[],
    })),
  );
}

/** The benchmarks wanted; a suite that none is wanted of is left out. */
function choose(all: readonly Suite[], words: readonly string[]): Suite[] {
  const holds = (name: string) => words.some((word) => name.toLowerCase().includes(word.toLowerCase()));
  if (words.length === 0) return [...all];
  return all
    .map(({ name, benchmarks }) => ({
      name,
      benchmarks: holds(name) ? benchmarks : benchmarks.filter((benchmark) => holds(benchmark.name)),
    }))
    .filter(({ benchmarks }) => benchmarks.length > 0);
}

/** What the numbers were measured on. */
async function machine(): Promise<string> {
  const { name, version, device, threads } = await useBackend();
  const backend = `${name} ${version} on ${device}` + (threads ? `, ${threads} thread${threads === 1 ? "" : "s"}` : "");
  return [
    `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, load ${Deno.loadavg()[0].toFixed(2)}`,
    `Deno ${Deno.version.deno} (V8 ${Deno.version.v8}) on ${Deno.build.target}`,
    `backend ${backend}`,
  ].join("\n");
}

const all = await suites();
const wanted = choose(all, Deno.args);
if (wanted.length === 0) {
  const names = all.flatMap(({ name, benchmarks }) => [name, ...benchmarks.map((benchmark) => `  ${benchmark.name}`)]);
  console.error(`No benchmark holds ${Deno.args.map((word) => JSON.stringify(word)).join(" or ")}. There are:`);
  console.error(names.join("\n"));
  Deno.exit(1);
}
console.log(`${await machine()}\n\n${head()}`);
let failed = 0;
for (const suite of wanted) {
  console.log(suite.name);
  for (const benchmark of suite.benchmarks) {
    try {
      for (const line of await benchmark.run()) console.log(format(line));
    } catch (error) {
      failed++;
      console.error(`  ${benchmark.name} failed:`, error);
    }
  }
}
Deno.exit(failed ? 1 : 0);
