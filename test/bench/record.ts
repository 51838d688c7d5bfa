/**
 * Records of benchmarks: a file of JSON for each machine and day, and what became slower since.
 *
 * @module
 */

import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { type Line, quantity } from "./harness.ts";

/** Where the records lie. */
export const RECORDS = new URL("records/", import.meta.url);

/** A line of the table, with its place and what the machine did when it was done. */
export interface RecordedLine extends Omit<Line, "runs"> {
  suite: string;
  benchmark: string;
  /** Processes that were ready to run, on average over the minute before. */
  load: number;
}

/** What was measured on one machine on one day. */
export interface BenchRecord {
  processor: string;
  cores: number;
  /** The day, as `2026-12-01`. */
  date: string;
  deno: string;
  /** The backend that is used where a benchmark names none. */
  backend: string;
  lines: RecordedLine[];
}

/** A record without lines, of this machine today. */
export function recordOf(backend: string): BenchRecord {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: availableParallelism(),
    date: new Date().toISOString().slice(0, 10),
    deno: Deno.version.deno,
    backend,
    lines: [],
  };
}

/** A line to record, now. */
export function recorded(suite: string, benchmark: string, { runs: _, ...line }: Line): RecordedLine {
  return { suite, benchmark, ...line, load: Number(loadavg()[0].toFixed(2)) };
}

const machine = ({ processor, cores }: BenchRecord) =>
  `${processor} ${cores} cores`.toLowerCase().replace(/[^a-z0-9]+/g, "-");

const key = ({ suite, benchmark, name }: RecordedLine) => `${suite} / ${benchmark} / ${name.trim()}`;

/** Lines of one benchmark may have equal names ("images"): each is told apart by its place among them. */
function byKey(lines: readonly RecordedLine[]): Map<string, RecordedLine> {
  const found = new Map<string, RecordedLine>();
  for (const line of lines) {
    let name = key(line);
    for (let n = 2; found.has(name); n++) name = `${key(line)} (${n})`;
    found.set(name, line);
  }
  return found;
}

/**
 * Writes a record to its file. Of benchmarks that a record of the same machine and day holds already, the new lines
 * take the place of the old.
 *
 * @returns the file's path
 */
export function save(record: BenchRecord, folder: string): string {
  const path = join(folder, `${machine(record)}_${record.date}.json`);
  const again = new Set(record.lines.map(({ suite, benchmark }) => `${suite} / ${benchmark}`));
  const kept = read(path)?.lines.filter(({ suite, benchmark }) => !again.has(`${suite} / ${benchmark}`)) ?? [];
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(path, JSON.stringify({ ...record, lines: [...kept, ...record.lines] }, null, 2) + "\n");
  return path;
}

function read(path: string): BenchRecord | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as BenchRecord;
  } catch (error) {
    throw new SyntaxError(`${path} is no record: ${(error as Error).message}. Delete it, or take it from the history.`);
  }
}

/** For each benchmark its last lines of the same machine and backend, with the day of each. */
export function lastOf(record: BenchRecord, folder: string): (RecordedLine & { date: string })[] {
  let names: string[];
  try {
    names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const last = new Map<string, (RecordedLine & { date: string })[]>();
  for (const name of names.filter((name) => name.startsWith(`${machine(record)}_`)).sort()) {
    const { backend, date, lines } = read(join(folder, name))!;
    if (backend !== record.backend) continue;
    for (const [benchmark, group] of Map.groupBy(lines, (line) => `${line.suite} / ${line.benchmark}`)) {
      last.set(benchmark, group.map((line) => ({ ...line, date })));
    }
  }
  return [...last.values()].flat();
}

/** What differs by more than chance. */
export interface Change {
  name: string;
  before: RecordedLine & { date: string };
  now: RecordedLine;
  /** How many times as slow, or as large, as before: above 1 is worse. */
  factor: number;
}

/** From this factor on a difference is told: benchmarks of an idle machine repeat to a few hundredths. */
export const TOLD = 1.1;

/**
 * How many times as slow each line has become, the worst first. Where a line has a ratio to something that was measured
 * in the same run, the ratios are compared; otherwise the medians. Numbers without a unit say neither faster nor slower.
 */
export function changes(before: readonly (RecordedLine & { date: string })[], now: readonly RecordedLine[]): Change[] {
  const old = byKey(before) as Map<string, RecordedLine & { date: string }>;
  return [...byKey(now)].flatMap(([name, line]): Change[] => {
    const last = old.get(name);
    if (last === undefined || last.unit !== line.unit || line.unit === "") return [];
    const beside = last.ratio !== undefined && line.ratio !== undefined;
    const rise = beside ? line.ratio! / last.ratio! : line.median / last.median;
    return [{ name, before: last, now: line, factor: line.unit === "per second" ? 1 / rise : rise }];
  }).sort((a, b) => b.factor - a.factor);
}

/** The changes in words: what became slower, what faster, and whether the machine was idle both times. */
export function told(all: readonly Change[], total: number): string {
  const line = ({ name, before, now, factor }: Change) => {
    const busy = Math.max(before.load, now.load) > availableParallelism() + 1 ? ", on a busy machine" : "";
    const beside = before.ratio !== undefined && now.ratio !== undefined;
    const [was, is] = beside
      ? [`${before.ratio!.toFixed(2)}×`, `${now.ratio!.toFixed(2)}×`]
      : [quantity(before.median, before.unit), quantity(now.median, now.unit)];
    return `  ${factor.toFixed(2)}× ${name}: ${was} on ${before.date}, now ${is}${busy}`;
  };
  const slower = all.filter(({ factor }) => factor > TOLD);
  const faster = all.filter(({ factor }) => factor < 1 / TOLD);
  const group = (title: string, some: readonly Change[]) => some.length > 0 ? [title, ...some.map(line)] : [];
  return [
    `${all.length} of ${total} lines have a record of this machine: ${slower.length} slower, ${faster.length} faster, ` +
    `${all.length - slower.length - faster.length} within ${TOLD}×.`,
    ...group("Slower or larger:", slower),
    ...group("Faster or smaller:", faster.toReversed()),
  ].join("\n");
}
