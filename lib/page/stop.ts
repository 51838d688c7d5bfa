/**
 * Buttons that reach the running kernel. They are made here, so that where scripts are stripped there is none that does
 * nothing; and they ask by `fetch`, so that the page stays where it is, whoever answers.
 *
 * @module
 */
/// <reference lib="dom" />

import { button, element, enliven, oncePerPage } from "./dom.ts";

/** What is said when nobody answers, or somebody else does. */
export function unansweredText({ protocol, hostname }: Pick<Location, "protocol" | "hostname">): string {
  const here = !/^https?:$/.test(protocol) || ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  return here
    ? "The kernel is gone. If it runs on another machine, this button does not reach it: use ■."
    : "This button works only on the kernel's own machine; use ■.";
}

/** Finds the buttons that have come, and makes them work. */
export function startStopButtons(): void {
  oncePerPage("convlensStop", () => () =>
    enliven(".convlens-stop", (root) => {
      const { url, label } = root.dataset;
      const pressed = button(label!);
      const words = element("span", "", { role: "status" });
      pressed.addEventListener("click", async () => {
        pressed.disabled = true;
        words.textContent = " Stopping …";
        try {
          const { ok } = await fetch(url!, { method: "POST" });
          if (ok) return;
        } catch {
          // as an answer that is none of the kernel's
        }
        pressed.remove();
        words.textContent = unansweredText(location);
      });
      root.append(pressed, words);
    }));
}
