/**
 * The one file that knows the Deno Jupyter kernel: it shows MIME bundles and sees to it that none of them is lost.
 *
 * The kernel (Deno 2.8.2 to at least 2.9.6) runs a cell in one thread and talks to Jupyter in another. An output is only
 * put in a queue; the kernel says that the cell is done as soon as its code is, without a look at that queue. What is
 * still queued then goes out after `status: idle`, under the header of the next cell: it is dropped, or it lands under
 * the wrong cell. So {@linkcode flushOutputs} waits for proof that the queue is empty. It listens to the kernel's own iopub
 * socket, puts a marker behind everything queued so far, and returns once the marker has come by.
 *
 * @module
 */

import { echo, iopubEndpoint } from "./iopub.ts";
import { explainPromises } from "./unawaited.ts";
import type { Endpoint } from "./zmtp.ts";

/** One output in several forms: MIME type → its data. Binary types are base64 strings. */
export type MimeBundle = Record<string, unknown>;

/** The method of an object that the kernel calls for its {@linkcode MimeBundle}. */
export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

/** How a bundle is shown. */
export interface DisplayOptions {
  /** A name for the output, by which a later call can replace it. */
  id?: string;
  /** Replace the output of that name in its place, instead of showing a new one. @default false */
  update?: boolean;
}

interface Kernel {
  display(bundle: MimeBundle, options: { raw: true; display_id?: string; update?: boolean }): Promise<void>;
  broadcast(type: string, content: Record<string, unknown>): Promise<void>;
}

type BroadcastResult = (executionCount: number, result: unknown) => Promise<void>;

/** `Deno.jupyter`, which throws outside the kernel (even under `typeof`) and is undefined in Workers. */
function kernel(): Kernel | undefined {
  try {
    return (Deno as unknown as { jupyter?: Kernel }).jupyter;
  } catch {
    return undefined;
  }
}

/** Whether this code runs in a cell of the Deno Jupyter kernel. */
export function inKernel(): boolean {
  return kernel() !== undefined;
}

/** Milliseconds that an echo may take before the cell goes on without it. */
const ECHO_TIMEOUT = 10_000;
/** Where no echo can be had: milliseconds to wait, and for each megabyte shown since the last wait. */
const WAIT = { base: 50, perMegabyte: 100 };

let endpoint: Promise<Endpoint | undefined> | undefined;
let bytesShown = 0;
let running: Promise<void> = Promise.resolve();
let queued: Promise<void> | undefined;

async function flushNow(): Promise<void> {
  const where = await (endpoint ??= iopubEndpoint());
  const send = (marker: string) =>
    void kernel()!.broadcast("update_display_data", { data: {}, metadata: {}, transient: { display_id: marker } });
  const bytes = bytesShown;
  bytesShown = 0;
  if (where && await echo(where, send, ECHO_TIMEOUT)) return;
  endpoint = Promise.resolve(undefined);
  await new Promise((resolve) => setTimeout(resolve, WAIT.base + WAIT.perMegabyte * bytes / 1e6));
}

/**
 * Waits until all that was shown or printed so far has left the kernel.
 *
 * The marker is an update of an output that does not exist, which Jupyter's clients pass over in silence. Where the
 * iopub socket cannot be found (on Windows), or once a marker has not come back for 10 s, this waits instead for 50 ms
 * and 100 ms for each megabyte shown.
 */
function flushOutputs(): Promise<void> {
  queued ??= running = running.then(() => {
    queued = undefined;
    return flushNow();
  });
  return queued;
}

/**
 * Shows a bundle in the cell that runs. The promise resolves when the output has left the kernel: await it, so that the
 * output stays with its cell.
 *
 * @throws Error outside the Deno Jupyter kernel
 */
export async function display(bundle: MimeBundle, options: DisplayOptions = {}): Promise<void> {
  const jupyter = kernel();
  if (!jupyter) {
    throw new Error(
      "There is no cell to display in: this code does not run in the Deno Jupyter kernel. Ask inKernel() first.",
    );
  }
  const { id, update = false } = options;
  bytesShown += size(bundle);
  await jupyter.display(bundle, { raw: true, update, ...(id !== undefined && { display_id: id }) });
  await flushOutputs();
}

function size(bundle: MimeBundle): number {
  return Object.values(bundle).reduce<number>((sum, data) => sum + (typeof data === "string" ? data.length : 1000), 0);
}

const flushes = Symbol.for("convlens.flushes");

/**
 * From now on each cell that ends without an error waits until its outputs have left the kernel, those of other
 * libraries too; and a result that was not awaited says so. To call it again does nothing.
 *
 * The kernel hands the value of a cell's last expression to one function, and takes the cell for done when that
 * function's promise resolves; this puts the wait behind it. Outside the kernel it does nothing.
 */
export function keepOutputs(): void {
  if (!inKernel()) return;
  const hidden = Deno as unknown as
    & { internal: symbol }
    & Record<symbol, { jupyter: { broadcastResult: BroadcastResult } }>;
  const internals = hidden[hidden.internal].jupyter;
  const broadcastResult = internals.broadcastResult;
  if (flushes in broadcastResult) return;
  const broadcastAndFlush = async (executionCount: number, result: unknown) => {
    await broadcastResult(executionCount, withBytesCounted(result));
    await flushOutputs();
  };
  internals.broadcastResult = Object.assign(broadcastAndFlush, { [flushes]: true });
  explainPromises();
}

/** The same result, whose bytes are added to those shown when the kernel asks for its bundle. */
function withBytesCounted(result: unknown): unknown {
  const show = (result as { [displaySymbol]?: unknown } | null | undefined)?.[displaySymbol];
  if (typeof show !== "function") return result;
  return {
    [displaySymbol]: async () => {
      const bundle = await show.call(result);
      bytesShown += size(bundle);
      return bundle;
    },
  };
}
