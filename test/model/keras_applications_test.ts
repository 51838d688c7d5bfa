/**
 * Networks of Keras Applications with weights made by numbers, in both formats of Keras 3, against what Keras computes: its
 * first five classes and all probabilities. Three in CI; `KERAS_APPLICATIONS=all` (or names, parted by commas) tries others.
 */

import { join } from "node:path";
import { describe, expect } from "vitest";
import { loadModel, predict } from "../../mod.ts";
import { ndarray } from "../../lib/array.ts";
import { ALL, longTest, skipFor } from "../long.ts";

/** The oracles' environment: `out/oracles`, or the one that is active. */
const python = join(Deno.env.get("VIRTUAL_ENV") ?? "out/oracles", "bin", "python");
const script = new URL("../oracles/keras_applications.py", import.meta.url).pathname;

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(python, { args: [script, ...args] }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr).slice(-3000));
  return new TextDecoder().decode(stdout);
}

const asked = Deno.env.get("KERAS_APPLICATIONS") ?? "MobileNetV3Small,EfficientNetB0,DenseNet121";
const there = await Deno.stat(python).catch(() => null);
if (ALL && !there) skipFor(`Keras Applications need Python with Keras as ${python}.`);
const names = asked === "all" && there ? (await run()).trim().split("\n") : asked.split(",");

/** The places of the five largest numbers. */
const top5 = (values: readonly number[]) => values.map((_, i) => i).sort((a, b) => values[b] - values[a]).slice(0, 5);

describe("Keras Applications", () => {
  longTest.each(names)("%s is the same in both formats", async (name) => {
    const folder = await Deno.makeTempDir();
    try {
      await run(folder, name);
      const facts: { outputs: number[]; shape: number[]; rounding: number } = JSON.parse(
        await Deno.readTextFile(join(folder, `${name}.json`)),
      );
      const pixels = Float32Array.from(await Deno.readFile(join(folder, `${name}.bin`)));
      const image = ndarray(pixels, facts.shape);
      for (const format of ["keras", "h5"]) {
        const model = await loadModel(join(folder, `${name}.${format}`), { preprocess: "none" });
        const { rows } = await predict(model, image, { top: facts.outputs.length });
        model.dispose();
        expect(rows.slice(0, 5).map(({ index }) => index)).toEqual(top5(facts.outputs));
        const largest = Math.max(...facts.outputs);
        const error = rows.reduce((most, { index, probability }) => {
          return Math.max(most, Math.abs(probability! - facts.outputs[index]) / largest);
        }, 0);
        console.log(`${name}.${format}: off by ${error.toExponential(1)} of the largest`);
        // Of the deepest ones Keras's own outputs move further when the pixels are rounded once.
        expect(error).toBeLessThan(Math.max(1e-3, 3 * facts.rounding));
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }, 600_000);
});
