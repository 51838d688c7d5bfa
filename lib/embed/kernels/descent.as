// The other parts of an iteration of t-SNE, on points (x, y) one behind the other, as 32-bit floats.
//
// Affinities are sparse: the neighbours of point i are those from `starts[i]` to `starts[i + 1]`, always a multiple of
// 4, filled up with neighbours of affinity 0.

// @ts-ignore: decorator
@inline
export function total(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

// @ts-ignore: decorator
@inline
function point(points: usize, neighbors: usize, e: usize, lane: usize): usize {
  return points + (<usize>load<u32>(neighbors + (e << 2) + (lane << 2)) << 3);
}

/** For the points `from` to `to`, the sum over their neighbours of p (a - b) / (1 + d²). */
export function attract(
  points: usize,
  from: i32,
  to: i32,
  starts: usize,
  neighbors: usize,
  affinities: usize,
  out: usize,
): void {
  const one = f32x4.splat(1);
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 3);
    const x = v128.load32_splat(at), y = v128.load32_splat(at + 4);
    let fx = f32x4.splat(0), fy = f32x4.splat(0);
    const end = <usize>load<u32>(starts + (<usize>i << 2), 4);
    for (let e = <usize>load<u32>(starts + (<usize>i << 2)); e < end; e += 4) {
      const ab = v128.load64_lane(point(points, neighbors, e, 1), v128.load64_zero(point(points, neighbors, e, 0)), 1);
      const cd = v128.load64_lane(point(points, neighbors, e, 3), v128.load64_zero(point(points, neighbors, e, 2)), 1);
      const dx = f32x4.sub(x, v128.shuffle<f32>(ab, cd, 0, 2, 4, 6));
      const dy = f32x4.sub(y, v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
      const d = f32x4.relaxed_madd(dx, dx, f32x4.relaxed_madd(dy, dy, one));
      const c = f32x4.div(v128.load(affinities + (e << 2)), d);
      fx = f32x4.relaxed_madd(c, dx, fx);
      fy = f32x4.relaxed_madd(c, dy, fy);
    }
    store<f32>(out + (<usize>i << 3), total(fx));
    store<f32>(out + (<usize>i << 3), total(fy), 4);
  }
}

/**
 * For the points `from` to `to`, the exact sum over all points of (a - b) / (1 + d²)², the repulsion before the division
 * by Z. Returns the sum of 1 / (1 + d²), each point's 1 with itself included.
 */
export function repelExact(points: usize, count: i32, from: i32, to: i32, out: usize): f64 {
  const one = f32x4.splat(1);
  const fours = points + (<usize>(count & ~3) << 3);
  const last = points + (<usize>count << 3);
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 3);
    const x = v128.load32_splat(at), y = v128.load32_splat(at + 4);
    let fx = f32x4.splat(0), fy = f32x4.splat(0), z = f32x4.splat(0);
    for (let p = points; p < fours; p += 32) {
      const ab = v128.load(p), cd = v128.load(p, 16);
      const dx = f32x4.sub(x, v128.shuffle<f32>(ab, cd, 0, 2, 4, 6));
      const dy = f32x4.sub(y, v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
      const q = f32x4.div(one, f32x4.relaxed_madd(dx, dx, f32x4.relaxed_madd(dy, dy, one)));
      const c = f32x4.mul(q, q);
      z = f32x4.add(z, q);
      fx = f32x4.relaxed_madd(c, dx, fx);
      fy = f32x4.relaxed_madd(c, dy, fy);
    }
    let rest: f32 = 0, rx: f32 = 0, ry: f32 = 0;
    for (let p = fours; p < last; p += 8) {
      const dx = load<f32>(at) - load<f32>(p), dy = load<f32>(at, 4) - load<f32>(p, 4);
      const q: f32 = 1 / (1 + dx * dx + dy * dy);
      rest += q;
      rx += q * q * dx;
      ry += q * q * dy;
    }
    sum += <f64>(total(z) + rest);
    store<f32>(out + (<usize>i << 3), total(fx) + rx);
    store<f32>(out + (<usize>i << 3), total(fy) + ry, 4);
  }
  return sum;
}

// No step is longer, in units of the map.
const LONGEST: f32 = 5;

/**
 * Moves the points `from` to `to`: gradient = exaggeration · attraction - repulsion / Z, with a momentum and a gain for
 * each coordinate (Jacobs 1988, as in van der Maaten's code). `from` and `to` are even. Writes the least x, the least y, the greatest x and the
 * greatest y to `extent`.
 */
export function move(
  points: usize,
  from: i32,
  to: i32,
  attraction: usize,
  repulsion: usize,
  steps: usize,
  gains: usize,
  exaggeration: f32,
  perZ: f32,
  rate: f32,
  momentum: f32,
  extent: usize,
): void {
  let least = f32x4.splat(f32.MAX_VALUE), most = f32x4.splat(-f32.MAX_VALUE);
  const floor = f32x4.splat(0.01), up = f32x4.splat(0.2), down = f32x4.splat(0.8);
  const zero = f32x4.splat(0), one = f32x4.splat(1), longest = f32x4.splat(LONGEST);
  const e = f32x4.splat(exaggeration), z = f32x4.splat(perZ), eta = f32x4.splat(rate), mu = f32x4.splat(momentum);
  const last = <usize>to << 3;
  for (let o = <usize>from << 3; o < last; o += 16) {
    const gradient = f32x4.sub(f32x4.mul(e, v128.load(attraction + o)), f32x4.mul(z, v128.load(repulsion + o)));
    let step = v128.load(steps + o);
    let gain = v128.load(gains + o);
    // A step goes against the gradient: as long as the signs differ, the way is right.
    const same = f32x4.gt(f32x4.mul(gradient, step), zero);
    gain = f32x4.max(floor, v128.bitselect(f32x4.mul(gain, down), f32x4.add(gain, up), same));
    step = f32x4.sub(f32x4.mul(mu, step), f32x4.mul(eta, f32x4.mul(gain, gradient)));
    const squares = f32x4.mul(step, step);
    const length = f32x4.sqrt(f32x4.add(squares, v128.shuffle<f32>(squares, squares, 1, 0, 3, 2)));
    step = f32x4.mul(step, f32x4.min(one, f32x4.div(longest, f32x4.max(length, one))));
    const moved = f32x4.add(v128.load(points + o), step);
    v128.store(gains + o, gain);
    v128.store(steps + o, step);
    v128.store(points + o, moved);
    least = f32x4.min(least, moved);
    most = f32x4.max(most, moved);
  }
  v128.store(
    extent,
    v128.shuffle<f32>(
      f32x4.min(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1)),
      f32x4.max(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1)),
      0,
      1,
      4,
      5,
    ),
  );
}

// ln of four numbers ≥ 1: the exponent, and of the mantissa in √½ … √2 the series of 2 artanh((m - 1) / (m + 1)).
// @ts-ignore: decorator
@inline
export function log(v: v128): v128 {
  const shifted = i32x4.sub(v, i32x4.splat(0x3f3504f3));
  const exponent = f32x4.convert_i32x4_s(i32x4.shr_s(shifted, 23));
  const m = i32x4.add(v128.and(shifted, i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3));
  const one = f32x4.splat(1);
  const s = f32x4.div(f32x4.sub(m, one), f32x4.add(m, one));
  const t = f32x4.mul(s, s);
  let series = f32x4.add(f32x4.splat(2.0 / 7.0), f32x4.mul(t, f32x4.splat(2.0 / 9.0)));
  series = f32x4.add(f32x4.splat(2.0 / 5.0), f32x4.mul(t, series));
  series = f32x4.add(f32x4.splat(2.0 / 3.0), f32x4.mul(t, series));
  series = f32x4.add(f32x4.splat(2), f32x4.mul(t, series));
  return f32x4.add(f32x4.mul(exponent, f32x4.splat(0.6931471805599453)), f32x4.mul(s, series));
}

/** For the points `from` to `to`, the sum over their neighbours of p ln(1 + d²). */
export function logDistances(
  points: usize,
  from: i32,
  to: i32,
  starts: usize,
  neighbors: usize,
  affinities: usize,
): f64 {
  const one = f32x4.splat(1);
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 3);
    const x = v128.load32_splat(at), y = v128.load32_splat(at + 4);
    let part = f32x4.splat(0);
    const end = <usize>load<u32>(starts + (<usize>i << 2), 4);
    for (let e = <usize>load<u32>(starts + (<usize>i << 2)); e < end; e += 4) {
      const ab = v128.load64_lane(point(points, neighbors, e, 1), v128.load64_zero(point(points, neighbors, e, 0)), 1);
      const cd = v128.load64_lane(point(points, neighbors, e, 3), v128.load64_zero(point(points, neighbors, e, 2)), 1);
      const dx = f32x4.sub(x, v128.shuffle<f32>(ab, cd, 0, 2, 4, 6));
      const dy = f32x4.sub(y, v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
      const d = f32x4.relaxed_madd(dx, dx, f32x4.relaxed_madd(dy, dy, one));
      part = f32x4.add(part, f32x4.mul(v128.load(affinities + (e << 2)), log(d)));
    }
    sum += <f64>total(part);
  }
  return sum;
}
