/**
 * Plain numeric arrays: what every result of convlens holds.
 *
 * A result never keeps a tensor, so cells re-run safely and figures need no runtime.
 *
 * @module
 */

/** A dense, row-major (C-order) array of 32-bit floats. */
export interface NdArray {
  /** The values, in row-major order; its length is the product of `shape`. */
  readonly data: Float32Array;
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];
}

/** The number of values in an array of this shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Makes an {@linkcode NdArray}, checking that the data fills the shape.
 *
 * @param data the values in row-major order; copied to `Float32Array` only if they are not one already
 * @param shape the length of each axis
 * @throws {RangeError} if a length is not a whole number ≥ 0, or the data does not fill the shape
 */
export function ndarray(data: Float32Array | ArrayLike<number>, shape: readonly number[]): NdArray {
  for (const length of shape) {
    if (!Number.isInteger(length) || length < 0) {
      throw new RangeError(`An array's shape must hold whole numbers ≥ 0: received [${shape.join(", ")}].`);
    }
  }
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(
      `An array of shape [${shape.join(", ")}] holds ${sizeOf(shape)} values: received ${data.length}.`,
    );
  }
  return { data: data instanceof Float32Array ? data : Float32Array.from(data), shape: [...shape] };
}

/** Whether a value looks like an {@linkcode NdArray}. */
export function isNdArray(value: unknown): value is NdArray {
  const candidate = value as NdArray | null;
  return typeof candidate === "object" && candidate !== null &&
    candidate.data instanceof Float32Array && Array.isArray(candidate.shape);
}

/**
 * Takes one plane of an `[h, w, c]` array: the values of one channel, as `[h, w]`.
 *
 * @throws {RangeError} if the array has not three axes or the channel does not exist
 */
export function channelOf(array: NdArray, channel: number): NdArray {
  const [height, width, channels] = array.shape;
  if (array.shape.length !== 3 || !Number.isInteger(channel) || channel < 0 || channel >= channels) {
    throw new RangeError(
      `Channel ${channel} was asked of an array of shape [${array.shape.join(", ")}]; ` +
        `wanted [height, width, channels] and a channel from 0 to ${(channels ?? 0) - 1}.`,
    );
  }
  const data = new Float32Array(height * width);
  for (let i = 0; i < data.length; i++) data[i] = array.data[i * channels + channel];
  return { data, shape: [height, width] };
}

/** The smallest and the largest value; `[0, 0]` for an empty array. NaN is ignored. */
export function extent(values: ArrayLike<number>): [min: number, max: number] {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  // Adding 0 turns −0, which a rectifier may put out, into 0.
  return min > max ? [0, 0] : [min + 0, max + 0];
}

/** Scores as shares that add up to 1: each score's exponential over the sum of all. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  let largest = -Infinity;
  for (let i = 0; i < scores.length; i++) if (scores[i] > largest) largest = scores[i];
  const shares = Float64Array.from(scores as ArrayLike<number>, (score) => Math.exp(score - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}
