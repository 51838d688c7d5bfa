/**
 * Jupyter notebooks (nbformat 4.5): reading them, and putting what a kernel publishes under the cells.
 *
 * @module
 */

/** One output as nbformat stores it. Texts may be one string or a list of lines. */
export type Output =
  | { output_type: "stream"; name: string; text: string | string[] }
  | { output_type: "display_data"; data: Record<string, unknown>; metadata: Record<string, unknown> }
  | {
    output_type: "execute_result";
    data: Record<string, unknown>;
    metadata: Record<string, unknown>;
    execution_count: number | null;
  }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

/** A cell of any kind but code. */
export interface TextCell {
  cell_type: "markdown" | "raw";
  id: string;
  metadata: Record<string, unknown>;
  source: string | string[];
}

/** A cell that runs. */
export interface CodeCell {
  cell_type: "code";
  id: string;
  metadata: { tags?: string[] } & Record<string, unknown>;
  source: string | string[];
  execution_count: number | null;
  outputs: Output[];
}

/** A notebook of format 4.5. */
export interface Notebook {
  nbformat: 4;
  nbformat_minor: number;
  metadata: Record<string, unknown>;
  cells: (TextCell | CodeCell)[];
}

/** A text that nbformat may store as a list of lines. */
export function joined(text: string | string[]): string {
  return Array.isArray(text) ? text.join("") : text;
}

/**
 * Parses a notebook. Cells without an id, as formats before 4.5 have them, get one.
 *
 * @param name what to call it in an error, such as its path
 * @throws TypeError if it is not a notebook of format 4
 */
export function parseNotebook(json: string, name: string): Notebook {
  let found: Partial<Notebook> | null;
  try {
    found = JSON.parse(json);
  } catch (error) {
    throw new TypeError(`${name} is no Jupyter notebook: it is not JSON (${(error as Error).message}).`);
  }
  if (found?.nbformat !== 4 || !Array.isArray(found.cells)) {
    throw new TypeError(
      `${name} is no Jupyter notebook of format 4: found nbformat ${JSON.stringify(found?.nbformat)}. ` +
        "Save it again from a current Jupyter.",
    );
  }
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: found.metadata ?? {},
    cells: found.cells.map((cell, index) => ({ ...cell, id: cell.id ?? `cell-${index}` })),
  };
}

/** A notebook as the text of an `.ipynb` file, laid out as Jupyter does. */
export function notebookText(notebook: Notebook): string {
  return JSON.stringify(notebook, undefined, 1) + "\n";
}

/** Files outputs under cells, as a notebook client does. */
export class OutputFiler {
  readonly #shown = new Map<string, { data: Record<string, unknown>; metadata: Record<string, unknown> }[]>();

  /**
   * Files one message that the kernel published.
   *
   * @param outputs those of the cell that the message belongs to
   * @param type the type of the message; what is no output is passed over
   * @returns whether something in the notebook changed
   */
  file(outputs: Output[], type: string, content: Record<string, unknown>): boolean {
    const id = (content.transient as { display_id?: string } | undefined)?.display_id;
    const data = content.data as Record<string, unknown>;
    const metadata = (content.metadata ?? {}) as Record<string, unknown>;
    if (type === "stream") {
      const name = String(content.name);
      const last = outputs.at(-1);
      if (last?.output_type === "stream" && last.name === name) last.text = joined(last.text) + content.text;
      else outputs.push({ output_type: "stream", name, text: String(content.text) });
    } else if (type === "display_data") {
      outputs.push({ output_type: "display_data", data, metadata });
    } else if (type === "execute_result") {
      const count = content.execution_count as number;
      outputs.push({ output_type: "execute_result", data, metadata, execution_count: count });
    } else if (type === "error") {
      const { ename, evalue, traceback } = content as { ename: string; evalue: string; traceback: string[] };
      outputs.push({ output_type: "error", ename, evalue, traceback });
    } else if (type === "update_display_data") {
      const known = this.#shown.get(id!) ?? [];
      for (const output of known) Object.assign(output, { data, metadata });
      return known.length > 0;
    } else {
      return false;
    }
    const filed = outputs.at(-1)!;
    if (id !== undefined && "data" in filed) this.#shown.set(id, [...this.#shown.get(id) ?? [], filed]);
    return true;
  }
}
