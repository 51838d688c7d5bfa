/** Normalisations in one step, and where maps are largest: on the backend under test, against their definitions. */

import fc from "fast-check";
import type { Tensor1D, Tensor4D } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { sizeOf } from "../../lib/array.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { maxima } from "../../lib/runtime/core/maxima.ts";
import { normalization } from "../../lib/runtime/core/normalization.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

const shapes = fc.tuple(
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 1, max: 7 }),
  fc.integer({ min: 1, max: 7 }),
  // Multiples of the vectors, of some of them, and neither.
  fc.constantFrom(1, 3, 4, 8, 12, 20, 32, 64, 70, 100, 132),
);

/** Of few values, so that many tie, and some that are none. */
const KINDS = [-Infinity, NaN, -2, -1, -0, 0, 1, 2, Infinity];

test("the largest of each map and its first cell, also where numbers tie, are infinite or none", async () => {
  const kinds = fc.uniqueArray(fc.constantFrom(...KINDS), { minLength: 1, maxLength: 4, comparator: "SameValue" });
  let known = 0;
  await fc.assert(
    fc.asyncProperty(shapes, kinds, fc.nat(1e6), async (shape, kinds, seed) => {
      const next = uniforms(seed);
      const data = Float32Array.from({ length: sizeOf(shape) }, () => kinds[Math.floor(kinds.length * next())]);
      const maps = tf.tensor(data, shape);
      const found = maxima(tf, maps);
      maps.dispose();
      if (!found) return;
      known++;
      const [count, rows, columns, channels] = shape;
      expect(found.shape).toEqual([2, count, channels]);
      const [values, places] = [new Float32Array(count * channels), new Float32Array(count * channels)];
      for (let at = 0; at < values.length; at++) {
        const [image, channel] = [Math.floor(at / channels), at % channels];
        const cells = Array.from(
          { length: rows * columns },
          (_, cell) => ({ cell, value: data[(image * rows * columns + cell) * channels + channel] }),
        );
        const numbers = cells.filter(({ value }) => !Number.isNaN(value));
        const most = numbers.reduce((best, each) => each.value > best.value ? each : best, numbers[0] ?? cells[0]);
        values[at] = most.value;
        places[at] = most.cell;
      }
      const all = await found.data<"float32">();
      found.dispose();
      expect(all.slice(0, values.length)).toEqual(values);
      expect(all.slice(values.length)).toEqual(places);
    }),
    { numRuns: long(200, 60), seed: 1 },
  );
  console.log(`${tf.getBackend()} has a kernel for ${known} of the maps that were tried`);
  if (tf.getBackend() === "wasm") expect(known).toBeGreaterThan(20);
});

test("a normalisation in one step is what its definition says, and so is its gradient", async () => {
  const how = fc.record({ shape: shapes, side: fc.boolean(), rectify: fc.boolean(), seed: fc.nat(1e6) });
  await fc.assert(
    fc.asyncProperty(how, async ({ shape, side, rectify, seed }) => {
      const next = uniforms(seed);
      const numbers = (length: number) => Float32Array.from({ length }, () => 2 * next() - 1);
      const channels = shape[3];
      const [x, added, dy] = [0, 0, 0].map(() => numbers(sizeOf(shape)));
      const [scale, shift] = [0, 0].map(() => numbers(channels));
      const all = {
        x: tf.tensor4d(x, shape),
        scale: tf.tensor1d(scale),
        shift: tf.tensor1d(shift),
        ...side && { side: tf.tensor4d(added, shape) },
      };
      const weights = tf.tensor4d(dy, shape);
      const before = tf.memory().numTensors;
      const output = normalization(tf, all, rectify);
      const gradients = tf.grads((x, scale, shift, other) =>
        tf.sum(tf.mul(
          normalization(tf, {
            x: x as Tensor4D,
            scale: scale as Tensor1D,
            shift: shift as Tensor1D,
            ...other && { side: other as Tensor4D },
          }, rectify),
          weights,
        ))
      )([all.x, all.scale, all.shift, ...all.side ? [all.side] : []]);
      expect(tf.memory().numTensors).toBe(before + 1 + gradients.length);
      const sums = Float32Array.from(
        x,
        (value, i) => value * scale[i % channels] + shift[i % channels] + (side ? added[i] : 0),
      );
      const near = (found: ArrayLike<number>, wanted: ArrayLike<number>) => {
        expect(found).toHaveLength(wanted.length);
        for (let i = 0; i < wanted.length; i++) expect(found[i]).toBeCloseTo(wanted[i], 4);
      };
      near(await output.data(), sums.map((sum) => rectify ? Math.max(0, sum) : sum));
      // Where the sum is next to 0, it depends on rounding whether it is above.
      if (sums.every((sum) => Math.abs(sum) > 1e-5)) {
        const passed = dy.map((value, i) => rectify && sums[i] < 0 ? 0 : value);
        const perChannel = (part: (i: number) => number) => {
          const totals = new Float64Array(channels);
          for (let i = 0; i < passed.length; i++) totals[i % channels] += part(i);
          return totals;
        };
        const wanted = [
          passed.map((value, i) => value * scale[i % channels]),
          perChannel((i) => passed[i] * x[i]),
          perChannel((i) => passed[i]),
          passed,
        ];
        for (const [i, gradient] of gradients.entries()) near(await gradient.data(), wanted[i]);
      }
      tf.dispose([all, weights, output, gradients]);
    }),
    { numRuns: long(60, 20), seed: 2 },
  );
});
