/**
 * Many images that differ from one only in a box each: only what the boxes can reach is computed.
 *
 * Each layer is computed on the patch of its map that a box reaches, cut with the margin that the layer's windows read
 * out of the maps of the one image, which are computed once. The patches of a batch share one shape; where positions mean
 * nothing (dense layers, global pooling), or where a patch would cost as much as the whole map, whole maps are computed.
 * The outputs equal those of full passes up to rounding.
 *
 * After Nakandala, Kumar and Papakonstantinou, "Incremental and approximate inference for faster occlusion-based deep CNN
 * explanations" (SIGMOD 2019), §4.1; here with batches of any positions, and with branches that meet.
 *
 * @module
 */

import type { layers, Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import {
  type Box,
  hull,
  type Interval,
  isCellwise,
  mapWindows,
  reached,
  seen,
  type Window,
} from "../../model/geometry.ts";
import type { TF } from "../../runtime/backend.ts";
import {
  assemble,
  cellsOf,
  holds,
  LOWEST,
  type Patches,
  type Region,
  regionAround,
  sameRegion,
  type Spans,
  wholeRegion,
} from "./patches.ts";
import { pack } from "../batches.ts";
import { fedTo, foldAll, type Folded, madeOf, placeOf, type Plan, type Step, weight } from "../plan.ts";

/** Multiply-adds of the convolutions and dense layers: in full passes, and as it was done here. */
export interface Work {
  readonly full: number;
  readonly done: number;
}

export interface IncrementalOptions {
  /** What the one image is to the network, `[h, w, c]`. */
  input: InputArray;
  /** What replaces the pixels in the boxes, `[h, w, c]`. */
  fill: NdArrayLike;
  /** The box of each image, rows and columns of the input; it may hang over the edges. Some of it must be inside. */
  boxes: readonly Box[];
  /** The boxes to begin with, then those to go on with, and so on, each by its index in `boxes`. @default all at once */
  stages?: readonly (readonly number[])[];
  /** How many images are computed at once: what bounds memory. */
  batchSize: number;
  /**
   * Computes all layers whole, as full passes do: for comparison.
   * @default false
   */
  whole?: boolean;
  /**
   * How many multiply-adds take as long as moving one number: what decides between patches and whole maps.
   * @default 60: natively 57 were measured, on wasm 71
   */
  costOfMoving?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
}

/** See {@linkcode IncrementalOptions.costOfMoving}. */
const COST_OF_MOVING = 60;

/** A step of the plan with its geometry. */
interface Link {
  step: Step;
  /** Null where only whole maps will do. */
  windows: readonly [Window, Window] | null;
  /** Whether each cell reads only the one below it. */
  cellwise: boolean;
  /** Runs on maps that bring the margin with them. */
  run: (tf: TF, inputs: Tensor[], folded: ReadonlyMap<Step, Folded>, region: Region) => Tensor;
  /** What fills the margin beyond the map's edges. */
  padding: number;
  /** Multiply-adds for one cell of the output; for a vector, for all of it. */
  work: number;
}

/** Whether a layer does the same at every cell, on the last axis. */
function alikeEverywhere(layer: layers.Layer): boolean {
  const { axis = -1, sharedAxes } = layer.getConfig() as { axis?: number | number[]; sharedAxes?: number[] | null };
  if (layer.getClassName() === "PReLU") return [1, 2].every((side) => sharedAxes?.includes(side));
  return [axis].flat().every((one) => one === -1 || one === 3);
}

/** Multiply-adds for a cell of a layer's output, or for its whole vector. */
function workOf(layer: layers.Layer): number {
  const names = ["kernel", "depthwise_kernel", "pointwise_kernel"];
  if (!/Conv2D|Dense/.test(layer.getClassName())) return 0;
  return names.reduce((sum, name) => sum + sizeOf(weight(layer, name)?.shape ?? [0]), 0);
}

/** How a layer with windows runs on maps that bring their margin with them; null where it cannot. */
function unpadded(step: Step, windows: readonly Window[], inputSides: readonly number[]): Link["run"] | null {
  const config = step.layer.getConfig();
  const strides = config["strides"] as [number, number];
  const size = config["poolSize"] as [number, number];
  switch (step.layer.getClassName()) {
    case "Conv2D":
    case "DepthwiseConv2D":
      return step.unpadded ?? null;
    case "MaxPooling2D":
      return (tf, [x]) => tf.maxPool(x as Tensor4D, size, strides, "valid");
    case "AveragePooling2D":
      return (tf, [x], _folded, { rows, columns }) => {
        const means = tf.avgPool(x as Tensor4D, size, strides, "valid");
        if (config["padding"] === "valid") return means;
        // Padding does not count in a mean.
        const count = rows.starts.length;
        const inRows = tf.tensor(shares(windows[0], rows, inputSides[0]), [count, rows.length, 1, 1]);
        const inColumns = tf.tensor(shares(windows[1], columns, inputSides[1]), [count, 1, columns.length, 1]);
        return tf.div(tf.div(means, inRows), inColumns);
      };
    case "ZeroPadding2D":
    case "Cropping2D":
      return (_tf, [x]) => x;
    default:
      return null;
  }
}

/** The share of each window that lies within the map, along one axis. */
function shares(window: Window, { starts, length }: Spans, side: number): Float32Array {
  return Float32Array.from({ length: starts.length * length }, (_, i) => {
    const cell = starts[Math.floor(i / length)] + i % length;
    const [start, end] = seen(window, [cell, cell + 1]);
    return (Math.min(end, side) - Math.max(start, 0)) / window.kernel;
  });
}

/** Puts a plan's steps together with what their layers read. */
function linksOf(plan: Plan, base: ReadonlyMap<number, Tensor>): Link[] {
  return plan.steps.map((step): Link => {
    const shapes = step.inputs.map((id) => base.get(id)!.shape);
    const sides = shapes[0].slice(1, 3);
    const alike = shapes.every(([, height, width]) => height === sides[0] && width === sides[1]);
    const windows = alike && base.get(step.output)!.shape.length === 4 ? mapWindows(step.layer, shapes[0]) : null;
    const whole = { step, windows: null, cellwise: false, run: step.run, padding: 0, work: workOf(step.layer) };
    if (!windows || !alikeEverywhere(step.layer)) return whole;
    // What is added or cut off behind the last cell moves no cell.
    const made = base.get(step.output)!.shape;
    const cellwise = windows.every(isCellwise) && sides.every((side, i) => side === made[1 + i]);
    if (cellwise) return { ...whole, windows, cellwise };
    const run = unpadded(step, windows, sides);
    const padding = step.layer.getClassName() === "MaxPooling2D" ? LOWEST : 0;
    return run ? { ...whole, windows, run, padding } : whole;
  });
}

/** The box of each image in each map: in the input the box itself, in a layer's map what it reaches. */
interface Reach {
  boxOf(id: number, image: number): Box;
  /** Of each image how large its boxes are, along each axis, weighted by the layers' work. */
  sizes: (readonly [rows: number, columns: number])[];
}

/**
 * Follows the boxes through the layers, axis by axis: many boxes share their rows or their columns.
 *
 * @param from the tensor that they are boxes of
 * @param links those that are made of it
 */
function reachOf(
  from: number,
  links: readonly Link[],
  base: ReadonlyMap<number, Tensor>,
  boxes: readonly Box[],
): Reach {
  const along = ([0, 1] as const).map((axis) => {
    const different = new Map<string, { index: number; interval: Interval }>();
    const kinds = boxes.map((box) => {
      const [start, end] = box[axis];
      const key = `${start} ${end}`;
      if (!different.has(key)) different.set(key, { index: different.size, interval: box[axis] });
      return different.get(key)!.index;
    });
    const sideOf = (id: number) => base.get(id)!.shape[1 + axis]!;
    const side = sideOf(from);
    const inside = different.values().map(({ interval: [start, end] }) =>
      [Math.max(0, start), Math.min(side, end)] as const
    );
    const reach = new Map<number, readonly Interval[]>([[from, inside.toArray()]]);
    const sizes = new Array<number>(different.size).fill(0);
    for (const { step: { inputs, output }, windows, work } of links) {
      if (base.get(output)!.shape.length !== 4) continue;
      const length = sideOf(output);
      const intervals = sizes.map((_, kind): Interval =>
        windows
          ? reached(windows[axis], hull(inputs.flatMap((id) => reach.get(id)?.slice(kind, kind + 1) ?? [])), length)
          : [0, length]
      );
      reach.set(output, intervals);
      const other = base.get(output)!.shape[2 - axis]!;
      if (windows) intervals.forEach(([start, end], kind) => sizes[kind] += work * other * (end - start));
    }
    return { kinds, reach, sizes };
  });
  const [rows, columns] = along;
  return {
    boxOf: (id, i) => [rows.reach.get(id)![rows.kinds[i]], columns.reach.get(id)![columns.kinds[i]]],
    sizes: boxes.map((_, i) => [rows.sizes[rows.kinds[i]], columns.sizes[columns.kinds[i]]]),
  };
}

/**
 * Splits numbers into at most `most` classes, so that the sum over all numbers of the largest of their class is smallest.
 *
 * @returns the class of each number
 */
export function classesOf(values: readonly number[], most: number): number[] {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  const place = new Map(sorted.map((value, i) => [value, i]));
  /** How many numbers are below each different one. */
  const below = new Array<number>(sorted.length + 1).fill(0);
  for (const value of values) below[place.get(value)! + 1]++;
  for (let i = 0; i < sorted.length; i++) below[i + 1] += below[i];
  // costs[i]: of the first i different numbers, in as many classes as rounds have passed; cuts: where the last begins.
  let costs = below.map((count, i) => i === 0 ? 0 : count * sorted[i - 1]);
  const cuts: number[][] = [];
  for (let round = 1; round < most; round++) {
    const before = costs;
    const cut = before.map(() => -1);
    costs = before.map((cost, i) => {
      let least = cost;
      for (let j = 1; j < i; j++) {
        const sum = before[j] + (below[i] - below[j]) * sorted[i - 1];
        if (sum < least) [least, cut[i]] = [sum, j];
      }
      return least;
    });
    cuts.push(cut);
  }
  const classes = new Array<number>(sorted.length).fill(0);
  let end = sorted.length;
  for (let round = cuts.length - 1; round >= 0; round--) {
    const start = cuts[round][end];
    if (start < 0) continue;
    classes.fill(round + 1, start, end);
    end = start;
  }
  return values.map((value) => classes[place.get(value)!]);
}

/** Puts images into batches of patches that are about as large, so that little is computed only to share one shape. */
function batchesOf(
  images: readonly number[],
  sizes: readonly (readonly [rows: number, columns: number])[],
  batchSize: number,
): number[][] {
  const kinds = Math.min(MOST_CLASSES, Math.max(1, Math.round(Math.sqrt(images.length / batchSize))));
  const [rows, columns] = [0, 1].map((axis) => classesOf(images.map((i) => sizes[i][axis]), kinds));
  const groups = Object.values(Object.groupBy(images.map((_, at) => at), (at) => rows[at] * kinds + columns[at]));
  return groups.flatMap((group) => {
    const count = Math.ceil(group!.length / batchSize);
    const each = Math.ceil(group!.length / count);
    return Array.from({ length: count }, (_, k) => group!.slice(k * each, (k + 1) * each).map((at) => images[at]));
  });
}

/** The most sizes of patches along each axis. */
const MOST_CLASSES = 4;

/**
 * Runs images that differ from one in a box each along a plan.
 *
 * @param receive takes the outputs of the plan's taps for a batch, `[n, …output shape]`, and which boxes they belong to;
 *   they are disposed afterwards. It is called first for the one image itself, which belongs to no box.
 * @returns the multiply-adds, those for the one image counted in
 *
 * @example
 * ```ts
 * import { loadModel, photo } from "@convlens/convlens";
 * import type { Box } from "../../model/geometry.ts";
 * import { traceAnySize } from "../../model/graph.ts";
 * import { runChanges } from "./incremental.ts";
 * import { makePlan } from "../plan.ts";
 * import { ensureBackend } from "../../runtime/backend.ts";
 *
 * const model = await loadModel("resnet50");
 * const plan = makePlan(model.network, traceAnySize(model.network).outputs, { fold: true });
 * const input = model.input(await model.view(await photo("dog")));
 * const fill = { ...input, data: input.data.map(() => 0) };
 * const boxes: Box[] = [[[0, 32], [0, 32]], [[0, 32], [8, 40]]];
 * const options = { input, fill, boxes, batchSize: 16 };
 * const { full, done } = await runChanges(await ensureBackend(), plan, options, async ([output], which) => {
 *   console.log(which, await output.array());
 * });
 * console.log(`${done} of ${full} multiply-adds`);
 * ```
 */
export async function runChanges(
  tf: TF,
  plan: Plan,
  options: IncrementalOptions,
  receive: (outputs: readonly Tensor[], which: readonly number[]) => Promise<void>,
): Promise<Work> {
  const { boxes, stages = [boxes.map((_, i) => i)], batchSize, signal } = options;
  const run = new ChangeRun(tf, plan, options);
  try {
    run.start();
    await receive(run.baseOutputs(), []);
    const sizes = run.prepare();
    for (const stage of stages) {
      for (const which of batchesOf(stage, sizes, batchSize)) {
        signal?.throwIfAborted();
        await receive(run.batch(which), which);
        run.clear();
      }
    }
    return run.work;
  } finally {
    run.dispose();
  }
}

/** One image's feature maps, and the patches of the batch under way. */
class ChangeRun {
  readonly #tf: TF;
  readonly #plan: Plan;
  readonly #options: IncrementalOptions;
  readonly #folded = new Map<Step, Folded>();
  /** The tensors of the one image, by their ids in the plan. */
  readonly #base = new Map<number, Tensor>();
  /** The values of some of them, where tensors lie in this process. */
  readonly #host = new Map<number, Float32Array>();
  /** The tensors of the batch. */
  readonly #live = new Map<number, Patches>();
  /** Those that the boxes can reach. */
  #links: Link[] = [];
  /** The input that the boxes are in. */
  readonly #from: number;
  #boxOf!: Reach["boxOf"];
  /** Multiply-adds of one full pass, and of all that was done. */
  #each = 0;
  #done = 0;

  constructor(tf: TF, plan: Plan, options: IncrementalOptions) {
    this.#tf = tf;
    this.#plan = plan;
    this.#options = options;
    this.#from = placeOf(plan, options.input);
  }

  /** Runs the one image through the network. */
  start(): void {
    const { input } = this.#options;
    const [tf, base, plan] = [this.#tf, this.#base, this.#plan];
    foldAll(tf, plan, this.#folded);
    for (const [id, tensor] of fedTo(plan, pack(tf, [input]))) base.set(id, tensor);
    for (const step of plan.steps) {
      const inputs = step.inputs.map((id) => base.get(id)!);
      base.set(step.output, tf.tidy(() => step.run(tf, inputs, this.#folded)));
    }
  }

  /** What the plan's taps give for the one image. */
  baseOutputs(): Tensor[] {
    return this.#plan.taps.map((id) => this.#base.get(id)!);
  }

  /** Follows the boxes through the layers; returns how large the boxes of each image are. */
  prepare(): Reach["sizes"] {
    const links = linksOf(this.#plan, this.#base);
    const changed = madeOf(this.#plan, this.#from);
    this.#links = links.filter(({ step: { output } }) => changed.has(output));
    const { boxOf, sizes } = reachOf(this.#from, this.#links, this.#base, this.#options.boxes);
    this.#boxOf = boxOf;
    this.#each = links.reduce((sum, { step, work }) => sum + work * cellsOf(this.#whole(step.output, 1)), 0);
    this.#done = this.#each;
    return sizes;
  }

  /** What the plan's taps give for a batch. */
  batch(which: readonly number[]): Tensor[] {
    const { input, fill } = this.#options;
    const boxes = which.map((i) => this.#boxOf(this.#from, i));
    this.#live.set(this.#from, changedInput(this.#tf, { input, fill, boxes }));
    for (const link of this.#links) {
      link.step.inputs.forEach((id) => this.#repeat(id, which.length));
      this.#done += this.#take(link, which);
      for (const id of link.step.spent) this.#drop(id);
    }
    return this.#plan.taps.map((id) => {
      this.#repeat(id, which.length);
      const region = this.#whole(id, which.length);
      const tensor = this.#tf.tidy(() => this.#at(id, region, 0));
      if (tensor !== this.#live.get(id)!.tensor) {
        this.#drop(id);
        this.#live.set(id, { tensor, ...region });
      }
      return tensor;
    });
  }

  /** Of a tensor that no box reaches: the same for each image of the batch. */
  #repeat(id: number, count: number): void {
    if (this.#live.has(id)) return;
    const one = this.#base.get(id)!;
    const tensor = this.#tf.tile(one, [count, ...one.shape.slice(1).map(() => 1)]);
    this.#live.set(id, { tensor, ...this.#whole(id, count) });
  }

  /** Disposes of the batch. */
  clear(): void {
    for (const id of [...this.#live.keys()]) this.#drop(id);
  }

  get work(): Work {
    return { full: this.#each * (1 + this.#options.boxes.length), done: this.#done };
  }

  dispose(): void {
    this.#tf.dispose([...new Set([...this.#base.values(), ...this.#live.values().map(({ tensor }) => tensor)])]);
    for (const { kernel, bias } of this.#folded.values()) this.#tf.dispose([kernel, bias]);
  }

  /** Disposes of a tensor of a batch, unless it goes on under another id (dropout hands its input on). */
  #drop(id: number): void {
    const { tensor } = this.#live.get(id)!;
    this.#live.delete(id);
    if (!this.#live.values().some((other) => other.tensor === tensor)) tensor.dispose();
  }

  #isMap(id: number): boolean {
    return this.#base.get(id)!.shape.length === 4;
  }

  #sides(id: number): [number, number] {
    return this.#base.get(id)!.shape.slice(1, 3) as [number, number];
  }

  /** The region of whole maps, for a number of images. */
  #whole(id: number, count: number): Region {
    return wholeRegion(count, this.#isMap(id) ? this.#sides(id) : [1, 1]);
  }

  #hostData(id: number): Float32Array {
    if (!this.#host.has(id)) this.#host.set(id, this.#base.get(id)!.dataSync<"float32">());
    return this.#host.get(id)!;
  }

  /** A tensor of the batch at a region: as it is, or cut out anew. */
  #at(id: number, region: Region, padding: number): Tensor {
    const patches = this.#live.get(id)!;
    if (!this.#isMap(id) || sameRegion(patches, region)) return patches.tensor;
    const inProcess = ["wasm", "cpu"].includes(this.#tf.getBackend());
    const baseData = inProcess ? () => this.#hostData(id) : undefined;
    return assemble(this.#tf, { base: this.#base.get(id) as Tensor4D, baseData, patches, region, padding });
  }

  /** Where a step is computed at the least cost: around what the boxes reach, or on whole maps. */
  #choose({ step, windows, cellwise, run, work }: Link, which: readonly number[]): Choice {
    const { whole = false, costOfMoving = COST_OF_MOVING } = this.#options;
    const moved = (id: number, region: Region) =>
      !this.#isMap(id) || sameRegion(this.#live.get(id)!, region) ? 0 : cellsOf(region) * this.#base.get(id)!.shape[3]!;
    const cost = ({ region, read }: Choice) =>
      work * cellsOf(region) + costOfMoving * step.inputs.reduce((sum, id) => sum + moved(id, read(id)), 0);
    let best: Choice = {
      region: this.#whole(step.output, which.length),
      read: (id) => this.#whole(id, which.length),
      run: step.run,
    };
    if (!windows || whole) return best;
    const around = regionAround(which.map((i) => this.#boxOf(step.output, i)), this.#sides(step.output));
    for (const region of [around, ...cellwise ? step.inputs.map((id) => this.#live.get(id)!) : []]) {
      const read = cellwise ? region : marginOf(region, windows);
      const choice: Choice = { region, read: () => read, run };
      if (holds(region, around) && cost(choice) < cost(best)) best = choice;
    }
    return best;
  }

  /** Computes a step for a batch; returns its multiply-adds. */
  #take(link: Link, which: readonly number[]): number {
    const { step, padding, work } = link;
    const { region, read, run } = this.#choose(link, which);
    const tensor = this.#tf.tidy(() => {
      const inputs = step.inputs.map((id) => this.#at(id, read(id), run === step.run ? 0 : padding));
      return run(this.#tf, inputs, this.#folded, region);
    });
    this.#live.set(step.output, { tensor, rows: region.rows, columns: region.columns });
    return work * cellsOf(region) * which.length;
  }
}

/** Where a step is computed, what it reads for that, and how. */
interface Choice {
  region: Region;
  read: (id: number) => Region;
  run: Link["run"];
}

/** What windows read to make a region. */
function marginOf({ rows, columns }: Region, [down, across]: readonly [Window, Window]): Region {
  const axis = ({ starts, length }: Spans, { kernel, stride, before }: Window): Spans => ({
    starts: starts.map((start) => start * stride - before),
    length: (length - 1) * stride + kernel,
  });
  return { rows: axis(rows, down), columns: axis(columns, across) };
}

/** The patches of the input: the one image, and within each box what fills it. */
function changedInput(
  tf: TF,
  { input, fill, boxes }: { input: NdArrayLike; fill: NdArrayLike; boxes: readonly Box[] },
): Patches {
  const [height, width, channels] = input.shape;
  const { rows, columns } = regionAround(boxes, [height, width]);
  const each = rows.length * columns.length * channels;
  const data = new Float32Array(boxes.length * each);
  for (const [n, [[top, bottom], [left, right]]] of boxes.entries()) {
    for (let i = 0; i < rows.length; i++) {
      const y = rows.starts[n] + i;
      const row = y * width + columns.starts[n];
      const at = n * each + i * columns.length * channels;
      data.set(input.data.subarray(row * channels, (row + columns.length) * channels), at);
      if (y < top || y >= bottom) continue;
      const [from, to] = [(y * width + left) * channels, (y * width + right) * channels];
      data.set(fill.data.subarray(from, to), at + (left - columns.starts[n]) * channels);
    }
  }
  return { tensor: tf.tensor4d(data, [boxes.length, rows.length, columns.length, channels]), rows, columns };
}
