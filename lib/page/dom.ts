/**
 * Small things that every script of the page needs.
 *
 * @module
 */
/// <reference lib="dom" />

/** JupyterLab's keys must not take those of an element with this attribute. */
export const KEEP_KEYS = { "data-lm-suppress-shortcuts": "true" };

/** The look of small fields and buttons, readable on light and dark pages. */
export const FIELD = "font:inherit;color:inherit;background:transparent;border:1px solid rgba(128,128,128,.6);" +
  "border-radius:4px;";

/** An element with a style, attributes and content; strings become text, never HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  style: string,
  attributes: Record<string, string | number> = {},
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.style.cssText = style;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...content);
  return made;
}

/** A small button. */
export function button(words: string, attributes: Record<string, string> = {}): HTMLButtonElement {
  const style = FIELD + "font-size:90%;line-height:1.2;cursor:pointer;padding:2px 7px;margin:0";
  return element("button", style, { type: "button", ...KEEP_KEYS, ...attributes }, words);
}

/** Shows whether a button that switches something is pressed. */
export function press(pressed: boolean, made: HTMLButtonElement): void {
  made.setAttribute("aria-pressed", String(pressed));
  made.style.background = pressed ? "rgba(63,144,218,.35)" : "none";
}

/** The JSON within an element, which is taken out of the page. */
export function takeJson<T>(root: Element): T | undefined {
  const script = root.querySelector(":scope > script[type='application/json']");
  script?.remove();
  return script ? JSON.parse(script.textContent!) : undefined;
}

/** The figure around an element. */
export const figureOf = (root: Element): Element => root.closest("figure.convlens") ?? root.parentElement ?? root;

/** Where the pointer is within an element, in pixels from its upper left corner. */
export function pointerIn(target: Element, event: MouseEvent): [x: number, y: number] {
  const { left, top } = target.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

/**
 * Starts a script once a page, though every figure carries a copy; each copy then looks for what has come since.
 *
 * @param name of the global under which the first copy leaves the function that looks
 * @param start sets the listeners, and gives the function that looks
 */
export function oncePerPage(name: string, start: () => () => void): void {
  const page = globalThis as unknown as Record<string, (() => void) | undefined>;
  (page[name] ??= start())();
}

/** Calls `make` with each element of a selector that was not live yet, also with those that come in the meantime. */
export function enliven(selector: string, make: (root: HTMLElement) => void): void {
  for (;;) {
    const root = document.querySelector<HTMLElement>(`${selector}:not([data-live])`);
    if (!root) return;
    root.dataset.live = "";
    make(root);
  }
}
