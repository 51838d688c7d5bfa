import { expect, test } from "vitest";
import { type ListedImage, type TopEntry, TopLists } from "../../lib/scan/top_lists.ts";
import { uniforms } from "../nets.ts";

const images: ListedImage[] = ["b", "10", "9", "ä", "a", "z"].map((id, index) => ({ id, index, shape: [4, 4, 3] }));

/** Cells with many equal values. */
const entries: TopEntry[] = images.flatMap((image, i) =>
  Array.from({ length: 8 }, (_, cell) => {
    const value = Math.fround(((cell * 7 + i * 5) % 6) / 3 - 0.7);
    return { value, activation: value, image, cell };
  })
);

/** What a full sort gives. */
const sorted = (all: readonly TopEntry[], top: number) =>
  all.toSorted((a, b) =>
    b.value - a.value || (a.image.id < b.image.id ? -1 : a.image.id > b.image.id ? 1 : a.cell - b.cell)
  ).slice(0, top);

const shuffle = <T>(list: readonly T[], seed: number): T[] => {
  const random = uniforms(seed);
  return list.map((item) => [random(), item] as const).toSorted(([a], [b]) => a - b).map(([, item]) => item);
};

test("a list is the beginning of a full sort, whatever the order, and however it is cut", () => {
  for (const top of [1, 2, 9, 47, 48, 60]) {
    const wanted = sorted(entries, top);
    for (const seed of [1, 2, 3]) {
      const lists = new TopLists(2, top);
      shuffle(entries, seed).forEach((entry) => lists.add(1, entry));
      expect(lists.entries(1)).toEqual(wanted);
      expect(lists.entries(0)).toEqual([]);
      const parts = Array.from({ length: 5 }, () => new TopLists(2, top));
      shuffle(entries, seed + 10).forEach((entry, i) => parts[i % 5].add(1, entry));
      const merged = new TopLists(2, top);
      shuffle(parts, seed).forEach((part) => merged.merge(part));
      expect(merged.entries(1)).toEqual(wanted);
    }
  }
});

test("a cell that is there already is not put there twice, and no number is in no list", () => {
  const lists = new TopLists(1, 3);
  const entry = { value: 1, activation: 1, image: images[0], cell: 2 };
  expect(lists.floors[0]).toBe(-Infinity);
  expect([lists.add(0, entry), lists.add(0, entry), lists.add(0, { ...entry, value: NaN })]).toEqual([
    true,
    false,
    false,
  ]);
  lists.merge(lists);
  expect(lists.entries(0)).toEqual([entry]);
  lists.add(0, { ...entry, cell: 1 });
  lists.add(0, { ...entry, value: 3 });
  expect(lists.floors[0]).toBe(1);
  expect(lists.add(0, { ...entry, cell: 3 })).toBe(false);
  expect(lists.entries(0).map(({ cell }) => cell)).toEqual([2, 1, 2]);
});
