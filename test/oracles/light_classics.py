"""Four of the light classics that the package onnx brings: the graphs of published files, with generated weights.

    python light_classics.py           writes fixtures/light_classics.zip
    python light_classics.py --check   compares with it and writes nothing

They are as published but for two things, in which the conversion to ONNX has lost what Caffe computes: AlexNet's image has
227 pixels a side, as its weights were trained with, and GoogLeNet's poolings count windows that hang over the border.
"""

import sys
import zipfile
from pathlib import Path

import onnx

from fixture import FIXTURES

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def attribute(node, name):
    return next(item.ints for item in node.attribute if item.name == name)


def network(name):
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    if name == "bvlc_alexnet":
        for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dimension.dim_value = 227
    if name == "inception_v1":
        for node in model.graph.node:
            if node.op_type == "MaxPool" and list(attribute(node, "strides")) == [2, 2]:
                attribute(node, "pads")[:] = [0, 0, 1, 1]
            if node.op_type == "AveragePool":
                attribute(node, "pads")[:] = [0, 0, 0, 0]
    return model.SerializeToString(deterministic=True)


def main():
    path = FIXTURES / "light_classics.zip"
    files = {f"{name}.onnx": network(name) for name in ("bvlc_alexnet", "inception_v1", "resnet50", "squeezenet")}
    if "--check" in sys.argv:
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == list(files)
            for name, content in files.items():
                assert archive.read(name) == content, name
        print(f"{path.name}: equal")
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    print(f"wrote {path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
