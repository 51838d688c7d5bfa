/**
 * t-SNE: points in two or three dimensions, where neighbours stay together.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE".
 *
 * @module
 */

import { nearestNeighbors } from "../embed/neighbors.ts";
import { projectOn } from "../embed/pca.ts";
import { type Points, type PointsLike, readPoints, sameAs } from "../embed/points.ts";
import { continuity, nearestAccuracy, preservation, trustworthiness } from "../embed/quality.ts";
import { place, PlaceOptions } from "../embed/tsne/place.ts";
import { embed, TsneOptions } from "../embed/tsne/tsne.ts";
import { fixed } from "../format.ts";
import { readOptions } from "../options.ts";
import { Embedding, type EmbeddingQuality, KEPT, PlacedPoints } from "../results/embedding.ts";
import { startLiveEmbedding } from "../results/live_embedding.ts";
import { PrincipalComponents } from "../results/principal_components.ts";
import { withProgress } from "../results/progress.ts";
import { graphicsDevice } from "../runtime/webgpu.ts";

export type { PlaceOptions, TsneOptions };

/** Trustworthiness takes about this many multiplications at most, by a sample of the points. */
const TRUST_COST = 5e8;

/**
 * Embeds points in two or three dimensions so that neighbours stay together, and measures how far that can be trusted.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". The same points, options and number of threads give
 * the same embedding to the last bit on one machine, computed by the same `engine`: the result says which it was.
 *
 * @param points `[n, d]`: what `codes` or `pca` returned, or any array; of more than about 50 dimensions, `pca` first is
 *   quicker
 * @returns `points` `[n, components]`, `klDivergence`, `quality`
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, a number is not
 *   finite, or the learning rate is so large that the points fly apart
 * @throws {MemoryError} if it does not fit into memory
 * @throws {Error} if `engine` is `"webgpu"` and there is no graphics device that computes right, or one fails on the way
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadModel, pca, tsne } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const images = await codes(model, await cifar10({ split: "test", limit: 1000 }));
 * const embedding = await tsne(pca(images, { components: 50 }));
 * console.log(embedding.quality.trustworthiness);
 * const inSpace = await tsne(pca(images, { components: 50 }), { components: 3 });
 * ```
 */
export async function tsne(points: PointsLike, options: Partial<TsneOptions> = {}): Promise<Embedding> {
  const { onProgress, ...all } = readOptions("tsne", TsneOptions, options);
  const from = readPoints(points);
  return await withProgress("t-SNE", all.iterations, async (update, show) => {
    const live = startLiveEmbedding(from.labels, show);
    const embedded = await embed(from, {
      ...all,
      onProgress(iteration, divergence, now) {
        update(iteration);
        live.update(now, `KL divergence ${fixed(divergence)}`);
        onProgress?.(iteration, divergence, now);
      },
    }, graphicsDevice).finally(() => live.end());
    return new Embedding({
      ...embedded,
      points: sameAs(from, embedded.points),
      quality: await qualityOf(from, embedded, all),
      perplexity: all.perplexity,
      place: (embedding, added, options) => {
        const { onProgress, ...all } = readOptions("place", PlaceOptions, options);
        const alike = likeOld(added, from, points instanceof PrincipalComponents ? points : undefined);
        const work = (update: (done: number) => void) =>
          placeIn(embedding, from, alike, { ...all, onProgress: update });
        return withProgress("New points on the map", alike.shape[0], work, onProgress);
      },
    });
  });
}

/** How far an embedding of points can be trusted. */
async function qualityOf(
  from: Points,
  { points, neighbors }: Awaited<ReturnType<typeof embed>>,
  { threads, signal, seed }: TsneOptions,
): Promise<EmbeddingQuality> {
  const [count, dimensions] = from.shape;
  const embedded = await nearestNeighbors(points, Math.min(KEPT, neighbors.k), { threads, signal, seed });
  const sample = Math.max(100, Math.floor(TRUST_COST / (count * dimensions)));
  const trust = { k: Math.min(5, Math.ceil(count / 2) - 1), sample, seed };
  const labels = from.labels?.every((label) => label !== undefined) ? from.labels : undefined;
  return {
    trustworthiness: trustworthiness(from, points, trust),
    continuity: continuity(from, points, trust),
    ...(labels && { accuracy: await nearestAccuracy(points, labels, { threads, signal }) }),
    preservation: preservation(neighbors, embedded),
  };
}

/** New points in the dimensions of the old ones: codes on the components that the embedding was made of, if it was. */
function likeOld(added: PointsLike, from: Points, components: PrincipalComponents | undefined): Points {
  const points = readPoints(added);
  const [[, found], [, wanted]] = [points.shape, from.shape];
  if (components && found === components.mean.shape[0] && !components.made(added)) {
    return sameAs(points, projectOn(components, points));
  }
  if (found === wanted) return points;
  const more = components
    ? `, or of ${components.mean.shape[0]}, as the principal components were made of`
    : ". If it was made of principal components, give tsne what pca returned, tsne(pca(codes)), and place takes new codes; " +
      "or place small.project(newCodes), where small is what pca returned";
  throw new RangeError(
    `This embedding was made of points of ${wanted} dimensions: received points of ${found}; wanted points of ` +
      `${wanted}${more}.`,
  );
}

/** Places new points in an embedding, and measures how well they are placed. */
async function placeIn(embedding: Embedding, from: Points, added: Points, options: PlaceOptions) {
  const { points, klDivergence, neighbors } = await place(from, embedding.points, added, options);
  const k = Math.min(KEPT, neighbors.k);
  const { threads, signal, seed } = options;
  const embedded = await nearestNeighbors(embedding.points, k, { queries: points, threads, signal, seed });
  const [count] = added.shape;
  return new PlacedPoints({
    embedding,
    points: sameAs(added, points),
    neighbors,
    klDivergence: klDivergence.reduce((a, b) => a + b, 0) / count,
    preservation: preservation(neighbors, embedded),
    nearest: Array.from({ length: count }, (_, i) => embedded.indices[i * k]),
  });
}
