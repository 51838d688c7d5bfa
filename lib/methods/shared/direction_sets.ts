/**
 * The top patches of each direction as a set: how alike its members are, in class, colour and texture.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { PatchRow } from "../../data/records.ts";
import { type Agreement, agreementOf, differenceOf } from "../../embed/agreement.ts";
import type { LayerUnits } from "../../scan/top_patches.ts";
import { lookOf, type PatchLook } from "../../probe/patch_look.ts";
import type { Model } from "../../model/model.ts";
import { type DirectionKind, Directions } from "../../results/directions.ts";
import type { AgreementMeasure, AgreementRow, DirectionAgreement } from "../../results/directions_comparison.ts";
import type { PatchImage, PictureReader } from "../../results/top_patches.ts";
import type { FoundDirections } from "./find_directions.ts";
import { layerUnits, type NamedDirections } from "./layer_units.ts";

/** Directions of one kind in one layer, by the names that their patches have. */
export interface DirectionGroup {
  readonly layer: string;
  readonly kind: DirectionKind;
  readonly units: readonly string[];
}

/** All directions of a layer under names that differ, with the kind of each. */
export function directionsIn(
  model: Model,
  layer: string,
  found: readonly FoundDirections[],
): { groups: DirectionGroup[]; units: LayerUnits } {
  const vectors: Record<string, Float32Array> = {};
  const groups = found.filter((one) => one.layer === layer).map(({ kind, vectors: own }) => ({
    layer,
    kind,
    units: Object.entries(own).map(([name, vector]) => {
      const unit = name in vectors ? `${name} (${kind})` : name;
      vectors[unit] = vector;
      return unit;
    }),
  }));
  return { groups, units: layerUnits(model, layer, undefined, vectors) };
}

/**
 * Directions of one's own, as those that are found.
 *
 * @throws {TypeError} if there are several layers, or the directions are those of another one
 */
export function ownDirections(
  model: Model,
  layers: readonly string[],
  given: NamedDirections | Directions | undefined,
): FoundDirections[] {
  if (given === undefined) return [];
  const [layer] = layers;
  if (layers.length > 1 || (given instanceof Directions && given.layer !== layer)) {
    throw new TypeError(`directions are those of one layer, here ${JSON.stringify(layer)}: give it alone as layer.`);
  }
  const { units, directions } = layerUnits(
    model,
    layer,
    undefined,
    given instanceof Directions ? given.vectors : given,
  );
  const { data, shape: [, channels] } = directions!;
  const vectors = units.map((name, i) => [name, data.slice(i * channels, (i + 1) * channels)]);
  return [{ layer, kind: "own", vectors: Object.fromEntries(vectors), rows: [] }];
}

/** The part of a picture that a box holds. */
function cut({ data, shape: [, width, channels] }: NdArrayLike, [y0, x0, y1, x1]: readonly number[]): NdArrayLike {
  const row = (x1 - x0) * channels;
  const part = new Float32Array((y1 - y0) * row);
  for (let y = y0; y < y1; y++) {
    const from = (y * width + x0) * channels;
    part.set(data.subarray(from, from + row), (y - y0) * row);
  }
  return { data: part, shape: [y1 - y0, x1 - x0, channels] };
}

/**
 * Reads the images that patches come from again, one by one, and measures the patches.
 *
 * @param onImage called after each image
 */
export async function lookAtPatches(
  rows: readonly PatchRow[],
  sources: ReadonlyMap<string, PatchImage>,
  read: PictureReader,
  onImage: () => void,
): Promise<Map<PatchRow, PatchLook>> {
  const looks = new Map<PatchRow, PatchLook>();
  const byImage = Map.groupBy(rows, ({ imageId }) => imageId);
  await read([...sources.values()], (id, picture) => {
    // Layers share patches: a box is looked at once.
    const known = new Map<string, PatchLook>();
    for (const row of byImage.get(id) ?? []) {
      const key = row.box.join();
      if (!known.has(key)) known.set(key, lookOf(cut(picture, row.box)));
      looks.set(row, known.get(key)!);
    }
    onImage();
  });
  return looks;
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));

/** The mean over all pairs of a set. */
function pairs(set: readonly number[], of: (a: number, b: number) => number): number {
  let sum = 0;
  for (let i = 0; i < set.length; i++) for (let j = 0; j < i; j++) sum += of(set[i], set[j]);
  return sum / (set.length * (set.length - 1) / 2);
}

/** How often the most frequent label of some rows occurs. */
function mostFrequent(rows: readonly PatchRow[]): [label: string, count: number] {
  const counts = Map.groupBy(rows, ({ label }) => label!);
  return Array.from(counts, ([label, own]) => [label, own.length] as [string, number])
    .reduce((best, one) => one[1] > best[1] ? one : best);
}

/** The measures that rows allow, each with what it is of a set of equal members. */
function measuresOf(rows: readonly PatchRow[], looks: ReadonlyMap<PatchRow, PatchLook>) {
  const of = (set: readonly number[]) => set.map((i) => rows[i]);
  const look = (i: number) => looks.get(rows[i])!;
  const measures: { measure: AgreementMeasure; perfect: number; take: (set: readonly number[]) => number }[] = [];
  if (rows.every(({ label }) => label !== undefined)) {
    measures.push(
      { measure: "purity", perfect: 1, take: (set) => mostFrequent(of(set))[1] / set.length },
      { measure: "class", perfect: 1, take: (set) => pairs(set, (a, b) => Number(rows[a].label === rows[b].label)) },
    );
  }
  if (rows.every((row) => looks.has(row))) {
    measures.push(
      { measure: "colour", perfect: 0, take: (set) => pairs(set, (a, b) => distance(look(a).color, look(b).color)) },
      {
        measure: "texture",
        perfect: 0,
        take: (set) => pairs(set, (a, b) => distance(look(a).spectrum, look(b).spectrum)),
      },
    );
  }
  return measures;
}

const known = (value: number): number | null => Number.isNaN(value) ? null : value;

/** Measures one kind of direction in one layer. */
function measureGroup(
  { layer, kind, units }: DirectionGroup,
  rows: readonly PatchRow[],
  looks: ReadonlyMap<PatchRow, PatchLook>,
  seed: number,
): { found: { row: AgreementRow; agreement: Agreement; perfect: number }[]; directions: DirectionAgreement[] } {
  // A cell that puts out 0 says nothing of what a unit looks for.
  const byUnit = Map.groupBy(
    rows.entries().filter(([, row]) => row.layer === layer && row.activation !== 0),
    ([, { unit }]) => String(unit),
  );
  const heard = units.filter((unit) => (byUnit.get(unit)?.length ?? 0) > 1);
  const sets = heard.map((unit) => byUnit.get(unit)!.map(([i]) => i));
  if (sets.length === 0) return { found: [], directions: [] };
  const members = sets.flat().map((i) => rows[i]);
  const measured = measuresOf(rows, looks).map(({ measure, perfect, take }) => {
    const agreement = agreementOf(sets, {
      measure: take,
      perfect,
      groupOf: (i) => rows[i].imageId,
      seed,
    });
    const { found, dealt, agreement: share } = agreement;
    const row: AgreementRow = {
      layer,
      kind,
      measure,
      directions: heard.length,
      silent: units.length - heard.length,
      images: new Set(members.map(({ imageId }) => imageId)).size,
      ...found,
      shuffled: dealt.value,
      shuffledLow: dealt.low,
      shuffledHigh: dealt.high,
      agreement: known(share.value),
      agreementLow: known(share.low),
      agreementHigh: known(share.high),
      difference: null,
      differenceLow: null,
      differenceHigh: null,
    };
    return { row, agreement, perfect };
  });
  const labelled = measured.some(({ row }) => row.measure === "purity");
  const each = (measure: AgreementMeasure, i: number) =>
    measured.find(({ row }) => row.measure === measure)?.agreement.each[i] ?? null;
  const directions = heard.map((unit, i): DirectionAgreement => ({
    layer,
    kind,
    unit,
    label: labelled ? mostFrequent(sets[i].map((at) => rows[at]))[0] : null,
    purity: each("purity", i),
    class: each("class", i),
    colour: each("colour", i),
    texture: each("texture", i),
  }));
  return { found: measured, directions };
}

/**
 * Measures directions of several kinds in several layers.
 *
 * @param groups the kind that others are compared with first in each layer
 * @param looks of no row, or of all
 */
export function measureDirections(
  groups: readonly DirectionGroup[],
  rows: readonly PatchRow[],
  looks: ReadonlyMap<PatchRow, PatchLook>,
  seed: number,
): { rows: AgreementRow[]; directions: DirectionAgreement[] } {
  const all = groups.map((group) => measureGroup(group, rows, looks, seed));
  for (const { found } of all) {
    for (const { row, agreement, perfect } of found) {
      const first = all.flatMap(({ found }) => found)
        .find((one) => one.row.layer === row.layer && one.row.measure === row.measure)!;
      if (first.row === row || row.agreement === null || first.row.agreement === null) continue;
      const { value, low, high } = differenceOf(agreement, first.agreement, perfect, seed);
      Object.assign(row, { difference: value, differenceLow: low, differenceHigh: high });
    }
  }
  return {
    rows: all.flatMap(({ found }) => found.map(({ row }) => row)),
    directions: all.flatMap((one) => one.directions),
  };
}
