import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { loadImage } from "../../lib/data/image.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { type AttributionMethod, sanityCheck } from "../../lib/methods/sanity_check.ts";
import { loadModel } from "../../lib/model/load.ts";
import { contrast } from "../../lib/probe/target.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, wavesNet } from "../nets.ts";
import { longTest } from "../long.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(await wavesNet(), { name: "waves", labels: ["a", "b", "c", "d", "e"] });
});
afterAll(() => model.dispose());

async function weightsOf({ network }: Model): Promise<Record<string, Float32Array>> {
  const entries = network.layers.flatMap((layer) => layer.weights.map((w) => [layer.name, w] as const))
    .filter(([, { shape }]) => shape.length > 1);
  return Object.fromEntries(
    await Promise.all(entries.map(async ([name, w]) => [name, Float32Array.from(await w.read().data())])),
  );
}

/** Calls saliency, and notes which layers' weights are not the trained ones. */
function spy(changed: string[]): AttributionMethod {
  return async (of, image, options) => {
    const [trained, now] = [await weightsOf(model), await weightsOf(of)];
    changed.push(Object.keys(now).filter((name) => now[name].some((value, i) => value !== trained[name][i])).join(" "));
    return await saliency(of, image, options);
  };
}

/** What an edge detector makes of the image, whatever the model. */
const edges: AttributionMethod = async (of, image, options) => {
  const real = await saliency(of, image, options);
  const { data, shape: [height, width] } = real.image;
  const map = ndarray(
    Float32Array.from({ length: height * width }, (_, i) => Math.abs(data[i * 3] - data[Math.max(0, i * 3 - 3)])),
    [height, width],
  );
  return Object.assign(real, { map, values: map });
};

test("layers forget from the top down, one after the other", async () => {
  const changed: string[] = [];
  const check = await sanityCheck(model, landscape(), spy(changed));
  expect(check.rows.map(({ layer }) => layer)).toEqual(["classes", "conv2", "conv1"]);
  expect(changed).toEqual(["", "classes", "conv2 classes", "conv1 conv2 classes"]);
});

test("or each alone", async () => {
  const changed: string[] = [];
  await sanityCheck(model, landscape(), spy(changed), { mode: "independent", layers: ["conv1", "classes"] });
  expect(changed).toEqual(["", "classes", "conv1"]);
});

test("the same class is explained throughout", async () => {
  const targets: unknown[] = [];
  const check = await sanityCheck(model, landscape(), (of, image, options) => {
    targets.push(options.target);
    return saliency(of, image, options);
  }, { target: "d" });
  expect(targets).toEqual([3, 3, 3, 3]);
  expect(check.trained.target).toMatchObject({ index: 3, label: "d" });
});

test("the classes of a weighted sum are those of the trained model throughout", async () => {
  const targets: unknown[] = [];
  const { trained } = await sanityCheck(model, landscape(), (of, image, options) => {
    targets.push(options.target);
    return saliency(of, image, options);
  }, { target: contrast("predicted", "d") });
  const [{ target: predicted }] = await saliency(model, [landscape()]);
  const wanted = { sum: [[1, predicted.index], [-1, 3]] };
  expect(targets).toEqual([wanted, wanted, wanted, wanted]);
  expect(trained.target.text).toBe(`${predicted.label} − d`);
});

test("what looks at the image alone fails with all of its map left", async () => {
  const check = await sanityCheck(model, landscape(), edges);
  for (const { spearman, spearmanSigned, ssim } of check.rows) {
    for (const same of [spearman, spearmanSigned, ssim]) expect(same).toBeCloseTo(1, 6);
  }
  expect(check.score).toBeCloseTo(1, 6);
  expect(check.passed).toBe(false);
});

test("the gradient passes, and repeats with its seed", async () => {
  const [first, again, other] = [
    await sanityCheck(model, landscape(), saliency, { seed: 1 }),
    await sanityCheck(model, landscape(), saliency, { seed: 1 }),
    await sanityCheck(model, landscape(), saliency, { seed: 2 }),
  ];
  expect(first.passed).toBe(true);
  expect(again.rows).toEqual(first.rows);
  expect(other.rows).not.toEqual(first.rows);
  expect((await first.table()).height).toBe(3);
});

test("a network trained on random labels is compared, too", async () => {
  const given: Record<string, Float32Array>[] = [];
  const trained = await weightsOf(model);
  const check = await sanityCheck(model, landscape(), saliency, {
    layers: ["classes"],
    randomLabels: async (untrained) => {
      given.push(await weightsOf(untrained));
      return untrained;
    },
  });
  expect(check.rows.map(({ layer }) => layer)).toEqual(["classes", "random labels"]);
  for (const name of ["conv1", "conv2", "classes"]) {
    expect(given[0][name].some((value, i) => value !== trained[name][i])).toBe(true);
  }
  expect(check.figure().text).toContain("random labels");
});

describe("the model stays as it was, and no tensor is left", () => {
  const unchanged = async (run: () => Promise<unknown>) => {
    const tf = await ensureBackend();
    const weights = await weightsOf(model);
    const before = tf.memory().numTensors;
    await run();
    expect(tf.memory().numTensors).toBe(before);
    expect(await weightsOf(model)).toEqual(weights);
  };

  test("after a check", () => unchanged(() => sanityCheck(model, landscape(), saliency)));

  test("after a throw on a randomised copy", () =>
    unchanged(async () => {
      let calls = 0;
      const failing: AttributionMethod = (of, image, options) => {
        if (++calls === 3) throw new Error("no more");
        return saliency(of, image, options);
      };
      await expect(sanityCheck(model, landscape(), failing)).rejects.toThrow("no more");
    }));

  test("after an abort", () =>
    unchanged(async () => {
      const abort = new AbortController();
      const { signal } = abort;
      const onProgress = (done: number) => done === 2 && abort.abort(new Error("enough"));
      const run = sanityCheck(model, landscape(), saliency, { signal, onProgress });
      await expect(run).rejects.toThrow("enough");
    }));
});

test("the figure shows a map a stage, and the curves", async () => {
  const html = await (await sanityCheck(model, landscape(), saliency)).figure().html();
  for (const words of ["as trained", "down to classes", "down to conv1", "SSIM", "passes"]) {
    expect(html).toContain(words);
  }
});

test("a unit is a target, too: its cell stays that of the trained network", async () => {
  const check = await sanityCheck(model, landscape(), saliency, { target: { layer: "conv2", channel: 1 } });
  expect(check.rows.map(({ layer }) => layer)).toEqual(["conv2", "conv1"]);
  for (const { target } of check.attributions) expect(target).toEqual(check.trained.target);
});

test.each([
  [{ layers: ["conv9"] }, "conv9"],
  [{ layers: ["pool1"] }, "no weights"],
  [{ layers: [] }, "no layer"],
  [{ mode: "sideways" as never }, "sideways"],
  [{ target: "z" }, '"z"'],
  [{ target: { layer: "conv9", channel: 1 } }, 'There is no layer "conv9"'],
  [{ layers: "conv1" as never }, "layers must be an array"],
])("refuses %j", async (options, message) => {
  await expect(sanityCheck(model, landscape(), saliency, options)).rejects.toThrow(message);
});

longTest("on ResNet-50's dog guided backprop fails and saliency passes, as published", async () => {
  const resnet = await loadModel("resnet50");
  const dog = await loadImage(new URL("../oracles/fixtures/dog_224.png", import.meta.url));
  const options = { layers: ["fc1000", "res5a_branch2a"] };
  const gradient = await sanityCheck(resnet, dog, saliency, options);
  const guided = await sanityCheck(resnet, dog, guidedBackprop, options);
  expect(gradient.passed).toBe(true);
  expect(guided.passed).toBe(false);
  expect(gradient.score).toBeLessThan(0.4);
  expect(guided.score).toBeGreaterThan(0.8);
  for (const { spearmanSigned } of gradient.rows) expect(Math.abs(spearmanSigned)).toBeLessThan(0.2);
  for (const { spearmanSigned } of guided.rows) expect(spearmanSigned).toBeGreaterThan(0.9);
  resnet.dispose();
});
