/**
 * The part of the maps' script that draws a flat map: with Plotly, unpacked once a page.
 *
 * @module
 */

import { RAISED } from "../../figure/map/still.ts";

/** Plain JavaScript that defines `flat`, which `map_script.ts` calls. */
export const FLAT_SCRIPT = String.raw`
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

    const flat = ({ data, x, y, host, image, on }) => {
      const RAISED = ${RAISED};
      let Plotly;
      const count = x.length;
      host.style.width = image.getAttribute("width") + "px";
      host.style.height = image.getAttribute("height") + "px";
      const size = data.dot;
      let traces = [];
      let members = [];
      let traceOf = new Uint8Array(count);
      let placeOf = new Uint32Array(count);
      const gather = (from, chosen) => Float32Array.from(chosen, (i) => from[i]);
      /** What lies on a background is larger, and ringed. */
      const raised = (i) => data.background > 0 && i >= data.background;
      const marker = (more, chosen) => ({ opacity: count > 25000 ? 0.6 : 0.8, ...more, ...(data.background
        ? { size: chosen.map((i) => raised(i) ? RAISED * size : size),
          line: { color: "#1a1a1a", width: chosen.map((i) => raised(i) ? 1 : 0) } }
        : { size, line: { width: 0 } }) });
      const faded = { selected: { marker: { opacity: 1 } },
        unselected: { marker: { opacity: data.background ? 0.2 : 0.08 } } };
      const front = data.background
        ? Array.from({ length: count - data.background }, (_, i) => data.background + i) : undefined;
      /** For each trace the places of those who stand out; none given, all but the background. */
      const selected = (chosen) => {
        const out = chosen || front;
        if (!out) return traces.map(() => null);
        const places = traces.map(() => []);
        for (const i of out) places[traceOf[i]].push(placeOf[i]);
        return places;
      };
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
            marker: marker({ color: column.palette[c], symbol: column.shapes[c] }, members[c]), ...faded }));
        } else {
          members = [Array.from({ length: count }, (_, i) => i)];
          for (let i = 0; i < count; i++) placeOf[i] = i;
          const scale = column && column.palette.slice(0, 64).map((color, i, all) => [i / (all.length - 1), color]);
          traces = [{ type: "scattergl", mode: "markers", x, y, hoverinfo: "none", showlegend: false, ...faded,
            marker: marker(column ? { color: column.values, cmin: column.low, cmax: column.high, colorscale: scale,
              showscale: true, colorbar: { title: { text: column.name }, thickness: 14, len: 0.5, y: 0.75 } }
              : { color: "#3f90da" }, members[0]) }];
        }
        selected(null).forEach((places, t) => { if (places) traces[t].selectedpoints = places; });
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
        legend: { itemsizing: "constant", title: { text: "" } }, uirevision: "stay",
      };
      const config = { scrollZoom: true, displaylogo: false, responsive: false, doubleClick: "reset", displayModeBar: true,
        modeBarButtons: [["pan2d", "zoom2d", "lasso2d"], ["resetScale2d", "toImage"]] };
      const marks = () => [0, 1, 2, 3].map((i) => traces.length + i);
      const indexOf = (point) => members[point.curveNumber] && members[point.curveNumber][point.pointNumber];
      const named = (column) => { layout.legend.title.text = column ? column.name : ""; };

      return {
        help: "scroll to zoom, drag to move",
        lassoHelp: ", lasso (top right) to list",
        async draw(column) {
          Plotly = await (plotly = plotly || unpack());
          named(column);
          await Plotly.newPlot(host, build(column), layout, config);
          host.on("plotly_hover", ({ points, event }) => {
            const i = indexOf(points[0]);
            if (i !== undefined && event) on.hover(i, event);
          });
          host.on("plotly_unhover", on.leave);
          host.addEventListener("mouseleave", on.leave);
          host.on("plotly_click", ({ points }) => {
            const i = indexOf(points[0]);
            if (i !== undefined) on.click(i);
          });
          host.on("plotly_selected", (selection) => {
            if (!selection || !(selection.lassoPoints || selection.range)) return;
            on.select(selection.points.map(indexOf).filter((i) => i !== undefined).sort((a, b) => a - b));
          });
          host.on("plotly_deselect", on.deselect);
          new ResizeObserver(() => { if (host.isConnected && host.offsetWidth) Plotly.Plots.resize(host); }).observe(host);
        },
        color(column) {
          named(column);
          Plotly.react(host, build(column), layout, config);
        },
        mark(i, close, far) {
          const near = [...close, ...far];
          const rays = (to, from) => to.flatMap((j) => [from[i], from[j], null]);
          Plotly.restyle(host, {
            x: [rays(close, x), rays(far, x), near.map((j) => x[j]), [x[i]]],
            y: [rays(close, y), rays(far, y), near.map((j) => y[j]), [y[i]]],
          }, marks());
        },
        unmark: () => Plotly.restyle(host, { x: [[], [], [], []], y: [[], [], [], []] }, marks()),
        only: (chosen) => Plotly.restyle(host, { selectedpoints: selected(chosen) }, traces.map((_, t) => t)),
        endLasso() {
          if ((host.layout.selections || []).length) Plotly.relayout(host, { selections: [] });
        },
      };
    };
`;
