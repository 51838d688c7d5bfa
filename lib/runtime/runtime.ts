/**
 * Picks a backend among candidates, says which, and tells why not the others.
 *
 * @module
 */

import { messageOf, unknownName } from "../errors.ts";
import { BackendError, type BackendName, type Candidate, type Started } from "./candidate.ts";
import type { TF } from "./core/types.ts";

/** The backend that computes. */
export interface BackendInfo {
  name: BackendName;
  /** What it computes on, as `CPU (SIMD)` or the name of a graphics card. */
  device: string;
  /** The version of the library that does the arithmetic. */
  version: string;
  /** How many threads it computes on, where that is known. */
  threads?: number;
  /** Why it computes slower than it could, and what to type; absent where it does not. */
  advice?: string;
}

/** What `doctor` found out about one backend. */
export interface BackendReport {
  name: BackendName;
  /** Whether it starts here and its self-check passes. */
  available: boolean;
  /** What it computes on; empty if it is not available. */
  device: string;
  /** The version of the library that does the arithmetic; empty if it is not available. */
  version: string;
  /** Its largest deviation from the cpu backend, relative; null for the cpu backend and for those not available. */
  selfCheck: number | null;
  /** Why `auto` does not take it; empty for the one that it takes. */
  reason: string;
  /** Why it computes slower than it could, and what to type; absent where it does not. */
  advice?: string;
}

/** Which backends there are, and which one `auto` takes. */
export class Doctor {
  /**
   * @param rows what was found out, a row for each backend
   * @param auto the backend that `auto` takes; empty if none can be taken
   */
  constructor(readonly rows: readonly BackendReport[], readonly auto: BackendName | "") {}

  /** The rows as a plain text table. */
  toString(): string {
    const cells = [
      ["", "backend", "device", "version", "self-check", "why auto does not take it"],
      ...this.rows.map(({ name, available, device, version, selfCheck, reason }) => [
        name === this.auto ? "→" : available ? " " : "✗",
        name,
        device,
        version,
        selfCheck?.toExponential(1) ?? "",
        reason,
      ]),
    ];
    const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
    const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd());
    const advice = this.rows.flatMap(({ name, advice }) => advice ? [`${name}: ${advice}`] : []);
    return [...lines, ...advice, this.auto ? `auto takes ${this.auto}.` : "auto finds no backend to take."].join("\n");
  }

  /** What `console.log` prints and a cell shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/** What a runtime is made of. */
export interface RuntimeParts {
  /** The backends, in the order in which `auto` considers them. */
  candidates: readonly Candidate[];
  /** Loads TensorFlow.js. */
  tf: () => Promise<TF>;
  /** What `auto` shall take; undefined or empty for the first that it may. */
  preferred: () => string | undefined;
  /** Tells the user one line. */
  say: (line: string) => void;
}

/** A runtime: see `useBackend`, `ensureBackend` and `doctor`. */
export interface Runtime {
  useBackend(name?: BackendName | "auto"): Promise<BackendInfo>;
  ensureBackend(): Promise<TF>;
  doctor(): Promise<Doctor>;
}

/** Where the environment names what `auto` takes. */
export const VARIABLE = "CONVLENS_BACKEND";

/** Makes a runtime out of its parts. */
export function makeRuntime({ candidates, tf: load, preferred, say }: RuntimeParts): Runtime {
  const names = candidates.map(({ name }) => name);
  const started = new Map<BackendName, Started>();
  let active: BackendName | undefined;
  let said = false;
  let last: Promise<unknown> = Promise.resolve();

  /** Runs one task after the other: two must not switch backends at the same time. */
  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = last.then(task);
    last = turn.catch(() => {});
    return turn;
  }

  /** Starts a backend, once; one that failed is tried again. */
  async function start(tf: TF, candidate: Candidate): Promise<Started> {
    const before = started.get(candidate.name);
    if (before) return before;
    const now = await candidate.start(tf);
    started.set(candidate.name, now);
    return now;
  }

  function find(name: string, owner: string): Candidate {
    const candidate = candidates.find((candidate) => candidate.name === name);
    if (!candidate) throw unknownName("backend", name, ["auto", ...names], owner);
    return candidate;
  }

  /** What the environment wants `auto` to take. */
  function wanted(): Candidate | undefined {
    const name = preferred();
    return !name || name === "auto" ? undefined : find(name, `convlens (the environment's ${VARIABLE} asks for it)`);
  }

  async function chooseAuto(tf: TF): Promise<BackendName> {
    const only = wanted();
    if (only) {
      await start(tf, only);
      return only.name;
    }
    const reasons: string[] = [];
    for (const candidate of candidates) {
      try {
        const refusal = await candidate.onlyByName?.();
        if (refusal) {
          reasons.push(`${candidate.name}: ${refusal}`);
        } else {
          await start(tf, candidate);
          return candidate.name;
        }
      } catch (error) {
        reasons.push(`${candidate.name}: ${reasonOf(error)}`);
      }
    }
    throw new BackendError(
      "auto",
      `no backend starts here (${reasons.join("; ")})`,
      "Ask for one by name to see more.",
    );
  }

  async function activate(name: BackendName | "auto"): Promise<BackendInfo> {
    const tf = await load();
    const chosen = name === "auto" ? await chooseAuto(tf) : name;
    const { device, version, threads, advice } = await start(tf, find(chosen, "convlens"));
    if (active === "webgpu" && chosen !== "webgpu") await cacheWeights(tf);
    // tfjs may answer false, or go on with another backend without a word.
    if (!await tf.setBackend(chosen) || tf.getBackend() !== chosen) {
      const reason = `TensorFlow.js did not switch to it and computes on ${JSON.stringify(tf.getBackend())}`;
      throw new BackendError(
        chosen,
        reason,
        "Restart the kernel, then ask for it first of all, or use another backend.",
      );
    }
    active = chosen;
    if (name === "auto" && !said) {
      said = true;
      const where = threads ? `${device}, ${threads} ${threads === 1 ? "thread" : "threads"}` : device;
      say(`convlens computes with ${chosen} on ${where}; doctor() tells why.`);
    }
    return { name: chosen, device, version, ...(threads !== undefined && { threads }), ...(advice && { advice }) };
  }

  return {
    async useBackend(name = "auto") {
      if (name !== "auto") find(String(name), "convlens");
      return await inTurn(() => activate(name));
    },

    async ensureBackend() {
      if (!active) await inTurn(async () => active ?? await activate("auto"));
      return await load();
    },

    doctor: () =>
      inTurn(async () => {
        const tf = await load();
        const only = wanted()?.name;
        let auto: BackendName | "" = "";
        const rows: BackendReport[] = [];
        for (const candidate of candidates) {
          const { name } = candidate;
          try {
            const { device, version, selfCheck, advice } = await start(tf, candidate);
            const refusal = await candidate.onlyByName?.();
            let reason = "";
            if (only ? only === name : !auto && !refusal) auto = name;
            else if (only) reason = `the environment's ${VARIABLE} asks for ${only}`;
            else reason = refusal ?? `auto prefers ${auto}`;
            rows.push({ name, available: true, device, version, selfCheck, reason, ...(advice && { advice }) });
          } catch (error) {
            rows.push({ name, available: false, device: "", version: "", selfCheck: null, reason: reasonOf(error) });
          }
        }
        return new Doctor(rows, auto);
      }),
  };
}

/**
 * On WebGPU, variables are read back while waiting is still possible: moving them to another backend is synchronous,
 * which Deno's WebGPU cannot do.
 */
async function cacheWeights(tf: TF): Promise<void> {
  await Promise.all(Object.values(tf.engine().state.registeredVariables).map((variable) => variable.data()));
}

function reasonOf(error: unknown): string {
  return error instanceof BackendError ? error.reason : messageOf(error);
}
