/**
 * Every kind of figure, one named function each; `figures_test.ts` compares what they draw with `snapshots/`.
 *
 * The nets are small and their weights set by hand or seeded, so that the figures repeat exactly.
 */

import { Image } from "../../lib/data/image.ts";
import type { Figure } from "../../lib/figure/figure.ts";
import { progressHtml, progressText } from "../../lib/figure/progress.ts";
import { activations } from "../../lib/methods/activations.ts";
import { filters } from "../../lib/methods/filters.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { landscape, wavesNet } from "../nets.ts";

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
