/**
 * Patches beside their projections.
 *
 * @module
 */

import type { NdArray, NdArrayLike } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { shrink } from "../figure/sprites.ts";
import { oneOf, readOptions } from "../options.ts";
import { percentileOfMagnitudes } from "./attribution.ts";
import {
  anyClipped,
  chosenUnits,
  CLIPPED,
  layerWords,
  ofImages,
  patchSheet,
  Pictures,
  silentNote,
  UnitsFigureOptions,
  unitsOf,
} from "./patch_figures.ts";
import { Result } from "./result.ts";
import type { TopPatches } from "./top_patches.ts";

/** Whether projections are shown in colour or in grey. */
export type PlateLayout = "colors" | "grey";

/** How projections were made, in words. */
const METHODS = {
  deconvnet: "DeconvNet (Zeiler and Fergus 2013)",
  guidedBackprop: "guided backpropagation (Springenberg et al. 2014)",
  gradient: "the gradient of the activation (Simonyan et al. 2013)",
};

/** How a plate is drawn. */
export class PlateFigureOptions extends UnitsFigureOptions {
  /**
   * `"colors"`: projections in colour, as in the paper; `"grey"`: in grey, as lessons print it.
   * @default as `plate` was asked for
   */
  @oneOf("colors", "grey")
  layout?: PlateLayout;
}

/** What a {@linkcode Plate} is made of. */
export interface PlateParts {
  readonly patches: TopPatches;
  readonly layers: readonly string[];
  readonly rows: readonly PatchRow[];
  readonly projections: ReadonlyMap<PatchRow, NdArray>;
  readonly method: keyof typeof METHODS;
  readonly layout: PlateLayout;
}

/** The share of the magnitudes of a projection that its colours reach to; what is greater is clipped. */
const CLIP = 99;

/**
 * A projection as it is painted, grey for 0, with a contrast of its own.
 *
 * @param projection `[h, w, c]`
 * @param scale how large it is drawn: below 1 it is made smaller before its contrast is set, so that this is not lost
 */
export function paintProjection({ data, shape }: NdArrayLike, layout: PlateLayout, scale = 1): Pixels {
  const [height, width, channels] = shape;
  const colored = layout === "colors" && channels === 3;
  let shades = Float32Array.from({ length: height * width * 3 }, (_, i) => {
    if (colored) return data[i];
    const from = Math.floor(i / 3) * channels;
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += data[from + c];
    return sum / channels;
  });
  const size = [height, width].map((length) => Math.max(1, Math.round(length * Math.min(1, scale)))) as [
    number,
    number,
  ];
  if (scale < 1) {
    const smaller = new Float32Array(size[0] * size[1] * 3);
    shrink(shades, 0, [height, width], size, smaller);
    shades = smaller;
  }
  const largest = percentileOfMagnitudes(shades, CLIP);
  return pixelsOf({
    data: shades.map((value) => largest > 0 ? 127.5 + 127.5 * value / largest : 127.5),
    shape: [...size, 3],
  });
}

/** Of each unit its top patches beside their projections; in a cell, the plate. */
export class Plate extends Result<PatchRow> {
  /** The patches that are shown, ordered by layer, unit and rank. */
  readonly rows: readonly PatchRow[];
  /** The layers that are shown. */
  readonly layers: readonly string[];
  /** How the projections were made. */
  readonly method: "deconvnet" | "guidedBackprop" | "gradient";
  readonly #parts: PlateParts;

  /** @internal */
  constructor(parts: PlateParts) {
    super();
    this.rows = parts.rows;
    this.layers = parts.layers;
    this.method = parts.method;
    this.#parts = parts;
  }

  /**
   * What came back to the pixels of a patch.
   *
   * @param row one of `rows`
   * @returns `[h, w, c]`, of the size of the row's box, in RGB order, in units of the network's input; undefined if the row
   *   is not on this plate
   */
  projection(row: PatchRow): NdArray | undefined {
    return this.#parts.projections.get(row);
  }

  /** @internal */
  override arrays(): object {
    const projections = Object.fromEntries(this.rows.map((row, i) => [i, this.projection(row)]));
    return { rows: this.rows, method: this.method, projections };
  }

  /**
   * Of each unit the projections left, the patches right; under the pointer both enlarged, with the whole image.
   *
   * @throws {RangeError} if a layer or unit is not on the plate
   */
  override figure(options: Partial<PlateFigureOptions> = {}): Figure {
    const { patches } = this.#parts;
    const { layer, units, size, layout = this.#parts.layout } = readOptions("figure", PlateFigureOptions, options);
    const { model, dataset } = patches.about;
    const chosen = chosenUnits(this, { layer, units }, Infinity);
    const pictures = new Pictures(patches);
    const projection = (row: PatchRow, scale: number) => paintProjection(this.projection(row)!, layout, scale);
    const blocks = chosen.map((own): Block => ({
      ...patchSheet(own.units, pictures, { size, values: false, projection }, unitsOf(patches.rows, own.layer)),
      ...layerWords(own, chosen.length),
    }));
    const drawn = chosen.flatMap(({ units }) => units);
    const clipped = chosen.some(({ layer, units }) => anyClipped(units, pictures, unitsOf(patches.rows, layer)));
    const layers = chosen.map(({ layer }) => layer);
    return new Figure({
      title: `${model} · ${layers.length > 3 ? `${layers.length} layers` : layers.join(", ")} · top ${patches.top} ` +
        `patches of ${ofImages(patches.images, dataset)}, and their projections`,
      caption: [
        `Of each unit, right: its ${patches.top} strongest patches, row by row, cut to what the cell sees; left: what ` +
        `came back to the same pixels by ${METHODS[this.method]}, ${layout === "grey" ? "in grey" : "in colour"}. ` +
        `Each projection has a contrast of its own, as in Zeiler and Fergus' Fig. 2: mid-grey is 0, and the ${CLIP}th ` +
        `percentile of its magnitudes takes the last shade. Below: the activations, from the strongest on.`,
        clipped ? CLIPPED : "",
        silentNote(drawn),
      ].filter(Boolean).join(" "),
      blocks,
    });
  }
}
