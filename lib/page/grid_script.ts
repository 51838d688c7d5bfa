/**
 * The script behind grids of images: scrolling zooms into the picture in full resolution, dragging moves it, a double
 * click shows it whole again, and hovering names the image.
 *
 * @module
 */

/** Plain JavaScript for the page. It reads the JSON that `grid.ts` packs. */
export const GRID_SCRIPT = String.raw`(() => {
  const start = () => {
    const tip = document.createElement("div");
    tip.style.cssText = "position:fixed;pointer-events:none;display:none;z-index:99999;padding:4px 8px;white-space:pre;" +
      "border:1px solid #888;border-radius:4px;background:#111;color:#fff;font:12px/1.4 system-ui,sans-serif";
    tip.className = "convlens-grid-tip";
    const live = (root) => {
      const script = root.querySelector("script[type='application/json']");
      const data = JSON.parse(script.textContent);
      script.remove();
      const image = root.querySelector("img");
      const view = document.createElement("div");
      view.style.cssText = "position:relative;overflow:hidden;max-width:100%;cursor:grab;touch-action:none;width:" +
        image.getAttribute("width") + "px;aspect-ratio:" + image.getAttribute("width") + "/" + image.getAttribute("height");
      view.className = "convlens-grid-view";
      view.tabIndex = 0;
      view.setAttribute("data-lm-suppress-shortcuts", "true");
      view.setAttribute("aria-label", image.alt + "; scroll or press + and − to zoom, drag to move");
      image.replaceWith(view);
      image.src = "data:image/webp;base64," + data.picture;
      image.draggable = false;
      image.style.cssText = "position:absolute;left:0;top:0;width:100%;height:100%;max-width:none;margin:0;" +
        "transform-origin:0 0;user-select:none";
      view.append(image);
      let scale = 1;
      let left = 0;
      let top = 0;
      const most = () => Math.max(1, 128 * data.columns / view.clientWidth);
      const apply = () => {
        const hold = (value, length) => Math.min(0, Math.max(length * (1 - scale), value));
        left = hold(left, view.clientWidth);
        top = hold(top, view.clientHeight);
        image.style.transform = "translate(" + left + "px," + top + "px) scale(" + scale + ")";
        // Enlarged beyond its own pixels, these stay sharp.
        image.style.imageRendering = scale * view.clientWidth > image.naturalWidth ? "pixelated" : "auto";
        root.dataset.scale = scale;
      };
      const zoom = (factor, x, y) => {
        const next = Math.min(most(), Math.max(1, scale * factor));
        left = x - (x - left) * next / scale;
        top = y - (y - top) * next / scale;
        scale = next;
        apply();
      };
      const at = (event) => {
        const box = view.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
      };
      view.addEventListener("wheel", (event) => {
        event.preventDefault();
        zoom(Math.exp(-event.deltaY / 300), ...at(event));
      }, { passive: false });
      let held;
      view.addEventListener("pointerdown", (event) => {
        held = [event.clientX - left, event.clientY - top];
        view.setPointerCapture(event.pointerId);
        view.style.cursor = "grabbing";
      });
      const release = () => { held = undefined; view.style.cursor = "grab"; };
      view.addEventListener("pointerup", release);
      view.addEventListener("pointercancel", release);
      view.addEventListener("dblclick", () => { scale = 1; apply(); });
      view.addEventListener("keydown", (event) => {
        const middle = [view.clientWidth / 2, view.clientHeight / 2];
        const step = view.clientWidth / 8;
        const acts = { "+": () => zoom(1.5, ...middle), "=": () => zoom(1.5, ...middle), "-": () => zoom(1 / 1.5, ...middle),
          ArrowLeft: () => { left += step; apply(); }, ArrowRight: () => { left -= step; apply(); },
          ArrowUp: () => { top += step; apply(); }, ArrowDown: () => { top -= step; apply(); } };
        if (!acts[event.key]) return;
        event.preventDefault();
        acts[event.key]();
      });
      view.addEventListener("pointermove", (event) => {
        if (held) {
          left = event.clientX - held[0];
          top = event.clientY - held[1];
          apply();
        }
        const [x, y] = at(event);
        const column = Math.floor((x - left) / scale / view.clientWidth * data.columns);
        const row = Math.floor((y - top) / scale / view.clientHeight * data.rows);
        const words = data.words[row * data.columns + column];
        if (held || !words || column < 0 || column >= data.columns) { tip.style.display = "none"; return; }
        tip.textContent = words;
        tip.style.display = "block";
        if (!tip.isConnected) document.body.append(tip);
        tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + "px";
        tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + "px";
      });
      view.addEventListener("pointerleave", () => { tip.style.display = "none"; });
      apply();
    };
    return () => {
      for (const root of document.querySelectorAll(".convlens-grid:not([data-live])")) {
        root.dataset.live = "";
        live(root);
      }
    };
  };
  window.convlensGrids = window.convlensGrids || start();
  window.convlensGrids();
})();`;
