"""The operator tests and the classic networks that come with the package onnx, for the tests to read.

    python onnx_operators.py FOLDER     writes FOLDER/cases.json and the networks beside it

What cases.json holds: for each network `name`, `file`, `inputs` and `outputs`, each as shape and base64 of single precision.
Of several inputs of an operator those after the first are constants, as convlens reads weights; of operators that join
values all are inputs. The classics ("light") have their weights as one number a tensor, and no values stored for their inputs:
the package's own are the numbers from 0 to 1 in order.
"""

import base64
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

JOINING = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "Concat"}


def packed(values):
    values = np.asarray(values, np.float32)
    return [list(values.shape), base64.b64encode(values.tobytes()).decode()]


def plain(values):
    """Whether they are an array of numbers."""
    return isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and values.dtype.itemsize <= 8


def write(folder, name, model, inputs, outputs):
    graph = model.graph
    joins = all(node.op_type in JOINING for node in graph.node)
    given = [value.name for value in graph.input if value.name not in {tensor.name for tensor in graph.initializer}]
    if len(given) != len(inputs) or not inputs or not all(map(plain, [*inputs, *outputs])):
        return None
    # Networks read numbers of a batch: not whole ones, not none, and not one alone.
    if any(x.ndim < 2 or x.size == 0 for x in [inputs[0], *outputs]) or inputs[0].dtype.kind != "f":
        return None
    kept = given if joins and len({x.ndim for x in inputs}) == 1 else given[:1]
    for key, values in list(zip(given, inputs)):
        if key not in kept:
            graph.initializer.append(numpy_helper.from_array(values, key))
            for value in [value for value in graph.input if value.name == key]:
                graph.input.remove(value)
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    used = [packed(values) for key, values in zip(given, inputs) if key in kept]
    return {"name": name, "file": f"{name}.onnx", "inputs": used, "outputs": [packed(values) for values in outputs]}


def read(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def operators(folder):
    from onnx.backend.test.case.node import collect_testcases
    for case in collect_testcases():
        # What an operator is made of is no operator.
        if "_expanded" in case.name:
            continue
        for inputs, outputs in case.data_sets or []:
            yield write(folder, case.name, case.model, inputs, outputs)
            break


def exported(folder):
    """Networks of one or few operators that PyTorch has exported."""
    data = Path(onnx.__file__).parent / "backend/test/data"
    for model in sorted(data.glob("pytorch-*/*/model.onnx")):
        sets = model.parent / "test_data_set_0"
        inputs, outputs = ([read(path) for path in sorted(sets.glob(f"{kind}_*.pb"))] for kind in ("input", "output"))
        yield write(folder, f"{model.parent.parent.name}_{model.parent.name}", onnx.load(model), inputs, outputs)


def classics(folder):
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in sorted(light.glob("*.onnx")):
        model = onnx.load(path)
        stored = {tensor.name for tensor in model.graph.initializer}
        [image] = [value for value in model.graph.input if value.name not in stored]
        shape = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
        values = (np.arange(np.prod(shape)) / np.prod(shape)).reshape(shape).astype(np.float32)
        yield write(folder, path.stem, model, [values], [read(path.with_name(f"{path.stem}_output_0.pb"))])


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    cases = [case for part in (operators, exported, classics) for case in part(folder) if case]
    (folder / "cases.json").write_text(json.dumps({"source": f"onnx {onnx.__version__}", "cases": cases}))
    print(f"{len(cases)} networks in {folder}")


main()
