import { describe, expect, test } from "vitest";
import { robustAffine, thinPlate } from "../../../lib/embed/point_maps.ts";
import {
  describe as describePoints,
  gradientDescriptors,
  orientedGradients,
  pixelDescriptors,
  type Point,
} from "../../../lib/probe/matching/descriptors.ts";
import { findPoints } from "../../../lib/probe/matching/match.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { expectClose } from "../../close.ts";
import { uniforms } from "../../nets.ts";
import { unpack } from "../../packed.ts";

const tf = await ensureBackend();
const oracle = JSON.parse(
  await Deno.readTextFile(new URL("../../oracles/fixtures/matching.json", import.meta.url)),
);

/** A map of random vectors of length 1, their places so far apart. */
function randomMap(rows: number, columns: number, length: number, seed: number, stride = 4) {
  const random = uniforms(seed);
  const data = new Float32Array(rows * columns * length).map(() => random() - 0.3);
  for (let at = 0; at < data.length; at += length) {
    const norm = Math.hypot(...data.subarray(at, at + length));
    for (let i = at; i < at + length; i++) data[i] /= norm;
  }
  const places = (count: number) => Float64Array.from({ length: count }, (_, i) => 1.5 + stride * i);
  return { data, length, ys: places(rows), xs: places(columns) };
}

describe("finding points", () => {
  test("without refinement equals a naive loop over all cells", async () => {
    const [from, to] = [randomMap(5, 6, 7, 1), randomMap(4, 7, 7, 2)];
    const points: Point[] = [];
    for (const y of from.ys) for (const x of from.xs) points.push([y, x]);
    const found = await findPoints(tf, from, to, points, { refine: "none" });
    points.forEach((_, p) => {
      let best = -1;
      let most = -Infinity;
      for (let cell = 0; cell < 28; cell++) {
        let dot = 0;
        for (let i = 0; i < 7; i++) dot += from.data[p * 7 + i] * to.data[cell * 7 + i];
        if (dot > most) [most, best] = [dot, cell];
      }
      expect(found[p].match).toEqual([to.ys[Math.floor(best / 7)], to.xs[best % 7]]);
      expect(found[p].similarity).toBeCloseTo(most, 5);
    });
  });

  test("between cells: a point of a map is found in the same map where it is", async () => {
    const map = randomMap(6, 6, 9, 3);
    const points: Point[] = [[1.5, 1.5], [5.5, 9.5], [6.5, 9.5], [7.1, 12.3], [21.5, 21.5], [3, 20]];
    const found = await findPoints(tf, map, map, points, { refine: "interpolate" });
    found.forEach(({ match }, i) => {
      expect(match[0], `point ${i}`).toBeCloseTo(points[i][0], 1);
      expect(match[1], `point ${i}`).toBeCloseTo(points[i][1], 1);
    });
    // On a cell it is exact.
    expect(found[1].match).toEqual([5.5, 9.5]);
  });

  test("a parabola through the neighbours' cosines, on paper", async () => {
    // In the plane: the query is [1, 0]; the cosines along a row are 0.6, 1 and 0.8.
    const to = {
      data: Float32Array.from([0.6, 0.8, 1, 0, 0.8, 0.6]),
      length: 2,
      ys: Float64Array.of(0),
      xs: Float64Array.of(0, 10, 20),
    };
    const from = { data: Float32Array.of(1, 0), length: 2, ys: Float64Array.of(0), xs: Float64Array.of(0) };
    const [{ match }] = await findPoints(tf, from, to, [[0, 0]], { refine: "parabola" });
    // (0.6 − 0.8) / (2 (0.6 − 2 + 0.8)) = 1/6 of a cell to the right.
    expect(match[1]).toBeCloseTo(10 + 10 / 6, 4);
    expect(match[0]).toBe(0);
  });

  test("what is between cells is the bilinear mean of the four, of length 1", () => {
    const map = {
      data: Float32Array.from([1, 0, 0, 1, 1, 0, 1, 0]),
      length: 2,
      ys: Float64Array.of(0, 4),
      xs: Float64Array.of(0, 4),
    };
    const [a, b] = describePoints(map, [[1, 2]]);
    // Upper row 3/4, of which the right half is [0, 1]: [5/8, 3/8].
    expect(a / b).toBeCloseTo(5 / 3, 5);
    expect(Math.hypot(a, b)).toBeCloseTo(1, 6);
    expect([...describePoints(map, [[-9, -9]])]).toEqual([1, 0]);
  });
});

describe("patches", () => {
  test.each([0, 1, 2])(
    "histograms of gradients equal scikit-image's (%i)",
    (i) => {
      const { shape, cell, image, blocks, values } = oracle.gradients[i];
      const made = orientedGradients({ data: Float32Array.from(image), shape }, cell);
      expect(made.shape).toEqual([...blocks, 144]);
      expectClose(made.data, unpack(values), "histograms");
    },
  );

  test("lie around their places, and tell a moved image's places apart", async () => {
    const random = uniforms(5);
    const big = Float32Array.from({ length: 60 * 60 }, () => 255 * random());
    const cut = (top: number, left: number) => ({
      data: Float32Array.from({ length: 40 * 40 }, (_, i) => big[(Math.floor(i / 40) + top) * 60 + i % 40 + left]),
      shape: [40, 40, 1],
    });
    for (const describe of [pixelDescriptors, gradientDescriptors]) {
      const [a, b] = [cut(0, 0), cut(4, 2)].map((image) => describe(image, { patch: 8 }));
      expect([a.ys[0], a.ys[1]]).toEqual([0.5, 2.5]);
      const points: Point[] = [[16.5, 14.5], [20.5, 24.5]];
      const found = await findPoints(tf, a, b, points, { refine: "interpolate" });
      found.forEach(({ match, similarity }, i) => {
        expect(match).toEqual([points[i][0] - 4, points[i][1] - 2]);
        expect(similarity).toBeCloseTo(1, 5);
      });
    }
  });
});

describe("maps of points", () => {
  test.each([0, 1])(
    "a thin-plate spline equals SciPy's (%i)",
    (i) => {
      const { smoothing, values } = oracle.splines[i];
      const map = thinPlate(oracle.points, oracle.goals, smoothing)!;
      expectClose(oracle.others.flatMap((point: [number, number]) => map(point)), values.flat(), "spline");
    },
  );

  test("an affine map is found among as many wrong pairs, the same with each seed", () => {
    const random = uniforms(8);
    const from = Array.from({ length: 40 }, (): Point => [100 * random(), 100 * random()]);
    const to = from.map(([y, x], i): Point =>
      i % 2 ? [100 * random(), 100 * random()] : [1.1 * y - 0.2 * x + 3, 0.15 * y + 0.9 * x - 2]
    );
    const { map, inliers } = robustAffine(from, to, { tolerance: 1, seed: 3 })!;
    expect(inliers.filter((i) => i % 2 === 0)).toHaveLength(20);
    expectClose(map([10, 20]), [1.1 * 10 - 0.2 * 20 + 3, 0.15 * 10 + 0.9 * 20 - 2], "affine");
    expect(robustAffine(from, to, { tolerance: 1, seed: 3 })!.inliers).toEqual(inliers);
    expect(robustAffine(from.slice(0, 3), to.slice(0, 3), { tolerance: 1, seed: 3 })).toBeNull();
    // A mirror, and a line, are no maps to warp by.
    expect(robustAffine(from, from.map(([y, x]): Point => [y, -x]), { tolerance: 1, seed: 3 })).toBeNull();
  });
});
