import { describe, expect, test } from "vitest";
import { drawSilhouette } from "../../lib/figure/silhouette.ts";

const layers = [
  { kind: "InputLayer", outputShape: [64, 64, 3] },
  { kind: "Conv2D", outputShape: [64, 64, 15] },
  { kind: "MaxPooling2D", outputShape: [16, 16, 15] },
  { kind: "Conv2D", outputShape: [16, 16, 255] },
  { kind: "ReLU", outputShape: [16, 16, 255] },
  { kind: "Dense", outputShape: [10] },
];

/** The bars from left to right: columns, rows and colour of each. */
function barsOf({ data, width, height }: ReturnType<typeof drawSilhouette>) {
  const bars: { width: number; height: number; color: string; middle: number }[] = [];
  let open = false;
  for (let x = 0; x < width; x++) {
    const rows = Array.from({ length: height }, (_, y) => y).filter((y) => data[(y * width + x) * 4 + 3] === 255);
    if (rows.length && open) bars.at(-1)!.width++;
    else if (rows.length) {
      const at = (rows[0] * width + x) * 4;
      const middle = (rows[0] + rows.at(-1)!) / 2;
      bars.push({ width: 1, height: rows.length, color: String(data.subarray(at, at + 3)), middle });
    }
    open = rows.length > 0;
  }
  return bars;
}

describe("a network's silhouette", () => {
  const drawn = drawSilhouette(layers);
  const bars = barsOf(drawn);

  test("has one bar a convolution, pooling or dense layer", () => {
    expect(bars).toHaveLength(4);
    const [conv, pool, deep, dense] = bars.map(({ color }) => color);
    expect(new Set([conv, deep, dense]).size).toBe(1);
    expect(pool).not.toBe(conv);
  });

  test("is as high as the square root of the resolution, in the middle, and wider with more channels", () => {
    expect(bars[0].height).toBe(drawn.height);
    expect(bars[1].height).toBe(drawn.height / 2);
    expect(bars[3].height).toBe(Math.round(drawn.height / 8));
    for (const { middle } of bars) expect(Math.abs(middle - (drawn.height - 1) / 2)).toBeLessThanOrEqual(0.5);
    // log2(16) is half of log2(256).
    expect(bars[2].width).toBe(2 * bars[0].width);
  });

  test("stays within a cell's width for deep networks, and is a picture even without a layer", () => {
    const deep = drawSilhouette(Array.from({ length: 150 }, () => layers[3]));
    expect(barsOf(deep)).toHaveLength(150);
    expect(deep.width).toBeLessThanOrEqual(930);
    expect(drawSilhouette([]).width).toBeGreaterThan(0);
  });
});
