/**
 * Inner products of all pairs of rows.
 *
 * @module
 */

import type { Tensor2D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../runtime/core/types.ts";

/** So many columns are multiplied at once: 32-bit sums of more lose digits. */
const COLUMNS = 16_384;

/**
 * The inner products of the rows of `[rows, columns]`, their mean subtracted, as `[rows, rows]`. They are summed in 32 bits over
 * some columns at once, and in 64 over these.
 */
export async function gramOf(tf: TF, data: Float32Array, rows: number, columns: number): Promise<Float64Array> {
  const sums = new Float64Array(rows * rows);
  const points = tf.tensor2d(data.subarray(0, rows * columns), [rows, columns]);
  try {
    for (let start = 0; start < columns; start += COLUMNS) {
      const product = tf.tidy(() => {
        const part: Tensor2D = tf.slice(points, [0, start], [rows, Math.min(COLUMNS, columns - start)]);
        const even = tf.sub(part, tf.mean(part, 0, true));
        return tf.matMul(even, even, false, true);
      });
      try {
        const values = await product.data();
        for (let i = 0; i < sums.length; i++) sums[i] += values[i];
      } finally {
        product.dispose();
      }
    }
  } finally {
    points.dispose();
  }
  return sums;
}
