/**
 * The script behind maps: it puts Plotly's drawing of the points in the place of the still picture, and shows the
 * pictures of the points under the pointer, of a point and its true neighbours, of all within a lasso.
 *
 * One copy serves a whole page; a further copy only brings the maps to life that have come since.
 *
 * @module
 */

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
    const digits = (value) => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "none";

    let plotly;
    const unpack = async () => {
      const carrier = document.querySelector("script.convlens-plotly");
      if (!carrier) throw new Error("this page has no Plotly");
      const stream = new Blob([bytesOf(carrier.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
      const source = await new Response(stream).text();
      // In a scope of its own, so that neither a loader of modules nor another Plotly of the page is met.
      const script = document.createElement("script");
      script.textContent = "(() => { const before = window.Plotly; const module = { exports: {} }; let define;\n" + source +
        "\n;window.convlensPlotly = module.exports; window.Plotly = before; })();";
      document.head.append(script);
      script.remove();
      return window.convlensPlotly;
    };

    const tip = element("div", "position:fixed;pointer-events:none;display:none;z-index:99999;padding:6px;" +
      "border:1px solid #888;border-radius:4px;background:#111;color:#fff;font:12px/1.4 system-ui,sans-serif;" +
      "max-width:260px;overflow-wrap:anywhere;box-shadow:0 1px 4px rgba(0,0,0,.5)");
    tip.className = "convlens-map-tip";

    const live = async (root) => {
      const script = root.querySelector("script[type='application/json']");
      const data = JSON.parse(script.textContent);
      script.remove();
      plotly = plotly || unpack();
      const Plotly = await plotly;
      const image = root.querySelector("img");
      const x = floats(data.x);
      const y = floats(data.y);
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
      const help = element("span", "opacity:.75", "scroll to zoom, drag to move" +
        (data.neighbors ? ", click for neighbours" : "") + ", lasso (top right) to list");
      bar.append(help);
      const host = element("div", "position:relative;max-width:100%;width:" + image.getAttribute("width") + "px;height:" +
        image.getAttribute("height") + "px;background:#fff");
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

      const size = data.dot;
      let traces = [];
      let members = [];
      let traceOf = new Uint8Array(count);
      let placeOf = new Uint32Array(count);
      const gather = (from, chosen) => Float32Array.from(chosen, (i) => from[i]);
      const marker = (more) => ({ size, opacity: count > 25000 ? 0.6 : 0.8, line: { width: 0 }, ...more });
      const faded = { selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.08 } } };
      const build = (column) => {
        members = [];
        traceOf = new Uint8Array(count);
        placeOf = new Uint32Array(count);
        if (column && column.kind === "classes") {
          members = column.names.map(() => []);
          for (let i = 0; i < count; i++) {
            traceOf[i] = column.color[i];
            placeOf[i] = members[column.color[i]].push(i) - 1;
          }
          traces = column.names.map((name, c) => ({ type: "scattergl", mode: "markers", name: name.slice(0, 24) ,
            x: gather(x, members[c]), y: gather(y, members[c]), hoverinfo: "none",
            marker: marker({ color: column.palette[c], symbol: column.shapes[c] }), ...faded }));
        } else {
          members = [Array.from({ length: count }, (_, i) => i)];
          for (let i = 0; i < count; i++) placeOf[i] = i;
          const scale = column && column.palette.slice(0, 64).map((color, i, all) => [i / (all.length - 1), color]);
          traces = [{ type: "scattergl", mode: "markers", x, y, hoverinfo: "none", showlegend: false, ...faded,
            marker: marker(column ? { color: column.values, cmin: column.low, cmax: column.high, colorscale: scale,
              showscale: true, colorbar: { title: { text: column.name }, thickness: 14, len: 0.5, y: 0.75 } }
              : { color: "#3f90da" }) }];
        }
        const mark = { type: "scattergl", x: [], y: [], hoverinfo: "skip", showlegend: false };
        return [...traces,
          { ...mark, mode: "lines", line: { color: "#333333", width: 1 } },
          { ...mark, mode: "lines", line: { color: "#e76300", width: 1.5 } },
          { ...mark, mode: "markers", marker: { size: size + 5, color: "rgba(0,0,0,0)", line: { width: 2, color: "#111111" } } },
          { ...mark, mode: "markers", marker: { size: size + 9, color: "rgba(0,0,0,0)", line: { width: 3, color: "#d6006c" } } }];
      };
      const layout = {
        dragmode: "pan", hovermode: "closest", hoverdistance: 12, autosize: true, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
        font: { color: "#1a1a1a", size: 12, family: "system-ui, sans-serif" }, margin: { l: 4, r: 4, t: 32, b: 4 },
        xaxis: { visible: false }, yaxis: { visible: false, scaleanchor: "x" }, showlegend: true,
        legend: { itemsizing: "constant", title: { text: columns[0] ? columns[0].name : "" } }, uirevision: "stay",
      };
      const config = { scrollZoom: true, displaylogo: false, responsive: false, doubleClick: "reset", displayModeBar: true,
        modeBarButtons: [["pan2d", "zoom2d", "lasso2d"], ["resetScale2d", "toImage"]] };
      const shown = () => columns[select ? Number(select.value) : 0];
      await Plotly.newPlot(host, build(shown()), layout, config);
      image.remove();
      root.dataset.live = "drawn";

      const indexOf = (point) => members[point.curveNumber] && members[point.curveNumber][point.pointNumber];
      const marks = () => [0, 1, 2, 3].map((i) => traces.length + i);
      const clearMarks = () => Plotly.restyle(host, { x: [[], [], [], []], y: [[], [], [], []] }, marks());
      /** Lets only these points stand out; none given, all. */
      const only = (chosen) => {
        const places = traces.map(() => []);
        if (chosen) for (const i of chosen) places[traceOf[i]].push(placeOf[i]);
        return Plotly.restyle(host, { selectedpoints: traces.map((_, t) => chosen ? places[t] : null) },
          traces.map((_, t) => t));
      };
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
      const choose = (i, report) => {
        only(null);
        const near = neighbors ? [...neighbors.indices.subarray(i * neighbors.k, (i + 1) * neighbors.k)] : [];
        const apart = near.map((j) => Math.hypot(x[j] - x[i], y[j] - y[i]) / data.side);
        const far = near.filter((_, n) => apart[n] > 0.1);
        const rays = (to, from) => to.flatMap((j) => [from[i], from[j], null]);
        const close = near.filter((j) => !far.includes(j));
        Plotly.restyle(host, {
          x: [rays(close, x), rays(far, x), near.map((j) => x[j]), [x[i]]],
          y: [rays(close, y), rays(far, y), near.map((j) => y[j]), [y[i]]],
        }, marks());
        if (!report) return;
        list(neighbors ? idOf(i) + " and its " + near.length + " true neighbours, the nearest first" + (far.length
          ? "; " + far.length + " of them the map has put far away (more than a tenth of its width, in orange)"
          : "; the map keeps all of them near") : idOf(i),
          [tile(i, "chosen", "#d6006c"), ...near.map((j, n) => tile(j, apart[n] > 0.1 ? "far" : "", apart[n] > 0.1 ? "#e76300" : ""))]);
      };
      const map = {
        count,
        choose,
        only: (chosen) => { clearMarks(); only(chosen); },
        clear: () => {
          search.value = "";
          panel.replaceChildren();
          clearMarks();
          only(null);
          if ((host.layout.selections || []).length) Plotly.relayout(host, { selections: [] });
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
      host.on("plotly_hover", ({ points, event }) => {
        const i = indexOf(points[0]);
        if (i === undefined || !event) return;
        const picture = thumbnail(i, 96);
        if (picture) picture.style.margin = "0 0 4px 0";
        tip.replaceChildren(...(picture ? [picture] : []), ...wordsOf(i).map((line) => element("div", "", line)));
        tip.style.display = "block";
        if (!tip.isConnected) document.body.append(tip);
        place(event);
      });
      host.on("plotly_unhover", () => { tip.style.display = "none"; });
      host.addEventListener("mouseleave", () => { tip.style.display = "none"; });
      host.on("plotly_click", ({ points }) => {
        const i = indexOf(points[0]);
        if (i !== undefined) everyMap((map, own) => map.choose(i, own));
      });
      host.on("plotly_selected", (selection) => {
        if (!selection || !(selection.lassoPoints || selection.range)) return;
        const chosen = selection.points.map(indexOf).filter((i) => i !== undefined).sort((a, b) => a - b);
        clearMarks();
        listAll("in the lasso", chosen);
        everyMap((map, own) => { if (!own) map.only(chosen); });
      });
      host.on("plotly_deselect", () => everyMap((map) => map.clear()));
      let timer;
      search.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          const words = search.value.trim().toLowerCase();
          if (!words) return everyMap((map) => map.clear());
          const classes = columns.filter(({ kind }) => kind === "classes");
          const chosen = [];
          for (let i = 0; i < count; i++) {
            if (idOf(i).toLowerCase().includes(words) ||
              classes.some((column) => valueOf(column, i).toLowerCase().includes(words))) chosen.push(i);
          }
          listAll('with “' + search.value.trim() + '”', chosen);
          everyMap((map) => map.only(chosen));
        }, 200);
      });
      if (select) {
        select.addEventListener("change", () => {
          panel.replaceChildren();
          layout.legend.title.text = shown().name;
          Plotly.react(host, build(shown()), layout, config);
        });
      }
      new ResizeObserver(() => { if (host.isConnected && host.offsetWidth) Plotly.Plots.resize(host); }).observe(host);
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
