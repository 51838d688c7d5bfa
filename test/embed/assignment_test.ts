import { describe, expect, test } from "vitest";
import { assign, assignToGrid, nearestOnGrid } from "../../lib/embed/assignment.ts";
import { randomStream } from "../../lib/random.ts";
import { longTest } from "../long.ts";

const random = randomStream(7);
const matrix = (rows: number, columns: number, value = random) => ({
  data: Float32Array.from({ length: rows * columns }, value),
  shape: [rows, columns],
});
const costOf = ({ data, shape: [, columns] }: ReturnType<typeof matrix>, places: ArrayLike<number>) =>
  Array.from(places).reduce((sum, c, r) => sum + data[r * columns + c], 0);

/** The least cost over all ways to give each row a column of its own. */
function leastOf({ data, shape: [rows, columns] }: ReturnType<typeof matrix>): number {
  const go = (row: number, taken: number): number => {
    if (row === rows) return 0;
    let least = Infinity;
    for (let c = 0; c < columns; c++) {
      if (!(taken >> c & 1)) least = Math.min(least, data[row * columns + c] + go(row + 1, taken | 1 << c));
    }
    return least;
  };
  return go(0, 0);
}

describe("assign", () => {
  test("finds the least of all costs, also with ties, negative costs and spare columns", () => {
    for (let round = 0; round < 200; round++) {
      const rows = 1 + Math.floor(6 * random());
      const columns = rows + Math.floor(3 * random());
      const kinds = [random, () => Math.floor(3 * random()), () => 10 * random() - 5];
      const cost = matrix(rows, columns, kinds[round % 3]);
      const places = assign(cost);
      expect(new Set(places).size).toBe(rows);
      expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
      expect(Math.abs(costOf(cost, places) - leastOf(cost))).toBeLessThan(1e-5);
    }
  });

  test("cannot be bettered by exchanging two or three, and finds a hidden permutation", () => {
    const n = 300;
    const cost = matrix(n, n);
    const hidden = Array.from({ length: n }, (_, i) => (i * 7 + 3) % n);
    hidden.forEach((c, r) => cost.data[r * n + c] = -1);
    expect([...assign(cost)]).toEqual(hidden);
  });

  test("refuses more rows than columns", () => {
    expect(() => assign(matrix(3, 2))).toThrow("3 rows want at least as many columns: received 2");
  });
});

/** Points in three heaps. */
const heaps = (count: number) => ({
  data: Float32Array.from({ length: 2 * count }, (_, i) => 10 * ((i >> 1) % 3) + 3 * random() * random()),
  shape: [count, 2],
});
const held = (cells: Int32Array) => [...cells].filter((point) => point >= 0).sort((a, b) => a - b);

describe("points on a grid", () => {
  test("that lie on one stay where they are, whatever their order", () => {
    // Rows from the top: y grows upwards.
    const order = [5, 0, 3, 1, 4, 2];
    const points = {
      data: Float32Array.from(order.flatMap((cell) => [cell % 3, 1 - Math.floor(cell / 3)])),
      shape: [6, 2],
    };
    const { cells, rows, columns } = assignToGrid(points, { columns: 3 });
    expect([rows, columns]).toEqual([2, 3]);
    expect([...cells].map((point) => order[point])).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...assignToGrid(points, { columns: 3, optimal: 1 }).cells]).toEqual([...cells]);
    expect(
      [...nearestOnGrid({ ...points, data: points.data.map((v) => v * 2) }, { columns: 3 }).cells].filter((p) =>
        p >= 0
      ),
    )
      .toHaveLength(6);
  });

  test("each take one cell, with cells to spare and without", () => {
    for (const [count, columns] of [[1, 1], [7, 3], [100, 10], [100, 13], [97, 200], [400, 20]]) {
      for (const optimal of [2500, 0]) {
        const { cells, rows } = assignToGrid(heaps(count), { columns, optimal });
        expect(cells).toHaveLength(rows * columns);
        expect(rows).toBe(Math.ceil(count / columns));
        expect(held(cells)).toEqual(Array.from({ length: count }, (_, i) => i));
      }
    }
  });

  longTest("by windows cost little more than at best", () => {
    for (const count of [900, 1000]) {
      const points = heaps(count);
      const best = assignToGrid(points).cost;
      const { cost } = assignToGrid(points, { optimal: 0 });
      expect(cost / best).toBeGreaterThanOrEqual(1 - 1e-6);
      expect(cost / best).toBeLessThan(1.05);
    }
  });

  test("by the nearest one leave others out, each in its own cell", () => {
    const points = heaps(400);
    const { cells, rows, columns, cost } = nearestOnGrid(points);
    expect([rows, columns]).toEqual([20, 20]);
    const shown = held(cells);
    expect(new Set(shown).size).toBe(shown.length);
    expect(shown.length).toBeLessThan(300);
    // No farther than the corner of a cell.
    expect(cost).toBeLessThanOrEqual(0.5);
  });

  test("that are all one point have a cell each", () => {
    const same = { data: new Float32Array(18).fill(3), shape: [9, 2] };
    expect(held(assignToGrid(same).cells)).toHaveLength(9);
  });
});
