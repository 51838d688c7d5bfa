/**
 * Nearest neighbours by Euclidean distance, on all cores.
 *
 * Up to 20,000 points are all compared with one another. More are put into cells around centres (Lloyd's algorithm on a
 * sample), and each looks only into the cells nearest to it, as in an inverted file (Jégou, Douze and Schmid 2011,
 * "Product quantization for nearest neighbor search", §IV). Unlike with a graph, the result does not depend on which
 * thread comes first.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { abortSignal, whole } from "../options.ts";
import { randomStream } from "../random.ts";
import { type Address, Layout } from "../workers/layout.ts";
import { type KernelGroup, startGroup } from "./kernels/kernels.ts";
import { checkSearch } from "./memory.ts";
import { meanOf } from "./points.ts";
import { roomFor, SEARCH, type SearchJob } from "./search.ts";

/** How a search goes. */
export interface SearchOptions {
  /** Points whose neighbours are wanted. @default the points themselves, none of them its own neighbour */
  queries?: NdArray;
  /** Whether all points are compared. @default true up to 20,000 points */
  exact?: boolean;
  /** Of the sample that the cells are made from. @default 0 */
  seed?: number;
  /** Called with the number of points whose neighbours are found. */
  onProgress?: (done: number, total: number) => void;
}

/** On how many threads work runs, and what ends it: of whatever runs in Workers. */
export class WorkerOptions {
  /**
   * How many Workers compute at a time.
   * @default one a core
   */
  @whole(1)
  threads?: number;
  /** Ends it at once. */
  @abortSignal()
  signal?: AbortSignal;
}

/** The k nearest neighbours of some points, the nearest first. */
export interface Neighbors {
  /** How many points there are. */
  readonly count: number;
  /** How many neighbours each point has. */
  readonly k: number;
  /** The place of each neighbour among the points, row by row, `[count, k]`. */
  readonly indices: Int32Array;
  /** The Euclidean distance of each, `[count, k]`. */
  readonly distances: Float32Array;
}

/** Up to this number of points all pairs are compared. */
const EXACT = 20_000;
/** How many cells each point searches. */
const PROBES = 72;
/** Points of the sample for each cell, and rounds of Lloyd's algorithm. */
const SAMPLE = 16;
const ROUNDS = 6;
/** The own place of queries that are no candidates. */
const ELSEWHERE = -(2 ** 30);

/**
 * Finds the k nearest points of each point. Of points that are equally far away, the same ones are found each time;
 * which ones is not specified.
 *
 * @param points `[n, d]`
 * @param k how many, 1 at least
 * @throws {RangeError} if k is greater than n − 1 (n, for other queries)
 * @throws {MemoryError} if it does not fit into memory
 */
export async function nearestNeighbors(
  points: NdArray,
  k: number,
  { threads, signal, ...options }: SearchOptions & WorkerOptions = {},
): Promise<Neighbors> {
  const group = startGroup(threads, signal);
  try {
    return await nearestIn(group, points, k, options);
  } finally {
    group.end();
  }
}

/** As {@linkcode nearestNeighbors}, with Workers that are there already, and a choice of how many cells are looked into. */
export async function nearestIn(
  group: KernelGroup,
  points: NdArray,
  k: number,
  { queries = points, exact, seed = 0, onProgress, probes = PROBES }: SearchOptions & { probes?: number },
): Promise<Neighbors> {
  const [count, dimensions] = points.shape;
  const others = queries !== points;
  const most = others ? count : count - 1;
  if (k > most) {
    throw new RangeError(`Of ${count} points each has 1 to ${most} neighbours: received k = ${k}.`);
  }
  checkSearch({ count, others: others ? queries.shape[0] : 0, dimensions, k });

  // Around their mean the numbers are small, so that little is lost in rounding. Divided by a power of 2, which changes no
  // digit, their squares are neither too large nor too small for 32 bits.
  const mean = meanOf(points);
  const size = 2 ** Math.ceil(Math.log2(Math.max(reachOf(points, mean), others ? reachOf(queries, mean) : 0) || 1));
  const centred = (from: NdArray): Rows => {
    const data = new Float32Array(from.data.length);
    for (let i = 0, at = 0; at < data.length; i++) {
      for (let j = 0; j < dimensions; j++, at++) data[at] = (from.data[at] - mean[j]) / size;
    }
    return { data, count: from.shape[0], dimensions };
  };
  const candidates = centred(points);
  const asking = others ? centred(queries) : candidates;
  const all = exact ?? count <= EXACT;
  const cells = all ? undefined : await cellsOf(group, candidates, asking, { k, seed, probes });
  const found = await searchAll(group, candidates, asking, k, { onProgress, cells });
  for (let e = 0; e < found.distances.length; e++) found.distances[e] *= size;
  return found;
}

/** How far from the mean a number of the points lies at most. */
function reachOf({ data }: NdArray, mean: Float64Array): number {
  let most = 0;
  for (let at = 0; at < data.length;) {
    for (let j = 0; j < mean.length; j++, at++) most = Math.max(most, Math.abs(data[at] - mean[j]));
  }
  return most;
}

/** Puts candidates into cells, and chooses for each query those that it looks into. */
async function cellsOf(
  group: KernelGroup,
  candidates: Rows,
  asking: Rows,
  { k, seed, probes }: { k: number; seed: number; probes: number },
): Promise<Cells> {
  const others = asking !== candidates;
  const { distinct, kept } = thin(candidates, others ? k : k + 1);
  const cellCount = Math.min(distinct.length, Math.ceil(2 * Math.sqrt(distinct.length)));
  const centres = await centresOf(group, candidates, distinct, cellCount, seed);
  let probeCount = Math.min(probes, cellCount);
  let nearest = await searchAll(group, centres, candidates, probeCount, { ordered: false });
  const members = Array.from({ length: cellCount }, (): number[] => []);
  for (const i of kept) {
    let home = i * probeCount;
    for (let j = home + 1; j < (i + 1) * probeCount; j++) if (nearest.distances[j] < nearest.distances[home]) home = j;
    members[nearest.indices[home]].push(i);
  }
  // The cells that a query looks into must hold k others, even if they are the smallest.
  const sizes = members.map(({ length }) => length).toSorted((a, b) => a - b);
  const sure = (count: number) => sizes.slice(0, count).reduce((a, b) => a + b, 0) > k;
  const enough = sizes.findIndex((_, i) => sure(i + 1)) + 1;
  if (others || enough > probeCount) {
    probeCount = Math.max(probeCount, enough);
    nearest = await searchAll(group, centres, asking, probeCount, { ordered: false });
  }
  return { members, probes: nearest.indices, probeCount };
}

/** Points around 0, row by row. */
interface Rows {
  data: Float32Array;
  count: number;
  dimensions: number;
}

interface BlockOptions {
  /** @default true */
  ordered?: boolean;
  onProgress?: (done: number, total: number) => void;
  cells?: Cells;
}

interface Cells {
  /** The candidates in each. */
  members: readonly number[][];
  /** How many cells are searched for each query. */
  probes: Int32Array;
  probeCount: number;
}

/**
 * Which of equal points are candidates: of each heap of them no more than `most`, as no query has use for more. So they
 * share a cell without making the search there take the square of their number.
 *
 * @returns the first point of each heap, and all candidates, in their order
 */
function thin({ data, count, dimensions }: Rows, most: number): { distinct: Int32Array; kept: Int32Array } {
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  // A hash table with open addresses: the first point of each heap, and how many there are of it.
  const mask = 2 ** Math.ceil(Math.log2(2 * count + 1)) - 1;
  const first = new Int32Array(mask + 1).fill(-1);
  const sizes = new Int32Array(mask + 1);
  const distinct = new Int32Array(count);
  const kept = new Int32Array(count);
  let [heaps, candidates] = [0, 0];
  const same = (a: number, b: number) => {
    for (let j = 0; j < dimensions; j++) if (bits[a * dimensions + j] !== bits[b * dimensions + j]) return false;
    return true;
  };
  for (let i = 0; i < count; i++) {
    let hash = 0;
    for (let at = i * dimensions; at < (i + 1) * dimensions; at++) {
      hash = Math.imul(hash ^ bits[at], 0x01000193) ^ hash >>> 15;
    }
    let place = (hash ^ hash >>> 13) & mask;
    while (first[place] >= 0 && !same(first[place], i)) place = (place + 1) & mask;
    if (first[place] < 0) {
      first[place] = i;
      distinct[heaps++] = i;
    }
    if (sizes[place]++ < most) kept[candidates++] = i;
  }
  return { distinct: distinct.slice(0, heaps), kept: kept.slice(0, candidates) };
}

/** Candidates one behind the other in panels of 8, each cell in panels of its own. */
function pack({ data, dimensions }: Rows, cells: readonly (readonly number[])[], to: {
  panels: Float32Array;
  halves: Float32Array;
  ids: Int32Array;
}): number[] {
  to.halves.fill(Infinity);
  const starts = [0];
  for (const members of cells) {
    const first = 8 * starts.at(-1)!;
    members.forEach((member, i) => {
      const place = first + i;
      const row = member * dimensions;
      let at = (place >> 3) * 8 * dimensions + (place & 7);
      let square = 0;
      for (let j = 0; j < dimensions; j++, at += 8) {
        const value = data[row + j];
        to.panels[at] = value;
        square += value * value;
      }
      to.halves[place] = square / 2;
      to.ids[place] = member;
    });
    starts.push(starts.at(-1)! + Math.ceil(members.length / 8));
  }
  return starts;
}

async function searchAll(
  group: KernelGroup,
  candidates: Rows,
  asking: Rows,
  k: number,
  { ordered = true, onProgress, cells }: BlockOptions = {},
): Promise<Neighbors> {
  const { dimensions } = candidates;
  const queryCount = asking.count;
  const itself = asking === candidates;
  const groups = cells?.members ?? [Array.from({ length: candidates.count }, (_, i) => i)];
  const panelCount = groups.reduce((sum, { length }) => sum + Math.ceil(length / 8), 0);
  const layout = new Layout();
  const row = 4 * dimensions;
  const queries: Address = layout.take(row * (queryCount + 4));
  const inCells = cells && {
    count: cells.members.length,
    starts: layout.take(4 * (groups.length + 1)),
    probes: layout.take(4 * cells.probes.length),
    probeCount: cells.probeCount,
  };
  const job: SearchJob = {
    dimensions,
    k,
    queries,
    queryCount,
    own: itself ? 0 : ELSEWHERE,
    candidates: itself ? queries : layout.take(row * candidates.count),
    panels: layout.take(8 * row * panelCount),
    halves: layout.take(32 * panelCount),
    ids: layout.take(32 * panelCount),
    panelCount,
    cells: inCells,
    ordered,
    scores: layout.take(4 * k * (queryCount + 4)),
    indices: layout.take(4 * k * (queryCount + 4)),
    room: layout.take((roomFor(inCells) + 128) * group.threads),
  };
  const buffer = await group.memory(layout);
  new Float32Array(buffer, queries).set(asking.data);
  if (!itself) new Float32Array(buffer, job.candidates).set(candidates.data);
  const starts = pack(candidates, groups, {
    panels: new Float32Array(buffer, job.panels, 8 * panelCount * dimensions),
    halves: new Float32Array(buffer, job.halves, 8 * panelCount),
    ids: new Int32Array(buffer, job.ids, 8 * panelCount),
  });
  if (cells && inCells) {
    new Int32Array(buffer, inCells.starts).set(starts);
    new Int32Array(buffer, inCells.probes).set(cells.probes);
  }
  new Float32Array(buffer, job.scores, (queryCount + 4) * k).fill(Infinity);
  let done = 0;
  await group.run(SEARCH, job, (count) => onProgress?.(done += count, queryCount));
  return {
    count: queryCount,
    k,
    indices: new Int32Array(buffer, job.indices, queryCount * k).slice(),
    distances: new Float32Array(buffer, job.scores, queryCount * k).slice(),
  };
}

/** Centres of cells, by Lloyd's algorithm on a sample of the points that are `among` these. */
async function centresOf(
  group: KernelGroup,
  points: Rows,
  among: Int32Array,
  count: number,
  seed: number,
): Promise<Rows> {
  const { dimensions } = points;
  const random = randomStream(seed);
  const size = Math.min(among.length, SAMPLE * count);
  // The first ones of a shuffle.
  const order = among.slice();
  const sample = { data: new Float32Array(size * dimensions), count: size, dimensions };
  for (let i = 0; i < size; i++) {
    const other = i + Math.floor(random() * (order.length - i));
    [order[i], order[other]] = [order[other], order[i]];
    sample.data.set(points.data.subarray(order[i] * dimensions, (order[i] + 1) * dimensions), i * dimensions);
  }
  const centres = { data: sample.data.slice(0, count * dimensions), count, dimensions };
  for (let round = 0; round < ROUNDS; round++) {
    const { indices } = await searchAll(group, centres, sample, 1);
    const sums = new Float64Array(count * dimensions);
    const sizes = new Int32Array(count);
    indices.forEach((cell, i) => {
      sizes[cell]++;
      for (let j = 0; j < dimensions; j++) sums[cell * dimensions + j] += sample.data[i * dimensions + j];
    });
    // A centre to which nobody comes stays where it is.
    for (let i = 0; i < sums.length; i++) {
      const members = sizes[Math.floor(i / dimensions)];
      if (members > 0) centres.data[i] = sums[i] / members;
    }
  }
  return centres;
}
