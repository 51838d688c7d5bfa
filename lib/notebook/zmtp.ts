/**
 * As much of ZeroMQ's wire protocol as it takes to talk to a Jupyter kernel on this machine: ZMTP 3.0 over TCP, without
 * security, as the one who connects.
 *
 * @see https://rfc.zeromq.org/spec/23/
 * @module
 */

/** Where a socket listens. */
export interface Endpoint {
  hostname: string;
  port: number;
}

const MORE = 1, LONG = 2, COMMAND = 4;

/** The message that subscribes to everything, that is, to the empty topic. */
export const SUBSCRIBE = new Uint8Array([0, 1, 1]);

/** What a client of the given kind says first: the greeting, the READY command, and a SUB its subscription. */
export function hello(kind: "DEALER" | "SUB"): Uint8Array {
  const text = (value: string) => [...new TextEncoder().encode(value)];
  const name = "Socket-Type";
  const ready = [5, ...text("READY"), name.length, ...text(name), 0, 0, 0, kind.length, ...text(kind)];
  const greeting = new Uint8Array(64);
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, ...text("NULL")]);
  return new Uint8Array([...greeting, COMMAND, ready.length, ...ready, ...(kind === "SUB" ? SUBSCRIBE : [])]);
}

function encodeFrame(body: Uint8Array, more: boolean): Uint8Array[] {
  const flags = more ? MORE : 0;
  if (body.length < 256) return [new Uint8Array([flags, body.length]), body];
  const head = new Uint8Array(9);
  head[0] = flags | LONG;
  new DataView(head.buffer).setBigUint64(1, BigInt(body.length));
  return [head, body];
}

function concatenated(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) offset += await connection.write(bytes.subarray(offset));
}

/** A connected socket: a DEALER, which sends and receives, or a SUB, which hears all that is published. */
export class Socket implements Disposable {
  readonly #connection: Deno.TcpConn;
  #sending: Promise<void>;

  private constructor(connection: Deno.TcpConn, kind: "DEALER" | "SUB") {
    connection.setNoDelay();
    this.#connection = connection;
    this.#sending = writeAll(connection, hello(kind));
    this.#sending.catch(() => {}); // the next send or receive fails with it
  }

  /** @throws Deno.errors.ConnectionRefused if nobody listens there */
  static async connect(endpoint: Endpoint, kind: "DEALER" | "SUB"): Promise<Socket> {
    return new Socket(await Deno.connect(endpoint), kind);
  }

  /** Sends one message of several frames. Messages sent at the same time do not mix. */
  send(frames: string[]): Promise<void> {
    const encoder = new TextEncoder();
    const parts = frames.flatMap((frame, i) => encodeFrame(encoder.encode(frame), i < frames.length - 1));
    this.#sending = this.#sending.then(() => writeAll(this.#connection, concatenated(parts)));
    return this.#sending;
  }

  async #read(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length;) {
      const size = await this.#connection.read(bytes.subarray(offset));
      if (size === null) throw new Deno.errors.ConnectionReset("The other side closed the connection.");
      offset += size;
    }
    return bytes;
  }

  /**
   * The messages that come in, each as its frames.
   *
   * @throws Deno.errors.ConnectionReset when the other side closes
   */
  async *messages(): AsyncGenerator<Uint8Array[]> {
    await this.#read(64);
    for (let frames: Uint8Array[] = [];;) {
      const [flags] = await this.#read(1);
      const long = (flags & LONG) !== 0;
      const size = await this.#read(long ? 8 : 1);
      const body = await this.#read(long ? Number(new DataView(size.buffer).getBigUint64(0)) : size[0]);
      if (flags & COMMAND) continue;
      frames.push(body);
      if (flags & MORE) continue;
      yield frames;
      frames = [];
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
