/**
 * What can be measured of images without knowing what they show, to ask which images a network does worse on.
 *
 * Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (2015), §5 and §6.2, order results by properties of
 * images. Contrast: Peli (1990), root mean square. Colourfulness: Hasler and Süsstrunk (2003), §7. Sharpness: Pech-Pacheco
 * et al. (2000), the variance of the Laplacian.
 *
 * @module
 */

import { measureAttributes } from "../data/attributes.ts";
import type { Dataset } from "../data/dataset.ts";
import { mainPart, pictureOf } from "../data/given.ts";
import type { Image } from "../data/image.ts";
import { ImageReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { abortSignal, callback, type OnBadImage, oneOf, readOptions, rule } from "../options.ts";
import { objectSize } from "../probe/attribution/object_size.ts";
import { type ImageAttributeRow, ImageAttributes } from "../results/image_attributes.ts";
import { withProgress } from "../results/progress.ts";

/** Options of {@linkcode imageAttributes}. */
export class ImageAttributesOptions {
  /**
   * Of which `objectSize` is measured, too: the share of the image where the model's Grad-CAM map is above half of its largest
   * value, of the image's own label where that is one of the model's classes, else of what is predicted. An estimate: the map
   * is coarse, and shows what the model leans on. It takes a forward pass and a gradient an image.
   * @default none: no `objectSize`
   */
  @rule(() => {})
  model?: Model;
  /**
   * What is done at an image that cannot be read: `"skip"` leaves it out, and the result lists it with the reason;
   * `"stop"` ends the run with an error that names it.
   * @default "skip"
   */
  @oneOf("skip", "stop")
  onBadImage?: OnBadImage;
  /** Stops between two images. */
  @abortSignal()
  signal?: AbortSignal;
  /** Called after each image with how many are done, and of how many. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/** A data set's columns that stand in a table: text, numbers, and what is true or false. */
const isPlain = (value: unknown) => ["string", "number", "boolean"].includes(typeof value);

/**
 * Measures each image of a data set, as it is before a model resizes it: brightness, contrast, colourfulness, sharpness,
 * edges, entropy and size. Images are read one after the other, so that memory does not grow with them but by their rows.
 *
 * @param dataset any images; their own columns come through, but for those that are called as what is measured
 * @returns `rows`, one an image: `{ id, label, …columns, brightness, contrast, colorfulness, sharpness, edgeDensity, entropy,
 *   width, height, aspect }`, and with a model `objectSize`; brightness 0…255, edge density 0…1, entropy 0…8 bits; in a cell, histograms
 * @throws {TypeError} if it is no data set, or gives what is no picture
 * @throws {RangeError} if it is empty
 * @throws {ImageError} if no image can be read
 *
 * @example
 * ```ts
 * import { cifar10, imageAttributes } from "@convlens/convlens";
 *
 * const attributes = await imageAttributes(await cifar10({ split: "test", limit: 500 }));
 * console.log(attributes.rows[0].brightness);
 * const table = await attributes.table(); // a Polars data frame
 * console.log(table.columns);
 * ```
 */
export async function imageAttributes(
  dataset: Dataset,
  options: Partial<ImageAttributesOptions> = {},
): Promise<ImageAttributes> {
  const { onProgress, model, ...run } = readOptions("imageAttributes", ImageAttributesOptions, options);
  if (model !== undefined) {
    checkModel("imageAttributes", model);
    await checkReady("imageAttributes", model);
  }
  const viewer = { viewing: null, view: (given: Parameters<typeof mainPart>[0]) => pictureOf(mainPart(given)) };
  const reader = new ImageReader("imageAttributes", viewer, dataset, run);
  const rows: ImageAttributeRow[] = [];
  await withProgress(
    `Measuring the images of ${dataset.name}`,
    reader.size,
    async (update) => {
      for await (const { known, view } of reader) {
        const [height, width] = view.shape;
        const columns = Object.fromEntries(Object.entries(known).filter(([, value]) => isPlain(value)));
        const measured = measureAttributes((view as Image).pixels);
        const size = model && { objectSize: await objectSize(model, view as Image, known.label) };
        rows.push({ ...columns, id: known.id, ...measured, width, height, aspect: width / height, ...size });
        update(rows.length + reader.skipped.length);
      }
    },
    onProgress,
    reader,
  );
  return new ImageAttributes(rows, dataset.name, reader.skipped);
}
