/**
 * The plate: of each unit the patches that excite it most, beside what in them excites it, projected back to the pixels.
 *
 * Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), Fig. 2.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { PatchRow } from "../data/records.ts";
import { kindOf } from "../errors.ts";
import { brief } from "../format.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, RunOptions, text } from "../options.ts";
import { chosenUnits, type UnitName, unitText } from "../results/patch_figures.ts";
import { Plate, type PlateLayout } from "../results/plate.ts";
import { withProgress } from "../results/progress.ts";
import { TopPatches } from "../results/top_patches.ts";
import { type Projection, projectPatches } from "./shared/projections.ts";

/** Options of {@linkcode plate}. */
export class PlateOptions extends RunOptions {
  /**
   * The layer whose units are shown.
   * @default all of the patches
   */
  @text()
  layer?: string;
  /**
   * The units: channels' numbers, or names where the patches are of directions.
   * @default the first 24 of a layer; of many layers fewer of each
   */
  @arrayOf("channels' numbers or directions' names")
  channels?: readonly UnitName[];
  /**
   * The way back to the pixels: the deconvolutional network of the paper; guided backpropagation (Springenberg et al.
   * 2014); or the plain gradient (Simonyan et al. 2013).
   * @default "deconvnet"
   */
  @oneOf("deconvnet", "guidedBackprop", "gradient")
  method: Projection = "deconvnet";
  /**
   * `"colors"`: projections in colour, as in the paper; `"grey"`: in grey beside the patches in colour, as lessons print it.
   * @default "colors"
   */
  @oneOf("colors", "grey")
  layout: PlateLayout = "colors";
}

/** So many images are held at once, about: those of some units. */
const ROWS = 144;

/** An activation that was found again may differ from what the scan found by so much of the larger one, and of 1. */
const SAME = 0.02;

/** @throws {RangeError} if a unit answers otherwise than it did when the patches were found */
function checkSame(model: Model, { layer, unit, activation, imageId }: PatchRow, found: number): void {
  const largest = Math.max(Math.abs(activation), Math.abs(found));
  if (Math.abs(activation - found) <= SAME * largest + 1e-4) return;
  throw new RangeError(
    `The patches are not those of ${JSON.stringify(model.name)} as it is now: ${unitText(unit)} of ` +
      `${JSON.stringify(layer)} had the activation ${brief(activation, 4)} on ${JSON.stringify(imageId)}, now it has ` +
      `${brief(found, 4)}. Find its patches anew by topPatches(model, dataset, …).`,
  );
}

/**
 * Draws for each unit its top patches beside their projections: what of each patch the unit answers to.
 *
 * Each projection starts at the unit's cell with 1 (of a direction with its numbers), goes back to the pixels by the
 * `method`, and is cut to the same box as the patch. The images are read again from the data set of the patches.
 *
 * @param model the model of the patches; nothing on it changes
 * @param patches what `topPatches` returned
 * @returns `rows`, those of the patches that are shown; `projection(row)`, `[h, w, c]`, in RGB order, of the size of the
 *   row's box, in units of the network's input; in a cell, the plate
 * @throws {TypeError} if the patches are none, or of signals or volumes; or if the method has no rule for a layer on the
 *   way: the message names it
 * @throws {RangeError} if a layer or unit has no patches, or the model's weights are not those that these were found with
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, plate, topPatches } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const patches = await topPatches(model, await cifar10({ split: "test", limit: 300 }), { layer: "conv2_2" });
 * await plate(model, patches, { layer: "conv2_2", channels: [1, 4, 22] });
 * ```
 */
export async function plate(model: Model, patches: TopPatches, options: Partial<PlateOptions> = {}): Promise<Plate> {
  checkModel("plate", model);
  if (!(patches instanceof TopPatches)) {
    throw new TypeError(
      `plate takes what topPatches returned, as plate(model, await topPatches(model, dataset, { layer })): received ` +
        `${kindOf(patches)}.`,
    );
  }
  const { layer, channels, method, layout, batchSize, signal, onProgress } = readOptions(
    "plate",
    PlateOptions,
    options,
  );
  if (patches.about.dimensions !== 2) {
    throw new TypeError(
      `A plate is made of patches of images; ${JSON.stringify(patches.about.model)} looks at ` +
        `${patches.about.dimensions === 1 ? "signals" : "volumes"}. Its patches are in their rows, and ` +
        `deconvnet(model, input, { target: { layer, channel, cell } }) projects one unit.`,
    );
  }
  await checkReady("plate", model);
  const chosen = chosenUnits(patches, { layer, units: channels });
  const rows = chosen.flatMap(({ units }) => units.flatMap(({ rows }) => rows));
  const projections = new Map<PatchRow, NdArray>();
  const layers = chosen.map(({ layer }) => layer);
  await withProgress(
    `Projections of ${model.name} · ${layers.length > 3 ? `${layers.length} layers` : layers.join(", ")}`,
    rows.length,
    async (update) => {
      for (let start = 0; start < rows.length; start += ROWS) {
        signal?.throwIfAborted();
        const some = rows.slice(start, start + ROWS);
        const views = await patches.readViews(some);
        const inputs = new Map(views.entries().map(([id, view]) => [id, model.input(view)]));
        const asked = some.map(({ layer, unit, cell, box, imageId }) => ({
          layer,
          unit: patches.direction(unit) ?? unit as number,
          cell,
          box,
          input: inputs.get(imageId)!,
        }));
        await projectPatches(model, asked, { method, batchSize, signal }, (i, projection, activation) => {
          checkSame(model, some[i], activation);
          projections.set(some[i], projection);
          update(start + i + 1);
        });
      }
    },
    onProgress,
  );
  await patches.loadRows(rows, Infinity);
  return new Plate({ patches, layers, rows, projections, method, layout });
}
