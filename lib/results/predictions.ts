/**
 * What a model says of many images, as a contact sheet: each small, with the prediction and its label below.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { TILE, tileOf } from "../data/sample.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import type { Sheet, SheetTile, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { wordsOf } from "../figure/words.ts";
import { brief, percent } from "../format.ts";
import { foundWords, mapColors, overlaid, type PredictRow, rowWords } from "./output_prediction.ts";
import { oneOf, readOptions, whole } from "../options.ts";
import type { Prediction } from "./prediction.ts";
import { Collection } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** An order of predictions. */
export type PredictionOrder = "given" | "id" | "label" | "confidence" | "wrong";

/** How a contact sheet of predictions is drawn. */
export class PredictionsFigureOptions {
  /**
   * In which order: as they were `"given"`; by `"id"`, or the name of the image; by `"label"`, without one by what is
   * predicted; by `"confidence"`, the least certain first; `"wrong"` ones first, the most certain of them first.
   * @default "given", or "wrong" where there are more than are drawn
   */
  @oneOf("given", "id", "label", "confidence", "wrong")
  sort?: PredictionOrder;
  /**
   * At most this many are drawn: the first ones in the order.
   * @default 96
   */
  @whole(1)
  images = 96;
}

/** Up to this many images of an array have their bars, one under another. */
const MOST_ROWS = 4;
/** At most this many are printed in a terminal. */
const MOST_PRINTED = 60;

/** The names of the orders, as the reader chooses them. */
const ORDERS: Record<PredictionOrder, string> = {
  given: "as given",
  id: "id",
  label: "label",
  confidence: "least certain first",
  wrong: "wrong first",
};

/** A probability in as few digits as are true. */
export const brieflyCertain = (share: number): string =>
  share > 0.995 && share < 1 ? ">99 %" : share < 0.005 && share > 0 ? "<1 %" : percent(share, 0);

/** How sure a model is of its first row; 0 where that is no probability. */
const confidenceOf = ({ rows: [best] }: Prediction) => best.probability ?? 0;

/** The comparison of each order. */
const COMPARE: Record<PredictionOrder, (a: Prediction, b: Prediction) => number> = {
  given: () => 0,
  id: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  label: (a, b) => (a.label ?? a.rows[0].label).localeCompare(b.label ?? b.rows[0].label, "en", { numeric: true }),
  confidence: (a, b) => confidenceOf(a) - confidenceOf(b),
  wrong: (a, b) =>
    Number(a.right ?? true) - Number(b.right ?? true) ||
    (a.right === false ? confidenceOf(b) - confidenceOf(a) : confidenceOf(a) - confidenceOf(b)),
};

/** The predictions for many images: an array of them that shows itself as a contact sheet; of four or fewer, as bars. */
export class Predictions extends Collection<Prediction> {
  /** @internal What captions of what is made of them call them. */
  get named(): string {
    return this.title;
  }

  /**
   * A contact sheet, whose order the reader can choose; wrong ones are outlined. Of an array of up to four images their
   * bars, one under another.
   *
   * @throws {TypeError} if an option is unknown
   * @throws {RangeError} if one does not fit
   */
  override figure(options: Partial<PredictionsFigureOptions> = {}): Figure {
    const { sort, images } = readOptions("figure", PredictionsFigureOptions, options);
    if (sort === undefined && this.length <= MOST_ROWS && this.every(({ id }) => id === undefined)) {
      return super.figure();
    }
    const first = sort ?? (this.length > images ? "wrong" : "given");
    const all = [...this].sort(COMPARE[first]);
    const drawn = all.slice(0, images);
    const given = new Map([...this].map((one, i) => [one, i]));
    const orders = this.#orders.map((order) => ({
      name: ORDERS[order],
      places: [...drawn.keys()].sort((a, b) =>
        COMPARE[order](drawn[a], drawn[b]) || given.get(drawn[a])! - given.get(drawn[b])!
      ),
    }));
    orders.sort((a, b) => Number(b.name === ORDERS[first]) - Number(a.name === ORDERS[first]));
    const { order, legend } = mapColors(drawn.map(({ shown }) => shown));
    const sheet: Sheet = {
      kind: "sheet",
      side: TILE,
      tiles: drawn.map((one) => tile(one, order)),
      orders,
      left: this.length - drawn.length,
    };
    const known = this.filter(({ right }) => right !== undefined);
    const right = known.filter((one) => one.right).length;
    const title = `${this.title} (${this.length})` +
      (known.length ? ` · ${right} of ${known.length} right (${percent(right / known.length)})` : "");
    const caption = [this.#caption(known.length), skippedNote(this.skipped)].filter(Boolean).join(" ");
    const text = wordsOf({ title, caption, blocks: [this.#printed(all)] });
    return new Figure({ title, caption, blocks: [sheet, ...legend], text });
  }

  /** The orders in which these can differ. */
  get #orders(): PredictionOrder[] {
    const probable = this.some((one) => confidenceOf(one) > 0);
    return [
      "given",
      "id",
      "label",
      ...probable ? ["confidence" as const] : [],
      ...this.some(({ right }) => right === false) ? ["wrong" as const] : [],
    ];
  }

  #caption(known: number): string {
    const [{ shown: { kind, each, activation, which, rows }, outputs }] = this;
    const labelled = this.filter(({ label }) => label !== undefined);
    const others = outputs.length > 1
      ? `, then ${outputs.filter((part) => part !== this[0].shown).map(({ name }) => JSON.stringify(name)).join(", ")}`
      : "";
    const below = kind === "map"
      ? each === "numbers" || each === "labels"
        ? `Below each image the first of what its map holds (${activation})${which}`
        : `On each image what is predicted at each place, below it what takes most of them (${activation})${which}`
      : kind === "numbers"
      ? `Below each image ${
        rows.length > 1 ? "the first of its numbers" : "its number"
      } (${activation})${which}, no probability`
      : `Below each image the likeliest ${
        kind === "labels" ? "label" : "class"
      } with its probability (${activation})${which}`;
    const strange = known === 0 && (kind === "classes" || kind === "binary") && labelled.length > 0;
    return `${below}${others}${labelled.length ? ", then the data set's label" : ""}.` +
      (known > 0 ? " Outlined in orange and marked ✗: the two differ." : "") +
      (known > 0 && known < this.length
        ? ` ${this.length - known} images have no label among the model's classes.`
        : "") +
      (strange
        ? ` The data set's labels, as ${
          JSON.stringify(labelled[0].label)
        }, are none of the model's classes, so none is ` +
          `called right or wrong.`
        : "");
  }

  #printed(all: readonly Prediction[]): Table {
    const isProbable = all[0].shown.each !== "numbers";
    const labelled = all.some(({ label }) => label !== undefined);
    const several = all[0].outputs.length > 1;
    const rows = all.slice(0, MOST_PRINTED).map((one) => [
      one.name,
      ...labelled ? [one.label ?? ""] : [],
      one.rows[0].label,
      rowWords(one.rows[0]),
      one.right === false ? "✗" : "",
      ...several ? [othersOf(one).join("; ")] : [],
    ]);
    const left = all.length - rows.length;
    return {
      kind: "table",
      columns: [
        { title: "image" },
        ...labelled ? [{ title: "label" }] : [],
        { title: isProbable ? "prediction" : "output" },
        { title: isProbable ? all[0].kind === "map" ? "share" : "probability" : "value", align: "right" as const },
        { title: "" },
        ...several ? [{ title: "other outputs" }] : [],
      ],
      rows: left > 0 ? [...rows, [`… and ${left} more`, ...rows[0].slice(1).map(() => "")]] : rows,
    };
  }

  /**
   * The rows of all as a Polars data frame: each with the place of its prediction (`result`), its image, and, where the
   * data set has labels, the image's label there (`actual`); of several outputs the rows of each.
   */
  override table(): Promise<DataFrame> {
    const labelled = this.some(({ label }) => label !== undefined);
    return toDataFrame(
      this.flatMap(({ name, label, outputs }, result) =>
        outputs.flatMap(({ rows }) =>
          rows.map((row) => ({ result, image: name, ...(labelled && { actual: label ?? null }), ...row }))
        )
      ),
    );
  }
}

/** What the other outputs say, in words. */
const othersOf = ({ outputs, shown }: Prediction): string[] =>
  outputs.filter((part) => part !== shown).map((part) => `${part.name}: ${foundWords(part)}`);

/** A row in few words, for the line below a small picture. */
function briefWords({ label, probability, value, share, unit }: PredictRow): string {
  if (share !== undefined) return `${percent(share, 0)} ${label}`;
  if (probability !== undefined) return `${brieflyCertain(probability)} ${label}`;
  return `${brief(value)}${unit ? ` ${unit}` : ""}`;
}

/** One image on the sheet. */
function tile({ name, label, image, rows, right, shown, outputs }: Prediction, order: readonly number[]): SheetTile {
  const said = briefWords(rows[0]);
  const others = outputs.filter((part) => part !== shown);
  return {
    pixels: shown.map?.shape.length === 2 ? overlaid(shown.map, tileOf(image), order) : tileOf(image),
    lines: [
      right === false ? `✗ ${said}` : said,
      ...others.slice(0, 3).map((part) => briefWords(part.rows[0])),
      label ?? name,
    ],
    words: [
      name,
      ...label === undefined ? [] : [`label: ${label}`],
      ...rows.map((row) => `${row.label} ${rowWords(row)}`),
      ...others.map((part) => `${part.name}: ${foundWords(part)}`),
    ].join("\n"),
    alt: `${name}: ${said}${right === undefined ? "" : right ? ", right" : `, wrong: ${label}`}`,
    outlined: right === false,
  };
}

/**
 * @param title of the sheet, as `"resnet50 · predictions"`
 * @param skipped images that could not be read
 */
export const collectPredictions = (
  items: readonly Prediction[],
  title: string,
  skipped: readonly SkippedImage[] = [],
): Predictions => Predictions.titled(items, title, skipped);
