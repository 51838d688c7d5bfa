import { describe, expect, test } from "vitest";
import { Layout } from "../../../lib/workers/layout.ts";
import { gridFor3, layMesh3, lengthFor, Mesh3 } from "../../../lib/embed/tsne/mesh_3d.ts";
import { embed } from "../../../lib/embed/tsne/tsne.ts";
import { digits } from "../digits.ts";
import { alone } from "../kernels/kernels_on_main.ts";
import { clusters, error } from "./forces.ts";
import { longTest } from "../../long.ts";

/** The sums over all pairs, in double precision, with Student's t of two degrees of freedom. */
function exact(map: Float32Array): { forces: Float64Array; z: number } {
  const forces = new Float64Array(map.length);
  let z = 0;
  for (let i = 0; i < map.length; i += 3) {
    for (let j = 0; j < i; j += 3) {
      const apart = [map[i] - map[j], map[i + 1] - map[j + 1], map[i + 2] - map[j + 2]];
      const u = 1 / (1 + (apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2) / 2);
      z += 2 * u ** 1.5;
      const strength = u ** 2.5;
      for (let c = 0; c < 3; c++) {
        forces[i + c] += strength * apart[c];
        forces[j + c] -= strength * apart[c];
      }
    }
  }
  return { forces, z };
}

async function byMesh(map: Float32Array, length = lengthFor(map.length / 3)) {
  const count = map.length / 3;
  const layout = new Layout();
  const points = layout.take(16 * count);
  const repulsion = layout.take(16 * count);
  const places = layMesh3(layout, count, length, 1);
  const { member, buffer } = await alone(layout);
  const padded = new Float32Array(buffer, points, 4 * count);
  const extent = [Infinity, Infinity, Infinity, 0, -Infinity, -Infinity, -Infinity, 0];
  map.forEach((value, i) => {
    const c = i % 3;
    padded[(i - c) / 3 * 4 + c] = value;
    extent[c] = Math.min(extent[c], value);
    extent[4 + c] = Math.max(extent[4 + c], value);
  });
  const grid = gridFor3(extent, length);
  const mesh = new Mesh3(member, places);
  mesh.repel(points, count, [0, count], grid, repulsion);
  // A second time: the grids must be empty again, and the kernel is there already.
  const z = mesh.repel(points, count, [0, count], grid, repulsion) - count;
  const found = new Float32Array(buffer, repulsion, 4 * count);
  return { forces: found.filter((_, i) => i % 4 < 3), fourth: found.filter((_, i) => i % 4 === 3), z, grid };
}

describe("repulsion in three dimensions", () => {
  longTest("is the exact one within 0.5 % while a map of 1,797 digits forms, early, midway and late", async () => {
    const { points } = await digits();
    const stages: [number, Float32Array][] = [];
    await embed(points, {
      components: 3,
      repulsion: "mesh",
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
      expect(Math.abs(found.z / wanted.z - 1)).toBeLessThan(1e-3);
      expect(found.fourth.every((value) => value === 0)).toBe(true);
    }
  });

  test.each([1e-4, 1e-2, 0.5, 0.99, 2, 3, 5, 8, 20, 60])(
    "is the exact one for 2,000 points in clusters, at size %d",
    async (size) => {
      const map = clusters(2000, size, 3);
      const wanted = exact(map);
      const found = await byMesh(map);
      // The mesh alone, and with pairs.
      expect(found.grid.reach > 0).toBe(size > 1);
      expect(error(found.forces, wanted.forces)).toBeLessThan(0.005);
      expect(Math.abs(found.z / wanted.z - 1)).toBeLessThan(1e-3);
    },
  );

  test.each([128, 192, 256, 384])("is the exact one with transforms of length %i", async (length) => {
    const map = clusters(2000, 150, 3);
    const wanted = exact(map);
    const found = await byMesh(map, length);
    expect(found.grid.reach).toBeGreaterThan(0);
    expect(error(found.forces, wanted.forces)).toBeLessThan(0.005);
  });

  test("pushes two points apart, by a hand's calculation", async () => {
    const { forces, z } = await byMesh(Float32Array.of(-1, 0, 0, 1, 0, 0));
    // d² = 4, so 1 + d²/2 = 3: force 2 · 3^(-5/2) = 0.1283, and Z = 2 · 3^(-3/2) = 0.3849.
    expect(forces[0]).toBeCloseTo(-0.1283, 3);
    expect(forces[3]).toBeCloseTo(0.1283, 3);
    expect(Math.max(...[1, 2, 4, 5].map((i) => Math.abs(forces[i])))).toBeLessThan(1e-5);
    expect(z).toBeCloseTo(0.3849, 3);
  });

  test("takes points that all lie on one another", async () => {
    const { forces, z } = await byMesh(new Float32Array(300).fill(3));
    expect(Math.max(...forces.map(Math.abs))).toBeLessThan(1e-3);
    expect(z).toBeCloseTo(100 * 99, 1);
  });

  test("takes a map of which all but one point lie together", async () => {
    const map = clusters(500, 0.3, 3);
    map.set([400, -300, 200]);
    const wanted = exact(map);
    const found = await byMesh(map);
    expect(error(found.forces, wanted.forces)).toBeLessThan(0.005);
  });

  test("is by longer transforms where there are more points", () => {
    expect([1000, 60_000, 100_000, 500_000, 1e6].map(lengthFor)).toEqual([64, 128, 192, 256, 384]);
  });
});
