"""New points placed on an existing map, by openTSNE.

    python place.py            writes fixtures/place.json
    python place.py --check    places the new points on the stored map again; they must come near the stored places

The map is openTSNE's of the first 1400 of scikit-learn's digits, at its defaults but for exact neighbours; the other
397 are placed on it by `transform`.

placed
    At transform's defaults: perplexity 5, exaggeration 1.5, 250 iterations.
settled
    Without exaggeration, with exact forces, after 3000 iterations: near the bottom of each point's own divergence.
accuracy
    Of each, how often the nearest old point on the map has the label of the new one.
"""

import argparse
import json
import sys

import numpy as np
import openTSNE
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from fixture import FIXTURES, significant, write_or_check

OLD = 1400


def numbers(values, digits: int = 7) -> list:
    return [significant(float(value), digits) for value in np.ravel(values)]


def accuracy(old: np.ndarray, placed: np.ndarray, labels: np.ndarray) -> float:
    nearest = NearestNeighbors(n_neighbors=1).fit(old).kneighbors(placed, return_distance=False)[:, 0]
    return float((labels[:OLD][nearest] == labels[OLD:]).mean())


def transform(points: np.ndarray, labels: np.ndarray, old: np.ndarray) -> dict:
    affinities = openTSNE.affinity.PerplexityBasedNN(points[:OLD], method="exact", random_state=0)
    settings = {"random_state": 0, "n_jobs": 1}
    made = {}
    embedding = openTSNE.TSNEEmbedding(old.copy(), affinities, negative_gradient_method="bh", **settings)
    made["placed"] = np.asarray(embedding.transform(points[OLD:]))
    embedding = openTSNE.TSNEEmbedding(old.copy(), affinities, negative_gradient_method="bh", theta=0, **settings)
    made["settled"] = np.asarray(embedding.transform(points[OLD:], exaggeration=1, n_iter=3000))
    return {
        name: {"accuracy": accuracy(old, placed, labels), "points": numbers(placed)} for name, placed in made.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    points, labels = load_digits(return_X_y=True)
    if parser.parse_args().check:
        stored = json.loads((FIXTURES / "place.json").read_text())
        made = transform(points, labels, np.reshape(stored["map"], (-1, 2)))
        for name in made:
            away = np.reshape(stored[name]["points"], (-1, 2)) - np.reshape(made[name]["points"], (-1, 2))
            near = float((np.hypot(*away.T) < 0.05).mean())
            if near < 0.95 or abs(stored[name]["accuracy"] - made[name]["accuracy"]) > 0.006:
                sys.exit(f"{name}: {near:.3f} of the points are near the stored ones, accuracy {made[name]['accuracy']}")
            print(f"{name}: {near:.3f} of the points are near the stored ones")
        return
    old = np.asarray(openTSNE.TSNE(neighbors="exact", random_state=0, n_jobs=1).fit(points[:OLD]))
    # As transform does it, so that both stand on one map.
    old = np.reshape(numbers(old - (old.max(0) + old.min(0)) / 2), old.shape)
    write_or_check("place.json", {"map": numbers(old)} | transform(points, labels, old), False)


main()
