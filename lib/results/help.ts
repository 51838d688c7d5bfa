/**
 * What `help` shows: how something is called, its options or members, and an example.
 *
 * @module
 */

import { displaySymbol, type MimeBundle } from "../figure/cell.ts";
import { escapeHtml } from "../format.ts";

/** An option of a function, a member of a class, or a name of a list. */
export interface HelpEntry {
  /** Its name; of a method with what it takes. */
  readonly name: string;
  /** What kind of value it is. */
  readonly type: string;
  /** What it is where it is not given; empty for none. */
  readonly fallback: string;
  /** What it is for. */
  readonly about: string;
}

/** A terminal's line, and the widest name that others are aligned with. */
const LINE = 110;
const WIDEST = 24;

/** Words in lines of at most so many characters, as far as they can be broken. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (lines.length > 0 && lines.at(-1)!.length + 1 + word.length <= width) lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** The help on one name: in a cell as a page, in a terminal as text. */
export class Help {
  /** How it is called, one line for each way. */
  readonly signatures: readonly string[];
  /** What it does. */
  readonly about: string;
  /** What the entries are: `"option"`, `"member"` or `"function"`. */
  readonly heading: string;
  /** The options of a function, or the members of a class. */
  readonly entries: readonly HelpEntry[];
  /** A program that runs; empty if there is none. */
  readonly example: string;

  /** @internal */
  constructor({ signatures, about, heading, entries, example }: {
    signatures: readonly string[];
    about: string;
    heading: string;
    entries: readonly HelpEntry[];
    example: string;
  }) {
    this.signatures = signatures;
    this.about = about;
    this.heading = heading;
    this.entries = entries;
    this.example = example;
  }

  /** The help as text, as terminals print it. */
  toString(): string {
    const width = Math.max(0, ...this.entries.map(({ name }) => name.length).filter((length) => length <= WIDEST));
    const margin = " ".repeat(width + 4);
    const lines = this.entries.flatMap(({ name, type, fallback, about }) => {
      const kind = type && `${type}${fallback && `, default ${fallback}`}`;
      const [first = "", ...others] = [...wrapped(kind, LINE - margin.length), ...wrapped(about, LINE - margin.length)];
      const head = `  ${name.padEnd(width)}  `;
      const rest = name.length > width ? [head.trimEnd(), margin + first] : [head + first];
      return [...rest, ...others.map((line) => margin + line)];
    });
    return [
      this.signatures.join("\n"),
      this.about.split("\n").flatMap((text) => text ? wrapped(text, LINE) : [""]).join("\n"),
      ...(lines.length > 0 ? [`${this.heading}s:\n${lines.join("\n")}`] : []),
      ...(this.example ? [`example:\n${this.example.replace(/^/gm, "  ")}`] : []),
    ].filter(Boolean).join("\n\n");
  }

  /** What `console.log` prints. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** What Jupyter asks the last expression of a cell for. */
  [displaySymbol](): MimeBundle {
    return { "text/html": this.#html(), "text/plain": this.toString() };
  }

  #html(): string {
    const code = (text: string) => `<code>${escapeHtml(text)}</code>`;
    // What stands between backticks is code there, too.
    const words = (text: string) =>
      escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>").replace(/\n\s*\n/g, "<br><br>");
    const block = (text: string) =>
      `<pre style="margin:8px 0;padding:8px;background:rgba(127,127,127,.12);white-space:pre-wrap">${
        escapeHtml(text)
      }</pre>`;
    const some = (has: (entry: HelpEntry) => string) => this.entries.some((entry) => has(entry) !== "");
    const columns: [string, (entry: HelpEntry) => string][] = [
      [this.heading, ({ name }) => code(name)],
      ...(some(({ type }) => type) ? [["type", ({ type }: HelpEntry) => code(type)] as [string, () => string]] : []),
      ...(some(({ fallback }) => fallback)
        ? [
          ["default", ({ fallback }: HelpEntry) => `<div style="max-width:220px">${words(fallback)}</div>`] as [
            string,
            () => string,
          ],
        ]
        : []),
      ["", ({ about }) => words(about)],
    ];
    const cell = "padding:3px 12px 3px 0;text-align:left;vertical-align:top";
    const row = (cells: string[], tag: "td" | "th") =>
      `<tr>${cells.map((text) => `<${tag} style="${cell}">${text}</${tag}>`).join("")}</tr>`;
    const table = `<table style="border-collapse:collapse;margin:8px 0;font-size:inherit">${
      row(columns.map(([title]) => escapeHtml(title)), "th")
    }${this.entries.map((entry) => row(columns.map(([, text]) => text(entry)), "td")).join("")}</table>`;
    return `<div style="max-width:980px">${this.signatures.length ? block(this.signatures.join("\n")) : ""}` +
      `<div>${words(this.about)}</div>${this.entries.length ? table : ""}${
        this.example ? block(this.example) : ""
      }</div>`;
  }
}
