"""t-SNE of MNIST by openTSNE and scikit-learn, for comparison.

Reads the images, writes the first COUNT of them as 50 principal components (32-bit floats) to POINTS, and tells what it
can do. Then it reads the name of a task from each line of its input, runs it once, writes the map (32-bit floats) to
POINTS.NAME, and answers with a line of JSON: the milliseconds it took, the most bytes that the process held meanwhile,
where the system tells, and the divergence.

Usage: python tsne_peer.py IMAGES COUNT POINTS THREADS
"""

import sys

import numpy as np
import openTSNE
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from peer import serve

def main():
    images, count, path, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    pixels = np.fromfile(images, np.uint8)[16:].reshape(-1, 784)[:count].astype(np.float32)
    points = PCA(50, random_state=0).fit_transform(pixels).astype("<f4")
    points.tofile(path)
    del pixels

    def by_open_tsne():
        # Its defaults: perplexity 30, 750 iterations, approximate neighbours, interpolation for many points.
        found = openTSNE.TSNE(n_jobs=threads, random_state=0).fit(points)
        return np.asarray(found), float(found.kl_divergence)

    def by_sklearn():
        model = TSNE(init="pca", max_iter=750, n_jobs=threads, random_state=0)
        return model.fit_transform(points), float(model.kl_divergence_)

    def written(name, made):
        def task():
            found, divergence = made()
            found.astype("<f4").tofile(f"{path}.{name}")
            return {"divergence": divergence}

        return task

    tasks = {"openTSNE": written("openTSNE", by_open_tsne), "scikit-learn": written("scikit-learn", by_sklearn)}
    about = f"openTSNE {openTSNE.__version__}, scikit-learn {sklearn.__version__}, {threads} threads"
    serve(about, tasks)


main()
