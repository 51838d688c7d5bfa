/**
 * What a run has recorded so far, and how it goes into a checkpoint and comes out of it.
 *
 * @module
 */

import type { NdArray } from "../../array.ts";
import type { EpochRow, LayerRow, Snapshot, TrainingStart } from "../../data/history.ts";
import type { ScheduleState } from "./schedule.ts";

/** What a checkpoint keeps of a run beside arrays. */
export interface SavedState {
  epoch: number;
  schedule: ScheduleState;
  /** What the run began with; files of earlier versions do not say it. */
  start?: TrainingStart;
  /** What the weights and the watched layers were called. */
  names: { weights: string[]; layers: string[] };
  rows: EpochRow[];
  layers: LayerRow[];
  /** The epochs of the snapshots, and the layers of which each has activations. */
  snapshots: { epoch: number; weights: string[]; activations: string[] }[];
}

/** JSON has no NaN, and writes null. */
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
  save(): { state: Omit<SavedState, "epoch" | "schedule" | "start" | "names">; arrays: [string, NdArray][] } {
    const arrays: [string, NdArray][] = [];
    for (const { epoch, weights, activations } of this.snapshots) {
      for (const [kind, kept] of Object.entries({ weights, activations })) {
        for (const [name, array] of Object.entries(kept)) arrays.push([`snapshots/${epoch}/${kind}/${name}`, array]);
      }
    }
    const state = {
      rows: this.rows,
      layers: this.layers,
      snapshots: this.snapshots.map(({ epoch, weights, activations }) => ({
        epoch,
        weights: Object.keys(weights),
        activations: Object.keys(activations),
      })),
    };
    return { state, arrays };
  }

  /**
   * Takes over what {@linkcode save} returned.
   *
   * @param now the names of the weights and layers, which may have been others then
   */
  restore(state: SavedState, arrays: ReadonlyMap<string, NdArray>, now: SavedState["names"]): void {
    const renamed = (kind: keyof typeof now) => {
      const names = new Map(state.names[kind].map((name, i) => [name, now[kind][i]]));
      return (name: string) => names.get(name) ?? name;
    };
    const [weightNow, layerNow] = [renamed("weights"), renamed("layers")];
    this.rows.push(...withNaN(state.rows));
    this.layers.push(...state.layers.map((row) => ({ ...row, layer: layerNow(row.layer) })));
    for (const { epoch, weights, activations } of state.snapshots) {
      const pick = (names: string[], kind: string, rename: (name: string) => string) =>
        Object.fromEntries(names.map((name) => [rename(name), arrays.get(`snapshots/${epoch}/${kind}/${name}`)!]));
      this.snapshots.push({
        epoch,
        weights: pick(weights, "weights", weightNow),
        activations: pick(activations, "activations", layerNow),
      });
    }
  }
}
