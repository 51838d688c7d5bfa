/**
 * A map of images that one can walk in.
 *
 * @module
 */

import type { Live } from "../blocks.ts";
import { plotlyText, scriptJson } from "../../format.ts";
import { Figure } from "../figure.ts";
import { columnOf, type MapColumn, type MapData, type MapPoints, mapPoints, NO_LABEL, shapeOf } from "./columns.ts";
import scripts from "../../page/bundle.json" with { type: "json" };
import type { MapData as PageMap, PageColumn } from "../../page/data.ts";
import { bestView } from "../../page/view.ts";
import { dotSize, drawLegend, drawMap } from "./still.ts";
import { thin } from "./thin.ts";
import { plotlyElement } from "./plotly.ts";
import { encodeSprites, SPRITE_BUDGET, type Sprites } from "../sprites.ts";

export interface MapFigureOptions extends MapData {
  title: string;
  caption?: string;
}

/** Maps of more points show their pictures on the points only if asked to. */
const PICTURED = 300;
/** The most neighbours of an image that light up. */
const NEIGHBORS = 10;
/** Larger maps are not written down a second time, as `application/vnd.plotly.v1+json`, which takes 1 MB for this many. */
const PLOTLY_POINTS = 20_000;

/** The columns of a map, that of the labels first. */
function columnsOf({ points: { shape: [count] }, labels, columns = {} }: MapData): MapColumn[] {
  const named = labels?.some((label) => label !== undefined) && { label: labels.map((label) => label ?? NO_LABEL) };
  return Object.entries({ ...named, ...columns }).map(([name, values]) => columnOf(name, values, count));
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
  return { k: kept, wide, indices: new Uint8Array(packed.buffer).toBase64() };
}

const packed = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength).toBase64();

function packColumn(column: MapColumn): PageColumn<string, string> {
  const { kind, name, palette, color } = column;
  if (kind === "numbers") {
    return {
      kind,
      name,
      palette,
      color: color.toBase64(),
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
    counts: column.counts,
    shapes: column.names.map((_, i) => shapeOf(i)),
    color: color.toBase64(),
    // Only where classes share a colour, the names do not say it all.
    ...(column.values.some((value) => !names.has(value)) && { values: column.values }),
  };
}

/** The points as the rest of a Plotly figure's JSON has them. */
function plotlyFigure(title: string, points: MapPoints, column: MapColumn | undefined, ids?: readonly string[]) {
  const round = (value: number) => Number(value.toPrecision(5));
  const all = Array.from({ length: points.count }, (_, i) => i);
  const trace = (name: string, places: number[], marker: Record<string, unknown>) => ({
    type: points.kind === "flat" ? "scattergl" : "scatter3d",
    mode: "markers",
    name: plotlyText(name),
    x: places.map((i) => round(points.x[i])),
    y: places.map((i) => round(points.y[i])),
    ...(points.kind === "space" && { z: places.map((i) => round(points.z[i])) }),
    ...(ids && { text: places.map((i) => plotlyText(ids[i])) }),
    marker: { size: dotSize(points.count), ...marker },
  });
  const data = column?.kind === "classes"
    ? column.names.map((name, c) =>
      trace(name, all.filter((i) => column.color[i] === c), { color: column.palette[c], symbol: shapeOf(c) })
    )
    : [trace(column?.name ?? "", all, column ? { color: Array.from(column.values, round), showscale: true } : {})];
  const hidden = { visible: false };
  const axes = points.kind === "flat"
    ? { xaxis: hidden, yaxis: { ...hidden, scaleanchor: "x" } }
    : { scene: { xaxis: hidden, yaxis: hidden, zaxis: hidden, aspectmode: "data" } };
  const layout = { title: { text: plotlyText(title) }, hovermode: "closest", hoverlabel: { namelength: -1 }, ...axes };
  return { data, layout };
}

const sizeText = (bytes: number) => bytes < 1e5 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** What became of the thumbnails, in words. */
function spriteText({ tile, step, bytes }: Sprites, size: number): string {
  const small = tile < size ? `, shrunk from ${size} to ${tile} pixels` : ` of ${tile} pixels`;
  const fewer = step > 1 ? `, of every ${step}th image only` : "";
  return `Pictures${small}${fewer}: ${sizeText(bytes)}.`;
}

function thinText({ points: { shape: [count] }, neighbors }: MapData, step: number): string {
  const lost = neighbors ? "; their true neighbours are not marked" : "";
  return `One of every ${step} of the ${count.toLocaleString("en")} points is shown${lost}.`;
}

/**
 * A map as a block of a figure. Of more than 200,000 points every second, third … is shown, and the figure says so.
 *
 * @throws {RangeError} if there is no point, a coordinate is not finite, or ids, labels, a column, neighbours or
 *   thumbnails are not as many as the points
 */
export function mapBlock(all: MapData, { title, heading }: { title: string; heading?: string }): Live {
  const { data, step } = thin(all);
  const points = mapPoints(data.points);
  const { count, x, y, box } = points;
  const { ids, thumbnails, background = 0, budget = SPRITE_BUDGET } = data;
  if (!Number.isInteger(background) || background < 0 || background > count) {
    throw new RangeError(`The background of a map is some of its ${count} points: received ${background}.`);
  }
  if (ids && ids.length !== count) {
    throw new RangeError(`A map of ${count} points wants an id for each: received ${ids.length}.`);
  }
  if (thumbnails && thumbnails.data.length !== count * thumbnails.side ** 2 * 3) {
    throw new RangeError(
      `A map of ${count} points wants a thumbnail of ${thumbnails.side} × ${thumbnails.side} RGB pixels for each, ` +
        `${count * thumbnails.side ** 2 * 3} bytes: received ${thumbnails.data.length}.`,
    );
  }
  if (data.pictures && !thumbnails) {
    throw new RangeError(
      "Only points of which pictures are known can show them: received thumbnails: true for points without any. Those of " +
        "codes of images have some; or leave thumbnails out.",
    );
  }
  const pictures = thumbnails !== undefined && (data.pictures ?? count <= PICTURED);
  const columns = columnsOf(data);
  const neighbors = data.neighbors && packNeighbors(data.neighbors, count);
  const view = points.kind === "space" ? bestView(points) : undefined;
  return {
    kind: "live",
    heading,
    note: step > 1 ? thinText(all, step) : undefined,
    alt: `A map of ${count.toLocaleString("en")} points${view ? " in space" : ""}${
      columns[0] ? `, coloured by ${columns[0].name}` : ""
    }`,
    className: "convlens-map",
    still: (type, theme, print) => {
      const shown = pictures ? thumbnails : undefined;
      return drawMap(type, points, columns[0], { background, view, theme, print, thumbnails: shown });
    },
    plotly: count > PLOTLY_POINTS ? undefined : () => plotlyFigure(title, points, columns[0], ids),
    async html() {
      const sprites = thumbnails && await encodeSprites(thumbnails, count, { budget });
      const page: PageMap = {
        x: packed(x),
        y: packed(y),
        ...(points.kind === "space" && { z: packed(points.z), view }),
        box,
        dot: dotSize(count),
        background,
        ids,
        columns: columns.map(packColumn),
        neighbors,
        sprites,
        ...(pictures && { pictures }),
      };
      const said = sprites &&
        `<div style="font-size:85%;opacity:.8">${spriteText(sprites, thumbnails.side)}</div>`;
      const plotly = points.kind === "flat" ? await plotlyElement() : "";
      return `<script type="application/json">${scriptJson(page)}</script>${
        said ?? ""
      }${plotly}<script>${scripts.map}</script>`;
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
    still: (type, theme) => drawLegend(type, column, theme),
    html: () => Promise.resolve(""),
  };
}

/**
 * A small map without a script, to be shown beside others, without a legend.
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
    still: (type, theme) => drawMap(type, points, column, { side, legend: false, theme }),
    html: () => Promise.resolve(""),
  };
}

/**
 * The figure of a map: a still picture, and where scripts run a map to walk in. Scrolling zooms; dragging moves a flat
 * map and turns one in space; hovering shows the picture of a point; a click lights its true neighbours up; a lasso lists
 * what it holds; colours go by any column; a search leaves only what it finds; the legend switches classes off and on.
 *
 * The pictures keep to a budget of 6 MB: with many images they become smaller, then fewer, and the figure says so.
 *
 * @throws {RangeError} as {@linkcode mapBlock}
 */
export function mapFigure({ title, caption, ...data }: MapFigureOptions): Figure {
  const depth = data.points.shape[1] === 3 ? "Farther points are smaller and paler." : undefined;
  return new Figure({
    title,
    caption: [caption, depth].filter(Boolean).join(" "),
    blocks: [mapBlock(data, { title })],
  });
}
