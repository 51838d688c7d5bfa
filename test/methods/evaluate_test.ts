import type { LayersModel } from "@tensorflow/tfjs";
import { afterEach, describe, expect, test } from "vitest";
import oracle from "../oracles/fixtures/evaluation.json" with { type: "json" };
import { dataset, type ItemLike } from "../../lib/data/dataset.ts";
import type { Matrix, Row, Sheet, Table } from "../../lib/figure/blocks.ts";
import { evaluate } from "../../lib/methods/evaluate.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel, type LoadModelOptions } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ClassScores } from "../../lib/results/class_scores.ts";
import type { ClassedImage } from "../../lib/results/class_scores.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const tf = await ensureBackend();
const LABELS = ["ant", "bee", "cat", "dog", "eel", "fox"];

/** A net that puts out its six pixels, through an activation. */
function pixelsNet(activation: "softmax" | "sigmoid" | "linear", count = 6): LayersModel {
  const input = tf.input({ shape: [1, count / 3, 3] });
  const flat = tf.layers.flatten().apply(input);
  const last = activation === "linear"
    ? tf.layers.dense({ units: count, useBias: false, kernelInitializer: "identity" })
    : tf.layers.activation({ activation });
  return tf.model({ inputs: input, outputs: last.apply(flat) as ReturnType<typeof tf.input> });
}

const made: Model[] = [];
afterEach(() => made.splice(0).forEach((model) => model.dispose()));
async function netOf(activation: "softmax" | "sigmoid" | "linear", options: Partial<LoadModelOptions> = {}) {
  const model = await loadModel(pixelsNet(activation), { name: "net", preprocess: "none", labels: LABELS, ...options });
  made.push(model);
  return model;
}

const pixels = (values: readonly number[]) => ({ data: Float32Array.from(values), shape: [1, values.length / 3, 3] });
/** The oracle's images, with a column. */
const images = (column: (i: number) => Partial<ItemLike>) =>
  dataset(oracle.logits.map((values, i) => ({ id: `no. ${i}`, image: pixels(values), ...column(i) })), {
    name: "sixty",
  });

const close = (values: readonly (number | null | undefined)[], wanted: readonly (number | null)[]) =>
  wanted.forEach((number, i) => {
    if (number === null) expect(values[i]).toBeNull();
    else expect(values[i]).toBeCloseTo(number, 5);
  });
const nested = ({ data, shape }: { data: Float32Array; shape: readonly number[] }): unknown =>
  shape.length === 1 ? [...data] : Array.from({ length: shape[0] }, (_, i) => {
    const each = data.length / shape[0];
    return nested({ data: data.subarray(i * each, (i + 1) * each), shape: shape.slice(1) });
  });

describe("classes", () => {
  const sixty = images((i) => ({ label: LABELS[oracle.labels[i]] }));

  test("have scikit-learn's shares, confusion matrix, precision, recall and F1, and SciPy's interval", async () => {
    const found = await evaluate(await netOf("softmax"), sixty);
    const { classes: wanted } = oracle;
    expect(found.kind).toBe("classes");
    close([found.top1, found.top5, found.loss], [wanted.top1, wanted.top5, wanted.loss]);
    expect(nested(found.confusion)).toEqual(wanted.confusion);
    const [top1, top5, balanced] = found.measures;
    expect([top1.measure, top5.measure]).toEqual(["top-1", "top-5"]);
    close([top1.value, top1.low!, top1.high!], [wanted.top1, ...wanted.interval]);
    expect(balanced.value).toBeCloseTo(wanted.balanced, 5);
    expect(found.classes.map(({ label }) => label)).toEqual(LABELS);
    close(found.classes.map(({ recall }) => recall), wanted.recall);
    close(found.classes.map(({ precision }) => precision), wanted.precision);
    close(found.classes.map(({ f1 }) => f1), wanted.f1);
    expect(found.classes[0].takenFor).toBe("cat");
    // Rows and predict tell the same.
    const said = await predict(await netOf("softmax"), sixty);
    expect(said.map(({ right }) => right)).toEqual((found.rows as ClassedImage[]).map(({ right }) => right));
    expect(said.map(({ rows: [best] }) => best.label)).toEqual(
      (found.rows as ClassedImage[]).map(({ prediction }) => prediction),
    );
    expect((await found.table()).columns.slice(0, 3)).toEqual(["id", "label", "prediction"]);
  });

  test("of logits are those of the softmax", async () => {
    const found = await evaluate(await netOf("linear", { output: "classes" }), sixty);
    close([found.top1, found.top5, found.loss], [oracle.classes.top1, oracle.classes.top5, oracle.classes.loss]);
  });

  test("show the matrix, the classes, the mistakes, and the worst errors as pictures", async () => {
    const found = await evaluate(await netOf("softmax"), sixty, { worst: 5 });
    const figure = found.figure();
    expect(figure.title).toBe("net · top-1 58.3 % on 60 images of sixty");
    const [top, matrix, classes, sheet] = figure.blocks as [Row, Matrix, Table, Sheet];
    expect((top.blocks as Table[])[0].rows.slice(0, 2)).toEqual([
      ["top-1", "58.3 %", "45.7 % – 69.9 %"],
      ["top-5", "98.3 %", "91.1 % – 99.7 %"],
    ]);
    expect((top.blocks as Table[])[1].rows[0]).toEqual(["ant", "cat", "3", "17.6 %"]);
    // No image is an eel.
    expect(matrix.rows).toEqual(LABELS.filter((label) => label !== "eel"));
    expect(matrix.columns).toEqual(LABELS);
    expect(matrix.cells.map((row) => row.map(({ count }) => count))).toEqual(
      oracle.classes.confusion.filter((_, i) => i !== 4),
    );
    expect(matrix.cells[0][2]).toMatchObject({ right: false, words: "ant, taken for cat: 3 of 17 (17.6 %)" });
    expect(classes.rows.map(([label]) => label)).toEqual(matrix.rows);
    // The least probable first.
    const wrong = (found.rows as ClassedImage[]).filter(({ right }) => !right);
    wrong.sort((a, b) => a.labelProbability - b.labelProbability);
    expect(found.worst.map(({ id }) => id)).toEqual(wrong.slice(0, 5).map(({ id }) => id));
    expect(found.worst[0].image.shape).toEqual([1, 2, 3]);
    expect(sheet.tiles).toHaveLength(5);
    expect((found.figure({ errors: 2 }).blocks.at(-1) as Sheet).tiles).toHaveLength(2);
    expect(found.figure({ errors: 0 }).blocks.at(-1)!.kind).toBe("table");
    expect(await figure.html()).toContain('title="ant, taken for cat: 3 of 17 (17.6 %)"');
    expect(Deno.inspect(found)).toMatch(/cat +1 +1 +8 +2 +1 +2/);
    expect(() => found.figure({ class: 3 } as never)).toThrow('figure has no option "class"');
  });

  test("of one sigmoid unit are two, and a top-5 says nothing", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [1, 1, 3] }),
        tf.layers.dense({ units: 1, activation: "sigmoid", useBias: false, kernelInitializer: "ones" }),
      ],
    });
    const model = await loadModel(net, { preprocess: "none", labels: ["no", "yes"] });
    made.push(model);
    const three = [[2, "yes"], [-1, "no"], [1, "no"]] as const;
    const items = three.map(([x, label]) => ({ image: pixels([x, 0, 0]), label }));
    const found = await evaluate(model, dataset(items));
    expect([found.kind, found.top1, found.top5]).toEqual(["binary", 2 / 3, 1]);
    expect(nested(found.confusion)).toEqual([[1, 1], [0, 1]]);
    expect(found.measures.map(({ measure }) => measure)).not.toContain("top-5");
    const losses = [Math.log1p(Math.exp(-2)), Math.log1p(Math.exp(-1)), Math.log1p(Math.exp(1))];
    expect(found.loss).toBeCloseTo(losses.reduce((a, b) => a + b) / 3, 5);
  });

  test("may be told by a column or a function, by label or index", async () => {
    const model = await netOf("softmax");
    const names = images((i) => ({ species: LABELS[oracle.labels[i]], number: oracle.labels[i] }) as Partial<ItemLike>);
    for (const truth of ["species", "number", ({ number }: Record<string, unknown>) => number]) {
      expect((await evaluate(model, names, { truth })).top1).toBeCloseTo(oracle.classes.top1, 5);
    }
    // Of several that would be right the likeliest is the image's own.
    const either = await evaluate(model, dataset([{ image: pixels([1, 3, 2, 0, 0, 0]) }]), {
      truth: () => ["cat", 1, "ant"],
    });
    expect(either.rows).toMatchObject([{ label: "bee", prediction: "bee", rank: 1, right: true }]);
    const neither = await evaluate(model, dataset([{ image: pixels([1, 3, 2, 0, 0, 0]) }]), {
      truth: () => ["ant", "cat"],
    });
    expect(neither.rows).toMatchObject([{ label: "cat", prediction: "bee", rank: 2, right: false }]);
    // A model without labels borrows the data set's.
    const bare = await netOf("softmax", { labels: undefined });
    const borrowed = await evaluate(bare, dataset([...await Array.fromAsync(sixty)], { labels: LABELS }));
    expect(borrowed.top1).toBeCloseTo(oracle.classes.top1, 5);
    expect(borrowed.figure().caption).toContain("The model has no labels: those of the data set name its outputs");
  });

  test("that the model does not know are told before it runs, with the remedy", async () => {
    const model = await netOf("softmax");
    const strange = images((i) => ({ label: i === 59 ? "bees" : "bee" }));
    await expect(evaluate(model, strange)).rejects.toThrow(
      /"sixty" has the label "bees", which is none of the 6 of the model "net"\. The nearest: "bee".*truth: \(\{ label \}\)/,
    );
    await expect(evaluate(model, images(() => ({})))).rejects.toThrow(
      /"no\. 0" of "sixty" has no label, only id; wanted/,
    );
    await expect(evaluate(model, sixty, { truth: "kind" })).rejects.toThrow(/has no kind, only id, label/);
    await expect(evaluate(model, sixty, { truth: () => 6 })).rejects.toThrow(
      /must be its class's label or index, 0 to 5/,
    );
    await expect(evaluate(model, sixty, { truth: 3 as never })).rejects.toThrow(
      "truth must be a column's name or a function",
    );
    const twice = await netOf("softmax", { labels: ["ant", "ant", "cat", "dog", "eel", "fox"] });
    await expect(evaluate(twice, images(() => ({ label: "ant" })))).rejects.toThrow(
      /names the classes 0 and 1 of "net"/,
    );
  });

  test("leave out images that cannot be read, and no tensor", async () => {
    const model = await netOf("softmax");
    const before = tf.memory().numTensors;
    const items = [{ image: "none.png", id: "gone", label: "ant" }, {
      image: pixels([9, 0, 0, 0, 0, 0]),
      label: "ant",
    }];
    const found = await evaluate(model, dataset(items));
    expect([found.top1, found.images, found.skipped.map(({ id }) => id)]).toEqual([1, 1, ["gone"]]);
    expect(found.figure().caption).toContain('1 image could not be read and was left out: "gone"');
    await expect(evaluate(model, dataset(items), { onBadImage: "stop" })).rejects.toThrow("none.png");
    await expect(evaluate(model, sixty, { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(before);
  });
});

test("of many classes the matrix shows those that are confused, side by side", () => {
  const labels = Array.from({ length: 100 }, (_, i) => `class ${i}`);
  const rows: ClassedImage[] = [];
  const indices: [number, number][] = [];
  const add = (own: number, said: number, times: number) => {
    for (let i = 0; i < times; i++) {
      const [label, prediction] = [labels[own], labels[said]];
      const right = own === said;
      rows.push({ id: "", label, prediction, probability: 1, labelProbability: 1, rank: right ? 1 : 2, right });
      indices.push([own, said]);
    }
  };
  for (let i = 0; i < 100; i++) add(i, i, 10);
  add(3, 77, 8);
  add(50, 60, 6);
  add(77, 3, 5);
  add(20, 21, 1);
  const scores = new ClassScores(rows, indices, labels);
  const { blocks: [matrix], caption } = scores.blocks(5) as unknown as { blocks: [Matrix]; caption: string };
  expect(matrix.columns).toEqual(["class 3", "class 77", "class 50", "class 60", "96 others"]);
  expect(matrix.cells.map((row) => row.map(({ count }) => count))).toEqual([
    [10, 8, 0, 0, 0],
    [5, 10, 0, 0, 0],
    [0, 0, 10, 6, 0],
    [0, 0, 0, 10, 0],
    [0, 0, 0, 0, 961],
  ]);
  expect(matrix.sides[1].texts.at(-1)).toBe("99.9 %");
  expect(caption).toContain("Of 100 classes it shows the 4 with the most mistakes");
  expect(scores.mistakes.slice(0, 2)).toEqual([
    { label: "class 3", prediction: "class 77", images: 8, share: 8 / 18 },
    { label: "class 50", prediction: "class 60", images: 6, share: 6 / 16 },
  ]);
});

describe("independent labels", () => {
  const several = images((i) => ({ labels: LABELS.filter((_, k) => oracle.several[i][k]) }) as Partial<ItemLike>);

  test("have scikit-learn's figures, each label by itself", async () => {
    const { independent: wanted } = oracle;
    const found = await evaluate(await netOf("sigmoid"), several, { threshold: wanted.threshold });
    expect(found.kind).toBe("labels");
    const [whole, single, mean, entropy] = found.measures;
    close([whole.value, whole.low!, whole.high!], [wanted.whole, ...wanted.interval]);
    close([single.value, entropy.value, found.loss], [wanted.single, wanted.loss, wanted.loss]);
    expect(nested(found.confusion)).toEqual(wanted.confusion);
    close(found.classes.map(({ recall }) => recall), wanted.recall);
    close(found.classes.map(({ precision }) => precision), wanted.precision);
    close(found.classes.map(({ f1 }) => f1), wanted.f1);
    close(found.classes.map(({ averagePrecision }) => averagePrecision), wanted.averagePrecision);
    expect(mean.value).toBeCloseTo(wanted.averagePrecision.reduce((a, b) => a + b) / 6, 5);
    const { title, caption } = found.figure();
    expect(title).toMatch(/^net · all labels of an image right \d/);
    expect(title + caption).not.toMatch(/top-1|class/);
    for (const name of ["top1", "top5", "mistakes", "outputs"] as const) {
      expect(() => found[name]).toThrow(`An evaluation of "net" has no ${name}: its outputs are labels.`);
    }
  });

  test("may be told by booleans, and an image may have none", async () => {
    const model = await netOf("sigmoid");
    const flags = images((i) => ({ has: oracle.several[i].map(Boolean) }) as Partial<ItemLike>);
    const [a, b] = [await evaluate(model, flags, { truth: "has" }), await evaluate(model, several)];
    expect(a.measures).toEqual(b.measures);
    expect(a.worst.map(({ id }) => id)).toEqual(b.worst.map(({ id }) => id));
  });
});

describe("numbers", () => {
  test("have scikit-learn's sizes of errors, and nothing that is called a class", async () => {
    const model = await netOf("linear", { output: "numbers" });
    const known = images((i) => ({ values: oracle.numbers[i] }) as Partial<ItemLike>);
    const found = await evaluate(model, known);
    expect(found.kind).toBe("numbers");
    for (const name of ["meanAbsoluteError", "rootMeanSquareError", "bias", "explained"] as const) {
      close(found.outputs.map((output) => output[name]), oracle.errors[name]);
    }
    expect(found.rows).toHaveLength(360);
    expect(found.rows[1]).toMatchObject({ id: "no. 0", output: "bee", actual: oracle.numbers[0][1] });
    // Four of each output, the largest first.
    expect(found.worst.map(({ output }) => output)).toEqual(LABELS.flatMap((label) => Array(4).fill(label)));
    const { title, caption, blocks } = found.figure();
    expect(title).toMatch(/^net · mean absolute error of ant 0\.0\d+ on 60 images of sixty/);
    expect(caption).toContain("no probabilities");
    expect((blocks[1] as Row).blocks).toHaveLength(6);
    expect(() => found.top1).toThrow(
      'An evaluation of "net" has no top1: its outputs are numbers. Its outputs and measures',
    );
    expect(() => found.confusion).toThrow("has no confusion");
    // The columns may be named as the outputs.
    const columns = images((i) => Object.fromEntries(LABELS.map((label, k) => [label, oracle.numbers[i][k]])));
    expect((await evaluate(model, columns)).outputs).toEqual(found.outputs);
  });

  test("of one output may be the names of folders", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [1, 1, 3] }),
        tf.layers.dense({ units: 1, useBias: false, kernelInitializer: "ones" }),
      ],
    });
    const model = await loadModel(net, { preprocess: "none" });
    made.push(model);
    const items = [1, 2, 4].map((x) => ({ image: pixels([x, 0, 0]), label: String(x + 1) }));
    const found = await evaluate(model, dataset(items));
    expect(found.outputs[0]).toMatchObject({ meanAbsoluteError: 1, bias: -1, low: 1, high: 1 });
    await expect(evaluate(model, dataset([{ image: pixels([1, 2, 3]), label: "old" }]))).rejects.toThrow(
      /must be the number that is true: received "old"/,
    );
  });
});

test("of maps it asks for masks", async () => {
  const net = tf.sequential({ layers: [tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 2, kernelSize: 1 })] });
  const model = await loadModel(net);
  made.push(model);
  await expect(evaluate(model, dataset([{ image: pixels([1, 2, 3]) }]))).rejects.toThrow(
    /has no mask, only id; wanted a map \[h, w, 2\] of numbers/,
  );
});
