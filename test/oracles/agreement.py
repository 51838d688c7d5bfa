"""Two judges of the same things, by statsmodels, SciPy and scikit-learn; linear CKA by NumPy, written out of the papers.

    python agreement.py            writes fixtures/agreement.json
    python agreement.py --check    compares with it and writes nothing

McNemar's exact test: statsmodels, and SciPy's binomial test beside it. Cohen's kappa: scikit-learn, its interval by
statsmodels. Error consistency: scikit-learn's kappa of what is right and wrong (Geirhos et al. 2020, eq. 1 to 3, by hand, must
be the same). CKA: Kornblith et al. 2019, §3, with the unbiased HSIC as in Nguyen et al. 2021, eq. 3 and 4.
"""

import argparse

import numpy as np
from scipy.stats import binom, binomtest
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from fixture import significant, wave, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check
random = np.random.default_rng(20)


def number(value) -> float:
    return significant(float(value), 12)


def test_of(only_a: int, only_b: int) -> dict:
    p = mcnemar([[3, only_a], [only_b, 2]], exact=True).pvalue
    if only_a + only_b > 0:
        assert np.isclose(p, binomtest(only_a, only_a + only_b).pvalue, rtol=1e-9), (only_a, only_b)
    fewer, count = min(only_a, only_b), only_a + only_b
    mid = min(1, 2 * binom.cdf(fewer - 1, count, 0.5) + binom.pmf(fewer, count, 0.5))
    return {"onlyA": only_a, "onlyB": only_b, "p": number(p), "midP": number(mid)}


def kappa_of(classes: int, count: int, agreeing: float) -> dict:
    a = random.integers(0, classes, count)
    b = np.where(random.random(count) < agreeing, a, random.integers(0, classes, count))
    found = cohens_kappa(confusion_matrix(a, b), return_results=True)
    kappa = cohen_kappa_score(a, b)
    assert np.isclose(kappa, found.kappa)
    half = 1.959964 * found.std_kappa
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "kappa": number(kappa),
        "low": number(max(-1, kappa - half)),
        "high": number(min(1, kappa + half)),
    }


def consistency_of(count: int, right_a: float, right_b: float, common: float) -> dict:
    shared = random.random(count) < common
    together = random.random(count) < right_a
    a = np.where(shared, together, random.random(count) < right_a)
    b = np.where(shared, together, random.random(count) < right_b)
    observed, (pa, pb) = (a == b).mean(), (a.mean(), b.mean())
    expected = pa * pb + (1 - pa) * (1 - pb)
    kappa = cohen_kappa_score(a, b)
    assert np.isclose(kappa, (observed - expected) / (1 - expected))
    return {
        "a": a.astype(int).tolist(),
        "b": b.astype(int).tolist(),
        "value": number(kappa),
        "observed": number(observed),
        "expected": number(expected),
    }


def hsic(k: np.ndarray, l: np.ndarray) -> float:
    """Nguyen et al., eq. 3."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    one = np.ones(n)
    trace = np.trace(k @ l)
    sums = one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def cka(x: np.ndarray, y: np.ndarray, ends: list) -> float:
    """Nguyen et al., eq. 4: each minibatch as often as it holds images."""
    sums = np.zeros(3)
    for start, end in zip(ends, ends[1:]):
        k, l = x[start:end] @ x[start:end].T, y[start:end] @ y[start:end].T
        sums += (end - start) * np.array([hsic(k, l), hsic(k, k), hsic(l, l)])
    return sums[0] / np.sqrt(sums[1] * sums[2])


def biased(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al., eq. 4 and §3: of centred features, which converges to the same."""
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def layers() -> dict:
    x = wave((24, 5), 1).astype(float) + 3
    y = np.concatenate([x[:, :2] * [2, -1], wave((24, 4), 2)], axis=1)
    z = wave((24, 40), 3).astype(float) - 10
    pairs = {"xy": (x, y), "xz": (x, z), "yz": (y, z), "xx": (x, x)}
    cut = {"one": [0, 24], "three": [0, 8, 16, 24], "uneven": [0, 10, 14, 24]}
    many = wave((4000, 3), 4).astype(float)
    other = many @ wave((3, 6), 5) + wave((4000, 6), 6)
    exact = cka(many[:400], other[:400], [0, 400])
    assert abs(exact - biased(many[:400], other[:400])) < 0.01, (exact, biased(many[:400], other[:400]))
    return {
        "ends": cut,
        "cka": {name: {at: number(cka(*pair, ends)) for at, ends in cut.items()} for name, pair in pairs.items()},
    }


COUNTS = [(0, 0), (5, 0), (3, 9), (9, 3), (7, 7), (1, 1), (40, 61), (300, 361), (1200, 1000), (0, 60)]
write_or_check(
    "agreement.json",
    {
        "mcnemar": [test_of(a, b) for a, b in COUNTS],
        "kappa": [kappa_of(*case) for case in [(2, 30, 0.6), (3, 60, 0.9), (10, 120, 0.5), (5, 40, 0), (4, 25, 1)]],
        "consistency": [consistency_of(*case) for case in [(60, 0.8, 0.7, 0.8), (80, 0.6, 0.9, 0), (40, 0.5, 0.5, 0.2)]],
        "layers": layers(),
    },
    check,
)
