// The parts of an iteration of t-SNE in three dimensions, as `descent.as` has them in two. A point takes four numbers:
// x, y, z and a 0, so that one load brings it.
//
// The kernel is Student's t with two degrees of freedom, w = (1 + d²/2)^(-3/2): one fewer than the map has dimensions, as
// in the plane (van der Maaten 2009, "Learning a parametric embedding by preserving local structure"). A heavier tail
// would drive the points of a space apart until it is all but empty.

import { log, total } from "./descent";

// 1 + d²/2.
// @ts-ignore: decorator
@inline
function spacing(dx: v128, dy: v128, dz: v128): v128 {
  const d = f32x4.relaxed_madd(dx, dx, f32x4.relaxed_madd(dy, dy, f32x4.mul(dz, dz)));
  return f32x4.relaxed_madd(f32x4.splat(0.5), d, f32x4.splat(1));
}

// x, y and z of four points that stand side by side.
// @ts-ignore: decorator
@inline
export function xOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.shuffle<f32>(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 0, 4, 1, 5), 0, 1, 4, 5);
}

// @ts-ignore: decorator
@inline
export function yOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.shuffle<f32>(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 0, 4, 1, 5), 2, 3, 6, 7);
}

// @ts-ignore: decorator
@inline
export function zOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.shuffle<f32>(v128.shuffle<f32>(a, b, 2, 6, 3, 7), v128.shuffle<f32>(c, d, 2, 6, 3, 7), 0, 1, 4, 5);
}

// @ts-ignore: decorator
@inline
function point(points: usize, neighbors: usize, e: usize, lane: usize): v128 {
  return v128.load(points + (<usize>load<u32>(neighbors + (e << 2) + (lane << 2)) << 4));
}

/** For the points `from` to `to`, the sum over their neighbours of p (a - b) / (1 + d²/2). */
export function attract3(
  points: usize,
  from: i32,
  to: i32,
  starts: usize,
  neighbors: usize,
  affinities: usize,
  out: usize,
): void {
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 4);
    const x = v128.load32_splat(at), y = v128.load32_splat(at, 4), z = v128.load32_splat(at, 8);
    let fx = f32x4.splat(0), fy = f32x4.splat(0), fz = f32x4.splat(0);
    const end = <usize>load<u32>(starts + (<usize>i << 2), 4);
    for (let e = <usize>load<u32>(starts + (<usize>i << 2)); e < end; e += 4) {
      const a = point(points, neighbors, e, 0), b = point(points, neighbors, e, 1);
      const c = point(points, neighbors, e, 2), d = point(points, neighbors, e, 3);
      const dx = f32x4.sub(x, xOf(a, b, c, d)), dy = f32x4.sub(y, yOf(a, b, c, d)), dz = f32x4.sub(z, zOf(a, b, c, d));
      const weight = f32x4.div(v128.load(affinities + (e << 2)), spacing(dx, dy, dz));
      fx = f32x4.relaxed_madd(weight, dx, fx);
      fy = f32x4.relaxed_madd(weight, dy, fy);
      fz = f32x4.relaxed_madd(weight, dz, fz);
    }
    const put = out + (<usize>i << 4);
    store<f32>(put, total(fx));
    store<f32>(put, total(fy), 4);
    store<f32>(put, total(fz), 8);
  }
}

/**
 * For the points `from` to `to`, the exact sum over all points of (a - b) (1 + d²/2)^(-5/2), the repulsion before the
 * division by Z. Returns the sum of (1 + d²/2)^(-3/2), each point's 1 with itself included.
 */
export function repelExact3(points: usize, count: i32, from: i32, to: i32, out: usize): f64 {
  const one = f32x4.splat(1);
  const fours = points + (<usize>(count & ~3) << 4);
  const last = points + (<usize>count << 4);
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 4);
    const x = v128.load32_splat(at), y = v128.load32_splat(at, 4), z = v128.load32_splat(at, 8);
    let fx = f32x4.splat(0), fy = f32x4.splat(0), fz = f32x4.splat(0), qs = f32x4.splat(0);
    for (let p = points; p < fours; p += 64) {
      const p0 = v128.load(p), p1 = v128.load(p, 16), p2 = v128.load(p, 32), p3 = v128.load(p, 48);
      const dx = f32x4.sub(x, xOf(p0, p1, p2, p3));
      const dy = f32x4.sub(y, yOf(p0, p1, p2, p3));
      const dz = f32x4.sub(z, zOf(p0, p1, p2, p3));
      const u = f32x4.div(one, spacing(dx, dy, dz));
      const q = f32x4.mul(u, f32x4.sqrt(u));
      const c = f32x4.mul(u, q);
      qs = f32x4.add(qs, q);
      fx = f32x4.relaxed_madd(c, dx, fx);
      fy = f32x4.relaxed_madd(c, dy, fy);
      fz = f32x4.relaxed_madd(c, dz, fz);
    }
    let rest: f32 = 0, rx: f32 = 0, ry: f32 = 0, rz: f32 = 0;
    for (let p = fours; p < last; p += 16) {
      const dx = load<f32>(at) - load<f32>(p), dy = load<f32>(at, 4) - load<f32>(p, 4);
      const dz = load<f32>(at, 8) - load<f32>(p, 8);
      const u: f32 = 1 / (1 + 0.5 * (dx * dx + dy * dy + dz * dz));
      const q = u * sqrt<f32>(u);
      rest += q;
      rx += u * q * dx;
      ry += u * q * dy;
      rz += u * q * dz;
    }
    sum += <f64>(total(qs) + rest);
    const put = out + (<usize>i << 4);
    store<f32>(put, total(fx) + rx);
    store<f32>(put, total(fy) + ry, 4);
    store<f32>(put, total(fz) + rz, 8);
  }
  return sum;
}

// No step is longer, in units of the map.
const LONGEST: f32 = 5;

/**
 * Moves the points `from` to `to`, as in two dimensions. Writes the least x, y and z and a 0, and the greatest x, y and z
 * and a 0 to `extent`.
 */
export function move3(
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
  const zero = f32x4.splat(0);
  const e = f32x4.splat(exaggeration), z = f32x4.splat(perZ), eta = f32x4.splat(rate), mu = f32x4.splat(momentum);
  const last = <usize>to << 4;
  for (let o = <usize>from << 4; o < last; o += 16) {
    const gradient = f32x4.sub(f32x4.mul(e, v128.load(attraction + o)), f32x4.mul(z, v128.load(repulsion + o)));
    let step = v128.load(steps + o);
    let gain = v128.load(gains + o);
    const same = f32x4.gt(f32x4.mul(gradient, step), zero);
    gain = f32x4.max(floor, v128.bitselect(f32x4.mul(gain, down), f32x4.add(gain, up), same));
    step = f32x4.sub(f32x4.mul(mu, step), f32x4.mul(eta, f32x4.mul(gain, gradient)));
    const length = sqrt<f32>(total(f32x4.mul(step, step)));
    if (length > LONGEST) step = f32x4.mul(step, f32x4.splat(LONGEST / length));
    const moved = f32x4.add(v128.load(points + o), step);
    v128.store(gains + o, gain);
    v128.store(steps + o, step);
    v128.store(points + o, moved);
    least = f32x4.min(least, moved);
    most = f32x4.max(most, moved);
  }
  v128.store(extent, least);
  v128.store(extent, most, 16);
}

/** For the points `from` to `to`, the sum over their neighbours of -p ln w, which is 3/2 p ln(1 + d²/2). */
export function logDistances3(
  points: usize,
  from: i32,
  to: i32,
  starts: usize,
  neighbors: usize,
  affinities: usize,
): f64 {
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 4);
    const x = v128.load32_splat(at), y = v128.load32_splat(at, 4), z = v128.load32_splat(at, 8);
    let part = f32x4.splat(0);
    const end = <usize>load<u32>(starts + (<usize>i << 2), 4);
    for (let e = <usize>load<u32>(starts + (<usize>i << 2)); e < end; e += 4) {
      const a = point(points, neighbors, e, 0), b = point(points, neighbors, e, 1);
      const c = point(points, neighbors, e, 2), d = point(points, neighbors, e, 3);
      const dx = f32x4.sub(x, xOf(a, b, c, d)), dy = f32x4.sub(y, yOf(a, b, c, d)), dz = f32x4.sub(z, zOf(a, b, c, d));
      part = f32x4.relaxed_madd(v128.load(affinities + (e << 2)), log(spacing(dx, dy, dz)), part);
    }
    sum += <f64>total(part);
  }
  return 1.5 * sum;
}
