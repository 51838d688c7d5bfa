import { expect, test } from "vitest";
import { augmentation, batchOf } from "../../../lib/probe/training/augment.ts";
import type { Samples } from "../../../lib/probe/training/samples.ts";

/** Images of 3×4 whose red tells the column and whose green tells the row, both from 1. */
const samples: Samples = {
  count: 1000,
  shape: [3, 4, 3],
  classes: new Int32Array(1000),
  skipped: [],
  data: { images: 1000, ids: "", labels: "", pixels: "" },
  read(_, into) {
    for (let i = 0; i < 12; i++) into.set([1 + i % 4, 1 + Math.floor(i / 4), 7], i * 3);
  },
  close: () => {},
};
const all = Array.from({ length: 1000 }, (_, i) => i);
const plain = Array.from({ length: 12 }, (_, i) => [1 + i % 4, 1 + Math.floor(i / 4), 7]).flat();

/** One colour of one image, row by row. */
function plane(data: Float32Array, image: number, color: number): number[][] {
  return Array.from(
    { length: 3 },
    (_, y) => Array.from({ length: 4 }, (_, x) => data[((image * 3 + y) * 4 + x) * 3 + color]),
  );
}

test("with nothing asked for, images are as they are", () => {
  const none = augmentation({}, samples);
  expect([...batchOf(samples, [4], none, [1, 2]).data]).toEqual(plain);
  expect(batchOf(samples, [4, 5], none, [1, 2]).shape).toEqual([2, 3, 4, 3]);
});

test("half of the images are mirrored, whole", () => {
  const { data } = batchOf(samples, all, augmentation({ flip: true }, samples), [1, 0]);
  let mirrored = 0;
  for (const i of all) {
    const red = plane(data, i, 0);
    const wanted = red[0][0] === 1 ? [1, 2, 3, 4] : [4, 3, 2, 1];
    expect(red).toEqual([wanted, wanted, wanted]);
    mirrored += Number(red[0][0] === 4);
  }
  expect(Math.abs(mirrored - 500)).toBeLessThan(60);
});

test("a crop shifts by every offset about as often, and is black where nothing was", () => {
  const { data } = batchOf(samples, all, augmentation({ crop: 1 }, samples), [1, 0]);
  const counts = new Map<string, number>();
  for (const i of all) {
    const red = plane(data, i, 0);
    const green = plane(data, i, 1);
    // The middle cell [1][1] is never padding.
    const [right, down] = [red[1][1] - 2, green[1][1] - 2];
    for (let y = 0; y < 3; y++) {
      for (let x = 0; x < 4; x++) {
        const inside = x + right >= 0 && x + right < 4 && y + down >= 0 && y + down < 3;
        expect([red[y][x], green[y][x]]).toEqual(inside ? [1 + x + right, 1 + y + down] : [0, 0]);
      }
    }
    counts.set(`${right},${down}`, (counts.get(`${right},${down}`) ?? 0) + 1);
  }
  expect(counts.size).toBe(9);
  for (const count of counts.values()) expect(Math.abs(count - 1000 / 9)).toBeLessThan(40);
});

test("a crop may mirror at the border instead", () => {
  const { data } = batchOf(samples, all, augmentation({ crop: 2, pad: "reflect" }, samples), [1, 0]);
  const rows = new Set(all.map((i) => plane(data, i, 0)[0].join(" ")));
  expect([...rows].sort()).toEqual(["1 2 3 4", "2 1 2 3", "2 3 4 3", "3 2 1 2", "3 4 3 2"]);
});

test("what happens to an image depends on the key and the image, not on its place in the batch", () => {
  const how = augmentation({ flip: true, crop: 2 }, samples);
  const [a, b] = [batchOf(samples, [3, 8, 5], how, [1, 4]), batchOf(samples, [5, 3], how, [1, 4])];
  expect([...a.data.slice(72, 108)]).toEqual([...b.data.slice(0, 36)]);
  expect([...a.data.slice(0, 36)]).toEqual([...b.data.slice(36)]);
  const other = batchOf(samples, all, how, [1, 5]).data;
  expect(batchOf(samples, all, how, [1, 4]).data.some((value, i) => value !== other[i])).toBe(true);
});

test("what does not fit is told", () => {
  expect(() => augmentation({ crop: 3 }, samples)).toThrow(/from 0 to 2: received 3/);
  expect(() => augmentation({ pad: "wrap" as never }, samples)).toThrow(
    /must be "black" or "reflect": received "wrap"/,
  );
});
