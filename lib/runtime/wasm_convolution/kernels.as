// Convolutions of 32-bit floats with channels last, on the memory of TensorFlow.js's own WASM module.
//
// All are made of one tile: 4 output cells by 8 output channels, whose sums stay in registers. Of the shapes that were
// tried it is the fastest: V8 has 15 vector registers to give, and spills with more rows, or with more than two steps
// at once.

const ROWS: i32 = 4;
const COLUMNS: i32 = 8;

/**
 * Sorts a matrix [rows, columns] into panels of 8 columns, row after row in each. `columns` is a multiple of 8.
 */
export function pack(matrix: usize, rows: i32, columns: i32, panels: usize): void {
  let to = panels;
  for (let c = 0; c < columns; c += COLUMNS) {
    let from = matrix + (<usize>c << 2);
    for (let r = 0; r < rows; r++) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
      to += 32;
      from += <usize>columns << 2;
    }
  }
}

/**
 * Where the windows of output cells begin, tap by tap: for every 4 cells and every tap 4 addresses. Taps beyond the
 * border see `zeros`; cells beyond the last are the last again.
 */
// @ts-ignore: decorator
@inline
function address(
  table: usize,
  first: i32,
  count: i32,
  x: usize,
  h: i32,
  w: i32,
  pitch: i32,
  kh: i32,
  kw: i32,
  strideY: i32,
  strideX: i32,
  dilationY: i32,
  dilationX: i32,
  top: i32,
  left: i32,
  oh: i32,
  ow: i32,
  zeros: usize,
): void {
  let entry = table;
  for (let t = 0; t < count; t += ROWS) {
    for (let r = 0; r < ROWS; r++) {
      const cell = first + min(t + r, count - 1);
      const n = cell / (oh * ow);
      const place = cell - n * (oh * ow);
      const row = place / ow;
      const y0 = row * strideY - top;
      const x0 = (place - row * ow) * strideX - left;
      let slot = entry + (<usize>r << 2);
      for (let k = 0; k < kh; k++) {
        const y = y0 + k * dilationY;
        for (let l = 0; l < kw; l++) {
          const z = x0 + l * dilationX;
          const inside = y >= 0 && y < h && z >= 0 && z < w;
          store<u32>(slot, <u32> (inside ? x + (<usize> (((n * h + y) * w + z) * pitch) << 2) : zeros));
          slot += 16;
        }
      }
    }
    entry += <usize> (kh * kw) << 4;
  }
}

// Adds the side input to a pair of sums, and stores them at `o` behind `out`, nothing below `low`.
// @ts-ignore: decorator
@inline
function finish(a: v128, b: v128, out: usize, side: usize, o: usize, low: v128): void {
  if (side) {
    a = f32x4.add(a, v128.load(side + o));
    b = f32x4.add(b, v128.load(side + o, 16));
  }
  v128.store(out + o, f32x4.max(a, low));
  v128.store(out + o, f32x4.max(b, low), 16);
}

/**
 * A convolution. From one pixel to the next it is `pitch` floats; a tap reads `channels` of them, which may be those of
 * several pixels. `panels` is the packed filter [kh·kw·channels, filters]; `bias` and `side` (of the output's shape) are
 * added if they are not 0. `zeros` are as many zeros as a tap reads; `table` has room for `block` cells,
 * a multiple of 4, by `kh·kw` addresses.
 */
export function convolve(
  x: usize,
  batch: i32,
  h: i32,
  w: i32,
  pitch: i32,
  channels: i32,
  kh: i32,
  kw: i32,
  filters: i32,
  strideY: i32,
  strideX: i32,
  dilationY: i32,
  dilationX: i32,
  top: i32,
  left: i32,
  oh: i32,
  ow: i32,
  panels: usize,
  bias: usize,
  side: usize,
  rectify: bool,
  zeros: usize,
  table: usize,
  block: i32,
  out: usize,
): void {
  const taps = kh * kw;
  const cells = batch * oh * ow;
  const panelBytes = <usize> (taps * channels) << 5;
  const rowBytes = <usize>filters << 2;
  const low = rectify ? f32x4.splat(0) : f32x4.splat(-Infinity);
  // Blocks of cells, so that what they read stays in the cache while all panels pass.
  for (let first = 0; first < cells; first += block) {
    const count = min(block, cells - first);
    address(
      table,
      first,
      count,
      x,
      h,
      w,
      pitch,
      kh,
      kw,
      strideY,
      strideX,
      dilationY,
      dilationX,
      top,
      left,
      oh,
      ow,
      zeros,
    );
    for (let c = 0; c < filters; c += COLUMNS) {
      const panel = panels + <usize> (c >> 3) * panelBytes;
      let u = f32x4.splat(0), v = f32x4.splat(0);
      if (bias) {
        u = v128.load(bias + (<usize>c << 2));
        v = v128.load(bias + (<usize>c << 2), 16);
      }
      let entry = table;
      for (let t = 0; t < count; t += ROWS) {
        let b = panel;
        let a0 = u, a1 = u, a2 = u, a3 = u, b0 = v, b1 = v, b2 = v, b3 = v;
        for (let tap = 0; tap < taps; tap++) {
          let p0 = <usize>load<u32>(entry), p1 = <usize>load<u32>(entry, 4);
          let p2 = <usize>load<u32>(entry, 8), p3 = <usize>load<u32>(entry, 12);
          entry += 16;
          const end = p0 + (<usize> (channels & ~1) << 2);
          while (p0 < end) {
            let f = v128.load(b), g = v128.load(b, 16);
            const s0 = v128.load32_splat(p0);
            a0 = f32x4.relaxed_madd(s0, f, a0);
            b0 = f32x4.relaxed_madd(s0, g, b0);
            const s1 = v128.load32_splat(p1);
            a1 = f32x4.relaxed_madd(s1, f, a1);
            b1 = f32x4.relaxed_madd(s1, g, b1);
            const s2 = v128.load32_splat(p2);
            a2 = f32x4.relaxed_madd(s2, f, a2);
            b2 = f32x4.relaxed_madd(s2, g, b2);
            const s3 = v128.load32_splat(p3);
            a3 = f32x4.relaxed_madd(s3, f, a3);
            b3 = f32x4.relaxed_madd(s3, g, b3);
            f = v128.load(b, 32), g = v128.load(b, 48);
            const r0 = v128.load32_splat(p0, 4);
            a0 = f32x4.relaxed_madd(r0, f, a0);
            b0 = f32x4.relaxed_madd(r0, g, b0);
            const r1 = v128.load32_splat(p1, 4);
            a1 = f32x4.relaxed_madd(r1, f, a1);
            b1 = f32x4.relaxed_madd(r1, g, b1);
            const r2 = v128.load32_splat(p2, 4);
            a2 = f32x4.relaxed_madd(r2, f, a2);
            b2 = f32x4.relaxed_madd(r2, g, b2);
            const r3 = v128.load32_splat(p3, 4);
            a3 = f32x4.relaxed_madd(r3, f, a3);
            b3 = f32x4.relaxed_madd(r3, g, b3);
            b += 64;
            p0 += 8;
            p1 += 8;
            p2 += 8;
            p3 += 8;
          }
          if (channels & 1) {
            const f = v128.load(b), g = v128.load(b, 16);
            const s0 = v128.load32_splat(p0), s1 = v128.load32_splat(p1);
            const s2 = v128.load32_splat(p2), s3 = v128.load32_splat(p3);
            a0 = f32x4.relaxed_madd(s0, f, a0);
            b0 = f32x4.relaxed_madd(s0, g, b0);
            a1 = f32x4.relaxed_madd(s1, f, a1);
            b1 = f32x4.relaxed_madd(s1, g, b1);
            a2 = f32x4.relaxed_madd(s2, f, a2);
            b2 = f32x4.relaxed_madd(s2, g, b2);
            a3 = f32x4.relaxed_madd(s3, f, a3);
            b3 = f32x4.relaxed_madd(s3, g, b3);
            b += 32;
          }
        }
        const last = <usize> (min(ROWS, count - t) - 1);
        const at = <usize> (first + t) * rowBytes + (<usize>c << 2);
        finish(a0, b0, out, side, at, low);
        finish(a1, b1, out, side, at + min<usize>(1, last) * rowBytes, low);
        finish(a2, b2, out, side, at + min<usize>(2, last) * rowBytes, low);
        finish(a3, b3, out, side, at + min<usize>(3, last) * rowBytes, low);
      }
    }
  }
}

/**
 * The filters [3, 3, channels, filters] of Winograd's F(2×2, 3×3), G g Gᵀ, as 16 packed matrices [channels, filters]
 * one behind the other (Lavin and Gray 2015, §4.1).
 */
export function winogradFilters(filter: usize, channels: i32, filters: i32, panels: usize): void {
  const tap = <usize> (channels * filters) << 2;
  const half = f32x4.splat(0.5);
  for (let e = 0; e < filters >> 3; e++) {
    for (let g = 0; g < 2 * channels; g++) {
      const c = g >> 1, f = 8 * e + 4 * (g & 1);
      const from = filter + (<usize> (c * filters + f) << 2);
      const to = panels + (<usize> (((f >> 3) * channels + c) * 8 + (f & 7)) << 2);
      // Rows first: of each column of taps four sums, then the same of each row of those.
      for (let r = 0; r < 4; r++) {
        let row0: v128, row1: v128, row2: v128;
        if (r == 0 || r == 3) {
          const base = from + (r == 3 ? 6 * tap : 0);
          row0 = v128.load(base);
          row1 = v128.load(base + tap);
          row2 = v128.load(base + 2 * tap);
        } else {
          const e0 = f32x4.add(v128.load(from), v128.load(from + 6 * tap)), m0 = v128.load(from + 3 * tap);
          const e1 = f32x4.add(v128.load(from + tap), v128.load(from + 7 * tap)), m1 = v128.load(from + 4 * tap);
          const e2 = f32x4.add(v128.load(from + 2 * tap), v128.load(from + 8 * tap)), m2 = v128.load(from + 5 * tap);
          row0 = f32x4.mul(half, r == 1 ? f32x4.add(e0, m0) : f32x4.sub(e0, m0));
          row1 = f32x4.mul(half, r == 1 ? f32x4.add(e1, m1) : f32x4.sub(e1, m1));
          row2 = f32x4.mul(half, r == 1 ? f32x4.add(e2, m2) : f32x4.sub(e2, m2));
        }
        const even = f32x4.add(row0, row2);
        const place = to + <usize> (4 * r) * tap;
        v128.store(place, row0);
        v128.store(place + tap, f32x4.mul(half, f32x4.add(even, row1)));
        v128.store(place + 2 * tap, f32x4.mul(half, f32x4.sub(even, row1)));
        v128.store(place + 3 * tap, row2);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function seen(x: usize, inside: bool, offset: usize): v128 {
  return inside ? v128.load(x + offset) : f32x4.splat(0);
}

/**
 * A 3×3 convolution without stride by Winograd's F(2×2, 3×3): 16 products for 4 outputs where there were 36. Batches of
 * `tiles` (a multiple of 4) tiles of 2×2 outputs go through `inputs` [16, tiles, channels] and `products`
 * [16, tiles, filters]. `channels` is a multiple of 4; the rest is as in `convolve`, with a `table` for `tiles` cells and
 * four times as many `zeros`.
 */
export function winograd(
  x: usize,
  batch: i32,
  h: i32,
  w: i32,
  channels: i32,
  filters: i32,
  top: i32,
  left: i32,
  oh: i32,
  ow: i32,
  panels: usize,
  bias: usize,
  side: usize,
  rectify: bool,
  zeros: usize,
  table: usize,
  tiles: i32,
  inputs: usize,
  products: usize,
  out: usize,
): void {
  const down = (oh + 1) >> 1, across = (ow + 1) >> 1;
  const all = batch * down * across;
  const low = rectify ? f32x4.splat(0) : f32x4.splat(-Infinity);
  const filterBytes = <usize> (channels * filters) << 2;
  const pixel = <usize>channels << 2, line = <usize> (w * channels) << 2;
  const inputBytes = <usize> (tiles * channels) << 2, productBytes = <usize> (tiles * filters) << 2;
  for (let first = 0; first < all; first += tiles) {
    const count = min(tiles, all - first);
    for (let t = 0; t < count; t++) {
      const n = (first + t) / (down * across);
      const place = first + t - n * (down * across);
      const row = place / across;
      const y = 2 * row - top, z = 2 * (place - row * across) - left;
      const y0 = y >= 0 && y < h, y1 = y + 1 >= 0 && y + 1 < h, y2 = y + 2 < h, y3 = y + 3 < h;
      const z0 = z >= 0 && z < w, z1 = z + 1 >= 0 && z + 1 < w, z2 = z + 2 < w, z3 = z + 3 < w;
      const corner = x + <usize> (((n * h + y) * w + z) * channels << 2);
      if (z0 && z3) {
        const e0 = y0 ? corner : zeros, e1 = y1 ? corner + line : zeros;
        const e2 = y2 ? corner + 2 * line : zeros, e3 = y3 ? corner + 3 * line : zeros;
        const to = inputs + <usize>t * pixel;
        for (let c: usize = 0; c < pixel; c += 16) {
          patch(e0 + c, e2 + c, pixel, inputBytes, to + c, false);
          patch(e1 + c, e2 + c, pixel, inputBytes, to + 4 * inputBytes + c, true);
          patch(e2 + c, e1 + c, pixel, inputBytes, to + 8 * inputBytes + c, false);
          patch(e1 + c, e3 + c, pixel, inputBytes, to + 12 * inputBytes + c, false);
        }
        continue;
      }
      for (let c: usize = 0; c < pixel; c += 16) {
        const to = inputs + <usize>t * pixel + c;
        // Bᵀ d: from each column of the patch the four differences of its rows, ...
        for (let r = 0; r < 4; r++) {
          let d0: v128, d1: v128, d2: v128, d3: v128;
          const upper = r == 0 ? y0 : r == 3 ? y1 : r == 2 ? y2 : y1;
          const lower = r == 0 ? y2 : r == 3 ? y3 : r == 2 ? y1 : y2;
          const a = corner + <usize> (r == 0 ? 0 : r == 2 ? 2 : 1) * line + c;
          const b = corner + <usize> (r == 0 ? 2 : r == 3 ? 3 : r == 2 ? 1 : 2) * line + c;
          if (r == 1) {
            d0 = f32x4.add(seen(a, upper && z0, 0), seen(b, lower && z0, 0));
            d1 = f32x4.add(seen(a, upper && z1, pixel), seen(b, lower && z1, pixel));
            d2 = f32x4.add(seen(a, upper && z2, 2 * pixel), seen(b, lower && z2, 2 * pixel));
            d3 = f32x4.add(seen(a, upper && z3, 3 * pixel), seen(b, lower && z3, 3 * pixel));
          } else {
            d0 = f32x4.sub(seen(a, upper && z0, 0), seen(b, lower && z0, 0));
            d1 = f32x4.sub(seen(a, upper && z1, pixel), seen(b, lower && z1, pixel));
            d2 = f32x4.sub(seen(a, upper && z2, 2 * pixel), seen(b, lower && z2, 2 * pixel));
            d3 = f32x4.sub(seen(a, upper && z3, 3 * pixel), seen(b, lower && z3, 3 * pixel));
          }
          // ... and from those the same of its columns.
          const at = to + <usize> (4 * r) * inputBytes;
          v128.store(at, f32x4.sub(d0, d2));
          v128.store(at + inputBytes, f32x4.add(d1, d2));
          v128.store(at + 2 * inputBytes, f32x4.sub(d2, d1));
          v128.store(at + 3 * inputBytes, f32x4.sub(d1, d3));
        }
      }
    }
    for (let i: usize = 0; i < 16; i++) {
      convolve(
        inputs + i * inputBytes,
        1,
        count,
        1,
        channels,
        channels,
        1,
        1,
        filters,
        1,
        1,
        1,
        1,
        0,
        0,
        count,
        1,
        panels + i * filterBytes,
        0,
        0,
        false,
        zeros,
        table,
        tiles,
        products + i * productBytes,
      );
    }
    for (let t = 0; t < count; t++) {
      const n = (first + t) / (down * across);
      const place = first + t - n * (down * across);
      const row = place / across;
      const y = 2 * row, z = 2 * (place - row * across);
      const cell = <usize> (((n * oh + y) * ow + z) * filters) << 2;
      const right = <usize>filters << 2, below = <usize> (ow * filters) << 2;
      const more = y + 1 < oh, wider = z + 1 < ow;
      for (let f: usize = 0; f < right; f += 16) {
        const from = products + <usize>t * right + f;
        const extra = bias ? v128.load(bias + f) : f32x4.splat(0);
        // Aᵀ m A, column by column.
        let u0 = f32x4.splat(0), u1 = u0, u2 = u0, u3 = u0, v0 = u0, v1 = u0, v2 = u0, v3 = u0;
        for (let k: usize = 0; k < 4; k++) {
          const at = from + k * productBytes;
          const m1 = v128.load(at + 4 * productBytes), m2 = v128.load(at + 8 * productBytes);
          const p = f32x4.add(v128.load(at), f32x4.add(m1, m2));
          const q = f32x4.sub(f32x4.sub(m1, m2), v128.load(at + 12 * productBytes));
          if (k == 0) {
            u0 = p;
            v0 = q;
          } else if (k == 1) {
            u1 = p;
            v1 = q;
          } else if (k == 2) {
            u2 = p;
            v2 = q;
          } else {
            u3 = p;
            v3 = q;
          }
        }
        const o = cell + f;
        put(f32x4.add(u0, f32x4.add(u1, u2)), extra, out, side, o, low);
        if (wider) put(f32x4.sub(f32x4.sub(u1, u2), u3), extra, out, side, o + right, low);
        if (more) {
          put(f32x4.add(v0, f32x4.add(v1, v2)), extra, out, side, o + below, low);
          if (wider) put(f32x4.sub(f32x4.sub(v1, v2), v3), extra, out, side, o + below + right, low);
        }
      }
    }
  }
}

// Of two rows of a patch of 4×4 their sum or difference, and of its columns the four differences of Bᵀ.
// @ts-ignore: decorator
@inline
function patch(a: usize, b: usize, pixel: usize, step: usize, to: usize, plus: bool): void {
  const a0 = v128.load(a), a1 = v128.load(a + pixel), a2 = v128.load(a + 2 * pixel), a3 = v128.load(a + 3 * pixel);
  const b0 = v128.load(b), b1 = v128.load(b + pixel), b2 = v128.load(b + 2 * pixel), b3 = v128.load(b + 3 * pixel);
  const d0 = plus ? f32x4.add(a0, b0) : f32x4.sub(a0, b0), d1 = plus ? f32x4.add(a1, b1) : f32x4.sub(a1, b1);
  const d2 = plus ? f32x4.add(a2, b2) : f32x4.sub(a2, b2), d3 = plus ? f32x4.add(a3, b3) : f32x4.sub(a3, b3);
  v128.store(to, f32x4.sub(d0, d2));
  v128.store(to + step, f32x4.add(d1, d2));
  v128.store(to + 2 * step, f32x4.sub(d2, d1));
  v128.store(to + 3 * step, f32x4.sub(d1, d3));
}

// @ts-ignore: decorator
@inline
function put(sum: v128, extra: v128, out: usize, side: usize, o: usize, low: v128): void {
  sum = f32x4.add(sum, extra);
  if (side) sum = f32x4.add(sum, v128.load(side + o));
  v128.store(out + o, f32x4.max(sum, low));
}

/**
 * The largest value of each channel of each image: `x` [batch, cells, channels] to `out` [batch, channels]. `channels` is a
 * multiple of 4.
 */
export function largest(x: usize, batch: i32, cells: i32, channels: i32, out: usize): void {
  const row = <usize>channels << 2;
  for (let image = 0; image < batch; image++) {
    // Row after row, as they lie in memory; the maxima stay in the cache.
    for (let f: usize = 0; f < row; f += 16) v128.store(out + f, f32x4.splat(-Infinity));
    for (let cell = 0; cell < cells; cell++) {
      for (let f: usize = 0; f < row; f += 16) {
        v128.store(out + f, f32x4.pmax(v128.load(out + f), v128.load(x + f)));
      }
      x += row;
    }
    out += row;
  }
}

/** Where a channel is largest, looked up one by one: right also where all is −∞ or no number. */
function maximum(x: usize, cells: i32, row: usize, value: usize, place: usize): void {
  let most = load<f32>(x);
  let where = 0;
  for (let cell = 1; cell < cells; cell++) {
    x += row;
    const here = load<f32>(x);
    if (here > most || (most != most && here == here)) {
      most = here;
      where = cell;
    }
  }
  store<f32>(value, most);
  store<f32>(place, <f32>where);
}

/**
 * The largest value of each channel of each image, and the first cell that has it: `x` [batch, cells, channels] to `values`
 * and `places` [batch, channels]. `channels` is a multiple of 4. What is no number counts where there is nothing else.
 */
export function maxima(x: usize, batch: i32, cells: i32, channels: i32, values: usize, places: usize): void {
  const row = <usize>channels << 2;
  const none = f32x4.splat(-Infinity);
  for (let image = 0; image < batch; image++) {
    let f: usize = 0;
    for (; f + 64 <= row; f += 64) {
      let m0 = none, m1 = none, m2 = none, m3 = none;
      let w0 = f32x4.splat(0), w1 = w0, w2 = w0, w3 = w0;
      let at = x + f;
      for (let cell = 0; cell < cells; cell++) {
        const here = f32x4.splat(<f32>cell);
        let value = v128.load(at);
        let more = f32x4.gt(value, m0);
        m0 = v128.bitselect(value, m0, more);
        w0 = v128.bitselect(here, w0, more);
        value = v128.load(at, 16);
        more = f32x4.gt(value, m1);
        m1 = v128.bitselect(value, m1, more);
        w1 = v128.bitselect(here, w1, more);
        value = v128.load(at, 32);
        more = f32x4.gt(value, m2);
        m2 = v128.bitselect(value, m2, more);
        w2 = v128.bitselect(here, w2, more);
        value = v128.load(at, 48);
        more = f32x4.gt(value, m3);
        m3 = v128.bitselect(value, m3, more);
        w3 = v128.bitselect(here, w3, more);
        at += row;
      }
      v128.store(values + f, m0);
      v128.store(values + f, m1, 16);
      v128.store(values + f, m2, 32);
      v128.store(values + f, m3, 48);
      v128.store(places + f, w0);
      v128.store(places + f, w1, 16);
      v128.store(places + f, w2, 32);
      v128.store(places + f, w3, 48);
    }
    for (; f < row; f += 16) {
      let most = none;
      let where = f32x4.splat(0);
      let at = x + f;
      for (let cell = 0; cell < cells; cell++) {
        const value = v128.load(at);
        const more = f32x4.gt(value, most);
        most = v128.bitselect(value, most, more);
        where = v128.bitselect(f32x4.splat(<f32>cell), where, more);
        at += row;
      }
      v128.store(values + f, most);
      v128.store(places + f, where);
    }
    for (f = 0; f < row; f += 4) {
      if (load<f32>(values + f) == -Infinity) maximum(x + f, cells, row, values + f, places + f);
    }
    x += <usize>cells * row;
    values += row;
    places += row;
  }
}

/**
 * Normalises channel by channel: `x` [cells, channels] times `scale` plus `shift` [channels], plus `side` of x's shape (0 for
 * none), rectified if asked, to `out`. `channels` is a multiple of 4.
 */
// deno-fmt-ignore
export function normalize(x: usize, cells: i32, channels: i32, scale: usize, shift: usize, side: usize, rectify: bool, out: usize): void {
  const row = <usize>channels << 2;
  const low = f32x4.splat(rectify ? 0 : -Infinity);
  for (let cell = 0; cell < cells; cell++) {
    for (let f: usize = 0; f < row; f += 16) {
      let value = f32x4.relaxed_madd(v128.load(x + f), v128.load(scale + f), v128.load(shift + f));
      if (side) value = f32x4.add(value, v128.load(side + f));
      v128.store(out + f, f32x4.max(value, low));
    }
    x += row;
    out += row;
    if (side) side += row;
  }
}
