/** Small trials for the tests. */

import { dataset, type ImageDataset } from "../lib/data/dataset.ts";
import { humanTrial, type HumanTrialOptions } from "../lib/methods/human_trial.ts";
import { loadModel } from "../lib/model/load.ts";
import type { Model } from "../lib/model/model.ts";
import type { HumanTrial } from "../lib/results/human_trial.ts";
import { tinyNet, uniforms } from "./nets.ts";

/** The classes: nowhere else in a page. */
export const PETS = ["secret-cat", "secret-dog"];

/** Images of noise whose names tell what they show, as those of a folder do. */
export function pets(count = 24, seed = 1): ImageDataset {
  const random = uniforms(seed);
  return dataset(
    Array.from({ length: count }, (_, i) => ({
      id: `${PETS[i % 2]}/no-${seed}-${i}.png`,
      label: PETS[i % 2],
      image: { data: Float32Array.from({ length: 48 }, () => Math.floor(256 * random())), shape: [4, 4, 3] },
    })),
    { name: "pets", labels: PETS },
  );
}

/** A network of these classes. */
export const petModel = async (): Promise<Model> => await loadModel(await tinyNet(), { labels: PETS });

/** A trial of two images for training and six for the test. */
export async function petTrial(path: string, options: Partial<HumanTrialOptions> = {}): Promise<HumanTrial<Model>> {
  return await humanTrial(await petModel(), pets(), { training: 2, limit: 6, path, ...options });
}
