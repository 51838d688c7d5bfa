/**
 * The result that every attribution method gives: how much each pixel counts, beside the photo and over it.
 *
 * @module
 */

import { pixelRemark } from "../data/pixels.ts";
import { extent, NdArray, type NdArrayLike, placeOf } from "../array.ts";
import { kindOf } from "../errors.ts";
import type { Blend, Block, Chart, Picture } from "../figure/blocks.ts";
import { brief, probabilityText } from "../format.ts";
import { type Palette, paletteRow } from "../figure/color.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { oneOf, readOptions, rule } from "../options.ts";
import { Savable } from "./result.ts";
import { inputBlock } from "./input_block.ts";
import { enlargement, painted, placeText } from "./panels.ts";
import { MOST_LINES, shadeOf, signalBlock, stripsOf } from "./signals.ts";
import { flat, flatImage, numbered, type SlicesView, slicesView } from "./volumes.ts";

/** What a map explains. A class has an index and a label, a unit a layer, a channel and a cell. */
export interface AttributionTarget {
  /** The target in words. */
  readonly text: string;
  /** What it is: `"class"`, `"label"`, `"number"`, `"unit"`, `"direction"`, `"function"` or `"sum"`. */
  readonly kind?: string;
  /** The index of the class among the model's outputs. */
  readonly index?: number;
  /** The label of the class. */
  readonly label?: string;
  /** What the model gives the class, 0…1; absent where its outputs are no probabilities. */
  readonly probability?: number;
  /** The layer of the unit or direction. */
  readonly layer?: string;
  /** The channel of the unit. */
  readonly channel?: number;
  /**
   * Row and column of the unit in its map, or of the class in the map that the model puts out; a place `[t]` along a signal,
   * `[z, y, x]` in a volume.
   */
  readonly cell?: readonly number[];
  /** Of a class in a map: the box, `[y0, x0, y1, x1]`, in the map's cells. */
  readonly box?: readonly number[];
  /** Of a class in a map: the mask, `[h, w]`. */
  readonly mask?: NdArrayLike;
  /** Of a class in a map: how many cells the map has along each axis. */
  readonly grid?: readonly number[];
  /** Of a network with several outputs: the name of the one that was asked about. */
  readonly output?: string;
}

/** A target in words, with its probability where there is one. */
export const targetText = ({ text, probability }: AttributionTarget): string =>
  probability === undefined ? text : `${text} (${probabilityText(probability)})`;

const percentile = rule((name, value) => {
  if (typeof value === "number" && value > 0 && value <= 100) return;
  throw new RangeError(`${name} must be a percentile above 0, at most 100: received ${kindOf(value)}.`);
});

const share = rule((name, value) => {
  if (typeof value === "number" && value >= 0 && value <= 1) return;
  throw new RangeError(`${name} is a share from 0 to 1: received ${kindOf(value)}.`);
});

/** How a map is painted. */
export class MapOptions {
  /**
   * The percentile of the magnitudes other than 0 that takes the last colour; what is greater is clipped to it.
   * @default 99 for maps of pixels, 100 (nothing is clipped) for maps of a layer's cells
   */
  @percentile
  clip?: number;
  /**
   * The palette of unsigned maps; signed ones take the diverging palette.
   * @default "inferno"
   */
  @oneOf("grey", "inferno")
  palette?: Exclude<Palette, "diverging">;
}

/** How an attribution's figure is painted. */
export class AttributionFigureOptions extends MapOptions {
  /**
   * How much of the map is seen over the photo, 0…1; a slider changes it where scripts run.
   * @default 0.8
   */
  @share
  opacity?: number;
}

/** A small image is shown enlarged by a whole factor, up to this size. */
const SHOWN = 224;
/** Of the colour bar, in pixels. */
const BAR_HEIGHT = 10;

/**
 * The value at a percentile of the magnitudes other than 0: this share of them is not larger. 0 if all are 0.
 */
export function percentileOfMagnitudes(values: ArrayLike<number>, percentile: number): number {
  const magnitudes = Float32Array.from(values as ArrayLike<number>, Math.abs).filter((value) => value > 0).sort();
  if (magnitudes.length === 0) return 0;
  return magnitudes[Math.max(0, Math.ceil((percentile / 100) * magnitudes.length) - 1)];
}

/** A map without a peak. */
export interface FlatMap {
  /** Why it has none: it is 0 everywhere, the same everywhere, nowhere above 0, or some of it is no number. */
  readonly kind: "zero" | "constant" | "negative" | "not finite";
  /** The same as the end of a sentence, as `"is 0 everywhere"`. */
  readonly text: string;
}

/** Whether a map has no peak; null where it has one. */
export function flatMapOf({ data }: NdArrayLike): FlatMap | null {
  const [min, max] = extent(data);
  const bad = data.reduce((count, value) => count + Number(!Number.isFinite(value)), 0);
  if (bad > 0) return { kind: "not finite", text: `has ${bad} values of ${data.length} that are not finite` };
  if (min === 0 && max === 0) return { kind: "zero", text: "is 0 everywhere" };
  if (min === max) return { kind: "constant", text: `is the same, ${brief(min)}, everywhere` };
  return max <= 0 ? { kind: "negative", text: "is nowhere above 0" } : null;
}

/** Why a map has no peak; why it is 0 depends on the method. */
const WHY: Record<Exclude<FlatMap["kind"], "zero">, string> = {
  "constant": "No pixel counts more than another.",
  "negative": "Nothing speaks for the target, some pixels speak against it.",
  "not finite": "The score or what it is made of is beyond 32-bit numbers, or a weight is no number.",
};

/** Why a gradient is 0. */
const NO_GRADIENT =
  "The score does not change with any pixel: its gradient is 0, as behind ReLUs that do not fire or " +
  "where an activation is saturated.";

/** What the colours of some maps mean. */
export function colorsText(maps: readonly Attribution[]): string {
  const painted = maps.filter(({ paint }) => paint === "map");
  return [
    painted.some(({ signed }) => !signed) ? "Unsigned maps: black is 0." : "",
    painted.some(({ signed }) => signed)
      ? "Signed maps: orange speaks for the target, blue against it, black is 0."
      : "",
    maps.some(({ paint }) => paint === "colors") ? "Colour pictures: grey is 0." : "",
  ].filter(Boolean).join(" ");
}

/** What an {@linkcode Attribution} is made of: its data, and what its figure says and clips. */
export type AttributionParts =
  & Pick<
    Attribution,
    "method" | "model" | "name" | "target" | "score" | "signed" | "paint"
  >
  & Record<"image" | "values" | "map", NdArrayLike>
  & Partial<Pick<Attribution, "convergenceDelta" | "layer">>
  & {
    cam?: NdArrayLike;
    /** How the map was made of the values, and what it was made with, in a sentence or several. */
    about: string;
    /** Why the map is 0 everywhere, if it is. @default as a gradient's is */
    whyZero?: string;
    /** The percentile that is clipped to unless the figure is asked for another. @default 99 */
    clip?: number;
  };

/** How much each pixel of an image counts for a target; in a cell, the map beside the photo and over it. */
export class Attribution extends Savable {
  /** The method's name, as `"integrated gradients"`. */
  readonly method!: string;
  /** The model's name. */
  readonly model!: string;
  /** The image's name. */
  readonly name!: string;
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255; a signal `[length, c]`, a volume `[d, h, w, c]`. */
  readonly image: NdArray;
  /** `[h, w, 3]` in RGB order; `[h, w]` for a model of grey images and for class activation maps. */
  readonly values: NdArray;
  /** One number a pixel, `[h, w]`; of a signal `[length]`, of a volume `[d, h, w]`. */
  readonly map: NdArray;
  /** What was explained. */
  readonly target!: AttributionTarget;
  /** The target's value for the image. */
  readonly score!: number;
  /** Whether the map has two signs: positive where it speaks for the target. */
  readonly signed!: boolean;
  /** For methods that share the score out among the pixels: how much the sum of all values misses it by. */
  readonly convergenceDelta?: number;
  /** For class activation maps: the map in the layer's own cells, before it was enlarged. */
  readonly cam?: NdArray;
  /** For class activation maps: the layer. */
  readonly layer?: string;
  /** What is painted: the map, or the values as a colour picture with grey for 0. */
  readonly paint!: "map" | "colors";
  readonly #about: string;
  readonly #clip: number;
  readonly #whyZero: string;

  /** @internal */
  constructor(parts: AttributionParts) {
    super();
    const { about, clip = 99, whyZero = NO_GRADIENT, image, values, map, cam, ...own } = parts;
    Object.assign(this, own);
    this.image = NdArray.from(image);
    this.values = NdArray.from(values);
    this.map = NdArray.from(map);
    // Colours are those of a picture.
    // Signals, volumes and other bands than red, green and blue have no colours.
    const { shape: [, , channels = 1] } = this.values;
    if (!this.#isPicture || (channels !== 1 && channels !== 3)) Object.assign(this, { paint: "map" });
    if (cam) this.cam = NdArray.from(cam);
    this.#about = about;
    this.#clip = clip;
    this.#whyZero = whyZero;
  }

  /** The target in words, with its probability where there is one. */
  get targetText(): string {
    return targetText(this.target);
  }

  /**
   * What is unusual about the map, and why: that it is 0 everywhere, nowhere above 0, the same everywhere or not finite; empty
   * for a map with a peak.
   */
  get remark(): string {
    const flat = flatMapOf(this.map);
    return flat ? `The map ${flat.text}. ${flat.kind === "zero" ? this.#whyZero : WHY[flat.kind]}` : "";
  }

  /**
   * The photo as the model saw it.
   *
   * @internal
   */
  photo(): Picture | Chart {
    return inputBlock(this.image, {
      shown: SHOWN,
      slices: this.#slices ?? undefined,
      heading: "as the model saw it",
      alt: `${this.name}, as ${this.model} saw it`,
    });
  }

  /**
   * The map, or the values as colours; the hover reads the map's numbers, in the layer's own cells where it has them.
   *
   * @internal
   */
  picture(options: MapOptions = {}): Picture {
    const { largest } = this.scale(options);
    const alt = `${this.method} of ${this.model} for ${this.target.text} on ${this.name}`;
    if (this.#isSignal) {
      const note = this.#showsSigns ? "channel by channel, with the sign: orange above 0, blue below" : undefined;
      return stripsOf(this.#strips, {
        heading: this.method,
        ...note && { note },
        largest,
        palette: options.palette,
        alt,
      });
    }
    const slices = this.#slices;
    if (slices) {
      return {
        kind: "picture",
        heading: this.method,
        pixels: numbered(slices, this.#painted(largest, options.palette)),
        alt,
      };
    }
    return {
      kind: "picture",
      heading: this.method,
      pixels: this.paint === "colors" ? this.#colors(largest) : this.#painted(largest, options.palette),
      values: this.cam ?? this.map,
      alt,
    };
  }

  /**
   * The map over the photo, which is seen wherever the map is near 0.
   *
   * @internal
   */
  blend({ opacity = 0.8, ...options }: AttributionFigureOptions = {}): Blend | Chart | Picture {
    const { largest } = this.scale(options);
    const alt = `${this.method} of ${this.model} for ${this.target.text}, laid over ${this.name}`;
    if (this.#isSignal) {
      const heading = this.#isShaded ? `behind the ${this.#noun}` : `the ${this.#noun}, channel by channel`;
      return signalBlock(this.image, { heading, alt, shade: shadeOf(this.map, largest) });
    }
    const slices = this.#slices;
    const above = this.#veil(this.#painted(largest, options.palette), largest);
    return {
      kind: "blend",
      heading: slices ? "over the slices" : "over the photo",
      below: slices
        ? numbered(slices, pixelsOf(flatImage(slices, this.image), slices.factor))
        : pixelsOf(this.image, this.#factor()),
      above: slices ? numbered(slices, above) : above,
      opacity,
      alt,
    };
  }

  /**
   * The colours of the map with what they stand for.
   *
   * @internal
   */
  bar(options: MapOptions = {}): Picture {
    const { largest, low, palette } = this.scale(options);
    const row = paletteRow(this.paint === "colors" ? "grey" : palette, SHOWN);
    const note = low < 0 ? `${brief(low)} … 0 … ${brief(largest)}` : `0 … ${brief(largest)}`;
    return {
      kind: "picture",
      note,
      pixels: pixelsOf({ data: row, shape: [1, SHOWN, 3] }, [BAR_HEIGHT, 1]),
      alt: `Colour bar of the ${this.method} map: ${note}`,
    };
  }

  /**
   * The photo, the map and the map over the photo, under the image's name and the target; the scale is above them.
   *
   * @internal
   */
  override sheetRow(): SheetRow {
    const bare = <Of extends Block>(block: Of): Of => ({ ...block, heading: undefined });
    return {
      heading: `${this.name} · ${this.targetText}`,
      note: this.scaleText(),
      blocks: this.#isPicture ? [this.photo(), this.picture(), this.blend()].map(bare) : [this.blend()].map(bare),
      caption: this.#about + ` Each map has a scale of its own, which stands above it. ${colorsText([this])}`,
    };
  }

  /**
   * What the last colour means, in a few words, and what is unusual about the map.
   *
   * @internal
   */
  scaleText(options: MapOptions = {}): string {
    const { low, largest, clip } = this.scale(options);
    const end = `${low < 0 ? "±" : "0 … "}${brief(largest)}, ${clip === 100 ? "the greatest" : `${clip}th percentile`}`;
    return [largest > 0 ? end : "", pixelRemark(this.image), this.remark].filter(Boolean).join(" · ");
  }

  /** What the first and the last colour stand for. */
  scale({ clip = this.#clip, palette = "inferno" }: MapOptions = {}): {
    low: number;
    largest: number;
    palette: Palette;
    clip: number;
  } {
    const colors = this.paint === "colors";
    const largest = percentileOfMagnitudes(colors ? this.values.data : this.map.data, clip);
    const isDiverging = this.signed || this.#showsSigns;
    return { low: colors || isDiverging ? -largest : 0, largest, palette: isDiverging ? "diverging" : palette, clip };
  }

  /** The sentences under the figure that say how to read the map. */
  caption(options: MapOptions = {}): string {
    const { clip, largest, palette } = this.scale(options);
    const clipped = clip === 100
      ? "the greatest magnitude"
      : `the ${clip}th percentile of the magnitudes other than 0, what is greater is clipped`;
    const scale = this.paint === "colors"
      ? `Colours are 0.5 + value / (2 · ${brief(largest)}), grey is 0; ${brief(largest)} is ${clipped}.`
      : this.#showsSigns
      ? `With signs, channel by channel: orange is above 0, blue below, black is 0; full colour is ±${
        brief(largest)
      }, ${clipped}.`
      : this.signed
      ? `Signed: orange speaks for the target, blue against it, black is 0; full colour is ±${
        brief(largest)
      }, ${clipped}.`
      : `Unsigned: black is 0, ${palette === "grey" ? "white" : "the brightest colour"} ${brief(largest)}, ${clipped}.`;
    const delta = this.convergenceDelta === undefined ? "" : `Convergence delta ${brief(this.convergenceDelta)}.`;
    const stripes = this.#isSignal && this.#isShaded
      ? `Behind the ${this.#noun} ${this.#showsSigns ? "the map" : "the same"} as stripes: the stronger, the greater${
        this.signed ? "; orange is positive, blue negative" : ""
      }.`
      : "";
    return [pixelRemark(this.image), this.remark, this.#about, scale, stripes, delta].filter(Boolean).join(" ");
  }

  /** The photo, the map and the map over the photo in a row, with the colour bar below. */
  override figure(given: Partial<AttributionFigureOptions> = {}): Figure {
    const options = readOptions("figure", AttributionFigureOptions, given);
    const title = `${this.model} · ${this.method} · ${this.targetText} · ${this.name}`;
    const caption = this.caption(options);
    const panels: Block[] = this.#isSignal
      ? [this.blend(options), this.picture(options)]
      : [this.photo(), this.picture(options), this.blend(options)];
    const blocks: Block[] = [
      ...this.#isPicture ? [{ kind: "row" as const, blocks: panels }] : panels,
      this.bar(options),
    ];
    return new Figure({ title, caption, blocks, lines: [this.summary()] });
  }

  /**
   * The score and the map in a line.
   *
   * @internal
   */
  summary(): string {
    const [min, max] = extent(this.map.data);
    const peak = flatMapOf(this.map)?.text.replace(/^is /, "") ??
      `greatest at ${placeText(placeOf(this.map.data.indexOf(max), this.map.shape))}`;
    return `score ${brief(this.score)} · map ${this.map.shape.join("×")}, ${brief(min)} … ${brief(max)}, ${peak}`;
  }

  get #isSignal(): boolean {
    return this.map.shape.length === 1;
  }

  /** Of a signal, what its strips show: the values of each channel, or the map. */
  get #strips(): NdArrayLike {
    return this.values.shape.length === 2 ? this.values : { data: this.map.data, shape: [...this.map.shape, 1] };
  }

  /** Whether the strips of a signal have signs that its map has not. */
  get #showsSigns(): boolean {
    return this.#isSignal && !this.signed && this.#strips.data.some((value) => value < 0);
  }

  /** Whether a signal is drawn as lines, before the map as stripes. */
  get #isShaded(): boolean {
    return this.image.shape.length === 1 || this.image.shape[1] <= MOST_LINES;
  }

  /** What a map of one axis is behind. */
  get #noun(): string {
    return this.image.shape.length === 1 ? "numbers" : "signal";
  }

  get #isPicture(): boolean {
    return this.map.shape.length === 2;
  }

  /** Of a volume, what is seen of it: the slice of the greatest value is among the slices. */
  get #slices(): SlicesView | null {
    if (this.map.shape.length !== 3) return null;
    const { data } = this.map;
    let peak = 0;
    for (let i = 0; i < data.length; i++) if (Math.abs(data[i]) > Math.abs(data[peak])) peak = i;
    return slicesView(this.map.shape, peak);
  }

  /** The map as it is painted, of a volume its slices side by side, and how much it is enlarged. */
  get #plane(): { map: NdArrayLike; factor: number } {
    const slices = this.#slices;
    return slices ? { map: flat(slices, this.map), factor: slices.factor } : { map: this.map, factor: this.#factor() };
  }

  #factor(): number {
    return enlargement(this.image.shape, SHOWN);
  }

  #painted(largest: number, palette: MapOptions["palette"] = "inferno"): Pixels {
    const low = this.signed ? -largest : 0;
    const { map, factor } = this.#plane;
    return painted(map, { low, high: largest, palette: this.signed ? "diverging" : palette, factor });
  }

  /** The values as colours; where there is one channel, as greys. */
  #colors(largest: number): Pixels {
    const { data, shape: [height, width, channels = 1] } = this.values;
    const shades = new Float32Array(height * width * 3);
    for (let i = 0; i < shades.length; i++) {
      const value = data[channels === 3 ? i : Math.floor(i / 3)];
      shades[i] = largest > 0 ? 255 * (0.5 + value / (2 * largest)) : 127.5;
    }
    return pixelsOf({ data: shades, shape: [height, width, 3] }, this.#factor());
  }

  /** A painted map as RGBA, the more transparent the nearer it is to 0. */
  #veil({ data, width, height }: Pixels, largest: number): Pixels {
    const { map, factor } = this.#plane;
    const columns = map.shape[1];
    const rgba = new Uint8Array(width * height * 4);
    for (let i = 0; i < width * height; i++) {
      const cell = Math.floor(Math.floor(i / width) / factor) * columns + Math.floor((i % width) / factor);
      const share = largest > 0 ? Math.min(1, Math.abs(map.data[cell]) / largest) : 0;
      rgba.set(data.subarray(i * 3, i * 3 + 3), i * 4);
      rgba[i * 4 + 3] = Math.round(255 * share);
    }
    return { data: rgba, width, height };
  }
}
