"""How well a model does, by scikit-learn; the intervals of shares by SciPy (Wilson).

    python evaluation.py            writes fixtures/evaluation.json
    python evaluation.py --check    compares with it and writes nothing

Sixty images of six numbers each. As logits of a softmax: accuracy, the share within the five likeliest, cross-entropy, the
confusion matrix, precision, recall and F1 of each class. As logits of six sigmoids: the same of independent labels, with
the average precision. As they are: the sizes of the errors of six outputs.
"""

import argparse

import numpy as np
from scipy.special import expit, softmax
from scipy.stats import binomtest
from sklearn import metrics

from fixture import significant, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check

COUNT, OUTPUTS = 60, 6
random = np.random.default_rng(14)
# Class 4 is never the truth; class 5 hardly ever.
labels = np.minimum(random.integers(0, 4, COUNT) + 2 * (random.random(COUNT) < 0.02), 5)
labels[7] = 5
logits = np.round(random.normal(0, 1.5, (COUNT, OUTPUTS)) + 2 * np.eye(OUTPUTS)[labels], 2)
# Equal probabilities, as rounding makes them.
logits[10, 2] = logits[11, 2]
several = (random.random((COUNT, OUTPUTS)) < expit(logits - 1)).astype(int)
numbers = np.round(logits + random.normal(0, [0.1, 0.5, 1, 2, 4, 8], (COUNT, OUTPUTS)), 2)


def numbers_of(values) -> list:
    return [significant(float(value)) for value in np.ravel(values)]


def wilson(share: float, count: int) -> list:
    interval = binomtest(round(share * count), count).proportion_ci(0.95, "wilson")
    return numbers_of([interval.low, interval.high])


def scores(truth, predicted) -> dict:
    names = ["precision", "recall", "f1"]
    made = metrics.precision_recall_fscore_support(truth, predicted, labels=range(OUTPUTS), zero_division=np.nan)
    return {
        name: [None if np.isnan(value) else significant(float(value)) for value in values]
        for name, values in zip(names, made)
    }


probabilities = softmax(logits, axis=1)
predicted = probabilities.argmax(axis=1)
accuracy = metrics.accuracy_score(labels, predicted)
classes = {
    "top1": significant(accuracy),
    "interval": wilson(accuracy, COUNT),
    "top5": significant(metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=range(OUTPUTS))),
    "loss": significant(metrics.log_loss(labels, probabilities, labels=range(OUTPUTS))),
    "balanced": significant(metrics.balanced_accuracy_score(labels, predicted)),
    "confusion": metrics.confusion_matrix(labels, predicted, labels=range(OUTPUTS)).tolist(),
    **scores(labels, predicted),
}
certainty = expit(logits)
said = (certainty >= 0.6).astype(int)
whole = metrics.accuracy_score(several, said)
independent = {
    "threshold": 0.6,
    "whole": significant(whole),
    "interval": wilson(whole, COUNT),
    "single": significant(1 - metrics.hamming_loss(several, said)),
    "loss": significant(np.mean([metrics.log_loss(several[:, i], certainty[:, i]) for i in range(OUTPUTS)])),
    "confusion": metrics.multilabel_confusion_matrix(several, said).tolist(),
    "averagePrecision": numbers_of(metrics.average_precision_score(several, certainty, average=None)),
    **scores(several, said),
}
errors = {
    "meanAbsoluteError": numbers_of(metrics.mean_absolute_error(numbers, logits, multioutput="raw_values")),
    "rootMeanSquareError": numbers_of(metrics.root_mean_squared_error(numbers, logits, multioutput="raw_values")),
    "bias": numbers_of((logits - numbers).mean(axis=0)),
    "explained": numbers_of(metrics.r2_score(numbers, logits, multioutput="raw_values")),
}
write_or_check(
    "evaluation.json",
    {
        "logits": logits.tolist(),
        "labels": labels.tolist(),
        "several": several.tolist(),
        "numbers": numbers.tolist(),
        "classes": classes,
        "independent": independent,
        "errors": errors,
    },
    check,
)
