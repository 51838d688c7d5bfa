/**
 * The hover of pictures and charts. It listens to the whole page, so that one copy serves every figure, and reads
 * `data-convlens` of the image under the pointer.
 *
 * @module
 */
/// <reference lib="dom" />

import type { ChartHover, HoverAxis, HoverSeries, PackedMarks, PictureHover } from "./data.ts";
import { element, oncePerPage } from "./dom.ts";
import { numbersAt, significant } from "./numbers.ts";
import { Tip } from "./tip.ts";

/** A tile, or a cell of numbers: its place, its box in the picture's own pixels, its words. */
export interface Spot {
  index: number;
  box: [x: number, y: number, width: number, height: number];
  words: string;
}

/** What lies at a place of a picture of this size. */
export function spotOf(
  { columns = 1, tile, gutter = 1, labels, values }: PictureHover,
  [x, y]: readonly [number, number],
  [width, height]: readonly [number, number],
): Spot | undefined {
  const words: string[] = [];
  let spot: Pick<Spot, "index" | "box"> | undefined;
  if (labels && tile) {
    const [across, down] = [tile[0] + gutter, tile[1] + gutter];
    const [column, row] = [Math.floor(x / across), Math.floor(y / down)];
    const index = row * columns + column;
    if (column < 0 || row < 0 || column >= columns || labels[index] === undefined) return undefined;
    spot = { index, box: [column * across + gutter, row * down + gutter, ...tile] };
    words.push(labels[index]);
  }
  if (values) {
    const [wide, tall] = [width / values.columns, height / values.rows];
    const column = Math.min(values.columns - 1, Math.max(0, Math.floor(x / wide)));
    const row = Math.min(values.rows - 1, Math.max(0, Math.floor(y / tall)));
    const index = row * values.columns + column;
    words.push(`${numbersAt(values, index)}   (row ${row}, column ${column})`);
    spot ??= { index, box: [column * wide, row * tall, wide, tall] };
  }
  return spot && { ...spot, words: words.join("\n") };
}

/** Where a number lies between the ends of an axis, from 0 to 1. */
export function shareOf({ domain: [min, max], log }: HoverAxis, value: number): number {
  return log ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
}

/** A point of a chart: the series, the place in it, the number on the x axis, and where it lies in the chart's pixels. */
export interface ChartSpot {
  series: HoverSeries;
  index: number;
  value: number;
  at: [x: number, y: number];
  /** Whether points are met one by one; lines and bars are met together, at one place of the x axis. */
  alone: boolean;
}

/** How far from the plot, and from a single point, the pointer still meets it, in the chart's pixels. */
const AROUND = 8;
const NEAR_POINT = 24;

/** What is nearest to the pointer. */
export function nearestIn({ plot, x, y, series }: ChartHover, pointer: readonly [number, number]) {
  const [left, top, width, height] = plot;
  const inside = (at: number, start: number, length: number) => at >= start - AROUND && at <= start + length + AROUND;
  if (!inside(pointer[0], left, width) || !inside(pointer[1], top, height)) return undefined;
  const alone = !x.names && series.some((one) => one.as === "points");
  let best = alone ? NEAR_POINT : Infinity;
  let met: ChartSpot | undefined;
  for (const one of series) {
    one.x.forEach((value, index) => {
      const tall = one.y[index];
      if (value === null || tall === null || (x.names && x.names[value] === undefined)) return;
      const at: ChartSpot["at"] = [left + shareOf(x, value) * width, top + height - shareOf(y, tall) * height];
      if (!inside(at[0], left, width)) return;
      const across = at[0] - pointer[0];
      const distance = alone ? Math.hypot(across, at[1] - pointer[1]) : Math.abs(across);
      if (distance < best) [best, met] = [distance, { series: one, index, value, at, alone }];
    });
  }
  return met;
}

/** The place on the x axis in words. */
export function placeWords({ names, title }: HoverAxis, value: number): string {
  if (names?.[value]) return names[value];
  const number = Number.isInteger(value) ? String(value) : significant(value, 4);
  return title ? `${title} ${number}` : number;
}

/** What the hover says of one number of a series. */
export function seriesWords({ label, y, low, high }: HoverSeries, index: number): string {
  const range = low && high ? `  (${significant(low[index], 4)} to ${significant(high[index], 4)})` : "";
  return `${label}: ${significant(y[index], 4)}${range}`;
}

const layer = (zIndex: number, style: string) =>
  element("div", `position:fixed;pointer-events:none;display:none;z-index:${zIndex};${style}`);

function place(part: HTMLElement, left: number, top: number, width: number, height: number): void {
  if (!part.isConnected) document.body.append(part);
  const [l, t, w, h] = [left, top, width, height].map((length) => `${length}px`);
  Object.assign(part.style, { display: "block", left: l, top: t, width: w, height: h });
}

/** The words, and what is drawn over the page: a ring, a line through a chart, a box on another picture. */
class Hover {
  readonly #tip = new Tip("convlens-tip");
  readonly #ring = layer(99998, "outline:2px solid #ffb000");
  readonly #mark = layer(99997, "box-sizing:border-box");
  readonly #line = layer(99996, "width:1px;background:#555");
  readonly #around = layer(99995, "");

  hide(): void {
    this.#tip.hide();
    for (const part of [this.#ring, this.#mark, this.#line, this.#around]) part.style.display = "none";
  }

  overPicture(event: MouseEvent, image: HTMLImageElement, data: PictureHover): void {
    this.hide();
    const box = image.getBoundingClientRect();
    const zoom = box.width / image.naturalWidth;
    const at = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom] as const;
    const spot = spotOf(data, at, [image.naturalWidth, image.naturalHeight]);
    if (!spot) return;
    const [x, y, width, height] = spot.box;
    place(this.#ring, box.left + x * zoom, box.top + y * zoom, width * zoom, height * zoom);
    if (data.marks) this.#showMark(image, data.marks, spot.index);
    this.#tip.show(event, spot.words);
  }

  /** Paints a box on another picture of the figure, and what is seen around it meanwhile. */
  #showMark(image: HTMLImageElement, { on, boxes, fill }: PackedMarks, index: number): void {
    const others = image.closest("figure.convlens")?.querySelectorAll<HTMLImageElement>(`img[data-picture="${on}"]`);
    const other = [...others ?? []].find((one) => getComputedStyle(one).visibility === "visible");
    const box = boxes[index];
    if (!other || !box) return;
    const whole = other.getBoundingClientRect();
    const zoom = whole.width / other.naturalWidth;
    const clip = (value: number, most: number) => Math.max(0, Math.min(most, value * zoom));
    const [top, left] = [clip(box[0], whole.height), clip(box[1], whole.width)];
    const paint = (part: HTMLElement, picture: string, x: number, y: number) =>
      Object.assign(part.style, {
        backgroundImage: `url("${picture}")`,
        backgroundSize: `${whole.width}px ${whole.height}px`,
        backgroundPosition: `${-x}px ${-y}px`,
        backgroundOrigin: "border-box",
        imageRendering: "pixelated",
      });
    const { around, inside } = other.dataset;
    if (around) {
      paint(this.#around, around, 0, 0);
      place(this.#around, whole.left, whole.top, whole.width, whole.height);
    }
    this.#mark.style.background = fill || "none";
    if (inside && !fill) paint(this.#mark, inside, left, top);
    this.#mark.style.border = fill || inside ? "1px solid #fff" : "2px solid #ffb000";
    const [width, height] = [clip(box[3], whole.width) - left, clip(box[2], whole.height) - top];
    place(this.#mark, whole.left + left, whole.top + top, width, height);
  }

  overChart(event: MouseEvent, image: HTMLImageElement, chart: ChartHover): void {
    this.hide();
    const box = image.getBoundingClientRect();
    const zoom = box.width / chart.size[0];
    const met = nearestIn(chart, [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom]);
    if (chart.chooses !== undefined) image.style.cursor = met ? "pointer" : "";
    if (!met) return;
    const row = (series: HoverSeries, index: number) =>
      element(
        "div",
        "",
        {},
        element(
          "span",
          `display:inline-block;width:9px;height:9px;margin-right:6px;border:1px solid #fff;background:${series.color}`,
        ),
        seriesWords(series, index),
      );
    const rows = met.alone ? [row(met.series, met.index)] : chart.series.flatMap((series) => {
      const index = series.x.indexOf(met.value);
      return index < 0 || series.y[index] === null ? [] : [row(series, index)];
    });
    const [x, y] = [box.left + met.at[0] * zoom, box.top + met.at[1] * zoom];
    if (met.alone) place(this.#ring, x - 4, y - 4, 8, 8);
    else place(this.#line, x - 0.5, box.top + chart.plot[1] * zoom, 1, chart.plot[3] * zoom);
    this.#tip.show(event, element("div", "", {}, placeWords(chart.x, met.value)), ...rows);
  }
}

/** Starts the hover. */
export function startHover(): void {
  oncePerPage("convlensHover", () => {
    const hover = new Hover();
    const hide = () => hover.hide();
    const parsed = new WeakMap<Element, { text: string; data: PictureHover | ChartHover }>();
    const dataOf = (image: HTMLImageElement) => {
      const text = image.dataset.convlens!;
      let known = parsed.get(image);
      if (known?.text !== text) parsed.set(image, known = { text, data: JSON.parse(text) });
      return known!.data;
    };
    document.addEventListener("mousemove", (event) => {
      const image = event.target instanceof Element &&
        event.target.closest<HTMLImageElement>("img[data-convlens]");
      if (!image) return hide();
      const data = dataOf(image);
      if ("series" in data) hover.overChart(event, image, data);
      else hover.overPicture(event, image, data);
    });
    // The pointer left the page, or the frame of the output.
    document.documentElement.addEventListener("mouseleave", hide);
    document.addEventListener("scroll", hide, true);
    return () => {};
  });
}
