/**
 * People and a network, each naming what the same images show: who errs more, whether on the same images, and on which.
 *
 * Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (2015), §6.4: top-5 errors of people and of
 * GoogLeNet, and what kinds of errors they are. Error consistency: Geirhos, Meding and Wichmann, "Beyond accuracy" (2020), eq. 1
 * to 3. McNemar's exact test; Cohen's kappa with the interval of Fleiss, Cohen and Everitt (1969).
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import type { HumanAnswer } from "../data/answers.ts";
import type { Dataset, DatasetRow, SkippedImage } from "../data/dataset.ts";
import { tileOf } from "../data/sample.ts";
import { type ImageView, InputReader } from "../model/inputs.ts";
import { checkReady, type Model } from "../model/model.ts";
import { oneOf, readOptions, WalkOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { type Known, type TruthOf, truthOf, TruthReader } from "../probe/truth.ts";
import { HumanComparison, type HumanParts } from "../results/human_comparison.ts";
import type { NamedImage } from "../results/human_rows.ts";
import { withProgress } from "../results/progress.ts";
import { forwardEach } from "../scan/forward_all.ts";
import { answersGiven, checkNamed, type HumansGiven, truthFor } from "./shared/human_answers.ts";
import { categoriesOf, type Taxonomy, taxonomy } from "./shared/taxonomy.ts";
import { rowsOf, subset } from "./shared/trial_images.ts";

/** The options of `compareHumans`. */
export class CompareHumansOptions extends WalkOptions {
  /**
   * Which errors the tests, groups and curves are about: `"top1"`, the first label is wrong; `"top5"`, none of up to five labels
   * is right, neither of the person's nor of the network's.
   * @default "top1" of up to 20 classes, else "top5"
   */
  @oneOf("top1", "top5")
  by?: "top1" | "top5";
  /**
   * What kind of image, or of error, each is, in your words: `{ "cat/1.png": "small object" }` by the images' ids (or several,
   * in an array), the name of a column of the data set, or the path of a `.json` that the figure's page has downloaded.
   * @default none
   */
  @taxonomy()
  taxonomy?: Taxonomy;
  /**
   * Over how many answers the learning curve takes its errors; fewer of a person with less than twice as many.
   * @default 20
   */
  @whole(2)
  window = 20;
  /**
   * How many pictures are kept of each of the four groups; of those with an error ten times as many for the taxonomy.
   * @default 24
   */
  @whole(0)
  examples = 24;
  /**
   * Where the true class stands in the data set, as for `evaluate`: a column, or a function of a row. A trial knows by itself.
   * @default "label"
   */
  @truthOf
  truth?: TruthOf;
  /**
   * Of the bootstrap.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** So many labels count, of people and networks. */
const MOST = 5;

/** What is known of the images that were answered. */
interface AnsweredImages {
  readonly images: Map<string, NamedImage>;
  readonly rows: readonly DatasetRow[];
  readonly skipped: readonly SkippedImage[];
}

/** An image as small as a contact sheet shows it. */
function small(view: NdArrayLike): NdArrayLike {
  const { data, width, height } = tileOf(view);
  return ndarray(data, [height, width, 3]);
}

/** The likeliest classes. */
function likeliest(values: Float64Array, most: number): number[] {
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b).slice(0, most);
}

/** Asks the network about the images that people answered. */
async function askNetwork(
  model: Model,
  dataset: Dataset,
  ids: ReadonlySet<string>,
  { truth, batchSize, signal, onProgress, onBadImage }: Partial<CompareHumansOptions>,
): Promise<AnsweredImages> {
  const own = await subset(dataset, ids);
  const reader = new InputReader("compareHumans", model, own, { signal, onBadImage });
  const truths = new TruthReader(model, own, truth);
  const waiting: (ImageView & { classes: number[] })[] = [];
  const images = new Map<string, NamedImage>();
  const inputs = reader.inputs((image) => waiting.push({ ...image, classes: truths.classesOf(image.known as Known) }));
  const receive = ([outputs]: NdArrayLike[]) => {
    waiting.splice(0, outputs.shape[0]).forEach(({ id, view, classes }, i) => {
      const values = model.output.finiteValues(item(outputs, i).data as Float32Array, id);
      const first = likeliest(values, MOST);
      images.set(id, {
        id,
        truth: classes.map((index) => truths.labels[index]),
        network: first.map((index) => truths.labels[index]),
        confidence: values[first[0]],
        image: small(model.shown(view)),
      });
    });
  };
  await withProgress(
    `Classifying with ${model.name}`,
    reader.size,
    (update) => forwardEach(model, inputs, [model.output.index], receive, { batchSize, signal, onProgress: update }),
    onProgress,
    reader,
  );
  return { images, rows: await rowsOf(own), skipped: reader.skipped };
}

/**
 * Compares people with a network on the images that they named: top-1 and top-5 errors of both with intervals, on the same images;
 * whether the difference may be chance (McNemar's exact test, paired bootstrap); how far answers agree (Cohen's kappa) and whether
 * errors fall on the same images (error consistency); the images in four groups, by who is right; a taxonomy of errors that you
 * fill in; how each person's errors and time change from image to image; and people among themselves.
 *
 * Each person is compared on the images of the test that they answered; answers for training are in the learning curve only.
 * The network is asked now: the trial itself does not know what it says.
 *
 * @param humans what `humanTrial` returned, or several of these; or a model, a data set and the answers, in files
 *   as `humanTrial` writes them and its page downloads them
 * @returns rows, one a person: errors of both with intervals, tests, agreement; `images`, one an image that was answered;
 *   `between` people; `curves`; `categories`
 * @throws {TypeError} if it is given neither, or the model tells no classes apart
 * @throws {RangeError} if there is no answer yet, a line of a file is damaged, an answer names what is no class of the model, or
 *   is of an image that the data set lacks
 *
 * @example
 * ```ts
 * import { cifar10, compareHumans, loadModel } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const dataset = await cifar10({ split: "test", limit: 200 });
 * const images = await Array.fromAsync(dataset.take(12));
 * const answers = images.map(({ id, label }, i) => ({
 *   trial: "by hand",
 *   person: "Ada",
 *   image: id,
 *   phase: "test" as const,
 *   shown: new Date(60_000 * i).toISOString(),
 *   seconds: 3,
 *   labels: [i % 4 ? label! : "cat"],
 * }));
 * const found = await compareHumans({ model, dataset, answers });
 * console.log(found.rows[0].top1Error, found.rows[0].networkTop1Error, found.rows[0].errorConsistency);
 * ```
 */
export async function compareHumans(
  humans: HumansGiven,
  options: Partial<CompareHumansOptions> = {},
): Promise<HumanComparison> {
  const { by, taxonomy, window, examples, truth, seed, ...run } = readOptions(
    "compareHumans",
    CompareHumansOptions,
    options,
  );
  const { model, datasets, answers, truth: known, repeated } = await answersGiven(humans);
  await checkReady("compareHumans", model);
  checkClasses(model);
  const test = answers.filter(({ phase }) => phase === "test");
  const images = new Map<string, NamedImage>();
  const rows: DatasetRow[] = [];
  const skipped: SkippedImage[] = [];
  const wanted = new Set(test.map(({ image }) => image));
  for (const dataset of datasets) {
    const left = new Set((await rowsOf(dataset)).map(({ id }) => id).filter((id) => wanted.has(id) && !images.has(id)));
    if (left.size === 0) continue;
    const asked = await askNetwork(model, dataset, left, { ...run, truth: truthFor(humans, truth) });
    for (const [id, image] of asked.images) images.set(id, image);
    rows.push(...asked.rows);
    skipped.push(...asked.skipped);
  }
  const classes = new TruthReader(model, datasets[0], truthFor(humans, truth)).labels;
  checkNamed(answers, classes, model.name);
  return new HumanComparison({
    images: compared(images, test),
    answers: answers.flatMap((answer) => {
      const right = images.get(answer.image)?.truth ??
        [answer.truth ?? known.get(answer.image)].filter((one) => one !== undefined);
      return right.length ? [{ ...answer, right }] : [];
    }),
    categories: await categoriesOf(taxonomy, rows.map((row) => row as Known)),
    by: by ?? (classes.length > 20 ? "top5" : "top1"),
    classes: classes.length,
    window,
    examples,
    seed,
    repeated,
    skipped,
    names: { model: model.name, dataset: [...new Set(datasets.map(({ name }) => name))].join(", ") },
  });
}

/** Each image with what people said of it. */
function compared(images: ReadonlyMap<string, NamedImage>, test: readonly HumanAnswer[]): HumanParts["images"] {
  const said = Map.groupBy(test, ({ image }) => image);
  return Array.from(images.values(), (image) => ({ ...image, people: said.get(image.id)! }));
}

/** @throws {TypeError} if the model tells no classes apart */
function checkClasses({ name, output: { kind } }: Model): void {
  if (kind === "classes" || kind === "binary") return;
  throw new TypeError(
    `compareHumans compares which class is named: the model ${JSON.stringify(name)} puts out ${
      { labels: "independent labels", numbers: "numbers", map: "maps" }[kind]
    }. Give one that tells classes apart.`,
  );
}
