/**
 * Text, measured in DejaVu Sans and drawn as outlines, so that a figure's PNG looks the same on every machine, fonts or
 * none; or, where it must stay text, as text of the same widths.
 *
 * @module
 */

import { escapeHtml } from "../format.ts";

const OPENTYPE = "npm:opentype.js@2.0.0";
const FONTS = "npm:dejavu-fonts-ttf@2.37.3";

/** A piece of an outline: its letter in SVG, the place it goes to, and what bends it on its way. */
interface Command {
  type: "M" | "L" | "C" | "Q" | "Z";
  x?: number;
  y?: number;
  x1?: number;
  y1?: number;
  x2?: number;
  y2?: number;
}

/** What is used of an opentype.js font: single glyphs, since its layout rejects some of DejaVu's tables. */
interface Font {
  unitsPerEm: number;
  charToGlyph(character: string): {
    advanceWidth?: number;
    getPath(x: number, y: number, size: number): { commands: Command[] };
  };
}

export type Weight = "regular" | "bold";

/** How a line of text looks. */
export interface TextStyle {
  /** In pixels. */
  size: number;
  color: string;
  /** @default "regular" */
  weight?: Weight;
}

/** Sets text in one family, regular and bold. */
export interface Typesetter {
  /** The line as SVG, its baseline starting at `(x, y)`; nothing for no text. */
  text(text: string, x: number, y: number, style: TextStyle): string;
  /** The width of a line of text, in pixels. */
  measure(text: string, size: number, weight?: Weight): number;
  /** The line's outline as the data of an SVG path, its baseline starting at `(x, y)`. */
  path(text: string, x: number, y: number, size: number, weight?: Weight): string;
  /** The text broken at spaces into lines no wider than `width`; a longer word is broken too. */
  wrap(text: string, size: number, width: number, weight?: Weight): string[];
  /** The text cut to `width` with an ellipsis, or whole where it fits. */
  clip(text: string, size: number, width: number, weight?: Weight): string;
}

const FILES: Record<Weight, string> = { regular: "DejaVuSans.ttf", bold: "DejaVuSans-Bold.ttf" };

/** The bytes of a font's file. */
export async function fontBytes(weight: Weight): Promise<Uint8Array<ArrayBuffer>> {
  await import(`${FONTS}/package.json`, { with: { type: "json" } });
  return await Deno.readFile(new URL(import.meta.resolve(`${FONTS}/ttf/${FILES[weight]}`)));
}

/** What no XML may hold. */
// deno-lint-ignore no-control-regex
const NOT_IN_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

/** The same typesetter, whose text stays text: named DejaVu Sans, and as wide as that in any other font. */
export function asText(type: Typesetter): Typesetter {
  const round = (value: number) => Math.round(100 * value) / 100;
  return {
    ...type,
    text(text, x, y, { size, color, weight }) {
      const bold = weight === "bold" ? ' font-weight="bold"' : "";
      return text.trim() &&
        `<text x="${round(x)}" y="${round(y)}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="${size}"` +
          `${bold} fill="${color}" textLength="${round(type.measure(text, size, weight))}" ` +
          `lengthAdjust="spacingAndGlyphs">${escapeHtml(text.toWellFormed().replace(NOT_IN_XML, "\ufffd"))}</text>`;
    },
  };
}

let loading: Promise<Typesetter> | undefined;

/** The typesetter; the fonts are read on first use. */
export function typesetter(): Promise<Typesetter> {
  loading ??= load().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<Typesetter> {
  const module = await import(OPENTYPE);
  const opentype = module.default ?? module;
  const fonts: Record<Weight, Font> = {
    regular: opentype.parse((await fontBytes("regular")).buffer),
    bold: opentype.parse((await fontBytes("bold")).buffer),
  };
  const advance = (character: string, size: number, weight: Weight) => {
    const font = fonts[weight];
    return ((font.charToGlyph(character).advanceWidth ?? 0) * size) / font.unitsPerEm;
  };
  // The outlines of the letters at `(0, 0)`: charts are drawn many times over.
  const outlines = new Map<string, Command[]>();
  const outline = (character: string, size: number, weight: Weight) => {
    const key = `${weight} ${size} ${character}`;
    let known = outlines.get(key);
    if (!known) outlines.set(key, known = fonts[weight].charToGlyph(character).getPath(0, 0, size).commands);
    return known;
  };
  const measure = (text: string, size: number, weight: Weight = "regular") => {
    let width = 0;
    for (const character of text) width += advance(character, size, weight);
    return width;
  };
  /** How many letters fit `width`, one at least. */
  const fitting = (letters: string[], size: number, width: number, weight: Weight = "regular") => {
    let count = 0;
    let used = 0;
    while (count < letters.length && (used += advance(letters[count], size, weight)) <= width) count++;
    return Math.max(1, count);
  };
  const path: Typesetter["path"] = (text, x, y, size, weight = "regular") => {
    let data = "";
    for (const character of text) {
      const place = (dx?: number, dy?: number) =>
        dx === undefined || dy === undefined
          ? ""
          : ` ${Math.round(10 * (x + dx)) / 10} ${Math.round(10 * (y + dy)) / 10}`;
      for (const { type, x: dx, y: dy, x1, y1, x2, y2 } of outline(character, size, weight)) {
        data += type + (place(x1, y1) + place(x2, y2) + place(dx, dy)).trimStart();
      }
      x += advance(character, size, weight);
    }
    return data;
  };
  return {
    measure,
    path,
    text: (text, x, y, { size, color, weight }) =>
      text && `<path fill="${color}" d="${path(text, x, y, size, weight)}"/>`,
    wrap(text, size, width, weight) {
      const lines: string[] = [];
      for (const paragraph of text.split("\n")) {
        let line = "";
        for (const word of paragraph.split(" ")) {
          const longer = line ? `${line} ${word}` : word;
          if (line && measure(longer, size, weight) > width) {
            lines.push(line);
            line = word;
          } else line = longer;
          while (measure(line, size, weight) > width && [...line].length > 1) {
            const letters = [...line];
            const count = fitting(letters, size, width, weight);
            lines.push(letters.slice(0, count).join(""));
            line = letters.slice(count).join("");
          }
        }
        lines.push(line);
      }
      return lines;
    },
    clip(text, size, width, weight) {
      if (measure(text, size, weight) <= width) return text;
      const letters = [...text];
      const room = width - measure("…", size, weight);
      return letters.slice(0, fitting(letters, size, room, weight)).join("") + "…";
    },
  };
}
