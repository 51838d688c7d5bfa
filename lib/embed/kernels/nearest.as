// Exact nearest neighbours, by brute force.
//
// Candidates stand in panels of 8: for each dimension the 8 numbers of 8 points, one behind the other. Queries are
// plain rows. A candidate's score for a query is half its squared length minus the product of the two: smaller is nearer.

// Puts a candidate on top of a heap of k, in the place of the farthest, and lets it sink: the farthest is on top again.
function sink(scores: usize, indices: usize, k: i32, score: f32, index: i32): void {
  let hole = 0;
  for (;;) {
    let child = 2 * hole + 1;
    if (child >= k) break;
    let greatest = load<f32>(scores + (<usize>child << 2));
    if (child + 1 < k) {
      const other = load<f32>(scores + (<usize>child << 2), 4);
      if (other > greatest) {
        greatest = other;
        child++;
      }
    }
    if (greatest <= score) break;
    store<f32>(scores + (<usize>hole << 2), greatest);
    store<i32>(indices + (<usize>hole << 2), load<i32>(indices + (<usize>child << 2)));
    hole = child;
  }
  store<f32>(scores + (<usize>hole << 2), score);
  store<i32>(indices + (<usize>hole << 2), index);
}

/**
 * Replaces the scores of one query by the squared distances from it: without the cancellation of the scores, for which
 * near points far from 0 are all the same.
 */
export function squares(
  query: usize,
  candidates: usize,
  dimensions: i32,
  scores: usize,
  indices: usize,
  k: i32,
): void {
  const row = <usize>dimensions << 2;
  const fours = row & ~15;
  for (let j: usize = 0; j < <usize>k << 2; j += 4) {
    const candidate = candidates + <usize>load<i32>(indices + j) * row;
    let sum = f32x4.splat(0);
    for (let o: usize = 0; o < fours; o += 16) {
      const difference = f32x4.sub(v128.load(query + o), v128.load(candidate + o));
      sum = f32x4.add(sum, f32x4.mul(difference, difference));
    }
    let square = (f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1)) +
      (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
    for (let o = fours; o < row; o += 4) {
      const difference = load<f32>(query + o) - load<f32>(candidate + o);
      square += difference * difference;
    }
    store<f32>(scores + j, square);
  }
}

/** Sorts the heap of one query, the nearest first. */
export function sort(scores: usize, indices: usize, k: i32): void {
  for (let last = k - 1; last > 0; last--) {
    const at = <usize>last << 2;
    const score = load<f32>(scores + at);
    const index = load<i32>(indices + at);
    store<f32>(scores + at, load<f32>(scores));
    store<i32>(indices + at, load<i32>(indices));
    sink(scores, indices, last, score, index);
  }
}

// Offers the 8 candidates of a panel to a query; `room` takes 32 bytes, `ids` says who they are.
// @ts-ignore: decorator
@inline
function offer(low: v128, high: v128, ids: usize, own: i32, k: i32, scores: usize, indices: usize, room: usize): void {
  const worst = v128.load32_splat(scores);
  if (!v128.any_true(v128.or(f32x4.lt(low, worst), f32x4.lt(high, worst)))) return;
  v128.store(room, low);
  v128.store(room, high, 16);
  for (let lane: usize = 0; lane < 32; lane += 4) {
    const score = load<f32>(room + lane);
    const id = load<i32>(ids + lane);
    if (score < load<f32>(scores) && id != own) sink(scores, indices, k, score, id);
  }
}

// @ts-ignore: decorator
@inline
function entry(list: usize, i: usize): usize {
  return <usize>load<i32>(list + i);
}

/**
 * Offers the panels `first` to `last` to the queries of a list, a multiple of 4 of them, all different.
 *
 * `halves` holds half the squared length of each candidate, infinite for those that only fill a panel, and `ids` who they
 * are. `scores` and `indices` hold k numbers a query, the scores infinite at the start. Query i is the candidate
 * `own + i`, which is not its own neighbour.
 */
export function nearest(
  queries: usize,
  dimensions: i32,
  list: usize,
  listed: i32,
  own: i32,
  panels: usize,
  halves: usize,
  ids: usize,
  first: i32,
  last: i32,
  k: i32,
  scores: usize,
  indices: usize,
  room: usize,
): void {
  const row = <usize>dimensions << 2;
  const bytes = <usize>k << 2;
  const end = list + (<usize>listed << 2);
  for (let at = list; at < end; at += 16) {
    const i0 = entry(at, 0), i1 = entry(at, 4), i2 = entry(at, 8), i3 = entry(at, 12);
    const q0 = queries + i0 * row;
    const q1 = queries + i1 * row - q0, q2 = queries + i2 * row - q0, q3 = queries + i3 * row - q0;
    for (let panel = first; panel < last; panel++) {
      const offset = <usize>panel << 5;
      const low = v128.load(halves + offset), high = v128.load(halves + offset, 16);
      let a0 = low, a1 = high, b0 = low, b1 = high, c0 = low, c1 = high, d0 = low, d1 = high;
      let p = panels + offset * <usize>dimensions;
      for (let r = q0; r < q0 + row; r += 4) {
        const u = v128.load(p), v = v128.load(p, 16);
        let x = v128.load32_splat(r);
        a0 = f32x4.relaxed_nmadd(x, u, a0);
        a1 = f32x4.relaxed_nmadd(x, v, a1);
        x = v128.load32_splat(r + q1);
        b0 = f32x4.relaxed_nmadd(x, u, b0);
        b1 = f32x4.relaxed_nmadd(x, v, b1);
        x = v128.load32_splat(r + q2);
        c0 = f32x4.relaxed_nmadd(x, u, c0);
        c1 = f32x4.relaxed_nmadd(x, v, c1);
        x = v128.load32_splat(r + q3);
        d0 = f32x4.relaxed_nmadd(x, u, d0);
        d1 = f32x4.relaxed_nmadd(x, v, d1);
        p += 32;
      }
      const who = ids + offset;
      offer(a0, a1, who, own + <i32>i0, k, scores + i0 * bytes, indices + i0 * bytes, room);
      offer(b0, b1, who, own + <i32>i1, k, scores + i1 * bytes, indices + i1 * bytes, room);
      offer(c0, c1, who, own + <i32>i2, k, scores + i2 * bytes, indices + i2 * bytes, room);
      offer(d0, d1, who, own + <i32>i3, k, scores + i3 * bytes, indices + i3 * bytes, room);
    }
  }
}
