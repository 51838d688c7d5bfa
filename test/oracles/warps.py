"""Images warped, blurred and changed in contrast.

    python warps.py            writes fixtures/warps.json
    python warps.py --check    compares with it and writes nothing

SciPy: an image of waves warped by affine maps with several kinds of border, bilinear, and blurred. scikit-image: turned.
NumPy: brightness and contrast. The formulas stand here again, not taken from what is tested.
"""

import argparse

import numpy as np
from scipy import ndimage
from skimage.transform import rotate

from fixture import significant, wave, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
arguments = parser.parse_args()

SHAPE = (5, 6, 2)
image = np.round(wave(SHAPE, 5).astype(np.float64) * 127 + 128)
centre = (np.array(SHAPE[:2]) - 1) / 2

numbers = lambda values: [significant(v, 8) for v in np.asarray(values, np.float64).ravel()]


def warped(matrix, shift, mode: str, color):
    """SciPy asks where each pixel comes from: p = M^-1 (q - centre - shift) + centre."""
    back = np.linalg.inv(matrix)
    offset = centre - back @ (centre + shift)
    channels = [
        ndimage.affine_transform(image[..., c], back, offset, order=1, mode=mode, cval=color[c]) for c in range(SHAPE[2])
    ]
    return np.stack(channels, -1)


mean = image.mean((0, 1))
MODES = {"number": ("grid-constant", [40, 40]), "mean": ("grid-constant", mean), "reflect": ("mirror", mean), "edge": ("nearest", mean)}
radians = np.deg2rad(33)
MAPS = {
    "moved by parts of a pixel": ([[1, 0], [0, 1]], [1.3, -2.6]),
    "moved beyond the border": ([[1, 0], [0, 1]], [12, 4.5]),
    "turned": ([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]], [0, 0]),
    "enlarged": ([[1.7, 0], [0, 1.7]], [0, 0]),
    "shrunk": ([[0.6, 0], [0, 0.6]], [0, 0]),
    "sheared and moved": ([[1.1, 0.4], [-0.3, 0.8]], [0.7, 1.9]),
}
made = {
    "shape": list(SHAPE),
    "image": numbers(image),
    "warps": [
        {"name": name, "matrix": numbers(matrix), "shift": numbers(shift), "fill": fill, "values": numbers(warped(np.array(matrix), np.array(shift), *MODES[fill]))}
        for name, (matrix, shift) in MAPS.items()
        for fill in MODES
    ],
    # skimage's rotate turns anticlockwise, about the centre.
    "rotations": [
        {"degrees": degrees, "values": numbers(rotate(image / 255, degrees, order=1, mode="constant", cval=0.25) * 255)}
        for degrees in (20, 90, 135, 270)
    ],
    "blurs": [
        {"sigma": sigma, "values": numbers(ndimage.gaussian_filter(image, sigma, mode="nearest", axes=(0, 1), radius=int(np.ceil(3 * sigma))))}
        for sigma in (0.5, 1.2, 3)
    ],
    "brightness": [{"by": by, "values": numbers(np.clip(image + by, 0, 255))} for by in (-60, 35)],
    "contrast": [
        {"factor": factor, "values": numbers(np.clip((image - mean) * factor + mean, 0, 255))} for factor in (0, 0.4, 1.8)
    ],
}
write_or_check("warps.json", made, arguments.check)
