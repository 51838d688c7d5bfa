/**
 * What t-SNE returns: points in two or three dimensions, and how far they can be trusted; and new points placed among them.
 *
 * @module
 */

import { resize } from "../resize/resize.ts";
import type { Neighbors } from "../embed/neighbors.ts";
import type { PointArray, Points, PointsLike } from "../embed/points.ts";
import type { PlaceOptions } from "../embed/tsne/place.ts";
import type { Engine } from "../embed/tsne/engine.ts";
import type { Embedded } from "../embed/tsne/tsne.ts";
import type { Figure } from "../figure/figure.ts";
import { predictionColumns } from "../figure/map/columns.ts";
import { mapFigure } from "../figure/map/map.ts";
import { fixed, percent } from "../format.ts";
import { readOptions } from "../options.ts";
import { idsOf, PointsFigureOptions } from "./points.ts";
import { Result } from "./result.ts";

/** The neighbours that count in {@linkcode EmbeddingQuality.preservation}, and that light up in a figure. */
export const KEPT = 10;

/** How far an embedding can be trusted. */
export interface EmbeddingQuality {
  /** Whether neighbours in the embedding are neighbours in truth: 1 is best, at random it is about 0.5 (5 neighbours). */
  readonly trustworthiness: number;
  /** Whether true neighbours are neighbours in the embedding. */
  readonly continuity: number;
  /** How often the nearest other point of the embedding has the same label; absent where a label is not known. */
  readonly accuracy?: number;
  /** For each point, which share of its 10 nearest neighbours are among the 10 nearest in the embedding, `[n]`. */
  readonly preservation: Float32Array;
}

/** One point of an embedding: a row of the table. */
export interface EmbeddingRow {
  /** The point's name, or its place. */
  id: string;
  /** Across. */
  x: number;
  /** Upwards. */
  y: number;
  /** In three dimensions. */
  z?: number;
  /** What the point is, where that is known. */
  label: string | null;
  /** See {@linkcode EmbeddingQuality.preservation}. */
  preservation: number;
}

/** What an embedding is made of. */
interface EmbeddingParts extends Omit<Embedded, "points"> {
  points: PointArray;
  quality: EmbeddingQuality;
  perplexity: number;
  /** Places new points in the embedding. */
  place(embedding: Embedding, points: PointsLike, options: Partial<PlaceOptions>): Promise<PlacedPoints>;
}

/** Points embedded by t-SNE, and how far they can be trusted; in a cell a map to walk in, with images under the pointer. */
export class Embedding extends Result<EmbeddingRow> {
  /** `[n, 2]` or `[n, 3]`, around 0, with the ids and labels of the points. */
  readonly points: PointArray;
  /** How far the neighbourhoods of the embedding are from the true ones: Σ p ln(p/q) over affinities. */
  readonly klDivergence: number;
  /** How far it can be trusted. */
  readonly quality: EmbeddingQuality;
  /** The nearest neighbours of each point in truth, from which the embedding was made. */
  readonly neighbors: Neighbors;
  /** What computed it: the processor (`"wasm"`) or a graphics card (`"webgpu"`). */
  readonly engine: Engine;
  /** Why that one, as a sentence. */
  readonly engineReason: string;
  readonly #perplexity: number;
  readonly #place: EmbeddingParts["place"];

  /** @internal */
  constructor({ points, klDivergence, quality, neighbors, engine, engineReason, perplexity, place }: EmbeddingParts) {
    super();
    this.points = points;
    this.klDivergence = klDivergence;
    this.quality = quality;
    this.neighbors = neighbors;
    this.engine = engine;
    this.engineReason = engineReason;
    this.#perplexity = perplexity;
    this.#place = place;
  }

  /**
   * Places new points in this embedding: each where the old points that are near in truth are near in the embedding too,
   * and all others are not. The embedding stays as it is, and no new point has a say in where another goes.
   *
   * After Poličar, Stražar and Zupan 2023, "Embedding to reference t-SNE space addresses batch effects in single-cell
   * classification": from the median of a point's nearest old ones downhill on its own divergence, Σ p ln(p/q) over the
   * old points.
   *
   * @param points new points `[m, d]`, as the old ones: codes of the same layer. Of an embedding `tsne(pca(codes))`, new
   *   codes are projected on the same components first; what `project` of these returned is taken as it is
   * @returns `points` `[m, 2]` or `[m, 3]`, and rows with the nearest old point of each
   * @throws {TypeError} if it is no array of shape [m, d]
   * @throws {RangeError} if the points have other dimensions than the old ones, a number is not finite, or the
   *   perplexity does not go with the number of old points
   *
   * @example
   * ```ts
   * import { cifar10, codes, loadModel, pca, tsne } from "../../mod.ts";
   * const model = await loadModel("cifar-convnet");
   * const old = await codes(model, await cifar10({ split: "train", limit: 5000 }));
   * const embedding = await tsne(pca(old, { components: 50 }));
   * await embedding.place(await codes(model, await cifar10({ split: "test", limit: 500 })));
   * ```
   */
  async place(points: PointsLike, options: Partial<PlaceOptions> = {}): Promise<PlacedPoints> {
    return await this.#place(this, points, options);
  }

  /** The points one by one. */
  get rows(): EmbeddingRow[] {
    return rowsOf(this.points, this.quality.preservation);
  }

  /** A map of the points, coloured by label, with the measures of its quality in the caption. */
  override figure(options: Partial<PointsFigureOptions> = {}): Figure {
    const { columns, thumbnails: pictures } = readOptions("figure", PointsFigureOptions, options);
    const { ids, labels, predictions, thumbnails, about = "points", shape: [count] } = this.points;
    const { trustworthiness, continuity, accuracy, preservation } = this.quality;
    const title = `t-SNE · ${about} · ${count} points · perplexity ${this.#perplexity}`;
    const kept = preservation.reduce((a, b) => a + b, 0) / count;
    const measures = [
      `KL divergence ${fixed(this.klDivergence)}`,
      `trustworthiness ${fixed(trustworthiness)}`,
      `continuity ${fixed(continuity)}`,
      `${percent(kept, 0)} of the 10 nearest neighbours kept`,
      ...(accuracy === undefined ? [] : [`nearest point has the same label ${percent(accuracy)}`]),
    ].join(" · ");
    return mapFigure({
      title,
      caption: [
        `${measures}.`,
        "Near points are alike; the distance of clusters, their size and the axes mean nothing.",
      ].join(" "),
      points: this.points,
      ids,
      labels,
      neighbors: this.neighbors,
      thumbnails,
      pictures,
      columns: {
        ...predictionColumns(predictions, labels),
        "neighbours kept": preservation,
        ...columns,
      },
    });
  }
}

/** One new point in an embedding: a row of the table. */
export interface PlacedRow extends EmbeddingRow {
  /** The old point that is nearest in truth. */
  nearest: string;
  /** Its label, where that is known. */
  nearestLabel: string | null;
  /** How far it is, among the points that the embedding was made of. */
  distance: number;
  /**
   * How many times as far that is as from an old point to its nearest (the median of those that have no equal): 1 is as
   * usual, 0 where an old point is equal.
   */
  novelty: number;
}

/** What is more than this many times as far from the nearest old point as usual is reported as unlike all of them. */
const UNLIKE = 2;

/** What placed points are made of. */
interface PlacedParts {
  embedding: Embedding;
  points: PointArray;
  neighbors: Neighbors;
  klDivergence: number;
  preservation: Float32Array;
  /** The nearest old point of each new one in the embedding. */
  nearest: readonly number[];
}

/** New points in an embedding; in a cell its map, pale, with the new points upon it. */
export class PlacedPoints extends Result<PlacedRow> {
  /** Where the new points are in the embedding, `[m, 2]` or `[m, 3]`, with their ids and labels. */
  readonly points: PointArray;
  /** The mean over the new points of Σ p ln(p/q) over the old ones: how far their neighbourhoods are from the true ones. */
  readonly klDivergence: number;
  /** How often the nearest old point in the embedding has the label of the new one; absent where a label is not known. */
  readonly accuracy?: number;
  /** For each new point, which share of its 10 nearest old ones are among the 10 nearest in the embedding, `[m]`. */
  readonly preservation: Float32Array;
  /** The nearest old points of each new one in truth. */
  readonly neighbors: Neighbors;
  readonly #embedding: Embedding;
  /** The median distance from an old point to its nearest, of those that have no equal; 0 where all have one. */
  readonly #usual: number;

  /** @internal */
  constructor({ embedding, points, neighbors, klDivergence, preservation, nearest }: PlacedParts) {
    super();
    this.#embedding = embedding;
    this.points = points;
    this.neighbors = neighbors;
    this.klDivergence = klDivergence;
    this.preservation = preservation;
    const apart = nearestDistances(embedding.neighbors).filter((distance) => distance > 0).sort();
    this.#usual = apart[Math.floor(apart.length / 2)] ?? 0;
    const { labels } = points;
    const { labels: oldLabels } = embedding.points;
    if (labels?.every((label) => label !== undefined) && oldLabels?.every((label) => label !== undefined)) {
      this.accuracy = nearest.filter((old, i) => oldLabels[old] === labels[i]).length / nearest.length;
    }
  }

  /** The new points one by one. */
  get rows(): PlacedRow[] {
    const { labels } = this.#embedding.points;
    const ids = idsOf(this.#embedding.points);
    const novelty = this.#noveltyOf(this.neighbors);
    return rowsOf(this.points, this.preservation).map((row, i) => {
      const nearest = this.neighbors.indices[i * this.neighbors.k];
      return {
        ...row,
        nearest: ids[nearest],
        nearestLabel: labels?.[nearest] ?? null,
        distance: this.neighbors.distances[i * this.neighbors.k],
        novelty: novelty[i],
      };
    });
  }

  /** A map of all points, the old ones pale. */
  override figure(options: Partial<PointsFigureOptions> = {}): Figure {
    const { columns, thumbnails: pictures } = readOptions("figure", PointsFigureOptions, options);
    const embedding = this.#embedding;
    const [old, added] = [embedding.points, this.points];
    const [[count, components], [more]] = [old.shape, added.shape];
    const novelty = this.#noveltyOf(this.neighbors);
    const unlike = novelty.filter((value) => value > UNLIKE).length;
    const { about = "points" } = added;
    const title = `t-SNE · ${about} · ${more} new on a map of ${count}`;
    const measures = [
      ...(this.accuracy === undefined
        ? []
        : [`nearest old point on the map has the same label ${percent(this.accuracy)}`]),
      `${percent(this.preservation.reduce((a, b) => a + b, 0) / more, 0)} of the 10 nearest old points kept`,
      `${unlike} of ${more} new points more than ${UNLIKE} times as far from the nearest old one as is usual`,
    ].join(" · ");
    const both = <T>(a: readonly T[], b: readonly T[]) => [...a, ...b];
    const labels = both(
      old.labels ?? new Array<undefined>(count).fill(undefined),
      added.labels ?? new Array<undefined>(more).fill(undefined),
    );
    const predictions = old.predictions && added.predictions && both(old.predictions, added.predictions);
    const k = Math.min(KEPT, embedding.neighbors.k, this.neighbors.k);
    return mapFigure({
      title,
      caption: `Pale: the old points, where they stood. ${measures[0].toUpperCase()}${measures.slice(1)}.`,
      points: { data: joined(old.data, added.data), shape: [count + more, components] },
      background: count,
      ids: both(idsOf(old), idsOf(added)),
      labels,
      neighbors: { k, indices: [...firstOf(embedding.neighbors, k), ...firstOf(this.neighbors, k)] },
      thumbnails: picturesOf(old, added),
      pictures,
      columns: {
        "old or new": Array.from({ length: count + more }, (_, i) => i < count ? "old" : "new"),
        ...predictionColumns(predictions, labels),
        novelty: joined(this.#noveltyOf(embedding.neighbors), novelty),
        "neighbours kept": joined(embedding.quality.preservation, this.preservation),
        ...columns,
      },
    });
  }

  #noveltyOf(neighbors: Neighbors): Float32Array {
    return nearestDistances(neighbors).map((distance) => distance && distance / this.#usual);
  }
}

/** Points of an embedding as rows. */
function rowsOf(points: Points, preservation: Float32Array): EmbeddingRow[] {
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
function picturesOf({ thumbnails: first }: Points, { thumbnails: second, shape: [count] }: Points) {
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
