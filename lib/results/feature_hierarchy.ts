/**
 * The walk through the layers of a network: of each layer some units, what comes back from them beside the patches that
 * excite them most, and their names by measured rules.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { type NamedUnit, UNIT_KINDS, type UnitKind } from "../data/records.ts";
import type { Block, Chart, Sheet, SheetTile } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { brief, fixed, percent, significant } from "../format.ts";
import { arrayOf, flag, oneOf, readOptions, whole } from "../options.ts";
import { patchTile } from "./patch_tiles.ts";
import { paintProjection, type PlateLayout } from "./plate.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One unit in words and numbers. */
export interface HierarchyRow extends NamedUnit {
  /** The layer's name. */
  readonly layer: string;
  /** The channel. */
  readonly unit: number;
  /** The largest activation among all images. */
  readonly activation: number;
  /** How many of the images that excite it most were looked at. */
  readonly patches: number;
}

/** A patch that excites a unit, and what comes back to it. */
export interface HierarchyPatch extends Readonly<Omit<PatchRow, "relevance">> {
  /** The channel. */
  readonly unit: number;
  /** What comes back to the box (DeconvNet), `[y1 − y0, x1 − x0, c]`, RGB, in units of the network's input. */
  readonly response: NdArray;
}

/** One layer in numbers. */
export interface HierarchyLayer {
  /** The layer's name. */
  readonly layer: string;
  /** How many units it has. */
  readonly units: number;
  /** The share of the image that a unit sees, on average over the patches. */
  readonly seen: number;
  /** The share of its units of each kind. */
  readonly kinds: Readonly<Record<UnitKind, number>>;
  /** The share that would have a name if the layer's patches were dealt out to its units at random. */
  readonly byChance: number;
  /** The mean purity of its units' patches: the share of the most frequent label; null without labels. */
  readonly purity: number | null;
}

/** How a hierarchy is drawn. */
export class HierarchyFigureOptions {
  /**
   * Which layers are drawn.
   * @default all
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * How many units of each layer are drawn, of those that have pictures.
   * @default all of them
   */
  @whole(1)
  units?: number;
  /**
   * Whether what comes back is shown in grey, as lessons print it, or in colour, as in the paper.
   * @default "grey"
   */
  @oneOf("grey", "colors")
  layout: PlateLayout = "grey";
  /**
   * Whether the rules stand below, and the chart of kinds over depth.
   * @default true
   */
  @flag()
  rules = true;
}

/** What a hierarchy is made of. */
export interface HierarchyParts {
  readonly rows: readonly HierarchyRow[];
  readonly layers: readonly HierarchyLayer[];
  readonly patches: readonly HierarchyPatch[];
  readonly rules: readonly { readonly kind: UnitKind; readonly rule: string }[];
  readonly images: number;
  readonly skipped: readonly SkippedImage[];
}

const PLURALS: Record<UnitKind, string> = {
  edge: "edges",
  colour: "colours",
  texture: "textures",
  part: "parts",
  object: "objects",
  unnamed: "unnamed",
};

/** About how large a patch is drawn, in pixels of the page: those of fields of more pixels than `field` larger. */
const SIZE = { small: 48, large: 64, field: 24 };
/** What each layer's units look for; in a cell, the walk through the layers. */
export class FeatureHierarchy extends Result<HierarchyRow> {
  /** One row a unit, layer after layer. */
  declare readonly rows: readonly HierarchyRow[];
  /** One entry a layer, in the order asked for. */
  declare readonly layers: readonly HierarchyLayer[];
  /** The patches of the units that are drawn, with what comes back to them. */
  declare readonly patches: readonly HierarchyPatch[];
  /** The rules that names are given by, with their thresholds. */
  declare readonly rules: readonly { readonly kind: UnitKind; readonly rule: string }[];
  /** How many images were looked at. */
  declare readonly images: number;
  /** The images that could not be read. */
  declare readonly skipped: readonly SkippedImage[];
  readonly #names: { model: string; dataset: string };
  readonly #pictures: ReadonlyMap<string, NdArray>;

  /** @internal */
  constructor(
    parts: HierarchyParts,
    pictures: ReadonlyMap<string, NdArray>,
    names: { model: string; dataset: string },
  ) {
    super();
    Object.assign(this, parts);
    this.#pictures = pictures;
    this.#names = names;
  }

  /** An image that has one of the `patches`, as the model sees it, `[h, w, c]`, 0…255; undefined for others. */
  picture(imageId: string): NdArray | undefined {
    return this.#pictures.get(imageId);
  }

  /** The units of a kind, as `of("edge")`; of one layer with `{ layer }`. */
  of(kind: UnitKind, { layer }: { layer?: string } = {}): HierarchyRow[] {
    return this.rows.filter((row) => row.kind === kind && (layer === undefined || row.layer === layer));
  }

  /**
   * Draws the walk: layer by layer some units, each with what comes back from it (grey) beside its patches.
   *
   * @throws {RangeError} if a layer is none of the result's
   */
  override figure(options: Partial<HierarchyFigureOptions> = {}): Figure {
    const { layers: asked, units = Infinity, layout, rules } = readOptions("figure", HierarchyFigureOptions, options);
    const names = this.layers.map(({ layer }) => layer);
    const unknown = asked?.find((name) => !names.includes(name));
    if (unknown !== undefined) {
      throw new RangeError(`The hierarchy has no layer ${JSON.stringify(unknown)}; it has ${names.join(", ")}.`);
    }
    const drawn = this.layers.filter(({ layer }) => asked?.includes(layer) ?? true);
    const { model, dataset } = this.#names;
    const named = drawn.map((layer) => this.#layerText(layer));
    const made = new Map<string, Pixels>();
    const pixelsOfImage = (id: string) => {
      if (!made.has(id)) made.set(id, pixelsOf(this.#pictures.get(id)!));
      return made.get(id)!;
    };
    return new Figure({
      title:
        `${model} · what the units of ${drawn.length === 1 ? drawn[0].layer : `${drawn.length} layers`} look for in ` +
        `${this.images} images of ${dataset}`,
      caption: [
        `Left of each pair: what comes back from the unit to the pixels (DeconvNet), ${
          layout === "grey" ? "in grey" : "in colour"
        }, each with a contrast of its own; mid-grey is 0. Right: the patches that excite it most, from the strongest on. ` +
        `Hatched: beyond the image's border.`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        ...drawn.map((layer) => this.#layer(layer, units, layout, pixelsOfImage)),
        ...rules
          ? [
            {
              kind: "row",
              blocks: [...drawn.length > 1 ? [this.#kinds(drawn)] : [], this.#rules()],
            } satisfies Block,
          ]
          : [],
      ],
      lines: named,
    });
  }

  #layerText({ layer, units, kinds, byChance }: HierarchyLayer): string {
    const counts = UNIT_KINDS.filter((kind) => kinds[kind] > 0)
      .map((kind) => {
        const count = Math.round(kinds[kind] * units);
        return `${count} ${count === 1 ? kind : PLURALS[kind]}`;
      });
    return `${layer}: ${units} ${units === 1 ? "unit" : "units"}, ${counts.join(", ")}; by chance ${
      percent(byChance, 0)
    } would have a name`;
  }

  #layer(layer: HierarchyLayer, most: number, layout: PlateLayout, pixelsOfImage: (id: string) => Pixels): Sheet {
    const own = this.patches.filter((patch) => patch.layer === layer.layer);
    const units = [...Map.groupBy(own, ({ unit }) => unit)].slice(0, most);
    const field = [0, 1].map((axis) => Math.max(...own.map(({ box }) => box[axis + 2] - box[axis]))) as [
      number,
      number,
    ];
    const [, ...counted] = this.#layerText(layer).split(": ");
    const tiles = units.map(([unit, patches]): SheetTile => {
      const row = this.rows.find((row) => row.layer === layer.layer && row.unit === unit)!;
      const drawn = patchTile(
        patches.map((patch) => ({
          image: pixelsOfImage(patch.imageId),
          box: patch.box,
          projection: paintProjection(patch.response, layout),
          value: significant(patch.activation),
          words: `channel ${unit} of ${layer.layer}\n${patchWords(patch)}`,
        })),
        {
          field,
          size: Math.max(...field) > SIZE.field ? SIZE.large : SIZE.small,
          columns: Math.ceil(Math.sqrt(patches.length)),
        },
      );
      const lines = [`${unit} · ${row.name}`, measured(row)];
      return {
        ...drawn,
        lines,
        words: lines.join("  "),
        alt:
          `What comes back from channel ${unit} of ${layer.layer}, beside the ${patches.length} patches that excite it ` +
          `most: ${row.name}`,
      };
    });
    return {
      kind: "sheet",
      heading: `${layer.layer} · sees ${layer.seen >= 0.995 ? "the whole image" : `${field.join("×")} pixels`}`,
      note: counted.join(": "),
      tiles,
      side: Math.max(...tiles.map(({ pixels }) => pixels.width)),
    };
  }

  #kinds(layers: readonly HierarchyLayer[]): Chart {
    const x = layers.map((_, i) => i);
    return {
      kind: "chart",
      heading: "Kinds of units from layer to layer",
      series: [
        ...UNIT_KINDS.filter((kind) => layers.some(({ kinds }) => kinds[kind] > 0) && kind !== "unnamed").map((
          kind,
        ) => ({
          label: PLURALS[kind],
          x,
          y: layers.map(({ kinds }) => kinds[kind]),
        })),
        { label: "any name, by chance", x, y: layers.map(({ byChance }) => byChance), dashed: true, ink: true },
      ],
      x: { title: "layer", whole: true },
      y: { title: "share of the layer's units", min: 0, max: 1 },
      names: layers.map(({ layer }) => layer),
      width: 560,
      height: 330,
      alt: `The shares of edges, colours, textures, parts and objects among the units of ${layers.length} layers`,
    };
  }

  #rules(): Block {
    return {
      kind: "table",
      heading: "The rules",
      note: "By chance: how many would have a name if a layer's patches were dealt out to its units at random.",
      columns: [{ title: "name" }, { title: "rule" }],
      rows: this.rules.map(({ kind, rule }) => [kind, rule]),
    };
  }
}

/** What the hover says of a patch. */
const patchWords = ({ rank, imageId, label, activation, cell }: HierarchyPatch): string =>
  [
    `${rank}. ${label ?? imageId}`,
    `activation ${brief(activation)}`,
    ...label ? [imageId] : [],
    `cell ${cell.join(", ")}`,
  ]
    .join("\n");

/** The numbers behind a name. */
function measured(
  { kind, direction, angle, filterAngle, chroma, hue, purity, label, also, likeness }: HierarchyRow,
): string {
  const degrees = (value: number) => `${fixed(value, 0)}°`;
  const lines = `lines at ${degrees(angle)}, direction ${fixed(direction, 2)}` +
    (filterAngle === null ? "" : `, its filter at ${degrees(filterAngle)}`);
  const purities = purity === null ? "" : `${percent(purity, 0)} ${label}`;
  const text: Record<UnitKind, string> = {
    edge: lines,
    colour: `chroma ${fixed(chroma, 2)}, of one hue ${fixed(hue, 2)}`,
    texture: direction >= 0.5 ? lines : `likeness ${fixed(likeness, 2)}`,
    part: purities,
    object: purities,
    unnamed: [`direction ${fixed(direction, 2)}`, `hue ${fixed(hue, 2)}`, purities].filter(Boolean).join(", "),
  };
  return [text[kind], also && `also ${also}`].filter(Boolean).join("; ");
}
