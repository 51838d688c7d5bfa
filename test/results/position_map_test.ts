import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import {
  classColors,
  classLegend,
  filledCoarsely,
  MOST_COLORS,
  photoFactor,
  photoWithSquare,
  positionColors,
  positionPicture,
} from "../../lib/results/position_map.ts";

const flat = (height: number, width: number, value: number) =>
  ndarray(new Float32Array(height * width * 3).fill(value), [height, width, 3]);

describe("a photo with a square", () => {
  test("shows the filling within a frame, cut off at the edges", () => {
    const { data, width, height } = photoWithSquare(flat(26, 26, 10), flat(26, 26, 200), [20, 18, 30, 28]);
    expect([width, height, photoFactor([26, 26])]).toEqual([208, 208, 8]);
    const at = (y: number, x: number) => [...data.slice((y * width + x) * 3, (y * width + x) * 3 + 3)];
    expect(at(159, 200)).toEqual([10, 10, 10]);
    expect(at(160, 200)).toEqual([255, 138, 0]);
    expect(at(180, 180)).toEqual([200, 200, 200]);
    expect(at(207, 207)).toEqual([255, 138, 0]);
    expect(at(180, 143)).toEqual([10, 10, 10]);
  });
});

describe("a map of places", () => {
  test("has one cell a place, and a colour bar that is no cell", () => {
    const colors = Uint8Array.from({ length: 18 }, (_, i) => 10 * i);
    const { pixels, grid } = positionPicture({
      heading: "map",
      alt: "a map",
      rows: 2,
      columns: 3,
      shown: 31,
      colors,
      labels: ["a", "b", "c", "d", "e", "f"],
      bar: "grey",
    });
    expect([pixels.width, pixels.height]).toEqual([30, 35]);
    expect(grid).toEqual({ columns: 3, tile: [10, 10], gutter: 0, labels: ["a", "b", "c", "d", "e", "f"] });
    const at = (y: number, x: number) => [...pixels.data.slice((y * 30 + x) * 4, (y * 30 + x) * 4 + 4)];
    expect(at(0, 0)).toEqual([0, 10, 20, 255]);
    expect(at(19, 29)).toEqual([150, 160, 170, 255]);
    expect(at(22, 5)[3]).toBe(0);
    expect([at(30, 0), at(30, 29)]).toEqual([[0, 0, 0, 255], [255, 255, 255, 255]]);
  });

  test("is grey where nothing is known, and filled from coarser places", () => {
    expect([...positionColors(Float32Array.of(0, NaN, 1), 0, 1, "grey")]).toEqual([
      0,
      0,
      0,
      128,
      128,
      128,
      255,
      255,
      255,
    ]);
    const known = Float32Array.from({ length: 25 }, (_, i) => i % 5 % 4 === 0 && Math.floor(i / 5) % 4 === 0 ? i : NaN);
    known[12] = 7;
    const filled = filledCoarsely(ndarray(known, [5, 5]));
    expect([...filled]).toEqual([
      ...[0, 0, 0, 0, 4],
      ...[0, 0, 0, 0, 4],
      ...[0, 0, 7, 7, 4],
      ...[0, 0, 7, 7, 4],
      ...[20, 20, 20, 20, 24],
    ]);
  });

  test("gives classes beyond those with a colour of their own one grey", () => {
    const order = [3, 5];
    const colors = classColors(Float32Array.of(5, 3, 9, 8), order);
    const color = (i: number) => String(colors.slice(i * 3, i * 3 + 3));
    expect(new Set([color(0), color(1), color(2)]).size).toBe(3);
    expect(color(2)).toBe(color(3));
    expect(classLegend(["a", "b"], "2 other classes").blocks.map(({ note }) => note)).toEqual([
      "a",
      "b",
      "2 other classes",
    ]);
    expect(MOST_COLORS).toBe(6);
  });
});
