/**
 * A map that is seen in the cell while it settles.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { renderSvg } from "../codec.ts";
import { base64 } from "./base64.ts";
import { escapeHtml } from "./html.ts";
import { display, inKernel } from "./jupyter/display.ts";
import { columnOf, mapPoints } from "./map_columns.ts";
import { drawMap } from "./map_still.ts";
import { typesetter } from "./text.ts";

/** A map that settles. */
export interface LiveMap {
  /** Paints these points `[n, 2]`, if the last painting is done and long enough ago. It does not wait. */
  update(points: NdArray, words: string): void;
  /** Takes the picture away: what is shown next stands for it. */
  finish(): Promise<void>;
}

export interface LiveMapOptions {
  labels?: readonly (string | undefined)[];
  /** How the picture comes into the cell. @default that of Jupyter; outside of it nothing is painted */
  show?: typeof display;
}

const SIDE = 320;
/** The picture is repainted at most so often, and painting takes at most this share of the time. */
const EVERY_MS = 400;
const PAINTING_SHARE = 0.05;

/** Starts a picture that is repainted while the map settles. */
export function startLiveMap({ labels, show = inKernel() ? display : undefined }: LiveMapOptions = {}): LiveMap {
  const id = crypto.randomUUID();
  const column = labels && columnOf("label", labels.map((label) => label ?? "no label"), labels.length);
  let shown = false;
  let painting: Promise<void> | undefined;
  let next = performance.now() + EVERY_MS;
  const paint = async (points: NdArray, words: string) => {
    const start = performance.now();
    const { svg } = await drawMap(await typesetter(), mapPoints(points), column, { side: SIDE, legend: false });
    const png = await renderSvg(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}">${svg}</svg>`,
    );
    const html = `<div style="font-size:90%;opacity:.85">${escapeHtml(words)}</div>` +
      `<img src="data:image/png;base64,${base64(png)}" width="${SIDE}" height="${SIDE}" alt="${escapeHtml(words)}">`;
    const update = shown;
    shown = true;
    await show!({ "text/html": html, "text/plain": words }, { id, update });
    const took = performance.now() - start;
    next = performance.now() + Math.max(EVERY_MS, took / PAINTING_SHARE);
  };
  return {
    update(points, words) {
      if (!show || painting || performance.now() < next) return;
      // A picture that cannot be painted must not end the work; the result is drawn anew, and tells.
      painting = paint(points, words).catch(() => {}).finally(() => painting = undefined);
    },
    async finish() {
      await painting;
      if (shown) await show!({ "text/html": "", "text/plain": "" }, { id, update: true });
    },
  };
}
