import { describe, expect, test } from "vitest";
import type { ChartHover, HoverSeries } from "../../lib/page/data.ts";
import { cellAt, Zoom } from "../../lib/page/grid.ts";
import { nearestIn, placeWords, seriesWords, shareOf, spotOf } from "../../lib/page/hover.ts";
import { frameTime } from "../../lib/page/controls.ts";
import { ndarray } from "../../lib/array.ts";
import { packValues } from "../../lib/figure/values.ts";

describe("spotOf", () => {
  const tiles = { columns: 3, tile: [10, 20] as const, labels: ["a", "b", "c", "d"] };

  test("finds the tile, the gutter to its left and above it counted in", () => {
    expect(spotOf(tiles, [0, 0], [34, 43])).toEqual({ index: 0, box: [1, 1, 10, 20], words: "a" });
    expect(spotOf(tiles, [11, 5], [34, 43])!.words).toBe("b");
    expect(spotOf(tiles, [5, 21], [34, 43])).toEqual({ index: 3, box: [1, 22, 10, 20], words: "d" });
  });

  test("finds nothing beside the tiles and where there is none", () => {
    for (const place of [[-1, 0], [34, 0], [0, -1], [15, 25]] as const) {
      expect(spotOf(tiles, place, [34, 43])).toBeUndefined();
    }
  });

  test("reads the numbers of a cell, and joins them to a tile's label", () => {
    const values = packValues(ndarray(Float32Array.of(1, -2, 0.25, NaN), [2, 2]));
    expect(spotOf({ values }, [15, 5], [20, 20])).toEqual({
      index: 1,
      box: [10, 0, 10, 10],
      words: "−2.00   (row 0, column 1)",
    });
    // At the lower right edge of the picture still the last cell.
    expect(spotOf({ values }, [20, 20], [20, 20])!.words).toBe("none   (row 1, column 1)");
    const both = spotOf({ values, columns: 1, tile: [20, 20], gutter: 0, labels: ["all"] }, [1, 15], [20, 20])!;
    expect(both).toEqual({ index: 0, box: [0, 0, 20, 20], words: "all\n0.250   (row 1, column 0)" });
  });
});

describe("nearestIn", () => {
  const series = (more: Partial<HoverSeries>): HoverSeries => ({
    label: "s",
    color: "#000",
    as: "line",
    x: [0, 5, 10],
    y: [0, null, 1],
    ...more,
  });
  const chart = (more: Partial<ChartHover>): ChartHover => ({
    size: [120, 120],
    plot: [10, 10, 100, 100],
    x: { title: "epoch", domain: [0, 10], log: false },
    y: { title: "loss", domain: [0, 1], log: false },
    series: [series({})],
    ...more,
  });

  test("meets lines at the nearest place that has a number", () => {
    expect(nearestIn(chart({}), [50, 50])).toMatchObject({ value: 0, index: 0, at: [10, 110], alone: false });
    expect(nearestIn(chart({}), [70, 50])).toMatchObject({ value: 10, index: 2, at: [110, 10] });
  });

  test("meets single points, and only from near", () => {
    const points = chart({ series: [series({ as: "points" })] });
    expect(nearestIn(points, [100, 20])).toMatchObject({ index: 2, alone: true });
    expect(nearestIn(points, [60, 60])).toBeUndefined();
  });

  test("meets nothing outside of the plot, nor points outside of it", () => {
    expect(nearestIn(chart({}), [130, 50])).toBeUndefined();
    expect(nearestIn(chart({}), [50, 1])).toBeUndefined();
    const cut = chart({ x: { title: "epoch", domain: [0, 4], log: false } });
    expect(nearestIn(cut, [105, 50])).toMatchObject({ index: 0 });
  });

  test("places numbers on log axes too", () => {
    expect(shareOf({ title: "", domain: [1, 100], log: true }, 10)).toBeCloseTo(0.5);
    expect(shareOf({ title: "", domain: [-1, 1], log: false }, 0)).toBe(0.5);
  });

  test("says which place and which numbers", () => {
    expect(placeWords({ title: "epoch", domain: [0, 1], log: false }, 3)).toBe("epoch 3");
    expect(placeWords({ title: "", domain: [0, 1], log: false }, 0.5)).toBe("0.5000");
    expect(placeWords({ title: "layer", domain: [0, 1], log: false, names: ["conv1"] }, 0)).toBe("conv1");
    expect(seriesWords(series({}), 1)).toBe("s: none");
    expect(seriesWords(series({ low: [0.5, 0, 0], high: [1, 0, 0] }), 0)).toBe("s: 0  (0.5000 to 1.000)");
  });
});

describe("the zoom of a grid", () => {
  const limits = { width: 200, height: 100, most: 8 };

  test("keeps the place under the pointer where it is", () => {
    const zoom = new Zoom();
    zoom.by(2, [50, 50], limits);
    expect([zoom.scale, zoom.left, zoom.top]).toEqual([2, -50, -50]);
    expect(cellAt({ rows: 10, columns: 20 }, zoom, [50, 50], [200, 100])).toBe(5 * 20 + 5);
  });

  test("neither shows what is beside the picture, nor grows beyond the limit", () => {
    const zoom = new Zoom();
    zoom.by(100, [0, 0], limits);
    expect(zoom.scale).toBe(8);
    zoom.move(50, -10_000, 200, 100);
    expect([zoom.left, zoom.top]).toEqual([0, -700]);
    zoom.by(0.001, [100, 100], limits);
    expect([zoom.scale, zoom.left + 0, zoom.top + 0]).toEqual([1, 0, 0]);
  });

  test("finds no cell outside", () => {
    const at = (x: number, y: number) => cellAt({ rows: 2, columns: 2 }, new Zoom(), [x, y], [100, 100]);
    expect([at(-1, 0), at(0, -1), at(100, 0), at(0, 100), at(99, 99)]).toEqual([-1, -1, -1, -1, 3]);
  });
});

test("frames play for six seconds, and none is a flicker", () => {
  expect([2, 20, 1000].map(frameTime)).toEqual([500, 300, 80]);
});
