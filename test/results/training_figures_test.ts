import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import type { Chart, Picture, Slides } from "../../lib/figure/blocks.ts";
import { type DrawnHistory, historyFigure } from "../../lib/results/training_figures.ts";
import { sampleHistory } from "../snapshots/history.ts";

const history = sampleHistory();

/** All charts of a figure. */
const chartsOf = (drawn: DrawnHistory, view: "curves" | "sparsity"): Chart[] =>
  historyFigure(drawn, { view }).blocks.flatMap((block) => block.kind === "row" ? block.blocks : [block])
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
    expect(accuracy.y).toMatchObject({ min: 0, max: 1 });
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
    const strips = historyFigure(history, { view: "activations", maps: 3 }).blocks as Slides[];
    expect(strips.map(({ heading }) => heading)).toEqual(["conv1 · 8×8×6", "conv2 · 4×4×8"]);
    expect(new Set(strips.map(({ label }) => label)).size).toBe(1);
    expect((strips[0].frames[0].block as Picture).grid!.labels).toHaveLength(3);
    const only = historyFigure(history, { view: "activations", layer: "conv2" }).blocks;
    expect(only).toHaveLength(1);
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
