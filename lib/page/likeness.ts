/**
 * An image to click at: the others show how alike each of their cells is to the place, and where it is found.
 *
 * @module
 */
/// <reference lib="dom" />

import type { LikenessData, PackedLikeness } from "./data.ts";
import { element, enliven, oncePerPage, takeJson } from "./dom.ts";
import { nearestQuery, shadeOf } from "./numbers.ts";

/** A photo on a canvas as large as it is shown. */
class Photo {
  readonly root: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly #photo: LikenessData["photos"][number];
  readonly #image: HTMLImageElement;

  constructor(photo: LikenessData["photos"][number], image: HTMLImageElement, name: string) {
    this.#photo = photo;
    this.#image = image;
    const [width, height] = [Math.round(photo.width * photo.scale), Math.round(photo.height * photo.scale)];
    this.canvas = element("canvas", `display:block;max-width:100%`, {
      width,
      height,
      role: "img",
      "aria-label": name,
    });
    this.root = element(
      "div",
      "min-width:0",
      {},
      element("div", `font-size:85%;opacity:.8;max-width:${width}px;overflow:hidden;white-space:nowrap`, {}, name),
      this.canvas,
    );
  }

  /** The point of the image under the pointer. */
  pointAt(event: MouseEvent): [y: number, x: number] {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.#photo;
    return [
      (event.clientY - box.top) / box.height * height - 0.5,
      (event.clientX - box.left) / box.width * width - 0.5,
    ];
  }

  #drawPhoto(): CanvasRenderingContext2D {
    const context = this.canvas.getContext("2d")!;
    const { width, height } = this.canvas;
    context.imageSmoothingEnabled = this.#photo.scale < 1;
    context.drawImage(this.#image, 0, 0, width, height);
    return context;
  }

  #mark(path: (context: CanvasRenderingContext2D) => void, context: CanvasRenderingContext2D): void {
    for (const [color, width] of [["rgba(0,0,0,.8)", 4], ["#fff", 2]] as const) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      path(context);
      context.stroke();
    }
  }

  drawCross([y, x]: readonly [number, number]): void {
    const { scale } = this.#photo;
    const [down, across] = [(y + 0.5) * scale, (x + 0.5) * scale];
    this.#mark((context) => {
      context.moveTo(across - 8, down);
      context.lineTo(across + 8, down);
      context.moveTo(across, down - 8);
      context.lineTo(across, down + 8);
    }, this.#drawPhoto());
  }

  drawLikes({ rowEdges, columnEdges, matches }: PackedLikeness, likes: Uint8Array, query: number): void {
    const { scale } = this.#photo;
    const context = this.#drawPhoto();
    const [rows, columns] = [rowEdges.length - 1, columnEdges.length - 1];
    const edges = (all: readonly number[]) => all.map((at) => Math.round(at * scale));
    const [tops, lefts] = [edges(rowEdges), edges(columnEdges)];
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        context.fillStyle = `rgba(0,0,0,${shadeOf(likes[(query * rows + y) * columns + x])})`;
        context.fillRect(lefts[x], tops[y], lefts[x + 1] - lefts[x], tops[y + 1] - tops[y]);
      }
    }
    const [y, x] = matches[query];
    this.#mark((context) => context.arc((x + 0.5) * scale, (y + 0.5) * scale, 7, 0, 2 * Math.PI), context);
  }
}

const loaded = (address: string) => {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => image);
};

/** Takes the place of the still drawing. */
async function live(root: HTMLElement): Promise<void> {
  const data = takeJson<LikenessData>(root)!;
  const images = await Promise.all(data.photos.map(({ address }) => loaded(address)));
  const rows = data.layers.map(({ layer, images: maps }) => {
    const [first, ...others] = data.photos.map((photo, i) =>
      new Photo(photo, images[i], i === 0 && data.layers.length > 1 ? layer : photo.name)
    );
    first.canvas.style.cursor = "crosshair";
    return {
      first,
      others,
      maps,
      likes: maps.map(({ likes }) => Uint8Array.from(atob(likes), (c) => c.charCodeAt(0))),
    };
  });
  const show = (point: readonly [number, number]) => {
    for (const { first, others, maps, likes } of rows) {
      const query = nearestQuery(maps[0], point);
      const { ys, xs } = maps[0];
      first.drawCross([ys[Math.floor(query / xs.length)], xs[query % xs.length]]);
      others.forEach((other, i) => other.drawLikes(maps[i], likes[i], query));
    }
    root.dataset.point = point.map((at) => at.toFixed(1)).join(" ");
  };
  let kept = false;
  for (const { first } of rows) {
    first.canvas.addEventListener("mousemove", (event) => kept || show(first.pointAt(event)));
    first.canvas.addEventListener("click", (event) => {
      kept = true;
      show(first.pointAt(event));
    });
    first.canvas.addEventListener("mouseleave", () => kept || show(data.start));
  }
  root.replaceChildren(...rows.map(({ first, others }) =>
    element(
      "div",
      "display:flex;flex-wrap:wrap;gap:12px;margin:0 0 8px 0",
      {},
      first.root,
      ...others.map((other) => other.root),
    )
  ));
  show(data.start);
}

/** Starts the pictures. */
export function startLikeness(): void {
  oncePerPage("convlensLikeness", () => () => enliven(".convlens-likeness", (root) => void live(root)));
}
