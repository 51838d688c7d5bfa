/**
 * One picture of a unit's patches: in a small grid, the strongest first, each as large as the unit's receptive field, with
 * what came back to their pixels beside them.
 *
 * @module
 */

import type { TileSpot, TileText } from "../figure/blocks.ts";
import type { Pixels } from "../figure/mosaic.ts";
import { TEXT } from "../figure/sheet.ts";
import { shrink } from "../figure/sprites.ts";

/** A patch on its way to a picture. */
export interface TilePatch {
  /** The image that it is cut from, RGB. */
  image: Pixels;
  /** `[y0, x0, y1, x1]` in the image's pixels, clipped at its border. */
  box: readonly number[];
  /** What came back to the pixels of the box, RGB, as large as the box or as it is drawn. */
  projection?: Pixels;
  /** What is printed with it. */
  value: string;
  /** What the pointer says. */
  words: string;
}

/** How patches are drawn. */
export interface TileLook {
  /** How large a whole receptive field is, `[height, width]` in pixels of the image, at most as large as the image. */
  field: readonly [height: number, width: number];
  /** How large a patch is drawn, about, in pixels of the page. */
  size: number;
  /** How many patches are side by side. */
  columns: number;
  /** Whether whole images are drawn with a white box around each patch. */
  whole?: boolean;
  /** Whether each patch's value is printed. */
  values?: boolean;
}

/** Between patches, each in a hairline of its own, and between the patches and what came back to them. */
const GAP = 3;
const APART = 10;
/** A white patch on a white page ends somewhere, too. */
const HAIRLINE = [128, 128, 128, 90];
/** A patch takes at least so much room across where its value is printed below it. */
const LEAST = 36;
/** What lies beyond the border of an image: a hatch that is seen on light and on dark pages. */
const HATCH = [128, 134, 142];
const hatched = (x: number, y: number) => (x + y) % 6 < 2 ? 150 : 40;

/** The size at which something is drawn: enlarged by a whole factor, or made smaller. */
export function drawnAt([height, width]: readonly [number, number], size: number): number {
  const factor = size / Math.max(height, width);
  return factor >= 1 ? Math.floor(factor) : factor;
}

/** A part of a picture at another size: each pixel repeated, or where it is made smaller the mean of what it covers. */
function cutOut(
  { data, width }: Pixels,
  [y0, x0, y1, x1]: readonly number[],
  [rows, columns]: readonly [number, number],
): Uint8Array {
  const [high, wide] = [y1 - y0, x1 - x0];
  const part = new Uint8Array(high * wide * 3);
  for (let y = 0; y < high; y++) {
    const from = ((y0 + y) * width + x0) * 3;
    part.set(data.subarray(from, from + wide * 3), y * wide * 3);
  }
  const made = new Uint8Array(rows * columns * 3);
  if (rows <= high && columns <= wide) {
    shrink(part, 0, [high, wide], [rows, columns], made);
    return made;
  }
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const from = (Math.floor(y * high / rows) * wide + Math.floor(x * wide / columns)) * 3;
      made.set(part.subarray(from, from + 3), (y * columns + x) * 3);
    }
  }
  return made;
}

/** Where the seen part of a receptive field lies in the whole field along one side: clipped before it, or behind it. */
function offsetOf(start: number, end: number, field: number, length: number): number {
  const missing = Math.max(0, field - (end - start));
  if (missing === 0) return 0;
  if (start === 0) return missing;
  return end === length ? 0 : Math.floor(missing / 2);
}

/** A picture that is painted part by part; what is not painted is transparent. */
class Canvas implements Pixels {
  readonly data: Uint8Array;

  constructor(readonly width: number, readonly height: number) {
    this.data = new Uint8Array(width * height * 4);
  }

  paint(rgb: Uint8Array, left: number, top: number, [rows, columns]: readonly [number, number]): void {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const at = ((top + y) * this.width + left + x) * 4;
        const from = (y * columns + x) * 3;
        for (let c = 0; c < 3; c++) this.data[at + c] = rgb[from + c];
        this.data[at + 3] = 255;
      }
    }
  }

  hatch(left: number, top: number, [rows, columns]: readonly [number, number]): void {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        this.data.set([...HATCH, hatched(x, y)], ((top + y) * this.width + left + x) * 4);
      }
    }
  }

  /** A line of a pixel around a part. */
  line(left: number, top: number, [rows, columns]: readonly [number, number]): void {
    this.#ring([top, left, top + rows, left + columns], 1, HAIRLINE);
  }

  /** A white frame with a dark edge, to be seen on any picture, around a box and within `limits`. */
  frame(box: readonly number[], limits: readonly number[]): void {
    this.#ring(box, 3, [0, 0, 0, 255], limits);
    this.#ring(box, 2, [255, 255, 255, 255], limits);
  }

  /** Paints what is at most `wide` pixels outside of a box; where that is beyond the limits, inside of it. */
  #ring(
    [top, left, bottom, right]: readonly number[],
    wide: number,
    color: number[],
    limits?: readonly number[],
  ): void {
    const [t, l, b, r] = limits ?? [-Infinity, -Infinity, Infinity, Infinity];
    const outer = [
      Math.max(t, top - wide),
      Math.max(l, left - wide),
      Math.min(b, bottom + wide),
      Math.min(r, right + wide),
    ];
    const inner = [outer[0] + wide, outer[1] + wide, outer[2] - wide, outer[3] - wide];
    for (let y = outer[0]; y < outer[2]; y++) {
      for (let x = outer[1]; x < outer[3]; x++) {
        if (y >= inner[0] && y < inner[2] && x >= inner[1] && x < inner[3]) continue;
        this.data.set(color, (y * this.width + x) * 4);
      }
    }
  }
}

/** The patches of a unit as one picture, with what is printed on it and what the pointer meets. */
export function patchTile(
  patches: readonly TilePatch[],
  { field, size, columns, whole = false, values = false }: TileLook,
): { pixels: Pixels; texts: TileText[]; spots: TileSpot[] } {
  const sideOf = ({ image: { height, width } }: TilePatch): [number, number] => whole ? [height, width] : [...field];
  const largest: [number, number] = [0, 1].map((side) =>
    patches.reduce((most, patch) => Math.max(most, sideOf(patch)[side]), 1)
  ) as [number, number];
  const scale = drawnAt(largest, size);
  const drawn = (length: number) => Math.max(1, Math.round(length * scale));
  const [tall, wide] = largest.map(drawn);
  const below = values && !whole ? TEXT : 0;
  const across = Math.max(wide, below ? LEAST : 0);
  const [stepX, stepY] = [across + GAP, tall + GAP + below];
  const shownColumns = Math.min(columns, patches.length);
  const rows = Math.ceil(patches.length / shownColumns);
  // Half of what is painted: a hairline is around all.
  const half = shownColumns * stepX - GAP + 2;
  const paired = patches.some(({ projection }) => projection);
  const right = paired ? half + APART : 0;
  const canvas = new Canvas(right + half, rows * stepY - GAP + 2);
  const texts: TileText[] = [];
  const spots = patches.map((patch, i): TileSpot => {
    const { image, box: [y0, x0, y1, x1], projection, value, words } = patch;
    const left = 1 + i % shownColumns * stepX + Math.floor((across - wide) / 2);
    const top = 1 + Math.floor(i / shownColumns) * stepY;
    let seen: TileSpot["box"];
    if (whole) {
      const [high, broad] = [image.height, image.width].map(drawn);
      seen = [right + left, top, broad, high];
      canvas.paint(cutOut(image, [0, 0, image.height, image.width], [high, broad]), right + left, top, [high, broad]);
      canvas.line(right + left, top, [high, broad]);
      canvas.frame(
        [
          top + Math.floor(y0 * scale),
          right + left + Math.floor(x0 * scale),
          top + Math.min(high, Math.ceil(y1 * scale)),
          right + left + Math.min(broad, Math.ceil(x1 * scale)),
        ],
        [top, right + left, top + high, right + left + broad],
      );
    } else {
      const place = [
        Math.round(offsetOf(y0, y1, field[0], image.height) * scale),
        Math.round(offsetOf(x0, x1, field[1], image.width) * scale),
      ];
      const [high, broad] = [
        Math.min(drawn(y1 - y0), tall - place[0]),
        Math.min(drawn(x1 - x0), wide - place[1]),
      ] as const;
      const clipped = high < tall || broad < wide;
      const put = (from: Pixels, box: readonly number[], x: number): TileSpot["box"] => {
        canvas.line(x, top, [tall, wide]);
        if (clipped) canvas.hatch(x, top, [tall, wide]);
        canvas.paint(cutOut(from, box, [high, broad]), x + place[1], top + place[0], [high, broad]);
        return [x, top, wide, tall];
      };
      seen = put(image, [y0, x0, y1, x1], right + left);
      if (projection) put(projection, [0, 0, projection.height, projection.width], left);
    }
    if (values) {
      texts.push(
        whole
          ? { text: value, x: right + left + 2, y: top + 2, painted: true }
          : { text: value, x: right + left, y: top + tall },
      );
    }
    const { height, width } = image;
    return {
      box: seen,
      ...projection && { pair: [left, top, wide, tall] as const },
      words,
      whole: { of: image, box: [y0 / height, x0 / width, y1 / height, x1 / width] },
    };
  });
  return { pixels: canvas, texts, spots };
}
