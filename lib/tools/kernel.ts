/**
 * Runs a notebook in the real Deno Jupyter kernel, without Python: this is a Jupyter client of its own.
 *
 * @module
 */

import { type CodeCell, joined, type Notebook, OutputFiler } from "./notebook.ts";
import { DamagedError, decode, encode, type Message } from "../notebook/protocol.ts";
import { Socket } from "../notebook/zmtp.ts";

/** Why a notebook did not run as it should. */
export interface Failure {
  /** The place of the cell in `notebook.cells`. */
  cell: number;
  /**
   * - `error`: the code threw, or did not parse;
   * - `timeout`: the cell ran longer than allowed;
   * - `dead`: the kernel ended;
   * - `late`: an output came after the kernel had said that the cell was done, so that clients lose or misplace it;
   * - `damaged`: a message was torn on its way.
   */
  kind: "error" | "timeout" | "dead" | "late" | "damaged";
  message: string;
}

/** What is reported when a code cell begins and when it ends. */
export interface CellProgress {
  /** The place of the cell in `notebook.cells`. */
  cell: number;
  /** Code cells begun, this one included. */
  number: number;
  /** Code cells in all. */
  of: number;
  source: string;
  /** Seconds that the cell took; undefined when it begins. */
  seconds?: number;
  /** What went wrong in it; undefined when it begins. */
  failures?: Failure[];
}

/** How a notebook is run. */
export interface RunOptions {
  /** The folder that the notebook lies in; the kernel works there. */
  folder: string;
  /** Milliseconds that one cell may take. @default 600_000 */
  timeout?: number;
  /** Stops the kernel. */
  signal?: AbortSignal;
  onProgress?: (progress: CellProgress) => void;
}

/** A notebook that was run. */
export interface Run {
  /** A copy of the notebook with the outputs in it. */
  notebook: Notebook;
  /** Empty if all went well. */
  failures: Failure[];
  seconds: number;
}

class CellFailure extends Error {
  constructor(readonly kind: Failure["kind"], message: string) {
    super(message);
  }
}

/** A kernel: its process, its sockets, its connection file. */
class Kernel implements AsyncDisposable {
  /** What to do with a published message. */
  onPublished: (message: Message) => void = () => {};
  readonly #key = crypto.randomUUID();
  readonly #session = crypto.randomUUID();
  readonly #replies = new Map<string, (message: Message) => void>();
  readonly #ended = Promise.withResolvers<never>();
  readonly #resources = new AsyncDisposableStack();
  #shell!: Socket;
  #lastWords = "";

  /**
   * Starts a kernel and connects to it.
   *
   * @throws Error if it ends at once or does not listen within 60 s
   */
  static async start(cwd: string): Promise<Kernel> {
    const kernel = new Kernel();
    try {
      await kernel.#start(cwd);
      return kernel;
    } catch (error) {
      await kernel[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor() {
    this.#ended.promise.catch(() => {}); // whoever waits for something gets the error
  }

  async #start(cwd: string): Promise<void> {
    const folder = await Deno.makeTempDir({ prefix: "convlens-kernel-" });
    this.#resources.defer(() => Deno.remove(folder, { recursive: true }));
    const [shell_port, iopub_port, stdin_port, control_port, hb_port] = freePorts(5);
    const ports = { shell_port, iopub_port, stdin_port, control_port, hb_port };
    const connection = { ...ports, transport: "tcp", ip: "127.0.0.1", key: this.#key, signature_scheme: "hmac-sha256" };
    const file = `${folder}/connection.json`;
    await Deno.writeTextFile(file, JSON.stringify(connection), { mode: 0o600 });
    const args = ["jupyter", "--kernel", "--conn", file];
    const process = new Deno.Command(Deno.execPath(), { args, cwd, stdin: "null", stdout: "null", stderr: "piped" })
      .spawn();
    const log = this.#keepLastWords(process.stderr);
    this.#resources.defer(async () => {
      try {
        process.kill("SIGKILL");
      } catch {
        // it has ended
      }
      await Promise.all([process.status, log]);
    });
    process.status.then(async ({ code, signal }) => {
      await log;
      const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
      const said = this.#lastWords && ` It said: ${this.#lastWords}`;
      this.#ended.reject(new CellFailure("dead", `The Deno kernel ${how}.${said}`));
    });
    this.#shell = await this.#connect(shell_port, "DEALER");
    const iopub = await this.#connect(iopub_port, "SUB");
    this.#receive(this.#shell, (message) => this.#replies.get(message.parent ?? "")?.(message));
    this.#receive(iopub, (message) => this.onPublished(message));
  }

  async #keepLastWords(stderr: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stderr) {
      this.#lastWords = (this.#lastWords + decoder.decode(bytes, { stream: true })).slice(-2000);
    }
  }

  async #connect(port: number, kind: "DEALER" | "SUB"): Promise<Socket> {
    for (const end = performance.now() + 60_000;;) {
      try {
        const socket = await Socket.connect({ hostname: "127.0.0.1", port }, kind);
        return this.#resources.use(socket);
      } catch (error) {
        if (performance.now() > end) throw new Error("The Deno kernel did not start within 60 s.", { cause: error });
      }
      await this.alive(new Promise((resolve) => setTimeout(resolve, 10)));
    }
  }

  async #receive(socket: Socket, handle: (message: Message) => void): Promise<void> {
    try {
      for await (const frames of socket.messages()) handle(decode(this.#key, frames));
    } catch (error) {
      // When the kernel has ended, its process says so, and better.
      if (error instanceof DamagedError) this.#ended.reject(new CellFailure("damaged", error.message));
    }
  }

  /** Rejects when the kernel is no longer there; else as the given promise. */
  alive<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended.promise]);
  }

  /** Sends a request; the promise is for its reply. */
  request(id: string, type: string, content: Record<string, unknown>): Promise<Message> {
    const reply = Promise.withResolvers<Message>();
    this.#replies.set(id, reply.resolve);
    this.#shell.send(encode(this.#key, this.#session, { id, type, content })).catch(() => {}); // as in #receive
    return this.alive(reply.promise).finally(() => this.#replies.delete(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  return listeners.map((listener) => {
    listener.close();
    return listener.addr.port;
  });
}

/** Rejects with a failure after the given time; else as the given promise. */
async function within<T>(milliseconds: number, promise: Promise<T>, late: () => CellFailure): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const alarm = new Promise<never>((_, reject) => timer = setTimeout(() => reject(late()), milliseconds));
  try {
    return await Promise.race([promise, alarm]);
  } finally {
    clearTimeout(timer);
  }
}

/** One running notebook: which request the kernel answers, and what it publishes meanwhile. */
class Runner {
  readonly #kernel: Kernel;
  readonly #filer = new OutputFiler();
  #request = "";
  #onMessage: (message: Message) => void = () => {};
  #idle: () => void = () => {};

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    kernel.onPublished = (message) => {
      if (message.parent === this.#request && message.type === "status") {
        if (message.content.execution_state === "idle") this.#idle();
      } else {
        this.#onMessage(message);
      }
    };
  }

  /** Waits until the kernel answers and its outputs reach us. A subscriber hears nothing at first. */
  async ready(): Promise<Message> {
    for (;;) {
      const { idle, reply } = this.#send("kernel_info_request", {});
      const message = await reply;
      const heard = await Promise.race([
        idle.then(() => true),
        new Promise<false>((resolve) => setTimeout(() => resolve(false), 100)),
      ]);
      if (heard) return message;
    }
  }

  #send(type: string, content: Record<string, unknown>): { reply: Promise<Message>; idle: Promise<void> } {
    const idle = Promise.withResolvers<void>();
    this.#request = crypto.randomUUID();
    this.#idle = idle.resolve;
    const done = this.#kernel.alive(idle.promise);
    done.catch(() => {}); // whoever waits for the reply has the failure already
    return { reply: this.#kernel.request(this.#request, type, content), idle: done };
  }

  #execute(code: string, silent: boolean): { reply: Promise<Message>; idle: Promise<void> } {
    return this.#send("execute_request", {
      code,
      silent,
      store_history: !silent,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: true,
    });
  }

  /** Runs one cell, files its outputs, and returns how many outputs came too late. */
  async run(cell: CodeCell): Promise<number> {
    let done = false;
    let late = 0;
    const marker = crypto.randomUUID();
    const passed = Promise.withResolvers<void>();
    this.#onMessage = ({ type, parent, content }) => {
      const id = (content.transient as { display_id?: string } | undefined)?.display_id;
      if (id === marker) return passed.resolve();
      const inTime = parent === this.#request && !done;
      if (this.#filer.file(inTime ? cell.outputs : [], type, content) && !inTime) late++;
    };
    const { reply, idle } = this.#execute(joined(cell.source), false);
    const { content } = await reply;
    await idle;
    done = true;
    cell.execution_count = content.execution_count as number;
    // The kernel queues outputs: a marker at the end of the queue shows when all that belongs to the cell has come.
    const last = this.#execute(
      `Deno.jupyter.broadcast("update_display_data", {
        data: {}, metadata: {}, transient: { display_id: "${marker}" } }); undefined`,
      true,
    );
    await last.reply;
    await last.idle;
    await this.#kernel.alive(passed.promise);
    if (content.status === "error" && !cell.outputs.some((output) => output.output_type === "error")) {
      // The kernel publishes nothing about a syntax error, and its reply does not name it.
      const evalue = "The code does not parse.";
      this.#filer.file(cell.outputs, "error", { ename: "SyntaxError", evalue, traceback: [`SyntaxError: ${evalue}`] });
    }
    return late;
  }
}

/** How often a kernel is started again because one of its ports was taken. */
const OTHER_PORTS = 5;

/**
 * Starts a kernel that answers. Its ports are free when they are chosen, but it takes a second until it listens there, and
 * kernels of others may take one meanwhile: it ends then, and is started on other ports.
 */
async function startRunner(
  folder: string,
  aborted: Promise<never>,
): Promise<{ kernel: Kernel; runner: Runner; info: Message }> {
  for (let left = OTHER_PORTS;; left--) {
    let kernel: Kernel | undefined;
    try {
      kernel = await Kernel.start(folder);
      const runner = new Runner(kernel);
      const late = () => new CellFailure("dead", "The Deno kernel did not start within 60 s.");
      return { kernel, runner, info: await Promise.race([within(60_000, runner.ready(), late), aborted]) };
    } catch (error) {
      await kernel?.[Symbol.asyncDispose]();
      if (left === 0 || !(error instanceof CellFailure && error.message.includes("AddrInUse"))) throw error;
    }
  }
}

/**
 * Runs the code cells of a notebook from top to bottom in a new kernel. It stops at the first cell that throws, unless
 * that cell has the tag `raises-exception`, at the first that takes too long, and when the kernel ends. The kernel, its
 * sockets and its connection file are gone when this returns or throws.
 *
 * @throws Error if the kernel does not start; the signal's reason if it is aborted
 */
export async function runNotebook(notebook: Notebook, options: RunOptions): Promise<Run> {
  const { folder, timeout = 600_000, signal, onProgress = () => {} } = options;
  signal?.throwIfAborted();
  const start = performance.now();
  const copy = structuredClone(notebook);
  const cells = copy.cells.flatMap((cell, index) => cell.cell_type === "code" ? [{ cell, index }] : []);
  for (const { cell } of cells) Object.assign(cell, { outputs: [], execution_count: null });
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const abort = () => aborted.reject(signal!.reason);
  signal?.addEventListener("abort", abort);
  const failures: Failure[] = [];
  try {
    const { kernel, runner, info } = await startRunner(folder, aborted.promise);
    await using _ = kernel;
    copy.metadata.language_info = info.content.language_info;
    for (const [place, { cell, index }] of cells.entries()) {
      const progress = { cell: index, number: place + 1, of: cells.length, source: joined(cell.source) };
      onProgress(progress);
      const begin = performance.now();
      const failed = await runCell(runner, cell, timeout, aborted.promise);
      failures.push(...failed.map((failure) => ({ cell: index, ...failure })));
      const seconds = (performance.now() - begin) / 1000;
      onProgress({ ...progress, seconds, failures: failures.filter((failure) => failure.cell === index) });
      if (failed.some(({ kind }) => kind !== "late")) break;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return { notebook: copy, failures, seconds: (performance.now() - start) / 1000 };
}

async function runCell(
  runner: Runner,
  cell: CodeCell,
  timeout: number,
  aborted: Promise<never>,
): Promise<Omit<Failure, "cell">[]> {
  const failures: Omit<Failure, "cell">[] = [];
  try {
    const tooLong = () => new CellFailure("timeout", `The cell ran for more than ${timeout / 1000} s.`);
    const late = await Promise.race([within(timeout, runner.run(cell), tooLong), aborted]);
    if (late) {
      const message = `${late} output${late > 1 ? "s" : ""} came after the kernel had said that the cell was done. ` +
        "Await what shows it.";
      failures.push({ kind: "late", message });
    }
  } catch (error) {
    if (!(error instanceof CellFailure)) throw error;
    failures.push({ kind: error.kind, message: error.message });
  }
  const thrown = cell.outputs.find((output) => output.output_type === "error");
  if (thrown && !cell.metadata.tags?.includes("raises-exception")) {
    failures.push({ kind: "error", message: `${thrown.ename}: ${thrown.evalue}` });
  }
  return failures;
}
