/**
 * One declaration for a function's options: a class whose fields are the options, with their defaults, types and ranges.
 *
 * ```ts
 * import { readOptions, RunOptions, whole, within } from "./options.ts";
 *
 * class SmoothGradOptions extends RunOptions {
 *   @whole(1) // How many noisy copies.
 *   samples = 50;
 *   @within(0) // The noise's standard deviation, as a share of the range of the input's values.
 *   noise = 0.15;
 * }
 * function smoothGrad(options: Partial<SmoothGradOptions> = {}): void {
 *   const { samples, noise, ...run } = readOptions("smoothGrad", SmoothGradOptions, options);
 *   console.log(samples, noise, run);
 * }
 * smoothGrad({ samples: 20 });
 * ```
 *
 * The rules are decorators (TC39 stage 3). They are checked by {@linkcode readOptions} and nowhere else, so a value is
 * checked once, where the user hands it over.
 *
 * @module
 */

import { kindOf, nearestOf } from "./errors.ts";
import { interruptible, throwIfInterrupted } from "./interrupt.ts";

/** Throws if an option's value is not one that is wanted; `asker` is the function that takes it. */
export type Check = (name: string, value: unknown, asker: string) => void;

/** A decorator of a field: what its value must be. */
export type Rule = <This extends object, Value>(
  field: undefined,
  context: ClassFieldDecoratorContext<This, Value>,
) => (this: This, value: Value) => Value;

/** The checks of each class of options, by field. */
const checks = new WeakMap<object, Map<PropertyKey, Check>>();

/** Makes a rule of a check. It is not asked about an option that is undefined. */
export function rule(check: Check): Rule {
  return (_, { name }) =>
    function (value) {
      let own = checks.get(this.constructor);
      if (!own) checks.set(this.constructor, own = new Map());
      own.set(name, check);
      return value;
    };
}

/** A whole number of at least `least`. */
export const whole = (least = -Infinity): Rule => rule((name, value) => checkWhole(name, value, least));

/** A finite number from `least` to `most`. */
export const within = (least: number, most = Infinity): Rule =>
  rule((name, value) => checkWithin(name, value, least, most));

/** A finite number greater than 0. */
export const positive = (): Rule =>
  rule((name, value) => {
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return;
    throw new RangeError(`${name} must be a number above 0: received ${kindOf(value)}.`);
  });

/** A number of at least 0 and below 1. */
export const belowOne = (): Rule =>
  rule((name, value) => {
    if (typeof value === "number" && value >= 0 && value < 1) return;
    throw new RangeError(`${name} must be at least 0 and below 1: received ${kindOf(value)}.`);
  });

/** `true` or `false`. */
export const flag = (): Rule =>
  rule((name, value) => {
    if (typeof value === "boolean") return;
    throw new TypeError(`${name} must be true or false: received ${kindOf(value)}.`);
  });

/** Text. */
export const text = (): Rule =>
  rule((name, value) => {
    if (typeof value === "string") return;
    throw new TypeError(`${name} must be a string: received ${kindOf(value)}.`);
  });

/** One of some strings. */
export const oneOf = (...choices: readonly (string | number)[]): Rule =>
  rule((name, value) => {
    if (choices.includes(value as string)) return;
    const wanted = choices.map((choice) => JSON.stringify(choice));
    const last = wanted.pop();
    throw new RangeError(
      `${name} must be ${wanted.length ? `${wanted.join(", ")} or ${last}` : last}: received ${kindOf(value)}.`,
    );
  });

/** An array; `of` says what it holds, as `"layers' names"`. */
export const arrayOf = (of: string): Rule => rule((name, value) => checkArray(name, value, of));

/** A function. */
export const callback = (): Rule =>
  rule((name, value) => {
    if (typeof value === "function") return;
    throw new TypeError(`${name} must be a function: received ${kindOf(value)}.`);
  });

/** An AbortSignal. */
export const abortSignal = (): Rule =>
  rule((name, value) => {
    if (value instanceof AbortSignal) return;
    throw new TypeError(`${name} must be an AbortSignal, as new AbortController().signal: received ${kindOf(value)}.`);
  });

/** How long work runs and who hears of it: the same in every function. */
export class RunOptions {
  /**
   * How many inputs run at once, at most: fewer where memory does not hold them.
   * @default 8
   */
  @whole(1)
  batchSize = 8;
  /** Stops between batches. */
  @abortSignal()
  signal?: AbortSignal;
  /** Called after each batch with how much is done, and of how much. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/** What becomes of an image that cannot be read. */
export type OnBadImage = "skip" | "stop";

/** How work runs that walks a data set: the same in every function. */
export class WalkOptions extends RunOptions {
  /**
   * What is done at an image that cannot be read: `"skip"` leaves it out, and the result lists it with the reason
   * (`skipped`, and in its caption); `"stop"` ends the run with an error that names it.
   * @default "skip" for a data set, "stop" for images that are given one by one
   */
  @oneOf("skip", "stop")
  onBadImage?: OnBadImage;
}

/** The message about an unknown option lists at most this many of the known ones. */
const MOST_OPTIONS = 10;

/**
 * Reads options: checks that they are an object, that each is one of the class's fields, and that each keeps its field's
 * rule; then fills in the defaults. A cell in Jupyter is not type-checked: without this a misspelt option would be passed
 * over in silence.
 *
 * @param asker the function that takes them, as `"saliency"`
 * @param type the class that declares them
 * @returns all options, those that are not given (or undefined) by their defaults; a `signal` is the call's own, which is
 *   aborted with the given one and by the notebook's ■
 * @throws {Interrupted} if the cell was interrupted before: it begins no work any more
 * @throws {TypeError} if they are no plain object, or one is unknown (the message names the nearest) or of a wrong kind
 * @throws {RangeError} if a value does not fit
 */
export function readOptions<Options extends object>(
  asker: string,
  type: new () => Options,
  options: Partial<Options>,
): Options {
  const all = new type() as Record<string, unknown>;
  // Figures have no signal: what was done is still drawn.
  if ("signal" in all) throwIfInterrupted();
  const known = Object.keys(all);
  const kind = kindOf(options);
  if (kind !== "an object") {
    throw new TypeError(`${asker} takes its options as one object, as { ${known[0]}: … }: received ${kind}.`);
  }
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(all, name));
  if (unknown !== undefined) {
    throw new TypeError(
      `${asker} has no option ${JSON.stringify(unknown)}. ${nearestOf(unknown, known, MOST_OPTIONS)}`,
    );
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    checks.get(type)?.get(name)?.(name, value, asker);
    all[name] = value;
  }
  if ("signal" in all) all.signal = interruptible(all.signal as AbortSignal | undefined);
  return { ...all } as Options;
}

/**
 * Reads options that come in kinds, as `"sgd"` or `{ kind: "sgd", momentum: 0.5 }`.
 *
 * @param name what they are, as `"schedule"`
 * @param kinds the class of options of each kind; one of its fields is `kind`
 * @throws {RangeError} if there is no such kind, and as {@linkcode readOptions} does
 */
export function readKind<Kinds extends Record<string, { kind: string }>>(
  name: string,
  kinds: { readonly [Kind in keyof Kinds]: new () => Kinds[Kind] },
  given: unknown,
): Kinds[keyof Kinds] {
  const options = typeof given === "string" ? { kind: given } : given as { kind?: unknown } | null;
  const kind = options?.kind;
  if (typeof kind !== "string" || !Object.hasOwn(kinds, kind)) {
    const wanted = Object.keys(kinds).map((known) => JSON.stringify(known));
    const last = wanted.pop();
    throw new RangeError(
      `There is no ${name} ${kindOf(kind ?? options)}; wanted ${wanted.join(", ")} or ${last}.`,
    );
  }
  return readOptions(`${name} ${kind}`, kinds[kind], options as Partial<Kinds[keyof Kinds]>);
}

/** @throws {RangeError} if it is not a whole number of at least `least` */
export function checkWhole(name: string, value: unknown, least: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  throw new RangeError(
    `${name} must be a whole number${least > -Infinity ? ` ≥ ${least}` : ""}: received ${kindOf(value)}.`,
  );
}

/** @throws {RangeError} if it is not a finite number from `least` to `most` */
export function checkWithin(name: string, value: unknown, least: number, most = Infinity): void {
  if (typeof value === "number" && value >= least && value <= most && Number.isFinite(value)) return;
  const range = most < Infinity ? `from ${least} to ${most}` : `≥ ${least}`;
  throw new RangeError(`${name} must be a number ${range}: received ${kindOf(value)}.`);
}

/**
 * @param of what it should hold, as `"layers' names"`
 * @throws {TypeError} if it is no array
 */
export function checkArray(name: string, value: unknown, of: string): void {
  if (Array.isArray(value)) return;
  throw new TypeError(`${name} must be an array of ${of}: received ${kindOf(value)}.`);
}
