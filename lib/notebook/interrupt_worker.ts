/**
 * The Worker that hears ■ while the thread of the cells computes. It counts the presses, looks when the cell is over, and
 * ends the kernel after a second press on one that does not end.
 *
 * Whether a cell runs, the kernel's shell socket says: it answers a request between cells only.
 *
 * @module
 */

import { OVER, PRESSED } from "../interrupt.ts";
import type { Watch, WatchMessage } from "./interrupt.ts";
import { readConnection } from "./iopub.ts";
import { encode } from "./protocol.ts";
import { Socket } from "./zmtp.ts";

/** The side of a Worker that the types of a main thread do not know. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<Watch>) => void;
  postMessage(message: WatchMessage): void;
};

/** A second press within this many milliseconds is meant for the kernel, and ends it at the earliest by then. */
const TWICE = 2000;
/** Milliseconds that a cell has to end after the second press. */
const PATIENCE = 1000;
/** After this many milliseconds a cell that goes on is told of. */
const LONG = 3000;

const sleep = (milliseconds: number) => new Promise<void>((done) => setTimeout(done, milliseconds));

/** Waits until no cell runs. Where the kernel's sockets are not known, it waits for ever. */
async function cellEnds(): Promise<void> {
  const connection = await readConnection();
  if (!connection) return await new Promise(() => {});
  const { hostname, shell, key } = connection;
  using socket = await Socket.connect({ hostname, port: shell }, "DEALER");
  const request = { id: crypto.randomUUID(), type: "kernel_info_request", content: {} };
  await socket.send(encode(key, crypto.randomUUID(), request));
  await socket.messages().next();
}

scope.onmessage = ({ data: { presses } }) => {
  /** The presses on a cell, until it ends. */
  let cell: { last: number; ending: boolean } | undefined;
  Deno.addSignalListener("SIGINT", async () => {
    const now = performance.now();
    Atomics.add(presses, PRESSED, 1);
    scope.postMessage("pressed");
    if (cell) {
      const since = now - cell.last;
      cell.last = now;
      if (since > TWICE || cell.ending) return;
      const pressed = cell;
      pressed.ending = true;
      await sleep(Math.max(PATIENCE, TWICE - since));
      if (cell === pressed) Deno.kill(Deno.pid, "SIGKILL");
      return;
    }
    const pressed = cell = { last: now, ending: false };
    setTimeout(() => cell === pressed && !pressed.ending && scope.postMessage("busy"), LONG);
    await cellEnds().catch(() => sleep(TWICE + PATIENCE));
    cell = undefined;
    Atomics.store(presses, OVER, presses[PRESSED]);
  });
  scope.postMessage("ready");
};
