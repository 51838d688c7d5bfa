/**
 * What makes a training run the run that it is: a checkpoint is taken up by the same run only.
 *
 * Names do not count, since those of layers and networks are often made automatically, and differ when a cell is run
 * again. How the weights began does not count either: they are in the checkpoint.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../../array.ts";
import { Checksum } from "../../checksum.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import type { Augment } from "./augment.ts";
import { CheckpointError } from "./checkpoint.ts";
import type { TrainingImages } from "./images.ts";
import type { Trained } from "./optimizer.ts";
import type { Recipe } from "./options.ts";
import { shortSum } from "./samples.ts";
import { partsOf } from "../../model/formats/named_weights.ts";

type Layer = layers.Layer;
type Plain = Record<string, unknown>;

/** What of a layer's configuration is named, repeats what is said elsewhere, or matters before training only. */
const LEFT_OUT = /^(name|trainable|dtype|layers?|cells?|(batch_?)?input_?shape|.*initializer)$/i;

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a layer computes, with what is inside of it. */
function describeLayer(layer: Layer): Plain {
  if ("layers" in layer) return { trainable: layer.trainable, inside: describeNetwork(layer as LayersModel) };
  const config = JSON.parse(JSON.stringify(layer.getConfig(), (key, value) => LEFT_OUT.test(key) ? undefined : value));
  const parts = partsOf(layer).map(describeLayer);
  return {
    kind: layer.getClassName(),
    ...config,
    trainable: layer.trainable,
    ...(parts.length && { inside: { ...parts } }),
  };
}

/** The layers of a network in the order in which they run: what each computes, and from what. */
export function describeNetwork(network: LayersModel): Plain {
  const places = new Map<number, string>();
  const first = new Map<Layer, string>();
  const described: Plain = {};
  const visit = (tensor: SymbolicTensor): string => {
    const known = places.get(tensor.id);
    if (known !== undefined) return known;
    const layer = tensor.sourceLayer;
    const { inputTensors, outputTensors } = layer.inboundNodes[tensor.nodeIndex];
    const from = inputTensors.map(visit);
    const place = `layer ${Object.keys(described).length}`;
    const shared = first.get(layer);
    described[place] = { ...(shared === undefined ? describeLayer(layer) : { shared }), from };
    first.set(layer, shared ?? place);
    outputTensors.forEach(({ id }, i) => places.set(id, i === 0 ? place : `${place}, output ${i}`));
    return places.get(tensor.id)!;
  };
  network.inputs.forEach(({ id }, i) => places.set(id, `input ${i}`));
  const outputs = network.outputs.map(visit);
  return { ...described, outputs };
}

/** What a run starts with, beside what does not count. */
export interface RunStart extends TrainingImages {
  model: Model;
  /** The model's output as classes, and what they are called. */
  output: ModelOutput;
  labels: readonly string[];
  recipe: Recipe;
  augment: Augment;
  /** The image that was named as probe. */
  probe?: NdArrayLike;
  /** All weights by name, and those that are trained. */
  weights: ReadonlyMap<string, Variable>;
  trained: readonly Trained[];
}

/** All that makes a run this run, as a checkpoint keeps it. */
export function identityOf(run: RunStart): Plain {
  const { model, output, labels, weights, trained, recipe, augment, training, validation, probe } = run;
  const { order, mean, deviation, fit } = model.preprocess;
  const names = [...weights.keys()];
  return {
    input: model.inputShape,
    preprocess: { order, mean, deviation, fit },
    network: describeNetwork(model.network),
    "shapes of the weights": [...weights.values()].map(({ shape }) => shape),
    "numbers of the trained weights": trained.map(({ name }) => names.indexOf(name)),
    output: { index: output.index, kind: output.kind, activation: output.activation },
    labels,
    "training images": training.data,
    ...recipe,
    validation: typeof recipe.validation === "number" ? recipe.validation : validation!.data,
    augment,
    probe: probe ? shortSum(new Checksum().add(new Uint8Array(probe.data.slice().buffer))) : "the first image",
  };
}

/** How many differences an error lists. */
const LISTED = 4;

/** What differs between two descriptions of a task, as part of a sentence; empty where nothing does. */
export function differenceText(there: Plain, here: Plain): string {
  const [stored, wanted] = [there, here].map((plain) => JSON.parse(JSON.stringify(plain)));
  const differing = differences(stored, wanted);
  const more = differing.length > LISTED ? `; and in ${differing.length - LISTED} more` : "";
  return differing.slice(0, LISTED).join("; ") + more;
}

/** What differs between two descriptions, one by one. */
function differences(there: unknown, here: unknown, path: readonly string[] = []): string[] {
  if (isPlain(there) && isPlain(here)) {
    return [...new Set([...Object.keys(there), ...Object.keys(here)])].flatMap((key) =>
      differences(
        Object.hasOwn(there, key) ? there[key] : undefined,
        Object.hasOwn(here, key) ? here[key] : undefined,
        [...path, key],
      )
    );
  }
  const [a, b] = [there, here].map((value) => JSON.stringify(value) ?? "nothing");
  return a === b ? [] : [`${path.join(", ")} (${shortened(a)} there, ${shortened(b)} here)`];
}

function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

/**
 * Refuses a checkpoint of another run. More epochs than before make no other run; nor do snapshots that lie beyond what
 * one of the two runs was asked for.
 *
 * @throws {CheckpointError} says what differs
 */
export function checkSameRun(path: string, stored: Plain, wanted: Plain): void {
  const epochs = Math.min(Number(stored["epochs"]), Number(wanted["epochs"]));
  const [there, here] = [stored, wanted].map((run) => ({
    ...run,
    epochs,
    snapshots: (run["snapshots"] as number[]).filter((epoch) => epoch <= epochs),
  }));
  const differing = differenceText(there, here);
  if (!differing) return;
  throw new CheckpointError(
    `The checkpoint ${path} belongs to another run; it differs in ${differing}. ` +
      `Train with what it was made with, name another file, or remove this one to start anew.`,
  );
}
