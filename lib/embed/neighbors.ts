/**
 * Nearest neighbours by Euclidean distance, on all cores.
 *
 * Up to 20,000 points are all compared with one another. More are put into cells around centres (Lloyd's algorithm on a
 * sample), and each looks only into the cells nearest to it, as in an inverted file (Jégou, Douze and Schmid 2011,
 * "Product quantization for nearest neighbor search", §IV). From 60,000 points on a cell holds about as many as there, so
 * that a query is compared with no more points; the centres, which become many, are then put into groups, and searched
 * in the same way. Unlike with a graph, the result does not depend on which thread comes first. Of all that are
 * compared, the nearest are those that 64 bits find, however far some points lie
 * from the others (`search.ts`).
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { abortSignal, whole } from "../options.ts";
import { randomStream } from "../random.ts";
import { type Address, Layout } from "../workers/layout.ts";
import { type KernelGroup, startGroup } from "./kernels/kernels.ts";
import { checkSearch } from "./memory.ts";
import { HOMES, NEXT, roomFor, SEARCH, type SearchJob } from "./search.ts";

/** How a search goes. */
export interface SearchOptions {
  /** Points whose neighbours are wanted. @default the points themselves, none of them its own neighbour */
  queries?: NdArrayLike;
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
/** From this number of points on, cells become no larger. */
const FULL = 60_000;
/** More cells than this are put into groups; each query looks for its cells in so many groups. */
const UNGROUPED = 600;
const GROUP_PROBES = 48;
/** Points of the sample for each cell, and rounds of Lloyd's algorithm. */
const SAMPLE = 16;
const ROUNDS = 6;
/** Where all are compared, they are put into at most this many cells, of at least this many points. */
const FRAMES = 64;
const FRAME = 192;
/** The sample that the centres of these are chosen from. */
const FRAME_SAMPLE = 256;
/** How many more than k are kept by their scores, beside an eighth of k. */
const SPARE = 8;
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
  points: NdArrayLike,
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
  points: NdArrayLike,
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

  const rowsOf = ({ data, shape }: NdArrayLike): Rows => ({ data, count: shape[0], dimensions });
  const candidates = rowsOf(points);
  const asking = others ? rowsOf(queries) : candidates;
  // A power of 2, which changes no digit, by which the squares of differences fit into 32 bits.
  const reach = Math.max(reachOf(candidates, points.data), others ? reachOf(asking, points.data) : 0);
  const scale = 2 ** Math.min(127, -Math.ceil(Math.log2(reach || 1)));
  const search = { scale, seed };
  const cells = exact ?? count <= EXACT
    ? undefined
    : await cellsOf(group, candidates, asking, k, { ...search, probes });
  return searchAll(group, candidates, asking, k, { ...search, onProgress, cells });
}

/** How far a number lies from that of another point at most. */
function reachOf({ data, dimensions }: Rows, from: Float32Array): number {
  let most = 0;
  for (let at = 0; at < data.length;) {
    for (let j = 0; j < dimensions; j++, at++) most = Math.max(most, Math.abs(data[at] - from[j]));
  }
  return most;
}

/** Puts candidates into cells, and chooses for each query those that it looks into. */
async function cellsOf(
  group: KernelGroup,
  candidates: Rows,
  asking: Rows,
  k: number,
  { probes, ...search }: { probes: number; seed: number; scale: number },
): Promise<Cells> {
  const others = asking !== candidates;
  const { distinct, kept } = thin(candidates, others ? k : k + 1);
  const wanted = Math.ceil(2 * distinct.length / Math.sqrt(Math.min(distinct.length, FULL)));
  const made = await makeCentres(group, candidates, distinct, Math.min(distinct.length, wanted), search);
  const { centres } = made;
  let probeCount = Math.min(probes, centres.count);
  let nearest = await nearestCells(group, made, candidates, probeCount, search);
  const members = Array.from({ length: centres.count }, (): number[] => []);
  for (const i of kept) {
    let home = i * probeCount;
    for (let j = home + 1; j < (i + 1) * probeCount; j++) if (nearest.distances[j] < nearest.distances[home]) home = j;
    members[nearest.indices[home]].push(i);
  }
  // The cells that a query looks into must hold k others.
  const enough = enoughOf(members, k + 1);
  if (others || enough > probeCount) {
    probeCount = Math.max(probeCount, enough);
    nearest = await nearestCells(group, made, asking, probeCount, search);
  }
  return { members, centres: centres.data, probes: { count: probeCount, cells: nearest.indices } };
}

/** How many cells hold so many together, even if they are the smallest. */
function enoughOf(members: Cells["members"], wanted: number): number {
  let held = 0;
  return members.map(({ length }) => length).toSorted((a, b) => a - b).findIndex((size) => (held += size) >= wanted) +
    1;
}

/** Centres of cells, and the groups that these are put into where they are many. */
interface Centres {
  centres: Rows;
  groups?: Cells;
}

/** The nearest cells of each query, in any order, with their scores. */
async function nearestCells(
  group: KernelGroup,
  { centres, groups }: Centres,
  asking: Rows,
  count: number,
  search: { seed: number; scale: number },
): Promise<Neighbors> {
  if (!groups) return await searchAll(group, centres, asking, count, { ...search, ordered: false });
  const { dimensions } = centres;
  const middles = { data: groups.centres, count: groups.members.length, dimensions };
  const looked = Math.min(middles.count, Math.max(GROUP_PROBES, enoughOf(groups.members, count)));
  const { indices } = await searchAll(group, middles, asking, looked, { ...search, ordered: false });
  const cells = { ...groups, probes: { count: looked, cells: indices } };
  return await searchAll(group, centres, asking, count, { ...search, ordered: false, cells });
}

/** Points, row by row. */
interface Rows {
  data: Float32Array;
  count: number;
  dimensions: number;
}

interface BlockOptions {
  scale: number;
  seed: number;
  /** @default true */
  ordered?: boolean;
  onProgress?: (done: number, total: number) => void;
  /** @default some around points that are far apart, all of which are searched */
  cells?: Cells;
}

interface Cells {
  /** The candidates in each. */
  members: readonly (readonly number[])[];
  /** Row by row, not far from the members. */
  centres: Float32Array;
  /** How many cells are searched for each query, and which. */
  probes?: { count: number; cells: Int32Array };
}

/**
 * Which of equal points are candidates: of each heap of them no more than `most`, as no query has use for more. So they
 * share a cell without making the search there take the square of their number.
 *
 * @returns the first point of each heap, and all candidates, in their order
 */
function thin({ data, count, dimensions }: Rows, most: number): { distinct: Int32Array; kept: Int32Array } {
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  // −0 is 0.
  const bitsAt = (at: number) => bits[at] === -(2 ** 31) ? 0 : bits[at];
  // A hash table with open addresses: the first point of each heap, and how many there are of it.
  const mask = 2 ** Math.ceil(Math.log2(2 * count + 1)) - 1;
  const first = new Int32Array(mask + 1).fill(-1);
  const sizes = new Int32Array(mask + 1);
  const distinct = new Int32Array(count);
  const kept = new Int32Array(count);
  let [heaps, candidates] = [0, 0];
  const same = (a: number, b: number) => {
    for (let j = 0; j < dimensions; j++) if (data[a * dimensions + j] !== data[b * dimensions + j]) return false;
    return true;
  };
  for (let i = 0; i < count; i++) {
    let hash = 0;
    for (let at = i * dimensions; at < (i + 1) * dimensions; at++) {
      hash = Math.imul(hash ^ bitsAt(at), 0x01000193) ^ hash >>> 15;
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

/** Where candidates are laid out in cells. */
interface Panels {
  panels: Float32Array;
  halves: Float32Array;
  ids: Int32Array;
  starts: Int32Array;
  radii: Float64Array;
}

/** Candidates one behind the other in panels of 8, each cell in panels of its own, as seen from its centre. */
function pack({ data, dimensions }: Rows, { members, centres }: Cells, scale: number, to: Panels): void {
  to.halves.fill(Infinity);
  members.forEach((cell, c) => {
    const first = 8 * to.starts[c];
    let farthest = 0;
    cell.forEach((member, i) => {
      const place = first + i;
      let at = (place >> 3) * 8 * dimensions + (place & 7);
      let square = 0;
      for (let j = 0, row = member * dimensions, centre = c * dimensions; j < dimensions; j++, at += 8) {
        const value = (data[row + j] - centres[centre + j]) * scale;
        to.panels[at] = value;
        square += value * value;
      }
      to.halves[place] = square / 2;
      to.ids[place] = member;
      farthest = Math.max(farthest, square);
    });
    to.radii[c] = Math.sqrt(farthest) / scale;
    to.starts[c + 1] = to.starts[c] + Math.ceil(cell.length / 8);
  });
}

async function searchAll(
  group: KernelGroup,
  candidates: Rows,
  asking: Rows,
  k: number,
  { scale, seed, ordered = true, onProgress, cells }: BlockOptions,
): Promise<Neighbors> {
  const { dimensions } = candidates;
  const queryCount = asking.count;
  const itself = asking === candidates;
  const kept = ordered ? k + SPARE + Math.floor(k / 8) : k;
  const centres = cells?.centres ?? farApart(candidates, seed);
  const count = centres.length / dimensions;
  const panelCount = Math.floor(candidates.count / 8) + count;
  const layout = new Layout();
  const row = 4 * dimensions;
  const queries: Address = layout.take(row * (queryCount + 4));
  const inCells: SearchJob["cells"] = {
    count,
    starts: layout.take(4 * (count + 1)),
    centres: layout.take(row * count),
    radii: layout.take(8 * count),
    probes: cells?.probes && { count: cells.probes.count, cells: layout.take(4 * cells.probes.cells.length) },
  };
  const job: SearchJob = {
    dimensions,
    k,
    kept,
    queries,
    queryCount,
    own: itself ? 0 : ELSEWHERE,
    candidates: itself ? queries : layout.take(row * candidates.count),
    candidateCount: candidates.count,
    scale,
    panels: layout.take(8 * row * panelCount),
    halves: layout.take(32 * panelCount),
    ids: layout.take(32 * panelCount),
    panelCount,
    cells: inCells,
    ordered,
    scores: layout.take(4 * kept * (queryCount + 4)),
    indices: layout.take(4 * kept * (queryCount + 4)),
    room: layout.take(roomFor({ dimensions, kept, cells: inCells }) * group.threads),
  };
  const buffer = await group.memory(layout);
  new Float32Array(buffer, queries).set(asking.data);
  if (!itself) new Float32Array(buffer, job.candidates).set(candidates.data);
  new Float32Array(buffer, inCells.centres).set(centres);
  if (cells?.probes) new Int32Array(buffer, inCells.probes!.cells).set(cells.probes.cells);
  const ids = new Int32Array(buffer, job.ids, 8 * panelCount);
  let members = cells?.members;
  if (!members) {
    await group.run(HOMES, job);
    members = membersOf(ids.slice(0, candidates.count), count);
    new Int32Array(buffer, 0, NEXT + 1)[NEXT] = 0;
    ids.fill(0);
  }
  pack(candidates, { members, centres }, scale, {
    panels: new Float32Array(buffer, job.panels, 8 * panelCount * dimensions),
    halves: new Float32Array(buffer, job.halves, 8 * panelCount),
    ids,
    starts: new Int32Array(buffer, inCells.starts, count + 1),
    radii: new Float64Array(buffer, inCells.radii, count),
  });
  new Float32Array(buffer, job.scores, (queryCount + 4) * kept).fill(Infinity);
  let done = 0;
  await group.run(SEARCH, job, (count) => onProgress?.(done += count, queryCount));
  // Of those that were kept the nearest come first.
  const indices = new Int32Array(queryCount * k);
  const distances = new Float32Array(queryCount * k);
  for (let i = 0; i < queryCount; i++) {
    indices.set(new Int32Array(buffer, job.indices + 4 * kept * i, k), k * i);
    distances.set(new Float32Array(buffer, job.scores + 4 * kept * i, k), k * i);
  }
  return { count: queryCount, k, indices, distances };
}

/** Who is in each cell, where it is known of each in which it is. */
function membersOf(homes: Int32Array, count: number): number[][] {
  const members = Array.from({ length: count }, (): number[] => []);
  homes.forEach((home, i) => members[home].push(i));
  return members;
}

/**
 * Some of the points, near which the others are: half of them drawn, so that there are more where more points are, and
 * half as far as can be from those before, so that groups and points that lie apart have one of their own.
 */
function farApart({ data, count, dimensions }: Rows, seed: number): Float32Array {
  const random = randomStream(seed);
  const frames = Math.min(FRAMES, Math.ceil(count / FRAME));
  const sample = Array.from({ length: Math.min(count, FRAME_SAMPLE) }, () => Math.floor(random() * count));
  const centres = new Float32Array(frames * dimensions);
  const nearest = sample.map(() => Infinity);
  for (let c = 0; c < frames; c++) {
    const place = c < frames / 2 ? c : nearest.reduce((far, square, i) => square > nearest[far] ? i : far, 0);
    const row = data.subarray(sample[place] * dimensions, (sample[place] + 1) * dimensions);
    centres.set(row, c * dimensions);
    sample.forEach((point, i) => {
      let square = 0;
      for (let j = 0, at = point * dimensions; j < dimensions; j++, at++) square += (data[at] - row[j]) ** 2;
      nearest[i] = Math.min(nearest[i], square);
    });
  }
  return centres;
}

/** Some of the points that are `among` these: the first ones of a shuffle. */
function sampleOf({ data, dimensions }: Rows, among: Int32Array, size: number, seed: number): Rows {
  const random = randomStream(seed);
  const order = among.slice();
  const sample = { data: new Float32Array(size * dimensions), count: size, dimensions };
  for (let i = 0; i < size; i++) {
    const other = i + Math.floor(random() * (order.length - i));
    [order[i], order[other]] = [order[other], order[i]];
    sample.data.set(data.subarray(order[i] * dimensions, (order[i] + 1) * dimensions), i * dimensions);
  }
  return sample;
}

/** The mean of the points of each cell; of one to which nobody comes, the centre that it had. */
function meansOf(centres: Rows, sample: Rows, cells: Int32Array): void {
  const { count, dimensions } = centres;
  const sums = new Float64Array(count * dimensions);
  const sizes = new Int32Array(count);
  cells.forEach((cell, i) => {
    sizes[cell]++;
    for (let j = 0; j < dimensions; j++) sums[cell * dimensions + j] += sample.data[i * dimensions + j];
  });
  for (let i = 0; i < sums.length; i++) {
    const members = sizes[Math.floor(i / dimensions)];
    if (members > 0) centres.data[i] = sums[i] / members;
  }
}

/** Centres of cells, by Lloyd's algorithm on a sample that is in no order. */
async function centresOf(
  group: KernelGroup,
  sample: Rows,
  count: number,
  search: { seed: number; scale: number },
): Promise<Rows> {
  const { dimensions } = sample;
  const centres = { data: sample.data.slice(0, count * dimensions), count, dimensions };
  for (let round = 0; round < ROUNDS; round++) {
    const { indices } = await searchAll(group, centres, sample, 1, { ...search, ordered: false });
    meansOf(centres, sample, indices);
  }
  return centres;
}

/** Lloyd's algorithm on few points, without Workers. */
function centresOfFew(sample: Rows, count: number): Rows {
  const { data, dimensions } = sample;
  const centres = { data: data.slice(0, count * dimensions), count, dimensions };
  const cells = new Int32Array(sample.count);
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < sample.count; i++) {
      let least = Infinity;
      for (let c = 0; c < count; c++) {
        let square = 0;
        for (let j = 0; j < dimensions; j++) {
          square += (data[i * dimensions + j] - centres.data[c * dimensions + j]) ** 2;
        }
        if (square < least) [least, cells[i]] = [square, c];
      }
    }
    meansOf(centres, sample, cells);
  }
  return centres;
}

/** Centres of about `count` cells among some points; where they are many, each group of them is made of its own points. */
async function makeCentres(
  group: KernelGroup,
  points: Rows,
  among: Int32Array,
  count: number,
  search: { seed: number; scale: number },
): Promise<Centres> {
  const { dimensions } = points;
  const sample = sampleOf(points, among, Math.min(among.length, SAMPLE * count), search.seed);
  if (count <= UNGROUPED) return { centres: await centresOf(group, sample, count, search) };
  const groupCount = Math.ceil(2 * Math.sqrt(count));
  const first = {
    ...sample,
    data: sample.data.subarray(0, SAMPLE * groupCount * dimensions),
    count: SAMPLE * groupCount,
  };
  const middles = await centresOf(group, first, groupCount, search);
  const { indices } = await searchAll(group, middles, sample, 1, { ...search, ordered: false });
  const parts = membersOf(indices, groupCount).map((own) => {
    const data = new Float32Array(own.length * dimensions);
    own.forEach((i, at) => data.set(sample.data.subarray(i * dimensions, (i + 1) * dimensions), at * dimensions));
    // As many for each point of the sample as everywhere; a group without points has its middle.
    const wanted = Math.round(own.length * count / sample.count);
    return centresOfFew({ data, count: own.length, dimensions }, Math.min(own.length, Math.max(1, wanted)));
  });
  const centres = {
    data: new Float32Array(dimensions * parts.reduce((sum, { count }) => sum + count, 0)),
    count: 0,
    dimensions,
  };
  const members = parts.map(({ data, count }) => {
    centres.data.set(data, centres.count * dimensions);
    centres.count += count;
    return Array.from({ length: count }, (_, i) => centres.count - count + i);
  });
  return { centres, groups: { members, centres: middles.data } };
}
