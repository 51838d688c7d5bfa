import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import type { Chart, Picture, Slides } from "../../lib/figure/blocks.ts";
import type { HistoryData } from "../../lib/data/history.ts";
import { layOutChart } from "../../lib/figure/chart_layout.ts";
import { within } from "../../lib/figure/parts.ts";
import { typesetter } from "../../lib/figure/text.ts";
import { History } from "../../lib/results/history.ts";
import { type DrawnHistory, historyFigure, type HistoryFigureOptions } from "../../lib/results/training_figures.ts";
import { sampleHistory } from "../snapshots/history.ts";

const history = sampleHistory();

/** All charts of a figure. */
const chartsOf = (
  drawn: DrawnHistory,
  view: "curves" | "sparsity",
  yRange?: HistoryFigureOptions["yRange"],
): Chart[] =>
  historyFigure(drawn, { view, yRange }).blocks.flatMap((block) => block.kind === "row" ? block.blocks : [block])
    .filter((block) => block.kind === "chart");

describe("curves", () => {
  test("show loss, accuracy and a rate that changes, with validation dashed", () => {
    const [loss, accuracy, rate] = chartsOf(history, "curves");
    expect(loss.series.map(({ label, dashed }) => [label, dashed ?? false])).toEqual([
      ["training", false],
      ["validation", true],
    ]);
    expect(loss.series[0].y).toEqual(history.rows.map((row) => row.loss));
    expect(accuracy.series[1].y).toEqual(history.rows.map((row) => row.validationAccuracy));
    expect(rate.series[0].y).toEqual(history.rows.map((row) => row.learningRate));
  });

  test("leave out what there is not: validation, and a rate that stays", () => {
    const rows = history.rows.map((row) => ({
      ...row,
      validationLoss: NaN,
      validationAccuracy: NaN,
      learningRate: 0.01,
    }));
    const charts = chartsOf({ ...history, rows }, "curves");
    expect(charts).toHaveLength(2);
    expect(charts[0].series).toHaveLength(1);
    expect(historyFigure({ ...history, rows }).title).toMatch(/right in training$/);
  });

  test("print one line an epoch", () => {
    const lines = historyFigure(history).text.split("\n");
    expect(lines).toHaveLength(1 + history.rows.length);
    expect(lines[1]).toMatch(/epoch +1 {2}loss 2.5 {2}accuracy 20.0 % {2}validation 2.5, 25.0 %/);
  });
});

describe("the y axes", () => {
  /** Where they begin and end, as drawn. */
  const ends = async (charts: readonly Chart[]) => {
    const type = await typesetter();
    return charts.map((chart) => layOutChart(type, chart).y.domain);
  };
  const flat = (accuracy: number): DrawnHistory => ({
    ...history,
    rows: history.rows.map((row) => ({ ...row, accuracy, validationAccuracy: NaN })),
  });

  test("fit the curves' values; never shares beyond 0 and 1", async () => {
    const close = history.rows.map((row) => ({ ...row, accuracy: 0.93 + row.epoch / 100, validationAccuracy: 0.931 }));
    const [loss, accuracy] = await ends(chartsOf({ ...history, rows: close }, "curves"));
    expect(loss).toEqual([0.5, 2.5]);
    expect(accuracy).toEqual([0.93, 0.97]);
    expect((await ends(chartsOf(flat(1), "curves")))[1]).toEqual([0.95, 1]);
    expect((await ends(chartsOf(flat(0), "curves")))[1]).toEqual([0, 0.05]);
  });

  test("are full, or as wide as is asked, each of its own", async () => {
    expect(await ends(chartsOf(history, "curves", "full"))).toEqual([[0, 2.5], [0, 1], expect.anything()]);
    expect((await ends(chartsOf(history, "curves", [0.5, 1])))[1]).toEqual([0.5, 1]);
    expect((await ends(chartsOf(history, "curves", { loss: [0, 4] })))[0]).toEqual([0, 4]);
    expect(await ends(chartsOf(history, "sparsity"))).toEqual([[0, 1], [0, 1]]);
    expect(await ends(chartsOf(history, "sparsity", "fit"))).toEqual([[0.3, 0.7], [0, 0.3]]);
  });

  test("refuse what is no range", () => {
    const real = new History(
      { ...history, labels: [], skipped: [], ending: "epochs" } as unknown as HistoryData,
      { order: "rgb" },
    );
    for (const yRange of ["auto", [1, 0], [0, NaN], [1], 3, { acuracy: [0, 1] }, { loss: [2, 1] }, {}]) {
      expect(() => real.figure({ yRange } as HistoryFigureOptions), JSON.stringify(yRange)).toThrow(
        /^yRange must be "fit", "full" or \[low, high\] with low below high, or an object as { loss: …, accuracy: … }: /,
      );
    }
    expect(() => real.figure({ view: "sparsity", yRange: { loss: "fit" } })).toThrow(/for both charts/);
  });
});

describe("sparsity", () => {
  test("has one line a layer, from before training on", () => {
    const [zeros, dead] = chartsOf(history, "sparsity");
    expect(zeros.series.map(({ label }) => label)).toEqual(["conv1", "pool1", "conv2", "dense1"]);
    expect(zeros.series[0].x[0]).toBe(0);
    expect(dead.series[3].y).toEqual(
      history.layers.filter(({ layer }) => layer === "dense1").map((row) => row.dead),
    );
  });
});

describe("filmstrips", () => {
  test("have one frame a snapshot, the last of them shown", () => {
    const [strip] = historyFigure(history, { view: "filters" }).blocks as Slides[];
    expect(strip.kind).toBe("slides");
    expect(strip.frames.map(({ label }) => label)).toEqual(["0, before training", "2", "4"]);
    const pictures = strip.frames.map(({ block }) => (block as Picture).pixels);
    expect(pictures.every(({ width, height }) => width === pictures[0].width && height === pictures[0].height)).toBe(
      true,
    );
    expect(pictures[0].data.some((value, i) => value !== pictures[2].data[i])).toBe(true);
  });

  test("draw red where a filter's red weight is positive, also of a network that reads blue first", () => {
    const kernel = ndarray([1, 0, -1], [1, 1, 3, 1]);
    const one = { ...history, snapshots: [{ epoch: 1, weights: { "c/kernel": kernel }, activations: {} }] };
    const middle = (order: "rgb" | "bgr") => {
      const [strip] = historyFigure(one, { view: "filters" }, order).blocks as Slides[];
      const { data, width, height } = (strip.frames[0].block as Picture).pixels;
      return Array.from(data.slice(3 * (width * (height >> 1) + (width >> 1))).slice(0, 3));
    };
    expect(middle("rgb")).toEqual([255, 128, 0]);
    expect(middle("bgr")).toEqual([0, 128, 255]);
  });

  test("show the maps of every layer that has some, and move together", () => {
    const shown = (
      options: Partial<HistoryFigureOptions>,
      drawn = history,
    ) => [...within(historyFigure(drawn, { view: "activations", ...options }).blocks, true)];
    const strips = shown({ maps: 3 }).filter((block) => block.kind === "slides");
    expect(strips.map(({ heading }) => heading)).toEqual(["conv1 · 8×8×6", "conv2 · 4×4×8"]);
    expect(new Set(strips.map(({ label }) => label)).size).toBe(1);
    expect((strips[0].frames[0].block as Picture).grid!.labels).toHaveLength(3);
    expect(shown({ layer: "conv2" }).filter((block) => block.kind === "slides")).toHaveLength(1);
    // The image that they are of stands beside them, and both fit the page; without one the maps stand alone.
    const [row, photo, , ...maps] = shown({});
    expect(row).toMatchObject({ kind: "row", blocks: [photo, { kind: "row", columns: 1 }] });
    expect((photo as Picture).pixels).toMatchObject({ width: 160, height: 160 });
    const widths = maps.map((block) => block.kind === "picture" ? block.pixels.width : 0);
    expect(Math.max(...widths)).toBeLessThanOrEqual(930 - 160 - 20);
    expect(shown({}, { ...history, probe: null })[0].kind).toBe("slides");
  });
});

test("a run that was stopped in its first epoch shows its maps, or else their sparsity", () => {
  const stopped: DrawnHistory = { ...history, rows: [] };
  expect(historyFigure(stopped).text).toBe(historyFigure(history, { view: "activations" }).text);
  const mapless = { ...stopped, snapshots: history.snapshots.map((snapshot) => ({ ...snapshot, activations: {} })) };
  expect(historyFigure(mapless).text).toBe(historyFigure(history, { view: "sparsity" }).text);
});

describe("what cannot be drawn", () => {
  const empty: DrawnHistory = { ...history, rows: [], layers: [], snapshots: [] };
  test("is told with the remedy", () => {
    expect(() => historyFigure(history, { view: "curve" as "curves" })).toThrow(
      'There is no view "curve" of a history; wanted one of curves, filters, activations, sparsity.',
    );
    expect(() => historyFigure(empty)).toThrow("no epoch was finished");
    expect(() => historyFigure(empty, { view: "sparsity" })).toThrow("no layer was watched");
    expect(() => historyFigure(empty, { view: "filters" })).toThrow("train keeps filters only at epochs named");
    const unprobed = history.snapshots.map((snapshot) => ({ ...snapshot, activations: {} }));
    expect(() => historyFigure({ ...history, snapshots: unprobed }, { view: "activations" })).toThrow("a probe image");
    expect(() => historyFigure(history, { view: "filters", layer: "conv9" })).toThrow(
      'no filters of layer "conv9"; they hold those of conv1, conv2',
    );
    expect(() => historyFigure(history, { view: "filters", layer: "conv2" })).toThrow("read 6 maps");
    expect(() => historyFigure(history, { view: "activations", layer: "dense1" })).toThrow(
      'no maps of layer "dense1", but of conv1, conv2',
    );
  });
});
