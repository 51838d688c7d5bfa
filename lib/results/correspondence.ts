/**
 * Places of one image that were found in others.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { bandsNote } from "../data/pixels.ts";
import { Figure } from "../figure/figure.ts";
import { likenessBlock, type LikenessOf, matchesBlock } from "../figure/matches.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { fixed, percent } from "../format.ts";
import { Result } from "./result.ts";

/** A point of the first image, and where it was found: a row of the table. */
export interface MatchRow {
  /** The layer whose features were compared. */
  layer: string;
  /** What the other image is called. */
  image: string;
  /** In the first image, `[y, x]` in pixels. */
  point: [y: number, x: number];
  /** In the other image, `[y, x]` in pixels. */
  match: [y: number, x: number];
  /** The cosine of the features at the point and at the best cell, −1…1. */
  similarity: number;
  /** Where the match itself is found in the first image. */
  back: [y: number, x: number];
  /** How far that is from the point, in pixels. */
  cycle: number;
  /** Whether it is at most one cell away. */
  consistent: boolean;
}

/** How alike places of one image are to those of another, at one layer, for the page. */
export interface LayerMatches extends LikenessOf {
  readonly layer: string;
  /** The place of the other image among those asked about. */
  readonly image: number;
}

interface Places {
  readonly ys: Float64Array;
  readonly xs: Float64Array;
}

/** What a {@linkcode Correspondence} is made of. */
export interface CorrespondenceParts {
  rows: readonly MatchRow[];
  maps: readonly LayerMatches[];
  layers: readonly string[];
  points: readonly (readonly [y: number, x: number])[];
  model: string;
  /** The first image, and the others. */
  images: readonly { readonly name: string; readonly pixels: NdArrayLike }[];
}

/** A page keeps the similarities of at most so many places along a side, to so many along a side. */
const QUERIES = 14;
const CELLS = 16;
/** Images are drawn about as large as this. */
const SHOWN = 230;
/** As wide as all of them are side by side, where they are not more than four. */
const ALL = 790;

/** At most `most` of some places, evenly spread. */
const thinned = (places: Float64Array, most: number): number[] => {
  const count = Math.min(most, places.length);
  return Array.from({ length: count }, (_, i) => places[Math.floor((i + 0.5) * places.length / count)]);
};

/** Where the parts of a side end of which each holds one or several places: in pixels from the edge of the image. */
function edgesOf(places: Float64Array, groups: number, length: number): number[] {
  const firsts = Array.from({ length: groups + 1 }, (_, i) => Math.round(i * places.length / groups));
  return firsts.map((first, i) => {
    if (i === 0) return 0;
    if (i === groups) return length;
    return Math.min(length, Math.max(0, (places[first - 1] + places[first]) / 2 + 0.5));
  });
}

/**
 * How alike places of one image are to those of another, coarse enough for a page: of several cells the most alike.
 *
 * @param find finds points, and hands over the cosines of each to all cells of the other image
 */
export async function sampledLikes(
  from: Places,
  to: Places,
  shape: readonly number[],
  otherShape: readonly number[],
  find: (
    queries: readonly (readonly [y: number, x: number])[],
    onLikes: (query: number, likes: Float32Array) => void,
  ) => Promise<readonly { readonly match: readonly [y: number, x: number] }[]>,
): Promise<LikenessOf> {
  const within = (length: number) => (at: number) => Math.min(length - 1, Math.max(0, at));
  const ys = thinned(from.ys, QUERIES).map(within(shape[0]));
  const xs = thinned(from.xs, QUERIES).map(within(shape[1]));
  const [rows, columns] = [Math.min(CELLS, to.ys.length), Math.min(CELLS, to.xs.length)];
  const likes = new Uint8Array(ys.length * xs.length * rows * columns);
  const groupOf = (i: number, count: number, groups: number) => {
    let group = Math.floor(i * groups / count);
    if (i >= Math.round((group + 1) * count / groups)) group++;
    if (i < Math.round(group * count / groups)) group--;
    return group;
  };
  const found = await find(ys.flatMap((y) => xs.map((x) => [y, x] as const)), (query, all) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of all) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const start = query * rows * columns;
    all.forEach((value, cell) => {
      const row = groupOf(Math.floor(cell / to.xs.length), to.ys.length, rows);
      const column = groupOf(cell % to.xs.length, to.xs.length, columns);
      const at = start + row * columns + column;
      likes[at] = Math.max(likes[at], high > low ? Math.round(255 * (value - low) / (high - low)) : 255);
    });
  });
  return {
    ys,
    xs,
    rowEdges: edgesOf(to.ys, rows, otherShape[0]),
    columnEdges: edgesOf(to.xs, columns, otherShape[1]),
    likes,
    matches: found.map(({ match }) => match),
  };
}

/** Where points of an image were found in others; in a cell, the points on the images, and a map that answers clicks. */
export class Correspondence extends Result<MatchRow> {
  /** One row for each layer, other image and point. */
  readonly rows: readonly MatchRow[];
  /** The layers whose features were compared. */
  readonly layers: readonly string[];
  /** The images as the model saw them, `[h, w, 3]`, the one with the points first. */
  readonly images: readonly NdArray[];
  /** What they are called. */
  readonly names: readonly string[];
  /** What the model is called. */
  readonly model: string;
  readonly #points: CorrespondenceParts["points"];
  readonly #maps: readonly LayerMatches[];

  /** @internal */
  constructor({ rows, maps, layers, points, model, images }: CorrespondenceParts) {
    super();
    this.rows = rows;
    this.layers = layers;
    this.model = model;
    this.images = images.map(({ pixels }) => NdArray.from(pixels));
    this.names = images.map(({ name }) => name);
    this.#points = points;
    this.#maps = maps;
  }

  /** The rows as a Polars data frame; points in columns `y`, `x`, `matchY`, `matchX`, `backY`, `backX`. */
  override table(): Promise<DataFrame> {
    return toDataFrame(this.rows.map(({ layer, image, point, match, similarity, back, cycle, consistent }) => ({
      layer,
      image,
      y: point[0],
      x: point[1],
      matchY: match[0],
      matchX: match[1],
      similarity,
      backY: back[0],
      backX: back[1],
      cycle,
      consistent,
    })));
  }

  /** The share of points of a layer whose matches come back. */
  #consistent(layer: string): number {
    const rows = this.rows.filter((row) => row.layer === layer);
    return rows.filter(({ consistent }) => consistent).length / rows.length;
  }

  /** The points on all images, and under them the first image to be clicked at, a row a layer. */
  override figure(): Figure {
    const [name, ...others] = this.names;
    const pictures = this.images.map((image, i) => {
      const [height, width] = image.shape;
      const side = Math.min(SHOWN, ALL / Math.min(4, this.images.length));
      const scale = shownScale(side / Math.max(height, width));
      return { name: this.names[i], pixels: pixelsOf(image, Math.max(1, scale)), height, width, scale };
    });
    const perImage = this.#points.length;
    const matchesOf = (layer: string, image: number) => {
      const rows = this.rows.filter((row) => row.layer === layer);
      return rows.slice(image * perImage, (image + 1) * perImage);
    };
    const title = `${this.model} · correspondence · ${this.layers.join(", ")} · ${name} and ${
      others.length === 1 ? others[0] : `${others.length} images`
    }`;
    const notes = this.layers.map((layer) => `${layer}: ${percent(this.#consistent(layer), 0)}`);
    const caption = [
      `Above, points of ${name} and where they are found by features of the layer: those that come back to within one cell of`,
      `their point when they are looked for again are filled, the others are rings (${notes.join(", ")} come back).`,
      `Below, how alike the features of each cell are to those at the cross: full brightness for the most alike cell of an`,
      `image, dark for the least. A click on ${name} moves the cross; the ring is the match. The features compared are alike`,
      `in direction (cosine), so the strength of activations does not count.`,
      bandsNote(this.images[0].shape),
    ].filter(Boolean).join(" ");
    // The cross begins in the middle, where most photos have what they show.
    const [height, width] = this.images[0].shape;
    const off = ([y, x]: readonly [number, number]) => Math.hypot(y - height / 2, x - width / 2);
    const start = this.#points.reduce((a, b) => off(b) < off(a) ? b : a);
    return new Figure({
      title,
      caption,
      blocks: [
        ...this.layers.map((layer) =>
          matchesBlock({
            heading: layer,
            pictures,
            points: this.#points,
            matches: others.map((_, i) => matchesOf(layer, i)),
          })
        ),
        likenessBlock({
          pictures,
          start,
          layers: this.layers.map((layer) => ({ layer, images: this.#maps.filter((map) => map.layer === layer) })),
        }),
      ],
      lines: this.rows.slice(0, MOST_LINES).map(({ layer, image, point, match, similarity, consistent }) =>
        `${layer}  ${placeText(point)} → ${image} ${placeText(match)}  ${fixed(similarity)}${
          consistent ? "" : "  does not come back"
        }`
      ),
    });
  }
}

/** A terminal prints so many matches. */
const MOST_LINES = 20;
const placeText = (place: readonly number[]): string => `[${place.map((at) => at.toFixed(1)).join(", ")}]`;
/** How large a pixel of an image is drawn: by a whole factor, or made smaller. */
const shownScale = (factor: number): number => factor >= 1 ? Math.floor(factor) : factor;
