import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ndarray, type NdArrayLike } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { centred, hsic } from "../../lib/embed/cka.ts";
import { cohenKappa, errorConsistency, mcnemar } from "../../lib/embed/paired.ts";
import { codes } from "../../lib/methods/codes.ts";
import { compareModels } from "../../lib/methods/compare_models.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { gramOf } from "../../lib/probe/gram.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";
import { wave } from "../packed.ts";
import { tidily } from "../tensors.ts";

const tf = await ensureBackend();
vi.spyOn(console, "log").mockImplementation(() => {});

const LABELS = ["red", "green", "blue"];
const random = uniforms(12);
/** Images of some size, brightest in the channel of their label, sorted by it. */
const items = Array.from({ length: 90 }, (_, i) => {
  const label = Math.floor(i / 30);
  const data = Float32Array.from({ length: 192 }, (_, at) => 80 * random() + (at % 3 === label ? 25 : 0));
  return { id: `image ${i}`, image: ndarray(data, [8, 8, 3]), label: LABELS[label] };
});
const images = dataset(items, { name: "colours" });

/** A convolution, and classes; of `side` pixels. */
async function net(side: number, seed: number, labels = LABELS, name = "net"): Promise<Model> {
  const init = (more: number) => tf.initializers.glorotUniform({ seed: seed + more });
  const network = tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [side, side, 3],
        filters: 6,
        kernelSize: 3,
        activation: "relu",
        name: "conv",
        kernelInitializer: init(1),
      }),
      tf.layers.globalAveragePooling2d({ name: "mean" }),
      tf.layers.dense({ units: labels.length, activation: "softmax", name: "classes", kernelInitializer: init(2) }),
    ],
  });
  return await loadModel(network, { name, labels, preprocess: "unit" });
}

/** 2 numbers of an image: of its mean colour, by a matrix of 3 to 2 and more. */
async function linear(name: string, matrix: number[][], labels?: string[]): Promise<Model> {
  const network = tf.sequential({
    layers: [
      tf.layers.globalAveragePooling2d({ inputShape: [8, 8, 3], name: "mean" }),
      tf.layers.dense({ units: matrix[0].length, name: "code", useBias: false }),
    ],
  });
  tf.tidy(() => network.getLayer("code").setWeights([tf.tensor2d(matrix)]));
  return await loadModel(network, { name, preprocess: "unit", labels });
}

let [small, large, again]: Model[] = [];
beforeAll(async () => {
  small = await net(8, 1, LABELS, "small");
  large = await net(12, 20, ["blue", "red", "green"], "large");
  again = await net(8, 30, LABELS, "small");
});
afterAll(() => [small, large, again].forEach((model) => model.dispose()));

describe("similarity", () => {
  test("of a network and itself is 1, and the same both ways round", async () => {
    const { rows, similarity, layers, agreement, accuracy } = await tidily(() => compareModels(small, small, images));
    expect(layers).toEqual([["conv", "mean", "classes"], ["conv", "mean", "classes"]]);
    for (const { a, b, cka, low, high } of rows) {
      if (a === b) expect(cka).toBeCloseTo(1, 5);
      // Two minibatches: no interval.
      expect([low, high]).toEqual([null, null]);
      expect(cka).toBeCloseTo(rows.find((row) => row.a === b && row.b === a)!.cka, 5);
    }
    expect(similarity.shape).toEqual([3, 3]);
    expect(agreement).toMatchObject({ images: 90, same: 90, value: 1 });
    expect(accuracy).toMatchObject({ onlyA: 0, onlyB: 0, mcnemar: { p: 1 } });
  });

  test("is not changed by turning and scaling, and is by stretching", async () => {
    const [c, s] = [Math.cos(1), Math.sin(1)];
    const own = await linear("own", [[1, 0], [0, 1], [0.5, 0.5]]);
    const turned = await linear("turned", [[3 * c, 3 * s], [-3 * s, 3 * c], [1.5 * (c - s), 1.5 * (c + s)]]);
    const stretched = await linear("stretched", [[1, 0], [0, 30], [0.5, 15]]);
    const options = { layers: ["code"], minibatch: 10, seed: 3 };
    const [same] = (await compareModels(own, turned, images, options)).rows;
    expect(same.cka).toBeCloseTo(1, 4);
    expect(same.low).toBeCloseTo(1, 4);
    const { rows: [other], ...found } = await compareModels(own, stretched, images, options);
    expect(other.cka).toBeLessThan(0.95);
    expect(other.low).toBeLessThan(other.cka);
    expect(other.high).toBeGreaterThan(other.cka);
    // They put out numbers: nothing is said of classes.
    expect([found.agreement, found.accuracy, found.answers]).toEqual([null, null, []]);
    for (const model of [own, turned, stretched]) model.dispose();
  });

  test("is the formula's, of all images in one minibatch; it does not depend on the batches", async () => {
    const options = { layers: { a: ["conv", "mean"], b: ["mean", "classes"] }, minibatch: 90 };
    const { rows } = await tidily(() => compareModels(small, large, images, { ...options, batchSize: 7 }));
    const [a, b] = [
      await codes(small, images, { layers: options.layers.a }),
      await codes(large, images, {
        layers: options.layers.b,
      }),
    ];
    const grams = [a, b].map((network) => network.map((layer) => centred(innerProducts(layer), 90)));
    const wanted = grams[0].flatMap((x) =>
      grams[1].map((y) => hsic(x, y, 90) / Math.sqrt(hsic(x, x, 90) * hsic(y, y, 90)))
    );
    rows.forEach(({ cka }, i) => expect(cka).toBeCloseTo(wanted[i], 4));
    const pooled = await compareModels(small, large, images, { ...options, minibatch: 20, batchSize: 16 });
    const other = await compareModels(small, large, images, { ...options, minibatch: 20, batchSize: 90 });
    pooled.rows.forEach(({ cka }, i) => expect(other.rows[i].cka).toBeCloseTo(cka, 5));
    const mean = await compareModels(small, small, images, { layers: ["conv", "mean"], pool: "mean", minibatch: 90 });
    expect(mean.rows[1].cka).toBeCloseTo(1, 5);
  });
});

/** The inner products of rows, written out. */
function innerProducts({ data, shape: [n, columns] }: NdArrayLike): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += data[Math.floor(at / n) * columns + c] * data[(at % n) * columns + c];
    return sum;
  });
}

test("inner products of long rows", async () => {
  const [rows, columns] = [5, 20_000];
  const data = wave([rows, columns], 3);
  const found = centred(await tidily(() => gramOf(tf, data, rows, columns)), rows);
  const wanted = centred(innerProducts({ data, shape: [rows, columns] }), rows);
  found.forEach((value, i) => expect(value / 1000).toBeCloseTo(wanted[i] / 1000, 3));
});

describe("answers", () => {
  test("are compared by the classes' names, and stand in the order of the data set", async () => {
    const found = await tidily(() => compareModels(small, large, images, { seed: 5, examples: 4 }));
    const [a, b] = [await predict(small, images), await predict(large, images)];
    expect(found.answers).toEqual(items.map(({ id, label }, i) => ({
      id,
      label,
      a: a[i].rows[0].label,
      b: b[i].rows[0].label,
      confidenceA: expect.closeTo(a[i].rows[0].probability!, 5),
      confidenceB: expect.closeTo(b[i].rows[0].probability!, 5),
      same: a[i].rows[0].label === b[i].rows[0].label,
      rightA: a[i].right,
      rightB: b[i].right,
    })));
    const { accuracy, agreement, parted } = found;
    const [rightA, rightB] = [a.map(({ right }) => right!), b.map(({ right }) => right!)];
    expect(accuracy!.errorConsistency).toEqual(errorConsistency(rightA, rightB, 5, 3));
    const onlyA = rightA.filter((right, i) => right && !rightB[i]).length;
    expect(accuracy!.onlyA).toBe(onlyA);
    expect(accuracy!.mcnemar).toEqual(mcnemar(onlyA, accuracy!.onlyB));
    expect(accuracy!.a.value - accuracy!.b.value).toBeCloseTo(accuracy!.difference.value, 12);
    const named = (answers: typeof a) => answers.map(({ rows: [{ label }] }) => label);
    expect(agreement!.kappa).toEqual(cohenKappa(named(a), named(b)));
    // The groups: the surest first, at most four of each.
    for (const [group, kept] of Object.entries(parted)) {
      expect(kept.length).toBeLessThanOrEqual(4);
      kept.forEach(({ sure, a, b, label, confidenceA, confidenceB }, i) => {
        expect(sure).toBe(Math.min(confidenceA, confidenceB));
        expect(sure).toBeLessThanOrEqual(kept[i - 1]?.sure ?? 1);
        expect(a).not.toBe(b);
        expect(group).toBe(a === label ? "a" : b === label ? "b" : "none");
      });
    }
    expect(parted.a.length + parted.b.length).toBeGreaterThan(0);
    expect(found.figure({ scale: "layer" }).text).toContain("Each layer has its own scale, to");
    expect(() => found.figure({ scale: "both" as never })).toThrow(/scale must be "shared" or "layer"/);
    const { title, text } = found.figure();
    expect(title).toBe("small and large · 90 images of colours");
    expect(text).toContain("p (McNemar, exact)");
    expect((await found.table()).columns).toEqual(["a", "b", "cka", "low", "high"]);
  });

  test("without labels, with others, and with none in common", async () => {
    const unlabelled = dataset(items.map(({ id, image }) => ({ id, image })), { name: "unlabelled" });
    const found = await compareModels(small, large, unlabelled);
    expect(found.accuracy).toBeNull();
    expect(found.answers[0]).not.toHaveProperty("rightA");
    expect(found.parted.unknown.length).toBeGreaterThan(0);
    expect((await compareModels(small, again, unlabelled)).figure().text).toContain("small (1) and small (2)");
    const others = await net(8, 50, ["x", "y", "z"], "others");
    const apart = await compareModels(small, others, images);
    expect([apart.agreement, apart.accuracy, apart.answers]).toEqual([null, null, []]);
    expect(apart.figure().caption).toContain("They have no class in common");
    others.dispose();
  });

  test("images that cannot be read are left out of both", async () => {
    const more = dataset([...items.slice(0, 20), { id: "gone", image: "/no/such.png" }, ...items.slice(20, 30)]);
    const found = await compareModels(small, large, more, { minibatch: 8 });
    expect(found.skipped.map(({ id }) => id)).toEqual(["gone"]);
    expect([found.images, found.answers.length]).toEqual([30, 30]);
    expect(found.answers.map(({ id }) => id)).toEqual(items.slice(0, 30).map(({ id }) => id));
    expect(found.figure().caption).toMatch(/"gone"/);
  });
});

describe("what is refused", () => {
  const failure = async (run: () => Promise<unknown>) => (await tidily(run).then(() => "", (error) => String(error)));
  const few = dataset(items.slice(0, 3), { name: "three" });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ["a layer", () => compareModels(small, large, images, { layers: ["convv"] }), /no layer "convv".*"conv"/],
    [
      "no layers",
      () => compareModels(small, large, images, { layers: [] }),
      /an array of layers' names, or one for each/,
    ],
    [
      "maps",
      () => compareModels(small, large, images, { maps: ["conv"] as never }),
      /one layer of each network: received 1/,
    ],
    ["images", () => compareModels(small, large, few), /at least 4 images.*"three" holds 3/],
    [
      "a minibatch",
      () => compareModels(small, large, images, { minibatch: 3 }),
      /minibatch must be a whole number ≥ 4/,
    ],
    ["a model", () => compareModels(small, undefined as never, images), /compareModels/],
  ])("%s", async (_, run, message) => expect(await failure(run)).toMatch(message));

  test("it stops at a signal, and leaves nothing, whichever network waits", async () => {
    const control = new AbortController();
    const onProgress = () => control.abort(new Error("enough"));
    const options = { signal: control.signal, onProgress, batchSize: 4, minibatch: 8 };
    expect(await failure(() => compareModels(small, large, images, options))).toBe("Error: enough");
  });

  test("an error of one network ends both, and leaves nothing", async () => {
    const bad = { ...items[40], image: ndarray(new Float32Array(5), [5]) };
    const wrong = dataset([...items.slice(0, 40), bad, ...items.slice(41)]);
    expect(await failure(() => compareModels(small, large, wrong, { minibatch: 8, onBadImage: "stop" })))
      .toMatch(/"image 40" .* cannot be read/);
    const broken = await net(8, 60, LABELS, "broken");
    // Each weight is a number, and what they make is none.
    tf.tidy(() => {
      broken.network.getLayer("conv").setWeights([tf.fill([3, 3, 3, 6], 1e30), tf.zeros([6])]);
      broken.network.getLayer("classes").setWeights([tf.fill([6, 3], 3e38), tf.zeros([3])]);
    });
    expect(await failure(() => compareModels(large, broken, images, { minibatch: 8, batchSize: 4 })))
      .toMatch(/"broken" puts out NaN for "image/);
    broken.dispose();
  });
});
