/**
 * Errors that are sorted by kind: each image has a field for its category, the counts follow, and all is downloaded as JSON.
 *
 * @module
 */
/// <reference lib="dom" />

import type { TaxonomyData } from "./data.ts";
import { button, element, enliven, FIELD, KEEP_KEYS, oncePerPage, takeJson } from "./dom.ts";
import { kept } from "./trial_answers.ts";

/** The side of the square that a picture is shown in. */
const SIDE = 104;
const SOFT = "opacity:.75;font-size:90%";
const FILE = "taxonomy.json";

/** Categories by images' ids. */
export type Filled = Record<string, string>;

/** How many images have each category, the most frequent first, and how many have none. */
export function countsOf(ids: readonly string[], filled: Readonly<Filled>): { kind: string; images: number }[] {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(filled[id] ?? "", (counts.get(filled[id] ?? "") ?? 0) + 1);
  return Array.from(counts, ([kind, images]) => ({ kind, images }))
    .sort((a, b) => Number(a.kind === "") - Number(b.kind === "") || b.images - a.images);
}

/** What is kept in the browser under a key, as far as it is about these images. */
export function keptOf(text: string | null, ids: readonly string[]): Filled {
  try {
    const found: unknown = JSON.parse(text ?? "{}");
    const own = Object.entries(found as object).filter(([id, kind]) => ids.includes(id) && typeof kind === "string");
    return Object.fromEntries(own);
  } catch {
    return {};
  }
}

class Taxonomy {
  readonly #root: HTMLElement;
  readonly #data: TaxonomyData;
  readonly #ids: readonly string[];
  readonly #key: string;
  readonly #counts = element("div", "margin:0 0 8px 0;font-variant-numeric:tabular-nums", {
    class: "convlens-taxonomy-counts",
    role: "status",
  });
  readonly #list = element("datalist", "", { id: `convlens-kinds-${crypto.randomUUID()}` });
  #filled: Filled;

  constructor(root: HTMLElement, data: TaxonomyData) {
    this.#root = root;
    this.#data = data;
    this.#ids = data.images.map(({ id }) => id);
    this.#key = `convlens-taxonomy\n${data.key}`;
    const given = Object.fromEntries(
      data.images.filter(({ category }) => category).map(({ id, category }) => [id, category]),
    );
    this.#filled = { ...given, ...keptOf(kept.get(this.#key), this.#ids) };
    for (const [name, value] of Object.entries(KEEP_KEYS)) root.setAttribute(name, value);
  }

  start(): void {
    const { images } = this.#data;
    const groups = [...new Set(images.map(({ group }) => group))];
    const cards = images.map((image) => ({ group: image.group, card: this.#card(image) }));
    const which = element("select", `${FIELD}padding:2px 4px;font-size:90%`, {
      "aria-label": "which errors",
      class: "convlens-taxonomy-group",
    });
    which.append(...["all errors", ...groups].map((words) => element("option", "color:#000", {}, words)));
    which.addEventListener("change", () => {
      for (const { group, card } of cards) {
        card.style.display = which.selectedIndex === 0 || which.value === group ? "block" : "none";
      }
    });
    const save = button(`Download as ${FILE}`, { class: "convlens-taxonomy-download" });
    save.addEventListener("click", () => this.#download());
    const grid = `display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px;max-width:930px`;
    this.#root.replaceChildren(
      element("div", "display:flex;gap:10px;align-items:center;flex-wrap:wrap;margin:2px 0 6px 0", {}, which, save),
      this.#counts,
      element("div", grid, {}, ...cards.map(({ card }) => card)),
      this.#list,
    );
    this.#tell();
  }

  #card({ id, group, words, picture, width, height }: TaxonomyData["images"][number]): HTMLElement {
    const factor = Math.max(1, Math.floor(SIDE / Math.max(width, height)));
    const look = `margin:0;max-width:none;image-rendering:${factor > 1 ? "pixelated" : "auto"}`;
    const field = element("input", `${FIELD}box-sizing:border-box;width:100%;padding:2px 5px;margin:4px 0 0 0`, {
      list: this.#list.id,
      placeholder: "kind of error",
      "aria-label": `kind of error of ${id}`,
      autocomplete: "off",
    });
    field.value = this.#filled[id] ?? "";
    field.addEventListener("change", () => {
      const kind = field.value.trim();
      if (kind) this.#filled[id] = kind;
      else delete this.#filled[id];
      kept.set(this.#key, JSON.stringify(this.#filled));
      this.#tell();
    });
    const [first, ...others] = words;
    return element(
      "div",
      "min-width:0;font-size:12px;line-height:16px;overflow-wrap:anywhere",
      { title: `${id}\n${group}` },
      element("img", look, {
        src: picture,
        alt: `${id}: ${words.join("; ")}`,
        width: width * factor,
        height: height * factor,
      }),
      element("div", "font-weight:600", {}, first),
      ...others.map((line) => element("div", SOFT, {}, line)),
      field,
    );
  }

  /** What has been filled in so far. */
  #tell(): void {
    const counts = countsOf(this.#ids, this.#filled);
    const done = this.#ids.filter((id) => this.#filled[id]).length;
    const each = counts.filter(({ kind }) => kind).map(({ kind, images }) => `${kind} ${images}`);
    this.#counts.textContent = `${done} of ${this.#ids.length} sorted${each.length ? `: ${each.join(" · ")}` : ""}`;
    const kinds = new Set([...counts.map(({ kind }) => kind).filter(Boolean), ...this.#data.kinds]);
    this.#list.replaceChildren(...Array.from(kinds, (kind) => element("option", "", { value: kind })));
  }

  #download(): void {
    const text = `${JSON.stringify(this.#filled, null, 2)}\n`;
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    element("a", "", { href: url, download: FILE }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

/** Starts what sorts errors. */
export function startTaxonomies(): void {
  oncePerPage("convlensTaxonomies", () => () =>
    enliven(".convlens-taxonomy", (root) => {
      const data = takeJson<TaxonomyData>(root);
      if (data) new Taxonomy(root, data).start();
    }));
}
