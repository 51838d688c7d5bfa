// The hot loops of resizing. Every argument of type usize is an address in bytes. All is added in double precision and in
// the order of the taps, so that every processor gives the same bits: no relaxed SIMD here.
//
// A table says of each output cell of an axis which source cells it reads: [first: i32, count: i32, weights: usize, 0],
// 16 bytes a cell; the weights are doubles.

// @ts-ignore: decorator
@inline
function firstOf(cell: usize): i32 {
  return load<i32>(cell);
}

// @ts-ignore: decorator
@inline
function endOf(cell: usize): i32 {
  return load<i32>(cell) + load<i32>(cell, 4);
}

// @ts-ignore: decorator
@inline
function weightsOf(cell: usize): usize {
  return load<usize>(cell, 8);
}

/** The smallest and the largest of some bytes, 256 × the largest + the smallest. */
export function extentOfBytes(values: usize, count: i32): i32 {
  let least: i32 = 255, most: i32 = 0, i = 0;
  let low = i8x16.splat(-1), high = i8x16.splat(0);
  for (; i + 16 <= count; i += 16) {
    const sixteen = v128.load(values + i);
    low = v128.min<u8>(low, sixteen);
    high = v128.max<u8>(high, sixteen);
  }
  // Sixteen, then eight, four, two and one.
  low = v128.min<u8>(low, v128.shuffle<i64>(low, low, 1, 0));
  high = v128.max<u8>(high, v128.shuffle<i64>(high, high, 1, 0));
  low = v128.min<u8>(low, v128.shuffle<i32>(low, low, 1, 0, 3, 2));
  high = v128.max<u8>(high, v128.shuffle<i32>(high, high, 1, 0, 3, 2));
  for (let lane = 0; lane < 4; lane++) {
    const a = <i32>((i32x4.extract_lane(low, 0) >>> (8 * lane)) & 255);
    const b = <i32>((i32x4.extract_lane(high, 0) >>> (8 * lane)) & 255);
    least = min(least, a);
    most = max(most, b);
  }
  for (; i < count; i++) {
    const value = <i32>load<u8>(values + i);
    least = min(least, value);
    most = max(most, value);
  }
  return (most << 8) | least;
}

/** The same of floats, NaN left out: two floats at `out`, which hold those of earlier values. */
export function extentOfFloats(values: usize, count: i32, out: usize): void {
  let least = load<f32>(out), most = load<f32>(out, 4);
  let low = f32x4.splat(least), high = f32x4.splat(most);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const four = v128.load(values + (<usize>i << 2));
    low = f32x4.pmin(low, four);
    high = f32x4.pmax(high, four);
  }
  for (let lane: usize = 0; lane < 16; lane += 4) {
    v128.store(out + 16, low);
    least = min(least, load<f32>(out + 16 + lane));
    v128.store(out + 16, high);
    most = max(most, load<f32>(out + 16 + lane));
  }
  for (; i < count; i++) {
    const value = load<f32>(values + (<usize>i << 2));
    if (value < least) least = value;
    if (value > most) most = value;
  }
  store<f32>(out, least);
  store<f32>(out, most, 4);
}

/** Two rows of a source as doubles, the values of both side by side; up to 7 values more than `count` are written. */
function interleave(a: usize, b: usize, bytes: bool, count: i32, pairs: usize): void {
  if (!bytes) {
    for (let i: usize = 0; i < <usize>count; i++) {
      store<f64>(pairs + (i << 4), <f64>load<f32>(a + (i << 2)));
      store<f64>(pairs + (i << 4), <f64>load<f32>(b + (i << 2)), 8);
    }
    return;
  }
  for (let i: usize = 0; i < <usize>count; i += 8) {
    const both = i8x16.shuffle(
      v128.load64_zero(a + i),
      v128.load64_zero(b + i),
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    const low = i16x8.extend_low_i8x16_u(both), high = i16x8.extend_high_i8x16_u(both);
    put4(i32x4.extend_low_i16x8_u(low), pairs + (i << 4));
    put4(i32x4.extend_high_i16x8_u(low), pairs + (i << 4) + 32);
    put4(i32x4.extend_low_i16x8_u(high), pairs + (i << 4) + 64);
    put4(i32x4.extend_high_i16x8_u(high), pairs + (i << 4) + 96);
  }
}

// @ts-ignore: decorator
@inline
function put4(four: v128, at: usize): void {
  v128.store(at, f64x2.convert_low_i32x4_u(four));
  v128.store(at, f64x2.convert_low_i32x4_u(v128.shuffle<i64>(four, four, 1, 0)), 16);
}

// A sum of two rows, rounded to floats, each into its own row.
// @ts-ignore: decorator
@inline
function put(sum: v128, at: usize, line: usize): void {
  const rounded = f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(sum));
  v128.store64_lane(at, rounded, 0);
  v128.store64_lane(at + line, rounded, 1);
}

/**
 * Four rows along their length, two pairs of them, the second `other` bytes after the first: brought to the output's width,
 * as doubles that are floats, in four rows of `line` bytes.
 */
function narrow(pairs: usize, other: usize, channels: i32, columns: usize, width: i32, out: usize, line: usize): void {
  const step = <usize>channels << 4, two = line << 1;
  for (let x = 0; x < width; x++) {
    const cell = columns + (<usize>x << 4);
    const weights = weightsOf(cell);
    const end = weights + (<usize>load<i32>(cell, 4) << 3);
    const from = pairs + <usize>firstOf(cell) * step;
    if (channels == 3) {
      let red = f64x2.splat(0), green = f64x2.splat(0), blue = f64x2.splat(0);
      let red2 = f64x2.splat(0), green2 = f64x2.splat(0), blue2 = f64x2.splat(0);
      for (let w = weights, p = from; w < end; w += 8, p += 48) {
        const weight = v128.load_splat<f64>(w), q = p + other;
        red = f64x2.add(red, f64x2.mul(weight, v128.load(p)));
        green = f64x2.add(green, f64x2.mul(weight, v128.load(p, 16)));
        blue = f64x2.add(blue, f64x2.mul(weight, v128.load(p, 32)));
        red2 = f64x2.add(red2, f64x2.mul(weight, v128.load(q)));
        green2 = f64x2.add(green2, f64x2.mul(weight, v128.load(q, 16)));
        blue2 = f64x2.add(blue2, f64x2.mul(weight, v128.load(q, 32)));
      }
      put(red, out, line);
      put(green, out + 8, line);
      put(blue, out + 16, line);
      put(red2, out + two, line);
      put(green2, out + two + 8, line);
      put(blue2, out + two + 16, line);
      out += 24;
      continue;
    }
    for (let c = 0; c < channels; c++) {
      let first = f64x2.splat(0), second = f64x2.splat(0);
      let p = from + (<usize>c << 4);
      for (let w = weights; w < end; w += 8, p += step) {
        const weight = v128.load_splat<f64>(w);
        first = f64x2.add(first, f64x2.mul(weight, v128.load(p)));
        second = f64x2.add(second, f64x2.mul(weight, v128.load(p + other)));
      }
      put(first, out, line);
      put(second, out + two, line);
      out += 8;
    }
  }
}

/** Adds a narrow row of `line` bytes to the sums of all rows of the output that read it. */
function spread(row: usize, y: i32, lines: usize, height: i32, sums: usize, line: usize): void {
  for (let i = 0; i < height; i++) {
    const cell = lines + (<usize>i << 4);
    if (endOf(cell) <= y) continue;
    if (firstOf(cell) > y) break;
    const weight = v128.load_splat<f64>(weightsOf(cell) + (<usize>(y - firstOf(cell)) << 3));
    const sum = sums + <usize>i * line;
    for (let o: usize = 0; o < line; o += 16) {
      v128.store(sum + o, f64x2.add(v128.load(sum + o), f64x2.mul(weight, v128.load(row + o))));
    }
  }
}

/**
 * Takes `count` rows of a source, from its row `y` on, into the sums of the output.
 *
 * @param source bytes or floats, `width * channels` a row
 * @param line bytes of a row of sums, a multiple of 16
 * @param scratch room for four rows of the source, each 8 values longer, and then four of sums, as doubles
 */
export function take(
  source: usize,
  bytes: bool,
  y: i32,
  count: i32,
  width: i32,
  channels: i32,
  columns: usize,
  toWidth: i32,
  lines: usize,
  toHeight: i32,
  scratch: usize,
  sums: usize,
  line: usize,
): void {
  const values = width * channels;
  const row = <usize>values << (bytes ? 0 : 2);
  const other = <usize>(values + 8) << 4;
  const narrowed = scratch + 2 * other;
  const first = max(y, firstOf(lines));
  const end = min(y + count, endOf(lines + (<usize>(toHeight - 1) << 4)));
  for (let at = first; at < end; at += 4) {
    const left = end - at;
    const one = source + <usize>(at - y) * row;
    // A row that is not there is taken to be the last one, and not used.
    const two = left > 1 ? one + row : one, three = left > 2 ? two + row : two, four = left > 3 ? three + row : three;
    interleave(one, two, bytes, values, scratch);
    interleave(three, four, bytes, values, scratch + other);
    narrow(scratch, other, channels, columns, toWidth, narrowed, line);
    for (let i = 0; i < min(4, left); i++) {
      spread(narrowed + <usize>i * line, at + i, lines, toHeight, sums, line);
    }
  }
}

/** Sums as floats, cut to a range, one row after the other in the place of the sums. */
export function finish(sums: usize, height: i32, values: i32, line: usize, least: f64, most: f64): void {
  const low = f64x2.splat(least), high = f64x2.splat(most);
  let out = sums;
  for (let y = 0; y < height; y++) {
    const from = sums + <usize>y * line;
    for (let i = 0; i < values; i += 2) {
      const two = f32x4.demote_f64x2_zero(f64x2.min(high, f64x2.max(low, v128.load(from + (<usize>i << 3)))));
      // An odd row's last place belongs to the next row, which is written afterwards.
      v128.store64_lane(out + (<usize>i << 2), two, 0);
    }
    out += <usize>values << 2;
  }
}
