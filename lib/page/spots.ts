/**
 * What is under the pointer on a contact sheet, enlarged: the part of the tile, what belongs to it, and the whole that it
 * was cut from with a white box where it was.
 *
 * @module
 */
/// <reference lib="dom" />

import type { SpotBox, SpotData } from "./data.ts";
import { element, figureOf } from "./dom.ts";
import { Tip } from "./tip.ts";

/** Enlarged parts and wholes are about so wide, in pixels of the page. */
const ENLARGED = 150;
const WHOLE = 190;
const WIDEST = 540;

/** The spot at a place of a picture, in its own pixels. */
export function spotAt(spots: readonly SpotData[], [x, y]: readonly [number, number]): SpotData | undefined {
  const inside = ([left, top, width, height]: SpotBox) => x >= left && y >= top && x < left + width && y < top + height;
  return spots.find(({ box, pair }) => inside(box) || (pair && inside(pair)));
}

/** How a picture of a size is enlarged: by a whole factor; a large one is made smaller. */
export function fitted(width: number, height: number, side: number): [width: number, height: number] {
  const factor = side / Math.max(width, height);
  const by = factor >= 1 ? Math.floor(factor) : factor;
  return [Math.round(width * by), Math.round(height * by)];
}

/** A canvas with a part of an image, its pixels sharp where it is enlarged. */
function canvasOf(image: HTMLImageElement, [x, y, w, h]: SpotBox, side: number): HTMLCanvasElement {
  const [width, height] = fitted(w, h, side);
  const canvas = element("canvas", "display:block", { width, height });
  const context = canvas.getContext("2d")!;
  context.imageSmoothingEnabled = width < w;
  context.drawImage(image, x, y, w, h, 0, 0, width, height);
  return canvas;
}

/** Paints a white box on a whole, with a dark edge to be seen on white. */
function markBox(canvas: HTMLCanvasElement, [y0, x0, y1, x1]: readonly number[]): void {
  const context = canvas.getContext("2d")!;
  const { width, height } = canvas;
  const edge = (color: string, by: number) => {
    context.strokeStyle = color;
    context.lineWidth = by;
    const [left, top] = [Math.max(2, x0 * width), Math.max(2, y0 * height)];
    context.strokeRect(left, top, Math.min(width - 2, x1 * width) - left, Math.min(height - 2, y1 * height) - top);
  };
  edge("rgba(0,0,0,.7)", 4);
  edge("#fff", 2);
}

/** The pictures under the pointer of all sheets of a page. */
export class Spots {
  readonly #tip = new Tip("convlens-spot", WIDEST);
  readonly #of = new WeakMap<Element, readonly SpotData[]>();
  readonly #wholes = new WeakMap<Element, HTMLImageElement[]>();
  #shown: SpotData | undefined;
  #content: Node[] = [];

  /** Takes over the pictures of a sheet's tiles; their titles, which would lie over these, go. */
  add(tiles: readonly Element[], spots: readonly (readonly SpotData[])[]): void {
    tiles.forEach((tile, i) => {
      const image = tile.querySelector("img");
      if (!image || spots[i].length === 0) return;
      tile.removeAttribute("title");
      this.#of.set(image, spots[i]);
    });
  }

  move(event: MouseEvent): void {
    const image = event.target;
    const spots = image instanceof HTMLImageElement ? this.#of.get(image) : undefined;
    if (!spots) return this.hide();
    const box = (image as HTMLImageElement).getBoundingClientRect();
    const zoom = box.width / (image as HTMLImageElement).naturalWidth;
    const spot = spotAt(spots, [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom]);
    if (!spot) return this.hide();
    if (spot !== this.#shown) this.#draw(image as HTMLImageElement, spot);
    this.#tip.show(event, ...this.#content);
  }

  hide(): void {
    this.#shown = undefined;
    this.#tip.hide();
  }

  #draw(image: HTMLImageElement, spot: SpotData): void {
    this.#shown = spot;
    const pictures = [...spot.pair ? [spot.pair] : [], spot.box].map((box) => canvasOf(image, box, ENLARGED));
    const whole = spot.whole && this.#wholesOf(image)[spot.whole[0]];
    if (spot.whole && whole?.complete) {
      const { naturalWidth, naturalHeight } = whole;
      const canvas = canvasOf(whole, [0, 0, naturalWidth, naturalHeight], WHOLE);
      markBox(canvas, spot.whole[1]);
      pictures.push(canvas);
    }
    const row = element("div", "display:flex;flex-wrap:wrap;gap:6px;align-items:flex-end", {}, ...pictures);
    this.#content = [row, element("div", "margin-top:4px", {}, spot.words)];
  }

  /** The wholes of the figure around an image, unpacked when they are first asked for. */
  #wholesOf(image: Element): HTMLImageElement[] {
    const figure = figureOf(image);
    const known = this.#wholes.get(figure);
    if (known) return known;
    const packed = figure.querySelector("script.convlens-wholes")?.textContent ?? "[]";
    const made = (JSON.parse(packed) as string[]).map((address) => {
      const whole = new Image();
      // What is still being unpacked joins at the next move.
      whole.onload = () => this.#shown = undefined;
      whole.src = address;
      return whole;
    });
    this.#wholes.set(figure, made);
    return made;
  }
}

/**
 * Whether a name is meant by a search: one of the numbers or the ranges of numbers of a list, as `"3, 8-12"`, or a part of
 * it, as `"edge"`. An empty search means all.
 */
export function isMeant(name: string, search: string): boolean {
  const parts = search.toLowerCase().split(/[,;]+|\s+/).filter(Boolean);
  if (parts.length === 0) return true;
  const number = /\d+/.exec(name)?.[0];
  return parts.some((part) => {
    const range = /^(\d+)(?:[-–…](\d+)?)?$/.exec(part);
    if (!range || number === undefined) return name.toLowerCase().includes(part);
    const [low, high] = [
      Number(range[1]),
      part.length > range[1].length ? Number(range[2] ?? Infinity) : Number(range[1]),
    ];
    return Number(number) >= low && Number(number) <= high;
  });
}
