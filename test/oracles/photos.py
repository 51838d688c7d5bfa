"""Makes the photos that both sides look at: 224 by 224 pixels, RGB, 8 bit.

    python photos.py PHOTO.jpg fixtures/NAME_224.png

The short side is scaled to 224 (Lanczos), then the centre is cut out. The PNG is the truth for the oracle and for the
tests, so neither decoding a JPEG nor resizing can make the two differ. It carries no colour profile, so that no reader
converts its pixels.
"""

import argparse

from PIL import Image, ImageOps

SIDE = 224


def prepare(path: str) -> Image.Image:
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = photo.size
    scale = SIDE / min(width, height)
    photo = photo.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    left, top = (photo.width - SIDE) // 2, (photo.height - SIDE) // 2
    cut = photo.crop((left, top, left + SIDE, top + SIDE))
    return Image.frombytes("RGB", cut.size, cut.tobytes())  # leaves the metadata behind


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="scale the short side to 224 and cut out the centre")
    parser.add_argument("photo")
    parser.add_argument("png")
    arguments = parser.parse_args()
    prepare(arguments.photo).save(arguments.png, optimize=True)
