import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { resolveTarget, type Target } from "../../lib/probe/target.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { sigmoidNet, tinyNet } from "../nets.ts";

describe("targets", () => {
  let model: Model;
  let bare: Model;
  beforeAll(async () => {
    model = await loadModel(await tinyNet(), { name: "tiny", labels: ["red fox", "other"], preprocess: "none" });
    bare = await loadModel(await tinyNet(), { name: "bare", preprocess: "none" });
  });
  afterAll(() => {
    model.dispose();
    bare.dispose();
  });

  test("a class is found by its label, its index, or what the outputs speak for", () => {
    const fox = { kind: "class", index: 0, label: "red fox", text: "red fox" };
    expect(resolveTarget(model, "red fox")).toEqual(fox);
    expect(resolveTarget(model, 0)).toEqual(fox);
    expect(resolveTarget(model, "predicted", [0.7, 0.3])).toEqual(fox);
    expect(resolveTarget(bare, 1)).toMatchObject({ index: 1, label: "class 1" });
  });

  test("one sigmoid unit speaks for class 1 from 0.5 on", async () => {
    const binary = await loadModel(await sigmoidNet(), { preprocess: "none" });
    expect(resolveTarget(binary, "predicted", [0.2])).toMatchObject({ index: 0, label: "class 0" });
    expect(resolveTarget(binary, "predicted", [0.8])).toMatchObject({ index: 1 });
    binary.dispose();
  });

  test("a unit has a layer, a channel and a cell", () => {
    expect(resolveTarget(model, { layer: "conv", channel: 1, cell: [2, 3] })).toEqual({
      kind: "unit",
      layer: "conv",
      channel: 1,
      cell: [2, 3],
      text: "conv, channel 1, row 2, column 3",
    });
    expect(resolveTarget(model, { layer: "flat", channel: 7 })).toMatchObject({ channel: 7 });
  });

  test.each<[Target, string]>([
    ["red fix", 'There is no label "red fix" in model "tiny". The nearest: "red fox"'],
    [2, 'The model "tiny" has classes 0 to 1: received the target 2.'],
    [0.5, "received the target 0.5"],
    ["predicted", "depends on the image"],
    [{ layer: "cnv", channel: 0 }, 'There is no layer "cnv"'],
    [{ layer: "conv", channel: 2 }, 'Layer "conv" has channels 0 to 1: received 2.'],
    [{ layer: "conv", channel: 0, cell: [4, 0] }, "maps of 4×4 cells: received the cell [4, 0]"],
    [{ layer: "conv", channel: 0, cell: 4 as never }, "maps of 4×4 cells: received the cell 4;"],
    [{ layer: "flat", channel: 0, cell: [0, 0] }, "a vector, which has no cells"],
    [null as unknown as Target, "received null"],
  ])("%j is refused", (target, message) => {
    expect(() => resolveTarget(model, target)).toThrow(message);
  });

  test("a label without labels, and one that two classes have, are refused", async () => {
    expect(() => resolveTarget(bare, "fox")).toThrow('"bare" has no labels');
    const twins = await loadModel(await tinyNet(), { labels: ["crane", "crane"] });
    expect(() => resolveTarget(twins, "crane")).toThrow("names the classes 0 and 1");
    twins.dispose();
  });

  test("a number of a map is its mean over the map", async () => {
    const tf = await ensureBackend();
    const maps = await loadModel(
      tf.sequential({ layers: [tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 2, kernelSize: 1 })] }),
    );
    expect(resolveTarget(maps, 0)).toEqual({
      kind: "number",
      index: 0,
      label: "output 0",
      text: "output 0, mean over the map",
      grid: [4, 4],
    });
    maps.dispose();
  });
});
