/**
 * What makes a training run the run that it is: a checkpoint is taken up by the same run only.
 *
 * Names do not count, since those of layers and networks are often made automatically, and differ when a cell is run
 * again. How the weights began does not count either: they are in the checkpoint.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { CheckpointError } from "./checkpoint.ts";
import { partsOf } from "./weights.ts";

type Layer = layers.Layer;
type Plain = Record<string, unknown>;

/** What of a layer's configuration is named, repeats what is told elsewhere, or matters before training only. */
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

/** How many differences an error lists. */
const LISTED = 4;

/** What differs between two descriptions, as sentences. */
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
    ...JSON.parse(JSON.stringify(run)),
    epochs,
    snapshots: (run["snapshots"] as number[]).filter((epoch) => epoch <= epochs),
  }));
  const differing = differences(there, here);
  if (differing.length === 0) return;
  const more = differing.length > LISTED ? `; and in ${differing.length - LISTED} more` : "";
  throw new CheckpointError(
    `The checkpoint ${path} belongs to another run; it differs in ${differing.slice(0, LISTED).join("; ")}${more}. ` +
      `Train with what it was made with, name another file, or remove this one to start anew.`,
  );
}
