/**
 * What a first layer's kernel and stride do to the frequencies that a network can see.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §4.1 and Fig. 6: in AlexNet "the
 * first layer filters are a mix of extremely high and low frequency information, with little coverage of the mid
 * frequencies", and the second layer "shows aliasing artifacts caused by the large stride 4"; with 7×7 and stride 2
 * instead both went away and accuracy rose. There it was seen by eye; here it is measured.
 *
 * @module
 */

import { NdArray } from "../array.ts";
import { checkDataset, type Dataset, type SkippedImage } from "../data/dataset.ts";
import { kindOf } from "../errors.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, type OnBadImage, readOptions, WalkOptions, whole } from "../options.ts";
import { BAND_EDGES, filterSpectrum, measureAliasing } from "../probe/spectrum.ts";
import { withProgress } from "../results/progress.ts";
import { StrideDiagnosis, type StrideRow, type StrideSpectra } from "../results/stride_diagnosis.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { forwardEach } from "../scan/forward_all.ts";

/** The options of `strideDiagnosis`. */
export class StrideDiagnosisOptions extends WalkOptions {
  /**
   * The names of the first and the second layer to look at.
   * @default the first two convolutions of each model
   */
  @arrayOf("the names of two layers")
  layers?: readonly [first: string, second: string];
  /**
   * On how many images of the data set aliasing is measured; accuracy is measured on all.
   * @default 16
   */
  @whole(1)
  images = 16;
  /**
   * How many images run at once for the accuracy, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The first two convolutions, or the layers asked for. */
function layersOf(model: Model, wanted: readonly [string, string] | undefined): [string, string] {
  if (wanted) {
    if (wanted.length !== 2) throw new RangeError(`layers names the first and the second: received ${wanted.length}.`);
    wanted.forEach((name) => model.layer(name));
    return [...wanted];
  }
  const found = model.leaves.filter(({ kind }) => kind === "Conv2D").map(({ name }) => name);
  if (found.length < 2) {
    throw new RangeError(`${JSON.stringify(model.name)} has ${found.length} convolutions; wanted at least two.`);
  }
  return [found[0], found[1]];
}

/** The share of images classified right. */
async function accuracyOf(
  model: Model,
  reader: InputReader,
  dataset: Dataset,
  options: { batchSize: number; signal?: AbortSignal; onProgress: (done: number) => void },
): Promise<number | null> {
  const { kind, labels, index } = model.output;
  const isClassifier = kind === "classes" || kind === "binary";
  if (!isClassifier || !dataset.labels?.every((label) => labels.filter((own) => own === label).length === 1)) {
    return null;
  }
  const classes: number[] = [];
  const inputs = reader.inputs(({ label }) => {
    classes.push(labels.indexOf(label!));
  });
  let right = 0;
  await forwardEach(model, inputs, [index], ([{ data, shape: [count] }], start) => {
    const each = data.length / count;
    for (let i = 0; i < count; i++) {
      const values = model.output.values(data.subarray(i * each, (i + 1) * each));
      right += Number(model.output.predicted(values) === classes[start + i]);
    }
    options.onProgress(start + count);
  }, { batchSize: options.batchSize, signal: options.signal });
  return right / classes.length;
}

/** Measures one network; its steps are twice the samples, for aliasing, and all images, for the accuracy. */
async function diagnose(
  model: Model,
  dataset: Dataset,
  [first, second]: readonly [string, string],
  { samples, batchSize, onBadImage, signal, onProgress }: {
    samples: number;
    batchSize: number;
    onBadImage?: OnBadImage;
    signal?: AbortSignal;
    onProgress: (done: number) => void;
  },
): Promise<{ row: StrideRow; spectra: StrideSpectra; skipped: readonly SkippedImage[] }> {
  const some = new InputReader("strideDiagnosis", model, dataset, { limit: samples, onBadImage });
  const views = (await Array.fromAsync(some)).map(({ view }) => view);
  const { layer } = model.entry(first);
  const kernel = layer.getWeights()[0];
  const filters = await NdArray.fromTensor(kernel);
  const { bands, power } = filterSpectrum(filters);
  const own = await measureAliasing(model, first, views, { signal, onProgress });
  const next = await measureAliasing(model, second, views, { signal, onProgress: (n) => onProgress(samples + n) });
  const all = new InputReader("strideDiagnosis", model, dataset, { labelled: true, onBadImage });
  const accuracy = await accuracyOf(model, all, dataset, {
    batchSize,
    signal,
    onProgress: (n) => onProgress(2 * samples + n),
  });
  return {
    row: {
      model: model.name,
      kernel: kernel.shape[0],
      stride: (layer.getConfig()["strides"] as number[])[0],
      ...bands,
      aliasing1: own.share,
      aliasing2: next.share,
      stride2: next.stride,
      accuracy,
    },
    spectra: { filters, order: model.preprocess.order, filterPower: power, responsePower: next.power },
    // Without an accuracy only the first images were read.
    skipped: accuracy === null ? some.skipped : all.skipped,
  };
}

/**
 * Compares networks by what their first layers let through: which frequencies the filters cover, how much of the first
 * and the second layer's response aliases, and how well the networks do.
 *
 * Meant for networks that differ in the first layer only, trained alike. For the definition of the bands see `low`, `mid`
 * and `high` of {@linkcode StrideRow}. Aliasing is measured on the response that one would see at every pixel: the image is
 * moved pixel by pixel. Energy of the response above half a cycle a stride looks like slower waves in the feature map:
 * that share aliases.
 *
 * @param models the networks; nothing on them changes
 * @param dataset labelled images: aliasing is measured on the first of them, accuracy on all
 * @returns `rows`, one a network: `{ model, kernel, stride, low, mid, high, aliasing1, aliasing2, stride2, accuracy }`
 * @throws {RangeError} if there is no model or image, a layer does not exist, or a stride is no power of two
 * @throws {TypeError} if the models are no array, or a model's first layer does not read a picture of one or three colours
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, strideDiagnosis } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const { rows } = await strideDiagnosis([model], await cifar10({ split: "test", limit: 200 }));
 * console.log(rows[0].aliasing1);
 * ```
 */
export async function strideDiagnosis(
  models: readonly Model[],
  dataset: Dataset,
  options: Partial<StrideDiagnosisOptions> = {},
): Promise<StrideDiagnosis> {
  if (!Array.isArray(models)) {
    throw new TypeError(`strideDiagnosis compares models: wanted an array, as [model]; received ${kindOf(models)}.`);
  }
  for (const model of models) checkModel("strideDiagnosis", model);
  checkDataset("strideDiagnosis", dataset);
  const { layers, images, onProgress, ...run } = readOptions(
    "strideDiagnosis",
    StrideDiagnosisOptions,
    options,
  );
  for (const model of models) await checkReady("strideDiagnosis", model);
  if (models.length === 0) throw new RangeError("There is no model to diagnose; wanted at least one.");
  const chosen = models.map((model) => layersOf(model, layers));
  models.forEach((model, i) => {
    const kernel = model.entry(chosen[i][0]).layer.getWeights()[0]?.shape ?? [];
    if (kernel.length !== 4 || (kernel[2] !== 3 && kernel[2] !== 1)) {
      throw new TypeError(
        `Layer ${JSON.stringify(chosen[i][0])} of ${JSON.stringify(model.name)} has weights [${kernel.join(", ")}]; ` +
          `wanted filters [kh, kw, 1 or 3, filters], which read the image.`,
      );
    }
  });
  await ensureBackend();
  const samples = Math.min(images, dataset.size);
  const each = 2 * samples + dataset.size;
  const total = models.length * each;
  const rows: StrideRow[] = [];
  const spectra: StrideSpectra[] = [];
  const skipped = new Map<string, SkippedImage>();
  await withProgress(
    `Diagnosing ${models.map(({ name }) => name).join(", ")}`,
    total,
    async (update) => {
      for (const [i, model] of models.entries()) {
        const result = await diagnose(model, dataset, chosen[i], {
          ...run,
          samples,
          onProgress: (done) => update(i * each + done),
        });
        rows.push(result.row);
        spectra.push(result.spectra);
        for (const image of result.skipped) skipped.set(image.id, image);
      }
    },
    onProgress,
    {
      get skipped() {
        return [...skipped.values()];
      },
    },
  );
  return new StrideDiagnosis(rows, spectra, {
    dataset: dataset.name,
    bandEdges: BAND_EDGES,
    skipped: [...skipped.values()],
  });
}
