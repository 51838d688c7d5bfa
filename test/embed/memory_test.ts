import process from "node:process";
import { afterEach, describe, expect, test, vi } from "vitest";
import { checkMap, checkSearch } from "../../lib/embed/memory.ts";
import { MemoryError } from "../../lib/memory.ts";
import { nearestNeighbors } from "../../lib/embed/neighbors.ts";
import { embed } from "../../lib/embed/tsne/tsne.ts";

const points = { data: Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * i)), shape: [500, 4] };

/** Where so many bytes are free. */
const free = (bytes: number) => vi.spyOn(process, "availableMemory").mockReturnValue(bytes);

afterEach(() => {
  vi.restoreAllMocks();
});

describe("what memory cannot hold", () => {
  test("is refused before it begins, with what is wanted and what is there", async () => {
    free(1e5);
    await expect(nearestNeighbors(points, 10)).rejects.toThrow(
      /A search for 10 neighbours among 500 points takes 1\d\d kB; this machine has 100 kB free\. Take fewer points/,
    );
    await expect(embed(points, { perplexity: 5 })).rejects.toThrow(MemoryError);
    free(1e9);
    expect((await nearestNeighbors(points, 10)).count).toBe(500);
    expect((await embed(points, { perplexity: 5, iterations: 1 })).points.shape).toEqual([500, 2]);
  });

  test("is a million points of 50 dimensions on 4 GB, but not on 5", () => {
    free(4e9);
    expect(() => checkMap(1e6, 50, 90)).toThrow("A map of 1000000 points of 50 dimensions takes 4.60 GB");
    free(5e9);
    checkMap(1e6, 50, 90);
  });

  test("is more than Workers can share, however much there is", () => {
    free(1e12);
    checkSearch({ count: 3e6, dimensions: 50, k: 90 });
    expect(() => checkSearch({ count: 4e6, dimensions: 50, k: 90 })).toThrow("one WebAssembly memory holds 4.29 GB");
    expect(() => checkSearch({ count: 1e6, dimensions: 784, k: 90 })).toThrow("take fewer points, fewer dimensions");
    // Few points, but many that ask.
    checkSearch({ count: 1000, others: 1e6, dimensions: 784, k: 9 });
    expect(() => checkSearch({ count: 1000, others: 1e6, dimensions: 784, k: 900 })).toThrow("4.29 GB");
  });
});
