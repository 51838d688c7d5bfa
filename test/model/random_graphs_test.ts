/**
 * The table of layers against what the network computes, on networks drawn at random: convolutions with padding, strides
 * and dilation, poolings, padding, cropping, upsampling, sums, concatenations, layers that are used twice or in two
 * models, nested models, inputs of a fixed and of any size.
 */

import type { layers as tfLayers, SymbolicTensor, Tensor, Tensor4D } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { type Box, reachedCells, seenPixels } from "../../lib/model/geometry.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";
import { expectReplays, recordCalls } from "../probe/replay.ts";

const tf = await ensureBackend();

/** Maps of a network that is being drawn. */
interface Maps {
  tensor: SymbolicTensor;
  /** For the image that it will be run on. */
  sides: [number, number];
  channels: number;
  /** Whether what a cell reads is known cell by cell, so that its gradient must fill the box. */
  full: boolean;
  cropped: boolean;
  /** Whether there are gaps in what a cell reads: at the border the first or last of a window may be one. */
  gaps: boolean;
}

/** Draws networks; the same for the same seed. */
class Artist {
  readonly #random: () => number;
  readonly maps: Maps[] = [];
  /** Of each layer of the network itself the maps that its first use makes. */
  readonly firstUse = new Map<string, Maps>();
  readonly #known: { layer: tfLayers.Layer; channels: number }[] = [];
  #count = 0;

  constructor(readonly seed: number) {
    this.#random = uniforms(seed);
  }

  int(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }
  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)];
  }
  chance(share: number): boolean {
    return this.#random() < share;
  }
  #name(kind: string) {
    return `${kind}_${this.seed}_${this.#count++}`;
  }
  #positive() {
    return tf.initializers.randomUniform({ minval: 0.5, maxval: 1.5, seed: this.int(1, 1e6) });
  }
  #pair(from: number, to: number): [number, number] {
    const one = this.int(from, to);
    return this.chance(0.7) ? [one, one] : [one, this.int(from, to)];
  }

  #convolution(): tfLayers.Layer {
    const dilated = this.chance(0.25);
    const common = {
      kernelSize: this.#pair(1, 4),
      strides: dilated ? 1 : this.#pair(1, 3),
      padding: this.pick(["same", "valid"] as const),
      useBias: false,
    };
    const filters = this.int(1, 3);
    const kind = this.int(0, 3);
    const dilation = dilated ? { dilationRate: this.int(2, 3) } : {};
    if (kind === 0) {
      const depthwise = { depthwiseInitializer: this.#positive(), name: this.#name("depthwise") };
      return tf.layers.depthwiseConv2d({ ...common, ...dilation, ...depthwise });
    }
    if (kind === 1 && !dilated) {
      const initial = { depthwiseInitializer: this.#positive(), pointwiseInitializer: this.#positive() };
      return tf.layers.separableConv2d({ ...common, ...initial, filters, name: this.#name("separable") });
    }
    const kernelInitializer = this.#positive();
    return tf.layers.conv2d({ ...common, ...dilation, kernelInitializer, filters, name: this.#name("conv") });
  }

  /** @param crops whether it may cut cells off, which tfjs's Sequential refuses where sides are not known */
  #other(crops = true): tfLayers.Layer {
    const name = this.#name("other");
    const window = { poolSize: this.#pair(1, 3), strides: this.#pair(1, 3) };
    const padding = this.pick(["same", "valid"] as const);
    return [
      () => tf.layers.averagePooling2d({ ...window, padding, name }),
      () => tf.layers.maxPooling2d({ ...window, padding, name }),
      () => tf.layers.zeroPadding2d({ padding: [[this.int(0, 2), 1], [1, this.int(0, 2)]], name }),
      () => tf.layers.cropping2D({ cropping: [[1, this.int(0, 1)], [this.int(0, 1), 1]], name } as never),
      () => tf.layers.upSampling2d({ size: [2, this.int(1, 2)], name }),
      () => tf.layers.upSampling2d({ size: [this.int(2, 3), 2], interpolation: "bilinear", name }),
      () =>
        tf.layers.conv2dTranspose({
          filters: 2,
          kernelSize: this.#pair(2, 4),
          strides: this.#pair(1, 2),
          padding,
          kernelInitializer: this.#positive(),
          useBias: false,
          name,
        }),
      () => tf.layers.batchNormalization({ name }),
      () => tf.layers.activation({ activation: "relu", name }),
    ].filter((_, i) => crops || i !== 3)[this.int(0, crops ? 8 : 7)]() as tfLayers.Layer;
  }

  /** A model of one or two layers, which will be used as a layer. */
  #nested(channels: number): tfLayers.Layer {
    const inner = this.chance(0.5) ? [this.#convolution()] : [this.#convolution(), this.#other(false)];
    if (this.chance(0.5)) {
      const input = tf.input({ shape: [null, null, channels] });
      const output = inner.reduce((x, layer) => layer.apply(x) as SymbolicTensor, input);
      return tf.model({ inputs: input, outputs: output, name: this.#name("nested") });
    }
    const model = tf.sequential({ name: this.#name("sequential") });
    model.add(tf.layers.inputLayer({ inputShape: [null as never, null as never, channels] }));
    inner.forEach((layer) => model.add(layer));
    model.build([null, null, null, channels] as never);
    return model;
  }

  /** Applies a layer, unless nothing would be left. */
  #apply(layer: tfLayers.Layer, from: Maps[]): boolean {
    const layers = (layer as unknown as { layers?: tfLayers.Layer[] }).layers ?? [layer];
    let shape = from.map(({ sides, channels }): (number | null)[] => [null, ...sides, channels]);
    for (const one of layers) {
      shape = [one.computeOutputShape(shape.length > 1 ? shape : shape[0]) as number[]];
      if (shape[0].some((side) => side !== null && side < 1)) return false;
    }
    const [, height, width, channels] = shape[0] as number[];
    const inputs = from.map(({ tensor }) => tensor);
    let tensor: SymbolicTensor;
    try {
      tensor = layer.apply(inputs.length > 1 ? inputs : inputs[0]) as SymbolicTensor;
    } catch (error) {
      // tfjs takes unknown sides for negative ones behind a cropping.
      expect(String(error)).toContain("Negative dimension");
      return false;
    }
    const kinds = layers.map((one) => one.getClassName());
    const made: Maps = {
      tensor,
      sides: [height, width],
      channels,
      full: from.every(({ full }) => full) && !kinds.some((kind) => /Max|UpSampling|Transpose/.test(kind)),
      cropped: from.some(({ cropped }) => cropped) || kinds.includes("Cropping2D"),
      gaps: from.some(({ gaps }) => gaps) ||
        kinds.some((kind) => kind.includes("Conv2D")) && /"dilationRate":\[?[23]/.test(
            JSON.stringify(layers.map((one) => one.getConfig())),
          ),
    };
    this.maps.push(made);
    if (!this.firstUse.has(layer.name)) this.firstUse.set(layer.name, made);
    return true;
  }

  draw() {
    const size: [number, number] = this.chance(0.5)
      ? [this.int(10, 22), this.int(10, 22)]
      : Array(2).fill(this.int(10, 22)) as [number, number];
    const free = this.chance(0.5);
    const shape = [...free ? [null, null] : size, 3];
    const input = tf.input({ shape });
    this.maps.push({ tensor: input, sides: size, channels: 3, full: true, cropped: false, gaps: false });
    // A layer that was used in another network before counts as drawn here only by its use here.
    const stranger = this.#convolution();
    stranger.apply(tf.input({ shape: [40, 40, 3] }));
    if (this.chance(0.5)) this.#apply(stranger, [this.maps[0]]);
    for (let i = 0; i < this.int(3, 8); i++) {
      const from = this.chance(0.7) ? this.maps.at(-1)! : this.pick(this.maps);
      const alike = this.maps.filter(({ sides, tensor }) =>
        sides.join() === from.sides.join() && tensor !== from.tensor
      );
      const again = this.#known.filter(({ channels }) => channels === from.channels);
      const kind = this.int(0, 9);
      if (kind < 2 && alike.length) this.#apply(tf.layers.concatenate({ name: this.#name("join") }), [from, alike[0]]);
      else if (kind < 4 && alike.some(({ channels }) => channels === from.channels)) {
        const other = alike.find(({ channels }) => channels === from.channels)!;
        this.#apply(tf.layers.add({ name: this.#name("sum") }), [from, other]);
      } else if (kind < 6 && again.length) this.#apply(this.pick(again).layer, [from]);
      else {
        const layer = kind < 7 ? this.#nested(from.channels) : kind < 9 ? this.#convolution() : this.#other();
        if (this.#apply(layer, [from])) this.#known.push({ layer, channels: from.channels });
      }
    }
    const ends = this.maps.slice(1).map(({ tensor }) => tensor);
    return { network: tf.model({ inputs: input, outputs: ends.length ? ends : input }), size, free };
  }
}

/** The least box around what is not 0 of a map `[1, h, w, c]`. */
async function support(map: Tensor): Promise<Box | null> {
  const sums = tf.tidy(() => tf.sum(tf.abs(map as Tensor4D), [0, 3]));
  const rows = await sums.array() as number[][];
  sums.dispose();
  const filled = rows.flatMap((row, y) => row.flatMap((value, x) => value > 0 ? [[y, x]] : []));
  if (filled.length === 0) return null;
  const axis = (a: 0 | 1) =>
    [
      Math.min(...filled.map((cell) => cell[a])),
      Math.max(...filled.map((cell) => cell[a])) + 1,
    ] as const;
  return [axis(0), axis(1)];
}

const holds = (outer: Box, inner: Box) =>
  outer.every(([start, end], axis) => start <= inner[axis][0] && inner[axis][1] <= end);

/** What was compared: the test must not be about nothing. */
const seenKinds = { shapes: 0, free: 0, exact: 0, fields: 0, bounds: 0, twice: 0, nested: 0, inner: 0, again: 0 };

async function compare(seed: number) {
  const artist = new Artist(seed);
  const { network, size, free } = artist.draw();
  if (artist.maps.length < 2) return;
  const model = await loadModel(network, { preprocess: "none" });
  const pixels = Float32Array.from({ length: size[0] * size[1] * 3 }, (_, i) => 1 + (i * 37) % 101);
  const input = { data: pixels, shape: [...size, 3] };
  const image = tf.tensor(pixels, [1, ...input.shape]);
  if (free) seenKinds.free++;
  for (const [name, { tensor, sides, full, cropped, gaps }] of artist.firstUse) {
    const layer = network.getLayer(name);
    const what = `seed ${seed}, ${name} (${layer.getClassName()}), image of ${size.join("×")}`;
    if (layer.inboundNodes.length > 1) seenKinds.twice++;
    if ("layers" in layer) seenKinds.nested++;

    // What it really puts out, by tfjs alone.
    const alone = tf.model({ inputs: network.inputs, outputs: tensor });
    const real = alone.predict(image) as Tensor4D;
    const [ours] = await forward(model, [input], [name]);
    expect([...model.shapeOf(name, input.shape)], what).toEqual(real.shape.slice(1));
    expect(ours.shape, what).toEqual(real.shape);
    const values = await real.data() as Float32Array;
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = values.reduce((most, value, i) => Math.max(most, Math.abs(value - ours.data[i])), 0);
    expect(apart, what).toBeLessThanOrEqual(1e-5 * largest);
    const info = model.layer(name);
    info.outputShape.forEach((side, i) => side !== null && expect(side, what).toBe(real.shape[i + 1]));
    if (!free) expect(info.outputShape, what).not.toContain(null);
    seenKinds.shapes++;

    // What a cell really sees, by its gradient.
    const cell = [artist.int(0, sides[0] - 1), artist.int(0, sides[1] - 1)];
    const box: Box = [[cell[0], cell[0] + 1], [cell[1], cell[1] + 1]];
    const value = (x: Tensor) => tf.sum(tf.slice(alone.apply(x) as Tensor4D, [0, ...cell, 0], [1, 1, 1, -1]));
    const { value: score, gradient } = inputGradient(tf, value, image);
    const seen = await support(gradient);
    const told = seenPixels(network, name, box, input.shape);
    if (seen) expect(told && holds(told, seen), `${what}: seenPixels tells ${told}, the gradient ${seen}`).toBe(true);
    const border = told?.some(([start, end], axis) => start === 0 || end === size[axis]);
    if (full && !(gaps && border)) {
      expect(told, `${what}, cell ${cell}`).toEqual(seen);
      seenKinds.exact++;
    }
    const field = info.receptiveField;
    if (field) {
      const square = cell.map((at) => {
        const start = field.offset + at * field.stride;
        return [start, start + field.size];
      }) as unknown as Box;
      const text = `${what}: the table tells ${square} (${field.exact ? "exact" : "bound"}), the gradient ${seen}`;
      if (seen) expect(holds(square, seen), text).toBe(true);
      seenKinds[field.exact ? "fields" : "bounds"]++;
      const inside = square.every(([start, end], axis) => start >= 0 && end <= size[axis]);
      if (field.exact && inside && full && !cropped) expect(square, text).toEqual(seen);
    }

    // What a box of pixels really changes.
    const [y, x] = [artist.int(0, size[0] - 2), artist.int(0, size[1] - 2)];
    const changed = pixels.slice();
    for (const at of [0, 3, 3 * size[1], 3 * size[1] + 3]) {
      for (let c = 0; c < 3; c++) changed[3 * (y * size[1] + x) + at + c] += 50;
    }
    const other = tf.tensor(changed, [1, ...input.shape]);
    const difference = tf.tidy(() => tf.sub(alone.predict(other) as Tensor, real));
    const reachedHere = await support(difference);
    const reachable = reachedCells(network, name, [[y, y + 2], [x, x + 2]], input.shape);
    if (reachedHere) expect(reachable && holds(reachable, reachedHere), `${what}: reached`).toBe(true);
    tf.dispose([real, score, gradient, other, difference]);
  }
  // Each use of each layer, also of those inside of others, against the calls that tfjs makes; and the pass from it on.
  const calls = recordCalls(network, image);
  for (const { name, kind, use, isModel, outputShape } of model.layers) {
    if (isModel || kind === "InputLayer") continue;
    const [ours] = await forward(model, [input], [name]);
    expect(calls.closest(model.entry(name).layer, ours.data), `seed ${seed}, ${name}`).toBeLessThan(1e-5);
    expect(ours.shape.slice(1), `seed ${seed}, ${name}`).toEqual(model.shapeOf(name, input.shape));
    outputShape.forEach((side, i) => side !== null && expect(side, name).toBe(ours.shape[i + 1]));
    expectReplays(network, name, input);
    if (name.includes("/")) seenKinds.inner++;
    if (use > 1) seenKinds.again++;
  }
}

describe("networks drawn at random", () => {
  const count = long(200, 15);
  const groups = 5;
  for (let group = 0; group < groups; group++) {
    test(`shapes, receptive fields and values, group ${group + 1} of ${groups}`, async () => {
      for (let seed = group; seed < count; seed += groups) await compare(1000 + seed);
    }, 120_000);
  }

  test("all kinds were among them", () => {
    for (const [kind, times] of Object.entries(seenKinds)) expect(times, kind).toBeGreaterThan(0);
  });
});
