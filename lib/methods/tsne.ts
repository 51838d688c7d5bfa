/**
 * t-SNE: a map of points on which neighbours stay together.
 *
 * @module
 */

import { continuity, nearestAccuracy, preservation, trustworthiness } from "../embed/quality.ts";
import { nearestNeighbors, type Neighbors } from "../embed/neighbors.ts";
import { place, type PlaceOptions } from "../embed/tsne/place.ts";
import { checkPoints, type KnownPoints, sameAs } from "../embed/points.ts";
import { embed, type Embedded, type EmbedOptions } from "../embed/tsne/tsne.ts";
import { resize } from "../codec.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import { type Figure, Shown } from "../figure/figure.ts";
import { startLiveEmbedding } from "../results/live_embedding.ts";
import { mapFigure } from "../figure/map/map.ts";
import { predictionColumns } from "../figure/map/columns.ts";
import { withProgress } from "../results/progress.ts";
import { graphicsDevice } from "../runtime/webgpu.ts";

export type TsneOptions = EmbedOptions;

/** How far a map can be trusted. */
export interface MapQuality {
  /** Whether neighbours on the map are neighbours in truth: 1 is best, drawn by lot it is about 0.5 (5 neighbours). */
  readonly trustworthiness: number;
  /** Whether true neighbours are neighbours on the map. */
  readonly continuity: number;
  /** How often the nearest other point of the map has the same label; absent where a label is not known. */
  readonly accuracy?: number;
  /** For each point, which share of its 10 nearest neighbours are among the 10 nearest on the map, `[n]`. */
  readonly preservation: Float32Array;
}

/** One point of the map: a row of the table. */
export interface MapRow {
  id: string;
  x: number;
  y: number;
  /** In three dimensions. */
  z?: number;
  label: string | null;
  /** See {@linkcode MapQuality.preservation}. */
  preservation: number;
}

export interface EmbeddingFigureOptions {
  /** What else the points can be coloured by: strings are classes, numbers a scale. */
  columns?: Readonly<Record<string, readonly string[] | ArrayLike<number>>>;
}

/** A map of points, and how far it can be trusted; in a cell a map to walk in, with the images under the pointer. */
export class Embedding extends Shown {
  /** `[n, 2]` or `[n, 3]`, around 0, with the ids and labels of the points. */
  readonly points: KnownPoints;
  /** How far the neighbourhoods of the map are from the true ones: Σ p ln(p/q) over affinities. */
  readonly klDivergence: number;
  readonly quality: MapQuality;
  /** The nearest neighbours of each point in truth, from which the map was made. */
  readonly neighbors: Neighbors;
  /** What computed the map: the processor (`"wasm"`) or a graphics card (`"webgpu"`). */
  readonly engine: Embedded["engine"];
  /** Why that one, as a sentence. */
  readonly engineReason: string;
  readonly #perplexity: number;
  /** What the map was made from. */
  readonly #from: KnownPoints;

  constructor(
    points: KnownPoints,
    { klDivergence, neighbors, engine, engineReason }: Omit<Embedded, "points" | "affinities">,
    quality: MapQuality,
    perplexity: number,
    from: KnownPoints,
  ) {
    super();
    this.points = points;
    this.klDivergence = klDivergence;
    this.quality = quality;
    this.neighbors = neighbors;
    this.engine = engine;
    this.engineReason = engineReason;
    this.#perplexity = perplexity;
    this.#from = from;
  }

  /**
   * Places new points on this map: each where the old points that are near in truth are near on the map too, and all
   * others are not. The map stays as it is, and no new point has a say in where another goes.
   *
   * After Poličar, Stražar and Zupan 2023, "Embedding to reference t-SNE space addresses batch effects in single-cell
   * classification": from the median of a point's nearest old ones downhill on its own divergence, Σ p ln(p/q) over the
   * old points.
   *
   * @param points new points `[m, d]`, of the layer that the old ones are of; where the map was made of principal
   *   components, what their `project` returned
   * @returns `points` `[m, 2]` or `[m, 3]`, and rows with the nearest old point of each
   * @throws {TypeError} if it is no array of shape [m, d]
   * @throws {RangeError} if the points have other dimensions than the old ones, a number is not finite, or the
   *   perplexity does not go with the number of old points
   *
   * @example
   * ```ts
   * const map = await tsne(await codes(model, await cifar10({ split: "train", limit: 5000 })));
   * await map.place(await codes(model, await cifar10({ split: "test", limit: 500 })));
   * ```
   */
  async place(points: KnownPoints, options: PlaceOptions = {}): Promise<PlacedPoints> {
    const { threads, signal, seed, onProgress } = checkOptions("place", options, {
      perplexity: true,
      seed: true,
      threads: true,
      signal: true,
      onProgress: true,
    });
    const [count, dimensions] = checkPoints(points);
    const [, wanted] = this.#from.shape;
    if (dimensions !== wanted) {
      throw new RangeError(
        `This map was made of points of ${wanted} dimensions: received points of ${dimensions}. If it was made of ` +
          `principal components, place what these make of the new points: const small = pca(codes); const map = await ` +
          `tsne(small.points); await map.place(small.project(newCodes)).`,
      );
    }
    return await withProgress("New points on the map", count, async (update) => {
      const { points: placed, klDivergence, neighbors } = await place(this.#from, this.points, points, {
        ...options,
        onProgress: (done, total) => {
          update(done);
          onProgress?.(done, total);
        },
      });
      const k = Math.min(KEPT, neighbors.k);
      const onMap = await nearestNeighbors(this.points, k, { queries: placed, threads, signal, seed });
      return new PlacedPoints(this, sameAs(points, placed), neighbors, {
        klDivergence: klDivergence.reduce((a, b) => a + b, 0) / count,
        preservation: preservation(neighbors, onMap),
        nearestOnMap: Array.from({ length: count }, (_, i) => onMap.indices[i * onMap.k]),
      });
    });
  }

  get rows(): MapRow[] {
    return rowsOf(this.points, this.quality.preservation);
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(options: EmbeddingFigureOptions = {}): Figure {
    const { columns } = checkOptions("figure", options, { columns: true });
    const { ids, labels, predictions, thumbnails, about = "points", shape: [count] } = this.points;
    const { trustworthiness, continuity, accuracy, preservation } = this.quality;
    const title = `t-SNE · ${about} · ${count} points · perplexity ${this.#perplexity}`;
    const kept = preservation.reduce((a, b) => a + b, 0) / count;
    const told = [
      `KL divergence ${this.klDivergence.toFixed(3)}`,
      `trustworthiness ${trustworthiness.toFixed(3)}`,
      `continuity ${continuity.toFixed(3)}`,
      `${(100 * kept).toFixed(0)} % of the 10 nearest neighbours kept`,
      ...(accuracy === undefined ? [] : [`nearest point has the same label ${(100 * accuracy).toFixed(1)} %`]),
    ].join(" · ");
    return mapFigure({
      title,
      caption: [
        `${told}.`,
        "Near points are alike; the distance of clusters, their size and the axes mean nothing.",
      ].join(" "),
      points: this.points,
      ids,
      labels,
      neighbors: this.neighbors,
      thumbnails,
      columns: {
        ...predictionColumns(predictions, labels),
        "neighbours kept": preservation,
        ...columns,
      },
      text: `${title}\n  ${told}`,
    });
  }
}

/** One new point on a map: a row of the table. */
export interface PlacedRow extends MapRow {
  /** The old point that is nearest in truth, and its label. */
  nearest: string;
  nearestLabel: string | null;
  /** How far it is, among the points that the map was made of. */
  distance: number;
  /**
   * How many times as far that is as from an old point to its nearest (the median of those that have no equal): 1 is as
   * usual, 0 where an old point is equal.
   */
  novelty: number;
}

/** So many times as far from the nearest old point as usual is told as unlike all of them. */
const UNLIKE = 2;

/** New points on a map; in a cell the map, pale, with the new points upon it. */
export class PlacedPoints extends Shown {
  /** Where the new points are on the map, `[m, 2]` or `[m, 3]`, with their ids and labels. */
  readonly points: KnownPoints;
  /** The mean over the new points of Σ p ln(p/q) over the old ones: how far their neighbourhoods are from the true ones. */
  readonly klDivergence: number;
  /** How often the nearest old point on the map has the label of the new one; absent where a label is not known. */
  readonly accuracy?: number;
  /** For each new point, which share of its 10 nearest old ones are among the 10 nearest on the map, `[m]`. */
  readonly preservation: Float32Array;
  /** The nearest old points of each new one in truth. */
  readonly neighbors: Neighbors;
  readonly #map: Embedding;
  /** The median distance from an old point to its nearest, of those that have no equal; 0 where all have one. */
  readonly #usual: number;

  constructor(
    map: Embedding,
    points: KnownPoints,
    neighbors: Neighbors,
    { klDivergence, preservation, nearestOnMap }: {
      klDivergence: number;
      preservation: Float32Array;
      nearestOnMap: readonly number[];
    },
  ) {
    super();
    this.#map = map;
    this.points = points;
    this.neighbors = neighbors;
    this.klDivergence = klDivergence;
    this.preservation = preservation;
    const apart = nearestDistances(map.neighbors).filter((distance) => distance > 0).sort();
    this.#usual = apart[Math.floor(apart.length / 2)] ?? 0;
    const { labels } = points;
    const { labels: oldLabels } = map.points;
    if (labels?.every((label) => label !== undefined) && oldLabels?.every((label) => label !== undefined)) {
      const right = nearestOnMap.filter((old, i) => oldLabels[old] === labels[i]).length;
      this.accuracy = right / nearestOnMap.length;
    }
  }

  get rows(): PlacedRow[] {
    const { ids, labels } = this.#map.points;
    const novelty = this.#noveltyOf(this.neighbors);
    return rowsOf(this.points, this.preservation).map((row, i) => {
      const nearest = this.neighbors.indices[i * this.neighbors.k];
      return {
        ...row,
        nearest: ids?.[nearest] ?? String(nearest),
        nearestLabel: labels?.[nearest] ?? null,
        distance: this.neighbors.distances[i * this.neighbors.k],
        novelty: novelty[i],
      };
    });
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(options: EmbeddingFigureOptions = {}): Figure {
    const { columns } = checkOptions("figure", options, { columns: true });
    const map = this.#map;
    const [old, added] = [map.points, this.points];
    const [[count, components], [more]] = [old.shape, added.shape];
    const novelty = this.#noveltyOf(this.neighbors);
    const unlike = novelty.filter((value) => value > UNLIKE).length;
    const { about = "points" } = added;
    const title = `t-SNE · ${about} · ${more} new on a map of ${count}`;
    const told = [
      ...(this.accuracy === undefined
        ? []
        : [`nearest old point on the map has the same label ${(100 * this.accuracy).toFixed(1)} %`]),
      `${(100 * this.preservation.reduce((a, b) => a + b, 0) / more).toFixed(0)} % of the 10 nearest old points kept`,
      `${unlike} of ${more} new points more than ${UNLIKE} times as far from the nearest old one as is usual`,
    ].join(" · ");
    const both = <T>(a: readonly T[], b: readonly T[]) => [...a, ...b];
    const labels = both(
      old.labels ?? new Array<undefined>(count).fill(undefined),
      added.labels ?? new Array<undefined>(more).fill(undefined),
    );
    const predictions = old.predictions && added.predictions && both(old.predictions, added.predictions);
    const k = Math.min(KEPT, map.neighbors.k, this.neighbors.k);
    return mapFigure({
      title,
      caption: `Pale: the old points, where they stood. ${told[0].toUpperCase()}${told.slice(1)}.`,
      points: { data: joined(old.data, added.data), shape: [count + more, components] },
      background: count,
      ids: both(idsOf(old), idsOf(added)),
      labels,
      neighbors: { k, indices: [...firstOf(map.neighbors, k), ...firstOf(this.neighbors, k)] },
      thumbnails: picturesOf(old, added),
      columns: {
        "old or new": Array.from({ length: count + more }, (_, i) => i < count ? "old" : "new"),
        ...predictionColumns(predictions, labels),
        novelty: joined(this.#noveltyOf(map.neighbors), novelty),
        "neighbours kept": joined(map.quality.preservation, this.preservation),
        ...columns,
      },
      text: `${title}\n  ${told}`,
    });
  }

  #noveltyOf(neighbors: Neighbors): Float32Array {
    return nearestDistances(neighbors).map((distance) => distance && distance / this.#usual);
  }
}

/** Points of a map as rows. */
function rowsOf(points: KnownPoints, preservation: Float32Array): MapRow[] {
  const { data, shape: [, components], labels } = points;
  return idsOf(points).map((id, i) => ({
    id,
    x: data[components * i],
    y: data[components * i + 1],
    ...(components === 3 && { z: data[components * i + 2] }),
    label: labels?.[i] ?? null,
    preservation: preservation[i],
  }));
}

function idsOf({ ids, shape: [count] }: KnownPoints): readonly string[] {
  return ids ?? Array.from({ length: count }, (_, i) => String(i));
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** The distance from each point to its nearest. */
function nearestDistances({ count, k, distances }: Neighbors): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => distances[i * k]);
}

/** The places of the first k neighbours of each point, row by row. */
function firstOf({ count, k, indices }: Neighbors, kept: number): Int32Array {
  return Int32Array.from({ length: count * kept }, (_, e) => indices[Math.floor(e / kept) * k + e % kept]);
}

/** The small pictures of both, at the size of the first ones, if both have some. */
function picturesOf({ thumbnails: first }: KnownPoints, { thumbnails: second, shape: [count] }: KnownPoints) {
  if (!first || !second) return undefined;
  const { side } = first;
  const each = 3 * side ** 2;
  const data = new Uint8Array(first.data.length + each * count);
  data.set(first.data);
  if (second.side === side) data.set(second.data, first.data.length);
  for (let i = 0; i < count && second.side !== side; i++) {
    const own = 3 * second.side ** 2;
    const pixels = Float32Array.from(second.data.subarray(i * own, (i + 1) * own));
    const small = resize({ data: pixels, shape: [second.side, second.side, 3] }, [side, side]);
    data.set(Uint8ClampedArray.from(small.data), first.data.length + i * each);
  }
  return { data, side };
}

/** Trustworthiness takes about this many multiplications at most, by a sample of the points. */
const TRUST_COST = 5e8;
const KEPT = 10;

/**
 * Makes a map of points, and measures how far it can be trusted.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". The same points, options and number of threads give
 * the same map to the last bit on one machine, computed by the same `engine`: the result tells which it was.
 *
 * @param points `[n, d]`: what `codes` or `pca` returned, or any array; of more than about 50 dimensions, `pca` first is
 *   quicker
 * @returns `points` `[n, components]`, `klDivergence`, `quality`
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, or a number is
 *   not finite
 * @throws {MemoryError} if it does not fit into memory
 * @throws {Error} if `engine` is `"webgpu"` and there is no graphics device that computes right, or one fails on the way
 *
 * @example
 * ```ts
 * const { points } = pca(await codes(model, images), { components: 50 });
 * const map = await tsne(points);
 * map.quality.trustworthiness;
 * const space = await tsne(points, { components: 3 });
 * ```
 */
export async function tsne(points: KnownPoints, options: TsneOptions = {}): Promise<Embedding> {
  const { perplexity = 30, iterations = 750, threads, signal, seed, onProgress } = checkOptions("tsne", options, {
    components: true,
    perplexity: true,
    iterations: true,
    earlyIterations: true,
    exaggeration: true,
    learningRate: true,
    repulsion: true,
    seed: true,
    engine: true,
    threads: true,
    signal: true,
    onProgress: true,
  });
  checkPoints(points);
  const { labels } = sameAs(points);
  return await withProgress("t-SNE", iterations, async (update, show) => {
    const live = startLiveEmbedding(labels, show);
    const embedded = await embed(points, {
      ...options,
      onProgress: (iteration, divergence, now) => {
        update(iteration);
        live.update(now, `KL divergence ${divergence.toFixed(3)}`);
        onProgress?.(iteration, divergence, now);
      },
    }, graphicsDevice).finally(() => live.end());
    const { points: map, neighbors } = embedded;
    const [count, dimensions] = points.shape;
    const k = Math.min(KEPT, neighbors.k);
    const onMap = await nearestNeighbors(map, k, { threads, signal, seed });
    const known = labels?.every((label) => label !== undefined) ? labels : undefined;
    const sample = Math.max(100, Math.floor(TRUST_COST / (count * dimensions)));
    const trust = { k: Math.min(5, Math.ceil(count / 2) - 1), sample, seed };
    const quality = {
      trustworthiness: trustworthiness(points, map, trust),
      continuity: continuity(points, map, trust),
      ...(known ? { accuracy: await nearestAccuracy(map, known, { threads, signal }) } : {}),
      preservation: preservation(neighbors, onMap),
    };
    return new Embedding(sameAs(points, map), embedded, quality, perplexity, points);
  });
}
