import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBytes } from "../../lib/codec.ts";
import type { Chart, Series } from "../../lib/figure/blocks.ts";
import { drawChart, type DrawnChart } from "../../lib/figure/chart.ts";
import { spread } from "../../lib/figure/chart_layout.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { type Typesetter, typesetter } from "../../lib/figure/text.ts";

let type: Typesetter;
beforeAll(async () => {
  type = await typesetter();
});

const chart = (series: Series[], more: Partial<Chart> = {}): Chart => ({
  kind: "chart",
  series,
  x: { title: "epoch" },
  y: { title: "loss" },
  alt: "loss over epochs",
  ...more,
});

/** All points that a path goes through, of paths with absolute places only. */
function pointsOf(path: string): [number, number][] {
  const numbers = path.match(/-?\d+(\.\d+)?/g)!.map(Number);
  return Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
}

/** The vertices of the lines. */
function lineVertices({ svg }: DrawnChart): [number, number][] {
  return Array.from(svg.matchAll(/<path stroke="#\w+" stroke-width="2" stroke-linejoin[^>]* d="([^"]+)"/g))
    // Of the samples before labels the path says how far it goes, not where to.
    .flatMap(([, path]) => path.includes("h") ? [] : pointsOf(path));
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const INK = "#1a1a1a";
const SOFT_INK = "#555555";

/** The boxes around pieces of text of a colour, slanted ones left out. */
function textBoxes({ svg }: DrawnChart, color: string): Box[] {
  const level = svg.replace(/<g transform="rotate.*?<\/g>/g, "");
  return Array.from(level.matchAll(new RegExp(`<path fill="${color}" d="([^"]+)"/>`, "g")), ([, path]) => {
    const points = pointsOf(path.replace(/[HV][^A-Z]*/g, ""));
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
  });
}

const number = fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constant(NaN));
const seriesOf = (kinds: NonNullable<Series["as"]>[]) =>
  fc.record({
    label: fc.oneof(fc.constantFrom("training", "validation", "a · b", "a · c"), fc.string({ maxLength: 60 })),
    as: fc.constantFrom(...kinds),
    dashed: fc.boolean(),
    points: fc.array(fc.tuple(fc.double({ min: -1e3, max: 1e3, noNaN: true }), number), { maxLength: 12 }),
  }).map(({ label, as, dashed, points }): Series => ({
    label,
    as,
    dashed,
    x: points.map(([x]) => x),
    y: points.map(([, y]) => y),
  }));

describe("a chart", () => {
  test("draws lines within its plot, its plot within its card, and all words within it, beside the data", () => {
    fc.assert(
      fc.property(
        fc.array(seriesOf(["line", "points", "bars"]), { maxLength: 10 }),
        fc.constantFrom(260, 420, 700),
        fc.constantFrom(200, 240, 400),
        (series, width, asked) => {
          const drawn = drawChart(type, chart(series, { width, height: asked }));
          const { height } = drawn;
          expect(height).toBeGreaterThanOrEqual(asked);
          expect(height - asked).toBeLessThanOrEqual(16 * series.length);
          const [left, top, plotWidth, plotHeight] = drawn.hover.plot;
          expect(drawn.svg).not.toMatch(/NaN|undefined|Infinity/);
          expect(plotWidth).toBeGreaterThanOrEqual(width / 4);
          expect(left).toBeGreaterThan(0);
          expect(plotHeight).toBeGreaterThan(asked / 4);
          expect(left + plotWidth).toBeLessThan(width);
          expect(top + plotHeight).toBeLessThan(height);
          for (const [x, y] of lineVertices(drawn)) {
            expect(x).toBeGreaterThanOrEqual(left - 0.5);
            expect(x).toBeLessThanOrEqual(left + plotWidth + 0.5);
            expect(y).toBeGreaterThanOrEqual(top - 0.5);
            expect(y).toBeLessThanOrEqual(top + plotHeight + 0.5);
          }
          for (const box of [...textBoxes(drawn, INK), ...textBoxes(drawn, SOFT_INK)]) {
            expect(box.left).toBeGreaterThanOrEqual(0);
            expect(box.right).toBeLessThanOrEqual(width);
            expect(box.top).toBeGreaterThanOrEqual(0);
            expect(box.bottom).toBeLessThanOrEqual(height);
          }
          for (const label of textBoxes(drawn, INK)) {
            expect(label.left >= left + plotWidth || label.bottom <= top).toBe(true);
          }
        },
      ),
      { numRuns: 150, seed: 1 },
    );
  });

  test("puts points where their numbers are", () => {
    const drawn = drawChart(
      type,
      chart([{ label: "loss", x: [0, 5, 10], y: [0, 2, 4] }], { y: { title: "loss", min: 0, max: 4 } }),
    );
    const [left, top, width, height] = drawn.hover.plot;
    const vertices = lineVertices(drawn);
    const wanted = [[left, top + height], [left + width / 2, top + height / 2], [left + width, top]];
    expect(vertices).toHaveLength(3);
    vertices.flat().forEach((value, i) => expect(value).toBeCloseTo(wanted.flat()[i], 1));
  });

  test("leaves a gap where there is no number, and a dot for a number alone", () => {
    const { svg } = drawChart(type, chart([{ label: "loss", x: [1, 2, 3, 4, 5, 6], y: [1, 2, NaN, 4, NaN, 3] }]));
    expect(svg.match(/stroke-linejoin/g)).toHaveLength(1);
    expect(svg.match(/<path fill="#0072b2"/g)).toHaveLength(2);
  });

  test("gives what belongs together one colour, and tells it apart by dashes", () => {
    const { hover, svg } = drawChart(
      type,
      chart([
        { label: "loss · training", x: [1, 2], y: [1, 2] },
        { label: "loss · validation", x: [1, 2], y: [2, 3], dashed: true },
        { label: "accuracy · training", x: [1, 2], y: [3, 4] },
      ]),
    );
    const colors = hover.series.map(({ color }) => color);
    expect(colors[0]).toBe(colors[1]);
    expect(colors[2]).not.toBe(colors[0]);
    // The line itself and its sample before the label.
    expect(svg.match(/stroke-dasharray="5 3"/g)).toHaveLength(2);
  });

  test("starts bars at zero, side by side, with their error bars", () => {
    const bars = (label: string, y: number[]): Series => ({
      label,
      as: "bars",
      x: [0, 1],
      y,
      low: y.map((v) => v - 1),
      high: y.map((v) => v + 1),
    });
    const drawn = drawChart(type, chart([bars("a", [5, 10]), bars("b", [10, 20])], { names: ["cat", "dog"] }));
    const [, top, , plotHeight] = drawn.hover.plot;
    expect(drawn.hover.y.domain[0]).toBe(0);
    const boxes = Array.from(
      drawn.svg.matchAll(
        /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="#(?:0072b2|d55e00)"/g,
      ),
      (match) => match.slice(1).map(Number),
    ).filter(([, y]) => y >= top - 0.1);
    expect(boxes).toHaveLength(4);
    const [a0, a1, b0, b1] = boxes;
    expect(b0[3] / a0[3]).toBeCloseTo(2);
    expect(b1[3] / a1[3]).toBeCloseTo(2);
    for (const [, y, , height] of boxes) expect(y + height).toBeCloseTo(top + plotHeight);
    expect(b0[0]).toBeGreaterThanOrEqual(a0[0] + a0[2]);
    expect(a1[0]).toBeGreaterThan(b0[0] + b0[2]);
    expect(drawn.svg.match(/stroke-width="1.2"/g)).toHaveLength(4);
  });

  test("slants names that do not fit level, and keeps them within the card", () => {
    for (const width of [300, 400, 640]) {
      const names = Array.from({ length: 12 }, (_, i) => `block${i}_with_a_long_name_${"x".repeat(i)}`);
      const drawn = drawChart(type, chart([{ label: "loss", x: [0, 11], y: [1, 2] }], { names, width }));
      const slanted = Array.from(drawn.svg.matchAll(/rotate\((-?[\d.]+) ([\d.]+) ([\d.]+)\)"><path[^>]* d="([^"]+)"/g));
      expect(slanted.length).toBeGreaterThan(5);
      for (const [, angle, x, y, path] of slanted) {
        const leftmost = Math.min(...pointsOf(path.replace(/[HV][^A-Z]*/g, "")).map(([x]) => x));
        const long = Number(x) - leftmost;
        const radians = -Number(angle) * Math.PI / 180;
        expect(Number(x) - long * Math.cos(radians)).toBeGreaterThanOrEqual(0);
        expect(Number(y) + long * Math.sin(radians)).toBeLessThan(drawn.height);
      }
    }
  });

  test("fills the band between low and high", () => {
    const drawn = drawChart(
      type,
      chart([{ label: "loss", x: [1, 2, 3], y: [2, 3, 4], low: [1, 2, 3], high: [3, 4, 5] }]),
    );
    const band = drawn.svg.match(/fill-opacity="0.18" d="([^"]+)"/)!;
    expect(pointsOf(band[1])).toHaveLength(6);
  });

  test("cuts what lies outside of given ends", () => {
    const cut = chart([{ label: "loss", x: [1, 2, 3], y: [0, 100, 1] }], { y: { title: "loss", min: 0, max: 2 } });
    expect(drawChart(type, cut).svg).toMatch(/<svg [^>]*overflow="hidden"/);
    expect(drawChart(type, { ...cut, y: { title: "loss" } }).svg).not.toContain("<svg");
  });

  test("draws empty axes where there is nothing to draw yet, on log axes too", () => {
    for (const scale of ["linear", "log"] as const) {
      for (const series of [[], [{ label: "loss", x: [], y: [] }], [{ label: "loss", x: [1], y: [NaN] }]]) {
        const { svg, hover } = drawChart(
          type,
          chart(series, { x: { title: "epoch", scale }, y: { title: "loss", scale } }),
        );
        expect(svg).not.toMatch(/NaN|undefined|Infinity/);
        expect(hover.plot[2]).toBeGreaterThan(300);
      }
    }
  });

  test("refuses series whose columns differ in length", () => {
    expect(() => drawChart(type, chart([{ label: "loss", x: [1, 2], y: [1] }]))).toThrow(
      'The series "loss" of the chart "loss over epochs" has 2 places in x and 1 in y; wanted as many.',
    );
    expect(() => drawChart(type, chart([{ label: "loss", x: [1], y: [1], low: [1, 2], high: [2] }]))).toThrow(
      "2 in low",
    );
  });

  test("draws 5,000 points in less than 500 kB", async () => {
    const x = Array.from({ length: 5000 }, (_, i) => Math.sin(i));
    const y = Array.from({ length: 5000 }, (_, i) => Math.cos(i * 1.7));
    const html = await new Figure({ title: "many", blocks: [chart([{ label: "unit", as: "points", x, y }])] }).html();
    expect(html.length).toBeLessThan(500_000);
  });
});

describe("a chart in a figure", () => {
  const lines = chart([{ label: "loss", x: [1, 2, 3], y: [3, 2, 1] }], { width: 400, height: 220 });

  test("is an image of twice its pixels on white, with words for it, escaped", async () => {
    const html = await new Figure({ title: "a", blocks: [{ ...lines, alt: `falls "fast" <quickly>` }] }).html();
    const [image, ...more] = html.match(/<img [^>]*>/g)!;
    expect(more).toEqual([]);
    expect(image).toContain(`alt="falls &quot;fast&quot; &lt;quickly&gt;" width="400" height="220"`);
    const { width, height, data } = await decodeBytes(
      Uint8Array.fromBase64(image.match(/base64,([^"]+)"/)![1]),
      { name: "the chart" },
    );
    expect([width, height]).toEqual([800, 440]);
    expect([...data.subarray((20 * 800 + 400) * 3, (20 * 800 + 401) * 3)]).toEqual([255, 255, 255]);
  });

  test("tells the hover its numbers", async () => {
    const html = await new Figure({ title: "a", blocks: [lines] }).html();
    const hover = JSON.parse(html.match(/data-convlens='([^']*)'/)![1]);
    expect(hover.series).toEqual([{ label: "loss", color: "#0072b2", as: "line", x: [1, 2, 3], y: [3, 2, 1] }]);
    expect(hover.size).toEqual([400, 220]);
  });

  test("stands in the figure's PNG", async () => {
    const png = await decodeBytes(await new Figure({ title: "a", blocks: [lines] }).png(), { name: "the figure" });
    expect(png.height).toBe(12 + 21 + 8 + 220 + 12);
    let blue = 0;
    for (let i = 0; i < png.data.length; i += 3) {
      if (png.data[i] === 0 && png.data[i + 1] === 0x72 && png.data[i + 2] === 0xb2) blue++;
    }
    expect(blue).toBeGreaterThan(200);
  });
});

test("labels are moved apart, none further than needed, all within the ends", () => {
  expect(spread([10, 50, 90], 14, 0, 100)).toEqual([10, 50, 90]);
  expect(spread([50, 52], 14, 0, 100)).toEqual([44, 58]);
  expect(spread([99, 98], 14, 0, 100)).toEqual([100, 86]);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 14 }), (wanted) => {
      const places = spread(wanted, 14, 0, 200);
      const sorted = [...places].sort((a, b) => a - b);
      expect(sorted[0]).toBeGreaterThanOrEqual(-1e-9);
      expect(sorted.at(-1)).toBeLessThanOrEqual(200 + 1e-9);
      for (let i = 1; i < sorted.length; i++) expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(14 - 1e-9);
      // Their order stays.
      for (let i = 0; i < wanted.length; i++) {
        for (let j = 0; j < wanted.length; j++) {
          if (wanted[i] < wanted[j]) expect(places[i]).toBeLessThan(places[j]);
        }
      }
    }),
    { seed: 2 },
  );
});
