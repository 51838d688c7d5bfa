/**
 * Walking through the blocks of a figure, and what they look like where no script runs.
 *
 * @module
 */

import type { Blend, Block, Chart, Live, Row, Slides } from "./blocks.ts";
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

/** The blocks of a row, line by line. */
export const linesOf = ({ blocks, columns = blocks.length }: Row): Block[][] =>
  Array.from({ length: Math.ceil(blocks.length / columns) }, (_, i) => blocks.slice(i * columns, (i + 1) * columns));

/**
 * The blocks with so many tiles side by side in their grids; where there is no grid, so many blocks in their rows.
 *
 * @throws {RangeError} if there is neither
 */
export function inColumns(blocks: readonly Block[], columns: number): Block[] {
  const all = [...within(blocks)];
  const grids = all.some((block) => block.kind === "sheet" || (block.kind === "picture" && block.lay));
  if (!grids && !all.some((block) => block.kind === "row" && block.blocks.length > 1)) {
    throw new RangeError(
      `columns: ${columns} finds nothing to arrange: this figure has no grid of pictures and none side by side. ` +
        `Leave columns out.`,
    );
  }
  const arrange = (block: Block): Block => {
    switch (block.kind) {
      case "picture":
        return block.lay ? { ...block, ...block.lay({ columns }) } : block;
      case "sheet":
        return { ...block, columns };
      case "row": {
        const inner = block.blocks.map(arrange);
        return grids || inner.length < 2
          ? { ...block, blocks: inner }
          : { ...block, blocks: inner, columns, unbroken: true };
      }
      case "slides":
        return { ...block, frames: block.frames.map(({ label, block }) => ({ label, block: arrange(block) })) };
      default:
        return block;
    }
  };
  return blocks.map(arrange);
}

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
export function pixelsWithin(blocks: Iterable<Block>): Set<Pixels> {
  const found = new Set<Pixels>();
  for (const block of within(blocks)) {
    if (block.kind === "picture") [block.pixels, ...Object.values(block.marked ?? {})].forEach((one) => found.add(one));
    if (block.kind === "sheet") block.tiles.forEach(({ pixels }) => found.add(pixels));
    if (block.kind === "blend") [composite(block), block.below, block.above].forEach((one) => found.add(one));
  }
  return found;
}

/** What the tiles of sheets were cut from, each once. */
export function wholesWithin(blocks: Iterable<Block>): Set<Pixels> {
  const spots = [...within(blocks)].flatMap((block) => block.kind === "sheet" ? block.tiles : [])
    .flatMap(({ spots = [] }) => spots);
  return new Set(spots.flatMap(({ whole }) => whole ? [whole.of] : []));
}

export function chartsWithin(blocks: Iterable<Block>): Chart[] {
  return [...within(blocks)].filter((block) => block.kind === "chart");
}

export function liveWithin(blocks: Iterable<Block>, still: boolean): Live[] {
  return [...within(blocks, still)].filter((block) => block.kind === "live");
}

/** Looks each key's value up at the same time. */
export async function mapOf<K, V>(keys: Iterable<K>, valueOf: (key: K) => Promise<V>): Promise<Map<K, V>> {
  return new Map(await Promise.all(Array.from(keys, async (key) => [key, await valueOf(key)] as const)));
}
