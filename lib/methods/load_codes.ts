/**
 * Codes that were written to a file.
 *
 * @module
 */

import { layersText, readCodes } from "../data/codes_file.ts";
import { kindOf, unknownName } from "../errors.ts";
import { arrayOf, readOptions, text } from "../options.ts";
import { Codes } from "../results/codes.ts";
import { collect, type Collection } from "../results/result.ts";
import { checkEither } from "./shared/layers.ts";

/** The options of `loadCodes`. */
export class LoadCodesOptions {
  /**
   * Which layer's codes to read from a file of several.
   * @default the only one
   */
  @text()
  layer?: string;
  /** Of which layers to read codes, as a collection. */
  @arrayOf("layers' names")
  layers?: readonly string[];
}

/**
 * Reads codes from a Parquet file that `codes` wrote, or another program that kept its columns `id`, `layer`, `about` and
 * `code` (and `label`, `prediction`, `thumbnail`, if they are there), as when rows have been picked with DuckDB.
 *
 * @param path the file
 * @returns the codes, equal to the bit; with `layers` a collection of them, one a layer
 * @throws {TypeError} if the path is none, or both `layer` and `layers` are given
 * @throws {RangeError} if there is no such file, it holds no codes, or codes of several layers or lengths and no layer is
 *   named, or none of a layer that is
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadCodes, loadModel, pca } from "@convlens/convlens";
 * const file = "images.parquet";
 * await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 200 }), { file });
 * pca(await loadCodes(file), { components: 2 });
 * ```
 */
export function loadCodes(
  path: string,
  options: Partial<LoadCodesOptions> & { layers: readonly string[] },
): Promise<Collection<Codes>>;
/** As above, but of one layer. */
export function loadCodes(
  path: string,
  options?: Partial<LoadCodesOptions> & { layers?: undefined },
): Promise<Codes>;
export async function loadCodes(
  path: string,
  options: Partial<LoadCodesOptions> = {},
): Promise<Codes | Collection<Codes>> {
  if (typeof path !== "string") throw new TypeError(`loadCodes wants a path: received ${kindOf(path)}.`);
  const { layer, layers } = readOptions("loadCodes", LoadCodesOptions, options);
  checkEither("loadCodes", layer, layers);
  const found = await readCodes(path, (held) => {
    const wanted = layer !== undefined ? [layer] : layers ?? held;
    const missing = wanted.find((name) => !held.includes(name));
    if (missing !== undefined) throw unknownName("layer", missing, held, path);
    if (wanted.length === 1 || layers) return wanted;
    throw new RangeError(
      `${path} holds codes of ${held.length} layers: ${layersText(held)}. Name one, as loadCodes(path, { layer: ` +
        `${JSON.stringify(held.at(-1))} }), or several by layers.`,
    );
  });
  const results = found.map((codes) => new Codes(codes, codes));
  return layers ? collect(results, `codes in ${path}`) : results[0];
}
