/**
 * A map that is seen in the cell while it settles, under the bar that tells how far it is.
 *
 * @module
 */

import type { NdArray } from "../../array.ts";
import { renderSvg } from "../../codec.ts";
import { base64 } from "../base64.ts";
import { escapeHtml } from "../../format.ts";
import { inKernel } from "../cell.ts";
import { columnOf, mapPoints, NO_LABEL } from "./columns.ts";
import { drawMap } from "./still.ts";
import { STEADY_VIEW } from "./view.ts";
import type { Progress } from "../cell.ts";
import { typesetter } from "../text.ts";

/** A map that settles. */
export interface LiveMap {
  /** Paints these points, `[n, 2]` or `[n, 3]`, if the last painting is done and long enough ago. It does not wait. */
  update(points: NdArray, words: string): void;
  /** Waits for the last painting. The bar takes the picture away when the work is done: the map shows itself. */
  finish(): Promise<void>;
}

const SIDE = 320;
/** The picture is repainted at most so often, and painting takes at most this share of the time. */
const EVERY_MS = 400;
const PAINTING_SHARE = 0.05;

/**
 * Starts a picture that is repainted while the map settles.
 *
 * @param labels what the points are coloured by
 * @param show puts the picture under a bar; outside a cell it is not called
 */
export function startLiveMap(labels: readonly (string | undefined)[] | undefined, show: Progress["show"]): LiveMap {
  const column = labels && columnOf("label", labels.map((label) => label ?? NO_LABEL), labels.length);
  let painting: Promise<void> | undefined;
  let next = performance.now() + EVERY_MS;
  const paint = async (points: NdArray, words: string) => {
    const start = performance.now();
    const { svg } = await drawMap(await typesetter(), mapPoints(points), column, {
      side: SIDE,
      legend: false,
      view: STEADY_VIEW,
    });
    const png = await renderSvg(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}">${svg}</svg>`,
    );
    await show(
      `<div style="font-size:90%;opacity:.85;margin:4px 0">${escapeHtml(words)}</div>` +
        `<img src="data:image/png;base64,${base64(png)}" width="${SIDE}" height="${SIDE}" alt="${escapeHtml(words)}">`,
    );
    const took = performance.now() - start;
    next = performance.now() + Math.max(EVERY_MS, took / PAINTING_SHARE);
  };
  return {
    update(points, words) {
      if (!inKernel() || painting || performance.now() < next) return;
      // A picture that cannot be painted must not end the work; the result is drawn anew, and tells.
      painting = paint(points, words).catch(() => {}).finally(() => painting = undefined);
    },
    finish: async () => await painting,
  };
}
