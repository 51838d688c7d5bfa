"""Captum on PyTorch: networks of signals and of volumes.

What a 1-D and a 3-D convolutional network give for one input, and the attributions of a class by five methods. Weights
and inputs are made by a formula (`numbers`), which the test repeats; all arrays have the channels last.
"""

import sys

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Occlusion, Saliency
from torch import nn

from fixture import significant, write_or_check

TARGET = 2


def numbers(shape: list[int], seed: int) -> torch.Tensor:
    """sin(1.7 i + seed) for the i-th number, as 32-bit floats."""
    count = int(np.prod(shape))
    return torch.tensor(np.sin(1.7 * np.arange(count) + seed).astype(np.float32).reshape(shape))


class Net(nn.Module):
    """Two convolutions, a pooling and a dense layer over the flattened maps, channels last."""

    def __init__(self, axes: int, channels: int, dense: int):
        super().__init__()
        conv, pool = (nn.Conv1d, nn.MaxPool1d) if axes == 1 else (nn.Conv3d, nn.MaxPool3d)
        self.axes = axes
        self.conv1 = conv(channels, 4, 3, padding=1)
        self.pool = pool(2)
        self.conv2 = conv(4, 3, 2)
        self.relu = nn.ReLU()
        self.dense = nn.Linear(dense, 3)
        space = [3] * axes
        last = [axes + 1, axes, *range(axes)]  # from [...space, in, out]
        with torch.no_grad():
            self.conv1.weight.copy_(0.4 * numbers([*space, channels, 4], 1).permute(last))
            self.conv1.bias.copy_(0.1 * numbers([4], 2))
            self.conv2.weight.copy_(0.4 * numbers([*[2] * axes, 4, 3], 3).permute(last))
            self.conv2.bias.copy_(0.1 * numbers([3], 4))
            self.dense.weight.copy_(0.3 * numbers([dense, 3], 5).T)
            self.dense.bias.copy_(0.1 * numbers([3], 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.relu(self.conv2(x))
        return self.dense(x.movedim(1, -1).flatten(1))


def plain(array: torch.Tensor) -> dict:
    array = array.detach()[0].movedim(0, -1).contiguous()
    return {"shape": list(array.shape), "data": [significant(v, 7) for v in array.flatten().tolist()]}


def case(shape: list[int], dense: int, window: int, stride: int) -> dict:
    axes = len(shape) - 1
    net = Net(axes, shape[-1], dense).eval()
    x = numbers(shape, 7).movedim(-1, 0)[None]
    layer_cam = LayerGradCam(net, net.relu).attribute(x, TARGET, relu_attributions=True)
    mode = "linear" if axes == 1 else "trilinear"
    return {
        "shape": shape,
        "probabilities": [significant(v) for v in torch.softmax(net(x), 1)[0].tolist()],
        "conv2": plain(torch.relu(net.conv2(net.pool(torch.relu(net.conv1(x)))))),
        "saliency": plain(Saliency(net).attribute(x, TARGET, abs=False)),
        "integratedGradients": plain(
            IntegratedGradients(net).attribute(x, torch.zeros_like(x), TARGET, n_steps=20, method="gausslegendre")
        ),
        "gradCam": plain(LayerAttribution.interpolate(layer_cam, tuple(shape[:-1]), mode)),
        "window": window,
        "stride": stride,
        "occlusion": plain(
            Occlusion(net).attribute(
                x, (shape[-1], *[window] * axes), (shape[-1], *[stride] * axes), baselines=0.0, target=TARGET
            )[:, :1]
        ),
    }


made = {"signal": case([24, 2], 33, 5, 2), "volume": case([6, 8, 8, 1], 54, 3, 2)}
write_or_check("signals_volumes.json", made, "--check" in sys.argv)
