/**
 * The gradient of a score integrated along the straight path between two inputs.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { eachGradient } from "./gradients.ts";
import { type Quadrature, quadrature } from "./quadrature.ts";
import type { ResolvedTarget } from "../target.ts";

/** A straight path, and whose score is followed along it. */
export interface StraightPath {
  readonly from: NdArrayLike;
  readonly to: InputArray;
  readonly target: ResolvedTarget;
}

/** The integral of the gradient, and from how many gradients it was made. */
export interface PathIntegral {
  /** The mean gradient along the path, in the order of the input. */
  readonly gradient: Float64Array;
  readonly steps: number;
}

/** The input at a share of the path. */
const pointOn = ({ from, to }: StraightPath, share: number): InputArray =>
  inPlaceOf(to, from.data.map((value, i) => value + share * (to.data[i] - value)));

/** Integrates by a fixed rule: only the sum is held, for any number of steps. */
export async function integrate(
  model: Model,
  path: StraightPath,
  rule: Quadrature,
  steps: number,
  run: Partial<RunOptions> = {},
): Promise<PathIntegral> {
  const { at, weights } = quadrature(rule, steps);
  const gradient = new Float64Array(path.to.data.length);
  const { target } = path;
  await eachGradient(model, steps, (i) => ({ input: pointOn(path, at[i]), target }), (i, found) => {
    for (let j = 0; j < gradient.length; j++) gradient[j] += weights[i] * found[j];
  }, run);
  return { gradient, steps };
}

/** A point of the path where the gradient was taken. */
interface Node {
  at: number;
  score: number;
  /** How the score changes along the path, there. */
  slope: number;
  gradient: Float32Array;
}

/** How many even steps it starts with, and how many it takes at most. */
const FIRST = 33;
const MOST = 256;
/** The integral may miss the difference of scores by this share of it, and all pieces without their signs by that. */
const MISSED = 0.008;
const MISSED_UNSIGNED = 0.1;
/** A difference of scores is known to no more than this share of them. */
const ROUNDING = 1e-4;

/**
 * Integrates by trapezoids, and takes more gradients where they do not explain how the score changes: along the path the
 * score of a network may rise within a few per cent of it, as it does near black, and stay flat for the rest.
 *
 * It ends when the integral misses the difference of the scores by less than .8 % of it and the pieces, without their
 * signs, by less than 10 %; or after 256 gradients, which are held until then.
 */
export async function integrateAdaptively(
  model: Model,
  path: StraightPath,
  run: Partial<RunOptions> = {},
): Promise<PathIntegral> {
  const nodes: Node[] = [];
  const { target } = path;
  const visit = async (places: readonly number[]) => {
    const before = nodes.length;
    const onProgress = run.onProgress && ((done: number) => run.onProgress?.(before + done, MOST));
    await eachGradient(
      model,
      places.length,
      (i) => ({ input: pointOn(path, places[i]), target }),
      (i, gradient, score) => {
        let slope = 0;
        for (let j = 0; j < gradient.length; j++) slope += gradient[j] * (path.to.data[j] - path.from.data[j]);
        nodes.push({ at: places[i], score, slope, gradient: gradient.slice() });
      },
      { ...run, onProgress },
    );
    nodes.sort((a, b) => a.at - b.at);
  };
  await visit(Array.from({ length: FIRST }, (_, i) => i / (FIRST - 1)));
  // At its ends the path may be at a kink, as black does where biases are 0: the gradient nearby counts there.
  const near = (i: number) => Math.min(nodes.length - 2, Math.max(1, i));
  while (nodes.length < MOST) {
    const pieces = nodes.slice(1).map((right, i) => {
      const left = nodes[i];
      const found = (right.at - left.at) * (nodes[near(i)].slope + nodes[near(i + 1)].slope) / 2;
      return { middle: (left.at + right.at) / 2, missed: found - (right.score - left.score) };
    });
    const [first, last] = [nodes[0].score, nodes[nodes.length - 1].score];
    // Below the scores' own rounding there is nothing to gain.
    const difference = Math.max(Math.abs(last - first), ROUNDING * Math.max(Math.abs(first), Math.abs(last)));
    const missed = Math.abs(pieces.reduce((sum, piece) => sum + piece.missed, 0));
    const unsigned = pieces.reduce((sum, piece) => sum + Math.abs(piece.missed), 0);
    if (missed <= MISSED * difference && unsigned <= MISSED_UNSIGNED * difference) break;
    const worst = pieces.sort((a, b) => Math.abs(b.missed) - Math.abs(a.missed));
    await visit(worst.slice(0, Math.min(8, MOST - nodes.length)).map(({ middle }) => middle));
  }
  const gradient = new Float64Array(path.to.data.length);
  for (let i = 1; i < nodes.length; i++) {
    const half = (nodes[i].at - nodes[i - 1].at) / 2;
    for (const { gradient: found } of [nodes[near(i - 1)], nodes[near(i)]]) {
      for (let j = 0; j < gradient.length; j++) gradient[j] += half * found[j];
    }
  }
  return { gradient, steps: nodes.length };
}
