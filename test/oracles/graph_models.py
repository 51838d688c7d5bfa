"""Networks as graph models of TensorFlow.js, with what Keras computes of them.

    python graph_models.py           writes fixtures/graph_models.zip
    python graph_models.py --check   compares with it and writes nothing

What the archive holds:
  cases.json     `source`, the versions used; `cases`: `name`; `inputs` and `outputs`, the values of inputs as `wave` has them;
                 `outputs` and `gradients` (of the sum of output · wave over all outputs) as `pack` of fixture.py writes them
  NAME/model.json, NAME/weights.bin   the models: frozen and folded by Grappler as TensorFlow.js's converter does it, whose
                 fused operators the last passes here make; `raw` ones are frozen alone

Weights are `wave`'s, halved; variances positive.
"""

import io
import json
import os
import sys
import zipfile

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer

from fixture import FIXTURES, pack, unpack, wave

TOLERANCE = 4e-5
K = keras.layers
CASES = []


def case(build):
    CASES.append(build)
    return build


@case
def plain():
    return keras.Sequential([
        K.Input((17, 16, 3)), K.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        K.DepthwiseConv2D(3, padding="same", depth_multiplier=2), K.BatchNormalization(), K.ReLU(6.0),
        K.MaxPooling2D(3, 2, padding="same"), K.Conv2D(5, 1), K.LeakyReLU(negative_slope=0.2),
        K.AveragePooling2D(2, padding="same"), K.Flatten(), K.Dense(7, activation="tanh"), K.Dense(4, activation="softmax")])


@case
def residual():
    """Of any size: shapes are computed in the graph."""
    image = K.Input((None, None, 3))
    x = K.Conv2D(8, 3, strides=2, use_bias=False)(K.ZeroPadding2D(((0, 1), (0, 1)))(image))
    x = K.Activation("swish")(K.BatchNormalization()(x))
    y = K.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = K.Add()([x, y])
    s = K.Conv2D(8, 1, activation="sigmoid")(K.GlobalAveragePooling2D(keepdims=True)(x))
    x = K.GlobalAveragePooling2D()(K.Concatenate()([K.Multiply()([x, s]), y]))
    return keras.Model(image, [K.Dense(3, activation="softmax")(x), K.Dense(1)(x)])


@case
def segment():
    image = K.Input((16, 24, 3))
    a = K.Conv2D(8, 3, padding="same", activation="elu")(image)
    b = K.SeparableConv2D(12, 3, padding="same", activation="relu")(K.MaxPooling2D()(a))
    c = K.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(b)
    x = K.Concatenate()([a, c, K.UpSampling2D(2, interpolation="bilinear")(b), K.UpSampling2D(2)(b)])
    x = K.LayerNormalization()(K.PReLU(shared_axes=[1, 2])(x))
    x = K.Cropping2D(((1, 2), (3, 1)))(K.Conv2DTranspose(4, 2, strides=2)(x))
    return keras.Model(image, K.Conv2D(3, 1, activation="softmax")(x))


@case
def two_inputs():
    image, angle = K.Input((12, 12, 1), name="image"), K.Input((5,), name="angle")
    x = K.GlobalMaxPooling2D()(K.Conv2D(4, 3, activation="relu")(image))
    return keras.Model([image, angle], K.Dense(2)(K.Concatenate()([x, K.Dense(4, activation="relu")(angle)])))


@case
def signal():
    return keras.Sequential([
        K.Input((40, 3)), K.Conv1D(6, 5, padding="same", activation="relu"), K.MaxPooling1D(2),
        K.Conv1D(8, 3, dilation_rate=2), K.BatchNormalization(), K.ReLU(), K.GlobalAveragePooling1D(),
        K.Dense(3, activation="softmax")])


@case
def volume():
    return keras.Sequential([
        K.Input((8, 8, 9, 2)), K.Conv3D(4, 3, padding="same", activation="relu"), K.MaxPooling3D(2), K.Conv3D(5, 2),
        K.AveragePooling3D(2, padding="same"), K.GlobalAveragePooling3D(), K.Dense(3)])


@case
def tokens():
    image = K.Input((16, 16, 3))
    x = K.Reshape((16, 8))(K.Conv2D(8, 4, strides=4)(image))
    y = K.LayerNormalization()(x)
    x = K.Add()([x, K.MultiHeadAttention(2, 4)(y, y)])
    x = K.Add()([x, K.Dense(8)(K.Dense(16, activation="gelu")(x))])
    return keras.Model(image, K.Dense(3)(K.GlobalAveragePooling1D()(x)))


@case
def groups():
    image = K.Input((12, 12, 3))
    x = K.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3.0])(K.Rescaling(1 / 2, offset=-0.1)(image))
    x = K.Activation("softsign")(K.GroupNormalization(4)(K.Conv2D(8, 3, padding="same")(x)))
    x = K.Resizing(7, 9)(K.Activation("selu")(K.Conv2D(8, 3)(x)))
    return keras.Model(image, K.RepeatVector(3)(K.Flatten()(K.Permute((3, 1, 2))(x))))


def weighted(model):
    for i, weight in enumerate(model.weights):
        values = wave(weight.shape, 100 + i) / 2
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values + ("gamma" in weight.path))
    return model


def frozen(model):
    """The graph, and the tensors that are its inputs and outputs."""
    specs = [tf.TensorSpec([None, *x.shape[1:]], tf.float32, name=x.name) for x in model.inputs]
    run = tf.function(lambda *x: model(x if len(x) > 1 else x[0], training=False))
    return convert_variables_to_constants_v2(run.get_concrete_function(*specs))


def folded(function):
    """The graph as the converter's first passes of Grappler leave it."""
    graph = function.graph.as_graph_def()
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.extend(["pruning", "constfold", "arithmetic", "dependency"] * 2)
    rewriting.meta_optimizer_iterations = 1
    with tf.Graph().as_default() as own:
        tf.import_graph_def(graph, name="")
        meta = tf.compat.v1.train.export_meta_graph(graph_def=graph, graph=own)
    ends = meta.collection_def["train_op"]
    ends.node_list.value.extend(tensor.name for tensor in function.outputs)
    return tf_optimizer.OptimizeGraph(config, meta)


FUSED = {"Conv2D": "_FusedConv2D", "MatMul": "_FusedMatMul", "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative"}
ACTIVATIONS = {"Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid"}


def fused(graph):
    """A product, its bias and its activation as one node, which has the last one's name."""
    nodes = {node.name: node for node in graph.node}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name.removesuffix(":0"), []).append(node)
    only = lambda node: readers[node.name][0] if len(readers.get(node.name, [])) == 1 else None
    gone = set()
    for node in graph.node:
        bias = only(node) if node.op in FUSED else None
        if bias is None or bias.op != "BiasAdd" or nodes[bias.input[1]].op != "Const":
            continue
        last, names = bias, [b"BiasAdd"]
        behind = only(bias)
        if behind is not None and behind.op in ACTIVATIONS:
            last = behind
            names.append(behind.op.encode())
        made = tf.compat.v1.NodeDef()
        made.CopyFrom(node)
        made.name, made.op = last.name, FUSED[node.op]
        made.input.append(bias.input[1])
        made.attr["fused_ops"].list.s.extend(names)
        made.attr["num_args"].i = 1
        if last.op == "LeakyRelu":
            made.attr["leakyrelu_alpha"].f = last.attr["alpha"].f
        gone |= {node.name, bias.name}
        last.CopyFrom(made)
    kept = [node for node in graph.node if node.name not in gone or node.op in FUSED.values()]
    del graph.node[:]
    graph.node.extend(kept)
    return graph


def files(model, raw):
    function = frozen(model)
    graph = function.graph.as_graph_def() if raw else fused(folded(function))
    weights, data = [], b""
    for node in graph.node:
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        values = tf.make_ndarray(tensor)
        values = values.astype({np.dtype("int64"): np.int32, np.dtype("float64"): np.float32}.get(values.dtype, values.dtype))
        weights.append({"name": node.name, "shape": list(values.shape), "dtype": str(values.dtype)})
        data += values.tobytes()
        for field in ("tensor_content", "float_val", "int_val", "int64_val"):
            tensor.ClearField(field)
    sign = lambda tensors: {tensor.name.split(":")[0]: {
        "name": tensor.name, "dtype": "DT_FLOAT", "tensorShape": MessageToDict(tensor.shape.as_proto()),
    } for tensor in tensors}
    topology = {
        "format": "graph-model", "generatedBy": tf.__version__,
        "signature": {"inputs": sign(function.inputs), "outputs": sign(function.outputs)},
        "modelTopology": MessageToDict(graph), "weightsManifest": [{"paths": ["weights.bin"], "weights": weights}],
    }
    # One that older converters wrote.
    if raw:
        topology = {key: topology[key] for key in ("modelTopology", "weightsManifest")}
    return {"model.json": json.dumps(topology).encode(), "weights.bin": data}


def computed(model):
    shapes = [[2, *(side or 14 for side in x.shape[1:])] for x in model.inputs]
    inputs = [tf.constant(wave(shape, 1 + i)) for i, shape in enumerate(shapes)]
    with tf.GradientTape() as tape:
        for x in inputs:
            tape.watch(x)
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        loss = tf.add_n([tf.reduce_sum(y * wave(y.shape, 51 + i)) for i, y in enumerate(outputs)])
    gradients = tape.gradient(loss, inputs)
    return {"inputs": shapes, "outputs": [pack(y.numpy()) for y in outputs], "gradients": [pack(x.numpy()) for x in gradients]}


def write_or_check(name, entries, cases):
    """Writes an archive of models and what was computed of them, or, with --check, compares with the one that there is."""
    path = FIXTURES / name
    if "--check" in sys.argv:
        with zipfile.ZipFile(path) as archive:
            stored = json.loads(archive.read("cases.json"))["cases"]
            names = set(archive.namelist())
        differences = sorted(set(entries) ^ (names - {"cases.json"}))
        for old, new in zip(stored, cases, strict=True):
            if (old["name"], old["inputs"]) != (new["name"], new["inputs"]):
                differences.append(new["name"])
            values = [case["outputs"] + (case["gradients"] or []) for case in (old, new)]
            for a, b in zip(*values, strict=True):
                if a[0] != b[0] or np.abs(unpack(a) - unpack(b)).max() > TOLERANCE * max(a[1], 0.01):
                    differences.append(f"{new['name']}: values")
        if differences:
            sys.exit("\n".join(differences))
        print(f"{path.name}: equal")
        return
    source = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in {"cases.json": json.dumps({"source": source, "cases": cases}).encode(), **entries}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 9)
    print(f"wrote {path.name}: {path.stat().st_size} bytes, {len(cases)} networks")


def main():
    entries, cases = {}, []
    for build in CASES:
        keras.utils.clear_session()
        model = weighted(build())
        for raw in (False, True) if build in (plain, residual, tokens) else (False,):
            name = build.__name__ + ("_raw" if raw else "")
            cases.append({"name": name, **computed(model)})
            entries |= {f"{name}/{file}": content for file, content in files(model, raw).items()}
    write_or_check("graph_models.zip", entries, cases)


if __name__ == "__main__":
    main()
