/**
 * What people answered in a trial, one answer a line of JSON: each is on the disk before the next image is shown.
 *
 * @module
 */

import { sha256Of } from "../checksum.ts";
import { kindOf, messageOf } from "../errors.ts";

/** What one person said of one image. */
export interface HumanAnswer {
  /** The trial: other images, another seed or other classes make another one. */
  readonly trial: string;
  /** Who answered. */
  readonly person: string;
  /** The image's id in the data set; in a file that a page without a kernel wrote, a code of it that tells nothing. */
  readonly image: string;
  /** Whether the truth was shown after the answer (`"training"`) or never (`"test"`). */
  readonly phase: "training" | "test";
  /** When the image was shown: ISO 8601, UTC. */
  readonly shown: string;
  /**
   * Seconds from when the image was shown until the answer was given, without the time in which its tab was hidden; 0 where
   * nothing measured it.
   */
  readonly seconds: number;
  /** The classes that the person named, the likeliest first. */
  readonly labels: readonly string[];
  /** The class that it is: in the training phase only. */
  readonly truth?: string;
}

const FIELDS: Record<keyof HumanAnswer, (value: unknown) => boolean> = {
  trial: (value) => typeof value === "string",
  person: (value) => typeof value === "string",
  image: (value) => typeof value === "string",
  phase: (value) => value === "training" || value === "test",
  shown: (value) => typeof value === "string" && !Number.isNaN(Date.parse(value)),
  seconds: (value) => typeof value === "number" && Number.isFinite(value) && value >= 0,
  labels: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((label) => typeof label === "string") &&
    new Set(value).size === value.length,
  truth: (value) => value === undefined || typeof value === "string",
};

/** The answer in a line, without what else may stand in it. @throws {RangeError} with the reason, as the end of a sentence */
function answerOf(line: string): HumanAnswer {
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(line);
  } catch (error) {
    throw new RangeError(messageOf(error));
  }
  if (kindOf(found) !== "an object") throw new RangeError(`it is ${kindOf(found)}, and no answer`);
  const answer: Record<string, unknown> = {};
  for (const [name, fits] of Object.entries(FIELDS)) {
    if (!fits(found[name])) throw new RangeError(`its ${name} is ${kindOf(found[name])}`);
    if (found[name] !== undefined) answer[name] = found[name];
  }
  return answer as unknown as HumanAnswer;
}

/** Answers as lines, each with its end. */
export const answerLines = (answers: readonly HumanAnswer[]): string =>
  answers.map((answer) => `${JSON.stringify(answer)}\n`).join("");

/** The answers in a text, and how much of it they take: a last line that is torn is not among them. */
function parse(text: string, path: string): { answers: HumanAnswer[]; whole: string } {
  const lines = text.split("\n");
  const answers: HumanAnswer[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    try {
      answers.push(answerOf(line));
    } catch (error) {
      // What was being written when the power went.
      if (i === lines.length - 1) return { answers, whole: text.slice(0, text.length - line.length) };
      throw new RangeError(
        `Line ${i + 1} of ${path} is no answer of a trial: ${messageOf(error)}. Wanted one JSON object a line, as ` +
          `humanTrial writes them. Remove this line, or name another file.`,
      );
    }
  }
  return { answers, whole: text };
}

/**
 * Reads a file of answers. A last line that is torn counts as not there.
 *
 * @returns none where there is no such file
 * @throws {RangeError} if another line is no answer; the message says which
 */
export async function readAnswers(path: string | URL): Promise<HumanAnswer[]> {
  try {
    return parse(await Deno.readTextFile(path), String(path)).answers;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Locks a file, if its disk can: some of the network cannot, and there one process at a time may write. */
function lock(file: Deno.FsFile): boolean {
  try {
    file.lockSync(true);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (error instanceof Deno.errors.NotSupported || /^(ENOSYS|ENOTSUP|EOPNOTSUPP|ENOLCK)$/.test(String(code))) {
      return false;
    }
    throw error;
  }
}

/** All of a file that is open: where it is locked, others may not read it. */
function textOf(file: Deno.FsFile): string {
  const bytes = new Uint8Array(file.statSync().size);
  let size = 0;
  for (let read: number | null; size < bytes.length && (read = file.readSync(bytes.subarray(size))) !== null;) {
    size += read;
  }
  return new TextDecoder().decode(bytes.subarray(0, size));
}

/** What a page calls an image of a trial: it tells nothing of it, and yet whoever has the image finds it again. */
export const imageCode = (trial: string, id: string): string => sha256Of(`${trial}\n${id}`).slice(0, 12);

/** The file of the answers to a data set, where none is named. */
export function answersPath(dataset: string): string {
  const name = dataset.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return `answers-${name || "images"}.jsonl`;
}

/** Whether two answers are of one person on one image of one trial. */
export const isSameQuestion = (a: HumanAnswer, b: HumanAnswer): boolean => a.image === b.image && a.person === b.person;

/**
 * A file that answers are added to, one by one, also by several processes at a time where its disk knows locks. It is read anew each time, so that it
 * alone decides what has been answered.
 */
export class AnswerFile {
  /** Where it is. */
  readonly path: string;

  /**
   * @param path a file that is there, or is made now
   * @throws as the operating system does, if it cannot be written
   */
  constructor(path: string) {
    this.path = path;
    this.#open().close();
  }

  #open(): Deno.FsFile {
    return Deno.openSync(this.path, { read: true, write: true, create: true });
  }

  /** All answers. @throws {RangeError} as {@linkcode readAnswers} */
  read(): HumanAnswer[] {
    return parse(Deno.readTextFileSync(this.path), this.path).answers;
  }

  /**
   * Adds an answer and waits until it is on the disk.
   *
   * @returns false, and nothing is added, if this person has answered for this image already
   * @throws as the operating system does, as where the disk is full: the file is then as it was
   */
  add(answer: HumanAnswer): boolean {
    using file = this.#open();
    const isLocked = lock(file);
    try {
      const { answers, whole } = parse(textOf(file), this.path);
      if (answers.some((known) => isSameQuestion(known, answer))) return false;
      const encoder = new TextEncoder();
      const size = encoder.encode(whole).length;
      const bytes = encoder.encode((whole === "" || whole.endsWith("\n") ? "" : "\n") + answerLines([answer]));
      // What is torn goes: the answer begins on a line of its own.
      file.truncateSync(size);
      file.seekSync(size, Deno.SeekMode.Start);
      try {
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
        file.syncSync();
      } catch (error) {
        try {
          file.truncateSync(size);
        } catch {
          // What is torn is read as missing.
        }
        throw error;
      }
      return true;
    } finally {
      if (isLocked) file.unlockSync();
    }
  }
}
