// Repulsion in three dimensions: a mesh for what is far, and sums over pairs for what is near.
//
// The kernel is (1 + s)^(-3/2), with s = d²/2. With a reach, beyond which s > A, and t = (A - s) / (1 + A), its series
// around t = 0 is (1 + A)^(-3/2) (1 + 3/2 t + 15/8 t² + …). Within the reach the first three terms take the kernel's
// place: that is smooth everywhere, so that a coarse mesh resolves it. What the kernel has more than that ends at the
// reach. Without a reach the mesh has all.
//
// The grid holds `length / 2` planes of as many rows of as many nodes. Between the directions the half-transformed field
// stands in `middle`: for each block of 16 frequencies kz, for each y, for each x, 16 real and 16 imaginary parts; a row
// takes `length + 1` such elements, as it is transformed in its place, one more so that columns do not fall on the same
// lines of the cache.

import { total } from "./descent";
import { forward, inverse } from "./fft";
import { analyse, place, synthesise, transpose, widthOf } from "./mesh";

const IMAGINARY: usize = 64;

// Cubic B-spline weights of the four nodes around a point, as polynomials in its place between the middle two.
// @ts-ignore: decorator
@inline
function weights(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0, 0);
  const c1 = f32x4(-3.0 / 6.0, 0, 3.0 / 6.0, 0);
  const c2 = f32x4(3.0 / 6.0, -6.0 / 6.0, 3.0 / 6.0, 0);
  const c3 = f32x4(-1.0 / 6.0, 3.0 / 6.0, -3.0 / 6.0, 1.0 / 6.0);
  return f32x4.relaxed_madd(t, f32x4.relaxed_madd(t, f32x4.relaxed_madd(t, c3, c2), c1), c0);
}

// Their slopes.
// @ts-ignore: decorator
@inline
function slopes(f: f32): v128 {
  const t = f32x4.splat(f);
  const c0 = f32x4(-0.5, 0, 0.5, 0);
  const c1 = f32x4(1, -2, 1, 0);
  const c2 = f32x4(-0.5, 1.5, -1.5, 0.5);
  return f32x4.relaxed_madd(t, f32x4.relaxed_madd(t, c2, c1), c0);
}

// @ts-ignore: decorator
@inline
function add(cell: usize, x: v128, weight: f32): void {
  v128.store(cell, f32x4.relaxed_madd(x, f32x4.splat(weight), v128.load(cell)));
}

/** Adds one unit of charge for each of the points `from` to `to` to a grid; `left`, `top`, `front` is its first node. */
export function spread3(
  points: usize,
  from: i32,
  to: i32,
  grid: usize,
  side: i32,
  left: f32,
  top: f32,
  front: f32,
  perUnit: f32,
): void {
  const row = <usize>side << 2;
  const plane = <usize>side * row;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 4);
    const u = (load<f32>(at) - left) * perUnit;
    const v = (load<f32>(at, 4) - top) * perUnit;
    const w = (load<f32>(at, 8) - front) * perUnit;
    const column = <i32>u, line = <i32>v, sheet = <i32>w;
    const x = weights(u - <f32>column), y = weights(v - <f32>line), z = weights(w - <f32>sheet);
    let cell = grid + <usize>(sheet - 1) * plane + <usize>(line - 1) * row + (<usize>(column - 1) << 2);
    spreadPlane(cell, row, x, f32x4.mul(y, f32x4.splat(f32x4.extract_lane(z, 0))));
    spreadPlane((cell += plane), row, x, f32x4.mul(y, f32x4.splat(f32x4.extract_lane(z, 1))));
    spreadPlane((cell += plane), row, x, f32x4.mul(y, f32x4.splat(f32x4.extract_lane(z, 2))));
    spreadPlane((cell += plane), row, x, f32x4.mul(y, f32x4.splat(f32x4.extract_lane(z, 3))));
  }
}

// @ts-ignore: decorator
@inline
function spreadPlane(cell: usize, row: usize, x: v128, y: v128): void {
  add(cell, x, f32x4.extract_lane(y, 0));
  add(cell + row, x, f32x4.extract_lane(y, 1));
  add(cell + 2 * row, x, f32x4.extract_lane(y, 2));
  add(cell + 3 * row, x, f32x4.extract_lane(y, 3));
}

// The four rows of a plane, weighted by y.
// @ts-ignore: decorator
@inline
function across(cell: usize, row: usize, y: v128): v128 {
  let sum = f32x4.mul(v128.load(cell), f32x4.splat(f32x4.extract_lane(y, 0)));
  sum = f32x4.relaxed_madd(v128.load(cell + row), f32x4.splat(f32x4.extract_lane(y, 1)), sum);
  sum = f32x4.relaxed_madd(v128.load(cell + 2 * row), f32x4.splat(f32x4.extract_lane(y, 2)), sum);
  return f32x4.relaxed_madd(v128.load(cell + 3 * row), f32x4.splat(f32x4.extract_lane(y, 3)), sum);
}

/**
 * Reads the potential at each point and writes -2/3 of its slope, the repulsion before the division by Z; with `near`, on
 * top of what `repelNear` has left there. Returns the sum of the potentials, which is Z plus 1 for each point.
 */
export function gather3(
  points: usize,
  from: i32,
  to: i32,
  potential: usize,
  side: i32,
  left: f32,
  top: f32,
  front: f32,
  perUnit: f32,
  near: bool,
  repulsion: usize,
): f64 {
  const row = <usize>side << 2;
  const plane = <usize>side * row;
  const scale = <f32>(-2.0 / 3.0) * perUnit;
  let sum: f64 = 0;
  for (let i = from; i < to; i++) {
    const at = points + (<usize>i << 4);
    const u = (load<f32>(at) - left) * perUnit;
    const v = (load<f32>(at, 4) - top) * perUnit;
    const w = (load<f32>(at, 8) - front) * perUnit;
    const column = <i32>u, line = <i32>v, sheet = <i32>w;
    const x = weights(u - <f32>column), y = weights(v - <f32>line), z = weights(w - <f32>sheet);
    const dx = slopes(u - <f32>column), dy = slopes(v - <f32>line), dz = slopes(w - <f32>sheet);
    const cell = potential + <usize>(sheet - 1) * plane + <usize>(line - 1) * row + (<usize>(column - 1) << 2);
    const s0 = across(cell, row, y), t0 = across(cell, row, dy);
    const s1 = across(cell + plane, row, y), t1 = across(cell + plane, row, dy);
    const s2 = across(cell + 2 * plane, row, y), t2 = across(cell + 2 * plane, row, dy);
    const s3 = across(cell + 3 * plane, row, y), t3 = across(cell + 3 * plane, row, dy);
    const value = combine(s0, s1, s2, s3, z);
    const put = repulsion + (<usize>i << 4);
    let q = total(f32x4.mul(value, x));
    let fx = scale * total(f32x4.mul(value, dx));
    let fy = scale * total(f32x4.mul(combine(t0, t1, t2, t3, z), x));
    let fz = scale * total(f32x4.mul(combine(s0, s1, s2, s3, dz), x));
    if (near) {
      fx += load<f32>(put);
      fy += load<f32>(put, 4);
      fz += load<f32>(put, 8);
      q += load<f32>(put, 12);
    }
    sum += <f64>q;
    store<f32>(put, fx);
    store<f32>(put, fy, 4);
    store<f32>(put, fz, 8);
    store<f32>(put, 0, 12);
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function combine(a: v128, b: v128, c: v128, d: v128, weight: v128): v128 {
  let sum = f32x4.mul(a, f32x4.splat(f32x4.extract_lane(weight, 0)));
  sum = f32x4.relaxed_madd(b, f32x4.splat(f32x4.extract_lane(weight, 1)), sum);
  sum = f32x4.relaxed_madd(c, f32x4.splat(f32x4.extract_lane(weight, 2)), sum);
  return f32x4.relaxed_madd(d, f32x4.splat(f32x4.extract_lane(weight, 3)), sum);
}

// @ts-ignore: decorator
@inline
function bytesOfRow(length: i32): usize {
  return <usize>(length + 1) << 7;
}

/** Transforms along z, for 32 of the columns that stand side by side in a plane, from `first` on. */
export function forwardZ(
  first: i32,
  length: i32,
  grids: usize,
  threads: i32,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const side = length >> 1;
  const plane = <usize>(side * side) << 2;
  const pitch = bytesOfRow(length);
  const field = middle + <usize>(first / side) * pitch + (<usize>(first % side) << 7);
  const charges = grids + (<usize>first << 2);
  analyse(charges, plane, <usize>side * plane, threads, length, scratch, w, order, field, <usize>side * pitch);
}

/** The way back: makes the potential. */
export function inverseZ(
  first: i32,
  length: i32,
  potential: usize,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const side = length >> 1;
  const plane = <usize>(side * side) << 2;
  const pitch = bytesOfRow(length);
  const field = middle + <usize>(first / side) * pitch + (<usize>(first % side) << 7);
  synthesise(field, <usize>side * pitch, length, scratch, w, order, potential + (<usize>first << 2), plane);
}

/** Transforms a row along x, of 16 frequencies kz: row y of block b is `b * side + y`. */
export function forwardX(row: i32, length: i32, middle: usize, w: usize): void {
  forward(middle + <usize>row * bytesOfRow(length), length, w, widthOf(row / (length >> 1), length), true);
}

/** The way back. */
export function inverseX(row: i32, length: i32, middle: usize, w: usize): void {
  inverse(middle + <usize>row * bytesOfRow(length), length, w, widthOf(row / (length >> 1), length), true);
}

/** For frequency kx of 16 frequencies kz: transforms along y, multiplies by the kernel's transform, transforms back. */
export function convolveY(
  block: i32,
  k: i32,
  length: i32,
  middle: usize,
  kernel: usize,
  scratch: usize,
  w: usize,
  order: usize,
): void {
  const side = length >> 1;
  const pitch = bytesOfRow(length);
  const width = widthOf(block, length);
  const bytes = <usize>width << 4;
  const field = middle + <usize>(block * side) * pitch + (<usize>load<i32>(order + (<usize>k << 2)) << 7);
  let to = scratch;
  for (let from = field; from < field + <usize>side * pitch; from += pitch) {
    for (let u: usize = 0; u < bytes; u += 16) {
      v128.store(to + u, v128.load(from + u));
      v128.store(to + u, v128.load(from + u, IMAGINARY), IMAGINARY);
    }
    to += 128;
  }
  forward(scratch, length, w, width, true);
  // The kernel is even.
  const same = k > side ? length - k : k;
  let g = kernel + ((<usize>(block * (side + 1) + same) * length) << 6);
  for (let at = scratch; at < scratch + (<usize>length << 7); at += 128) {
    for (let u: usize = 0; u < bytes; u += 16) {
      const factor = v128.load(g + u);
      v128.store(at + u, f32x4.mul(v128.load(at + u), factor));
      v128.store(at + u, f32x4.mul(v128.load(at + u, IMAGINARY), factor), IMAGINARY);
    }
    g += 64;
  }
  inverse(scratch, length, w, width, true);
  let from = scratch;
  for (let to = field; to < field + <usize>side * pitch; to += pitch) {
    for (let u: usize = 0; u < bytes; u += 16) {
      v128.store(to + u, v128.load(from + u));
      v128.store(to + u, v128.load(from + u, IMAGINARY), IMAGINARY);
    }
    from += 128;
  }
}

// A distance of nodes along a direction: what it is, but for the last four before the kernel repeats itself, where no point
// is so far away. There it levels off, as a bend would be felt by nearer nodes too.
// @ts-ignore: decorator
@inline
function level(nodes: i32, side: i32): f32 {
  const x = <f32>(nodes - side + 4);
  return x > 0 ? <f32>nodes - x * x * x * (<f32>(1.0 / 16.0) - x * <f32>(1.0 / 128.0)) : <f32>nodes;
}

/**
 * Transforms 32 columns of the kernel's smooth part along z, from `first` on; with `near`, of the kernel less 1, whose
 * slope is the same. It is real and even, as are its transforms, and two columns make one complex signal without mixing.
 * `spacing` is the distance of two nodes.
 */
export function kernelZ(
  first: i32,
  length: i32,
  spacing: f32,
  reach: f32,
  near: bool,
  scratch: usize,
  w: usize,
  order: usize,
  middle: usize,
): void {
  const side = length >> 1;
  const unit: f32 = 0.5 * spacing * spacing, far: f32 = 0.5 * reach * reach;
  const scale: f32 = 1 / ((1 + far) * sqrt<f32>(1 + far));
  const y = first / side, x0 = first % side;
  const dy = level(y, side);
  for (let z = 0; z < length; z++) {
    const dz = level(z < side ? z : length - z, side);
    const to = scratch + (<usize>z << 7);
    for (let x = 0; x < 32; x++) {
      const dx = level(x0 + x, side);
      const s = unit * (dx * dx + dy * dy + dz * dz);
      const r = sqrt<f32>(1 + s);
      let value: f32 = 1 / (r * r * r);
      if (near) value *= -s * (r * r + r + 1) / (r + 1);
      else if (s < far) {
        const t = (far - s) / (1 + far);
        value = scale * (1 + t * (1.5 + 1.875 * t));
      }
      store<f32>(to + (<usize>x << 2), value);
    }
  }
  forward(scratch, length, w, 4, false);
  const pitch = bytesOfRow(length);
  const field = middle + <usize>y * pitch + (<usize>x0 << 7);
  for (let k = 0; k <= side; k += 4) {
    const p0 = scratch + place(order, length, k), p1 = scratch + place(order, length, k + 1);
    const p2 = scratch + place(order, length, k + 2), p3 = scratch + place(order, length, k + 3);
    const out = field + <usize>((k >> 4) * side) * pitch + (<usize>(k & 15) << 2);
    for (let u: usize = 0; u < 128; u += 16) {
      transpose(v128.load(p0 + u), v128.load(p1 + u), v128.load(p2 + u), v128.load(p3 + u), out + (u << 5), 128);
    }
  }
}

// The 16 real numbers at an element, and the even half of a signal that is mirrored in its middle. Nothing is as far apart
// as half of the length, so the element that is missing there may be its neighbour.
// @ts-ignore: decorator
@inline
function mirrored(field: usize, step: usize, length: i32, scratch: usize): void {
  const side = length >> 1;
  const zero = f32x4.splat(0);
  for (let i = 0; i < length; i++) {
    const from = field + <usize>(i < side ? i : i == side ? side - 1 : length - i) * step;
    const to = scratch + (<usize>i << 7);
    for (let u: usize = 0; u < 64; u += 16) {
      v128.store(to + u, v128.load(from + u));
      v128.store(to + u, zero, IMAGINARY);
    }
  }
}

/** Transforms a row of the kernel along x; its frequencies 0 to `length / 2` take the row's place. */
export function kernelX(row: i32, length: i32, middle: usize, scratch: usize, w: usize, order: usize): void {
  const field = middle + <usize>row * bytesOfRow(length);
  mirrored(field, 128, length, scratch);
  forward(scratch, length, w, widthOf(row / (length >> 1), length), false);
  for (let k = 0; k <= length >> 1; k++) {
    const from = scratch + (<usize>load<i32>(order + (<usize>k << 2)) << 7);
    memory.copy(field + (<usize>k << 7), from, 64);
  }
}

/**
 * Transforms the kernel along y, for frequency kx of 16 frequencies kz, and multiplies it by `correction`, which holds a
 * factor for each frequency of a direction: it undoes the smoothing by the splines and scales the transforms.
 */
export function kernelY(
  block: i32,
  k: i32,
  length: i32,
  middle: usize,
  kernel: usize,
  scratch: usize,
  w: usize,
  order: usize,
  correction: usize,
): void {
  const side = length >> 1;
  const pitch = bytesOfRow(length);
  const width = widthOf(block, length);
  mirrored(middle + <usize>(block * side) * pitch + (<usize>k << 7), pitch, length, scratch);
  forward(scratch, length, w, width, false);
  const along = load<f32>(correction + (<usize>k << 2));
  for (let ky = 0; ky < length; ky++) {
    const p = <usize>load<i32>(order + (<usize>ky << 2));
    const down = along * load<f32>(correction + (<usize>ky << 2));
    const out = kernel + ((<usize>(block * (side + 1) + k) * length + p) << 6);
    for (let lane = 0; lane < width << 2; lane++) {
      const kz = (block << 4) + lane;
      const factor = down * load<f32>(correction + (<usize>(kz > side ? side : kz) << 2));
      store<f32>(out + (<usize>lane << 2), load<f32>(scratch + (p << 7) + (<usize>lane << 2)) * factor);
    }
  }
}

// @ts-ignore: decorator
@inline
function cellOf(at: usize, left: f32, top: f32, front: f32, perUnit: f32, cells: i32): i32 {
  const x = min<i32>(cells - 1, <i32>((load<f32>(at) - left) * perUnit));
  const y = min<i32>(cells - 1, <i32>((load<f32>(at, 4) - top) * perUnit));
  const z = min<i32>(cells - 1, <i32>((load<f32>(at, 8) - front) * perUnit));
  return (z * cells + y) * cells + x;
}

/**
 * Sorts the points into cubic cells, `cells` a side from `left`, `top`, `front` on, row by row: x, y and z of each go to
 * three lists, `list` bytes each, and its number to a fourth. Cell c is from `starts[c]` to `starts[c + 1]`.
 */
export function sortIntoCells(
  points: usize,
  count: i32,
  left: f32,
  top: f32,
  front: f32,
  perUnit: f32,
  cells: i32,
  starts: usize,
  sorted: usize,
  list: usize,
): void {
  const all = <usize>(cells * cells * cells);
  memory.fill(starts, 0, (all + 2) << 2);
  // Counted two further on, so that after the sums the next is where a cell starts, and after the sorting where it ends.
  for (let i = 0; i < count; i++) {
    const slot = starts + (<usize>cellOf(points + (<usize>i << 4), left, top, front, perUnit, cells) << 2);
    store<u32>(slot, load<u32>(slot, 8) + 1, 8);
  }
  let sum: u32 = 0;
  for (let slot = starts; slot < starts + ((all + 2) << 2); slot += 4) {
    sum += load<u32>(slot);
    store<u32>(slot, sum);
  }
  for (let i = 0; i < count; i++) {
    const at = points + (<usize>i << 4);
    const slot = starts + (<usize>cellOf(at, left, top, front, perUnit, cells) << 2);
    const to = <usize>load<u32>(slot, 4);
    store<u32>(slot, <u32>to + 1, 4);
    const put = sorted + (to << 2);
    store<f32>(put, load<f32>(at));
    store<f32>(put + list, load<f32>(at, 4));
    store<f32>(put + 2 * list, load<f32>(at, 8));
    store<i32>(put + 3 * list, i);
  }
}

/**
 * For the points of a row of cells: the part of the repulsion that ends at `reach`, twice as far as a cell is wide, and of
 * the potential behind it. `room` takes the points around, in three lists like the sorted ones.
 */
export function repelNear(
  row: i32,
  cells: i32,
  reach: f32,
  starts: usize,
  sorted: usize,
  list: usize,
  room: usize,
  repulsion: usize,
): void {
  const cy = row % cells, cz = row / cells;
  const y0 = max<i32>(0, cy - 2), y1 = min<i32>(cells - 1, cy + 2);
  const z0 = max<i32>(0, cz - 2), z1 = min<i32>(cells - 1, cz + 2);
  const A: f32 = 0.5 * reach * reach, perA: f32 = 1 / (1 + A);
  const q0 = perA * sqrt<f32>(perA), c0 = q0 * perA;
  const one = f32x4.splat(1), zero = f32x4.splat(0), half = f32x4.splat(0.5);
  const scale = f32x4.splat(0.5 * perA), middle = f32x4.splat(A * perA);
  const first0 = f32x4.splat(q0), first1 = f32x4.splat(1.5 * q0), first2 = f32x4.splat(1.875 * q0);
  const slope0 = f32x4.splat(c0), slope1 = f32x4.splat(2.5 * c0);
  const far = f32x4.splat(1e15);
  for (let cx = 0; cx < cells; cx++) {
    const slot = starts + (<usize>(row * cells + cx) << 2);
    const first = <usize>load<u32>(slot), last = <usize>load<u32>(slot, 4);
    if (first == last) continue;
    const x0 = max<i32>(0, cx - 2), x1 = min<i32>(cells - 1, cx + 2);
    let end = room;
    for (let z = z0; z <= z1; z++) {
      for (let y = y0; y <= y1; y++) {
        const cell = starts + (<usize>((z * cells + y) * cells) << 2);
        const from = sorted + (<usize>load<u32>(cell + (<usize>x0 << 2)) << 2);
        const bytes = sorted + (<usize>load<u32>(cell + (<usize>x1 << 2), 4) << 2) - from;
        for (let o: usize = 0; o < bytes; o += 16) {
          v128.store(end + o, v128.load(from + o));
          v128.store(end + list + o, v128.load(from + list + o));
          v128.store(end + 2 * list + o, v128.load(from + 2 * list + o));
        }
        end += bytes;
      }
    }
    // What only fills the last four is too far away to count.
    v128.store(end, far);
    for (let i = first; i < last; i++) {
      const at = sorted + (i << 2);
      const x = v128.load32_splat(at), y = v128.load32_splat(at + list), z = v128.load32_splat(at + 2 * list);
      let fx = zero, fy = zero, fz = zero, qs = zero;
      for (let p = room; p < end; p += 16) {
        const dx = f32x4.sub(x, v128.load(p));
        const dy = f32x4.sub(y, v128.load(p + list));
        const dz = f32x4.sub(z, v128.load(p + 2 * list));
        const d = f32x4.relaxed_madd(dx, dx, f32x4.relaxed_madd(dy, dy, f32x4.mul(dz, dz)));
        const t = f32x4.relaxed_nmadd(d, scale, middle);
        const inside = f32x4.gt(t, zero);
        const u = f32x4.div(one, f32x4.relaxed_madd(half, d, one));
        const w = f32x4.mul(u, f32x4.sqrt(u));
        const q = f32x4.sub(w, f32x4.relaxed_madd(t, f32x4.relaxed_madd(t, first2, first1), first0));
        const c = v128.and(inside, f32x4.sub(f32x4.mul(w, u), f32x4.relaxed_madd(t, slope1, slope0)));
        qs = f32x4.add(qs, v128.and(inside, q));
        fx = f32x4.relaxed_madd(c, dx, fx);
        fy = f32x4.relaxed_madd(c, dy, fy);
        fz = f32x4.relaxed_madd(c, dz, fz);
      }
      const put = repulsion + (<usize>load<u32>(at + 3 * list) << 4);
      store<f32>(put, total(fx));
      store<f32>(put, total(fy), 4);
      store<f32>(put, total(fz), 8);
      store<f32>(put, total(qs), 12);
    }
  }
}
