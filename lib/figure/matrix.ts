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

/** With more columns than this cells hold no numbers, and are as small as names can be read. */
const MOST_NUMBERED = 30;
const DENSE = { cell: 11, size: 9.5, letter: 5.4, name: 130, side: 52 };
/** Every second line is a little darker, to follow it. */
const STRIPE = "128,128,128";
const STRIPES = 0.09;

/** How strong a cell is shaded; the smallest counts are still seen. */
const strength = ({ share }: MatrixCell) => share > 0 ? 0.12 + 0.6 * share : 0;
const textOf = ({ text, count }: MatrixCell) => text ?? count.toLocaleString("en-US");
const colorOf = (cell: MatrixCell) => cell.right ? RIGHT : WRONG;

/** Whether there is no room for numbers. */
const isDense = ({ columns }: Matrix) => columns.length > MOST_NUMBERED;

/** A matrix of many classes as HTML: cells of colour alone, which name what they count under the pointer. */
function denseHtml({ rows, columns, cells, corner, sides }: Matrix): string {
  const { cell, size, letter, name, side } = DENSE;
  const bare = "border:none;padding:0;font-weight:400;";
  const clipped = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap";
  const long = (texts: readonly string[]) =>
    Math.min(name, 8 + letter * Math.max(...texts.map(({ length }) => length)));
  const left = Math.round(long([...rows, corner]));
  const top = Math.round(long(columns));
  const width = left + columns.length * cell + sides.length * side;
  const head = columns.map((text) =>
    `<th title="${escapeHtml(text)}" style="${bare}vertical-align:bottom"><span style="display:block;width:${cell}px;` +
    `height:${top}px;line-height:${cell}px;writing-mode:vertical-rl;transform:rotate(180deg);${clipped}">${
      escapeHtml(text)
    }</span></th>`
  );
  const titles = sides.map(({ title }) =>
    `<th style="${bare}text-align:right;vertical-align:bottom">${escapeHtml(title)}</th>`
  );
  const body = rows.map((text, y) => {
    const own: string[] = [];
    // Cells that count nothing say nothing: a run of them is one.
    for (let x = 0; x < columns.length;) {
      let end = x;
      while (end < columns.length && cells[y][end].count === 0) end++;
      if (end > x) own.push(`<td colspan="${end - x}" style="${bare}"></td>`);
      if (end < columns.length) {
        const one = cells[y][end];
        own.push(
          `<td title="${escapeHtml(one.words)}" style="${bare}background:rgba(${colorOf(one)},${
            strength(one).toFixed(2)
          })"></td>`,
        );
      }
      x = end + 1;
    }
    const beside = sides.map(({ texts }) => `<td style="${bare}text-align:right">${escapeHtml(texts[y])}</td>`);
    return `<tr style="height:${cell}px;background:${y % 2 ? `rgba(${STRIPE},${STRIPES})` : "none"}">` +
      `<th title="${escapeHtml(text)}" style="${bare}padding-right:4px;text-align:right;${clipped}">${
        escapeHtml(text)
      }</th>${own.join("")}${beside.join("")}</tr>`;
  });
  return `<div style="overflow:auto;max-width:100%"><table style="border-collapse:collapse;table-layout:fixed;` +
    `width:${width}px;margin:4px 0;font-size:${size}px;line-height:${cell}px;font-variant-numeric:tabular-nums">` +
    `<colgroup><col style="width:${left}px"><col span="${columns.length}" style="width:${cell}px"><col span="${
      Math.max(1, sides.length)
    }" style="width:${side}px"></colgroup><thead><tr style="background:none"><th style="${bare}padding-right:4px;` +
    `text-align:right;vertical-align:bottom;opacity:.8;${clipped}">${escapeHtml(corner)}</th>${head.join("")}${
      titles.join("")
    }</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** A matrix of many classes as a drawing. */
function drawDense(
  type: Typesetter,
  { rows, columns, cells, corner, sides }: Matrix,
  { ink, softInk }: Theme,
): Drawing {
  const { cell, size, name } = DENSE;
  const clip = (text: string) => type.clip(text, size, name);
  const measure = (text: string) => type.measure(text, size);
  const most = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, measure(text)), 0);
  const [down, across] = [rows.map(clip), columns.map(clip)];
  const left = Math.ceil(Math.max(most(down), measure(corner))) + 6;
  const top = Math.ceil(most(across)) + 8;
  const inside = columns.length * cell;
  const parts: string[] = [];
  const write = (text: string, x: number, y: number, color = ink) => parts.push(type.text(text, x, y, { size, color }));
  write(corner, left - 6 - measure(corner), top - 4, softInk);
  across.forEach((text, x) => {
    const at = `translate(${left + (x + 0.5) * cell + size / 3} ${top - 4}) rotate(-90)`;
    parts.push(`<g transform="${at}">${type.text(text, 0, 0, { size, color: ink })}</g>`);
  });
  cells.forEach((row, y) => {
    const at = top + y * cell;
    if (y % 2) {
      parts.push(
        `<rect x="${left}" y="${at}" width="${inside}" height="${cell}" fill="rgb(${STRIPE})" fill-opacity="${STRIPES}"/>`,
      );
    }
    write(down[y], left - 6 - measure(down[y]), at + cell - 2);
    row.forEach((one, x) => {
      if (one.count === 0) return;
      parts.push(
        `<rect x="${left + x * cell}" y="${at}" width="${cell}" height="${cell}" fill="rgb(${colorOf(one)})" ` +
          `fill-opacity="${strength(one).toFixed(2)}"/>`,
      );
    });
  });
  let right = left + inside;
  for (const { title, texts } of sides) {
    right += Math.ceil(most([title, ...texts])) + 10;
    write(title, right - measure(title), top - 4);
    texts.forEach((text, y) => write(text, right - measure(text), top + (y + 1) * cell - 2));
  }
  return { svg: parts.join(""), width: right + 2, height: top + rows.length * cell + 2 };
}

/** The matrix as HTML: a table whose cells name what they count under the pointer. */
export function matrixHtml(matrix: Matrix): string {
  if (isDense(matrix)) return denseHtml(matrix);
  const { rows, columns, cells, corner, sides } = matrix;
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
export function drawMatrix(type: Typesetter, matrix: Matrix, theme: Theme): Drawing {
  if (isDense(matrix)) return drawDense(type, matrix, theme);
  const { rows, columns, cells, corner, sides } = matrix;
  const { ink, softInk, frame, faint } = theme;
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
