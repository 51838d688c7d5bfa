/**
 * Filters that never fire, counted layer by layer, and their strips of bars.
 *
 * @module
 */

import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { brief, briefPercent } from "../format.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One filter over all images. */
export interface DeadFilterRow {
  /** The layer's name. */
  layer: string;
  /** The filter's index in the layer. */
  channel: number;
  /** The largest value in its feature map. */
  max: number;
  /** The mean over all images and cells. */
  mean: number;
  /** The share of the images, 0…1, on which it fired: its feature map was above 0 somewhere. */
  activeFraction: number;
  /** The share of all cells of all images that were above 0, 0…1. */
  activeCells: number;
  /** Whether it fired on none. */
  dead: boolean;
  /** Whether it fired, but on a smaller share of the images than `hardly` says. */
  hardly: boolean;
}

/** One layer's filters counted. */
export interface DeadFilterLayer {
  /** The layer's name. */
  layer: string;
  /** How many filters it has. */
  channels: number;
  /** How many of them fired on no image. */
  dead: number;
  /** How many of them fired, but on few images. */
  hardly: number;
}

/** Colours of a tile: what is behind the bar, the bar, and the bar of a filter that hardly fires. */
const BACK = [38, 42, 48];
const BAR = [142, 190, 232];
const HARDLY = [240, 196, 25];
const TILE = { width: 24, height: 18 };

/** Every watched filter with how often it fired; in a cell, a strip of bars a layer. */
export class DeadFilters extends Result<DeadFilterRow> {
  /** One row a filter, layer after layer. */
  readonly rows: readonly DeadFilterRow[];
  /** One entry a layer. */
  readonly layers: readonly DeadFilterLayer[];
  /** How many images were looked at. */
  readonly images: number;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #names: { model: string; dataset: string; hardly: number };

  /** @internal */
  constructor(
    rows: DeadFilterRow[],
    { size, skipped }: { size: number; skipped: readonly SkippedImage[] },
    names: { model: string; dataset: string; hardly: number },
  ) {
    super();
    this.rows = rows;
    this.images = size - skipped.length;
    this.skipped = skipped;
    this.#names = names;
    this.layers = [...new Set(rows.map(({ layer }) => layer))].map((layer) => {
      const own = rows.filter((row) => row.layer === layer);
      return {
        layer,
        channels: own.length,
        dead: own.filter(({ dead }) => dead).length,
        hardly: own.filter(({ hardly }) => hardly).length,
      };
    });
  }

  /** A strip of bars for each layer. */
  override figure(): Figure {
    const { model, dataset, hardly } = this.#names;
    const dead = this.layers.reduce((sum, layer) => sum + layer.dead, 0);
    const title = `${model} · ${dead} of ${this.rows.length} filters dead on ${this.images} images of ${dataset}`;
    const caption = [
      `One tile a filter: the bar is the share of images on which it fired, from none to all. ` +
      `Outlined in orange: never. Yellow: on less than ${briefPercent(hardly)} of them. ` +
      // If a share p of all images fires it, n images in a row miss it with probability (1 − p)ⁿ.
      `A filter that is dead here fires on less than ${briefPercent(1 - 0.05 ** (1 / this.images))} of such images ` +
      `(95 % confidence); other images may still wake it.`,
      skippedNote(this.skipped),
    ].filter(Boolean).join(" ");
    return new Figure({ title, caption, blocks: this.layers.map((layer) => this.#strip(layer)) });
  }

  #note({ channels, dead, hardly }: DeadFilterLayer): string {
    return `${channels} filters · ${dead} dead · ${hardly} hardly fire`;
  }

  #strip(layer: DeadFilterLayer): Block {
    const rows = this.rows.filter((row) => row.layer === layer.layer);
    const { width, height } = TILE;
    const strip = mosaic({
      width,
      height,
      count: rows.length,
      paint: (i) => {
        const { activeFraction, hardly } = rows[i];
        // A filter that fires at all has a line of its own.
        const filled = Math.max(Math.round(activeFraction * height), activeFraction > 0 ? 1 : 0);
        const tile = new Uint8Array(width * height * 3);
        for (let at = 0; at < tile.length; at++) {
          const y = Math.floor(at / (3 * width));
          tile[at] = (y < height - filled ? BACK : hardly ? HARDLY : BAR)[at % 3];
        }
        return tile;
      },
      label: (i) => {
        const { channel, max, mean, activeFraction, activeCells, dead } = rows[i];
        return `channel ${channel}${dead ? " · dead" : ""}\nfires on ${briefPercent(activeFraction)} of the images, ` +
          `in ${briefPercent(activeCells)} of the cells\nmax ${brief(max)}, mean ${brief(mean)}`;
      },
      outlined: (i) => rows[i].dead,
      // Tiles of all layers are of one size.
      maxHeight: TILE.height,
    });
    return {
      kind: "picture",
      heading: layer.layer,
      note: this.#note(layer),
      ...strip,
      alt: `How often each of the ${layer.channels} filters of layer ${layer.layer} of ${this.#names.model} fires, ` +
        `${layer.dead} of them never`,
    };
  }
}
