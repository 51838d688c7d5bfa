/**
 * The script behind the hover of mosaics. It listens to the whole page, so that one copy serves every
 * figure, and does nothing when another copy is already there: each figure may carry it.
 *
 * @module
 */

/** Plain JavaScript for the page; it reads `data-convlens` of the image under the pointer. */
export const HOVER_SCRIPT = `(() => {
  if (window.convlensHover) return;
  window.convlensHover = true;
  const tip = document.createElement("div");
  const ring = document.createElement("div");
  tip.style.cssText = "position:fixed;z-index:99999;pointer-events:none;display:none;padding:4px 8px;" +
    "border:1px solid #888;border-radius:4px;background:#111;color:#fff;font:12px/1.4 system-ui,sans-serif;white-space:pre;" +
    "box-shadow:0 1px 4px rgba(0,0,0,.5)";
  ring.style.cssText = "position:fixed;z-index:99998;pointer-events:none;display:none;outline:2px solid #ffb000";
  const hide = () => { tip.style.display = ring.style.display = "none"; };
  document.addEventListener("mousemove", (event) => {
    const image = event.target.closest && event.target.closest("img[data-convlens]");
    if (!image) return hide();
    const { columns, tile, labels } = JSON.parse(image.dataset.convlens);
    const box = image.getBoundingClientRect();
    const zoom = box.width / image.naturalWidth;
    const column = Math.floor((event.clientX - box.left) / zoom / (tile[0] + 1));
    const row = Math.floor((event.clientY - box.top) / zoom / (tile[1] + 1));
    const label = labels[row * columns + column];
    if (column < 0 || row < 0 || column >= columns || label === undefined) return hide();
    for (const element of [tip, ring]) {
      if (!element.isConnected) document.body.append(element);
      element.style.display = "block";
    }
    ring.style.left = box.left + (column * (tile[0] + 1) + 1) * zoom + "px";
    ring.style.top = box.top + (row * (tile[1] + 1) + 1) * zoom + "px";
    ring.style.width = tile[0] * zoom + "px";
    ring.style.height = tile[1] * zoom + "px";
    tip.textContent = label;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4)) + "px";
    const below = event.clientY + 14;
    const above = event.clientY - 14 - tip.offsetHeight;
    tip.style.top = (below + tip.offsetHeight + 4 > innerHeight && above > 0 ? above : below) + "px";
  });
  // The pointer left the page, or the frame that the output stands in.
  document.documentElement.addEventListener("mouseleave", hide);
  document.addEventListener("scroll", hide, true);
})();`;
