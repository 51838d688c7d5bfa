/**
 * Search for nearest neighbours, as each Worker of a group runs it.
 *
 * A candidate is compared by a score in 32 bits, from where its cell's centre is: quick, but where near points lie far
 * from that centre, their difference is lost in rounding. So a few more than k are kept, the distances of these are
 * computed in 64 bits, and the largest error of their scores is seen. A query for which a candidate that was not kept
 * could have been nearer, within four times that error, is searched again in 64 bits, without the cells that lie
 * farther away than its neighbours.
 *
 * @module
 */

import { type Address, Layout } from "../workers/layout.ts";
import type { Report } from "../workers/protocol.ts";
import type { KernelFunction, KernelMember } from "./kernels/kernels.ts";

/** Where everything stands in the shared memory. */
export interface SearchJob {
  dimensions: number;
  k: number;
  /** How many are kept by their score: k, and those to spare. */
  kept: number;
  /** Queries as rows, with four more behind them that nobody asks for. */
  queries: Address;
  queryCount: number;
  /** Query i is the candidate `own + i`; far below 0 where queries are no candidates. */
  own: number;
  /** Candidates as rows: the queries themselves, where these are candidates. */
  candidates: Address;
  candidateCount: number;
  /** Factor between points and panels, a power of 2. */
  scale: number;
  /** Candidates in panels of 8 as seen from their cell's centre, half the squared length of each, and who each is. */
  panels: Address;
  halves: Address;
  ids: Address;
  panelCount: number;
  cells: {
    count: number;
    /** The first panel of each cell, and the end of the last. */
    starts: Address;
    /** The centre of each as a row, and how far from it its candidates are at most, in 64 bits. */
    centres: Address;
    radii: Address;
    /** How many cells are searched for each query, if not all of them. */
    probes?: { count: number; cells: Address };
  };
  /** Whether the neighbours are wanted in their order, with their distances; otherwise any order, and scores. */
  ordered: boolean;
  /** For each query, and four more, numbers for those that are kept: in the end the nearest come first. */
  scores: Address;
  indices: Address;
  /** Scratch memory of each Worker, {@linkcode roomFor} bytes. */
  room: Address;
}

/** What a search takes scratch memory for. */
type Size = Pick<SearchJob, "dimensions" | "kept"> & { cells: Pick<SearchJob["cells"], "count" | "probes"> };

/** The place of the counter that hands out blocks of queries. */
export const NEXT = 2;

/** Queries that are searched together, so that candidates are read from memory but once for them. */
const BLOCK = 128;
const BLOCK_IN_CELLS = 2048;
/** In cells, at least one for each of these: with 40 probes, 40 queries look into a cell on average. */
const blockIn = (cells: number) => Math.max(BLOCK_IN_CELLS, cells);
/** Candidates that stay in the cache meanwhile, and queries as they are seen from a centre, in numbers. */
const CACHED = 8192;
const SEEN = 2 ** 18;
/** Distances that are computed at once in 64 bits, at least. */
const DISTANCES = 1024;
/** The scores of those that were not kept are off by no more than so many times the largest error of those that were. */
const CERTAIN = 4;
/** Of distances that are compared, rounding is this share at most. */
const NEGLIGIBLE = 1e-9;
/** Where many are exactly as far as the k-th, any of them will do if the scores are as exact as this. */
const EXACT = 2 ** -14;

/** Where each part of a Worker's scratch memory begins, from its start, and how large it is all in all. */
function roomOf({ dimensions, kept, cells: { count, probes } }: Size) {
  /** Queries that are seen from a centre together. */
  const together = Math.min(BLOCK, 4 * Math.max(1, Math.floor(SEEN / (4 * dimensions))));
  const layout = new Layout();
  const squares = layout.take(8 * Math.max(DISTANCES, kept, count));
  const lengths = layout.take(4 * together);
  const seen = layout.take(4 * together * dimensions);
  const listLength = probes ? blockIn(count) * probes.count + 4 * count : Math.max(BLOCK, count);
  const list = layout.take(4 * listLength);
  return { together, squares, lengths, seen, list, listLength, bytes: layout.bytes };
}

/** How much scratch memory a Worker needs, in bytes. */
export function roomFor(size: Size): number {
  return roomOf(size).bytes;
}

/** What a Worker has before it: the job, its own memory, and views of both. */
function deskOf({ kernels, thread, memory: { buffer } }: KernelMember, job: SearchJob) {
  const { kept, queryCount, panelCount, cells: { count, starts, radii, probes } } = job;
  const room = roomOf(job);
  const own = job.room + room.bytes * thread;
  return {
    ...job,
    kernels,
    room: own,
    together: room.together,
    seenAt: own + room.seen,
    lengthsAt: own + room.lengths,
    squaresAt: own + room.squares,
    listAt: own + room.list,
    list: new Int32Array(buffer, own + room.list, room.listLength),
    squares: new Float64Array(buffer, own + room.squares, Math.max(DISTANCES, kept, count)),
    next: new Int32Array(buffer, 0, NEXT + 1),
    who: new Int32Array(buffer, job.ids, 8 * panelCount),
    halfSquares: new Float32Array(buffer, job.halves, 8 * panelCount),
    starts: new Int32Array(buffer, starts, count + 1),
    radii: new Float64Array(buffer, radii, count),
    probes: probes && new Int32Array(buffer, probes.cells, queryCount * probes.count),
    scored: new Float32Array(buffer, job.scores, queryCount * kept),
    found: new Int32Array(buffer, job.indices, queryCount * kept),
    /** Of one query those that are nearest, in their order, and their squared distances. */
    best: new Int32Array(kept),
    nearest: new Float64Array(kept),
  };
}

type Desk = ReturnType<typeof deskOf>;

/** Goes through numbers up to `count`, of which each Worker takes the next. */
function each(member: KernelMember, { next }: Desk, count: number, run: (i: number) => void): void {
  for (;;) {
    member.goOn();
    const i = Atomics.add(next, NEXT, 1);
    if (i >= count) return;
    run(i);
  }
}

/** Finds for each candidate the nearest centre, in 64 bits: the cell is written where its place will be. */
export function findHomes(member: KernelMember, job: SearchJob): void {
  const desk = deskOf(member, job);
  const { kernels, candidates, dimensions, squares, squaresAt, listAt, cells: { count, centres } } = desk;
  listCells(desk);
  each(member, desk, Math.ceil(job.candidateCount / BLOCK), (block) => {
    for (let i = BLOCK * block; i < Math.min(job.candidateCount, BLOCK * (block + 1)); i++) {
      kernels.squares(candidates + 4 * dimensions * i, centres, dimensions, listAt, count, squaresAt);
      let home = 0;
      for (let cell = 1; cell < count; cell++) if (squares[cell] < squares[home]) home = cell;
      desk.who[i] = home;
    }
  });
}

/**
 * Searches. Which Worker takes which block changes nothing in the result.
 *
 * @param report called with how many more queries have their neighbours
 */
export function search(member: KernelMember, job: SearchJob, report: Report<number>): void {
  const desk = deskOf(member, job);
  const blocks = blocksOf(desk);
  each(member, desk, blocks.length, (i) => {
    const { from, to, home } = blocks[i];
    const queries = home === undefined
      ? new Int32Array(to - from).map((_, i) => from + i)
      : desk.who.slice(from, to).filter((_, i) => desk.halfSquares[from + i] < Infinity);
    if (desk.probes) offerProbed(desk, from, to);
    else offerAll(desk, queries, home);
    if (job.ordered) { for (const query of queries) chooseNearest(desk, query); }
    report(queries.length);
  });
}

/** Queries that are searched for together; places in the panels, where they are the candidates of a cell. */
interface Block {
  from: number;
  to: number;
  home?: number;
}

/** Queries that are candidates are taken cell by cell: what is near one is near the others, too. */
function blocksOf({ own, probes, queryCount, starts, cells: { count } }: Desk): Block[] {
  const blocks: Block[] = [];
  const cut = (begin: number, end: number, size: number, home?: number) => {
    for (let from = begin; from < end; from += size) blocks.push({ from, to: Math.min(end, from + size), home });
  };
  if (probes || own !== 0) cut(0, queryCount, probes ? blockIn(count) : BLOCK);
  else for (let home = 0; home < count; home++) cut(8 * starts[home], 8 * starts[home + 1], BLOCK, home);
  return blocks;
}

export const HOMES: KernelFunction<SearchJob, never> = { module: import.meta.url, run: findHomes };
export const SEARCH: KernelFunction<SearchJob, number> = { module: import.meta.url, run: search };

/** Offers to some queries all candidates, but for those cells that lie farther from their home than what they have found. */
function offerAll(desk: Desk, queries: Int32Array, home?: number): void {
  const { dimensions, kept, scored, scale, squares, cells: { count, centres } } = desk;
  const away = new Float64Array(count);
  if (home !== undefined) {
    listCells(desk);
    desk.kernels.squares(centres + 4 * dimensions * home, centres, dimensions, desk.listAt, count, desk.squaresAt);
    away.set(squares.subarray(0, count).map((square) => Math.sqrt(square)));
    away.forEach((distance, cell) => away[cell] = distance * (1 - NEGLIGIBLE) - desk.radii[home] - desk.radii[cell]);
    away[home] = -Infinity;
  }
  desk.list.set(queries);
  const listed = fill(desk, queries.length);
  for (const cell of Array.from(away.keys()).sort((a, b) => away[a] - away[b])) {
    if (away[cell] > 0) {
      const worst = queries.reduce((most, query) => Math.max(most, scored[query * kept]), 0);
      if (away[cell] > Math.sqrt(2 * worst) / scale) continue;
    }
    offerCell(desk, cell, 0, listed);
  }
}

/** Offers the candidates of those cells that each of some queries looks into. */
function offerProbed(desk: Desk, from: number, to: number): void {
  const { list, cells: { count } } = desk;
  const probes = desk.cells.probes!.count;
  const looked = desk.probes!.subarray(from * probes, to * probes);
  const ends = new Int32Array(count + 1);
  for (const cell of looked) ends[cell + 1]++;
  for (let cell = 0; cell < count; cell++) ends[cell + 1] = ends[cell] + 4 * Math.ceil(ends[cell + 1] / 4);
  const begins = ends.slice();
  looked.forEach((cell, i) => list[begins[cell]++] = from + Math.floor(i / probes));
  for (let cell = 0; cell < count; cell++) {
    fill(desk, begins[cell]);
    offerCell(desk, cell, ends[cell], ends[cell + 1]);
  }
}

/** Fills a list up to a multiple of 4 with the queries that nobody asks for. */
function fill({ list, queryCount }: Desk, end: number): number {
  for (let spare = 0; end % 4 > 0; spare++) list[end++] = queryCount + spare;
  return end;
}

/** Offers the candidates of a cell to the queries at the places of the list from one to another. */
function offerCell(desk: Desk, cell: number, from: number, to: number): void {
  const { kernels, dimensions, queries, own, panels, halves, ids, kept, scores, indices, room, seenAt, lengthsAt } =
    desk;
  const centre = desk.cells.centres + 4 * dimensions * cell;
  const atOnce = Math.max(1, Math.floor(CACHED / (8 * dimensions)));
  const [begin, end] = [desk.starts[cell], desk.starts[cell + 1]];
  for (let at = from; at < to && begin < end; at += desk.together) {
    const list = desk.listAt + 4 * at;
    const listed = Math.min(desk.together, to - at);
    kernels.frame(queries, dimensions, list, listed, centre, desk.scale, seenAt, lengthsAt);
    for (let first = begin; first < end; first += atOnce) {
      const last = Math.min(end, first + atOnce);
      // deno-fmt-ignore
      kernels.nearest(seenAt, lengthsAt, dimensions, list, listed, own, panels, halves, ids, first, last, kept, scores, indices, room);
    }
  }
}

/** Puts the neighbours of a query in their order, with their distances in 64 bits. */
function chooseNearest(desk: Desk, query: number): void {
  const { kernels, k, kept, scores, indices, scored, found } = desk;
  const first = query * kept;
  kernels.sort(scores + 4 * first, indices + 4 * first, kept);
  measure(desk, query, desk.candidates, indices + 4 * first, kept);
  let error = 0;
  let count = 0;
  // Fewer candidates than can be kept leave places free.
  for (; count < kept && scored[first + count] < Infinity; count++) {
    error = Math.max(error, Math.abs(scored[first + count] - desk.squares[count] * desk.scale ** 2 / 2));
    insert(desk, count, desk.squares[count], found[first + count]);
  }
  if (count === kept && !certain(desk, scored[first + kept - 1] - CERTAIN * error, CERTAIN * error)) {
    searchAgain(desk, query);
  }
  for (let j = 0; j < k; j++) {
    scored[first + j] = Math.sqrt(desk.nearest[j]);
    found[first + j] = desk.best[j];
  }
}

/** Whether no candidate whose score is `least` or more can be nearer than the k-th. */
function certain({ k, kept, nearest, scale }: Desk, least: number, error: number): boolean {
  const reach = nearest[k - 1] * scale ** 2 / 2;
  return least >= reach || reach === 0 || (nearest[kept - 1] === nearest[k - 1] && error <= EXACT * reach);
}

/** Finds the k nearest by their distances alone, in those cells where they can be. */
function searchAgain(desk: Desk, query: number): void {
  const { k, own, ids, cells: { count, centres, probes }, starts, who, squares, nearest } = desk;
  listCells(desk);
  measure(desk, query, centres, desk.listAt, count);
  const away = Array.from(squares.subarray(0, count), Math.sqrt);
  const looked = probes ? desk.probes!.subarray(query * probes.count, (query + 1) * probes.count) : away.keys();
  let found = 0;
  for (const cell of Array.from(looked).sort((a, b) => away[a] - away[b])) {
    // But for rounding, no point of it is nearer than this.
    if (found === k && away[cell] * (1 - NEGLIGIBLE) - desk.radii[cell] > Math.sqrt(nearest[k - 1])) continue;
    const end = 8 * starts[cell + 1];
    for (let from = 8 * starts[cell]; from < end; from += DISTANCES) {
      const listed = Math.min(DISTANCES, end - from);
      measure(desk, query, desk.candidates, ids + 4 * from, listed);
      for (let i = 0; i < listed; i++) {
        if (found === k && squares[i] > nearest[k - 1]) continue;
        if (who[from + i] === own + query || desk.halfSquares[from + i] === Infinity) continue;
        insert(desk, found, squares[i], who[from + i]);
        found = Math.min(k, found + 1);
      }
    }
  }
}

/** The squared distances of listed candidates, or centres, from a query. */
function measure(
  { kernels, queries, dimensions, squaresAt }: Desk,
  query: number,
  rows: Address,
  list: Address,
  listed: number,
): void {
  kernels.squares(queries + 4 * dimensions * query, rows, dimensions, list, listed, squaresAt);
}

function listCells({ list, cells: { count } }: Desk): void {
  for (let cell = 0; cell < count; cell++) list[cell] = cell;
}

/** Puts a candidate into its place among the `count` nearest; of equal ones the first comes first. What is too much falls off the end. */
function insert({ nearest, best }: Desk, count: number, square: number, index: number): void {
  let place = Math.min(count, nearest.length - 1);
  for (; place > 0; place--) {
    const before = nearest[place - 1];
    if (before < square || (before === square && best[place - 1] < index)) break;
    nearest[place] = before;
    best[place] = best[place - 1];
  }
  nearest[place] = square;
  best[place] = index;
}
