/**
 * Class activation maps: where the maps of a layer speak for a class.
 *
 * Selvaraju et al., "Grad-CAM" (2016), §3; Chattopadhay et al., "Grad-CAM++" (2017), §3; Jiang et al., "LayerCAM" (2021),
 * §III; Wang et al., "Score-CAM" (2019), §3.
 *
 * @module
 */

import type { ImageLike } from "../data/image.ts";
import { checkOptions } from "../errors.ts";
import { Attribution } from "../results/attribution.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import { described, pairsOf, RUN_OPTIONS, type RunOptions } from "../probe/attribution/attribute.ts";
import {
  camOf,
  type CamVariant,
  enlarge,
  lastMaps,
  layerGradients,
  requireMaps,
  scoreCam,
} from "../probe/attribution/cam.ts";
import type { Target } from "../probe/target.ts";

export interface GradCamOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs, a unit `{ layer, channel, cell }`; or
   * an array of these, one an image.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
  /**
   * The layer whose maps are weighted.
   * @default the last that makes maps of more than one cell, before any pooling
   */
  layer?: string;
  /**
   * What the weights are:
   * - `"gradcam"`: of each channel the mean gradient;
   * - `"gradcam++"`: of each channel the positive gradients, each by how sure it is, which holds several objects better;
   * - `"layercam"`: of each cell its own positive gradient, which suits early layers;
   * - `"scorecam"`: of each channel the softmax over all channels of the score that the image masked by its map has (one
   *   pass a channel, no gradient).
   * @default "gradcam"
   */
  variant?: CamVariant;
}

const VARIANTS: Record<CamVariant, { method: string; about: string }> = {
  "gradcam": { method: "Grad-CAM", about: "each map weighted by its mean gradient" },
  "gradcam++": { method: "Grad-CAM++", about: "each map weighted by its positive gradients" },
  "layercam": { method: "LayerCAM", about: "each cell weighted by its positive gradient" },
  "scorecam": { method: "Score-CAM", about: "each map weighted by the score of the image that it masks" },
};

/**
 * Makes a class activation map: the maps of a layer, weighted by what they do for a target's score and summed; what is
 * negative is cut off.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `cam`, the map in the layer's own cells, `[h', w']`; `map` and `values`, the same enlarged to the image,
 *   `[h, w]`, bilinearly; `layer`; for an array of images or of targets one result a pair
 * @throws {RangeError} if a target, the layer or the variant does not exist
 * @throws {TypeError} if the layer puts out no maps, or the score does not depend on it
 *
 * @example
 * ```ts
 * await gradCam(model, await photo("dog"));
 * await gradCam(model, await photo("dog"), { target: "tabby", variant: "layercam", layer: "activation_39" });
 * ```
 */
export async function gradCam(
  model: Model,
  image: ImageLike,
  options?: GradCamOptions & { target?: Target },
): Promise<Attribution>;
export async function gradCam(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: GradCamOptions,
): Promise<Attribution[]>;
export async function gradCam(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: GradCamOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("gradCam", model);
  const { target, layer = lastMaps(model), variant = "gradcam", ...run } = checkOptions("gradCam", options, {
    target: true,
    layer: true,
    variant: true,
    ...RUN_OPTIONS,
  });
  if (!Object.hasOwn(VARIANTS, variant)) {
    throw new RangeError(
      `There is no variant ${JSON.stringify(variant)}; wanted one of ${Object.keys(VARIANTS).join(", ")}.`,
    );
  }
  requireMaps(model, layer);
  const { pairs, many } = await pairsOf(model, image, target);
  // Of Score-CAM the masked images are what takes long.
  const onProgress = variant === "scorecam" ? undefined : run.onProgress;
  const gradients = await layerGradients(model, pairs, layer, { ...run, onProgress });
  const { method, about } = VARIANTS[variant];
  const results: Attribution[] = [];
  for (const found of gradients) {
    const { subject } = found;
    const [rows, columns, channels] = found.maps.shape;
    const cam = variant === "scorecam"
      ? await withProgress(
        `Score-CAM of ${model.name}`,
        channels,
        (update) =>
          scoreCam(model, subject, found.maps, {
            ...run,
            onProgress(done, total) {
              update(done);
              run.onProgress?.(done, total);
            },
          }),
      )
      : camOf(variant, found);
    const map = enlarge(cam, subject.view.shape);
    results.push(
      new Attribution({
        method,
        ...described(model, subject),
        values: map,
        map,
        cam,
        layer,
        score: found.score,
        signed: false,
        paint: "map",
        clip: 100,
        about: `Layer ${layer}, ${channels} maps of ${rows}×${columns}: ${about}, summed, and enlarged bilinearly; ` +
          "what is negative is cut off.",
      }),
    );
  }
  return many ? results : results[0];
}
