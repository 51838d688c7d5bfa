/**
 * The pictures of a map's points, in sheets.
 *
 * @module
 */
/// <reference lib="dom" />

import type { PackedSprites } from "./data.ts";
import { bytesOf } from "./numbers.ts";

/** Where the thumbnail of a point lies in its sheet, in tiles; `undefined` where there is none. */
export function spriteOf({ columns, step }: { columns: number; step: number }, i: number, count: number) {
  if (i % step) return undefined;
  const place = i / step;
  const perSheet = columns ** 2;
  const sheet = Math.floor(place / perSheet);
  const held = Math.min(perSheet, Math.ceil(count / step) - sheet * perSheet);
  const across = Math.min(columns, held);
  const at = place % perSheet;
  return { sheet, x: at % columns, y: Math.floor(at / columns), across, down: Math.ceil(held / columns) };
}

/** The pictures of a map's points, in sheets that are unpacked when they are first asked for. */
export class Pictures {
  readonly #sprites: PackedSprites;
  readonly #count: number;
  readonly #addresses: string[] = [];
  #images: HTMLImageElement[] | undefined;

  constructor(sprites: PackedSprites, count: number) {
    this.#sprites = sprites;
    this.#count = count;
  }

  /** Where a point's picture lies, and the address of its sheet. */
  of(i: number) {
    const place = spriteOf(this.#sprites, i, this.#count);
    return place && { ...place, address: this.#address(place.sheet) };
  }

  has(i: number): boolean {
    return i % this.#sprites.step === 0;
  }

  /** Waits until all sheets can be painted. */
  async load(): Promise<void> {
    const images = this.#sprites.sheets.map((_, sheet) => {
      const image = new Image();
      image.src = this.#address(sheet);
      return image;
    });
    await Promise.all(images.map((image) => image.decode()));
    this.#images = images;
  }

  /** Paints a point's picture around a place, in a frame; nothing until all are loaded. */
  paint(
    context: CanvasRenderingContext2D,
    i: number,
    { x, y, side, color, frame }: { x: number; y: number; side: number; color: string; frame: number },
  ): void {
    const place = spriteOf(this.#sprites, i, this.#count);
    if (!place || !this.#images) return;
    const image = this.#images[place.sheet];
    const tile = image.naturalWidth / place.across;
    const [left, top] = [Math.round(x - side / 2), Math.round(y - side / 2)];
    context.fillStyle = color;
    context.fillRect(left - frame, top - frame, side + 2 * frame, side + 2 * frame);
    // Pixels of tiny images stay sharp.
    context.imageSmoothingEnabled = side < tile;
    context.drawImage(image, place.x * tile, place.y * tile, tile, tile, left, top, side, side);
  }

  #address(sheet: number): string {
    return this.#addresses[sheet] ??= URL.createObjectURL(
      new Blob([bytesOf(this.#sprites.sheets[sheet])], { type: "image/webp" }),
    );
  }
}
