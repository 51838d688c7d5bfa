"""t-SNE of MNIST by openTSNE and scikit-learn, for comparison.

Reads the images, writes the first COUNT of them as 50 principal components (32-bit floats) to POINTS, and tells what it
can do. Then it reads the name of a task from each line of its input, runs it once, and answers with a line of JSON:
the milliseconds it took, and the divergence.

Usage: python tsne_peer.py IMAGES COUNT POINTS THREADS
"""

import json
import sys
import time

import numpy as np
import openTSNE
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE


def main():
    images, count, path, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    pixels = np.fromfile(images, np.uint8)[16:].reshape(-1, 784)[:count].astype(np.float32)
    points = PCA(50, random_state=0).fit_transform(pixels).astype("<f4")
    points.tofile(path)

    def by_open_tsne():
        # Its defaults: perplexity 30, 750 iterations, approximate neighbours, interpolation for many points.
        return float(openTSNE.TSNE(n_jobs=threads, random_state=0).fit(points).kl_divergence)

    def by_sklearn():
        return float(TSNE(init="pca", max_iter=750, n_jobs=threads, random_state=0).fit(points).kl_divergence_)

    tasks = {"openTSNE": by_open_tsne, "scikit-learn": by_sklearn}
    about = f"openTSNE {openTSNE.__version__}, scikit-learn {sklearn.__version__}, {threads} threads"
    print(json.dumps({"about": about, "tasks": list(tasks)}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        divergence = tasks[line.strip()]()
        print(json.dumps({"ms": 1000 * (time.perf_counter() - start), "divergence": divergence}), flush=True)


main()
