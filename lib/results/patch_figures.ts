/**
 * What units look for, drawn: of each unit its top patches, alone or beside what came back to their pixels.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import { unknownName } from "../errors.ts";
import type { Block, Sheet, SheetTile, Table } from "../figure/blocks.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { brief, significant } from "../format.ts";
import { arrayOf, flag, text, whole as wholeNumber } from "../options.ts";
import { drawnAt, patchTile, type TileLook } from "./patch_tiles.ts";

/** What patches are drawn from. */
export interface PatchSource {
  readonly rows: readonly PatchRow[];
  readonly layers: readonly string[];
  /** The image as the model sees it, `[h, w, c]`, 0…255; undefined where it was not kept. */
  picture(imageId: string): NdArrayLike | undefined;
  /** How many pixels a cell of a layer sees along each side; 0 where that is not the same for all. */
  fieldOf?(layer: string): readonly number[] | undefined;
  /** What a unit is called, where it has a name. */
  labelOf?(layer: string, unit: UnitName): string | undefined;
}

/** A unit: a channel's number or a direction's name. */
export type UnitName = number | string;

/** Which units are drawn, and how large. */
export class UnitsFigureOptions {
  /**
   * The layer whose units are drawn.
   * @default all that were asked for
   */
  @text()
  layer?: string;
  /**
   * The units that are drawn: channels' numbers, or directions' names.
   * @default the first 24 of a layer, of many layers fewer of each; of a plate all
   */
  @arrayOf("channels' numbers or directions' names")
  units?: readonly UnitName[];
  /**
   * How large each patch (or whole image) is drawn, about, in pixels of the page: it is enlarged by a whole factor.
   * @default about 60, or 96 where a unit sees more than 32 pixels and for whole images
   */
  @wholeNumber(8)
  size?: number;
}

/** Which patches are drawn, and how. */
export class PatchesFigureOptions extends UnitsFigureOptions {
  /**
   * Whether whole images are drawn, each with a white box around its patch, as Girshick et al. (2014) do.
   * @default false
   */
  @flag()
  whole = false;
}

/** Where scripts do not run all units are seen; of many layers so many together. */
const UNITS = { most: 24, together: 96, least: 2 };

/** How many units of each of some layers are drawn unless others are asked for. */
export const unitsDrawn = (layers: number): number =>
  Math.max(UNITS.least, Math.min(UNITS.most, Math.floor(UNITS.together / Math.max(1, layers))));

/** The patches of one unit, the strongest first. */
export interface UnitPatches {
  layer: string;
  unit: UnitName;
  rows: readonly PatchRow[];
}

/** A unit in words, as `"channel 12"`. */
export const unitText = (unit: UnitName): string => typeof unit === "number" ? `channel ${unit}` : unit;

/** All units of a layer, in the order of the rows. */
export function unitsOf(rows: readonly PatchRow[], layer: string): UnitPatches[] {
  const own = Map.groupBy(rows.filter((row) => row.layer === layer), ({ unit }) => unit);
  return Array.from(own, ([unit, rows]) => ({ layer, unit, rows }));
}

/**
 * The units that are drawn, layer by layer, and how many each layer has.
 *
 * @param most how many of each layer unless some are named; @default as many as a page has room for
 * @throws {RangeError} if a layer or a unit has no patches
 */
export function chosenUnits(
  { rows, layers }: Pick<PatchSource, "rows" | "layers">,
  { layer, units }: { layer?: string; units?: readonly UnitName[] },
  most?: number,
): { layer: string; units: UnitPatches[]; of: number }[] {
  if (layer !== undefined && !layers.includes(layer)) throw unknownName("layer", layer, layers, "these patches");
  if (units?.length === 0) throw new RangeError("units names the units to draw, one at least: received none.");
  const shown = layer === undefined ? layers : [layer];
  return shown.map((layer) => {
    const all = unitsOf(rows, layer);
    const byName = new Map(all.map((unit) => [unit.unit, unit]));
    const own = units?.map((unit) => {
      const found = byName.get(unit);
      if (found) return found;
      throw unknownName(
        "unit",
        String(unit),
        [...byName.keys()].map(String),
        `the patches of ${JSON.stringify(layer)}`,
      );
    });
    return { layer, units: own ?? all.slice(0, most ?? unitsDrawn(shown.length)), of: all.length };
  });
}

/** The rows of the units that are drawn unless others are asked for. */
export const defaultRows = (source: Pick<PatchSource, "rows" | "layers">): PatchRow[] =>
  chosenUnits(source, {}).flatMap(({ units }) => units.flatMap(({ rows }) => rows));

/** A place as Python writes it. */
const placeText = (numbers: readonly number[]) => `[${numbers.join(", ")}]`;

/** What ranks a row: its relevance where it has one. */
const valueOf = ({ relevance, activation }: PatchRow) => relevance ?? activation;

/** All that is known of a patch. */
function patchWords({ rank, imageId, label, activation, relevance, cell, box }: PatchRow): string {
  const [y0, x0, y1, x1] = box;
  const numbers = [
    ...relevance === undefined ? [] : [`relevance ${brief(relevance, 4)}`],
    `activation ${brief(activation, 4)}`,
  ];
  return [
    `${rank}. ${numbers.join(", ")}`,
    [imageId, label].filter((part) => part !== undefined).join(" · "),
    cell.length > 0
      ? `cell ${placeText(cell)}, rows ${y0} to ${y1 - 1}, columns ${x0} to ${x1 - 1}`
      : "of the whole image",
  ].join("\n");
}

/** What most of a unit's patches are, as `"7 of 9 frog"`; empty where no label has half of them. */
function labelText(rows: readonly PatchRow[]): string {
  const [most] = [...Map.groupBy(rows.filter(({ label }) => label !== undefined), ({ label }) => label!)]
    .toSorted(([, a], [, b]) => b.length - a.length);
  return most && most[1].length >= 2 && 2 * most[1].length >= rows.length
    ? `${most[1].length} of ${rows.length} ${most[0]}`
    : "";
}

/** The largest and the least value of a unit's patches. */
function rangeText(rows: readonly PatchRow[]): string {
  const values = rows.map(valueOf);
  const [first, last] = [Math.max(...values), Math.min(...values)].map((value) => brief(value));
  return first === last ? first : `${first} … ${last}`;
}

/** Images as pixels, each made once: those of one image are one picture of the page. */
export class Pictures {
  readonly #made = new Map<string, Pixels>();

  constructor(readonly source: PatchSource) {}

  /** @throws {RangeError} if the image was not kept */
  readonly of = ({ imageId, layer, unit }: PatchRow): Pixels => {
    const known = this.#made.get(imageId);
    if (known) return known;
    const picture = this.source.picture(imageId);
    if (!picture) {
      throw new RangeError(
        `The pictures of ${unitText(unit)} of ${JSON.stringify(layer)} have not been read. First ` +
          `\`await patches.load({ layer: ${JSON.stringify(layer)}, units: [${JSON.stringify(unit)}] })\`.`,
      );
    }
    const made = pixelsOf(picture);
    this.#made.set(imageId, made);
    return made;
  };
}

/** How the patches of a layer are drawn, beside what {@linkcode TileLook} says. */
export interface SheetLook {
  whole?: boolean;
  size?: number;
  values?: boolean;
  /** What came back to the pixels of a patch, RGB, as large as its box, or as it is drawn: `scale` times as large. */
  projection?: (row: PatchRow, scale: number) => Pixels | undefined;
}

/**
 * How large a receptive field of the layer is, `[height, width]`, as far as an image has room for it: as the network has
 * it, and where that is not known as large as the largest of the patches.
 */
function fieldOf(units: readonly UnitPatches[], { source, of }: Pictures, drawn: PatchRow): [number, number] {
  const [high, wide] = source.fieldOf?.(drawn.layer) ?? [];
  const { height, width } = of(drawn);
  const field: [number, number] = [Math.min(high || 1, height), Math.min(wide || 1, width)];
  for (const { rows } of units) {
    for (const { box: [y0, x0, y1, x1] } of rows) {
      field[0] = Math.max(field[0], y1 - y0);
      field[1] = Math.max(field[1], x1 - x0);
    }
  }
  return field;
}

/** So that five small blocks, or three large ones, are side by side; of pairs half as many. */
const defaultSize = (field: number, paired: boolean) => field <= 28 ? 57 : field <= 32 ? 64 : paired ? 72 : 96;

/** The units of a layer that never answer: those whose strongest patch has the activation 0. */
const isSilent = ({ rows }: UnitPatches) => rows.every(({ activation }) => activation === 0);

/**
 * The units of one layer: of each its patches in a square grid, with its name, and what most patches are, below.
 *
 * @param all all units of the layer, which say how large a receptive field is
 */
export function patchSheet(
  units: readonly UnitPatches[],
  pictures: Pictures,
  { whole = false, size, values = true, projection }: SheetLook,
  all: readonly UnitPatches[] = units,
): Sheet {
  const field = fieldOf(all, pictures, units[0].rows[0]);
  const look: Omit<TileLook, "columns"> = {
    field,
    size: size ?? defaultSize(whole ? Infinity : Math.max(...field), projection !== undefined),
    whole,
    values,
  };
  const scale = drawnAt(field, look.size);
  const tiles = units.map((unit): SheetTile => {
    const { layer, rows } = unit;
    const name = [unitText(unit.unit), pictures.source.labelOf?.(layer, unit.unit) ?? []].flat().join(" · ");
    const drawn = patchTile(
      rows.map((row) => ({
        image: pictures.of(row),
        box: row.box,
        projection: projection?.(row, scale),
        value: significant(valueOf(row)),
        words: `${name} of ${layer}\n${patchWords(row)}`,
      })),
      { ...look, columns: Math.ceil(Math.sqrt(rows.length)) },
    );
    const lines = [name, ...values ? [] : [rangeText(rows)], labelText(rows)];
    const words = [name, rangeText(rows), isSilent(unit) ? "never answers" : labelText(rows)];
    return {
      ...drawn,
      lines: lines.filter(Boolean),
      words: words.filter(Boolean).join("  "),
      alt: `The top ${rows.length} ${whole ? "images" : "patches"} of ${name} of ${layer}: ${
        rows.map(({ imageId, label }) => label ?? imageId).join(", ")
      }`,
      outlined: isSilent(unit),
    };
  });
  const best = units.map(({ rows }) => Math.max(...rows.map(valueOf)));
  const inOrder = units.map((_, i) => i);
  const names = units.every(({ unit }) => typeof unit === "number") ? "channel" : "unit";
  return {
    kind: "sheet",
    tiles,
    side: Math.max(
      ...tiles.map(({ pixels: { width } }) => Math.min(Math.max(width, 110), 1.9 * width)).map(Math.floor),
    ),
    filter: names,
    ...units.length > 1 && {
      orders: [
        { name: names, places: inOrder },
        { name: "strongest first", places: inOrder.toSorted((a, b) => best[b] - best[a] || a - b) },
      ],
    },
  };
}

/** Whether any of the patches that are drawn is clipped at the border of its image. */
export function anyClipped(
  units: readonly UnitPatches[],
  pictures: Pictures,
  all: readonly UnitPatches[] = units,
): boolean {
  const [height, width] = fieldOf(all, pictures, units[0].rows[0]);
  return units.some(({ rows }) => rows.some(({ box: [y0, x0, y1, x1] }) => y1 - y0 < height || x1 - x0 < width));
}

/** What a figure says of them. */
export const CLIPPED = "Hatched: what a receptive field has beyond the image's border, as far as there is room for it.";

/** What a figure says of units that never answer. */
export function silentNote(units: readonly UnitPatches[]): string {
  const silent = units.filter(isSilent).length;
  return silent === 0
    ? ""
    : `Outlined: ${silent} of these ${units.length} units ${silent === 1 ? "is" : "are"} 0 on every image.`;
}

/** The patches as a table, where they are no pictures. */
export function patchTable(units: readonly UnitPatches[]): Table {
  const right = (title: string) => ({ title, align: "right" as const });
  return {
    kind: "table",
    columns: [
      { title: "unit" },
      right("rank"),
      { title: "image" },
      { title: "label" },
      right("activation"),
      { title: "cell" },
      { title: "box" },
    ],
    rows: units.flatMap(({ unit, rows }) =>
      rows.map(({ rank, imageId, label = "", activation, cell, box }) => [
        unitText(unit),
        String(rank),
        imageId,
        label,
        brief(activation, 4),
        placeText(cell),
        placeText(box),
      ])
    ),
  };
}

/** How many images, and of which data set, as far as that has a name of its own. */
export const ofImages = (count: number, dataset: string): string =>
  `${count} image${count === 1 ? "" : "s"}${dataset === "images" ? "" : ` of ${dataset}`}`;

/** What stands above the units of a layer: its name where there are several, and how many units are left out. */
export const layerWords = (
  { layer, units, of }: ReturnType<typeof chosenUnits>[number],
  layers: number,
): { heading?: string; note?: string } => ({
  ...layers > 1 && { heading: layer },
  ...units.length < of && {
    note: `${units.length} of ${of} units; figure({ layer: ${JSON.stringify(layer)}, units: [${
      typeof units[0].unit === "number" ? "…" : '"…"'
    }] }) draws others.`,
  },
});

/** The patches of some layers as blocks of a figure, and what the caption says of them. */
export function patchBlocks(
  source: PatchSource,
  { layer, units, whole, size }: Partial<PatchesFigureOptions>,
): { blocks: Block[]; caption: string; layers: string[] } {
  const chosen = chosenUnits(source, { layer, units });
  const pictures = new Pictures(source);
  const isFlat = chosen.every(({ units }) => units.every(({ rows }) => rows.every(({ box }) => box.length === 4)));
  const blocks = chosen.map((own): Block => ({
    ...isFlat
      ? patchSheet(own.units, pictures, { whole, size }, unitsOf(source.rows, own.layer))
      : patchTable(own.units),
    ...layerWords(own, chosen.length),
  }));
  const drawn = chosen.flatMap(({ units }) => units);
  const value = source.rows.some(({ relevance }) => relevance !== undefined) ? "relevance" : "activation";
  const parts = isFlat
    ? [
      whole
        ? `Whole images as the model sees them, a white box around what the unit's cell sees, its ${value} in the corner.`
        : `Each patch is what the cell of that ${value} sees, cut exactly to its receptive field; the ${value} stands ` +
          "below it. Under the pointer: the whole image, the patch in a white box.",
      !whole && chosen.some(({ layer, units }) => anyClipped(units, pictures, unitsOf(source.rows, layer)))
        ? CLIPPED
        : "",
      silentNote(drawn),
    ]
    : ["Patches of signals and volumes are no pictures; the boxes say where they are."];
  return { blocks, caption: parts.filter(Boolean).join(" "), layers: chosen.map(({ layer }) => layer) };
}
