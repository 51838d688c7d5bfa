/**
 * Interrupts: the notebook's ■ ends all work of the cell, and the kernel lives on with its variables.
 *
 * Each call of a function that takes options has a signal of its own, joined with the caller's ({@linkcode readOptions}
 * of `options.ts` does that). What takes no signal asks for one here; what holds its thread looks at
 * {@linkcode throwIfInterrupted} now and then. A cell that was interrupted begins no work any more. Who presses is the
 * notebook's matter (`notebook/interrupt.ts`): without it nothing is ever interrupted.
 *
 * @module
 */

/** What interrupted work ends with. Its name is `"AbortError"`. */
export class Interrupted extends DOMException {
  constructor() {
    super("The cell was interrupted.", "AbortError");
    // Where it was noticed says nothing to the one who pressed.
    Object.defineProperty(this, "stack", { value: `${this.name}: ${this.message}` });
  }
}

/**
 * How often ■ was pressed, and how many of these presses were meant for cells that are over. Another thread counts, also
 * while this one computes.
 */
export const presses = new Int32Array(new SharedArrayBuffer(8));
/** The places of the two counts. */
export const PRESSED = 0;
export const OVER = 1;

let heard = 0;
let current = new AbortController();

/** The signal of all work of the cell: aborted from a press until the cell is over. */
export function cellSignal(): AbortSignal {
  const pressed = Atomics.load(presses, PRESSED);
  if (pressed !== heard) {
    heard = pressed;
    current.abort(new Interrupted());
  } else if (current.signal.aborted && pressed === Atomics.load(presses, OVER)) {
    current = new AbortController();
  }
  return current.signal;
}

/**
 * A signal for work that begins now: aborted by an interrupt, and with the given signal.
 *
 * @param signal the caller's own
 */
export function interruptible(signal?: AbortSignal): AbortSignal {
  return AbortSignal.any(signal ? [cellSignal(), signal] : [cellSignal()]);
}

/**
 * For work that holds its thread, so that no signal can be aborted: to be called now and then.
 *
 * @throws {Interrupted} if ■ was pressed and the cell is not over yet
 */
export function throwIfInterrupted(): void {
  cellSignal().throwIfAborted();
}
