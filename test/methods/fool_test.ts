import { afterAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { fool, type FoolOptions } from "../../lib/methods/fool.ts";
import { loadModel } from "../../lib/model/load.ts";
import { Attacker } from "../../lib/probe/attack/attack.ts";
import { deepFool } from "../../lib/probe/attack/deep_fool.ts";
import { savedWithin } from "../../lib/probe/attack/saved.ts";
import { changed } from "../../lib/results/panels.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long } from "../long.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";
import fixture from "../oracles/fixtures/attacks.json" with { type: "json" };

const tf = await ensureBackend();
const before = tf.memory().numTensors;
afterAll(() => expect(tf.memory().numTensors).toBe(before));

type Weights = { shape: number[]; values: number[] };

/** A network of Foolbox's fixture; `activation` of its end. */
async function net({ kernel, dense }: { kernel: Weights | null; dense: Weights }, activation: "softmax" | "linear") {
  const shape = fixture.shape.slice(1);
  const classes = dense.shape[1];
  const layers = [
    ...kernel
      ? [tf.layers.conv2d({ inputShape: shape, filters: 5, kernelSize: 3, activation: "relu", useBias: false })]
      : [],
    tf.layers.flatten(kernel ? {} : { inputShape: shape }),
    tf.layers.dense({ units: classes, activation, useBias: false }),
  ];
  const network = tf.sequential({ layers });
  tf.tidy(() => network.setWeights([kernel, dense].flatMap((one) => one ? [tf.tensor(one.values, one.shape)] : [])));
  return await loadModel(network, { preprocess: "unit", output: "classes" });
}

const size = fixture.images.length / 2;
const views = [0, 1].map((i) =>
  ndarray(Float32Array.from(fixture.images.slice(i * size, (i + 1) * size)), fixture.shape.slice(1))
);

describe.each(fixture.nets)("attacks equal Foolbox's: $name", (oracle) => {
  test.each(["softmax", "linear"] as const)("%s", async (activation) => {
    const model = await net(oracle, activation);
    const attacker = await Attacker.of("test", model, 4);
    const equal = (name: keyof typeof oracle.changes, made: readonly Float32Array[]) =>
      made.forEach((pixels, i) => {
        const wanted = oracle.changes[name][i];
        const largest = Math.max(...wanted.map(Math.abs));
        const off = wanted.filter((value, at) => Math.abs(pixels[at] - views[i].data[at] - value) > 1e-4 * largest);
        expect(off.length, `${name}, image ${i}`).toBe(0);
      });
    const run = { steps: 10, seed: 0 };
    equal("fgsm", await attacker.perturb(views, oracle.labels, { method: "fgsm", epsilon: 8, ...run }));
    const pgd = { method: "iterative", epsilon: 6, stepSize: 2, ...run } as const;
    equal("pgd", await attacker.perturb(views, oracle.labels, pgd));
    equal("pgd targeted", await attacker.perturb(views, oracle.targets.map((towards) => ({ towards })), pgd));
    const long = { ...pgd, norm: "l2", epsilon: 60, stepSize: 15 } as const;
    equal("pgd l2", await attacker.perturb(views, oracle.labels, long));
    const from = (name: keyof typeof fixture.starts) => fixture.starts[name].map((start) => Float32Array.from(start));
    const [near, far] = [from("pgd started"), from("pgd l2 started")];
    equal("pgd started", await attacker.perturb(views, oracle.labels, { ...pgd, method: "pgd" }, 0, near));
    equal("pgd l2 started", await attacker.perturb(views, oracle.labels, { ...long, method: "pgd" }, 0, far));
    const least = await Promise.all(
      views.map((view) => deepFool(attacker, view, view.data as Float32Array, { bounded: true })),
    );
    equal("deepfool", least.map((change, i) => views[i].data.map((value, at) => value + change![at]) as Float32Array));
    attacker.dispose();
    model.dispose();
  });
});

test("of several inputs only the image changes; the smallest change is the distance of the border, by hand", async () => {
  const image = tf.input({ shape: [2, 2, 1], name: "image" });
  const angle = tf.input({ shape: [1], name: "angle" });
  const flat = tf.layers.flatten().apply(image) as typeof image;
  const all = tf.layers.concatenate().apply([flat, angle]) as typeof image;
  const out = tf.layers.dense({ units: 2, useBias: false, activation: "softmax" }).apply(all) as typeof image;
  const network = tf.model({ inputs: [image, angle], outputs: out });
  const model = await loadModel(network, { preprocess: "unit", labels: ["a", "b"] });
  const slopes = [1, -2, 2, 0];
  // b leads a by 0.4 (1 − 2 + 2) of the pixels, and by −5 times the angle.
  tf.tidy(() => model.network.setWeights([tf.tensor([...slopes, -5].flatMap((slope) => [0, slope]), [5, 2])]));
  const view = await model.view({ image: ndarray(new Float32Array(4).fill(102), [2, 2, 1]), angle: [0.2] });
  const attacker = await Attacker.of("test", model, 4);
  const change = await deepFool(attacker, view, view.data as Float32Array);
  // The lead is 0.4 − 1, and 3 the length of the slopes; one step goes 1.02 times as far.
  const wanted = slopes.map((slope) => 1.02 * 255 * 0.6 / 9 * slope);
  wanted.forEach((value, i) => expect(change![i]).toBeCloseTo(value, 2));
  attacker.dispose();
  model.dispose();
});

test("a change of any number of channels is drawn about grey", () => {
  const image = { data: Float32Array.of(2, 4, 0, -1, 0, 0, 0, 0), shape: [2, 2, 2] };
  expect(changed(image, 10)).toEqual({ data: Float32Array.of(158, 123, 128, 128), shape: [2, 2, 1] });
  expect(changed({ ...image, shape: [2, 4, 1] }, 1).data).toEqual(
    Float32Array.of(130, 132, 128, 127, 128, 128, 128, 128),
  );
});

const picture = (seed: number, shape = [8, 8, 3]) => {
  const random = uniforms(seed);
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 256 * random() - 0.4).map((value) =>
    Math.min(255, Math.max(0, value))
  );
  return new Image(ndarray(data, shape), { name: `image ${seed}`, source: "a test" });
};

/** A small network for pictures of 8×8. */
async function small(
  units: number,
  activation: "softmax" | "sigmoid" | "linear",
  output?: "labels" | "numbers",
  channels = 3,
) {
  const network = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [8, 8, channels], filters: 4, kernelSize: 3, activation: "relu" }),
      tf.layers.flatten(),
      tf.layers.dense({ units, activation }),
    ],
  });
  const random = uniforms(units + channels);
  tf.tidy(() =>
    network.setWeights(
      network.getWeights().map(({ shape, size }) =>
        tf.tensor(Float32Array.from({ length: size }, () => random() - 0.5), shape)
      ),
    )
  );
  return await loadModel(network, { name: "small", preprocess: "unit", output });
}

test("no change exceeds epsilon or leaves 0 to 255, in whole numbers", async () => {
  const model = await small(3, "softmax");
  const random = uniforms(2);
  for (let run = 0; run < long(40, 8); run++) {
    const norm = run % 2 ? "l2" : "linf";
    const epsilon = (norm === "l2" ? 60 : 12) * random();
    const method = (["fgsm", "iterative", "pgd"] as const)[run % 3];
    const options = { method, norm, epsilon, steps: 1 + run % 5, seed: run } as const;
    const { image, perturbation, original, largest, distance } = await fool(model, picture(run), options);
    expect(norm === "l2" ? distance : largest, JSON.stringify(options)).toBeLessThanOrEqual(epsilon);
    image.data.forEach((value, i) => {
      expect(value === Math.round(value) && value >= 0 && value <= 255).toBe(true);
      expect(value - original.data[i]).toBe(perturbation.data[i]);
    });
  }
  model.dispose();
});

test("rounding shortens what is too long, and takes nothing from what is short", () => {
  const image = Float32Array.of(10, 20, 255, 0);
  expect([...savedWithin(image, Float32Array.of(12.6, 18.9, 256, -3), 2.5, "linf")]).toEqual([12, 19, 255, 0]);
  expect([...savedWithin(image, Float32Array.of(13, 16, 255, 0), 5, "l2")]).toEqual([13, 16, 255, 0]);
  const short = savedWithin(image, Float32Array.of(12.6, 17.4, 255, 0), 3, "l2");
  expect(Math.hypot(short[0] - 10, short[1] - 20)).toBeLessThanOrEqual(3);
});

test("what is told is true of the saved image; the same seed gives the same", async () => {
  const model = await loadModel(await wavesNet(), { labels: ["meadow", "desert", "sea", "field", "night"] });
  const options: Partial<FoolOptions> = { method: "pgd", epsilon: 20, steps: 8, seed: 3, maps: true };
  const made = await fool(model, landscape(), options);
  expect(made.fooled).toBe(made.before.label !== made.after.label);
  expect(made.rows.map((row) => row.as)).toEqual([
    "8 bits",
    "PNG",
    "JPEG 95",
    "JPEG 75",
    "JPEG 50",
    "half the size and back",
  ]);
  expect(made.rows[1].probability).toBeCloseTo(made.after.probability!, 5);
  expect(made.maps!.map(({ shape }) => shape.length)).toEqual([2, 2]);
  expect((await fool(model, landscape(), options)).image).toEqual(made.image);
  expect(made.figure().title).toContain(`${made.before.label} `);
  model.dispose();
});

test("images that are wrong before are left as they are, and counted apart", async () => {
  const model = await small(3, "softmax");
  const plain = await Promise.all([1, 2, 3, 4].map((seed) => fool(model, picture(seed), { epsilon: 1, steps: 1 })));
  const items = plain.map(({ before }, i) => ({
    id: `${i}`,
    label: i === 0 ? ["class 0", "class 1", "class 2"].find((label) => label !== before.label)! : before.label,
    image: picture(i + 1),
  }));
  const found = await fool(model, dataset(items), { epsilon: 40, steps: 10 });
  expect([found.length, found.attacked, found.wrong]).toEqual([4, 3, 1]);
  expect(found[0].perturbation.data.every((value) => value === 0)).toBe(true);
  expect(found.fooled).toBe(found.filter(({ fooled }) => fooled).length);
  expect(found.figure().title).toMatch(
    /^small · PGD ε 40, 10 steps: \d of 3 fooled \(\d+ % to \d+ %\), 1 were wrong before/,
  );
  model.dispose();
});

test("labels flip, numbers rise or fall, two classes by one number change places", async () => {
  const labels = await small(4, "sigmoid", "labels");
  const flipped = await fool(labels, picture(5), { target: 2, epsilon: 60, steps: 20 });
  const [was, is] = [flipped.before.probability!, flipped.after.probability!];
  expect(flipped.before.label).toBe("label 2");
  expect(was < 0.5 ? is > was : is < was).toBe(true);
  expect(flipped.fooled).toBe(was < 0.5 !== is < 0.5);
  labels.dispose();
  const numbers = await small(2, "linear", "numbers", 1);
  for (const direction of ["up", "down"] as const) {
    const moved = await fool(numbers, picture(6, [8, 8, 1]), { target: 1, direction, epsilon: 5, steps: 5 });
    expect(Math.sign(moved.after.value! - moved.before.value!)).toBe(direction === "up" ? 1 : -1);
    expect(moved.fooled).toBeNull();
  }
  const unit = { layer: numbers.layers[1].name, channel: 1 };
  const excited = await fool(numbers, picture(6, [8, 8, 1]), { target: unit, epsilon: 5, steps: 5 });
  expect(excited.after.value).toBeGreaterThan(excited.before.value!);
  numbers.dispose();
  const binary = await small(1, "sigmoid");
  const other = await fool(binary, picture(7), { epsilon: 80, steps: 20 });
  expect(other.fooled).toBe(other.before.label !== other.after.label);
  binary.dispose();
});

test("errors name what is wanted", async () => {
  const model = await small(3, "softmax");
  await expect(fool(model, picture(1), { method: "deepfool", target: 1 })).rejects.toThrow(/nearest other class/);
  await expect(fool(model, picture(1), { target: 9 })).rejects.toThrow(RangeError);
  await expect(fool(model, picture(1), { method: "fsgm" as "fgsm" })).rejects.toThrow(/"fgsm"/);
  model.dispose();
  const signals = tf.sequential({
    layers: [
      tf.layers.conv1d({ inputShape: [12, 2], filters: 2, kernelSize: 3 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, activation: "softmax" }),
    ],
  });
  const heard = await loadModel(signals, { name: "ear" });
  await expect(fool(heard, ndarray(new Float32Array(24), [12, 2]))).rejects.toThrow(/"ear" reads signals/);
  heard.dispose();
});
