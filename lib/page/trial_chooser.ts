/**
 * What a class is chosen with: a field to type in, a list or tree under it, and examples of the class that is marked.
 *
 * @module
 */
/// <reference lib="dom" />

import type { TrialData } from "./data.ts";
import { element, FIELD } from "./dom.ts";
import { type ClassRow, matchesOf, MOST_ROWS, treeRows, wayTo } from "./trial_classes.ts";

export const SOFT = "opacity:.75;font-size:90%";
export const CARD = "border:1px solid rgba(128,128,128,.4);border-radius:6px";
export const LIT = "rgba(63,144,218,.3)";

/** The field, the list under it, and the examples of the class that is lit. */
export class ClassChooser {
  readonly field: HTMLInputElement;
  readonly root: HTMLElement;
  readonly #data: TrialData;
  readonly #list: HTMLElement;
  readonly #examples: HTMLElement;
  readonly #open: Set<string>;
  readonly #chosen: (name: string) => void;
  #rows: ClassRow[] = [];
  /** The line that is lit, or −1; and where the last one was, for the arrows to go on from. */
  #lit = -1;
  #last = -1;

  /** @param open the ways of the branches that are open */
  constructor(data: TrialData, open: Set<string>, chosen: (name: string) => void) {
    this.#data = data;
    this.#open = open;
    this.#chosen = chosen;
    const id = `convlens-classes-${crypto.randomUUID()}`;
    this.field = element(
      "input",
      `${FIELD}box-sizing:border-box;width:100%;padding:6px 8px;font-size:110%;margin:0`,
      {
        type: "text",
        placeholder: "type a class",
        role: "combobox",
        autocomplete: "off",
        spellcheck: "false",
        "aria-label": "class",
        "aria-expanded": "true",
        "aria-controls": id,
        class: "convlens-trial-field",
      },
    );
    this.#list = element(
      "div",
      `${CARD};height:216px;overflow:auto;margin:6px 0 0 0;padding:3px 0`,
      { role: "listbox", id, class: "convlens-trial-list" },
    );
    const room = Object.keys(data.examples).length ? "min-height:98px;" : "";
    this.#examples = element("div", `${room}margin:6px 0 0 0`, { class: "convlens-trial-examples" });
    this.root = element(
      "div",
      "flex:1 1 300px;min-width:240px;max-width:520px",
      {},
      this.field,
      this.#list,
      this.#examples,
    );
    this.field.addEventListener("input", () => this.#fill());
    this.#fill();
  }

  get typed(): string {
    return this.field.value.trim();
  }

  get lit(): ClassRow | undefined {
    return this.#rows[this.#lit];
  }

  /** Empties the field; the arrows go on from where they were. */
  clear(): void {
    const at = this.typed ? 0 : this.#list.scrollTop;
    if (this.typed) this.#last = -1;
    this.field.value = "";
    this.#fill();
    this.#list.scrollTop = at;
  }

  /** What the list shows now. */
  #fill(): void {
    const { typed } = this;
    const { classes, tree } = this.#data;
    this.#rows = typed ? matchesOf(classes, typed).map((name) => ({ name, depth: 0 })) : treeRows(tree, this.#open);
    this.#light(typed && this.#rows.length ? 0 : -1);
    this.#draw();
  }

  #draw(): void {
    const drawn = this.#rows.slice(0, MOST_ROWS).map((row, i) => {
      const { name, depth, path, classes, open } = row;
      const isBranch = path !== undefined;
      const way = isBranch || !this.typed ? null : wayTo(this.#data.tree, name);
      // That it hangs on its first letter says nothing.
      const note = isBranch ? String(classes) : way?.filter((branch) => branch.length > 1).join(" › ") ?? "";
      const line = element(
        "div",
        `padding:3px 10px 3px ${
          10 + 16 * depth + (isBranch || this.typed || !this.#data.tree.branches.length ? 0 : 16)
        }px;cursor:pointer;display:flex;` +
          `justify-content:space-between;gap:12px;${isBranch ? "font-weight:600;" : ""}`,
        { role: "option", id: `${this.#list.id}-${i}`, ...isBranch && { "aria-expanded": String(open) } },
        element("span", "", {}, isBranch ? `${open ? "▾" : "▸"} ${name}` : name),
        element("span", `${SOFT};font-weight:400;text-align:right`, {}, note),
      );
      line.addEventListener("mousedown", (event) => {
        event.preventDefault(); // the field keeps the keys
        this.#light(i);
        this.take();
      });
      return line;
    });
    const left = this.#rows.length - drawn.length;
    const none = element("div", `padding:3px 10px;${SOFT}`, {}, `No class holds “${this.typed}”.`);
    const more = element("div", `padding:3px 10px;${SOFT}`, {}, `and ${left} more: type on`);
    this.#list.replaceChildren(...drawn, ...this.#rows.length ? [] : [none], ...left > 0 ? [more] : []);
    this.#light(this.#lit);
  }

  #light(index: number): void {
    this.#list.children[this.#lit]?.removeAttribute("aria-selected");
    for (const line of this.#list.children) (line as HTMLElement).style.background = "none";
    this.#lit = index;
    const line = index < 0 ? undefined : this.#list.children[index] as HTMLElement | undefined;
    if (line && this.#rows[index]) {
      line.style.background = LIT;
      line.setAttribute("aria-selected", "true");
      this.field.setAttribute("aria-activedescendant", line.id);
      // Only the list is scrolled, never the notebook.
      const [top, bottom] = [
        line.offsetTop - this.#list.offsetTop,
        line.offsetTop - this.#list.offsetTop + line.offsetHeight,
      ];
      if (top < this.#list.scrollTop) this.#list.scrollTop = top;
      if (bottom > this.#list.scrollTop + this.#list.clientHeight) {
        this.#list.scrollTop = bottom - this.#list.clientHeight;
      }
    } else this.field.removeAttribute("aria-activedescendant");
    this.show(this.lit && this.lit.path === undefined ? this.lit.name : undefined);
  }

  /** Shows the examples of a class. */
  show(name: string | undefined): void {
    const { examples } = this.#data;
    const pictures = name !== undefined && Object.hasOwn(examples, name) ? examples[name] : [];
    const words = name === undefined
      ? Object.keys(examples).length ? "Examples of the class that is marked are shown here." : ""
      : pictures.length
      ? `Examples of ${name}`
      : "";
    this.#examples.replaceChildren(
      element("div", SOFT, {}, words),
      element(
        "div",
        "display:flex;flex-wrap:wrap;gap:4px;margin:2px 0 0 0",
        {},
        ...pictures.map((src, i) =>
          element("img", "height:72px;width:auto;max-width:none;image-rendering:pixelated;border-radius:3px;margin:0", {
            src,
            alt: `${name}, example ${i + 1}`,
          })
        ),
      ),
    );
  }

  /** Takes the line that is lit: a class is chosen, a branch opened or closed. */
  take(): void {
    const row = this.lit;
    if (!row) return;
    if (row.path !== undefined) return this.#turn(row.path, !row.open);
    this.#last = this.typed ? -1 : this.#lit;
    this.#chosen(row.name);
  }

  #turn(path: string, open: boolean): void {
    if (open) this.#open.add(path);
    else this.#open.delete(path);
    this.#rows = treeRows(this.#data.tree, this.#open);
    this.#lit = this.#rows.findIndex((row) => row.path === path);
    this.#draw();
  }

  /** @returns whether the key was meant for the list */
  press(name: string): boolean {
    const most = Math.min(this.#rows.length, MOST_ROWS) - 1;
    const move = (by: number) => {
      const from = this.#lit >= 0 ? this.#lit : this.#last >= 0 ? this.#last - Math.sign(by) : by > 0 ? -1 : most + 1;
      this.#light(Math.max(0, Math.min(most, from + by)));
    };
    const row = this.lit;
    switch (name) {
      case "ArrowDown":
        move(1);
        return true;
      case "ArrowUp":
        move(-1);
        return true;
      case "PageDown":
        move(7);
        return true;
      case "PageUp":
        move(-7);
        return true;
      case "ArrowRight":
        if (this.typed || row?.path === undefined) return false;
        if (!row.open) this.#turn(row.path, true);
        else move(1);
        return true;
      case "ArrowLeft": {
        if (this.typed || !row) return false;
        if (row.path !== undefined && row.open) {
          this.#turn(row.path, false);
          return true;
        }
        const above = this.#rows.findLastIndex((other, i) => i < this.#lit && other.depth < row.depth);
        if (above >= 0) this.#light(above);
        return true;
      }
    }
    return false;
  }
}
