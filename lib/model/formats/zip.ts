/**
 * Layers models of TensorFlow.js in a zip archive: a `model.json` with its weights beside it.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { FileError, PlacedFiles, placeOf, type ReadLimits } from "../../files.ts";
import { zipAt, zipEntries, type ZipEntry } from "../../zip.ts";
import { ModelError, type ModelFormat } from "./format.ts";
import { type ModelFiles, readLayersModel } from "./tfjs.ts";

/** Archives cannot be larger. */
const MOST = 2 ** 32;

/** What programs that pack folders put in besides. */
const isOwn = ({ name }: ZipEntry) => !/(^|\/)(__MACOSX\/|\.)/.test(name);

/**
 * The `model.json` of an archive: at its top, or in the one folder that was packed.
 *
 * @returns undefined if there is none, or more than one
 */
export function modelIn(entries: readonly ZipEntry[]): ZipEntry | undefined {
  const found = entries.filter((entry) => isOwn(entry) && /(^|\/)model\.json$/.test(entry.name));
  return found.find(({ name }) => name === "model.json") ?? (found.length === 1 ? found[0] : undefined);
}

/** What an archive holds, for messages. */
function contentOf(entries: readonly ZipEntry[]): string {
  const names = entries.filter(isOwn).map(({ name }) => JSON.stringify(name));
  return names.length ? names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "") : "nothing";
}

/** The files of an archive, which are read as if they stood in a folder of its name. */
function filesOf(archive: URL, entries: readonly ZipEntry[], kept: PlacedFiles): ModelFiles {
  const folder = `${archive.pathname}/`;
  const entryAt = ({ pathname }: URL, { room }: ReadLimits) => {
    const name = decodeURIComponent(pathname.slice(folder.length));
    const entry = entries.find((entry) => entry.name === name);
    if (!entry) throw new FileError(`the archive has no such file; it holds ${contentOf(entries)}`);
    if (entry.size > room.bytes) {
      throw new FileError(`it holds ${entry.size} bytes where at most ${room.bytes} are wanted`);
    }
    room.bytes -= entry.size;
    return entry;
  };
  return {
    read: async (url, limits) => await entryAt(url, limits).read(),
    find: async (url, limits) => await entryAt(url, limits).place(kept),
  };
}

/** Reads a layers model of TensorFlow.js in a zip archive, as `model.save` writes it or as a packed folder. */
export const zipFormat: ModelFormat = {
  fits: (path) => /\.zip$/i.test(path),
  async read(tf, url, options) {
    await using kept = new PlacedFiles();
    let entries: ZipEntry[];
    try {
      entries = await zipEntries(zipAt(await kept.find(url, { room: { bytes: MOST } })));
    } catch (error) {
      throw new ModelError(`The archive ${placeOf(url)} could not be read: ${messageOf(error)}.`, { cause: error });
    }
    const model = modelIn(entries);
    if (!model) {
      throw new ModelError(
        `The archive ${placeOf(url)} holds ${
          contentOf(entries)
        }; wanted one model.json of a TensorFlow.js layers model ` +
          `with its weights, as model.save("net.zip") writes it.` +
          (entries.some((entry) => isOwn(entry) && /\.(keras|h5|hdf5|onnx)$/i.test(entry.name))
            ? " Unpack it, and load the file of the network itself."
            : ""),
      );
    }
    const inside = new URL(url);
    inside.pathname += `/${model.name.split("/").map(encodeURIComponent).join("/")}`;
    return await readLayersModel(tf, inside, filesOf(url, entries, kept), options);
  },
};
