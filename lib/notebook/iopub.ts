/**
 * The kernel's iopub socket as seen from inside the kernel: where it is, and whether something sent has left on it.
 *
 * @module
 */

import { type Endpoint, hello, SUBSCRIBE } from "./zmtp.ts";

/** The command line of this process, which holds the path of the connection file. */
async function commandLine(): Promise<string[]> {
  if (Deno.build.os === "linux") return (await Deno.readTextFile("/proc/self/cmdline")).split("\0");
  const { stdout } = await new Deno.Command("ps", { args: ["-ww", "-o", "args=", "-p", String(Deno.pid)] }).output();
  const [before, path] = new TextDecoder().decode(stdout).trim().split(/ --conn[ =]/);
  return [before, "--conn", path];
}

/** What Jupyter told this kernel about its sockets, as far as it is needed here. */
export interface Connection {
  hostname: string;
  iopub: number;
  shell: number;
  /** What messages are signed with. */
  key: string;
}

/**
 * The connection file that Jupyter gave to this kernel.
 *
 * @returns undefined where it cannot be known: on Windows, when the kernel does not speak TCP, and outside a kernel
 */
export async function readConnection(): Promise<Connection | undefined> {
  try {
    const words = await commandLine();
    const option = words.indexOf("--conn");
    if (option < 0) return undefined;
    const path = words[option + 1];
    const { transport, ip, iopub_port, shell_port, key } = JSON.parse(await Deno.readTextFile(path));
    if (transport !== "tcp") return undefined;
    return { hostname: ip === "0.0.0.0" || ip === "*" ? "127.0.0.1" : ip, iopub: iopub_port, shell: shell_port, key };
  } catch {
    return undefined;
  }
}

/** The address of the iopub socket, as {@linkcode readConnection} knows it. */
export async function iopubEndpoint(): Promise<Endpoint | undefined> {
  const connection = await readConnection();
  return connection && { hostname: connection.hostname, port: connection.iopub };
}

/**
 * Sends a marker through the kernel and waits until it comes out of the iopub socket. What was sent before the marker
 * has then been written too, to every subscriber, in order.
 *
 * The kernel may begin to publish to a new subscriber a moment after it has greeted it, so markers are sent until one is
 * heard; the echo is complete with the last of them, so that nothing of it is left behind.
 *
 * @param send puts a message that contains the given text behind what is queued
 * @param timeout milliseconds to wait
 * @returns whether the marker was heard in time
 */
export async function echo(endpoint: Endpoint, send: (marker: string) => void, timeout: number): Promise<boolean> {
  const name = crypto.randomUUID();
  let last = 0;
  let again: ReturnType<typeof setTimeout> | undefined;
  const repeat = (wait: number) => {
    send(`${name}:${++last};`);
    again = setTimeout(() => repeat(2 * wait), wait);
  };
  let connection: Deno.TcpConn | undefined;
  let over = false;
  const end = setTimeout(() => {
    over = true;
    connection?.close();
  }, timeout);
  try {
    connection = await Deno.connect(endpoint);
    // The time may be up before there is a connection that could be closed.
    if (over) return false;
    connection.setNoDelay();
    await connection.write(hello("SUB"));
    const chunk = new Uint8Array(1 << 16);
    const latin1 = new TextDecoder("latin1");
    let text = "";
    for (let size; (size = await connection.read(chunk)) !== null;) {
      text = text.slice(-2 * name.length) + latin1.decode(chunk.subarray(0, size));
      if (text.includes(`${name}:${last};`)) return true;
      if (text.includes(name)) clearTimeout(again);
      else if (last === 0 && text.includes("READY")) repeat(1);
      // The answer carries TCP's acknowledgement with it; without one the kernel's side may hold the marker for 40 ms.
      await connection.write(SUBSCRIBE);
    }
    return false;
  } catch {
    return false;
  } finally {
    clearTimeout(end);
    clearTimeout(again);
    try {
      connection?.close();
    } catch {
      // closed by the timeout
    }
  }
}
