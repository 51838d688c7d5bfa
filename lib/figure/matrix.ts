/**
 * A matrix of counts that one can read: numbers in cells, shaded by their share of the row.
 *
 * @module
 */

import { escapeHtml } from "../format.ts";
import type { Drawing, Matrix, MatrixCell } from "./blocks.ts";
import type { Typesetter } from "./text.ts";
import type { Theme } from "./theme.ts";

/** Blue where row and column are one class, orange elsewhere: as `r, g, b`. */
const RIGHT = "59,130,196";
const WRONG = "224,122,20";
const LINES = "rgba(128,128,128,.35)";
const SIZE = 12;
const CELL = { width: 38, height: 24 };
/** Names wider than this stand upright above their columns, and longer ones are cut. */
const FLAT = 34;
const LONGEST = 150;
/** A name has about so many pixels a letter, where nothing measures it. */
const LETTER = 6.6;

/** How strong a cell is shaded; the smallest counts are still seen. */
const strength = ({ share }: MatrixCell) => share > 0 ? 0.12 + 0.6 * share : 0;
const textOf = ({ text, count }: MatrixCell) => text ?? count.toLocaleString("en-US");
const colorOf = (cell: MatrixCell) => cell.right ? RIGHT : WRONG;

/** The matrix as HTML: a table whose cells name what they count under the pointer. */
export function matrixHtml({ rows, columns, cells, corner, sides }: Matrix): string {
  const upright = columns.some((name) => name.length * LETTER > FLAT);
  const bare = "border:none;padding:2px 6px;font-weight:400;";
  const head = columns.map((name) => {
    const words = `<span style="display:inline-block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;` +
      (upright ? `writing-mode:vertical-rl;transform:rotate(180deg);max-height:${LONGEST}px` : "") +
      `">${escapeHtml(name)}</span>`;
    return `<th style="${bare}text-align:center;vertical-align:bottom" title="${escapeHtml(name)}">${words}</th>`;
  });
  const side = sides.map(({ title }) =>
    `<th style="${bare}text-align:right;vertical-align:bottom">${escapeHtml(title)}</th>`
  );
  const body = rows.map((name, y) => {
    const own = cells[y].map((cell) =>
      `<td title="${escapeHtml(cell.words)}" style="border:1px solid ${LINES};padding:2px;text-align:center;` +
      `min-width:${CELL.width - 6}px;height:${CELL.height - 6}px;` +
      `background-color:rgba(${colorOf(cell)},${strength(cell).toFixed(2)})${cell.count ? "" : ";opacity:.45"}">` +
      `${escapeHtml(textOf(cell))}</td>`
    );
    const beside = sides.map(({ texts }) => `<td style="${bare}text-align:right">${escapeHtml(texts[y])}</td>`);
    return `<tr style="background:none"><th style="${bare}text-align:right;max-width:${LONGEST}px;overflow:hidden;` +
      `text-overflow:ellipsis;white-space:nowrap" title="${escapeHtml(name)}">${escapeHtml(name)}</th>` +
      `${own.join("")}${beside.join("")}</tr>`;
  });
  return `<div style="overflow:auto;max-width:100%"><table style="border-collapse:collapse;margin:4px 0;` +
    `font-size:${SIZE}px;white-space:nowrap;overflow-wrap:normal;font-variant-numeric:tabular-nums"><thead><tr style="background:none">` +
    `<th style="${bare}text-align:right;vertical-align:bottom;opacity:.8">${escapeHtml(corner)}</th>` +
    `${head.join("")}${side.join("")}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** The matrix as a drawing. */
export function drawMatrix(
  type: Typesetter,
  { rows, columns, cells, corner, sides }: Matrix,
  { ink, softInk, frame, faint }: Theme,
): Drawing {
  const clip = (text: string) => type.clip(text, SIZE, LONGEST);
  const measure = (text: string) => type.measure(text, SIZE);
  const most = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, measure(text)), 0);
  const [down, across] = [rows.map(clip), columns.map(clip)];
  const upright = most(across) > FLAT;
  const counts = cells.map((row) => row.map(textOf));
  const width = Math.max(CELL.width, Math.ceil(most(counts.flat())) + 10);
  const left = Math.ceil(Math.max(most(down), measure(corner))) + 8;
  const top = Math.ceil(upright ? most(across) : SIZE) + 12;
  const parts: string[] = [];
  const write = (text: string, x: number, y: number, color = ink) =>
    parts.push(type.text(text, x, y, { size: SIZE, color }));
  write(corner, left - 8 - measure(corner), top - 8, softInk);
  across.forEach((name, x) => {
    const middle = left + (x + 0.5) * width;
    if (!upright) return write(name, middle - measure(name) / 2, top - 8);
    const words = type.text(name, 0, 0, { size: SIZE, color: ink });
    parts.push(`<g transform="translate(${middle + SIZE / 3} ${top - 8}) rotate(-90)">${words}</g>`);
  });
  cells.forEach((row, y) => {
    const at = top + y * CELL.height;
    write(down[y], left - 8 - measure(down[y]), at + 16);
    row.forEach((cell, x) => {
      const place = `x="${left + x * width}" y="${at}" width="${width}" height="${CELL.height}"`;
      parts.push(
        `<rect ${place} fill="rgb(${colorOf(cell)})" fill-opacity="${strength(cell).toFixed(2)}" stroke="${faint}"/>`,
      );
      const text = counts[y][x];
      write(text, left + (x + 0.5) * width - measure(text) / 2, at + 16, cell.count ? ink : frame);
    });
  });
  let right = left + columns.length * width;
  for (const { title, texts } of sides) {
    right += Math.ceil(most([title, ...texts])) + 16;
    write(title, right - measure(title), top - 8);
    texts.forEach((text, y) => write(text, right - measure(text), top + y * CELL.height + 16));
  }
  return { svg: parts.join(""), width: right + 2, height: top + rows.length * CELL.height + 2 };
}
