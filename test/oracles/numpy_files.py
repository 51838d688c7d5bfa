"""Arrays in NumPy's files, and what NumPy makes of them.

    python numpy_files.py            writes fixtures/numpy_files.json
    python numpy_files.py --check    compares with it and writes nothing
    python numpy_files.py FILE...    prints what NumPy reads from .npy and .npz files, as JSON

The files are kept as base64: of every kind of number, in both byte orders, in C and in Fortran order, of several shapes;
and an .npz, plain and compressed. Of one array: sums, means, extremes, their places and parts of it.
"""

import argparse
import base64
import io
import json

import numpy as np

from fixture import significant, write_or_check

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
parser.add_argument("files", nargs="*")
arguments = parser.parse_args()


def described(array: np.ndarray) -> dict:
    values = array.ravel().tolist()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": [str(v) if v != v else v for v in values]}


if arguments.files:
    found = {}
    for path in arguments.files:
        loaded = np.load(path)
        found[path] = described(loaded) if isinstance(loaded, np.ndarray) else {k: described(loaded[k]) for k in loaded}
    print(json.dumps(found))
    raise SystemExit


def encoded(write, *args, **kwargs) -> str:
    file = io.BytesIO()
    write(file, *args, **kwargs)
    return base64.b64encode(file.getvalue()).decode()


KINDS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
rng = np.random.default_rng(0)
files = {}
for order in "<>":
    for kind in KINDS:
        whole = rng.integers(0, 100, (2, 3, 4)) if kind[0] in "u?" else rng.integers(-100, 100, (2, 3, 4))
        array = (whole / (8 if kind[0] == "f" else 1)).astype(order + kind if kind != "?" else "?")
        turned = np.asfortranarray(array)
        for name, one in {"C": array, "F": turned}.items():
            files[f"{order}{kind} {name}"] = {"file": encoded(np.save, one), **described(one.astype("f4"))}
for shape in [(), (1,), (0, 3), (5,)]:
    array = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    files[f"shape {shape}"] = {"file": encoded(np.save, array), **described(array)}

array = rng.integers(-40, 40, (3, 4, 5)).astype("f4") / 4
parts = {
    "a[1]": array[1],
    "a[:, -1]": array[:, -1],
    "a[..., 2]": array[..., 2],
    "a[0:2, :, 1:9:2]": array[0:2, :, 1:9:2],
    "a[-2:-1]": array[-2:-1],
    "a[2, 1:3, -5]": array[2, 1:3, -5],
    "a[1:1]": array[1:1],
}
reduced = {}
for name in ["sum", "mean", "min", "max", "argmax"]:
    for axis in [None, 0, 1, -1] + ([(0, 1), (-1, 0), (0, 1, 2)] if name != "argmax" else []):
        value = np.asarray(getattr(np, name)(array.astype("f8"), axis=axis)).astype("f8")
        reduced[f"{name} {json.dumps(axis)}"] = {
            "shape": list(value.shape),
            "data": [significant(v) for v in value.ravel().tolist()],
        }
write_or_check(
    "numpy_files.json",
    {
        "files": files,
        "npz": {
            "plain": encoded(np.savez, a=array, b=np.arange(3)),
            "compressed": encoded(np.savez_compressed, a=array, b=np.arange(3)),
            "refused": {
                "texts": encoded(np.save, np.array(["a", "b"])),
                "complex numbers": encoded(np.save, np.array([1j])),
                "records": encoded(np.save, np.zeros(2, dtype=[("x", "f4"), ("y", "i4")])),
                "Python objects": encoded(np.save, np.array([{}, 1], dtype=object)),
            },
        },
        "array": described(array),
        "parts": {name: described(part) for name, part in parts.items()},
        "reduced": reduced,
    },
    arguments.check,
)
