/**
 * Maps of several methods beside one photo, each with its error bars.
 *
 * @module
 */

import type { Curve } from "../data/records.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { briefPercent, fixed } from "../format.ts";
import type { Attribution } from "./attribution.ts";
import { baselineWarning, CONTROL, plainNote, remarksOn } from "./faithfulness.ts";
import { Result } from "./result.ts";
import { FAILS_FROM, passes, type SanityRow, sanityScore } from "./sanity_check.ts";

/** A method with its error bars. */
export interface ReportRow {
  /** The method's name, or `"random order"`. */
  method: string;
  /** The area under the insertion curve, the mean over the baselines; larger is better. */
  insertion: number;
  /** The area under the deletion curve, the mean over the baselines; smaller is better. */
  deletion: number;
  /** How much of the map is left when the layers are randomised, 0…1; `null` for the control. */
  left: number | null;
  /** Whether that is below the threshold of `sanityCheck`. */
  passed: boolean | null;
  /**
   * For methods that share the score out among the pixels: how much of the score's difference to the baseline the sum of
   * the map misses, as a share of it; `null` for others.
   */
  missed: number | null;
}

const IN_A_ROW = 3;

const missedText = (share: number) => share < 1e-4 ? "< 0.01 %" : briefPercent(share);

/** What the map's sum misses of the score's difference, as a share of it. */
function missedShare({ values, convergenceDelta }: Attribution): number | null {
  if (convergenceDelta === undefined) return null;
  const sum = values.data.reduce((total, value) => total + value, 0);
  const difference = sum - convergenceDelta;
  return difference === 0 ? null : Math.abs(convergenceDelta / difference);
}

/** Several methods' maps with their error bars; in a cell, the maps, the numbers and the curves. */
export class Report extends Result<ReportRow> {
  /** One row a method, and one for the random order. */
  readonly rows: readonly ReportRow[];
  /** The maps, in the order of the rows. */
  readonly attributions: readonly Attribution[];
  /** All insertion and deletion curves. */
  readonly curves: readonly Curve[];
  readonly #steps: number;
  readonly #layers: readonly string[];

  /** @internal */
  constructor(
    methods: readonly { name: string; attribution: Attribution; stages: readonly SanityRow[] }[],
    curves: readonly Curve[],
    { steps, layers }: { steps: number; layers: readonly string[] },
  ) {
    super();
    this.attributions = methods.map(({ attribution }) => attribution);
    this.curves = curves;
    this.#steps = steps;
    this.#layers = layers;
    const area = (name: string, kind: Curve["kind"]) => {
      const areas = curves.filter((curve) => curve.method === name && curve.kind === kind).map(({ area }) => area);
      return areas.reduce((sum, area) => sum + area, 0) / areas.length;
    };
    const areas = (method: string) => ({
      method,
      insertion: area(method, "insertion"),
      deletion: area(method, "deletion"),
    });
    this.rows = [
      ...methods.map(({ name, attribution, stages }) => {
        const left = sanityScore(stages);
        return { ...areas(name), left, passed: passes(left, attribution), missed: missedShare(attribution) };
      }),
      { ...areas(CONTROL), left: null, passed: null, missed: null },
    ];
  }

  /** The maps, a table of the numbers, and a chart of the areas. */
  override figure(): Figure {
    const [first] = this.attributions;
    const title = `${first.model} · attribution report · ${first.targetText} · ${first.name}`;
    const caption = this.#caption();
    const pictures: Picture[] = this.attributions.map((attribution, i) => ({
      ...attribution.picture(),
      heading: this.rows[i].method,
    }));
    const all = [first.photo(), ...pictures];
    const blocks: Block[] = [{ kind: "row", columns: IN_A_ROW, blocks: all }];
    const shares = this.#shares();
    const columns = ["insertion ↑", "deletion ↓", "left ↓", "sanity check", ...shares ? ["missed ↓"] : []];
    const cells = this.rows.map(({ method, insertion, deletion, left, passed, missed }) => [
      method,
      fixed(insertion),
      fixed(deletion),
      left === null ? "" : fixed(left),
      passed === null ? "" : passed ? "passes" : "fails",
      ...shares ? [missed === null ? "" : missedText(missed)] : [],
    ]);
    blocks.push(
      {
        kind: "table",
        columns: [{ title: "method" }, ...columns.map((title) => ({ title, align: "right" as const }))],
        rows: cells,
      },
      this.#chart(),
    );
    return new Figure({ title, caption, blocks });
  }

  get #areas(): number[] {
    return this.curves.map(({ area }) => area);
  }

  /** Whether a method shares the score out among the pixels. */
  #shares(): boolean {
    return this.rows.some(({ missed }) => missed !== null);
  }

  #caption(): string {
    const baselines = [...new Set(this.curves.map(({ baseline }) => baseline))].join(", ");
    const [{ target }] = this.attributions;
    const scored = target.probability === undefined
      ? `score${this.curves[0].plain ? "" : " (as a share of the whole image's)"}`
      : "probability";
    return [
      `Insertion and deletion: areas under the ${scored} of ${target.text} as pixels come and go`,
      `in the order of the map, in ${this.#steps} steps, mean over the baselines ${baselines} (bars in the chart: least`,
      `and greatest); a map that is no better than the random order tells nothing (Petsiuk et al. 2018).`,
      plainNote(this.curves),
      baselineWarning(this.curves),
      remarksOn(this.attributions.map(({ map }, i) => ({ method: this.rows[i].method, map }))),
      `Left: how much of the map is left when the layers from the top down to ${
        this.#layers.join(", ")
      } are randomised,`,
      `the mean of SSIM and of rank correlations with and without signs; a method fails from ${FAILS_FROM} on (Adebayo`,
      `et al. 2018; the threshold is ours).`,
      this.#shares()
        ? "Missed: what the sum of the map lacks of the score's difference to the method's own baseline, as a share of it."
        : "",
      "Each map is painted on its own scale, clipped as the method's own figure says.",
    ].filter(Boolean).join(" ");
  }

  #chart(): Block {
    const areas = (method: string, kind: Curve["kind"]) =>
      this.curves.filter((curve) => curve.method === method && curve.kind === kind).map(({ area }) => area);
    const names = this.rows.map(({ method }) => method);
    return {
      kind: "chart",
      heading: "Areas with their range over the baselines",
      series: (["insertion", "deletion"] as const).map((kind) => ({
        label: kind,
        as: "bars",
        x: names.map((_, i) => i),
        y: this.rows.map((row) => row[kind]),
        low: names.map((name) => Math.min(...areas(name, kind))),
        high: names.map((name) => Math.max(...areas(name, kind))),
      })),
      x: { title: "" },
      y: { title: "area under the curve", min: Math.min(0, ...this.#areas), max: Math.max(1, ...this.#areas) },
      names,
      width: 640,
      alt: `Insertion and deletion areas: ` +
        this.rows.map(({ method, insertion, deletion }) => `${method} ${fixed(insertion)} and ${fixed(deletion)}`).join(
          ", ",
        ),
    };
  }
}
