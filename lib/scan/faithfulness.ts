/**
 * Insertion and deletion: how the score of a class moves as an image's pixels come or go in the order of a map (Petsiuk,
 * Das and Saenko, "RISE" 2018, §4.1 and §4.2).
 *
 * @module
 */

import { ndarray, type NdArrayLike, placeOf, sizeOf } from "../array.ts";
import { inPlaceOf, type InputArray } from "../data/given.ts";
import type { Curve } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import type { MadeBaseline } from "../probe/attribution/baseline.ts";
import { randomStream } from "../random.ts";
import { eachScore } from "../probe/attribution/gradients.ts";
import { outputFor, type OutputTarget, placeWeights } from "../probe/output_target.ts";
import { isOutput, type ResolvedTarget, type UnitTarget } from "../probe/target.ts";
import type { LayerWanted } from "../probe/forward.ts";
import { forwardEach } from "./forward_all.ts";

interface CurvesOptions {
  baselines: readonly MadeBaseline[];
  steps: number;
  seed: number;
  batchSize?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** A map of random values over the sides of `[…sides, c]`: what every map has to beat. */
export function controlMap(shape: readonly number[], seed: number): NdArrayLike {
  const sides = shape.length > 1 ? shape.slice(0, -1) : shape;
  return ndarray(Float32Array.from({ length: sizeOf(sides) }, randomStream(seed)), sides);
}

/**
 * The pixels of a map `[h, w]` from the largest value to the smallest: what speaks for the target comes first, what speaks
 * against it last. Equal values are in a random order, by `seed`.
 *
 * @throws {RangeError} if a value is not a number
 */
export function pixelOrder(map: NdArrayLike, seed: number): Uint32Array {
  const { data } = map;
  const bad = data.findIndex((value) => Number.isNaN(value));
  if (bad >= 0) {
    const axes = [["cell"], ["row", "column"], ["slice", "row", "column"]][map.shape.length - 1];
    throw new RangeError(
      `The map holds NaN at ${placeOf(bad, map.shape).map((at, i) => `${axes[i]} ${at}`).join(", ")}.`,
    );
  }
  const random = randomStream(seed);
  const keys = Float64Array.from(data, random);
  return Uint32Array.from(data, (_, i) => i).sort((a, b) => data[b] - data[a] || keys[a] - keys[b]);
}

/** The area under a line through points, by the trapezoidal rule. */
export function areaUnder(x: readonly number[], y: readonly number[]): number {
  let area = 0;
  for (let i = 1; i < x.length; i++) area += ((x[i] - x[i - 1]) * (y[i] + y[i - 1])) / 2;
  return area;
}

/** Reads the probability or number of an output, or the activation of a unit, from what is put out for one image. */
function reader(
  model: Model,
  target: OutputTarget | UnitTarget,
): { layer: LayerWanted; read: (of: Float32Array) => number } {
  if (isOutput(target)) {
    const output = outputFor(model, target);
    const places = placeWeights(target);
    return { layer: output.index, read: (outputs) => output.valuesOver(outputs, places)[target.index] };
  }
  const { layer, channel, cell } = target;
  const { outputShape } = model.layer(layer);
  const place = [...cell ?? [], channel].reduce((at, one, axis) => at * (outputShape[axis] ?? 1) + one, 0);
  return { layer, read: (output) => output[place] };
}

/** The score of a target for each input: of classes and units in Workers, where there are any. */
async function scoresOf(
  model: Model,
  target: ResolvedTarget,
  inputs: { size: number; [Symbol.iterator](): Iterator<InputArray> },
  options: Omit<CurvesOptions, "baselines" | "steps" | "seed">,
): Promise<ArrayLike<number> & Iterable<number>> {
  if (!isOutput(target) && target.kind !== "unit") {
    const each = inputs[Symbol.iterator]();
    return await eachScore(model, target, inputs.size, () => each.next().value, options);
  }
  const { layer, read } = reader(model, target);
  const scores: number[] = [];
  await forwardEach(model, inputs, [layer], ([{ data, shape: [count] }]) => {
    const each = data.length / count;
    for (let i = 0; i < count; i++) scores.push(read(data.subarray(i * each, (i + 1) * each)));
  }, options);
  return scores;
}

/**
 * What scores are multiplied by: 1 for probabilities; others count as shares of the whole image's. Null where that is not above
 * 0, so that there is no share of it.
 */
async function scaleOf(
  model: Model,
  view: InputArray,
  target: ResolvedTarget,
  { signal }: Pick<CurvesOptions, "signal">,
): Promise<number | null> {
  if (target.kind === "class" || target.kind === "label") return 1;
  const [whole] = await scoresOf(model, target, { size: 1, [Symbol.iterator]: () => [model.input(view)].values() }, {
    signal,
  });
  return whole > 0 ? 1 / whole : null;
}

/**
 * Walks from the image to each baseline and back in the order of each map, and scores every step.
 *
 * @param view the image as the model sees it, `[h, w, c]`
 * @param maps each `[h, w]`, with the name of its method
 * @param target what is scored: a class or label by its probability, a unit (its cell named) by its activation, and any other
 *   target by its score, each as a share of that for the whole image, or itself where that is not above 0
 * @returns for each map and baseline the insertion and the deletion curve
 * @throws {RangeError} if a map has not the image's sides
 */
export async function walkCurves(
  model: Model,
  view: InputArray,
  maps: readonly { method: string; map: NdArrayLike }[],
  target: ResolvedTarget,
  { baselines, steps, seed, ...options }: CurvesOptions,
): Promise<Curve[]> {
  if (maps.length === 0) throw new RangeError("There is no map to walk along; wanted at least one.");
  const sides = view.shape.slice(0, model.dimensions);
  const channels = view.shape[model.dimensions] ?? 1;
  const pixels = sizeOf(sides);
  for (const { method, map } of maps) {
    if (map.shape.join() !== sides.join()) {
      throw new RangeError(
        `The map of ${method} has the shape [${map.shape}]; wanted [${sides.join(", ")}], the grid that ` +
          `${JSON.stringify(model.name)} sees.`,
      );
    }
  }
  const parts = Math.min(steps, pixels);
  const counts = Array.from({ length: parts + 1 }, (_, i) => Math.round((i * pixels) / parts));
  const share = counts.map((count) => count / pixels);
  const walks = maps.flatMap(({ method, map }) => {
    const order = pixelOrder(map, seed);
    return baselines.flatMap(({ name, image }) => [
      { method, order, baseline: name, kind: "insertion" as const, from: image, to: view },
      { method, order, baseline: name, kind: "deletion" as const, from: view, to: image },
    ]);
  });
  const inputs = {
    size: walks.length * counts.length,
    *[Symbol.iterator]() {
      for (const { order, from, to } of walks) {
        const data = from.data.slice();
        let done = 0;
        for (const count of counts) {
          for (; done < count; done++) {
            const at = order[done] * channels;
            for (let c = at; c < at + channels; c++) data[c] = to.data[c];
          }
          yield model.input(inPlaceOf(view, data));
        }
      }
    },
  };
  const scale = await scaleOf(model, view, target, options);
  const { onProgress, ...run } = options;
  const scores = Array.from(
    await scoresOf(model, target, inputs, {
      ...run,
      onProgress: onProgress && ((done, total) => onProgress(done + 1, total + 1)),
    }),
  );
  return walks.map(({ method, baseline, kind }, i) => {
    const score = scores.slice(i * counts.length, (i + 1) * counts.length).map((value) => value * (scale ?? 1));
    return {
      method,
      baseline,
      kind,
      share,
      score,
      area: areaUnder(share, score),
      ...scale === null && { plain: true },
    };
  });
}
