/**
 * Class activation maps: where the feature maps of a layer speak for a class.
 *
 * Selvaraju et al., "Grad-CAM" (2016), §3; Chattopadhay et al., "Grad-CAM++" (2017), §3; Jiang et al., "LayerCAM" (2021),
 * §III; Wang et al., "Score-CAM" (2019), §3.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Model } from "../model/model.ts";
import { oneOf, text } from "../options.ts";
import {
  camOf,
  type CamVariant,
  enlarge,
  lastMaps,
  type LayerGradient,
  layerGradients,
  requireMaps,
  scoreCam,
  whyNothing,
} from "../probe/attribution/cam.ts";
import type { Pair } from "../probe/attribution/inputs.ts";
import { askedOf, flatTerms } from "../probe/target.ts";
import { withProgress } from "../results/progress.ts";
import {
  type Attributed,
  type AttributionFunction,
  attributionMethod,
  AttributionOptions,
} from "./shared/attribution_method.ts";

const VARIANTS: Record<CamVariant, { method: string; about: string }> = {
  "gradcam": { method: "Grad-CAM", about: "each map weighted by its mean gradient" },
  "gradcam++": { method: "Grad-CAM++", about: "each map weighted by its positive gradients" },
  "layercam": { method: "LayerCAM", about: "each cell weighted by its positive gradient" },
  "scorecam": { method: "Score-CAM", about: "each map weighted by the score of the image that it masks" },
};

/** Options of {@linkcode gradCam}. */
export class GradCamOptions extends AttributionOptions {
  /**
   * The layer whose feature maps are weighted.
   * @default the last that makes maps of more than one cell, before any pooling; where the output is a map, the last of the
   *   coarsest maps
   */
  @text()
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
  @oneOf(...Object.keys(VARIANTS))
  variant: CamVariant = "gradcam";
}

/** The map in the layer's own cells. */
function makeCam(model: Model, found: LayerGradient, { variant, onProgress, ...run }: GradCamOptions) {
  if (variant !== "scorecam") return camOf(variant, found);
  const channels = found.maps.shape.at(-1)!;
  const work = (update: (done: number) => void): Promise<NdArrayLike> =>
    scoreCam(model, found.of, found.maps, { ...run, onProgress: update });
  return withProgress(`Score-CAM of ${model.name}`, channels, work, onProgress);
}

/**
 * Makes a class activation map: the feature maps of a layer, weighted by what they do for a target's score and summed;
 * what is negative is cut off.
 *
 * Gives `cam`, the map in the layer's own cells, `[h', w']`; `map` and `values`, the same enlarged to the image, `[h, w]`,
 * bilinearly; and `layer`. Throws a `RangeError` if a target, the layer or the variant does not exist, a `TypeError` if
 * the layer puts out no feature maps or the score does not depend on it.
 *
 * @example
 * ```ts
 * import { gradCam, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("resnet50");
 * await gradCam(model, await photo("dog"));
 * await gradCam(model, await photo("dog"), { target: "tabby", variant: "layercam", layer: "activation_39" });
 * ```
 */
export const gradCam: AttributionFunction<GradCamOptions> = attributionMethod({
  name: "gradCam",
  options: GradCamOptions,
  async attribute({ model, pairs, options }) {
    const { layer: asked, variant, ...run } = options;
    const layerOf = ({ wanted }: Pair) => asked ?? lastMaps(model, askedOf(model, flatTerms(wanted)[0][1]).output);
    pairs.forEach((pair) => requireMaps(model, layerOf(pair)));
    // Of Score-CAM the masked images are what takes long.
    const onProgress = variant === "scorecam" ? undefined : run.onProgress;
    const gradients = await layerGradients(model, pairs, layerOf, { ...run, onProgress });
    const { method, about } = VARIANTS[variant];
    const made: Attributed[] = [];
    for (const found of gradients) {
      const { maps: { shape }, layer } = found;
      const cells = shape.slice(0, -1);
      const cam = await makeCam(model, found, options);
      const map = enlarge(cam, found.of.view.shape);
      made.push({
        method,
        of: found.of,
        values: map,
        map,
        cam,
        layer,
        score: found.score,
        signed: false,
        paint: "map",
        clip: 100,
        whyZero: whyNothing(variant, found),
        about: `Layer ${layer}, ${shape.at(-1)} maps of ${cells.join("×")}: ${about}, summed, and enlarged ` +
          `${["linearly", "bilinearly", "trilinearly"][cells.length - 1]}; ` +
          "what is negative is cut off.",
      });
    }
    return made;
  },
});
