/**
 * t-SNE: a map of points on which neighbours stay together.
 *
 * @module
 */

import { continuity, nearestAccuracy, preservation, trustworthiness } from "../embed/quality.ts";
import { nearestNeighbors, type Neighbors } from "../embed/neighbors.ts";
import { type KnownPoints, sameAs } from "../embed/points.ts";
import { embed, type EmbedOptions } from "../embed/tsne.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { type Figure, Shown } from "../figure/figure.ts";
import { startLiveMap } from "../figure/live_map.ts";
import { mapFigure } from "../figure/map.ts";
import { withProgress } from "../figure/progress.ts";

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
  /** `[n, 2]`, around 0, with the ids and labels of the points. */
  readonly points: KnownPoints;
  /** How far the neighbourhoods of the map are from the true ones: Σ p ln(p/q) over affinities. */
  readonly klDivergence: number;
  readonly quality: MapQuality;
  /** The nearest neighbours of each point in truth, from which the map was made. */
  readonly neighbors: Neighbors;
  readonly #perplexity: number;

  constructor(
    points: KnownPoints,
    klDivergence: number,
    quality: MapQuality,
    neighbors: Neighbors,
    perplexity: number,
  ) {
    super();
    this.points = points;
    this.klDivergence = klDivergence;
    this.quality = quality;
    this.neighbors = neighbors;
    this.#perplexity = perplexity;
  }

  get rows(): MapRow[] {
    const { data, shape: [count], ids, labels } = this.points;
    return Array.from({ length: count }, (_, i) => ({
      id: ids?.[i] ?? String(i),
      x: data[2 * i],
      y: data[2 * i + 1],
      label: labels?.[i] ?? null,
      preservation: this.quality.preservation[i],
    }));
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure({ columns }: EmbeddingFigureOptions = {}): Figure {
    const { ids, labels, predictions, thumbnails, about = "points", shape: [count] } = this.points;
    const sure = labels?.every((label) => label !== undefined);
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
        ...(predictions && { prediction: predictions }),
        ...(predictions && labels && sure && {
          "right or wrong": predictions.map((prediction, i) => prediction === labels[i] ? "right" : "wrong"),
        }),
        "neighbours kept": preservation,
        ...columns,
      },
      text: `${title}\n  ${told}`,
    });
  }
}

/** Trustworthiness takes about this many multiplications at most, by a sample of the points. */
const TRUST_COST = 5e8;
const KEPT = 10;

/**
 * Makes a map of points, and measures how far it can be trusted.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". The same points, options and number of threads give
 * the same map to the last bit on one machine.
 *
 * @param points `[n, d]`: what `codes` or `pca` returned, or any array; of more than about 50 dimensions, `pca` first is
 *   quicker
 * @returns `points` `[n, 2]`, `klDivergence`, `quality`
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, a number is not
 *   finite, or it does not fit into memory
 *
 * @example
 * ```ts
 * const map = await tsne(pca(await codes(model, images), { components: 50 }).points);
 * map.quality.trustworthiness;
 * ```
 */
export async function tsne(points: KnownPoints, options: TsneOptions = {}): Promise<Embedding> {
  const { perplexity = 30, iterations = 750, threads, signal, seed, onProgress } = options;
  return await withProgress("t-SNE", iterations, async (update) => {
    const live = startLiveMap({ labels: points.labels });
    const { points: map, klDivergence, neighbors } = await embed(points, {
      ...options,
      onProgress: (iteration, divergence, now) => {
        update(iteration);
        live.update(now, `iteration ${iteration} of ${iterations} · KL divergence ${divergence.toFixed(3)}`);
        onProgress?.(iteration, divergence, now);
      },
    }).finally(() => live.finish());
    const [count, dimensions] = points.shape;
    const k = Math.min(KEPT, neighbors.k);
    const onMap = await nearestNeighbors(map, k, { threads, signal, seed });
    const known = points.labels?.every((label) => label !== undefined) ? points.labels : undefined;
    const sample = Math.max(100, Math.floor(TRUST_COST / (count * dimensions)));
    const trust = { k: Math.min(5, Math.ceil(count / 2) - 1), sample, seed };
    const quality = {
      trustworthiness: trustworthiness(points, map, trust),
      continuity: continuity(points, map, trust),
      ...(known ? { accuracy: await nearestAccuracy(map, known, { threads, signal }) } : {}),
      preservation: preservation(neighbors, onMap),
    };
    return new Embedding(sameAs(points, map), klDivergence, quality, neighbors, perplexity);
  });
}
