/**
 * Search for nearest neighbours, as each Worker of a group runs it.
 *
 * @module
 */

import type { Address } from "../workers/layout.ts";
import type { Report } from "../workers/protocol.ts";
import type { KernelFunction, KernelMember } from "./kernels/kernels.ts";

/** Where everything stands in the shared memory. */
export interface SearchJob {
  dimensions: number;
  k: number;
  /** Queries as rows, with four more behind them that nobody asks for. */
  queries: Address;
  queryCount: number;
  /** Query i is the candidate `own + i`; far below 0 where queries are no candidates. */
  own: number;
  /** Candidates as rows: the queries themselves, where these are candidates. */
  candidates: Address;
  /** Candidates in panels of 8, half the squared length of each, and who each is. */
  panels: Address;
  halves: Address;
  ids: Address;
  panelCount: number;
  /** Where candidates stand in cells, and each query looks only into some of them. */
  cells?: {
    count: number;
    /** The first panel of each cell, and the end of the last. */
    starts: Address;
    /** How many cells are searched for each query. */
    probes: Address;
    probeCount: number;
  };
  /** Whether the neighbours are wanted in their order, with their distances; otherwise any order, and scores. */
  ordered: boolean;
  /** For each query, and four more, k numbers: in the end its distances and its neighbours, the nearest first. */
  scores: Address;
  indices: Address;
  /** Scratch memory of each Worker, {@linkcode roomFor} bytes. */
  room: Address;
}

/** The place of the counter that hands out blocks of queries. */
export const NEXT = 2;

/** Queries that are searched together, so that candidates are read from memory but once for them. */
const BLOCK = 128;
const BLOCK_IN_CELLS = 2048;
/** Candidates that stay in the cache meanwhile, in numbers. */
const CACHED = 8192;

/** What a Worker needs to list queries, in bytes. */
export function roomFor(cells?: { count: number; probeCount: number }): number {
  return 128 + 4 * (cells ? BLOCK_IN_CELLS * cells.probeCount + 4 * cells.count : BLOCK);
}

/**
 * Searches. Which Worker takes which block changes nothing in the result.
 *
 * @param report called with how many more queries have their neighbours
 */
export function search(member: KernelMember, job: SearchJob, report: Report<number>): void {
  const { kernels, thread, memory: { buffer } } = member;
  const { queries, queryCount, own, panels, halves, ids, panelCount, dimensions, k, cells } = job;
  const next = new Int32Array(buffer, 0, NEXT + 1);
  const room = job.room + Math.ceil(roomFor(cells) / 128) * 128 * thread;
  const list = new Int32Array(buffer, room + 128, (roomFor(cells) - 128) / 4);
  const scores = new Float32Array(buffer, job.scores, queryCount * k);
  const indices = new Int32Array(buffer, job.indices, queryCount * k);

  /** Lists the queries from `at` on, up to a multiple of 4, and offers some panels to them. */
  const offer = (at: number, listed: number, first: number, last: number) => {
    const address = list.byteOffset + 4 * at;
    // deno-fmt-ignore
    kernels.nearest(queries, dimensions, address, listed, own, panels, halves, ids, first, last, k, job.scores, job.indices, room);
  };
  /** Fills a list up with the queries that nobody asks for. */
  const fill = (end: number) => {
    for (let spare = 0; end % 4 > 0; spare++) list[end++] = queryCount + spare;
    return end;
  };

  const everywhere = (from: number, to: number) => {
    for (let query = from; query < to; query++) list[query - from] = query;
    const listed = fill(to - from);
    const together = Math.max(1, Math.floor(CACHED / (8 * dimensions)));
    for (let first = 0; first < panelCount; first += together) {
      offer(0, listed, first, Math.min(panelCount, first + together));
    }
  };
  const inCells = (
    { count, starts, probes, probeCount }: NonNullable<SearchJob["cells"]>,
    from: number,
    to: number,
  ) => {
    const firsts = new Int32Array(buffer, starts, count + 1);
    const looked = new Int32Array(buffer, probes, queryCount * probeCount).subarray(from * probeCount, to * probeCount);
    const ends = new Int32Array(count + 1);
    for (const cell of looked) ends[cell + 1]++;
    for (let cell = 0; cell < count; cell++) ends[cell + 1] = ends[cell] + 4 * Math.ceil(ends[cell + 1] / 4);
    const begins = ends.slice();
    looked.forEach((cell, i) => list[begins[cell]++] = from + Math.floor(i / probeCount));
    for (let cell = 0; cell < count; cell++) {
      fill(begins[cell]);
      if (ends[cell + 1] > ends[cell]) offer(ends[cell], ends[cell + 1] - ends[cell], firsts[cell], firsts[cell + 1]);
    }
  };

  /** The neighbours of a query in their order, with their distances. */
  const order = (query: number) => {
    const first = query * k;
    const [score, index] = [job.scores + 4 * first, job.indices + 4 * first];
    kernels.sort(score, index, k);
    kernels.squares(queries + 4 * dimensions * query, job.candidates, dimensions, score, index, k);
    // By these only near ones can change places.
    for (let j = first + 1; j < first + k; j++) {
      const [square, index] = [scores[j], indices[j]];
      let place = j;
      for (; place > first; place--) {
        const before = scores[place - 1];
        if (before < square || (before === square && indices[place - 1] < index)) break;
        scores[place] = before;
        indices[place] = indices[place - 1];
      }
      scores[place] = square;
      indices[place] = index;
    }
    for (let j = first; j < first + k; j++) scores[j] = Math.sqrt(scores[j]);
  };

  const block = cells ? BLOCK_IN_CELLS : BLOCK;
  for (;;) {
    member.goOn();
    const from = block * Atomics.add(next, NEXT, 1);
    if (from >= queryCount) return;
    const to = Math.min(queryCount, from + block);
    if (cells) inCells(cells, from, to);
    else everywhere(from, to);
    if (job.ordered) { for (let query = from; query < to; query++) order(query); }
    report(to - from);
  }
}

export const SEARCH: KernelFunction<SearchJob, number> = { module: import.meta.url, run: search };
