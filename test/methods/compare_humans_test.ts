import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { answerLines, type HumanAnswer, imageCode } from "../../lib/data/answers.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { wilson } from "../../lib/embed/logistic.ts";
import { cohenKappa, errorConsistency, mcnemar } from "../../lib/embed/paired.ts";
import { compareHumans } from "../../lib/methods/compare_humans.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { petTrial } from "../trials.ts";
import { tidily } from "../tensors.ts";

const tf = await ensureBackend();
vi.spyOn(console, "log").mockImplementation(() => {});

const CLASSES = ["red", "green", "blue"];
/** What is true, what the network says (the brightest channel), and what two people say, of eight images. */
const SAID = [
  ["red", "red", "red", "red"],
  ["red", "green", "red", "red"],
  ["red", "red", "green", "red"],
  ["green", "green", "green", "blue"],
  ["green", "blue", "blue", "blue"],
  ["blue", "blue", "red", "blue"],
  ["blue", "blue", "blue", "blue"],
  ["blue", "red", "green", "blue"],
];
const items = SAID.map(([label, network], i) => {
  const data = Float32Array.from({ length: 12 }, (_, at) => at % 3 === CLASSES.indexOf(network) ? 200 : 40);
  return { id: `${i}.png`, image: ndarray(data, [2, 2, 3]), label, size: i < 4 ? "small" : "large" };
});
const images = dataset(items, { name: "colours" });

const answer = (i: number, person: string, labels: string[], more: Partial<HumanAnswer> = {}): HumanAnswer => ({
  trial: "a trial",
  person,
  image: `${i}.png`,
  phase: "test",
  shown: new Date(1e12 + 1e4 * i).toISOString(),
  seconds: 1 + i,
  labels,
  ...more,
});
const ada = SAID.map(([, , said], i) => answer(i, "Ada", i === 4 ? [said, "green"] : [said]));
/** Grace has answered five of them. */
const grace = SAID.slice(0, 5).map(([, , , said], i) => answer(i, "Grace", [said]));

let model: Model;
let folder: string;
beforeAll(async () => {
  const network = tf.sequential({
    layers: [
      tf.layers.globalAveragePooling2d({ inputShape: [2, 2, 3] }),
      tf.layers.dense({ units: 3, activation: "softmax", useBias: false, kernelInitializer: "identity" }),
    ],
  });
  model = await loadModel(network, { name: "brightest", labels: CLASSES, preprocess: "unit" });
  folder = await Deno.makeTempDir();
});
afterAll(async () => {
  model.dispose();
  await Deno.remove(folder, { recursive: true });
});

test("errors, tests and agreement of each person on the images that this one answered, counted by hand", async () => {
  const found = await tidily(() => compareHumans({ model, dataset: images, answers: [...ada, ...grace] }, { seed: 4 }));
  const [one, other] = found.rows;
  // Ada errs at 2, 4, 5 and 7, of which her second label is right at 4; the network at 1, 4 and 7.
  const [low, high] = wilson(4, 8);
  expect(one).toMatchObject({ person: "Ada", images: 8, seconds: 4.5, top1Error: 0.5, top1Low: low, top1High: high });
  expect([one.top5Error, one.networkTop1Error, one.networkTop5Error]).toEqual([3 / 8, 3 / 8, 0]);
  const counts = (
    { bothRight, onlyHumanWrong, onlyNetworkWrong, bothWrong }: typeof one,
  ) => [bothRight, onlyHumanWrong, onlyNetworkWrong, bothWrong];
  expect(counts(one)).toEqual([3, 2, 1, 2]);
  expect(one.difference).toBeCloseTo(1 / 8, 12);
  expect(one.differenceLow).toBeLessThan(1 / 8);
  expect(one.differenceHigh).toBeGreaterThan(1 / 8);
  expect([one.p, one.midP]).toEqual(Object.values(mcnemar(2, 1)));
  // Both say the same of 0, 3, 4 and 6.
  expect(one.same).toBe(4 / 8);
  expect(one.kappa).toBe(cohenKappa(SAID.map(([, , said]) => said), SAID.map(([, said]) => said)).value);
  const right = (column: number) => SAID.map((row) => row[column] === row[0]);
  expect(one.errorConsistency).toBe(errorConsistency(right(2), right(1), 4, 3).value);
  // Grace, of the first five: wrong at 3 and 4; the network at 1 and 4.
  expect(other).toMatchObject({ person: "Grace", images: 5, top1Error: 2 / 5, networkTop1Error: 2 / 5, p: 1 });
  expect(counts(other)).toEqual([2, 1, 1, 1]);
  expect(found.between).toHaveLength(1);
  expect(found.between[0]).toMatchObject({ a: "Ada", b: "Grace", images: 5, same: { value: 3 / 5 } });
  // An image counts as right if at least half of those who answered are.
  expect(found.images.map(({ group }) => group)).toEqual([
    "both right",
    "only network wrong",
    "both right",
    "both right",
    "both wrong",
    "only human wrong",
    "both right",
    "both wrong",
  ]);
  expect(found.images[4]).toMatchObject({ id: "4.png", truth: ["green"], humanRight: false, networkRight: false });
  expect((await found.table()).height).toBe(2);
});

test("by five labels, of one person in the figure", async () => {
  const found = await compareHumans({ model, dataset: images, answers: [...ada, ...grace] }, { by: "top5" });
  expect([found.by, found.rows[0].onlyHumanWrong, found.rows[0].bothWrong]).toEqual(["top5", 3, 0]);
  const figure = found.figure({ person: "Grace" });
  const heads = figure.blocks.map(({ heading }) => heading).filter(Boolean);
  expect(heads).toEqual(expect.arrayContaining(["Only Grace wrong (2)", "Both right (3)", "Sort the errors by kind"]));
  expect(() => found.figure({ person: "Alan" })).toThrow(/no answer of "Alan": those who answered are Ada, Grace/);
  // Three classes: five labels are always enough, so no published top-5 errors stand beside them.
  expect(figure.text).not.toContain("published");
});

test("learning curves: errors and times over the last answers, training among them, by the time of showing", async () => {
  const training = [0, 1, 2, 3].map((i) =>
    answer(i, "Ada", ["red"], {
      image: `practice ${i}`,
      phase: "training",
      truth: "blue",
      shown: `2000-01-0${i + 1}T00:00:00Z`,
    })
  );
  const { curves: [{ window, points }] } = await compareHumans(
    { model, dataset: images, answers: [...ada.toReversed(), ...training] },
    { window: 4 },
  );
  expect(window).toBe(4);
  expect(points).toHaveLength(12);
  expect(points.slice(0, 4).every(({ training, right }) => training && !right)).toBe(true);
  expect(points.map(({ error }) => error)).toEqual([
    NaN,
    NaN,
    NaN,
    1,
    3 / 4,
    2 / 4,
    2 / 4,
    1 / 4,
    2 / 4,
    3 / 4,
    2 / 4,
    3 / 4,
  ]);
  expect([points[3].low, points[3].high]).toEqual(wilson(4, 4));
  expect(points.at(-1)!.median).toBe(6.5);
});

test("a taxonomy: by ids, by a column, from the file of the page", async () => {
  const by = { "4.png": "dark", "7.png": ["dark", "odd"], "0.png": "odd" };
  const path = `${folder}/taxonomy.json`;
  await Deno.writeTextFile(path, JSON.stringify(by));
  for (const taxonomy of [by, path]) {
    const { categories } = await compareHumans({ model, dataset: images, answers: ada }, { taxonomy });
    // Ada errs four times, the network three times.
    expect(
      categories.map((
        { category, images, humanErrors, networkErrors },
      ) => [category, images, humanErrors, networkErrors]),
    )
      .toEqual([["dark", 2, 2, 2], ["odd", 2, 1, 1], ["none", 5, 2, 1]]);
    expect(categories[0]).toMatchObject({ humanShare: 2 / 4, humanLow: wilson(2, 4)[0], networkShare: 2 / 3 });
  }
  const { categories } = await compareHumans({ model, dataset: images, answers: ada }, { taxonomy: "size" });
  expect(categories.map(({ category, images }) => [category, images])).toEqual([["large", 4], ["small", 4]]);
  const ask = (taxonomy: string | Record<string, string>) =>
    compareHumans({ model, dataset: images, answers: ada }, { taxonomy });
  await expect(ask("sise")).rejects.toThrow(/no column "sise" with categories.*"size"/);
  await expect(ask({ "x.png": "dark" })).rejects.toThrow(
    /names none of the 8 images .* as "0.png"; its first is "x.png"/,
  );
  await expect(ask(`${folder}/none.json`)).rejects.toThrow(/cannot be read/);
  await Deno.writeTextFile(path, "[1");
  await expect(ask(path)).rejects.toThrow(/is no JSON/);
});

describe("files of answers", () => {
  test("several, with the ids or the codes of a page; a second answer does not count", async () => {
    const [first, second] = [`${folder}/a.jsonl`, `${folder}/b.jsonl`];
    await Deno.writeTextFile(first, answerLines([...ada, { ...ada[0], labels: ["blue"] }]));
    const coded = grace.map((one) => ({ ...one, image: imageCode(one.trial, one.image) }));
    await Deno.writeTextFile(second, answerLines(coded) + '{"torn');
    const found = await compareHumans({ model, dataset: images, answers: [first, second] });
    const wanted = await compareHumans({ model, dataset: images, answers: [...ada, ...grace] });
    expect(found.rows).toEqual(wanted.rows);
    expect(found.figure().caption).toContain("1 answers are second ones");
    expect((await compareHumans({ model, dataset: images, answers: second })).rows).toEqual([wanted.rows[1]]);
  });

  test("what does not fit is told", async () => {
    const path = `${folder}/damaged.jsonl`;
    await Deno.writeTextFile(path, `${answerLines(ada.slice(0, 2))}{"person": 3}\n${answerLines(ada.slice(2))}`);
    const ask = (answers: unknown, more = {}) => compareHumans({ model, dataset: images, answers, ...more } as never);
    await expect(ask(path)).rejects.toThrow(/Line 3 of .*damaged\.jsonl is no answer of a trial/);
    await expect(ask(`${folder}/nothing.jsonl`)).rejects.toThrow(/There is no answer in .*nothing\.jsonl/);
    await expect(ask([answer(0, "Ada", ["gren"])])).rejects.toThrow(
      /"Ada" to the image "0.png" names "gren".*none of the 3 .*"green"/,
    );
    await expect(ask([...ada, answer(99, "Ada", ["red"])])).rejects.toThrow(
      /1 of 9 answers are of images that the data set "colours"/,
    );
    await expect(ask([answer(0, "Ada", ["red"], { phase: "training", truth: "red" })])).rejects.toThrow(
      /no answer of the test/,
    );
    await expect(ask(7)).rejects.toThrow(/answers are a file's path/);
    await expect(ask([{}])).rejects.toThrow(/answers are a file's path/);
    await expect(compareHumans(3 as never)).rejects.toThrow(/wants what humanTrial returned.*received 3/);
    await expect(compareHumans([] as never)).rejects.toThrow(/received an array without any/);
  });
});

test("a trial: it knows its model, its images and its answers; without one it says what to do", async () => {
  const trial = await petTrial(`${folder}/trial.jsonl`);
  onTestFinished(() => trial.close());
  await expect(compareHumans(trial)).rejects.toThrow(
    /no answer of the test yet in .*trial\.jsonl: label images in the trial/,
  );
  const all = [...trial.truth].map(([image, truth], i): HumanAnswer => ({
    ...answer(i, "Ada", [truth]),
    trial: trial.id,
    image,
    phase: trial.trainingIds.includes(image) ? "training" : "test",
  }));
  const path = `${folder}/taken.jsonl`;
  await Deno.writeTextFile(path, answerLines(all));
  await trial.add(path);
  const found = await tidily(() => compareHumans(trial));
  expect(found.rows[0]).toMatchObject({ person: "Ada", images: 6, top1Error: 0, onlyHumanWrong: 0 });
  expect(found.curves[0].points.filter(({ training }) => training)).toHaveLength(2);
  expect((await compareHumans([trial])).rows).toEqual(found.rows);
  expect(found.rows[0].networkTop1Error).toBeCloseTo(
    found.images.filter(({ network, truth }) => network[0] !== truth[0]).length / 6,
    12,
  );
  const other = await petTrial(`${folder}/other.jsonl`);
  onTestFinished(() => other.close());
  await expect(compareHumans([trial, other])).rejects.toThrow(/have one model/);
});
