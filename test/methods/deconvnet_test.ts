import type { Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadImage } from "../../lib/data/image.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { contrast } from "../../lib/probe/target.ts";
import { smallZfnet } from "../../lib/model/architectures/zfnet.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { buildCaptumNet, captumNets, imageOf, inRgb } from "./captum_nets.ts";
import { landscape, redImage, tinyNet, wavesNet } from "../nets.ts";
import { longTest } from "../long.ts";
import { testedBackends } from "../backends.ts";

const backends = await testedBackends();
const { name: chosen } = await useBackend((Deno.env.get("CONVLENS_BACKEND") ?? "auto") as "auto");
describe("a small net", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await wavesNet(), { name: "waves", labels: ["a", "b", "c", "d", "e"] });
  });
  afterAll(() => model.dispose());

  test("a unit: its cell, its activation and its picture", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const found = await deconvnet(model, landscape(), { target: { layer: "pool1", channel: 3 } });
    expect(tf.memory().numTensors).toBe(before);
    expect(found.values.shape).toEqual([32, 32, 3]);
    expect(found.map.shape).toEqual([32, 32]);
    expect(found.target).toMatchObject({ layer: "pool1", channel: 3, cell: expect.any(Array) });
    expect(found.score).toBeGreaterThan(0);
    expect(found.steps).toEqual([]);
    // One unit of a 7×7 convolution and a pooling, which hands it to one cell.
    const [y, x] = found.target.cell!;
    found.map.data.forEach((value, i) => {
      const [row, column] = [Math.floor(i / 32), i % 32];
      const inside = Math.abs(row - 2 * y - 0.5) <= 4 && Math.abs(column - 2 * x - 0.5) <= 4;
      if (!inside) expect(value).toBe(0);
    });
  });

  test("the map is the greatest magnitude of the three colours", async () => {
    const { values, map } = await deconvnet(model, landscape(), { target: { layer: "pool2", channel: 1 } });
    map.data.forEach((value, i) =>
      expect(value).toBe(Math.max(...[0, 1, 2].map((c) => Math.abs(values.data[3 * i + c]))))
    );
  });

  test("a class is its unit in the last layer, before the softmax", async () => {
    const [byLabel, byUnit] = [
      await deconvnet(model, landscape(), { target: "c" }),
      await deconvnet(model, landscape(), { target: { layer: "classes", channel: 2 } }),
    ];
    expect(byLabel.values.data).toEqual(byUnit.values.data);
    expect(byLabel.target).toMatchObject({ label: "c", index: 2 });
    expect(byLabel.target.probability).toBeCloseTo(byUnit.score, 6);
    const predicted = await deconvnet(model, landscape(), { target: "predicted" });
    expect(predicted.target.index).toBeTypeOf("number");
  });

  test("many images and channels make a result each", async () => {
    const channels = await deconvnet(model, landscape(), {
      target: [{ layer: "conv1", channel: 0 }, { layer: "conv1", channel: 4 }],
    });
    expect(channels.map(({ target }) => target.channel)).toEqual([0, 4]);
    const images = await deconvnet(model, [landscape(), landscape()], { target: { layer: "conv1", channel: 4 } });
    expect(images).toHaveLength(2);
    expect(images[1].values.data).toEqual(channels[1].values.data);
  });

  test("the path ends at the pixels, and its figure shows each step", async () => {
    const found = await deconvnet(model, landscape(), { target: { layer: "relu2", channel: 5 }, path: true });
    expect(found.steps.map(({ layer, kind }) => `${layer} ${kind}`)).toEqual([
      "relu2 rectify",
      "conv2 filter",
      "pool1 unpool",
      "conv1 rectify",
      "conv1 filter",
    ]);
    expect(found.steps.at(-1)!.values.data).toEqual(found.values.data);
    const html = await found.figure().html();
    for (const word of ["rectified", "filtered", "unpooled", "enlarged"]) expect(html).toContain(word);
  });

  test.each([
    [{ target: { layer: "conv3", channel: 0 } }, "conv3"],
    [{ target: { layer: "conv1", channel: 12 } }, "channels 0 to 11"],
    [{ target: { layer: "conv1", channel: 0, cell: [32, 0] as const } }, "32×32"],
    [{ layer: "conv1" } as never, 'no option "layer"'],
    [{ target: contrast("a", "b") }, "starts from one unit"],
    [{ target: (outputs: Tensor) => outputs }, "starts from one unit"],
    [{ target: "z" }, '"z"'],
  ])("refuses %j", async (options, message) => {
    await expect(deconvnet(model, landscape(), options)).rejects.toThrow(message);
  });

  test("an abort leaves nothing", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const stop = { target: { layer: "relu2", channel: 0 }, signal: AbortSignal.abort(new Error("enough")) };
    await expect(deconvnet(model, landscape(), stop)).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe.each(Object.entries(captumNets))("Captum's %s network", (_, net) => {
  afterAll(async () => void await useBackend(chosen));

  test(`gives Captum's deconvolution on ${backends.join(", ")}`, async () => {
    for (const backend of backends) {
      await useBackend(backend);
      for (const softmax of [false, true]) {
        const model = await buildCaptumNet(net, { softmax });
        const { values, score } = await deconvnet(model, imageOf(net), { target: net.target });
        const wanted = inRgb(net, net.deconvolution);
        const most = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const worst = wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(values.data[i] - value)), 0);
        expect(most).toBeGreaterThan(0);
        expect(worst, backend).toBeLessThanOrEqual(1e-4 * most);
        expect(score).toBeCloseTo(net.scores[net.target], 3);
        model.dispose();
      }
    }
  });
});

test("the caption tells of response normalisation, which is passed unchanged", async () => {
  const model = await smallZfnet();
  const layer = model.layers.findLast(({ kind }) => kind === "Conv2D")!.name;
  const found = await deconvnet(model, landscape(), { target: { layer, channel: 0 } });
  expect(found.caption()).toMatch(/Passed unchanged: the response normalisation of \w+/);
  const first = await deconvnet(model, landscape(), { target: { layer: model.layers[1].name, channel: 0 } });
  expect(first.caption()).not.toContain("Passed unchanged");
  model.dispose();
});

test("colours come back in RGB order from a network that reads BGR", async () => {
  const net = await tinyNet();
  const model = await loadModel(net, { preprocess: { order: "bgr" } });
  // The network's first channel, which its filter sums, is the image's blue.
  const blue = redImage([[0, 0, 0, 0], [0, 9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);
  for (let i = 0; i < 48; i += 3) [blue.data[i], blue.data[i + 2]] = [0, blue.data[i]];
  const { values, score } = await deconvnet(model, blue, { target: { layer: "pool", channel: 0 } });
  expect(score).toBe(9);
  const sums = [0, 1, 2].map((c) => values.data.filter((_, i) => i % 3 === c).reduce((a, b) => a + b));
  expect(sums).toEqual([0, 0, 4]);
  net.dispose();
});

longTest("ResNet-50: a unit's picture stays in its receptive field, a class's covers the dog", async () => {
  const model = await loadModel("resnet50");
  const dog = await loadImage(new URL("../oracles/fixtures/dog_224.png", import.meta.url));
  const unit = await deconvnet(model, dog, { target: { layer: "activation_3", channel: 7 } });
  const { size } = model.layer("activation_3").receptiveField!;
  const rows = Array.from(unit.map.data).flatMap((value, i) => value ? [Math.floor(i / 224)] : []);
  expect(rows.length).toBeGreaterThan(9);
  expect(Math.max(...rows) - Math.min(...rows)).toBeLessThan(size);
  const whole = await deconvnet(model, dog, { target: "French bulldog" });
  expect(whole.map.data.filter((value) => value > 0).length).toBeGreaterThan(40_000);
  model.dispose();
});
