/**
 * The networks that convlens builds but has no weights of: what to say to one who wants to load them.
 *
 * @module
 */

/** The model zoo of ONNX. */
const ZOO = "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification";

/** Where Keras Applications keeps its weights. */
const KERAS = "https://storage.googleapis.com/tensorflow/keras-applications";

const fromKeras = (name: string) =>
  "Published weights are those of Keras (ImageNet's 1000 classes, 0.5 GB): " +
  `await loadModel(await ${name}(), { preprocess: "caffe", weights: ` +
  `"${KERAS}/${name}/${name}_weights_tf_dim_ordering_tf_kernels.h5" }).`;

const fromZoo = (network: string, path: string) =>
  `Weights of ${network} (ImageNet's 1000 classes) are published as an ONNX file: ` +
  `await loadModel("${ZOO}/${path}.onnx", { preprocess: "caffe" }).`;

const TRAINED = "Weights of it are not published: train it, and keep it with model.save(folder).";

/** What is known of each builder's weights. */
const BUILDERS: Record<string, string> = {
  alexnet: fromZoo("the original with its split convolutions", "alexnet/model/bvlcalexnet-12"),
  catsVsDogsConvnet: TRAINED,
  smallZfnet: TRAINED,
  tinyVgg: "Published weights are those of CNN Explainer: await loadModel(" +
    '"https://raw.githubusercontent.com/poloclub/cnn-explainer/master/public/assets/data/model.json").',
  vgg16: fromKeras("vgg16"),
  vgg19: fromKeras("vgg19"),
  zfnet: fromZoo("a variant with 512 and 1024 feature maps", "zfnet-512/model/zfnet512-12"),
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
