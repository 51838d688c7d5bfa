import { expect, test } from "vitest";
import { centred, hsic, SimilaritySums } from "../../lib/embed/cka.ts";
import { normalStream } from "../../lib/random.ts";
import fixture from "../oracles/fixtures/agreement.json" with { type: "json" };
import { wave } from "../packed.ts";

type Points = { data: ArrayLike<number>; columns: number };

/** Inner products of some rows, written out. */
function gramOf({ data, columns }: Points, start: number, end: number): Float64Array {
  const n = end - start;
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [start + Math.floor(at / n), start + at % n];
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += data[i * columns + c] * data[j * columns + c];
    return sum;
  });
}

function similarity(x: Points, y: Points, ends: readonly number[], key = 1) {
  const sums = new SimilaritySums(1, 1, ends.length - 1);
  ends.slice(1).forEach((end, i) => {
    const [a, b] = [x, y].map((points) => [centred(gramOf(points, ends[i], end), end - ends[i])]);
    sums.add(i, a, b, end - ends[i]);
  });
  const { values, low, high } = sums.finish(key);
  return { value: values[0], low: low?.[0], high: high?.[0] };
}

const evenly = (count: number, each: number) => Array.from({ length: count / each + 1 }, (_, i) => i * each);

/** The features of the oracle. */
function layers(): Record<string, Points> {
  const x = wave([24, 5], 1).map((value) => value + 3);
  const rest = wave([24, 4], 2);
  const y = Float64Array.from({ length: 24 * 6 }, (_, at) => {
    const [i, c] = [Math.floor(at / 6), at % 6];
    return c < 2 ? x[i * 5 + c] * [2, -1][c] : rest[i * 4 + c - 2];
  });
  const z = Float64Array.from(wave([24, 40], 3), (value) => value - 10);
  return { x: { data: x, columns: 5 }, y: { data: y, columns: 6 }, z: { data: z, columns: 40 } };
}

test("the unbiased CKA over minibatches, as NumPy computes it out of the papers", () => {
  const all = layers();
  for (const [name, wanted] of Object.entries(fixture.layers.cka)) {
    for (const [cut, ends] of Object.entries(fixture.layers.ends)) {
      const { value } = similarity(all[name[0]], all[name[1]], ends);
      expect(value, `${name}, ${cut}`).toBeCloseTo(wanted[cut as keyof typeof wanted], 6);
    }
  }
});

test("turned, scaled and shifted features are the same; stretched ones are not", () => {
  const normal = normalStream(3);
  const x = { data: Float64Array.from({ length: 240 * 2 }, normal), columns: 2 };
  const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
  const turned = (scale: number, shift: number, stretch = 1) => ({
    columns: 2,
    data: Float64Array.from({ length: 480 }, (_, at) => {
      const [u, v] = [x.data[at - at % 2], stretch * x.data[at - at % 2 + 1]];
      return shift + scale * (at % 2 ? s * u + c * v : c * u - s * v);
    }),
  });
  expect(similarity(x, x, [0, 240]).value).toBeCloseTo(1, 12);
  expect(similarity(x, turned(7, 0), evenly(240, 24)).value).toBeCloseTo(1, 12);
  expect(similarity(x, turned(0.1, 50), evenly(240, 24)).value).toBeCloseTo(1, 9);
  expect(similarity(x, turned(1, 0, 5), evenly(240, 24)).value).toBeLessThan(0.85);
});

test("features that have nothing in common are near 0 also where there are more of them than images", () => {
  const normal = normalStream(9);
  const wide = () => ({ data: Float64Array.from({ length: 320 * 200 }, normal), columns: 200 });
  const [x, y] = [wide(), wide()];
  const { value, low, high } = similarity(x, y, evenly(320, 32));
  expect(Math.abs(value)).toBeLessThan(0.05);
  expect(low).toBeLessThan(0);
  expect(high).toBeGreaterThan(0);
  // The biased estimator of Kornblith et al., eq. 4, is far from it.
  const [k, l] = [x, y].map((points) => gramOf(points, 0, 32));
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  expect(dot(k, l) / Math.sqrt(dot(k, k) * dot(l, l))).toBeGreaterThan(0.8);
});

test("a layer that makes the same of all images has no similarity; few minibatches have no interval", () => {
  const x = { data: wave([16, 3], 1), columns: 3 };
  const same = { data: Float64Array.from({ length: 16 * 3 }, (_, at) => 0.1 + at % 3), columns: 3 };
  expect(similarity(x, same, [0, 8, 16]).value).toBeNaN();
  expect(similarity(x, x, [0, 8, 16])).toEqual({ value: expect.closeTo(1, 12), low: undefined, high: undefined });
});

test("HSIC is free of bias: over minibatches its mean is that of many images", () => {
  const normal = normalStream(4);
  const points = (from?: Points) => ({
    columns: 3,
    data: Float64Array.from({ length: 2400 * 3 }, (_, at) => (from ? from.data[at] : 0) + normal()),
  });
  const x = points();
  const y = points(x);
  const mean = (each: number) => {
    const ends = evenly(2400, each);
    const found = ends.slice(1).map((end, i) => {
      const [a, b] = [x, y].map((one) => centred(gramOf(one, ends[i], end), each));
      return hsic(a, b, each);
    });
    return found.reduce((sum, value) => sum + value, 0) / found.length;
  };
  // Of three coordinates of variance 1, each shared: 3.
  expect(mean(4)).toBeGreaterThan(2.6);
  expect(mean(4)).toBeLessThan(3.4);
  expect(Math.abs(mean(4) - mean(40))).toBeLessThan(0.3);
});
