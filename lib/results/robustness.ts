/**
 * What `robustness` returns: the accuracy of models by how strongly they are attacked.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import type { Series } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, percent } from "../format.ts";
import { accuracySeries } from "./accuracy_series.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One model under one attack of one strength. */
export interface RobustnessRow {
  /** The model's name. */
  model: string;
  /** The attack. */
  method: string;
  /** By how much each value may change, of 255. */
  epsilon: number;
  /** How many images were attacked. */
  images: number;
  /** How many of them the model still has right. */
  right: number;
  /** Their share; beside it its interval of 95 % (Wilson). */
  accuracy: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
  /** How sure the model is of its answers where they are wrong, on average; null where none is. */
  confidence: number | null;
}

/** What the attacks are called. */
export const ATTACK_NAMES: Record<string, string> = {
  fgsm: "FGSM",
  iterative: "iterative FGSM",
  pgd: "PGD",
  random: "random signs",
};

/** Accuracy by epsilon, of several models and attacks. */
export class Robustness extends Result<RobustnessRow> {
  /** One for each model, attack and epsilon. */
  readonly rows: readonly RobustnessRow[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #dataset: string;
  readonly #steps: number;

  /** @internal */
  constructor({ rows, dataset, steps, skipped }: {
    rows: readonly RobustnessRow[];
    dataset: string;
    steps: number;
    skipped: readonly SkippedImage[];
  }) {
    super();
    this.rows = rows;
    this.skipped = skipped;
    this.#dataset = dataset;
    this.#steps = steps;
  }

  /** One chart for each attack, a line for each model; of one model one chart, a line for each attack. */
  override figure(): Figure {
    const models = [...new Set(this.rows.map(({ model }) => model))];
    const methods = [...new Set(this.rows.map(({ method }) => method))];
    const several = models.length > 1;
    const line = (model: string, method: string): Series => {
      const own = this.rows.filter((row) => row.model === model && row.method === method);
      return accuracySeries(several ? model : ATTACK_NAMES[method], own, ({ epsilon }) => epsilon);
    };
    const charts = several
      ? methods.map((method) => ({
        heading: ATTACK_NAMES[method],
        series: models.map((model) => line(model, method)),
      }))
      : [{ heading: models[0], series: methods.map((method) => line(models[0], method)) }];
    const [{ images }] = this.rows;
    return new Figure({
      title: `Robustness · ${models.join(", ")} · ${this.#dataset}`,
      caption: [
        `Accuracy on ${
          images.toLocaleString("en-US")
        } images of which each value was moved by up to ε of 255 against ` +
        `the true class; bands of 95 % (Wilson).`,
        methods.some((method) => method === "pgd" || method === "iterative")
          ? `${
            methods.filter((method) => method === "pgd" || method === "iterative").map((method) => ATTACK_NAMES[method])
              .join(" and ")
          }: ${this.#steps} steps.`
          : "",
        methods.includes("random") ? "Random signs are no attack: they show what noise of that size does." : "",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [{
        kind: "row",
        blocks: charts.map(({ heading, series }) => ({
          kind: "chart",
          heading,
          series,
          x: { title: "ε, of 255", min: 0 },
          y: { title: "accuracy", min: 0, max: 1 },
          width: several ? 380 : 560,
          height: 280,
          alt: `${heading}: accuracy by epsilon of ${series.map(({ label }) => label).join(", ")}`,
        })),
      }],
      lines: this.rows.map(({ model, method, epsilon, accuracy, low, high }) =>
        `${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${model} · ${
          ATTACK_NAMES[method]
        } · ε ${brief(epsilon)}`
      ),
    });
  }
}
