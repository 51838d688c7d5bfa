"""Captum's Occlusion on PyTorch, in double precision.

    python captum_occlusion.py           writes fixtures/captum_occlusion.json
    python captum_occlusion.py --check   compares with it and writes nothing

The networks and the image are made of numbers that look random and that `uniforms` of test/nets.ts makes too, so the
fixture holds no weights: see `Net` for the order in which they are drawn.

What the fixture holds:
  source  the versions used
  cases   one a row: `net`, its name; `size` and `stride` of the square; `baseline`, one number a channel; `target`, the
          class; `shape` [rows, columns] of places; `unoccluded`, the target's probability; `probability` and `logit` of
          the target with the square at each place, row by row; `map`, what Captum returns for each pixel [h, w] (how much
          the probability falls on average while a square covers it)

Captum's squares stand at 0, stride, 2 * stride ..., ceil((side - size) / stride) + 1 of them along each side; the last
one may hang over the edge.
"""

import argparse
import math

import captum
import numpy as np
import torch
from captum.attr import Occlusion
from torch import nn
from torch.nn import functional as F

from fixture import significant, write_or_check

HEIGHT, WIDTH, CLASSES = 30, 26, 5


def uniforms(seed: int):
    """mulberry32, as in test/nets.ts."""

    def next_value() -> float:
        nonlocal seed
        seed = (seed + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((seed ^ (seed >> 15)) * (1 | seed)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        return ((t ^ (t >> 14)) & 0xFFFFFFFF) / 4294967296

    return next_value


def drawn(shape, scale, next_value) -> torch.Tensor:
    """Numbers of -scale/2 ... scale/2 in row-major order, rounded to single precision."""
    values = [np.float32(scale * (next_value() - 0.5)) for _ in range(math.prod(shape))]
    return torch.tensor(np.array(values, np.float64).reshape(shape))


def same(x, size, stride, value=0.0):
    """TensorFlow's padding "same": the odd cell goes behind."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


class Net(nn.Module):
    """Layers draw their kernels [h, w, in, out] (dense ones [in, out]) in the order of `forward`, then their biases."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        self.weights = None

    def conv(self, x, filters, size, stride=1, padding="same", dilation=1):
        kernel, bias = self.take((size, size, x.shape[1], filters), filters, size * size * x.shape[1])
        if padding == "same":
            x = same(x, (size - 1) * dilation + 1, stride)
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, dilation=dilation)

    def dense(self, x, units):
        kernel, bias = self.take((x.shape[1], units), units, x.shape[1])
        return x @ kernel + bias

    def take(self, shape, outputs, fan_in):
        if self.at == len(self.weights):
            kernel = drawn(shape, 5 / math.sqrt(fan_in), self.next_value)
            self.weights.append((kernel, drawn((outputs,), 1, self.next_value)))
        self.at += 1
        return self.weights[self.at - 1]

    def forward(self, x):
        if self.weights is None:
            self.weights, self.next_value = [], uniforms(self.seed)
        self.at = 0
        return self.logits(x)


class Plain(Net):
    """Convolutions and max-poolings, then dense layers."""

    def logits(self, x):
        x = F.max_pool2d(torch.relu(self.conv(x, 6, 3)), 2, 2)
        x = F.max_pool2d(same(torch.relu(self.conv(x, 8, 3, padding="valid")), 3, 2, -math.inf), 3, 2)
        x = torch.tanh(self.conv(x, 8, 3, dilation=2))
        x = x.permute(0, 2, 3, 1).flatten(1)
        return self.dense(torch.relu(self.dense(x, 12)), CLASSES)


class Residual(Net):
    """Strides, branches that meet, global pooling."""

    def logits(self, x):
        x = torch.relu(self.conv(x, 8, 5, 2))
        for stride in [1, 2]:
            y = torch.relu(self.conv(x, 8, 1, stride, "valid"))
            y = self.conv(y, 8, 3)
            x = torch.relu(y + (x if stride == 1 else self.conv(x, 8, 1, stride, "valid")))
        return self.dense(F.avg_pool2d(x, 2, 2).mean((2, 3)), CLASSES)


def image() -> torch.Tensor:
    """[1, 3, h, w] of 0...255, drawn pixel by pixel, over 127.5, minus 1."""
    next_value = uniforms(7)
    pixels = [np.float32(np.float32(255 * next_value()) - 127.5) / np.float32(127.5) for _ in range(HEIGHT * WIDTH * 3)]
    return torch.tensor(np.array(pixels, np.float64).reshape(1, HEIGHT, WIDTH, 3)).permute(0, 3, 1, 2)


def case(net, size, stride, baseline, target) -> dict:
    seen = []

    def probability(x):
        logits = net(x)
        probabilities = torch.softmax(logits, 1)
        seen.extend(zip(probabilities[:, target].tolist(), logits[:, target].tolist()))
        return probabilities

    x = image()
    values = torch.tensor(baseline, dtype=torch.float64).reshape(1, 3, 1, 1).expand_as(x)
    attribution = Occlusion(probability).attribute(
        x, sliding_window_shapes=(3, size, size), strides=(3, stride, stride), baselines=values, target=target
    )
    assert torch.allclose(attribution[0, 0], attribution[0, 2])
    rows, columns = [math.ceil((side - size) / stride) + 1 for side in (HEIGHT, WIDTH)]
    (unoccluded, _), *places = seen
    assert len(places) == rows * columns
    # Captum goes down the columns, one column after the other.
    ordered = [places[column * rows + row] for row in range(rows) for column in range(columns)]
    return {
        "net": type(net).__name__.lower(),
        "size": size,
        "stride": stride,
        "baseline": baseline,
        "target": target,
        "shape": [rows, columns],
        "unoccluded": significant(unoccluded),
        "probability": [significant(p) for p, _ in ordered],
        "logit": [significant(l) for _, l in ordered],
        "map": [significant(v, 7) for v in attribution[0, 0].flatten().tolist()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Captum's occlusion, as numbers to test against")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        nets = [Plain(21), Residual(22)]
        settings = [(8, 2, [0.0] * 3, 0), (7, 4, [0.0] * 3, 1), (9, 5, [0.25, -0.5, 1.0], 2), (11, 11, [-1.0] * 3, 3),
                    (26, 3, [0.0] * 3, 4)]
        cases = [case(net, *setting) for net in nets for setting in settings]
    write_or_check(
        "captum_occlusion.json",
        {
            "source": {"captum": captum.__version__, "torch": torch.__version__.split("+")[0], "precision": "float64"},
            "image": [HEIGHT, WIDTH, 3],
            "cases": cases,
        },
        arguments.check,
    )


if __name__ == "__main__":
    main()
