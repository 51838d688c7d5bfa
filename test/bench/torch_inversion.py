"""Steps of inverting a code on PyTorch, for comparison: the same layers as the catalogue's networks, with random weights.

Reads the name of a task from each line of its input, runs it once, and answers with a line of JSON: the milliseconds it
took. The first line tells what there is. A step is that of `invert`: the normalised error of the code with its gradient, an
alpha-norm and a total variation with theirs, a step of Adam, pixels kept in 0 ... 255.

Usage: python torch_inversion.py CIFAR_STEPS RESNET_STEPS THREADS
"""

import math
import sys

import torch
from torch import nn

from peer import serve
from torch_resnet50 import network


def small():
    """cifar-convnet up to conv3_2."""
    sizes = [(3, 32, 5), None, (32, 64, 3), (64, 64, 3), None, (64, 128, 3), (128, 128, 3)]
    layers = []
    for size in sizes:
        if size is None:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(size[0], size[1], size[2], padding="same"), nn.ReLU()]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def large(layout):
    """ResNet-50 up to the end of its second stage, batch normalisations folded."""
    net = network(True, layout)
    return nn.Sequential(net.stem, nn.ReLU(), net.pool, *list(net.blocks)[:7])


def invert(code, side, steps, layout=torch.contiguous_format):
    image = torch.rand(1, 3, side, side).mul(255).contiguous(memory_format=layout)
    scale = lambda x: (x - 127.5) / 64
    with torch.no_grad():
        wanted = code(scale(image))
        size = (wanted**2).sum()
    x = torch.full_like(image, 127.5) + 20 * torch.randn_like(image)
    x.requires_grad_(True)
    optimizer = torch.optim.Adam([x], lr=10)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 10 * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        loss = ((code(scale(x)) - wanted) ** 2).sum() / size
        norm = (((x - 127.5) / 80) ** 6).mean()
        down, right = x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]
        variation = ((down**2).sum() + (right**2).sum()) / x.numel() / (80 / 6.5) ** 2
        (loss + 0.01 * norm + 0.01 * variation).backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 255)
        losses.append(loss.item())


def main():
    cifar, resnet, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    first = small()
    plain, last = large(torch.contiguous_format), large(torch.channels_last)
    tasks = {
        "invert conv3_2 of cifar-convnet": lambda: invert(first, 32, cifar),
        "invert activation_21 of resnet50, plain": lambda: invert(plain, 224, resnet),
        "invert activation_21 of resnet50, channels_last": lambda: invert(last, 224, resnet, torch.channels_last),
    }
    about = f"PyTorch {torch.__version__}, {threads} threads"
    serve(about, tasks)


if __name__ == "__main__":
    main()
