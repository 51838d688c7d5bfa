/**
 * How the learning rate changes during training.
 *
 * @module
 */

import { checkOptions, kindOf } from "../../errors.ts";

/**
 * A schedule of the learning rate:
 * - `"step"`: times `factor` after every `every` epochs;
 * - `"cosine"`: half a cosine from the full rate down to `floor` of it at the end of training, step by step (Loshchilov
 *   and Hutter 2016, §3, without restarts), after a straight rise over `warmUp` epochs;
 * - `"plateau"`: times `factor` once the validation error has not fallen for `patience` epochs (Krizhevsky et al. 2012,
 *   §5; Zeiler and Fergus 2013, §3).
 */
export type Schedule =
  | { kind: "constant" }
  | {
    kind: "step";
    /** @default a third of the epochs */
    every?: number;
    /** @default 0.1 */
    factor?: number;
  }
  | {
    kind: "cosine";
    /** In epochs. @default 0 */
    warmUp?: number;
    /** As a share of the full rate. @default 0 */
    floor?: number;
  }
  | {
    kind: "plateau";
    /** @default 2 */
    patience?: number;
    /** @default 0.1 */
    factor?: number;
  };

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

const check = (name: string, value: number, fits: boolean, wanted: string) => {
  if (!fits) throw new RangeError(`The schedule's ${name} must be ${wanted}: received ${value}.`);
};

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
  const schedule: Schedule = typeof wanted === "string" ? { kind: wanted } : wanted;
  const state: ScheduleState = { scale: 1, best: 2, waited: 0 };
  const running = (factorAt: (step: number) => number, noteError: (error: number) => void = () => {}) => ({
    state,
    factorAt,
    noteError,
  });
  switch (schedule.kind) {
    case "constant":
      checkOptions("schedule constant", schedule, { kind: true });
      return running(() => 1);
    case "step": {
      const { every = Math.max(1, Math.ceil(epochs / 3)), factor = 0.1 } = checkOptions("schedule step", schedule, {
        kind: true,
        every: true,
        factor: true,
      });
      check("every", every, every > 0, "a number of epochs above 0");
      check("factor", factor, factor > 0 && factor <= 1, "above 0 and at most 1");
      return running((step) => factor ** Math.floor(step / stepsPerEpoch / every));
    }
    case "cosine": {
      const { warmUp = 0, floor = 0 } = checkOptions("schedule cosine", schedule, {
        kind: true,
        warmUp: true,
        floor: true,
      });
      check("warmUp", warmUp, warmUp >= 0 && warmUp < epochs, `from 0 to below the ${epochs} epochs`);
      check("floor", floor, floor >= 0 && floor <= 1, "from 0 to 1");
      const rise = Math.round(warmUp * stepsPerEpoch);
      const fall = epochs * stepsPerEpoch - rise;
      return running((step) =>
        step < rise ? (step + 1) / rise : floor + (1 - floor) * (1 + Math.cos(Math.PI * (step - rise) / fall)) / 2
      );
    }
    case "plateau": {
      const { patience = 2, factor = 0.1 } = checkOptions("schedule plateau", schedule, {
        kind: true,
        patience: true,
        factor: true,
      });
      check("patience", patience, Number.isInteger(patience) && patience >= 1, "a whole number ≥ 1");
      check("factor", factor, factor > 0 && factor < 1, "above 0 and below 1");
      return running(() => state.scale, (error) => {
        state.waited = error < state.best ? 0 : state.waited + 1;
        state.best = Math.min(state.best, error);
        if (state.waited < patience) return;
        state.scale *= factor;
        state.waited = 0;
      });
    }
    default:
      throw new RangeError(
        `There is no schedule ${
          kindOf((schedule as { kind?: unknown }).kind ?? schedule)
        }; wanted "constant", "step", ` +
          `"cosine" or "plateau".`,
      );
  }
}
