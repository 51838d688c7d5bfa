/**
 * Whether an attribution method looks at what the network learned, or only at the image.
 *
 * Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim, "Sanity Checks for Saliency Maps" (2018).
 *
 * @module
 */

import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, kindOf } from "../errors.ts";
import type { Attribution } from "../results/attribution.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import { subjectsOf } from "../probe/attribution/attribute.ts";
import {
  FAILS_FROM,
  likeness,
  type MapMethod,
  randomizeLayers,
  sanityScore,
  type Stage,
  stops,
  topDown,
  untrained,
} from "../probe/attribution/sanity.ts";
import { checkClassTarget } from "../probe/target.ts";

/** An attribution method, as `saliency`, or a function that calls one with options of its own. */
export type AttributionMethod = MapMethod<Attribution>;

export interface SanityCheckOptions {
  /**
   * The class whose maps are compared: a label, an index or `"predicted"`.
   * @default "predicted"
   */
  target?: string | number;
  /**
   * `"cascading"`: all layers from the top down to each stop have random weights; `"independent"`: only the one layer
   * has.
   * @default "cascading"
   */
  mode?: "cascading" | "independent";
  /**
   * At which layers a map is made, in any order; they are gone through from the top down.
   * @default of all layers with kernels at most 11, evenly spread, the last and the first among them
   */
  layers?: readonly string[];
  /**
   * Trains the model that it is given, whose weights are all random, on labels that were shuffled, and returns it. If it
   * is given, the map of what it returns is compared, too (§4.2 of the paper).
   */
  randomLabels?: (untrained: Model, options: { seed: number; signal?: AbortSignal }) => Promise<Model>;
  /**
   * Sets the random weights.
   * @default 0
   */
  seed?: number;
  /** Stops between maps; the method is given it, too. */
  signal?: AbortSignal;
  /** Called after each map with the number of maps made. */
  onProgress?: (done: number, total: number) => void;
}

/** How alike the trained model's map and a randomised model's are. */
export interface SanityRow {
  /** The layer that was randomised last (with `"independent"`: alone), or `"random labels"`. */
  layer: string;
  /** Rank correlation of the maps' magnitudes, −1 … 1. */
  spearman: number;
  /** Rank correlation of the values with their signs. */
  spearmanSigned: number;
  /** Structural similarity of the maps' magnitudes. */
  ssim: number;
}

const RANDOM_LABELS = "random labels";
/** With the trained model's map they fill the rows of the figure. */
const MOST_STOPS = 11;
/** So many maps stand in a row of the figure. */
const IN_A_ROW = 3;

const brief = (value: number) => value.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−");

/** How a method's map changes while a network forgets; in a cell, the maps and the curves of their similarity. */
export class SanityCheck extends Shown {
  /** One row a stage, from the top layer down. */
  readonly rows: readonly SanityRow[];
  /** The map of the model as it was given. */
  readonly trained: Attribution;
  /** The map of each row. */
  readonly attributions: readonly Attribution[];
  /** How much of the map is left, on average over the randomised layers: 0 is what a method should come to. */
  readonly score: number;
  /** Whether the score is below {@linkcode FAILS_FROM}. */
  readonly passed: boolean;
  readonly #mode: "cascading" | "independent";

  constructor(trained: Attribution, stages: readonly Stage<Attribution>[], mode: "cascading" | "independent") {
    super();
    this.trained = trained;
    this.attributions = stages.map(({ attribution }) => attribution);
    this.rows = stages.map(({ layer, spearman, spearmanSigned, ssim }) => ({ layer, spearman, spearmanSigned, ssim }));
    this.score = sanityScore(this.rows);
    this.passed = this.score < FAILS_FROM;
    this.#mode = mode;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { model, method, name, targetText } = this.trained;
    const verdict = `${this.passed ? "passes" : "fails"}: ${brief(this.score)} of the map is left`;
    const title = `${model} · sanity check of ${method} · ${verdict} · ${targetText} · ${name}`;
    const caption =
      `${
        this.#mode === "cascading"
          ? "All layers from the top down to the one named have random weights"
          : "The layer named has random weights, all others are as trained"
      }; the map explains the same class throughout. A method that looks at what was learned loses its map. Rank ` +
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
        note: `ρ ${brief(this.rows[i].spearman)} · SSIM ${brief(this.rows[i].ssim)}`,
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
    for (let i = 0; i < maps.length; i += IN_A_ROW) blocks.push({ kind: "row", blocks: maps.slice(i, i + IN_A_ROW) });
    const lines = this.rows.map(({ layer, spearman, spearmanSigned, ssim }) =>
      `  ${layer.padEnd(24)} ρ ${brief(spearman)}  signed ρ ${brief(spearmanSigned)}  SSIM ${brief(ssim)}`
    );
    return new Figure({ title, caption, blocks, text: [title, ...lines].join("\n") });
  }
}

/**
 * Checks whether an attribution method depends on the network's weights: its map is compared with those of copies of the
 * network whose layers are randomised from the top down.
 *
 * Random weights are those before training: normally distributed kernels of variance 2 / fan-in, zeros, and ones for
 * scales and variances.
 *
 * @param model the model; nothing on it changes, all is done on a copy
 * @param method an attribution method, called with the class's index as its `target`
 * @returns `rows` `{ layer, spearman, spearmanSigned, ssim }`; `score`, how much of the map is left; `passed`; the maps
 * @throws {RangeError} if a layer does not exist or has no weights
 *
 * @example
 * ```ts
 * (await sanityCheck(model, dog, saliency)).passed;
 * await sanityCheck(model, dog, (model, image, { target }) => gradCam(model, image, { target, layer: "add_16" }));
 * ```
 */
export async function sanityCheck(
  model: Model,
  image: ImageLike,
  method: AttributionMethod,
  options: SanityCheckOptions = {},
): Promise<SanityCheck> {
  checkModel("sanityCheck", model);
  checkOptions("sanityCheck", options, {
    target: true,
    mode: true,
    layers: true,
    randomLabels: true,
    seed: true,
    signal: true,
    onProgress: true,
  });
  const { target = "predicted", mode = "cascading", randomLabels, seed = 0, signal, onProgress } = options;
  checkClassTarget("sanityCheck", target);
  if (typeof method !== "function") {
    throw new TypeError(`sanityCheck wants an attribution method, as saliency: received ${kindOf(method)}.`);
  }
  if (mode !== "cascading" && mode !== "independent") {
    throw new RangeError(`mode must be "cascading" or "independent": received ${JSON.stringify(mode)}.`);
  }
  const layers = options.layers ? topDown(model, options.layers) : stops(model, MOST_STOPS);
  const source = await toImage(image);
  const { subjects: [subject] } = await subjectsOf(model, source, target, { signal });
  const { index } = subject.target as { index: number };
  const make = (of: Model) => method(of, source, { target: index, signal });
  const total = layers.length + 1 + Number(Boolean(randomLabels));
  return await withProgress(`Sanity check with ${model.name}`, total, async (update) => {
    const report = (done: number) => {
      update(done);
      onProgress?.(done, total);
    };
    const [{ trained, stages }] = await randomizeLayers(model, [make], {
      mode,
      layers,
      seed,
      signal,
      onProgress: report,
    });
    if (randomLabels) {
      const fresh = await untrained(model, seed);
      try {
        const attribution = await make(await randomLabels(fresh.model, { seed, signal }));
        stages.push({ layer: RANDOM_LABELS, attribution, ...likeness(trained, attribution) });
      } finally {
        fresh.dispose();
      }
      report(total);
    }
    return new SanityCheck(trained, stages, mode);
  });
}
