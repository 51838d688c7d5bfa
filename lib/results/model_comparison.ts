/**
 * What `compareModels` returns: how alike the layers of two networks are, how far they agree, and where they part.
 *
 * @module
 */

import { channelOf, extent, NdArray, type NdArrayLike } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { TILE, tileOf } from "../data/sample.ts";
import type { Interval } from "../embed/agreement.ts";
import { cohenKappa } from "../embed/paired.ts";
import type { Block, Matrix, Picture, Row, Sheet, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed, percent } from "../format.ts";
import { oneOf, readOptions } from "../options.ts";
import { inputBlock } from "./input_block.ts";
import { chanceText, intervalText, type PairAccuracy, pairAccuracy, shareOf } from "./pair_accuracy.ts";
import { mapsPicture } from "./panels.ts";
import { brieflyCertain } from "./predictions.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** Two layers, one of each network. */
export interface LayerSimilarity {
  /** The layer of the first network. */
  a: string;
  /** The layer of the second. */
  b: string;
  /** Their linear CKA: 1 the same but for a turn and a scale, 0 nothing in common (an estimate may be a little below); NaN
   * where a layer makes the same of all images. */
  cka: number;
  /** The lower end of its interval of 95 % (bootstrap over minibatches); null of fewer than 8 of them. */
  low: number | null;
  /** The upper end. */
  high: number | null;
}

/** What both networks answer to one image. */
export interface PairAnswer {
  /** The image's id in the data set. */
  readonly id: string;
  /** The label that it has there. */
  readonly label?: string;
  /** What the first network predicts. */
  readonly a: string;
  /** What the second predicts. */
  readonly b: string;
  /** How probable its answer is to the first. */
  readonly confidenceA: number;
  /** How probable its answer is to the second. */
  readonly confidenceB: number;
  /** Whether both predict the same. */
  readonly same: boolean;
  /** Whether the first is right; absent without a label that both can give. */
  readonly rightA?: boolean;
  /** Whether the second is. */
  readonly rightB?: boolean;
}

/** Who is right of those that part: only the first network, only the second, none; or that is not known. */
export type PartedGroup = "a" | "b" | "none" | "unknown";

/** An image on which both part. */
export interface PartedImage extends Omit<PairAnswer, "same" | "rightA" | "rightB"> {
  /** How sure both are: the smaller of their probabilities. */
  readonly sure: number;
  /** The image as the first network saw it, at most 104 pixels large. */
  readonly image: NdArrayLike;
}

/** How often both give the same answer. */
export interface ModelAgreement extends Interval {
  /** How many images. */
  readonly images: number;
  /** On how many of them they give the same answer. */
  readonly same: number;
  /** The same beyond chance. */
  readonly kappa: Interval;
}

/** What two layers make of one image. */
interface DrawnLayer {
  readonly layer: string;
  readonly maps: NdArrayLike;
  readonly shape: readonly number[];
  readonly channels: readonly number[];
}

/** What a comparison is made of. */
interface ComparisonParts {
  readonly rows: readonly LayerSimilarity[];
  readonly layers: readonly [readonly string[], readonly string[]];
  readonly images: number;
  readonly answers: readonly PairAnswer[];
  readonly parted: Readonly<Record<PartedGroup, readonly PartedImage[]>>;
  readonly activations: { image: string; view: NdArrayLike; of: readonly [DrawnLayer, DrawnLayer] } | null;
  readonly skipped: readonly SkippedImage[];
  readonly seed: number;
  readonly names: { a: string; b: string; dataset: string; pool: string; why: string };
}

function agreementOf(answers: readonly PairAnswer[]): ModelAgreement | null {
  if (answers.length === 0) return null;
  const same = answers.filter((answer) => answer.same).length;
  const kappa = cohenKappa(answers.map(({ a }) => a), answers.map(({ b }) => b));
  return { images: answers.length, same, ...shareOf(same, answers.length), kappa };
}

function accuracyOf(answers: readonly PairAnswer[], seed: number): PairAccuracy | null {
  const known = answers.filter(({ rightA }) => rightA !== undefined);
  if (known.length === 0) return null;
  return pairAccuracy(known.map(({ rightA }) => rightA!), known.map(({ rightB }) => rightB!), seed);
}

/** So many feature maps are drawn of each network: those with the largest values. */
const MOST_MAPS = 24;
/** Below this share of the other layer's values, little is seen on one scale. */
const FAINT = 0.2;
/** Two grids side by side in a cell. */
const GRID = 420;

/** How a comparison of two networks is drawn. */
export class ModelComparisonFigureOptions {
  /**
   * Whether the activations of both are drawn on one scale, `"shared"`, or each layer on its own, `"layer"`: where the numbers of
   * one are far smaller.
   * @default "shared"
   */
  @oneOf("shared", "layer")
  scale: "shared" | "layer" = "shared";
}

/** Two networks compared; in a cell what they get right, the similarity of their layers, the images on which they part. */
export class ModelComparison extends Result<LayerSimilarity> {
  /** One for each pair of layers: those of the second within those of the first. */
  readonly rows: readonly LayerSimilarity[];
  /** The CKA of each pair, `[layers of a, layers of b]`. */
  readonly similarity: NdArray;
  /** The layers of both, as rows and columns of `similarity`. */
  readonly layers: readonly [readonly string[], readonly string[]];
  /** How many images both have seen. */
  readonly images: number;
  /** What both answer, one an image, in the data set's order; empty where they tell no classes apart, or have none in common. */
  readonly answers: readonly PairAnswer[];
  /** How often they agree; null where `answers` is empty. */
  readonly agreement: ModelAgreement | null;
  /** How often each is right; null where no image has a label that both can give. */
  readonly accuracy: PairAccuracy | null;
  /**
   * The images on which both are surest of different answers: where only the first is right (`a`), only the second (`b`), none,
   * and those without a known label.
   */
  readonly parted: Readonly<Record<PartedGroup, readonly PartedImage[]>>;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #names: ComparisonParts["names"];
  readonly #activations: ComparisonParts["activations"];

  /** @internal */
  constructor({ rows, layers, images, answers, parted, activations, skipped, seed, names }: ComparisonParts) {
    super();
    this.rows = rows;
    this.layers = layers;
    this.images = images;
    this.similarity = new NdArray(Float32Array.from(rows, ({ cka }) => cka), layers.map(({ length }) => length));
    this.answers = answers;
    this.agreement = agreementOf(answers);
    this.accuracy = accuracyOf(answers, seed);
    this.parted = parted;
    this.skipped = skipped;
    this.#names = names;
    this.#activations = activations;
  }

  /**
   * What both get right, the similarity of their layers, the images on which they part, and activations on one scale.
   *
   * @throws {RangeError} if `scale` is none that is known
   */
  override figure(options: Partial<ModelComparisonFigureOptions> = {}): Figure {
    const { scale } = readOptions("figure", ModelComparisonFigureOptions, options);
    const { a, b, dataset, pool, why } = this.#names;
    const { accuracy, agreement, rows } = this;
    const finite = rows.filter(({ cka }) => Number.isFinite(cka));
    const best = finite.reduce((most, row) => row.cka > most.cka ? row : most, finite[0]);
    const pooled = pool === "none"
      ? "feature maps laid out whole"
      : `the ${pool === "mean" ? "mean" : "largest value"} of each map`;
    return new Figure({
      title: `${a} and ${b} · ${this.images.toLocaleString("en-US")} images of ${dataset}`,
      caption: [
        `Similarity is linear CKA of what two layers make of the same images (${pooled}; unbiased, over minibatches): 1 where ` +
        "one is the other turned and scaled, 0 where they have nothing in common.",
        best ? `Most alike: ${best.a} and ${best.b}, ${similarityText(best)}.` : "",
        finite.length < rows.length ? "–: a layer makes the same of all images." : "",
        agreement ? "Shares have intervals of 95 % (Wilson), the difference that of the paired bootstrap." : why,
        accuracy
          ? "McNemar's exact test asks whether the difference may be chance; error consistency, whether they err on the same " +
            "images more than their accuracies alone would make them (0 as by chance, 1 always)."
          : "",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        ...agreement ? [this.#summary(agreement)] : [],
        this.#similarities(),
        ...this.#sheets(),
        ...this.#activations ? [this.#drawn(this.#activations, scale)] : [],
      ],
    });
  }

  #summary({ images, same, kappa, ...share }: ModelAgreement): Row {
    const { a, b } = this.#names;
    const { accuracy } = this;
    const shares = (value: number) => percent(value);
    const table: Table = {
      kind: "table",
      columns: [{ title: "" }, { title: "value", align: "right" }, { title: "95 %", align: "right" }],
      rows: [
        ...accuracy
          ? [
            [`${a} right`, percent(accuracy.a.value), intervalText(accuracy.a, shares)],
            [`${b} right`, percent(accuracy.b.value), intervalText(accuracy.b, shares)],
            ["difference", percent(accuracy.difference.value), intervalText(accuracy.difference, shares)],
            ["p (McNemar, exact)", chanceText(accuracy.mcnemar.p), ""],
          ]
          : [],
        [`same answer, ${same} of ${images}`, percent(share.value), intervalText(share, shares)],
        ["Cohen's kappa", fixed(kappa.value), intervalText(kappa, fixed)],
        ...accuracy
          ? [[
            "error consistency",
            fixed(accuracy.errorConsistency.value),
            intervalText(accuracy.errorConsistency, fixed),
          ]]
          : [],
      ],
    };
    return { kind: "row", blocks: accuracy ? [table, this.#counts(accuracy)] : [table] };
  }

  #counts({ images, both, onlyA, onlyB, neither }: PairAccuracy): Matrix {
    const { a, b } = this.#names;
    const cell = (count: number, right: boolean, words: string) => ({
      count,
      share: count / images,
      right,
      words: `${words}: ${count} of ${images}`,
    });
    return {
      kind: "matrix",
      corner: "images",
      rows: [`${a} right`, `${a} wrong`],
      columns: [`${b} right`, `${b} wrong`],
      cells: [
        [cell(both, true, "both right"), cell(onlyA, false, `only ${a} right`)],
        [cell(onlyB, false, `only ${b} right`), cell(neither, true, "both wrong")],
      ],
      sides: [],
    };
  }

  #similarities(): Matrix {
    const [rows, columns] = this.layers;
    return {
      kind: "matrix",
      heading: "Similarity of layers",
      note: `Rows: ${this.#names.a}; columns: ${this.#names.b}.`,
      corner: "CKA",
      rows,
      columns,
      cells: rows.map((_, y) =>
        columns.map((_, x) => {
          const row = this.rows[y * columns.length + x];
          return {
            count: row.cka,
            text: fixed(row.cka, 2),
            share: Math.max(0, Math.min(1, row.cka)) || 0,
            right: true,
            words: `${row.a} and ${row.b}: ${similarityText(row)}`,
          };
        })
      ),
      sides: [],
    };
  }

  #sheets(): Sheet[] {
    const { a, b } = this.#names;
    const { accuracy, answers } = this;
    const apart = answers.filter(({ same }) => !same);
    const unknown = apart.filter(({ rightA }) => rightA === undefined).length;
    const none = apart.filter(({ rightA, rightB }) => rightA === false && rightB === false).length;
    const groups: [PartedGroup, string, number][] = [
      ["a", `Only ${a} is right`, accuracy?.onlyA ?? 0],
      ["b", `Only ${b} is right`, accuracy?.onlyB ?? 0],
      ["none", "Both wrong, each its own way", none],
      ["unknown", "They part", unknown],
    ];
    const drawn = groups.filter(([group]) => this.parted[group].length > 0);
    return drawn.map(([group, words, count], i) => ({
      kind: "sheet",
      heading: `${words} (${count})`,
      note: i > 0
        ? ""
        : `Below each image what ${a} says, then ${b}${accuracy ? ", then the label" : ""}; the surest first.`,
      side: TILE,
      tiles: this.parted[group].map((one) => this.#tile(one)),
      left: count - this.parted[group].length,
    }));
  }

  #tile({ id, label, a, b, confidenceA, confidenceB, image }: PartedImage): Sheet["tiles"][number] {
    const names = this.#names;
    const said = [`${brieflyCertain(confidenceA)} ${a}`, `${brieflyCertain(confidenceB)} ${b}`];
    return {
      pixels: tileOf(image),
      lines: [...said, ...label === undefined ? [] : [label]],
      words: [id, `${names.a}: ${said[0]}`, `${names.b}: ${said[1]}`, ...label === undefined ? [] : [`label: ${label}`]]
        .join("\n"),
      alt: `${id}: ${names.a} says ${said[0]}, ${names.b} ${said[1]}${label === undefined ? "" : `; it is ${label}`}`,
    };
  }

  #drawn({ image, view, of }: NonNullable<ComparisonParts["activations"]>, scale: "shared" | "layer"): Row {
    const ends = of.map(({ maps }) => extent(maps.data));
    const each = ends.map((pair) => Math.max(...pair.map(Math.abs)));
    const [least, most] = [Math.min(...each), Math.max(...each)];
    const signed = ends.some(([low]) => low < 0);
    const names = [this.#names.a, this.#names.b];
    const shared = scale === "shared";
    const blocks: Block[] = of.map((layer, i) =>
      this.#grid(layer, names[i], { largest: shared ? most : each[i], signed, image })
    );
    const from = signed ? "either side of 0; negative values are blue" : "black is 0";
    return {
      kind: "row",
      heading: `Activations for ${image}`,
      note: [
        shared
          ? `One scale for both, to ${brief(most)}; ${from}.`
          : `Each layer has its own scale, to ${each.map((value) => brief(value)).join(" and ")}; ${from}.`,
        shared && least < FAINT * most
          ? `Those of ${names[each.indexOf(least)]} reach ${
            brief(least)
          } only: figure({ scale: "layer" }) shows more of them.`
          : "",
        `Of each layer the maps with the largest values, at most ${MOST_MAPS}.`,
      ].filter(Boolean).join(" "),
      blocks: [
        inputBlock(view, { shown: TILE, width: 2 * TILE, alt: `${image}, as ${this.#names.a} saw it` }),
        ...blocks,
      ],
    };
  }

  #grid(
    { layer, maps, shape, channels }: DrawnLayer,
    model: string,
    { largest, signed, image }: { largest: number; signed: boolean; image: string },
  ): Picture {
    const most = channels.map((_, i) =>
      channelOf(maps, i).data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    );
    const order = [...channels.keys()].sort((a, b) => most[b] - most[a] || a - b).slice(0, MOST_MAPS);
    return {
      ...mapsPicture(shape.slice(0, -1), {
        count: order.length,
        values: (i) => channelOf(maps, order[i]).data,
        largest: () => largest,
        palette: signed ? "diverging" : "grey",
        label: (i) => `channel ${channels[order[i]]}\nup to ${brief(most[order[i]])}`,
        maxWidth: GRID,
        maxHeight: GRID,
        alt: `${order.length} activation maps of layer ${layer} of ${model} for ${image}`,
      }),
      heading: `${model} · ${layer} · ${shape.join("×")}`,
    };
  }
}

/** A similarity with its interval, as words. */
const similarityText = ({ cka, low, high }: LayerSimilarity) =>
  `CKA ${fixed(cka)}${low === null ? "" : ` (${fixed(low)} to ${fixed(high)})`}`;
