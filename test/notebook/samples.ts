/** Small notebooks for the tests. */

import { encodePng } from "../../lib/codec.ts";
import { type CodeCell, joined, type Notebook } from "../../lib/tools/notebook.ts";

/** The library's file that shows outputs, as a cell imports it from any folder. */
export const DISPLAY = new URL("../../lib/notebook/display.ts", import.meta.url).href;

/** A notebook with one code cell for each source. */
export function notebookOf(sources: string[], tags: string[] = []): Notebook {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "deno", display_name: "Deno", language: "typescript" } },
    cells: sources.map((source, i) => ({
      cell_type: "code",
      id: `cell-${i}`,
      metadata: tags.length ? { tags } : {},
      source,
      execution_count: null,
      outputs: [],
    })),
  };
}

const HEAD = `import { display, displaySymbol, keepOutputs } from ${JSON.stringify(DISPLAY)};\nkeepOutputs();`;

/** How many of {@linkcode eighty}'s outputs hold 5 MB. */
export const LONG = 10;

/**
 * A first cell that imports the library, then 80 cells that show one output each: results of a last expression, explicit
 * shows, prints. One in eight holds 5 MB, in a form that nobody displays. Each shows `#NUMBER;`.
 */
export function eighty(): Notebook {
  const cells = Array.from({ length: 80 }, (_, i) => {
    const long = i % 8 === 4 + Math.floor(i / 8) % 3;
    const bundle = `{ "text/plain": "#${i};"${long ? `, "application/x-filler": "x".repeat(5e6)` : ""} }`;
    return [
      `({ [displaySymbol]: () => (${bundle}) })`,
      `await display(${bundle})`,
      `await Promise.resolve({ [displaySymbol]: async () => (${bundle}) })`,
      `console.log("#${i};")`,
    ][i % 4];
  });
  return notebookOf([HEAD, ...cells]);
}

/** What each of the 80 cells shows, as far as its first `;`. */
export function firstWords(notebook: Notebook): string[][] {
  return (notebook.cells.slice(1) as CodeCell[]).map(({ outputs }) =>
    outputs.map((output) => {
      if (output.output_type === "error") return `${output.ename}: ${output.evalue}`;
      const text = joined(output.output_type === "stream" ? output.text : output.data["text/plain"] as string);
      return text.slice(0, text.indexOf(";") + 1);
    })
  );
}

/** What they should show. */
export const EIGHTY_WORDS = Array.from({ length: 80 }, (_, i) => [`#${i};`]);

/** How many cells of {@linkcode pictures} there are. */
export const PICTURES = 48;

/**
 * A first cell that imports the library, then cells that show one picture each, by HTML or as a bare PNG, as a result or
 * explicitly. The pixel at the top left of picture i is `rgb(5 i, 255 − 5 i, 128)`; the rest is a checkerboard.
 */
export async function pictures(): Promise<Notebook> {
  const cells = await Promise.all(
    Array.from({ length: PICTURES }, async (_, i) => {
      const pixels = Uint8Array.from(
        { length: 16 * 16 * 3 },
        (_, k) => (Math.floor(k / 3) + Math.floor(k / 48)) % 2 ? 220 : 40,
      );
      pixels.set([5 * i, 255 - 5 * i, 128]);
      const png = (await encodePng(pixels, 16, 16, 3)).toBase64();
      const script = `<script>window.scriptsRan = (window.scriptsRan ?? 0) + 1;</script>`;
      const html = `<figure><img width="64" alt="picture ${i}" src="data:image/png;base64,${png}"></figure>${script}`;
      const bundle = JSON.stringify({
        ...(i % 2 ? {} : { "text/html": html }),
        "image/png": png,
        "text/plain": `picture ${i}`,
      });
      return i % 3 ? `({ [displaySymbol]: () => (${bundle}) })` : `await display(${bundle})`;
    }),
  );
  return notebookOf([HEAD, ...cells]);
}
