/**
 * What a data set shows of itself: how many images each label has, and some of them.
 *
 * @module
 */

import { extent, type NdArrayLike, sizeOf } from "../array.ts";
import { resize } from "../resize/resize.ts";
import { messageOf } from "../errors.ts";
import type { Block, SheetTile } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { drawable, type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { percent } from "../format.ts";
import { type Given, mainPart, pictureOf } from "./given.ts";

/** The side of a picture on a contact sheet, in pixels: eight of them fill a cell. */
export const TILE = 104;

/**
 * What is shown of an input where there is room for a small picture only: of a signal `[length, c]` its lines, of a volume
 * `[d, h, w, c]` the slice in its middle; an image as it is,
 * of more channels as their mean.
 *
 * @param side of the picture of a signal, in pixels
 */
export function portraitOf(input: NdArrayLike, side: number): NdArrayLike {
  const { data, shape } = input;
  if (shape.length === 3) return drawable(input) as NdArrayLike;
  const [low, high] = extent(data);
  const shade = (value: number) => 255 * (value - low) / (high - low || 1);
  if (shape.length === 4) {
    const each = sizeOf(shape.slice(1));
    const start = Math.floor(shape[0] / 2) * each;
    return drawable({ data: data.slice(start, start + each).map(shade), shape: shape.slice(1) }) as NdArrayLike;
  }
  const [length, channels = 0] = shape;
  const lines = new Float32Array(side * side);
  const row = (value: number) => Math.round((side - 1) * (1 - shade(value) / 255));
  if (channels === 0) {
    // Bars of a vector, from 0 on.
    const zero = row(Math.min(high, Math.max(low, 0)));
    for (let x = 0; x < side; x++) {
      const end = row(data[Math.floor(x * length / side)]);
      for (let y = Math.min(zero, end); y <= Math.max(zero, end); y++) lines[y * side + x] = 255;
    }
  }
  for (let channel = 0; channel < channels; channel++) {
    for (let x = 0; x < side; x++) {
      // From the cell before it, so that the line has no gaps.
      const first = Math.max(0, Math.floor(x * length / side) - 1);
      const last = Math.min(length - 1, Math.max(first, Math.floor((x + 1) * length / side)));
      let [top, bottom] = [side - 1, 0];
      for (let i = first; i <= last; i++) {
        const y = row(data[i * channels + channel]);
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      }
      for (let y = top; y <= bottom; y++) lines[y * side + x] = 255;
    }
  }
  return { data: lines, shape: [side, side, 1] };
}

/** An image made small enough for a contact sheet, its proportions kept; of other inputs a picture. */
export function tileOf(input: NdArrayLike, side = TILE): Pixels {
  const image = portraitOf(input, side);
  const [height, width] = image.shape;
  const scale = side / Math.max(height, width);
  if (scale >= 1) return pixelsOf(image);
  const length = (full: number) => Math.max(1, Math.round(full * scale));
  return pixelsOf(resize(image, [length(height), length(width)], { fit: "squash" }));
}

/** How many images a label has. */
export interface LabelCount {
  /** The label. */
  readonly label: string;
  /** How many images it has; 0 where it stands among a data set's labels and none has it. */
  readonly images: number;
}

/** How many images a sample shows of all labels together, and of one. */
const MOST = 32;
const MOST_EACH = 8;
/** Labels beyond this many are counted in one line. */
const MOST_LABELS = 40;

/**
 * The places of a sample: as many of each label, evenly spread over its images.
 *
 * @param labels of each image
 * @param order in which the labels come, others behind them
 */
export function samplePlaces(labels: readonly (string | undefined)[], order: readonly string[] = []): number[] {
  const found = Map.groupBy(labels.keys(), (place) => labels[place]);
  const groups = [...new Set([...order, ...found.keys()])].flatMap((label) =>
    found.has(label) ? [found.get(label)!] : []
  );
  const spread = <T>(all: readonly T[], count: number): T[] =>
    all.length <= count ? [...all] : Array.from({ length: count }, (_, i) => all[Math.floor(i * all.length / count)]);
  const each = groups.length === 1 ? MOST / 2 : Math.min(MOST_EACH, Math.max(1, Math.floor(MOST / groups.length)));
  return spread(groups, MOST).flatMap((places) => spread(places, each));
}

/** An image of the sample that is still to be read. */
interface Unread {
  readonly known: { readonly id: string; readonly label?: string };
  readonly read: () => Given | Promise<Given>;
}

/** The parts of a data set's figure. */
interface Sampled {
  readonly name: string;
  readonly size: number;
  readonly counts: readonly LabelCount[];
  /** The images to show. */
  readonly sample: AsyncIterable<Unread>;
  /** What else is to be said. */
  readonly note?: string;
}

/** How many images there are, of how many labels. */
export const sizeText = (size: number, labels: number): string =>
  `${size.toLocaleString("en-US")} image${size === 1 ? "" : "s"}` +
  (labels ? ` of ${labels} class${labels === 1 ? "" : "es"}` : "");

/** That some images have no label, where others have one. */
export function unlabelledText(size: number, counts: readonly LabelCount[]): string[] {
  const left = size - counts.reduce((sum, { images }) => sum + images, 0);
  return counts.length > 0 && left > 0 ? [`without a label: ${left}`] : [];
}

/** A data set as a figure: bars of its labels' counts above a sample. */
export async function sampleFigure({ name, size, counts, sample, note = "" }: Sampled): Promise<Figure> {
  const tiles: SheetTile[] = [];
  const unread: string[] = [];
  for await (const { known: { id, label }, read } of sample) {
    try {
      const given = await read();
      const image = pictureOf(mainPart(given));
      const [height, width] = image.shape;
      tiles.push({
        pixels: tileOf(image.rgb()),
        lines: [label ?? image.name],
        words: `${id}${label === undefined ? "" : `\n${label}`}\n${width} × ${height} pixels`,
        alt: label === undefined ? `The image ${id}` : `${label}: the image ${id}`,
      });
    } catch (error) {
      unread.push(`${JSON.stringify(id)} cannot be read: ${messageOf(error)}.`);
    }
  }
  const blocks: Block[] = [];
  const most = counts.reduce((most, { images }) => Math.max(most, images), 0);
  if (most > 0) {
    const shown = counts.slice(0, counts.length > MOST_LABELS + 1 ? MOST_LABELS : counts.length);
    const rest = counts.slice(shown.length);
    const row = (label: string, images: number, of = images) => ({
      label,
      value: of / most,
      text: `${images.toLocaleString("en-US")} (${percent(images / size)})`,
    });
    const others = rest.reduce((sum, { images }) => sum + images, 0);
    blocks.push({
      kind: "bars",
      width: 260,
      rows: [
        ...shown.map(({ label, images }) => row(label, images)),
        ...rest.length ? [row(`${rest.length} more labels`, others, 0)] : [],
      ],
    });
  }
  if (tiles.length) blocks.push({ kind: "sheet", side: TILE, tiles });
  const shown = tiles.length === size
    ? ""
    : `Shown are ${tiles.length} of the images${counts.length ? ", spread over the labels" : ""}.`;
  return new Figure({
    title: `${name}: ${sizeText(size, counts.length)}`,
    caption: [shown, ...unlabelledText(size, counts).map((text) => `Images ${text}.`), ...unread, note].filter(Boolean)
      .join(" "),
    blocks,
  });
}
