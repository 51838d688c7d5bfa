"""What is measured of pictures, by OpenCV and scikit-image.

    python attributes.py            writes fixtures/attributes.json
    python attributes.py --check    compares with it and writes nothing

OpenCV: luminance, its mean and deviation, the variance of its Laplacian. scikit-image: Sobel's gradient, Shannon's entropy.
The formula of colourfulness is written out of the paper (Hasler and Süsstrunk 2003), in NumPy.
"""

import argparse

import cv2
import numpy as np
from skimage.filters import sobel
from skimage.measure import shannon_entropy

from fixture import significant, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check


def attributes(image: np.ndarray) -> dict:
    pixels = image.astype(np.float32)
    grey = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else pixels[..., 0]).astype(np.float64)
    colorfulness = 0.0
    if image.shape[2] == 3:
        red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
        across, along = red - green, (red + green) / 2 - blue
        colorfulness = np.hypot(across.std(), along.std()) + 0.3 * np.hypot(across.mean(), along.mean())
    return {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "colorfulness": colorfulness,
        "sharpness": cv2.Laplacian(grey, cv2.CV_64F).var(),
        "edgeDensity": (sobel(grey / 255) > 0.1).mean(),
        "entropy": shannon_entropy(np.rint(grey).astype(np.uint8), base=2),
    }


random = np.random.default_rng(20)
rows, columns = np.mgrid[0:9, 0:12]
IMAGES = {
    "noise": random.integers(0, 256, (7, 8, 3)),
    "slopes": np.stack([rows * 20, columns * 15, (rows + columns) * 7], -1),
    "a bright square": np.where((rows[..., None] > 2) & (columns[..., None] > 5), [230, 120, 40], [20, 30, 50]),
    "grey noise": random.integers(0, 256, (6, 5, 1)),
    "one colour": np.full((4, 4, 3), [200, 10, 90]),
    "one row": random.integers(0, 256, (1, 9, 3)),
}
write_or_check(
    "attributes.json",
    [
        {
            "name": name,
            "shape": list(image.shape),
            "pixels": image.ravel().tolist(),
            "attributes": {key: significant(float(value)) for key, value in attributes(image).items()},
        }
        for name, image in IMAGES.items()
    ],
    check,
)
