/**
 * How far off places are that are looked for by several descriptors, where the truth is known.
 *
 * @module
 */

import type { InputArray } from "../../data/given.ts";
import { type Affine, composed, rotation, scaling, translation } from "../../data/warp.ts";
import type { Model } from "../../model/model.ts";
import {
  type DescriptorMap,
  gradientDescriptors,
  pixelDescriptors,
  type Point,
} from "../../probe/matching/descriptors.ts";
import { findPoints, type Refinement } from "../../probe/matching/match.ts";
import type { MatchErrors } from "../../results/match_accuracy.ts";
import type { TF } from "../../runtime/backend.ts";
import { patchFor, PlacedFeatures } from "./placed_features.ts";

/** A kind of known warps, drawn anew for each image. */
export type WarpKind = "translation" | "rotation" | "scale" | "affine";

/** All kinds. */
export const KINDS: readonly WarpKind[] = ["translation", "rotation", "scale", "affine"];

/** A warp of a kind, drawn at random. */
export function drawWarp(kind: WarpKind, [height, width]: readonly number[], random: () => number): Affine {
  const around = (most: number) => (2 * random() - 1) * most;
  // Whole pixels: a shift by half a pixel would blur the image as well.
  const shift = () => translation(Math.round(around(height / 8)), Math.round(around(width / 8)));
  const turn = () => rotation(around(30));
  const scale = () => scaling(1.5 ** around(1));
  if (kind === "translation") return shift();
  if (kind === "rotation") return turn();
  if (kind === "scale") return scale();
  const shear: Affine = { matrix: [1, around(0.15), around(0.15), 1], shift: [0, 0] };
  return composed(shear, turn(), scale(), shift());
}

/** What is known of an image's places by each descriptor. */
export interface Described {
  readonly view: InputArray;
  readonly maps: readonly DescriptorMap[];
}

/** What images are described by, and how. */
interface DescriberOptions {
  readonly baselines: boolean;
  readonly patch?: number;
  readonly batchSize: number;
  readonly signal?: AbortSignal;
}

/** Describes images by layers and by patches. */
export class Describer {
  readonly names: readonly string[];
  readonly #features: PlacedFeatures;
  readonly #options: DescriberOptions;

  constructor(asker: string, model: Model, layers: readonly string[], options: DescriberOptions) {
    this.names = [...layers, ...options.baselines ? ["pixels", "gradients"] : []];
    this.#features = new PlacedFeatures(asker, model, layers);
    this.#options = options;
  }

  /** @param views of one size */
  async of(views: readonly InputArray[]): Promise<Described[]> {
    const { batchSize, signal, baselines, patch = patchFor(views[0].shape) } = this.#options;
    const features = await this.#features.of(views, { batchSize, signal });
    return views.map((view, i) => ({
      view,
      maps: [
        ...features[i],
        ...baselines ? [pixelDescriptors(view, { patch }), gradientDescriptors(view, { patch })] : [],
      ],
    }));
  }
}

/** How far off the matches of some points are, by each descriptor, as shares of the image's longer side. */
export async function errorsOf(
  tf: TF,
  from: Described,
  to: Described,
  { points, goals, refine }: { points: readonly Point[]; goals: readonly Point[]; refine: Refinement },
): Promise<number[][]> {
  const longer = Math.max(to.view.shape[0], to.view.shape[1]);
  const each: number[][] = [];
  for (const [i, map] of from.maps.entries()) {
    const found = await findPoints(tf, map, to.maps[i], points, { refine });
    each.push(found.map(({ match: [y, x] }, p) => Math.hypot(y - goals[p][0], x - goals[p][1]) / longer));
  }
  return each;
}

/** The errors of matches, gathered by descriptor and kind of truth. */
export class Errors {
  readonly #all = new Map<string, MatchErrors>();

  add(descriptor: string, warp: string, image: string, errors: readonly number[]): void {
    const key = JSON.stringify([descriptor, warp]);
    const known = this.#all.get(key) ?? { descriptor, warp, byImage: new Map<string, number[]>() };
    this.#all.set(key, known);
    const own = known.byImage.get(image) ?? [];
    known.byImage.set(image, own);
    own.push(...errors);
  }

  get all(): MatchErrors[] {
    return [...this.#all.values()];
  }
}

/** How far off points are that stay where they are. */
export const still = (
  points: readonly Point[],
  goals: readonly Point[],
  [height, width]: readonly number[],
): number[] => points.map(([y, x], i) => Math.hypot(goals[i][0] - y, goals[i][1] - x) / Math.max(height, width));
