/**
 * A map of a trained network beside those of networks with random weights, with their similarity.
 *
 * @module
 */

import type { Likeness } from "../data/records.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { fixed } from "../format.ts";
import { type Attribution, flatMapOf } from "./attribution.ts";
import { Result } from "./result.ts";

/** How alike the trained model's map and a randomised model's are. */
export interface SanityRow extends Likeness {
  /** The layer that was randomised last (with `"independent"`: alone), or `"random labels"`. */
  layer: string;
}

const fixed2 = (value: number) => fixed(value, 2);
/** The stage of a network that was trained on shuffled labels. */
export const RANDOM_LABELS = "random labels";
/** How many maps are in a row of the figure. */
const IN_A_ROW = 3;

/** How a method's map changes while a network forgets; in a cell, the maps and the curves of their similarity. */
export class SanityCheck extends Result<SanityRow> {
  /** One row a stage, from the top layer down. */
  readonly rows: readonly SanityRow[];
  /** The map of the model as it was given. */
  readonly trained: Attribution;
  /** The map of each row. */
  readonly attributions: readonly Attribution[];
  /** How much of the map is left, on average over the randomised layers: 0 is what a method should come to. */
  readonly score: number;
  /** Whether the score is below {@linkcode FAILS_FROM}, and the trained model's map has anything to lose. */
  readonly passed: boolean;
  readonly #mode: "cascading" | "independent";

  /** @internal */
  constructor(
    trained: Attribution,
    stages: readonly (SanityRow & { readonly attribution: Attribution })[],
    mode: "cascading" | "independent",
  ) {
    super();
    this.trained = trained;
    this.attributions = stages.map(({ attribution }) => attribution);
    this.rows = stages.map(({ layer, spearman, spearmanSigned, ssim }) => ({ layer, spearman, spearmanSigned, ssim }));
    this.score = sanityScore(this.rows);
    this.passed = passes(this.score, trained);
    this.#mode = mode;
  }

  /** The curves of similarity, and the map of each stage. */
  override figure(): Figure {
    const { model, method, name, targetText } = this.trained;
    const { kind = "" } = this.trained.target;
    const noun = ["class", "label"].includes(kind) ? kind : "target";
    const flat = flatMapOf(this.trained.map);
    const empty = !this.passed && this.score < FAILS_FROM;
    const outcome = empty
      ? `fails: the trained model's map ${flat?.text}`
      : `${this.passed ? "passes" : "fails"}: ${fixed2(this.score)} of the map is left`;
    const title = `${model} · sanity check of ${method} · ${outcome} · ${targetText} · ${name}`;
    const caption = (flat ? `As trained: ${this.trained.remark} ` : "") +
      `${
        this.#mode === "cascading"
          ? "All layers from the top down to the one named have random weights"
          : "The layer named has random weights, all others are as trained"
      }; the map explains the same ${noun} throughout. A method that looks at what was learned loses its map. Rank ` +
      `correlation (Spearman) of magnitudes and of signed values, structural similarity (SSIM) of magnitudes, each with ` +
      `the trained model's map. What is left is the mean of the three over all stages; a method fails from ` +
      `${FAILS_FROM} on (Adebayo et al. 2018; the threshold is ours).`;
    const maps: Picture[] = [
      { ...this.trained.picture(), heading: "as trained", note: "ρ 1 · SSIM 1" },
      ...this.attributions.map((attribution, i): Picture => ({
        ...attribution.picture(),
        heading: `${this.#mode === "cascading" && this.rows[i].layer !== RANDOM_LABELS ? "down to " : ""}${
          this.rows[i].layer
        }`,
        note: `ρ ${fixed2(this.rows[i].spearman)} · SSIM ${fixed2(this.rows[i].ssim)}`,
      })),
    ];
    const series = [
      ["rank correlation of magnitudes", this.rows.map(({ spearman }) => spearman)],
      ["rank correlation, signed", this.rows.map(({ spearmanSigned }) => spearmanSigned)],
      ["SSIM", this.rows.map(({ ssim }) => ssim)],
    ] as const;
    const names = ["as trained", ...this.rows.map(({ layer }) => layer)];
    const blocks: Block[] = [{
      kind: "chart",
      series: series.map(([label, values]) => ({ label, x: names.map((_, i) => i), y: [1, ...values] })),
      x: { title: this.#mode === "cascading" ? "randomised down to" : "randomised" },
      y: {
        title: "similarity to the trained map",
        min: Math.min(0, ...series.flatMap(([, values]) => values)),
        max: 1,
      },
      names,
      width: 720,
      height: 280,
      alt: `Similarity of ${method} maps to the trained model's map as layers are randomised`,
    }];
    blocks.push({ kind: "row", columns: IN_A_ROW, blocks: maps });
    return new Figure({ title, caption, blocks });
  }
}

/** Whether a map is lost as it should be; one that is the same everywhere had nothing to lose. */
export const passes = (left: number, { map }: Attribution): boolean =>
  left < FAILS_FROM && ["negative", undefined].includes(flatMapOf(map)?.kind);

/** A method fails if so much of its map is left. */
export const FAILS_FROM = 0.5;

/** How much of a map is left: the mean of all three similarities over all stages; one below 0 counts as 0. */
export function sanityScore(rows: readonly Omit<SanityRow, "layer">[]): number {
  const all = rows.flatMap(({ spearman, spearmanSigned, ssim }) => [spearman, spearmanSigned, ssim]);
  return all.reduce((sum, value) => sum + Math.max(0, value), 0) / all.length;
}
