/**
 * What the networks of a training's snapshots make of the same images, and how near each layer is to its end.
 *
 * @module
 */

import type { Snapshot } from "../../data/history.ts";
import { writeWeights } from "../../model/copy.ts";
import type { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import { filterLikeness, settledAt, sharedImages } from "../../probe/settling.ts";
import { SETTLED, type SettledLayer, type SettlingRow } from "../../results/feature_evolution.ts";
import type { PatchImage, PatchRow } from "../../results/top_patches.ts";
import { listsFor, scanTop, type TopQuestion, type TopRun } from "../../scan/top_patches.ts";
import { patchRows } from "./patch_rows.ts";

/** What one snapshot's network made of the images. */
export interface Found {
  /** Of each layer the rows of each channel, the strongest first. */
  readonly layers: ReadonlyMap<string, readonly PatchRow[][]>;
  /** The images that they are from. */
  readonly sources: ReadonlyMap<string, PatchImage>;
}

/**
 * Walks the images once a snapshot.
 *
 * @param model takes the weights of each snapshot; it ends with the last ones
 */
export async function foundAt(
  model: Model,
  snapshots: readonly Snapshot[],
  reader: InputReader,
  question: TopQuestion,
  { onProgress, ...run }: TopRun,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const [i, { weights }] of snapshots.entries()) {
    await writeWeights(model, weights);
    const lists = listsFor(question);
    const total = snapshots.length * reader.size;
    await scanTop(model, reader, question, lists, {
      ...run,
      onProgress: (done) => onProgress?.(i * reader.size + done, total),
    });
    const { rows, sources } = patchRows(model, question, lists);
    const layers = new Map(question.layers.map(({ layer, units }) => [layer, units.map((): PatchRow[] => [])]));
    for (const row of rows) layers.get(row.layer)![row.unit as number].push(row);
    found.push({ sources, layers });
  }
  return found;
}

/** The images that excite each channel. */
const exciting = (rows: readonly PatchRow[][]): string[][] =>
  rows.map((own) => own.filter(({ activation }) => activation > 0).map(({ imageId }) => imageId));

/** How near each layer is to its end, snapshot after snapshot. */
export function settling(snapshots: readonly Snapshot[], found: readonly Found[]): SettlingRow[] {
  const [last, end] = [snapshots.at(-1)!, found.at(-1)!];
  return [...end.layers.keys()].flatMap((layer) =>
    snapshots.map(({ epoch, weights }, i): SettlingRow => {
      const [kernel, after] = [weights, last.weights].map((own) => own[`${layer}/kernel`]);
      return {
        layer,
        epoch,
        filters: kernel ? filterLikeness(kernel, after) : null,
        images: sharedImages(exciting(found[i].layers.get(layer)!), exciting(end.layers.get(layer)!)),
      };
    })
  );
}

/** From which epoch on each layer stays near its end. */
export function settledOf(rows: readonly SettlingRow[]): SettledLayer[] {
  return Map.groupBy(rows, ({ layer }) => layer).entries().map(([layer, own]) => {
    const from = (measure: "filters" | "images", way = (value: number) => value) =>
      settledAt(
        own.map(({ epoch, [measure]: value }) => ({ epoch, value: value === null ? null : way(value) })),
        SETTLED[measure],
      );
    const start = own[0].filters ?? 0;
    const gone = (value: number) => start < 1 ? (value - start) / (1 - start) : 1;
    return { layer, filters: from("filters", gone), images: from("images") };
  }).toArray();
}
