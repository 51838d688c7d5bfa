/**
 * Class activation maps: a layer's maps, each weighted by what it does for a score.
 *
 * @module
 */

import { shapeList, traceAnySize } from "../../model/graph.ts";
import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { ndarray, type NdArrayLike, sizeOf, softmax } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { LayerInfo, Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { pack } from "../batches.ts";
import { inputGradient } from "../gradient.ts";
import { along, execute, madeOf, makePlan, type Plan } from "../plan.ts";
import type { OutputTarget } from "../output_target.ts";
import { isOutput } from "../target.ts";
import { eachScore } from "./gradients.ts";
import {
  type AttributionInput,
  type Pair,
  preliminaryTarget,
  resolveForImages,
  resolveOutputForImage,
} from "./inputs.ts";
import { ScoreFunction } from "./score_function.ts";

/** A layer's maps for an image, and the gradient of the score to them. */
export interface LayerGradient {
  readonly of: AttributionInput;
  readonly layer: string;
  /** `[h, w, c]`, of a 1-D network `[length, c]`, of a 3-D one `[d, h, w, c]` */
  readonly maps: NdArrayLike;
  /** Of the maps' shape. */
  readonly gradient: NdArrayLike;
  readonly score: number;
}

/** Layers that only hand maps on, smaller or with other borders: a layer before them says the same, more finely. */
const HANDS_ON =
  /Pooling|Dropout|Noise|^((ZeroPadding|Cropping|UpSampling)\dD|Flatten|Reshape|Permute|RepeatVector|InputLayer)$/;

/**
 * The layer that a class activation map is made of by default: the last that makes maps of more than one cell. Where the
 * output is a map itself it is the last of the coarsest ones: the bottleneck (Vinogradova, Dibrov and Myers 2020, "Towards
 * Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping", §3).
 *
 * @throws {TypeError} if there is none
 */
export function lastMaps(model: Model, output = model.output): string {
  const maps = model.wayBefore(output).filter(({ kind, outputShape }) =>
    model.hasMaps(outputShape) && !HANDS_ON.test(kind) && !outputShape.slice(0, -1).includes(1)
  );
  const cells = ({ outputShape, receptiveField }: LayerInfo) => {
    const sides = outputShape.slice(0, -1);
    return sides.includes(null) ? -(receptiveField?.stride ?? 1) : sizeOf(sides as number[]);
  };
  const least = output.kind === "map" ? Math.min(...maps.map(cells)) : null;
  const found = maps.findLast((layer) => least === null || cells(layer) === least);
  if (found) return found.name;
  throw new TypeError(
    `${JSON.stringify(model.name)} has no layer that puts out maps [h, w, c], so there is no class activation map.`,
  );
}

/** @throws {TypeError} if the layer does not put out maps */
export function requireMaps(model: Model, layer: string): void {
  const { outputShape } = model.layer(layer);
  if (model.hasMaps(outputShape)) return;
  throw new TypeError(
    `Layer ${JSON.stringify(layer)} puts out [${shapeList(outputShape)}]; ` +
      `a class activation map is made of maps [h, w, c].`,
  );
}

/** The tensors that the steps behind one tensor read besides it and what they make of it. */
function besides(plan: Plan, id: number): number[] {
  const behind = madeOf(plan, id);
  const readers = plan.steps.filter(({ output }) => output !== id && behind.has(output));
  return [...new Set(readers.flatMap(({ inputs }) => inputs.filter((input) => !behind.has(input))))];
}

/**
 * The maps of a layer and the gradient of each pair's score to them. The network runs once up to the layer, and is
 * differentiated from there on only.
 *
 * @throws {TypeError} if the score does not depend on the layer
 */
export async function layerGradients(
  model: Model,
  pairs: readonly Pair[],
  layerOf: (pair: Pair) => string,
  { signal, onProgress }: Partial<RunOptions> = {},
): Promise<LayerGradient[]> {
  const results: LayerGradient[] = [];
  for (const pair of pairs) {
    signal?.throwIfAborted();
    results.push(await layerGradient(model, pair, layerOf(pair)));
    onProgress?.(results.length, pairs.length);
  }
  return results;
}

async function layerGradient(model: Model, pair: Pair, layer: string): Promise<LayerGradient> {
  const tf = await ensureBackend();
  const { network } = model;
  const { wanted: _, ...image } = pair;
  const maps = model.entry(layer).use;
  const preliminary = preliminaryTarget(model, pair.wanted, image.input);
  const scoreFunction = new ScoreFunction(tf, model, preliminary, false);
  const { outputs } = scoreFunction;
  const tail = makePlan(network, [maps, ...outputs], { fold: false });
  const behind = madeOf(tail, maps.id);
  if (!outputs.some(({ id }) => behind.has(id))) {
    throw new TypeError(
      `The score of ${preliminary.text} does not depend on the layer ${
        JSON.stringify(layer)
      }; choose a layer before it.`,
    );
  }
  // A class is resolved by what follows the layer; the strongest cell of a unit is looked for before.
  const before = isOutput(preliminary) ? null : (await resolveForImages(model, [pair]))[0];
  const beside = besides(tail, maps.id);
  const { uses } = traceAnySize(network);
  const front = makePlan(network, [maps, ...beside.map((id) => uses[id])], { fold: true, sums: true });
  const start = () => pack(tf, [image.input]);
  let result: LayerGradient | undefined;
  await execute(tf, front, [start], async ([at, ...others]) => {
    const given = new Map(beside.map((id, i) => [id, others[i]]));
    const onward = (x: Tensor) => along(tf, tail, new Map([...given, [maps.id, x]])).slice(1);
    const made: Tensor[] = [];
    try {
      let of = before;
      if (!of) {
        const values = tf.tidy(() => onward(at).map((value) => tf.clone(value)));
        made.push(...values);
        of = {
          ...image,
          ...await resolveOutputForImage(model, scoreFunction, values, pair, preliminary as OutputTarget),
        };
      }
      const { target } = of;
      const { value, gradient } = inputGradient(tf, (x) => scoreFunction.score(onward(x), [target]), at);
      made.push(value, gradient);
      const [values, gradients, [score]] = await Promise.all([at.data(), gradient.data(), value.data()]);
      const shape = at.shape.slice(1);
      result = {
        of,
        layer,
        maps: ndarray(values as Float32Array, shape),
        gradient: ndarray(gradients as Float32Array, shape),
        score,
      };
    } finally {
      tf.dispose(made);
    }
  });
  return result!;
}

/** How the channels of a layer become one map. */
export type CamVariant = "gradcam" | "gradcam++" | "layercam" | "scorecam";

/** One number a cell: the sum over the channels of what `weigh` makes of a map's value. */
function weighted({ data, shape }: NdArrayLike, weigh: (i: number, channel: number) => number) {
  const channels = shape.at(-1)!;
  const cam = new Float32Array(data.length / channels);
  for (let cell = 0; cell < cam.length; cell++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += weigh(cell * channels + c, c) * data[cell * channels + c];
    cam[cell] = Math.max(0, sum);
  }
  return ndarray(cam, shape.slice(0, -1));
}

/** Why a variant's map is 0 everywhere, if it is. */
export function whyNothing(variant: CamVariant, { maps, gradient }: LayerGradient): string {
  if (maps.data.every((value) => value === 0)) return "All maps of the layer are 0.";
  const channels = maps.shape.at(-1)!;
  if (variant === "scorecam" && maps.data.every((value, i) => value === maps.data[i % channels])) {
    return "Each map of the layer is the same everywhere, so that none can mask the image.";
  }
  if (variant !== "scorecam" && gradient.data.every((value) => value === 0)) {
    return "The score does not change with any cell of the layer: its gradient is 0, as behind ReLUs that do not fire or " +
      "where an activation is saturated.";
  }
  if (["gradcam++", "layercam"].includes(variant) && gradient.data.every((value) => value <= 0)) {
    return "No gradient of the score to the layer is positive, and this variant counts no other.";
  }
  return "The weighted sum is nowhere above 0: what the layer sees speaks against the target, and that is cut off.";
}

/** Sums over all cells, one a channel. */
function perChannel(channels: number, size: number, value: (i: number) => number): Float64Array {
  const sums = new Float64Array(channels);
  for (let i = 0; i < size; i++) sums[i % channels] += value(i);
  return sums;
}

/**
 * The map of a variant that needs only the gradient. What is negative is cut off, as in each of the papers.
 *
 * @returns `[h, w]`
 */
export function camOf(variant: Exclude<CamVariant, "scorecam">, { maps, gradient }: LayerGradient): NdArrayLike {
  const { data, shape } = maps;
  const g = gradient.data;
  const channels = shape.at(-1)!;
  const cells = data.length / channels;
  if (variant === "layercam") return weighted(maps, (i) => Math.max(0, g[i]));
  if (variant === "gradcam") {
    const sums = perChannel(channels, g.length, (i) => g[i]);
    return weighted(maps, (_, c) => sums[c] / cells);
  }
  // The second and third derivatives are those of the exponential of a score that is linear in the maps.
  const total = perChannel(channels, data.length, (i) => data[i]);
  const sums = perChannel(channels, g.length, (i) => {
    const below = 2 * g[i] ** 2 + total[i % channels] * g[i] ** 3;
    return below === 0 ? 0 : (g[i] ** 2 / below) * Math.max(0, g[i]);
  });
  return weighted(maps, (_, c) => sums[c]);
}

/**
 * The map of Score-CAM: each channel counts by how much of the score is left when the image is masked by it.
 *
 * @returns `[h, w]`
 */
export async function scoreCam(
  model: Model,
  { input, target }: AttributionInput,
  maps: NdArrayLike,
  run: Partial<RunOptions> = {},
): Promise<NdArrayLike> {
  const space = maps.shape.slice(0, -1);
  const channels = maps.shape.at(-1)!;
  const depth = input.shape.at(-1)!;
  const masks: { channel: number; low: number; high: number }[] = [];
  for (let channel = 0; channel < channels; channel++) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = channel; i < maps.data.length; i += channels) {
      low = Math.min(low, maps.data[i]);
      high = Math.max(high, maps.data[i]);
    }
    // A flat map masks nothing.
    if (high > low) masks.push({ channel, low, high });
  }
  if (masks.length === 0) return ndarray(new Float32Array(sizeOf(space)), space);
  const masked = (index: number): InputArray => {
    const { channel, low, high } = masks[index];
    const plane = Float32Array.from(
      { length: sizeOf(space) },
      (_, i) => (maps.data[i * channels + channel] - low) / (high - low),
    );
    const mask = enlarge(ndarray(plane, space), input.shape.slice(0, -1)).data;
    return inPlaceOf(input, input.data.map((value, i) => value * mask[Math.floor(i / depth)]));
  };
  const scores = await eachScore(model, target, masks.length, masked, run);
  const shares = softmax(scores);
  const weights = new Float64Array(channels);
  masks.forEach(({ channel }, i) => weights[channel] = shares[i]);
  return weighted(maps, (_, c) => weights[c]);
}

/**
 * A map enlarged by (bi-, tri-)linear interpolation between the middles of its cells; beyond the outermost middles it is flat,
 * as PyTorch's `interpolate` does without `align_corners`.
 *
 * @param map `[h, w]`, of a 1-D network `[length]`, of a 3-D one `[d, h, w]`
 * @param shape as many sides, in pixels
 */
export function enlarge({ data, shape: cells }: NdArrayLike, shape: readonly number[]): NdArrayLike {
  let out: Float32Array = data;
  // Axis by axis, the last one first, so that what is read along the others is still small.
  for (let axis = cells.length - 1; axis >= 0; axis--) {
    const [from, to] = [cells[axis], shape[axis]];
    const step = sizeOf(shape.slice(axis + 1, cells.length));
    const last = out;
    out = new Float32Array(sizeOf(cells.slice(0, axis)) * to * step);
    for (let i = 0; i < to; i++) {
      const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
      const first = Math.min(Math.floor(at), Math.max(0, from - 2));
      const second = Math.min(from - 1, first + 1);
      const share = at - first;
      for (let block = 0; block * to * step < out.length; block++) {
        for (let k = 0; k < step; k++) {
          const [a, b] = [last[(block * from + first) * step + k], last[(block * from + second) * step + k]];
          out[(block * to + i) * step + k] = a * (1 - share) + b * share;
        }
      }
    }
  }
  return ndarray(out, shape.slice(0, cells.length));
}
