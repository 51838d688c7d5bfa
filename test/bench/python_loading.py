"""Loads networks with Keras and ONNX Runtime (or the package `onnx`, which only reads), for comparison.

Writes ResNet-50 with random weights into a folder as `net.h5` and `net.keras`. Then it reads the name of a task from each
line of its input, runs it once, and answers with a line of JSON: the milliseconds it took.

Usage: python python_loading.py FOLDER
"""

import importlib.util
import sys

import keras

from peer import serve


def onnx_reader():
    """What reads an ONNX file here, and its name."""
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        return lambda path: onnxruntime.InferenceSession(path), f"ONNX Runtime {onnxruntime.__version__}"
    try:
        from onnx import __version__, load, numpy_helper
    except ImportError:
        return None, "nothing for .onnx"
    return (
        lambda path: [numpy_helper.to_array(tensor) for tensor in load(path).graph.initializer],
        f"onnx {__version__} (reads, builds no network)",
    )


def main():
    folder = sys.argv[1]
    net = keras.applications.ResNet50(weights=None)
    tasks = {}
    for name in ["net.h5", "net.keras"]:
        path = f"{folder}/{name}"
        net.save(path)
        tasks[name] = lambda path=path: keras.models.load_model(path, compile=False)
    read, reader = onnx_reader()
    if read:
        tasks["net.onnx"] = lambda: read(f"{folder}/net.onnx")
    about = f"Keras {keras.__version__} on {keras.backend.backend()}, {reader}"
    serve(about, tasks)


if __name__ == "__main__":
    main()
