"""Feature visualization in PyTorch, in double precision: the parametrisation, its gradients, and twenty steps of Adam.

    python visualization.py           writes fixtures/visualization.json
    python visualization.py --check   compares with it and writes nothing

What the fixture holds:
  source      the versions used
  fourier     images of some sizes: `shape` [h, w, c], `decay`, the coefficients `numbers` as [c, w/2 + 1, 2, h] (real, then
              imaginary parts), `pixels` [h, w, c] (torch.fft.irfft2, Lucid's scales and colours, a sigmoid, 0 to 255), `dy`,
              and the `gradient` to the numbers
  warps       an image, an affine map (of [y, x], about the centre; where points go), the image warped by
              torch.nn.functional.grid_sample (bilinear, what fills is 127.5), and the gradient for `dy`
  likeness    feature maps of some images and the mean cosine of each one's Gram matrix with the others'
  networks    small networks (convolution 3x3, ReLU, convolution 3x3, ReLU): `weights`, the start as `numbers`, the `maps` (one
              affine map a step), the `target` (a unit at a cell, or a channel's mean), the `scores` of twenty steps, each before
              its step, and the `pixels` at the end
"""

import argparse

import numpy as np
import torch

from fixture import significant, write_or_check

torch.set_default_dtype(torch.float64)
RATE, STEPS = 0.1, 20
COLORS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLORS = COLORS / torch.linalg.norm(COLORS, dim=0).max()


def pixels_of(numbers, height, width, decay=1.0):
    """[n, c, w/2 + 1, 2, h] to [n, h, w, c]."""
    spectrum = torch.complex(numbers[:, :, :, 0], numbers[:, :, :, 1]).transpose(2, 3)
    down = torch.fft.fftfreq(height)[:, None]
    across = torch.fft.rfftfreq(width)[None]
    scale = (height * width) ** 0.5 / torch.clamp(torch.sqrt(down**2 + across**2), min=1 / max(height, width)) ** decay
    image = torch.fft.irfft2(spectrum * scale, s=(height, width)) / 4
    image = image.permute(0, 2, 3, 1)
    if image.shape[-1] == 3:
        image = image @ COLORS.T
    return 255 * torch.sigmoid(image)


def warp(images, matrix, shift):
    """The points of [n, h, w, c] go to matrix (p - centre) + centre + shift."""
    n, height, width, _ = images.shape
    centre = torch.tensor([(height - 1) / 2, (width - 1) / 2])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([rows, columns], -1).double() - centre - torch.tensor(shift).double()
    back = points @ torch.linalg.inv(torch.tensor(matrix).double().reshape(2, 2)).T
    grid = torch.stack([back[..., 1] / ((width - 1) / 2), back[..., 0] / ((height - 1) / 2)], -1)
    moved = torch.nn.functional.grid_sample(
        images.permute(0, 3, 1, 2) - 127.5, grid.expand(n, -1, -1, -1), "bilinear", "zeros", align_corners=True
    )
    return moved.permute(0, 2, 3, 1) + 127.5


def likeness(maps):
    n, channels = maps.shape[0], maps.shape[-1]
    flat = maps.reshape(n, -1, channels)
    grams = torch.nn.functional.normalize((flat.transpose(1, 2) @ flat).reshape(n, -1), dim=1)
    cosines = grams @ grams.T
    return (cosines.sum(1) - 1) / (n - 1)


def rows(values, digits=7):
    return [significant(value, digits) for value in values.detach().numpy().ravel()]


def affine(random, jitter):
    down, right = random.integers(-jitter, jitter + 1, 2)
    angle = np.deg2rad(random.uniform(-5, 5))
    factor = 1 + random.uniform(-0.05, 0.05)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return {
        "matrix": (factor * turn).round(6).ravel().tolist(),
        "shift": (factor * turn @ [down, right]).round(6).tolist(),
    }


def fourier_case(random, height, width, channels, decay):
    numbers = torch.tensor(random.normal(0, 0.3, (1, channels, width // 2 + 1, 2, height)).round(4), dtype=torch.float64)
    numbers.requires_grad_()
    pixels = pixels_of(numbers, height, width, decay)
    dy = torch.tensor(random.normal(0, 1, tuple(pixels.shape)).round(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((pixels * dy).sum(), numbers)
    return {
        "shape": [height, width, channels],
        "decay": decay,
        "numbers": rows(numbers),
        "pixels": rows(pixels),
        "dy": rows(dy),
        "gradient": rows(gradient),
    }


def warp_case(random, height, width, channels):
    image = torch.tensor(random.integers(0, 256, (1, height, width, channels)), dtype=torch.float64, requires_grad=True)
    map = affine(random, 2)
    warped = warp(image, **map)
    dy = torch.tensor(random.normal(0, 1, tuple(warped.shape)).round(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((warped * dy).sum(), image)
    return {
        "shape": [height, width, channels],
        "map": map,
        "image": rows(image),
        "warped": rows(warped),
        "dy": rows(dy),
        "gradient": rows(gradient),
    }


def network_case(random, side, channels, target):
    sizes = [(3, 3, channels, 4), (3, 3, 4, 5)]
    weights = [torch.tensor(random.normal(0, (2 / np.prod(s[:3])) ** 0.5, s).round(4), dtype=torch.float64) for s in sizes]
    numbers = torch.tensor(random.normal(0, 0.05, (1, channels, side // 2 + 1, 2, side)).round(4), dtype=torch.float64)
    start = numbers.clone()
    maps = [affine(random, 1) for _ in range(STEPS)]
    numbers.requires_grad_()
    adam = torch.optim.Adam([numbers], lr=RATE, eps=1e-10)
    scores = []
    for map in maps:
        x = (warp(pixels_of(numbers, side, side), **map) / 255).permute(0, 3, 1, 2)
        for weight in weights:
            x = torch.relu(torch.nn.functional.conv2d(x, weight.permute(3, 2, 0, 1), padding=1))
        channel = x[0, target["channel"]]
        score = channel[tuple(target["cell"])] if "cell" in target else channel.mean()
        scores.append(score.item())
        adam.zero_grad()
        (-score).backward()
        adam.step()
    return {
        "side": side,
        "channels": channels,
        "target": target,
        "weights": [rows(weight) for weight in weights],
        "numbers": rows(start),
        "maps": maps,
        "scores": rows(torch.tensor(scores)),
        "pixels": rows(pixels_of(numbers, side, side)),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    random = np.random.default_rng(4)
    maps = torch.tensor(random.normal(0.3, 1, (3, 2, 3, 4)).round(3), dtype=torch.float64)
    fixture = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}",
        "fourier": [fourier_case(random, *case) for case in [(4, 6, 3, 1.0), (5, 7, 3, 1.0), (6, 5, 1, 1.5), (4, 4, 2, 0.0)]],
        "warps": [warp_case(random, *case) for case in [(6, 5, 3), (7, 8, 1)]],
        "likeness": {"shape": [3, 2, 3, 4], "maps": rows(maps), "mean": rows(likeness(maps))},
        "networks": [
            network_case(random, 10, 3, {"channel": 2, "cell": [5, 5]}),
            network_case(random, 8, 1, {"channel": 1}),
        ],
    }
    write_or_check("visualization.json", fixture, check)


if __name__ == "__main__":
    main()
