/**
 * A figure as HTML that any notebook shows: plain elements with inline styles and an `<img>` for each
 * picture, so that nothing is lost where scripts and style sheets are stripped.
 *
 * @module
 */

import type { Bars, Block, Picture, Table } from "./blocks.ts";
import { HOVER_SCRIPT } from "./hover.ts";

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for HTML, as content and as the value of a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

/** JSON for an attribute in single quotes: its own double quotes stay readable and short. */
function jsonAttribute(value: unknown): string {
  return JSON.stringify(value).replace(/[&<>']/g, (character) => ENTITIES[character]);
}

/** Colours that are readable on a light and on a dark page. */
const BAR = "#3b82c4";
const FAINT = "rgba(128,128,128,.35)";

/** Bytes as base64 text. */
export function base64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

/**
 * The HTML of a whole figure.
 *
 * @param encoded the PNG of each picture of the figure
 */
export function figureHtml(
  figure: { title: string; caption: string; blocks: readonly Block[] },
  encoded: ReadonlyMap<Picture, Uint8Array>,
): string {
  const parts = [
    `<figure class="convlens" style="margin:4px 0 8px 0;padding:0;max-width:100%;overflow-wrap:anywhere">`,
  ];
  parts.push(`<div style="font-weight:600;margin:0 0 6px 0">${escapeHtml(figure.title)}</div>`);
  parts.push(...figure.blocks.map((block) => blockHtml(block, encoded)));
  if (figure.caption) {
    const caption = escapeHtml(figure.caption).replaceAll("\n", "<br>");
    parts.push(
      `<figcaption style="font-size:90%;opacity:.8;margin:6px 0 0 0;max-width:930px;text-align:left">${caption}</figcaption>`,
    );
  }
  parts.push("</figure>");
  if (encoded.keys().some((picture) => picture.grid)) parts.push(`<script>${HOVER_SCRIPT}</script>`);
  return parts.join("\n");
}

function blockHtml(block: Block, encoded: ReadonlyMap<Picture, Uint8Array>): string {
  const inner = block.kind === "picture"
    ? pictureHtml(block, encoded.get(block)!)
    : block.kind === "bars"
    ? barsHtml(block)
    : block.kind === "table"
    ? tableHtml(block)
    : `<div style="display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start">${
      block.blocks.map((child) => blockHtml(child, encoded)).join("\n")
    }</div>`;
  const heading = block.heading
    ? `<div style="font-weight:600;font-size:95%;margin:10px 0 2px 0">${escapeHtml(block.heading)}</div>`
    : "";
  const note = block.note
    ? `<div style="font-size:85%;opacity:.8;margin:0 0 4px 0">${escapeHtml(block.note)}</div>`
    : "";
  return `<div style="margin:0 0 4px 0">${heading}${note}${inner}</div>`;
}

function pictureHtml(picture: Picture, png: Uint8Array): string {
  const { width, height } = picture.pixels;
  const grid = picture.grid
    ? ` data-convlens='${
      jsonAttribute({ columns: picture.grid.columns, tile: picture.grid.tile, labels: picture.grid.labels })
    }'`
    : "";
  return `<img src="data:image/png;base64,${base64(png)}" alt="${escapeHtml(picture.alt)}" width="${width}" ` +
    `height="${height}"${grid} style="image-rendering:pixelated;max-width:100%;height:auto;margin:0;display:block">`;
}

function barsHtml(bars: Bars): string {
  const rows = bars.rows.map(({ label, value, text }) =>
    `<tr style="background:none"><td style="text-align:right;padding:3px 8px 3px 0;border:none"><div style="max-width:320px;overflow-wrap:break-word">${
      escapeHtml(label)
    }</div></td><td style="width:${bars.width}px;padding:3px 0;border:none">` +
    `<div style="background-color:${FAINT};height:14px;min-width:60px">` +
    `<div style="background-color:${BAR};height:14px;width:${
      (100 * Math.min(1, Math.max(0, value))).toFixed(2)
    }%"></div>` +
    `</div></td><td style="text-align:right;padding:3px 8px;border:none;white-space:nowrap;font-variant-numeric:tabular-nums">${
      escapeHtml(text)
    }</td></tr>`
  );
  return `<table style="border-collapse:collapse;border:none;margin:0;font-size:100%"><tbody>${
    rows.join("")
  }</tbody></table>`;
}

function tableHtml(table: Table): string {
  const align = (column: number) => table.columns[column].align ?? "left";
  const cell = (tag: string, text: string, column: number, style: string) =>
    `<${tag} style="text-align:${align(column)};padding:2px ${column === table.columns.length - 1 ? 4 : 20}px 2px 0;` +
    `border:none;${style}">${escapeHtml(text)}</${tag}>`;
  const head = table.columns.map(({ title }, i) => cell("th", title, i, `border-bottom:1px solid ${FAINT}`)).join("");
  const body = table.rows.map((row) =>
    `<tr style="background:none">${row.map((text, i) => cell("td", text, i, "")).join("")}</tr>`
  );
  return `<div style="max-height:420px;margin-top:6px;overflow:auto;display:inline-block;max-width:100%">` +
    `<table style="border-collapse:collapse;margin:0;font-size:90%;overflow-wrap:normal"><thead><tr>${head}</tr></thead>` +
    `<tbody>${body.join("")}</tbody></table></div>`;
}
