/**
 * Points put on a grid, each in a cell of its own, so that all of them together move as little as possible.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { throwIfInterrupted } from "../interrupt.ts";

/** A grid of cells, row by row from the top left. */
export interface GridShape {
  rows: number;
  columns: number;
}

/** Where points stand on a grid. */
export interface Assignment extends GridShape {
  /** The point in each cell, or −1. `[rows × columns]` */
  readonly cells: Int32Array;
  /**
   * The mean square of the way from each point to its cell, in cells; of the points that have one.
   */
  readonly cost: number;
}

/** Up to this number of points the best assignment is found. */
export const OPTIMAL = 2500;
/** Of more, neighbouring cells are reassigned: how many at a time, and how many times over. */
const WINDOW = 16;
const ROUNDS = 6;

/**
 * Finds the assignment of rows to columns with the least sum of costs: shortest augmenting paths with potentials
 * (Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
 * with its column reduction, and its augmenting row reduction for a bounded number of steps).
 *
 * @param cost `[rows, columns]`, finite, at least as many columns as rows
 * @returns the column of each row
 */
export function assign({ data, shape: [rows, columns] }: NdArrayLike): Int32Array {
  if (columns < rows) throw new RangeError(`${rows} rows want at least as many columns: received ${columns}.`);
  const rowOf = new Int32Array(columns).fill(-1);
  const columnOf = new Int32Array(rows).fill(-1);
  const potential = new Float64Array(columns);
  // Rows whose cheapest column is free take it; with as many columns as rows, each column goes down to its least cost
  // first, from the last one on.
  if (columns === rows) {
    for (let c = columns - 1; c >= 0; c--) {
      throwIfInterrupted();
      let least = 0;
      for (let r = 1; r < rows; r++) if (data[r * columns + c] < data[least * columns + c]) least = r;
      potential[c] = data[least * columns + c];
      if (columnOf[least] < 0) {
        columnOf[least] = c;
        rowOf[c] = least;
      }
    }
  }
  bid(data, columns, { rowOf, columnOf, potential });
  const distance = new Float64Array(columns);
  const from = new Int32Array(columns);
  // Columns in three parts: those settled, those as near as the last one settled, the others.
  const order = new Int32Array(columns).map((_, c) => c);
  for (let free = 0; free < rows; free++) {
    if (columnOf[free] >= 0) continue;
    throwIfInterrupted();
    for (let c = 0; c < columns; c++) {
      distance[c] = data[free * columns + c] - potential[c];
      from[c] = free;
    }
    let settled = 0;
    let near = 0;
    let least = 0;
    let end = -1;
    let ready = 0;
    while (end < 0) {
      if (settled === near) {
        // None is left at this distance: go on to the next.
        ready = settled;
        least = distance[order[near]];
        for (let p = near; p < columns; p++) {
          const c = order[p];
          if (distance[c] > least) continue;
          if (distance[c] < least) {
            near = settled;
            least = distance[c];
          }
          order[p] = order[near];
          order[near++] = c;
        }
        for (let p = settled; p < near && end < 0; p++) if (rowOf[order[p]] < 0) end = order[p];
        if (end >= 0) break;
      }
      const c = order[settled++];
      const row = rowOf[c];
      const base = row * columns;
      const back = data[base + c] - potential[c] - least;
      for (let p = near; p < columns; p++) {
        const other = order[p];
        const way = data[base + other] - potential[other] - back;
        if (way >= distance[other]) continue;
        distance[other] = way;
        from[other] = row;
        if (way > least) continue;
        if (rowOf[other] < 0) {
          end = other;
          break;
        }
        order[p] = order[near];
        order[near++] = other;
      }
    }
    for (let p = 0; p < ready; p++) potential[order[p]] += distance[order[p]] - least;
    for (let c = end, row = -1; row !== free; [columnOf[row], c] = [c, columnOf[row]]) {
      row = from[c];
      rowOf[c] = row;
    }
  }
  return columnOf;
}

/** Steps of the augmenting row reduction for each row. */
const BIDS = 20;

/**
 * Augmenting row reduction: each free row takes its cheapest column and lowers that column's potential to where its
 * second cheapest would do as well; whoever had the column is free again, and next.
 */
function bid(
  data: Float32Array,
  columns: number,
  { rowOf, columnOf, potential }: { rowOf: Int32Array; columnOf: Int32Array; potential: Float64Array },
): void {
  if (columns < 2) return;
  const free: number[] = [];
  columnOf.forEach((column, row) => column < 0 && free.push(row));
  let left = BIDS * columnOf.length;
  for (let round = 0; round < 2; round++) {
    const waiting = free.splice(0).reverse();
    while (waiting.length > 0) {
      throwIfInterrupted();
      const row = waiting.pop()!;
      if (left-- <= 0) {
        free.push(row);
        continue;
      }
      const base = row * columns;
      let least = Infinity;
      let second = Infinity;
      let best = -1;
      let next = -1;
      for (let c = 0; c < columns; c++) {
        const cost = data[base + c] - potential[c];
        if (cost >= second) continue;
        if (cost >= least) {
          second = cost;
          next = c;
        } else {
          second = least;
          next = best;
          least = cost;
          best = c;
        }
      }
      const lowered = potential[best] - (second - least);
      const lower = lowered < potential[best];
      if (lower) potential[best] = lowered;
      else if (rowOf[best] >= 0) best = next;
      const before = rowOf[best];
      rowOf[best] = row;
      columnOf[row] = best;
      if (before < 0) continue;
      columnOf[before] = -1;
      // Where nothing was lowered, the two would take turns for ever.
      (lower ? waiting : free).push(before);
    }
  }
}

/** Points moved and stretched onto a grid: the first two coordinates, in cells, y downwards. */
function onto(points: NdArrayLike, { rows, columns }: GridShape): { x: Float64Array; y: Float64Array } {
  const [count, dimensions] = points.shape;
  const coordinate = (axis: number, length: number, sign: number) => {
    const values = Float64Array.from({ length: count }, (_, i) => sign * points.data[i * dimensions + axis]);
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return values.map((value) => high > low ? (value - low) / (high - low) * length : length / 2);
  };
  return { x: coordinate(0, columns, 1), y: coordinate(1, rows, -1) };
}

interface Layout extends GridShape {
  x: Float64Array;
  y: Float64Array;
}

/** The square of the way from a point to the middle of a cell. */
function way({ x, y, columns }: Layout, point: number, cell: number): number {
  const across = x[point] - (cell % columns) - 0.5;
  const down = y[point] - Math.floor(cell / columns) - 0.5;
  return across * across + down * down;
}

function finish(layout: Layout, cells: Int32Array): Assignment {
  let sum = 0;
  let count = 0;
  cells.forEach((point, cell) => {
    if (point < 0) return;
    sum += way(layout, point, cell);
    count++;
  });
  return { rows: layout.rows, columns: layout.columns, cells, cost: count ? sum / count : 0 };
}

/** The best places for these points in these cells, of which there are at least as many. */
function place(layout: Layout, points: ArrayLike<number>, into: ArrayLike<number>): Int32Array {
  const data = new Float32Array(points.length * into.length);
  for (let r = 0, at = 0; r < points.length; r++) {
    for (let c = 0; c < into.length; c++, at++) data[at] = way(layout, points[r], into[c]);
  }
  return assign({ data, shape: [points.length, into.length] });
}

/**
 * A start for many points: the grid is halved again and again, across its longer side, and the points with it, in the
 * order of that coordinate.
 */
function halve(layout: Layout): Int32Array {
  const { rows, columns, x, y } = layout;
  const cells = new Int32Array(rows * columns).fill(-1);
  const split = (points: Int32Array, top: number, left: number, height: number, width: number) => {
    if (points.length === 0) return;
    if (height * width === 1) {
      cells[top * columns + left] = points[0];
      return;
    }
    const across = width >= height;
    const along = across ? x : y;
    points.sort((a, b) => along[a] - along[b] || a - b);
    const half = Math.floor((across ? width : height) / 2);
    const share = half / (across ? width : height);
    const room = height * width * share;
    const rest = height * width - room;
    // In proportion to the room, as far as it reaches.
    const first = Math.max(points.length - rest, Math.min(room, Math.round(points.length * share)));
    const [a, b] = [points.slice(0, first), points.slice(first)];
    if (across) {
      split(a, top, left, height, half);
      split(b, top, left + half, height, width - half);
    } else {
      split(a, top, left, half, width);
      split(b, top + half, left, height - half, width);
    }
  };
  split(new Int32Array(x.length).map((_, i) => i), 0, 0, rows, columns);
  return cells;
}

/** Sorts the points in windows of the grid out, one window after the other; returns whether a point has moved. */
function improve(layout: Layout, cells: Int32Array, shift: number): boolean {
  const { rows, columns } = layout;
  let moved = false;
  for (let top = -shift; top < rows; top += WINDOW) {
    for (let left = -shift; left < columns; left += WINDOW) {
      const inside: number[] = [];
      for (let r = Math.max(0, top); r < Math.min(rows, top + WINDOW); r++) {
        for (let c = Math.max(0, left); c < Math.min(columns, left + WINDOW); c++) inside.push(r * columns + c);
      }
      const points = inside.map((cell) => cells[cell]).filter((point) => point >= 0);
      if (points.length === 0 || inside.length < 2) continue;
      const before = inside.map((cell) => cells[cell]);
      const places = place(layout, points, inside);
      for (const cell of inside) cells[cell] = -1;
      places.forEach((at, i) => cells[inside[at]] = points[i]);
      moved ||= inside.some((cell, i) => cells[cell] !== before[i]);
    }
  }
  return moved;
}

export interface GridOptions {
  /**
   * How many cells stand side by side.
   * @default as many as rows
   */
  columns?: number;
  /** @default 2500 */
  optimal?: number;
}

function gridFor(count: number, columns: number): GridShape {
  return { rows: Math.ceil(count / columns), columns };
}

/**
 * Puts points into the cells of a grid, one a cell, with the least sum of squared ways: the best of all assignments up to
 * 2,500 points. More are first put in place by halving the grid and the points again and again; then windows of 16 × 16
 * cells are each brought into their best order, several times over, with windows that overlap.
 *
 * @param points `[n, 2]` or more, of which the first two coordinates count
 */
export function assignToGrid(points: NdArrayLike, { columns, optimal = OPTIMAL }: GridOptions = {}): Assignment {
  const [count] = points.shape;
  const grid = gridFor(count, columns ?? Math.ceil(Math.sqrt(count)));
  const layout = { ...grid, ...onto(points, grid) };
  if (count <= optimal) {
    const all = Int32Array.from({ length: count }, (_, i) => i);
    const cells = new Int32Array(grid.rows * grid.columns).fill(-1);
    place(layout, all, Int32Array.from({ length: cells.length }, (_, i) => i)).forEach((cell, i) => cells[cell] = i);
    return finish(layout, cells);
  }
  const cells = halve(layout);
  for (let round = 0; round < ROUNDS; round++) {
    const moved = improve(layout, cells, 0);
    if (!improve(layout, cells, WINDOW / 2) && !moved) break;
  }
  return finish(layout, cells);
}

/**
 * Puts into each cell of a grid the point that is nearest to its middle among those that lie in it; other points are left
 * out, and cells without a point stay empty.
 *
 * The grid is square.
 *
 * @param options.columns @default the number that gives as many cells as points
 */
export function nearestOnGrid(points: NdArrayLike, { columns }: Pick<GridOptions, "columns"> = {}): Assignment {
  const [count] = points.shape;
  const side = gridFor(count, columns ?? Math.ceil(Math.sqrt(count))).columns;
  const grid = { rows: side, columns: side };
  const layout = { ...grid, ...onto(points, grid) };
  const cells = new Int32Array(grid.rows * grid.columns).fill(-1);
  for (let i = 0; i < count; i++) {
    const column = Math.min(grid.columns - 1, Math.floor(layout.x[i]));
    const row = Math.min(grid.rows - 1, Math.floor(layout.y[i]));
    const cell = row * grid.columns + column;
    if (cells[cell] < 0 || way(layout, i, cell) < way(layout, cells[cell], cell)) cells[cell] = i;
  }
  return finish(layout, cells);
}
