/**
 * A scan for the patches of units, kept in a folder where one is named.
 *
 * @module
 */

import { isTypedArray } from "node:util/types";
import { sha256Of } from "../../checksum.ts";
import type { Dataset, SkippedImage } from "../../data/dataset.ts";
import { InputReader, type ReadOptions } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import { withProgress } from "../../results/progress.ts";
import type { PatchImage, PatchRow } from "../../results/top_patches.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { questionOf } from "../../scan/question.ts";
import { type FoundPatch, type ListedCell, ScanFolder } from "../../scan/scan_folder.ts";
import type { TopEntry, TopLists } from "../../scan/top_lists.ts";
import { listsFor, scanTop, type TopQuestion, type TopRun } from "../../scan/top_patches.ts";
import { patchRows } from "./patch_rows.ts";

/** What a scan has found. */
export interface PatchScan {
  readonly rows: PatchRow[];
  /** The images that the rows name, by their ids. */
  readonly sources: Map<string, PatchImage>;
  /** How many images were looked at, without those that could not be read. */
  readonly images: number;
  readonly skipped: readonly SkippedImage[];
}

/** How a scan runs. */
export interface PatchScanRun extends Omit<TopRun, "onPart">, Pick<ReadOptions, "onBadImage"> {
  /** What the progress bar says. */
  readonly title: string;
  /** Where the scan is kept while it runs, and afterwards. */
  readonly folder?: string;
}

/**
 * Scans a data set, or what of it the folder has not seen.
 *
 * @param asker the function that was called, as `"topPatches"`
 * @throws {ScanFolderError} if the folder cannot be used
 */
export async function scanPatches(
  asker: string,
  model: Model,
  dataset: Dataset,
  question: TopQuestion,
  { title, folder, onBadImage, onProgress, ...run }: PatchScanRun,
): Promise<PatchScan> {
  if (folder === undefined) {
    const reader = new InputReader(asker, model, dataset, { onBadImage, signal: run.signal });
    const lists = listsFor(question);
    await withProgress(
      title,
      reader.size,
      (update) => scanTop(model, reader, question, lists, { ...run, onProgress: update }),
      onProgress,
      reader,
    );
    const { skipped, size } = reader;
    return { ...patchRows(model, question, lists), skipped, images: size - skipped.length };
  }
  using kept = await ScanFolder.open(folder, await manifestOf(model, dataset, question));
  if (kept.patches) return fromFolder(kept.patches, kept.walked);
  const { images: done, last, skipped: before } = kept.walked;
  const lists = listsFor(question);
  for (const { list, id, label, index, shape, ...entry } of kept.cells) {
    lists.add(list, { ...entry, image: { id, ...label !== undefined && { label }, index, shape: numbersIn(shape) } });
  }
  const after = { count: done, id: last };
  const reader = new InputReader(asker, model, dataset, { onBadImage, signal: run.signal, after });
  const all = {
    get skipped() {
      return [...before, ...reader.skipped];
    },
  };
  const onPart: TopRun["onPart"] = async ({ walked, last, skipped, added }) => {
    const cells = added.map(({ list, entry }) => cellOf(list, entry));
    await kept.add({ images: walked, skipped: [...before, ...skipped], last }, cells, () => cellsOf(lists));
  };
  await withProgress(
    title,
    reader.size,
    async (update) => {
      if (done === reader.size) return;
      await scanTop(model, reader, question, lists, { ...run, onPart, onProgress: (now) => update(done + now) });
    },
    onProgress,
    all,
  );
  const { rows, sources } = patchRows(model, question, lists);
  const { skipped } = all;
  await kept.finish(rows.map((row) => ({ ...row, index: sources.get(row.imageId)!.index })), {
    images: reader.size,
    skipped,
  });
  return { rows, sources, skipped, images: reader.size - skipped.length };
}

/** What is found in a folder whose scan is over. */
export function fromFolder(
  patches: readonly FoundPatch[],
  { images, skipped }: { images: number; skipped: readonly SkippedImage[] },
): PatchScan {
  const sources = new Map(patches.map(({ imageId: id, index }) => [id, { id, index }]));
  return { rows: patches.map(({ index: _, ...row }) => row), sources, skipped, images: images - skipped.length };
}

/**
 * What a folder's manifest says of a scan.
 *
 * @throws {TypeError} if a function is asked about, which cannot be written down
 */
export async function manifestOf(
  model: Model,
  dataset: Dataset,
  { layers, ...asked }: TopQuestion,
): Promise<Record<string, unknown>> {
  const tf = await ensureBackend();
  const plain = {
    layers: layers.map(({ layer, units, directions }) => ({
      layer,
      units: units.every((unit, i) => unit === i) ? `all ${units.length}` : units,
      ...directions && { directions: sumOf(directions.data) },
    })),
    ...JSON.parse(JSON.stringify(asked, (_, value) => {
      if (typeof value !== "function") return isTypedArray(value) ? sumOf(value) : value;
      throw new TypeError(
        "A folder cannot keep a target that is a function, and so not tell it from another one: name a class, a unit or a " +
          "direction, or leave out folder.",
      );
    })),
  };
  return await questionOf(model, dataset, tf.getBackend(), plain);
}

const sumOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  sha256Of(new Uint8Array(buffer, byteOffset, byteLength));

const numbersIn = (text: string): number[] => text.split(",").map(Number);

const cellOf = (list: number, { value, activation, image, cell }: TopEntry): ListedCell => ({
  list,
  value,
  activation,
  id: image.id,
  ...image.label !== undefined && { label: image.label },
  index: image.index,
  shape: image.shape.join(),
  cell,
});

const cellsOf = (lists: TopLists): ListedCell[] =>
  Array.from({ length: lists.count }, (_, list) => lists.entries(list).map((entry) => cellOf(list, entry))).flat();
