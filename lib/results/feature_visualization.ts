/**
 * Images that were made to excite a target, with what they are worth.
 *
 * @module
 */

import type { NdArray, NdArrayLike } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import type { Block, Sheet, SheetTile } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { shrink } from "../figure/sprites.ts";
import { brief, fixed, percent } from "../format.ts";
import { patchTile } from "./patch_tiles.ts";
import { Collection, type CollectionFigureOptions, Result } from "./result.ts";
import { enlargement } from "./panels.ts";
import { Pictures, unitText } from "./patch_figures.ts";
import type { TopPatches } from "./top_patches.ts";

/** An image that was made, with its numbers. */
export interface VisualizationRow {
  /** What it was made for. */
  target: string;
  /** Its place among several images of the target. */
  image: number;
  /** Of its start, with `image`, and of its transformations. */
  seed: number;
  /** The target's score at the last step, of the image as it was transformed then. */
  score: number;
  /** Of the image as it is: of a unit or a direction its activation at the strongest cell, else the target's score. */
  activation: number;
  /** The largest of natural images; absent where there were none to compare with. */
  natural?: number;
  /** The activation over that; absent where `natural` is not above 0. */
  ratio?: number;
  /** The mean of random images with its spectrum. */
  random: number;
  /** The largest of these. */
  randomLargest: number;
  /**
   * The share of the activation that is left after transformations it was not optimised under: the median. Absent where the
   * activation is not above 0.
   */
  kept?: number;
  /** The least of these shares. */
  keptLeast?: number;
  /** Which transformation leaves least. */
  weakness?: string;
}

/** One image. */
export interface PicturePart {
  readonly image: NdArray;
  readonly alpha?: NdArray;
  readonly scores: readonly number[];
  readonly index: number;
  readonly activation: number;
  readonly random: readonly number[];
  readonly unseen: readonly { readonly transformation: string; readonly activation: number }[];
}

/** What a {@linkcode FeatureVisualization} is made of. */
export interface VisualizationParts {
  readonly model: string;
  readonly target: { readonly text: string; readonly kind: string };
  /** The unit, as patches name it. */
  readonly unit?: { readonly layer: string; readonly unit: number | string };
  /** `[y0, x0, y1, x1]` that it sees; null for all. */
  readonly box: readonly number[] | null;
  readonly steps: number;
  readonly seed: number;
  readonly parametrization: "fourier" | "pixels";
  /** Whether pixels were regularised. */
  readonly regularized: boolean;
  readonly moves: {
    readonly jitter: number;
    readonly scale: number;
    readonly rotate: number;
    readonly until: number;
  } | null;
  readonly diversity: boolean;
  /** The name of the photo that they began as. */
  readonly from?: string;
  readonly pictures: readonly PicturePart[];
  readonly natural?: number;
  /** What natural images these were, in words. */
  readonly compared?: string;
  readonly patches?: TopPatches;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values: readonly number[]) => {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
};
/** The sample's standard deviation. */
const spread = (values: readonly number[]) => {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
};

/** How large a picture is drawn, in pixels of the page: alone, and in a sheet of many. */
const SIZES = { alone: 224, many: 112 };

/** Images that excite one target; in a cell they are drawn, beside its patches if there are any. */
export class FeatureVisualization extends Result<VisualizationRow> {
  /** The image that excites the target most, `[h, w, c]`, RGB, 0…255. */
  readonly image: NdArray;
  /** The target's score at each step, of that image as it was transformed then. */
  readonly score: number[];
  /** All images of the target, in the order of their starts. */
  readonly images: readonly NdArray[];
  /** How opaque the pixels of `image` are, `[h, w]`, 0…1; only with `alpha`. */
  readonly alpha?: NdArray;
  /** One row an image. */
  readonly rows: readonly VisualizationRow[];
  /** What was asked for, in words. */
  readonly target: string;
  /** Whether a signal stopped it before all steps were done. */
  readonly stopped: boolean;
  readonly #parts: VisualizationParts;

  /** @internal */
  constructor(parts: VisualizationParts) {
    super();
    this.#parts = parts;
    const { pictures, natural, seed, target } = parts;
    const best = pictures.reduce((best, one) => one.activation > best.activation ? one : best);
    this.image = best.image;
    this.score = [...best.scores];
    this.images = pictures.map(({ image }) => image);
    if (best.alpha) this.alpha = best.alpha;
    this.target = target.text;
    this.stopped = pictures.some(({ scores }) => scores.length < parts.steps);
    this.rows = pictures.map(({ index, scores, activation, random, unseen }): VisualizationRow => {
      const shares = unseen.map((one) => one.activation / activation);
      const least = Math.min(...shares);
      return {
        target: target.text,
        image: index,
        seed,
        score: scores.at(-1)!,
        activation,
        ...natural !== undefined && { natural },
        ...natural !== undefined && natural > 0 && { ratio: activation / natural },
        random: mean(random),
        randomLargest: Math.max(...random),
        ...activation > 0 && {
          kept: median(shares),
          keptLeast: least,
          weakness: unseen[shares.indexOf(least)].transformation,
        },
      };
    });
  }

  /** @internal The unit's patches; none where they are not given. */
  get patchRows(): readonly PatchRow[] {
    const { patches, unit } = this.#parts;
    return patches && unit ? patches.of(unit) : [];
  }

  /** @internal */
  override arrays(): object {
    const { image, score, images, alpha, rows } = this;
    return { image, score, images: Object.fromEntries(images.entries()), ...alpha && { alpha }, rows };
  }

  /** The images with their activations, beside the target's patches; below, how they were made and what they are worth. */
  override figure(): Figure {
    const { model, pictures, patches, steps } = this.#parts;
    const isOne = pictures.length === 1;
    const size = isOne || pictures.length < 4 ? SIZES.alone : SIZES.many;
    const tiles = pictures.map((part, i) => this.#tile(part, size, this.rows[i], isOne ? "" : `start ${part.index}`));
    const sheet: Sheet = {
      kind: "sheet",
      tiles,
      side: Math.max(...tiles.map(({ pixels }) => Math.max(pixels.width, pixels.height))),
    };
    const rows = this.patchRows;
    const blocks: Block[] = [sheet];
    if (rows.length > 0 && patches) {
      const side = this.#patchSide(size, rows.length);
      const tile = patchTile(patchTiles(patches, rows), { ...this.#look(side, rows), values: true });
      blocks.push({
        kind: "sheet",
        heading: `its top ${rows.length} patches`,
        tiles: [{ ...tile, lines: [], words: "patches", alt: `The top ${rows.length} patches of ${this.target}` }],
        side: Math.max(tile.pixels.width, tile.pixels.height),
      });
    }
    if (pictures[0].scores.length > 1) blocks.push(this.#curve());
    return new Figure({
      title: `${model} · feature visualization · ${this.target}`,
      caption: [this.made(steps), this.worth()].join(" "),
      blocks: [{ kind: "row", blocks }],
      lines: this.rows.map((row) => this.#line(row)),
    });
  }

  /** @internal One tile of a sheet: the best image, beside the patches of its unit. */
  tile(): SheetTile {
    const { pictures, patches } = this.#parts;
    const at = pictures.findIndex(({ image }) => image === this.image);
    const own = this.#tile(pictures[at], SIZES.many, this.rows[at], "");
    const rows = this.patchRows;
    if (rows.length === 0 || !patches) return own;
    const tile = patchTile(
      patchTiles(patches, rows),
      this.#look(this.#patchSide(own.pixels.height, rows.length), rows),
    );
    return beside(own, tile);
  }

  /** @internal How the images were made, in words. */
  made(steps: number): string {
    const { parametrization, regularized, moves, diversity, from, box, pictures } = this.#parts;
    const done = pictures[0].scores.length;
    const how = parametrization === "fourier"
      ? "of Fourier coefficients scaled by 1/frequency" + (this.image.shape[2] === 3 ? ", in uncorrelated colours" : "")
      : `of pixels, ${regularized ? "regularised" : "with nothing to keep them in bounds but black and white"}`;
    const before = moves
      ? `; before each the image was ${movesText(moves)}`
      : "; the image was not moved, scaled or turned";
    const { shape: [height, width] } = this.image;
    const cropped = box && (box[2] - box[0] < height || box[3] - box[1] < width) ? " Drawn is what the unit sees." : "";
    return `${from ? `Begun as ${from}: ` : ""}${done} steps of gradient ascent ${how}${before}.` +
      (this.stopped ? ` It was stopped; ${steps} steps were asked for.` : "") +
      (diversity ? " The images were kept apart: how their activations differ is no error bar." : "") + cropped;
  }

  /** @internal What the images are worth, in words. */
  worth(): string {
    const { natural, compared, pictures, diversity, target } = this.#parts;
    const best = this.rows.reduce((best, row) => row.activation > best.activation ? row : best);
    const what = ["unit", "direction"].includes(target.kind) ? "Activation (strongest cell)" : "Score";
    const several = pictures.length > 1 && !diversity
      ? ` (${pictures.length} starts: ${brief(mean(this.rows.map(({ activation }) => activation)))} ± ` +
        `${brief(spread(this.rows.map(({ activation }) => activation)))}, mean and standard deviation)`
      : "";
    const against = natural === undefined ? "" : `; the best of ${compared} ${brief(natural)}` +
      (best.ratio === undefined ? "" : ` (it is ${fixed(best.ratio, 1)} times that)`);
    return `${what} ${brief(best.activation)}${several}${against}; random images of the same spectrum ${
      brief(best.random)
    } on ` +
      `average, ${brief(best.randomLargest)} at most.` +
      (best.kept !== undefined && best.keptLeast !== undefined
        ? ` Of it ${
          percent(best.kept)
        } is left after a transformation that it was not optimised under (the median of ` +
          `${pictures[0].unseen.length}); least, ${percent(Math.max(0, best.keptLeast))}, when ${best.weakness}.`
        : "");
  }

  #line(row: VisualizationRow): string {
    return `${row.target}  activation ${brief(row.activation)}` +
      (row.ratio === undefined ? "" : `  ${fixed(row.ratio, 1)} × the best natural`) +
      `  random ${brief(row.random)}` +
      (row.kept === undefined ? "" : `  kept ${percent(row.kept)}`);
  }

  #tile(part: PicturePart, size: number, row: VisualizationRow, name: string): SheetTile {
    const pixels = drawn(part.image, this.#parts.box, size);
    const ratio = row.ratio === undefined ? "" : `${fixed(row.ratio, 1)} × best natural`;
    return {
      pixels,
      lines: [name || this.#name, brief(row.activation), ratio].filter(Boolean),
      words: [`${this.target}${name && `, ${name}`}`, this.#line(row)].join("\n"),
      alt: `An image made to excite ${this.target}`,
    };
  }

  get #name(): string {
    const { unit, patches } = this.#parts;
    if (!unit) return this.target;
    return [unitText(unit.unit), patches?.labelOf(unit.layer, unit.unit) ?? []].flat().join(" · ");
  }

  #patchSide(height: number, count: number): number {
    return Math.floor((height - 8) / Math.ceil(count / Math.ceil(Math.sqrt(count)))) - 3;
  }

  /** How the patches are drawn. */
  #look(size: number, rows: readonly PatchRow[]) {
    const { shape: [height, width] } = this.image;
    const field = this.#parts.patches!.fieldOf(rows[0].layer) ?? [];
    const sides = [0, 1].map((axis) =>
      Math.max(Math.min(field[axis] ?? 1, [height, width][axis]), ...rows.map(({ box }) => box[axis + 2] - box[axis]))
    );
    return { field: sides as [number, number], size, columns: Math.ceil(Math.sqrt(rows.length)) };
  }

  #curve(): Block {
    const { pictures } = this.#parts;
    return {
      kind: "chart",
      heading: "score at each step",
      series: pictures.map(({ scores, index }) => ({
        label: pictures.length === 1 ? "score" : `start ${index}`,
        x: scores.map((_, step) => step + 1),
        y: [...scores],
      })),
      x: { title: "step", whole: true },
      y: { title: "score" },
      width: 360,
      height: 224,
      alt: `The score of ${this.target} at each step`,
    };
  }
}

/** Transformations in words. */
function movesText({ jitter, scale, rotate, until }: NonNullable<VisualizationParts["moves"]>): string {
  const parts = [
    jitter > 0 ? `moved by up to ${jitter} px` : "",
    scale > 0 ? `scaled by up to ${percent(scale)}` : "",
    rotate > 0 ? `turned by up to ${rotate}°` : "",
  ].filter(Boolean);
  const last = parts.pop();
  if (last === undefined) return "left as it was";
  const all = parts.length > 0 ? `${parts.join(", ")} and ${last}` : last;
  return until < 1 ? `${all}, less and less after ${percent(until)} of the steps` : all;
}

/** Patches as they are drawn. */
function patchTiles(patches: TopPatches, rows: readonly PatchRow[]) {
  const pictures = new Pictures(patches);
  return rows.map((row) => ({
    image: pictures.of(row),
    box: row.box,
    value: brief(row.activation),
    words: `${row.rank}. activation ${brief(row.activation, 4)}\n${
      [row.imageId, row.label].filter(Boolean).join(" · ")
    }`,
  }));
}

/** An image, or what of it is seen, at about a size: enlarged by a whole factor or made smaller. */
export function drawn(image: NdArrayLike, box: readonly number[] | null, size: number): Pixels {
  const [height, width, channels] = image.shape;
  const [y0, x0, y1, x1] = box && box[2] > box[0] && box[3] > box[1] ? box : [0, 0, height, width];
  const [rows, columns] = [y1 - y0, x1 - x0];
  const cut = Float32Array.from({ length: rows * columns * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    const y = y0 + Math.floor(pixel / columns);
    return image.data[(y * width + x0 + pixel % columns) * channels + i % channels];
  });
  const factor = enlargement([rows, columns], size);
  const pixels = pixelsOf({ data: cut, shape: [rows, columns, channels] }, factor);
  const largest = Math.max(rows, columns);
  if (largest <= size) return pixels;
  const sides: [number, number] = [rows, columns].map((side) => Math.max(1, Math.round(side * size / largest))) as [
    number,
    number,
  ];
  const data = new Uint8Array(sides[0] * sides[1] * 3);
  shrink(pixels.data as Uint8Array, 0, [rows, columns], sides, data);
  return { data, height: sides[0], width: sides[1] };
}

/** Between an image and its patches. */
const APART = 8;

/** A tile with patches right of it. */
function beside(tile: SheetTile, { pixels, texts, spots }: ReturnType<typeof patchTile>): SheetTile {
  const left = tile.pixels.width + APART;
  const [width, height] = [left + pixels.width, Math.max(tile.pixels.height, pixels.height)];
  const data = new Uint8Array(width * height * 4);
  for (const [from, at] of [[tile.pixels, 0], [pixels, left]] as const) {
    const deep = from.data.length / (from.width * from.height);
    for (let y = 0; y < from.height; y++) {
      for (let x = 0; x < from.width; x++) {
        const own = from.data.subarray((y * from.width + x) * deep, (y * from.width + x + 1) * deep);
        data.set(own, (y * width + at + x) * 4);
        if (deep === 3) data[(y * width + at + x) * 4 + 3] = 255;
      }
    }
  }
  return {
    ...tile,
    pixels: { data, width, height },
    texts: texts.map((text) => ({ ...text, x: text.x + left })),
    spots: spots.map(({ box: [x, ...rest], ...spot }) => ({ ...spot, box: [x + left, ...rest] })),
  };
}

/** The visualizations of several targets: an array of them that shows itself as one sheet. */
export class FeatureVisualizations extends Collection<FeatureVisualization> {
  /** A sheet of the images, each beside the patches of its unit where these were given. */
  override figure(options: Partial<CollectionFigureOptions> = {}): Figure {
    const items = this.drawn(options);
    const tiles = items.map((item) => item.tile());
    const ratios = items.flatMap((item) => item.rows.flatMap(({ ratio }) => ratio ?? []));
    const kept = items.flatMap((item) => item.rows.flatMap(({ kept }) => kept ?? []));
    const beyond = items.flatMap((item) =>
      item.rows.map(({ activation, randomLargest }) => activation > randomLargest)
    );
    const title = `${this.title} (${this.length})`;
    const patches = items.some(({ patchRows }) => patchRows.length > 0);
    return new Figure({
      title,
      caption: [
        patches ? "Left of each: an image made to excite the unit; right: its top patches, the strongest first." : "",
        items[0]?.made(items[0].score.length),
        ratios.length > 0
          ? `Below each: its activation, and how many times that of the best natural patch it is (median ${
            fixed(median(ratios), 1)
          }, least ${fixed(Math.min(...ratios), 1)}).`
          : "Below each: its activation.",
        `${
          beyond.filter(Boolean).length
        } of ${beyond.length} exceed the best of 16 random images of the same spectrum.`,
        kept.length > 0
          ? `After transformations that they were not optimised under, ${
            percent(median(kept))
          } of the activation is left (median).`
          : "",
        this.note(items.length),
      ].filter(Boolean).join(" "),
      blocks: items.length === 0 ? [] : [{
        kind: "sheet",
        tiles,
        side: Math.max(...tiles.map(({ pixels }) => Math.max(pixels.width, pixels.height))),
        filter: "unit",
      }],
      text: [title, ...items.map((item) => item.figure().text)].join("\n\n"),
    });
  }
}

/** Images that are still being made. */
export function livePictures(model: string, target: string, images: readonly NdArrayLike[]): Figure {
  return new Figure({
    title: `${model} · feature visualization · ${target}`,
    caption: "Unfinished.",
    blocks: [{
      kind: "row",
      blocks: images.map((image): Block => ({
        kind: "picture",
        pixels: drawn(image, null, images.length > 3 ? SIZES.many : SIZES.alone),
        alt: "An image that is being made",
      })),
    }],
  });
}
