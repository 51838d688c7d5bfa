/**
 * Progress of long work: a bar in the cell, a line in a terminal.
 *
 * @module
 */

import { duration, escapeHtml } from "../format.ts";
import { Interrupted } from "../interrupt.ts";
import { display, inKernel } from "./display.ts";
import { Throttle } from "./throttle.ts";

/** A running progress bar. */
export interface Progress {
  /** Reports how much is done, of the total. */
  update(done: number): void;
  /**
   * Puts HTML under the bar, a picture of the work so far, and resolves when the cell has it. Both are one output:
   * nothing is left of it when the work is done, and what was seen last stays when it is stopped. Outside a cell it does
   * nothing.
   */
  show(html: string): Promise<void>;
  /** Ends the bar; a line with the time it took stays, and what there is to note. */
  finish(note?: string): Promise<void>;
  /**
   * Ends the bar after a failure or an abort; a line that says how far it came stays.
   *
   * @param error what ended it
   */
  stop(error?: unknown): Promise<void>;
}

/** How much work under a bar is going on ({@linkcode withProgress}). */
let working = 0;

/** Milliseconds between two looks at the bar. */
const INTERVAL = 250;

/** What the bar says: how much is done, how long it took, how long is left at this pace. */
export function progressText(label: string, done: number, total: number | undefined, elapsed: number): string {
  if (total === undefined) return `${label} · ${duration(elapsed)}`;
  const left = done > 0 && done < total ? ` · ${duration((elapsed / done) * (total - done))} left` : "";
  return `${label} · ${done} of ${total} · ${duration(elapsed)}${left}`;
}

/** What became of work that an error ended. */
export function endedWord<Other extends string>(error: unknown, other: Other): "interrupted" | Other {
  return error instanceof Interrupted ? "interrupted" : other;
}

/** The bar as HTML: the text, and under it the bar where the share of what is done is known. */
export function progressHtml(text: string, share: number | undefined): string {
  const bar = share === undefined
    ? ""
    : `<div style="width:320px;max-width:100%;height:6px;margin-top:3px;background-color:rgba(128,128,128,.35)">` +
      `<div style="width:${(100 * share).toFixed(1)}%;height:6px;background-color:#3b82c4"></div></div>`;
  return `<div style="font-size:90%;opacity:.85">${escapeHtml(text)}${bar}</div>`;
}

/**
 * Starts a progress bar.
 *
 * In a cell it is one output that is repainted; in a terminal one line that is rewritten; where standard error is no
 * terminal, only its last line is printed. While other work is under a bar ({@linkcode withProgress}) there is no second
 * one: what goes on then is as a rule a part of it.
 *
 * @param label what is going on, in a few words
 * @param total how much there is to do; without it the bar only counts the seconds
 */
export function startProgress(label: string, total?: number): Progress {
  const start = performance.now();
  const id = crypto.randomUUID();
  const alone = working === 0;
  const cell = alone && inKernel();
  const terminal = alone && !cell && Deno.stderr.isTerminal();
  let done = 0;
  let shown = false;
  let picture = "";
  const throttle = new Throttle({ now: true });
  let last: Promise<void> = Promise.resolve();
  const elapsed = () => performance.now() - start;

  const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
  const paint = (text: string, share: number | undefined) => {
    if (cell) {
      const update = shown;
      shown = true;
      const bundle = { "text/html": progressHtml(text, share) + picture, "text/plain": text };
      last = last.then(() => throttle.paint(() => display(bundle, { id, update })));
    } else if (terminal) write(`\r\x1b[K${text}`);
  };
  const repaint = () => paint(progressText(label, done, total, elapsed()), total && Math.min(1, done / total));
  // With a picture under it the bar waits for its time: the picture goes to the page with it.
  const timer = setInterval(() => (!picture || throttle.due) && repaint(), INTERVAL);
  // The bar alone must not keep a process alive.
  Deno.unrefTimer(timer);
  repaint();

  const end = async (text: string) => {
    clearInterval(timer);
    paint(text, undefined);
    if (terminal) write("\n");
    else if (alone && !cell) write(`${text}\n`);
    await last;
  };
  return {
    update(now) {
      done = now;
    },
    async show(html) {
      if (!cell) return;
      picture = html;
      repaint();
      await last;
    },
    finish(note) {
      picture = "";
      return end(`${label} · done in ${duration(elapsed())}${note ? ` · ${note}` : ""}`);
    },
    stop(error) {
      const ended = endedWord(error, "stopped");
      return end(
        `${label} · ${ended} after ${total === undefined ? "" : `${done} of ${total}, `}${duration(elapsed())}`,
      );
    },
  };
}

/**
 * Does work under a progress bar, which ends with it, also when it fails.
 *
 * @param work is given what reports to the bar how much is done, and what puts a picture under it ({@linkcode Progress.show})
 * @param note what the line that stays says beside the time, once the work is done
 */
export async function withProgress<T>(
  label: string,
  total: number,
  work: (update: (done: number) => void, show: (html: string) => Promise<void>) => Promise<T>,
  note?: () => string,
): Promise<T> {
  const bar = startProgress(label, total);
  working++;
  try {
    const result = await work((done) => bar.update(done), (html) => bar.show(html));
    await bar.finish(note?.());
    return result;
  } catch (error) {
    await bar.stop(error);
    throw error;
  } finally {
    working--;
  }
}
