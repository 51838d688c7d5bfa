/**
 * How much of an image a thing takes, as a network sees it.
 *
 * @module
 */

import type { ImageLike } from "../../data/image.ts";
import type { Model } from "../../model/model.ts";
import { camOf, enlarge, lastMaps, layerGradients } from "./cam.ts";
import { pairsOf } from "./inputs.ts";

/** Where a map is above this share of its largest value, the object is. */
const HALF = 0.5;

/** The share of a map's places that lie above half of its largest value; null where it is 0 everywhere. */
export function shareAboveHalf(map: ArrayLike<number>): number | null {
  let most = 0;
  for (let i = 0; i < map.length; i++) most = Math.max(most, map[i]);
  if (!(most > 0)) return null;
  let above = 0;
  for (let i = 0; i < map.length; i++) above += Number(map[i] > HALF * most);
  return above / map.length;
}

/**
 * The share of an image, as the model sees it, where the class activation map (Grad-CAM) of a class is above half of its
 * largest value. An estimate: the map has few cells, and shows what the network leans on, which may be less than the object, or
 * what stands beside it.
 *
 * @param label the class, where it is one of the model's; else the one that is predicted is asked about
 * @returns 0…1; null where the map is 0 everywhere
 * @throws {TypeError} if the model has no feature maps
 */
export async function objectSize(model: Model, image: ImageLike, label: string | undefined): Promise<number | null> {
  const { output } = model;
  const isKnown = label !== undefined && output.noun !== "output" && output.given?.includes(label) === true;
  const { pairs } = await pairsOf(model, [image], [isKnown ? label : "predicted"]);
  const layer = lastMaps(model);
  const [found] = await layerGradients(model, pairs, () => layer);
  return shareAboveHalf(enlarge(camOf("gradcam", found), found.of.view.shape).data);
}
