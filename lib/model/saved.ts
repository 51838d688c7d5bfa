/**
 * What a saved model says of itself: its labels, its preprocessing, its output, its name, how it was trained.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TrainingSummary } from "../data/history.ts";
import { kindOf } from "../errors.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { frozenNetworks } from "./formats/named_weights.ts";
import { saveNetwork } from "./formats/save.ts";
import { isObject } from "./formats/format.ts";
import type { OutputsWanted } from "./output.ts";
import type { Preprocess } from "./preprocess.ts";
import { checkWeights } from "./weights.ts";

/** What of a model is saved. */
export interface SavableModel {
  name: string;
  labels: readonly string[] | null;
  preprocess: Preprocess;
  wanted: OutputsWanted;
  training: readonly TrainingSummary[];
  network: LayersModel;
}

/** What only files that convlens has written say. */
export interface SavedFacts {
  name?: string;
  training: readonly TrainingSummary[];
  /** The networks in it that may not be trained. */
  frozen: readonly string[];
}

/** All that is said of a model beside its layers and weights. */
function metadataOf({ name, labels, preprocess, wanted, training, network }: SavableModel) {
  const { labels: _, ...own } = (network.getUserDefinedMetadata() ?? {}) as Record<string, unknown>;
  return {
    ...own,
    ...(labels && { labels }),
    preprocess: preprocess.mode === "custom" ? preprocess : preprocess.mode,
    output: wanted,
    convlens: { name, training, frozen: frozenNetworks(network) } satisfies SavedFacts,
  };
}

/** Saves a model, as `model.save` says. */
export async function saveModel(model: SavableModel, where: string | URL): Promise<void> {
  const tf = await ensureBackend();
  await checkWeights(tf, model.network, model.name);
  await saveNetwork(tf, { name: model.name, network: model.network, metadata: metadataOf(model) }, where);
}

const isRun = (run: unknown): run is TrainingSummary =>
  isObject(run) && typeof run.dataset === "string" && Number.isFinite(run.epochs);

/**
 * Reads back what {@linkcode saveModel} wrote.
 *
 * @param facts the `convlens` of the file's `userDefinedMetadata`; undefined in files of other programs
 * @throws {TypeError} if it is of a wrong type
 */
export function readFacts(facts: unknown): SavedFacts {
  if (facts === undefined) return { training: [], frozen: [] };
  if (!isObject(facts)) throw new TypeError(`convlens must be an object: received ${kindOf(facts)}`);
  const { name, training = [], frozen = [] } = facts;
  if (name !== undefined && typeof name !== "string") {
    throw new TypeError(`convlens.name must be a string: received ${kindOf(name)}`);
  }
  if (!Array.isArray(training) || !training.every(isRun)) {
    throw new TypeError("convlens.training must be an array of runs, each { dataset, epochs, … }");
  }
  if (!Array.isArray(frozen) || !frozen.every((path) => typeof path === "string")) {
    throw new TypeError("convlens.frozen must be an array of strings");
  }
  return { name, training, frozen };
}
