"""Networks of Keras Applications with weights made by numbers, as Keras 3 saves them, and what Keras computes of them.

    python keras_applications.py FOLDER NAME…   writes NAME.keras, NAME.h5 and NAME.json of each into the folder
    python keras_applications.py                lists the names

NAME.bin holds an image, its pixels as bytes, which the network is given as they are; NAME.json its `shape`, and `outputs`,
what Keras makes of it; `rounding` is how far these go, by the largest, when each pixel is rounded once.
Weights are as Keras draws them, by a seed; batch normalisations store the moments of that image, scales and offsets are
drawn, and the last layer is scaled so that its classes stand apart.
`test/model/keras_applications_test.ts` runs it.
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np

# The largest read the smallest image that they take: the weights are what counts.
SIDES = {"InceptionV3": 139, "InceptionResNetV2": 139, "Xception": 139, "NASNetLarge": 331, "NASNetMobile": 224,
         "VGG16": 224, "VGG19": 224}
SIDE = 128


def names():
    return [name for name in dir(keras.applications) if name[0].isupper()]


def make(name):
    """The network, and the image that its moments come from."""
    side = SIDES.get(name, SIDE)
    keras.utils.set_random_seed(15)
    network = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))
    random = np.random.default_rng(15)
    image = np.floor(random.uniform(0, 256, (1, side, side, 3))).astype(np.float32)
    norms = [layer for layer in walk(network) if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in walk(network):
        for weight in layer.weights:
            part = weight.path.split("/")[-1]
            if part == "gamma":
                weight.assign(random.uniform(0.5, 1.5, weight.shape))
            elif part in ("beta", "bias"):
                weight.assign(random.uniform(-0.2, 0.2, weight.shape))
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.0524, 0.0502, 0.0506])
            layer.finalize_state()
    # Moments are those of the pass in which nothing is dropped: else deep networks put out one class alone.
    dropping = [layer for layer in walk(network) if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropping]
    momenta = [layer.momentum for layer in norms]
    for layer in dropping:
        layer.rate = 0.0
    for layer in norms:
        layer.momentum = 0.0
    network(image, training=True)
    for layer, rate in zip(dropping, rates):
        layer.rate = rate
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
    spread(network, image)
    return network, image


def walk(network):
    for layer in network.layers:
        yield from walk(layer) if isinstance(layer, keras.Model) else [layer]


def spread(network, image):
    """Scales the layer that makes the logits, so that they have a deviation of 2 over the classes."""
    last = [layer for layer in walk(network) if hasattr(layer, "kernel")][-1]
    outputs = np.log(np.asarray(network(image, training=False), np.float64) + 1e-30)
    last.kernel.assign(last.kernel * (2 / outputs.std()))


def main(folder, wanted):
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        network, image = make(name)
        outputs = np.asarray(network(image, training=False), np.float64)[0]
        assert np.isfinite(outputs).all()
        nudge = np.sign(np.random.default_rng(16).normal(size=image.shape)) * 1e-7
        moved = np.asarray(network((image * (1 + nudge)).astype(np.float32), training=False), np.float64)[0]
        network.save(folder / f"{name}.keras")
        network.save(folder / f"{name}.h5")
        image.astype(np.uint8).tofile(folder / f"{name}.bin")
        facts = {"keras": keras.__version__, "parameters": network.count_params(), "shape": list(image.shape[1:]),
                 "outputs": [float(f"{value:.7g}") for value in outputs],
                 "rounding": float(f"{np.abs(moved - outputs).max() / outputs.max():.2g}")}
        (folder / f"{name}.json").write_text(json.dumps(facts))
        keras.backend.clear_session()
        print(name, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), sys.argv[2:])
    else:
        print("\n".join(names()))
