/** Images warped and changed, against SciPy and scikit-image, and by what must be so. */

import { describe, expect, test } from "vitest";
import { ndarray, type NdArrayLike } from "../../lib/array.ts";
import { blurred, brightened, contrasted, noisy } from "../../lib/data/corrupt.ts";
import {
  type Affine,
  composed,
  type Fill,
  inverse,
  mirrored,
  moved,
  rotation,
  scaling,
  translation,
  warp,
} from "../../lib/data/warp.ts";
import fixture from "../oracles/fixtures/warps.json" with { type: "json" };

const image = ndarray(fixture.image, fixture.shape);

function expectNear(found: NdArrayLike, wanted: readonly number[]): void {
  expect(found.data.length).toBe(wanted.length);
  const worst = Math.max(...wanted.map((value, i) => Math.abs(value - found.data[i])));
  expect(worst).toBeLessThan(1e-4);
}

describe("against SciPy and scikit-image", () => {
  test.each(fixture.warps)("$name, filled by $fill", ({ matrix, shift, fill, values }) => {
    const map = { matrix, shift } as unknown as Affine;
    expectNear(warp(image, map, fill === "number" ? 40 : fill as Fill), values);
  });

  test.each(fixture.rotations)("turned by $degrees degrees", ({ degrees, values }) => {
    expectNear(warp(image, rotation(degrees), 0.25 * 255), values);
  });

  test("blurred, brighter, paler", () => {
    for (const { sigma, values } of fixture.blurs) expectNear(blurred(image, sigma), values);
    for (const { by, values } of fixture.brightness) expectNear(brightened(image, by), values);
    for (const { factor, values } of fixture.contrast) expectNear(contrasted(image, factor), values);
  });
});

describe("what must be so", () => {
  const square = ndarray(Float32Array.from({ length: 6 * 6 * 3 }, (_, i) => 255 * Math.abs(Math.sin(i * i))), [
    6,
    6,
    3,
  ]);

  test("no change leaves every number as it is", () => {
    const same = [
      warp(square, translation(0, 0)),
      warp(square, rotation(360)),
      warp(square, rotation(-720)),
      warp(square, scaling(1)),
      warp(square, composed(...Array(4).fill(rotation(90)))),
      blurred(square, 0),
      brightened(square, 0),
      contrasted(square, 1),
      noisy(square, 0, 1),
    ];
    for (const { data } of same) expect(data).toEqual(square.data);
    for (const made of same) expect(made.data).not.toBe(square.data);
  });

  test("a whole number of pixels moves them, the rest is the fill", () => {
    const { data } = warp(square, translation(2, -1), [1, 2, 3]);
    for (let y = 0; y < 6; y++) {
      for (let x = 0; x < 6; x++) {
        for (let c = 0; c < 3; c++) {
          const inside = y >= 2 && x < 5;
          expect(data[(y * 6 + x) * 3 + c]).toBe(inside ? square.data[((y - 2) * 6 + x + 1) * 3 + c] : c + 1);
        }
      }
    }
  });

  test("four quarter turns and a half turn are exact, anticlockwise", () => {
    const turned = warp(square, rotation(90));
    // What was on the right is on top.
    for (let i = 0; i < 6; i++) expect(turned.data[i * 3]).toBe(square.data[(i * 6 + 5) * 3]);
    expect(moved(rotation(90), [6, 6], [0, 5])).toEqual([0, 0]);
    expect(warp(warp(turned, rotation(90)), rotation(180)).data).toEqual(square.data);
  });

  test("a bright dot lands where its point goes", () => {
    const map = composed(rotation(30), scaling(1.5), translation(3, -2));
    const dot = ndarray(new Float32Array(41 * 41), [41, 41, 1]);
    dot.data[14 * 41 + 25] = 255;
    const { data } = warp(dot, map, 0);
    let [sum, y, x] = [0, 0, 0];
    data.forEach((value, i) => {
      sum += value;
      y += value * Math.floor(i / 41);
      x += value * (i % 41);
    });
    const [wantedY, wantedX] = moved(map, dot.shape, [14, 25]);
    expect(Math.hypot(y / sum - wantedY, x / sum - wantedX)).toBeLessThan(0.3);
    const back = moved(inverse(map), dot.shape, [wantedY, wantedX]);
    expect(back[0]).toBeCloseTo(14, 9);
    expect(back[1]).toBeCloseTo(25, 9);
  });

  test("maps one after the other are one map", () => {
    const maps = [rotation(20), translation(1, 2), scaling(0.7), { matrix: [1, 0.2, 0, 1], shift: [0, 3] } as Affine];
    const one = moved(composed(...maps), [10, 20], [3, 4]);
    const each = maps.reduce((point, map) => moved(map, [10, 20], point), [3, 4] as [number, number]);
    expect(one[0]).toBeCloseTo(each[0], 9);
    expect(one[1]).toBeCloseTo(each[1], 9);
  });

  test("places mirror at the border, however far out", () => {
    expect([-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map((place) => mirrored(place, 3)))
      .toEqual([1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1]);
    expect(mirrored(-7, 1)).toBe(0);
  });

  test("noise repeats with its seed, has its deviation, and is clipped to pixels", () => {
    const grey = ndarray(new Float32Array(5000).fill(127.5), [50, 100, 1]);
    const { data } = noisy(grey, 20, 3);
    expect(noisy(grey, 20, 3).data).toEqual(data);
    expect(noisy(grey, 20, 4).data).not.toEqual(data);
    const mean = data.reduce((a, b) => a + b) / 5000;
    const deviation = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / 5000);
    // Three standard errors.
    expect(Math.abs(mean - 127.5)).toBeLessThan(3 * 20 / Math.sqrt(5000));
    expect(Math.abs(deviation - 20)).toBeLessThan(3 * 20 / Math.sqrt(10_000));
    const wild = noisy(grey, 500, 1).data;
    expect([Math.min(...wild), Math.max(...wild)]).toEqual([0, 255]);
    expect(Math.min(...noisy(grey, 500, 1, null).data)).toBeLessThan(-500);
  });

  test("a flat map and a colour of too few channels are refused", () => {
    expect(() => warp(square, { matrix: [1, 1, 1, 1], shift: [0, 0] })).toThrow(/takes the image to a line or a point/);
    expect(() => warp(square, rotation(3), [1, 2])).toThrow(
      "A warp fills 3 channels with one number or 3: received 2.",
    );
  });
});
