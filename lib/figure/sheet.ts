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

/** How large a tile's picture is shown: enlarged by a whole factor, or as large as it is. */
function shown({ width, height }: Pixels, side: number): [width: number, height: number] {
  const factor = Math.max(1, Math.floor(side / Math.max(width, height)));
  return [width * factor, height * factor];
}

/** What stands under a sheet that has more tiles than are drawn. */
export const leftOfSheet = ({ tiles, left = 0 }: Sheet): string =>
  left ? `${tiles.length} of ${tiles.length + left} are drawn.` : "";

/** The sheet as HTML; `address` gives the address of a picture. */
export function sheetHtml(sheet: Sheet, address: (pixels: Pixels) => string): string {
  const { side, tiles, orders = [] } = sheet;
  const line = (text: string, i: number) =>
    `<span style="display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;` +
    `${i === 0 ? "font-weight:600" : "opacity:.8"}">${escapeHtml(text)}</span>`;
  const tile = ({ pixels, lines, words, alt, outlined }: SheetTile) => {
    const [width, height] = shown(pixels, side);
    const outline = outlined ? `;outline:3px solid ${OUTLINE}` : "";
    return `<span style="display:block;min-width:0" title="${escapeHtml(words)}">` +
      `<img src="${address(pixels)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}" ` +
      `style="image-rendering:${width > pixels.width ? "pixelated" : "auto"};max-width:none;margin:0 0 5px 0;` +
      `display:block${outline}"> ${lines.map(line).join(" ")}</span>`;
  };
  const data: SheetData = { orders };
  const left = leftOfSheet(sheet);
  return `<div class="convlens-sheet"><div style="display:grid;grid-template-columns:repeat(auto-fill,${side}px);` +
    `gap:${GAP}px;align-items:end;max-width:${WIDTH}px;padding:4px 3px;font-size:${SIZE}px;line-height:${LINE}px;` +
    `font-variant-numeric:tabular-nums">${tiles.map(tile).join("\n")}</div>` +
    (left && `<div style="font-size:85%;opacity:.8">${left}</div>`) +
    (orders.length > 1 ? `<script type="application/json">${scriptJson(data)}</script>` : "") + `</div>`;
}

/** The sheet as a drawing; `address` gives the address of a picture. */
export function drawSheet(type: Typesetter, sheet: Sheet, address: (pixels: Pixels) => string): Drawing {
  const { side, tiles } = sheet;
  const columns = Math.max(1, Math.min(tiles.length, Math.floor((WIDTH + GAP) / (side + GAP))));
  const edge = 3;
  const parts: string[] = [];
  let top = edge;
  for (let start = 0; start < tiles.length; start += columns) {
    const row = tiles.slice(start, start + columns);
    const tall = row.reduce((most, { pixels }) => Math.max(most, shown(pixels, side)[1]), 0);
    row.forEach(({ pixels, lines, outlined }, i) => {
      const [width, height] = shown(pixels, side);
      const x = edge + i * (side + GAP);
      const y = top + tall - height;
      parts.push(
        `<image x="${x}" y="${y}" width="${width}" height="${height}" image-rendering="pixelated" ` +
          `href="${address(pixels)}"/>`,
      );
      if (outlined) {
        parts.push(
          `<rect x="${x - 1.5}" y="${y - 1.5}" width="${width + 3}" height="${height + 3}" fill="none" ` +
            `stroke="${OUTLINE}" stroke-width="3"/>`,
        );
      }
      lines.forEach((text, j) => {
        const weight = j === 0 ? "bold" : "regular";
        const fitting = type.clip(text, SIZE, side, weight);
        const style = { size: SIZE, color: j === 0 ? INK : SOFT_INK, weight } as const;
        parts.push(type.text(fitting, x, top + tall + 5 + j * LINE + SIZE, style));
      });
    });
    const most = row.reduce((most, { lines }) => Math.max(most, lines.length), 0);
    top += tall + 5 + most * LINE + GAP;
  }
  const left = leftOfSheet(sheet);
  if (left) parts.push(type.text(left, edge, top + SIZE - 6, { size: SIZE, color: SOFT_INK }));
  return {
    svg: parts.join(""),
    width: 2 * edge + columns * (side + GAP) - GAP,
    height: top + (left ? 8 : -GAP) + edge,
  };
}
