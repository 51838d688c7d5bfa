import { beforeAll, describe, expect, test, vi } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import { wilson } from "../../lib/embed/logistic.ts";
import { robustness } from "../../lib/methods/robustness.ts";
import { train } from "../../lib/methods/train.ts";
import { transferability } from "../../lib/methods/transferability.ts";
import { universalPerturbation } from "../../lib/methods/universal_perturbation.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { stripes, stripesNet } from "../probe/training/toys.ts";
import { tidily } from "../tensors.ts";

const tf = await ensureBackend();
vi.spyOn(console, "log").mockImplementation(() => {});

const trained = async (name: string, from: number, more = {}): Promise<Model> => {
  const model = await loadModel(stripesNet(tf, { dropout: 0 }), { name, preprocess: "unit" });
  await train(model, stripes(160, 8, from), {
    optimizer: "adam",
    learningRate: 0.02,
    epochs: 8,
    batchSize: 16,
    validation: 0,
    live: false,
    ...more,
  });
  return model;
};
let [a, b, hardened]: Model[] = [];
let data: Dataset;
beforeAll(async () => {
  a = await trained("a", 3);
  b = await trained("b", 4);
  hardened = await trained("hardened", 3, { adversarialTraining: { epsilon: 30, alpha: 0.5 }, epochs: 16 });
  data = stripes(40, 8, 77);
});

describe("robustness", () => {
  test("falls with epsilon; one that was trained against it withstands more; it repeats", async () => {
    const options = { methods: ["fgsm", "pgd"], epsilons: [30, 0], steps: 4 } as const;
    const { rows } = await tidily(() => robustness([a, hardened], data, options));
    expect(rows.map(({ model, method, epsilon }) => `${model} ${method} ${epsilon}`)).toEqual(
      ["a", "hardened"].flatMap((model) =>
        ["fgsm", "pgd"].flatMap((method) => [0, 30].map((e) => `${model} ${method} ${e}`))
      ),
    );
    const of = (model: string, method: string, epsilon: number) =>
      rows.find((row) => row.model === model && row.method === method && row.epsilon === epsilon)!.accuracy;
    for (const method of ["fgsm", "pgd"]) {
      expect(of("a", method, 30)).toBeLessThan(of("a", method, 0) - 0.3);
      expect(of("hardened", method, 30)).toBeGreaterThan(of("a", method, 30) + 0.2);
    }
    for (const { right, images, accuracy, low, high } of rows) {
      expect(images).toBe(40);
      expect(accuracy).toBe(right / 40);
      expect([low, high]).toEqual(wilson(right, 40));
    }
    expect((await robustness([a, hardened], data, options)).rows).toEqual(rows);
  });

  test("the figure and the table", async () => {
    const found = await robustness(a, stripes(6, 8, 77), { epsilons: [0, 4], methods: ["random"] });
    expect(found.figure().title).toBe("Robustness · a · stripes");
    expect(await found.figure().html()).toContain("random signs");
    expect((await found.table()).height).toBe(2);
  });

  test.each<[object, RegExp]>([
    [{ methods: ["fgms"] }, /methods must be an array of "fgsm", "iterative", "pgd", "random": received \["fgms"\]/],
    [{ epsilons: [-1] }, /epsilons must be an array of numbers from 0 to 255: received \[-1\]/],
    [{ epsilon: 3 }, /robustness has no option "epsilon".*"epsilons"/],
  ])("refuses %j", async (options, message) => {
    await expect(tidily(() => robustness(a, data, options))).rejects.toThrow(message);
  });

  test("stops at a signal, and leaves nothing", async () => {
    const control = new AbortController();
    const onProgress = () => control.abort(new Error("enough"));
    await expect(tidily(() => robustness(a, data, { signal: control.signal, onProgress }))).rejects.toThrow("enough");
  });
});

describe("transferability", () => {
  test("counts what both have right; the own model is fooled most; it repeats", async () => {
    const options = { epsilon: 20, steps: 4 };
    const { rows } = await tidily(() => transferability([a, b], data, options));
    expect(rows.map(({ from, to }) => from + to)).toEqual(["aa", "ab", "ba", "bb"]);
    const [aa, ab, ba, bb] = rows;
    expect(ab.images).toBe(ba.images);
    expect(aa.images).toBeGreaterThanOrEqual(ab.images);
    for (const { rate, fooled, images, low, high } of rows) {
      expect(rate).toBe(fooled / images);
      expect([low, high]).toEqual(wilson(fooled, images));
    }
    expect(aa.rate).toBeGreaterThanOrEqual(ba.rate);
    expect(bb.rate).toBeGreaterThanOrEqual(ab.rate);
    const noise = await transferability([a, b], data, { ...options, method: "random" });
    expect(noise.rows[0].rate).toBeLessThan(aa.rate);
    expect((await transferability([a, b], data, options)).rows).toEqual(rows);
  });

  test("the table; models of one name are told apart; one model is refused", async () => {
    const found = await transferability([a, a], stripes(8, 8, 77), { method: "fgsm" });
    expect(found.figure().title).toBe("Transfer · a (1), a (2) · stripes");
    expect(found.rows[0]).toEqual({ ...found.rows[3], from: "a (1)", to: "a (1)" });
    await expect(transferability([a], data)).rejects.toThrow(/an array of two models or more: received one of 1/);
  });
});

describe("universalPerturbation", () => {
  test("one change within its bounds fools more than a random one; counted on others; it repeats", async () => {
    const options = { epsilon: 40, passes: 2 };
    const found = await tidily(() => universalPerturbation(a, data, options));
    expect(found.perturbation.shape).toEqual([8, 8, 3]);
    expect(Math.max(...found.perturbation.data.map(Math.abs))).toBeLessThanOrEqual(40);
    expect(found.rows).toHaveLength(20);
    const fooled = found.rows.filter(({ fooled, before, after }) => {
      expect(fooled).toBe(before !== after);
      return fooled;
    }).length;
    expect(found.rate).toBe(fooled / 20);
    expect([found.low, found.high]).toEqual(wilson(fooled, 20));
    expect(found.rate).toBeGreaterThan(found.random.rate);
    expect(await universalPerturbation(a, data, options)).toEqual(found);
    expect(found.figure().title).toMatch(/^Universal perturbation · a · stripes · fools /);
  });

  test("refuses too few images, and those of several sizes", async () => {
    await expect(tidily(() => universalPerturbation(a, stripes(3, 8, 77)))).rejects.toThrow(
      /wants at least 4 images of one size: received 3/,
    );
    const net = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [null as never, null as never, 1], filters: 2, kernelSize: 1 }),
        tf.layers.globalAveragePooling2d({} as never),
        tf.layers.softmax(),
      ],
    });
    const free = await loadModel(net, { name: "free", preprocess: "unit" });
    const images = dataset(
      [2, 2, 3, 3].map((side) => ({ image: ndarray(new Float32Array(side * side), [side, side, 1]) })),
    );
    await expect(tidily(() => universalPerturbation(free, images))).rejects.toThrow(
      /received 4 of \[2,2,1\] and \[3,3,1\]/,
    );
    free.dispose();
  });
});
