"""Steps of feature visualization on PyTorch, for comparison: the same layers as the catalogue's networks, with random weights.

Reads the name of a task from each line of its input, runs it once, and answers with a line of JSON: the milliseconds it
took. The first line tells what there is. A step is that of `featureVisualization`: Fourier coefficients of uncorrelated
colours become pixels (torch.fft), which are moved, scaled and turned (grid_sample); the unit's activation with its gradient to
the coefficients; a step of Adam. Only the part of the image that the unit sees is made, as large as convlens has it.

Usage: python torch_visualization.py CIFAR_STEPS RESNET_STEPS CIFAR_SIDE RESNET_SIDE THREADS
"""

import math
import random
import sys

import torch

from peer import serve
from torch_inversion import large, small

COLORS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLORS = COLORS / torch.linalg.norm(COLORS, dim=0).max()


def visualize(code, side, steps, layout=torch.contiguous_format):
    down, across = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
    scale = side / torch.clamp(torch.sqrt(down**2 + across**2), min=1 / side)
    numbers = (0.01 * torch.randn(1, 3, side, side // 2 + 1, 2)).requires_grad_(True)
    optimizer = torch.optim.Adam([numbers], lr=0.1)
    scores = []
    for _ in range(steps):
        waves = torch.view_as_complex(numbers) * scale
        image = torch.fft.irfft2(waves, s=(side, side)) / 4
        image = 255 * torch.sigmoid(torch.einsum("nchw,dc->ndhw", image, COLORS))
        angle = math.radians(random.uniform(-5, 5))
        factor = 1 + random.uniform(-0.05, 0.05)
        cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
        map = torch.tensor([[[cos, -sin, 2 / side], [sin, cos, 2 / side]]])
        grid = torch.nn.functional.affine_grid(map, image.shape, align_corners=False)
        moved = torch.nn.functional.grid_sample(image - 127.5, grid, align_corners=False)
        maps = code((moved / 64).contiguous(memory_format=layout))
        score = maps[0, 5, maps.shape[2] // 2, maps.shape[3] // 2]
        optimizer.zero_grad()
        (-score).backward()
        optimizer.step()
        scores.append(score.item())


def main():
    cifar, resnet, small_side, large_side, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random.seed(0)
    first = small()
    plain, last = large(torch.contiguous_format), large(torch.channels_last)
    tasks = {
        "visualize conv3_2 of cifar-convnet": lambda: visualize(first, small_side, cifar),
        "visualize activation_21 of resnet50, plain": lambda: visualize(plain, large_side, resnet),
        "visualize activation_21 of resnet50, channels_last": lambda: visualize(
            last, large_side, resnet, torch.channels_last
        ),
    }
    about = f"PyTorch {torch.__version__}, {threads} threads"
    serve(about, tasks)


if __name__ == "__main__":
    main()
