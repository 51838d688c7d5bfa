/**
 * The smallest change by which a model's answer becomes another.
 *
 * Moosavi-Dezfooli, Fawzi and Frossard 2016, "DeepFool: a simple and accurate method to fool deep neural networks",
 * algorithm 2: step by step to the nearest of the planes that the classes' borders would be if the model were linear.
 *
 * @module
 */

import type { InputArray } from "../../data/given.ts";
import type { Attacker } from "./attack.ts";

/** The classes that come nearest are looked at, the answer among them. */
const CLASSES = 10;
/** Each step goes a little beyond the border. */
const OVERSHOOT = 0.02;
/** And this much, of 255, so that it moves where the border is as near as numbers can be. */
const NUDGE = 1e-4;

/**
 * The change of an image after which the model answers otherwise.
 *
 * @param pixels where it begins, in the place of the view's own
 * @param options.most how many steps at most
 * @param options.bounded whether the changed pixels stay within 0…255
 * @returns what is added to the pixels, or null if the answer stayed
 */
export async function deepFool(
  attacker: Attacker,
  view: InputArray,
  pixels: Float32Array,
  { most = 50, bounded = false }: { most?: number; bounded?: boolean } = {},
): Promise<Float32Array | null> {
  const change = new Float64Array(pixels.length);
  const changed = () =>
    pixels.map((value, i) => {
      const moved = value + (1 + OVERSHOOT) * change[i];
      return bounded ? Math.min(Math.max(255, value), Math.max(Math.min(0, value), moved)) : moved;
    });
  let now = pixels;
  let answer = -1;
  let near: number[] = [];
  for (let step = 0;; step++) {
    if (step === 0) {
      const { scores } = await attacker.slopes(view, pixels, [0]);
      near = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, CLASSES);
      answer = near[0];
    }
    const { scores, slopes } = await attacker.slopes(view, now, near);
    const best = scores.reduce((best, score, k) => score > scores[best] ? k : best, 0);
    if (best !== answer) return now.map((value, i) => value - pixels[i]);
    if (step === most) return null;
    let nearest: { distance: number; square: number; slope: Float64Array } | undefined;
    for (let i = 1; i < near.length; i++) {
      const slope = Float64Array.from(slopes[i], (value, at) => value - slopes[0][at]);
      const square = slope.reduce((sum, value) => sum + value * value, 0);
      if (square === 0) continue;
      const gap = Math.abs(scores[near[i]] - scores[answer]);
      const distance = gap / Math.sqrt(square);
      if (!nearest || distance < nearest.distance) nearest = { distance, square, slope };
    }
    if (!nearest) return null;
    const { distance, square, slope } = nearest;
    const length = distance + NUDGE;
    slope.forEach((value, i) => change[i] += length / Math.sqrt(square) * value);
    now = changed();
  }
}
