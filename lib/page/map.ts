/**
 * Maps: a drawing of the points takes the place of the still picture, and shows the pictures of the point under the
 * pointer, of a point and its true neighbours, of all within a lasso.
 *
 * One copy serves a whole page; a further copy only brings the maps to life that have come since.
 *
 * @module
 */
/// <reference lib="dom" />

import { brief } from "../format.ts";
import type { MapData } from "./data.ts";
import { button, element, enliven, FIELD, figureOf, KEEP_KEYS, oncePerPage, press, takeJson } from "./dom.ts";
import { bytesOf, floatsOf } from "./numbers.ts";
import { Tip } from "./tip.ts";
import type { Column, Drawing, Points } from "./map_drawing.ts";
import { FlatDrawing } from "./flat_map.ts";
import { Pictures } from "./sheets.ts";
import { SpaceDrawing } from "./space_map.ts";

export { spriteOf } from "./sheets.ts";

/** The most pictures that are listed. */
const LISTED = 120;
/** Neighbours farther apart than this share of the map's width are called far. */
const FAR = 0.1;
const CHOSEN_COLOR = "#d6006c";
const FAR_COLOR = "#e76300";

/** The columns and coordinates as typed arrays. */
export function unpackMap(data: MapData): Points {
  const x = floatsOf(data.x);
  const columns = data.columns.map((column): Column => {
    const color = bytesOf(column.color);
    return column.kind === "numbers" ? { ...column, color, values: floatsOf(column.values) } : { ...column, color };
  });
  return { ...data, count: x.length, x, y: floatsOf(data.y), z: data.z ? floatsOf(data.z) : undefined, columns };
}

export const idOf = ({ ids }: Points, i: number): string => ids?.[i] ?? String(i);

/** A point's value in a column, in words. */
export function valueOf(column: Column, i: number): string {
  if (column.kind === "numbers") return Number.isFinite(column.values[i]) ? brief(column.values[i], 4) : "none";
  return column.values?.[i] ?? column.names[column.color[i]];
}

/** What is said of a point, a line each. */
export const linesOf = (points: Points, i: number): string[] => [
  idOf(points, i),
  ...points.columns.map((column) => `${column.name}: ${valueOf(column, i)}`),
];

/** How many of these points each class has, the largest first, as `": cat 12, dog 3"`. */
export function countsOf({ columns }: Points, chosen: readonly number[]): string {
  const column = columns.find(({ kind }) => kind === "classes");
  if (!column) return "";
  const sums = new Map<string, number>();
  for (const i of chosen) sums.set(valueOf(column, i), (sums.get(valueOf(column, i)) ?? 0) + 1);
  const most = [...sums].sort((a, b) => b[1] - a[1]);
  return `: ${most.slice(0, 6).map(([name, n]) => `${name} ${n}`).join(", ")}${most.length > 6 ? " …" : ""}`;
}

/**
 * The points that a search finds. A class typed in full, or else a name in full, is meant alone, and not all that hold
 * these letters.
 */
export function find(points: Points, typed: string): number[] {
  const words = typed.trim().toLowerCase();
  const classes = points.columns.filter(({ kind }) => kind === "classes");
  const [ofClass, named, holding]: number[][] = [[], [], []];
  for (let i = 0; i < points.count; i++) {
    const values = classes.map((column) => valueOf(column, i).toLowerCase());
    const name = idOf(points, i).toLowerCase();
    if (values.includes(words)) ofClass.push(i);
    if (name === words) named.push(i);
    if ([name, ...values].some((value) => value.includes(words))) holding.push(i);
  }
  return [ofClass, named].find(({ length }) => length) ?? holding;
}

/** What the maps of one page share. */
interface Page {
  tip: Tip;
  maps: WeakMap<Element, PointMap>;
}

/** One map, and what is around it: a search, a choice of colours, a panel of pictures. */
class PointMap {
  readonly #root: HTMLElement;
  readonly #page: Page;
  readonly #points: Points;
  readonly #still: HTMLImageElement;
  readonly #drawing: Drawing;
  readonly #panel: HTMLElement;
  readonly #search: HTMLInputElement;
  readonly #bar: HTMLElement;
  readonly #select: HTMLSelectElement | undefined;
  readonly #neighbors: { k: number; indices: Uint16Array | Uint32Array } | undefined;
  readonly #pictures: Pictures | undefined;

  constructor(root: HTMLElement, page: Page, data: MapData) {
    this.#root = root;
    this.#page = page;
    const points = this.#points = unpackMap(data);
    this.#still = root.querySelector("img")!;
    if (data.sprites) this.#pictures = new Pictures(data.sprites, points.count);
    if (data.neighbors) {
      const { k, wide, indices } = data.neighbors;
      const { buffer } = bytesOf(indices);
      this.#neighbors = { k, indices: wide ? new Uint32Array(buffer) : new Uint16Array(buffer) };
    }
    const spaced = "display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;margin:2px 0 4px 0;font-size:90%";
    this.#bar = element("div", spaced, KEEP_KEYS);
    const field = FIELD + "margin:0 0 0 4px;padding:1px 4px;max-width:180px";
    if (points.columns.length > 1) this.#select = this.#addSelect(field);
    const hint = points.columns.some(({ kind }) => kind === "classes") ? "label or name" : "name";
    this.#search = element("input", field, { type: "search", placeholder: hint, class: "convlens-search" });
    this.#bar.append(element("label", "", {}, "search", this.#search));
    this.#listenToSearch();
    const host = element(
      "div",
      "position:relative;max-width:100%;background:#fff;border-radius:4px;overflow:hidden",
      { class: "convlens-plot", ...KEEP_KEYS },
    );
    this.#panel = element(
      "div",
      `font-size:90%;margin:4px 0 0 0;max-width:${this.#still.getAttribute("width")}px`,
      { class: "convlens-panel", "aria-live": "polite" },
    );
    // The still picture stays until the map has been drawn behind it.
    const stage = element("div", "position:relative");
    this.#still.replaceWith(stage);
    stage.before(this.#bar);
    stage.after(this.#panel);
    Object.assign(this.#still.style, { position: "absolute", left: 0, top: 0, zIndex: 1 });
    stage.append(host, this.#still);
    const Kind = points.z ? SpaceDrawing : FlatDrawing;
    this.#drawing = new Kind({
      points,
      host,
      bar: this.#bar,
      still: this.#still,
      pictures: this.#pictures,
      on: this.#events(),
    });
  }

  async draw(): Promise<void> {
    const { help, lassoHelp } = this.#drawing;
    const words = `${help}${this.#neighbors ? ", click for neighbours" : ""}${lassoHelp}`;
    this.#bar.append(element("span", "opacity:.75", {}, words));
    await this.#drawing.draw(this.#shownColumn());
    if (this.#pictures) await this.#addPictures(this.#pictures);
    this.#still.remove();
    this.#root.dataset.live = "drawn";
  }

  /** Puts pictures on the points, if there are few enough, and a button that does so and undoes it. */
  async #addPictures(pictures: Pictures): Promise<void> {
    let shown = false;
    const made = button("pictures", { class: "convlens-pictures", title: "shows pictures where they fit" });
    const show = async (wanted: boolean) => {
      shown = wanted;
      press(shown, made);
      if (shown) await pictures.load();
      this.#drawing.showPictures(shown);
    };
    made.addEventListener("click", () => show(!shown));
    this.#bar.insertBefore(made, this.#bar.lastChild);
    await show(this.#points.pictures ?? false);
  }

  #shownColumn(): Column | undefined {
    return this.#points.columns[Number(this.#select?.value ?? 0)];
  }

  #addSelect(style: string): HTMLSelectElement {
    const options = this.#points.columns.map((column, c) =>
      element("option", "color:#111;background:#fff", { value: c }, column.name)
    );
    const select = element("select", style, { class: "convlens-color" }, ...options);
    select.addEventListener("change", () => {
      this.#panel.replaceChildren();
      this.#drawing.color(this.#shownColumn());
    });
    this.#bar.append(element("label", "", {}, "colour by", select));
    return select;
  }

  #listenToSearch(): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const typed = this.#search.value.trim();
        if (!typed) return this.#everyMap((map) => map.#clear());
        const chosen = find(this.#points, typed);
        this.#listAll(`with “${typed}”`, chosen);
        this.#everyMap((map) => map.#only(chosen));
      }, 200);
    });
  }

  #events() {
    const { tip } = this.#page;
    return {
      hover: (i: number, event: MouseEvent) => {
        const picture = this.#thumbnail(i, 96);
        if (picture) picture.style.margin = "2px 0 4px 0";
        const lines = linesOf(this.#points, i).map((line) => element("div", "", {}, line));
        tip.show(event, ...(picture ? [picture] : []), ...lines);
      },
      leave: () => tip.hide(),
      click: (i: number) => this.#everyMap((map, own) => map.#choose(i, own)),
      select: (chosen: number[]) => {
        this.#drawing.unmark();
        this.#listAll("in the lasso", chosen);
        // Plotly itself leaves only these of its own map.
        this.#everyMap((map, own) => {
          if (!own || this.#points.z) map.#only(chosen);
        });
      },
      deselect: () => this.#everyMap((map) => map.#clear()),
    };
  }

  /** Maps of the same images beside this one move along. */
  #everyMap(act: (map: PointMap, own: boolean) => void): void {
    for (const root of figureOf(this.#root).querySelectorAll(".convlens-map")) {
      const map = this.#page.maps.get(root);
      if (map && map.#points.count === this.#points.count) act(map, map === this);
    }
  }

  #only(chosen: number[]): void {
    this.#drawing.unmark();
    this.#drawing.only(chosen);
  }

  #clear(): void {
    this.#search.value = "";
    this.#panel.replaceChildren();
    this.#drawing.unmark();
    this.#drawing.only(null);
    this.#drawing.endLasso();
  }

  /** Lights a point and its true neighbours up; with `report` the panel lists them. */
  #choose(i: number, report: boolean): void {
    const { x, y, z, box } = this.#points;
    const known = this.#neighbors;
    const near = known ? [...known.indices.subarray(i * known.k, (i + 1) * known.k)] : [];
    const isFar = (j: number) => Math.hypot(x[j] - x[i], y[j] - y[i], z ? z[j] - z[i] : 0) / box.side > FAR;
    const far = near.filter(isFar);
    this.#drawing.only(null);
    this.#drawing.mark(i, near.filter((j) => !isFar(j)), far);
    if (!report) return;
    const kept = far.length
      ? `${far.length} of them the map has put far away (more than a tenth of its width, in orange)`
      : "the map keeps all of them near";
    const id = idOf(this.#points, i);
    this.#list(
      known ? `${id} and its ${near.length} true neighbours, the nearest first; ${kept}` : id,
      [
        this.#tile(i, "chosen", CHOSEN_COLOR),
        ...near.map((j) => isFar(j) ? this.#tile(j, "far", FAR_COLOR) : this.#tile(j)),
      ],
    );
  }

  #listAll(what: string, chosen: number[]): void {
    const [some, all] = [chosen.length, this.#points.count].map((n) => n.toLocaleString("en"));
    const first = chosen.length > LISTED ? ` (the first ${LISTED} shown)` : "";
    this.#list(
      `${some} of ${all} images ${what}${countsOf(this.#points, chosen)}${first}`,
      chosen.slice(0, LISTED).map((i) => this.#tile(i)),
    );
  }

  #list(words: string, tiles: HTMLElement[]): void {
    const close = button("clear");
    close.style.marginLeft = "8px";
    close.addEventListener("click", () => this.#everyMap((map) => map.#clear()));
    this.#panel.replaceChildren(
      element("div", "margin:2px 0 4px 0", {}, words, close),
      element(
        "div",
        "display:flex;flex-wrap:wrap;gap:8px 4px;max-height:300px;overflow:auto;padding:3px",
        {},
        ...tiles,
      ),
    );
  }

  /** A picture with its label below it. */
  #tile(i: number, note = "", border = "transparent"): HTMLElement {
    const made = element(
      "div",
      "width:76px;font-size:80%;line-height:1.25;overflow-wrap:anywhere;text-align:center",
      { class: "convlens-listed", title: linesOf(this.#points, i).join("\n") },
    );
    const picture = this.#thumbnail(i, 64);
    if (picture) {
      picture.style.margin = "0 auto 2px";
      picture.style.outline = `2px solid ${border}`;
      made.append(picture);
    }
    const first = this.#points.columns.find(({ kind }) => kind === "classes");
    made.append(element("div", "", {}, first ? valueOf(first, i) : idOf(this.#points, i)));
    if (note) made.append(element("div", "opacity:.75", {}, note));
    return made;
  }

  #thumbnail(i: number, side: number): HTMLElement | undefined {
    const place = this.#pictures?.of(i);
    if (!place) return undefined;
    const { address, x, y, across, down } = place;
    return element(
      "div",
      `width:${side}px;height:${side}px;flex:none;image-rendering:pixelated;background:url(${address}) ` +
        `${-x * side}px ${-y * side}px / ${across * side}px ${down * side}px no-repeat`,
      { class: "convlens-thumbnail" },
    );
  }
}

/** Starts the maps. */
export function startMaps(): void {
  oncePerPage("convlensMaps", () => {
    const page: Page = { tip: new Tip("convlens-map-tip"), maps: new WeakMap() };
    const live = async (root: HTMLElement) => {
      const map = new PointMap(root, page, takeJson<MapData>(root)!);
      page.maps.set(root, map);
      await map.draw();
    };
    return () =>
      enliven(".convlens-map", (root) => {
        live(root).catch((error: Error) => {
          const remedy = "Run its cell again, or open the page in a newer browser.";
          const words = `The map stays a picture: ${error.message}. ${remedy}`;
          root.append(element("div", "font-size:85%;opacity:.8", {}, words));
        });
      });
  });
}
