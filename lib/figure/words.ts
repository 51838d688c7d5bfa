/**
 * A figure in words and numbers, as terminals print it: made of the same blocks that a cell shows.
 *
 * @module
 */

import type { Block, Matrix, Table } from "./blocks.ts";
import { within } from "./parts.ts";

/** A table as lines, its columns aligned. */
function tableLines({ columns, rows }: Table): string[] {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, i) => all.reduce((most, row) => Math.max(most, row[i].length), 0));
  return all.map((row) =>
    row.map((text, i) => columns[i].align === "right" ? text.padStart(widths[i]) : text.padEnd(widths[i])).join("  ")
      .trimEnd()
  );
}

/** A matrix as a table. */
const asTable = ({ corner, rows, columns, cells }: Matrix): Table => ({
  kind: "table",
  columns: [{ title: corner }, ...columns.map((title) => ({ title, align: "right" as const }))],
  rows: rows.map((name, y) => [name, ...cells[y].map(({ text, count }) => text ?? String(count))]),
});

/** What a figure's blocks say: notes under their headings, bars and tables; where there is no table, charts in words. */
function linesOf(blocks: readonly Block[]): string[] {
  const all = [...within(blocks, true)];
  const tabled = all.some(({ kind }) => kind === "table");
  const longest = Math.max(0, ...all.filter(({ note }) => note).map(({ heading = "" }) => heading.length));
  return all.flatMap((block) => [
    // Beside a table, a note without a heading is about how a picture is read.
    ...block.note && (block.heading || !tabled) && !(block.kind === "sheet" && tabled)
      ? [`${(block.heading ?? "").padEnd(longest)}  ${block.note}`.trim()]
      : [],
    ...block.kind === "table"
      ? tableLines(block)
      : block.kind === "bars"
      ? block.rows.map(({ label, text }) => `${text.padStart(7)}  ${label}`)
      : block.kind === "matrix"
      ? tableLines(asTable(block))
      : block.kind === "sheet" && !tabled
      ? block.tiles.map(({ words }) => words.replaceAll("\n", "  "))
      : block.kind === "chart" && !tabled
      ? [block.alt]
      : [],
  ]);
}

/** The title, what the blocks say (or `lines` instead), and the caption. */
export function wordsOf(
  { title, caption = "", blocks, lines = linesOf(blocks) }: {
    title: string;
    caption?: string;
    blocks: readonly Block[];
    lines?: readonly string[];
  },
): string {
  return [title, ...lines.map((line) => `  ${line}`), caption].filter(Boolean).join("\n");
}
