/**
 * The progress of a method, for the cell and for the caller's `onProgress`.
 *
 * @module
 */

import { withProgress as withBar } from "../figure/cell.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { skippedNote } from "./skipped.ts";

/**
 * Does work under a progress bar, which ends with it, also when it fails.
 *
 * @param label what is going on, in a few words
 * @param total how much there is to do
 * @param work is given a function that updates the bar (and `onProgress`) with how much is done, and what puts HTML under the bar
 * @param onProgress the caller's own, if it has one
 * @param reader of a data set: the line that stays names the images that it could not read
 */
export function withProgress<T>(
  label: string,
  total: number,
  work: (update: (done: number) => void, show: (html: string) => Promise<void>) => Promise<T>,
  onProgress?: (done: number, total: number) => void,
  reader?: { readonly skipped: readonly SkippedImage[] },
): Promise<T> {
  return withBar(label, total, (update, show) =>
    work((done) => {
      update(done);
      onProgress?.(done, total);
    }, show), () => skippedNote(reader?.skipped ?? []));
}
