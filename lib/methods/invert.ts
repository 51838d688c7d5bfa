/**
 * What a layer's code still knows of an image: pictures that have the same code.
 *
 * Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them" (2015).
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import { type Given, inPlaceOf, type InputArray, nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { Interrupted } from "../interrupt.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions } from "../options.ts";
import { item } from "../probe/forward.ts";
import { invertCode, type Inverted } from "../probe/optimise/inversion.ts";
import { Inversion, inversionSoFar, type InvertedLayer } from "../results/inversion.ts";
import { startLiveView } from "../results/live_view.ts";
import { withProgress } from "../results/progress.ts";
import { forwardAll } from "../scan/forward_all.ts";
import { checkPart, InversionPriors, InvertOptions, strideOf } from "./shared/invert_options.ts";
import { layersAsked, walkOf } from "./shared/layers.ts";
import { predictedOf } from "./shared/predicted.ts";

/** What the model says of pictures, the first of which is the image itself. */
async function saidOf(model: Model, view: InputArray, pictures: readonly Float32Array[], signal?: AbortSignal) {
  if (model.output.kind === "map") return [];
  const inputs = [view.data, ...pictures].map((data) => model.input(inPlaceOf(view, Float32Array.from(data))));
  const [made] = await forwardAll(model, inputs, [model.output.index], { signal });
  return inputs.map((_, i) => {
    const { data, shape } = item(made, i);
    return predictedOf(model.output, data, { shape, name: "the inverted image", top: 1 }).rows[0];
  });
}

async function readStart(
  model: Model,
  start: ImageLike | undefined,
  view: InputArray,
): Promise<NdArrayLike | undefined> {
  if (start === undefined) return undefined;
  const read = await model.viewAlone(start);
  if (read.shape.join() === view.shape.join()) return read;
  throw new RangeError(
    `start becomes [${read.shape.join(", ")}]; wanted the image's shape, [${view.shape.join(", ")}].`,
  );
}

/**
 * Makes pictures whose code at a layer is that of an image, by gradient descent from noise: what is the same in them is what
 * the layer still knows of the image, what differs it has thrown away.
 *
 * Minimises `‖Φ(x) − Φ₀‖² / ‖Φ₀‖²`, the normalised error of the code (eq. 2), with an α-norm and a total variation that keep
 * the picture like a photograph (§3.1). Pictures stay in 0…255.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels `[h, w, c]` of 0…255
 * @returns of the first layer and seed `image`, as the model reads it, `loss`, the normalised error before each step and at the
 *   end, and `error`, that at the end; of all `layers` with their `images`, `losses`, `errors` and `spread`; `rows`, one a
 *   layer and seed, with what the model says of the picture. A run that `signal` ends keeps what it has; ■ shows it.
 * @throws {TypeError} if the model reads no images, or both `layer` and `layers` are given
 * @throws {RangeError} if there is no such layer, channel or cell, or the code is 0 everywhere
 *
 * @example
 * ```ts
 * import { invert, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const { image, error } = await invert(model, await photo("dog"), { layer: "conv3_2", steps: 20, seed: 1 });
 * console.log(image.shape, error);
 * ```
 */
export async function invert(
  model: Model,
  image: ImageLike,
  options: Partial<InvertOptions> = {},
): Promise<Inversion> {
  checkModel("invert", model);
  const read = readOptions("invert", InvertOptions, options);
  const { signal, steps, seed, seeds = [seed], optimizer, channels, region, onProgress } = read;
  const priors = readOptions("priors", InversionPriors, read.priors);
  await checkReady("invert", model);
  if (model.dimensions !== 2) {
    throw new TypeError(
      `invert makes pictures, and ${JSON.stringify(model.name)} reads ` +
        `${model.inputShape.length === 1 ? "vectors" : model.dimensions === 1 ? "signals" : "volumes"}. ` +
        "activations shows what its layers put out.",
    );
  }
  const given: Given = await toGiven(image);
  const view = await model.view(given as ImageLike);
  const names = layersAsked("invert", model, read, () => walkOf(model));
  for (const layer of names) checkPart(layer, model.shapeOf(layer, view.shape), { channels, region });
  const start = await readStart(model, read.start, view);
  const about = { model: model.name, name: nameOfGiven(given), original: NdArray.from(model.shown(view)) };
  const done: InvertedLayer[] = [];
  let aborted: unknown;
  const result = await withProgress(`Inverting ${names.join(", ")} of ${model.name}`, names.length * steps, async (
    update,
    show,
  ) => {
    const live = startLiveView(show);
    for (const [at, layer] of names.entries()) {
      const jitter = read.jitter ??
        Math.floor(Math.min(strideOf(model, layer) / 4, Math.min(...view.shape.slice(0, 2)) / 32));
      const { rate = optimizer === "adam" ? 10 : 6, momentum, batchSize } = read;
      const how = { layer, steps, priors, jitter, rule: optimizer, momentum, rate, batchSize, seeds, channels, region };
      const made: Inverted | null = await invertCode(model, view, {
        ...how,
        start,
        signal,
        onStep({ step, numbers }) {
          update(at * steps + step);
          if (!live.active) return;
          live.offer(() => inversionSoFar(about, done, { layer, step, steps, pictures: numbers }).html());
        },
      }).catch((error) => {
        // The layers before it are there.
        if (!signal?.aborted || done.length === 0) throw error;
        aborted = signal.reason;
        return null;
      });
      if (!made) break;
      const { images, losses, errors } = made;
      done.push({
        layer,
        seeds,
        jitter,
        images: images.map((data) => new NdArray(data, about.original.shape)),
        losses,
        errors,
      });
      aborted = made.aborted;
      if (aborted !== undefined) break;
    }
    await live.end();
    const said = await saidOf(model, view, done.flatMap(({ images }) => images.map(({ data }) => data)));
    return new Inversion(about, done, said, {
      steps,
      priors,
      aborted: aborted !== undefined,
      part: { channels, region },
      kind: model.output.kind,
    });
  }, onProgress);
  if (aborted instanceof Interrupted) {
    await result.show();
    throw aborted;
  }
  return result;
}
