/**
 * Charts: lines, points and bars over two axes, drawn on a card as SVG, with all words as outlines.
 *
 * @module
 */

import type { ChartHover } from "../page/data.ts";
import type { Chart, Drawing, Series } from "./blocks.ts";
import {
  BAR_SHARE,
  type ChartLayout,
  LABEL_STEP,
  layOutChart,
  LINE,
  PAD,
  SAMPLE,
  SIZE,
  SLOPE,
  spread,
  WIDEST_BAR,
} from "./chart_layout.ts";
import type { Scale } from "./scale.ts";
import type { Typesetter } from "./text.ts";
import { type Theme, THEMES } from "./theme.ts";

/** Lines are dashed when asked for, and when all colours are taken. */
const DASHED = "5 3";
const LATER_DASHES = ["", "1.5 2.5", "8 3 1.5 3"];

/** Stripes behind lines have so many strengths, of which the strongest covers so much. */
const SHADES = 24;
const STRONGEST = 0.85;

/** A chart, laid out and drawn. */
export interface DrawnChart extends Drawing {
  hover: ChartHover;
}

/** How a series looks. */
interface Style {
  color: string;
  dashes: string;
  marker: (x: number, y: number) => string;
}

/** A chart while it is drawn. */
interface ChartDrawing {
  chart: Chart;
  layout: ChartLayout;
  styles: readonly Style[];
  theme: Theme;
  /** Words with their baseline's left end at a place. */
  text(words: string, x: number, baseline: number, color?: string): string;
  measure(words: string): number;
  /** From the numbers of an axis to the chart's pixels. */
  px(value: number): number;
  py(value: number): number;
}

const round = (value: number) => Math.round(value * 100) / 100;
const finite = (...numbers: number[]) => numbers.every(Number.isFinite);

const dot = (x: number, y: number) => `M${round(x - 3)},${round(y)}a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z`;
const MARKERS: ((x: number, y: number) => string)[] = [
  dot,
  (x, y) => `M${round(x - 2.7)},${round(y - 2.7)}h5.4v5.4h-5.4z`,
  (x, y) => `M${round(x)},${round(y - 3.6)}l3.6,6.2h-7.2z`,
  (x, y) => `M${round(x)},${round(y - 3.8)}l3.8,3.8l-3.8,3.8l-3.8,-3.8z`,
];

/** Labels that are the same up to the first "·" share a colour. */
function stylesOf(series: readonly Series[], { series: colors, ink: words }: Theme): Style[] {
  const bases: string[] = [];
  return series.map(({ label, dashed, ink }) => {
    const base = label.split("·")[0].trim();
    if (!bases.includes(base)) bases.push(base);
    const index = bases.indexOf(base);
    const turn = Math.min(LATER_DASHES.length - 1, Math.floor(index / colors.length));
    return {
      color: ink ? words : colors[index % colors.length],
      dashes: dashed ? DASHED : LATER_DASHES[turn],
      marker: MARKERS[(index + (dashed ? 1 : 0)) % MARKERS.length],
    };
  });
}

function stroke({ color, dashes }: Style, path: string): string {
  const dasharray = dashes ? ` stroke-dasharray="${dashes}"` : "";
  return `<path stroke="${color}" stroke-width="2" stroke-linejoin="round" fill="none"${dasharray} d="${path}"/>`;
}

/** The sample before the label of a series. */
function sample({ chart, styles }: ChartDrawing, index: number, x: number, y: number): string {
  const { color, marker } = styles[index];
  const { as = "line" } = chart.series[index];
  if (as === "points") return `<path fill="${color}" d="${marker(x + 8, y)}"/>`;
  if (as === "bars") return `<rect x="${x + 3}" y="${y - 5}" width="10" height="10" fill="${color}"/>`;
  return stroke(styles[index], `M${x},${y}h16`);
}

function legend(drawing: ChartDrawing): string[] {
  const { layout: { legend, legendLeft, labels }, text, theme: { ink } } = drawing;
  const drawn = legend.flatMap(({ index, x, row }) => {
    const middle = PAD + row * LINE + 5;
    const words = labels[index].map((line, i) => text(line, x + SAMPLE, middle + 4 + i * LINE, ink));
    return [sample(drawing, index, x, middle), ...words];
  });
  if (legendLeft) {
    const { index, row } = legend.at(-1)!;
    drawn.push(text(`… and ${legendLeft} more`, PAD, PAD + (row + labels[index].length) * LINE + 9, ink));
  }
  return drawn;
}

function yAxis({ layout: { plot, y, yTitle }, text, measure, py, theme }: ChartDrawing): string[] {
  const title = yTitle.lines.map((line, i) => text(line, PAD, yTitle.top + SIZE - 1 + i * LINE));
  const ticks = y.ticks.map((tick) => {
    const at = round(py(tick));
    const words = y.format(tick);
    return `<path stroke="${tick === 0 ? theme.frame : theme.grid}" d="M${plot.left},${at}h${plot.width}"/>` +
      text(words, plot.left - 7 - measure(words), at + 4);
  });
  return [...title, ...ticks];
}

function xAxis({ chart, layout: { plot, x, names, width, height }, text, measure, px, theme }: ChartDrawing): string[] {
  const bottom = plot.top + plot.height;
  const out = [`<path stroke="${theme.frame}" d="M${plot.left},${bottom}h${plot.width}"/>`];
  /** Words in the middle of a place, but within the card. */
  const centred = (words: string, at: number, baseline: number, edge: number) => {
    const long = measure(words);
    return text(words, Math.max(edge, Math.min(width - edge - long, at - long / 2)), baseline);
  };
  if (names) {
    names.texts.forEach((name, i) => {
      const at = px(i);
      if (i % names.every || at < plot.left - 1 || at > plot.left + plot.width + 1) return;
      if (!names.slanted) return out.push(centred(name, at, bottom + SIZE + 6, 4));
      const angle = round(-SLOPE * 180 / Math.PI);
      out.push(
        `<g transform="rotate(${angle} ${round(at)} ${bottom + 12})">${
          text(name, at - measure(name) + 3, bottom + 14)
        }</g>`,
      );
    });
  } else {
    for (const tick of x.ticks) {
      out.push(`<path stroke="${theme.frame}" d="M${round(px(tick))},${bottom}v4"/>`);
      out.push(centred(x.format(tick), px(tick), bottom + SIZE + 6, 4));
    }
  }
  return [...out, centred(chart.x.title, plot.left + plot.width / 2, height - PAD + 1, PAD)];
}

function errorBar(x: number, low: number, high: number, color: string): string {
  if (!finite(x, low, high)) return "";
  const cap = (y: number) => `M${round(x - 3)},${round(y)}h6`;
  return `<path stroke="${color}" stroke-width="1.2" fill="none" d="M${round(x)},${round(low)}V${round(high)}${
    cap(low)
  }${cap(high)}"/>`;
}

/** The stretches of neighbouring places that hold something to draw. */
function runs(length: number, holds: (i: number) => boolean): number[][] {
  const found: number[][] = [];
  let open = false;
  for (let i = 0; i < length; i++) {
    const here = holds(i);
    if (here && open) found.at(-1)!.push(i);
    else if (here) found.push([i]);
    open = here;
  }
  return found;
}

/** The stripes behind all else; neighbours that look alike are one. */
function shade({ chart: { shade }, layout: { plot }, px, theme }: ChartDrawing): string {
  if (!shade) return "";
  const { shares, from, to } = shade;
  const [left, right] = [px(from), px(to)];
  const at = (i: number) => round(left + (right - left) * i / shares.length);
  const strength = shares.map((share) => Math.round(SHADES * (Number.isFinite(share) ? share : 0)));
  let start = 0;
  return strength.map((one, i) => {
    if (one === strength[i + 1]) return "";
    const begin = start;
    start = i + 1;
    if (one === 0) return "";
    return `<rect x="${at(begin)}" y="${plot.top}" width="${round(at(i + 1) - at(begin))}" height="${plot.height}" ` +
      `fill="${theme.series[one < 0 ? 0 : 1]}" fill-opacity="${round(STRONGEST * Math.abs(one) / SHADES)}"/>`;
  }).join("");
}

/** Bars of several series are drawn side by side. */
function bars({ chart, layout: { plot, y, barGap }, styles, px, py, theme }: ChartDrawing, index: number): string[] {
  const { series } = chart;
  const all = series.flatMap(({ as }, i) => as === "bars" ? [i] : []);
  const bottom = plot.top + plot.height;
  const zero = y.log ? bottom : Math.max(plot.top, Math.min(bottom, py(0)));
  const { x, y: tops, low, high } = series[index];
  return x.map((value, i) => {
    const end = py(tops[i]);
    const room = px(value + barGap / 2) - px(value - barGap / 2);
    const wide = Math.min(WIDEST_BAR, room * BAR_SHARE / all.length);
    const left = px(value) + (all.indexOf(index) - all.length / 2) * wide;
    const right = left + Math.max(1, wide - 1);
    if (!finite(left, right, end)) return "";
    return `<rect x="${round(left)}" y="${round(Math.min(zero, end))}" width="${round(right - left)}" ` +
      `height="${round(Math.abs(end - zero))}" fill="${styles[index].color}"/>` +
      (low && high ? errorBar((left + right) / 2, py(low[i]), py(high[i]), theme.ink) : "");
  });
}

function band({ chart, styles, px, py }: ChartDrawing, index: number): string[] {
  const { x, low, high } = chart.series[index];
  if (!low || !high) return [];
  return runs(x.length, (i) => finite(px(x[i]), py(low[i]), py(high[i]))).map((run) => {
    const there = run.map((i) => `${round(px(x[i]))},${round(py(high[i]))}`);
    const back = run.map((i) => `${round(px(x[i]))},${round(py(low[i]))}`).reverse();
    return `<path fill="${styles[index].color}" fill-opacity="0.18" d="M${[...there, ...back].join("L")}z"/>`;
  });
}

function line({ chart, styles, px, py }: ChartDrawing, index: number): string[] {
  const { x, y } = chart.series[index];
  return runs(x.length, (i) => finite(px(x[i]), py(y[i]))).map((run) => {
    // A number alone makes no line: it is drawn as a dot.
    if (run.length === 1) return `<path fill="${styles[index].color}" d="${dot(px(x[run[0]]), py(y[run[0]]))}"/>`;
    return stroke(styles[index], `M${run.map((i) => `${round(px(x[i]))},${round(py(y[i]))}`).join("L")}`);
  });
}

function points(drawing: ChartDrawing, index: number): string[] {
  const { chart, styles, px, py } = drawing;
  const { color, marker } = styles[index];
  const { x, y, low, high } = chart.series[index];
  const seen = x.flatMap((_, i) => inPlot(drawing, px(x[i]), py(y[i])) ? [i] : []);
  const errors = low && high ? seen.map((i) => errorBar(px(x[i]), py(low[i]), py(high[i]), color)) : [];
  const opacity = x.length > 400 ? 0.45 : x.length > 60 ? 0.65 : 0.9;
  // Each is a path of its own, so that many over one another are darker than one.
  const markers = seen.map((i) => `<path d="${marker(px(x[i]), py(y[i]))}"/>`).join("");
  return [...errors, `<g fill="${color}" fill-opacity="${opacity}">${markers}</g>`];
}

/** The labels at the ends of the lines, each with a piece of its line. */
function endLabels(drawing: ChartDrawing): string[] {
  const { chart, layout: { plot, labels }, styles, text, px, py, theme } = drawing;
  const right = plot.left + plot.width;
  const bottom = plot.top + plot.height;
  const ends = chart.series.map(({ x, y }) => {
    const last = y.findLastIndex((value, i) => inPlot(drawing, px(x[i]), py(value)));
    return last < 0 ? undefined : [px(x[last]), py(y[last])];
  });
  const heights = spread(ends.map((end) => end?.[1] ?? bottom), LABEL_STEP, plot.top, bottom).map(round);
  return heights.map((height, index) => {
    const end = ends[index];
    const leader = end && end[0] > right - 2
      ? `<path stroke="${styles[index].color}" stroke-opacity="0.5" fill="none" d="M${round(end[0] + 1)},${
        round(end[1])
      }L${right + 9},${height}"/>`
      : "";
    return leader + sample(drawing, index, right + 10, height) +
      text(labels[index][0], right + 8 + SAMPLE, height + 4, theme.ink);
  });
}

function inPlot({ layout: { plot } }: ChartDrawing, x: number, y: number): boolean {
  return x >= plot.left - 0.5 && x <= plot.left + plot.width + 0.5 &&
    y >= plot.top - 0.5 && y <= plot.top + plot.height + 0.5;
}

const outside = ({ domain: [min, max] }: Scale, values: readonly number[] = []) =>
  values.some((value) => value < min || value > max);

/** Everything that the numbers make: bars below bands below points and lines. What lies outside of the plot is cut off. */
function marks(drawing: ChartDrawing): string {
  const { chart: { series }, layout: { plot, x, y } } = drawing;
  const each = (kind: Series["as"], draw: (drawing: ChartDrawing, index: number) => string[]) =>
    series.flatMap(({ as = "line" }, index) => as === kind ? draw(drawing, index) : []);
  const drawn = [...each("bars", bars), ...each("line", band), ...each("points", points), ...each("line", line)].join(
    "",
  );
  const { left, top, width, height } = plot;
  const cut = series.some((one) =>
    outside(x, one.x) || [one.y, one.low, one.high].some((values) => outside(y, values))
  );
  return cut
    ? `<svg x="${left}" y="${top}" width="${width}" height="${height}" overflow="hidden" ` +
      `viewBox="${left} ${top} ${width} ${height}">${drawn}</svg>`
    : drawn;
}

function hoverOf({ chart, layout: { width, height, plot, x, y }, styles }: ChartDrawing): ChartHover {
  const short = (digits: number) => (value: number) =>
    Number.isFinite(value) ? Number(value.toPrecision(digits)) : null;
  return {
    size: [width, height],
    plot: [plot.left, plot.top, plot.width, plot.height],
    x: { title: chart.x.title, domain: x.domain, log: x.log, ...(chart.names && { names: chart.names }) },
    y: { title: chart.y.title, domain: y.domain, log: y.log },
    ...(chart.chooses !== undefined && { chooses: chart.chooses }),
    series: chart.series.map(({ label, as = "line", x, y, low, high }, index) => ({
      label,
      color: styles[index].color,
      as,
      x: x.map(short(7)),
      y: y.map(short(4)),
      ...(low && high && { low: low.map(short(4)), high: high.map(short(4)) }),
    })),
  };
}

/**
 * Lays a chart out and draws it.
 *
 * @throws {RangeError} if the columns of a series differ in length, or an axis has ends that no axis has
 */
export function drawChart(type: Typesetter, chart: Chart, theme: Theme = THEMES.light): DrawnChart {
  const layout = layOutChart(type, chart);
  const { width, height, plot, x, y } = layout;
  const drawing: ChartDrawing = {
    chart,
    layout,
    styles: stylesOf(chart.series, theme),
    theme,
    text: (words, x, baseline, color = theme.softInk) => type.text(words, x, baseline, { size: SIZE, color }),
    measure: (words) => type.measure(words, SIZE),
    px: (value) => plot.left + x.at(value) * plot.width,
    py: (value) => plot.top + plot.height - y.at(value) * plot.height,
  };
  const card = `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="4" fill="${theme.card}" ` +
    `stroke="${theme.cardEdge}"/>`;
  const parts = [card, shade(drawing), ...legend(drawing), ...yAxis(drawing), ...xAxis(drawing), marks(drawing)];
  if (layout.direct) parts.push(...endLabels(drawing));
  return { width, height, svg: parts.join(""), hover: hoverOf(drawing) };
}
