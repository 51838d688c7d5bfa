/**
 * A map of points as a drawing: what stands where no script runs.
 *
 * @module
 */

import { encodePng } from "../codec.ts";
import { base64 } from "./base64.ts";
import { type MapColumn, type MapPoints, SHADES, shapeOf } from "./map_columns.ts";
import type { Typesetter } from "./text.ts";

const SIDE = 560;
const LEGEND = 170;
const INK = "#1a1a1a";
const SOFT_INK = "#555555";
/** Drawn so many times as fine as the page. */
const FINE = 2;

function rgb(color: string): [number, number, number] {
  const value = parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** How wide points are drawn, in pixels of the page. */
export function dotSize(count: number): number {
  return count <= 300 ? 9 : count <= 2000 ? 7 : count <= 8000 ? 5 : count <= 25_000 ? 4 : 3;
}

/** How far along a step `[0, 1]` from outside to inside a point at a distance from the edge is. */
const inside = (distance: number) => Math.min(1, Math.max(0, distance + 0.5));

/** The points as pixels on white. Those of all classes are mixed, so that none lies over all others. */
function paint(points: MapPoints, column: MapColumn | undefined, side: number, dot: number): Uint8Array {
  const pixels = new Uint8Array(side * side * 3).fill(255);
  const { count, x, y, box } = points;
  const radius = dot * FINE / 2;
  const margin = radius + 4;
  const scale = (side - 2 * margin) / box.side;
  const opacity = count > 25_000 ? 0.6 : 0.8;
  // A step that meets every point once, far from the last one.
  let step = Math.max(1, Math.round(count * 0.618));
  while (gcd(step, count) !== 1) step++;
  const colors = column && { of: column.color, table: column.palette.map(rgb) };
  for (let n = 0, i = 0; n < count; n++, i = (i + step) % count) {
    const [red, green, blue] = colors ? colors.table[colors.of[i]] : [63, 144, 218];
    const square = column?.kind === "classes" && shapeOf(colors!.of[i]) === "square";
    const cx = side / 2 + (x[i] - box.x) * scale;
    const cy = side / 2 - (y[i] - box.y) * scale;
    for (let v = Math.max(0, Math.floor(cy - radius - 1)); v <= Math.min(side - 1, cy + radius + 1); v++) {
      for (let u = Math.max(0, Math.floor(cx - radius - 1)); u <= Math.min(side - 1, cx + radius + 1); u++) {
        const du = u + 0.5 - cx;
        const dv = v + 0.5 - cy;
        const far = square ? Math.max(Math.abs(du), Math.abs(dv)) * 1.13 : Math.hypot(du, dv);
        const share = opacity * inside(radius - far);
        if (share === 0) continue;
        const at = (v * side + u) * 3;
        pixels[at] += share * (red - pixels[at]);
        pixels[at + 1] += share * (green - pixels[at + 1]);
        pixels[at + 2] += share * (blue - pixels[at + 2]);
      }
    }
  }
  return pixels;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function legendSvg(type: Typesetter, column: MapColumn, left: number): string {
  const title = type.clip(column.name, 13, LEGEND, "bold");
  const parts = [`<path fill="${INK}" d="${type.path(title, left, 22, 13, "bold")}"/>`];
  if (column.kind === "classes") {
    column.names.forEach((name, i) => {
      const y = 44 + i * 20;
      const color = column.palette[i];
      parts.push(
        shapeOf(i) === "square"
          ? `<rect x="${left + 1}" y="${y - 9}" width="9" height="9" fill="${color}"/>`
          : `<circle cx="${left + 5.5}" cy="${y - 4.5}" r="5" fill="${color}"/>`,
      );
      const counted = column.counts[i].toLocaleString("en");
      const words = type.clip(name, 12, LEGEND - 30 - type.measure(counted, 11));
      parts.push(`<path fill="${INK}" d="${type.path(words, left + 18, y, 12)}"/>`);
      parts.push(
        `<path fill="${SOFT_INK}" d="${type.path(counted, left + 24 + type.measure(words, 12), y, 11)}"/>`,
      );
    });
  } else {
    const { palette, low, high } = column;
    const tall = 192;
    const shades = palette.slice(0, SHADES);
    shades.forEach((color, i) => {
      const step = tall / shades.length;
      const y = 36 + tall - (i + 1) * step;
      parts.push(
        `<rect x="${left}" y="${y}" width="14" height="${step}" fill="${color}"/>`,
      );
    });
    const digits = (value: number) => String(Number(value.toPrecision(3))).replace("-", "−");
    parts.push(`<path fill="${INK}" d="${type.path(digits(high), left + 20, 46, 12)}"/>`);
    if (palette.length > SHADES) {
      const y = 36 + tall + 30;
      parts.push(`<circle cx="${left + 7}" cy="${y - 4.5}" r="5" fill="${palette[SHADES]}"/>`);
      parts.push(`<path fill="${INK}" d="${type.path("no number", left + 20, y, 12)}"/>`);
    }
    parts.push(`<path fill="${INK}" d="${type.path(digits(low), left + 20, 36 + tall, 12)}"/>`);
  }
  return parts.join("");
}

/** Draws a legend alone. */
export function drawLegend(type: Typesetter, column: MapColumn): { svg: string; width: number; height: number } {
  const width = LEGEND + 24;
  const height = column.kind === "classes" ? 50 + column.names.length * 20 : 270;
  return {
    width,
    height,
    svg: `<rect width="${width}" height="${height}" fill="#ffffff"/>${legendSvg(type, column, 16)}`,
  };
}

/** Around a map that stands beside others. */
const frame = (side: number) =>
  `<rect x="0.5" y="0.5" width="${side - 1}" height="${side - 1}" rx="3" fill="none" stroke="#dfe3e8"/>`;

/** Draws a map, coloured by a column, on white: with its legend, or else in a frame. */
export async function drawMap(
  type: Typesetter,
  points: MapPoints,
  column: MapColumn | undefined,
  { side = SIDE, legend = true }: { side?: number; legend?: boolean } = {},
): Promise<{ svg: string; width: number; height: number }> {
  const dot = dotSize(points.count) * Math.max(0.5, side / SIDE);
  const pixels = paint(points, column, side * FINE, dot);
  const png = await encodePng(pixels, side * FINE, side * FINE, 3);
  const beside = column && legend ? drawLegend(type, column) : { svg: "", width: 0, height: 0 };
  const width = side + beside.width;
  const height = Math.max(side, beside.height);
  return {
    width,
    height,
    svg: `<rect width="${width}" height="${height}" fill="#ffffff"/><image width="${side}" height="${side}" ` +
      `href="data:image/png;base64,${base64(png)}"/>${
        legend ? "" : frame(side)
      }<g transform="translate(${side} 0)">${beside.svg}</g>`,
  };
}
