/**
 * convlens shows, inline in Jupyter cells, what a ConvNet has learned.
 *
 * ```ts
 * import { activations, loadModel, photo } from "./mod.ts";
 * const model = await loadModel("resnet50");
 * const dog = await photo("dog");
 * await activations(model, dog, { layer: "conv1" });
 * ```
 *
 * Importing this module loads nothing heavy: TensorFlow.js, sharp, Polars and the catalogue's packages come when they
 * are first needed.
 *
 * @module
 */

export { type NdArray } from "./lib/array.ts";
export { ImageError } from "./lib/codec.ts";
export { CatalogError } from "./lib/data/catalog.ts";
export { cifar10, type Dataset, imageFolder } from "./lib/data/dataset.ts";
export { Image, type ImageLike, loadImage } from "./lib/data/image.ts";
export { photo } from "./lib/data/photo.ts";
export { Figure } from "./lib/figure/figure.ts";
export { type Activations, activations } from "./lib/methods/activations.ts";
export { type Filters, filters } from "./lib/methods/filters.ts";
export { predict, type Prediction } from "./lib/methods/predict.ts";
export { loadModel, ModelError } from "./lib/model/load.ts";
export { type LayerInfo, type Model } from "./lib/model/model.ts";
export { BackendError, type BackendInfo, doctor, useBackend } from "./lib/runtime/backend.ts";
export { MemoryError } from "./lib/runtime/memory.ts";
