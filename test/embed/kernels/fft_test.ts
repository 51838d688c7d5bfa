import { describe, expect, test } from "vitest";
import { Layout } from "../../../lib/workers/layout.ts";
import { orderOf, radices, twiddles } from "../../../lib/embed/tsne/mesh.ts";
import { normalStream } from "../../../lib/random.ts";
import { maxDifference } from "../digits.ts";
import { alone } from "./kernels_on_main.ts";

/** 16 signals: element e holds 16 real parts, then 16 imaginary ones. */
async function signals(length: number) {
  const layout = new Layout();
  const x = layout.take(128 * length);
  const w = layout.take(8 * length);
  const { kernels, buffer } = await alone(layout);
  new Float32Array(buffer, w, 2 * length).set(twiddles(length));
  const values = new Float32Array(buffer, x, 32 * length);
  const normal = normalStream(length);
  for (let i = 0; i < values.length; i++) values[i] = normal();
  return { kernels, values, x, w };
}

/** The discrete Fourier transform by its definition, of one of the signals. */
function naive(values: Float32Array, lane: number, length: number): number[] {
  const result: number[] = [];
  for (let k = 0; k < length; k++) {
    let [real, imaginary] = [0, 0];
    for (let e = 0; e < length; e++) {
      const angle = -2 * Math.PI * (k * e % length) / length;
      const [a, b] = [values[32 * e + lane], values[32 * e + 16 + lane]];
      real += a * Math.cos(angle) - b * Math.sin(angle);
      imaginary += a * Math.sin(angle) + b * Math.cos(angle);
    }
    result.push(real, imaginary);
  }
  return result;
}

// Every way of ending the stages: with 1, 2, 3 and 6 left.
describe.each([64, 128, 192, 384])("a transform of length %i", (length) => {
  test("is the one of the definition", async () => {
    for (const half of [false, true]) {
      const { kernels, values, x, w } = await signals(length);
      if (half) values.fill(0, values.length / 2);
      const expected = [0, 5, 15].map((lane) => naive(values, lane, length));
      // What stands in a half that counts as zero does not matter.
      if (half) values.fill(NaN, values.length / 2);
      kernels.forward(x, length, w, 4, half);
      const order = orderOf(length);
      [0, 5, 15].forEach((lane, i) => {
        const found = Array.from({ length: 2 * length }, (_, j) => values[32 * order[j >> 1] + 16 * (j % 2) + lane]);
        expect(maxDifference(found, expected[i])).toBeLessThan(3e-6 * length);
      });
    }
  });

  test("comes back", async () => {
    for (const half of [false, true]) {
      const { kernels, values, x, w } = await signals(length);
      const before = values.slice();
      kernels.forward(x, length, w, 4, false);
      kernels.inverse(x, length, w, 4, half);
      const kept = half ? values.length / 2 : values.length;
      const back = values.slice(0, kept).map((value) => value / length);
      expect(maxDifference(back, before.slice(0, kept))).toBeLessThan(3e-6);
    }
  });

  test("leaves the signals alone that it is not asked for", async () => {
    const { kernels, values, x, w } = await signals(length);
    const before = values.slice();
    kernels.forward(x, length, w, 1, false);
    for (let e = 0; e < length; e++) {
      expect(values.slice(32 * e + 4, 32 * e + 16)).toEqual(before.slice(32 * e + 4, 32 * e + 16));
    }
  });
});

test("every frequency has a place of its own", () => {
  for (const length of [64, 192, 384, 512, 1536, 4096]) {
    expect(radices(length).reduce((a, b) => a * b)).toBe(length);
    expect(new Set(orderOf(length)).size).toBe(length);
  }
});
