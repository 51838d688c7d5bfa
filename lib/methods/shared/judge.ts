/**
 * What an evaluation makes of each image, and the worst errors that it keeps.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import { tileOf } from "../../data/sample.ts";
import type { ImageView } from "../../model/inputs.ts";
import type { Known } from "../../probe/truth.ts";
import type { Scores, WorstError } from "../../results/evaluation.ts";

/** Keeps the worst errors with their pictures. */
export class Worst {
  readonly kept: WorstError[] = [];

  constructor(readonly most: number) {}

  /** Whether an error of this cost would be kept. */
  wants(cost: number): boolean {
    const { kept, most } = this;
    return most > 0 && (kept.length < most || kept[most - 1].cost < cost);
  }

  add(error: Omit<WorstError, "image" | "id">, { id, view }: { id: string; view: NdArrayLike }): void {
    const { kept, most } = this;
    if (!this.wants(error.cost)) return;
    const { data, width, height } = tileOf(view);
    const place = kept.findIndex(({ cost }) => cost < error.cost);
    kept.splice(place < 0 ? kept.length : place, 0, { ...error, id, image: ndarray(data, [height, width, 3]) });
    kept.length = Math.min(kept.length, most);
  }
}

/** What is made of each image's numbers. */
export interface Judge<Own = unknown> {
  /** What is true of an image. */
  read(row: Known, image: ImageView): Own | Promise<Own>;
  judge(values: Float64Array, own: Own, image: ImageView): void;
  scores(): Scores;
  readonly worst: Worst[];
}
