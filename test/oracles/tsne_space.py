"""Maps of three dimensions, by openTSNE and scikit-learn.

    python tsne_space.py            writes fixtures/tsne_space.json
    python tsne_space.py --check    measures the stored map again and writes nothing. The maps themselves, which take
                                    minutes and end up a little different on every processor, are taken as they are.

Of scikit-learn's digits, in each case.

openTSNE
    Three components, 750 iterations, at its defaults but for exact neighbours and the kernel. With dof = 1.5 that is
    (1 + d²/1.5)^(-1.5): Student's t with two degrees of freedom, (1 + d²/2)^(-3/2), on a map that is smaller by
    sqrt(1.5 / 2). The divergence is computed from the definition, over all pairs. For three seeds: the mean of the
    divergence, of the trustworthiness of 5 neighbours, and of how often the nearest other point has the same label; of
    the first seed also each of them and the map, in hundredths.
sklearn
    The divergence that TSNE(3) tells, at its defaults (1000 iterations) but for the method. Its gradient is not that of
    its divergence where the degrees of freedom are two, so that it does not end at the bottom.
"""

import argparse
import json

import numpy as np
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from fixture import FIXTURES, significant, write_or_check

SEEDS = (0, 1, 2)
DOF = 1.5


def quality(points: np.ndarray, labels: np.ndarray, embedding: np.ndarray) -> dict:
    from openTSNE.affinity import PerplexityBasedNN

    joint = PerplexityBasedNN(points, perplexity=30, method="exact").P.tocoo()
    kernel = (1 + squareform(pdist(embedding, "sqeuclidean")) / DOF) ** -DOF
    total = kernel.sum() - len(points)
    near = NearestNeighbors(n_neighbors=1).fit(embedding).kneighbors(return_distance=False)[:, 0]
    made = {
        "klDivergence": (joint.data * np.log(joint.data * total / kernel[joint.row, joint.col])).sum(),
        "trustworthiness": trustworthiness(points, embedding, n_neighbors=5),
        "accuracy": (labels[near] == labels).mean(),
    }
    return {name: significant(float(value)) for name, value in made.items()}


def by_open_tsne(points: np.ndarray, labels: np.ndarray) -> dict:
    from openTSNE import TSNE as OpenTSNE  # not needed for --check

    settings = {"negative_gradient_method": "bh", "neighbors": "exact", "n_jobs": 2}
    maps = [
        np.asarray(OpenTSNE(n_components=3, dof=DOF, random_state=seed, **settings).fit(points)).round(2) for seed in SEEDS
    ]
    each = [quality(points, labels, embedding) for embedding in maps]
    return {
        "mean": {name: significant(float(np.mean([one[name] for one in each]))) for name in each[0]},
        "first": each[0],
        "map": (maps[0] * 100).round().astype(int).ravel().tolist(),
    }


def by_sklearn(points: np.ndarray, method: str) -> float:
    return significant(float(TSNE(3, method=method, init="pca", random_state=0).fit(points).kl_divergence_))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    points, labels = load_digits(return_X_y=True)
    if check:
        made = json.loads((FIXTURES / "tsne_space.json").read_text())
        embedding = np.reshape(made["openTSNE"]["map"], (-1, 3)) / 100
        made["openTSNE"]["first"] = quality(points, labels, embedding)
    else:
        made = {
            "openTSNE": by_open_tsne(points, labels),
            "sklearn": {method: by_sklearn(points, method) for method in ("barnes_hut", "exact")},
        }
    write_or_check("tsne_space.json", made, check)


main()
