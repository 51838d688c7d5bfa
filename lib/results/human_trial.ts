/**
 * What `humanTrial` returns: a cell in which people name what images show, and their answers.
 *
 * @module
 */

import { AnswerFile, type HumanAnswer, readAnswers } from "../data/answers.ts";
import type { ImageDataset, SkippedImage } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { kindOf, messageOf } from "../errors.ts";
import type { Block } from "../figure/blocks.ts";
import {
  displaySymbol,
  inKernel,
  type MimeBundle,
  type PageReply,
  type PageServer,
  startPageServer,
} from "../figure/cell.ts";
import { Figure } from "../figure/figure.ts";
import { trialBlock, type TrialBranch, type TrialData, type TrialState } from "../figure/trial.ts";
import { fixed } from "../format.ts";
import type { FigureSaveOptions } from "../figure/save.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

export type { TrialBranch };

/** One image of a trial. */
export interface TrialItem {
  readonly id: string;
  /** What the page calls it: it tells nothing. */
  readonly code: string;
  readonly phase: "training" | "test";
  readonly truth: string;
  /** As PNG or WebP. */
  readonly picture: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** What a trial is made of. */
export interface TrialParts<M> {
  readonly id: string;
  readonly model: M;
  readonly images: ImageDataset;
  readonly items: readonly TrialItem[];
  readonly classes: readonly string[];
  readonly tree: TrialBranch;
  readonly labels: number;
  readonly examples: ReadonlyMap<string, readonly Uint8Array[]>;
  readonly person: string | undefined;
  readonly path: string;
  readonly origins: readonly string[];
  /** How many images are inside the page, at most. */
  readonly inside: number;
  readonly skipped: readonly SkippedImage[];
}

/** A name of a person is not longer. */
const LONGEST_NAME = 60;

const addressOf = (picture: Uint8Array) =>
  `data:image/${picture[0] === 0x89 ? "png" : "webp"};base64,${picture.toBase64()}`;

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle) - 1 + Number(middle === Math.floor(middle))]) / 2;
};

/** The servers of the trials of this process, by the file of answers: a trial that is run again takes the other's place. */
const servers = new Map<string, PageServer>();

/**
 * A trial: in a cell, images to be named one by one, and everybody's answers as rows. It knows the model, but asks it
 * nothing.
 */
export class HumanTrial<M = unknown> extends Result<HumanAnswer> {
  /** The same for the same images, seed and classes. */
  readonly id: string;
  /** The model that people are compared with. */
  readonly model: M;
  /** The images of the test, with their classes as labels, in the order of the data set. */
  readonly images: ImageDataset;
  /** The class of each image by its id, also of those for training. */
  readonly truth: ReadonlyMap<string, string>;
  /** The ids of the images for training, in the order in which they are shown. */
  readonly trainingIds: readonly string[];
  /** The classes that may be named. */
  readonly classes: readonly string[];
  /** How many of them may be named for an image. */
  readonly labels: number;
  /** The file with the answers. */
  readonly path: string;
  /** The images that could not be read, and are not shown. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: TrialParts<M>;
  readonly #file: AnswerFile;
  readonly #byCode: ReadonlyMap<string, TrialItem>;
  readonly #byId: ReadonlyMap<string, TrialItem>;
  #server: PageServer | undefined;

  /** @internal */
  constructor(parts: TrialParts<M>) {
    super();
    const { id, model, images, items, classes, labels, path, skipped } = parts;
    this.id = id;
    this.model = model;
    this.images = images;
    this.truth = new Map(items.map(({ id, truth }) => [id, truth]));
    this.trainingIds = items.filter(({ phase }) => phase === "training").map(({ id }) => id);
    this.classes = classes;
    this.labels = labels;
    this.path = path;
    this.skipped = skipped;
    this.#parts = parts;
    this.#byCode = new Map(items.map((item) => [item.code, item]));
    this.#byId = new Map(items.map((item) => [item.id, item]));
    this.#file = new AnswerFile(path);
    // A damaged file is told now, and not after an answer.
    this.#file.read();
  }

  /** The answers of this trial, of all persons and of both phases, as they are on disk now. */
  get rows(): readonly HumanAnswer[] {
    return this.#file.read().filter(({ trial, image }) => trial === this.id && this.#byId.has(image));
  }

  /** The same as {@linkcode rows}. */
  get answers(): readonly HumanAnswer[] {
    return this.rows;
  }

  /** Who has answered, in the order of their first answers. */
  get persons(): readonly string[] {
    return [...new Set(this.rows.map(({ person }) => person))];
  }

  /** The answers as a Polars data frame: the labels as `label 1`, `label 2` …, and the class that is true. */
  override table(): Promise<DataFrame> {
    return toDataFrame(this.rows.map(({ labels, truth: _, ...row }) => ({
      ...row,
      truth: this.truth.get(row.image),
      ...Object.fromEntries(Array.from({ length: this.labels }, (_, i) => [`label ${i + 1}`, labels[i] ?? null])),
    })));
  }

  /**
   * Takes the answers in that were downloaded from a page without a kernel, or are in another file of this trial. What is
   * there already stays as it is.
   *
   * @returns how many are new
   * @throws {RangeError} if there is no such file, a line is no answer, or none is of this trial
   */
  async add(path: string | URL): Promise<number> {
    const found = await readAnswers(path);
    const own = found.filter(({ trial }) => trial === this.id);
    if (own.length === 0) {
      throw new RangeError(
        found.length === 0
          ? `There are no answers in ${String(path)}. Give the file that the page has downloaded.`
          : `None of the ${found.length} answers in ${String(path)} is of this trial, ${this.id}; they are of ${
            [...new Set(found.map(({ trial }) => trial))].join(", ")
          }. Make the trial with the data set and the seed, training and tree that the page was made with.`,
      );
    }
    let added = 0;
    for (const answer of own) {
      const item = this.#byCode.get(answer.image) ?? this.#byId.get(answer.image);
      // Of a page with more images than this trial has now.
      if (!item) continue;
      added += Number(this.#take({ ...answer, image: item.code }));
    }
    return added;
  }

  /** Closes the way from the cell to the kernel; what is on disk stays. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (servers.get(this.path) === server) servers.delete(this.path);
    await server?.close();
  }

  /** The cell for labelling, as a page by itself: it keeps its answers until they are downloaded. Below it, who has answered. */
  override figure(): Figure {
    return this.#figure();
  }

  /** Shows it here and now, also from the middle of a cell. */
  override async show(): Promise<void> {
    await (await this.#shown()).show();
  }

  /** What Jupyter asks the last expression of a cell for. */
  override async [displaySymbol](): Promise<MimeBundle> {
    return await (await this.#shown()).bundle();
  }

  /** In a notebook, the cell that reaches this kernel. */
  async #shown(): Promise<Figure> {
    return inKernel() ? await this.connected() : this.figure();
  }

  /** @internal The cell for labelling of a page that reaches this process. */
  async connected(): Promise<Figure> {
    return this.#figure(await this.serve());
  }

  /**
   * Writes the trial to a file: as `.html` a page for labelling that needs no kernel, to be opened on any machine; as `.csv` or
   * `.parquet` the answers; as `.npz`, `.png`, `.svg` or `.pdf` what other results write.
   */
  override async save(path: string | URL, options: Partial<FigureSaveOptions> = {}): Promise<void> {
    if (!/\.html$/i.test(String(path))) return await super.save(path, options);
    // Who has answered is nothing for everybody who gets the page.
    await new Figure({ ...this.#words(), blocks: [this.#cell()] }).save(path, options);
  }

  /** @internal */
  override arrays(): object {
    const { rows } = this;
    return {
      image: rows.map(({ image }) => image),
      person: rows.map(({ person }) => person),
      seconds: rows.map(({ seconds }) => seconds),
      label: rows.map(({ labels }) => labels[0]),
    };
  }

  /** @internal Opens the way from a page to this process, if it is not open. */
  async serve(): Promise<string> {
    // Another trial of the same file may have taken its place.
    if (this.#server && servers.get(this.path) === this.#server) return this.#server.url;
    await servers.get(this.path)?.close();
    this.#server = startPageServer({
      state: ({ person }) => ({ status: 200, body: this.#state(nameOf(person)) }),
      answer: (question) => this.#answer(question),
      image: ({ image }) => {
        const item = this.#byCode.get(String(image));
        return item
          ? { status: 200, body: item.picture }
          : { status: 404, body: { message: "There is no such image." } };
      },
    }, this.#parts.origins);
    servers.set(this.path, this.#server);
    return this.#server.url;
  }

  /** @internal What the page is told. */
  pageData(url?: string): TrialData {
    const { items, tree, classes, examples, person, inside } = this.#parts;
    const answered: Record<string, string[]> = Object.create(null);
    for (const row of this.rows) {
      // A page for everybody names nobody.
      if (url === undefined && row.person !== person) continue;
      (answered[row.person] ??= []).push(this.#byId.get(row.image)!.code);
    }
    return {
      id: this.id,
      classes,
      tree,
      most: this.labels,
      images: items.map(({ code, phase, truth, picture, width, height }, i) => ({
        code,
        width,
        height,
        ...i < inside && { picture: addressOf(picture) },
        ...phase === "training" && { truth },
      })),
      examples: Object.fromEntries(Array.from(examples, ([name, pictures]) => [name, pictures.map(addressOf)])),
      ...person !== undefined && { person },
      answered,
      ...url !== undefined && { url, file: this.path },
    };
  }

  #figure(url?: string): Figure {
    const { title, caption } = this.#words();
    const how = url === undefined ? 'await trial.save("trial.html") writes the page for labelling. ' : "";
    return new Figure({ title, caption: how + caption, blocks: [this.#cell(url), ...this.#personsTable()] });
  }

  #words(): { title: string; caption: string } {
    const { items, inside } = this.#parts;
    const test = items.length - this.trainingIds.length;
    const left = items.length - Math.min(inside, items.length);
    const caption = [
      `The model is asked nothing; of the ${test} images of the test, the page does not hold what they show.`,
      left > 0 ? `The last ${left} of the images are not inside the page: it needs the kernel for them.` : "",
      skippedNote(this.skipped),
    ].filter(Boolean).join(" ");
    return { title: `What people see · ${this.images.name}`, caption };
  }

  #cell(url?: string): Block {
    const { items } = this.#parts;
    const training = this.trainingIds.length;
    const what = `${items.length} images of ${this.images.name} to be named by people` +
      (training ? `, ${training} of them for training` : "");
    return trialBlock(this.pageData(url), [
      `${what}.`,
      url
        ? "The cell for it needs scripts: trust this notebook, and run the cell again."
        : "The page for it needs a browser that runs scripts.",
    ]);
  }

  #personsTable(): Block[] {
    const { rows, persons } = this;
    const others = this.#file.read().length - rows.length;
    const note = others > 0
      ? `${this.path} also holds answers of other images, seeds or classes (${others}), which are left as they are.`
      : "";
    if (persons.length === 0 && !note) return [];
    const { items } = this.#parts;
    const of = { training: this.trainingIds.length, test: items.length - this.trainingIds.length };
    return [{
      kind: "table",
      heading: "Answers on disk when the cell was run",
      ...note && { note },
      columns: [
        { title: "person" },
        ...(["training", "test", "seconds an image (median)"] as const).map((title) => ({
          title,
          align: "right" as const,
        })),
      ],
      rows: persons.map((person) => {
        const own = rows.filter((row) => row.person === person);
        const count = (wanted: "training" | "test") =>
          `${own.filter(({ phase }) => phase === wanted).length} of ${of[wanted]}`;
        return [person, count("training"), count("test"), fixed(median(own.map(({ seconds }) => seconds)), 1)];
      }),
    }];
  }

  #state(person: string): TrialState {
    const done = new Set(this.rows.filter((row) => row.person === person).map(({ image }) => image));
    const { items } = this.#parts;
    return {
      answered: items.filter(({ id }) => done.has(id)).map(({ code }) => code),
      next: items.find(({ id }) => !done.has(id))?.code ?? null,
    };
  }

  /** An answer from the page: taken if it is of the image that is next. */
  #answer(question: Record<string, unknown>): PageReply {
    let answer: HumanAnswer;
    try {
      answer = this.#checked(question);
    } catch (error) {
      return { status: 400, body: { message: `${messageOf(error)}.` } };
    }
    const state = this.#state(answer.person);
    try {
      if (state.next === answer.image && this.#take(answer)) return { status: 200, body: this.#state(answer.person) };
    } catch (error) {
      const message =
        `The answer could not be written to ${this.path}: ${messageOf(error)}. Nothing was lost: make room, ` +
        `or see to it that the file can be written.`;
      return { status: 507, body: { message } };
    }
    const message = "This image is answered already, or is not next.";
    return { status: 409, body: { message, state: this.#state(answer.person) } };
  }

  /** Writes an answer down. @returns false if there is one of this person for this image */
  #take(answer: HumanAnswer): boolean {
    const item = this.#byCode.get(answer.image)!;
    const { person, shown, seconds } = answer;
    const { id, phase, truth } = item;
    return this.#file.add({
      trial: this.id,
      person,
      image: id,
      phase,
      shown,
      seconds,
      labels: this.#labelsOf(answer.labels),
      ...phase === "training" && { truth },
    });
  }

  /** @throws {RangeError} if they are none that may be named */
  #labelsOf(labels: unknown): readonly string[] {
    const fits = Array.isArray(labels) && labels.length >= 1 && labels.length <= this.labels &&
      new Set(labels).size === labels.length;
    if (!fits) throw new RangeError(`An answer has 1 to ${this.labels} different labels: received ${kindOf(labels)}`);
    const unknown = labels.find((label) => !this.classes.includes(label));
    if (unknown !== undefined) throw new RangeError(`${kindOf(unknown)} is none of the classes of this trial`);
    return labels;
  }

  /** @throws {RangeError} if it is no answer of this trial */
  #checked({ trial, person, image, shown, seconds, labels }: Record<string, unknown>): HumanAnswer {
    if (trial !== this.id) throw new RangeError("This is an answer of another trial: run the cell again");
    const item = this.#byCode.get(String(image));
    if (!item) throw new RangeError(`There is no image ${kindOf(image)} in this trial`);
    if (typeof shown !== "string" || Number.isNaN(Date.parse(shown))) {
      throw new RangeError(`When the image was shown must be a time: received ${kindOf(shown)}`);
    }
    if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) {
      throw new RangeError(`The seconds must be a number ≥ 0: received ${kindOf(seconds)}`);
    }
    const { phase } = item;
    return {
      trial: this.id,
      person: nameOf(person),
      image: item.code,
      phase,
      shown,
      seconds,
      labels: this.#labelsOf(labels),
    };
  }
}

/** @throws {RangeError} if it is no name */
function nameOf(person: unknown): string {
  if (typeof person === "string" && person.trim() === person && person !== "" && person.length <= LONGEST_NAME) {
    return person;
  }
  throw new RangeError(`A person's name is 1 to ${LONGEST_NAME} characters: received ${kindOf(person)}`);
}
