/**
 * `deno task bench [words…]`: runs every benchmark of the `*_bench.ts` files beside this one, or those whose suite or
 * name holds one of the words, and prints a table. A suite is called as its file: `first_light_bench.ts` is
 * `first-light`.
 *
 * `--json` also writes the numbers into the record of this machine and day, in `records/`; `--compare` says what became
 * slower than in the last record of this machine.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { useBackend } from "../../mod.ts";
import { type Benchmark, format, head } from "./harness.ts";
import { type BenchRecord, changes, lastOf, recorded, recordOf, RECORDS, save, told } from "./record.ts";

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

/** What computes where a benchmark names nothing else. */
async function computing(): Promise<string> {
  const { name, version, device, threads } = await useBackend();
  return `${name} ${version} on ${device}` + (threads ? `, ${threads} thread${threads === 1 ? "" : "s"}` : "");
}

/** Runs the benchmarks and prints a line as soon as it is there. @returns how many failed */
async function run(wanted: readonly Suite[], record: BenchRecord): Promise<number> {
  let failed = 0;
  for (const suite of wanted) {
    console.log(suite.name);
    for (const benchmark of suite.benchmarks) {
      try {
        for (const line of await benchmark.run()) {
          console.log(format(line));
          record.lines.push(recorded(suite.name, benchmark.name, line));
        }
      } catch (error) {
        failed++;
        console.error(`  ${benchmark.name} failed:`, error);
      }
    }
  }
  return failed;
}

const { values: asked, positionals: words } = parseArgs({
  args: Deno.args,
  options: { json: { type: "boolean" }, compare: { type: "boolean" } },
  allowPositionals: true,
});
const all = await suites();
const wanted = choose(all, words);
if (wanted.length === 0) {
  const names = all.flatMap(({ name, benchmarks }) => [name, ...benchmarks.map((benchmark) => `  ${benchmark.name}`)]);
  console.error(`No benchmark holds ${words.map((word) => JSON.stringify(word)).join(" or ")}. There are:`);
  console.error(names.join("\n"));
  Deno.exit(1);
}
const record = recordOf(await computing());
console.log(`${record.processor}, ${record.cores} cores, load ${Deno.loadavg()[0].toFixed(2)}
Deno ${record.deno} (V8 ${Deno.version.v8}) on ${Deno.build.target}
backend ${record.backend}

${head()}`);
const failed = await run(wanted, record);
const folder = fileURLToPath(RECORDS);
if (asked.compare) console.log(`\n${told(changes(lastOf(record, folder), record.lines), record.lines.length)}`);
if (asked.json) console.log(`\nRecorded in ${save(record, folder)}`);
Deno.exit(failed ? 1 : 0);
