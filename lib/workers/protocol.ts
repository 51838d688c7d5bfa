/**
 * What the main thread and its Workers say to each other: calls of functions, and their answers.
 *
 * @module
 */

/** Sends something to the main thread before the function returns. The buffers in `transfer` move without a copy. */
export type Report<Progress> = (progress: Progress, transfer?: Transferable[]) => void;

/** A result whose buffers move to the main thread without a copy. */
export class Moved<Value> {
  constructor(readonly value: Value, readonly transfer: Transferable[]) {}
}

/** A function that Workers can call: the module that exports it, and its name there. */
export interface WorkerFunction<Argument, Progress, Result> {
  readonly module: string;
  readonly name: string;
  /** The function itself, for its types; Workers import their own. */
  readonly run: (argument: Argument, report: Report<Progress>) => Returned<Result>;
}

/** What a function returns so that the main thread gets a result. */
type Returned<Result> = Result | Moved<Result> | Promise<Result> | Promise<Moved<Result>>;

/** What the main thread gets of what a function returns. */
type ResultOf<Value> = Awaited<Value> extends Moved<infer Result> ? Result : Awaited<Value>;

/**
 * Names an exported function for Workers.
 *
 * @param module `import.meta.url` of the module that exports it, under its own name
 */
export function workerFunction<Argument, Value, Progress = never>(
  module: string,
  run: (argument: Argument, report: Report<Progress>) => Value,
): WorkerFunction<Argument, Progress, ResultOf<Value>> {
  return { module, name: run.name, run: run as WorkerFunction<Argument, Progress, ResultOf<Value>>["run"] };
}

/** A call, as it is sent to a Worker. */
export interface Call {
  /** Its number among the calls of this Worker. */
  id: number;
  module: string;
  name: string;
  argument: unknown;
}

/** What a Worker sends back: progress any number of times, then the result, or why there is none. */
export type Answer = { id: number } & ({ progress: unknown } | { result: unknown } | { failure: string });
