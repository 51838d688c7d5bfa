import { describe, expect, test } from "vitest";
import { startSchedule } from "../../../lib/probe/training/schedule.ts";

const run = { epochs: 6, stepsPerEpoch: 10 };

describe("by hand's numbers", () => {
  test("constant", () => {
    expect([0, 59].map(startSchedule("constant", run).factorAt)).toEqual([1, 1]);
  });

  test("step: a tenth after every two epochs of six", () => {
    const { factorAt } = startSchedule("step", run);
    expect([0, 19, 20, 39, 40, 59].map(factorAt)).toEqual([1, 1, 0.1, 0.1, 0.1 ** 2, 0.1 ** 2]);
    const half = startSchedule({ kind: "step", every: 1, factor: 0.5 }, run);
    expect([9, 10, 59].map(half.factorAt)).toEqual([1, 0.5, 1 / 32]);
  });

  test("cosine: full at the start, half in the middle, next to nothing in the last step", () => {
    const { factorAt } = startSchedule("cosine", run);
    expect(factorAt(0)).toBe(1);
    expect(factorAt(30)).toBeCloseTo(0.5, 12);
    expect(factorAt(20)).toBeCloseTo(0.75, 12);
    expect(factorAt(59)).toBeCloseTo((1 + Math.cos(Math.PI * 59 / 60)) / 2, 12);
  });

  test("cosine after a warm-up of two epochs, down to a tenth", () => {
    const { factorAt } = startSchedule({ kind: "cosine", warmUp: 2, floor: 0.1 }, run);
    expect([0, 9, 19, 20].map(factorAt)).toEqual([0.05, 0.5, 1, 1]);
    expect(factorAt(40)).toBeCloseTo(0.55, 12);
    expect(factorAt(60)).toBeCloseTo(0.1, 12);
  });

  test("plateau: after two epochs without a lower error the rate falls, and the count begins anew", () => {
    const schedule = startSchedule({ kind: "plateau", patience: 2, factor: 0.1 }, run);
    const scales = [0.5, 0.4, 0.4, 0.45, 0.4, 0.41, 0.3].map((error) => {
      schedule.noteError(error);
      return schedule.factorAt(0);
    });
    expect(scales).toEqual([1, 1, 1, 0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1]);
    // Another that takes over the state goes on as this one.
    const other = startSchedule({ kind: "plateau", patience: 2, factor: 0.1 }, run);
    Object.assign(other.state, schedule.state);
    for (const each of [schedule, other]) {
      each.noteError(0.31);
      each.noteError(0.32);
    }
    expect(other.factorAt(0)).toBe(schedule.factorAt(0));
    expect(other.factorAt(0)).toBeCloseTo(1e-3, 12);
  });
});

test.each([
  [{ kind: "step", every: 0 }, /every must be a number of epochs above 0: received 0/],
  [{ kind: "step", factor: 2 }, /factor must be above 0 and at most 1/],
  [{ kind: "cosine", warmUp: 6 }, /warmUp must be from 0 to below the 6 epochs: received 6/],
  [{ kind: "cosine", floor: -1 }, /floor must be from 0 to 1/],
  [{ kind: "plateau", patience: 0 }, /patience must be a whole number ≥ 1/],
  [{ kind: "plateau", factor: 1 }, /factor must be above 0 and below 1/],
  [{ kind: "stairs" }, /There is no schedule "stairs"/],
])("%j is refused", (schedule, message) => {
  expect(() => startSchedule(schedule as never, run)).toThrow(message);
});
