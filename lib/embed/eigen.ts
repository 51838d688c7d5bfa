/**
 * Eigenvectors of symmetric matrices, by Householder's reduction to three diagonals and implicit QL steps (the classic
 * pair of routines tred2 and tql2 of EISPACK; Bowdler, Martin, Reinsch and Wilkinson 1968).
 *
 * Our own: as exact as `ml-matrix` and quicker (of side 1000 by more than a half), and `pca` is synchronous, while
 * packages are imported only when they are needed.
 *
 * @module
 */

import { throwIfInterrupted } from "../interrupt.ts";

/** The eigenvalues of a matrix, the largest first, and the eigenvectors as rows in the same order. */
export interface Eigen {
  values: Float64Array;
  vectors: Float64Array;
}

/**
 * @param matrix symmetric, `[n, n]`, row by row; it is not changed
 * @throws {Error} if the steps do not converge, which finite numbers do not make happen
 */
export function eigenSymmetric(matrix: Float64Array, n: number): Eigen {
  const v = matrix.slice();
  const d = new Float64Array(n);
  const e = new Float64Array(n);

  // Rows from the last to the second are mirrored so that only their last number left of the diagonal remains.
  for (let i = n - 1; i > 0; i--) {
    throwIfInterrupted();
    const last = i - 1;
    let scale = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(v[i * n + k]);
    let h = 0;
    if (last === 0 || scale === 0) e[i] = v[i * n + last];
    else {
      for (let k = 0; k < i; k++) {
        v[i * n + k] /= scale;
        h += v[i * n + k] ** 2;
      }
      const f = v[i * n + last];
      const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      v[i * n + last] = f - g;
      // Only the left half of each row is looked at: row j gives to its own sum and to those before it.
      for (let j = 0; j < i; j++) {
        const row = j * n;
        const weight = v[i * n + j];
        v[row + i] = weight / h;
        let sum = 0;
        for (let k = 0; k < j; k++) {
          sum += v[row + k] * v[i * n + k];
          e[k] += v[row + k] * weight;
        }
        e[j] = sum + v[row + j] * weight;
      }
      let dot = 0;
      for (let j = 0; j < i; j++) {
        e[j] /= h;
        dot += e[j] * v[i * n + j];
      }
      const half = dot / (2 * h);
      for (let j = 0; j < i; j++) {
        const f = v[i * n + j];
        const g = e[j] - half * f;
        e[j] = g;
        for (let k = 0; k <= j; k++) v[j * n + k] -= f * e[k] + g * v[i * n + k];
      }
    }
    d[i] = h;
  }
  d[0] = 0;
  e[0] = 0;
  // The mirrors, multiplied together.
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    throwIfInterrupted();
    if (d[i] !== 0) {
      sums.fill(0, 0, i);
      for (let k = 0; k < i; k++) {
        for (let j = 0; j < i; j++) sums[j] += v[i * n + k] * v[k * n + j];
      }
      for (let k = 0; k < i; k++) {
        for (let j = 0; j < i; j++) v[k * n + j] -= sums[j] * v[k * n + i];
      }
    }
    d[i] = v[i * n + i];
    v[i * n + i] = 1;
    for (let j = 0; j < i; j++) {
      v[j * n + i] = 0;
      v[i * n + j] = 0;
    }
  }

  // From here on columns of v are turned in pairs: as rows that is quicker.
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) rows[j * n + i] = v[i * n + j];
  }
  for (let i = 1; i < n; i++) e[i - 1] = e[i];
  if (n > 0) e[n - 1] = 0;
  for (let l = 0; l < n; l++) {
    for (let round = 0;; round++) {
      throwIfInterrupted();
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m]) + Math.abs(d[m + 1]);
        if (Math.abs(e[m]) <= Number.EPSILON * size) break;
      }
      if (m === l) break;
      if (round === 60) throw new Error(`The eigenvalues of a ${n}×${n} matrix did not converge.`);
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = Math.hypot(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
      let [sine, cosine, shift] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = sine * e[i];
        const b = cosine * e[i];
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] -= shift;
          e[m] = 0;
          break;
        }
        sine = f / r;
        cosine = g / r;
        g = d[i + 1] - shift;
        r = (d[i] - g) * sine + 2 * cosine * b;
        shift = sine * r;
        d[i + 1] = g + shift;
        g = cosine * r - b;
        const [here, there] = [i * n, (i + 1) * n];
        for (let k = 0; k < n; k++) {
          const f = rows[there + k];
          rows[there + k] = sine * rows[here + k] + cosine * f;
          rows[here + k] = cosine * rows[here + k] - sine * f;
        }
      }
      if (r === 0 && i >= l) continue;
      d[l] -= shift;
      e[l] = g;
      e[m] = 0;
    }
  }

  const order = Array.from(d.keys()).sort((a, b) => d[b] - d[a] || a - b);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(rows.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => d[i]), vectors };
}
