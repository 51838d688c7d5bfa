/**
 * Common corruptions of images, each at graded strength, as Hendrycks and Dietterich 2019 ("Benchmarking Neural Network
 * Robustness to Common Corruptions and Perturbations") apply them to find out what a classifier withstands.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import { covered, jpegCompressed } from "../data/corrupt.ts";
import { kindOf } from "../errors.ts";
import { checkArray, checkWithin } from "../options.ts";
import { transformed, type TransformName, transformOf, type TransformRun } from "./transforms.ts";

/** The name of a corruption. */
export type CorruptionName =
  | "blur"
  | "noise"
  | "jpeg"
  | "contrast"
  | "brightness"
  | "scale"
  | "rotation"
  | "occlusion";

/** What is done to an image `[h, w, c]`, 0…255, as strongly as a number says. */
export type CorruptionFunction = (
  image: NdArray,
  strength: number,
) => NdArrayLike | Promise<NdArrayLike>;

/** What is known of a corruption. */
interface Kind {
  /** What its strengths are, for axes. */
  readonly unit: string;
  /** Between what they lie. */
  readonly range: readonly [least: number, most: number];
  /** The strength that leaves an image as it is; absent where there is none. */
  readonly none?: number;
  /** Five strengths that leave little to much. @param side the longest one, in pixels */
  readonly strengths: (side: number) => number[];
  /** What it is a corruption of. @default whatever has numbers */
  readonly of?: "images" | "pictures";
}

/** A blur of the same look takes more pixels where there are more; two digits will do. */
const sigmas = (side: number) => [1, 2, 3, 4, 6].map((times) => Number((times * side / 160).toPrecision(2)));

const KINDS: Readonly<Record<CorruptionName, Kind>> = {
  blur: { unit: "standard deviation in pixels", range: [0, 1e6], none: 0, strengths: sigmas },
  noise: { unit: "standard deviation, of 255", range: [0, 1e6], none: 0, strengths: () => [8, 16, 32, 48, 64] },
  jpeg: { unit: "JPEG quality", range: [1, 100], strengths: () => [80, 50, 25, 15, 7], of: "pictures" },
  contrast: { unit: "factor", range: [0, 1e6], none: 1, strengths: () => [0.75, 0.5, 0.3, 0.2, 0.1] },
  brightness: { unit: "added to each value", range: [-1e6, 1e6], none: 0, strengths: () => [25, 50, 75, 100, 125] },
  scale: { unit: "factor", range: [0.01, 1e6], none: 1, strengths: () => [0.9, 0.8, 0.7, 0.6, 0.5], of: "images" },
  rotation: { unit: "degrees", range: [-1e6, 1e6], none: 0, strengths: () => [10, 20, 30, 45, 60], of: "images" },
  occlusion: {
    unit: "share covered",
    range: [0, 1],
    none: 0,
    strengths: () => [0.05, 0.1, 0.2, 0.3, 0.5],
    of: "images",
  },
};

/** All names. */
export const CORRUPTIONS = Object.keys(KINDS) as readonly CorruptionName[];

/** A corruption by its name, or of a function. */
export interface Corruption extends Partial<Pick<Kind, "none" | "of">> {
  readonly name: string;
  readonly unit: string;
  /** Its strengths, from weak to strong; null where they depend on the image's side. */
  readonly strengths: readonly number[] | null;
  readonly apply?: CorruptionFunction;
}

/**
 * @param asked names and functions
 * @param given strengths of one corruption, or of several by their names
 * @throws {RangeError} if there is no such corruption, it is asked for twice, or a strength does not fit
 * @throws {TypeError} if strengths are neither an array nor arrays by the corruptions' names
 */
export function corruptionsOf(
  asked: readonly (CorruptionName | CorruptionFunction)[],
  given: readonly number[] | Readonly<Record<string, readonly number[]>> | undefined,
): Corruption[] {
  const names = asked.map((one) => typeof one === "function" ? one.name || "a function" : one);
  const strange = asked.find((one) => typeof one !== "function" && !Object.hasOwn(KINDS, one as string));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (asked.length === 0 || strange !== undefined || twice !== undefined) {
    throw new RangeError(
      `corruptions are of ${
        CORRUPTIONS.map((one) => `"${one}"`).join(", ")
      }, or functions (image, strength) => image, ` +
        `each once: received ${
          strange !== undefined ? kindOf(strange) : twice !== undefined ? `"${twice}" twice` : "none"
        }.`,
    );
  }
  const isRecord = typeof given === "object" && !Array.isArray(given);
  if (given !== undefined && !isRecord && asked.length > 1) {
    throw new TypeError(
      `strengths of several corruptions are given by their names, as { "${names[0]}": [1, 2] }: received ${
        kindOf(given)
      }.`,
    );
  }
  const byName = (isRecord ? given : given ? { [names[0]]: given } : {}) as Record<string, readonly number[]>;
  const unknown = Object.keys(byName).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`strengths names "${unknown}", which is not among the corruptions asked for.`);
  }
  return asked.map((one, i) => {
    const name = names[i];
    const kind = typeof one === "function" ? { unit: "strength", range: [-Infinity, Infinity] as const } : KINDS[one];
    const own = byName[name];
    if (own !== undefined) {
      checkArray("strengths", own, "numbers");
      if (own.length === 0) throw new RangeError(`strengths of ${name} are empty; wanted at least one number.`);
      const [least, most] = kind.range;
      own.forEach((strength) => checkWithin(`strengths of ${name}`, strength, least, most));
    } else if (typeof one === "function") {
      throw new RangeError(`Only you know the strengths of the function ${name}: give them as strengths: [1, 2, 3].`);
    }
    return { ...kind, name, strengths: own ?? null, ...typeof one === "function" && { apply: one } };
  });
}

/** The strengths of a corruption for images of a size. */
export const strengthsFor = ({ name, strengths }: Corruption, sides: readonly number[]): readonly number[] =>
  strengths ?? KINDS[name as CorruptionName].strengths(Math.max(...sides));

/**
 * @param asked.dimensions of what the model looks at: 2 of images
 * @param asked.channels how many it reads
 * @throws {TypeError} if what the model reads cannot be corrupted in this way
 */
export function checkCorruption(
  { name, of, apply }: Corruption,
  { dimensions, channels }: { dimensions: number; channels: number },
): void {
  if (apply || !of) return;
  const isImage = dimensions === 2;
  if (isImage && (of === "images" || channels === 1 || channels === 3)) return;
  throw new TypeError(
    `The corruption "${name}" is one of ${
      of === "pictures" ? "grey and colour pictures" : "images [h, w, c]"
    }, and the ` +
      `model reads ${
        isImage ? `${channels} channels` : "no images"
      }: take "blur", "contrast", "noise" or a function of ` +
      `the numbers and a strength.`,
  );
}

/**
 * An image corrupted.
 *
 * @param image `[h, w, c]`, 0…255
 * @throws {TypeError} if a function returns no array
 * @throws {RangeError} if a function returns an array of another shape
 */
export async function corrupted(
  image: NdArrayLike,
  { name, apply }: Corruption,
  strength: number,
  run: TransformRun,
): Promise<NdArrayLike> {
  if (apply) {
    const made = await apply(NdArray.from(image), strength);
    return transformed(image, { name, unit: "", apply: () => made }, strength, run);
  }
  if (name === "jpeg") return await jpegCompressed(image, strength);
  if (name === "occlusion") return covered(image, strength, run.seed, run.baseline);
  return transformed(image, transformOf(name as TransformName), strength, run);
}
