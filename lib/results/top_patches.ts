/**
 * The patches that excite units most.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type { InputArray } from "../data/given.ts";
import type { PatchRow } from "../data/records.ts";
import { unknownName } from "../errors.ts";
import { Figure } from "../figure/figure.ts";
import { readOptions } from "../options.ts";
import { defaultRows, ofImages, patchBlocks, PatchesFigureOptions } from "./patch_figures.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

export type { PatchRow };

/** An image that a patch comes from. */
export interface PatchImage {
  readonly id: string;
  /** Its place in the data set. */
  readonly index: number;
}

/** Reads images again, and hands each over: its picture, and all that the model was given for it. */
export type PictureReader = (
  images: readonly PatchImage[],
  receive: (id: string, picture: NdArrayLike, view: InputArray) => void,
) => Promise<void>;

/** What {@linkcode TopPatches} is made of. */
export interface TopPatchesParts {
  readonly model: string;
  readonly dataset: string;
  readonly top: number;
  readonly cells: "strongest" | "all";
  readonly rank: "activation" | "relevance";
  readonly images: number;
  readonly skipped: readonly SkippedImage[];
  /** Along how many axes the model looks: 2 of images. */
  readonly dimensions: number;
  readonly layers: readonly string[];
  /** The images that patches come from, by their ids. */
  readonly sources: ReadonlyMap<string, PatchImage>;
  readonly read: PictureReader;
  /** How many pixels a cell of a layer sees along each side of an image, where that is exact; 0 where it is not known. */
  readonly fields?: ReadonlyMap<string, readonly number[]>;
  /** What the units of some layers are called, by the layers' names: the classes of the last one. */
  readonly labels?: ReadonlyMap<string, readonly string[]>;
  /** The directions that stand for units, by their names. */
  readonly directions?: ReadonlyMap<string, Float32Array>;
}

/** Which patches are asked for; all that is left out matches all. */
export interface PatchQuery {
  /** A layer's name. */
  readonly layer?: string;
  /** A channel's number, or a direction's name. */
  readonly unit?: number | string;
  /** What the image shows. */
  readonly label?: string;
  /** The image's id in the data set. */
  readonly imageId?: string;
}

/** The pictures that are kept take at most this many bytes. */
const MOST_BYTES = 128e6;

/** The patches that excite units most, unit by unit; in a cell they are drawn. */
export class TopPatches extends Result<PatchRow> {
  /** One row a patch, ordered by layer, unit and rank. */
  readonly rows: readonly PatchRow[];
  /** The layers in the order in which they were asked for. */
  readonly layers: readonly string[];
  /** How many patches each unit has at most. */
  readonly top: number;
  /** Whether an image gives a unit its strongest cell only, or all. */
  readonly cells: "strongest" | "all";
  /** What patches are ordered by. */
  readonly rank: "activation" | "relevance";
  /** How many images were looked at. */
  readonly images: number;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: TopPatchesParts;
  readonly #pictures = new Map<string, NdArrayLike | { data: Uint8Array; shape: readonly number[] }>();

  /** @internal */
  constructor(rows: readonly PatchRow[], parts: TopPatchesParts) {
    super();
    this.rows = rows;
    this.layers = parts.layers;
    this.top = parts.top;
    this.cells = parts.cells;
    this.rank = parts.rank;
    this.images = parts.images;
    this.skipped = parts.skipped;
    this.#parts = parts;
  }

  /** @internal What captions say of where the patches come from. */
  get about(): Pick<TopPatchesParts, "model" | "dataset" | "dimensions"> {
    return this.#parts;
  }

  /**
   * The units of a layer, in their order.
   *
   * @throws {RangeError} if the layer was not asked for
   */
  units(layer: string): (number | string)[] {
    if (!this.layers.includes(layer)) {
      throw unknownName("layer", String(layer), this.layers, "these patches");
    }
    return [...new Set(this.of({ layer }).map(({ unit }) => unit))];
  }

  /**
   * The rows that match all that is asked for.
   *
   * @example
   * ```ts
   * import { cifar10, loadModel, topPatches } from "@convlens/convlens";
   * const images = await cifar10({ split: "test", limit: 300 });
   * const patches = await topPatches(await loadModel("cifar-convnet"), images, { layer: "conv2_1" });
   * console.log(patches.of({ unit: 3 }), patches.of({ label: "cat" }).length);
   * const table = await patches.table(); // a Polars data frame: any other question
   * console.log(table.getColumn("label").valueCounts(), table.sort("activation", true).head(5));
   * ```
   */
  of(query: PatchQuery): PatchRow[] {
    const asked = Object.entries(query).filter(([, value]) => value !== undefined);
    return this.rows.filter((row) => asked.every(([name, value]) => row[name as keyof PatchRow] === value));
  }

  /**
   * An image that a patch comes from, as the model sees it.
   *
   * @param imageId its id
   * @returns `[h, w, c]`, 0…255; undefined if it has not been read: {@linkcode load} reads it
   */
  picture(imageId: string): NdArray | undefined {
    const kept = this.#pictures.get(imageId);
    return kept &&
      new NdArray(kept.data instanceof Float32Array ? kept.data : Float32Array.from(kept.data), kept.shape);
  }

  /**
   * Reads the pictures of further units, so that they can be drawn. After the scan those of the units are there that are
   * drawn by default.
   *
   * @param asked the units of a layer, or all of them; @default all units of all layers, as far as 128 MB hold them
   */
  async load(asked: { layer?: string; units?: readonly (number | string)[] } = {}): Promise<this> {
    const { layer, units } = asked;
    const wanted = this.rows.filter((row) =>
      (layer === undefined || row.layer === layer) && (units === undefined || units.includes(row.unit))
    );
    // Those that are drawn by default first.
    const first = new Set(defaultRows(this));
    wanted.sort((a, b) => Number(first.has(b)) - Number(first.has(a)));
    await this.loadRows(wanted, layer === undefined && units === undefined ? MOST_BYTES : Infinity);
    return this;
  }

  /** @internal Reads the pictures of rows, in their order until they take so many bytes. */
  async loadRows(rows: readonly PatchRow[], most = MOST_BYTES): Promise<void> {
    let bytes = this.#pictures.values().reduce((sum, { data }) => sum + data.byteLength, 0);
    let each = 0;
    const missing = [...new Set(rows.map(({ imageId }) => imageId))].filter((id) => !this.#pictures.has(id));
    while (missing.length > 0) {
      // The first tells how large they are.
      const some = missing.splice(0, each === 0 ? 1 : Math.floor((most - bytes) / each));
      if (some.length === 0) return;
      await this.#parts.read(some.map((id) => this.#parts.sources.get(id)!), (id, picture) => {
        const kept = this.#parts.dimensions === 2 ? asBytes(picture) : picture;
        this.#pictures.set(id, kept);
        bytes += kept.data.byteLength;
        each = Math.max(each, kept.data.byteLength);
      });
    }
  }

  /** @internal How many pixels a cell of a layer sees along each side; 0 where that is not the same for all. */
  fieldOf(layer: string): readonly number[] | undefined {
    return this.#parts.fields?.get(layer);
  }

  /** @internal What a unit is called, where it has a name: the label of its class. */
  labelOf(layer: string, unit: number | string): string | undefined {
    return typeof unit === "number" ? this.#parts.labels?.get(layer)?.[unit] : undefined;
  }

  /** @internal The numbers of a direction that stands for a unit. */
  direction(unit: number | string): Float32Array | undefined {
    return this.#parts.directions?.get(String(unit));
  }

  /** @internal Reads the images of rows again, as the model was given them. */
  async readViews(rows: readonly PatchRow[]): Promise<Map<string, InputArray>> {
    const views = new Map<string, InputArray>();
    const images = [...new Set(rows.map(({ imageId }) => imageId))].map((id) => this.#parts.sources.get(id)!);
    await this.#parts.read(images, (id, _, view) => void views.set(id, view));
    return views;
  }

  /** @internal */
  override arrays(): object {
    const { rows, layers, top, cells, images, skipped } = this;
    return { rows, layers, top, cells, images, skipped };
  }

  /**
   * Of each unit its patches in a small grid, the strongest first; under the pointer the whole image with a white box.
   *
   * @throws {RangeError} if a layer or unit has no patches, or its pictures have not been read: {@linkcode load} reads them
   *
   * @example
   * ```ts
   * import { cifar10, loadModel, topPatches } from "@convlens/convlens";
   * const images = await cifar10({ split: "test", limit: 300 });
   * const patches = await topPatches(await loadModel("cifar-convnet"), images, { layers: ["conv1", "conv4"] });
   * await patches.figure({ layer: "conv4", units: [0, 3, 200], whole: true }).save(`${await Deno.makeTempDir()}/conv4.png`);
   * ```
   */
  override figure(options: Partial<PatchesFigureOptions> = {}): Figure {
    const asked = readOptions("figure", PatchesFigureOptions, options);
    const { model, dataset } = this.#parts;
    const { blocks, caption, layers } = patchBlocks(this, asked);
    const kept = this.cells === "strongest" ? ", one of each image" : "";
    const by = this.rank === "relevance" ? " by relevance (activation × gradient of the class score)" : "";
    return new Figure({
      title: `${model} · ${layers.length > 3 ? `${layers.length} layers` : layers.join(", ")} · top ${this.top} ` +
        `patches of ${ofImages(this.images, dataset)}`,
      caption: [
        `Of each unit the ${this.top} strongest patches${by}${kept}, row by row, the strongest first.`,
        caption,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks,
    });
  }
}

/** A picture in a quarter of the memory, if that loses no more than fractions of 1 in 255. */
function asBytes(picture: NdArrayLike): NdArrayLike | { data: Uint8Array; shape: readonly number[] } {
  const { data, shape } = picture;
  let [most, wholes] = [0, true];
  for (const value of data) {
    if (!(value >= 0 && value <= 255)) return picture;
    if (value > most) most = value;
    wholes &&= Number.isInteger(value);
  }
  return most > 8 || wholes ? { data: new Uint8Array(Uint8ClampedArray.from(data).buffer), shape } : picture;
}
