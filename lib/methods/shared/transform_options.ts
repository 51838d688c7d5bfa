/**
 * Which transforms are asked for, and at which values: the options of `invariance`.
 *
 * @module
 */

import { kindOf } from "../../errors.ts";
import { checkArray, checkWithin } from "../../options.ts";
import { type Transform, TRANSFORMS } from "../../probe/transforms.ts";

/** @throws {RangeError} if a transform is unknown, or there is none */
export function checkTransforms(name: string, value: unknown): void {
  const all = [value].flat();
  const wrong = all.find((one) => typeof one !== "function" && !TRANSFORMS.some((known) => known === one));
  if (all.length > 0 && wrong === undefined && new Set(all).size === all.length) return;
  const known = TRANSFORMS.map((one) => JSON.stringify(one)).join(", ");
  throw new RangeError(
    `${name} is of ${known}, or a function (image, value) => image; each once: received ${
      all.length === 0 ? "none" : wrong === undefined ? "one of them twice" : kindOf(wrong)
    }.`,
  );
}

function checkValues(what: string, { name }: Transform, value: unknown): readonly number[] {
  checkArray(what, value, "numbers");
  const values = value as number[];
  if (values.length === 0) throw new RangeError(`${what} is empty; wanted at least one number.`);
  const isLength = name === "scale" || name === "blur" || name === "noise";
  values.forEach((one) => checkWithin(`${what} of ${name}`, one, isLength ? 0 : -1e6, 1e6));
  if (name === "scale" && values.some((one) => one < 0.01)) {
    throw new RangeError(`${what} of scale must be a factor of at least 0.01: received ${Math.min(...values)}.`);
  }
  return values;
}

/**
 * The values of each transform; null where they are to be found.
 *
 * @throws {TypeError} if they are neither an array nor arrays by the transforms' names
 * @throws {RangeError} if there is none, one does not fit, or a function has none
 */
export function curvesOf(transforms: readonly Transform[], values: unknown): (readonly number[] | null)[] {
  const isRecord = typeof values === "object" && values !== null && !Array.isArray(values);
  if (values !== undefined && !isRecord && transforms.length > 1) {
    throw new TypeError(
      `values of several transforms are given by their names, as { ${JSON.stringify(transforms[0].name)}: [0, 1] }: ` +
        `received ${kindOf(values)}.`,
    );
  }
  const given = (isRecord ? values : values === undefined ? {} : { [transforms[0].name]: values }) as Record<
    string,
    unknown
  >;
  const unknown = Object.keys(given).find((name) => !transforms.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`values names ${JSON.stringify(unknown)}, which is not among the transforms asked for.`);
  }
  return transforms.map((transform) => {
    const { name, apply } = transform;
    if (given[name] !== undefined) return checkValues("values", transform, given[name]);
    if (!apply) return null;
    throw new RangeError(`Only you know the values of the function ${name}: give them as values: [0, 1, 2].`);
  });
}
