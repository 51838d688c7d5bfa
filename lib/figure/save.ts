/**
 * How a figure is saved: its size on paper or on a slide, its resolution, its colours.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { flag, oneOf, positive, rule, whole, within } from "../options.ts";
import { LARGEST_DRAWING, MARGIN } from "./draw.ts";
import type { ThemeName } from "./theme.ts";

/** Lengths on paper, in inches. */
const INCHES: Record<string, number> = { in: 1, cm: 1 / 2.54, mm: 1 / 25.4, pt: 1 / 72 };
/** Pixels of the page to an inch, as in CSS. */
const PER_INCH = 96;
/** Pixels of a file to an inch where a width on paper is given without. */
const PRINT = 300;
/** Words cannot be read on a narrower page, in its pixels. */
const NARROWEST = 120;

/** A width: pixels, or a length on paper as `"85mm"`. */
const length = () =>
  rule((name, value) => {
    const found = typeof value === "string" ? inches(value) : value;
    if (typeof found === "number" && found > 0 && Number.isFinite(found)) return;
    throw new RangeError(
      `${name} must be a number of pixels above 0, or a length as "85mm", "8.5cm", "3.5in" or "252pt": ` +
        `received ${kindOf(value)}.`,
    );
  });

function inches(text: string): number | undefined {
  const [, number, unit] = text.match(/^\s*(\d+\.?\d*|\.\d+)\s*(in|cm|mm|pt)\s*$/) ?? [];
  return unit === undefined ? undefined : Number(number) * INCHES[unit];
}

/** `true`, `false` or text. */
const titled = () =>
  rule((name, value) => {
    if (typeof value === "boolean" || typeof value === "string") return;
    throw new TypeError(`${name} must be true, false or another title: received ${kindOf(value)}.`);
  });

/** How a figure is saved. */
export class FigureSaveOptions {
  /**
   * How wide the picture is: a number of pixels, or a length on paper, as `"85mm"`, `"8.5cm"`, `"3.5in"` or `"252pt"`.
   * Alone, a number enlarges the figure as it is to this width. With `scale` or `dpi`, or as a length, the figure is laid
   * out anew for a page of that width, with words of their usual size.
   * @default as wide as the figure
   */
  @length()
  width?: number | string;
  /**
   * Pixels of the file to one of the page, as 2 for a fine screen.
   * @default what `width` makes it; `dpi` / 96, or else 1
   */
  @positive()
  scale?: number;
  /**
   * Pixels of the file to an inch: a PNG says so to the program that prints it. Without `scale`, an inch holds 96 pixels
   * of the page, so that words are as large in print as in a PDF: `{ width: 1050, dpi: 300 }` is a column of 3.5 inches
   * with words of 9 points.
   * @default 96 · `scale`; 300 for a `width` on paper
   */
  @within(1, 10_000)
  dpi?: number;
  /**
   * Dark on white, or light on a dark ground, as for slides.
   * @default "light"; an `.html` page follows its reader's
   */
  @oneOf("light", "dark")
  theme?: ThemeName;
  /**
   * How many tiles of a grid are side by side; in a figure without one, how many pictures.
   * @default as many as there is room for
   */
  @whole(1)
  columns?: number;
  /**
   * Whether the title is drawn; or another one.
   * @default true
   */
  @titled()
  title: boolean | string = true;
  /**
   * Whether the caption is drawn.
   * @default true
   */
  @flag()
  caption = true;
}

/** How large a figure is drawn. */
export interface PrintSize {
  /** The width that blocks are laid out in, in pixels of the page, margins not counted. @default their own */
  room?: number;
  /** The width in pixels of the file that was asked for. @default the drawing's */
  pixels?: number;
  /** Pixels of the file to one of the page, and to an inch, for a drawing of this width. */
  of: (width: number) => { scale: number; dpi: number };
}

/**
 * Finds the size of a figure.
 *
 * @throws {RangeError} if it leaves a page that is too narrow to be read
 */
export function printSize({ width, scale, dpi }: Partial<FigureSaveOptions>): PrintSize {
  const paper = typeof width === "string" ? inches(width) : undefined;
  const density = dpi ?? (paper === undefined ? undefined : PRINT);
  const pixels = paper === undefined ? width as number | undefined : paper * density!;
  const fixed = scale ?? (density === undefined ? undefined : density / PER_INCH);
  const page = pixels === undefined || fixed === undefined ? undefined : pixels / fixed;
  if (page !== undefined && page < NARROWEST) {
    throw new RangeError(
      `A figure of the width ${JSON.stringify(width)} at ${
        scale === undefined ? `${density} dpi` : `scale ${scale}`
      } ` +
        `leaves a page of ${
          Math.round(page)
        } pixels, and needs ${NARROWEST} (1.25 inches) for its words. Give a larger ` +
        `width, or a smaller ${scale === undefined ? "dpi" : "scale"}.`,
    );
  }
  return {
    pixels,
    ...(page !== undefined && { room: page - 2 * MARGIN }),
    of(own) {
      const found = page === undefined && pixels !== undefined ? pixels / own : fixed ?? 1;
      return { scale: found, dpi: density ?? found * PER_INCH };
    },
  };
}

/** @throws {RangeError} if a PNG would be too large to be drawn */
export function checkPixels(width: number, height: number): void {
  if (Math.max(width, height) <= LARGEST_DRAWING) return;
  throw new RangeError(
    `A PNG has at most ${LARGEST_DRAWING} pixels a side: this one would have ${Math.round(width)} × ` +
      `${Math.round(height)}. Give a smaller width, scale or dpi, or save it as .pdf or .svg.`,
  );
}
