"""Twenty steps of inversion on PyTorch, in double precision, with its own gradients.

    python inversion.py           writes fixtures/inversion.json
    python inversion.py --check   compares with it and writes nothing

Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", eq. 1: the normalised error of a
code, an alpha-norm about the middle grey and a total variation, both as means over all values and in units of photographs,
80 and 80 / 6.5. Weights, images, beginnings and shifts are made of numbers that `uniforms` of test/nets.ts makes too, in
the order in which they are drawn here, so the fixture holds none of them.

What the fixture holds:
  source  the versions used
  priors  `alpha` or `beta`, the value at an image of whole numbers [7, 6, 3], and its gradient
  runs    one for each network: `losses`, the normalised error before each step and after the last; `image` after it
"""

import argparse
import math

import numpy as np
import torch
from torch.nn import functional as F

from fixture import significant, write_or_check

SPREAD = 80.0
STEP = SPREAD / 6.5
STEPS = 20


def uniforms(seed: int):
    """mulberry32, as in test/nets.ts."""

    def next_value() -> float:
        nonlocal seed
        seed = (seed + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((seed ^ (seed >> 15)) * (1 | seed)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        return ((t ^ (t >> 14)) & 0xFFFFFFFF) / 4294967296

    return next_value


def drawn(shape, next_value, low=-0.5, high=0.5) -> torch.Tensor:
    """Numbers of low ... high in row-major order, rounded to single precision."""
    values = [np.float32(low + (high - low) * next_value()) for _ in range(math.prod(shape))]
    return torch.tensor(np.array(values, np.float64).reshape(shape))


def whole(shape, next_value) -> torch.Tensor:
    return torch.floor(drawn(shape, next_value, 0, 256))


def alpha_norm(x, alpha):
    return (((x - 127.5) / SPREAD).abs() ** alpha).mean()


def total_variation(x, beta):
    """Differences to the next row and column, none behind the last."""
    down = F.pad(x[1:] - x[:-1], (0, 0, 0, 0, 0, 1))
    right = F.pad(x[:, 1:] - x[:, :-1], (0, 0, 0, 1))
    square = down**2 + right**2
    # As flat places have no slope where the power is below 1.
    soft = square if beta == 2 else square + 1e-6
    return (soft ** (beta / 2)).mean() / STEP**beta


def shifted(x, down, right):
    """Whole pixels further down and right; grey comes in."""
    grey = torch.full_like(x, 127.5)
    height, width, _ = x.shape
    rows = [y - down for y in range(height)]
    columns = [c - right for c in range(width)]
    lines = []
    for r, y in enumerate(rows):
        cells = [x[y, c] if 0 <= y < height and 0 <= c < width else grey[0, 0] for c in columns]
        lines.append(torch.stack(cells))
    return torch.stack(lines)


def colour_net(next_value):
    """BGR minus means over deviations; 3x3 same, ReLU; 3x3 valid, stride 2, tanh."""
    first, bias1 = drawn((3, 3, 3, 4), next_value), drawn((4,), next_value)
    second, bias2 = drawn((3, 3, 4, 5), next_value), drawn((5,), next_value)
    mean, deviation = torch.tensor([100.0, 120.0, 130.0]), torch.tensor([60.0, 50.0, 70.0])

    def code(pixels):
        x = ((pixels.flip(-1) - mean) / deviation).permute(2, 0, 1)[None]
        x = F.relu(F.conv2d(x, first.permute(3, 2, 0, 1), bias1, padding=1))
        return torch.tanh(F.conv2d(x, second.permute(3, 2, 0, 1), bias2, stride=2))

    return code


def grey_net(next_value):
    """Pixels from 0 to 1; 3x3 valid, ReLU; six numbers, of which three count."""
    kernel, bias1 = drawn((3, 3, 1, 3), next_value), drawn((3,), next_value)
    matrix, bias2 = drawn((108, 6), next_value), drawn((6,), next_value)

    def code(pixels):
        x = (pixels / 255).permute(2, 0, 1)[None]
        x = F.relu(F.conv2d(x, kernel.permute(3, 2, 0, 1), bias1))
        return (x.permute(0, 2, 3, 1).reshape(1, -1) @ matrix + bias2)[:, [0, 2, 5]]

    return code


def descend(code, image, start, shifts, rule, rate, alpha, beta, norm, variation):
    """The normalised error before each step and after the last, and the picture."""
    wanted = code(image)
    size = (wanted**2).sum()
    error = lambda x: ((code(x) - wanted) ** 2).sum() / size
    x = start.clone()
    velocity, mean, square = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
    losses = []
    for step in range(STEPS):
        pixels = x.clone().requires_grad_(True)
        loss = error(shifted(pixels, *shifts[step]) if shifts else pixels)
        whole = loss + norm * alpha_norm(pixels, alpha) + variation * total_variation(pixels, beta)
        (gradient,) = torch.autograd.grad(whole, pixels)
        losses.append(loss.item())
        now = rate * (1 + math.cos(math.pi * step / STEPS)) / 2
        if rule == "momentum":
            velocity = 0.9 * velocity - now * x.numel() * gradient
            x = x + velocity
        else:
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            first, second = 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)
            x = x - now * (mean / first) / (torch.sqrt(square / second) + 1e-8)
        x = x.clamp(0, 255)
    losses.append(error(x).item())
    return losses, x


def numbers(values):
    return [significant(float(value), 7) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)

    image = whole((7, 6, 3), uniforms(1))
    priors = []
    for name, power in [("alpha", 6), ("alpha", 2), ("alpha", 3), ("beta", 2), ("beta", 1), ("beta", 1.5)]:
        pixels = image.clone().requires_grad_(True)
        value = alpha_norm(pixels, power) if name == "alpha" else total_variation(pixels, power)
        (gradient,) = torch.autograd.grad(value, pixels)
        priors.append({name: power, "value": significant(value.item()), "gradient": numbers(gradient.flatten())})

    next_value = uniforms(2)
    code = colour_net(next_value)
    image, start = whole((10, 9, 3), next_value), whole((10, 9, 3), next_value)
    shifts = [[math.floor(3 * next_value()) - 1 for _ in range(2)] for _ in range(STEPS)]
    colour = descend(code, image, start, shifts, "adam", 10, 6, 2, 0.05, 0.02)

    next_value = uniforms(3)
    code = grey_net(next_value)
    image, start = whole((8, 8, 1), next_value), whole((8, 8, 1), next_value)
    grey = descend(code, image, start, None, "momentum", 6, 3, 1.5, 0.1, 0.1)

    runs = {
        name: {"losses": numbers(losses), "image": numbers(x.flatten())}
        for name, (losses, x) in {"colour": colour, "grey": grey}.items()
    }
    source = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    write_or_check("inversion.json", {"source": source, "priors": priors, "runs": runs}, arguments.check)


main()
