// Repulsion by a mesh: charges spread over a grid, the potential by two Fourier transforms, the force from its slope.
//
// A grid of `length / 2` nodes a side, row by row, holds the map; the transforms are `length` long, so that nothing
// wraps around. Between the two directions the half-transformed field stands in `middle`: for each block of 16
// frequencies ky, for each column x, 16 real and 16 imaginary parts. `order` tells where a frequency stands in a signal.

import { forward, inverse } from "./fft";

const IMAGINARY: usize = 64;

// Quintic B-spline weights of the six nodes around a point, as polynomials in its place between the middle two: of the
// first four nodes, and of the last two.
// @ts-ignore: decorator
@inline
function weights4(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(1.0 / 120.0, 26.0 / 120.0, 66.0 / 120.0, 26.0 / 120.0);
  const c1 = f32x4(-5.0 / 120.0, -50.0 / 120.0, 0, 50.0 / 120.0);
  const c2 = f32x4(10.0 / 120.0, 20.0 / 120.0, -60.0 / 120.0, 20.0 / 120.0);
  const c3 = f32x4(-10.0 / 120.0, 20.0 / 120.0, 0, -20.0 / 120.0);
  const c4 = f32x4(5.0 / 120.0, -20.0 / 120.0, 30.0 / 120.0, -20.0 / 120.0);
  const c5 = f32x4(-1.0 / 120.0, 5.0 / 120.0, -10.0 / 120.0, 10.0 / 120.0);
  return polynomial(t, c0, c1, c2, c3, f32x4.relaxed_madd(t, c5, c4));
}

// @ts-ignore: decorator
@inline
function weights2(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(1.0 / 120.0, 0, 0, 0);
  const c1 = f32x4(5.0 / 120.0, 0, 0, 0);
  const c2 = f32x4(10.0 / 120.0, 0, 0, 0);
  const c3 = f32x4(10.0 / 120.0, 0, 0, 0);
  const c4 = f32x4(5.0 / 120.0, 0, 0, 0);
  const c5 = f32x4(-5.0 / 120.0, 1.0 / 120.0, 0, 0);
  return polynomial(t, c0, c1, c2, c3, f32x4.relaxed_madd(t, c5, c4));
}

// Their slopes.
// @ts-ignore: decorator
@inline
function slopes4(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(-1.0 / 24.0, -10.0 / 24.0, 0, 10.0 / 24.0);
  const c1 = f32x4(4.0 / 24.0, 8.0 / 24.0, -24.0 / 24.0, 8.0 / 24.0);
  const c2 = f32x4(-6.0 / 24.0, 12.0 / 24.0, 0, -12.0 / 24.0);
  const c3 = f32x4(4.0 / 24.0, -16.0 / 24.0, 24.0 / 24.0, -16.0 / 24.0);
  const c4 = f32x4(-1.0 / 24.0, 5.0 / 24.0, -10.0 / 24.0, 10.0 / 24.0);
  return polynomial(t, c0, c1, c2, c3, c4);
}

// @ts-ignore: decorator
@inline
function slopes2(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(1.0 / 24.0, 0, 0, 0);
  const c1 = f32x4(4.0 / 24.0, 0, 0, 0);
  const c2 = f32x4(6.0 / 24.0, 0, 0, 0);
  const c3 = f32x4(4.0 / 24.0, 0, 0, 0);
  const c4 = f32x4(-5.0 / 24.0, 1.0 / 24.0, 0, 0);
  return polynomial(t, c0, c1, c2, c3, c4);
}

// @ts-ignore: decorator
@inline
function polynomial(t: v128, c0: v128, c1: v128, c2: v128, c3: v128, rest: v128): v128 {
  let value = f32x4.relaxed_madd(t, rest, c3);
  value = f32x4.relaxed_madd(t, value, c2);
  value = f32x4.relaxed_madd(t, value, c1);
  return f32x4.relaxed_madd(t, value, c0);
}

// Adds the weights of a row of six nodes, times the weight of the row.
// @ts-ignore: decorator
@inline
function add(cell: usize, w4: v128, w2: v128, weight: f32): void {
  const times = f32x4.splat(weight);
  v128.store(cell, f32x4.relaxed_madd(w4, times, v128.load(cell)));
  v128.store(cell, f32x4.relaxed_madd(w2, times, v128.load(cell, 16)), 16);
}

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Adds one unit of charge for each of the points `from` to `to` to a grid of `side` nodes a side. */
export function spread(
  points: usize,
  from: i32,
  to: i32,
  grid: usize,
  side: i32,
  left: f32,
  top: f32,
  perUnit: f32,
): void {
  const row = <usize>side << 2;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 3);
    const u = (load<f32>(at) - left) * perUnit;
    const v = (load<f32>(at, 4) - top) * perUnit;
    const column = <i32>u, line = <i32>v;
    const fx = u - <f32>column, fy = v - <f32>line;
    const x4 = weights4(fx), x2 = weights2(fx), y4 = weights4(fy), y2 = weights2(fy);
    let cell = grid + <usize>(line - 2) * row + (<usize>(column - 2) << 2);
    add(cell, x4, x2, f32x4.extract_lane(y4, 0));
    add((cell += row), x4, x2, f32x4.extract_lane(y4, 1));
    add((cell += row), x4, x2, f32x4.extract_lane(y4, 2));
    add((cell += row), x4, x2, f32x4.extract_lane(y4, 3));
    add((cell += row), x4, x2, f32x4.extract_lane(y2, 0));
    add((cell += row), x4, x2, f32x4.extract_lane(y2, 1));
  }
}

/**
 * Reads the potential at each point and writes -1/2 of its slope, the repulsion before the division by Z.
 * Returns the sum of the potentials, which is Z plus 1 for each point.
 */
export function gather(
  points: usize,
  from: i32,
  to: i32,
  potential: usize,
  side: i32,
  left: f32,
  top: f32,
  perUnit: f32,
  repulsion: usize,
): f64 {
  const row = <usize>side << 2;
  const scale = <f32>-0.5 * perUnit;
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 3);
    const u = (load<f32>(at) - left) * perUnit;
    const v = (load<f32>(at, 4) - top) * perUnit;
    const column = <i32>u, line = <i32>v;
    const fx = u - <f32>column, fy = v - <f32>line;
    const x4 = weights4(fx), x2 = weights2(fx), y4 = weights4(fy), y2 = weights2(fy);
    const s4 = slopes4(fx), s2 = slopes2(fx), t4 = slopes4(fy), t2 = slopes2(fy);
    let cell = potential + <usize>(line - 2) * row + (<usize>(column - 2) << 2);
    let low = v128.load(cell), high = v128.load(cell, 16);
    let weight = f32x4.splat(f32x4.extract_lane(y4, 0)), slope = f32x4.splat(f32x4.extract_lane(t4, 0));
    let across4 = f32x4.mul(low, weight), across2 = f32x4.mul(high, weight);
    let down4 = f32x4.mul(low, slope), down2 = f32x4.mul(high, slope);
    cell += row;
    low = v128.load(cell);
    high = v128.load(cell, 16);
    weight = f32x4.splat(f32x4.extract_lane(y4, 1));
    slope = f32x4.splat(f32x4.extract_lane(t4, 1));
    across4 = f32x4.relaxed_madd(low, weight, across4);
    across2 = f32x4.relaxed_madd(high, weight, across2);
    down4 = f32x4.relaxed_madd(low, slope, down4);
    down2 = f32x4.relaxed_madd(high, slope, down2);
    cell += row;
    low = v128.load(cell);
    high = v128.load(cell, 16);
    weight = f32x4.splat(f32x4.extract_lane(y4, 2));
    slope = f32x4.splat(f32x4.extract_lane(t4, 2));
    across4 = f32x4.relaxed_madd(low, weight, across4);
    across2 = f32x4.relaxed_madd(high, weight, across2);
    down4 = f32x4.relaxed_madd(low, slope, down4);
    down2 = f32x4.relaxed_madd(high, slope, down2);
    cell += row;
    low = v128.load(cell);
    high = v128.load(cell, 16);
    weight = f32x4.splat(f32x4.extract_lane(y4, 3));
    slope = f32x4.splat(f32x4.extract_lane(t4, 3));
    across4 = f32x4.relaxed_madd(low, weight, across4);
    across2 = f32x4.relaxed_madd(high, weight, across2);
    down4 = f32x4.relaxed_madd(low, slope, down4);
    down2 = f32x4.relaxed_madd(high, slope, down2);
    cell += row;
    low = v128.load(cell);
    high = v128.load(cell, 16);
    weight = f32x4.splat(f32x4.extract_lane(y2, 0));
    slope = f32x4.splat(f32x4.extract_lane(t2, 0));
    across4 = f32x4.relaxed_madd(low, weight, across4);
    across2 = f32x4.relaxed_madd(high, weight, across2);
    down4 = f32x4.relaxed_madd(low, slope, down4);
    down2 = f32x4.relaxed_madd(high, slope, down2);
    cell += row;
    low = v128.load(cell);
    high = v128.load(cell, 16);
    weight = f32x4.splat(f32x4.extract_lane(y2, 1));
    slope = f32x4.splat(f32x4.extract_lane(t2, 1));
    across4 = f32x4.relaxed_madd(low, weight, across4);
    across2 = f32x4.relaxed_madd(high, weight, across2);
    down4 = f32x4.relaxed_madd(low, slope, down4);
    down2 = f32x4.relaxed_madd(high, slope, down2);
    sum += <f64>total(f32x4.relaxed_madd(across2, x2, f32x4.mul(across4, x4)));
    const out = repulsion + (<usize>i << 3);
    store<f32>(out, scale * total(f32x4.relaxed_madd(across2, s2, f32x4.mul(across4, s4))));
    store<f32>(out, scale * total(f32x4.relaxed_madd(down2, x2, f32x4.mul(down4, x4))), 4);
  }
  return sum;
}

// Writes four vectors as the columns of a 4 by 4 square: of each, one number to each of four places, `step` apart.
// @ts-ignore: decorator
@inline
export function transpose(a: v128, b: v128, c: v128, d: v128, to: usize, step: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(to + step, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7));
  v128.store(to + 2 * step, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5));
  v128.store(to + 3 * step, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7));
}

// @ts-ignore: decorator
@inline
export function place(order: usize, length: i32, frequency: i32): usize {
  const k = frequency > length >> 1 ? length >> 1 : frequency;
  return <usize>load<i32>(order + (<usize>k << 2)) << 7;
}

// @ts-ignore: decorator
@inline
export function partner(order: usize, length: i32, frequency: i32): usize {
  const k = frequency > length >> 1 ? length >> 1 : frequency;
  return <usize>load<i32>(order + (<usize>(k == 0 ? 0 : length - k) << 2)) << 7;
}

/**
 * Transforms 32 columns of the charges, from `charges` on, whose numbers stand `row` bytes apart: as 16 complex signals,
 * whose real and imaginary parts are two columns each. The grids of all threads, `grid` bytes each, are added up, and
 * left empty for the next time. The frequencies go to `field`, 16 of them `block` bytes after the 16 before.
 */
// @ts-ignore: decorator
@inline
export function analyse(
  charges: usize,
  row: usize,
  grid: usize,
  threads: i32,
  length: i32,
  scratch: usize,
  w: usize,
  order: usize,
  field: usize,
  block: usize,
): void {
  const side = length >> 1;
  const zero = f32x4.splat(0);
  for (let y = 0; y < side; y++) {
    const from = charges + <usize>y * row;
    const to = scratch + (<usize>y << 7);
    // 8 groups of 4 columns: the first 4 are real parts, the next 4 imaginary ones.
    for (let u: usize = 0; u < 128; u += 16) {
      let sum = v128.load(from + u);
      v128.store(from + u, zero);
      for (let t = 1; t < threads; t++) {
        const other = from + u + <usize>t * grid;
        sum = f32x4.add(sum, v128.load(other));
        v128.store(other, zero);
      }
      v128.store(to + u, sum);
    }
  }
  forward(scratch, length, w, 4, true);
  // With Z the transform of a + ib: twice the transform of a is Z(k) + conj Z(-k), that of b is -i (Z(k) - conj Z(-k)).
  for (let k = 0; k <= side; k += 4) {
    const p0 = scratch + place(order, length, k), q0 = scratch + partner(order, length, k);
    const p1 = scratch + place(order, length, k + 1), q1 = scratch + partner(order, length, k + 1);
    const p2 = scratch + place(order, length, k + 2), q2 = scratch + partner(order, length, k + 2);
    const p3 = scratch + place(order, length, k + 3), q3 = scratch + partner(order, length, k + 3);
    const out = field + <usize>(k >> 4) * block + (<usize>(k & 15) << 2);
    for (let u: usize = 0; u < 64; u += 16) {
      const z0r = v128.load(p0 + u), z0i = v128.load(p0 + u, IMAGINARY);
      const z1r = v128.load(p1 + u), z1i = v128.load(p1 + u, IMAGINARY);
      const z2r = v128.load(p2 + u), z2i = v128.load(p2 + u, IMAGINARY);
      const z3r = v128.load(p3 + u), z3i = v128.load(p3 + u, IMAGINARY);
      const c0r = v128.load(q0 + u), c0i = v128.load(q0 + u, IMAGINARY);
      const c1r = v128.load(q1 + u), c1i = v128.load(q1 + u, IMAGINARY);
      const c2r = v128.load(q2 + u), c2i = v128.load(q2 + u, IMAGINARY);
      const c3r = v128.load(q3 + u), c3i = v128.load(q3 + u, IMAGINARY);
      // Column x0 + u / 4 and the three after it; b is 16 columns further.
      const a = out + (u << 5), b = a + (16 << 7);
      transpose(f32x4.add(z0r, c0r), f32x4.add(z1r, c1r), f32x4.add(z2r, c2r), f32x4.add(z3r, c3r), a, 128);
      transpose(f32x4.sub(z0i, c0i), f32x4.sub(z1i, c1i), f32x4.sub(z2i, c2i), f32x4.sub(z3i, c3i), a + 64, 128);
      transpose(f32x4.add(z0i, c0i), f32x4.add(z1i, c1i), f32x4.add(z2i, c2i), f32x4.add(z3i, c3i), b, 128);
      transpose(f32x4.sub(c0r, z0r), f32x4.sub(c1r, z1r), f32x4.sub(c2r, z2r), f32x4.sub(c3r, z3r), b + 64, 128);
    }
  }
}

/** Transforms 32 columns of the charges downwards, from column `x0` on. */
export function columnsForward(
  x0: i32,
  length: i32,
  grids: usize,
  threads: i32,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const row = <usize>length << 1;
  const grid = <usize>(length >> 1) * row;
  const first = <usize>x0;
  analyse(grids + (first << 2), row, grid, threads, length, scratch, w, order, middle + (first << 7), row << 5);
}

// The last block holds but one frequency.
// @ts-ignore: decorator
@inline
export function widthOf(block: i32, length: i32): i32 {
  return block == length >> 5 ? 1 : 4;
}

/** For 16 frequencies ky: transforms along the rows, multiplies by the kernel's transform, transforms back. */
export function rows(block: i32, length: i32, middle: usize, kernel: usize, scratch: usize, w: usize): void {
  const side = length >> 1;
  const bytes = <usize>side << 7;
  const field = middle + <usize>block * bytes;
  const width = widthOf(block, length);
  memory.copy(scratch, field, bytes);
  forward(scratch, length, w, width, true);
  let g = kernel + ((<usize>block * length) << 6);
  for (let k = 0; k < length; k++) {
    const at = scratch + (<usize>k << 7);
    for (let u: usize = 0; u < <usize>width << 4; u += 16) {
      const factor = v128.load(g + u);
      v128.store(at + u, f32x4.mul(v128.load(at + u), factor));
      v128.store(at + u, f32x4.mul(v128.load(at + u, IMAGINARY), factor), IMAGINARY);
    }
    g += 64;
  }
  inverse(scratch, length, w, width, true);
  memory.copy(field, scratch, bytes);
}

/** The way back of `analyse`: makes 32 columns of the potential. */
// @ts-ignore: decorator
@inline
export function synthesise(
  field: usize,
  block: usize,
  length: i32,
  scratch: usize,
  w: usize,
  order: usize,
  potential: usize,
  row: usize,
): void {
  const side = length >> 1;
  for (let k = 0; k <= side; k += 4) {
    const from = field + <usize>(k >> 4) * block + (<usize>(k & 15) << 2);
    const p0 = scratch + place(order, length, k), q0 = scratch + partner(order, length, k);
    const p1 = scratch + place(order, length, k + 1), q1 = scratch + partner(order, length, k + 1);
    const p2 = scratch + place(order, length, k + 2), q2 = scratch + partner(order, length, k + 2);
    const p3 = scratch + place(order, length, k + 3), q3 = scratch + partner(order, length, k + 3);
    for (let u: usize = 0; u < 64; u += 16) {
      const a = from + (u << 5), b = a + (16 << 7);
      // Z(k) is a + ib, and Z(-k) is conj a + i conj b.
      merge(a, b, p0 + u, p1 + u, p2 + u, p3 + u, q0 + u, q1 + u, q2 + u, q3 + u);
    }
  }
  inverse(scratch, length, w, 4, true);
  for (let y = 0; y < side; y++) {
    memory.copy(potential + <usize>y * row, scratch + (<usize>y << 7), 128);
  }
}

/** Transforms 32 columns back, which makes the potential. */
export function columnsInverse(
  x0: i32,
  length: i32,
  potential: usize,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const row = <usize>length << 1;
  const first = <usize>x0;
  synthesise(middle + (first << 7), row << 5, length, scratch, w, order, potential + (first << 2), row);
}

// @ts-ignore: decorator
@inline
function merge(
  a: usize,
  b: usize,
  p0: usize,
  p1: usize,
  p2: usize,
  p3: usize,
  q0: usize,
  q1: usize,
  q2: usize,
  q3: usize,
): void {
  // For four columns, the real part: a.re - b.im at k, a.re + b.im at -k.
  const r0 = v128.load(a), r1 = v128.load(a, 128), r2 = v128.load(a, 256), r3 = v128.load(a, 384);
  const s0 = v128.load(b, 64), s1 = v128.load(b, 192), s2 = v128.load(b, 320), s3 = v128.load(b, 448);
  scatter(f32x4.sub(r0, s0), f32x4.sub(r1, s1), f32x4.sub(r2, s2), f32x4.sub(r3, s3), p0, p1, p2, p3);
  const i0 = v128.load(a, 64), i1 = v128.load(a, 192), i2 = v128.load(a, 320), i3 = v128.load(a, 448);
  const t0 = v128.load(b), t1 = v128.load(b, 128), t2 = v128.load(b, 256), t3 = v128.load(b, 384);
  scatter(
    f32x4.add(i0, t0),
    f32x4.add(i1, t1),
    f32x4.add(i2, t2),
    f32x4.add(i3, t3),
    p0 + IMAGINARY,
    p1 + IMAGINARY,
    p2 + IMAGINARY,
    p3 + IMAGINARY,
  );
  scatter(f32x4.add(r0, s0), f32x4.add(r1, s1), f32x4.add(r2, s2), f32x4.add(r3, s3), q0, q1, q2, q3);
  scatter(
    f32x4.sub(t0, i0),
    f32x4.sub(t1, i1),
    f32x4.sub(t2, i2),
    f32x4.sub(t3, i3),
    q0 + IMAGINARY,
    q1 + IMAGINARY,
    q2 + IMAGINARY,
    q3 + IMAGINARY,
  );
}

// @ts-ignore: decorator
@inline
function scatter(a: v128, b: v128, c: v128, d: v128, p0: usize, p1: usize, p2: usize, p3: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(p0, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(p1, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7));
  v128.store(p2, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5));
  v128.store(p3, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7));
}

/**
 * Transforms 32 columns of the kernel 1 / (1 + d²) downwards; with `near`, of 1 / (1 + d²) - 1, whose slope is the same.
 * It is real and even, so its transform is real, and two columns make one complex signal without mixing. `spacing` is
 * the distance of two nodes.
 */
export function kernelColumns(
  x0: i32,
  length: i32,
  spacing: f32,
  near: bool,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const side = length >> 1;
  const square = spacing * spacing;
  for (let y = 0; y < length; y++) {
    const dy = <f32>(y < side ? y : length - y);
    const to = scratch + (<usize>y << 7);
    for (let x = 0; x < 32; x++) {
      const dx = <f32>(x0 + x);
      const d = square * (dx * dx + dy * dy);
      store<f32>(to + (<usize>x << 2), (near ? -d : <f32>1) / (<f32>1 + d));
    }
  }
  forward(scratch, length, w, 4, false);
  for (let k = 0; k <= side; k += 4) {
    const p0 = scratch + place(order, length, k), p1 = scratch + place(order, length, k + 1);
    const p2 = scratch + place(order, length, k + 2), p3 = scratch + place(order, length, k + 3);
    const out = middle + ((<usize>(k >> 4) * side + x0) << 7) + (<usize>(k & 15) << 2);
    for (let u: usize = 0; u < 128; u += 16) {
      transpose(v128.load(p0 + u), v128.load(p1 + u), v128.load(p2 + u), v128.load(p3 + u), out + (u << 5), 128);
    }
  }
}

/**
 * Transforms 16 frequencies of the kernel along the rows, and multiplies them by `correction`, which holds a factor for
 * each frequency of a direction: it undoes the smoothing by the splines and scales the transforms.
 */
export function kernelRows(
  block: i32,
  length: i32,
  middle: usize,
  kernel: usize,
  scratch: usize,
  w: usize,
  order: usize,
  correction: usize,
): void {
  const side = length >> 1;
  const width = widthOf(block, length);
  const field = middle + ((<usize>block * side) << 7);
  const zero = f32x4.splat(0);
  for (let x = 0; x < length; x++) {
    // Nothing is as far apart as half of the length, so the column that is missing there may be its neighbour.
    const column = x < side ? x : x == side ? side - 1 : length - x;
    for (let u: usize = 0; u < 64; u += 16) {
      v128.store(scratch + (<usize>x << 7) + u, v128.load(field + (<usize>column << 7) + u));
      v128.store(scratch + (<usize>x << 7) + u, zero, IMAGINARY);
    }
  }
  forward(scratch, length, w, width, false);
  for (let k = 0; k < length; k++) {
    const p = load<i32>(order + (<usize>k << 2));
    const along = load<f32>(correction + (<usize>k << 2));
    const out = kernel + ((<usize>block * length + p) << 6);
    for (let lane = 0; lane < width << 2; lane++) {
      const ky = (block << 4) + lane;
      const down = load<f32>(correction + (<usize>(ky > side ? side : ky) << 2));
      store<f32>(out + (<usize>lane << 2), load<f32>(scratch + (<usize>p << 7) + (<usize>lane << 2)) * (along * down));
    }
  }
}
