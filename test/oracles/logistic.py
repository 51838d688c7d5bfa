"""Multinomial logistic regression, by scikit-learn.

    python logistic.py            writes fixtures/logistic.json
    python logistic.py --check    compares with it and writes nothing

Of scikit-learn's digits the first 400, their values divided by 16, to fit; the next 400 to classify. For each strength C
of the data against the penalty: the loss C · Σ −log p + ½ ‖weights‖² at the minimum, the classes that the next 400 are
taken for, and the probabilities of the first ten of them.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from fixture import significant, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check

images, labels = load_digits(return_X_y=True)
images = images / 16
made = {}
for strength in (1.0, 0.01):
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=20000).fit(images[:400], labels[:400])
    right = model.predict_log_proba(images[:400])[np.arange(400), labels[:400]]
    loss = -strength * right.sum() + (model.coef_**2).sum() / 2
    made[str(strength)] = {
        "loss": significant(float(loss)),
        "classes": model.predict(images[400:800]).tolist(),
        "probabilities": [[significant(float(p), 6) for p in row] for row in model.predict_proba(images[400:410])],
    }
write_or_check("logistic.json", made, check)
