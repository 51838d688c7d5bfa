// Exact nearest neighbours, by brute force.
//
// Candidates stand in panels of 8: for each dimension the 8 numbers of 8 points, one behind the other, as they are seen
// from the centre of their cell. Queries are plain rows. A candidate's score for a query is half the square of their
// distance, by way of their lengths and their product: quick, and inexact where both are far from the centre.

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

// @ts-ignore: decorator
@inline
function entry(list: usize, i: usize): usize {
  return <usize>load<i32>(list + i);
}

/** The squared distances, in double precision, of one query from the candidates that are listed. */
export function squares(
  query: usize,
  candidates: usize,
  dimensions: i32,
  list: usize,
  listed: i32,
  out: usize,
): void {
  const row = <usize>dimensions << 2;
  const fours = row & ~15;
  for (let i: usize = 0; i < <usize>listed; i++) {
    const candidate = candidates + entry(list, i << 2) * row;
    let low = f64x2.splat(0), high = f64x2.splat(0);
    for (let o: usize = 0; o < fours; o += 16) {
      const a = v128.load(query + o), b = v128.load(candidate + o);
      const x = f64x2.sub(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b));
      const y = f64x2.sub(
        f64x2.promote_low_f32x4(v128.shuffle<i64>(a, a, 1, 0)),
        f64x2.promote_low_f32x4(v128.shuffle<i64>(b, b, 1, 0)),
      );
      low = f64x2.add(low, f64x2.mul(x, x));
      high = f64x2.add(high, f64x2.mul(y, y));
    }
    low = f64x2.add(low, high);
    let square = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
    for (let o = fours; o < row; o += 4) {
      const difference = <f64>load<f32>(query + o) - <f64>load<f32>(candidate + o);
      square += difference * difference;
    }
    store<f64>(out + (i << 3), square);
  }
}

/**
 * Lays out the queries of a list as they are seen from a centre, in units of 1 / scale, row by row, and half the square
 * of each one's length.
 */
export function frame(
  queries: usize,
  dimensions: i32,
  list: usize,
  listed: i32,
  centre: usize,
  scale: f32,
  rows: usize,
  halves: usize,
): void {
  const row = <usize>dimensions << 2;
  const fours = row & ~15;
  const unit = f32x4.splat(scale);
  for (let i: usize = 0; i < <usize>listed; i++, rows += row) {
    const query = queries + entry(list, i << 2) * row;
    let sum = f32x4.splat(0);
    for (let o: usize = 0; o < fours; o += 16) {
      const value = f32x4.sub(f32x4.mul(v128.load(query + o), unit), f32x4.mul(v128.load(centre + o), unit));
      v128.store(rows + o, value);
      sum = f32x4.relaxed_madd(value, value, sum);
    }
    let square = (f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1)) +
      (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
    for (let o = fours; o < row; o += 4) {
      const value = load<f32>(query + o) * scale - load<f32>(centre + o) * scale;
      store<f32>(rows + o, value);
      square += value * value;
    }
    store<f32>(halves + (i << 2), square / 2);
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

/**
 * Offers the panels `first` to `last` to queries, a multiple of 4 of them, all different.
 *
 * `rows` holds the queries of `list` as they are seen from the centre of the panels, `squares` half the squared length of
 * each. `halves` holds the same of each candidate, infinite for those that only fill a panel, and `ids` who they are.
 * `scores` and `indices` hold k numbers a query, the scores infinite at the start. Query i is the candidate `own + i`,
 * which is not its own neighbour.
 */
export function nearest(
  rows: usize,
  squares: usize,
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
  for (let at: usize = 0; at < <usize>listed << 2; at += 16) {
    const i0 = entry(list + at, 0), i1 = entry(list + at, 4), i2 = entry(list + at, 8), i3 = entry(list + at, 12);
    const q0 = rows + (at >> 2) * row;
    const q1 = row, q2 = 2 * row, q3 = 3 * row;
    const s0 = v128.load32_splat(squares + at), s1 = v128.load32_splat(squares + at, 4);
    const s2 = v128.load32_splat(squares + at, 8), s3 = v128.load32_splat(squares + at, 12);
    for (let panel = first; panel < last; panel++) {
      const offset = <usize>panel << 5;
      const low = v128.load(halves + offset), high = v128.load(halves + offset, 16);
      let a0 = f32x4.add(low, s0), a1 = f32x4.add(high, s0), b0 = f32x4.add(low, s1), b1 = f32x4.add(high, s1);
      let c0 = f32x4.add(low, s2), c1 = f32x4.add(high, s2), d0 = f32x4.add(low, s3), d1 = f32x4.add(high, s3);
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
