"""Layers models as the converter of TensorFlow.js writes them of Keras 3 (from an HDF5 file), with outputs of Keras.

    python keras3.py           writes fixtures/keras3.json
    python keras3.py --check   compares with it and writes nothing

What the fixture holds:
  source  the versions used
  models  by name: `topology`, the modelTopology of a model.json; `weights`, in the order of the manifest, each with its
          `name`, `shape` and `values`; `input`, [1, h, w, c], and `output`, in row-major order

Weights are whole numbers of 512ths, exact in single precision.
"""

import json
import sys
import tempfile

import h5py
import keras
import numpy as np
from keras import layers as L

from fixture import significant, write_or_check


def branched():
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(3, 3, padding="same", name="stem")(image)
    x = L.BatchNormalization(name="bn")(x)
    x = L.LeakyReLU(negative_slope=0.1, name="leaky")(x)
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = L.ReLU(max_value=1, name="relu")(y)
    x = L.Add(name="merge")([x, y]) + y
    x = L.Concatenate(name="both")([x, y])
    x = L.GlobalAveragePooling2D(name="mean")(L.MaxPooling2D(name="pool")(x))
    return keras.Model(image, L.Dense(3, activation="softmax", name="out")(L.Dropout(0.5)(x)), name="branched")


def plain():
    return keras.Sequential(
        [keras.Input((5, 5, 1)), L.Conv2D(2, 3, activation="relu"), L.Flatten(), L.Dense(2), L.Activation("softmax")],
        name="plain",
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((4, 4, 2)), L.SeparableConv2D(3, 3, name="inside"), L.GlobalMaxPooling2D(name="most")], name="inner"
    )
    image = keras.Input((6, 6, 3), name="image")
    x = L.Conv2D(2, 3, activation="elu", name="first")(image)
    return keras.Model(image, L.Dense(2, name="head")(inner(x)), name="outer")


def group_weights(group):
    """The weights below a group of the file, under the names that the converter gives them."""
    if "weight_names" in group.attrs:
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
        return [(name.removesuffix(":0"), np.array(group[name])) for name in names]
    return [weight for key in group for weight in group_weights(group[key])]


def described(make, seed):
    model = make()
    random = np.random.default_rng(seed)
    for weight in model.weights:
        low = 1 if "variance" in weight.path else -256
        weight.assign(random.integers(low, 257, weight.shape) / 512)
    image = random.integers(0, 257, (1, *model.input_shape[1:])) / 256
    output = np.asarray(model(image.astype("float32"), training=False), dtype="float64")
    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        model.save(file.name)
        with h5py.File(file.name) as h5:
            topology = {"keras_version": h5.attrs["keras_version"], "backend": h5.attrs["backend"]}
            topology["model_config"] = json.loads(h5.attrs["model_config"])
            weights = [weight for key in h5["model_weights"] for weight in group_weights(h5["model_weights"][key])]
    return {
        "topology": topology,
        "weights": [{"name": n, "shape": list(v.shape), "values": v.ravel().tolist()} for n, v in weights],
        "input": image.ravel().tolist(),
        "output": [significant(value) for value in output.ravel()],
    }


def main():
    models = {make.__name__: described(make, seed) for seed, make in enumerate((branched, plain, nested))}
    write_or_check("keras3.json", {"source": f"keras {keras.__version__}", "models": models}, "--check" in sys.argv)


if __name__ == "__main__":
    main()
