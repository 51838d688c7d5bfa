import { describe, expect, test } from "vitest";
import { dataset } from "../../lib/data/dataset.ts";
import { toDataFrame } from "../../lib/data/table.ts";
import { fewerByChance, holm } from "../../lib/embed/significance.ts";
import { wilson } from "../../lib/embed/logistic.ts";
import { predict } from "../../lib/methods/predict.ts";
import { performanceBy } from "../../lib/methods/performance_by.ts";
import { worstSlices } from "../../lib/methods/worst_slices.ts";
import { calibrationError } from "../../lib/methods/shared/slices.ts";
import { loadModel } from "../../lib/model/load.ts";
import { randomStream, shuffled } from "../../lib/random.ts";
import { type ClassedImage, ClassScores } from "../../lib/results/class_scores.ts";
import { Evaluation } from "../../lib/results/evaluation.ts";
import { NumberScores } from "../../lib/results/value_scores.ts";
import { long } from "../long.ts";
import { landscape, wavesNet } from "../nets.ts";
import fixture from "../oracles/fixtures/slices.json" with { type: "json" };

interface Told {
  label: string;
  right: boolean;
  probability?: number;
}

/** An evaluation of images of two classes. */
function evaluationOf(told: readonly Told[]): Evaluation {
  const labels = ["cat", "dog"];
  const rows = told.map(({ label, right, probability = 0.9 }, i) => {
    const prediction = right ? label : labels[1 - labels.indexOf(label)];
    return { id: `${i}`, label, prediction, probability, labelProbability: 0.5, rank: right ? 1 : 2, right };
  });
  const indices = rows.map(({ label, prediction }) => [labels.indexOf(label), labels.indexOf(prediction)] as const);
  const names = { model: "net", dataset: "pets", kind: "classes", activation: "softmax", note: "" };
  return new Evaluation(new ClassScores(rows, indices, labels), names, { images: rows.length, worst: [], skipped: [] });
}

/** Eight images: large ones are right. */
const EIGHT = evaluationOf([..."00110111"].map((digit, i) => ({ label: i % 2 ? "cat" : "dog", right: digit === "1" })));
const SIZES = Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, size: i * 10, place: i < 3 ? "indoor" : "outdoor" }));

describe("statistics equal SciPy's and NumPy's", () => {
  test.each(fixture.fisher)("Fisher: $found of $drawn", ({ all, drawn, marked, found, p }) => {
    expect(fewerByChance(all)(drawn, marked, found) / p).toBeCloseTo(1, 6);
  });
  test("Holm", () => {
    holm(fixture.holm.values).forEach((value, i) => expect(value).toBeCloseTo(fixture.holm.adjusted[i], 8));
  });
  test("expected calibration error", () => {
    const { confidence, right, error } = fixture.calibration;
    const answers = confidence.map((confidence, i) => ({
      id: "",
      label: "",
      prediction: "",
      right: Boolean(right[i]),
      confidence,
    }));
    expect(calibrationError(answers)).toBeCloseTo(error, 7);
  });
});

test("numbers are cut into parts of the same size, and equal ones are not parted", () => {
  const { rows, overall, missing } = performanceBy(EIGHT, "size", { attributes: SIZES, bins: 2 });
  expect(rows.map(({ from, to, n, accuracy }) => [from, to, n, accuracy])).toEqual([[0, 30, 4, 0.5], [
    40,
    70,
    4,
    0.75,
  ]]);
  expect([rows[0].low, rows[0].high]).toEqual(wilson(2, 4));
  expect(overall).toMatchObject({ n: 8, accuracy: 5 / 8 });
  expect(missing).toBe(0);
  const tied = SIZES.map((row, i) => ({ ...row, size: i < 6 ? 1 : i }));
  expect(performanceBy(EIGHT, "size", { attributes: tied, bins: 2 }).rows.map(({ n }) => n)).toEqual([6, 2]);
});

test("edges cut where they are, and leave out what lies beyond", () => {
  const { rows } = performanceBy(EIGHT, "size", { attributes: SIZES, edges: [10, 30, 60] });
  expect(rows.map(({ from, to, n }) => [from, to, n])).toEqual([[10, 20, 2], [30, 60, 4]]);
  expect(() => performanceBy(EIGHT, "size", { attributes: SIZES, edges: [3, 1] })).toThrow(/rise, as \[0, 0.5, 1\]/);
});

test("texts are parts by themselves, the worst first; rows, data frames and the predictions' own columns will do", async () => {
  const byPlace = performanceBy(EIGHT, "place", { attributes: SIZES });
  expect(byPlace.rows.map(({ value, n, accuracy }) => [value, n, accuracy])).toEqual([
    ["indoor", 3, 1 / 3],
    ["outdoor", 5, 4 / 5],
  ]);
  expect(performanceBy(EIGHT, "place", { attributes: await toDataFrame(SIZES) }).rows).toEqual(byPlace.rows);
  expect(performanceBy(EIGHT, "label").rows.map(({ value }) => value).sort()).toEqual(["cat", "dog"]);
  expect(byPlace.figure().caption).toContain("Worst: indoor, 33.3 % of 3");
  expect((await byPlace.table()).columns).toContain("calibrationError");
});

test("by confidence: the reliability diagram", () => {
  const told = [0.55, 0.58, 0.91, 0.95, 0.96].map((probability, i) => ({ label: "cat", right: i > 0, probability }));
  const { rows, overall } = performanceBy(evaluationOf(told), "confidence");
  expect(rows.map(({ n, accuracy, confidence }) => [n, accuracy, confidence!.toFixed(3)])).toEqual([
    [2, 0.5, "0.565"],
    [3, 1, "0.940"],
  ]);
  expect(overall.calibrationError).toBeCloseTo((2 * 0.065 + (1 - 0.91) + 2 * (1 - 0.955)) / 5, 8);
});

test("what predict returned will do as well", async () => {
  const model = await loadModel(await wavesNet(), { labels: ["a", "b", "c", "d", "e"] });
  const items = Array.from({ length: 6 }, (_, i) => ({ id: `${i}`, label: "abcdef"[i % 2], image: landscape() }));
  const { rows } = performanceBy(await predict(model, dataset(items)), "label");
  expect(rows.map(({ n, accuracy }) => n * accuracy).reduce((a, b) => a + b)).toBeGreaterThanOrEqual(0);
  expect(rows.map(({ n }) => n)).toEqual([3, 3]);
  const unlabelled = await predict(model, dataset(items.map(({ id, image }) => ({ id, image }))));
  expect(() => performanceBy(unlabelled, "label")).toThrow(/of none of these 6 predictions that is known/);
});

describe("two models on the same images", () => {
  /** Of the first eight images the second has other ones right; it knows two more. */
  const other = evaluationOf(
    [..."0111110111"].map((digit, i) => ({ label: i % 2 ? "cat" : "dog", right: digit === "1" })),
  );

  test("differences, McNemar's test and Holm's adjustment on paper", () => {
    // 00110111 beside 01111101: by size, 0011 and 0111, 0111 and 1101.
    const found = performanceBy([EIGHT, other], "size", { attributes: SIZES, bins: 2 });
    expect(found.rows.map(({ from, to, n, a, b, onlyA, onlyB }) => [from, to, n, a, b, onlyA, onlyB])).toEqual([
      [0, 30, 4, 2 / 4, 3 / 4, 0, 1],
      [40, 70, 4, 3 / 4, 3 / 4, 1, 1],
    ]);
    expect(found.rows.map(({ difference }) => difference)).toEqual([-1 / 4, 0]);
    expect([found.rows[0].aLow, found.rows[0].aHigh]).toEqual(wilson(2, 4));
    // One of one, and two of two by a coin: 1 both, and adjusted no more than 1.
    expect(found.rows.map(({ p }) => p)).toEqual([1, 1]);
    expect(found.overall).toMatchObject({ n: 8, a: 5 / 8, b: 6 / 8, onlyA: 1, onlyB: 2, p: 1 });
    expect(found.figure().caption).toContain("2 images were given to one of both only");
    expect(found.figure().title).toBe("net (1) and net (2) · accuracy by size");
  });

  test("a model that is better on dark images alone is found there, and the interval holds the truth", () => {
    const random = randomStream(12);
    const dark = Array.from({ length: 900 }, (_, i) => i % 3 === 0);
    const told = (share: (dark: boolean) => number) =>
      evaluationOf(dark.map((is) => ({ label: "cat", right: random() < share(is) })));
    const attributes = dark.map((is, i) => ({ id: `${i}`, light: is ? "dark" : "bright" }));
    const { rows } = performanceBy([told(() => 0.8), told((is) => is ? 0.5 : 0.8)], "light", { attributes });
    expect(rows.map(({ value }) => value)).toEqual(["bright", "dark"]);
    expect(rows[1].p).toBeLessThan(0.001);
    expect(rows[1].low).toBeLessThan(0.3);
    expect(rows[1].high).toBeGreaterThan(0.3);
    expect(rows[0].p).toBeGreaterThan(0.05);
  });

  test("what cannot be compared is refused", () => {
    expect(() => performanceBy([EIGHT, other], "confidence")).toThrow(/each has its own confidence/);
    expect(() => performanceBy([EIGHT] as never, "label")).toThrow(
      /compares two models, \[a, b\]: received an array of 1/,
    );
    expect(() => performanceBy([EIGHT, {}] as never, "label")).toThrow(/what evaluate\(model, dataset\) or predict/);
  });
});

test("a click shows images: those of each part, right and wrong apart", async () => {
  const items = Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, image: landscape() }));
  const data = dataset(items, { name: "pets" });
  const found = performanceBy(EIGHT, "place", { attributes: SIZES });
  expect(found.images.map((own) => own.map(({ id }) => id))).toEqual([["0", "1", "2"], ["3", "4", "5", "6", "7"]]);
  const html = await (await found.withImages(data, { images: 1 })).figure().html();
  expect(html).toContain('"chooses":"place"');
  expect(html).toContain("Wrong · 1 of 2");
  expect(html).toContain("Right · 1 of 4");
  expect(await found.figure().html()).not.toContain('"chooses"');
  const pair = await performanceBy([EIGHT, EIGHT], "place", { attributes: SIZES }).withImages(data).catch((error) =>
    error
  );
  expect(pair).toBeInstanceOf(RangeError);
  await expect(found.withImages(dataset([{ id: "x", image: landscape() }]))).rejects.toThrow(
    /None of the images is in/,
  );
});

test("many classes are points in their order, and the table has both ends", () => {
  const told = Array.from({ length: 100 }, (_, i) => ({ label: "cat", right: i % 3 > 0 }));
  const classes = told.map((_, i) => ({ id: `${i}`, breed: `breed ${i % 50}` }));
  const figure = performanceBy(evaluationOf(told), "breed", { attributes: classes }).figure();
  const [row] = figure.blocks;
  const [chart, table] = row.kind === "row" ? row.blocks : [];
  expect(chart).toMatchObject({ kind: "chart", series: [{ as: "points" }, {}] });
  expect(table.kind === "table" && table.rows).toHaveLength(40);
  expect(figure.caption).toContain("The chart has all 50 from the worst to the best");
});

test("user's columns and answers join in Polars by the images' ids", async () => {
  const joined = (await EIGHT.table()).join(await toDataFrame(SIZES), { on: "id" });
  expect(joined.height).toBe(8);
  const rows = joined.toRecords() as { place: string; right: boolean }[];
  expect(rows.filter(({ place, right }) => place === "indoor" && right)).toHaveLength(1);
});

test("a table of answers that was joined will do: a data frame or rows, with ids or without", async () => {
  const wanted = performanceBy(EIGHT, "place", { attributes: SIZES }).rows;
  const joined = (await EIGHT.table()).join(await toDataFrame(SIZES), { on: "id" });
  expect(performanceBy(joined, "place").rows).toEqual(wanted);
  const rows = (EIGHT.rows as ClassedImage[]).map((row, i) => ({ ...row, ...SIZES[i], id: undefined }));
  expect(performanceBy(rows, "place").rows).toEqual(wanted);
  expect(performanceBy(rows, "label").figure().title).toContain("a table of answers");
  // Of label and prediction alone what is right is known, and how sure the model was is not.
  const least = rows.slice(0, 2).map(({ label, prediction, place }) => ({ label, prediction, place }));
  expect(performanceBy(least, "place").rows).toEqual([{
    value: "indoor",
    n: 2,
    accuracy: 0,
    low: 0,
    high: wilson(0, 2)[1],
  }]);
  expect(worstSlices(rows, SIZES, { least: 1 }).rows).toHaveLength(worstSlices(EIGHT, SIZES, { least: 1 }).rows.length);
  const pair = performanceBy([EIGHT, EIGHT], "place", { attributes: SIZES }).rows;
  expect(performanceBy([joined, joined], "place").rows).toEqual(pair);
  expect(performanceBy([rows, rows], "place").rows).toEqual(pair);
  expect(() => performanceBy(rows, "sise")).toThrow(/no attribute "sise".*"size"/);
  expect(() => performanceBy([{ label: "cat" }], "label")).toThrow(
    /label and prediction .* row 0 has undefined in prediction/,
  );
  expect(() => performanceBy([], "label")).toThrow(/of 0/);
});

test("errors name what is there, and a remedy", () => {
  expect(() => performanceBy(EIGHT, "sise", { attributes: SIZES })).toThrow(/no attribute "sise".*"size"/);
  expect(() => performanceBy(EIGHT, "brightness")).toThrow(/await imageAttributes\(dataset\)/);
  const others = SIZES.map((row) => ({ ...row, id: `x${row.id}` }));
  expect(() => performanceBy(EIGHT, "size", { attributes: others })).toThrow(/None of the 8 images/);
  expect(() => performanceBy({} as Evaluation, "label")).toThrow(/what evaluate\(model, dataset\) or predict/);
  const numbers = new NumberScores({ ids: ["a"], labels: ["age"], actual: [1], predicted: [2] });
  const names = { model: "net", dataset: "pets", kind: "numbers", activation: "linear", note: "" };
  const regression = new Evaluation(numbers, names, { images: 1, worst: [], skipped: [] });
  expect(() => performanceBy(regression, "label")).toThrow(/of numbers none is simply right or wrong/);
  expect(() => worstSlices(EIGHT, 3 as never)).toThrow(/attributes are what imageAttributes\(dataset\) returned/);
});

test("a slice that is worse is found, and what is not worse is not named", () => {
  const random = randomStream(4);
  const told = Array.from({ length: 600 }, (_, i) => ({ label: "cat", right: random() < (i % 6 ? 0.9 : 0.5) }));
  const attributes = told.map((_, i) => ({ id: `${i}`, night: i % 6 === 0, hue: random(), camera: i % 5 }));
  const slices = worstSlices(evaluationOf(told), attributes);
  expect(slices.rows.filter(({ worse }) => worse).map(({ attribute, value }) => [attribute, value])).toEqual([
    ["night", "true"],
  ]);
  expect(slices.figure().title).toBe("net · pets · 1 of 12 slices are worse than the rest");
});

test("of shuffled answers hardly ever a slice is named", () => {
  const runs = long(200, 40);
  const random = randomStream(8);
  let named = 0;
  for (let run = 0; run < runs; run++) {
    const right = Array.from(shuffled(300, random), (place) => place < 220);
    const told = right.map((right, i) => ({ label: i % 2 ? "cat" : "dog", right }));
    const attributes = told.map((_, i) => ({
      id: `${i}`,
      a: random(),
      b: random(),
      c: "xyz"[Math.floor(3 * random())],
    }));
    named += Number(worstSlices(evaluationOf(told), attributes, { level: 0.05 }).rows.some(({ worse }) => worse));
  }
  // Below the 99.9 % quantile of as many throws that succeed with .05.
  expect(named).toBeLessThanOrEqual(long(21, 8));
});

test("Wilson's intervals hold what they promise", () => {
  const random = randomStream(3);
  const runs = 3000;
  for (const share of [0.1, 0.5, 0.85]) {
    let held = 0;
    for (let run = 0; run < runs; run++) {
      let right = 0;
      for (let i = 0; i < 60; i++) right += Number(random() < share);
      const [low, high] = wilson(right, 60);
      held += Number(low <= share && share <= high);
    }
    expect(held / runs).toBeGreaterThan(0.93);
    expect(held / runs).toBeLessThan(0.98);
  }
});
