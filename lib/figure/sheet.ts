/**
 * A contact sheet: many small pictures, each with its words below, some of them outlined; the reader chooses the order.
 *
 * @module
 */

import { escapeHtml, scriptJson } from "../format.ts";
import type { SheetData } from "../page/data.ts";
import type { Drawing, Sheet, SheetTile } from "./blocks.ts";
import type { Pixels } from "./mosaic.ts";
import type { Typesetter } from "./text.ts";

/** A sheet is wrapped to this many pixels. */
const WIDTH = 930;
const GAP = 14;
const OUTLINE = "#ff8a00";
const INK = "#1a1a1a";
const SOFT_INK = "#555555";
/** The words' size in pixels, and from line to line. */
const SIZE = 12;
const LINE = 16;
/** The first line of a tile may be broken into so many. */
const FIRST_LINES = 2;
/** Room for the outline of the outermost tiles. */
const EDGE = 3;

/** How large a tile's picture is shown: enlarged by a whole factor, or as large as it is. */
function shown({ width, height }: Pixels, side: number): [width: number, height: number] {
  const factor = Math.max(1, Math.floor(side / Math.max(width, height)));
  return [width * factor, height * factor];
}

/** What stands under a sheet that has more tiles than are drawn. */
export const leftOfSheet = ({ tiles, left = 0 }: Sheet): string =>
  left ? `${tiles.length} of ${tiles.length + left} are drawn.` : "";

/** The height that the pictures of some tiles need: all stand on one line. */
const tallest = (tiles: readonly SheetTile[], side: number): number =>
  tiles.reduce((most, { pixels }) => Math.max(most, shown(pixels, side)[1]), 0);

/** The sheet as HTML; `address` gives the address of a picture. */
export function sheetHtml(sheet: Sheet, address: (pixels: Pixels) => string): string {
  const { side, tiles, orders = [] } = sheet;
  const tall = tallest(tiles, side);
  const line = (text: string, i: number) =>
    `<span style="display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:${i === 0 ? FIRST_LINES : 1};` +
    `overflow:hidden;overflow-wrap:anywhere;${i === 0 ? "font-weight:600" : "opacity:.8"}">${escapeHtml(text)}</span>`;
  const tile = ({ pixels, lines, words, alt, outlined }: SheetTile) => {
    const [width, height] = shown(pixels, side);
    const outline = outlined ? `;outline:3px solid ${OUTLINE}` : "";
    return `<span style="display:block;min-width:0" title="${escapeHtml(words)}">` +
      `<span style="display:flex;align-items:flex-end;height:${tall}px;margin:0 0 5px 0">` +
      `<img src="${address(pixels)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}" style="margin:0;` +
      `max-width:none;image-rendering:${width > pixels.width ? "pixelated" : "auto"}${outline}"></span> ` +
      `${lines.map(line).join(" ")}</span>`;
  };
  const data: SheetData = { orders };
  const left = leftOfSheet(sheet);
  return `<div class="convlens-sheet"><div style="display:grid;grid-template-columns:repeat(auto-fill,${side}px);` +
    `gap:${GAP}px;max-width:${WIDTH}px;padding:4px 3px;font-size:${SIZE}px;line-height:${LINE}px;` +
    `font-variant-numeric:tabular-nums">${tiles.map(tile).join("\n")}</div>` +
    (left && `<div style="font-size:85%;opacity:.8">${left}</div>`) +
    (orders.length > 1 ? `<script type="application/json">${scriptJson(data)}</script>` : "") + `</div>`;
}

/** The sheet as a drawing; `address` gives the address of a picture. */
export function drawSheet(type: Typesetter, sheet: Sheet, address: (pixels: Pixels) => string): Drawing {
  const { side, tiles } = sheet;
  const columns = Math.max(1, Math.min(tiles.length, Math.floor((WIDTH + GAP) / (side + GAP))));
  const parts: string[] = [];
  /** The lines of a tile's words as they fit, the first of them broken where it must be. */
  const fitted = ([first = "", ...others]: readonly string[]) => {
    const broken = type.wrap(first, SIZE, side, "bold");
    const rest = broken.slice(FIRST_LINES - 1).join(" ");
    const bold = [...broken.slice(0, FIRST_LINES - 1), rest].filter(Boolean);
    return [
      ...bold.map((text) => ({ text, color: INK, weight: "bold" as const })),
      ...others.map((text) => ({ text, color: SOFT_INK, weight: "regular" as const })),
    ];
  };
  let top = EDGE;
  for (let start = 0; start < tiles.length; start += columns) {
    const row = tiles.slice(start, start + columns).map((tile) => ({ ...tile, words: fitted(tile.lines) }));
    const tall = tallest(tiles.slice(start, start + columns), side);
    row.forEach(({ pixels, words, outlined }, i) => {
      const [width, height] = shown(pixels, side);
      const x = EDGE + i * (side + GAP);
      const y = top + tall - height;
      const at = `x="${x}" y="${y}" width="${width}" height="${height}"`;
      parts.push(`<image ${at} image-rendering="pixelated" href="${address(pixels)}"/>`);
      if (outlined) {
        const around = `x="${x - 1.5}" y="${y - 1.5}" width="${width + 3}" height="${height + 3}"`;
        parts.push(`<rect ${around} fill="none" stroke="${OUTLINE}" stroke-width="3"/>`);
      }
      words.forEach(({ text, color, weight }, j) => {
        const fitting = type.clip(text, SIZE, side, weight);
        parts.push(type.text(fitting, x, top + tall + 5 + j * LINE + SIZE, { size: SIZE, color, weight }));
      });
    });
    top += tall + 5 + row.reduce((most, { words }) => Math.max(most, words.length), 0) * LINE + GAP;
  }
  const left = leftOfSheet(sheet);
  if (left) parts.push(type.text(left, EDGE, top + SIZE - 6, { size: SIZE, color: SOFT_INK }));
  return {
    svg: parts.join(""),
    width: 2 * EDGE + columns * (side + GAP) - GAP,
    height: top + (left ? 8 : -GAP) + EDGE,
  };
}
