/**
 * The names of a layer's units, and which units of it are worth being seen.
 *
 * @module
 */

import { type NamedUnit, UNIT_KINDS, type UnitKind } from "../../data/records.ts";
import type { Model } from "../../model/model.ts";
import type { PatchLook } from "../../probe/patch_look.ts";
import { type LayerEvidence, nameUnit, spectrumDistance } from "../../probe/unit_name.ts";
import { randomStream, shuffled } from "../../random.ts";
import type { HierarchyLayer, HierarchyRow } from "../../results/feature_hierarchy.ts";
import type { PatchRow } from "../../results/top_patches.ts";
import { filtersOnPixels } from "./pixel_filters.ts";

/** The distance of a layer's patches is measured on so many of them. */
const SAMPLE = 300;

/** A row with what its patch looks like. */
export interface Looked extends PatchRow {
  unit: number;
  look: PatchLook;
}

/** The units of a layer with their names, and how many would have one if its patches were dealt out at random. */
export async function nameLayer(
  model: Model,
  layer: string,
  patches: readonly Looked[],
  { pixels, shares }: { pixels: number; shares: LayerEvidence["shares"] },
): Promise<{ rows: HierarchyRow[]; about: HierarchyLayer }> {
  const random = randomStream(patches.length);
  const order = shuffled(patches.length, random);
  const sample = Array.from(order.subarray(0, SAMPLE), (at) => patches[at].look);
  const evidence: LayerEvidence = { distance: spectrumDistance(sample), shares };
  const seen = patches.reduce((sum, { box: [y0, x0, y1, x1] }) => sum + (y1 - y0) * (x1 - x0), 0) /
    (pixels * Math.max(1, patches.length));
  const filters = await filtersOnPixels(model, layer);
  const name = (unit: number, own: readonly Looked[]): NamedUnit =>
    nameUnit({
      looks: own.map(({ look }) => look),
      labels: own.map(({ label }) => label),
      seen,
      ...filters && { filter: filters[unit] },
    }, evidence);
  const units = Map.groupBy(patches, ({ unit }) => unit);
  const count = model.layer(layer).outputShape.at(-1)!;
  let dealt = 0;
  let byChance = 0;
  const rows = Array.from({ length: count }, (_, unit): HierarchyRow => {
    const own = units.get(unit) ?? [];
    const others = own.map(() => patches[order[dealt++]]);
    if (name(unit, others).kind !== "unnamed") byChance += 1 / count;
    return { layer, unit, ...name(unit, own), activation: own[0]?.activation ?? 0, patches: own.length };
  });
  const shareOf = (kind: UnitKind) => rows.filter((row) => row.kind === kind).length / count;
  const pure = rows.flatMap(({ purity }) => purity === null ? [] : [purity]);
  const kinds = Object.fromEntries(UNIT_KINDS.map((kind) => [kind, shareOf(kind)])) as HierarchyLayer["kinds"];
  const purity = pure.length ? pure.reduce((sum, value) => sum + value, 0) / pure.length : null;
  return { rows, about: { layer, units: count, seen, kinds, byChance, purity } };
}

/** How clearly a unit is what it is called. */
function clearness({ kind, direction, hue, chroma, likeness, purity, patches }: HierarchyRow): number {
  const measures: Record<UnitKind, number> = {
    edge: direction,
    colour: hue * chroma,
    texture: Math.max(direction, likeness),
    part: purity ?? 0,
    object: purity ?? 0,
    unnamed: Math.min(1, patches),
  };
  return measures[kind];
}

/** Names in an order in which −45° comes before +45°. */
const orderOf = ({ kind, name }: HierarchyRow) => `${UNIT_KINDS.indexOf(kind)} ${name.replace("−", "!")}`;

/**
 * The units of a layer that are drawn: of frequent kinds more than of rare ones, but of each some; of a kind each name, then
 * the next of each, the clearest first. Those without a name fill up what is left.
 */
export function drawnUnits(rows: readonly HierarchyRow[], most: number): HierarchyRow[] {
  const alive = rows.filter(({ patches }) => patches > 0)
    .toSorted((a, b) => clearness(b) - clearness(a) || a.unit - b.unit);
  const byName = Map.groupBy(alive, ({ name }) => name);
  const ranked = [...byName.values()].flatMap((own) => own.map((row, round) => ({ row, round })));
  const queues = Map.groupBy(ranked.toSorted((a, b) => a.round - b.round), ({ row }) => row.kind);
  const drawn: HierarchyRow[] = [];
  const weight = (kind: UnitKind) => {
    const own = queues.get(kind) ?? [];
    const given = drawn.filter((row) => row.kind === kind).length;
    if (given === own.length) return -1;
    return kind === "unnamed" ? 0 : Math.sqrt(own.length) / (given + 1);
  };
  while (drawn.length < Math.min(most, alive.length)) {
    const next = UNIT_KINDS.reduce((best, kind) => weight(kind) > weight(best) ? kind : best);
    drawn.push(queues.get(next)![drawn.filter(({ kind }) => kind === next).length].row);
  }
  return drawn.toSorted((a, b) => orderOf(a) < orderOf(b) ? -1 : orderOf(a) > orderOf(b) ? 1 : a.unit - b.unit);
}
