/**
 * Two networks walk one data set together: each image is read once, each network runs its own batches, and what both make of
 * the same images is handed on, some images at a time.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import type { Dataset, DatasetRow } from "../../data/dataset.ts";
import type { Given, InputArray } from "../../data/given.ts";
import { LEAST_IMAGES } from "../../embed/cka.ts";
import { ImageReader, type ImageView, type ReadOptions, type StreamedInputs } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { WalkOptions } from "../../options.ts";
import type { LayerWanted } from "../../probe/forward.ts";
import { forwardEach } from "../../scan/forward_all.ts";

/** An image as both networks see it. */
export interface SeenByBoth {
  readonly image: ImageView;
  readonly views: readonly [InputArray, InputArray];
}

/** Of each of two networks. */
export type Two<T> = readonly [T, T];

/** Reads the images of a data set for two networks, each once; one that either cannot read is left out. */
export class PairReader extends ImageReader {
  readonly #models: Two<Model>;
  readonly #seconds: WeakMap<object, InputArray>;

  constructor(asker: string, models: Two<Model>, dataset: Dataset, options: ReadOptions) {
    const seconds = new WeakMap<object, InputArray>();
    const view = async (image: Given, columns: DatasetRow) => {
      const [first, second] = [await models[0].view(image, columns), await models[1].view(image, columns)];
      seconds.set(first, second);
      return first;
    };
    super(asker, { viewing: null, view }, dataset, options);
    this.#models = models;
    this.#seconds = seconds;
  }

  /**
   * The inputs of each network. Whichever asks first has the next image read for both.
   *
   * @param onRead is given each image when it is read, in their order
   */
  pair(onRead: (seen: SeenByBoth) => void): Two<StreamedInputs> {
    const waiting: InputArray[][] = [[], []];
    const images = this[Symbol.asyncIterator]();
    let reading: Promise<void> | undefined;
    let isOver = false;
    const read = async () => {
      const next = await images.next();
      if (next.done) return void (isOver = true);
      const views = [next.value.view, this.#seconds.get(next.value.view)!] as const;
      onRead({ image: next.value, views });
      waiting.forEach((queue, i) => queue.push(this.#models[i].input(views[i])));
    };
    const stream = (which: 0 | 1): StreamedInputs => {
      const missing = () => this.skipped.length;
      return {
        size: this.size,
        get missing() {
          return missing();
        },
        async *[Symbol.asyncIterator]() {
          while (true) {
            const input = waiting[which].shift();
            if (input) yield input;
            else if (isOver) return;
            else await (reading ??= read().finally(() => reading = undefined));
          }
        },
      };
    };
    return [stream(0), stream(1)];
  }
}

/** What both networks make of the same images. */
export interface Minibatch {
  /** Its place among all. */
  readonly index: number;
  readonly images: number;
  /** What each layer of each network makes of them, one row an image behind the other. */
  readonly outputs: Two<readonly { readonly data: Float32Array; readonly each: number }[]>;
}

/** What comes together of one network. */
interface Half {
  stores: { data: Float32Array; each: number }[];
  filled: number;
  index: number;
}

/** How minibatches are cut: so many, as even as can be. */
export interface Cut {
  readonly count: number;
  /** The place of the first image of one. */
  start(index: number): number;
}

/**
 * Cuts images into minibatches.
 *
 * @param floats how many numbers of an image both networks' layers put out
 * @param wanted how many images in one; undefined where memory says
 */
export function cutOf(images: number, floats: number, wanted?: number): Cut {
  const most = wanted ?? Math.max(LEAST, Math.min(MOST, Math.floor(BYTES / (4 * floats))));
  const count = Math.max(1, Math.min(Math.ceil(images / most), Math.floor(images / LEAST_IMAGES)));
  return { count, start: (index) => Math.round(index * images / count) };
}

/** Images in a minibatch where none are asked for: as many as take so many bytes, but neither fewer nor more than these. */
const BYTES = 512e6;
const LEAST = 8;
const MOST = 64;

/** Where two networks wait for one another, so that what both make of some images is there at once. */
class Meeting {
  readonly #halves: Two<Half> = [{ stores: [], filled: 0, index: 0 }, { stores: [], filled: 0, index: 0 }];
  readonly #failed = Promise.withResolvers<never>();
  /** Resolved when both have put out something. */
  readonly #begun = Promise.withResolvers<void>();
  #cut: Cut | undefined;
  /** Resolved when the minibatch that one network waits with has been handed on. */
  #full: PromiseWithResolvers<void> | undefined;

  constructor(
    readonly size: number,
    readonly wanted: number | undefined,
    readonly receive: (minibatch: Minibatch, cut: Cut) => Promise<void>,
  ) {
    this.#failed.promise.catch(() => {});
  }

  fail(error: unknown): void {
    this.#failed.reject(error);
  }

  /** Takes a batch of one network; resolved when there is room for the next. */
  async add(which: 0 | 1, outputs: readonly NdArrayLike[]): Promise<void> {
    const half = this.#halves[which];
    const [{ shape: [count] }] = outputs;
    if (half.stores.length === 0) {
      half.stores = outputs.map(({ shape }) => ({ data: new Float32Array(), each: sizeOf(shape.slice(1)) }));
      if (this.#halves.every(({ stores }) => stores.length > 0)) this.#begin();
    }
    await Promise.race([this.#begun.promise, this.#failed.promise]);
    for (let done = 0; done < count;) {
      const { start } = this.#cut!;
      const long = start(half.index + 1) - start(half.index);
      const part = Math.min(count - done, long - half.filled);
      half.stores.forEach(({ data, each }, i) =>
        data.set(outputs[i].data.subarray(done * each, (done + part) * each), half.filled * each)
      );
      half.filled += part;
      done += part;
      if (half.filled === long) await this.#meet();
    }
  }

  /** Hands on what is left where images were missing. */
  async finish(): Promise<void> {
    if (this.#cut && this.#halves[0].filled > 0) await this.#handOn();
  }

  #begin(): void {
    const floats = this.#halves.flatMap(({ stores }) => stores).reduce((sum, { each }) => sum + each, 0);
    const cut = this.#cut = cutOf(this.size, floats, this.wanted);
    const most = Math.ceil(this.size / cut.count);
    for (const { stores } of this.#halves) for (const store of stores) store.data = new Float32Array(most * store.each);
    this.#begun.resolve();
  }

  async #meet(): Promise<void> {
    if (!this.#full) {
      this.#full = Promise.withResolvers();
      await Promise.race([this.#full.promise, this.#failed.promise]);
      return;
    }
    await this.#handOn();
    const full = this.#full;
    this.#full = undefined;
    full.resolve();
  }

  async #handOn(): Promise<void> {
    const [first, second] = this.#halves;
    const outputs = [first.stores, second.stores] as const;
    await this.receive({ index: first.index, images: first.filled, outputs }, this.#cut!);
    for (const half of this.#halves) {
      half.filled = 0;
      half.index++;
    }
  }
}

/** What is wanted of a walk. */
export interface PairWalk extends Pick<WalkOptions, "batchSize" | "signal"> {
  /** The layers of each network that are handed on together. */
  readonly layers: Two<readonly LayerWanted[]>;
  /** Whether each network's own output is looked at, too. */
  readonly answers: boolean;
  /** How many images are handed on together. */
  readonly minibatch?: number;
  readonly update: (done: number) => void;
  readonly onRead: (seen: SeenByBoth) => void;
  /** Takes the outputs of some images, the first of them at `start`. */
  readonly onAnswers: (which: 0 | 1, outputs: NdArrayLike, start: number) => void;
  readonly receive: (minibatch: Minibatch, cut: Cut) => Promise<void>;
}

/** Runs the images of a reader through two networks. */
export async function walkPair(models: Two<Model>, reader: PairReader, walk: PairWalk): Promise<void> {
  const { layers, answers, minibatch, batchSize, signal, update, onRead, onAnswers, receive } = walk;
  const meeting = new Meeting(reader.size, minibatch, receive);
  const stopping = new AbortController();
  const both = AbortSignal.any([stopping.signal, ...signal ? [signal] : []]);
  const inputs = reader.pair(onRead);
  const done = [0, 0];
  let failure: { error: unknown } | undefined;
  const run = async (which: 0 | 1) => {
    const model = models[which];
    const wanted = [...layers[which], ...answers ? [model.output.index] : []];
    const take = async (outputs: NdArrayLike[], start: number) => {
      if (answers) onAnswers(which, outputs.pop()!, start);
      await meeting.add(which, outputs);
    };
    const onProgress = (count: number) => {
      done[which] = count;
      update(Math.min(...done));
    };
    try {
      await forwardEach(model, inputs[which], wanted, take, { batchSize, signal: both, onProgress });
    } catch (error) {
      failure ??= { error };
      meeting.fail(error);
      stopping.abort(error);
    }
  };
  // Also after an error both are waited for, so that nothing of theirs is left.
  await Promise.all([run(0), run(1)]);
  if (failure) throw failure.error;
  await meeting.finish();
}
