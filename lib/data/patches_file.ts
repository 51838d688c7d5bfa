/**
 * The strongest patches of a layer's units as a Parquet file, a row a patch.
 *
 * Columns: `layer`; `unit`, a channel's number, or a direction's name as text; `rank`, from 1; `imageId`; `label`, null
 * where there is none; `activation`; `relevance`, where patches are ranked by it; `cell` and `box`, lists of whole numbers.
 *
 * @module
 */

import type { SkippedImage } from "./dataset.ts";
import { type ParquetColumn, ParquetFile, type ParquetValues, ParquetWriter } from "./parquet.ts";

/** A patch that is among a unit's strongest. */
export interface FoundPatch {
  readonly layer: string;
  readonly unit: number | string;
  readonly rank: number;
  readonly imageId: string;
  readonly label?: string;
  readonly activation: number;
  readonly relevance?: number;
  readonly cell: readonly number[];
  readonly box: readonly number[];
}

/** What a file says of the images that its patches come from. */
export interface PatchesAbout {
  /** How many images were looked at, those that could not be read among them. */
  readonly images: number;
  /** Those that could not be read. */
  readonly skipped: readonly SkippedImage[];
  /** The id of the last image. */
  readonly last?: string;
}

const ABOUT = "convlens.images";

/** A column, and its values of some rows. */
type Field = ParquetColumn & { of: (rows: readonly FoundPatch[]) => ParquetValues };

/** So many rows are encoded at once, at most. */
const GROUP = 100_000;

/**
 * Writes patches; the file appears when it is whole.
 *
 * @param safe whether to wait until it is on the disk, so that it outlives a power cut
 * @throws as the operating system does, as where the disk is full; what stood at the path still does
 */
export async function writePatches(
  path: string,
  rows: readonly FoundPatch[],
  about: PatchesAbout,
  safe = true,
): Promise<void> {
  const named = typeof rows[0]?.unit === "string";
  const ranked = rows[0]?.relevance !== undefined;
  const fields = ([
    { name: "layer", kind: "text", of: (rows) => rows.map(({ layer }) => layer) },
    { name: "unit", kind: named ? "text" : "whole", of: (rows) => rows.map(({ unit }) => unit) as ParquetValues },
    { name: "rank", kind: "whole", of: (rows) => rows.map(({ rank }) => rank) },
    { name: "imageId", kind: "text", of: (rows) => rows.map(({ imageId }) => imageId) },
    { name: "label", kind: "text", of: (rows) => rows.map(({ label }) => label) },
    { name: "activation", kind: "number", of: (rows) => rows.map(({ activation }) => activation) },
    { name: "relevance", kind: "number", of: (rows) => rows.map(({ relevance }) => relevance!) },
    { name: "cell", kind: "wholes", of: (rows) => rows.map(({ cell }) => cell) },
    { name: "box", kind: "wholes", of: (rows) => rows.map(({ box }) => box) },
  ] as Field[]).filter(({ name }) => ranked || name !== "relevance");
  const columns = fields.map(({ name, kind }) => ({ name, kind }));
  const writer = await ParquetWriter.create(path, columns, new Map([[ABOUT, JSON.stringify(about)]]));
  try {
    for (let from = 0; from < rows.length; from += GROUP) {
      const some = rows.slice(from, from + GROUP);
      await writer.write(some.length, fields.map(({ of }) => of(some)));
    }
    await writer.finish(safe);
  } catch (error) {
    await writer.abandon().catch(() => {}); // What went wrong first counts.
    throw error;
  }
}

/**
 * Reads patches.
 *
 * @returns null if there is no such file
 * @throws {RangeError} if it is no file of patches, or is damaged
 */
export async function readPatches(path: string): Promise<{ rows: FoundPatch[]; about: PatchesAbout } | null> {
  const file = await ParquetFile.open(path);
  if (!file) return null;
  const about = file.notes.get(ABOUT);
  if (about === undefined) throw new RangeError(`${path} holds no patches: topPatches writes such files.`);
  const layers = await file.texts("layer");
  const units = await Array.fromAsync(file.values("unit"));
  const ranks = await file.numbers("rank");
  const ids = await file.texts("imageId");
  const labels = await file.texts("label");
  const activations = await file.numbers("activation");
  const relevances = file.columns.includes("relevance") ? await file.numbers("relevance") : undefined;
  const cells = await file.lists("cell");
  const boxes = await file.lists("box");
  const rows = layers.map((layer, i): FoundPatch => ({
    layer: layer!,
    unit: units[i] as number | string,
    rank: ranks[i],
    imageId: ids[i]!,
    ...(labels[i] !== undefined && { label: labels[i] }),
    activation: activations[i],
    ...(relevances && { relevance: relevances[i] }),
    cell: cells[i],
    box: boxes[i],
  }));
  return { rows, about: JSON.parse(about) };
}
