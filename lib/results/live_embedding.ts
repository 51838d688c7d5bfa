/**
 * A t-SNE map that is seen in the cell while it takes shape, under the progress bar.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { renderSvg } from "../codec.ts";
import type { Progress } from "../figure/cell.ts";
import { columnOf, mapPoints, NO_LABEL } from "../figure/map/columns.ts";
import { drawMap, STEADY_VIEW } from "../figure/map/still.ts";
import { typesetter } from "../figure/text.ts";
import { escapeHtml } from "../format.ts";
import { startLiveView } from "./live_view.ts";

/** A picture of points under way. Outside a cell it does nothing. */
export interface LiveEmbedding {
  /** Paints these points, `[n, 2]` or `[n, 3]`, under some words, if it is time. It does not wait. */
  update(points: NdArrayLike, words: string): void;
  /** Waits for the last painting. The bar takes the picture away when the work is done: the result shows itself. */
  end(): Promise<void>;
}

const SIDE = 320;

/**
 * @param labels what the points are coloured by
 * @param show puts HTML under a progress bar
 */
export function startLiveEmbedding(
  labels: readonly (string | undefined)[] | undefined,
  show: Progress["show"],
): LiveEmbedding {
  const live = startLiveView(show);
  const column = labels && columnOf("label", labels.map((label) => label ?? NO_LABEL), labels.length);
  const html = async (points: NdArrayLike, words: string) => {
    const style = { side: SIDE, legend: false, view: STEADY_VIEW };
    const { svg } = await drawMap(await typesetter(), mapPoints(points), column, style);
    const png = await renderSvg(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}">${svg}</svg>`,
    );
    return `<div style="font-size:90%;opacity:.85;margin:4px 0">${escapeHtml(words)}</div>` +
      `<img src="data:image/png;base64,${png.toBase64()}" width="${SIDE}" height="${SIDE}" alt="${escapeHtml(words)}">`;
  };
  return {
    update: (points, words) => live.offer(() => html(points, words)),
    // A picture that cannot be painted must not cost the user the map: the result is drawn anew, and reports what is wrong.
    end: () => live.end().catch(() => {}),
  };
}
