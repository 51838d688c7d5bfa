/**
 * Grids of images: scrolling zooms into the picture in full resolution, dragging moves it, a double click shows it whole
 * again, and hovering names the image.
 *
 * @module
 */
/// <reference lib="dom" />

import type { GridData } from "./data.ts";
import { element, enliven, KEEP_KEYS, oncePerPage, pointerIn, takeJson } from "./dom.ts";
import { Tip } from "./tip.ts";

/** The most pixels that a cell is enlarged to. */
const LARGEST_CELL = 128;

/** A picture in a window of the same proportions: how much larger than the window it is, and where its corner lies. */
export class Zoom {
  scale = 1;
  left = 0;
  top = 0;

  /** Moves the picture, but not so far that the window shows what is beside it. */
  move(left: number, top: number, width: number, height: number): void {
    const hold = (value: number, length: number) => Math.min(0, Math.max(length * (1 - this.scale), value));
    this.left = hold(left, width);
    this.top = hold(top, height);
  }

  /** Enlarges around a place of the window, which stays where it is. */
  by(factor: number, [x, y]: readonly [number, number], { width, height, most }: {
    width: number;
    height: number;
    most: number;
  }): void {
    const next = Math.min(most, Math.max(1, this.scale * factor));
    const grown = next / this.scale;
    this.scale = next;
    this.move(x - (x - this.left) * grown, y - (y - this.top) * grown, width, height);
  }
}

/** The place in a grid's words of the cell under a place of the window, or −1. */
export function cellAt(
  { rows, columns }: Pick<GridData, "rows" | "columns">,
  { scale, left, top }: Zoom,
  [x, y]: readonly [number, number],
  [width, height]: readonly [number, number],
): number {
  const column = Math.floor((x - left) / scale / width * columns);
  const row = Math.floor((y - top) / scale / height * rows);
  return column < 0 || column >= columns || row < 0 || row >= rows ? -1 : row * columns + column;
}

function enlivenGrid(root: HTMLElement, tip: Tip): void {
  const data = takeJson<GridData>(root)!;
  const image = root.querySelector("img")!;
  const [width, height] = ["width", "height"].map((name) => image.getAttribute(name));
  const view = element(
    "div",
    "position:relative;overflow:hidden;max-width:100%;cursor:grab;touch-action:none;" +
      `width:${width}px;aspect-ratio:${width}/${height}`,
    {
      class: "convlens-grid-view",
      tabindex: 0,
      "aria-label": `${image.alt}; scroll or press + and − to zoom, drag to move`,
      ...KEEP_KEYS,
    },
  );
  image.replaceWith(view);
  image.draggable = false;
  image.style.cssText = "position:absolute;left:0;top:0;width:100%;height:100%;max-width:none;margin:0;" +
    "transform-origin:0 0;user-select:none";
  view.append(image);

  const zoom = new Zoom();
  const size = () => [view.clientWidth, view.clientHeight] as const;
  const apply = () => {
    image.style.transform = `translate(${zoom.left}px,${zoom.top}px) scale(${zoom.scale})`;
    // Enlarged beyond its own pixels, these stay sharp.
    image.style.imageRendering = zoom.scale * view.clientWidth > image.naturalWidth ? "pixelated" : "auto";
    root.dataset.scale = String(zoom.scale);
  };
  const move = (left: number, top: number) => {
    zoom.move(left, top, ...size());
    apply();
  };
  const zoomBy = (factor: number, at: readonly [number, number]) => {
    const [width, height] = size();
    zoom.by(factor, at, { width, height, most: Math.max(1, LARGEST_CELL * data.columns / width) });
    apply();
  };
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 300), pointerIn(view, event));
  }, { passive: false });
  let held: [x: number, y: number] | undefined;
  view.addEventListener("pointerdown", (event) => {
    held = [event.clientX - zoom.left, event.clientY - zoom.top];
    view.setPointerCapture(event.pointerId);
    view.style.cursor = "grabbing";
  });
  const release = () => {
    held = undefined;
    view.style.cursor = "grab";
  };
  view.addEventListener("pointerup", release);
  view.addEventListener("pointercancel", release);
  view.addEventListener("dblclick", () => {
    zoom.scale = 1;
    move(0, 0);
  });
  view.addEventListener("keydown", (event) => {
    const [width, height] = size();
    const middle = [width / 2, height / 2] as const;
    const step = width / 8;
    const acts: Record<string, () => void> = {
      "+": () => zoomBy(1.5, middle),
      "=": () => zoomBy(1.5, middle),
      "-": () => zoomBy(1 / 1.5, middle),
      ArrowLeft: () => move(zoom.left + step, zoom.top),
      ArrowRight: () => move(zoom.left - step, zoom.top),
      ArrowUp: () => move(zoom.left, zoom.top + step),
      ArrowDown: () => move(zoom.left, zoom.top - step),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  view.addEventListener("pointermove", (event) => {
    if (held) move(event.clientX - held[0], event.clientY - held[1]);
    const words = held ? "" : data.words[cellAt(data, zoom, pointerIn(view, event), size())];
    if (words) tip.show(event, words);
    else tip.hide();
  });
  view.addEventListener("pointerleave", () => tip.hide());
  apply();
}

/** Starts the grids. */
export function startGrids(): void {
  oncePerPage("convlensGrids", () => {
    const tip = new Tip("convlens-grid-tip");
    return () => enliven(".convlens-grid", (root) => enlivenGrid(root, tip));
  });
}
