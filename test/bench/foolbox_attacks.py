"""Projected gradient descent by Foolbox on PyTorch, for comparison: the catalogue's networks, with random weights.

Reads the name of a task from each line of its input, runs it once, and answers with a line of JSON: the milliseconds it took.
The first line tells what there is.

Usage: python foolbox_attacks.py STEPS SMALL LARGE THREADS, with how many images there are of each size
"""

import sys

import foolbox
import torch
from torch import nn

from peer import serve
from torch_inversion import small
from torch_resnet50 import network


def attacked(net, images, steps, layout=torch.contiguous_format):
    """Untargeted, from a random start, of the classes that the network says."""
    model = foolbox.PyTorchModel(net, bounds=(0, 255), preprocessing={"mean": 127.5, "std": 64.0})
    inputs = images.contiguous(memory_format=layout)
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2.5 * 4 / steps, steps=steps)
    return lambda: attack.run(model, inputs, labels, epsilon=4)


def main():
    steps, few, photos, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    first = nn.Sequential(
        *small(), nn.MaxPool2d(2), nn.Conv2d(128, 256, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 10)
    ).eval()
    first.requires_grad_(False)
    images = torch.rand(few, 3, 32, 32) * 255
    large = torch.rand(photos, 3, 224, 224) * 255
    plain, last = (network(True, layout).requires_grad_(False) for layout in (torch.contiguous_format, torch.channels_last))
    tasks = {
        "PGD on cifar-convnet": attacked(first, images, steps),
        "PGD on resnet50, plain": attacked(plain, large, steps),
        "PGD on resnet50, channels_last": attacked(last, large, steps, torch.channels_last),
    }
    about = f"Foolbox {foolbox.__version__}, PyTorch {torch.__version__}, {threads} threads"
    serve(about, tasks)


if __name__ == "__main__":
    main()
