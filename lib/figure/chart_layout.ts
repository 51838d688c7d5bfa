/**
 * Where everything in a chart is placed: legend, titles, axes, plot.
 *
 * @module
 */

import type { Axis, Chart, Series } from "./blocks.ts";
import { type Scale, scaleOf } from "./scale.ts";
import type { Typesetter } from "./text.ts";

/** The size of a chart that does not say its own. */
export const CHART = { width: 400, height: 240 };
/** Between the card's edge and its content. */
export const PAD = 12;
/** The size of all words, and the height of a line of them. */
export const SIZE = 11;
export const LINE = 16;
/** The room of the sample before a label: a short piece of line, a point, a box. */
export const SAMPLE = 22;
/** Names are slanted by this angle where they do not fit level. */
export const SLOPE = Math.PI / 5;
/** Longer slanted names are cut; those of more than so many pixels in height make the chart taller. */
const WIDEST_NAME = 200;
const USUAL_NAME = 66;
/** Labels at the ends of lines take at most this share of the width, and are this many at most; else there is a legend. */
const DIRECT_SHARE = 0.34;
const MOST_DIRECT = 8;
/** Of a longer legend these rows are drawn, and a line says how many more series there are. */
const MOST_LEGEND_ROWS = 20;
/** Between labels at the ends of lines. */
export const LABEL_STEP = 14;
/** Pixels for each tick. */
const TICK_ROOM = { x: 50, xLog: 36, y: 32 };
/** Of the place of bars, the share that they fill; but one bar is no wider than that. */
export const BAR_SHARE = 0.8;
export const WIDEST_BAR = 48;

/** The names of places on the x axis. */
interface Names {
  texts: readonly string[];
  slanted: boolean;
  /** Only every so-many-th is drawn. */
  every: number;
}

/** A chart laid out, in its own pixels. */
export interface ChartLayout {
  width: number;
  height: number;
  plot: { left: number; top: number; width: number; height: number };
  x: Scale;
  y: Scale;
  /** The label of each series, broken into lines that fit. */
  labels: readonly (readonly string[])[];
  /** Whether labels are at the ends of the lines. */
  direct: boolean;
  /** Where the label of each series is above the plot; empty where they are at the ends of lines, or are not needed. */
  legend: readonly { index: number; x: number; row: number }[];
  /** How many series the legend leaves out. */
  legendLeft: number;
  yTitle: { lines: readonly string[]; top: number };
  names?: Names;
  /** How far apart the places of bars are, on the x axis. */
  barGap: number;
}

/** The smallest and the largest number that an axis must hold. */
function extentOf(numbers: Iterable<number>, log: boolean): [number, number] {
  let min = Infinity;
  let max = -Infinity;
  for (const value of numbers) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return min <= max ? [min, max] : log ? [1, 10] : [0, 1];
}

function* numbersOnY({ y, low, high }: Series): Generator<number> {
  yield* y;
  if (low) yield* low;
  if (high) yield* high;
}

function check({ series, alt }: Chart): void {
  for (const { label, x, y, low, high } of series) {
    for (const [name, numbers] of Object.entries({ y, low, high })) {
      if (numbers && numbers.length !== x.length) {
        throw new RangeError(
          `The series "${label}" of the chart "${alt}" has ${x.length} places in x and ${numbers.length} in ${name}; ` +
            `wanted as many.`,
        );
      }
    }
  }
}

/** The smallest distance of two different places. */
function spacing(places: readonly number[]): number {
  const sorted = [...new Set(places)].sort((a, b) => a - b);
  let least = Infinity;
  for (let i = 1; i < sorted.length; i++) least = Math.min(least, sorted[i] - sorted[i - 1]);
  return Number.isFinite(least) ? least : 1;
}

/** Puts labels, each of some lines, into rows no wider than the card. */
function legendOf(labels: readonly { width: number; lines: number }[], width: number): ChartLayout["legend"] {
  let x = PAD;
  let row = 0;
  let next = 0;
  return labels.map((label, index) => {
    const room = SAMPLE + label.width;
    if (x > PAD && x + room > width - PAD) {
      x = PAD;
      row = next;
    }
    const place = { index, x, row };
    x += room + 14;
    next = Math.max(next, row + label.lines);
    return place;
  });
}

function yScale(chart: Chart, hasBars: boolean, height: number): Scale {
  const log = chart.y.scale === "log";
  const [min, max] = extentOf([...chart.series.flatMap((one) => [...numbersOnY(one)]), ...chart.y.include ?? []], log);
  // Bars are read by their length, so they start at zero.
  const data: [number, number] = hasBars && !log ? [Math.min(0, min), Math.max(0, max)] : [min, max];
  return scaleOf(chart.y, data, { ticks: Math.max(2, height / TICK_ROOM.y), round: true });
}

function xScale(type: Typesetter, chart: Chart, hasBars: boolean, barGap: number, width: number): Scale {
  const { series, names } = chart;
  const log = chart.x.scale === "log";
  const [min, max] = extentOf(series.flatMap((one) => [...one.x]), log);
  const data: [number, number] = hasBars ? [min - barGap / 2, max + barGap / 2] : [min, max];
  const axis: Axis = names ? { min: -0.5, max: Math.max(0.5, names.length - 0.5), ...chart.x } : chart.x;
  const round = !names && !hasBars && series.some(({ as }) => as === "points");
  const overlaps = (scale: Scale) =>
    scale.ticks.some((tick, i) => {
      if (i === 0) return false;
      const before = scale.ticks[i - 1];
      const words = type.measure(scale.format(tick), SIZE) + type.measure(scale.format(before), SIZE);
      return (scale.at(tick) - scale.at(before)) * width < 14 + words / 2;
    });
  // As many ticks as there is room for their words.
  let ticks = Math.max(2, width / (log ? TICK_ROOM.xLog : TICK_ROOM.x));
  let scale = scaleOf(axis, data, { ticks, round });
  while (ticks > 1 && overlaps(scale)) scale = scaleOf(axis, data, { ticks: ticks *= 0.8, round });
  return scale;
}

/**
 * Lays a chart out. A long legend, and long names, make it taller than was asked for.
 *
 * @throws {RangeError} if the columns of a series differ in length, or an axis has ends that no axis has
 */
export function layOutChart(type: Typesetter, chart: Chart): ChartLayout {
  check(chart);
  const { series, width = CHART.width } = chart;
  const measure = (text: string) => type.measure(text, SIZE);
  const widest = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, measure(text)), 0);
  const barPlaces = series.flatMap(({ as, x }) => as === "bars" ? [...x] : []);
  const hasBars = series.some(({ as }) => as === "bars");
  const barGap = spacing(barPlaces);

  const labels = series.map(({ label }) => type.wrap(label, SIZE, width - 2 * PAD - SAMPLE));
  const single = labels.every(({ length }) => length === 1);
  const named = series.length > 1 || (series.length === 1 && series[0].label !== chart.y.title);
  const direct = named && single && series.length <= MOST_DIRECT && series.every(({ as = "line" }) => as === "line") &&
    widest(labels.flat()) + SAMPLE + 6 <= DIRECT_SHARE * width &&
    series.length * LABEL_STEP <= (chart.height ?? CHART.height) - 90;
  const directRoom = direct ? Math.ceil(widest(labels.flat())) + SAMPLE + 10 : 0;
  const fullLegend = named && !direct
    ? legendOf(labels.map((lines) => ({ width: widest(lines), lines: lines.length })), width)
    : [];
  const legend = fullLegend.filter(({ row }) => row < MOST_LEGEND_ROWS);
  const legendLeft = fullLegend.length - legend.length;
  const legendRows = legend.reduce((most, { index, row }) => Math.max(most, row + labels[index].length), 0) +
    (legendLeft ? 1 : 0);

  const yTitle = {
    lines: chart.y.title ? type.wrap(chart.y.title, SIZE, width - 2 * PAD) : [],
    top: PAD + (legendRows ? legendRows * LINE + 4 : 0),
  };
  const top = yTitle.top + (yTitle.lines.length ? yTitle.lines.length * LINE + 2 : 0) + 4;

  // Names are level where they fit into their share of about the plot's width.
  const nameRoom = (width - 2 * PAD - 40 - directRoom) / Math.max(1, chart.names?.length ?? 1);
  const slanted = widest(chart.names ?? []) > nameRoom - 6;
  const names = chart.names && {
    texts: chart.names.map((name) => type.clip(name, SIZE, slanted ? WIDEST_NAME : Infinity)),
    slanted,
    every: slanted ? Math.max(1, Math.ceil((LINE - 2) / Math.max(1, nameRoom))) : 1,
  };
  const nameHeight = names?.slanted ? widest(names.texts) * Math.sin(SLOPE) + SIZE : SIZE + 2;
  // A long legend and long names take nothing from the plot.
  const height = Math.ceil(
    (chart.height ?? CHART.height) + Math.max(0, legendRows - 2) * LINE + Math.max(0, nameHeight - USUAL_NAME),
  );
  const bottom = height - PAD - 4 - (chart.x.title ? LINE : 0) - nameHeight;

  const y = yScale(chart, hasBars, bottom - top);
  const right = width - (direct ? directRoom + PAD - 4 : PAD + 4);
  const numbersRoom = PAD + Math.ceil(widest(y.ticks.map(y.format))) + 8;
  // Slanted names hang out to the left of their places.
  const overhang = (names?.slanted ? names.texts : []).map((name, i, { length }) =>
    4 + measure(name) * Math.cos(SLOPE) - (right - numbersRoom) * (i + 0.5) / length
  );
  const left = overhang.reduce((most, room) => Math.max(most, Math.ceil(room)), numbersRoom);
  const plot = { left, top, width: Math.max(10, right - left), height: Math.max(10, bottom - top) };
  const x = xScale(type, chart, hasBars, barGap, plot.width);
  return { width, height, plot, x, y, labels, direct, legend, legendLeft, yTitle, names, barGap };
}

/** Moves heights apart until none is nearer to the next than `gap`, and all are within the two ends if they fit. */
export function spread(wanted: readonly number[], gap: number, top: number, bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  // Neighbours that are too near become a group, which is placed around the mean of what its members want.
  const groups: { sum: number; members: number[] }[] = [];
  const start = ({ sum, members }: { sum: number; members: number[] }) => {
    const half = (gap * (members.length - 1)) / 2;
    return Math.max(top, Math.min(bottom - 2 * half, sum / members.length - half));
  };
  for (const i of order) {
    let group = { sum: wanted[i], members: [i] };
    for (let before = groups.at(-1); before; before = groups.at(-1)) {
      if (start(before) + gap * before.members.length <= start(group)) break;
      groups.pop();
      group = { sum: before.sum + group.sum, members: [...before.members, ...group.members] };
    }
    groups.push(group);
  }
  const places = new Array<number>(wanted.length);
  for (const group of groups) group.members.forEach((i, place) => places[i] = start(group) + gap * place);
  return places;
}
