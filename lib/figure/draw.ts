/**
 * A whole figure, words and all, laid out as one drawing on white: for slides, papers and whatever shows no HTML.
 *
 * @module
 */

import type { Bars, Block, Drawing, Live, Row, Slides, Table } from "./blocks.ts";
import { drawChart } from "./chart.ts";
import type { Pixels } from "./mosaic.ts";
import { composite, leftText, startOf, whereText } from "./parts.ts";
import { drawSheet } from "./sheet.ts";
import type { Typesetter, Weight } from "./text.ts";

const MARGIN = 12;
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
const LARGEST_DRAWING = 30_000;
const INK = "#1a1a1a";
const SOFT_INK = "#555555";
const BAR = "#3b82c4";
const FAINT = "#dfe3e8";

/** A piece that knows its size and draws itself at a place. */
interface Piece {
  width: number;
  height: number;
  draw(x: number, y: number): string;
}

/** The largest of any number of widths or heights; 0 of none. */
const widest = (lengths: readonly number[]) => lengths.reduce((most, length) => Math.max(most, length), 0);

function words(type: Typesetter, lines: string[], size: number, color: string, weight: Weight = "regular"): Piece {
  const step = Math.round(size * 1.4);
  return {
    width: Math.ceil(widest(lines.map((line) => type.measure(line, size, weight)))),
    height: step * lines.length,
    draw: (x, y) => lines.map((line, i) => type.text(line, x, y + i * step + size, { size, color, weight })).join(""),
  };
}

/** Words in as many lines as they need. */
function wrapped(type: Typesetter, text: string, size: number, width: number, color: string, weight?: Weight): Piece {
  const whole = text.length <= MOST_LETTERS ? text : `${text.slice(0, MOST_LETTERS)} …`;
  return words(type, type.wrap(whole, size, width, weight), size, color, weight);
}

function stack(pieces: Piece[], gap: number): Piece {
  return {
    width: widest(pieces.map(({ width }) => width)),
    height: pieces.reduce((sum, { height }) => sum + height, 0) + gap * Math.max(0, pieces.length - 1),
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

/** What the blocks are drawn with: the PNG of each picture, and the drawings that come to life elsewhere. */
export interface Encoded {
  pixels: ReadonlyMap<Pixels, Uint8Array>;
  live: ReadonlyMap<Live, Drawing>;
}

function picture(type: Typesetter, pixels: Pixels, encoded: Encoded): Piece {
  const factor = Math.min(1, LARGEST.width / pixels.width, LARGEST.height / pixels.height);
  const [width, height] = [pixels.width, pixels.height].map((length) => Math.max(1, Math.round(length * factor)));
  const piece: Piece = {
    width,
    height,
    draw: (x, y) =>
      `<image x="${x}" y="${y}" width="${width}" height="${height}" ` +
      (factor === 1 ? 'image-rendering="pixelated"' : 'preserveAspectRatio="none"') +
      ` href="data:image/png;base64,${encoded.pixels.get(pixels)!.toBase64()}"/>`,
  };
  if (factor === 1) return piece;
  const note = `Drawn smaller: ${width}×${height} of ${pixels.width}×${pixels.height} pixels.`;
  return stack([words(type, [note], 12, SOFT_INK), piece], 4);
}

function placed({ width, height, svg }: Drawing): Piece {
  return { width, height, draw: (x, y) => `<g transform="translate(${x} ${y})">${svg}</g>` };
}

function bars(type: Typesetter, block: Bars): Piece {
  const size = 13;
  const line = 24;
  const [first, last] = cut(block.rows);
  const rows = [...first, ...last].map((row) => ({ ...row, label: type.clip(row.label, size, WIDEST_TEXT) }));
  const labels = widest(rows.map(({ label }) => type.measure(label, size)));
  const texts = widest(rows.map(({ text }) => type.measure(text, size)));
  const left = block.rows.length - rows.length;
  const piece: Piece = {
    width: Math.ceil(labels + block.width + texts + 20),
    height: line * rows.length,
    draw: (x, y) =>
      rows.map(({ label, value, text }, i) => {
        const top = y + i * line;
        const left = x + labels + 10;
        const full = Math.min(1, Math.max(0, value)) * block.width;
        const write = (words: string, end: number) =>
          type.text(words, end - type.measure(words, size), top + 17, { size, color: INK });
        return write(label, x + labels) +
          `<rect x="${left}" y="${top + 5}" width="${block.width}" height="14" fill="${FAINT}"/>` +
          `<rect x="${left}" y="${top + 5}" width="${full}" height="14" fill="${BAR}"/>` +
          write(text, left + block.width + 10 + texts);
      }).join(""),
  };
  if (left === 0) return piece;
  return stack([
    piece,
    words(type, [`The first ${first.length} and the last ${last.length}; ${left} are left out.`], 12, SOFT_INK),
  ], 4);
}

/** The first and the last of many rows; all of few. */
function cut<Row>(rows: readonly Row[]): [first: readonly Row[], last: readonly Row[]] {
  if (rows.length - FIRST_ROWS - LAST_ROWS <= 1) return [rows, []];
  return [rows.slice(0, FIRST_ROWS), rows.slice(-LAST_ROWS)];
}

function table(type: Typesetter, block: Table): Piece {
  const size = 12;
  const line = 19;
  const [first, last] = cut(block.rows);
  const left = block.rows.length - first.length - last.length;
  const gap = block.columns.map((_, column) => column === 0 ? `… ${left} rows left out …` : "");
  const rows = left ? [...first, gap, ...last] : first;
  const clipped = rows.map((row) => row.map((text) => type.clip(text, size, WIDEST_TEXT)));
  const widths = block.columns.map(({ title }, column) =>
    Math.ceil(Math.max(
      type.measure(title, size, "bold"),
      ...clipped.map((row) => type.measure(row[column], size)),
    )) + GAP
  );
  const cells = (row: string[], x: number, y: number, weight: Weight) => {
    let at = x;
    return row.map((text, column) => {
      const room = widths[column] - GAP;
      const shift = block.columns[column].align === "right" ? room - type.measure(text, size, weight) : 0;
      const drawn = type.text(text, at + shift, y + 14, { size, color: INK, weight });
      at += widths[column];
      return drawn;
    }).join("");
  };
  const width = widths.reduce((sum, w) => sum + w, 0) - GAP;
  return {
    width,
    height: line * (rows.length + 1) + 4,
    draw: (x, y) =>
      cells(block.columns.map(({ title }) => title), x, y, "bold") +
      `<rect x="${x}" y="${y + line}" width="${width}" height="1" fill="${SOFT_INK}"/>` +
      clipped.map((row, i) => cells(row, x, y + 4 + line * (i + 1), "regular")).join(""),
  };
}

function row(type: Typesetter, block: Row, encoded: Encoded): Piece {
  const lines: Piece[][] = [[]];
  let used = 0;
  for (const piece of block.blocks.map((child) => pieceOf(type, child, encoded))) {
    if (used > 0 && used + piece.width > LARGEST.width) {
      lines.push([]);
      used = 0;
    }
    lines.at(-1)!.push(piece);
    used += piece.width + GAP;
  }
  return stack(lines.map(besideEachOther), GAP);
}

function besideEachOther(pieces: Piece[]): Piece {
  return {
    width: pieces.reduce((sum, { width }) => sum + width, 0) + GAP * Math.max(0, pieces.length - 1),
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

function slides(type: Typesetter, block: Slides, encoded: Encoded): Piece {
  const start = startOf(block);
  const where = words(type, [whereText(block, start)], 12, INK);
  return stack([where, pieceOf(type, block.frames[start].block, encoded)], 4);
}

function innerPiece(type: Typesetter, block: Block, encoded: Encoded): Piece {
  switch (block.kind) {
    case "picture":
      return picture(type, block.pixels, encoded);
    case "blend":
      return picture(type, composite(block), encoded);
    case "bars":
      return bars(type, block);
    case "table":
      return table(type, block);
    case "chart":
      return placed(drawChart(type, block));
    case "live":
      return placed(encoded.live.get(block)!);
    case "sheet":
      return placed(
        drawSheet(type, block, (pixels) => `data:image/png;base64,${encoded.pixels.get(pixels)!.toBase64()}`),
      );
    case "slides":
      return slides(type, block, encoded);
    case "row":
      return row(type, block, encoded);
  }
}

function pieceOf(type: Typesetter, block: Block, encoded: Encoded): Piece {
  const inner = innerPiece(type, block, encoded);
  const above: Piece[] = [];
  const width = Math.max(LEAST_WIDTH, inner.width);
  if (block.heading) above.push(wrapped(type, block.heading, 13, width, INK, "bold"));
  if (block.note) above.push(wrapped(type, block.note, 12, width, SOFT_INK));
  if (block.kind === "picture" && block.grid?.left) above.push(words(type, [leftText(block.grid)], 12, SOFT_INK));
  return stack([...above, inner], 4);
}

/**
 * Lays the figure out as one SVG document; `encoded` holds its pictures, of slides those of the frame shown first.
 *
 * @param type sets the words: as outlines, or as text
 */
export function drawFigure(
  type: Typesetter,
  figure: { title: string; caption: string; blocks: readonly Block[] },
  encoded: Encoded,
): Drawing {
  const blocks = figure.blocks.map((block) => pieceOf(type, block, encoded));
  const width = Math.max(LEAST_WIDTH, widest(blocks.map((piece) => piece.width)));
  let tall = 0;
  const kept = blocks.filter(({ height }) => (tall += height + BETWEEN) <= TALLEST);
  const pieces = [wrapped(type, figure.title, 15, width, INK, "bold"), ...kept];
  if (kept.length < blocks.length) {
    const left = `… ${blocks.length - kept.length} of ${blocks.length} parts left out of this picture …`;
    pieces.push(words(type, [left], 13, INK));
  }
  if (figure.caption) pieces.push(wrapped(type, figure.caption, 12, width, SOFT_INK));
  const all = stack(pieces, BETWEEN);
  const [width_, height_] = [Math.ceil(all.width) + 2 * MARGIN, Math.ceil(all.height) + 2 * MARGIN];
  const ground = `<rect width="${width_}" height="${height_}" fill="#ffffff"/>`;
  return { width: width_, height: height_, svg: ground + all.draw(MARGIN, MARGIN) };
}

/** A drawing as an SVG document of its own. */
export function svgDocument({ width, height, svg }: Drawing): string {
  const factor = Math.min(1, LARGEST_DRAWING / width, LARGEST_DRAWING / height);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width * factor}" height="${height * factor}" ` +
    `viewBox="0 0 ${width} ${height}">${svg}</svg>`;
}
