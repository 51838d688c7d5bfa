/**
 * Pictures of the images of a slice, right and wrong apart.
 *
 * @module
 */

import { type Dataset, unreadItems } from "../data/dataset.ts";
import { mainPart, pictureOf } from "../data/given.ts";
import { tileOf } from "../data/sample.ts";
import type { Block, Sheet, Slides } from "../figure/blocks.ts";
import type { Pixels } from "../figure/mosaic.ts";
import { readOptions, whole } from "../options.ts";
import { randomStream, shuffled } from "../random.ts";
import { brieflyCertain } from "./predictions.ts";

/** What a model answered for one image. */
export interface AnsweredImage {
  /** The image's id in the data set. */
  readonly id: string;
  /** What is true. */
  readonly label: string;
  /** What is predicted. */
  readonly prediction: string;
  /** Whether that is true. */
  readonly right: boolean;
  /** Whether the truth is among the five likeliest; absent where that is not known. */
  readonly amongFive?: boolean;
  /** The probability of what is predicted; absent where there is none. */
  readonly confidence?: number;
}

/** Which pictures are read. */
export class SlicePicturesOptions {
  /**
   * At most this many of each slice that are right, and as many that are wrong, drawn at random.
   * @default 8
   */
  @whole(1)
  images = 8;
  /**
   * What is drawn.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** A figure of more pictures than this is too heavy for a page. */
const MOST_PICTURES = 1200;
/** The side of a picture on its sheet. */
const SIDE = 96;

/** Images of a slice that are right, or wrong. */
interface Shown {
  readonly heading: string;
  readonly answers: readonly AnsweredImage[];
  readonly all: number;
}

/** The pictures of slices. */
export class SlicePictures {
  readonly #slices: readonly (readonly Shown[])[];
  readonly #pictures: ReadonlyMap<string, Pixels>;

  private constructor(slices: readonly (readonly Shown[])[], pictures: ReadonlyMap<string, Pixels>) {
    this.#slices = slices;
    this.#pictures = pictures;
  }

  /**
   * Reads the pictures of some images of each slice.
   *
   * @param asker who reads them, as `"withImages"`
   * @param groups of each slice the groups to show, as right and wrong ones
   * @throws {RangeError} if there are too many slices, or none of their images is in the data set
   */
  static async read(
    asker: string,
    groups: readonly (readonly { heading: string; answers: readonly AnsweredImage[] }[])[],
    dataset: Dataset,
    options: Partial<SlicePicturesOptions> = {},
  ): Promise<SlicePictures> {
    const { images, seed } = readOptions(asker, SlicePicturesOptions, options);
    const slices = groups.map((own, s) =>
      own.map(({ heading, answers }, g) => {
        const order = shuffled(answers.length, randomStream(seed, s, g));
        const chosen = [...order.subarray(0, images)].sort((a, b) => a - b).map((place) => answers[place]);
        return { heading, answers: chosen, all: answers.length };
      })
    );
    const wanted = new Set(slices.flat().flatMap(({ answers }) => answers.map(({ id }) => id)));
    if (wanted.size > MOST_PICTURES) {
      throw new RangeError(
        `${asker} would show ${wanted.size} pictures of ${slices.length} slices; at most ${MOST_PICTURES} fit on a page. ` +
          `Ask for fewer images, or cut the attribute into fewer parts.`,
      );
    }
    const pictures = new Map<string, Pixels>();
    for await (const { known, read } of unreadItems(dataset)) {
      if (wanted.has(known.id)) pictures.set(known.id, tileOf(pictureOf(mainPart(await read())), SIDE));
      if (pictures.size === wanted.size) break;
    }
    if (pictures.size === 0) {
      throw new RangeError(
        `None of the images is in ${JSON.stringify(dataset.name)}, as ${
          JSON.stringify([...wanted][0])
        }. Give ${asker} the ` +
          `data set that was predicted.`,
      );
    }
    return new SlicePictures(slices, pictures);
  }

  /** Slides, one a slice. */
  slides(label: string, names: readonly string[]): Slides {
    return {
      kind: "slides",
      label,
      start: 0,
      frames: this.#slices.map((groups, i) => ({
        label: names[i],
        block: { kind: "row", columns: 1, blocks: groups.flatMap((group) => this.#sheet(group)) },
      })),
    };
  }

  #sheet({ heading, answers, all }: Shown): Block[] {
    if (all === 0) return [];
    const drawn = answers.filter(({ id }) => this.#pictures.has(id));
    const sheet: Sheet = {
      kind: "sheet",
      heading: `${heading} · ${drawn.length < all ? `${drawn.length} of ` : ""}${all.toLocaleString("en-US")}`,
      side: SIDE,
      tiles: drawn.map(({ id, label, prediction, right, confidence }) => {
        const said = confidence === undefined ? prediction : `${brieflyCertain(confidence)} ${prediction}`;
        return {
          pixels: this.#pictures.get(id)!,
          lines: right ? [said] : [said, label],
          words: `${id}\npredicted: ${said}\ntrue: ${label}`,
          alt: `${id}: predicted ${said}, true ${label}`,
          outlined: !right,
        };
      }),
    };
    return [sheet];
  }
}
