/**
 * What a run has recorded so far, and how it goes into a checkpoint and comes out of it.
 *
 * @module
 */

import type { NdArray } from "../../array.ts";
import type { EpochRow, LayerRow, Snapshot } from "../../data/history.ts";
import type { ScheduleState } from "./schedule.ts";

/** What a checkpoint keeps of a run beside arrays. */
export interface SavedState {
  epoch: number;
  schedule: ScheduleState;
  rows: EpochRow[];
  layers: LayerRow[];
  /** The epochs of the snapshots, and the layers of which each has activations. */
  snapshots: { epoch: number; weights: string[]; activations: string[] }[];
}

/** JSON has no NaN. */
const withoutNaN = (rows: readonly EpochRow[]) =>
  rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number.isNaN(value) ? null : value]))
  ) as unknown as EpochRow[];
const withNaN = (rows: readonly EpochRow[]) =>
  rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([key, value]) => [key, value ?? NaN]))
  ) as unknown as EpochRow[];

/** The rows and snapshots of a run, in the order of their epochs. */
export class RunRecord {
  readonly rows: EpochRow[] = [];
  readonly layers: LayerRow[] = [];
  readonly snapshots: Snapshot[] = [];

  /** Whether the validation loss has not fallen for this many epochs. */
  stalled(epochs: number): boolean {
    const losses = this.rows.map(({ validationLoss }) => validationLoss);
    return losses.length - 1 - losses.indexOf(Math.min(...losses)) >= epochs;
  }

  /** The record as plain state, and its arrays by name. */
  save(): { state: Omit<SavedState, "epoch" | "schedule">; arrays: Record<string, NdArray> } {
    const arrays: Record<string, NdArray> = {};
    for (const { epoch, weights, activations } of this.snapshots) {
      for (const [kind, kept] of Object.entries({ weights, activations })) {
        for (const [name, array] of Object.entries(kept)) arrays[`snapshots/${epoch}/${kind}/${name}`] = array;
      }
    }
    const state = {
      rows: withoutNaN(this.rows),
      layers: this.layers,
      snapshots: this.snapshots.map(({ epoch, weights, activations }) => ({
        epoch,
        weights: Object.keys(weights),
        activations: Object.keys(activations),
      })),
    };
    return { state, arrays };
  }

  /** Takes over what {@linkcode save} returned. */
  restore(state: SavedState, arrays: Record<string, NdArray>): void {
    for (const row of withNaN(state.rows)) this.rows.push(row);
    this.layers.push(...state.layers);
    for (const { epoch, weights, activations } of state.snapshots) {
      const pick = (names: string[], kind: string) =>
        Object.fromEntries(names.map((name) => [name, arrays[`snapshots/${epoch}/${kind}/${name}`]]));
      this.snapshots.push({ epoch, weights: pick(weights, "weights"), activations: pick(activations, "activations") });
    }
  }
}
