/**
 * A contact sheet: many small pictures, each with its words below, some of them outlined; the reader chooses the order,
 * searches it, and sees what is under the pointer enlarged.
 *
 * @module
 */

import { escapeHtml, scriptJson } from "../format.ts";
import type { SheetData } from "../page/data.ts";
import type { Drawing, Sheet, SheetTile } from "./blocks.ts";
import type { Pixels } from "./mosaic.ts";
import type { Typesetter } from "./text.ts";
import type { Theme } from "./theme.ts";

/** A sheet is wrapped to this many pixels. */
const WIDTH = 930;
const GAP = 14;
const OUTLINE = "#ff8a00";
/** The words' size in pixels, and from line to line. */
const SIZE = 12;
const LINE = 16;
/** On a page the first line of a tile may be broken into so many. */
const FIRST_LINES = 2;
/** The size of words on a picture, the height of their line, and the ground behind them where it is painted. */
const SMALL = 10;
export const TEXT = 13;
const PLATE = "rgba(0,0,0,.62)";
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

/** What the page's script needs of a sheet; nothing where there is nothing to do. */
function dataOf({ orders = [], filter, tiles }: Sheet, placeOf: (whole: Pixels) => number): SheetData | undefined {
  const spotted = tiles.some(({ spots }) => spots);
  if (orders.length < 2 && !spotted && !filter) return undefined;
  return {
    orders,
    ...filter && { filter: { of: filter, names: tiles.map(({ lines }) => lines[0]) } },
    ...spotted && {
      spots: tiles.map(({ spots = [] }) =>
        spots.map(({ box, pair, words, whole }) => ({
          box,
          ...pair && { pair },
          words,
          ...whole && { whole: [placeOf(whole.of), whole.box.map((share) => Number(share.toFixed(5)))] as const },
        }))
      ),
    },
  };
}

/** Whether a script has something to do with the sheet. */
export const isLiveSheet = (sheet: Sheet): boolean => dataOf(sheet, () => 0) !== undefined;

/**
 * The sheet as HTML.
 *
 * @param address gives the address of a picture
 * @param placeOf gives the place of a whole among those of the figure
 */
export function sheetHtml(
  sheet: Sheet,
  address: (pixels: Pixels) => string,
  placeOf: (whole: Pixels) => number,
): string {
  const { side, tiles } = sheet;
  const tall = tallest(tiles, side);
  const line = (text: string, i: number) =>
    `<span style="display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:${i === 0 ? FIRST_LINES : 1};` +
    `overflow:hidden;overflow-wrap:anywhere;${i === 0 ? "font-weight:600" : "opacity:.8"}">${escapeHtml(text)}</span>`;
  const tile = ({ pixels, lines, words, alt, outlined, texts = [] }: SheetTile) => {
    const [width, height] = shown(pixels, side);
    const outline = outlined ? `;outline:3px solid ${OUTLINE}` : "";
    const over = texts.map(({ text, x, y, painted }) => {
      const look = painted ? `color:#fff;background:${PLATE};padding:0 2px` : "opacity:.75";
      const [left, top] = [x, y].map((at) => Math.round(at * width / pixels.width));
      return `<span style="position:absolute;left:${left}px;top:${top}px;font-size:${SMALL}px;line-height:${TEXT}px;` +
        `white-space:nowrap;pointer-events:none;${look}">${escapeHtml(text)}</span>`;
    }).join("");
    return `<span style="display:block;min-width:0" title="${escapeHtml(words)}">` +
      `<span style="display:flex;align-items:flex-end;height:${tall}px;margin:0 0 5px 0">` +
      (over && `<span style="position:relative;display:block;flex:none">`) +
      `<img src="${address(pixels)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}" style="margin:0;` +
      `max-width:none;image-rendering:${width > pixels.width ? "pixelated" : "auto"}${outline}">${over}` +
      `${over && "</span>"}</span> ` +
      `${lines.map(line).join(" ")}</span>`;
  };
  const data = dataOf(sheet, placeOf);
  const left = leftOfSheet(sheet);
  // A single tile leaves the room beside it to others.
  const columns = sheet.columns ?? (tiles.length === 1 ? 1 : "auto-fill");
  return `<div class="convlens-sheet"><div style="display:grid;grid-template-columns:repeat(${columns},${side}px);` +
    `gap:${GAP}px;max-width:${WIDTH}px;padding:4px 3px;font-size:${SIZE}px;line-height:${LINE}px;` +
    `font-variant-numeric:tabular-nums">${tiles.map(tile).join("\n")}</div>` +
    (left && `<div style="font-size:85%;opacity:.8">${left}</div>`) +
    (data ? `<script type="application/json">${scriptJson(data)}</script>` : "") + `</div>`;
}

/** How a sheet is drawn. */
export interface SheetDrawing {
  /** Gives the address of a picture. */
  address: (pixels: Pixels) => string;
  theme: Theme;
  /** The width of all. @default 936 */
  room?: number;
}

/** The sheet as a drawing. */
export function drawSheet(
  type: Typesetter,
  sheet: Sheet,
  { address, theme, room }: SheetDrawing,
): Drawing {
  const { side, tiles } = sheet;
  const across = ((room ?? WIDTH + 2 * EDGE) - 2 * EDGE + GAP) / (side + GAP);
  // In a room of its own a sheet that is a little too wide is drawn smaller as a whole.
  const fitting = Math.max(1, room === undefined ? Math.floor(across) : Math.round(across));
  const columns = Math.min(tiles.length, sheet.columns ?? fitting);
  const parts: string[] = [];
  const broken = (lines: readonly string[]) =>
    lines.flatMap((line, i) => {
      const weight = i === 0 ? "bold" as const : "regular" as const;
      const color = i === 0 ? theme.ink : theme.softInk;
      return type.wrap(line, SIZE, side, weight).map((text) => ({ text, color, weight }));
    });
  let top = EDGE;
  for (let start = 0; start < tiles.length; start += columns) {
    const row = tiles.slice(start, start + columns).map((tile) => ({ ...tile, words: broken(tile.lines) }));
    const tall = tallest(tiles.slice(start, start + columns), side);
    row.forEach(({ pixels, words, outlined, texts }, i) => {
      const [width, height] = shown(pixels, side);
      const x = EDGE + i * (side + GAP);
      const y = top + tall - height;
      const at = `x="${x}" y="${y}" width="${width}" height="${height}"`;
      parts.push(`<image ${at} image-rendering="pixelated" href="${address(pixels)}"/>`);
      if (outlined) {
        const around = `x="${x - 1.5}" y="${y - 1.5}" width="${width + 3}" height="${height + 3}"`;
        parts.push(`<rect ${around} fill="none" stroke="${OUTLINE}" stroke-width="3"/>`);
      }
      for (const one of texts ?? []) {
        const [left, above] = [x + one.x * width / pixels.width, y + one.y * height / pixels.height];
        if (one.painted) {
          const wide = type.measure(one.text, SMALL) + 4;
          parts.push(
            `<rect x="${left}" y="${above}" width="${wide}" height="${TEXT}" fill="#000" fill-opacity=".62"/>`,
          );
        }
        const color = one.painted ? "#ffffff" : theme.softInk;
        parts.push(type.text(one.text, left + (one.painted ? 2 : 0), above + SMALL, { size: SMALL, color }));
      }
      words.forEach(({ text, color, weight }, j) => {
        parts.push(type.text(text, x, top + tall + 5 + j * LINE + SIZE, { size: SIZE, color, weight }));
      });
    });
    top += tall + 5 + row.reduce((most, { words }) => Math.max(most, words.length), 0) * LINE + GAP;
  }
  const left = leftOfSheet(sheet);
  if (left) parts.push(type.text(left, EDGE, top + SIZE - 6, { size: SIZE, color: theme.softInk }));
  return {
    svg: parts.join(""),
    width: 2 * EDGE + columns * (side + GAP) - GAP,
    height: top + (left ? 8 : -GAP) + EDGE,
  };
}
