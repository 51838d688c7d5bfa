/**
 * The resizing of `lib/resize/` as plain loops: what its kernel is held to, bit for bit.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../lib/array.ts";

/** Lobes of the Lanczos kernel on each side. */
const LOBES = 3;

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / (angle * angle);
}

/** For each output cell of one axis: the first source cell it reads and the weights of that cell and the next ones. */
function resampling(from: number, start: number, length: number, to: number): { first: number; weights: number[] }[] {
  const scale = length / to;
  const stretch = Math.max(1, scale);
  const support = LOBES * stretch;
  return Array.from({ length: to }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(from, Math.floor(centre + support + 0.5));
    const weights: number[] = [];
    for (let x = first; x < end; x++) weights.push(lanczos((x + 0.5 - centre) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Resizes `[height, width, channels]` to `[height, width]`, first each row and then each column. */
export function plainResize(
  image: NdArrayLike,
  [toHeight, toWidth]: readonly number[],
  fit: "crop" | "squash" = "crop",
): NdArrayLike {
  const [height, width, channels] = image.shape;
  const scale = Math.min(height / toHeight, width / toWidth);
  const usedHeight = fit === "crop" ? toHeight * scale : height;
  const usedWidth = fit === "crop" ? toWidth * scale : width;
  const columns = resampling(width, (width - usedWidth) / 2, usedWidth, toWidth);
  const rows = resampling(height, (height - usedHeight) / 2, usedHeight, toHeight);
  const narrow = new Float32Array(height * toWidth * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      const { first, weights } = columns[x];
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * image.data[(y * width + first + k) * channels + c];
        }
        narrow[(y * toWidth + x) * channels + c] = sum;
      }
    }
  }
  const [min, max] = extent(image.data);
  const line = toWidth * channels;
  const data = new Float32Array(toHeight * line);
  const sums = new Float64Array(line);
  for (let y = 0; y < toHeight; y++) {
    const { first, weights } = rows[y];
    sums.fill(0);
    for (let k = 0; k < weights.length; k++) {
      const start = (first + k) * line;
      for (let i = 0; i < line; i++) sums[i] += weights[k] * narrow[start + i];
    }
    for (let i = 0; i < line; i++) data[y * line + i] = Math.min(max, Math.max(min, sums[i]));
  }
  return { data, shape: [toHeight, toWidth, channels] };
}
