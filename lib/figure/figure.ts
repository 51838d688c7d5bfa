/**
 * A figure: a title, pictures, bars and tables in rows, a caption. It shows itself in a Jupyter cell, prints
 * itself in a terminal, and saves itself to a file.
 *
 * @module
 */

import { encodePng, renderSvg } from "../codec.ts";
import type { Block, Chart, Drawing, Live } from "./blocks.ts";
import { drawChart } from "./chart.ts";
import { drawFigure, svgDocument } from "./draw.ts";
import { type ChartImage, figureHtml, type LiveImage } from "./html.ts";
import { escapeHtml } from "../format.ts";
import { display, displaySymbol, inKernel, keepOutputs, listenForInterrupts, type MimeBundle } from "./cell.ts";
import type { Pixels } from "./mosaic.ts";
import { chartsWithin, liveWithin, pixelsWithin } from "./parts.ts";
import { pdfOf } from "./pdf.ts";
import { asText, type Typesetter, typesetter } from "./text.ts";
import { wordsOf } from "./words.ts";

// From here on the outputs of a cell reach Jupyter before the next cell starts; each stays under its own cell.
keepOutputs();
listenForInterrupts();

/** What a figure is made of. */
export interface FigureParts {
  title: string;
  /** What the reader must know to read the figure: scales, counts, what is outlined. */
  caption?: string;
  blocks: Block[];
  /**
   * What terminals print between the title and the caption.
   * @default the blocks' notes, bars and tables in words
   */
  lines?: readonly string[];
  /** The whole text for terminals, where it is to be another. */
  text?: string;
}

/** Pixels of a chart to one of the page, for it to be crisp on fine screens. */
const FINE = 2;

async function chartImage(chart: Chart): Promise<ChartImage> {
  const drawn = drawChart(await typesetter(), chart);
  const png = await renderSvg(svgDocument(drawn), { width: drawn.width * FINE });
  return { png, width: drawn.width, height: drawn.height, hover: drawn.hover };
}

async function liveImage(block: Live, still: Drawing): Promise<LiveImage> {
  const { width, height } = still;
  const [png, html] = await Promise.all([
    renderSvg(svgDocument(still), { width: width * (block.fine ?? FINE) }),
    block.html(),
  ]);
  return { png, width, height, html };
}

/** Looks each key's value up at the same time. */
async function mapOf<K, V>(keys: Iterable<K>, valueOf: (key: K) => Promise<V>): Promise<Map<K, V>> {
  return new Map(await Promise.all(Array.from(keys, async (key) => [key, await valueOf(key)] as const)));
}

/** What a sheet of several results shows of one: a row of blocks under its name. */
export interface SheetRow {
  heading: string;
  note?: string;
  blocks: readonly Block[];
  /** How to read the row; what all rows of a sheet have in common is said once, below. */
  caption: string;
}

/** Everything that a cell can show: it makes a {@linkcode Figure} of itself when it is looked at. */
export abstract class Shown {
  /** The figure of this object. */
  abstract figure(): Figure;

  /**
   * Its row on a sheet of several.
   *
   * @internal
   */
  sheetRow(): SheetRow {
    const { title, caption, blocks } = this.figure();
    return { heading: title, caption, blocks };
  }

  /** Shows it here and now, also from the middle of a cell; prints text outside Jupyter. */
  show(): Promise<void> {
    return this.figure().show();
  }

  /** What Jupyter asks the last expression of a cell for. */
  [displaySymbol](): Promise<MimeBundle> {
    return this.figure().bundle();
  }

  /** What `console.log` prints. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.figure().text;
  }
}

/** A picture with its words, ready for a cell, a terminal or a file. */
export class Figure extends Shown {
  /** What the figure is about: model, layer, shape, image. */
  readonly title: string;
  /** What the reader must know to read it: scales, counts, what is outlined; empty for none. */
  readonly caption: string;
  /**
   * What the figure is made of.
   * @internal
   */
  readonly blocks: readonly Block[];
  readonly #lines: readonly string[] | undefined;
  #text: string | undefined;
  readonly #encoded = new Map<Pixels, Promise<Uint8Array>>();
  readonly #stills = new Map<Live, Promise<Drawing>>();

  /** @internal */
  constructor({ title, caption = "", blocks, lines, text }: FigureParts) {
    super();
    this.title = title;
    this.caption = caption;
    this.blocks = blocks;
    this.#lines = lines;
    this.#text = text;
  }

  /** The figure in words and numbers, as terminals print it. */
  get text(): string {
    return this.#text ??= wordsOf({
      title: this.title,
      caption: this.caption,
      blocks: this.blocks,
      lines: this.#lines,
    });
  }

  /** The figure itself. */
  override figure(): Figure {
    return this;
  }

  /** Shows it here and now, also from the middle of a cell; prints its text outside Jupyter. */
  override async show(): Promise<void> {
    if (inKernel()) await display(await this.bundle());
    else console.log(this.text);
  }

  /** The figure as HTML: an `<img>` with alt text for each picture, its words around it, and the scripts it needs. */
  async html(): Promise<string> {
    const [pixels, charts, live] = await Promise.all([
      mapOf(pixelsWithin(this.blocks, false), this.#encode),
      mapOf(chartsWithin(this.blocks), chartImage),
      mapOf(liveWithin(this.blocks, false), async (block) => liveImage(block, await this.#still(block))),
    ]);
    return figureHtml(this, { pixels, charts, live });
  }

  /** The whole figure, words and all, as one PNG on white; of slides the frame that is shown first. */
  async png(): Promise<Uint8Array> {
    return await renderSvg(svgDocument(await this.#draw(await typesetter(), this.#still)));
  }

  /**
   * The whole figure as an SVG document on white: its text is text (in DejaVu Sans, or as wide as that), its charts are
   * shapes, its pictures are sharp pixels. Of slides the frame that is shown first.
   */
  async svg(): Promise<string> {
    return svgDocument(await this.#drawText());
  }

  /**
   * The whole figure as a PDF of one page, 96 pixels an inch: its text can be selected, the fonts are in the file, its
   * charts are shapes, its pictures are sharp pixels. Of slides the frame that is shown first.
   */
  async pdf(): Promise<Uint8Array> {
    return await pdfOf(await this.#drawText(), this.title);
  }

  /**
   * What a notebook keeps: `text/html`, `image/png` (base64) and `text/plain`; of a figure with a single map
   * `application/vnd.plotly.v1+json` too.
   */
  async bundle(): Promise<MimeBundle> {
    const [html, png] = await Promise.all([this.html(), this.png()]);
    const [plotly, ...others] = liveWithin(this.blocks, true).flatMap((block) => block.plotly?.() ?? []);
    return {
      "text/html": html,
      "image/png": png.toBase64(),
      "text/plain": this.text,
      ...(plotly !== undefined && others.length === 0 && { "application/vnd.plotly.v1+json": plotly }),
    };
  }

  /**
   * Writes the figure to a file: `.png` (as {@linkcode png}), `.svg`, `.pdf` (both for print, with text as text) or
   * `.html` (a page of its own, interactive).
   *
   * @throws {RangeError} if the path ends in none of these
   */
  async save(path: string | URL): Promise<void> {
    const makers: Record<string, () => Promise<Uint8Array | string>> = {
      ".png": () => this.png(),
      ".svg": () => this.svg(),
      ".pdf": () => this.pdf(),
      ".html": () => this.#page(),
    };
    const ending = String(path).match(/\.\w+$/)?.[0].toLowerCase() ?? "";
    if (!Object.hasOwn(makers, ending)) {
      throw new RangeError(
        `A figure is saved as .png, .svg, .pdf or .html: received the path ${
          JSON.stringify(String(path))
        }. End it in ` +
          `one of these.`,
      );
    }
    const made = await makers[ending]();
    await Deno.writeFile(path, typeof made === "string" ? new TextEncoder().encode(made) : made);
  }

  async #page(): Promise<string> {
    return `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="color-scheme" content="light dark">\n` +
      `<title>${escapeHtml(this.title)}</title>\n` +
      `<body style="font-family:system-ui,sans-serif;margin:24px">\n${await this.html()}\n</body>\n</html>\n`;
  }

  async #drawText(): Promise<Drawing> {
    const type = asText(await typesetter());
    return await this.#draw(type, async (block) => await block.still(type));
  }

  /** The whole figure as a drawing; of slides the frame that is shown first. */
  async #draw(type: Typesetter, still: (block: Live) => Promise<Drawing>): Promise<Drawing> {
    const [pixels, live] = await Promise.all([
      mapOf(pixelsWithin(this.blocks, true), this.#encode),
      mapOf(liveWithin(this.blocks, true), still),
    ]);
    return drawFigure(type, this, { pixels, live });
  }

  /** A drawing with its words as outlines, made once. */
  readonly #still = (block: Live): Promise<Drawing> => {
    let made = this.#stills.get(block);
    if (!made) this.#stills.set(block, made = typesetter().then((type) => block.still(type)));
    return made;
  };

  /** A picture as a PNG, made once. */
  readonly #encode = (pixels: Pixels): Promise<Uint8Array> => {
    const { data, width, height } = pixels;
    let made = this.#encoded.get(pixels);
    if (!made) {
      this.#encoded.set(pixels, made = encodePng(data, width, height, data.length === width * height * 4 ? 4 : 3));
    }
    return made;
  };
}
