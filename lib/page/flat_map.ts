/**
 * Flat maps, drawn by Plotly, which the page unpacks once.
 *
 * @module
 */
/// <reference lib="dom" />

import { plotlyText } from "../format.ts";
import { bytesOf } from "./numbers.ts";
import type { Column, Drawing, Stage } from "./map_drawing.ts";
import { element } from "./dom.ts";
import { fitting, FRAME, mixed, pictureSide } from "./pictures.ts";
import { RAISED } from "./view.ts";

/** What is used of Plotly. */
interface Plotly {
  newPlot(host: HTMLElement, traces: Trace[], layout: unknown, config: unknown): Promise<unknown>;
  react(host: HTMLElement, traces: Trace[], layout: unknown, config: unknown): Promise<unknown>;
  restyle(host: HTMLElement, change: Record<string, unknown>, traces: number[]): Promise<unknown>;
  relayout(host: HTMLElement, change: Record<string, unknown>): Promise<unknown>;
  Plots: { resize(host: HTMLElement): void };
}

type Trace = Record<string, unknown>;

/** What Plotly makes of the element that it draws in. */
interface PlotHost extends HTMLElement {
  layout: { selections?: unknown[] };
  data: { visible?: string }[];
  /** The axes as they are drawn: from where to where, and their place in the element, in pixels. */
  _fullLayout: Record<"xaxis" | "yaxis", { range: [number, number]; _offset: number; _length: number }>;
  on(name: string, act: (event: PlotEvent) => void): void;
}

interface PlotPoint {
  curveNumber: number;
  pointNumber: number;
}

interface PlotEvent {
  points: PlotPoint[];
  event?: MouseEvent;
  lassoPoints?: unknown;
  range?: unknown;
}

let plotly: Promise<Plotly> | undefined;

async function unpack(): Promise<Plotly> {
  const carrier = document.querySelector("script.convlens-plotly");
  if (!carrier) throw new Error("this page has no Plotly");
  const stream = new Blob([bytesOf(carrier.textContent!)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  // In a scope of its own, so that neither a loader of modules nor another Plotly of the page is met.
  const script = document.createElement("script");
  script.textContent = "(() => { const before = window.Plotly; const module = { exports: {} }; let define;\n" + source +
    "\n;window.convlensPlotly = module.exports; window.Plotly = before; })();";
  document.head.append(script);
  script.remove();
  return (globalThis as unknown as { convlensPlotly: Plotly }).convlensPlotly;
}

const LAYOUT = {
  dragmode: "pan",
  hovermode: "closest",
  hoverdistance: 12,
  autosize: true,
  paper_bgcolor: "#fff",
  plot_bgcolor: "#fff",
  font: { color: "#1a1a1a", size: 12, family: "system-ui, sans-serif" },
  margin: { l: 4, r: 4, t: 32, b: 4 },
  xaxis: { visible: false },
  yaxis: { visible: false, scaleanchor: "x" },
  showlegend: true,
  uirevision: "stay",
};
const CONFIG = {
  scrollZoom: true,
  displaylogo: false,
  responsive: false,
  doubleClick: "reset",
  displayModeBar: true,
  modeBarButtons: [["pan2d", "zoom2d", "lasso2d"], ["resetScale2d", "toImage"]],
};

/** Points on a plane: one trace a class, and four more for what is marked. */
export class FlatDrawing implements Drawing {
  readonly help = "scroll to zoom, drag to move";
  readonly lassoHelp = ", lasso (top right) to list";
  readonly #stage: Stage;
  readonly #host: PlotHost;
  readonly #front: number[] | undefined;
  #plotly!: Plotly;
  #traces: Trace[] = [];
  /** The points of each trace; for each point its trace and its place in it. */
  #members: number[][] = [];
  #traceOf: Uint8Array = new Uint8Array();
  #placeOf: Uint32Array = new Uint32Array();
  #layout: Record<string, unknown> = LAYOUT;
  #column: Column | undefined;
  /** The points that alone are in colour. */
  #out: Set<number> | null = null;
  /** What pictures are painted on, while they are shown, and pixels of the page to one of the map at first. */
  #over: HTMLCanvasElement | undefined;
  #home = 0;
  /** A chosen point and its neighbours, of which pictures are shown before all others. */
  #marked: number[] = [];
  /** The points whose pictures fit, and what that hangs on. */
  #fitting: { key: string; points: number[] } | undefined;

  constructor(stage: Stage) {
    const { host, still, points: { background, count } } = stage;
    this.#stage = stage;
    this.#host = host as PlotHost;
    host.style.width = `${still.getAttribute("width")}px`;
    host.style.height = `${still.getAttribute("height")}px`;
    if (background) this.#front = Array.from({ length: count - background }, (_, i) => background + i);
  }

  async draw(column: Column | undefined): Promise<void> {
    const { on } = this.#stage;
    const host = this.#host;
    this.#plotly = await (plotly ??= unpack());
    await this.#plotly.newPlot(host, this.#build(column), this.#layout, CONFIG);
    host.on("plotly_hover", ({ points, event }) => {
      const i = this.#pointOf(points[0]);
      if (i !== undefined && event) on.hover(i, event);
    });
    host.on("plotly_unhover", on.leave);
    host.addEventListener("mouseleave", on.leave);
    host.on("plotly_click", ({ points }) => {
      const i = this.#pointOf(points[0]);
      if (i !== undefined) on.click(i);
    });
    host.on("plotly_selected", (selection) => {
      if (!selection?.lassoPoints && !selection?.range) return;
      const chosen = selection.points.map((point) => this.#pointOf(point)).filter((i) => i !== undefined);
      this.#out = new Set(chosen);
      on.select(chosen.sort((a, b) => a - b));
    });
    host.on("plotly_deselect", on.deselect);
    for (const event of ["plotly_afterplot", "plotly_relayouting"]) host.on(event, () => this.#paintPictures());
    new ResizeObserver(() => {
      if (host.isConnected && host.offsetWidth) this.#plotly.Plots.resize(host);
    }).observe(host);
  }

  color(column: Column | undefined): void {
    this.#plotly.react(this.#host, this.#build(column), this.#layout, CONFIG);
  }

  mark(point: number, close: number[], far: number[]): void {
    const { x, y } = this.#stage.points;
    const near = [...close, ...far];
    this.#marked = [point, ...near];
    const rays = (to: number[], from: Float32Array) => to.flatMap((j) => [from[point], from[j], null]);
    this.#restyleMarks({
      x: [rays(close, x), rays(far, x), near.map((j) => x[j]), [x[point]]],
      y: [rays(close, y), rays(far, y), near.map((j) => y[j]), [y[point]]],
    });
  }

  unmark(): void {
    this.#marked = [];
    this.#restyleMarks({ x: [[], [], [], []], y: [[], [], [], []] });
  }

  only(chosen: number[] | null): void {
    this.#out = chosen && new Set(chosen);
    this.#plotly.restyle(this.#host, { selectedpoints: this.#selected(chosen) }, this.#traces.map((_, t) => t));
  }

  endLasso(): void {
    if (this.#host.layout.selections?.length) this.#plotly.relayout(this.#host, { selections: [] });
  }

  showPictures(shown: boolean): void {
    this.#over?.remove();
    this.#over = undefined;
    if (shown) {
      this.#over = element("canvas", "position:absolute;left:0;top:0;width:100%;height:100%;pointer-events:none");
      this.#host.append(this.#over);
    }
    const hoverdistance = shown ? pictureSide(this.#stage.points.count) / 2 : LAYOUT.hoverdistance;
    this.#plotly.relayout(this.#host, { hoverdistance: Math.max(LAYOUT.hoverdistance, hoverdistance) });
  }

  /** Paints the pictures that fit over Plotly's dots, larger where it is zoomed into. */
  #paintPictures(): void {
    const host = this.#host;
    if (!this.#over || !host.offsetWidth) return;
    const { points: { count, x, y, background }, pictures } = this.#stage;
    const { xaxis, yaxis } = host._fullLayout;
    const [across, down] = [xaxis, yaxis].map(({ range: [from, to], _length }) => _length / (to - from));
    this.#home ||= across;
    const zoom = across / this.#home;
    const side = Math.round(pictureSide(count, zoom));
    const hidden = (i: number) => host.data[this.#traceOf[i]].visible === "legendonly";
    const seen = (i: number) => i >= background && pictures!.has(i) && !hidden(i) && (!this.#out || this.#out.has(i));
    // The same at any place of the map: none comes or goes while it is moved.
    const shown = [host.data.map(({ visible }) => visible), [...this.#out ?? ["all"]], this.#marked];
    const key = JSON.stringify([across, down, shown]);
    if (this.#fitting?.key !== key) {
      const sideOf = (i: number) => seen(i) ? side : 0;
      const places = { x: x.map((value) => value * across), y: y.map((value) => value * down) };
      this.#fitting = { key, points: fitting([...this.#marked, ...mixed(count)], places, sideOf) };
    }
    const ratio = devicePixelRatio || 1;
    this.#over.width = host.clientWidth * ratio;
    this.#over.height = host.clientHeight * ratio;
    const context = this.#over.getContext("2d")!;
    context.scale(ratio, ratio);
    context.beginPath();
    context.rect(xaxis._offset, yaxis._offset, xaxis._length, yaxis._length);
    context.clip();
    const [chosen] = this.#marked;
    for (const i of this.#fitting.points.toReversed()) {
      const u = xaxis._offset + (x[i] - xaxis.range[0]) * across;
      const v = yaxis._offset + (yaxis.range[1] - y[i]) * down;
      if (u < -side || v < -side || u > host.clientWidth + side || v > host.clientHeight + side) continue;
      const own = this.#column ? this.#column.palette[this.#column.color[i]] : "#3f90da";
      const marked = this.#marked.includes(i);
      const color = i === chosen ? "#d6006c" : marked ? "#111111" : own;
      pictures!.paint(context, i, { x: u, y: v, side, color, frame: marked ? 2 * FRAME : FRAME });
    }
  }

  #restyleMarks(change: Record<"x" | "y", unknown[]>): void {
    this.#plotly.restyle(this.#host, change, [0, 1, 2, 3].map((i) => this.#traces.length + i));
  }

  #pointOf({ curveNumber, pointNumber }: PlotPoint): number | undefined {
    return this.#members[curveNumber]?.[pointNumber];
  }

  /** For each trace the places of those that stand out; none given, all but the background. */
  #selected(chosen: number[] | null): (number[] | null)[] {
    const out = chosen ?? this.#front;
    if (!out) return this.#traces.map(() => null);
    const places: number[][] = this.#traces.map(() => []);
    for (const i of out) places[this.#traceOf[i]].push(this.#placeOf[i]);
    return places;
  }

  /** How the points of a trace look; what lies on a background is larger, and ringed. */
  #marker(more: Record<string, unknown>, members: number[]): Record<string, unknown> {
    const { count, dot, background } = this.#stage.points;
    const marker = { opacity: count > 25000 ? 0.6 : 0.8, ...more };
    if (!background) return { ...marker, size: dot, line: { width: 0 } };
    return {
      ...marker,
      size: members.map((i) => i >= background ? RAISED * dot : dot),
      line: { color: "#1a1a1a", width: members.map((i) => i >= background ? 1 : 0) },
    };
  }

  /** The traces of the points, then those of what is marked. */
  #build(column: Column | undefined): Trace[] {
    const { count, x, y, background } = this.#stage.points;
    this.#column = column;
    this.#layout = {
      ...LAYOUT,
      ...this.#room(),
      legend: { itemsizing: "constant", title: { text: plotlyText(column?.name ?? "") } },
    };
    const all = Array.from({ length: count }, (_, i) => i);
    this.#traceOf = column?.kind === "classes" ? column.color : new Uint8Array(count);
    this.#placeOf = new Uint32Array(count);
    this.#members = column?.kind === "classes" ? column.names.map(() => []) : [[]];
    for (const i of all) this.#placeOf[i] = this.#members[this.#traceOf[i]].push(i) - 1;
    const shared = {
      type: "scattergl",
      mode: "markers",
      hoverinfo: "none",
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: background ? 0.2 : 0.08 } },
    };
    if (column?.kind === "classes") {
      this.#traces = this.#members.map((members, c) => ({
        ...shared,
        name: plotlyText([...column.names[c]].slice(0, 24).join("")),
        x: Float32Array.from(members, (i) => x[i]),
        y: Float32Array.from(members, (i) => y[i]),
        marker: this.#marker({ color: column.palette[c], symbol: column.shapes[c] }, members),
      }));
    } else {
      const marker = this.#marker(column ? numbersMarker(column) : { color: "#3f90da" }, all);
      this.#traces = [{ ...shared, x, y, showlegend: false, marker }];
    }
    this.#selected(null).forEach((places, t) => {
      if (places) this.#traces[t].selectedpoints = places;
    });
    return [...this.#traces, ...this.#marks()];
  }

  /** From where to where the axes go, where pictures at the edge need more room than dots. */
  #room(): Record<string, unknown> {
    const { pictures, count, box } = this.#stage.points;
    if (!pictures) return {};
    const half = box.side / 2 * (1.04 + 2 * pictureSide(count) / parseFloat(this.#host.style.height));
    const range = (middle: number) => [middle - half, middle + half];
    return { xaxis: { ...LAYOUT.xaxis, range: range(box.x) }, yaxis: { ...LAYOUT.yaxis, range: range(box.y) } };
  }

  /** Lines to near and to far neighbours, rings around these, a ring around the chosen point: empty for now. */
  #marks(): Trace[] {
    const { dot } = this.#stage.points;
    const mark = { type: "scattergl", x: [], y: [], hoverinfo: "skip", showlegend: false };
    const line = (color: string, width: number) => ({ ...mark, mode: "lines", line: { color, width } });
    const ring = (more: number, color: string, width: number) => ({
      ...mark,
      mode: "markers",
      marker: { size: dot + more, color: "rgba(0,0,0,0)", line: { width, color } },
    });
    return [line("#333333", 1), line("#e76300", 1.5), ring(5, "#111111", 2), ring(9, "#d6006c", 3)];
  }
}

/** Numbers as colours, with a bar that says which. */
function numbersMarker({ name, palette, low, high, values }: Column & { kind: "numbers" }): Record<string, unknown> {
  const shades = palette.slice(0, 64);
  return {
    color: values,
    cmin: low,
    cmax: high,
    colorscale: shades.map((color, i) => [i / (shades.length - 1), color]),
    showscale: true,
    colorbar: { title: { text: plotlyText(name) }, thickness: 14, len: 0.5, y: 0.75 },
  };
}
