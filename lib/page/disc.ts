/**
 * Dots on pixels: the one painter of still maps and of maps in space.
 *
 * @module
 */

/** Pixels row by row, `depth` bytes each (3 or 4, of which the fourth is left alone). */
export interface Canvas {
  bytes: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  depth: 3 | 4;
}

/** A square has about the area of the disc: its half side is the radius over 1.13. */
const SQUARE = 1.13 ** 2;

/** Paints a disc, or a square, with a soft edge of one pixel. */
export function disc(
  { bytes, width, height, depth }: Canvas,
  x: number,
  y: number,
  radius: number,
  [red, green, blue]: readonly number[],
  opacity: number,
  square = false,
): void {
  const left = Math.max(0, Math.floor(x - radius - 0.5));
  const right = Math.min(width - 1, Math.ceil(x + radius - 0.5));
  const top = Math.max(0, Math.floor(y - radius - 0.5));
  const bottom = Math.min(height - 1, Math.ceil(y + radius - 0.5));
  const full = radius > 0.5 ? (radius - 0.5) ** 2 : 0;
  const none = (radius + 0.5) ** 2;
  for (let v = top; v <= bottom; v++) {
    const down = v + 0.5 - y;
    for (let u = left; u <= right; u++) {
      const across = u + 0.5 - x;
      const far = square ? Math.max(across * across, down * down) * SQUARE : across * across + down * down;
      if (far >= none) continue;
      const share = far <= full ? opacity : opacity * (radius + 0.5 - Math.sqrt(far));
      const at = (v * width + u) * depth;
      bytes[at] += share * (red - bytes[at]);
      bytes[at + 1] += share * (green - bytes[at + 1]);
      bytes[at + 2] += share * (blue - bytes[at + 2]);
    }
  }
}

/** `"#rrggbb"` as three numbers. */
export function rgbOf(color: string): [red: number, green: number, blue: number] {
  const value = parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
