"""Statistics of parts of a data set, by SciPy and NumPy.

    python slices.py            writes fixtures/slices.json
    python slices.py --check    compares with it and writes nothing

SciPy: Fisher's exact test, one-sided. NumPy, written out of the papers: Holm's adjusted p values (1979), and the expected
calibration error in 15 bins (Guo et al. 2017, §2).
"""

import argparse

import numpy as np
from scipy.stats import fisher_exact

from fixture import significant, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check
random = np.random.default_rng(21)

COUNTS = [(100, 20, 80, 9), (100, 20, 80, 16), (50, 10, 25, 0), (3000, 295, 2679, 234), (12, 12, 5, 5), (40, 3, 38, 1)]


def fewer(everything: int, drawn: int, marked: int, found: int) -> float:
    table = [[found, drawn - found], [marked - found, everything - drawn - marked + found]]
    return float(fisher_exact(table, alternative="less").pvalue)


def holm(values: np.ndarray) -> list:
    order = np.argsort(values)
    steps = np.maximum.accumulate((len(values) - np.arange(len(values))) * values[order])
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1, steps)
    return [significant(float(value)) for value in adjusted]


confidence = np.round(random.beta(5, 1.5, 80), 4)
right = random.random(80) < confidence**2
bins = np.ceil(confidence * 15)
error = sum(abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
values = np.round(random.random(9) ** 4, 6)
write_or_check(
    "slices.json",
    {
        "fisher": [
            {"all": a, "drawn": d, "marked": m, "found": f, "p": significant(fewer(a, d, m, f))} for a, d, m, f in COUNTS
        ],
        "holm": {"values": values.tolist(), "adjusted": holm(values)},
        "calibration": {
            "confidence": confidence.tolist(),
            "right": right.astype(int).tolist(),
            "error": significant(float(error)),
        },
    },
    check,
)
