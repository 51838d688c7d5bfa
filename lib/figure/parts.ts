/**
 * Walking through the blocks of a figure, and what they look like where no script runs.
 *
 * @module
 */

import type { Blend, Block, Chart, Live, Slides } from "./blocks.ts";
import type { Pixels, TileGrid } from "./mosaic.ts";

/** How much of the upper picture of a blend is seen. */
export const DEFAULT_OPACITY = 0.6;

const composites = new WeakMap<Blend, Pixels>();

/** What a {@linkcode Blend} looks like at its own opacity: RGB, as large as the photo. */
export function composite(blend: Blend): Pixels {
  const known = composites.get(blend);
  if (known) return known;
  const { below, above, opacity = DEFAULT_OPACITY } = blend;
  const { width, height } = below;
  const belowDepth = below.data.length / (width * height);
  const aboveDepth = above.data.length / (above.width * above.height);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const aboveRow = Math.floor(((y + 0.5) * above.height) / height) * above.width;
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * belowDepth;
      const over = (aboveRow + Math.floor(((x + 0.5) * above.width) / width)) * aboveDepth;
      const share = aboveDepth === 4 ? (opacity * above.data[over + 3]) / 255 : opacity;
      for (let c = 0; c < 3; c++) {
        data[(y * width + x) * 3 + c] = Math.round(below.data[from + c] * (1 - share) + above.data[over + c] * share);
      }
    }
  }
  const made = { data, width, height };
  composites.set(blend, made);
  return made;
}

/** The place of the frame that slides show first. */
export function startOf({ frames, start = frames.length - 1, label }: Slides): number {
  if (frames.length === 0 || !Number.isInteger(start) || start < 0 || start >= frames.length) {
    throw new RangeError(
      `Slides start at one of their frames: received the start ${start} for the ${frames.length} frames of "${label}".`,
    );
  }
  return start;
}

/** What a picture with more tiles than are drawn says of them. */
export const leftText = ({ left = 0, labels }: TileGrid): string =>
  `The first ${labels.length} of ${labels.length + left} are drawn; ${left} are left out of this picture.`;

/** Blocks in rows of `columns`. */
export const inRows = (blocks: readonly Block[], columns: number): Block[] =>
  Array.from({ length: Math.ceil(blocks.length / columns) }, (_, i) => ({
    kind: "row",
    blocks: blocks.slice(i * columns, (i + 1) * columns),
  }));

/** Which frame of slides is seen, in words. */
export function whereText({ label, frames }: Slides, index: number): string {
  return `${label} ${frames[index].label} · ${index + 1} of ${frames.length}`;
}

/** The blocks and all that they hold; with `still`, of slides only what is seen at first. */
export function* within(blocks: Iterable<Block>, still = false): Generator<Block> {
  for (const block of blocks) {
    yield block;
    if (block.kind === "row") yield* within(block.blocks, still);
    else if (block.kind === "slides") {
      const frames = still ? [block.frames[startOf(block)]] : block.frames;
      yield* within(frames.map((frame) => frame.block), still);
    }
  }
}

/** The pixels that blocks are made of, each once. */
export function pixelsWithin(blocks: Iterable<Block>, still: boolean): Set<Pixels> {
  const found = new Set<Pixels>();
  for (const block of within(blocks, still)) {
    if (block.kind === "picture") {
      found.add(block.pixels);
      if (!still) Object.values(block.marked ?? {}).forEach((pixels) => found.add(pixels));
    }
    if (block.kind === "sheet") block.tiles.forEach(({ pixels }) => found.add(pixels));
    if (block.kind !== "blend") continue;
    found.add(composite(block));
    if (!still) found.add(block.below).add(block.above);
  }
  return found;
}

export function chartsWithin(blocks: Iterable<Block>): Chart[] {
  return [...within(blocks)].filter((block) => block.kind === "chart");
}

export function liveWithin(blocks: Iterable<Block>, still: boolean): Live[] {
  return [...within(blocks, still)].filter((block) => block.kind === "live");
}
