/**
 * The networks whose weights others have published, fetched over the web when first asked for; and what to say of a name
 * that is a builder's.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import catalog from "../../data/catalog.json" with { type: "json" };
import { fetchEntry } from "../data/catalog.ts";
import { download, DownloadError, type DownloadOptions, type PublishedFile } from "../data/download.ts";
import { messageOf } from "../errors.ts";
import type { PreprocessMode } from "./preprocess.ts";

/** A network of ImageNet's 1000 classes with published weights, as `data/catalog.json` has it. */
export interface PublishedNetwork extends PublishedFile {
  /** What it is, in a sentence. */
  what: string;
  licence: string;
  /** How it wants its pixels. */
  preprocess: PreprocessMode;
  /** Of a file that holds a VGG's weights alone: how many convolutions come before each pooling. */
  vgg?: number[];
}

/** The networks by name. */
export const publishedNetworks = catalog.published as Record<string, PublishedNetwork>;

/** The names of ImageNet's 1000 classes: of several that a class has, the first. */
async function imagenetLabels(): Promise<string[]> {
  const { paths } = await fetchEntry("imagenet", "labels");
  const [file] = Object.values(paths);
  const text = await Deno.readTextFile(file);
  // The first class is the background.
  return [...text.matchAll(/^\s*\d+:\s*(['"])(.*?)(?:,|\1,?$)/gm)].slice(1).map(([, , label]) => label);
}

/**
 * The file of a network's weights on this machine, and the names of its classes.
 *
 * @throws {DownloadError} if it cannot be fetched
 */
export async function fetchNetwork(
  name: string,
  network: PublishedNetwork,
  options: Partial<DownloadOptions> = {},
): Promise<{ url: URL; labels: string[] }> {
  try {
    const path = await download(network, { title: name, ...options });
    return { url: pathToFileURL(path), labels: await imagenetLabels() };
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error;
    const instead = builtInstead(name);
    throw new DownloadError(
      `The model ${JSON.stringify(name)} was not loaded. ${messageOf(error)}.${instead ? ` ${instead}` : ""}`,
      { cause: error },
    );
  }
}

/** A VGG as Keras Applications describes it. */
export function vggTopology(convolutions: readonly number[]): object {
  const layer = (class_name: string, name: string, config: object = {}) => ({
    class_name,
    config: { name, ...config },
  });
  const relu = { activation: "relu" };
  const blocks = convolutions.flatMap((count, i) => [
    ...Array.from({ length: count }, (_, j) =>
      layer("Conv2D", `block${i + 1}_conv${j + 1}`, {
        filters: Math.min(512, 64 * 2 ** i),
        kernel_size: [3, 3],
        padding: "same",
        ...relu,
        ...i + j === 0 && { batch_input_shape: [null, 224, 224, 3] },
      })),
    layer("MaxPooling2D", `block${i + 1}_pool`, { pool_size: [2, 2], strides: [2, 2] }),
  ]);
  const layers = [
    ...blocks,
    layer("Flatten", "flatten"),
    layer("Dense", "fc1", { units: 4096, ...relu }),
    layer("Dense", "fc2", { units: 4096, ...relu }),
    layer("Dense", "predictions", { units: 1000, activation: "softmax" }),
  ];
  return { class_name: "Sequential", config: { name: "vgg", layers } };
}

const TRAINED = "Weights of it are not published: train it, and keep it with model.save(folder).";

/** Each builder, and where weights of its network are to be had. */
const BUILDERS: Record<string, string> = {
  alexnet: 'loadModel("alexnet") fetches those of Caffe, for alexnet({ groups: 2 }).',
  catsVsDogsConvnet: TRAINED,
  googlenet: 'loadModel("googlenet") fetches those of Caffe.',
  mobilenetV2: 'loadModel("mobilenetV2") fetches published ones, of torchvision\'s variant.',
  resnet50: 'loadModel("resnet50") brings those of Keras.',
  smallZfnet: TRAINED,
  squeezenet: 'loadModel("squeezenet") fetches published ones.',
  tinyVgg: "Published weights are those of CNN Explainer: await loadModel(" +
    '"https://raw.githubusercontent.com/poloclub/cnn-explainer/master/public/assets/data/model.json").',
  vgg16: 'loadModel("vgg16") fetches published ones, loadModel("vgg16-keras") its authors\'.',
  vgg19: 'loadModel("vgg19-keras") fetches its authors\' weights.',
  zfnet: 'loadModel("zfnet512") fetches those of a variant with 512 and 1024 feature maps.',
};

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

/**
 * What a name means that is a builder's, as `"vgg16"` or `"VGG-16"`, in sentences: the function that builds it, and where
 * weights are to be had; undefined for other names.
 */
export function builtInstead(name: string): string | undefined {
  const builder = Object.keys(BUILDERS).find((builder) =>
    plain(builder).replace(/convnet$/, "") === plain(name).replace(/convnet$/, "")
  );
  return builder && `await ${builder}() builds this network with fresh weights, to be trained. ${BUILDERS[builder]}`;
}
