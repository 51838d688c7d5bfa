"""Captum's Occlusion on PyTorch, for comparison: the networks of occlusion_bench.ts with random weights.

Reads the name of a task from each line of its input, makes one map of 25 x 25 places (a square of 32 pixels, 8 apart, on
224 x 224), and answers with a line of JSON: the milliseconds it took, and the most bytes that the process has held. The
first line tells what there is.

Usage: python torch_occlusion.py resnet50|vgg16 BATCH THREADS
"""

import json
import resource
import sys
import time

import captum
import torch
from captum.attr import Occlusion
from torch import nn

from torch_resnet50 import network


def vgg16(layout):
    layers = []
    inputs = 3
    for width, depth in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    for inputs, outputs in [(512 * 49, 4096), (4096, 4096)]:
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    layers += [nn.Linear(4096, 1000), nn.Softmax(1)]
    return nn.Sequential(*layers).eval().requires_grad_(False).to(memory_format=layout)


def main():
    name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layouts = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}

    def occlude(layout):
        net = vgg16(layout) if name == "vgg16" else network(True, layout)
        x = torch.rand(1, 3, 224, 224)

        def forward(images):
            return net(images.contiguous(memory_format=layout))

        start = time.perf_counter()
        with torch.no_grad():
            Occlusion(forward).attribute(
                x, sliding_window_shapes=(3, 32, 32), strides=(3, 8, 8), target=281, perturbations_per_eval=batch
            )
        return 1000 * (time.perf_counter() - start)

    about = f"{captum.__version__} on PyTorch {torch.__version__}, {threads} threads"
    print(json.dumps({"about": about, "tasks": list(layouts)}), flush=True)
    for line in sys.stdin:
        ms = occlude(layouts[line.strip()])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"ms": ms, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
