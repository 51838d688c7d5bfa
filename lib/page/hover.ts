/**
 * The script behind the hover of pictures and charts. It listens to the whole page, so that one copy serves every
 * figure, and does nothing when another copy is already there: each figure may carry it.
 *
 * @module
 */

/** Plain JavaScript for the page; it reads `data-convlens` of the image under the pointer. */
export const HOVER_SCRIPT = String.raw`(() => {
  if (window.convlensHover) return;
  window.convlensHover = true;
  const layer = (zIndex, style) => {
    const made = document.createElement("div");
    made.style.cssText = "position:fixed;pointer-events:none;display:none;z-index:" + zIndex + ";" + style;
    return made;
  };
  const tip = layer(99999, "padding:4px 8px;border:1px solid #888;border-radius:4px;background:#111;color:#fff;" +
    "font:12px/1.4 system-ui,sans-serif;white-space:pre;font-variant-numeric:tabular-nums;box-shadow:0 1px 4px rgba(0,0,0,.5)");
  const ring = layer(99998, "outline:2px solid #ffb000");
  const mark = layer(99997, "box-sizing:border-box;");
  const line = layer(99996, "width:1px;background:#555");
  const around = layer(99995, "");
  const all = [tip, ring, mark, line, around];
  const hide = () => { for (const part of all) part.style.display = "none"; };
  const place = (part, left, top, width, height) => {
    if (!part.isConnected) document.body.append(part);
    Object.assign(part.style, { display: "block", left: left + "px", top: top + "px", width: width + "px",
      height: height + "px" });
  };
  const parsed = new WeakMap();
  const dataOf = (image) => {
    const text = image.dataset.convlens;
    let known = parsed.get(image);
    if (!known || known.text !== text) parsed.set(image, known = { text, data: JSON.parse(text) });
    return known.data;
  };
  const digits = (value, count) => {
    if (value === null || Number.isNaN(value)) return "none";
    if (value === 0 || !Number.isFinite(value)) return String(value);
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-4) return value.toExponential(count - 1).replaceAll("-", "−");
    const rounded = Number(value.toPrecision(count));
    return rounded.toFixed(Math.max(0, count - 1 - Math.floor(Math.log10(size) + 1e-9))).replace("-", "−");
  };

  const halfAt = (bytes, i) => {
    const bits = bytes.charCodeAt(2 * i) | bytes.charCodeAt(2 * i + 1) << 8;
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = bits >> 10 & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction / 1024 * 2 ** -14);
  };
  const numbersAt = (values, cell) => {
    values.bytes = values.bytes || atob(values.halves);
    return Array.from({ length: values.channels },
      (_, c) => digits(halfAt(values.bytes, cell * values.channels + c) / values.scale, 3)).join(", ");
  };

  /** The tile, or the cell of numbers, under the pointer: its place, its box in the picture's own pixels, its words. */
  const spotOf = (data, x, y, width, height) => {
    let words = [];
    let spot;
    if (data.labels) {
      const gutter = data.gutter === undefined ? 1 : data.gutter;
      const [tileWidth, tileHeight] = data.tile;
      const column = Math.floor(x / (tileWidth + gutter));
      const row = Math.floor(y / (tileHeight + gutter));
      const index = row * data.columns + column;
      if (column < 0 || row < 0 || column >= data.columns || data.labels[index] === undefined) return;
      spot = { index, box: [column * (tileWidth + gutter) + gutter, row * (tileHeight + gutter) + gutter,
        tileWidth, tileHeight] };
      words = [data.labels[index]];
    }
    if (data.values) {
      const { rows, columns } = data.values;
      const column = Math.min(columns - 1, Math.max(0, Math.floor(x / width * columns)));
      const row = Math.min(rows - 1, Math.max(0, Math.floor(y / height * rows)));
      const index = row * columns + column;
      words.push(numbersAt(data.values, index) + "   (row " + row + ", column " + column + ")");
      spot = spot || { index, box: [column * width / columns, row * height / rows, width / columns, height / rows] };
    }
    return spot && { ...spot, words: words.join("\n") };
  };

  const showMark = (image, { on, boxes, fill }, index) => {
    const figure = image.closest("figure.convlens");
    const other = figure && [...figure.querySelectorAll('img[data-picture="' + on + '"]')]
      .find((one) => getComputedStyle(one).visibility === "visible");
    const box = boxes[index];
    if (!other || !box) return;
    const on_ = other.getBoundingClientRect();
    const zoom = on_.width / other.naturalWidth;
    const clip = (value, most) => Math.max(0, Math.min(most, value * zoom));
    const top = clip(box[0], on_.height);
    const left = clip(box[1], on_.width);
    const paint = (part, image, x, y) => Object.assign(part.style, { backgroundImage: 'url("' + image + '")',
      backgroundSize: on_.width + "px " + on_.height + "px", backgroundPosition: -x + "px " + -y + "px",
      backgroundOrigin: "border-box", imageRendering: "pixelated" });
    if (other.dataset.around) {
      paint(around, other.dataset.around, 0, 0);
      place(around, on_.left, on_.top, on_.width, on_.height);
    }
    const { inside } = other.dataset;
    mark.style.background = fill || "none";
    if (inside && !fill) paint(mark, inside, left, top);
    mark.style.border = fill || inside ? "1px solid #fff" : "2px solid #ffb000";
    place(mark, on_.left + left, on_.top + top, clip(box[3], on_.width) - left, clip(box[2], on_.height) - top);
  };

  const showTip = (event, content) => {
    tip.replaceChildren(...content);
    place(tip, 0, 0, 0, 0);
    tip.style.width = tip.style.height = "auto";
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4)) + "px";
    const below = event.clientY + 14;
    const above = event.clientY - 14 - tip.offsetHeight;
    tip.style.top = (below + tip.offsetHeight + 4 > innerHeight && above > 0 ? above : below) + "px";
  };

  const overPicture = (event, image, data) => {
    const box = image.getBoundingClientRect();
    const zoom = box.width / image.naturalWidth;
    const spot = spotOf(data, (event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom,
      image.naturalWidth, image.naturalHeight);
    if (!spot) return hide();
    hide();
    const [x, y, width, height] = spot.box;
    place(ring, box.left + x * zoom, box.top + y * zoom, width * zoom, height * zoom);
    if (data.marks) showMark(image, data.marks, spot.index);
    showTip(event, [spot.words]);
  };

  const shareOf = ({ domain: [min, max], log }, value) => log
    ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  const titled = (title, words) => title ? title + " " + words : words;
  const overChart = (event, image, { size, plot, x, y, series }) => {
    const box = image.getBoundingClientRect();
    const zoom = box.width / size[0];
    const pointer = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
    const [left, top, width, height] = plot;
    const at = (value) => left + shareOf(x, value) * width;
    const near = (a) => a >= left - 8 && a <= left + width + 8;
    const named = (value) => (x.names && x.names[value]) || titled(x.title, Number.isInteger(value) ? String(value) : digits(value, 4));
    // Points are met one by one; lines and bars all at the place that is nearest to the pointer.
    let best = Infinity;
    let met;
    const scatter = series.some((one) => one.as === "points") && !x.names;
    series.forEach((one) => one.x.forEach((value, i) => {
      if (value === null || one.y[i] === null || !near(at(value))) return;
      if (x.names && x.names[value] === undefined) return;
      const across = at(value) - pointer[0];
      const distance = scatter
        ? Math.hypot(across, top + height - shareOf(y, one.y[i]) * height - pointer[1]) : Math.abs(across);
      if (distance < best) [best, met] = [distance, { one, i, value }];
    }));
    const [a, b] = pointer;
    if (!met || a < left - 8 || a > left + width + 8 || b < top - 8 || b > top + height + 8 || scatter && best > 24) {
      return hide();
    }
    hide();
    const row = (one, i) => {
      const made = document.createElement("div");
      const box = document.createElement("span");
      box.style.cssText = "display:inline-block;width:9px;height:9px;margin-right:6px;border:1px solid #fff;background:" +
        one.color;
      const range = one.low ? "  (" + digits(one.low[i], 4) + " to " + digits(one.high[i], 4) + ")" : "";
      made.append(box, one.label + ": " + digits(one.y[i], 4) + range);
      return made;
    };
    const rows = scatter ? [row(met.one, met.i)] : series.flatMap((one) => {
      const i = one.x.indexOf(met.value);
      return i < 0 || one.y[i] === null ? [] : [row(one, i)];
    });
    const head = document.createElement("div");
    head.textContent = named(met.value);
    const across = box.left + at(met.value) * zoom;
    if (scatter) {
      const down = box.top + (top + height - shareOf(y, met.one.y[met.i]) * height) * zoom;
      place(ring, across - 4, down - 4, 8, 8);
    } else place(line, across - 0.5, box.top + top * zoom, 1, height * zoom);
    showTip(event, [head, ...rows]);
  };

  document.addEventListener("mousemove", (event) => {
    const image = event.target.closest && event.target.closest("img[data-convlens]");
    if (!image) return hide();
    const data = dataOf(image);
    if (data.series) overChart(event, image, data);
    else overPicture(event, image, data);
  });
  // The pointer left the page, or the frame that the output stands in.
  document.documentElement.addEventListener("mouseleave", hide);
  document.addEventListener("scroll", hide, true);
})();`;
