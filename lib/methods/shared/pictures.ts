/**
 * Some images of a data set, read again as a model sees them.
 *
 * @module
 */

import type { Dataset } from "../../data/dataset.ts";
import { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { PictureReader } from "../../results/top_patches.ts";

/** What reads some images of a data set again. */
export const pictureReader =
  (model: Model, dataset: Dataset, signal?: AbortSignal): PictureReader => async (images, receive) => {
    const wanted = new Set(images.map(({ index }) => index));
    const reader = new InputReader("topPatches", model, dataset, { places: [...wanted].sort((a, b) => a - b), signal });
    for await (const { id, view } of reader) receive(id, model.shown(view), view);
  };
