/**
 * Directions in the space of a layer's channels, for all that ask for some: drawn at random, or found by one walk over a
 * data set.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import { byCodeUnit } from "../../data/dataset.ts";
import { principalComponents } from "../../embed/pca.ts";
import { unknownName } from "../../errors.ts";
import type { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import { channelsOf } from "../../probe/target.ts";
import { normalStream, randomStream, shuffled } from "../../random.ts";
import type { DirectionKind, DirectionRow } from "../../results/directions.ts";
import { forwardEach } from "../../scan/forward_all.ts";

/** Directions of one kind in one layer. */
export interface FoundDirections {
  readonly layer: string;
  readonly kind: DirectionKind;
  /** Each of length 1, one number a channel. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
  readonly rows: readonly DirectionRow[];
}

/** Which directions are wanted. */
export interface DirectionsAsked {
  readonly layers: readonly string[];
  readonly kinds: readonly DirectionKind[];
  /** At most so many of each kind. @default all */
  readonly count?: number;
  readonly seed: number;
  /** All labels, in their order. @default those that are met, in the order of the alphabet */
  readonly labels?: readonly string[];
  /** Only of these labels. @default all */
  readonly classes?: readonly string[];
  /** The label whose mean is taken off. @default all others together */
  readonly against?: string;
}

/** How the walk goes. */
interface Walk {
  readonly batchSize: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The kinds that are found by looking at images. */
export const needsImages = (kind: DirectionKind): boolean => kind === "principal" || kind === "classes";

/** Principal components are those of at most this many vectors, and numbers, of one layer. */
const MOST_VECTORS = 20_000;
const MOST_NUMBERS = 8e6;

/** A direction's row: which channels it is made of. */
function rowOf(
  name: string,
  kind: DirectionKind,
  vector: Float32Array,
  more: Partial<DirectionRow> = {},
): DirectionRow {
  const channel = vector.reduce((best, value, c) => Math.abs(value) > Math.abs(vector[best]) ? c : best, 0);
  const fourth = vector.reduce((sum, value) => sum + value ** 4, 0);
  return { name, kind, channel, weight: vector[channel], spread: 1 / fourth, share: null, images: null, ...more };
}

/** @throws {RangeError} if it has no length: there is no such direction */
function unit(vector: Float64Array, words: () => string): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  if (length > 0) return Float32Array.from(vector, (value) => value / length);
  throw new RangeError(`There is no direction of ${words()}: it has no length. Ask about another layer or label.`);
}

/** What one walk gathers of a layer: the sums of its channels for each label, and some of its vectors. */
class Gatherer {
  readonly #sums = new Map<string, { sum: Float64Array; images: number }>();
  readonly #vectors: Float32Array;
  /** How many cells of an image are taken, and of how many images one is looked at for them. */
  readonly #each: number;
  readonly #step: number;
  #count = 0;

  constructor(
    readonly layer: string,
    readonly channels: number,
    images: number,
    readonly asked: DirectionsAsked,
  ) {
    const most = Math.min(MOST_VECTORS, Math.max(2, Math.floor(MOST_NUMBERS / channels)));
    this.#each = Math.max(1, Math.floor(most / images));
    this.#step = Math.ceil(images / most);
    this.#vectors = new Float32Array(asked.kinds.includes("principal") ? most * channels : 0);
  }

  /** @param output of one image, `[…sides, c]`, which is the `place`th */
  add(output: Float32Array, place: number, label: string | undefined): void {
    const { channels } = this;
    const cells = output.length / channels;
    if (this.#vectors.length > 0 && place % this.#step === 0) {
      const random = randomStream(this.asked.seed, place);
      const chosen = cells <= this.#each ? [...Array(cells).keys()] : shuffled(cells, random).slice(0, this.#each);
      for (const cell of chosen) {
        this.#vectors.set(output.subarray(cell * channels, (cell + 1) * channels), this.#count++ * channels);
      }
    }
    if (label === undefined || !this.asked.kinds.includes("classes")) return;
    if (!this.#sums.has(label)) this.#sums.set(label, { sum: new Float64Array(channels), images: 0 });
    const own = this.#sums.get(label)!;
    own.images++;
    for (let at = 0; at < output.length; at++) own.sum[at % channels] += output[at] / cells;
  }

  /** The first principal components of the vectors. */
  principal(count: number): [string, Float32Array, Partial<DirectionRow>][] {
    const { channels } = this;
    const most = Math.min(count, channels, this.#count);
    if (this.#count < 2) throw new RangeError(`Principal components want 2 vectors at least: ${this.layer} gave one.`);
    const points = { data: this.#vectors.subarray(0, this.#count * channels), shape: [this.#count, channels] };
    const { components, explainedVarianceRatio } = principalComponents(points, {
      components: most,
      seed: this.asked.seed,
    });
    return explainedVarianceRatio.map((share, i) => [
      `component ${i + 1}`,
      components.data.slice(i * channels, (i + 1) * channels),
      { share },
    ]);
  }

  /** The mean of each label's images, less that of the others. */
  classes(labels: readonly string[], count: number): [string, Float32Array, Partial<DirectionRow>][] {
    const { classes, against } = this.asked;
    const sums = this.#sums;
    const known = labels.filter((label) => sums.has(label));
    for (const name of [...classes ?? [], ...(against === undefined ? [] : [against])]) {
      if (!sums.has(name)) throw unknownName("label", String(name), known, "the images that were read");
    }
    if (known.length < 2) {
      throw new RangeError(`Differences of class means want images of 2 labels at least: found ${known.length}.`);
    }
    const meanOf = (some: readonly string[]): Float64Array => {
      const images = some.reduce((all, label) => all + sums.get(label)!.images, 0);
      return new Float64Array(this.channels)
        .map((_, c) => some.reduce((all, label) => all + sums.get(label)!.sum[c], 0) / images);
    };
    const wanted = (classes ?? known).filter((label) => label !== against).slice(0, count);
    return wanted.map((label) => {
      const others = meanOf(against === undefined ? known.filter((name) => name !== label) : [against]);
      const name = against === undefined ? label : `${label} − ${against}`;
      const difference = meanOf([label]).map((value, c) => value - others[c]);
      return [name, unit(difference, () => `${name} in ${this.layer}`), { images: sums.get(label)!.images }];
    });
  }
}

/** Directions that no image is needed for. */
function drawn(
  kind: DirectionKind,
  channels: number,
  { count = channels, seed }: DirectionsAsked,
): [string, Float32Array, Partial<DirectionRow>][] {
  if (kind === "units") {
    const chosen = shuffled(channels, randomStream(seed)).slice(0, count).sort();
    return Array.from(
      chosen,
      (c) => [`unit ${c}`, Float32Array.from({ length: channels }, (_, i) => Number(i === c)), {}],
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const normal = normalStream(seed, i);
    return [`random ${i}`, unit(Float64Array.from({ length: channels }, normal), () => "random numbers"), {}];
  });
}

/**
 * Finds directions of several kinds in several layers, in one walk over the images.
 *
 * @param reader of the images; undefined where none of the kinds is found by looking
 * @throws {RangeError} if a label is unknown, or a direction has no length
 */
export async function findDirections(
  model: Model,
  reader: InputReader | undefined,
  asked: DirectionsAsked,
  { batchSize, signal, onProgress }: Walk,
): Promise<FoundDirections[]> {
  const { layers, kinds, count = Infinity } = asked;
  const gatherers = layers.map((layer) => new Gatherer(layer, channelsOf(model, layer), reader?.size ?? 1, asked));
  const seen: (string | undefined)[] = [];
  if (reader) {
    const receive = (outputs: NdArrayLike[], start: number) =>
      outputs.forEach(({ data, shape: [images, ...shape] }, i) => {
        const each = sizeOf(shape);
        for (let n = 0; n < images; n++) {
          gatherers[i].add(data.subarray(n * each, (n + 1) * each), start + n, seen[start + n]);
        }
      });
    const inputs = reader.inputs(({ label, place }) => void (seen[place] = label));
    await forwardEach(model, inputs, layers, receive, { batchSize, signal, onProgress });
  }
  const names = asked.labels ?? [...new Set(seen.filter((label) => label !== undefined))].sort(byCodeUnit);
  return gatherers.flatMap((gatherer) =>
    kinds.map((kind) => {
      const found = kind === "principal"
        ? gatherer.principal(Math.min(count, gatherer.channels))
        : kind === "classes"
        ? gatherer.classes(names, count)
        : drawn(kind, gatherer.channels, asked);
      return {
        layer: gatherer.layer,
        kind,
        vectors: Object.fromEntries(found),
        rows: found.map(([name, vector, more]) => rowOf(name, kind, vector, more)),
      };
    })
  );
}
