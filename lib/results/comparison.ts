/**
 * Maps of several methods beside one photo and over it.
 *
 * @module
 */

import { type Attribution, AttributionFigureOptions, colorsText } from "./attribution.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief } from "../format.ts";
import { readOptions } from "../options.ts";
import { Savable } from "./result.ts";

/** How many pictures are side by side. */
const COLUMNS = 3;

/** Results of several methods; in a cell, their maps beside the photo and over it. */
export class Comparison extends Savable {
  /** In the order in which they are shown. */
  readonly results: readonly Attribution[];
  readonly #options: AttributionFigureOptions;

  /** @internal */
  constructor(results: readonly Attribution[], options: AttributionFigureOptions) {
    super();
    this.results = results;
    this.#options = options;
  }

  /**
   * The maps beside the photo, and below each over the photo.
   *
   * @param options how the maps are painted: those that were given to `compare` by default
   */
  override figure(given: Partial<AttributionFigureOptions> = this.#options): Figure {
    const options = readOptions("figure", AttributionFigureOptions, given);
    const [first] = this.results;
    const one = <T>(of: (result: Attribution) => T) => new Set(this.results.map(of)).size === 1;
    const sameTarget = one(({ targetText }) => targetText);
    const sameModel = one(({ model }) => model);
    /** What distinguishes a result from the others. */
    const nameOf = (result: Attribution) =>
      [result.method, sameModel ? "" : result.model, sameTarget ? "" : result.targetText].filter(Boolean).join(" · ");
    const pictures: Block[] = [
      { ...first.photo(), note: `${first.image.shape[1]} × ${first.image.shape[0]} pixels` },
      ...this.results.map((result) => ({
        ...result.picture(options),
        heading: nameOf(result),
        note: result.scaleText(options),
      })),
    ];
    const blends: Block[] = this.results.map((result) => ({ ...result.blend(options), heading: nameOf(result) }));
    const deltas = this.results.flatMap(({ method, convergenceDelta }) =>
      convergenceDelta === undefined ? [] : [`Convergence delta of ${method} ${brief(convergenceDelta)}.`]
    );
    const caption = [
      "Each map has a scale of its own, which stands above it and ends at a percentile of the magnitudes other than 0; " +
      "what is greater is clipped.",
      colorsText(this.results),
      ...deltas,
      "Below, each map over the photo.",
    ].filter(Boolean).join(" ");
    const title = [
      sameModel ? first.model : `${new Set(this.results.map(({ model }) => model)).size} models`,
      `${this.results.length} attributions`,
      sameTarget ? first.targetText : "",
      first.name,
    ].filter(Boolean).join(" · ");
    return new Figure({
      title,
      caption,
      blocks: [pictures, blends].map((blocks) => ({ kind: "row", columns: COLUMNS, blocks })),
      lines: this.results.map((result) => `${nameOf(result)}: ${result.summary()}`),
    });
  }
}
