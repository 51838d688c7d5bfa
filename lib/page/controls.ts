/**
 * The script behind sliders: frames of which one is seen, and pictures over photos. It listens to the whole page, so that
 * one copy serves every figure; a further copy only makes the sliders of what has come since.
 *
 * What it needs stands in the page as JSON in a script element that is not run, so that where scripts are stripped, the
 * hidden frames are gone with them, and one still picture stays.
 *
 * @module
 */

/** JSON that can stand within a script element, whatever its strings hold. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** Plain JavaScript for the page. */
export const CONTROLS_SCRIPT = String.raw`(() => {
  const start = () => {
    const LINE = "1px solid rgba(128,128,128,.55)";
    const element = (tag, style, attributes = {}) => {
      const made = document.createElement(tag);
      made.style.cssText = style;
      for (const name in attributes) made.setAttribute(name, attributes[name]);
      return made;
    };
    const own = (root, name) => root.querySelector(":scope > ." + name);
    const takeData = (root) => {
      const script = root.querySelector(":scope > script");
      const data = script && JSON.parse(script.textContent);
      if (script) script.remove();
      return data;
    };
    // JupyterLab's keys must not take the slider's.
    const bar = () => element("div", "display:flex;gap:6px;align-items:center;max-width:420px;margin:2px 0 6px 0",
      { class: "convlens-control", "data-lm-suppress-shortcuts": "true" });
    const slider = (max, step, value, label) => {
      const made = element("input", "flex:1 1 120px;min-width:60px;margin:0;accent-color:#3b82c4",
        { type: "range", min: 0, max, step, "aria-label": label, "data-lm-suppress-shortcuts": "true" });
      made.value = value;
      return made;
    };
    const button = (action, sign, label) => {
      const made = element("button", "font:inherit;font-size:85%;line-height:1.1;color:inherit;background:none;cursor:pointer;" +
        "border:" + LINE + ";border-radius:4px;padding:3px 7px;margin:0",
        { type: "button", "data-action": action, "aria-label": label, title: label, "data-lm-suppress-shortcuts": "true" });
      made.textContent = sign;
      return made;
    };

    const makeSlides = (root) => {
      const data = takeData(root);
      if (!data || data.labels.length < 2) return;
      const frames = own(root, "convlens-frames");
      frames.style.cssText += ";display:grid";
      const first = frames.firstElementChild;
      data.frames.forEach((html, i) => {
        const frame = i === data.start ? first : element("div", "");
        if (html !== null) frame.innerHTML = html;
        frame.style.cssText += ";grid-area:1/1;min-width:0";
        frames.append(frame);
      });
      root.convlensLabels = data.labels;
      const control = bar();
      control.append(
        button("back", "◀", "one back"), button("on", "▶", "one on"), button("play", "play", "play"),
        slider(data.labels.length - 1, 1, data.start, root.dataset.label));
      own(root, "convlens-where").after(control);
      show(root, data.start);
    };
    const show = (root, index) => {
      const labels = root.convlensLabels;
      index = Math.max(0, Math.min(labels.length - 1, index));
      root.dataset.index = index;
      own(root, "convlens-where").textContent = labels[index];
      const input = own(root, "convlens-control").querySelector("input");
      input.value = index;
      input.setAttribute("aria-valuetext", labels[index]);
      [...own(root, "convlens-frames").children].forEach((frame, i) => {
        frame.style.visibility = i === index ? "inherit" : "hidden";
      });
    };
    const figureOf = (root) => root.closest("figure.convlens") || root;
    const showAll = (root, index) => {
      for (const other of figureOf(root).querySelectorAll(".convlens-slides")) {
        if (other.convlensLabels && other.dataset.label === root.dataset.label) show(other, index);
      }
    };

    const makeBlend = (root) => {
      const data = takeData(root);
      if (!data) return;
      const below = root.querySelector("img");
      const stack = element("div", "position:relative;width:fit-content;max-width:100%", { class: "convlens-stack" });
      below.replaceWith(stack);
      below.src = data.below;
      const above = element("img", "position:absolute;left:0;top:0;width:100%;height:100%;max-width:none;margin:0;" +
        "image-rendering:pixelated;pointer-events:none", { src: data.above, alt: "", class: "convlens-above" });
      stack.append(below, above);
      const control = bar();
      control.style.maxWidth = "min(100%, " + Math.max(180, below.width) + "px)";
      const words = element("span", "font-size:85%;opacity:.8;white-space:nowrap;min-width:5.5em;" +
        "font-variant-numeric:tabular-nums", { class: "convlens-share" });
      control.append(words, slider(1, 0.01, data.opacity, "share of the map over the photo"));
      root.append(control);
      mix(root, data.opacity);
    };
    const mix = (root, opacity) => {
      root.querySelector(".convlens-above").style.opacity = opacity;
      root.querySelector("input").value = opacity;
      root.querySelector(".convlens-share").textContent = "map " + Math.round(100 * opacity) + " %";
    };
    const mixAll = (root, opacity) => {
      for (const other of figureOf(root).querySelectorAll(".convlens-blend")) {
        if (other.querySelector(".convlens-above")) mix(other, opacity);
      }
    };

    const rootOf = (control) => control.parentElement;
    document.addEventListener("input", (event) => {
      const control = event.target.closest && event.target.closest(".convlens-control");
      if (!control) return;
      const root = rootOf(control);
      if (root.classList.contains("convlens-slides")) {
        stop(root);
        showAll(root, Number(event.target.value));
      } else mixAll(root, Number(event.target.value));
    });
    const timers = new WeakMap();
    const stop = (root) => {
      if (!timers.has(root)) return;
      clearInterval(timers.get(root));
      timers.delete(root);
      own(root, "convlens-control").querySelector("[data-action=play]").textContent = "play";
    };
    const play = (root) => {
      const count = root.convlensLabels.length;
      const at = () => Number(root.dataset.index);
      if (at() === count - 1) showAll(root, 0);
      own(root, "convlens-control").querySelector("[data-action=play]").textContent = "stop";
      timers.set(root, setInterval(() => {
        if (root.isConnected && at() < count - 1) showAll(root, at() + 1);
        else stop(root);
      }, Math.max(80, Math.min(500, 6000 / count))));
    };
    document.addEventListener("click", (event) => {
      const pressed = event.target.closest && event.target.closest(".convlens-control [data-action]");
      if (!pressed) return;
      const root = rootOf(pressed.closest(".convlens-control"));
      const playing = timers.has(root);
      stop(root);
      const { action } = pressed.dataset;
      if (action !== "play") showAll(root, Number(root.dataset.index) + (action === "on" ? 1 : -1));
      else if (!playing) play(root);
    });
    // Frames hold further sliders: until none is left.
    return () => {
      for (let root; root = document.querySelector(".convlens-slides:not([data-live]),.convlens-blend:not([data-live])");) {
        root.dataset.live = "";
        if (root.classList.contains("convlens-slides")) makeSlides(root);
        else makeBlend(root);
      }
    };
  };
  window.convlensControls = window.convlensControls || start();
  window.convlensControls();
})();`;
