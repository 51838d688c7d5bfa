/**
 * How the learning rate changes during training.
 *
 * @module
 */

import { kindOf } from "../../errors.ts";
import { readKind, rule, whole } from "../../options.ts";

/** A number that fits; `wanted` says which do. */
const number = (fits: (value: number) => boolean, wanted: string) =>
  rule((name, value) => {
    if (typeof value === "number" && Number.isFinite(value) && fits(value)) return;
    throw new RangeError(`The schedule's ${name} must be ${wanted}: received ${kindOf(value)}.`);
  });

/** The same rate throughout. */
export class ConstantSchedule {
  /** Which schedule it is. */
  readonly kind = "constant";
}

/** A rate that falls in steps. */
export class StepSchedule {
  /** Which schedule it is. */
  readonly kind = "step";
  /** How many epochs lie between two steps. @default a third of all */
  @number((value) => value > 0, "a number of epochs above 0")
  every?: number;
  /** What the rate is multiplied by. @default 0.1 */
  @number((value) => value > 0 && value <= 1, "above 0 and at most 1")
  factor = 0.1;
}

/** A rate that falls as half a cosine. */
export class CosineSchedule {
  /** Which schedule it is. */
  readonly kind = "cosine";
  /** How many epochs the rate rises at the start. @default 0 */
  @number((value) => value >= 0, "from 0 to below the epochs")
  warmUp = 0;
  /** The last rate, as a share of the full one. @default 0 */
  @number((value) => value >= 0 && value <= 1, "from 0 to 1")
  floor = 0;
}

/** A rate that falls when the validation error does not. */
export class PlateauSchedule {
  /** Which schedule it is. */
  readonly kind = "plateau";
  /** After how many epochs without a lower error the rate falls. @default 2 */
  @whole(1)
  patience = 2;
  /** What the rate is multiplied by. @default 0.1 */
  @number((value) => value > 0 && value < 1, "above 0 and below 1")
  factor = 0.1;
}

const KINDS = { constant: ConstantSchedule, step: StepSchedule, cosine: CosineSchedule, plateau: PlateauSchedule };

/** A schedule's kind and what differs from its defaults. */
export type ScheduleOf<Options extends { kind: string }> = Pick<Options, "kind"> & Partial<Options>;

/**
 * A schedule of the learning rate:
 * - `"step"`: times `factor` after every `every` epochs (a third of all by default);
 * - `"cosine"`: half a cosine from the full rate down to `floor` of it at the end of training, step by step (Loshchilov
 *   and Hutter 2016, §3, without restarts), after a straight rise over `warmUp` epochs;
 * - `"plateau"`: times `factor` once the validation error has not fallen for `patience` epochs (Krizhevsky et al. 2012,
 *   §5; Zeiler and Fergus 2013, §3).
 */
export type Schedule =
  | ScheduleOf<ConstantSchedule>
  | ScheduleOf<StepSchedule>
  | ScheduleOf<CosineSchedule>
  | ScheduleOf<PlateauSchedule>;

/** What a schedule remembers from epoch to epoch. */
export interface ScheduleState {
  /** What the full learning rate is multiplied by, of a plateau schedule; 1 for the others. */
  scale: number;
  /** The lowest validation error so far; 2 before the first. */
  best: number;
  /** Epochs since then. */
  waited: number;
}

/** A schedule in full, ready to be asked. */
export interface RunningSchedule {
  state: ScheduleState;
  /** What the full learning rate is multiplied by in a step, counted from 0 over the whole run. */
  factorAt(step: number): number;
  /** Takes note of an epoch's validation error, from 0 to 1. */
  noteError(error: number): void;
}

/**
 * Fills in a schedule's defaults.
 *
 * @throws {RangeError} if the kind is unknown or a number does not fit
 * @throws {TypeError} if it has an unknown option
 */
export const readSchedule = (wanted: Schedule | Schedule["kind"]) => readKind("schedule", KINDS, wanted);

/**
 * Starts a schedule.
 *
 * @param wanted a schedule, or just its kind
 * @param run how long the run is to be
 * @throws {RangeError} if the kind is unknown or a number does not fit
 * @throws {TypeError} if it has an unknown option
 */
export function startSchedule(
  wanted: Schedule | Schedule["kind"],
  { epochs, stepsPerEpoch }: { epochs: number; stepsPerEpoch: number },
): RunningSchedule {
  const schedule = readSchedule(wanted);
  const state: ScheduleState = { scale: 1, best: 2, waited: 0 };
  const running = (factorAt: (step: number) => number, noteError: (error: number) => void = () => {}) => ({
    state,
    factorAt,
    noteError,
  });
  switch (schedule.kind) {
    case "constant":
      return running(() => 1);
    case "step": {
      const { every = Math.max(1, Math.ceil(epochs / 3)), factor } = schedule;
      return running((step) => factor ** Math.floor(step / stepsPerEpoch / every));
    }
    case "cosine": {
      const { warmUp, floor } = schedule;
      if (warmUp >= epochs) {
        throw new RangeError(
          `The schedule's warmUp must be from 0 to below the ${epochs} epochs: received ${warmUp}.`,
        );
      }
      const rise = Math.round(warmUp * stepsPerEpoch);
      const fall = epochs * stepsPerEpoch - rise;
      return running((step) =>
        step < rise ? (step + 1) / rise : floor + (1 - floor) * (1 + Math.cos(Math.PI * (step - rise) / fall)) / 2
      );
    }
    case "plateau": {
      const { patience, factor } = schedule;
      return running(() => state.scale, (error) => {
        state.waited = error < state.best ? 0 : state.waited + 1;
        state.best = Math.min(state.best, error);
        if (state.waited < patience) return;
        state.scale *= factor;
        state.waited = 0;
      });
    }
  }
}
