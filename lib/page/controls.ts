/**
 * Sliders: frames of which one is seen, and pictures over photos; contact sheets that are sorted and searched. One copy
 * listens to the whole page.
 *
 * What they need is JSON in a script element that is not run, so that where scripts are stripped, the hidden frames are
 * gone with them, and one still picture stays.
 *
 * @module
 */
/// <reference lib="dom" />

import type { BlendData, ChartHover, SheetData, SlidesData } from "./data.ts";
import { nearestIn } from "./hover.ts";
import { button, element, enliven, FIELD, figureOf, KEEP_KEYS, oncePerPage, takeJson } from "./dom.ts";
import { isMeant, Spots } from "./spots.ts";

const childOf = (root: Element, name: string) => root.querySelector<HTMLElement>(`:scope > .${name}`)!;

const controlBar = (...content: Node[]) =>
  element(
    "div",
    "display:flex;gap:6px;align-items:center;max-width:420px;margin:2px 0 6px 0",
    { class: "convlens-control", ...KEEP_KEYS },
    ...content,
  );

function slider(max: number, step: number, value: number, label: string): HTMLInputElement {
  const style = "flex:1 1 120px;min-width:60px;margin:0;accent-color:#3b82c4";
  const made = element("input", style, { type: "range", min: 0, max, step, "aria-label": label, ...KEEP_KEYS });
  made.value = String(value);
  return made;
}

/** How long each of `count` frames is seen when they play, in milliseconds: six seconds for all, but none is a flicker. */
export const frameTime = (count: number): number => Math.max(80, Math.min(500, 6000 / count));

/** Frames of which a slider and three buttons choose one. */
class Slides {
  readonly #root: HTMLElement;
  readonly #labels: string[];
  readonly #control: HTMLElement;
  #index: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(root: HTMLElement, { start, labels, frames }: SlidesData) {
    this.#root = root;
    this.#labels = labels;
    this.#index = start;
    const holder = childOf(root, "convlens-frames");
    holder.style.cssText += ";display:grid";
    const first = holder.firstElementChild as HTMLElement;
    frames.forEach((html, i) => {
      const frame = i === start ? first : element("div", "");
      if (html !== null) frame.innerHTML = html;
      frame.style.cssText += ";grid-area:1/1;min-width:0";
      holder.append(frame);
    });
    const act = (action: string, sign: string, label: string) =>
      button(sign, { "data-action": action, "aria-label": label, title: label });
    this.#control = controlBar(
      act("back", "◀", "one back"),
      act("on", "▶", "one on"),
      act("play", "play", "play"),
      slider(labels.length - 1, 1, start, root.dataset.label!),
    );
    childOf(root, "convlens-where").after(this.#control);
    this.show(start);
  }

  get index(): number {
    return this.#index;
  }

  show(index: number): void {
    this.#index = index = Math.max(0, Math.min(this.#labels.length - 1, index));
    childOf(this.#root, "convlens-where").textContent = this.#labels[index];
    const input = this.#control.querySelector("input")!;
    input.value = String(index);
    input.setAttribute("aria-valuetext", this.#labels[index]);
    [...childOf(this.#root, "convlens-frames").children].forEach((frame, i) => {
      (frame as HTMLElement).style.visibility = i === index ? "inherit" : "hidden";
    });
  }

  /** Stops playing; whether it was. */
  stop(): boolean {
    if (this.#timer === undefined) return false;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#playButton().textContent = "play";
    return true;
  }

  /** Plays to the last frame, from the first one where the last one is seen. */
  play(showAll: (index: number) => void): void {
    const last = this.#labels.length - 1;
    if (this.#index === last) showAll(0);
    this.#playButton().textContent = "stop";
    this.#timer = setInterval(() => {
      if (this.#root.isConnected && this.#index < last) showAll(this.#index + 1);
      else this.stop();
    }, frameTime(last + 1));
  }

  #playButton(): HTMLElement {
    return this.#control.querySelector<HTMLElement>("[data-action=play]")!;
  }
}

/** A picture over a photo, and the slider that sets how much of it is seen. */
class Blend {
  readonly #above: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #words: HTMLElement;

  constructor(root: HTMLElement, data: BlendData) {
    const below = root.querySelector("img")!;
    const stack = element("div", "position:relative;width:fit-content;max-width:100%", { class: "convlens-stack" });
    below.replaceWith(stack);
    below.src = typeof data.below === "string"
      ? data.below
      : figureOf(root).querySelector<HTMLImageElement>(`img[data-picture="${data.below}"]`)!.src;
    this.#above = element(
      "img",
      "position:absolute;left:0;top:0;width:100%;height:100%;max-width:none;margin:0;" +
        "image-rendering:pixelated;pointer-events:none",
      { src: data.above, alt: "", class: "convlens-above" },
    );
    stack.append(below, this.#above);
    this.#words = element(
      "span",
      "font-size:85%;opacity:.8;white-space:nowrap;min-width:5.5em;font-variant-numeric:tabular-nums",
      { class: "convlens-share" },
    );
    this.#input = slider(1, 0.01, data.opacity, "share of the map over the photo");
    const control = controlBar(this.#words, this.#input);
    control.style.maxWidth = `min(100%, ${Math.max(180, below.width)}px)`;
    root.append(control);
    this.mix(data.opacity);
  }

  mix(opacity: number): void {
    this.#above.style.opacity = this.#input.value = String(opacity);
    this.#words.textContent = `map ${Math.round(100 * opacity)} %`;
  }
}

/** A contact sheet that the reader sorts and searches. */
class Sheet {
  readonly #grid: HTMLElement;
  readonly #tiles: readonly HTMLElement[];
  readonly #buttons: readonly HTMLElement[];
  readonly #count = element("span", "font-size:85%;opacity:.8;font-variant-numeric:tabular-nums");

  constructor(root: HTMLElement, readonly data: SheetData, spots: Spots) {
    const { orders, filter } = data;
    this.#grid = root.firstElementChild as HTMLElement;
    this.#tiles = [...this.#grid.children] as HTMLElement[];
    if (data.spots) spots.add(this.#tiles, data.spots);
    const sorted = orders.length > 1;
    this.#buttons = sorted ? orders.map(({ name }, i) => button(name, { "data-order": String(i) })) : [];
    const words = (text: string) => element("span", "font-size:85%;opacity:.8", {}, text);
    const content: Node[] = sorted ? [words("sort:"), ...this.#buttons] : [];
    if (filter && this.#tiles.length > 1) {
      const style = `${FIELD}font-size:90%;line-height:1.2;padding:2px 6px;width:9em;margin:0`;
      const label = `show only some, by ${filter.of}`;
      const field = { type: "search", placeholder: "3, 8-12", "aria-label": label, title: label, ...KEEP_KEYS };
      content.push(words(`${filter.of}:`), element("input", style, field), this.#count);
    }
    if (content.length > 0) {
      const control = controlBar(...content);
      control.style.cssText += ";flex-wrap:wrap;max-width:none";
      root.prepend(control);
    }
    if (sorted) this.sort(0);
  }

  /** Puts the tiles in one of the orders. */
  sort(order: number): void {
    this.#grid.replaceChildren(...this.data.orders[order].places.map((place) => this.#tiles[place]));
    this.#buttons.forEach((one, i) => {
      one.setAttribute("aria-pressed", String(i === order));
      one.style.background = i === order ? "rgba(128,128,128,.35)" : "transparent";
    });
  }

  /** Hides the tiles whose names are not meant. */
  search(text: string): void {
    const { names } = this.data.filter!;
    const meant = this.#tiles.map((tile, i) => {
      const is = isMeant(names[i], text);
      tile.style.display = is ? "block" : "none";
      return is;
    });
    this.#count.textContent = text.trim() ? `${meant.filter(Boolean).length} of ${meant.length}` : "";
  }
}

/** Starts the sliders and the contact sheets; sliders of one figure that set the same move together. */
export function startControls(): void {
  oncePerPage("convlensControls", () => {
    const slides = new WeakMap<Element, Slides>();
    const blends = new WeakMap<Element, Blend>();
    const sheets = new WeakMap<Element, Sheet>();
    const spots = new Spots();
    const showAll = (root: HTMLElement, index: number) => {
      for (const other of figureOf(root).querySelectorAll<HTMLElement>(".convlens-slides")) {
        if (other.dataset.label === root.dataset.label) slides.get(other)?.show(index);
      }
    };
    const closest = (event: Event, selector: string) =>
      event.target instanceof Element ? event.target.closest<HTMLElement>(selector) : null;
    document.addEventListener("input", (event) => {
      const root = closest(event, ".convlens-control")?.parentElement;
      if (!root) return;
      const text = (event.target as HTMLInputElement).value;
      const value = Number(text);
      if (sheets.has(root)) sheets.get(root)!.search(text);
      else if (slides.has(root)) {
        slides.get(root)!.stop();
        showAll(root, value);
      } else for (const other of figureOf(root).querySelectorAll(".convlens-blend")) blends.get(other)?.mix(value);
    });
    /** Shows the frame of the bar or point that was clicked. */
    const choose = (image: HTMLImageElement, event: MouseEvent) => {
      const chart: Partial<ChartHover> = JSON.parse(image.dataset.convlens!);
      const own = [...figureOf(image).querySelectorAll<HTMLElement>(".convlens-slides")]
        .find(({ dataset }) => dataset.label === chart.chooses);
      if (!own || chart.chooses === undefined) return;
      const { left, top, width } = image.getBoundingClientRect();
      const full = chart as ChartHover;
      const zoom = width / full.size[0];
      const met = nearestIn(full, [(event.clientX - left) / zoom, (event.clientY - top) / zoom]);
      if (!met) return;
      slides.get(own)?.stop();
      showAll(own, met.index);
    };
    document.addEventListener("click", (event) => {
      const chart = closest(event, "img[data-convlens]");
      if (chart) return choose(chart as HTMLImageElement, event);
      const order = closest(event, ".convlens-control [data-order]");
      const sheet = order?.closest(".convlens-sheet");
      if (sheet) return sheets.get(sheet)?.sort(Number(order!.dataset.order));
      const pressed = closest(event, ".convlens-control [data-action]");
      const root = pressed?.closest(".convlens-control")?.parentElement;
      const own = root && slides.get(root);
      if (!pressed || !own) return;
      const { action } = pressed.dataset;
      const played = own.stop();
      if (action !== "play") showAll(root, own.index + (action === "on" ? 1 : -1));
      else if (!played) own.play((index) => showAll(root, index));
    });
    document.addEventListener("mousemove", (event) => spots.move(event));
    document.documentElement.addEventListener("mouseleave", () => spots.hide());
    document.addEventListener("scroll", () => spots.hide(), true);
    // Frames hold further sliders, which come into the page as these are made.
    return () =>
      enliven(":is(.convlens-slides,.convlens-blend,.convlens-sheet)", (root) => {
        if (root.classList.contains("convlens-sheet")) {
          const data = takeJson<SheetData>(root);
          if (data) sheets.set(root, new Sheet(root, data, spots));
        } else if (root.classList.contains("convlens-blend")) {
          const data = takeJson<BlendData>(root);
          if (data) blends.set(root, new Blend(root, data));
        } else {
          const data = takeJson<SlidesData>(root);
          if (data && data.labels.length > 1) slides.set(root, new Slides(root, data));
        }
      });
  });
}
