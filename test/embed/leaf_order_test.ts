import { expect, test } from "vitest";
import { leafOrder } from "../../lib/embed/leaf_order.ts";
import { randomStream } from "../../lib/random.ts";

/** All clusters of average linkage, by trying every pair each time. */
function clusters(count: number, likeness: (a: number, b: number) => number): number[][] {
  let open = Array.from({ length: count }, (_, i) => [i]);
  const made: number[][] = [];
  const mean = (a: number[], b: number[]) =>
    a.reduce((sum, x) => sum + b.reduce((sum, y) => sum + likeness(x, y), 0), 0) / (a.length * b.length);
  while (open.length > 1) {
    const pairs = open.flatMap((a, i) => open.slice(i + 1).map((b) => ({ a, b, mean: mean(a, b) })));
    const { a, b } = pairs.reduce((best, pair) => pair.mean > best.mean ? pair : best);
    made.push([...a, ...b]);
    open = [...open.filter((one) => one !== a && one !== b), [...a, ...b]];
  }
  return made;
}

test("each cluster of average linkage stands together", () => {
  const random = randomStream(5);
  for (const count of [1, 2, 3, 9, 24]) {
    const table = Array.from({ length: count * count }, () => random());
    const likeness = (a: number, b: number) => table[Math.min(a, b) * count + Math.max(a, b)];
    const order = leafOrder(count, likeness);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    for (const members of clusters(count, likeness)) {
      const places = members.map((one) => order.indexOf(one));
      expect(Math.max(...places) - Math.min(...places)).toBe(members.length - 1);
    }
  }
});

test("groups that were shuffled are found; equal likenesses end, too", () => {
  const group = (i: number) => (i * 7) % 5;
  const order = leafOrder(30, (a, b) => Number(group(a) === group(b)) + 0.01 * Number((group(a) + 1) % 5 === group(b)));
  const changes = order.filter((one, i) => i > 0 && group(one) !== group(order[i - 1]));
  expect(changes).toHaveLength(4);
  expect(leafOrder(6, () => 0)).toHaveLength(6);
});

test("where clusters join, their ends are alike: points on a line come in their order", () => {
  const places = [4, 0, 3, 1, 2, 5].map((at) => at + at ** 2 / 50);
  const order = leafOrder(6, (a, b) => -Math.abs(places[a] - places[b]));
  const found = order.map((i) => places[i]);
  const rising = [...places].sort((a, b) => a - b);
  expect([rising, rising.toReversed()]).toContainEqual(found);
});
