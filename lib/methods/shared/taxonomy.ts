/**
 * Kinds of errors that a user has told apart, by image.
 *
 * @module
 */

import { kindOf, nearestOf } from "../../errors.ts";
import { rule } from "../../options.ts";

/** The categories of images: by their ids, the name of a column of the data set, or a `.json` that the page downloaded. */
export type Taxonomy = string | URL | Readonly<Record<string, string | readonly string[]>>;

/** A taxonomy, as an option. */
export const taxonomy = () =>
  rule((name, value) => {
    const isText = (one: unknown) => typeof one === "string" && one.trim() !== "";
    if (isText(value) || value instanceof URL) return;
    const each = kindOf(value) === "an object" ? Object.values(value as object) : undefined;
    if (each?.every((one) => isText(one) || (Array.isArray(one) && one.every(isText)))) return;
    throw new TypeError(
      `${name} must be categories by images' ids, as { "cat/1.png": "small object" }, a column's name, or the path of a .json ` +
        `that the page has downloaded: received ${kindOf(value)}.`,
    );
  });

/** @throws {RangeError} if the file cannot be read, or holds something else */
async function readFile(path: string | URL): Promise<Record<string, string | readonly string[]>> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new RangeError(`The taxonomy ${String(path)} cannot be read. Name the file that the page has downloaded.`, {
      cause: error,
    });
  }
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new RangeError(`The taxonomy ${String(path)} is no JSON: ${(error as Error).message}.`, { cause: error });
  }
  const isFit = kindOf(found) === "an object" &&
    Object.values(found as object).every((one) =>
      typeof one === "string" || (Array.isArray(one) && one.every((each) => typeof each === "string"))
    );
  if (isFit) return found as Record<string, string>;
  throw new RangeError(
    `The taxonomy ${String(path)} must hold categories by images' ids, as { "cat/1.png": "small object" }.`,
  );
}

/**
 * The categories of each image.
 *
 * @param rows what the data set says of the images that were answered
 * @throws {RangeError} if there is no such column, or none of the images has a category
 */
export async function categoriesOf(
  given: Taxonomy | undefined,
  rows: readonly Readonly<Record<string, unknown>>[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (given === undefined) return new Map();
  const isFile = given instanceof URL || (typeof given === "string" && /\.json$/i.test(given));
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "id");
  if (typeof given === "string" && !isFile && !columns.includes(given)) {
    throw new RangeError(
      `The images have no column ${JSON.stringify(given)} with categories. ${
        nearestOf(given, columns)
      } A file's name ends in .json.`,
    );
  }
  const byId = isFile ? await readFile(given as string) : given;
  const found = new Map(rows.map((row) => {
    const id = row.id as string;
    const value = typeof byId === "string"
      ? row[byId]
      : Object.hasOwn(byId as object, id)
      ? (byId as Record<string, unknown>)[id]
      : [];
    return [id, [value].flat().filter((one) => one !== undefined && one !== null && one !== "").map(String)] as const;
  }));
  if (found.values().some((own) => own.length > 0)) return found;
  throw new RangeError(
    typeof byId === "string"
      ? `None of the ${rows.length} images that were answered has a category in the column ${JSON.stringify(byId)}.`
      : `The taxonomy names none of the ${rows.length} images that were answered, as ${
        JSON.stringify(rows[0]?.id)
      }; its first is ` +
        `${JSON.stringify(Object.keys(byId as object)[0])}.`,
  );
}
