/**
 * What `compareDirections` returns: how alike the top patches of each kind of direction are, layer by layer.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import type { Block, Chart, Series } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { fixed } from "../format.ts";
import { readOptions, text, whole } from "../options.ts";
import { type DirectionKind, KINDS } from "./directions.ts";
import { anyClipped, patchSheet, Pictures, unitsOf } from "./patch_figures.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";
import type { TopPatches } from "./top_patches.ts";

/** What of a direction's top patches is measured. */
export type AgreementMeasure = "purity" | "class" | "colour" | "texture";

/** How alike the top patches of one kind of direction are in one layer: a row of the table. */
export interface AgreementRow {
  /** The layer's name. */
  layer: string;
  /** The kind of direction. */
  kind: DirectionKind;
  /**
   * `"purity"`: the share of the most frequent class among a direction's patches. Of all pairs of them: `"class"`, the
   * share that have one class; `"colour"`, the mean distance of their mean colours (red, green, blue, each 0…1);
   * `"texture"`, the mean distance of their textures: the share of the gradient's power at three scales, and where it runs.
   */
  measure: AgreementMeasure;
  /** How many directions were measured. */
  directions: number;
  /** How many others answer to none or one of the images only. */
  silent: number;
  /** How many images their patches come from. */
  images: number;
  /** The mean of the measure over the directions, and its interval of 95 % (bootstrap over directions). */
  value: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
  /** The same of the patches of all these directions, dealt to them anew at random: the mean of 200 times. */
  shuffled: number;
  /** Of 95 % of these times it is at least this … */
  shuffledLow: number;
  /** … and at most this. */
  shuffledHigh: number;
  /** From 0, as alike as if dealt at random, to 1, all alike; null where those dealt at random are all alike, too. */
  agreement: number | null;
  /** The lower end of its interval of 95 %. */
  agreementLow: number | null;
  /** The upper end. */
  agreementHigh: number | null;
  /** How much larger the agreement is than that of the kind that was asked for first; null for that one. */
  difference: number | null;
  /** The lower end of its interval of 95 %: above 0, the kinds surely differ. */
  differenceLow: number | null;
  /** The upper end. */
  differenceHigh: number | null;
}

/** One direction and how alike its top patches are. */
export interface DirectionAgreement {
  /** Its layer. */
  readonly layer: string;
  /** Its kind. */
  readonly kind: DirectionKind;
  /** The direction's name, by which `patches.of({ layer, unit })` finds its patches. */
  readonly unit: string;
  /** The most frequent label among its patches. */
  readonly label: string | null;
  /** The share of that label, 0…1; as all measures as in {@linkcode AgreementRow}, null where it was not measured. */
  readonly purity: number | null;
  /** The share of the pairs of its patches that have one class. */
  readonly class: number | null;
  /** The mean distance of their colours. */
  readonly colour: number | null;
  /** The mean distance of their textures. */
  readonly texture: number | null;
}

/** What the figure draws. */
export class DirectionsComparisonFigureOptions {
  /**
   * The layer of which patches are drawn.
   * @default the last that was asked for
   */
  @text()
  layer?: string;
  /**
   * Of how many directions of each kind patches are drawn: the first ones, not the best.
   * @default 4
   */
  @whole(0)
  directions = 4;
}

/** What the kinds are called in captions, and in charts. */
const NAMES: Readonly<Record<DirectionKind, string>> = {
  units: "units",
  random: "random directions",
  principal: "principal components",
  classes: "class means",
  own: "own directions",
};
const SHORT: Readonly<Record<DirectionKind, string>> = {
  units: "units",
  random: "random",
  principal: "principal",
  classes: "classes",
  own: "own",
};

const MEASURES: Readonly<Record<AgreementMeasure, string>> = {
  purity: "class purity",
  class: "same class",
  colour: "like colour",
  texture: "like texture",
};

const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** How many directions of each kind have their pictures at hand. */
export const DRAWN = 4;

/** What a comparison is made of. */
export interface ComparisonParts {
  readonly rows: readonly AgreementRow[];
  readonly directions: readonly DirectionAgreement[];
  readonly patches: TopPatches;
  readonly skipped: readonly SkippedImage[];
  readonly top: number;
  readonly names: { readonly model: string; readonly dataset: string; readonly from?: string };
}

/** How alike the top patches of units and of other directions are; in a cell as charts, with patches of some of each. */
export class DirectionsComparison extends Result<AgreementRow> {
  /** One for each layer, kind and measure. */
  readonly rows: readonly AgreementRow[];
  /** Each direction by itself. */
  readonly directions: readonly DirectionAgreement[];
  /** The top patches of all directions. */
  readonly patches: TopPatches;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: ComparisonParts;

  /** @internal */
  constructor(parts: ComparisonParts) {
    super();
    this.rows = parts.rows;
    this.directions = parts.directions;
    this.patches = parts.patches;
    this.skipped = parts.skipped;
    this.#parts = parts;
  }

  /** @internal */
  override arrays(): object {
    const { rows, directions, skipped } = this;
    return { rows, directions, patches: this.patches.rows, skipped };
  }

  /**
   * Charts of the measures, over the layers where there are several, and the patches of some directions of each kind in
   * one layer.
   *
   * @throws {RangeError} if the layer was not asked for, or the pictures of so many directions have not been read:
   * `patches.load` reads them
   */
  override figure(options: Partial<DirectionsComparisonFigureOptions> = {}): Figure {
    const { layer = this.patches.layers.at(-1)!, directions } = readOptions(
      "figure",
      DirectionsComparisonFigureOptions,
      options,
    );
    this.patches.units(layer);
    const { names: { model, dataset, from }, top } = this.#parts;
    const layers = this.patches.layers;
    const kinds = this.#kinds;
    const { blocks, clipped } = this.#patchBlocks(layer, directions);
    const looked = kinds.filter((kind) => kind === "principal" || kind === "classes");
    return new Figure({
      title: `Directions in ${
        layers.length > 3 ? `${layers.length} layers` : layers.join(", ")
      } · ${model} · ${dataset}`,
      caption: [
        `How alike the ${top} strongest patches of a direction are. Agreement is 0 where they are as alike as if the ` +
        "patches of all directions of the kind were dealt to them at random, and 1 where all are alike; bars and bands of " +
        "95 % (bootstrap over directions). Dashed: the purity of patches dealt at random.",
        this.#answer(),
        `Here ${kinds.map((kind) => `${NAMES[kind]} are ${KINDS[kind]}`).join("; ")}.`,
        looked.length > 0
          ? `The ${looked.map((kind) => NAMES[kind]).join(" and ")} were found in ${
            from === undefined ? "the same images" : from
          }.`
          : "",
        this.#silent(),
        blocks.length > 0
          ? `Below, the patches of the first ${directions} of each kind in ${layer}, with their activations` +
            `${clipped ? "; hatched: what lies beyond the border of the image" : ""}.`
          : "",
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [...this.#charts(), ...blocks],
      lines: this.rows.map((row) => {
        const { layer, kind, measure, value, shuffled, agreement, agreementLow, agreementHigh } = row;
        const words = `${layer} · ${NAMES[kind]} · ${MEASURES[measure]}: ${value.toFixed(3)}, at random ${
          shuffled.toFixed(3)
        }`;
        return agreement === null
          ? words
          : `${words}, agreement ${agreement.toFixed(3)} (${agreementLow!.toFixed(3)} to ${agreementHigh!.toFixed(3)})`;
      }),
    });
  }

  get #kinds(): DirectionKind[] {
    return [...new Set(this.rows.map(({ kind }) => kind))];
  }

  #row(layer: string, kind: DirectionKind, measure: AgreementMeasure): AgreementRow | undefined {
    return this.rows.find((row) => row.layer === layer && row.kind === kind && row.measure === measure);
  }

  /** How much more or less other kinds agree than the first, in class if that is known: of one layer. */
  #answer(): string {
    const [{ kind: first }] = this.rows;
    const measure = this.rows.some((row) => row.measure === "class") ? "class" : "colour";
    const others = this.rows.filter((row) => row.measure === measure && row.difference !== null);
    if (this.patches.layers.length > 1 || others.length === 0) return "";
    const words = others.map(({ kind, difference, differenceLow, differenceHigh }) =>
      `${NAMES[kind]} ${signed(difference!)} (${signed(differenceLow!)} to ${signed(differenceHigh!)})`
    );
    return `In ${measure}, agreement less that of ${NAMES[first]}: ${words.join(", ")}.`;
  }

  /** What the caption says of directions that answer to nothing. */
  #silent(): string {
    const [{ measure }] = this.rows;
    const silent = this.rows.filter((row) => row.measure === measure).reduce((sum, row) => sum + row.silent, 0);
    return silent === 0 ? "" : `${silent} directions that answer to none or one of the images are left out.`;
  }

  #charts(): Block[] {
    const measures = (["purity", "class", "colour", "texture"] as const)
      .filter((measure) => this.rows.some((row) => row.measure === measure));
    const several = this.patches.layers.length > 1;
    const charts = several
      ? measures.map((measure) => this.#overLayers(measure))
      : [...measures.includes("purity") ? [this.#purity()] : [], this.#overKinds(measures.slice(-3))];
    return [{ kind: "row", columns: 2, blocks: charts }];
  }

  /** One measure, a line for each kind over the layers. */
  #overLayers(measure: AgreementMeasure): Chart {
    const { layers } = this.patches;
    const x = layers.map((_, i) => i);
    const isPurity = measure === "purity";
    const series = this.#kinds.flatMap((kind): Series[] => {
      const rows = layers.map((layer) => this.#row(layer, kind, measure));
      const column = (name: keyof AgreementRow) => rows.map((row) => row?.[name] as number | null ?? NaN);
      const line = isPurity
        ? { y: column("value"), low: column("low"), high: column("high") }
        : { y: column("agreement"), low: column("agreementLow"), high: column("agreementHigh") };
      return [
        { label: NAMES[kind], x, ...line },
        ...isPurity && kind === this.rows[0].kind
          ? [{ label: `patches of ${NAMES[kind]} dealt at random`, x, y: column("shuffled"), dashed: true, ink: true }]
          : [],
      ];
    });
    return {
      kind: "chart",
      heading: isPurity ? "Class purity" : `Agreement: ${MEASURES[measure]}`,
      series,
      x: { title: "" },
      y: { title: isPurity ? "share of the most frequent class" : "agreement", include: [0, isPurity ? 1 : 0.2] },
      names: layers,
      alt: `${MEASURES[measure]} of ${this.#kinds.map((kind) => NAMES[kind]).join(", ")} over ${layers.length} layers`,
    };
  }

  /** The purity of each kind, and that of patches dealt at random. */
  #purity(): Chart {
    const [layer] = this.patches.layers;
    const rows = this.#kinds.flatMap((kind) => this.#row(layer, kind, "purity") ?? []);
    const x = rows.map((_, i) => i);
    return {
      kind: "chart",
      heading: "Class purity",
      series: [
        {
          label: "share of the most frequent class",
          x,
          y: rows.map(({ value }) => value),
          low: rows.map(({ low }) => low),
          high: rows.map(({ high }) => high),
          as: "bars",
        },
        {
          label: "of patches dealt at random",
          x: x.flatMap((i) => [i - 0.5, i + 0.5, i + 0.5]),
          y: rows.flatMap(({ shuffled }) => [shuffled, shuffled, NaN]),
          dashed: true,
          ink: true,
        },
      ],
      x: { title: "" },
      y: { title: "", min: 0, max: 1 },
      names: rows.map(({ kind }) => SHORT[kind]),
      alt: rows.map(({ kind, value, low, high }) =>
        `${NAMES[kind]}: ${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
      ).join(", "),
    };
  }

  /** The agreement of each kind in some measures. */
  #overKinds(measures: readonly AgreementMeasure[]): Chart {
    const [layer] = this.patches.layers;
    const kinds = this.#kinds;
    const x = kinds.map((_, i) => i);
    return {
      kind: "chart",
      heading: "Agreement",
      series: measures.filter((measure) => measure !== "purity").map((measure): Series => {
        const rows = kinds.map((kind) => this.#row(layer, kind, measure));
        const column = (name: "agreement" | "agreementLow" | "agreementHigh") => rows.map((row) => row?.[name] ?? NaN);
        return {
          label: MEASURES[measure],
          x,
          y: column("agreement"),
          low: column("agreementLow"),
          high: column("agreementHigh"),
          as: "bars",
        };
      }),
      x: { title: "" },
      y: { title: "agreement", include: [0, 0.2] },
      names: kinds.map((kind) => SHORT[kind]),
      alt: kinds.map((kind) =>
        `${NAMES[kind]}: ${
          measures.map((measure) => `${MEASURES[measure]} ${fixed(this.#row(layer, kind, measure)?.agreement, 2)}`)
            .join(", ")
        }`
      ).join("; "),
    };
  }

  /** The patches of the first directions of each kind, where they are pictures. */
  #patchBlocks(layer: string, count: number): { blocks: Block[]; clipped: boolean } {
    const all = unitsOf(this.patches.rows, layer);
    if (count === 0 || all.some(({ rows }) => rows.some(({ box }) => box.length !== 4))) {
      return { blocks: [], clipped: false };
    }
    const pictures = new Pictures(this.patches);
    const drawn = this.#kinds.map((kind) => {
      const own = this.directions.filter((one) => one.layer === layer && one.kind === kind).slice(0, count);
      return { kind, units: own.map(({ unit }) => all.find((one) => one.unit === unit)!) };
    }).filter(({ units }) => units.length > 0);
    return {
      clipped: drawn.some(({ units }) => anyClipped(units, pictures, all)),
      blocks: drawn.map(({ kind, units }): Block => {
        const { orders: _, filter: __, ...sheet } = patchSheet(units, pictures, {}, all);
        return { ...sheet, heading: NAMES[kind], columns: count };
      }),
    };
  }
}
