/**
 * A figure as HTML that any notebook shows: plain elements with inline styles and an `<img>` for each
 * picture, so that nothing is lost where scripts and style sheets are stripped.
 *
 * @module
 */

import { escapeHtml, jsonAttribute, scriptJson } from "../format.ts";
import type { Bars, Blend, Block, Chart, Live, Picture, Slides, Table } from "./blocks.ts";
import scripts from "../page/bundle.json" with { type: "json" };
import type { BlendData, ChartHover, PictureHover, SlidesData } from "../page/data.ts";
import { matrixHtml } from "./matrix.ts";
import type { Pixels } from "./mosaic.ts";
import { composite, DEFAULT_OPACITY, leftText, linesOf, startOf, whereText, within } from "./parts.ts";
import { isLiveSheet, sheetHtml } from "./sheet.ts";
import { packValues } from "./values.ts";

/** Colours that are readable on a light and on a dark page. */
const BAR = "#3b82c4";
const FAINT = "rgba(128,128,128,.35)";

/** A chart as the page needs it. */
export interface ChartImage {
  png: Uint8Array;
  width: number;
  height: number;
  hover: ChartHover;
}

/** A drawing that comes to life, as the page needs it. */
export interface LiveImage {
  picture: Uint8Array;
  width: number;
  height: number;
  html: string;
}

/** The pictures of a figure, ready to be shown. */
export interface Encoded {
  /** As PNG or WebP; of a blend the photo, the map and both together. */
  pixels: ReadonlyMap<Pixels, Uint8Array>;
  charts: ReadonlyMap<Chart, ChartImage>;
  live: ReadonlyMap<Live, LiveImage>;
  /** What tiles of sheets were cut from, for the pointer. */
  wholes: ReadonlyMap<Pixels, Uint8Array>;
}

/** What the blocks of one figure need while they are written. */
interface Context extends Encoded {
  /** The number of each picture that another block marks, or is made of. */
  marked: ReadonlyMap<Picture, number>;
  /** The pictures of the page that a blend may be made of, by their address. */
  shown: ReadonlyMap<string, Picture>;
  /** The place of each whole among those of the figure. */
  places: ReadonlyMap<Pixels, number>;
}

/** The HTML of a whole figure. */
export function figureHtml(
  figure: { title: string; caption: string; blocks: readonly Block[] },
  encoded: Encoded,
): string {
  const blocks = [...within(figure.blocks)];
  const marked = new Map<Picture, number>();
  for (const block of blocks) {
    if (block.kind === "picture" && block.marks && !marked.has(block.marks.on)) marked.set(block.marks.on, marked.size);
  }
  const shown = new Map<string, Picture>();
  const belowOf = (blend: Blend) => dataUri(encoded.pixels.get(blend.below)!);
  const below = new Set(blocks.flatMap((block) => block.kind === "blend" ? [belowOf(block)] : []));
  for (const block of below.size > 0 ? outsideSlides(figure.blocks) : []) {
    if (block.kind !== "picture") continue;
    const address = dataUri(encoded.pixels.get(block.pixels)!);
    if (!below.has(address) || shown.has(address)) continue;
    shown.set(address, block);
    if (!marked.has(block)) marked.set(block, marked.size);
  }
  const places = new Map(Array.from(encoded.wholes.keys(), (whole, place) => [whole, place] as const));
  const context = { ...encoded, marked, shown, places };
  const parts = [
    `<figure class="convlens" style="margin:4px 0 8px 0;padding:0;max-width:100%;overflow-wrap:anywhere">`,
  ];
  parts.push(`<div style="font-weight:600;margin:0 0 6px 0">${escapeHtml(figure.title)}</div>`);
  for (const block of figure.blocks) parts.push(blockHtml(block, context));
  if (figure.caption) {
    const caption = escapeHtml(figure.caption).replaceAll("\n", "<br>");
    parts.push(
      `<figcaption style="font-size:90%;opacity:.8;margin:6px 0 0 0;max-width:930px;text-align:left">${caption}</figcaption>`,
    );
  }
  const wholes = [...encoded.wholes.values()].map(dataUri);
  if (wholes.length > 0) {
    parts.push(`<script type="application/json" class="convlens-wholes">${scriptJson(wholes)}</script>`);
  }
  parts.push("</figure>");
  if (blocks.some(hasHover)) parts.push(`<script>${scripts.hover}</script>`);
  if (blocks.some(isControlled)) {
    parts.push(`<script>${scripts.controls}</script>`);
  }
  return parts.join("\n");
}

/** A button that posts to the kernel, by a script: where none runs there is no button. */
export function stopButtonHtml({ text, url, signal }: { text: string; url: string; signal: AbortSignal }): string {
  if (signal.aborted) return `<div style="margin:4px 0">Stopping …</div>`;
  return `<div class="convlens-stop" data-url="${escapeHtml(url)}" data-label="${escapeHtml(text)}" ` +
    `style="margin:4px 0"></div><script>${scripts.stop}</script>`;
}

/** What is in the page before the frames of slides are made. */
function outsideSlides(blocks: readonly Block[]): Block[] {
  return blocks.flatMap((block) => block.kind === "row" ? outsideSlides(block.blocks) : [block]);
}

function hasHover(block: Block): boolean {
  if (block.kind === "picture") return block.grid !== undefined || block.values !== undefined;
  return block.kind === "chart" || (block.kind === "blend" && block.values !== undefined);
}

/** Whether the reader can move something in it. */
function isControlled(block: Block): boolean {
  if (block.kind === "sheet") return isLiveSheet(block);
  return block.kind === "slides" || block.kind === "blend";
}

function innerHtml(block: Block, context: Context): string {
  switch (block.kind) {
    case "picture":
      return pictureHtml(block, context);
    case "bars":
      return barsHtml(block);
    case "table":
      return tableHtml(block);
    case "chart":
      return chartHtml(block, context);
    case "slides":
      return slidesHtml(block, context);
    case "blend":
      return blendHtml(block, context);
    case "live":
      return liveHtml(block, context);
    case "matrix":
      return matrixHtml(block);
    case "sheet":
      return sheetHtml(
        block,
        (pixels) => dataUri(context.pixels.get(pixels)!),
        (whole) => context.places.get(whole)!,
      );
    case "row":
      return linesOf(block).map((line, i) =>
        `<div style="display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start${i > 0 ? ";margin-top:4px" : ""}">${
          line.map((child) => blockHtml(child, context)).join("\n")
        }</div>`
      ).join("\n");
  }
}

function blockHtml(block: Block, context: Context): string {
  const heading = block.heading
    ? `<div style="font-weight:600;font-size:95%;margin:10px 0 2px 0">${escapeHtml(block.heading)}</div>`
    : "";
  const small = (text: string) => `<div style="font-size:85%;opacity:.8;margin:0 0 4px 0">${escapeHtml(text)}</div>`;
  const left = block.kind === "picture" && block.grid?.left ? small(leftText(block.grid)) : "";
  const note = (block.note ? small(block.note) : "") + left;
  return `<div style="margin:0 0 4px 0">${heading}${note}${innerHtml(block, context)}</div>`;
}

/** The address of a PNG or a WebP. */
const dataUri = (bytes: Uint8Array) => `data:image/${bytes[0] === 0x89 ? "png" : "webp"};base64,${bytes.toBase64()}`;

/** An image of pixels, never blurred; `hover` is what the hover's script reads of it. */
function imageHtml(
  { pixels, png, alt, hover, number, marked = {} }: {
    pixels: Pixels;
    png: Uint8Array;
    alt: string;
    hover?: PictureHover;
    number?: number;
    marked?: Record<string, Uint8Array>;
  },
): string {
  const { width, height } = pixels;
  return `<img src="${dataUri(png)}" alt="${escapeHtml(alt)}" width="${width}" height="${height}"` +
    (hover ? ` data-convlens='${jsonAttribute(hover)}'` : "") +
    (number === undefined ? "" : ` data-picture="${number}"`) +
    Object.entries(marked).map(([where, png]) => ` data-${where}="${dataUri(png)}"`).join("") +
    ` style="image-rendering:pixelated;max-width:100%;height:auto;margin:0;display:block">`;
}

function pictureHtml(picture: Picture, { pixels: encoded, marked }: Context): string {
  const { pixels, alt, grid, values, marks } = picture;
  const hover: PictureHover = {
    ...(grid && {
      columns: grid.columns,
      tile: grid.tile,
      ...(grid.gutter !== undefined && { gutter: grid.gutter }),
      labels: grid.labels,
    }),
    ...(values && { values: packValues(values) }),
    ...(marks && { marks: { on: marked.get(marks.on), boxes: marks.boxes, fill: marks.fill } }),
  };
  return imageHtml({
    pixels,
    png: encoded.get(pixels)!,
    alt,
    hover: grid || values ? hover : undefined,
    number: marked.get(picture),
    marked: Object.fromEntries(
      Object.entries(picture.marked ?? {}).map(([where, pixels]) => [where, encoded.get(pixels)!]),
    ),
  });
}

function chartHtml(chart: Chart, { charts }: Context): string {
  const { png, width, height, hover } = charts.get(chart)!;
  return `<img src="${dataUri(png)}" alt="${escapeHtml(chart.alt)}" width="${width}" height="${height}" ` +
    `data-convlens='${jsonAttribute(hover)}' style="max-width:100%;height:auto;margin:0;display:block">`;
}

function liveHtml(block: Live, { live }: Context): string {
  const { picture, width, height, html } = live.get(block)!;
  return `<div class="${block.className}"><img src="${dataUri(picture)}" alt="${
    escapeHtml(block.alt)
  }" width="${width}" ` +
    `height="${height}" style="max-width:100%;height:auto;margin:0;display:block">${html}</div>`;
}

function slidesHtml(slides: Slides, context: Context): string {
  const start = startOf(slides);
  const where = slides.frames.map((_, index) => whereText(slides, index));
  const frames = slides.frames.map(({ block }, index) => index === start ? null : blockHtml(block, context));
  const data: SlidesData = { start, labels: where, frames };
  return `<div class="convlens-slides" data-label="${escapeHtml(slides.label)}">` +
    `<div class="convlens-where" style="font-size:90%;margin:0 0 4px 0;font-variant-numeric:tabular-nums">${
      escapeHtml(where[start])
    }</div>` +
    `<div class="convlens-frames"><div>${blockHtml(slides.frames[start].block, context)}</div></div>` +
    `<script type="application/json">${scriptJson(data)}</script></div>`;
}

function blendHtml(blend: Blend, { pixels: encoded, shown, marked }: Context): string {
  const { below, above, values, alt, opacity = DEFAULT_OPACITY } = blend;
  const pixels = composite(blend);
  const hover = values && { values: packValues(values) };
  const address = dataUri(encoded.get(below)!);
  const twin = shown.get(address);
  const data: BlendData = {
    below: twin ? marked.get(twin)! : address,
    above: dataUri(encoded.get(above)!),
    opacity,
  };
  return `<div class="convlens-blend">${imageHtml({ pixels, png: encoded.get(pixels)!, alt, hover })}` +
    `<script type="application/json">${scriptJson(data)}</script></div>`;
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
