/**
 * The tooltip of pictures, charts, grids and maps.
 *
 * @module
 */
/// <reference lib="dom" />

import { element } from "./dom.ts";

/** A box beside the pointer; it takes no clicks. */
export class Tip {
  readonly #box: HTMLElement;

  constructor(className: string, widest = 340) {
    this.#box = element(
      "div",
      "position:fixed;pointer-events:none;display:none;z-index:99999;padding:4px 8px;border:1px solid #888;" +
        "border-radius:4px;background:#111;color:#fff;font:12px/1.4 system-ui,sans-serif;white-space:pre-wrap;" +
        `width:max-content;max-width:min(${widest}px,calc(100vw - 8px));` +
        "box-sizing:border-box;overflow-wrap:anywhere;" +
        "font-variant-numeric:tabular-nums;box-shadow:0 1px 4px rgba(0,0,0,.5)",
      { class: className },
    );
  }

  /** Shows content beside the pointer: below it, or above where there is no room below. */
  show(event: MouseEvent, ...content: (Node | string)[]): void {
    const box = this.#box;
    box.replaceChildren(...content);
    box.style.display = "block";
    if (!box.isConnected) document.body.append(box);
    box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 4))}px`;
    const below = event.clientY + 14;
    const above = event.clientY - 14 - box.offsetHeight;
    box.style.top = `${below + box.offsetHeight + 4 > innerHeight && above > 0 ? above : below}px`;
  }

  hide(): void {
    this.#box.style.display = "none";
  }
}
