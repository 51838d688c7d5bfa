"""Pictures as JPEG and back, by Pillow.

    python jpeg.py            writes fixtures/jpeg.json
    python jpeg.py --check    compares with it and writes nothing

Encoders round differently; what they share are the tables of a quality, the colours at half the resolution, and the formula.
"""

import argparse
import io

import numpy as np
from PIL import Image

from fixture import write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
check = parser.parse_args().check

rows, columns = np.mgrid[0:16, 0:24]
COLORS = np.stack(
    [127 + 90 * np.sin(rows / 3), 127 + 90 * np.cos(columns / 4), 127 + 60 * np.sin((rows + columns) / 5)], -1
)
GREY = 127 + 100 * np.sin(rows * columns / 30)[..., None]


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


write_or_check(
    "jpeg.json",
    [
        {
            "quality": quality,
            "shape": list(image.shape),
            "pixels": image.ravel().tolist(),
            "compressed": compressed(image, quality).ravel().tolist(),
        }
        for image in [np.rint(COLORS).astype(np.uint8), np.rint(GREY).astype(np.uint8)]
        for quality in [75, 20]
    ],
    check,
)
