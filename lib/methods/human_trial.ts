/**
 * People name what images show, as a network does: one image at a time, up to five classes each, blind to what the network
 * says.
 *
 * Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (2015), §6.4: the annotator's interface shows the
 * image beside the classes with examples of each, and takes five labels; annotators are trained on other images first.
 *
 * @module
 */

import { sha256Of } from "../checksum.ts";
import { answersPath, imageCode } from "../data/answers.ts";
import { checkDataset, type Dataset, type DatasetRow, isDataset } from "../data/dataset.ts";
import { kindOf } from "../errors.ts";
import { pathOf } from "../files.ts";
import { checkModel, type Model } from "../model/model.ts";
import { abortSignal, callback, checkWhole, type OnBadImage, oneOf, readOptions, rule, whole } from "../options.ts";
import { type Known, type TruthOf, truthOf, TruthReader } from "../probe/truth.ts";
import { randomStream, shuffled } from "../random.ts";
import { HumanTrial, type TrialItem } from "../results/human_trial.ts";
import { type ClassTree, treeOf } from "./shared/class_tree.ts";
import { examplePictures, retold, rowsOf, subset, trialPictures } from "./shared/trial_images.ts";

/** Options of {@linkcode humanTrial}. */
export class HumanTrialOptions {
  /**
   * How many classes may be named for an image, the likeliest first.
   * @default 5
   */
  @whole(1)
  labels = 5;
  /**
   * How many images come first for training: after each answer the truth is shown. They do not count in a comparison.
   * @default 5
   */
  @whole(0)
  training = 5;
  /**
   * How many images the test has, at most.
   * @default 100
   */
  @whole(1)
  limit = 100;
  /**
   * Which images are chosen, and in what order, depends on it.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * Who answers: each person's answers are kept apart.
   * @default the page asks for a name
   */
  @rule((name, value) => {
    if (typeof value === "string" && value !== "" && value.trim() === value && value.length <= 60) return;
    throw new TypeError(`${name} must be a name of 1 to 60 characters, as "Ada": received ${kindOf(value)}.`);
  })
  person?: string;
  /**
   * The file of the answers, one JSON object a line. Where it is there, the trial goes on.
   * @default "answers-DATASET.jsonl" in the notebook's folder
   */
  @rule((name, value) => {
    if (typeof value === "string" && value !== "" || value instanceof URL && value.protocol === "file:") return;
    throw new TypeError(`${name} must be a file's path, as "answers.jsonl": received ${kindOf(value)}.`);
  })
  path?: string | URL;
  /**
   * How many examples of each class are shown beside the list, from images of the data set that are not in the trial; or a
   * data set that they are taken from, four of each class. Of many classes there are fewer: 1,200 in all.
   * @default 4
   */
  @rule((name, value) => {
    if (!isDataset(value)) return checkWhole(`${name}, if it is no data set,`, value, 0);
    checkDataset("humanTrial's examples", value);
  })
  examples: number | Dataset = 4;
  /**
   * The classes as a tree to browse: groups of groups, as `{ animals: ["cat", "dog"], cars: ["truck"] }`. Those that are in none
   * of its groups come in a last one.
   * @default by first letters where there are more than 40 classes, else a list
   */
  @rule((name, value) => {
    if (kindOf(value) === "an object" && Object.keys(value as object).length > 0) return;
    throw new TypeError(`${name} must be groups of classes, as { animals: ["cat"] }: received ${kindOf(value)}.`);
  })
  tree?: ClassTree;
  /**
   * Where the true class stands in the data set, as for `evaluate`: a column, or a function of a row.
   * @default "label"
   */
  @truthOf
  truth?: TruthOf;
  /**
   * The origin of the notebook's page, where it is not of this machine, as `"https://hub.example.org"`; or several. Only pages of
   * this machine and of these may send answers.
   */
  @rule((name, value) => {
    const each: unknown[] = Array.isArray(value) ? value : [value];
    const bad = each.find((one) => typeof one !== "string" || !URL.canParse(one) || new URL(one).origin !== one);
    if (bad === undefined) return;
    throw new TypeError(
      `${name} must be where the notebook's page is, as "https://hub.example.org", without a path: received ${
        kindOf(bad)
      }.`,
    );
  })
  origin?: string | readonly string[];
  /**
   * How many images, at most, are inside the page itself, so that it works without the kernel: the first ones. A photo takes
   * about 40 kB. The others are shown by the kernel only.
   * @default 105
   */
  @whole(0)
  inside = 105;
  /**
   * What is done at an image that cannot be read: `"skip"` leaves it out, and the result lists it with the reason;
   * `"stop"` ends with an error that names it.
   * @default "skip"
   */
  @oneOf("skip", "stop")
  onBadImage?: OnBadImage;
  /** Stops between two images that are read. */
  @abortSignal()
  signal?: AbortSignal;
  /** Called after each image that is read with how many are done, and of how many. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/** Examples of a class from a data set of examples. */
const EXAMPLES = 4;

/** @throws {TypeError} if the model tells no classes apart */
function checkClasses({ name, output }: Model): void {
  if (output.kind === "classes" || output.kind === "binary") return;
  const is = { labels: "independent labels", numbers: "numbers", map: "maps" }[output.kind];
  throw new TypeError(
    `humanTrial wants a model that tells classes apart, for people to name one of them: ${
      JSON.stringify(name)
    } puts out ` +
      `${is}.`,
  );
}

/**
 * A cell in which people name what images show: one at a time, up to five classes of the model each, found by typing or in a
 * tree, with examples of each class beside them. The keyboard alone is enough. After some images for training, in which the
 * truth is shown after each answer, nothing more is told; the model is asked nothing.
 *
 * Each answer is on the disk before the next image is shown. The notebook may be closed, the kernel may die: the cell, run again,
 * goes on where it was. Two tabs do no harm: what is next is decided here, and the second answer for one image is refused.
 *
 * The page reaches the kernel over 127.0.0.1, by a random token, and only a page of this machine or of `origin` is let in. Where
 * it reaches none, as on another machine (also under JupyterHub), it keeps the answers in the browser and offers them as a file,
 * which `trial.add(path)` reads: `await trial.save("trial.html")` writes such a page. An image larger than 480 pixels is shown
 * that large.
 *
 * @param model whose classes may be named
 * @param dataset the images, with their classes as labels
 * @returns `rows`, one an answer: `{ trial, person, image, phase, shown, seconds, labels, truth }`, of all persons, read anew from
 *   the file each time; in a cell, the cell for labelling; `compareHumans(trial)` compares
 * @throws {TypeError} if the model tells no classes apart, or an image has no label
 * @throws {RangeError} if a label is no class of the model, the data set has too few images, or the file of answers is damaged
 * @throws as the operating system does, if the file of answers cannot be written
 *
 * @example
 * ```ts
 * import { cifar10, humanTrial, loadModel } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const folder = await Deno.makeTempDir();
 * const trial = await humanTrial(model, await cifar10({ split: "test", limit: 500 }), {
 *   limit: 20,
 *   path: `${folder}/answers.jsonl`,
 * });
 * await trial.save(`${folder}/trial.html`); // a page for those who have no notebook
 * console.log(trial.rows.length, "answers so far");
 * ```
 */
export async function humanTrial(
  model: Model,
  dataset: Dataset,
  options: Partial<HumanTrialOptions> = {},
): Promise<HumanTrial<Model>> {
  const { labels, training, limit, seed, person, path, examples, tree, truth, origin, inside, ...run } = readOptions(
    "humanTrial",
    HumanTrialOptions,
    options,
  );
  checkModel("humanTrial", model);
  checkDataset("humanTrial", dataset);
  checkClasses(model);
  const reader = new TruthReader(model, dataset, truth);
  const classes = [...new Set(reader.labels)];
  const branches = treeOf(tree, classes);
  const rows = await rowsOf(dataset);
  if (training >= rows.length) {
    throw new RangeError(
      `humanTrial wants at least one image more than the ${training} for training: the data set ` +
        `${JSON.stringify(dataset.name)} has ${rows.length}. Take a larger one, or fewer by training.`,
    );
  }
  const order = Array.from(shuffled(rows.length, randomStream(seed)), (place) => rows[place]);
  const id = sha256Of(JSON.stringify([order.map(({ id }) => id), training, classes])).slice(0, 12);
  const chosen = order.slice(0, training + limit);
  const classOf = (row: DatasetRow) => reader.labels[reader.classesOf(row as Known)[0]];
  const exampleOf = (row: DatasetRow) => truth === undefined && row.label === undefined ? undefined : classOf(row);
  const named = new Map(chosen.map((row) => [row.id, { ...row, label: classOf(row) }]));
  const own = retold(await subset(dataset, new Set(named.keys())), named, classes);
  const { pictures, skipped } = await trialPictures(own, run);
  const items = chosen.flatMap((row, i): TrialItem[] => {
    const picture = pictures.get(row.id);
    if (!picture) return [];
    const { bytes, width, height } = picture;
    const code = imageCode(id, row.id);
    const phase = i < training ? "training" : "test";
    return [{ id: row.id, code, phase, truth: named.get(row.id)!.label, picture: bytes, width, height }];
  });
  const isGiven = typeof examples !== "number";
  const taken = {
    ids: new Set(isGiven ? [] : named.keys()),
    marks: new Set(Array.from(pictures.values(), ({ mark }) => mark)),
  };
  const known = new Set(classes);
  const shown = examples === 0 ? new Map<string, Uint8Array[]>() : await examplePictures(isGiven ? examples : dataset, {
    each: isGiven ? EXAMPLES : examples,
    // Examples may have labels that are none of the model's.
    classOf: isGiven ? ({ label }) => label !== undefined && known.has(label) ? label : undefined : exampleOf,
    classes: classes.length,
    taken,
    seed,
  }, run);
  const test = new Set(items.filter(({ phase }) => phase === "test").map(({ id }) => id));
  return new HumanTrial<Model>({
    id,
    model,
    images: own.filter(({ id }) => test.has(id)),
    items,
    classes,
    tree: branches,
    labels: Math.min(labels, classes.length),
    examples: shown,
    person,
    path: path instanceof URL ? pathOf(path) : path ?? answersPath(dataset.name),
    origins: origin === undefined ? [] : [origin].flat(),
    inside,
    skipped,
  });
}
