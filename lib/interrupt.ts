/**
 * Interrupts: the notebook's ■ ends all work that runs, and the kernel lives on with its variables.
 *
 * Each call of a function that takes options has a signal of its own, joined with the caller's ({@linkcode readOptions}
 * of `options.ts` does that). What takes no signal asks for one here; what holds its thread looks at
 * {@linkcode throwIfInterrupted} now and then. Who presses is the notebook's matter (`notebook/interrupt.ts`): without it
 * nothing is ever interrupted.
 *
 * @module
 */

/** What interrupted work ends with. Its name is `"AbortError"`. */
export class Interrupted extends DOMException {
  constructor(message = "The cell was interrupted.") {
    super(message, "AbortError");
  }
}

/** How often ■ was pressed, counted from another thread: also while this one computes. */
export const presses = new Int32Array(new SharedArrayBuffer(4));

let heard = 0;
let current = new AbortController();

/**
 * A signal for work that begins now: aborted by an interrupt, and with the given signal.
 *
 * @param signal the caller's own
 */
export function interruptible(signal?: AbortSignal): AbortSignal {
  return AbortSignal.any(signal ? [current.signal, signal] : [current.signal]);
}

/** Ends all work that runs. What begins afterwards is not touched. */
export function interrupt(): void {
  heard = Atomics.load(presses, 0);
  const interrupted = current;
  current = new AbortController();
  interrupted.abort(new Interrupted());
}

/** As {@linkcode interrupt}, unless the presses so far have been heard already. Whether there was a new one. */
export function hear(): boolean {
  const isNew = Atomics.load(presses, 0) !== heard;
  if (isNew) interrupt();
  return isNew;
}

/**
 * For work that holds its thread, so that no signal can be aborted: to be called now and then.
 *
 * @throws {Interrupted} if ■ has been pressed since the thread last listened
 */
export function throwIfInterrupted(): void {
  if (hear()) throw new Interrupted();
}
