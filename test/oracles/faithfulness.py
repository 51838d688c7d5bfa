"""Insertion and deletion by Xplique, rank correlation by SciPy, structural similarity by scikit-image.

    python faithfulness.py           writes fixtures/faithfulness.json
    python faithfulness.py --check   compares with it and writes nothing

The network and all images and maps are drawn here from seeded generators, rounded, and stored with the answers, so that
both sides compute with the same numbers. Xplique's metrics take what the network is fed with; here that is pixels over
255. Its baselines are black (0), grey (0.5) and an image.

Xplique 2.0.2 asks for TensorFlow at most 2.20 with CUDA; it runs with tensorflow-cpu 2.21 as well:

    pip install -r requirements.txt -r requirements-xplique.txt
    pip install --no-deps xplique==2.0.2 tf-keras==2.21.0
"""

import argparse

import keras
import numpy as np
import scipy
import skimage
import xplique
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from xplique.metrics import Deletion, Insertion

from fixture import significant, write_or_check

SIDE = 8
CLASSES = 3
TARGET = 1
STEPS = [16, -1]


def network(random: np.random.Generator) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.set_weights([np.round(random.normal(0, 0.5, w.shape), 3).astype("float32") for w in model.get_weights()])
    return model


def numbers(values: np.ndarray) -> list[float]:
    return [significant(float(value)) for value in np.ravel(values)]


def curves(model: keras.Model, image: np.ndarray, map_: np.ndarray, other: np.ndarray) -> list[dict]:
    inputs = (image / 255).astype("float32")[None]
    targets = np.eye(CLASSES, dtype="float32")[[TARGET]]
    baselines = {"black": 0.0, "grey": 0.5, "custom": lambda inputs: np.broadcast_to(other / 255, np.shape(inputs))}
    found = []
    for name, baseline in baselines.items():
        for kind, metric in {"insertion": Insertion, "deletion": Deletion}.items():
            for steps in STEPS:
                measure = metric(model, inputs, targets, baseline_mode=baseline, steps=steps)
                detailed = measure.detailed_evaluate(map_[None])
                found.append(
                    {
                        "baseline": name,
                        "kind": kind,
                        "steps": SIDE * SIDE if steps == -1 else steps,
                        "pixels": [int(step) for step in detailed],
                        "score": numbers(np.array(list(detailed.values()))),
                        "area": significant(float(measure.evaluate(map_[None]))),
                    }
                )
    return found


def similarities(random: np.random.Generator) -> list[dict]:
    """Pairs of maps 0..1: alike, unlike, with equal values, oblong, flat in places."""
    base = random.random((16, 20))
    smooth = np.add.outer(np.linspace(0, 1, 16), np.linspace(0, 1, 20)) / 2
    pairs = {
        "noise added": (base, np.clip(base + random.normal(0, 0.1, base.shape), 0, 1)),
        "unrelated": (base, random.random(base.shape)),
        "reversed": (smooth, 1 - smooth),
        "smooth and rough": (smooth, np.clip(smooth + 0.3 * (base - 0.5), 0, 1)),
        "few values": (np.floor(3 * base) / 3, np.floor(2 * np.roll(base, 1, 0)) / 2),
        "mostly zeros": (np.where(base > 0.8, base, 0), np.where(smooth > 0.7, smooth, 0)),
    }
    found = []
    for name, (a, b) in pairs.items():
        a, b = np.round(a, 4), np.round(b, 4)
        found.append(
            {
                "name": name,
                "shape": list(a.shape),
                "a": a.ravel().tolist(),
                "b": b.ravel().tolist(),
                "spearman": significant(float(spearmanr(a.ravel(), b.ravel())[0])),
                "ssim": significant(
                    float(
                        structural_similarity(
                            a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
                        )
                    )
                ),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="faithfulness and similarity of maps, as numbers to test against")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()

    random = np.random.default_rng(7)
    model = network(random)
    image = random.integers(0, 256, (SIDE, SIDE, 3)).astype("float64")
    other = random.integers(0, 256, (SIDE, SIDE, 3)).astype("float64")
    map_ = (random.permutation(SIDE * SIDE) - 20.0).reshape(SIDE, SIDE)
    made = {
        "keras": keras.__version__,
        "scipy": scipy.__version__,
        "skimage": skimage.__version__,
        "xplique": xplique.__version__,
        "weights": [{"shape": list(w.shape), "data": numbers(w)} for w in model.get_weights()],
        "target": TARGET,
        "image": image.ravel().tolist(),
        "other": other.ravel().tolist(),
        "map": map_.ravel().tolist(),
        "curves": curves(model, image, map_, other),
        "similarities": similarities(random),
    }
    write_or_check("faithfulness.json", made, arguments.check)


if __name__ == "__main__":
    main()
