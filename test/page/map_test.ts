import { describe, expect, test } from "vitest";
import { bestView, project, type SpacePoints } from "../../lib/page/view.ts";
import { countsOf, find, idOf, linesOf, spriteOf, unpackMap, valueOf } from "../../lib/page/map.ts";
import { disc, rgbOf } from "../../lib/page/disc.ts";
import { Scene } from "../../lib/page/scene.ts";
import { uniforms } from "../nets.ts";

const base64 = (values: Float32Array) => new Uint8Array(values.buffer).toBase64();

const points = unpackMap({
  x: base64(Float32Array.of(0, 1, 2, 3)),
  y: base64(Float32Array.of(0, 0, 1, 1)),
  box: { x: 1.5, y: 0.5, side: 3 },
  dot: 9,
  background: 0,
  ids: ["a.png", "b.png", "cat", "d.png"],
  columns: [
    {
      kind: "classes",
      name: "label",
      palette: ["#000000", "#ffffff"],
      names: ["cat", "2 others"],
      counts: [2, 2],
      shapes: ["circle", "circle"],
      color: Uint8Array.of(0, 0, 1, 1).toBase64(),
      values: ["cat", "cat", "wild cat", "dog"],
    },
    {
      kind: "numbers",
      name: "score",
      palette: ["#000000"],
      low: 0,
      high: 1,
      color: new Uint8Array(4).toBase64(),
      values: base64(Float32Array.of(0.123456, -1, NaN, 0)),
    },
  ],
});

describe("a map's data in the page", () => {
  test("are unpacked, and read in words", () => {
    expect([points.count, ...points.y]).toEqual([4, 0, 0, 1, 1]);
    expect(linesOf(points, 0)).toEqual(["a.png", "label: cat", "score: 0.1235"]);
    expect([1, 2].map((i) => valueOf(points.columns[1], i))).toEqual(["−1", "none"]);
    expect(valueOf({ ...points.columns[0], values: undefined } as never, 3)).toBe("2 others");
    expect(idOf({ ...points, ids: undefined }, 3)).toBe("3");
  });

  test("are counted by class, the largest first", () => {
    expect(countsOf(points, [2, 0, 1])).toBe(": cat 2, wild cat 1");
    expect(countsOf({ ...points, columns: [points.columns[1]] }, [0])).toBe("");
  });

  test("are found: a class in full before a name in full before what holds the letters", () => {
    expect(find(points, " CAT ")).toEqual([0, 1]);
    expect(find(points, "b.png")).toEqual([1]);
    expect(find(points, "ca")).toEqual([0, 1, 2]);
    expect(find(points, "zebra")).toEqual([]);
  });

  test("have thumbnails in sheets, of every second point", () => {
    const place = (i: number) => spriteOf({ columns: 2, step: 2 }, i, 11);
    expect(place(1)).toBeUndefined();
    expect(place(6)).toEqual({ sheet: 0, x: 1, y: 1, across: 2, down: 2 });
    // Six tiles, four of them in the first sheet.
    expect(place(10)).toEqual({ sheet: 1, x: 1, y: 0, across: 2, down: 1 });
  });
});

describe("disc", () => {
  test.each([3, 4] as const)("paints an area of π r² with a soft edge, %i bytes a pixel", (depth) => {
    for (const [x, y, radius] of [[10, 10, 5], [9.3, 11.8, 4.2], [10.5, 10.5, 1.7]]) {
      const bytes = new Float32Array(20 * 20 * depth);
      disc({ bytes: bytes as never, width: 20, height: 20, depth }, x, y, radius, [1, 0, 0], 1);
      const area = bytes.reduce((sum, value) => sum + value, 0);
      expect(area / (Math.PI * radius ** 2)).toBeCloseTo(1, 1);
      if (depth === 4) expect(bytes.filter((_, i) => i % 4 === 3).every((value) => value === 0)).toBe(true);
    }
  });

  test("is cut at the edge of the canvas", () => {
    const bytes = new Uint8Array(4 * 4 * 3);
    disc({ bytes, width: 4, height: 4, depth: 3 }, 0, 0, 2, [255, 255, 255], 1);
    expect(bytes[0]).toBe(255);
    expect(bytes.subarray((3 * 4 + 3) * 3)).toEqual(new Uint8Array(3));
  });

  test("mixes by opacity, and paints squares of about the same area", () => {
    const bytes = new Uint8Array(20 * 20 * 3);
    disc({ bytes, width: 20, height: 20, depth: 3 }, 10, 10, 6, [200, 100, 0], 0.5, true);
    expect([...bytes.subarray((10 * 20 + 10) * 3, (10 * 20 + 10) * 3 + 3)]).toEqual([100, 50, 0]);
    expect(bytes[(5 * 20 + 5) * 3]).toBe(100);
    expect(rgbOf("#0102ff")).toEqual([1, 2, 255]);
  });
});

describe("a scene", () => {
  const random = uniforms(7);
  const count = 200;
  const axis = () => Float32Array.from({ length: count }, () => 2 * random() - 1);
  const space: SpacePoints = {
    kind: "space",
    count,
    x: axis(),
    y: axis(),
    z: axis(),
    box: { x: 0, y: 0, z: 0, side: 2, radius: Math.sqrt(3) },
  };
  const scene = new Scene(space);
  const { zoom = 1, azimuth, elevation } = bestView(space);
  scene.look({ azimuth, elevation, zoom, x: 0.1, y: 0 }, 400, 0.45);

  test("sees points where project puts them, the farthest first", () => {
    const seen = project(space, { azimuth, elevation, zoom });
    for (let i = 0; i < count; i++) {
      expect(scene.x[i]).toBeCloseTo(400 * 0.6 + 400 * 0.45 * seen.u[i], 2);
      expect(scene.y[i]).toBeCloseTo(200 - 400 * 0.45 * seen.v[i], 2);
    }
    expect([...scene.order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    for (let n = 1; n < count; n++) {
      expect(scene.depth[scene.order[n]]).toBeGreaterThan(scene.depth[scene.order[n - 1]] - 2 / 1024);
    }
  });

  test("meets the point under the pointer, of two the nearer one, and none that is hidden", () => {
    const all = { dot: 7, ratio: 1, shown: () => true };
    const i = scene.order[count - 1];
    expect(scene.at([scene.x[i], scene.y[i]], all)).toBe(i);
    expect(scene.at([scene.x[i], scene.y[i]], { ...all, shown: (j) => j !== i })).not.toBe(i);
    expect(scene.at([-500, -500], all)).toBe(-1);
  });

  test("finds the points within a path", () => {
    const path = [[0, 0], [240, 0], [240, 400], [0, 400]] as const;
    const left = Array.from({ length: count }, (_, i) => i).filter((i) => scene.x[i] < 240);
    expect(scene.within(path, 1, () => true)).toEqual(left);
    expect(scene.within(path, 1, () => false)).toEqual([]);
  });
});
