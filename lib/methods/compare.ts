/**
 * Several attribution methods beside one photo.
 *
 * @module
 */

import { checkOptions, kindOf } from "../errors.ts";
import { Attribution, ATTRIBUTION_FIGURE_OPTIONS, type AttributionFigureOptions } from "../results/attribution.ts";
import type { Block } from "../figure/blocks.ts";
import { brief } from "../format.ts";
import { Figure, Shown } from "../figure/figure.ts";

/** So many pictures stand side by side. */
const COLUMNS = 3;

/** Results of several methods; in a cell, their maps beside the photo and over it. */
export class Comparison extends Shown {
  /** In the order in which they are shown. */
  readonly results: readonly Attribution[];
  readonly #options: AttributionFigureOptions;

  constructor(results: readonly Attribution[], options: AttributionFigureOptions) {
    super();
    this.results = results;
    this.#options = options;
  }

  override figure(options: AttributionFigureOptions = this.#options): Figure {
    checkOptions("figure", options, ATTRIBUTION_FIGURE_OPTIONS);
    const [first] = this.results;
    const one = <T>(of: (result: Attribution) => T) => new Set(this.results.map(of)).size === 1;
    const sameTarget = one(({ targetText }) => targetText);
    const sameModel = one(({ model }) => model);
    /** What tells a result from the others. */
    const nameOf = (result: Attribution) =>
      [result.method, sameModel ? "" : result.model, sameTarget ? "" : result.targetText].filter(Boolean).join(" · ");
    const pictures: Block[] = [
      { ...first.photo(), note: `${first.image.shape[1]} × ${first.image.shape[0]} pixels` },
      ...this.results.map((result) => {
        const { low, greatest, clip } = result.scale(options);
        const range = low < 0 ? `±${brief(greatest)}` : `0 … ${brief(greatest)}`;
        const clipped = clip === 100 ? "the greatest" : `${clip}th percentile`;
        return { ...result.picture(options), heading: nameOf(result), note: `${range}, ${clipped}` };
      }),
    ];
    const blends: Block[] = this.results.map((result) => ({ ...result.blend(options), heading: nameOf(result) }));
    const painted = this.results.filter(({ paint }) => paint === "map");
    const legend = [
      painted.some(({ signed }) => !signed) ? "Unsigned maps: black is 0." : "",
      painted.some(({ signed }) => signed)
        ? "Signed maps: orange speaks for the target, blue against it, black is 0."
        : "",
      this.results.some(({ paint }) => paint === "colors") ? "Colour pictures: grey is 0." : "",
    ];
    const deltas = this.results.flatMap(({ method, convergenceDelta }) =>
      convergenceDelta === undefined ? [] : [`Convergence delta of ${method} ${brief(convergenceDelta)}.`]
    );
    const caption = [
      "Each map has a scale of its own, which stands above it and ends at a percentile of the magnitudes other than 0; " +
      "what is greater is clipped.",
      ...legend,
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
      blocks: [...rowsOf(pictures), ...rowsOf(blends)],
      text: [title, ...this.results.map((result) => `  ${nameOf(result)}: score ${brief(result.score)}`)].join("\n"),
    });
  }
}

function rowsOf(blocks: readonly Block[]): Block[] {
  const rows: Block[] = [];
  for (let i = 0; i < blocks.length; i += COLUMNS) rows.push({ kind: "row", blocks: blocks.slice(i, i + COLUMNS) });
  return rows;
}

/**
 * Puts the results of several methods beside the photo, each on a scale of its own that stands above it.
 *
 * @param results of one image, in the order in which they are shown
 * @param options how the maps are painted, one for all: `clip`, `palette`, `opacity`
 * @throws {TypeError} if it is not an array of attributions
 * @throws {RangeError} if there is no result, or they are of different images
 *
 * @example
 * ```ts
 * const dog = await photo("dog");
 * compare([await saliency(model, dog), await integratedGradients(model, dog), await gradCam(model, dog)]);
 * ```
 */
export function compare(results: readonly Attribution[], options: AttributionFigureOptions = {}): Comparison {
  checkOptions("compare", options, ATTRIBUTION_FIGURE_OPTIONS);
  const given: unknown = results;
  if (!Array.isArray(given) || given.some((one) => !(one instanceof Attribution))) {
    const odd = Array.isArray(given) ? given.find((one) => !(one instanceof Attribution)) : given;
    throw new TypeError(
      `compare takes an array of attributions, as [await saliency(model, dog)]: received ${
        Array.isArray(given) ? "an array with " : ""
      }${kindOf(odd)}.`,
    );
  }
  if (results.length === 0) throw new RangeError("There is nothing to compare; wanted at least one attribution.");
  const [{ image, name }] = results;
  const other = results.find((result) =>
    result.image.shape.join() !== image.shape.join() || result.image.data.some((value, i) => value !== image.data[i])
  );
  if (other) {
    throw new RangeError(
      `Only attributions of one image are compared: received ${JSON.stringify(name)}, ${image.shape.join("×")}, and ` +
        `${JSON.stringify(other.name)}, ${other.image.shape.join("×")}.`,
    );
  }
  return new Comparison(results, options);
}
