/**
 * The operator tests and the nine classic networks of the package `onnx`, which `test/oracles/onnx_operators.py` writes into
 * `out/onnx`.
 */

import type { Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { skipFor } from "../long.ts";

interface Case {
  name: string;
  file: string;
  inputs: [shape: number[], values: string][];
  outputs: [shape: number[], values: string][];
}

const folder = new URL("../../out/onnx/", import.meta.url);

async function readCases(): Promise<Case[]> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL("cases.json", folder))).cases;
  } catch (cause) {
    skipFor("out/onnx is missing: python test/oracles/onnx_operators.py out/onnx", cause);
    return [];
  }
}

const cases = await readCases();
const tf = await ensureBackend();
const tensors = tf.memory().numTensors;
afterAll(() => expect(tf.memory().numTensors).toBe(tensors));

const dataOf = (text: string) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** How an array of ONNX may lie: with its channels behind, as it is, and without the axes of length 1 behind the second. */
function laid([shape, values]: Case["inputs"][number]): Tensor[] {
  const x = tf.tensor(dataOf(values), shape);
  if (shape.length < 3) return [x];
  const last = tf.transpose(x, [0, ...shape.map((_, i) => i).slice(2), 1]);
  return shape.slice(2).every((length) => length === 1) ? [tf.reshape(x, shape.slice(0, 2)), last, x] : [last, x];
}

/** How far numbers are from those wanted, in parts of the largest; infinite if the shape is another. */
function distance(found: Tensor, wanted: Tensor): number {
  if (`${found.shape}` !== `${wanted.shape}`) return Infinity;
  const [a, b] = [found.dataSync(), wanted.dataSync()];
  let [worst, largest] = [0, 1e-2];
  b.forEach((value, i) => {
    if (!Number.isFinite(value)) {
      if (!Object.is(a[i], value)) worst = Infinity;
      return;
    }
    worst = Math.max(worst, Math.abs(value - a[i]));
    largest = Math.max(largest, Math.abs(value));
  });
  return worst / largest;
}

/** How far what a network computes is from what it should. */
async function worstOf({ file, inputs, outputs }: Case): Promise<number> {
  const model = await loadModel(new URL(file, folder));
  try {
    return tf.tidy(() => {
      const { network } = model;
      const fits = (x: Tensor, i: number) =>
        x.rank === network.inputs[i].rank &&
        network.inputs[i].shape.every((length, axis) => axis === 0 || length === null || length === x.shape[axis]);
      // A square of as many channels fits both ways.
      const ways = [0, 1].map((turn) => inputs.map((x, i) => laid(x).filter((y) => fits(y, i)).at(turn)))
        .filter((way): way is Tensor[] => way.every((x) => x !== undefined));
      return Math.min(...ways.map((way) => {
        const made = [network.predict(way.length > 1 ? way : way[0])].flat() as Tensor[];
        return Math.max(...made.map((y, i) => Math.min(...laid(outputs[i]).map((wanted) => distance(y, wanted)))));
      }));
    });
  } finally {
    model.dispose();
  }
}

/** What layers of a network cannot be: what goes over the batch, or has the image where ONNX's networks have weights. */
const REFUSED =
  /batch|is a constant|constant only|reads it of constants|fixed size|the last of several|which nothing before it makes|as in training|moments for each cell|outside|cannot be \[|do not go together|more axes than the last|its equation is|it leaves nothing|its pads are|its kernel is|its slopes are|wanted an odd one|along axis 0|flattens from axis|its bias is|first input is turned|takes away the axes|of the shape \[/;

describe.skipIf(cases.length === 0)("operators of ONNX", () => {
  test("compute what the package says", { timeout: 240_000 }, async () => {
    const found: Record<"equal" | "unknown" | "refused" | "other", string[]> = {
      equal: [],
      unknown: [],
      refused: [],
      other: [],
    };
    for (const c of cases.filter(({ name }) => !name.startsWith("light_"))) {
      // Its values are rounded to four digits.
      const most = c.name === "test_averagepool_2d_ceil_last_window_starts_on_pad" ? 2e-4 : 1e-4;
      try {
        const worst = await worstOf(c);
        if (worst < most) found.equal.push(c.name);
        else found.other.push(`${c.name}: ${worst}`);
      } catch (error) {
        const { name, message } = error as Error;
        const kind = name !== "ModelError"
          ? "other"
          : /no layers for the operators/.test(message)
          ? "unknown"
          : REFUSED.test(message)
          ? "refused"
          : "other";
        found[kind].push(`${c.name}: ${message}`);
      }
    }
    expect(found.other).toEqual([]);
    console.log(
      `${found.equal.length} equal, ${found.refused.length} refused, ${found.unknown.length} of unknown operators`,
    );
    expect(found.equal.length).toBeGreaterThan(300);
  });

  const classics = cases.filter(({ name }) => name.startsWith("light_"));
  test("nine classics are there", () => expect(classics.length).toBe(9));
  test.each(classics.map((c) => [c.name, c] as const))("%s", { timeout: 120_000 }, async (_, c) => {
    expect(await worstOf(c)).toBeLessThan(1e-4);
  });
});
