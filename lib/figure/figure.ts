/**
 * A figure: a title, pictures, bars and tables in rows, a caption. It shows itself in a Jupyter cell, prints
 * itself in a terminal, and saves itself to a file.
 *
 * @module
 */

import { encodeForPage, encodePng, renderSvg } from "../codec.ts";
import type { Block, Chart, Drawing, Live } from "./blocks.ts";
import { drawChart } from "./chart.ts";
import { drawFigure, type DrawOptions, svgDocument } from "./draw.ts";
import { type ChartImage, figureHtml, type LiveImage } from "./html.ts";
import { escapeHtml } from "../format.ts";
import { readOptions } from "../options.ts";
import { display, displaySymbol, inKernel, keepOutputs, listenForInterrupts, type MimeBundle } from "./cell.ts";
import type { Pixels } from "./mosaic.ts";
import { chartsWithin, inColumns, liveWithin, mapOf, pixelsWithin, wholesWithin } from "./parts.ts";
import { pdfOf } from "./pdf.ts";
import { encodeWholes } from "./sprites.ts";
import { checkPixels, FigureSaveOptions, printSize } from "./save.ts";
import { asText, typesetter } from "./text.ts";
import { type Theme, THEMES } from "./theme.ts";
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

const depthOf = ({ data, width, height }: Pixels) => data.length === width * height * 4 ? 4 : 3;

/** The PNG that a notebook keeps beside the HTML, for what shows none, is shrunk where it takes more bytes. */
const HEAVY = 300_000;

/** Pixels of a chart to one of the page, for it to be crisp on fine screens. */
const FINE = 2;

async function chartImage(chart: Chart, theme: Theme): Promise<ChartImage> {
  const drawn = drawChart(await typesetter(), chart, theme);
  const png = await renderSvg(svgDocument(drawn), { width: drawn.width * FINE, small: true });
  return { png, width: drawn.width, height: drawn.height, hover: drawn.hover };
}

async function liveImage(block: Live, still: Drawing): Promise<LiveImage> {
  const { width, height } = still;
  const [picture, html] = await Promise.all([
    block.picture?.() ?? renderSvg(svgDocument(still), { width: width * FINE, small: true }),
    block.html(),
  ]);
  return { picture, width, height, html };
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

  /**
   * The figure as HTML: an `<img>` with alt text for each picture, its words around it, and the scripts it needs.
   *
   * @throws {RangeError} if options are given that a page has no use for: `width`, `scale` or `dpi`
   */
  async html(options: Partial<FigureSaveOptions> = {}): Promise<string> {
    const { theme = "light", ...wanted } = readOptions("html", FigureSaveOptions, options);
    for (const name of ["width", "scale", "dpi"] as const) {
      if (wanted[name] !== undefined) {
        throw new RangeError(
          `${name} is for .png, .svg and .pdf; an HTML page is as wide as its window. Leave it out.`,
        );
      }
    }
    const figure = this.#arranged(wanted);
    const [pixels, charts, live, wholes] = await Promise.all([
      mapOf(
        pixelsWithin(figure.blocks),
        (pixels) => encodeForPage(pixels.data, pixels.width, pixels.height, depthOf(pixels)),
      ),
      mapOf(chartsWithin(figure.blocks), (chart) => chartImage(chart, THEMES[theme])),
      mapOf(liveWithin(figure.blocks, false), async (block) => liveImage(block, await this.#still(block))),
      encodeWholes(wholesWithin(figure.blocks)),
    ]);
    return figureHtml(figure, { pixels, charts, live, wholes });
  }

  /**
   * The whole figure, words and all, as one PNG; of slides the frame that is shown first.
   *
   * @throws {RangeError} if it would be more than 30,000 pixels wide or high, or too narrow for its words
   */
  async png(options: Partial<FigureSaveOptions> = {}): Promise<Uint8Array> {
    const wanted = readOptions("png", FigureSaveOptions, options);
    const { scale, dpi, drawing } = await this.#draw(wanted, "outlines");
    if (scale === undefined) return await renderSvg(svgDocument(drawing));
    // As wide as was asked for, to the pixel.
    const width = Math.max(1, Math.round(printSize(wanted).pixels ?? drawing.width * scale));
    checkPixels(width, drawing.height * width / drawing.width);
    return await renderSvg(svgDocument(drawing, drawing.width), { width, dpi });
  }

  /**
   * The whole figure as an SVG document: its text is text (in DejaVu Sans, or as wide as that), its charts are shapes, its
   * pictures are sharp pixels. Of slides the frame that is shown first.
   *
   * @throws {RangeError} if it would be too narrow for its words
   */
  async svg(options: Partial<FigureSaveOptions> = {}): Promise<string> {
    const { drawing, paper } = await this.#draw(readOptions("svg", FigureSaveOptions, options), "text");
    return svgDocument(drawing, paper);
  }

  /**
   * The whole figure as a PDF of one page, 96 pixels an inch: its text can be selected, the fonts are in the file, its
   * charts are shapes, its pictures are sharp pixels. Of slides the frame that is shown first.
   *
   * @throws {RangeError} if it would be too narrow for its words
   */
  async pdf(options: Partial<FigureSaveOptions> = {}): Promise<Uint8Array> {
    const { drawing, paper } = await this.#draw(readOptions("pdf", FigureSaveOptions, options), "text");
    return await pdfOf(drawing, this.title, paper);
  }

  /**
   * What a notebook keeps: `text/html`, `image/png` (base64) and `text/plain`; of a figure with a single map
   * `application/vnd.plotly.v1+json` too.
   */
  async bundle(): Promise<MimeBundle> {
    const still = async () => {
      const { drawing } = await this.#draw(readOptions("bundle", FigureSaveOptions, {}), "outlines");
      return await renderSvg(svgDocument(drawing), { small: true, most: HEAVY });
    };
    const [html, png] = await Promise.all([this.html(), still()]);
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
   * `.html` (a page of its own, interactive). An `.svg` and a `.pdf` are as large on paper as the `.png`.
   *
   * @example A column of a paper, and a slide
   * ```ts
   * import { activations, loadModel, photo } from "@convlens/convlens";
   *
   * const model = await loadModel("cifar-convnet");
   * const maps = await activations(model, await photo("dog"), { layer: "conv1" });
   * const figure = maps.figure();
   * const folder = await Deno.makeTempDir();
   * await figure.save(`${folder}/column.png`, { width: "85mm", dpi: 300, title: false });
   * await figure.save(`${folder}/slide.png`, { width: 1920, theme: "dark" });
   * ```
   *
   * @throws {RangeError} if the path ends in none of these, an option's value does not fit or is of no use there
   * @throws {TypeError} if an option is unknown
   */
  async save(path: string | URL, options: Partial<FigureSaveOptions> = {}): Promise<void> {
    const wanted = readOptions("save", FigureSaveOptions, options);
    const makers: Record<string, () => Promise<Uint8Array | string>> = {
      ".png": () => this.png(wanted),
      ".svg": () => this.svg(wanted),
      ".pdf": () => this.pdf(wanted),
      ".html": () => this.#page(wanted),
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

  async #page(options: FigureSaveOptions): Promise<string> {
    const html = await this.html(options);
    const ground = options.theme
      ? `;background:${THEMES[options.theme].ground};color:${THEMES[options.theme].ink}`
      : "";
    return `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="color-scheme" content="${
      options.theme ?? "light dark"
    }">\n` +
      `<title>${escapeHtml(this.title)}</title>\n` +
      `<body style="font-family:system-ui,sans-serif;margin:24px${ground}">\n${html}\n</body>\n</html>\n`;
  }

  /** The figure in other columns, with another title, or without its words. */
  #arranged({ columns, title = true, caption }: FigureSaveOptions): FigureParts & { title: string; caption: string } {
    return {
      title: title === true ? this.title : title || "",
      caption: caption ? this.caption : "",
      blocks: columns === undefined ? [...this.blocks] : inColumns(this.blocks, columns),
    };
  }

  /** The whole figure as a drawing, the pixels of a file to one of it and to an inch, and its width on paper. */
  async #draw(
    options: FigureSaveOptions,
    words: "outlines" | "text",
  ): Promise<{ drawing: Drawing; scale?: number; dpi?: number; paper?: number }> {
    const { room, pixels, of } = printSize(options);
    const sized = [options.width, options.scale, options.dpi].some((value) => value !== undefined);
    const outlines = await typesetter();
    const type = words === "text" ? asText(outlines) : outlines;
    const theme = THEMES[options.theme ?? "light"];
    const draw: DrawOptions = {
      type,
      theme,
      room,
      encode: this.#encode,
      still: async (block, print) => await block.still(type, theme, print),
      density: (width) => words === "text" ? Infinity : of(width).scale,
    };
    const drawing = await drawFigure(this.#arranged(options), draw);
    if (!sized) return { drawing };
    const { scale, dpi } = of(drawing.width);
    return { drawing, scale, dpi, paper: (pixels ?? drawing.width * scale) / dpi * 96 };
  }

  /** A drawing with its words as outlines, made once. */
  readonly #still = (block: Live): Promise<Drawing> => {
    let made = this.#stills.get(block);
    if (!made) {
      this.#stills.set(block, made = typesetter().then((type) => block.still(type, THEMES.light)));
    }
    return made;
  };

  /** A picture as a PNG, no pixel of it changed, made once. */
  readonly #encode = (pixels: Pixels): Promise<Uint8Array> => {
    const { data, width, height } = pixels;
    let made = this.#encoded.get(pixels);
    if (!made) {
      this.#encoded.set(pixels, made = encodePng(data, width, height, depthOf(pixels), { palette: true }));
    }
    return made;
  };
}
