/**
 * What is true of an image of a data set, as a model's outputs have it: a class, labels or numbers.
 *
 * @module
 */

import { type Dataset, type DatasetRow, ImageDataset } from "../data/dataset.ts";
import { kindOf, nearest, nearestOf } from "../errors.ts";
import { rule } from "../options.ts";
import { type MapPlace, mapTruth } from "./map_truth.ts";
import type { Model } from "../model/model.ts";

/** A row of a data set, all of its columns. */
export type Known = DatasetRow & Readonly<Record<string, unknown>>;

/** Where what is true stands: in a column of this name, or what a function makes of a row. */
export type TruthOf = string | ((row: Known) => unknown);

/** The rule of an option that says where what is true stands. */
export const truthOf = rule((name, value) => {
  if (typeof value === "string" || typeof value === "function") return;
  throw new TypeError(`${name} must be a column's name or a function of { id, label, … }: received ${kindOf(value)}.`);
});

/** Reads what is true of images as numbers, one for each of a model's outputs, or the index of the class. */
export class TruthReader {
  /** The names of the outputs: the model's labels; where it has none the data set's, if they are as many. */
  readonly labels: readonly string[];
  /** What is to be said of the names. */
  readonly note: string;
  readonly #model: Model;
  readonly #dataset: Dataset;
  readonly #of: TruthOf | undefined;
  readonly #indices: ReadonlyMap<string, readonly number[]>;

  /** @throws {RangeError} if labels that the data set's images have are none of the model's */
  constructor(model: Model, dataset: Dataset, of: TruthOf | undefined) {
    this.#model = model;
    this.#dataset = dataset;
    this.#of = of;
    const { output } = model;
    const borrowed = output.kind !== "map" && !model.labels && output.kind !== "numbers" &&
      dataset.labels?.length === output.labels.length;
    this.labels = borrowed ? dataset.labels! : output.labels;
    this.note = borrowed ? "The model has no labels: those of the data set name its outputs, in their order." : "";
    this.#indices = Map.groupBy(this.labels.keys(), (i) => this.labels[i]);
    if (of !== undefined || output.kind === "numbers" || output.kind === "map") return;
    // Told before anything is computed.
    const given = dataset instanceof ImageDataset && dataset.counts.length
      ? dataset.counts.filter(({ images }) => images > 0).map(({ label }) => label)
      : dataset.labels ?? [];
    const unknown = given.find((label) => !this.#indices.has(label));
    if (unknown !== undefined) throw this.#unknown(unknown);
  }

  /** @throws {TypeError} if nothing is known of the image */
  #value(row: Known): unknown {
    const { output } = this.#model;
    const value = typeof this.#of === "function"
      ? this.#of(row)
      : this.#of !== undefined
      ? row[this.#of]
      : output.kind === "numbers"
      ? row["values"] ?? row["value"] ??
        (this.labels.every((label) => row[label] !== undefined) ? this.labels.map((label) => row[label]) : row.label)
      : output.kind === "map"
      ? row["mask"] ?? row["map"]
      : output.kind === "labels"
      ? row["labels"] ?? row.label
      : row.label;
    if (value !== undefined && value !== null) return value;
    const wanted = { numbers: "value", labels: "labels", map: "mask" }[output.kind as string] ?? "label";
    const found = Object.keys(row).filter((name) => row[name] !== undefined).join(", ");
    throw new TypeError(
      typeof this.#of === "function"
        ? `truth gives ${value} for the image ${JSON.stringify(row.id)} of ${
          JSON.stringify(this.#dataset.name)
        }; wanted ${this.#wanted}.`
        : `The image ${JSON.stringify(row.id)} of ${JSON.stringify(this.#dataset.name)} has no ` +
          `${typeof this.#of === "string" ? this.#of : wanted}, only ${found}; wanted ${this.#wanted}. ` +
          `Give a column's name, or a function of { id, label, … }, as truth.`,
    );
  }

  get #wanted(): string {
    const { kind, each, count } = this.#model.output;
    if (kind === "map") {
      const of = each === "numbers"
        ? "numbers"
        : each === "labels"
        ? "1 and 0"
        : `indices of classes, 0 to ${this.labels.length - 1}`;
      return `a map [h, w${count > 1 && (each === "numbers" || each === "labels") ? `, ${count}` : ""}] of ${of}`;
    }
    if (kind === "numbers") return count === 1 ? "the number that is true" : `the ${count} numbers that are true`;
    const range = `0 to ${this.labels.length - 1}`;
    return kind === "labels"
      ? `an array of its labels or their indices, ${range}`
      : `its class's label or index, ${range}, or an array of several that are right`;
  }

  /** Where an image's truth is wrong. */
  #at = (row: Known) => `What is true of the image ${JSON.stringify(row.id)} of ${JSON.stringify(this.#dataset.name)}`;

  #unknown(label: string): RangeError {
    return new RangeError(
      `The data set ${JSON.stringify(this.#dataset.name)} has the label ${
        JSON.stringify(label)
      }, which is none of the ` +
        `${this.labels.length} of the model ${JSON.stringify(this.#model.name)}. ${nearestOf(label, this.labels)} ` +
        `Say which of the model's labels is meant by truth: ({ label }) => ({ ${JSON.stringify(label)}: ${
          JSON.stringify(nearest(label, this.labels, 1)[0])
        } })[label].`,
    );
  }

  #index(value: unknown, row: Known): number {
    if (typeof value === "string") {
      const [index, other] = this.#indices.get(value) ?? [];
      if (index === undefined) throw this.#unknown(value);
      if (other === undefined) return index;
      throw new RangeError(
        `${this.#at(row)} is ${
          JSON.stringify(value)
        }, which names the ${this.#model.output.nouns} ${index} and ${other} of ` +
          `${JSON.stringify(this.#model.name)}. Give the index of one of them by truth.`,
      );
    }
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < this.labels.length) {
      return value as number;
    }
    throw new RangeError(
      `${this.#at(row)} must be ${this.#wanted}: received ${kindOf(value)}.`,
    );
  }

  /**
   * The index of an image's class; of several of which each would be right, all.
   *
   * @throws {TypeError} if it has none
   * @throws {RangeError} if one is none of the model's
   */
  classesOf(row: Known): number[] {
    const value = this.#value(row);
    const each: readonly unknown[] = Array.isArray(value) && value.length > 0 ? value : [value];
    return each.map((one) => this.#index(one, row));
  }

  /**
   * What is true at each place of an image's map; NaN where nothing is known.
   *
   * @throws {TypeError} if nothing is known of the image
   * @throws {RangeError} if it does not fit the map
   */
  async mapOf(row: Known, place: MapPlace): Promise<Float32Array> {
    return await mapTruth(this.#value(row), this.#model.output, place, this.#at(row));
  }

  /**
   * The numbers that are true of an image, one for each output; of independent labels 1 or 0.
   *
   * @throws {TypeError} if nothing is known of it
   * @throws {RangeError} if it does not fit the model's outputs
   */
  valuesOf(row: Known): number[] {
    const value = this.#value(row);
    const each = Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<unknown>) : [value];
    const { length } = this.labels;
    if (this.#model.output.kind === "labels") {
      if (each.length === length && each.every((one) => typeof one === "boolean")) return each.map(Number);
      const has = new Set(each.map((one) => this.#index(one, row)));
      return Array.from({ length }, (_, i) => Number(has.has(i)));
    }
    // A folder's name may be a number.
    const numbers = each.map((one) => typeof one === "string" && one.trim() !== "" ? Number(one) : one);
    if (each.length === length && numbers.every(Number.isFinite)) return numbers as number[];
    throw new RangeError(
      `${this.#at(row)} must be ${this.#wanted}: received ${
        each.length === 1 ? kindOf(each[0]) : `[${each.map(kindOf).join(", ")}]`
      }. A column's name or a function of { id, label, … } as truth says where it stands.`,
    );
  }
}
