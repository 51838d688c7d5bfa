import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { BAND_EDGES, fft2, filterSpectrum, measureAliasing } from "../../lib/probe/spectrum.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

/** A kernel of one filter and one channel, by a formula. */
function kernelOf(side: number, value: (y: number, x: number) => number): NdArrayLike {
  const data = Float32Array.from({ length: side * side }, (_, i) => value(Math.floor(i / side), i % side));
  return { data, shape: [side, side, 1, 1] };
}

describe("the Fourier transform", () => {
  test("equals the plain sum", () => {
    const side = 8;
    const random = uniforms(1);
    const plane = Float64Array.from({ length: side * side }, () => random() - 0.5);
    const real = plane.slice();
    const imaginary = new Float64Array(side * side);
    fft2(real, imaginary, side);
    for (let v = 0; v < side; v++) {
      for (let u = 0; u < side; u++) {
        let [re, im] = [0, 0];
        plane.forEach((value, i) => {
          const angle = -2 * Math.PI * (u * (i % side) + v * Math.floor(i / side)) / side;
          re += value * Math.cos(angle);
          im += value * Math.sin(angle);
        });
        expect(real[v * side + u]).toBeCloseTo(re, 10);
        expect(imaginary[v * side + u]).toBeCloseTo(im, 10);
      }
    }
  });

  test("wants a power of two", () => {
    expect(() => fft2(new Float64Array(36), new Float64Array(36), 6)).toThrow("a power of two was wanted");
  });
});

describe("bands of filters", () => {
  test("a single cell passes all frequencies alike, so that bands have their areas", () => {
    const { bands } = filterSpectrum(kernelOf(7, (y, x) => y === 3 && x === 3 ? 5 : 0));
    const [low, mid] = BAND_EDGES.map((edge) => Math.PI * edge ** 2);
    expect(bands.low).toBeCloseTo(low, 2);
    expect(bands.low + bands.mid).toBeCloseTo(mid, 2);
    expect(bands.low + bands.mid + bands.high).toBeCloseTo(1, 12);
  });

  test("waves fall into the band of their frequency", () => {
    const shares = (frequency: number) => {
      const angle = 0.6;
      return filterSpectrum(kernelOf(32, (y, x) => {
        const phase = 2 * Math.PI * frequency * (x * Math.cos(angle) + y * Math.sin(angle));
        return Math.exp(-((x - 16) ** 2 + (y - 16) ** 2) / 100) * Math.cos(phase);
      })).bands;
    };
    expect(shares(0.08).low).toBeGreaterThan(0.98);
    expect(shares(0.25).mid).toBeGreaterThan(0.98);
    expect(shares(0.42).high).toBeGreaterThan(0.98);
    expect(filterSpectrum(kernelOf(11, () => 1)).bands.low).toBeGreaterThan(0.9);
    expect(filterSpectrum(kernelOf(6, (y, x) => (x + y) % 2 ? 1 : -1)).bands.high).toBeGreaterThan(0.9);
  });

  test("does not depend on how strong a filter is or where it lies, and each filter counts alike", () => {
    const random = uniforms(3);
    const values = Float32Array.from({ length: 25 }, () => random() - 0.5);
    const small = kernelOf(5, (y, x) => values[y * 5 + x]);
    const moved = kernelOf(7, (y, x) => y >= 2 && x >= 1 && x < 6 ? 30 * values[(y - 2) * 5 + x - 1] : 0);
    expect(filterSpectrum(moved).bands.mid).toBeCloseTo(filterSpectrum(small).bands.mid, 6);
    const flat = new Float32Array(25).fill(100);
    const both = new Float32Array(50);
    for (let i = 0; i < 25; i++) both.set([values[i], flat[i]], 2 * i);
    const mean = (filterSpectrum(small).bands.mid + filterSpectrum(kernelOf(5, () => 1)).bands.mid) / 2;
    expect(filterSpectrum({ data: both, shape: [5, 5, 1, 2] }).bands.mid).toBeCloseTo(mean, 6);
    expect(filterSpectrum(kernelOf(3, () => 0)).bands).toEqual({ low: 0, mid: 0, high: 0 });
    expect(() => filterSpectrum(kernelOf(65, () => 1))).toThrow("at most 64×64");
  });
});

/** One convolution that hands red on, with a stride; linear, so that answers are known. */
async function sampler(strides: number, kernelSize = 1): Promise<Model> {
  const tf = await ensureBackend();
  const conv = tf.layers.conv2d({
    name: "sample",
    inputShape: [32, 32, 3],
    filters: 1,
    kernelSize,
    strides,
    padding: "same",
  });
  const net = tf.sequential({ layers: [conv] });
  tf.tidy(() => {
    const kernel = tf.buffer([kernelSize, kernelSize, 3, 1]);
    for (let i = 0; i < kernelSize ** 2; i++) {
      kernel.set(1 / kernelSize ** 2, Math.floor(i / kernelSize), i % kernelSize, 0, 0);
    }
    conv.setWeights([kernel.toTensor(), tf.zeros([1])]);
  });
  return await loadModel(net, { preprocess: "none", name: "sampler" });
}

/** A wave that its mirror image continues: `k` half waves over 32 pixels, so `k / 64` cycles a pixel. */
function wave(horizontal: number, vertical: number): NdArrayLike {
  const data = new Float32Array(32 * 32 * 3);
  for (let y = 0; y < 32; y++) {
    for (let x = 0; x < 32; x++) {
      const value = (k: number, at: number) => Math.cos(Math.PI * k * (at + 0.5) / 32);
      data[(y * 32 + x) * 3] = value(horizontal, x) * value(vertical, y);
    }
  }
  return { data, shape: [32, 32, 3] };
}

describe("aliasing", () => {
  test("a wave aliases just when its frequency is above half a cycle a stride", async () => {
    for (const strides of [1, 2, 4]) {
      const model = await sampler(strides);
      for (const [u, v] of [[3, 0], [7, 7], [10, 0], [0, 17], [5, 30], [20, 20]]) {
        const { share, stride } = await measureAliasing(model, "sample", [wave(u, v)]);
        expect(stride).toBe(strides);
        const aliases = Math.max(u, v) / 64 > 0.5 / strides;
        expect(share, `${u}, ${v} at stride ${strides}`).toBeCloseTo(aliases ? 1 : 0, 6);
      }
      model.dispose();
    }
  });

  test("of two waves it is the share of the energy of the finer one", async () => {
    const model = await sampler(4);
    const [slow, fast] = [wave(4, 0), wave(12, 0)];
    const data = slow.data.map((value, i) => value + 0.5 * fast.data[i]);
    const { share } = await measureAliasing(model, "sample", [{ data, shape: slow.shape }]);
    // 0.25 / 1.25
    expect(share).toBeCloseTo(0.2, 5);
    model.dispose();
  });

  test("white noise has 1 − 1/stride², up to the lines at half a cycle a stride, and blurring lowers it", async () => {
    const random = uniforms(7);
    const noise = () => ({
      data: Float32Array.from({ length: 32 * 32 * 3 }, () => random() - 0.5),
      shape: [32, 32, 3],
    });
    const images = Array.from({ length: 12 }, noise);
    for (const strides of [2, 4]) {
      const [sharp, blurred] = [await sampler(strides), await sampler(strides, 5)];
      const { share } = await measureAliasing(sharp, "sample", images);
      expect(Math.abs(share - (1 - ((64 / strides + 1) / 64) ** 2))).toBeLessThan(0.02);
      // The response of a box of five cells falls off as sinc², so most noise that aliases is gone.
      expect((await measureAliasing(blurred, "sample", images)).share).toBeLessThan(0.7 * share);
      sharp.dispose();
      blurred.dispose();
    }
  });

  test("refuses what has no grid, and leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const model = await loadModel(
      tf.sequential({
        layers: [
          tf.layers.conv2d({ name: "thirds", inputShape: [32, 32, 3], filters: 2, kernelSize: 3, strides: 3 }),
          tf.layers.flatten({ name: "flat" }),
        ],
      }),
    );
    await expect(measureAliasing(model, "flat", [wave(1, 1)])).rejects.toThrow(
      'The cells of layer "flat" form no grid',
    );
    await expect(measureAliasing(model, "thirds", [wave(1, 1)])).rejects.toThrow("has a stride of 3 pixels");
    await expect(measureAliasing(model, "thirds", [])).rejects.toThrow("There is no image");
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
