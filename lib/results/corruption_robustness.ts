/**
 * What `corruptionRobustness` returns: the accuracy of models by how strongly images are corrupted.
 *
 * @module
 */

import type { DatasetRow, SkippedImage } from "../data/dataset.ts";
import { meanInterval } from "../embed/agreement.ts";
import { wilson } from "../embed/logistic.ts";
import type { Block, Picture, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { brief, fixed, percent } from "../format.ts";
import { accuracySeries } from "./accuracy_series.ts";
import type { Example } from "./invariance.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One model under one corruption of one strength. */
export interface CorruptionRow {
  /** The model's name. */
  model: string;
  /** What was done to the images. */
  corruption: string;
  /** How strongly, in the corruption's own unit. */
  strength: number;
  /** How many images. */
  images: number;
  /** How many of them the model still has right. */
  right: number;
  /** Their share; beside it its interval of 95 % (Wilson). */
  accuracy: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
}

/** One model on the images as they are. */
export type CleanRow = Omit<CorruptionRow, "corruption" | "strength">;

/** One model under one corruption of all strengths, or, without a `corruption`, under all. */
export interface CorruptionErrorRow {
  /** The model's name. */
  model: string;
  /** What was done to the images. */
  corruption?: string;
  /** The mean share of wrong answers over the strengths; over all corruptions the mean of their means. */
  error: number;
  /** The lower end of its interval of 95 % (bootstrap over images). */
  low: number;
  /** Its upper end. */
  high: number;
  /** The corruption error CE: `error` over that of the first model; over all corruptions the mean, mCE. Null where that is 0. */
  corruptionError: number | null;
  /** The relative CE: by how much the error rises over that of clean images, over the same of the first model. Null where that is 0. */
  relativeCorruptionError: number | null;
}

/** One image and model: whether it is right, and of its corrupted versions the share that is. */
export interface CorruptedImageRow extends DatasetRow {
  /** The model's name. */
  model: string;
  /** Whether the model has the image right as it is. */
  right: boolean;
  /** The share of all corrupted versions that it has right, 0…1. */
  withstood: number;
}

/** The answers of one model. */
export interface CorruptionParts {
  readonly model: string;
  /** The size at which it sees images. */
  readonly sides: string;
  readonly images: readonly {
    readonly known: DatasetRow;
    readonly label: string;
    readonly right: boolean;
    readonly steps: readonly boolean[];
  }[];
  readonly steps: readonly { readonly corruption: { readonly name: string }; readonly strength: number }[];
  readonly examples: readonly Example[];
  readonly skipped: readonly SkippedImage[];
}

interface Named {
  readonly name: string;
  readonly unit: string;
  readonly none?: number;
}

/** The first strengths of a corruption that are shown as pictures. */
const SHOWN = 5;
const WIDTH = 300;

const shareOf = (right: number, images: number) => {
  const [low, high] = wilson(right, images);
  return { images, right, accuracy: right / images, low, high };
};

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const over = (a: number, b: number) => b === 0 ? null : a / b;
const meanKnown = (values: readonly (number | null)[]) =>
  values.length > 0 && values.every((value) => value !== null) ? meanOf(values) : null;

/** Accuracy by the strength of corruptions, of several models. */
export class CorruptionRobustness extends Result<CorruptionRow> {
  /** One for each model, corruption and strength. */
  readonly rows: readonly CorruptionRow[];
  /** One for each model: on the images as they are. */
  readonly clean: readonly CleanRow[];
  /** One for each model and corruption: the mean error over the strengths, and the corruption error. */
  readonly errors: readonly CorruptionErrorRow[];
  /** One for each model: the means over the corruptions; `corruptionError` is the mean corruption error, mCE. */
  readonly means: readonly CorruptionErrorRow[];
  /**
   * One for each image and model: `{ id, label, model, right, withstood }` and, by the name of each corruption, the share of
   * its strengths at which the model is right. Attributes as `performanceBy` takes them.
   */
  readonly each: readonly CorruptedImageRow[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #walks: readonly CorruptionParts[];
  readonly #corruptions: readonly Named[];
  readonly #dataset: string;

  /** @internal */
  constructor({ walks, corruptions, dataset, seed }: {
    walks: readonly CorruptionParts[];
    corruptions: readonly Named[];
    dataset: string;
    seed: number;
  }) {
    super();
    this.#walks = walks;
    this.#corruptions = corruptions;
    this.#dataset = dataset;
    this.skipped = walks[0].skipped;
    const counted = (images: CorruptionParts["images"], is: (image: CorruptionParts["images"][number]) => boolean) =>
      shareOf(images.filter(is).length, images.length);
    this.clean = walks.map(({ model, images }) => ({ model, ...counted(images, ({ right }) => right) }));
    this.rows = walks.flatMap(({ model, images, steps }) =>
      steps.map(({ corruption: { name }, strength }, k) => ({
        model,
        corruption: name,
        strength,
        ...counted(images, (image) => image.steps[k]),
      }))
    );
    /** The places of a corruption's steps. */
    const placesOf = ({ steps }: CorruptionParts, name: string) =>
      steps.flatMap(({ corruption }, k) => corruption.name === name ? [k] : []);
    const standing = (walk: CorruptionParts, name: string, { steps }: CorruptionParts["images"][number]) =>
      meanOf(placesOf(walk, name).map((k) => Number(steps[k])));
    this.each = walks.flatMap((walk) =>
      walk.images.map(({ known, label, right, steps }) => ({
        id: known.id,
        label: known.label ?? label,
        model: walk.model,
        right,
        withstood: meanOf(steps.map(Number)),
        ...Object.fromEntries(
          corruptions.map(({ name }) => [name, standing(walk, name, { known, label, right, steps })]),
        ),
      }))
    );
    const wrongOf = (walk: CorruptionParts, name: string) =>
      walk.images.map((image) => 1 - standing(walk, name, image));
    const wrong = walks.map((walk) => corruptions.map(({ name }) => wrongOf(walk, name)));
    const errorOf = (m: number, c: number) => meanOf(wrong[m][c]);
    const rise = (m: number, c: number) => errorOf(m, c) - (1 - this.clean[m].accuracy);
    const spanOf = (values: readonly number[]) => {
      const { value, low, high } = meanInterval(values, seed);
      return { error: value, low, high };
    };
    this.errors = walks.flatMap(({ model }, m) =>
      corruptions.map(({ name }, c) => ({
        model,
        corruption: name,
        ...spanOf(wrong[m][c]),
        corruptionError: over(errorOf(m, c), errorOf(0, c)),
        relativeCorruptionError: over(rise(m, c), rise(0, c)),
      }))
    );
    this.means = walks.map(({ model, images }, m) => {
      const own = this.errors.filter((row) => row.model === model);
      return {
        model,
        ...spanOf(images.map((_, i) => meanOf(wrong[m].map((errors) => errors[i])))),
        corruptionError: meanKnown(own.map(({ corruptionError }) => corruptionError)),
        relativeCorruptionError: meanKnown(own.map(({ relativeCorruptionError }) => relativeCorruptionError)),
      };
    });
  }

  /** @internal */
  override arrays(): object {
    const { rows, clean, errors, means, each, skipped } = this;
    return { rows, clean, errors, means, each, skipped };
  }

  /** A chart for each corruption, a line for each model, under examples; and the mean errors as a table. */
  override figure(): Figure {
    const models = this.#walks.map(({ model }) => model);
    const several = models.length > 1;
    const sizes = new Set(this.#walks.map(({ sides }) => sides));
    return new Figure({
      title: `Corruption robustness · ${models.join(", ")} · ${this.#dataset}`,
      caption: [
        `Accuracy on ${
          this.clean[0].images.toLocaleString("en-US")
        } images that were corrupted as the model sees them, by ` +
        `the strength; bands of 95 % (Wilson). ${
          several ? "" : "Dashed: the images as they are. "
        }The pictures show one of them.`,
        several
          ? `CE is the mean error over the strengths, over that of ${
            models[0]
          }; their mean is the mean corruption error, mCE ` +
            `(Hendrycks and Dietterich 2019).`
          : "The mean error is that over the strengths; its interval is that of the bootstrap over images.",
        sizes.size > 1
          ? `The models see images of ${
            [...sizes].join(" and ")
          } pixels: a blur of so many pixels is not the same for them.`
          : "",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        { kind: "row", columns: 3, blocks: this.#corruptions.map((corruption) => this.#column(corruption)) },
        this.#table(),
      ],
      lines: [
        ...this.clean.map(({ model, accuracy }) => `${percent(accuracy).padStart(7)}  ${model} · as they are`),
        ...this.rows.map(({ model, corruption, strength, accuracy, low, high }) =>
          `${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${model} · ${corruption} · ${
            brief(strength)
          }`
        ),
      ],
    });
  }

  /** Examples of a corruption, and its chart below. */
  #column({ name, unit, none }: Named): Block {
    const several = this.#walks.length > 1;
    const lines = this.#walks.map(({ model }, m) => {
      const own: Pick<CorruptionRow, "strength" | "accuracy" | "low" | "high">[] = this.rows
        .filter((row) => row.model === model && row.corruption === name);
      if (none !== undefined && own.every(({ strength }) => strength !== none)) {
        own.push({ ...this.clean[m], strength: none });
      }
      return accuracySeries(
        several ? model : "accuracy",
        own.sort((a, b) => a.strength - b.strength),
        (row) => row.strength,
      );
    });
    const ends = [Math.min(...lines[0].x), Math.max(...lines[0].x)];
    const [{ accuracy }] = this.clean;
    const clean = { label: "as they are", x: ends, y: [accuracy, accuracy], dashed: true };
    const picture = this.#examples(name);
    const heading = name === "jpeg" ? "JPEG" : name[0].toUpperCase() + name.slice(1);
    return {
      kind: "row",
      columns: 1,
      heading,
      blocks: [...picture ? [picture] : [], {
        kind: "chart",
        series: several ? lines : [...lines, clean],
        x: { title: unit },
        y: { title: "accuracy", min: 0, max: 1 },
        width: WIDTH,
        height: 210,
        alt: `Accuracy by ${name}: ${
          this.rows.filter((row) => row.corruption === name).map(({ model, strength, accuracy }) =>
            `${several ? `${model} ` : ""}${brief(strength)} ${percent(accuracy)}`
          ).join(", ")
        }`,
      }],
    };
  }

  #examples(name: string): Picture | null {
    const own = this.#walks[0].examples.filter(({ transform }) => transform === name).slice(0, SHOWN);
    if (own.length === 0) return null;
    const { width, height } = own[0].pixels;
    const at = own.map(({ value }) => brief(value)).join(", ");
    return {
      kind: "picture",
      note: `at ${at}`,
      ...mosaic({
        width,
        height,
        count: own.length,
        columns: own.length,
        maxWidth: Math.max(WIDTH, own.length * (width + 2)),
        paint: (i) => own[i].pixels.data,
        label: (i) => `${name} ${brief(own[i].value)}`,
      }),
      alt: `An image under ${name} at ${at}`,
    };
  }

  #table(): Table {
    const several = this.#walks.length > 1;
    const rows = [...this.#corruptions.map(({ name }) => name), undefined];
    const found = (model: string, corruption?: string) =>
      corruption === undefined
        ? this.means.find((row) => row.model === model)!
        : this.errors.find((row) => row.model === model && row.corruption === corruption)!;
    const models = this.#walks.map(({ model }) => model);
    const titles = models.flatMap((model, m) => [
      several ? `${model}: error` : "mean error",
      "95 %",
      ...several && m > 0 ? ["CE", "relative CE"] : [],
    ]);
    const words = (ratio: number | null) => ratio === null ? "" : fixed(ratio, 2);
    return {
      kind: "table",
      heading: "Mean error over the strengths",
      columns: [{ title: "corruption" }, ...titles.map((title) => ({ title, align: "right" as const }))],
      rows: [
        [
          "none",
          ...models.flatMap((_, m) => {
            const { accuracy, low, high } = this.clean[m];
            const range = `${fixed(100 * (1 - high), 1)} to ${percent(1 - low)}`;
            return [percent(1 - accuracy), range, ...several && m > 0 ? ["", ""] : []];
          }),
        ],
        ...rows.map((name) => [
          name ?? "mean",
          ...models.flatMap((model, m) => {
            const { error, low, high, corruptionError, relativeCorruptionError } = found(model, name);
            const ratios = several && m > 0 ? [words(corruptionError), words(relativeCorruptionError)] : [];
            return [percent(error), `${fixed(100 * low, 1)} to ${percent(high)}`, ...ratios];
          }),
        ]),
      ],
    };
  }
}
