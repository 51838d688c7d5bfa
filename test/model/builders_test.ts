import { describe, expect, test } from "vitest";
import { googlenet, mobilenetV2, resnet50, squeezenet } from "../../lib/model/architectures/branched.ts";
import { lenet5, softmaxRegression } from "../../lib/model/architectures/digits.ts";
import { alexnet, catsVsDogsConvnet, tinyVgg, vgg16, vgg19 } from "../../lib/model/architectures/builders.ts";
import type { Model } from "../../lib/model/model.ts";
import { smallZfnet, zfnet } from "../../lib/model/architectures/zfnet.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";
import { longTest } from "../long.ts";

/** Uses a model and frees it; no tensor is left behind. */
async function using<T>(make: () => Promise<Model>, use: (model: Model) => T | Promise<T>): Promise<T> {
  const tf = await ensureBackend();
  const before = tf.memory().numTensors;
  const model = await make();
  try {
    return await use(model);
  } finally {
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  }
}

const shapes = (model: Model, kinds: RegExp) =>
  model.layers.filter(({ kind }) => kinds.test(kind)).map(({ name, outputShape }) =>
    `${name} ${outputShape.join("×")}`
  );

const field = (model: Model, name: string) => {
  const { size, stride, offset } = model.layer(name).receptiveField!;
  return [size, stride, 0 - offset];
};

/** The weights of a layer as plain numbers. */
async function weightsOf(model: Model, layer: string): Promise<Float32Array[]> {
  const tensors = model.network.getLayer(layer).getWeights();
  return await Promise.all(tensors.map(async (tensor) => await tensor.data() as Float32Array));
}

const spread = (values: Float32Array) => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
};

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe("ZFNet", () => {
  test("has the shapes of the paper's Fig. 3, its parameters and its receptive fields", async () => {
    await using(zfnet, async (model) => {
      expect(shapes(model, /Conv2D|Pooling/)).toEqual([
        "conv1 110×110×96",
        "pool1 55×55×96",
        "conv2 26×26×256",
        "pool2 13×13×256",
        "conv3 13×13×384",
        "conv4 13×13×384",
        "conv5 13×13×256",
        "pool5 6×6×256",
      ]);
      expect(model.layer("flatten").outputShape).toEqual([9216]);
      expect(model.params).toBe(62_357_608);
      expect(field(model, "conv5")[0]).toBe(139);
      expect(field(model, "pool5")[0]).toBe(171);
      for (const layer of ["conv1", "conv4"]) {
        const [kernel, bias] = await weightsOf(model, layer);
        const { mean, deviation } = spread(kernel);
        // Five standard errors.
        expect(Math.abs(mean)).toBeLessThan(5 * 0.01 / Math.sqrt(kernel.length));
        expect(Math.abs(deviation / 0.01 - 1)).toBeLessThan(5 / Math.sqrt(2 * kernel.length));
        expect(bias.every((value) => value === 0)).toBe(true);
      }
    });
  });

  test("scaled to 32×32, differs in the first layer only when the first layer is changed", async () => {
    const sizes = (kernelSize: number, stride: number) =>
      using(() => smallZfnet({ kernelSize, stride }), (model) => model.layers.map(({ params }) => params));
    const [fine, coarse] = [await sizes(7, 2), await sizes(11, 4)];
    expect(fine.slice(1)).toEqual(coarse.slice(1));
    expect([fine[0], coarse[0]]).toEqual([7 * 7 * 3 * 32 + 32, 11 * 11 * 3 * 32 + 32]);
  });

  test("normalizes as Krizhevsky's formula says, and can be saved and read again", async () => {
    await using(() => smallZfnet({ weights: "he", seed: 3 }), async (model) => {
      const random = uniforms(5);
      const input = { data: Float32Array.from({ length: 32 * 32 * 3 }, () => 4 * random() - 2), shape: [32, 32, 3] };
      const [before, after] = await forward(model, [input], ["pool1", "norm1"]);
      const maps = 32;
      let worst = 0;
      for (let at = 0; at < before.data.length; at += maps) {
        for (let i = 0; i < maps; i++) {
          let squares = 0;
          for (let j = Math.max(0, i - 2); j <= Math.min(maps - 1, i + 2); j++) squares += before.data[at + j] ** 2;
          worst = Math.max(worst, Math.abs(after.data[at + i] - before.data[at + i] / (2 + 1e-4 * squares) ** 0.75));
        }
      }
      expect(worst).toBeLessThan(1e-5);
      const tf = await ensureBackend();
      let saved: Parameters<typeof tf.io.fromMemory>[0] | undefined;
      await model.network.save(tf.io.withSaveHandler((artifacts) => {
        saved = artifacts;
        return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } });
      }));
      const again = await loadModel(await tf.loadLayersModel(tf.io.fromMemory(saved!)), { preprocess: "none" });
      const [[wanted], [found]] = [
        await forward(model, [input], ["fc8"]),
        await forward(again, [input], ["fc8"]),
      ];
      again.dispose();
      expect(difference(found.data, wanted.data)).toBe(0);
    });
  });
});

describe("other networks", () => {
  longTest("AlexNet has the paper's geometry, and as many weights as with and without groups", async () => {
    await using(alexnet, (model) => expect(model.params).toBe(62_378_344));
    await using(() => alexnet({ groups: 2 }), async (model) => {
      expect(model.params).toBe(60_965_224);
      const wanted = {
        conv1: [11, 4, 0],
        pool1: [19, 8, 0],
        conv2: [51, 8, 16],
        conv3: [99, 16, 32],
        conv4: [131, 16, 48],
        conv5: [163, 16, 64],
        pool5: [195, 32, 64],
      };
      for (const [name, numbers] of Object.entries(wanted)) expect(field(model, name), name).toEqual(numbers);
      expect((await weightsOf(model, "conv2"))[1].every((value) => value === 1)).toBe(true);
      expect((await weightsOf(model, "conv3"))[1].every((value) => value === 0)).toBe(true);
    });
  });

  longTest("VGG-16 and VGG-19 have as many weights as they should", async () => {
    await using(vgg16, (model) => {
      expect(model.params).toBe(138_357_544);
      expect(field(model, "pool5")).toEqual([212, 32, 90]);
      expect(field(model, "conv5_3")[0]).toBe(196);
      expect(field(model, "conv4_3")[0]).toBe(92);
      expect(field(model, "conv3_3")[0]).toBe(40);
    });
    await using(vgg19, (model) => expect(model.params).toBe(143_667_240));
  });

  test("SqueezeNet, MobileNet V2 and GoogLeNet have the shapes and as many weights as they should", async () => {
    await using(squeezenet, (model) => {
      expect(model.params).toBe(1_235_496);
      expect(shapes(model, /Pooling2D|Concatenate/)).toEqual([
        "pool1 55×55×64",
        "fire2 55×55×128",
        "fire3 55×55×128",
        "pool3 27×27×128",
        "fire4 27×27×256",
        "fire5 27×27×256",
        "pool5 13×13×256",
        "fire6 13×13×384",
        "fire7 13×13×384",
        "fire8 13×13×512",
        "fire9 13×13×512",
        "pool10 1000",
      ]);
    });
    await using(() => squeezenet({ version: "1.0" }), (model) => {
      expect(model.params).toBe(1_248_424);
      expect(shapes(model, /MaxPooling/)).toEqual(["pool1 54×54×96", "pool4 27×27×256", "pool8 13×13×512"]);
    });
    await using(mobilenetV2, (model) => {
      expect(model.params).toBe(3_538_984);
      expect(shapes(model, /Add/).length).toBe(10);
      expect(model.layer("out_relu").outputShape).toEqual([7, 7, 1280]);
    });
    await using(googlenet, (model) => {
      expect(model.params).toBe(6_998_552);
      const maps = [56, 28, 14, 7].map((side) => `${side}×${side}`);
      expect(shapes(model, /MaxPooling/).filter((text) => text.includes("_s2"))).toEqual(
        [64, 192, 480, 832].map((filters, i) => `pool${i + 1}_3x3_s2 ${maps[i]}×${filters}`),
      );
      expect(shapes(model, /Concatenate/).map((text) => text.split("×")[2])).toEqual(
        ["256", "480", "512", "512", "512", "528", "832", "832", "1024"],
      );
    });
  });

  longTest("ResNet-50 has as many weights as Keras's and torchvision's, and the field of the papers", async () => {
    await using(resnet50, (model) => {
      expect(model.params).toBe(25_636_712);
      // The oracle is 239 for a first pooling that is padded behind only; Keras pads it on both sides.
      expect(field(model, "conv5_block3_out")).toEqual([483, 32, 241]);
    });
    await using(() => resnet50({ variant: "torchvision" }), (model) => expect(model.params).toBe(25_610_152));
  });

  test("Tiny VGG has CNN Explainer's 19,920 weights", async () => {
    await using(tinyVgg, (model) => expect(model.params).toBe(19_920));
    await using(lenet5, (model) => expect(model.params).toBe(61_706));
    await using(softmaxRegression, (model) => expect(model.params).toBe(7850));
  });

  test("cats and dogs: the book's weights at 150×150, and eight layers of maps at 32×32", async () => {
    await using(() => catsVsDogsConvnet({ size: 150 }), (model) => {
      expect(model.params).toBe(3_453_121);
      expect(model.layer("flatten").outputShape).toEqual([6272]);
    });
    await using(catsVsDogsConvnet, (model) => {
      expect(shapes(model, /Conv2D|Pooling/)).toEqual([
        "conv1 32×32×32",
        "pool1 16×16×32",
        "conv2 16×16×64",
        "pool2 8×8×64",
        "conv3 8×8×128",
        "pool3 4×4×128",
        "conv4 4×4×128",
        "pool4 2×2×128",
      ]);
      expect(model.labels).toEqual(["cat", "dog"]);
    });
  });
});

describe("seeds and errors", () => {
  test("one seed gives the same weights, another gives others, and no two layers start alike", async () => {
    const kernel = (seed: number) =>
      using(() => smallZfnet({ seed }), async (model) => (await weightsOf(model, "conv4"))[0].slice());
    const [one, again, other] = [await kernel(1), await kernel(1), await kernel(2)];
    expect(difference(one, again)).toBe(0);
    expect(difference(one, other)).toBeGreaterThan(0.01);
    await using(() => catsVsDogsConvnet({ seed: 0 }), async (model) => {
      const [[first], [second]] = [await weightsOf(model, "conv1"), await weightsOf(model, "conv2")];
      expect(difference(first.slice(0, 100), second.slice(0, 100))).toBeGreaterThan(1e-3);
    });
  });

  test("names and labels are taken over", async () => {
    await using(() => tinyVgg({ labels: ["a", "b", "c"], name: "abc" }), (model) => {
      expect([model.name, model.labels, model.layers.at(-1)!.outputShape]).toEqual(["abc", ["a", "b", "c"], [3]]);
    });
  });

  test("what does not fit is refused, and leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    await expect(tinyVgg({ seed: -1 })).rejects.toThrow("seed must be a whole number ≥ 0: received -1.");
    await expect(alexnet({ groups: 3 as 2 })).rejects.toThrow("groups must be 1 or 2: received 3.");
    await expect(resnet50({ variant: "caffe" as "keras" })).rejects.toThrow('must be "keras" or "torchvision"');
    await expect(tinyVgg({ labels: ["one"] })).rejects.toThrow("at least two classes: received 1 labels");
    await expect(zfnet({ classes: 1 })).rejects.toThrow("classes must be a whole number ≥ 2: received 1.");
    await expect(catsVsDogsConvnet({ size: 8 })).rejects.toThrow("size must be a whole number ≥ 16: received 8.");
    await expect(catsVsDogsConvnet({ labels: ["a", "b", "c"] })).rejects.toThrow("received 3 labels");
    await expect(catsVsDogsConvnet({ dropout: 1 })).rejects.toThrow("at least 0 and below 1: received 1");
    await expect(smallZfnet({ dropout: -1 })).rejects.toThrow("at least 0 and below 1: received -1");
    await expect(tinyVgg({ labels: "ab" as never })).rejects.toThrow(
      'labels must be an array of labels: received "ab"',
    );
    await expect(smallZfnet({ stride: 0 })).rejects.toThrow("stride must be a whole number ≥ 1: received 0.");
    await expect(smallZfnet({ stride: 9 })).rejects.toThrow("stride must be a whole number from 1 to 8: received 9.");
    await expect(smallZfnet({ weights: "x" as "he" })).rejects.toThrow(
      'weights must be "paper" or "he": received "x".',
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});
