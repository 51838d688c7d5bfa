"""Attacks on three small networks, by Foolbox on PyTorch.

    python attacks.py            writes fixtures/attacks.json
    python attacks.py --check    compares with it and writes nothing

FGSM, projected gradient descent (L-infinity, L2, targeted; from the image, and from starts that both sides are given) and
DeepFool, on pixels of 0 to 255: a linear classifier, one whose softmax saturates, and a small ConvNet. In double precision,
where a saturated softmax still has a gradient. Weights, images and starts are in the fixture, in TensorFlow's order.
"""

import argparse

import eagerpy
import foolbox
import numpy as np
import torch
from foolbox.attacks import (
    L2DeepFoolAttack,
    L2ProjectedGradientDescentAttack,
    LinfFastGradientAttack,
    LinfProjectedGradientDescentAttack,
)

from fixture import significant, wave, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check
torch.set_default_dtype(torch.float64)

SIDE, CLASSES = 6, 4
images = np.round(wave((2, SIDE, SIDE, 3), 3).astype(np.float64) * 90 + 128)


class Net(torch.nn.Module):
    """Images [n, h, w, 3] of 0 to 255, as TensorFlow has them."""

    def __init__(self, kernel, dense):
        super().__init__()
        self.kernel = None if kernel is None else torch.tensor(kernel.transpose(3, 2, 0, 1))
        self.dense = torch.tensor(dense)

    def forward(self, x):
        x = x / 255
        if self.kernel is not None:
            x = torch.relu(torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), self.kernel)).permute(0, 2, 3, 1)
        return x.reshape(len(x), -1) @ self.dense


def weights(shape, seed, scale):
    return np.round(wave(shape, seed).astype(np.float64) * scale, 4)


NETS = {
    "linear": (None, weights((SIDE * SIDE * 3, CLASSES), 5, 0.3)),
    "saturating": (None, weights((SIDE * SIDE * 3, CLASSES), 7, 6)),
    "convolutional": (weights((3, 3, 3, 5), 9, 0.6), weights((80, CLASSES), 11, 0.5)),
}
# Where attacks that start at random begin. From these no gradient comes so near to 0 that its sign is a matter of rounding.
STARTS = {"pgd started": np.round(wave(images.shape, 48).astype(np.float64) * 6, 3)}
STARTS["pgd l2 started"] = np.round(wave(images.shape, 17).astype(np.float64) * 6, 3)


def started(attack, start):
    """The attack, begun at the images plus `start` instead of at random."""
    attack.random_start = True
    attack.get_random_start = lambda x0, epsilon: x0 + eagerpy.astensor(torch.tensor(start))
    return attack


ATTACKS = {
    "fgsm": (LinfFastGradientAttack(), 8),
    "pgd": (LinfProjectedGradientDescentAttack(abs_stepsize=2, steps=10, random_start=False), 6),
    "pgd l2": (L2ProjectedGradientDescentAttack(abs_stepsize=15, steps=10, random_start=False), 60),
    "pgd started": (
        started(LinfProjectedGradientDescentAttack(abs_stepsize=2, steps=10), STARTS["pgd started"]),
        6,
    ),
    "pgd l2 started": (
        started(L2ProjectedGradientDescentAttack(abs_stepsize=15, steps=10), STARTS["pgd l2 started"]),
        60,
    ),
    "deepfool": (L2DeepFoolAttack(steps=50, candidates=CLASSES, overshoot=0.02, loss="logits"), None),
}

made = []
for name, (kernel, dense) in NETS.items():
    net = Net(kernel, dense).eval()
    model = foolbox.PyTorchModel(net, bounds=(0, 255))
    inputs = torch.tensor(images)
    logits = net(inputs)
    labels = logits.argmax(1)
    targets = logits.argsort(1)[:, 1]
    attacks = {}
    for attack, (run, epsilon) in ATTACKS.items():
        changed, _, _ = run(model, inputs, labels, epsilons=epsilon)
        attacks[attack] = changed
    changed, _, _ = ATTACKS["pgd"][0](model, inputs, foolbox.TargetedMisclassification(targets), epsilons=6)
    attacks["pgd targeted"] = changed
    made.append({
        "name": name,
        "kernel": None if kernel is None else {"shape": list(kernel.shape), "values": kernel.ravel().tolist()},
        "dense": {"shape": list(dense.shape), "values": dense.ravel().tolist()},
        "labels": labels.tolist(),
        "targets": targets.tolist(),
        "probability": significant(float(logits.softmax(1).max())),
        "changes": {
            attack: [[significant(float(value), 7) for value in (one - image).ravel()] for one, image in zip(changed, inputs)]
            for attack, changed in attacks.items()
        },
    })
starts = {name: [one.ravel().tolist() for one in start] for name, start in STARTS.items()}
write_or_check(
    "attacks.json",
    {"shape": list(images.shape), "images": images.ravel().tolist(), "starts": starts, "nets": made},
    check,
)
