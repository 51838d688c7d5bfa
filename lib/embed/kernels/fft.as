// Fourier transforms of 16 complex signals at once, each lane of SIMD another signal.
//
// Element e of the signals stands at `x + 128 * e`: 16 real parts, then 16 imaginary ones. Of them `width` groups of 4
// are transformed. The length is a power of 4, times 1, 2, 3 or 6. Frequencies come out in the order that the stages
// leave (`orderOf` in plan.ts tells it), and the inverse takes them so: a convolution needs no sorting.
//
// `w` holds exp(-2πi k / length) for every k, as pairs of a real and an imaginary part.

const ELEMENT: usize = 128;
const IMAGINARY: usize = 64;

// @ts-ignore: decorator
@inline
function element(x: usize, index: i32): usize {
  return x + <usize>index * ELEMENT;
}

// The two parts of a twiddle factor.
// @ts-ignore: decorator
@inline
function real(w: usize, k: i32): v128 {
  return v128.load32_splat(w + (<usize>k << 3));
}

// @ts-ignore: decorator
@inline
function imaginary(w: usize, k: i32): v128 {
  return v128.load32_splat(w + (<usize>k << 3) + 4);
}

// One stage of the forward transform, radix 4, on blocks of n. In the first stage of a signal whose second half is
// zero, `half` leaves that half unread.
// @ts-ignore: decorator
@inline
function split4(x: usize, length: i32, n: i32, w: usize, width: i32, half: bool): void {
  const m = n >> 2;
  const stride = length / n;
  const bytes = <usize>width << 4;
  for (let block = 0; block < length; block += n) {
    for (let j = 0; j < m; j++) {
      const k = j * stride;
      const w1r = real(w, k), w1i = imaginary(w, k);
      const w2r = real(w, 2 * k), w2i = imaginary(w, 2 * k);
      const w3r = real(w, 3 * k), w3i = imaginary(w, 3 * k);
      let p0 = element(x, block + j);
      let p1 = element(p0, m), p2 = element(p0, 2 * m), p3 = element(p0, 3 * m);
      const end = p0 + bytes;
      while (p0 < end) {
        const ar = v128.load(p0), ai = v128.load(p0, IMAGINARY);
        const br = v128.load(p1), bi = v128.load(p1, IMAGINARY);
        let t0r = ar, t0i = ai, t1r = ar, t1i = ai, t2r = br, t2i = bi, t3r = bi, t3i = br;
        if (!half) {
          const cr = v128.load(p2), ci = v128.load(p2, IMAGINARY);
          const dr = v128.load(p3), di = v128.load(p3, IMAGINARY);
          t0r = f32x4.add(ar, cr);
          t0i = f32x4.add(ai, ci);
          t1r = f32x4.sub(ar, cr);
          t1i = f32x4.sub(ai, ci);
          t2r = f32x4.add(br, dr);
          t2i = f32x4.add(bi, di);
          t3r = f32x4.sub(bi, di);
          t3i = f32x4.sub(br, dr);
        }
        v128.store(p0, f32x4.add(t0r, t2r));
        v128.store(p0, f32x4.add(t0i, t2i), IMAGINARY);
        // -i times (b - d) is (imaginary, -real).
        let yr = f32x4.add(t1r, t3r), yi = f32x4.sub(t1i, t3i);
        v128.store(p1, f32x4.relaxed_nmadd(yi, w1i, f32x4.mul(yr, w1r)));
        v128.store(p1, f32x4.relaxed_madd(yi, w1r, f32x4.mul(yr, w1i)), IMAGINARY);
        yr = f32x4.sub(t0r, t2r);
        yi = f32x4.sub(t0i, t2i);
        v128.store(p2, f32x4.relaxed_nmadd(yi, w2i, f32x4.mul(yr, w2r)));
        v128.store(p2, f32x4.relaxed_madd(yi, w2r, f32x4.mul(yr, w2i)), IMAGINARY);
        yr = f32x4.sub(t1r, t3r);
        yi = f32x4.add(t1i, t3i);
        v128.store(p3, f32x4.relaxed_nmadd(yi, w3i, f32x4.mul(yr, w3r)));
        v128.store(p3, f32x4.relaxed_madd(yi, w3r, f32x4.mul(yr, w3i)), IMAGINARY);
        p0 += 16;
        p1 += 16;
        p2 += 16;
        p3 += 16;
      }
    }
  }
}

// The mirror of split4. In the last stage of a signal whose second half nobody needs, `half` leaves it unwritten.
// @ts-ignore: decorator
@inline
function join4(x: usize, length: i32, n: i32, w: usize, width: i32, half: bool): void {
  const m = n >> 2;
  const stride = length / n;
  const bytes = <usize>width << 4;
  for (let block = 0; block < length; block += n) {
    for (let j = 0; j < m; j++) {
      const k = j * stride;
      const w1r = real(w, k), w1i = imaginary(w, k);
      const w2r = real(w, 2 * k), w2i = imaginary(w, 2 * k);
      const w3r = real(w, 3 * k), w3i = imaginary(w, 3 * k);
      let p0 = element(x, block + j);
      let p1 = element(p0, m), p2 = element(p0, 2 * m), p3 = element(p0, 3 * m);
      const end = p0 + bytes;
      while (p0 < end) {
        const s0r = v128.load(p0), s0i = v128.load(p0, IMAGINARY);
        let yr = v128.load(p2), yi = v128.load(p2, IMAGINARY);
        const s2r = f32x4.relaxed_madd(yi, w2i, f32x4.mul(yr, w2r));
        const s2i = f32x4.relaxed_nmadd(yr, w2i, f32x4.mul(yi, w2r));
        yr = v128.load(p1);
        yi = v128.load(p1, IMAGINARY);
        const s1r = f32x4.relaxed_madd(yi, w1i, f32x4.mul(yr, w1r));
        const s1i = f32x4.relaxed_nmadd(yr, w1i, f32x4.mul(yi, w1r));
        yr = v128.load(p3);
        yi = v128.load(p3, IMAGINARY);
        const s3r = f32x4.relaxed_madd(yi, w3i, f32x4.mul(yr, w3r));
        const s3i = f32x4.relaxed_nmadd(yr, w3i, f32x4.mul(yi, w3r));
        const t0r = f32x4.add(s0r, s2r), t0i = f32x4.add(s0i, s2i);
        const t1r = f32x4.sub(s0r, s2r), t1i = f32x4.sub(s0i, s2i);
        const t2r = f32x4.add(s1r, s3r), t2i = f32x4.add(s1i, s3i);
        const t3r = f32x4.sub(s1r, s3r), t3i = f32x4.sub(s1i, s3i);
        v128.store(p0, f32x4.add(t0r, t2r));
        v128.store(p0, f32x4.add(t0i, t2i), IMAGINARY);
        // i times t3 is (-imaginary, real).
        v128.store(p1, f32x4.sub(t1r, t3i));
        v128.store(p1, f32x4.add(t1i, t3r), IMAGINARY);
        if (!half) {
          v128.store(p2, f32x4.sub(t0r, t2r));
          v128.store(p2, f32x4.sub(t0i, t2i), IMAGINARY);
          v128.store(p3, f32x4.add(t1r, t3i));
          v128.store(p3, f32x4.sub(t1i, t3r), IMAGINARY);
        }
        p0 += 16;
        p1 += 16;
        p2 += 16;
        p3 += 16;
      }
    }
  }
}

// Radix 2 on blocks of n = 2 or 6, both ways: the inverse turns before the sum, with the conjugate.
// @ts-ignore: decorator
@inline
function radix2(x: usize, length: i32, n: i32, w: usize, width: i32, forward: bool): void {
  const m = n >> 1;
  const stride = length / n;
  for (let block = 0; block < length; block += n) {
    for (let j = 0; j < m; j++) {
      const wr = real(w, j * stride), wi = imaginary(w, j * stride);
      for (let u = 0; u < width; u++) {
        const p0 = element(x, block + j) + (<usize>u << 4);
        const p1 = element(p0, m);
        const ar = v128.load(p0), ai = v128.load(p0, IMAGINARY);
        let br = v128.load(p1), bi = v128.load(p1, IMAGINARY);
        if (forward) {
          v128.store(p0, f32x4.add(ar, br));
          v128.store(p0, f32x4.add(ai, bi), IMAGINARY);
          const yr = f32x4.sub(ar, br), yi = f32x4.sub(ai, bi);
          v128.store(p1, f32x4.relaxed_nmadd(yi, wi, f32x4.mul(yr, wr)));
          v128.store(p1, f32x4.relaxed_madd(yi, wr, f32x4.mul(yr, wi)), IMAGINARY);
        } else {
          const yr = f32x4.relaxed_madd(bi, wi, f32x4.mul(br, wr));
          const yi = f32x4.relaxed_nmadd(br, wi, f32x4.mul(bi, wr));
          v128.store(p0, f32x4.add(ar, yr));
          v128.store(p0, f32x4.add(ai, yi), IMAGINARY);
          v128.store(p1, f32x4.sub(ar, yr));
          v128.store(p1, f32x4.sub(ai, yi), IMAGINARY);
        }
      }
    }
  }
}

// Radix 3 on blocks of 3; the inverse differs in one sign.
// @ts-ignore: decorator
@inline
function radix3(x: usize, length: i32, width: i32, forward: bool): void {
  const half = f32x4.splat(0.5);
  const root = f32x4.splat(forward ? <f32>0.8660254037844386 : <f32>-0.8660254037844386);
  for (let block = 0; block < length; block += 3) {
    for (let u = 0; u < width; u++) {
      const p0 = element(x, block) + (<usize>u << 4);
      const p1 = p0 + ELEMENT, p2 = p0 + 2 * ELEMENT;
      const ar = v128.load(p0), ai = v128.load(p0, IMAGINARY);
      const br = v128.load(p1), bi = v128.load(p1, IMAGINARY);
      const cr = v128.load(p2), ci = v128.load(p2, IMAGINARY);
      const sr = f32x4.add(br, cr), si = f32x4.add(bi, ci);
      const mr = f32x4.relaxed_nmadd(half, sr, ar), mi = f32x4.relaxed_nmadd(half, si, ai);
      const dr = f32x4.mul(root, f32x4.sub(br, cr)), di = f32x4.mul(root, f32x4.sub(bi, ci));
      v128.store(p0, f32x4.add(ar, sr));
      v128.store(p0, f32x4.add(ai, si), IMAGINARY);
      v128.store(p1, f32x4.add(mr, di));
      v128.store(p1, f32x4.sub(mi, dr), IMAGINARY);
      v128.store(p2, f32x4.sub(mr, di));
      v128.store(p2, f32x4.add(mi, dr), IMAGINARY);
    }
  }
}

/** Transforms in place. With `half`, the second half of the signals counts as zero, whatever stands there. */
export function forward(x: usize, length: i32, w: usize, width: i32, half: bool): void {
  let n = length;
  if (half) split4(x, length, n, w, width, true);
  else split4(x, length, n, w, width, false);
  n >>= 2;
  while (n > 3 && n != 6) {
    split4(x, length, n, w, width, false);
    n >>= 2;
  }
  if (n == 2 || n == 6) {
    radix2(x, length, n, w, width, true);
    n >>= 1;
  }
  if (n == 3) radix3(x, length, width, true);
}

/** Transforms back in place, without the division by the length. With `half`, only the first half is made. */
export function inverse(x: usize, length: i32, w: usize, width: i32, half: bool): void {
  let rest = length;
  while (rest > 3 && rest != 6) rest >>= 2;
  let n = 1;
  if (rest == 3 || rest == 6) {
    radix3(x, length, width, false);
    n = 3;
  }
  if (rest == 2 || rest == 6) {
    n *= 2;
    radix2(x, length, n, w, width, false);
  }
  n *= 4;
  while (n < length) {
    join4(x, length, n, w, width, false);
    n *= 4;
  }
  if (half) join4(x, length, n, w, width, true);
  else join4(x, length, n, w, width, false);
}
