/**
 * Processes that compute what they are asked to, each with a heap of its own: convlens on a backend, or Python.
 *
 * A process says first what it is, as a line of JSON, and answers each line, the name of a task, with another.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { BackendError, type BackendName, useBackend } from "../../lib/runtime/backend.ts";

/** What a process says first. */
export interface Introduction {
  /** What computes; absent where it cannot. */
  about?: string;
  /** Why it cannot. */
  missing?: string;
  tasks: string[];
}

/** What a task took. */
export interface Answer {
  ms: number;
  /** The most bytes that the process held meanwhile, where the system tells. */
  peak?: number;
  /** What the task tells of itself. */
  told?: Record<string, number>;
}

/** Does something; what it tells becomes part of the answer. */
export type Task = (tell: (numbers: Record<string, number>) => void) => Promise<unknown>;

/** A running process. */
export interface Peer extends Introduction {
  name: string;
  /** Does a task once and waits for its end. */
  ask(task: string): Promise<Answer>;
  end(): void;
}

/** Starts a process and waits for its introduction. */
export async function startPeer(name: string, command: string, args: string[]): Promise<Peer> {
  const process = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const errors = new Response(process.stderr).text();
  // deno-lint-ignore no-explicit-any -- Node's and the web's types of one stream
  const lines = createInterface({ input: Readable.fromWeb(process.stdout as any) })[Symbol.asyncIterator]();
  const writer = process.stdin.getWriter();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended: ${(await errors).trim().split("\n").slice(-3).join(" ")}`);
    return JSON.parse(value);
  };
  const introduction: Introduction = await next();
  return {
    ...introduction,
    name,
    async ask(task) {
      await writer.write(new TextEncoder().encode(`${task}\n`));
      return await next();
    },
    end: () => process.kill(),
  };
}

/** Is such a process: introduces itself, then does the tasks that it is asked for. */
export async function servePeer(
  introduction: Omit<Introduction, "tasks">,
  tasks: Record<string, Task>,
): Promise<void> {
  console.log(JSON.stringify({ ...introduction, tasks: Object.keys(tasks) } satisfies Introduction));
  // One task is asked for at a time, so every piece is one line.
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    let told: Record<string, number> | undefined;
    forgetPeak();
    const start = performance.now();
    await tasks[line.trim()]((numbers) => told = numbers);
    console.log(JSON.stringify({ ms: performance.now() - start, peak: peakBytes(), told } satisfies Answer));
  }
}

/** Is such a process on a backend, whose tasks are made when that is there. */
export async function serveBackend(
  backend: BackendName,
  tasks: () => Record<string, Task> | Promise<Record<string, Task>>,
): Promise<void> {
  const started = await useBackend(backend).catch((error) => {
    if (!(error instanceof BackendError)) throw error;
    return error;
  });
  if (started instanceof BackendError) return await servePeer({ missing: started.reason }, {});
  await servePeer({ about: `${started.version} on ${started.device}` }, await tasks());
}

/**
 * The milliseconds of each task of each process, in turns, by `process, task`; prints the load.
 *
 * @param runs that count, after one that does not
 * @param wanted whether a task is done in a round; round −1 is the one that does not count
 */
export async function timesOf(
  peers: readonly Peer[],
  runs: number,
  wanted: (peer: string, task: string, round: number) => boolean = () => true,
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>();
  for (let round = -1; round < runs; round++) {
    for (const { name, tasks, ask } of peers) {
      for (const task of tasks) {
        if (!wanted(name, task, round)) continue;
        const { ms } = await ask(task);
        const key = `${name}, ${task}`;
        if (round >= 0) times.set(key, [...times.get(key) ?? [], ms]);
      }
    }
  }
  console.log(`  load of the last five minutes: ${Deno.loadavg()[1].toFixed(2)}`);
  return times;
}

/** Lets the system count the most memory held from here on. */
function forgetPeak(): void {
  if (existsSync("/proc/self/clear_refs")) Deno.writeTextFileSync("/proc/self/clear_refs", "5");
}

/** The most memory that this process has held, where the system tells. */
export function peakBytes(): number | undefined {
  if (!existsSync("/proc/self/status")) return undefined;
  const line = Deno.readTextFileSync("/proc/self/status").match(/^VmHWM:\s+(\d+) kB$/m);
  return line ? 1024 * Number(line[1]) : undefined;
}

/** The Python that has some modules, if there is one: that of the active virtual environment, else the first on the path. */
export function pythonWith(...modules: string[]): string | undefined {
  const environment = Deno.env.get("VIRTUAL_ENV");
  const inside = environment && join(environment, "bin", "python3");
  return [...(inside && existsSync(inside) ? [inside] : []), "python3"].find((python) => {
    try {
      return new Deno.Command(python, { args: ["-c", `import ${modules.join(", ")}`], stdout: "null", stderr: "null" })
        .outputSync().success;
    } catch {
      return false;
    }
  });
}

/** A Python program that computes the same. */
export interface PythonPeer {
  name: string;
  /** The module that it needs. */
  module: string;
  /** Its file, beside the benchmarks. */
  script: string;
  args: readonly number[];
}

/**
 * Does something with a benchmark's own program on the native backend and on WASM, and, where Python has what it needs, with a
 * Python program beside them; all are ended afterwards.
 *
 * @param own the benchmark's `import.meta.url`
 */
export async function withPeers<T>(
  own: string,
  { name, module, script, args }: PythonPeer,
  run: (peers: readonly Peer[]) => Promise<T>,
): Promise<T> {
  const peers: Peer[] = [];
  try {
    const add = async (name: string, command: string, args: string[]) => {
      const peer = await startPeer(name, command, args);
      console.log(`  ${name}: ${peer.missing ? `left out: ${peer.missing}` : peer.about}`);
      peers.push(peer);
    };
    for (const backend of ["tensorflow", "wasm"]) {
      await add(backend, Deno.execPath(), ["run", "-A", fileURLToPath(own), backend]);
    }
    const python = pythonWith(module);
    if (python) {
      await add(name, python, [fileURLToPath(new URL(script, import.meta.url)), ...args.map(String)]);
    } else {
      console.log(`  ${name}: left out, no Python here can import ${module}; activate an environment in which it can`);
    }
    return await run(peers);
  } finally {
    for (const peer of peers) peer.end();
  }
}
