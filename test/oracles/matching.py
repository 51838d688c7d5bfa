"""Descriptors of patches and maps of points, by scikit-image and SciPy.

    python matching.py            writes fixtures/matching.json
    python matching.py --check    compares with it and writes nothing

Histograms of oriented gradients of grey and colour images (9 orientations, blocks of 4 × 4 cells, L2-Hys); a thin-plate
spline through points, without and with smoothing, at other points.
"""

import argparse

import numpy as np
from scipy.interpolate import RBFInterpolator
from skimage.feature import hog

from fixture import pack, significant, wave, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check

gradients = []
for shape, cell, seed in (((20, 24, 1), 4, 1), ((25, 21, 3), 3, 2), ((32, 32, 3), 8, 3)):
    image = wave(shape, seed) * 127 + 128
    # Smooth, so that no gradient lies on the edge between two orientations by rounding alone.
    image = (image + np.roll(image, 1, 0) + np.roll(image, 1, 1)) / 3
    image = np.asarray(image, np.float32).astype(np.float64)
    grey = shape[2] == 1
    made = hog(
        image[..., 0] if grey else image,
        orientations=9,
        pixels_per_cell=(cell, cell),
        cells_per_block=(4, 4),
        block_norm="L2-Hys",
        feature_vector=False,
        channel_axis=None if grey else -1,
    )
    rows, columns = made.shape[:2]
    gradients.append(
        {
            "shape": list(shape),
            "cell": cell,
            "image": [significant(float(v), 8) for v in image.ravel()],
            "blocks": [rows, columns],
            "values": pack(made.reshape(rows, columns, -1)),
        }
    )

points = (wave((12, 2), 4) * 10 + 12).astype(np.float64)
goals = points * [1.1, 0.9] + [2, -1] + wave((12, 2), 5)
others = (wave((6, 2), 6) * 10 + 12).astype(np.float64)
splines = []
for smoothing in (0.0, 5.0):
    # scipy's kernel is r² log r; ours the same.
    fit = RBFInterpolator(points, goals, kernel="thin_plate_spline", smoothing=smoothing, degree=1)
    splines.append({"smoothing": smoothing, "values": [[significant(float(v)) for v in row] for row in fit(others)]})
made = {
    "gradients": gradients,
    "points": points.tolist(),
    "goals": [[significant(float(v), 12) for v in row] for row in goals],
    "others": others.tolist(),
    "splines": splines,
}
write_or_check("matching.json", made, check)
