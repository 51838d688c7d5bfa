/**
 * Configurations of Keras 1, in the words of Keras 2.
 *
 * @module
 */

import { isObject, type Json, ModelError } from "./format.ts";

/** Classes that have another name in Keras 2. */
const CLASSES: Record<string, string> = {
  Convolution1D: "Conv1D",
  Convolution2D: "Conv2D",
  Convolution3D: "Conv3D",
  AtrousConvolution1D: "Conv1D",
  AtrousConvolution2D: "Conv2D",
  SeparableConvolution2D: "SeparableConv2D",
  Deconvolution2D: "Conv2DTranspose",
};

/** Options that have another name in Keras 2. */
const OPTIONS: Record<string, string> = {
  nb_filter: "filters",
  filter_length: "kernel_size",
  subsample: "strides",
  subsample_length: "strides",
  atrous_rate: "dilation_rate",
  border_mode: "padding",
  output_dim: "units",
  bias: "use_bias",
  pool_length: "pool_size",
  stride: "strides",
  inner_activation: "recurrent_activation",
  input_dtype: "dtype",
  dim_ordering: "data_format",
};

/** Options that have another name in Keras 2 in some classes only. */
const IN_CLASSES: [classes: RegExp, old: string, now: string][] = [
  [/Dropout$/, "p", "rate"],
  [/^GaussianNoise$/, "sigma", "stddev"],
  [/^UpSampling1D$/, "length", "size"],
];

/** Options that change nothing once a network is trained. */
const PASSED = /^([WbU]_(regularizer|constraint)|init|inner_init|forget_bias_init|consume_less|weights|dropout_[WU])$/;

/** What `Merge` becomes, by its mode. */
const MERGES: Record<string, string> = {
  sum: "Add",
  mul: "Multiply",
  concat: "Concatenate",
  ave: "Average",
  max: "Maximum",
  dot: "Dot",
};

/** Whether a layer is described as in Keras 1, by the words that Keras 2 gave up. */
const isOld = (type: unknown, config: Json) =>
  Object.hasOwn(CLASSES, String(type)) || type === "Merge" ||
  IN_CLASSES.some(([classes, old]) => classes.test(String(type)) && old in config) ||
  Object.keys(config).some((key) => PASSED.test(key) || key in OPTIONS && key !== "bias" && key !== "stride");

/** One layer, if it is of Keras 1. */
function layer(type: string, config: Json): [type: string, config: Json] {
  if (!isOld(type, config)) return [type, config];
  const made: Json = {};
  for (const [key, value] of Object.entries(config)) {
    if (!PASSED.test(key) && !/^nb_(row|col)$|^kernel_dim[123]$/.test(key)) made[OPTIONS[key] ?? key] = value;
  }
  // The old name of an option that has kept its name elsewhere.
  if (type === "Embedding") {
    made.output_dim = config.output_dim;
    delete made.units;
  }
  if ("nb_row" in config) made.kernel_size = [config.nb_row, config.nb_col];
  if ("kernel_dim1" in config) made.kernel_size = [config.kernel_dim1, config.kernel_dim2, config.kernel_dim3];
  if (made.data_format === "th") made.data_format = "channels_first";
  if (made.data_format === "tf") made.data_format = "channels_last";
  for (const [classes, old, now] of IN_CLASSES) {
    if (!classes.test(type) || !(old in made)) continue;
    made[now] = made[old];
    delete made[old];
  }
  if (type === "Deconvolution2D") delete made.output_shape;
  if (type === "BatchNormalization") {
    if (config.mode === 1) {
      throw new ModelError(
        `the layer ${
          JSON.stringify(config.name)
        } normalises each example by itself (mode 1 of Keras 1), which Keras 2 ` +
          "and TensorFlow.js do not know",
      );
    }
    delete made.mode;
  }
  if (type === "Merge") {
    const known = MERGES[String(config.mode)];
    if (!known) {
      throw new ModelError(
        `the layer ${JSON.stringify(config.name)} merges by ${JSON.stringify(config.mode)}; known are ` +
          Object.keys(MERGES).join(", "),
      );
    }
    const own = known === "Concatenate"
      ? { axis: config.concat_axis }
      : known === "Dot"
      ? { axes: config.dot_axes }
      : {};
    return [known, { name: config.name, trainable: config.trainable, ...own }];
  }
  return [CLASSES[type] ?? type, made];
}

/** A topology with each layer of Keras 1 in the words of Keras 2; what else there is stays. */
export function fromKeras1(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromKeras1);
  if (!isObject(value)) return value;
  const entries = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromKeras1(item)]));
  const { class_name: type, config } = entries;
  if (typeof type !== "string" || !isObject(config)) return entries;
  const [className, options] = layer(type, config);
  return { ...entries, class_name: className, config: options };
}
