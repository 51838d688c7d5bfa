/**
 * The script behind maps: it puts a drawing of the points in the place of the still picture, by Plotly or in space, and
 * shows the pictures of the points under the pointer, of a point and its true neighbours, of all within a lasso.
 *
 * One copy serves a whole page; a further copy only brings the maps to life that have come since.
 *
 * @module
 */

import { FLAT_SCRIPT } from "./flat_script.ts";
import { SPACE_SCRIPT } from "./space_script.ts";

/** Plain JavaScript for the page. It reads the JSON that `map.ts` packs. */
export const MAP_SCRIPT = String.raw`(() => {
  const start = () => {
    const LISTED = 120;
    const element = (tag, style, words) => {
      const made = document.createElement(tag);
      made.style.cssText = style;
      if (words !== undefined) made.textContent = words;
      return made;
    };
    const bytesOf = (text) => {
      if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
      const letters = atob(text);
      const bytes = new Uint8Array(letters.length);
      for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
      return bytes;
    };
    const floats = (text) => new Float32Array(bytesOf(text).buffer);
    const digits = (value) => Number.isFinite(value) ? String(Number(value.toPrecision(4))).replace("-", "−") : "none";

${FLAT_SCRIPT}${SPACE_SCRIPT}
    const tip = element("div", "position:fixed;pointer-events:none;display:none;z-index:99999;padding:6px;" +
      "border:1px solid #888;border-radius:4px;background:#111;color:#fff;font:12px/1.4 system-ui,sans-serif;" +
      "max-width:260px;overflow-wrap:anywhere;box-shadow:0 1px 4px rgba(0,0,0,.5)");
    tip.className = "convlens-map-tip";

    const live = async (root) => {
      const script = root.querySelector("script[type='application/json']");
      const data = JSON.parse(script.textContent);
      script.remove();
      const image = root.querySelector("img");
      const x = floats(data.x);
      const y = floats(data.y);
      const z = data.z && floats(data.z);
      const count = x.length;
      const columns = data.columns.map((column) => ({ ...column, color: bytesOf(column.color),
        values: column.kind === "numbers" ? floats(column.values) : column.values }));
      const idOf = (i) => data.ids ? data.ids[i] : String(i);
      const valueOf = (column, i) => column.kind === "numbers" ? digits(column.values[i])
        : column.values ? column.values[i] : column.names[column.color[i]];

      const sprites = data.sprites;
      // Made when they are first asked for.
      const addresses = [];
      const addressOf = (sheet) => addresses[sheet] = addresses[sheet] ||
        URL.createObjectURL(new Blob([bytesOf(sprites.sheets[sheet])], { type: "image/webp" }));
      const thumbnail = (i, side) => {
        if (!sprites || i % sprites.step) return undefined;
        const place = i / sprites.step;
        const perSheet = sprites.columns ** 2;
        const sheet = Math.floor(place / perSheet);
        const tiles = Math.ceil(count / sprites.step);
        const held = Math.min(perSheet, tiles - sheet * perSheet);
        const across = Math.min(sprites.columns, held);
        const at = place % perSheet;
        const made = element("div", "width:" + side + "px;height:" + side + "px;flex:none;image-rendering:pixelated;" +
          "background:url(" + addressOf(sheet) + ") " + -(at % sprites.columns) * side + "px " +
          -Math.floor(at / sprites.columns) * side + "px / " + across * side + "px " +
          Math.ceil(held / sprites.columns) * side + "px no-repeat");
        made.className = "convlens-thumbnail";
        return made;
      };
      const wordsOf = (i) => [idOf(i), ...columns.map((column) => column.name + ": " + valueOf(column, i))];

      // What stands around the map.
      const quiet = "data-lm-suppress-shortcuts";
      const bar = element("div", "display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;margin:2px 0 4px 0;font-size:90%");
      bar.setAttribute(quiet, "true");
      const field = "font:inherit;margin:0 0 0 4px;padding:1px 4px;max-width:180px;color:inherit;background:transparent;" +
        "border:1px solid rgba(128,128,128,.6);border-radius:4px";
      let select;
      if (columns.length > 1) {
        const label = element("label", "", "colour by");
        select = element("select", field);
        select.className = "convlens-color";
        columns.forEach((column, c) => {
          const option = element("option", "color:#111;background:#fff", column.name);
          option.value = c;
          select.append(option);
        });
        label.append(select);
        bar.append(label);
      }
      const searchLabel = element("label", "", "search");
      const search = element("input", field);
      search.type = "search";
      search.placeholder = columns.some(({ kind }) => kind === "classes") ? "label or name" : "name";
      search.className = "convlens-search";
      searchLabel.append(search);
      bar.append(searchLabel);
      const host = element("div", "position:relative;max-width:100%;background:#fff;border-radius:4px;overflow:hidden");
      host.className = "convlens-plot";
      host.setAttribute(quiet, "true");
      const panel = element("div", "font-size:90%;margin:4px 0 0 0;max-width:" + image.getAttribute("width") + "px");
      panel.className = "convlens-panel";
      panel.setAttribute("aria-live", "polite");
      // The still picture stays until the map has been drawn behind it.
      const stage = element("div", "position:relative");
      image.replaceWith(stage);
      stage.append(host);
      stage.before(bar);
      stage.after(panel);
      Object.assign(image.style, { position: "absolute", left: 0, top: 0, zIndex: 1 });
      stage.append(image);

      // How the points are drawn, and what that calls.
      let view;
      const on = {};
      const shown = () => columns[select ? Number(select.value) : 0];
      const tile = (i, note, border) => {
        const made = element("div", "width:76px;font-size:80%;line-height:1.25;overflow-wrap:anywhere;text-align:center" );
        made.className = "convlens-listed";
        made.title = wordsOf(i).join("\n");
        const picture = thumbnail(i, 64);
        if (picture) {
          picture.style.margin = "0 auto 2px";
          picture.style.outline = "2px solid " + (border || "transparent");
          made.append(picture);
        }
        const first = columns.find(({ kind }) => kind === "classes");
        made.append(element("div", "", first ? valueOf(first, i) : idOf(i)));
        if (note) made.append(element("div", "opacity:.75", note));
        return made;
      };
      const list = (words, tiles) => {
        const row = element("div", "display:flex;flex-wrap:wrap;gap:8px 4px;max-height:300px;overflow:auto;padding:3px");
        row.append(...tiles);
        const close = element("button", "font:inherit;font-size:90%;color:inherit;background:none;cursor:pointer;padding:1px 7px;" +
          "border:1px solid rgba(128,128,128,.6);border-radius:4px;margin-left:8px", "clear");
        close.type = "button";
        const head = element("div", "margin:2px 0 4px 0", words);
        head.append(close);
        close.addEventListener("click", () => everyMap((map) => map.clear()));
        panel.replaceChildren(head, row);
      };
      const countsOf = (chosen) => {
        const column = columns.find(({ kind }) => kind === "classes");
        if (!column) return "";
        const sums = new Map();
        for (const i of chosen) sums.set(valueOf(column, i), (sums.get(valueOf(column, i)) || 0) + 1);
        const most = [...sums].sort((a, b) => b[1] - a[1]);
        return ": " + most.slice(0, 6).map(([name, n]) => name + " " + n).join(", ") + (most.length > 6 ? " …" : "");
      };
      const listAll = (what, chosen) => list(chosen.length.toLocaleString("en") + " of " + count.toLocaleString("en") +
        " images " + what + countsOf(chosen) + (chosen.length > LISTED ? " (the first " + LISTED + " shown)" : ""),
        chosen.slice(0, LISTED).map((i) => tile(i)));

      const neighbors = data.neighbors && { k: data.neighbors.k, indices: data.neighbors.wide
        ? new Uint32Array(bytesOf(data.neighbors.indices).buffer) : new Uint16Array(bytesOf(data.neighbors.indices).buffer) };
      const apartOf = (i, j) => Math.hypot(x[j] - x[i], y[j] - y[i], z ? z[j] - z[i] : 0) / data.box.side;
      const choose = (i, report) => {
        view.only(null);
        const near = neighbors ? [...neighbors.indices.subarray(i * neighbors.k, (i + 1) * neighbors.k)] : [];
        const apart = near.map((j) => apartOf(i, j));
        const far = near.filter((_, n) => apart[n] > 0.1);
        view.mark(i, near.filter((j) => !far.includes(j)), far);
        if (!report) return;
        list(neighbors ? idOf(i) + " and its " + near.length + " true neighbours, the nearest first" + (far.length
          ? "; " + far.length + " of them the map has put far away (more than a tenth of its width, in orange)"
          : "; the map keeps all of them near") : idOf(i),
          [tile(i, "chosen", "#d6006c"), ...near.map((j, n) => tile(j, apart[n] > 0.1 ? "far" : "", apart[n] > 0.1 ? "#e76300" : ""))]);
      };
      const map = {
        count,
        choose,
        only: (chosen) => { view.unmark(); view.only(chosen); },
        clear: () => {
          search.value = "";
          panel.replaceChildren();
          view.unmark();
          view.only(null);
          view.endLasso();
        },
      };
      root.convlensMap = map;
      /** Maps of the same images beside this one move along. */
      const everyMap = (act) => {
        const figure = root.closest("figure.convlens") || root.parentElement;
        for (const other of figure.querySelectorAll(".convlens-map")) {
          if (other.convlensMap && other.convlensMap.count === count) act(other.convlensMap, other === root);
        }
      };

      const place = (event) => {
        tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4)) + "px";
        const below = event.clientY + 14;
        tip.style.top = (below + tip.offsetHeight + 4 > innerHeight
          ? Math.max(4, event.clientY - 14 - tip.offsetHeight) : below) + "px";
      };
      on.hover = (i, event) => {
        const picture = thumbnail(i, 96);
        if (picture) picture.style.margin = "0 0 4px 0";
        tip.replaceChildren(...(picture ? [picture] : []), ...wordsOf(i).map((line) => element("div", "", line)));
        tip.style.display = "block";
        if (!tip.isConnected) document.body.append(tip);
        place(event);
      };
      on.leave = () => { tip.style.display = "none"; };
      on.click = (i) => everyMap((map, own) => map.choose(i, own));
      on.select = (chosen) => {
        view.unmark();
        listAll("in the lasso", chosen);
        everyMap((map, own) => { if (!own || z) map.only(chosen); });
      };
      on.deselect = () => everyMap((map) => map.clear());
      let timer;
      search.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          const words = search.value.trim().toLowerCase();
          if (!words) return everyMap((map) => map.clear());
          const classes = columns.filter(({ kind }) => kind === "classes");
          // Whoever types a class in full, or a name, wants that, and not all that hold these letters.
          const [ofClass, named, holding] = [[], [], []];
          for (let i = 0; i < count; i++) {
            const values = classes.map((column) => valueOf(column, i).toLowerCase());
            const name = idOf(i).toLowerCase();
            if (values.includes(words)) ofClass.push(i);
            if (name === words) named.push(i);
            if ([name, ...values].some((value) => value.includes(words))) holding.push(i);
          }
          const chosen = [ofClass, named].find(({ length }) => length) || holding;
          listAll('with “' + search.value.trim() + '”', chosen);
          everyMap((map) => map.only(chosen));
        }, 200);
      });
      if (select) {
        select.addEventListener("change", () => {
          panel.replaceChildren();
          view.color(shown());
        });
      }
      view = (z ? space : flat)({ data: { ...data, columns }, x, y, z, host, image, bar, on });
      bar.append(element("span", "opacity:.75", view.help + (data.neighbors ? ", click for neighbours" : "") +
        view.lassoHelp));
      await view.draw(shown());
      image.remove();
      root.dataset.live = "drawn";
    };
    return () => {
      for (const root of document.querySelectorAll(".convlens-map:not([data-live])")) {
        root.dataset.live = "";
        live(root).catch((error) => {
          root.append(element("div", "font-size:85%;opacity:.8",
            "The map stays a picture: " + error.message + ". Run its cell again, or open the page in a newer browser."));
        });
      }
    };
  };
  window.convlensMaps = window.convlensMaps || start();
  window.convlensMaps();
})();`;
