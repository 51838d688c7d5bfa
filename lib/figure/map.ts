/**
 * A map of images that one can walk in.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { base64 } from "./base64.ts";
import type { Live } from "./blocks.ts";
import { scriptJson } from "./controls.ts";
import { Figure } from "./figure.ts";
import { columnOf, type MapColumn, type MapPoints, mapPoints, shapeOf } from "./map_columns.ts";
import { MAP_SCRIPT } from "./map_script.ts";
import { dotSize, drawLegend, drawMap } from "./map_still.ts";
import { plotlyElement } from "./plotly.ts";
import { encodeSprites, SPRITE_BUDGET, type Sprites, type Thumbnails } from "./sprites.ts";
import { typesetter } from "./text.ts";

/** What a map shows. */
export interface MapData {
  /** Where the images lie, `[n, 2]`; a third coordinate becomes a column to colour by. */
  points: NdArray;
  /** What tells each image apart. @default its place */
  ids?: readonly string[];
  /** The label of each image, the first thing to colour by. */
  labels?: readonly (string | undefined)[];
  /** What else the images can be coloured by: strings are classes, numbers a scale. */
  columns?: Readonly<Record<string, readonly string[] | ArrayLike<number>>>;
  /** The true neighbours of each image, the nearest first: `[n, k]` places. At most 10 of each are kept. */
  neighbors?: { readonly k: number; readonly indices: ArrayLike<number> };
  thumbnails?: Thumbnails;
  /** The bytes that all thumbnails may take. @default 6 MB */
  budget?: number;
}

export interface MapFigureOptions extends MapData {
  title: string;
  caption?: string;
  /** The map in words, for terminals. */
  text?: string;
}

/** So many neighbours of an image light up. */
const NEIGHBORS = 10;
/** Larger maps are not written down a second time, as `application/vnd.plotly.v1+json`, which takes 1 MB for so many. */
const PLOTLY_POINTS = 20_000;

/** The columns of a map, that of the labels first. */
function columnsOf({ points, labels, columns = {} }: MapData): MapColumn[] {
  const [count, dimensions] = points.shape;
  const third = dimensions > 2 && {
    "third coordinate": Float32Array.from({ length: count }, (_, i) => points.data[i * dimensions + 2]),
  };
  const named = labels?.some((label) => label !== undefined) && { label: labels.map((label) => label ?? "no label") };
  return Object.entries({ ...named, ...columns, ...third }).map(([name, values]) => columnOf(name, values, count));
}

function packNeighbors({ k, indices }: { k: number; indices: ArrayLike<number> }, count: number) {
  if (indices.length !== count * k) {
    throw new RangeError(
      `A map of ${count} points wants ${k} neighbours for each of them: received ${indices.length} places.`,
    );
  }
  const kept = Math.min(k, NEIGHBORS);
  const wide = count > 65_536;
  const packed = new (wide ? Uint32Array : Uint16Array)(count * kept);
  for (let i = 0; i < count; i++) for (let j = 0; j < kept; j++) packed[i * kept + j] = indices[i * k + j];
  return { k: kept, wide, indices: base64(new Uint8Array(packed.buffer)) };
}

const packed = (values: Float32Array) => base64(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

function packColumn(column: MapColumn) {
  const { kind, name, palette, color } = column;
  if (kind === "numbers") {
    return {
      kind,
      name,
      palette,
      color: base64(color),
      low: column.low,
      high: column.high,
      values: packed(column.values),
    };
  }
  const names = new Set(column.names);
  return {
    kind,
    name,
    palette,
    names: column.names,
    shapes: column.names.map((_, i) => shapeOf(i)),
    color: base64(color),
    // Only where classes share a colour, the names do not say it all.
    ...(column.values.some((value) => !names.has(value)) && { values: column.values }),
  };
}

/** The points as the rest of a Plotly figure's JSON has them. */
function plotlyFigure(title: string, points: MapPoints, column: MapColumn | undefined, ids?: readonly string[]) {
  const round = (value: number) => Number(value.toPrecision(5));
  const all = Array.from({ length: points.count }, (_, i) => i);
  const trace = (name: string, places: number[], marker: Record<string, unknown>) => ({
    type: "scattergl",
    mode: "markers",
    name,
    x: places.map((i) => round(points.x[i])),
    y: places.map((i) => round(points.y[i])),
    ...(ids && { text: places.map((i) => ids[i]) }),
    marker: { size: dotSize(points.count), ...marker },
  });
  const data = column?.kind === "classes"
    ? column.names.map((name, c) =>
      trace(name, all.filter((i) => column.color[i] === c), { color: column.palette[c], symbol: shapeOf(c) })
    )
    : [trace(column?.name ?? "", all, column ? { color: Array.from(column.values, round), showscale: true } : {})];
  return {
    data,
    layout: {
      title: { text: title },
      hovermode: "closest",
      xaxis: { visible: false },
      yaxis: { visible: false, scaleanchor: "x" },
    },
  };
}

const sizeText = (bytes: number) => bytes < 1e5 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** What became of the thumbnails, in words. */
function spriteText({ tile, step, bytes }: Sprites, size: number): string {
  const small = tile < size ? `, shrunk from ${size} to ${tile} pixels` : ` of ${tile} pixels`;
  const fewer = step > 1 ? `, of every ${step}th image only` : "";
  return `Pictures${small}${fewer}: ${sizeText(bytes)}.`;
}

/**
 * A map as a block of a figure.
 *
 * @throws {RangeError} if there is no point, a coordinate is not finite, or ids, labels, a column, neighbours or
 *   thumbnails are not as many as the points
 */
export function mapBlock(
  data: MapData,
  { title, heading, note }: { title: string; heading?: string; note?: string },
): Live {
  const points = mapPoints(data.points);
  const { count, x, y, box } = points;
  const { ids, thumbnails, budget = SPRITE_BUDGET } = data;
  if (ids && ids.length !== count) {
    throw new RangeError(`A map of ${count} points wants an id for each: received ${ids.length}.`);
  }
  if (thumbnails && thumbnails.data.length !== count * thumbnails.side ** 2 * 3) {
    throw new RangeError(
      `A map of ${count} points wants a thumbnail of ${thumbnails.side} × ${thumbnails.side} RGB pixels for each, ` +
        `${count * thumbnails.side ** 2 * 3} bytes: received ${thumbnails.data.length}.`,
    );
  }
  const columns = columnsOf(data);
  const neighbors = data.neighbors && packNeighbors(data.neighbors, count);
  let still: ReturnType<Live["still"]> | undefined;
  return {
    kind: "live",
    heading,
    note,
    alt: `A map of ${count.toLocaleString("en")} points${columns[0] ? `, coloured by ${columns[0].name}` : ""}`,
    className: "convlens-map",
    still: () => still ??= typesetter().then((type) => drawMap(type, points, columns[0])),
    plotly: count > PLOTLY_POINTS ? undefined : () => plotlyFigure(title, points, columns[0], ids),
    async html() {
      const sprites = thumbnails && await encodeSprites(thumbnails, count, { budget });
      const json = scriptJson({
        x: packed(x),
        y: packed(y),
        side: box.side,
        dot: dotSize(count),
        ids,
        columns: columns.map(packColumn),
        neighbors,
        sprites,
      });
      const said = sprites &&
        `<div style="font-size:85%;opacity:.8">${spriteText(sprites, thumbnails.side)}</div>`;
      return `<script type="application/json">${json}</script>${
        said ?? ""
      }${await plotlyElement()}<script>${MAP_SCRIPT}</script>`;
    },
  };
}

/** The legend that small maps of the same labels share. */
export function mapLegend(labels: readonly string[]): Live {
  const column = columnOf("label", labels, labels.length);
  return {
    kind: "live",
    alt: `The colours of ${column.kind === "classes" ? column.names.join(", ") : "the labels"}`,
    className: "convlens-map-legend",
    still: () => typesetter().then((type) => drawLegend(type, column)),
    html: () => Promise.resolve(""),
  };
}

/**
 * A small map that stands still, to stand beside others, without a legend.
 *
 * @throws {RangeError} as {@linkcode mapBlock}
 */
export function smallMap(
  data: Pick<MapData, "points" | "labels">,
  { heading, side }: { heading: string; side: number },
): Live {
  const points = mapPoints(data.points);
  const [column] = columnsOf(data);
  return {
    kind: "live",
    heading,
    alt: `A map of ${points.count.toLocaleString("en")} points at ${heading}`,
    className: "convlens-small-map",
    still: () => typesetter().then((type) => drawMap(type, points, column, { side, legend: false })),
    html: () => Promise.resolve(""),
  };
}

/**
 * The figure of a map: a still picture, and where scripts run a map to walk in. Scrolling zooms and dragging moves;
 * hovering shows the picture of a point; a click lights its true neighbours up; a lasso lists what it holds; colours go by
 * any column; a search leaves only what it finds; the legend switches classes off and on.
 *
 * The pictures keep to a budget of 6 MB: with many images they become smaller, then fewer, and the figure says so.
 *
 * @throws {RangeError} as {@linkcode mapBlock}
 */
export function mapFigure({ title, caption, text, ...data }: MapFigureOptions): Figure {
  return new Figure({ title, caption, blocks: [mapBlock(data, { title })], text });
}
