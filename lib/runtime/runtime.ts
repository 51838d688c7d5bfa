/**
 * Picks a backend among candidates, and says which one it is and why it is not another.
 *
 * @module
 */

import { messageOf, unknownName } from "../errors.ts";
import { BackendError, type BackendName, type Candidate, type Started } from "./candidate.ts";
import type { TF } from "./core/types.ts";

/** The backend that computes. */
export interface BackendInfo {
  /** Its name, the same as in TensorFlow.js. */
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
  /** Its name, the same as in TensorFlow.js. */
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
export class DoctorReport {
  /**
   * Keeps what was found out.
   *
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
  /** The backend that `auto` is to take; undefined or empty for the first that it may. */
  preferred: () => string | undefined;
  /** Shows the user one line. */
  say: (line: string) => void;
}

/** Where the environment names what `auto` takes. */
export const VARIABLE = "CONVLENS_BACKEND";

/** A runtime: starts backends, chooses among them, and reports on them. */
export class Runtime {
  readonly #parts: RuntimeParts;
  readonly #started = new Map<BackendName, Started>();
  #active?: BackendName;
  #said = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
  }

  /** See `useBackend`. */
  async useBackend(name: BackendName | "auto" = "auto"): Promise<BackendInfo> {
    if (name !== "auto") this.#find(String(name), "convlens");
    return await this.#inTurn(() => this.#activate(name));
  }

  /** See `ensureBackend`. */
  async ensureBackend(): Promise<TF> {
    await this.#inTurn(async () => {
      if (this.#active) await this.#find(this.#active, "convlens").renew?.();
      else await this.#activate("auto");
    });
    return await this.#parts.tf();
  }

  /** See `doctor`. */
  doctor(): Promise<DoctorReport> {
    return this.#inTurn(async () => {
      const tf = await this.#parts.tf();
      const only = this.#preferred()?.name;
      let auto: BackendName | "" = "";
      const rows: BackendReport[] = [];
      for (const candidate of this.#parts.candidates) {
        const { name } = candidate;
        try {
          const { device, version, selfCheck, advice } = await this.#start(tf, candidate);
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
      return new DoctorReport(rows, auto);
    });
  }

  /** Runs one task after the other: two must not switch backends at the same time. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Starts a backend, once; one that failed is tried again. */
  async #start(tf: TF, candidate: Candidate): Promise<Started> {
    const before = this.#started.get(candidate.name);
    if (before) return before;
    const now = await candidate.start(tf);
    this.#started.set(candidate.name, now);
    return now;
  }

  #find(name: string, owner: string): Candidate {
    const { candidates } = this.#parts;
    const candidate = candidates.find((candidate) => candidate.name === name);
    if (!candidate) throw unknownName("backend", name, ["auto", ...candidates.map(({ name }) => name)], owner);
    return candidate;
  }

  /** What the environment wants `auto` to take. */
  #preferred(): Candidate | undefined {
    const name = this.#parts.preferred();
    if (!name || name === "auto") return undefined;
    return this.#find(name, `convlens (the environment's ${VARIABLE} asks for it)`);
  }

  async #chooseAuto(tf: TF): Promise<BackendName> {
    const only = this.#preferred();
    if (only) {
      await this.#start(tf, only);
      return only.name;
    }
    const reasons: string[] = [];
    for (const candidate of this.#parts.candidates) {
      try {
        const refusal = await candidate.onlyByName?.();
        if (refusal) {
          reasons.push(`${candidate.name}: ${refusal}`);
        } else {
          await this.#start(tf, candidate);
          return candidate.name;
        }
      } catch (error) {
        reasons.push(`${candidate.name}: ${reasonOf(error)}`);
      }
    }
    const reason = `no backend starts here (${reasons.join("; ")})`;
    throw new BackendError("auto", reason, "Ask for one by name to see more.");
  }

  async #activate(name: BackendName | "auto"): Promise<BackendInfo> {
    const tf = await this.#parts.tf();
    const chosen = name === "auto" ? await this.#chooseAuto(tf) : name;
    const { device, version, threads, advice } = await this.#start(tf, this.#find(chosen, "convlens"));
    if (this.#active) await this.#find(this.#active, "convlens").renew?.();
    if (this.#active === "webgpu" && chosen !== "webgpu") await cacheWeights(tf);
    // tfjs may answer false, or go on with another backend without a word.
    if (!await tf.setBackend(chosen) || tf.getBackend() !== chosen) {
      const reason = `TensorFlow.js did not switch to it and computes on ${JSON.stringify(tf.getBackend())}`;
      const remedy = "Restart the kernel, then ask for it first of all, or use another backend.";
      throw new BackendError(chosen, reason, remedy);
    }
    this.#active = chosen;
    if (name === "auto" && !this.#said) {
      this.#said = true;
      const where = threads ? `${device}, ${threads} ${threads === 1 ? "thread" : "threads"}` : device;
      this.#parts.say(`convlens computes with ${chosen} on ${where}; doctor() tells why.`);
    }
    return { name: chosen, device, version, ...(threads !== undefined && { threads }), ...(advice && { advice }) };
  }
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
