/**
 * Images warped onto one of them, and their mean before and after.
 *
 * @module
 */

import { NdArray, ndarray, type NdArrayLike } from "../array.ts";
import type { Block, Picture } from "../figure/blocks.ts";
import { meanInterval } from "../embed/agreement.ts";
import { Figure } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { fixed } from "../format.ts";
import { readOptions, whole } from "../options.ts";
import { Result } from "./result.ts";

/** An image, and how it was warped: a row of the table. */
export interface AlignedRow {
  /** Its id in the data set. */
  image: string;
  /** Whether a warp was found that four matches or more agree on. */
  aligned: boolean;
  /** How many matches came back to where they began. */
  matches: number;
  /** How many of them agree with one affine map. */
  inliers: number;
  /** The mean distance of its keypoints from those of the image it is warped onto, in pixels; null where none are known. */
  before: number | null;
  /** The same after it was warped. */
  after: number | null;
}

/** What {@linkcode AlignedImages} are made of. */
export interface AlignedParts {
  rows: readonly AlignedRow[];
  originals: readonly NdArrayLike[];
  warped: readonly NdArrayLike[];
  onto: number;
  names: { model: string; layer: string; dataset: string };
}

/** How aligned images are drawn. */
export class AlignedFigureOptions {
  /**
   * At most so many images are drawn, each before and after.
   * @default 10
   */
  @whole(1)
  images = 10;
}

const MEAN_SHOWN = 224;
const EACH_SHOWN = 96;

/** The mean of some images. */
function meanOf(images: readonly NdArrayLike[]): NdArray {
  const made = new Float32Array(images[0].data.length);
  for (const { data } of images) for (let i = 0; i < made.length; i++) made[i] += data[i] / images.length;
  return ndarray(made, images[0].shape);
}

/** Images warped onto one of them; in a cell, their mean before and after, and the images. */
export class AlignedImages extends Result<AlignedRow> {
  /** One for each image. */
  readonly rows: readonly AlignedRow[];
  /** The mean of those that were aligned, as they were, `[h, w, c]`. */
  readonly before: NdArray;
  /** The mean of the same, warped, `[h, w, c]`. */
  readonly after: NdArray;
  /** All images, those warped that could be, `[h, w, c]`. */
  readonly images: readonly NdArray[];
  readonly #parts: AlignedParts;

  /** @internal */
  constructor(parts: AlignedParts) {
    super();
    const { rows, originals, warped } = parts;
    const chosen = rows.flatMap(({ aligned }, i) => aligned ? [i] : []);
    this.rows = rows;
    this.before = meanOf(chosen.map((i) => originals[i]));
    this.after = meanOf(chosen.map((i) => warped[i]));
    this.images = warped.map(NdArray.from);
    this.#parts = parts;
  }

  /**
   * The mean before and after, and under it some of the images, before and after.
   *
   * @throws {RangeError} if `images` is not a whole number ≥ 1
   */
  override figure(options: Partial<AlignedFigureOptions> = {}): Figure {
    const { images } = readOptions("figure", AlignedFigureOptions, options);
    const { rows, originals, warped, onto, names: { model, layer, dataset } } = this.#parts;
    const aligned = rows.filter((row) => row.aligned).length;
    const picture = (image: NdArrayLike, side: number, heading: string | undefined, alt: string): Picture => {
      const [height, width] = image.shape;
      return {
        kind: "picture",
        pixels: pixelsOf(image, Math.max(1, Math.floor(side / Math.max(height, width)))),
        heading,
        alt,
      };
    };
    const drawn = rows.flatMap((row, i) => row.aligned && i !== onto ? [i] : []).slice(0, images);
    const blocks: Block[] = [
      {
        kind: "row",
        blocks: [
          picture(originals[onto], MEAN_SHOWN, `Onto this one: ${rows[onto].image}`, `The image ${rows[onto].image}`),
          picture(this.before, MEAN_SHOWN, "Mean before", "The mean of the images as they are"),
          picture(this.after, MEAN_SHOWN, "Mean after", "The mean of the images warped"),
        ],
      },
      {
        kind: "row",
        heading: "Images as they are, and below each warped",
        blocks: drawn.map((i) => ({
          kind: "row",
          columns: 1,
          blocks: [
            picture(originals[i], EACH_SHOWN, undefined, `${rows[i].image} as it is`),
            picture(warped[i], EACH_SHOWN, undefined, `${rows[i].image} warped`),
          ],
        })),
      },
    ];
    return new Figure({
      title: `${model} · images aligned by ${layer} · ${dataset}`,
      caption: [
        `${aligned} of ${rows.length} images (the one they are warped onto among them), by matches that come back to within a`,
        `cell of their point: an affine map that most agree on, and a thin-plate spline through these. Both means are of the`,
        aligned < rows.length ? `same ${aligned} images; for the others no map was found.` : `same images.`,
        this.#distances(),
      ].filter(Boolean).join(" "),
      blocks: drawn.length > 0 ? blocks : blocks.slice(0, 1),
      lines: rows.map(({ image, aligned, matches, inliers, before, after }) =>
        `${image}  ${aligned ? `${inliers} of ${matches} matches agree` : `no map (${matches} matches)`}` +
        (before === null ? "" : `  keypoints ${fixed(before, 1)} → ${fixed(after, 1)} pixels off`)
      ),
    });
  }

  /** How far keypoints are from those of the image that all are warped onto, in a sentence. */
  #distances(): string {
    const { rows, onto } = this.#parts;
    const known = rows.filter(({ aligned, before }, i) => aligned && before !== null && i !== onto);
    if (known.length < 2) return "";
    const text = (values: number[]) => {
      const { value, low, high } = meanInterval(values, 0);
      return `${fixed(value, 1)} (${fixed(low, 1)} to ${fixed(high, 1)})`;
    };
    return `Their keypoints are ${
      text(known.map(({ before }) => before!))
    } pixels from those of that image before, and ` +
      `${text(known.map(({ after }) => after!))} after (means of ${known.length} images, 95 % by bootstrap).`;
  }
}
