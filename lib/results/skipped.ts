/**
 * What results say of images that could not be read.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { messageOf } from "../errors.ts";

/** A caption names at most this many. */
const MOST_NAMED = 24;

/** A sentence for the caption: how many images were left out, which, and why the first; empty where none was. */
export function skippedNote(skipped: readonly SkippedImage[]): string {
  if (skipped.length === 0) return "";
  const names = skipped.slice(0, MOST_NAMED).map(({ id }) => JSON.stringify(id)).join(", ");
  const more = skipped.length > MOST_NAMED ? ` and ${skipped.length - MOST_NAMED} more` : "";
  const [{ reason }] = skipped;
  return skipped.length === 1
    ? `1 image could not be read and was left out: ${names} (${messageOf(reason)}).`
    : `${skipped.length} images could not be read and were left out: ${names}${more}. The first: ${messageOf(reason)}.`;
}
