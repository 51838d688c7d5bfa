/**
 * How features grow while a network learns: of some channels the strongest patch at each snapshot, projected back to the
 * pixels; and which layers settle first.
 *
 * @module
 */

import type { NdArray, NdArrayLike } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { unknownName } from "../errors.ts";
import type { Block, Chart, Sheet, SheetTile } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { brief, fixed, significant } from "../format.ts";
import { arrayOf, oneOf, readOptions, text } from "../options.ts";
import { patchTile } from "./patch_tiles.ts";
import { paintProjection, type PlateLayout } from "./plate.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** The strongest patch of a channel at one snapshot. */
export interface EvolutionRow extends Readonly<Omit<PatchRow, "unit" | "rank" | "relevance">> {
  /** The channel. */
  readonly channel: number;
  /** The epoch after which the weights were kept; 0 is before training. */
  readonly epoch: number;
  /** Whether it is of another image than at the snapshot before: then the picture jumps. */
  readonly jump: boolean;
}

/** How near a layer is to what it is at the end, after one epoch. */
export interface SettlingRow {
  /** The layer's name. */
  readonly layer: string;
  /** The epoch. */
  readonly epoch: number;
  /**
   * How much its filters resemble those at the end: the mean cosine of the angles between them, 1 for the same; null for a
   * layer without filters.
   */
  readonly filters: number | null;
  /** The share of the images that excite its channels most which are the same at the end, on average; null if none excite. */
  readonly images: number | null;
}

/**
 * A layer has settled where its measures stay at or above these: `filters` as a share of the way from the first snapshot to
 * the end, because filters that were drawn at random are near their end from the start.
 */
export const SETTLED = { filters: 0.9, images: 0.5 };

/** When a layer has settled. */
export interface SettledLayer {
  /** The layer's name. */
  readonly layer: string;
  /**
   * The first epoch kept from which on `filters` has gone 0.9 of the way from its value at the first snapshot to 1; null for a
   * layer without filters.
   */
  readonly filters: number | null;
  /** The first epoch kept from which on `images` stays at or above 0.5; null if none excite. */
  readonly images: number | null;
}

/** What an evolution is made of. */
export interface EvolutionParts {
  readonly rows: readonly EvolutionRow[];
  readonly settling: readonly SettlingRow[];
  readonly settled: readonly SettledLayer[];
  readonly epochs: readonly number[];
  readonly layers: readonly string[];
  readonly top: number;
  readonly images: number;
  readonly skipped: readonly SkippedImage[];
}

/** How an evolution is drawn. */
export class EvolutionFigureOptions {
  /**
   * The layer whose channels are drawn.
   * @default all that were asked for
   */
  @text()
  layer?: string;
  /**
   * Which of the channels are drawn.
   * @default all that were asked for
   */
  @arrayOf("channels")
  channels?: readonly number[];
  /**
   * What is drawn: the features, the curves that say which layers settle first, or both.
   * @default "both"
   */
  @oneOf("features", "settling", "both")
  view: "features" | "settling" | "both" = "both";
  /**
   * Whether projections are in colour, as in the paper, or in grey.
   * @default "colors"
   */
  @oneOf("colors", "grey")
  layout: PlateLayout = "colors";
}

/** The width of a page, and how large a patch is drawn on it: two channels stand side by side if they are not too small. */
const PAGE = 900;
const SIZE = { least: 48, most: 100, half: 64 };
const JUMP = [255, 138, 0, 255];

/** How features grew; in a cell, a row of projections and patches a channel, and the curves of how layers settle. */
export class FeatureEvolution extends Result<EvolutionRow> {
  /** One row for each channel and snapshot, layer after layer. */
  declare readonly rows: readonly EvolutionRow[];
  /** One row for each layer and snapshot. */
  declare readonly settling: readonly SettlingRow[];
  /** One entry a layer: from which epoch on it hardly changes. */
  declare readonly settled: readonly SettledLayer[];
  /** The epochs of the snapshots. */
  declare readonly epochs: readonly number[];
  /** The layers whose channels are drawn. */
  declare readonly layers: readonly string[];
  /** How long the lists of images are that are compared with those at the end. */
  declare readonly top: number;
  /** How many images were looked at. */
  declare readonly images: number;
  /** The images that could not be read. */
  declare readonly skipped: readonly SkippedImage[];
  readonly #names: { model: string; dataset: string };
  readonly #pictures: ReadonlyMap<string, NdArray>;
  readonly #projections: ReadonlyMap<EvolutionRow, NdArray>;

  /** @internal */
  constructor(
    parts: EvolutionParts,
    pictures: { pictures: ReadonlyMap<string, NdArray>; projections: ReadonlyMap<EvolutionRow, NdArray> },
    names: { model: string; dataset: string },
  ) {
    super();
    Object.assign(this, parts);
    this.#pictures = pictures.pictures;
    this.#projections = pictures.projections;
    this.#names = names;
  }

  /**
   * What came back to the pixels of a row's box (DeconvNet).
   *
   * @param row one of `rows`
   * @returns `[y1 − y0, x1 − x0, c]`, in RGB order, in units of the network's input; undefined for other rows
   */
  projection(row: EvolutionRow): NdArray | undefined {
    return this.#projections.get(row);
  }

  /** An image that has one of the patches, as the model sees it, `[h, w, c]`, 0…255; undefined for others. */
  picture(imageId: string): NdArray | undefined {
    return this.#pictures.get(imageId);
  }

  /** @internal */
  override arrays(): object {
    const projections = Object.fromEntries(this.rows.map((row, i) => [i, this.projection(row)]));
    return { ...this, projections };
  }

  /**
   * Draws the channels, each as a row of projections over a row of their patches, one column an epoch; and how layers settle.
   *
   * @throws {RangeError} if a layer or a channel is none of the result's
   */
  override figure(options: Partial<EvolutionFigureOptions> = {}): Figure {
    const { layer, channels, view, layout } = readOptions("figure", EvolutionFigureOptions, options);
    if (layer !== undefined && !this.layers.includes(layer)) {
      throw unknownName("layer", layer, this.layers, "this evolution");
    }
    const layers = layer === undefined ? this.layers : [layer];
    const { model, dataset } = this.#names;
    const jumps = this.rows.filter(({ jump }) => jump).length;
    const chance = fixed(Math.min(1, this.top / Math.max(1, this.images)), 3);
    return new Figure({
      title:
        `${model} · features at ${this.epochs.length} snapshots from epoch ${this.epochs[0]} to ${
          this.epochs.at(-1)
        } · ` +
        `${this.images} images of ${dataset}`,
      caption: [
        view === "settling"
          ? ""
          : "Of each channel, above: what of its strongest patch comes back to the pixels (DeconvNet), " +
            `each with a contrast of its own; mid-grey is 0. Below: the patch. Outlined in orange: it is of another image than ` +
            `at the epoch before, so that the picture jumps (${jumps === 1 ? "once" : `${jumps} times`} in all).`,
        view === "features"
          ? ""
          : `Filters: the mean cosine of the angles between a layer's filters and those at the end. Images: ` +
            `of the ${this.top} images that excite a channel most, the share that is the same at the end (by chance ${chance}). ` +
            `At the end both are 1.`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        ...view === "settling" ? [] : layers.map((name) => this.#layer(name, channels, layout)),
        ...view === "features" ? [] : [this.#curves()],
      ],
      lines: this.settled.map(({ layer, filters, images }) =>
        `${layer}: filters settled ${at(filters)}, images ${at(images)}`
      ),
    });
  }

  #layer(layer: string, channels: readonly number[] | undefined, layout: PlateLayout): Sheet {
    const units = Map.groupBy(this.rows.filter((row) => row.layer === layer), ({ channel }) => channel);
    for (const channel of channels ?? []) {
      if (units.has(channel)) continue;
      throw new RangeError(
        `The evolution has no channel ${channel} of ${JSON.stringify(layer)}; it has ${[...units.keys()].join(", ")}.`,
      );
    }
    const own = [...units].filter(([channel]) => channels?.includes(channel) ?? true);
    const boxes = own.flatMap(([, rows]) => rows.map(({ box }) => box));
    const field = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis + 2] - box[axis]))) as [number, number];
    const fitting = (width: number) => Math.min(SIZE.most, Math.floor(width / this.epochs.length) - 4);
    const half = fitting(PAGE / 2 - 20);
    const size = half >= SIZE.half ? half : Math.max(SIZE.least, fitting(PAGE));
    const tiles = own.map(([channel, rows]) => this.#strip(channel, rows, { field, size }, layout));
    return {
      kind: "sheet",
      heading: layer,
      tiles,
      side: Math.max(...tiles.map(({ pixels }) => pixels.width)),
      filter: "channel",
    };
  }

  /** A channel through the epochs. */
  #strip(
    channel: number,
    rows: readonly EvolutionRow[],
    look: { field: [number, number]; size: number },
    layout: PlateLayout,
  ): SheetTile {
    const [{ layer }] = rows;
    const words = (row: EvolutionRow) =>
      [
        `channel ${channel} of ${layer}, epoch ${row.epoch}${row.jump ? ", another image" : ""}`,
        [row.imageId, row.label].filter((part) => part !== undefined).join(" · "),
        `activation ${brief(row.activation)}`,
      ].join("\n");
    const drawn = patchTile([
      ...rows.map((row) => ({
        image: this.#spread(row, layout),
        box: row.box,
        value: `epoch ${brief(row.epoch)}`,
        words: `what comes back\n${words(row)}`,
      })),
      ...rows.map((row) => ({
        image: pixelsOf(this.#pictures.get(row.imageId)!),
        box: row.box,
        value: significant(row.activation, 2),
        words: words(row),
      })),
    ], { ...look, columns: rows.length, values: true });
    rows.forEach(({ jump }, i) => {
      if (jump) { for (const spot of [drawn.spots[i], drawn.spots[rows.length + i]]) outline(drawn.pixels, spot.box); }
    });
    const jumps = rows.filter(({ jump }) => jump);
    const told = jumps.length === 0
      ? "one image throughout"
      : `another image at ${jumps.length === 1 ? "epoch" : "epochs"} ${
        jumps.map(({ epoch }) => brief(epoch)).join(", ")
      }`;
    return {
      ...drawn,
      lines: [`channel ${channel}`, told],
      words: `channel ${channel}  ${told}`,
      alt:
        `The strongest patch of channel ${channel} of ${layer} at ${rows.length} epochs, and what comes back from it`,
    };
  }

  /** A projection at its place on an image that is grey elsewhere, so that it is cut as the patch is. */
  #spread(row: EvolutionRow, layout: PlateLayout): Pixels {
    const [height, width] = this.#pictures.get(row.imageId)!.shape;
    return spread(paintProjection(this.#projections.get(row)! as NdArrayLike, layout), row.box, height, width);
  }

  #curves(): Block {
    const layers = [...new Set(this.settling.map(({ layer }) => layer))];
    const chart = (heading: string, title: string, measure: "filters" | "images"): Chart => ({
      kind: "chart",
      heading,
      series: layers.flatMap((label) => {
        const own = this.settling.filter((row) => row.layer === label);
        if (own.every((row) => row[measure] === null)) return [];
        return { label, x: own.map(({ epoch }) => epoch), y: own.map((row) => row[measure] ?? NaN) };
      }),
      x: { title: "epoch", whole: true },
      y: { title, max: 1 },
      width: 400,
      height: 280,
      alt: `${heading} of ${layers.length} layers over ${this.epochs.length} epochs`,
    });
    return {
      kind: "row",
      blocks: [
        chart("Filters settle", "cosine with those at the end", "filters"),
        chart("Strongest images settle", "share that is the same at the end", "images"),
      ].filter(({ series }) => series.length > 0),
    };
  }
}

const at = (epoch: number | null): string => epoch === null ? "–" : `by epoch ${brief(epoch)}`;

/** A small picture at its place on a large one of mid-grey. */
function spread(
  { data, width: columns }: Pixels,
  [top, left]: readonly number[],
  height: number,
  width: number,
): Pixels {
  const all = new Uint8Array(height * width * 3).fill(127);
  for (let from = 0, y = top; from < data.length; from += columns * 3, y++) {
    all.set(data.subarray(from, from + columns * 3), (y * width + left) * 3);
  }
  return { data: all, width, height };
}

/** A line of two pixels around a part of a picture with transparency. */
function outline({ data, width, height }: Pixels, [left, top, wide, tall]: readonly number[]): void {
  for (let y = top - 2; y < top + tall + 2; y++) {
    for (let x = left - 2; x < left + wide + 2; x++) {
      const inside = y >= top && y < top + tall && x >= left && x < left + wide;
      if (inside || x < 0 || y < 0 || x >= width || y >= height) continue;
      data.set(JUMP, (y * width + x) * 4);
    }
  }
}
