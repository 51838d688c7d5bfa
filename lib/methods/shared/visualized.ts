/**
 * What `featureVisualization` is asked for: which targets, images of which size, and what they are compared with.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { Dataset } from "../../data/dataset.ts";
import type { InputArray } from "../../data/given.ts";
import { InputReader } from "../../model/inputs.ts";
import { type CellWindow, cellWindow } from "../../model/cell_window.ts";
import type { Model } from "../../model/model.ts";
import { readOptions, whole, within } from "../../options.ts";
import { resolveForImages } from "../../probe/attribution/inputs.ts";
import { largestScores, layersOf, measuredBy } from "../../probe/optimise/evidence.ts";
import { type PixelRegularizers, REGULARIZERS } from "../../probe/optimise/pixel_regularizers.ts";
import { standardTransformations, type Transformations } from "../../probe/optimise/transformations.ts";
import {
  flatTerms,
  isOutputWanted,
  isSumWanted,
  type ResolvedTarget,
  resolveSingle,
  type SingleTarget,
  type SingleWanted,
  sumTarget,
  type Target,
  termsOf,
} from "../../probe/target.ts";
import type { PatchRow } from "../../data/records.ts";
import { chosenUnits, type UnitName } from "../../results/patch_figures.ts";
import type { TopPatches } from "../../results/top_patches.ts";
import { CellPlaces } from "../../scan/top_patches.ts";
import type { ImageLike } from "../../data/image.ts";
import { layerUnits } from "./layer_units.ts";

/** What of the options says what is asked for. */
interface Asked {
  readonly target?: Target | readonly Target[];
  readonly layer?: string;
  readonly channels?: readonly number[];
  readonly cells: "centre" | "all";
  readonly image?: ImageLike;
  readonly size?: number;
  readonly patches?: TopPatches;
}

/** A unit of a layer as patches name it. */
export interface NamedUnit {
  readonly layer: string;
  readonly unit: UnitName;
}

/** What is to be excited. */
export interface AskedTarget {
  readonly target: ResolvedTarget;
  /** Of units and directions that patches may be of. */
  readonly unit?: NamedUnit;
}

/** A photo to start from. */
type Start = InputArray & { readonly name: string };

/** The side of images for a network that takes any size. */
const ANY_SIZE = 128;

/**
 * How large the images are, and what they begin as.
 *
 * @throws {TypeError} if the model does not read images, or reads several inputs
 * @throws {RangeError} if a size is asked for and the network takes one size only
 */
export async function pictureSides(
  asker: string,
  model: Model,
  { image, size }: Asked,
): Promise<{ sides: number[]; start?: Start }> {
  const name = JSON.stringify(model.name);
  if (model.dimensions !== 2) {
    throw new TypeError(
      `${asker} makes images; ${name} reads ${
        model.dimensions === 3 ? "volumes" : "signals or vectors"
      }. For these, topPatches finds what excites a unit, and saliency(model, input, { target }) what of an input does.`,
    );
  }
  if (model.inputs.length > 1) {
    throw new TypeError(
      `${asker} makes one image; ${name} reads ${model.inputs.length} inputs. Explain given ones by saliency(model, ` +
        `inputs, { target }).`,
    );
  }
  const [height, width, channels = 1] = model.inputShape;
  if (size !== undefined && height !== null && width !== null && (height !== size || width !== size)) {
    throw new RangeError(
      `${name} takes images of ${height}×${width} pixels only: received size ${size}. Leave it out.`,
    );
  }
  if (image !== undefined) {
    const view = await model.view(image);
    const { data, shape } = model.shown(view);
    return { sides: [...shape], start: { data, shape, name: "a photo" } };
  }
  const side = size ?? ANY_SIZE;
  return { sides: [height ?? side, width ?? side, channels ?? 3] };
}

/** A unit or a direction without a cell as it is optimised. */
function placed(model: Model, target: SingleTarget, sides: readonly number[], cells: "centre" | "all"): SingleTarget {
  if ((target.kind !== "unit" && target.kind !== "direction") || target.cell) return target;
  const maps = model.shapeOf(target.layer, sides).slice(0, -1) as number[];
  if (maps.length === 0) return target;
  const own = cells === "all" ? { over: "mean" as const } : { cell: maps.map((side) => Math.floor(side / 2)) };
  return { ...target, ...own };
}

/** The targets that are asked for, looked up; `many` if several may be. */
export async function targetsAsked(
  asker: string,
  model: Model,
  asked: Asked,
  sides: readonly number[],
): Promise<{ targets: AskedTarget[]; many: boolean }> {
  const { target, layer, cells, image } = asked;
  if (target !== undefined && (layer !== undefined || asked.channels !== undefined)) {
    throw new TypeError(`${asker} takes either target or layer, with channels: received both.`);
  }
  const units = target === undefined ? unitsAsked(model, asked) : null;
  const wanted = units?.map(({ target }) => target) ??
    (Array.isArray(target) ? target as readonly Target[] : [target as Target ?? 0]);
  if (wanted.length === 0) throw new RangeError(`${asker} has no target; wanted at least one.`);
  const start = image === undefined ? null : await model.view(image);
  const targets: AskedTarget[] = [];
  for (const [i, one] of wanted.entries()) {
    const seen = start && isForImage(one)
      ? (await resolveForImages(model, [{ name: "", view: start, input: model.input(start), wanted: one }]))[0].target
      : null;
    const terms = flatTerms(one).map(([weight, single], k) => {
      const own = seen && isOutputWanted(single) ? termsOf(seen)[k].target : lookedUp(model, single, sides);
      return { weight, target: placed(model, own, sides, cells) };
    });
    const found = isSumWanted(one) ? sumTarget(terms) : terms[0].target;
    targets.push({ target: found, unit: units?.[i].unit ?? unitOf(found) });
  }
  return { targets, many: Array.isArray(target) || units !== null };
}

/** @throws {TypeError} if what is predicted is asked for, and there is no image */
function lookedUp(model: Model, single: SingleWanted, sides: readonly number[]): SingleTarget {
  if (single === "predicted") {
    throw new TypeError(
      `There is no image yet of which something could be predicted. Name a class or a unit as the target, or give an ` +
        `image to begin with, as { image: await photo("dog") }.`,
    );
  }
  return resolveSingle(model, single, undefined, sides);
}

const isForImage = (target: Target) => flatTerms(target).every(([, single]) => isOutputWanted(single));

/** A unit as patches name it; directions have no names here. */
const unitOf = (target: ResolvedTarget): NamedUnit | undefined =>
  target.kind === "unit" ? { layer: target.layer, unit: target.channel } : undefined;

/** How many units of a layer are drawn unless others are asked for. */
const UNITS = 24;

/** The units of a layer or of patches as targets; null if neither is given. */
function unitsAsked(model: Model, { layer, channels, patches }: Asked): { target: Target; unit: NamedUnit }[] | null {
  if (patches) {
    return chosenUnits(patches, { layer, units: channels }).flatMap(({ units }) =>
      units.map(({ layer, unit }) => {
        const direction = patches.direction(unit);
        return { target: direction ? { layer, direction } : { layer, channel: unit as number }, unit: { layer, unit } };
      })
    );
  }
  if (layer === undefined) {
    if (channels === undefined) return null;
    throw new TypeError("channels are those of a layer: give its name too, as { layer, channels }.");
  }
  const units = layerUnits(model, layer, channels).units.slice(0, channels ? Infinity : UNITS) as number[];
  return units.map((channel) => ({ target: { layer, channel }, unit: { layer, unit: channel } }));
}

/** The box that a target at one cell sees, `[y0, x0, y1, x1]`; null for all others. */
export function seenBox(model: Model, target: ResolvedTarget, sides: readonly number[]): readonly number[] | null {
  if ((target.kind !== "unit" && target.kind !== "direction") || !target.cell) return null;
  const [, width] = model.shapeOf(target.layer, sides) as number[];
  const [y, x] = target.cell;
  return new CellPlaces(model).of(target.layer, y * width + x, sides).box;
}

/** No part of an image is made that has fewer rows or columns. */
const LEAST_PART = 16;

/** The part of the image that is made for a target at one cell: what it sees, however the image is transformed. */
export function windowOf(
  model: Model,
  target: ResolvedTarget,
  sides: readonly number[],
  box: readonly number[] | null,
  moves: Transformations | null,
): CellWindow | null {
  if ((target.kind !== "unit" && target.kind !== "direction") || target.cell?.length !== 2 || !box) return null;
  const { jitter, scale, rotate } = moves ?? { jitter: 0, scale: 0, rotate: 0 };
  const corner = Math.hypot(box[2] - box[0], box[3] - box[1]) / 2;
  const margin = jitter + Math.ceil(corner * (scale + Math.sin(Math.min(90, rotate) * Math.PI / 180)));
  const [y, x] = target.cell;
  return cellWindow(model.network, target.layer, [y, x], sides, { margin, least: LEAST_PART });
}

class MostTransformed {
  @whole(0)
  jitter?: number;
  @within(0, 0.5)
  scale?: number;
  @within(0, 180)
  rotate?: number;
  @within(0, 1)
  until?: number;
}

/** How images are transformed: for the smallest of what the targets see. */
export function transformationsOf(
  wanted: "standard" | "none" | Partial<Transformations>,
  seen: readonly (readonly number[] | null)[],
  [height, width]: readonly number[],
): Transformations | null {
  if (wanted === "none") return null;
  const side = Math.min(
    height,
    width,
    ...seen.flatMap((box) => box ? [box[2] - box[0], box[3] - box[1]] : []).filter((side) => side > 0),
  );
  const standard = standardTransformations(side);
  if (wanted === "standard") return standard;
  const { jitter = 0, scale = 0, rotate = 0, until = standard.until } = readOptions(
    "transformations",
    MostTransformed,
    wanted,
  );
  return { jitter, scale, rotate, until };
}

class RegularizerParts {
  @within(0, 1)
  decay?: number;
  @within(0)
  blur?: number;
  @whole(1)
  blurEvery?: number;
  @within(0, 100)
  smallNorms?: number;
  @within(0, 100)
  smallContributions?: number;
}

/** Regularisers by name, or some of their parts with the others of none. */
export function regularizersOf(wanted: keyof typeof REGULARIZERS | Partial<PixelRegularizers>): PixelRegularizers {
  if (typeof wanted === "string") return REGULARIZERS[wanted];
  return { ...REGULARIZERS.none, ...readOptions("regularizers", RegularizerParts, wanted) } as PixelRegularizers;
}

/** The layer whose maps are compared to keep images apart: the target's own, of outputs the last with maps. */
export function comparedLayer(model: Model, target: ResolvedTarget): string {
  const isMap = ({ name, outputShape }: Model["layers"][number]) =>
    model.hasMaps(outputShape) && (model.shapeOf(name).slice(0, -1) as number[]).reduce((a, b) => a * b, 1) > 1;
  const own = layersOf(target).find((name) => isMap(model.layer(name)));
  const last = model.leaves.findLast(isMap);
  if (own ?? last) return own ?? last!.name;
  throw new TypeError(
    `${JSON.stringify(model.name)} has no layer with maps to keep images apart by: leave diversity out.`,
  );
}

/** So many images are held at once. */
const CHUNK = 64;

/** The best activation of natural images for each target, and what these are in words; null where there are none. */
export async function largestNatural(
  asker: string,
  model: Model,
  targets: readonly AskedTarget[],
  { patches, dataset, batchSize, signal }: {
    patches?: TopPatches;
    dataset?: Dataset;
    batchSize?: number;
    signal?: AbortSignal;
  },
): Promise<{ of: (number | undefined)[]; words: string } | null> {
  if (dataset) {
    const measured = targets.map(({ target }) => measuredBy(target));
    const of: number[] = targets.map(() => -Infinity);
    const reader = new InputReader(asker, model, dataset, { signal });
    let inputs: NdArrayLike[] = [];
    let count = 0;
    const measure = async () => {
      if (inputs.length === 0) return;
      (await largestScores(model, measured, inputs, { batchSize, signal })).forEach((score, i) =>
        of[i] = Math.max(of[i], score)
      );
      inputs = [];
    };
    for await (const { view } of reader) {
      inputs.push(model.input(view));
      count++;
      if (inputs.length === CHUNK) await measure();
    }
    await measure();
    return { of, words: `${count} images${dataset.name ? ` of ${dataset.name}` : ""}` };
  }
  if (!patches) return null;
  const of = targets.map(({ unit }) => {
    const activations = unit ? patchesOf(patches, unit).map(({ activation }) => activation) : [];
    return activations.length > 0 ? Math.max(...activations) : undefined;
  });
  return {
    of,
    words: `${patches.images} images${patches.about.dataset === "images" ? "" : ` of ${patches.about.dataset}`}`,
  };
}

/** The patches of a unit. */
export const patchesOf = (patches: TopPatches, { layer, unit }: NamedUnit): PatchRow[] => patches.of({ layer, unit });
