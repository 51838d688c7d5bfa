/**
 * Every kind of figure, one named function each; `figures_test.ts` compares what they draw with `figures/`.
 *
 * The nets are small and their weights set by hand or seeded, so that the figures repeat exactly.
 */

import { type NdArray, ndarray } from "../../lib/array.ts";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import type { Block, Picture } from "../../lib/figure/blocks.ts";
import { colorize } from "../../lib/figure/color.ts";
import { Figure } from "../../lib/figure/figure.ts";
import { type Pixels, pixelsOf } from "../../lib/figure/mosaic.ts";
import { historyFigure } from "../../lib/results/training_figures.ts";
import { trainingFigure } from "../../lib/results/live_training.ts";
import { progressHtml, progressText } from "../../lib/notebook/progress.ts";
import { composed, rotation, scaling, translation, warp } from "../../lib/data/warp.ts";
import { activations } from "../../lib/methods/activations.ts";
import { alignImages } from "../../lib/methods/align_images.ts";
import { correspondence } from "../../lib/methods/correspondence.ts";
import { matchAccuracy } from "../../lib/methods/match_accuracy.ts";
import { DeadFilters } from "../../lib/results/dead_filters.ts";
import { Directions } from "../../lib/results/directions.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { evaluate } from "../../lib/methods/evaluate.ts";
import { humanTrial } from "../../lib/methods/human_trial.ts";
import { imageAttributes } from "../../lib/methods/image_attributes.ts";
import { performanceBy } from "../../lib/methods/performance_by.ts";
import { worstSlices } from "../../lib/methods/worst_slices.ts";
import { ClassScores } from "../../lib/results/class_scores.ts";
import { faithfulness } from "../../lib/methods/faithfulness.ts";
import { featureVisualization } from "../../lib/methods/feature_visualization.ts";
import { filters } from "../../lib/methods/filters.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { plate } from "../../lib/methods/plate.ts";
import { predict } from "../../lib/methods/predict.ts";
import { topPatches, type TopPatchesOptions } from "../../lib/methods/top_patches.ts";
import { receptiveFieldFigure } from "../../lib/methods/receptive_field_figure.ts";
import { sanityCheck } from "../../lib/methods/sanity_check.ts";
import { report } from "../../lib/methods/report.ts";
import { checkInputs } from "../../lib/methods/check_inputs.ts";
import { codes } from "../../lib/methods/codes.ts";
import { featureEvolution } from "../../lib/methods/feature_evolution.ts";
import { featureHierarchy } from "../../lib/methods/feature_hierarchy.ts";
import { train } from "../../lib/methods/train.ts";
import { compareHumans } from "../../lib/methods/compare_humans.ts";
import { compareModels } from "../../lib/methods/compare_models.ts";
import { compareDirections } from "../../lib/methods/compare_directions.ts";
import { invariance } from "../../lib/methods/invariance.ts";
import { partCorrespondence } from "../../lib/methods/part_correspondence.ts";
import { compare } from "../../lib/methods/compare.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { invert } from "../../lib/methods/invert.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { mapFigure } from "../../lib/figure/map/map.ts";
import { embeddingGrid } from "../../lib/methods/embedding_grid.ts";
import { fool } from "../../lib/methods/fool.ts";
import { linearExplanation } from "../../lib/methods/linear_explanation.ts";
import { CorruptionRobustness } from "../../lib/results/corruption_robustness.ts";
import { exampleOf } from "../../lib/results/invariance.ts";
import { blurred } from "../../lib/data/corrupt.ts";
import { Robustness } from "../../lib/results/robustness.ts";
import { wilson } from "../../lib/embed/logistic.ts";
import { transferability } from "../../lib/methods/transferability.ts";
import { linearProbes } from "../../lib/methods/linear_probes.ts";
import { neighbors } from "../../lib/methods/neighbors.ts";
import { pca } from "../../lib/methods/pca.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { Evaluation } from "../../lib/results/evaluation.ts";
import { LabelScores, NumberScores } from "../../lib/results/value_scores.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { SymbolicTensor } from "@tensorflow/tfjs";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";
import { sampleHistory } from "./history.ts";

let model: Promise<Model> | undefined;

function waves(): Promise<Model> {
  return model ??= wavesNet().then((net) =>
    loadModel(net, { name: "waves", labels: ["meadow", "desert", "open sea", "sunflower field", "night sky"] })
  );
}

const scene = new Image(landscape(), { name: "landscape", source: "a formula", about: "A sun over a striped field." });

export async function prediction(): Promise<Figure> {
  return (await predict(await waves(), scene)).figure();
}

export async function predictionOfMapAndNumber(): Promise<Figure> {
  const tf = await ensureBackend();
  const input = tf.input({ shape: [48, 48, 3] });
  const starts = (seed: number) => tf.initializers.randomNormal({ stddev: 2, seed });
  const maps = tf.layers.conv2d({
    filters: 4,
    kernelSize: 3,
    strides: 2,
    padding: "same",
    activation: "relu",
    kernelInitializer: starts(6),
  })
    .apply(input) as SymbolicTensor;
  const parts = tf.layers.conv2d({
    filters: 3,
    kernelSize: 1,
    activation: "softmax",
    name: "scene",
    kernelInitializer: starts(2),
  })
    .apply(maps) as SymbolicTensor;
  const means = tf.layers.globalAveragePooling2d({} as never).apply(maps) as SymbolicTensor;
  const height = tf.layers.dense({ units: 1, name: "height", kernelInitializer: starts(4) }).apply(
    means,
  ) as SymbolicTensor;
  const network = tf.model({ inputs: input, outputs: [parts, height] });
  const output = [{ labels: ["sky", "field", "sun"] }, { layer: "height", unit: "m" }];
  return (await predict(await loadModel(network, { name: "scenes", preprocess: "unit", output }), scene)).figure();
}

export async function activationsWithDeadMaps(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "conv1" })).figure();
}

export async function activationsSigned(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "conv2" })).figure();
}

export async function activationsOnOneScale(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "pool2" })).figure({ scale: "layer" });
}

export async function activationsInInferno(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "relu2" })).figure({ palette: "inferno" });
}

export async function activationsOfSevenChannels(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "conv1", channels: [0, 1, 2, 3, 8, 9, 11] })).figure();
}

export async function activationsOfVector(): Promise<Figure> {
  return (await activations(await waves(), scene, { layer: "classes" })).figure();
}

export async function walk(): Promise<Figure> {
  return (await activations(await waves(), scene)).figure({ maps: 12 });
}

export async function filtersFirstLayer(): Promise<Figure> {
  return (await filters(await waves(), { layer: "conv1" })).figure({ sort: "colorfulness", descending: true });
}

export async function filtersDeeper(): Promise<Figure> {
  return (await filters(await waves(), { layer: "conv2" })).figure({ filters: 4 });
}

export async function filtersDense(): Promise<Figure> {
  return (await filters(await waves(), { layer: "classes" })).figure({ kernels: 20 });
}

export async function modelTable(): Promise<Figure> {
  return (await waves()).figure();
}

export function image(): Figure {
  return scene.figure();
}

/** The bar of work under way, as a cell shows it. */
export function progress(): string {
  return progressHtml(progressText("Loading resnet50 <1 of 2>", 40, 100, 12_345), 0.4);
}

export async function deconvnetOfUnit(): Promise<Figure> {
  return (await deconvnet(await waves(), scene, { target: { layer: "relu2", channel: 5 }, path: true })).figure();
}

const EPOCHS = Array.from({ length: 16 }, (_, i) => i + 1);

/** Lines that share a colour in pairs, labelled at their ends; a band; a log axis; a legend where labels are long. */
export function chartsOfLines(): Figure {
  const random = uniforms(5);
  const falling = (end: number, start: number) => EPOCHS.map((e) => end + start * Math.exp(-e / 5) + 0.03 * random());
  const rising = (end: number) => EPOCHS.map((e) => end * (1 - 0.7 * Math.exp(-e / 4)));
  return new Figure({
    title: "waves · charts of lines",
    blocks: [
      {
        kind: "row",
        blocks: [
          {
            kind: "chart",
            alt: "The loss falls over sixteen epochs, that of the validation less.",
            x: { title: "epoch", whole: true },
            y: { title: "loss", min: 0 },
            series: [
              { label: "training", x: EPOCHS, y: falling(0.3, 2) },
              { label: "validation", x: EPOCHS, y: falling(0.8, 1.5), dashed: true },
            ],
          },
          {
            kind: "chart",
            alt: "The share of zeros rises over sixteen epochs in all layers.",
            x: { title: "epoch", whole: true },
            y: { title: "share of zeros", min: 0, max: 1 },
            series: ["conv1", "conv2", "conv3", "pool3"].map((label, i) => ({
              label,
              x: EPOCHS,
              y: rising(0.45 + 0.14 * i),
            })),
          },
        ],
      },
      {
        kind: "row",
        blocks: [
          {
            kind: "chart",
            alt: "Insertion curves of two methods with their intervals.",
            x: { title: "share of pixels shown", min: 0, max: 1 },
            y: { title: "probability of meadow", min: 0, max: 1 },
            series: ["integrated gradients of fifty steps", "a random order of the pixels"].map((label, k) => {
              const x = Array.from({ length: 21 }, (_, i) => i / 20);
              const y = x.map((share) => (0.95 - 0.1 * k) * share ** (0.4 + k));
              return { label, x, y, low: y.map((v) => v * 0.9), high: y.map((v) => Math.min(1, v * 1.1)) };
            }),
          },
          {
            kind: "chart",
            alt: "The norm of the gradient over the rate, on log axes, with a gap.",
            x: { title: "learning rate", scale: "log" },
            y: { title: "norm of the gradient", scale: "log" },
            series: [{
              label: "batch of 16",
              x: [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1],
              y: [2e-5, 3e-3, 0.05, NaN, 1.3, 240],
            }],
          },
        ],
      },
    ],
  });
}

export function chartsOfPointsAndBars(): Figure {
  const random = uniforms(7);
  const cloud = (x0: number, y0: number) => ({
    x: Array.from({ length: 80 }, () => x0 + random() + random()),
    y: Array.from({ length: 80 }, () => y0 + 0.5 * random() * random()),
  });
  const classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
  const accuracy = (base: number) => classes.map(() => base + 0.25 * random());
  const places = classes.map((_, i) => i);
  const [small, large] = [accuracy(0.55), accuracy(0.7)];
  return new Figure({
    title: "waves · charts of points and bars",
    blocks: [{
      kind: "row",
      blocks: [
        {
          kind: "chart",
          alt: "Cats and dogs as two clouds of points.",
          x: { title: "mean activation" },
          y: { title: "share of zeros" },
          series: [
            { label: "cats", as: "points", ...cloud(0, 0) },
            { label: "dogs", as: "points", ...cloud(0.8, 0.2) },
          ],
        },
        {
          kind: "chart",
          alt: "The accuracy of two networks for each of ten classes, with intervals.",
          x: { title: "" },
          y: { title: "accuracy", min: 0, max: 1 },
          names: classes,
          series: [
            { label: "small network", y: small },
            { label: "large network", y: large },
          ].map(({ label, y }) => ({
            label,
            as: "bars" as const,
            x: places,
            y,
            low: y.map((v) => v - 0.04),
            high: y.map((v) => v + 0.04),
          })),
        },
      ],
    }],
  });
}

/** A bump of 14×14 numbers, and its picture. */
function bump(shift: number): { values: NdArray; pixels: Pixels } {
  const side = 14;
  const values = ndarray(
    Float32Array.from(
      { length: side * side },
      (_, i) => Math.exp(-(((i % side) - 7 - shift) ** 2 + (Math.floor(i / side) - 7) ** 2) / 12),
    ),
    [side, side],
  );
  const rgb = Float32Array.from(colorize(values.data, 0, 1, "inferno"));
  return { values, pixels: pixelsOf(ndarray(rgb, [side, side, 3]), 16) };
}

/** Frames over time, and a map over the photo, each with its slider where scripts run. */
export function slidersOverTime(): Figure {
  const photo = pixelsOf(scene, Math.floor(224 / scene.shape[0]));
  const shifts = [-5, -2, 0, 3];
  const { values, pixels } = bump(2);
  const frames = shifts.map((shift, i) => {
    const picture: Block = { kind: "picture", ...bump(shift), alt: `a bump at ${shift}` };
    return { label: `${i + 1}`, block: picture };
  });
  return new Figure({
    title: "landscape · sliders",
    blocks: [{
      kind: "row",
      blocks: [
        { kind: "slides", heading: "Over time", label: "epoch", frames, start: 2 },
        { kind: "blend", heading: "Over the photo", below: photo, above: pixels, values, alt: "a bump over a field" },
      ],
    }],
  });
}

/** A map whose cells mark their place on the photo. */
export function markedPhoto(): Figure {
  const photo: Picture = {
    kind: "picture",
    heading: "photo",
    pixels: pixelsOf(scene, Math.floor(224 / scene.shape[0])),
    alt: "a sun over a striped field",
  };
  const { values, pixels } = bump(0);
  const boxes = Array.from({ length: 14 * 14 }, (_, i) => {
    const [y, x] = [Math.floor(i / 14) * 16, (i % 14) * 16];
    return [y - 16, x - 16, y + 32, x + 32] as const;
  });
  return new Figure({
    title: "landscape · a square at each place",
    blocks: [{
      kind: "row",
      blocks: [photo, {
        kind: "picture",
        heading: "probability",
        note: "with the square there",
        pixels,
        values,
        alt: "the probability at each place of the square",
        marks: { on: photo, boxes, fill: "#808080" },
      }],
    }],
  });
}

/** The landscape at several hours of the day, labelled. */
function hours(): Dataset {
  const lights = [0.02, 0.1, 0.4, 1];
  return {
    name: "four hours",
    size: lights.length,
    labels: ["meadow"],
    async *[Symbol.asyncIterator]() {
      for (const [i, light] of lights.entries()) {
        const { data, shape } = landscape();
        const image = new Image({ data: data.map((value) => value * light), shape }, {
          name: "hour",
          source: "a formula",
        });
        yield await Promise.resolve({ id: String(i), image, label: "meadow" });
      }
    },
  };
}

export function deadFiltersOfTwoLayers(): Figure {
  const shares = {
    conv1: [1, 0.9, 0.5, 0, 1, 0.004, 0.2, 1],
    dense1: Array.from({ length: 40 }, (_, i) => (i % 7) / 6),
  };
  const rows = Object.entries(shares).flatMap(([layer, own]) =>
    own.map((activeFraction, channel) => ({
      layer,
      channel,
      max: 3 * activeFraction,
      mean: activeFraction / 4,
      activeFraction,
      activeCells: activeFraction / 2,
      dead: activeFraction === 0,
      hardly: activeFraction > 0 && activeFraction < 0.01,
    }))
  );
  return new DeadFilters(rows, { size: 500, skipped: [] }, {
    model: "sample-net",
    dataset: "made-up images",
    hardly: 0.01,
  }).figure();
}

export function directionsOfClasses(): Figure {
  const names = ["cat", "dog", "ship"];
  const weights = (k: number) => {
    const raw = Float32Array.from({ length: 24 }, (_, c) => Math.sin(c * (k + 2)) ** 3);
    const length = Math.sqrt(raw.reduce((sum, value) => sum + value * value, 0));
    return raw.map((value) => value / length);
  };
  const vectors = Object.fromEntries(names.map((name, k) => [name, weights(k)]));
  const rows = names.map((name, k) => ({
    name,
    kind: "classes" as const,
    channel: 5 * k,
    weight: vectors[name][5 * k],
    spread: 9.5 + k,
    share: null,
    images: 20 + k,
  }));
  return new Directions({ layer: "conv4", kind: "classes", vectors, rows }, [], {
    model: "sample-net",
    dataset: "made-up images",
  }).figure();
}

export const historyCurves = (): Figure => historyFigure(sampleHistory());

export const historySparsity = (): Figure => historyFigure(sampleHistory(), { view: "sparsity" });

export const historyFilters = (): Figure => historyFigure(sampleHistory(), { view: "filters" });

export const historyActivations = (): Figure => historyFigure(sampleHistory(), { view: "activations" });

/** What the cell shows while a network learns. */
export function trainingUnderWay(): Figure {
  const history = sampleHistory();
  const title = `Training ${history.model} on ${history.dataset} · epoch 5 of 8 · loss 0.71, accuracy 83.1 %`;
  return trainingFigure(history, history.snapshots.at(-1), { title, order: "rgb" });
}

export async function strides(): Promise<Figure> {
  return (await strideDiagnosis([await waves()], hours(), { images: 1 })).figure();
}

export async function occlusionOfTwoSizes(): Promise<Figure> {
  return (await occlusion(await waves(), scene, { size: [8, 14], stride: 3 })).figure();
}

export async function occlusionAsScore(): Promise<Figure> {
  const options = { target: "desert", size: 10, stride: 4, baseline: "mean", layer: "conv1" } as const;
  return (await occlusion(await waves(), scene, options)).figure({ show: "score" });
}

export async function occlusionOfTwoImages(): Promise<Figure> {
  const dark = new Image({ data: landscape().data.map((value) => value / 2), shape: [32, 32, 3] }, {
    name: "dusk",
    source: "a formula",
  });
  return (await occlusion(await waves(), [scene, dark], { size: 8, stride: 4 })).figure();
}

/** A sheet of one image for two targets. */
export async function saliencyForTwoTargets(): Promise<Figure> {
  return (await saliency(await waves(), scene, { target: ["desert", "open sea"] })).figure();
}

export async function receptiveField(): Promise<Figure> {
  const { name } = (await waves()).layers.findLast(({ receptiveField }) => receptiveField)!;
  return await receptiveFieldFigure(await waves(), scene, { layer: name, cell: [0, 2] });
}

export async function saliencySigned(): Promise<Figure> {
  return (await saliency(await waves(), scene, { signed: true })).figure();
}

export async function guidedBackpropOfUnit(): Promise<Figure> {
  return (await guidedBackprop(await waves(), scene, { target: { layer: "conv2", channel: 3 } })).figure();
}

export async function classActivationMap(): Promise<Figure> {
  return (await gradCam(await waves(), scene, { target: "sunflower field" })).figure({ palette: "grey" });
}

export async function attributionsCompared(): Promise<Figure> {
  const model = await waves();
  const target = "desert";
  return compare([
    await saliency(model, scene, { target }),
    await integratedGradients(model, scene, { target, steps: 8, baseline: "blurred" }),
    await guidedBackprop(model, scene, { target }),
    await gradCam(model, scene, { target, variant: "layercam" }),
  ]).figure();
}

export async function faithfulnessOfMaps(): Promise<Figure> {
  const maps = [await saliency(await waves(), scene), await integratedGradients(await waves(), scene)];
  return (await faithfulness(await waves(), scene, maps, { steps: 16 })).figure();
}

export async function sanityCheckOfGradient(): Promise<Figure> {
  return (await sanityCheck(await waves(), scene, saliency)).figure();
}

export async function attributionReport(): Promise<Figure> {
  return (await report(await waves(), scene, [saliency, integratedGradients, guidedBackprop], { steps: 8 })).figure();
}

/** The landscape, each time in another light. */
function lights(): Dataset {
  const random = uniforms(11);
  const { data, shape } = landscape();
  const items = Array.from({ length: 24 }, (_, i) => {
    const light = [0, 1, 2].map(() => 0.3 + 0.9 * random());
    const pixels = ndarray(data.map((value, j) => Math.min(255, value * light[j % 3])), shape);
    const image = new Image(pixels, { name: `light ${i}`, source: "a formula" });
    return { id: `light ${i}`, image, label: light[0] > light[2] ? "evening" : "noon" };
  });
  return {
    name: "24 lights",
    size: 24,
    async *[Symbol.asyncIterator]() {
      yield* items;
    },
  };
}

export async function codesOfImages(): Promise<Figure> {
  return (await codes(await waves(), lights())).figure();
}

export async function neighborsOfImages(): Promise<Figure> {
  return (await neighbors(await codes(await waves(), lights()), { k: 5 })).figure({ of: ["light 0", "light 7", 12] });
}

/** Points of three kinds, in four dimensions. */
function kinds() {
  const random = uniforms(5);
  const labels = Array.from({ length: 150 }, (_, i) => ["meadow", "desert", "open sea"][i % 3]);
  const data = Float32Array.from(
    { length: 600 },
    (_, i) => (i % 4 === (i >> 2) % 3 ? 3 : 0) + (random() + random() + random() - 1.5) * 2 / (1 + i % 4),
  );
  return { data, shape: [150, 4], labels, about: "landscapes" };
}

export function principalComponents(): Figure {
  return pca(kinds(), { components: 4 }).figure();
}

/** The first coordinates of the kinds. */
function kindsAlong(columns: number): NdArray {
  const { data, shape: [count, all] } = kinds();
  const from = (i: number) => data[Math.floor(i / columns) * all + i % columns];
  return ndarray(Float32Array.from({ length: count * columns }, (_, i) => from(i)), [count, columns]);
}

/** A map of the kinds, with pictures of one colour each. */
export function mapOfPoints(): Figure {
  const { data, labels } = kinds();
  const shades = { meadow: [80, 160, 70], desert: [220, 180, 110], "open sea": [50, 90, 160] };
  const pictures = labels.flatMap((label) =>
    Array.from({ length: 64 }, () => shades[label as keyof typeof shades]).flat()
  );
  return mapFigure({
    title: "A map of landscapes",
    caption: "Near points are alike.",
    points: kindsAlong(2),
    labels,
    columns: { height: Float32Array.from({ length: 150 }, (_, i) => data[4 * i + 2]) },
    neighbors: { k: 2, indices: Int32Array.from({ length: 300 }, (_, i) => (i + 3) % 150) },
    thumbnails: { side: 8, data: Uint8Array.from(pictures) },
  });
}

export function mapOfNumbers(): Figure {
  const { data } = kinds();
  const height = Float32Array.from({ length: 150 }, (_, i) => i === 7 ? NaN : data[4 * i]);
  return mapFigure({
    title: "A map by height",
    points: { data, shape: [300, 2] },
    columns: { height: [...height, ...height] },
  });
}

export function mapInSpace(): Figure {
  const { labels } = kinds();
  return mapFigure({
    title: "A map of landscapes in space",
    caption: "Near points are alike.",
    points: kindsAlong(3),
    labels,
    neighbors: { k: 2, indices: Int32Array.from({ length: 300 }, (_, i) => (i + 3) % 150) },
  });
}

/** The last kind laid upon the others. */
export function mapWithBackground(): Figure {
  const { labels } = kinds();
  return mapFigure({ title: "New landscapes on a map", points: kindsAlong(2), labels, background: 120 });
}

export async function gridOfImages(): Promise<Figure> {
  const images = await codes(await waves(), lights());
  const map = pca(images, { components: 2 }).points;
  return embeddingGrid(images, map, { columns: 6 }).figure();
}

export async function fooledLandscape(): Promise<Figure> {
  return (await fool(await waves(), scene, { epsilon: 6, steps: 5 })).figure();
}

export async function fooledByNoise(): Promise<Figure> {
  return (await fool(await waves(), scene, { method: "noise", target: "desert", steps: 30 })).figure();
}

export async function linearExplanationOfLandscape(): Promise<Figure> {
  return (await linearExplanation(await waves(), scene, { epsilon: 4, steps: 5, directions: 3 })).figure();
}

export function robustnessOfTwoNetworks(): Figure {
  const rows = ["plain", "adversarially trained"].flatMap((model, m) =>
    (["random", "fgsm", "pgd"] as const).flatMap((method, strength) =>
      [0, 2, 4, 8, 16].map((epsilon) => {
        const right = Math.round(90 * Math.exp(-epsilon * strength / (8 + 24 * m)));
        const [low, high] = wilson(right, 100);
        return { model, method, epsilon, images: 100, right, accuracy: right / 100, low, high, confidence: null };
      })
    )
  );
  return new Robustness({ rows, dataset: "100 digits", steps: 10, skipped: [] }).figure();
}

export function corruptionsOfTwoNetworks(): Figure {
  const corruptions = [{ name: "blur", unit: "standard deviation in pixels", none: 0 }];
  const steps = [0.5, 1, 2, 3].map((strength) => ({ corruption: corruptions[0], strength }));
  const examples = steps.map(({ strength }) =>
    exampleOf(blurred(scene, strength), { image: 0, transform: "blur", value: strength })
  );
  const walks = ["plain", "trained on blurred images"].map((model, m) => ({
    model,
    sides: "32×32",
    steps,
    examples,
    skipped: [],
    images: Array.from({ length: 60 }, (_, i) => ({
      known: { id: `${i}`, label: "cat" },
      label: "cat",
      right: i % 12 > m,
      steps: steps.map((_, k) => i % 12 > m && i % 5 >= k + 1 - 2 * m),
    })),
  }));
  return new CorruptionRobustness({ walks, corruptions, dataset: "60 pets", seed: 0 }).figure();
}

export async function transferabilityOfWaves(): Promise<Figure> {
  const models = [await waves(), await waves()];
  return (await transferability(models, (await labelledLights()).take(6), { epsilon: 6, steps: 1 })).figure();
}

export async function twoNetworksCompared(): Promise<Figure> {
  const tf = await ensureBackend();
  const net = await wavesNet();
  const last = net.getLayer("classes");
  const [kernel] = last.getWeights();
  tf.tidy(() => last.setWeights([tf.reverse(kernel, 0), tf.zeros([5])]));
  const { labels } = await waves();
  const other = await loadModel(net, { name: "other", labels: labels! });
  const options = { layers: ["conv1", "pool2", "classes"], examples: 4, minibatch: 4, seed: 1 };
  return (await compareModels(await waves(), other, (await labelledLights()).take(8), options)).figure();
}

export async function peopleBesideANetwork(): Promise<Figure> {
  const images = (await labelledLights()).take(16);
  const model = await waves();
  const answers = images.known!.flatMap(({ id, label }, i) =>
    ["Ada", "Grace"].slice(0, i < 10 ? 2 : 1).map((person, p) => ({
      trial: "by hand",
      person,
      image: id,
      phase: "test" as const,
      shown: new Date(1e12 + 1e4 * i).toISOString(),
      seconds: 2 + (5 * i + 3 * p) % 7,
      labels: (i + p) % 4 ? [label!] : ["desert", label!],
    }))
  );
  const taxonomy = { "light 1": "dark", "light 2": ["dark", "blue"], "light 4": "blue" };
  return (await compareHumans({ model, dataset: images, answers }, { examples: 5, taxonomy })).figure();
}

export async function trialOfPeople(): Promise<Figure> {
  const folder = await Deno.makeTempDir();
  try {
    const trial = await humanTrial(await waves(), await labelledLights(), {
      training: 2,
      limit: 4,
      examples: 1,
      path: `${folder}/answers.jsonl`,
      tree: { "by day": ["meadow", "sunflower field"], "by night": ["night sky"] },
    });
    const answer = { trial: trial.id, person: "Ada", phase: "test", shown: "2026-11-30T12:00:00Z", labels: ["meadow"] };
    const lines = [...trial.truth.keys()].slice(0, 5)
      .map((image, i) => JSON.stringify({ ...answer, image, seconds: 2 + i }));
    await Deno.writeTextFile(`${folder}/other.jsonl`, lines.join("\n"));
    await trial.add(`${folder}/other.jsonl`);
    return trial.figure();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

export async function linearProbesOfLayers(): Promise<Figure> {
  return (await linearProbes(await waves(), lights(), { layers: ["conv1", "pool1", "flat"], embedding: "pca" }))
    .figure();
}

/** Landscapes in other lights, with labels that the net does not always find. */
async function labelledLights() {
  const items = await Array.fromAsync(lights());
  const labels = ["meadow", "sunflower field", "sunflower field", "night sky"];
  return dataset(items.map((item, i) => ({ ...item, label: labels[i % 4] })), { name: "24 lights" });
}

export async function dataSet(): Promise<Figure> {
  return await (await labelledLights()).figure();
}

/** The patches of a few units; patches are at the border, a unit is dead. */
const patchesOfLights = async (options: Partial<TopPatchesOptions> = {}) =>
  await topPatches(await waves(), (await labelledLights()).take(9), {
    layer: "conv1",
    channels: [0, 8, 11],
    ...options,
  });

export async function patchesOfUnits(): Promise<Figure> {
  return (await patchesOfLights()).figure();
}

export async function patchesOnWholeImages(): Promise<Figure> {
  return (await patchesOfLights({ top: 4 })).figure({ units: [0, 8], whole: true });
}

export async function visualizationOfUnits(): Promise<Figure> {
  const patches = await patchesOfLights({ top: 4 });
  return (await featureVisualization(await waves(), { patches, channels: [0, 8], steps: 6, seed: 1 })).figure();
}

export async function plateOfUnits(): Promise<Figure> {
  return (await plate(await waves(), await patchesOfLights({ top: 4 }), { channels: [0, 8] })).figure();
}

export async function plateInGrey(): Promise<Figure> {
  const found = await patchesOfLights({ top: 4, layer: "pool1", channels: [5] });
  return (await plate(await waves(), found, { method: "guidedBackprop", layout: "grey" })).figure();
}

export async function hierarchyOfLayers(): Promise<Figure> {
  const images = (await labelledLights()).take(12);
  const options = { layers: ["conv1", "conv2"], units: 2, top: 4 };
  return (await featureHierarchy(await waves(), images, options)).figure();
}

export async function evolutionOfFeatures(): Promise<Figure> {
  const tf = await ensureBackend();
  const kernelInitializer = tf.initializers.randomNormal({ stddev: 0.3, seed: 3 });
  const common = { activation: "relu" as const, kernelInitializer };
  const layers = [
    tf.layers.conv2d({ ...common, inputShape: [12, 12, 3], filters: 2, kernelSize: 3, name: "conv1" }),
    tf.layers.conv2d({ ...common, filters: 1, kernelSize: 5, strides: 2, name: "conv2" }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 3, activation: "softmax", kernelInitializer }),
  ];
  const labels = ["meadow", "sunflower field", "night sky"];
  const young = await loadModel(tf.sequential({ layers }), { name: "young", preprocess: "unit", labels });
  const images = (await labelledLights()).take(12);
  const run = { epochs: 4, learningRate: 0.2, validation: 0, live: false, seed: 2, snapshots: [0, 1, 4] };
  return (await featureEvolution(await train(young, images, run), images, { top: 3 })).figure();
}

export async function inputsChecked(): Promise<Figure> {
  return (await checkInputs(await waves(), (await labelledLights()).take(6))).figure();
}

/** A network of one or three axes, whose weights are random. */
async function netOf(axes: 1 | 3): Promise<Model> {
  const tf = await ensureBackend();
  const kernelInitializer = tf.initializers.glorotNormal({ seed: 5 });
  const common = { filters: 6, kernelSize: 5, activation: "relu" as const, kernelInitializer, name: "conv1" };
  const first = axes === 1
    ? tf.layers.conv1d({ ...common, inputShape: [120, 2] })
    : tf.layers.conv3d({ ...common, kernelSize: 3, inputShape: [8, 16, 16, 1] });
  const layers = [first, tf.layers.flatten(), tf.layers.dense({ units: 3, activation: "softmax", kernelInitializer })];
  const labels = ["calm", "beat", "burst"];
  return await loadModel(tf.sequential({ layers }), {
    name: axes === 1 ? "ear" : "scanner",
    preprocess: "none",
    labels,
  });
}

/** A wave that swells, and one that beats. */
const signal = ndarray(
  Float32Array.from({ length: 240 }, (_, i) => {
    const t = (i >> 1) / 120;
    return i % 2 === 0 ? Math.sin(40 * t) * Math.exp(-(((t - 0.6) / 0.15) ** 2)) : Math.sin(25 * t) * Math.sin(60 * t);
  }),
  [120, 2],
);

/** A ball in a box. */
const ball = ndarray(
  Float32Array.from({ length: 8 * 16 * 16 }, (_, i) => {
    const [z, y, x] = [i >> 8, (i >> 4) & 15, i & 15];
    return 1 / (1 + Math.exp(2 * (Math.hypot(2 * (z - 4), y - 6, x - 9) - 4)));
  }),
  [8, 16, 16, 1],
);

export async function activationsOfSignal(): Promise<Figure> {
  return (await activations(await netOf(1), signal, { layer: "conv1" })).figure();
}

export async function saliencyOfSignal(): Promise<Figure> {
  return (await saliency(await netOf(1), signal, { target: "beat" })).figure();
}

export async function activationsOfVolume(): Promise<Figure> {
  return (await activations(await netOf(3), ball, { layer: "conv1" })).figure();
}

export async function occlusionOfVolume(): Promise<Figure> {
  return (await occlusion(await netOf(3), ball, { target: "burst", size: 4, stride: 4 })).figure();
}

export async function predictionsOfMany(): Promise<Figure> {
  return (await predict(await waves(), await labelledLights())).figure({ sort: "wrong" });
}

export async function evaluationOfClasses(): Promise<Figure> {
  return (await evaluate(await waves(), await labelledLights())).figure({ errors: 6 });
}

/** What was said of sixty images, of which dark ones are wrong more often. */
function answersByLight(): { evaluation: Evaluation; attributes: { id: string; light: number; place: string }[] } {
  const rows = Array.from({ length: 60 }, (_, i) => {
    const right = i % 9 > 1 && (i > 22 || i % 2 > 0);
    const label = ["cat", "dog"][i % 2];
    const prediction = right ? label : ["dog", "cat"][i % 2];
    const probability = 0.5 + (i % 7) / 15;
    return { id: `${i}`, label, prediction, probability, labelProbability: 0.5, rank: right ? 1 : 2, right };
  });
  const indices = rows.map(({ label, prediction }) => [Number(label === "dog"), Number(prediction === "dog")] as const);
  const names = { model: "net", dataset: "pets", kind: "classes", activation: "softmax", note: "" };
  const scores = new ClassScores(rows, indices, ["cat", "dog"]);
  const attributes = rows.map(({ id }, i) => ({ id, light: 20 + 3 * i, place: i < 23 ? "indoor" : "outdoor" }));
  return { evaluation: new Evaluation(scores, names, { images: 60, worst: [], skipped: [] }), attributes };
}

export function performanceByLight(): Figure {
  const { evaluation, attributes } = answersByLight();
  return performanceBy(evaluation, "light", { attributes, bins: 4 }).figure();
}

export function reliabilityDiagram(): Figure {
  return performanceBy(answersByLight().evaluation, "confidence").figure();
}

export function slicesThatAreWorse(): Figure {
  const { evaluation, attributes } = answersByLight();
  return worstSlices(evaluation, attributes, { bins: 3 }).figure();
}

export async function attributesOfImages(): Promise<Figure> {
  return (await imageAttributes(await labelledLights())).figure();
}

export async function invarianceOfImages(): Promise<Figure> {
  const options = {
    transform: ["horizontal translation", "rotation"],
    values: { "horizontal translation": [-8, -4, -2, 0, 2, 4, 8], rotation: [0, 45, 90, 135, 180, 270, 360] },
    layers: ["conv1", "classes"],
  } as const;
  const { data, shape } = landscape();
  const dusk = new Image({ data: data.map((value) => 255 - value), shape }, { name: "negative", source: "a formula" });
  return (await invariance(await waves(), [scene, dusk], options)).figure();
}

export async function placesFoundAgain(): Promise<Figure> {
  const moved = warp(scene, composed(rotation(15), translation(2, -1)));
  const points: [number, number][] = [[8, 8], [9, 22], [20, 16], [26, 6]];
  return (await correspondence(await waves(), scene, moved, { layers: ["conv1", "pool1"], points })).figure();
}

export async function placesFoundByLayer(): Promise<Figure> {
  return (await matchAccuracy(await waves(), [scene, ...[1, 2].map((i) => warp(scene, rotation(40 * i)))], {
    layers: ["conv1", "pool1"],
    warps: ["rotation"],
    thresholds: [0.05, 0.1, 0.2],
  })).figure();
}

export async function imagesAligned(): Promise<Figure> {
  const images = [translation(0, 0), rotation(12), scaling(1.2)].map((map) => warp(scene, map));
  return (await alignImages(await waves(), images, { layer: "conv1" })).figure();
}

export async function partsMasked(): Promise<Figure> {
  const places: [number, number][] = [[8, 8], [7, 9], [9, 8]];
  const items = places.map(([y, x], k) => {
    const { data, shape } = landscape();
    const image = ndarray(data.map((value, i) => i % 7 === k ? value / 2 : value), shape);
    return { image, keypoints: { "right eye": [y, x], nose: [y + 12, x + 8] } };
  });
  const options = { layers: ["conv1"], random: 2 };
  return (await partCorrespondence(await waves(), dataset(items, { name: "faces" }), options)).figure();
}

export async function directionsCompared(): Promise<Figure> {
  const options = { layer: "conv1", kinds: ["units", "random"] as const, count: 4, top: 4 };
  return (await compareDirections(await waves(), await labelledLights(), options)).figure();
}

/** Scores of 80 images with two outputs, of which the first is the better one. */
function knownValues(
  actual: (random: number, output: number) => number,
  of: (actual: number, noise: number) => number,
) {
  const random = uniforms(3);
  const known = Array.from({ length: 160 }, (_, i) => actual(random(), i % 2));
  const predicted = known.map((value, i) => of(value, (random() + random() - 1) * (i % 2 ? 1 : 0.3)));
  return { ids: known.slice(80).map((_, i) => `img-${i}`), labels: ["age", "height"], actual: known, predicted };
}

const worstOf = (
  actual: string,
  predicted: string,
) => [{ id: "img-7", image: ndarray(scene.data, scene.shape), actual, predicted, cost: 1 }];

export function evaluationOfNumbers(): Figure {
  const scores = new NumberScores(
    knownValues((random, i) => i ? 1.5 + random / 2 : 80 * random, (x, n) => x * (1 + n)),
  );
  const names = { model: "waves", dataset: "faces", kind: "numbers", activation: "linear", note: "" };
  const about = { images: 80, worst: worstOf("age 41.2", "age 78.03"), skipped: [] };
  return new Evaluation(scores, names, about).figure();
}

export function evaluationOfLabels(): Figure {
  const known = knownValues((random) => Number(random < 0.3), (x, n) => Math.min(1, Math.abs(x - 0.2 - n)));
  const names = { model: "waves", dataset: "scenes", kind: "labels", activation: "sigmoid", note: "" };
  const about = { images: 80, worst: worstOf("age", "87 % height"), skipped: [] };
  return new Evaluation(new LabelScores(known, 0.5), names, about).figure();
}

export async function invertedLayers(): Promise<Figure> {
  return (await invert(await waves(), scene, { layers: ["conv1", "pool1"], steps: 3, seeds: [1, 2] })).figure();
}
