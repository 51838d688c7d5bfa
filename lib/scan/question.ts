/**
 * What makes a scan the scan that it is: a folder is taken up by the same one only.
 *
 * Names of models, layers and data sets do not count by themselves, nor does in what batches and by how many Workers the
 * images run: no result depends on that.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { Checksum, sha256Of } from "../checksum.ts";
import { type Dataset, ImageDataset } from "../data/dataset.ts";
import type { Model } from "../model/model.ts";
import { describeNetwork } from "../probe/training/identity.ts";

/** The checksum of a network's weights, in their order. */
async function weightsSum({ network }: Model): Promise<string> {
  const sum = new Checksum();
  for (const weight of network.weights) {
    const values = await (weight.read() as Tensor).data();
    sum.add(`${values.length} `).add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return sum.hex();
}

/** What is known of a data set before it is read. */
export function imagesOf(dataset: Dataset): Record<string, unknown> {
  const rows = dataset instanceof ImageDataset ? dataset.known : undefined;
  // Of images of which nothing is known before, ids are compared while they are walked.
  if (!rows) return { count: dataset.size, "data set": dataset.name };
  const sum = new Checksum();
  for (const { id, label } of rows) sum.add(JSON.stringify([id, label ?? null]) + "\n");
  return { count: rows.length, "ids and labels": sum.hex() };
}

/**
 * A question about the images of a data set, as a folder's manifest keeps it.
 *
 * @param asked what else is asked: layers, units, how many
 */
export async function questionOf(
  model: Model,
  dataset: Dataset,
  backend: string,
  asked: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { order, mean, deviation, fit } = model.preprocess;
  return {
    format: 1,
    ...asked,
    images: imagesOf(dataset),
    model: {
      input: model.inputShape,
      preprocess: { order, mean, deviation, fit },
      network: sha256Of(JSON.stringify(describeNetwork(model.network))),
      weights: await weightsSum(model),
    },
    backend,
  };
}
