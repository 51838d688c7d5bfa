/**
 * Rows of what a walk has found: of each unit its patches, with what they see of their images.
 *
 * @module
 */

import type { Model } from "../../model/model.ts";
import type { PatchImage, PatchRow } from "../../results/top_patches.ts";
import type { TopLists } from "../../scan/top_lists.ts";
import { CellPlaces, type TopQuestion } from "../../scan/top_patches.ts";

/** What lists hold, as rows, and the images that they name. */
export function patchRows(
  model: Model,
  { layers, target }: Pick<TopQuestion, "layers" | "target">,
  lists: TopLists,
): { rows: PatchRow[]; sources: Map<string, PatchImage> } {
  const places = new CellPlaces(model);
  const sources = new Map<string, PatchImage>();
  const rows: PatchRow[] = [];
  let list = 0;
  for (const { layer, units } of layers) {
    for (const unit of units) {
      lists.entries(list++).forEach(({ value, activation, image, cell }, i) => {
        const { id, label, index, shape } = image;
        sources.set(id, { id, index });
        rows.push({
          layer,
          unit,
          rank: i + 1,
          imageId: id,
          ...label !== undefined && { label },
          activation,
          ...target !== undefined && { relevance: value },
          ...places.of(layer, cell, shape),
        });
      });
    }
  }
  return { rows, sources };
}

/** How many pixels a cell of each layer sees along each side, with what is beyond the border; 0 where that is only a bound. */
export function fieldsOf(model: Model, layers: readonly string[]): Map<string, readonly number[]> {
  return new Map(layers.flatMap((layer) => {
    const field = model.layer(layer).receptiveField;
    const axes = field && (field.axes ?? Array.from({ length: model.dimensions }, () => field));
    return axes ? [[layer, axes.map(({ exact, size }) => exact ? size : 0)] as const] : [];
  }));
}
