/**
 * Units at the limits of what they can put out: silent behind a ReLU, or at an end of a sigmoid.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";
import { briefPercent } from "../../format.ts";
import type { Model } from "../../model/model.ts";
import type { InputFinding } from "../../results/input_check.ts";
import { forwardEach } from "../../scan/forward_all.ts";

/** The least and the most that activations put out. */
const RANGES: Record<string, readonly [least: number, most: number]> = {
  relu: [0, Infinity],
  relu6: [0, 6],
  sigmoid: [0, 1],
  hardSigmoid: [0, 1],
  hard_sigmoid: [0, 1],
  tanh: [-1, 1],
  softsign: [-1, 1],
};

/** A layer whose numbers have limits. */
interface Limited {
  readonly name: string;
  readonly range: readonly [least: number, most: number];
}

/** The layers whose numbers have limits, but for those that the outputs come from. */
function watched(model: Model): Limited[] {
  return model.leaves.slice(0, -1).flatMap(({ name }) => {
    const { layer } = model.entry(name);
    const { activation, maxValue } = layer.getConfig() as Record<string, unknown>;
    const range = layer.getClassName() === "ReLU"
      ? [0, Number(maxValue ?? Infinity)] as const
      : RANGES[String(activation)];
    return range ? [{ name, range }] : [];
  });
}

/** How a layer's units stand on some images. */
interface LayerLimits {
  readonly layer: string;
  /** The share of the channels that put out nothing but the least, where that is 0. */
  readonly dead: number;
  /** The share of the numbers that are within a hundredth of an end of their range; of a plain ReLU 0. */
  readonly full: number;
}

/** At most so many numbers are in the watched outputs of one batch. */
const MOST_FLOATS = 64e6;

/** Looks at the units of some layers. */
async function limitsOf(
  model: Model,
  layers: readonly Limited[],
  inputs: readonly NdArrayLike[],
  { batchSize, signal }: { batchSize: number; signal?: AbortSignal },
): Promise<LayerLimits[]> {
  const shapes = layers.map(({ name }) => model.shapeOf(name));
  const tallies = shapes.map((shape) => ({
    most: new Float32Array(shape.at(-1) ?? 1).fill(-Infinity),
    full: 0,
    all: 0,
  }));
  const floats = shapes.reduce((sum, shape) => sum + sizeOf(shape.map((length) => length ?? 100)), 0);
  const names = layers.map(({ name }) => name);
  const each = Math.max(1, Math.min(batchSize, Math.floor(MOST_FLOATS / floats)));
  await forwardEach(model, inputs, names, (outputs) =>
    outputs.forEach(({ data }, at) => {
      const { range: [least, most] } = layers[at];
      const tally = tallies[at];
      const channels = tally.most.length;
      const margin = 0.01 * (most - least);
      for (let i = 0; i < data.length; i++) {
        const value = data[i];
        const channel = i % channels;
        if (value > tally.most[channel]) tally.most[channel] = value;
        // A ReLU's zeros are no saturation: they are how it works.
        if (most < Infinity && (value >= most - margin || least < 0 && value <= least + margin)) tally.full++;
        else if (most === 1 && value <= least + margin) tally.full++;
      }
      tally.all += data.length;
    }), { batchSize: each, signal });
  return tallies.map(({ most, full, all }, i) => ({
    layer: layers[i].name,
    dead: layers[i].range[0] === 0 ? most.filter((value) => value <= 0).length / most.length : 0,
    full: full / all,
  }));
}

/** Layers most of whose units are silent, or at an end of their range, whatever the image. */
export async function unitFindings(
  model: Model,
  inputs: readonly NdArrayLike[],
  run: { batchSize: number; signal?: AbortSignal },
): Promise<InputFinding[]> {
  if (inputs.length < 4) return [];
  const layers = watched(model);
  if (layers.length === 0) return [];
  const rows = await limitsOf(model, layers, inputs, run);
  const most = (what: "dead" | "full") => rows.filter((row) => row[what] > 0.5).sort((a, b) => b[what] - a[what]);
  const text = (found: typeof rows, what: "dead" | "full", is: string): InputFinding[] =>
    found.length === 0 ? [] : [{
      about: "units",
      sure: false,
      text: `${is} in ${found.length} of ${rows.length} layers: ` +
        found.slice(0, 4).map((row) => `${row.layer} (${briefPercent(row[what])})`).join(", ") +
        `${found.length > 4 ? ", …" : ""}, on all ${inputs.length} images.`,
    }];
  return [
    ...text(most("dead"), "dead", "More than half of the channels put out nothing"),
    ...text(
      most("full"),
      "full",
      "More than half of the numbers are at an end of their range, where nothing can be learned,",
    ),
  ];
}
