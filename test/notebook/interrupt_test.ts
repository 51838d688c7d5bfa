/** ■: what is interrupted, what is kept, and that the kernel lives on. */

import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { principalComponents } from "../../lib/embed/pca.ts";
import { cellSignal, Interrupted, interruptible, OVER, PRESSED, presses } from "../../lib/interrupt.ts";
import { withProgress } from "../../lib/notebook/progress.ts";
import { readOptions, RunOptions } from "../../lib/options.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import type { Tensor } from "../../lib/runtime/tensorflow_types.ts";
import { ALL } from "../long.ts";
import { labIsReady, root } from "./nbconvert.ts";

/** As the thread that listens does. */
const press = () => void Atomics.add(presses, PRESSED, 1);
const endCell = () => Atomics.store(presses, OVER, presses[PRESSED]);

describe("a press of ■", () => {
  afterEach(() => {
    endCell();
    cellSignal();
  });

  test("aborts the signals of all work that runs, each joined with the caller's", () => {
    const own = new AbortController();
    const signals = [
      interruptible(),
      interruptible(own.signal),
      readOptions("a", RunOptions, {}).signal!,
      readOptions("b", RunOptions, { signal: own.signal }).signal!,
    ];
    own.abort(new Error("enough"));
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, false, true]);
    press();
    cellSignal();
    expect(signals.map(({ reason }) => reason.name)).toEqual(["AbortError", "Error", "AbortError", "Error"]);
    expect(signals[0].reason).toBeInstanceOf(Interrupted);
  });

  test("keeps the cell from beginning anything more, and the next cell from nothing", () => {
    press();
    expect(interruptible().aborted).toBe(true);
    expect(() => readOptions("saliency", RunOptions, {})).toThrow("The cell was interrupted.");
    // Pressed again before the cell ends.
    press();
    expect(() => readOptions("saliency", RunOptions, {})).toThrow(Interrupted);
    endCell();
    expect(interruptible().aborted).toBe(false);
    expect(readOptions("saliency", RunOptions, {}).batchSize).toBe(8);
  });

  test("ends what holds its thread", () => {
    const points = { data: Float32Array.from({ length: 60 }, (_, i) => Math.sin(i * i)), shape: [12, 5] };
    const all = { components: 2, seed: 0 };
    expect(principalComponents(points, all).points.shape).toEqual([12, 2]);
    press();
    expect(() => principalComponents(points, all)).toThrow(Interrupted);
  });

  test("ends a gradient between two operations; no tensor is left behind", async () => {
    const tf = await ensureBackend();
    const x = tf.tensor1d([1, 2]);
    const before = tf.memory().numTensors;
    const value = (x: Tensor) => {
      const square = tf.square(x);
      press();
      return tf.sum(square);
    };
    expect(() => inputGradient(tf, value, x)).toThrow(Interrupted);
    endCell();
    const { value: sum, gradient } = inputGradient(tf, (x) => tf.sum(tf.square(x)), x);
    expect([...await gradient.data()]).toEqual([2, 4]);
    tf.dispose([sum, gradient]);
    expect(tf.memory().numTensors).toBe(before);
    x.dispose();
  });

  test("is what the bar says", async () => {
    const lines: string[] = [];
    const { writeSync } = Deno.stderr;
    Deno.stderr.writeSync = (bytes) => lines.push(new TextDecoder().decode(bytes));
    try {
      const work = withProgress("Work", 4, (update) => {
        update(1);
        press();
        return Promise.reject(interruptible().reason);
      });
      await expect(work).rejects.toBeInstanceOf(Interrupted);
    } finally {
      Deno.stderr.writeSync = writeSync;
    }
    expect(lines.join("")).toMatch(/Work · interrupted after 1 of 4, [\d.]+ s/);
  });
});

/** A cell for the driver, which presses ■ once it has begun. */
interface Case {
  name: string;
  code: string;
  presses?: number;
  /** Seconds between two presses. */
  gap?: number;
  /** What it has shown when ■ is pressed first. @default "begun" */
  begun?: string;
}

interface Ended {
  name: string;
  end: "idle" | "dead" | "timeout";
  errors: string[];
  shown: string[];
  /** From the first press to the end. */
  seconds: number;
  /** What the next cell shows, which asks for `x`. */
  after: string[];
}

const IMPORT = `
import * as cl from ${JSON.stringify(`file://${root}mod.ts`)};
import { listenForInterrupts } from ${JSON.stringify(`file://${root}lib/notebook/interrupt.ts`)};
const x = "still there";
const noise = (...shape) => ({ data: Float32Array.from({ length: shape[0] * shape[1] }, Math.random), shape });
await listenForInterrupts();
undefined`;

/** @param folder an empty one */
const setup = (folder: string) =>
  `${IMPORT};
await cl.useBackend("wasm");
const model = await cl.loadModel("cifar-convnet");
const cat = await cl.photo("cat");
const some = await cl.cifar10({ split: "test", limit: 200 });
const codes = await cl.codes(model, some, { thumbnail: 8 });
const patches = await cl.topPatches(model, some, { layer: "conv1" });
const young = await cl.cifar10({ classes: ["cat", "dog"], limit: 64 });
const history = await cl.train(await cl.catsVsDogsConvnet(), young, { epochs: 1, validation: 0, live: false });
const map = await cl.tsne(codes, { iterations: 50, perplexity: 10 });
const found = await cl.saliency(model, cat);
const deep = "conv4";
const folder = ${JSON.stringify(folder)};
for (const name of ["cat", "dog"]) {
  const photo = await cl.photo(name);
  await Deno.mkdir(folder + "/" + name);
  for (let i = 0; i < 40; i++) await Deno.writeFile(folder + "/" + name + "/" + i + ".png", await photo.figure().png());
}
const photos = await cl.imageFolder(folder);
const wide = noise(3000, 900);
const square = noise(900, 900);
undefined`;

/** Work without end, so that the press comes while it goes on. */
const endless = (code: string) => `console.log("begun"); for (;;) { ${code}; await 0; }`;

/** Presses ■ by jupyter_client, in a kernel whose first cell is `setup`, as JupyterLab's server does. */
async function pressed(setup: string, cases: Case[]): Promise<Ended[]> {
  const driver = new Deno.Command(`${root}.venv/bin/python`, {
    args: [`${root}test/notebook/interrupt.py`],
    env: { JUPYTER_PREFER_ENV_PATH: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const asked = {
    folder: root,
    setup,
    cases: cases.map((each) => ({ presses: 1, gap: 0, ...each, begun: each.begun ?? "begun" })),
  };
  const writer = driver.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(asked)));
  await writer.close();
  const { success, stdout, stderr } = await driver.output();
  const text = new TextDecoder();
  expect(success, text.decode(stderr)).toBe(true);
  return text.decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
}

const ready = ALL && await labIsReady();

/** Every function that may take long. */
const WORK: Record<string, string> = {
  "predict, an image": "await cl.predict(model, cat)",
  "predict, a data set": "await cl.predict(model, some)",
  activations: `await cl.activations(model, cat, { layer: deep })`,
  codes: "await cl.codes(model, some)",
  correspondence: "await cl.correspondence(model, cat, Array(400).fill(cat))",
  matchAccuracy: "await cl.matchAccuracy(model, some)",
  keypointProbes:
    "await cl.keypointProbes(model, cl.dataset(Array.from({ length: 400 }, () => ({ image: cat, keypoints: { a: [9, 9], b: [3, 4] } }))))",
  alignImages: "await cl.alignImages(model, some)",
  saliency: "await cl.saliency(model, cat)",
  receptiveFieldFigure: "await cl.receptiveFieldFigure(model, cat)",
  inputXGradient: "await cl.inputXGradient(model, cat)",
  guidedBackprop: "await cl.guidedBackprop(model, cat)",
  smoothGrad: "await cl.smoothGrad(model, cat)",
  integratedGradients: "await cl.integratedGradients(model, cat)",
  gradCam: "await cl.gradCam(model, cat)",
  "gradCam, by scores": `await cl.gradCam(model, cat, { variant: "scorecam" })`,
  deconvnet: "await cl.deconvnet(model, cat, { target: { layer: deep, channel: 0 } })",
  occlusion: "await cl.occlusion(model, cat, { size: 4, stride: 1 })",
  faithfulness: "await cl.faithfulness(model, cat, [found])",
  sanityCheck: "await cl.sanityCheck(model, cat, cl.saliency)",
  report: "await cl.report(model, cat, [cl.saliency, cl.gradCam])",
  filters: "await cl.filters(model, { layer: deep })",
  plate: "await cl.plate(model, patches)",
  invert: "await cl.invert(model, cat, { layer: deep, steps: 5000 })",
  featureVisualization: "await cl.featureVisualization(model, { layer: deep, steps: 1000 })",
  deadFilters: "await cl.deadFilters(model, some)",
  invariance: "await cl.invariance(model, some)",
  partCorrespondence:
    "await cl.partCorrespondence(model, cl.dataset([0, 1].map(() => ({ image: cat, keypoints: { nose: [9, 9] } }))))",
  featureEvolution: "await cl.featureEvolution(history, some)",
  featureHierarchy: "await cl.featureHierarchy(model, some)",
  compareDirections: `await cl.compareDirections(model, some, { layer: deep })`,
  compareHumans:
    "await cl.compareHumans({ model, dataset: some, answers: (await Array.fromAsync(some)).map(({ id }) => " +
    "({ trial: '', person: 'Ada', image: id, phase: 'test', shown: '2026-11-30', seconds: 1, labels: ['cat'] })) })",
  compareModels: "await cl.compareModels(model, model, some)",
  directions: `await cl.directions(model, some, { layer: deep, kind: "principal" })`,
  checkInputs: "await cl.checkInputs(model, some)",
  strideDiagnosis: "await cl.strideDiagnosis([model], some)",
  fool: "await cl.fool(model, cat)",
  "fool, by evolution":
    `await cl.fool(model, cat, { method: "evolution", encoding: "direct", target: 3, steps: 1000 })`,
  linearExplanation: "await cl.linearExplanation(model, cat)",
  linearProbes: "await cl.linearProbes(model, some)",
  robustness: "await cl.robustness(model, some)",
  corruptionRobustness: "await cl.corruptionRobustness(model, some)",
  transferability: "await cl.transferability([model, model], some)",
  universalPerturbation: "await cl.universalPerturbation(model, some)",
  train: "await cl.train(model, some, { epochs: 1000, learningRate: 1e-6 })",
  "train, without a view": "await cl.train(model, some, { epochs: 1000, learningRate: 1e-6, live: false })",
  neighbors: "await cl.neighbors(codes)",
  "pca, at random": "cl.pca(wide, { components: 30 })",
  "pca, in full": "cl.pca(square, { components: 20 })",
  tsne: "await cl.tsne(codes, { iterations: 100_000 })",
  place: "await map.place(codes, { seed: 1 })",
  embeddingGrid: "cl.embeddingGrid(codes, map)",
  loadModel: `await cl.loadModel("cifar-convnet")`,
  "predict, a folder": "await cl.predict(model, photos)",
  humanTrial: "await cl.humanTrial(model, some, { path: folder + '/answers.jsonl' })",
  imageAttributes: "await cl.imageAttributes(photos)",
  "evaluate, a folder": "await cl.evaluate(model, photos)",
  "train, reading": "await cl.train(model, photos, { epochs: 1 })",
  "codes, of layers": `await cl.codes(model, photos, { layers: [deep, "conv1"] })`,
  alexnet: "await cl.alexnet()",
  imageFolder: "await cl.imageFolder(folder)",
  "model.save": "await model.save(folder + '/saved')",
  "a data set that is walked": "for await (const { image } of some) image",
};

/** Whose bar is looked at afterwards: pressed while it shows. */
const BARS: Record<string, string> = { tsne: "t-SNE · ", train: "Reading " };

describe.runIf(ready)("in a real kernel", () => {
  test("■ ends every long function with an AbortError; the kernel and its variables live on", async () => {
    const folder = await Deno.makeTempDir();
    onTestFinished(() => Deno.remove(folder, { recursive: true }));
    const cases = Object.entries(WORK).map(([name, code]) => ({ name, code: endless(code), begun: BARS[name] }));
    const ended = await pressed(setup(folder), cases);
    const wanted = { end: "idle", errors: ["AbortError: The cell was interrupted."], after: ["'still there'"] };
    expect(ended.map(({ name, end, errors, after }) => ({ name, end, errors, after: after.map(plain) }))).toEqual(
      Object.keys(WORK).map((name) => ({ name, ...wanted })),
    );
    const shownBy = (name: string) => ended.find((each) => each.name === name)!.shown.join("\n");
    expect(shownBy("tsne")).toMatch(/t-SNE · interrupted after \d+ of 100000/);
    expect(shownBy("train")).toMatch(/interrupted after \d+ of 1000|Reading .* · interrupted after/);
  }, 600_000);

  test("on code of one's own", async () => {
    const [waits, computes, idle, again] = await pressed(IMPORT, [
      { name: "waits", code: `console.log("begun"); await new Promise((done) => setTimeout(done, 6000))` },
      { name: "computes", code: `console.log("begun"); await 0; for (;;);`, presses: 2, gap: 0.5 },
      // Nothing runs any more when it is pressed again.
      { name: "stops at once", code: endless("cl.pca(noise(300, 300))"), presses: 3, gap: 0.7 },
      { name: "again", code: endless("cl.pca(noise(300, 300))") },
    ]);
    expect(waits).toMatchObject({ end: "idle", errors: [] });
    expect(waits.shown.join("")).toContain("Press ■ twice within two seconds to end the kernel");
    expect(computes.end).toBe("dead");
    expect(computes.seconds).toBeLessThan(30);
    for (const { end, errors, after } of [idle, again]) {
      expect({ end, errors, after: after.map(plain) }).toEqual({
        end: "idle",
        errors: ["AbortError: The cell was interrupted."],
        after: ["'still there'"],
      });
    }
  }, 300_000);

  test("a program that is no notebook ends by Ctrl+C as ever", async () => {
    const code = `await import(${
      JSON.stringify(`file://${root}mod.ts`)
    }); console.log("begun"); setInterval(() => {}, 1);`;
    const program = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--config", `${root}deno.json`, code],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = program.stdout.getReader();
    await reader.read();
    program.kill("SIGINT");
    expect((await program.status).signal).toBe("SIGINT");
    await reader.cancel();
  }, 60_000);
});

/** Without the colours of a terminal. */
// deno-lint-ignore no-control-regex
const plain = (text: string) => text.replace(/\x1b\[\d+m/g, "").replaceAll('"', "'");
