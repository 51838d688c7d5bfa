/**
 * A whole figure, words and all, laid out as one drawing: for slides, papers and whatever shows no HTML.
 *
 * @module
 */

import type { Bars, Block, Chart, Drawing, Live, Print, Row, Sheet, Table } from "./blocks.ts";
import { drawChart } from "./chart.ts";
import { CHART } from "./chart_layout.ts";
import { drawMatrix } from "./matrix.ts";
import type { Pixels } from "./mosaic.ts";
import { composite, leftText, linesOf, liveWithin, mapOf, startOf, whereText } from "./parts.ts";
import { drawSheet } from "./sheet.ts";
import type { Typesetter, Weight } from "./text.ts";
import type { Theme } from "./theme.ts";

export const MARGIN = 12;
const GAP = 20;
const BETWEEN = 8;
/** Longer labels and cells of a table are cut to this width. */
const WIDEST_TEXT = 320;
/** Of a longer table the first and the last rows are drawn. */
const FIRST_ROWS = 30;
const LAST_ROWS = 10;
/** Words are wrapped to this width, or to the width of the widest picture where that is more. */
const LEAST_WIDTH = 480;
/** What would make a figure taller is left out, and a line says so: much taller pictures cannot be drawn at all. */
const TALLEST = 12_000;
/** A larger picture is drawn smaller, and a line says so; a wider row is broken. */
const LARGEST = { width: 6_000, height: 10_500 };
/** Longer titles, captions and notes are cut. */
const MOST_LETTERS = 6_000;
/** A figure that is larger all the same, for its words, is drawn smaller as a whole. */
export const LARGEST_DRAWING = 30_000;
/** Where there is little room, what is side by side is drawn smaller, down to this share, before it is broken into lines. */
const SMALLER = 0.6;
/** Under a heading or a note, a piece has so much room. */
const LEAST_WORDS = 90;
/** A grid of tiles that is narrower than its room is enlarged by this factor at most, where that leaves no uneven cells. */
const FILL = 1.5;
const FINE = 2;
/** A chart that has more room is wider by this factor at most. */
const WIDER = 1.6;
/** The least width of a full bar, and the most of the room that labels beside bars take. */
const LEAST_BAR = 60;
const LABEL_SHARE = 0.45;

/** A piece that knows its size and draws itself at a place. */
interface Piece {
  width: number;
  height: number;
  draw(x: number, y: number): string;
}

/** The largest of any number of widths or heights; 0 of none. */
const widest = (lengths: readonly number[]) => lengths.reduce((most, length) => Math.max(most, length), 0);

const sum = (lengths: readonly number[]) => lengths.reduce((all, length) => all + length, 0);

/** Lines of words, which begin at a place or end at it. */
interface Words extends Piece {
  drawTo(right: number, y: number): string;
}

function words(type: Typesetter, lines: string[], size: number, color: string, weight: Weight = "regular"): Words {
  const step = Math.round(size * 1.4);
  const drawLines = (xOf: (line: string) => number, y: number) =>
    lines.map((line, i) => type.text(line, xOf(line), y + i * step + size, { size, color, weight })).join("");
  return {
    width: Math.ceil(widest(lines.map((line) => type.measure(line, size, weight)))),
    height: step * lines.length,
    draw: (x, y) => drawLines(() => x, y),
    drawTo: (right, y) => drawLines((line) => right - type.measure(line, size, weight), y),
  };
}

/** Words in as many lines as they need. */
function wrapped(type: Typesetter, text: string, size: number, width: number, color: string, weight?: Weight): Words {
  const whole = text.length <= MOST_LETTERS ? text : `${text.slice(0, MOST_LETTERS)} …`;
  return words(type, type.wrap(whole, size, width, weight), size, color, weight);
}

function stack(pieces: Piece[], gap: number): Piece {
  return {
    width: widest(pieces.map(({ width }) => width)),
    height: sum(pieces.map(({ height }) => height)) + gap * Math.max(0, pieces.length - 1),
    draw(x, y) {
      let at = y;
      return pieces.map((piece) => {
        const drawn = piece.draw(x, at);
        at += piece.height + gap;
        return drawn;
      }).join("");
    },
  };
}

/** What a figure is drawn with. */
export interface DrawOptions {
  type: Typesetter;
  theme: Theme;
  /** A picture as a PNG. */
  encode: (pixels: Pixels) => Promise<Uint8Array>;
  /** What comes to life elsewhere, standing still. */
  still: (block: Live, print: Print) => Promise<Drawing>;
  /** The width that all is laid out in, margins not counted. @default what the blocks take, wrapped at that */
  room?: number;
  /** Pixels of the file to one of a drawing of this width; Infinity where pictures are kept as they are. @default 1 */
  density?: (width: number) => number;
}

/** What the pieces of one figure share. */
interface Canvas extends Pick<DrawOptions, "type" | "theme"> {
  density: number;
  live: ReadonlyMap<Live, Drawing>;
  /** The pictures that pieces are made of, as PNG: filled before anything is drawn. */
  readonly encoded: Map<Pixels, Uint8Array>;
  used: Set<Pixels>;
}

/** A piece at most so wide: drawn smaller as a whole where it is wider. */
function fitted(piece: Piece, room = Infinity): Piece {
  if (piece.width <= room) return piece;
  const factor = room / piece.width;
  return {
    width: room,
    height: piece.height * factor,
    draw: (x, y) => `<g transform="translate(${x} ${y}) scale(${factor})">${piece.draw(0, 0)}</g>`,
  };
}

function picture(canvas: Canvas, pixels: Pixels, room = Infinity, most = 1): Piece {
  const { type, theme } = canvas;
  canvas.used.add(pixels);
  const largest = Math.min(LARGEST.width / pixels.width, LARGEST.height / pixels.height);
  const factor = Math.min(most, largest, room / pixels.width);
  const [width, height] = [pixels.width, pixels.height].map((length) => Math.max(1, Math.round(length * factor)));
  const piece: Piece = {
    width,
    height,
    // Sharp pixels, but where some would be lost.
    draw: (x, y) =>
      `<image x="${x}" y="${y}" width="${width}" height="${height}" ` +
      (factor * canvas.density >= 1 ? 'image-rendering="pixelated"' : "") +
      (factor === 1 ? "" : ' preserveAspectRatio="none"') +
      ` href="data:image/png;base64,${canvas.encoded.get(pixels)!.toBase64()}"/>`,
  };
  if (largest >= 1) return piece;
  const note = `Drawn smaller: ${width}×${height} of ${pixels.width}×${pixels.height} pixels.`;
  return stack([words(type, [note], 12, theme.softInk), piece], 4);
}

function contactSheet({ type, theme, used, encoded }: Canvas, block: Sheet, room?: number): Piece {
  block.tiles.forEach(({ pixels }) => used.add(pixels));
  const draw = (address: (pixels: Pixels) => string) => drawSheet(type, block, { address, theme, room });
  const { width, height } = draw(() => "");
  return {
    width,
    height,
    draw: (x, y) => placed(draw((pixels) => `data:image/png;base64,${encoded.get(pixels)!.toBase64()}`)).draw(x, y),
  };
}

function placed({ width, height, svg }: Drawing): Piece {
  return { width, height, draw: (x, y) => `<g transform="translate(${x} ${y})">${svg}</g>` };
}

/** The first and the last of many rows; all of few. */
function cut<Row>(rows: readonly Row[]): [first: readonly Row[], last: readonly Row[]] {
  if (rows.length - FIRST_ROWS - LAST_ROWS <= 1) return [rows, []];
  return [rows.slice(0, FIRST_ROWS), rows.slice(-LAST_ROWS)];
}

function bars({ type, theme }: Canvas, block: Bars, room = Infinity): Piece {
  const size = 13;
  const [first, last] = cut(block.rows);
  const shown = [...first, ...last];
  const most = Math.min(WIDEST_TEXT, room * LABEL_SHARE);
  const labels = shown.map(({ label }) => words(type, type.wrap(label, size, most), size, theme.ink));
  const labelWidth = Math.min(most, widest(shown.map(({ label }) => type.measure(label, size))));
  const textWidth = widest(shown.map(({ text }) => type.measure(text, size)));
  const long = Math.max(LEAST_BAR, Math.min(block.width, room - labelWidth - textWidth - 20));
  const lines = shown.map(({ value, text }, i): Piece => ({
    width: Math.ceil(labelWidth + long + textWidth + 20),
    height: labels[i].height + 6,
    draw(x, y) {
      const label = labels[i];
      const left = x + labelWidth + 10;
      const top = y + (label.height - 14) / 2 + 3;
      const full = Math.min(1, Math.max(0, value)) * long;
      const end = left + long + 10 + textWidth;
      return label.drawTo(x + labelWidth, y + 4) +
        `<rect x="${left}" y="${top}" width="${long}" height="14" fill="${theme.faint}"/>` +
        `<rect x="${left}" y="${top}" width="${full}" height="14" fill="${theme.bar}"/>` +
        type.text(text, end - type.measure(text, size), top + 12, { size, color: theme.ink });
    },
  }));
  const left = block.rows.length - shown.length;
  const note = `The first ${first.length} and the last ${last.length}; ${left} are left out.`;
  return stack([stack(lines, 0), ...left ? [words(type, [note], 12, theme.softInk)] : []], 4);
}

function table({ type, theme }: Canvas, block: Table): Piece {
  const size = 12;
  const [first, last] = cut(block.rows);
  const left = block.rows.length - first.length - last.length;
  const gap = block.columns.map((_, column) => column === 0 ? `… ${left} rows left out …` : "");
  const heads = block.columns.map(({ title }) => words(type, [title], size, theme.ink, "bold"));
  const body = (left ? [...first, gap, ...last] : first)
    .map((row) => row.map((text) => words(type, type.wrap(text, size, WIDEST_TEXT), size, theme.ink)));
  const widths = heads.map(({ width }, column) => widest([width, ...body.map((row) => row[column].width)]));
  const width = sum(widths) + GAP * (widths.length - 1);
  const line = (cells: Words[]): Piece => ({
    width,
    height: widest(cells.map(({ height }) => height)) + 2,
    draw(x, y) {
      let at = x;
      return cells.map((cell, column) => {
        const right = block.columns[column].align === "right";
        const drawn = right ? cell.drawTo(at + widths[column], y + 2) : cell.draw(at, y + 2);
        at += widths[column] + GAP;
        return drawn;
      }).join("");
    },
  });
  const rule: Piece = {
    width,
    height: 4,
    draw: (x, y) => `<rect x="${x}" y="${y}" width="${width}" height="1" fill="${theme.softInk}"/>`,
  };
  return stack([line(heads), rule, ...body.map(line)], 0);
}

function chart({ type, theme }: Canvas, block: Chart, room?: number): Piece {
  if (room === undefined) return placed(drawChart(type, block, theme));
  const { width = CHART.width, height = CHART.height } = block;
  const factor = Math.min(WIDER, room / width);
  return placed(drawChart(type, {
    ...block,
    width: Math.round(width * factor),
    height: Math.round(height * Math.max(0.8, factor)),
  }, theme));
}

/** As many side by side as a row says; where there is no room for them, as many as there is room for. */
function row(canvas: Canvas, block: Row, room = Infinity): Piece {
  const narrow = room < Infinity;
  const widthOf = (child: Block) => {
    const natural = naturalWidth(canvas, child);
    return narrow ? Math.max(SMALLER * natural, child.heading || child.note ? LEAST_WORDS : 0) : natural;
  };
  const most = Math.min(room, LARGEST.width);
  let lines = linesOf(block);
  if (!block.unbroken && lines.some((line) => sum(line.map(widthOf)) + GAP * (line.length - 1) > most)) {
    lines = [[]];
    let used = 0;
    for (const child of block.blocks) {
      const width = widthOf(child);
      if (used > 0 && used + width > most) {
        lines.push([]);
        used = 0;
      }
      lines.at(-1)!.push(child);
      used += width + GAP;
    }
  }
  // Pieces of all lines are of one size.
  const across = widest(lines.map(({ length }) => length));
  const share = narrow ? (room - GAP * (across - 1)) / across : undefined;
  return stack(lines.map((line) => besideEachOther(line.map((child) => pieceOf(canvas, child, share)))), BETWEEN);
}

function besideEachOther(pieces: Piece[]): Piece {
  return {
    width: sum(pieces.map(({ width }) => width)) + GAP * Math.max(0, pieces.length - 1),
    height: widest(pieces.map(({ height }) => height)),
    draw(x, y) {
      let at = x;
      return pieces.map((piece) => {
        const drawn = piece.draw(at, y);
        at += piece.width + GAP;
        return drawn;
      }).join("");
    },
  };
}

/** How wide a block is where there is room. */
function naturalWidth(canvas: Canvas, block: Block): number {
  switch (block.kind) {
    case "picture":
      return Math.min(LARGEST.width, block.pixels.width);
    case "blend":
      return Math.min(LARGEST.width, block.below.width);
    case "chart":
      return block.width ?? CHART.width;
    case "slides":
      return naturalWidth(canvas, block.frames[startOf(block)].block);
    case "row":
      return widest(
        linesOf(block).map((line) => line.reduce((sum, child) => sum + naturalWidth(canvas, child) + GAP, -GAP)),
      );
    default:
      return innerPiece(canvas, block).width;
  }
}

function innerPiece(canvas: Canvas, block: Block, room?: number): Piece {
  switch (block.kind) {
    case "picture":
      return room === undefined || !block.lay
        ? picture(canvas, block.pixels, room)
        : picture(canvas, block.lay({ width: room }).pixels, room, canvas.density >= FINE ? FILL : 1);
    case "blend":
      return picture(canvas, composite(block), room);
    case "bars":
      return bars(canvas, block, room);
    case "table":
      return table(canvas, block);
    case "chart":
      return chart(canvas, block, room);
    case "live":
      return placed(canvas.live.get(block)!);
    case "matrix":
      return placed(drawMatrix(canvas.type, block, canvas.theme));
    case "sheet":
      return contactSheet(canvas, block, room);
    case "slides": {
      const start = startOf(block);
      const where = words(canvas.type, [whereText(block, start)], 12, canvas.theme.ink);
      return stack([where, pieceOf(canvas, block.frames[start].block, room)], 4);
    }
    case "row":
      return row(canvas, block, room);
  }
}

function pieceOf(canvas: Canvas, block: Block, room?: number): Piece {
  const { type, theme } = canvas;
  const inner = fitted(innerPiece(canvas, block, room), room);
  const above: Piece[] = [];
  const width = room ?? Math.max(LEAST_WIDTH, inner.width);
  if (block.heading) above.push(wrapped(type, block.heading, 13, width, theme.ink, "bold"));
  if (block.note) above.push(wrapped(type, block.note, 12, width, theme.softInk));
  if (block.kind === "picture" && block.grid?.left) {
    above.push(wrapped(type, leftText(block.grid), 12, width, theme.softInk));
  }
  return stack([...above, inner], 4);
}

/** Lays the figure out as one drawing, of slides the frame shown first; without a title, or a caption, where it has none. */
export async function drawFigure(
  figure: { title: string; caption: string; blocks: readonly Block[] },
  { type, theme, encode, still, room, density = () => 1 }: DrawOptions,
): Promise<Drawing> {
  const live = await mapOf(liveWithin(figure.blocks, true), (block) => still(block, { room }));
  const canvas: Canvas = {
    type,
    theme,
    density: room === undefined ? 1 : density(room),
    live,
    encoded: new Map(),
    used: new Set(),
  };
  const blocks = figure.blocks.map((block) => pieceOf(canvas, block, room));
  const width = room ?? Math.max(LEAST_WIDTH, widest(blocks.map((piece) => piece.width)));
  let tall = 0;
  const kept = blocks.filter(({ height }) => (tall += height + BETWEEN) <= TALLEST);
  const pieces = [...kept];
  if (figure.title) pieces.unshift(wrapped(type, figure.title, 15, width, theme.ink, "bold"));
  if (kept.length < blocks.length) {
    const left = `… ${blocks.length - kept.length} of ${blocks.length} parts left out of this picture …`;
    pieces.push(words(type, [left], 13, theme.ink));
  }
  if (figure.caption) pieces.push(wrapped(type, figure.caption, 12, width, theme.softInk));
  const all = stack(pieces, BETWEEN);
  const [width_, height_] = [Math.ceil(room ?? all.width) + 2 * MARGIN, Math.ceil(all.height) + 2 * MARGIN];
  for (const [pixels, png] of await mapOf(canvas.used, encode)) canvas.encoded.set(pixels, png);
  canvas.density = density(width_);
  const ground = `<rect width="${width_}" height="${height_}" fill="${theme.ground}"/>`;
  return { width: width_, height: height_, svg: ground + all.draw(MARGIN, MARGIN) };
}

/** A drawing as an SVG document of its own, of its own width or another. */
export function svgDocument({ width, height, svg }: Drawing, wanted?: number): string {
  const factor = wanted === undefined ? Math.min(1, LARGEST_DRAWING / width, LARGEST_DRAWING / height) : wanted / width;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width * factor}" height="${height * factor}" ` +
    `viewBox="0 0 ${width} ${height}">${svg}</svg>`;
}
