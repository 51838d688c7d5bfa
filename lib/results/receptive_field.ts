/**
 * The receptive field of a cell on an image.
 *
 * @module
 */

import { extent, type NdArray, type NdArrayLike } from "../array.ts";
import type { ReceptiveField, SeenByCells } from "../data/records.ts";
import type { Picture } from "../figure/blocks.ts";
import { colorize } from "../figure/color.ts";
import { Figure } from "../figure/figure.ts";
import type { Pixels } from "../figure/mosaic.ts";
import { percent } from "../format.ts";
import { positionPicture } from "./position_map.ts";

/** From where to where, along each side. */
type Region = readonly (readonly [start: number, end: number])[];

export interface ReceptiveFieldParts extends Omit<SeenByCells, "sides"> {
  model: string;
  name: string;
  layer: string;
  cell: readonly number[];
  field: ReceptiveField;
  /** As the model sees it. */
  image: NdArray;
  share: NdArray | null;
}

/** How large pictures are drawn, about. */
const SHOWN = 288;
const CELLS_SHOWN = 144;
/** Of how many cells the hover shows the boxes, at most. */
const MOST_BOXES = 1024;
/** How much of what is beyond the border is drawn, as a share of the image's side. */
const BEYOND = 0.75;
const FRAME = [255, 138, 0];
const HATCH = [128, 134, 142];
/** Cells by turns, so that each can be told from the next. */
const CELLS = [[62, 74, 92], [80, 93, 113]];

/** Red, green and blue of a plane of pixels. */
interface Plane {
  height: number;
  width: number;
  colors: Uint8Array | Uint8ClampedArray;
}

/** What an image looks like on a page: a signal as rows of grey, of a volume one slice, of other channels their mean. */
function planeOf({ data, shape }: NdArrayLike, slice: number): Plane {
  const channels = shape.at(-1)!;
  if (shape.length === 2) {
    const [length] = shape;
    const turned = Float32Array.from(
      { length: data.length },
      (_, i) => data[(i % length) * channels + Math.floor(i / length)],
    );
    return { height: channels, width: length, colors: grey(turned, 0) };
  }
  const [height, width] = shape.slice(-3, -1);
  const size = height * width * channels;
  const values = shape.length === 4 ? data.slice(slice * size, (slice + 1) * size) : data;
  if (channels === 3) return { height, width, colors: Uint8ClampedArray.from(values) };
  const means = Float32Array.from({ length: height * width }, (_, i) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += values[i * channels + c];
    return sum / channels;
  });
  return { height, width, colors: grey(means, channels === 1 ? 255 : 0) };
}

/** Numbers as greys, over their own range where they do not lie between 0 and `most`. */
function grey(values: Float32Array, most: number): Uint8Array {
  const [low, high] = extent(values);
  return low >= 0 && high <= most ? colorize(values, 0, most, "grey") : colorize(values, low, high, "grey");
}

/** A plane with a box on it, and as much of what is beyond its border as the box needs. */
function boxed(
  { height, width, colors }: Plane,
  box: Region,
  dims: boolean,
): { pixels: Pixels; origin: [number, number]; scale: [number, number] } {
  const lengths = [height, width];
  const margins = box.map(([start, end], i) => {
    const most = Math.ceil(BEYOND * lengths[i]);
    return [Math.min(most, Math.max(0, -start)), Math.min(most, Math.max(0, end - lengths[i]))];
  });
  const sides = lengths.map((length, i) => length + margins[i][0] + margins[i][1]);
  const fit = SHOWN / Math.max(...sides);
  const across = fit >= 1 ? Math.floor(fit) : Math.min(1, 2 * fit);
  const down = height < width / 8 ? Math.max(across, Math.min(24, Math.floor(96 / height))) : across;
  const scale: [number, number] = [down, across];
  const size = sides.map((side, i) => Math.max(1, Math.round(side * scale[i])));
  const data = new Uint8Array(size[0] * size[1] * 4);
  const edges = box.map(([start, end], i) => {
    const to = (at: number) => Math.round((at + margins[i][0]) * scale[i]);
    return [to(start), to(end) - 1];
  });
  for (let y = 0; y < size[0]; y++) {
    const row = Math.floor(y / down) - margins[0][0];
    for (let x = 0; x < size[1]; x++) {
      const column = Math.floor(x / across) - margins[1][0];
      const at = (y * size[1] + x) * 4;
      const inImage = row >= 0 && row < height && column >= 0 && column < width;
      const [[top, bottom], [left, right]] = edges;
      const inBox = y >= top && y <= bottom && x >= left && x <= right;
      const onFrame = inBox && (y - top < 2 || bottom - y < 2 || x - left < 2 || right - x < 2);
      if (onFrame) data.set([...FRAME, 255], at);
      else if (inImage) {
        const from = (row * width + column) * 3;
        for (let c = 0; c < 3; c++) data[at + c] = !dims || inBox ? colors[from + c] : 0.4 * colors[from + c];
        data[at + 3] = 255;
      } else if (inBox) data.set([...HATCH, (x + y) % 8 < 2 ? 255 : 60], at);
    }
  }
  return {
    pixels: { data, width: size[1], height: size[0] },
    origin: [margins[0][0], margins[1][0]],
    scale,
  };
}

/** On how many pixels half of a map lies that sums to 1: on those of the largest shares. */
function halfOf({ data }: NdArrayLike): number {
  const sorted = Float32Array.from(data).sort().reverse();
  let sum = 0;
  for (let i = 0; i < sorted.length; i++) {
    sum += sorted[i];
    if (sum >= 0.5) return i + 1;
  }
  return sorted.length;
}

const SIDES: Record<number, readonly string[]> = {
  1: ["places"],
  2: ["rows", "columns"],
  3: ["slices", "rows", "columns"],
};

/** A box in words, as `rows 3 to 9, columns -1 to 5`. */
const regionText = (region: Region) =>
  region.map(([start, end], i) => `${SIDES[region.length][i]} ${start} to ${end - 1}`).join(", ").replaceAll("-", "−");

const sizeText = (region: Region) => region.map(([start, end]) => end - start).join(" × ");

/** The region in the two sides that are drawn: a signal's box is as high as the picture. */
function drawnBox(region: Region, height: number): Region {
  return region.length === 1 ? [[0, height], region[0]] : region.slice(-2);
}

/** What one cell of a layer sees of an image, as `receptiveFieldFigure` draws it. */
export class ReceptiveFieldFigure extends Figure {
  /** The layer's name. */
  readonly layer: string;
  /** The cell: `[row, column]`; along a line `[place]`, in a volume `[slice, row, column]`. */
  readonly cell: readonly number[];
  /** What each cell of the layer sees, as in the table of layers. */
  readonly field: ReceptiveField;
  /**
   * The box that this cell sees, in pixels of `image`: `[y0, x0, y1, x1]`, `y1` and `x1` not counted in (`[start, end]` of
   * a signal, `[z0, y0, x0, z1, y1, x1]` of a volume). What is below 0 or beyond the image is padding.
   */
  readonly box: readonly number[];
  /** The image as the model sees it. */
  readonly image: NdArray;
  /**
   * Of each pixel its share of the magnitude of the gradient of the cell's activations, summed over the channels, to the
   * image; together 1. Null where the cell does not answer to any pixel of this image.
   */
  readonly share: NdArray | null;
  /** On how many pixels half of `share` lies; 0 where there is none. */
  readonly half: number;

  /** @internal */
  constructor({ model, name, layer, cell, field, image, share, cells, at, reason }: ReceptiveFieldParts) {
    const region = at(cell) ?? cells.map(() => [0, 0] as const);
    const sides = image.shape.slice(0, region.length);
    const inside = region.map(([start, end], i) => [Math.max(0, start), Math.min(end, sides[i])] as const);
    const count = inside.reduce((all, [start, end]) => all * Math.max(0, end - start), 1);
    const half = share ? halfOf(share) : 0;
    const slice = Math.floor((inside[0][0] + inside[0][1] - 1) / 2);
    const plane = planeOf({ data: image.data, shape: [...sides, image.shape[region.length] ?? 1] }, slice);
    const drawn = boxed(plane, drawnBox(region, plane.height), true);
    const place = `[${cell.join(", ")}]`;
    const onSlice = sides.length === 3 ? `; slice ${slice} of ${sides[0]}` : "";
    const photo: Picture = {
      kind: "picture",
      heading: "what the cell sees",
      note: `${sizeText(region)} pixels${onSlice}`,
      pixels: drawn.pixels,
      alt: `The image with the box that cell ${place} of ${layer} sees: ${regionText(region)}`,
    };
    const blocks: Picture[] = [cellsPicture(cells, cell, layer, photo, drawn, at), photo];
    if (share) blocks.push(sharePicture(share, region, plane.height));
    super({
      title: `${model} · ${layer}, cell ${place} · ${name}`,
      caption: captionOf({ layer, cells, field, reason, region, sides, half, count, place, share }),
      blocks: [{ kind: "row", blocks }],
    });
    this.layer = layer;
    this.cell = cell;
    this.field = field;
    this.image = image;
    this.share = share;
    this.half = half;
    this.box = [...region.map(([start]) => start), ...region.map(([, end]) => end)];
  }
}

/** The layer's cells, this one marked; the hover shows what each of them sees. */
function cellsPicture(
  cells: readonly number[],
  cell: readonly number[],
  layer: string,
  photo: Picture,
  { origin, scale }: { origin: [number, number]; scale: [number, number] },
  at: SeenByCells["at"],
): Picture {
  const isLine = cells.length === 1;
  const [rows, columns] = isLine ? [Math.ceil(cells[0] / 12), cells[0]] : cells.slice(-2);
  const isOwn = (i: number) => i % columns === cell.at(-1) && (isLine || Math.floor(i / columns) === cell.at(-2));
  const colors = new Uint8Array(rows * columns * 3);
  const placeOf = (
    i: number,
  ) => [...cells.length === 1 ? [i] : [...cell.slice(0, -2), Math.floor(i / columns), i % columns]];
  for (let i = 0; i < rows * columns; i++) {
    colors.set(isOwn(i) ? FRAME : CELLS[((isLine ? 0 : Math.floor(i / columns)) + i % columns) % 2], i * 3);
  }
  const few = rows * columns <= MOST_BOXES && cells.length > 1;
  const boxes = few
    ? Array.from({ length: rows * columns }, (_, i): [number, number, number, number] => {
      const region = (at(placeOf(i)) ?? cells.map(() => [0, 0] as const)).slice(-2);
      const to = (value: number, side: number) => Math.round((value + origin[side]) * scale[side]);
      return [to(region[0][0], 0), to(region[1][0], 1), to(region[0][1], 0), to(region[1][1], 1)];
    })
    : null;
  return positionPicture({
    heading: `cells of ${layer}`,
    note: cells.join(" × "),
    alt: `The ${cells.join(" × ")} cells of ${layer}, cell [${cell.join(", ")}] marked`,
    rows,
    columns,
    shown: CELLS_SHOWN,
    colors,
    ...boxes && {
      labels: Array.from({ length: rows * columns }, (_, i) => `cell [${placeOf(i).join(", ")}]`),
      marks: { on: photo, boxes },
    },
  });
}

/** The shares of the gradient, in the frame of the photo. */
function sharePicture(share: NdArrayLike, region: Region, drawnHeight: number): Picture {
  const [height, width] = share.shape.length === 1 ? [drawnHeight, share.shape[0]] : share.shape.slice(-2);
  const flat = new Float32Array(height * width);
  if (share.shape.length === 1) flat.forEach((_, i) => flat[i] = share.data[i % width]);
  else share.data.forEach((value, i) => flat[i % flat.length] += value);
  // The root, so that what is faint can be seen.
  const roots = flat.map(Math.sqrt);
  const colors = colorize(roots, 0, extent(roots)[1], "inferno");
  return {
    kind: "picture",
    heading: "share of the gradient",
    note: "black: none; light: most",
    pixels: boxed({ height, width, colors }, drawnBox(region, height), false).pixels,
    alt: "How the gradient of the cell's activations is spread over the pixels",
  };
}

function captionOf(
  { layer, cells, field, reason, region, sides, half, count, place, share }: {
    layer: string;
    cells: readonly number[];
    field: ReceptiveField;
    reason: string | null;
    region: Region;
    sides: readonly number[];
    half: number;
    count: number;
    place: string;
    share: NdArrayLike | null;
  },
): string {
  const outside = region.map(([start, end], i) => Math.max(-start, end - sides[i]) / sides[i]);
  const beyond = outside.some((share) => share > 0);
  const far = outside.some((share) => share > BEYOND);
  const strides = (field.axes ?? [field]).map(({ stride }) => Number(stride.toFixed(2)));
  const step = (new Set(strides).size === 1 ? strides.slice(0, 1) : strides).join(" × ");
  const parts = [
    `Cell ${place} of ${cells.join(" × ")} of ${JSON.stringify(layer)} sees ${regionText(region)}.`,
    strides.every((stride) => stride === 0)
      ? "All cells see the same."
      : `From one cell to the next that moves by ${step} pixel${step === "1" ? "" : "s"}.`,
    beyond ? `Hatched is what lies beyond the border: padding${far ? ", which goes on beyond the drawing" : ""}.` : "",
    reason ? `The box is a bound: ${reason}.` : "",
    share
      ? `Right: the gradient of the cell's activations, summed over the channels, to the pixels of this image (its root): half ` +
        `of it lies on ${
          percent(half / Math.max(1, count))
        } of the image's pixels in the box, the effective receptive field ` +
        `(Luo et al. 2016).`
      : "The cell answers to no pixel of this image: its gradient is 0 everywhere.",
  ];
  return parts.filter((part) => part !== "").join(" ");
}
