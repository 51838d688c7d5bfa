import { describe, expect, test } from "vitest";
import { Layout } from "../../../lib/workers/layout.ts";
import { gridFor, layMesh, longestFor, Mesh } from "../../../lib/embed/tsne/mesh.ts";
import { embed } from "../../../lib/embed/tsne/tsne.ts";
import { digits } from "../digits.ts";
import { longTest } from "../../long.ts";
import { alone } from "../kernels/kernels_on_main.ts";
import { clusters, error } from "./forces.ts";

/** The sums over all pairs, in double precision; of each so many points only one. */
function exact(map: Float32Array, every = 1): { forces: Float64Array; z: number } {
  const forces = new Float64Array(map.length);
  let z = 0;
  for (let i = 0; i < map.length; i += 2 * every) {
    for (let j = 0; j < map.length; j += 2) {
      if (i === j) continue;
      const [x, y] = [map[i] - map[j], map[i + 1] - map[j + 1]];
      const q = 1 / (1 + x * x + y * y);
      z += q;
      forces[i] += q * q * x;
      forces[i + 1] += q * q * y;
    }
  }
  return { forces, z };
}

async function byMesh(
  map: Float32Array,
  longest = 1024,
): Promise<{ forces: Float32Array; z: number; spacing: number }> {
  const count = map.length / 2;
  const layout = new Layout();
  const points = layout.take(8 * count);
  const repulsion = layout.take(8 * count);
  const places = layMesh(layout, longest, 1);
  const { member, buffer } = await alone(layout);
  new Float32Array(buffer, points, map.length).set(map);
  const extent = [Infinity, Infinity, -Infinity, -Infinity];
  map.forEach((value, i) => {
    extent[i % 2] = Math.min(extent[i % 2], value);
    extent[2 + i % 2] = Math.max(extent[2 + i % 2], value);
  });
  const grid = gridFor(extent, longest, count);
  const mesh = new Mesh(member, places);
  mesh.repel(points, count, [0, count], grid, repulsion);
  // A second time: the grids must be empty again, and the kernel is there already.
  const z = mesh.repel(points, count, [0, count], grid, repulsion) - count;
  return { forces: new Float32Array(buffer, repulsion, map.length).slice(), z, spacing: grid.spacing };
}

describe("repulsion by the mesh", () => {
  test("is the exact one within 0.5 % while a map of 1,797 digits forms, early, midway and late", async () => {
    const { points } = await digits();
    const stages: [number, Float32Array][] = [];
    await embed(points, {
      iterations: 750,
      onProgress: (iteration, _, map) => {
        if ([50, 250, 300, 500, 750].includes(iteration)) stages.push([iteration, map.data]);
      },
    });
    expect(stages.map(([iteration]) => iteration)).toEqual([50, 250, 300, 500, 750]);
    for (const [, map] of stages) {
      const wanted = exact(map);
      const found = await byMesh(map);
      expect(error(found.forces, wanted.forces)).toBeLessThan(0.005);
      expect(Math.abs(found.z / wanted.z - 1)).toBeLessThan(3e-4);
    }
  });

  test.each([1e-4, 1e-2, 0.5, 0.99, 3, 20])(
    "is the exact one for 2,000 points in clusters, at size %d",
    async (size) => {
      const map = clusters(2000, size, 2);
      const wanted = exact(map);
      const found = await byMesh(map);
      expect(error(found.forces, wanted.forces)).toBeLessThan(0.005);
      expect(Math.abs(found.z / wanted.z - 1)).toBeLessThan(3e-4);
    },
  );

  test("is the exact one for 60,000 points, of which some are looked at", async () => {
    const map = clusters(60_000, 28, 2);
    const wanted = exact(map, 100);
    const found = await byMesh(map);
    expect(found.spacing).toBeGreaterThan(0.3);
    const some = (_: number, i: number) => Math.floor(i / 2) % 100 === 0;
    expect(error(found.forces.filter(some), wanted.forces.filter(some))).toBeLessThan(0.005);
  });

  longTest("is the exact one within 1 % for a million points, of which 200 are looked at", async () => {
    const map = clusters(1_000_000, 115, 2);
    const wanted = exact(map, 5000);
    const found = await byMesh(map, longestFor(1_000_000));
    const some = (_: number, i: number) => Math.floor(i / 2) % 5000 === 0;
    expect(error(found.forces.filter(some), wanted.forces.filter(some))).toBeLessThan(0.01);
  });

  test("pushes two points apart, by a hand's calculation", async () => {
    const { forces, z } = await byMesh(Float32Array.of(-1, 0, 1, 0));
    // d² = 4, so q = 1/5: force q² · 2 = 0.08, and Z = 2/5.
    expect(forces[0]).toBeCloseTo(-0.08, 3);
    expect(forces[2]).toBeCloseTo(0.08, 3);
    expect(Math.abs(forces[1])).toBeLessThan(1e-5);
    expect(z).toBeCloseTo(0.4, 3);
  });

  test("takes points that all lie on one another", async () => {
    const { forces, z } = await byMesh(new Float32Array(200).fill(3));
    expect(Math.max(...forces.map(Math.abs))).toBeLessThan(1e-3);
    expect(z).toBeCloseTo(100 * 99, 1);
  });

  test("takes a coarser grid where the map is too wide for the finest", () => {
    const { length, spacing } = gridFor([-500, -100, 500, 100], 1024, 2000);
    expect(length).toBe(1024);
    expect(1000 / spacing).toBeLessThan(512);
    expect(spacing).toBeGreaterThan(1.9);
    expect(gridFor([-0.5, 0, 0.5, 0], 1024, 2000).length).toBe(64);
  });

  test("makes a grid as fine as it has room for, by steps", () => {
    for (let span = 1; span < 140; span *= 1.3) {
      const { length, spacing } = gridFor([0, 0, span, 1], 1024, 2000);
      const nodes = span / spacing + 8;
      expect(nodes).toBeLessThanOrEqual(length / 2);
      expect(span * 1.05 / spacing + 8).toBeGreaterThan(length / 2);
      expect(spacing).toBeLessThanOrEqual(0.3);
    }
  });
});
