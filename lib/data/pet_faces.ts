/**
 * Faces of cats and dogs whose eyes and noses are marked by hand.
 *
 * @module
 */

import { oneOf, readOptions } from "../options.ts";
import faces from "../../data/pet_faces.json" with { type: "json" };
import { FetchOptions } from "./catalog.ts";
import { cifar10 } from "./cifar10.ts";
import { dataset, type ImageDataset } from "./dataset.ts";
import { photo } from "./photo.ts";

/** Which faces are wanted. */
export class PetFacesOptions extends FetchOptions {
  /**
   * `"cifar10"`: 21 test images of CIFAR-10, of 32 × 32 pixels; `"photos"`: 5 faces cut out of the catalogue's photos.
   * @default "cifar10"
   */
  @oneOf("cifar10", "photos")
  from: "cifar10" | "photos" = "cifar10";
}

/** Points of an image by their names, `[y, x]` in pixels, whole numbers in the middle of pixels. */
export type Keypoints = Readonly<Record<string, readonly [y: number, x: number]>>;

const keypointsOf = (marked: Record<string, number[]>): Keypoints => marked as unknown as Keypoints;

/**
 * Faces of cats and dogs with a column `keypoints`: where the right eye, the left eye and the nose are, marked by hand. The
 * right eye is the animal's own: in a picture of a face it is on the left.
 *
 * The marks are good to about a pixel in images of CIFAR-10, and to about three in photos. There are few: measures on them
 * have wide intervals.
 *
 * @returns images with labels and `keypoints`: `{ "right eye": [y, x], "left eye": [y, x], nose: [y, x] }`
 * @throws {CatalogError} if the images can be had neither from the cache nor from the network
 *
 * @example
 * ```ts
 * import { petFaces } from "@convlens/convlens";
 * for await (const { id, label, ...columns } of await petFaces()) console.log(id, label, columns);
 * ```
 */
export async function petFaces(options: Partial<PetFacesOptions> = {}): Promise<ImageDataset> {
  const { from, ...fetch } = readOptions("petFaces", PetFacesOptions, options);
  if (from === "photos") {
    const items = await Promise.all(faces.photos.map(async ({ photo: name, label, crop, keypoints }, i) => ({
      id: `${name}-${i}`,
      label,
      image: (await photo(name, fetch)).crop(crop as [number, number, number, number]),
      keypoints: keypointsOf(keypoints),
    })));
    return dataset(items, { name: "pets' faces in photos" });
  }
  const marked = new Map(
    faces.cifar10.map(({ place, keypoints }) => [`test-${String(place).padStart(5, "0")}`, keypoints]),
  );
  const items = [];
  const all = await cifar10({ split: "test", classes: ["cat", "dog"], ...fetch });
  for await (const item of all.filter(({ id }) => marked.has(id))) {
    items.push({ ...item, keypoints: keypointsOf(marked.get(item.id)!) });
  }
  return dataset(items, { name: "pets' faces of CIFAR-10" });
}
