/**
 * t-SNE of MNIST, points in to coordinates out, against openTSNE and scikit-learn in the same run; and how long each part
 * of an iteration takes.
 *
 * The peers need a Python that has openTSNE and scikit-learn: that of the active virtual environment, else the first on
 * the path. Without one there is nothing to compare with, and nothing is measured but our own time. Each side computes in
 * a process of its own; run as a program, with the file of the points, this file is ours.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { ndarray, type NdArrayLike } from "../../lib/array.ts";
import { affinitiesOf } from "../../lib/embed/tsne/affinities.ts";
import { layDescent } from "../../lib/embed/tsne/descent.ts";
import { Layout } from "../../lib/workers/layout.ts";
import { gridFor, Mesh } from "../../lib/embed/tsne/mesh.ts";
import { nearestNeighbors, type Neighbors } from "../../lib/embed/neighbors.ts";
import { principalComponents } from "../../lib/embed/pca.ts";
import { nearestAccuracy, trustworthiness } from "../../lib/embed/quality.ts";
import { embed } from "../../lib/embed/tsne/tsne.ts";
import { alone } from "../embed/kernels/kernels_on_main.ts";
import { mnist, mnistFiles } from "../mnist.ts";
import { type Benchmark, type Line, measure } from "./harness.ts";
import { type Answer, pythonWith, servePeer, startPeer } from "./peers.ts";

const threads = Math.min(2, navigator.hardwareConcurrency);
const DIMENSIONS = 50;
const PERPLEXITY = 30;

/** Beside whom, and what share of their time and of their divergence is the most. */
const SIZES: { count: number; peers: { peer: string; time: number; divergence: number }[] }[] = [
  {
    count: 10_000,
    peers: [
      { peer: "scikit-learn", time: 0.2, divergence: 1.01 },
      { peer: "openTSNE", time: 0.25, divergence: 1.01 },
    ],
  },
  { count: 60_000, peers: [{ peer: "openTSNE", time: 0.25, divergence: 1.01 }] },
];

async function arrayOf(path: string, columns: number): Promise<NdArrayLike> {
  const { buffer } = await Deno.readFile(path);
  return ndarray(new Float32Array(buffer), [buffer.byteLength / 4 / columns, columns]);
}

const writeArray = (path: string, { data }: NdArrayLike) => Deno.writeFile(path, new Uint8Array(data.slice().buffer));

/** Our side, in a process of its own, so that its memory is its own too. */
async function serve(path: string): Promise<void> {
  const points = await arrayOf(path, DIMENSIONS);
  let neighbors: Neighbors;
  await servePeer({ about: "convlens" }, {
    "t-SNE": async (tell) => {
      const { points: map, klDivergence } = await embed(points, { perplexity: PERPLEXITY, threads });
      tell({ divergence: klDivergence });
      await writeArray(`${path}.convlens`, map);
    },
    "t-SNE in space": () => embed(points, { perplexity: PERPLEXITY, threads, components: 3 }),
    "neighbours": async () => neighbors = await nearestNeighbors(points, 3 * PERPLEXITY, { threads }),
    "affinities": () => Promise.resolve(affinitiesOf(neighbors, PERPLEXITY)),
  });
}

/** How good a map is, all measured alike. */
async function qualityOf(path: string, points: NdArrayLike, labels: number[]): Promise<string> {
  const map = await arrayOf(path, 2);
  const trusted = trustworthiness(points, map, { sample: 2000 });
  const right = await nearestAccuracy(map, labels, { threads });
  return `trustworthiness ${trusted.toFixed(4)} (of 2000 points), 1-NN accuracy ${right.toFixed(4)}`;
}

async function against({ count, peers }: (typeof SIZES)[number]): Promise<Line[]> {
  const { images } = await mnistFiles();
  const { points: pixels, labels } = await mnist(count);
  const folder = await Deno.makeTempDir({ prefix: "convlens-bench-" });
  const path = `${folder}/points`;
  const python = pythonWith("openTSNE", "sklearn");
  const script = fileURLToPath(new URL("tsne_peer.py", import.meta.url));
  const theirs = python
    ? await startPeer("Python", python, [script, images, `${count}`, path, `${threads}`])
    : undefined;
  if (theirs) console.log(`  ${count} points, peers: ${theirs.about}`);
  else {
    console.log(
      `  ${count} points, peers: left out, no Python here can import openTSNE and scikit-learn; activate an ` +
        "environment that can",
    );
    await writeArray(path, principalComponents(pixels, { components: DIMENSIONS }).points);
  }
  const self = ["run", "-A", fileURLToPath(import.meta.url), path];
  const ours = await startPeer("convlens", Deno.execPath(), self);
  try {
    const points = await arrayOf(path, DIMENSIONS);
    const mine = await ours.ask("t-SNE");
    const neighbours = await ours.ask("neighbours");
    const affinities = await ours.ask("affinities");
    const space = await ours.ask("t-SNE in space");
    console.log(`  convlens: ${await qualityOf(`${path}.convlens`, points, labels)}`);
    const lines: Line[] = [];
    const add = (name: string, answer: Answer, goals?: { time: number; divergence: number }) => {
      const line = (what: string, median: number, unit: Line["unit"], ratio?: number, goal?: number) =>
        lines.push({ name: `${name}${what}`, median, unit, ratio, goal });
      const [divergence, own] = [answer.told!.divergence, mine.told!.divergence];
      line(`, ${count} points`, answer.ms, "ms");
      if (goals) line(": convlens beside it", mine.ms, "ms", mine.ms / answer.ms, goals.time);
      if (answer.peak) line(", peak memory", answer.peak, "bytes");
      line(", KL divergence", divergence, "");
      if (goals) line(": convlens beside it", own, "", own / divergence, goals.divergence);
    };
    add("convlens", mine);
    const rest = mine.ms - neighbours.ms - affinities.ms;
    lines.push({ name: "convlens, neighbours", median: neighbours.ms, unit: "ms" });
    lines.push({ name: "convlens, affinities", median: affinities.ms, unit: "ms" });
    lines.push({ name: "convlens, the rest: start, 750 iterations", median: rest, unit: "ms" });
    lines.push({ name: `convlens, ${count} points in three dimensions`, median: space.ms, unit: "ms" });
    for (const { peer, ...goals } of theirs ? peers : []) {
      const answer = await theirs!.ask(peer);
      console.log(`  ${peer}: ${await qualityOf(`${path}.${peer}`, points, labels)}`);
      add(peer, answer, goals);
    }
    return lines;
  } finally {
    ours.end();
    theirs?.end();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Each part of an iteration by itself, on one thread, on a map that looks like a late one of 60,000 points. */
async function parts(): Promise<Line[]> {
  const count = 60_000;
  const each = 128;
  const places = layDescent(new Layout(), { count, edges: count * each, threads: 1, exact: false });
  const layout = new Layout();
  layDescent(layout, { count, edges: count * each, threads: 1, exact: false });
  const { kernels, member, buffer } = await alone(layout);
  const map = new Float32Array(buffer, places.points, 2 * count);
  // A spiral fills the disc evenly, and neighbours are near one another.
  for (let i = 0; i < count; i++) {
    const radius = 95 * Math.sqrt(i / count);
    map[2 * i] = radius * Math.cos(2.4 * i);
    map[2 * i + 1] = radius * Math.sin(2.4 * i);
  }
  const starts = new Uint32Array(buffer, places.starts, count + 1);
  const neighbors = new Uint32Array(buffer, places.neighbors, count * each);
  for (let i = 0; i <= count; i++) starts[i] = i * each;
  for (let e = 0; e < neighbors.length; e++) neighbors[e] = (e * 7919) % count;
  new Float32Array(buffer, places.affinities, count * each).fill(1 / (count * each));
  const mesh = places.mesh!;
  const grid = gridFor([-95, -95, 95, 95], mesh.longest, count);
  const { length, left, top, spacing } = grid;
  const side = length / 2;
  const { twiddles: w, order, middle, scratch } = mesh;
  new Mesh(member, mesh).repel(places.points, count, [0, count], grid, places.repulsion);
  const columns = (run: (x0: number) => void) => () => {
    for (let x0 = 0; x0 < side; x0 += 32) run(x0);
  };
  const { points, attraction, repulsion, steps, gains } = places;
  const tasks: Record<string, () => void> = {
    "attraction": () =>
      kernels.attract(points, 0, count, places.starts, places.neighbors, places.affinities, attraction),
    "spread": () => kernels.spread(points, 0, count, mesh.grids, side, left, top, 1 / spacing),
    "columns, forward": columns((x0) => kernels.columnsForward(x0, length, mesh.grids, 1, scratch, w, order, middle)),
    "rows, both ways": () => {
      for (let block = 0; block <= length / 32; block++) {
        kernels.rows(block, length, middle, mesh.kernel, scratch, w);
      }
    },
    "columns, back": columns((x0) => kernels.columnsInverse(x0, length, mesh.potential, scratch, w, order, middle)),
    "gather": () => {
      kernels.gather(points, 0, count, mesh.potential, side, left, top, 1 / spacing, repulsion);
    },
    "move": () => kernels.move(points, 0, count, attraction, repulsion, steps, gains, 1, 0, 0, 0, places.parts + 32),
    "divergence (every 50th)": () => {
      kernels.logDistances(points, 0, count, places.starts, places.neighbors, places.affinities);
    },
  };
  console.log(`  parts of an iteration: 60,000 points, a grid of ${side}² nodes, one thread`);
  const lines: Line[] = [];
  for (const [name, task] of Object.entries(tasks)) lines.push(await measure(name, task));
  return lines;
}

if (import.meta.main) await serve(Deno.args[0]);

export default [
  { name: "parts of an iteration of t-SNE", run: parts },
  ...SIZES.map((size) => ({ name: `t-SNE of MNIST, ${size.count} points`, run: () => against(size) })),
] satisfies Benchmark[];
