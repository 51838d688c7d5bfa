/**
 * What `transferability` returns: which models are fooled by images that were made for others.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import type { Chart, Series } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, percent } from "../format.ts";
import { Result } from "./result.ts";
import { ATTACK_NAMES } from "./robustness.ts";
import { skippedNote } from "./skipped.ts";

/** Images that were made to fool one model, shown to one. */
export interface TransferRow {
  /** The model that they were made for. */
  from: string;
  /** The model that they are shown to. */
  to: string;
  /** How many images both models had right before. */
  images: number;
  /** How many of these the second has wrong afterwards. */
  fooled: number;
  /** Their share; NaN where there are none. Beside it its interval of 95 % (Wilson). */
  rate: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
}

/** A table of models by models: how many images made for one fool the other. */
export class Transferability extends Result<TransferRow> {
  /** One for each pair of models, also of one with itself. */
  readonly rows: readonly TransferRow[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #dataset: string;
  readonly #attack: { method: string; epsilon: number; steps: number };

  /** @internal */
  constructor({ rows, dataset, attack, skipped }: {
    rows: readonly TransferRow[];
    dataset: string;
    attack: { method: string; epsilon: number; steps: number };
    skipped: readonly SkippedImage[];
  }) {
    super();
    this.rows = rows;
    this.skipped = skipped;
    this.#dataset = dataset;
    this.#attack = attack;
  }

  /** The table: a row for each model that images were made for, a column for each that sees them. */
  override figure(): Figure {
    const names = [...new Set(this.rows.map(({ from }) => from))];
    const { method, epsilon, steps } = this.#attack;
    const words = ({ rate, low, high, fooled, images }: TransferRow) =>
      images ? `${percent(rate)} (${percent(low)} to ${percent(high)}), ${fooled} of ${images}` : "none to count";
    const of = (from: string, to: string) => this.rows.find((row) => row.from === from && row.to === to)!;
    const how = method === "fgsm" || method === "random" ? "" : `, ${steps} steps`;
    return new Figure({
      title: `Transfer · ${names.join(", ")} · ${this.#dataset}`,
      caption: [
        `Of the images that both models have right, those that the model of the column has wrong once they are changed ` +
        `against the model of the row: ${ATTACK_NAMES[method]}, ε ${brief(epsilon)} of 255${how}; intervals of 95 % ` +
        `(Wilson).`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [this.#chart(names), {
        kind: "table",
        columns: [
          { title: "made for" },
          ...names.map((name) => ({ title: `fools ${name}`, align: "right" as const })),
        ],
        rows: names.map((from) => [from, ...names.map((to) => words(of(from, to)))]),
      }],
      lines: this.rows.map((row) => `${row.from} → ${row.to}: ${words(row)}`),
    });
  }

  /** The same as bars: for each model that images were made for, those that see them side by side. */
  #chart(names: readonly string[]): Chart {
    return {
      kind: "chart",
      series: names.map((to): Series => {
        const own = this.rows.filter((row) => row.to === to);
        return {
          label: `fools ${to}`.replaceAll("·", "-"),
          x: own.map((_, i) => i),
          y: own.map(({ rate }) => rate),
          low: own.map(({ low }) => low),
          high: own.map(({ high }) => high),
          as: "bars",
        };
      }),
      names: names.map((from) => `made for ${from}`),
      x: { title: "" },
      y: { title: "share fooled", min: 0, max: 1 },
      width: Math.min(700, 240 + 130 * names.length),
      alt: `Share fooled: ${this.rows.map(({ from, to, rate }) => `${from} → ${to} ${percent(rate)}`).join(", ")}`,
    };
  }
}
