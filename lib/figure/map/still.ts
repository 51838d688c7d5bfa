/**
 * A map of points as a drawing: what is seen where no script runs.
 *
 * @module
 */

import { encodePng } from "../../codec.ts";
import { type FlatPoints, type MapColumn, type MapPoints, SHADES, shapeOf } from "./columns.ts";
import { brief } from "../../format.ts";
import { type Canvas, disc, rgbOf } from "../../page/disc.ts";
import { fitting, FRAME, mixed, pictureSide } from "../../page/pictures.ts";
import { bestView, HAZE, project, RAISED, type SpacePoints, type View } from "../../page/view.ts";
import { flatPixels } from "../mosaic.ts";
import { shrink, type Thumbnails } from "../sprites.ts";
import type { Typesetter } from "../text.ts";
import { type Theme, THEMES } from "../theme.ts";
import type { Print } from "../blocks.ts";

export { STEADY_VIEW } from "../../page/view.ts";

const SIDE = 560;
const LEGEND = 170;
/** Pixels of the drawing to one of the page. */
const FINE = 2;
/** What a point without a colour of its own is painted in. */
const PLAIN = [63, 144, 218];
/** How opaque the points of the background are. */
const PALE = 0.2;
/** Dots of this radius or more may have a rim, so wide, in pixels of the drawing. */
const RIMMED = 4;
const RIM = 1.2;
/** Between the dots and the edge of the map, and a frame around it, in pixels of the drawing. */
const MARGIN = 4;
const IN_FRAME = 16;

/** How wide points are drawn, in pixels of the page. */
export function dotSize(count: number): number {
  return count <= 300 ? 9 : count <= 2000 ? 7 : count <= 8000 ? 5 : count <= 25_000 ? 4 : 3;
}

/** Where a point's dot goes: pixels, and how much of its colour is lost in haze. */
interface Dots {
  x: Float32Array;
  y: Float32Array;
  radius: Float32Array;
  haze: Float32Array;
  /** The points in the order in which they are painted. */
  order: Iterable<number>;
  opacity: number;
  /** The radius of a dot in the middle of the map. */
  middle: number;
  /** Whether a white rim sets the larger dots off from those behind them. */
  rims: boolean;
}

/** The side of a drawing and the margin in it, in its own pixels, and the width of a dot in those of the page. */
interface Size {
  side: number;
  margin: number;
  dot: number;
}

/** Dots of one size. Those of all classes are mixed, so that none lies over all others. */
function flatDots({ count, x, y, box }: FlatPoints, { side, dot, margin }: Size): Dots {
  const radius = dot * FINE / 2;
  const scale = (side - 2 * (radius + margin)) / box.side;
  return {
    x: x.map((value) => side / 2 + (value - box.x) * scale),
    y: y.map((value) => side / 2 - (value - box.y) * scale),
    radius: new Float32Array(count).fill(radius),
    haze: new Float32Array(count),
    order: mixed(count),
    opacity: count > 25_000 ? 0.6 : 0.8,
    middle: radius,
    rims: false,
  };
}

/** Dots that grow towards the eye and fade away from it, the nearest painted last. */
function spaceDots(points: SpacePoints, view: View, { side, dot, margin }: Size): Dots {
  const { u, v, depth, growth } = project(points, view);
  const radius = dot * FINE / 2;
  const scale = side / 2 - 1.5 * radius - margin;
  return {
    x: u.map((value) => side / 2 + value * scale),
    y: v.map((value) => side / 2 - value * scale),
    radius: growth.map((value) => value * radius),
    haze: depth.map((value) => HAZE * (1 - value) / 2),
    order: [...depth.keys()].sort((a, b) => depth[a] - depth[b]),
    opacity: 0.95,
    middle: radius,
    rims: true,
  };
}

/** A colour of a palette, as it is seen on the theme's ground. */
const lifted = (color: readonly number[], { lift }: Theme) => color.map((value) => value + lift * (255 - value));
const liftedHex = (color: string, theme: Theme) =>
  `#${lifted(rgbOf(color), theme).map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;

/** The points as pixels. What lies on a background is ringed in the colour of ink. */
function paint(
  dots: Dots,
  column: MapColumn | undefined,
  { side, background, theme, thumbnails }: Required<Pick<DrawMapOptions, "side" | "background" | "theme">> & {
    thumbnails?: Thumbnails;
  },
) {
  const [ground, ink] = [rgbOf(theme.ground), rgbOf(theme.ink)];
  const pixels = flatPixels(side * side, ground);
  const colors = column && { of: column.color, table: column.palette.map((color) => lifted(rgbOf(color), theme)) };
  const plain = lifted(PLAIN, theme);
  const canvas: Canvas = { bytes: pixels, width: side, height: side, depth: 3 };
  const one = (i: number) => {
    const color = colors ? colors.table[colors.of[i]] : plain;
    const pale = i < background;
    const raised = background > 0 && !pale;
    const radius = dots.radius[i] * (raised ? RAISED : 1);
    const square = column?.kind === "classes" && shapeOf(column.color[i]) === "square";
    const paintOne = (color: readonly number[], radius: number, opacity: number) =>
      disc(canvas, dots.x[i], dots.y[i], radius, color, opacity, square);
    if (raised) paintOne(ink, radius + RIM, 1);
    else if (dots.rims && radius >= RIMMED && !pale) paintOne(ground, radius + RIM, 0.8);
    const hazy = color.map((value, c) => value + dots.haze[i] * (ground[c] - value));
    paintOne(hazy, radius, pale ? PALE : raised ? 1 : dots.opacity);
  };
  const order = [...dots.order];
  for (const i of order) if (i < background) one(i);
  for (const i of order) if (i >= background) one(i);
  if (!thumbnails) return pixels;
  // Of dots in space the nearest are painted last, and have the first right to a picture.
  const width = pictureSide(order.length) * FINE;
  const sideOf = (i: number) => i < background ? 0 : dots.rims ? width * dots.radius[i] / dots.middle : width;
  for (const i of fitting(dots.rims ? order.toReversed() : order, dots, sideOf).reverse()) {
    const color = colors ? colors.table[colors.of[i]] : plain;
    paintPicture(canvas, dots, i, { side: Math.round(sideOf(i)), color, thumbnails });
  }
  return pixels;
}

/** A thumbnail around its point, in a frame of the point's colour; what leaves the canvas is cut off. */
function paintPicture(
  { bytes, width, height }: Canvas,
  { x, y }: Dots,
  i: number,
  { side, color, thumbnails }: { side: number; color: readonly number[]; thumbnails: Thumbnails },
): void {
  const frame = FRAME * FINE;
  const [left, top] = [Math.round(x[i] - side / 2), Math.round(y[i] - side / 2)];
  const small = new Uint8Array(side * side * 3);
  shrink(thumbnails.data, i * thumbnails.side ** 2 * 3, thumbnails.side, side, small);
  for (let v = Math.max(0, top - frame); v < Math.min(height, top + side + frame); v++) {
    for (let u = Math.max(0, left - frame); u < Math.min(width, left + side + frame); u++) {
      const inside = u >= left && u < left + side && v >= top && v < top + side;
      const at = ((v - top) * side + u - left) * 3;
      bytes.set(inside ? small.subarray(at, at + 3) : color, (v * width + u) * 3);
    }
  }
}

function legendSvg(type: Typesetter, column: MapColumn, left: number, theme: Theme): string {
  const title = type.clip(column.name, 13, LEGEND, "bold");
  const words = (text: string, x: number, y: number, size = 12, color = theme.ink) =>
    type.text(text, x, y, { size, color });
  const parts = [type.text(title, left, 22, { size: 13, color: theme.ink, weight: "bold" })];
  if (column.kind === "classes") {
    column.names.forEach((name, i) => {
      const y = 44 + i * 20;
      const color = liftedHex(column.palette[i], theme);
      parts.push(
        shapeOf(i) === "square"
          ? `<rect x="${left + 1}" y="${y - 9}" width="9" height="9" fill="${color}"/>`
          : `<circle cx="${left + 5.5}" cy="${y - 4.5}" r="5" fill="${color}"/>`,
      );
      const counted = column.counts[i].toLocaleString("en");
      const clipped = type.clip(name, 12, LEGEND - 30 - type.measure(counted, 11));
      parts.push(words(clipped, left + 18, y));
      parts.push(words(counted, left + 24 + type.measure(clipped, 12), y, 11, theme.softInk));
    });
  } else {
    const { palette, low, high } = column;
    const tall = 192;
    const shades = palette.slice(0, SHADES);
    shades.forEach((color, i) => {
      const step = tall / shades.length;
      const y = 36 + tall - (i + 1) * step;
      parts.push(
        `<rect x="${left}" y="${y}" width="14" height="${step}" fill="${liftedHex(color, theme)}"/>`,
      );
    });
    parts.push(words(brief(high), left + 20, 46));
    if (palette.length > SHADES) {
      const y = 36 + tall + 30;
      parts.push(`<circle cx="${left + 7}" cy="${y - 4.5}" r="5" fill="${liftedHex(palette[SHADES], theme)}"/>`);
      parts.push(words("no number", left + 20, y));
    }
    parts.push(words(brief(low), left + 20, 36 + tall));
  }
  return parts.join("");
}

/** Draws a legend alone. */
export function drawLegend(
  type: Typesetter,
  column: MapColumn,
  theme: Theme = THEMES.light,
): { svg: string; width: number; height: number } {
  const width = LEGEND + 24;
  const height = column.kind === "classes" ? 50 + column.names.length * 20 : 270;
  return {
    width,
    height,
    svg: `<rect width="${width}" height="${height}" rx="4" fill="${theme.ground}"/>${
      legendSvg(type, column, 16, theme)
    }`,
  };
}

/** Around a map that is shown beside others. */
const frame = (side: number, theme: Theme) =>
  `<rect x="0.5" y="0.5" width="${side - 1}" height="${side - 1}" rx="3" fill="none" stroke="${theme.faint}"/>`;

/** How a map is drawn. */
export interface DrawMapOptions {
  /** The width and height of the map itself in pixels of the page. @default 560 */
  side?: number;
  /** Whether its legend is drawn beside it; else there is a frame around it. @default true */
  legend?: boolean;
  /** How many of the first points are pale, under the others. @default 0 */
  background?: number;
  /** From where points in space are seen. @default where they hide one another least */
  view?: View;
  /** @default light */
  theme?: Theme;
  /** For print: as wide as the room, its legend below where it is narrow, without blank margins. @default for the page */
  print?: Print;
  /** Pictures that stand on the points, where they fit. @default none */
  thumbnails?: Thumbnails;
}

/** The sides of printed maps, in pixels of the page. */
const PRINTED = { least: 260, most: 900 };

/** Draws a map, coloured by a column. */
export async function drawMap(
  type: Typesetter,
  points: MapPoints,
  column: MapColumn | undefined,
  { side: own = SIDE, legend = true, background = 0, view, theme = THEMES.light, print, thumbnails }: DrawMapOptions =
    {},
): Promise<{ svg: string; width: number; height: number }> {
  const words = column && legend ? drawLegend(type, column, theme) : { svg: "", width: 0, height: 0 };
  const room = print?.room ?? own + words.width;
  const isBelow = room < PRINTED.least + words.width;
  const side = print?.room && legend ? Math.min(PRINTED.most, isBelow ? room : room - words.width) : own;
  const dot = dotSize(points.count) * Math.max(0.5, side / SIDE);
  const fine = Math.round(side * FINE);
  const pictured = thumbnails ? (pictureSide(points.count) / 2 + FRAME) * FINE : 0;
  const size = { side: fine, dot, margin: (legend ? MARGIN : IN_FRAME) + pictured };
  const dots = points.kind === "flat" ? flatDots(points, size) : spaceDots(points, view ?? bestView(points), size);
  const png = await encodePng(paint(dots, column, { side: fine, background, theme, thumbnails }), fine, fine, 3);
  const [top, bottom] = print && legend ? inked(dots, size) : [0, side];
  const tall = bottom - top;
  const width = isBelow ? Math.max(side, words.width) : side + words.width;
  const height = isBelow ? tall + words.height : Math.max(tall, words.height);
  const image = `<image width="${side}" height="${side}" href="data:image/png;base64,${png.toBase64()}"/>`;
  return {
    width,
    height,
    svg: `<rect width="${width}" height="${height}" rx="4" fill="${theme.ground}"/>` +
      (tall === side
        ? image
        : `<svg width="${side}" height="${tall}" overflow="hidden" viewBox="0 ${top} ${side} ${tall}">${image}</svg>`) +
      (legend ? "" : frame(side, theme)) +
      `<g transform="translate(${isBelow ? `0 ${tall}` : `${side} 0`})">${words.svg}</g>`,
  };
}

/** From where to where a map has points, in pixels of the page. */
function inked({ y, radius }: Dots, { side, margin }: Size): [top: number, bottom: number] {
  let [top, bottom] = [side, 0];
  y.forEach((at, i) => {
    const more = radius[i] * RAISED + RIM + margin;
    top = Math.min(top, at - more);
    bottom = Math.max(bottom, at + more);
  });
  return [Math.max(0, Math.floor(top / FINE)), Math.min(side / FINE, Math.ceil(bottom / FINE))];
}
