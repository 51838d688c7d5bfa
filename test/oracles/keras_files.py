"""Model files as Keras 3 and tf-keras save them, with what Keras computes of them.

    python keras_files.py           writes fixtures/keras_files.zip
    python keras_files.py --check   compares with it and writes nothing

What the archive holds:
  cases.json  `source`, the versions used; `cases`: `name`; `files`, the same network in each format; `custom`, the layers
              that need a replacement; `inputs` and `outputs`, shapes, the values of inputs as `wave` has them; `outputs` and
              `gradients` (of the sum of output · wave over all outputs) as `pack` of layers.py writes them
  NAME.EXT    the files: `.keras` and `.h5` of Keras 3, `2.keras` and `2.h5` of tf-keras; `json` and `weights.h5` of some

Every layer stands in at least one network. Weights are `wave`'s, halved; variances positive.
"""

import io
import json
import os
import sys
import tempfile
import zipfile

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from fixture import FIXTURES, pack, unpack, wave

TOLERANCE = 4e-5
CASES = []


def case(*versions, custom=()):
    """A network of these versions of Keras, made by a function of (keras, its layers)."""
    def add(build):
        CASES.append((build.__name__, build, versions or (2, 3), list(custom)))
        return build
    return add


def images(k, h=8, w=8, c=3, name=None):
    return k.Input((h, w, c), name=name)


@case()
def sequential(k, L):
    return k.Sequential([images(k), L.Conv2D(4, 3, padding="same", activation="relu"), L.MaxPooling2D(), L.Conv2D(4, 3),
                         L.ReLU(), L.Flatten(), L.Dense(5, activation="relu"), L.Dropout(0.5),
                         L.Dense(3, activation="softmax")])


@case()
def grey(k, L):
    return k.Sequential([images(k, c=1), L.Conv2D(2, 3, strides=2, use_bias=False), L.BatchNormalization(),
                         L.LeakyReLU(), L.GlobalAveragePooling2D(), L.Dense(2)])


@case()
def bands(k, L):
    return k.Sequential([images(k, 5, 7, 12), L.Conv2D(3, 2, activation="elu"), L.AveragePooling2D(2, 1, "same"),
                         L.PReLU(shared_axes=[1, 2]), L.GlobalMaxPooling2D(), L.Dense(1, activation="sigmoid")])


@case()
def residual(k, L):
    x = images(k)
    y = L.Conv2D(4, 3, padding="same")(x)
    z = L.BatchNormalization(momentum=0.9, epsilon=1e-3)(y)
    z = L.Activation("relu")(z)
    z = L.Conv2D(4, 3, padding="same")(z)
    z = L.Add()([y, z])
    z = L.Concatenate()([z, L.SeparableConv2D(4, 3, padding="same")(x)])
    z = L.Multiply()([z, L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(z))])
    return k.Model(x, L.Dense(3)(L.Flatten()(z)))


@case()
def merges(k, L):
    a, b = images(k, 4, 4, 2, "a"), images(k, 4, 4, 2, "b")
    parts = [L.Add()([a, b]), L.Subtract()([a, b]), L.Multiply()([a, b]), L.Maximum()([a, b]), L.Minimum()([a, b]),
             L.Average()([a, b])]
    x = L.Concatenate(axis=-1)(parts)
    dot = L.Dot(axes=1)([L.Flatten()(a), L.Flatten()(b)])
    return k.Model([a, b], [L.Conv2D(2, 2)(x), dot])


@case()
def nested(k, L):
    inner = k.Sequential([images(k, 6, 6, 2), L.Conv2D(3, 3), L.BatchNormalization(), L.GlobalMaxPooling2D()])
    x = images(k)
    y = L.Conv2D(2, 3, activation="relu")(x)
    return k.Model(x, L.Dense(2)(inner(y)))


@case()
def nested_twice(k, L):
    core = k.Sequential([images(k, 4, 4, 2), L.DepthwiseConv2D(2), L.Flatten()])
    middle_in = images(k, 4, 4, 2)
    middle = k.Model(middle_in, L.Dense(3)(core(middle_in)))
    x = images(k, 6, 6, 3)
    return k.Model(x, L.Dense(2)(middle(L.Conv2D(2, 3)(x))))


@case()
def shared(k, L):
    a, b = images(k, 6, 6, 2, "left"), images(k, 6, 6, 2, "right")
    tower = k.Sequential([images(k, 6, 6, 2), L.Conv2D(2, 3), L.GlobalAveragePooling2D()])
    dense = L.Dense(3)
    return k.Model([a, b], L.Subtract()([dense(tower(a)), dense(tower(b))]))


@case()
def frozen(k, L):
    """Layers that are not trained stand behind the others in a file of Keras 2."""
    inner = k.Sequential([images(k, 6, 6, 2), L.Conv2D(2, 3), L.BatchNormalization(), L.Conv2D(2, 2), L.Flatten()])
    inner.layers[0].trainable = False
    x = images(k, 6, 6, 2)
    y = L.BatchNormalization(trainable=False)(x)
    return k.Model(x, L.Dense(2)(inner(y)))


@case()
def scaled(k, L):
    return k.Sequential([images(k), L.Rescaling(1 / 127.5, offset=-1), L.Resizing(6, 6), L.CenterCrop(4, 4),
                         L.Conv2D(2, 2), L.GlobalAveragePooling2D()])


@case()
def normalised(k, L):
    x = images(k)
    y = L.Normalization(mean=[0.5, 0.1, -0.5], variance=[1.0, 2.0, 0.5])(x)
    y = L.LayerNormalization()(L.Conv2D(4, 2)(y))
    y = L.UnitNormalization()(L.GroupNormalization(groups=2)(y))
    return k.Model(x, L.Flatten()(y))


@case()
def adapted(k, L):
    normalise = L.Normalization()
    normalise.adapt(wave([4, 6, 6, 3], 7) * 3 + 1)
    return k.Sequential([images(k, 6, 6), normalise, L.Conv2D(2, 3), L.GlobalMaxPooling2D()])


@case()
def augmented(k, L):
    x = y = images(k)
    for layer in (L.RandomFlip("horizontal"), L.RandomRotation(0.1), L.RandomZoom(0.1), L.RandomTranslation(0.1, 0.1),
                  L.RandomContrast(0.1), L.RandomBrightness(0.1), L.GaussianNoise(0.1), L.Conv2D(2, 3),
                  L.SpatialDropout2D(0.2), L.GaussianDropout(0.1), L.AlphaDropout(0.1), L.Flatten(), L.Dropout(0.3)):
        y = layer(y)
    return k.Model(x, L.Dense(2)(y))


@case()
def padded(k, L):
    return k.Sequential([images(k, 6, 5), L.ZeroPadding2D(((1, 2), (0, 1))), L.Conv2D(2, 3), L.Cropping2D((1, 0)),
                         L.UpSampling2D(2), L.UpSampling2D(2, interpolation="bilinear"), L.Permute((3, 1, 2)),
                         L.Reshape((4, -1))])


@case()
def transposed(k, L):
    return k.Sequential([images(k, 4, 4, 3), L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
                         L.Conv2DTranspose(2, 2, strides=2, output_padding=1)])


@case()
def dilated(k, L):
    return k.Sequential([images(k, 9, 9), L.Conv2D(4, 3, dilation_rate=2), L.DepthwiseConv2D(2, depth_multiplier=2),
                         L.Conv2D(4, 2, groups=2), L.GlobalAveragePooling2D(keepdims=True)])


@case()
def activations(k, L):
    x = images(k, 4, 4)
    outputs = [L.Conv2D(2, 2, activation=name)(x) for name in (
        "elu", "exponential", "gelu", "hard_sigmoid", "mish", "relu", "selu", "sigmoid", "softmax", "softplus", "softsign",
        "swish", "tanh")]
    outputs += [layer(x) for layer in (L.ReLU(max_value=0.5, threshold=0.1), L.ELU(0.5), L.Softmax(), L.PReLU())]
    return k.Model(x, L.Concatenate()([L.Flatten()(y) for y in outputs]))


@case(3)
def activations_3(k, L):
    x = images(k, 4, 4)
    outputs = [L.Conv2D(2, 2, activation=name)(x) for name in (
        "celu", "hard_shrink", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "relu6", "silu",
        "soft_shrink", "squareplus", "tanh_shrink")]
    outputs += [L.ReLU(negative_slope=0.2)(x), L.LeakyReLU(negative_slope=0.2)(x), L.RMSNormalization()(x)]
    return k.Model(x, L.Concatenate()([L.Flatten()(y) for y in outputs]))


@case()
def signals(k, L):
    x = k.Input((12, 3))
    y = L.ZeroPadding1D(1)(L.Conv1D(4, 3, activation="relu")(x))
    y = L.MaxPooling1D()(L.SeparableConv1D(4, 2)(y))
    y = L.UpSampling1D(2)(L.DepthwiseConv1D(2)(y))
    y = L.Cropping1D(1)(L.Conv1DTranspose(3, 2)(y))
    y = L.SpatialDropout1D(0.2)(L.AveragePooling1D(2)(y))
    return k.Model(x, [L.GlobalMaxPooling1D()(y), L.GlobalAveragePooling1D()(y)])


@case()
def volumes(k, L):
    x = k.Input((6, 6, 6, 2))
    y = L.MaxPooling3D()(L.Conv3D(3, 2, activation="relu")(L.ZeroPadding3D(1)(x)))
    y = L.UpSampling3D(2)(L.Cropping3D(((0, 1), (0, 0), (1, 0)))(y))
    z = L.AveragePooling3D(2)(L.Conv3DTranspose(2, 2)(y))
    return k.Model(x, [L.GlobalAveragePooling3D()(z), L.GlobalMaxPooling3D()(L.SpatialDropout3D(0.1)(y))])


@case()
def recurrent(k, L):
    x = k.Input((5, 4, 4, 2))
    y = L.TimeDistributed(L.Conv2D(2, 2, activation="relu"))(x)
    y = L.TimeDistributed(L.Flatten())(y)
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(y)
    return k.Model(x, L.Dense(2)(L.GRU(3, reset_after=False)(y)))


@case()
def repeated(k, L):
    x = k.Input((4,))
    y = L.Reshape((3, 3, 2))(L.Dense(18)(x))
    return k.Model(x, [L.RepeatVector(2)(x), L.Conv2D(1, 2)(y)])


@case()
def free(k, L):
    x = images(k, None, None, 3)
    y = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    return k.Model(x, L.Conv2D(1, 1)(L.UpSampling2D()(L.MaxPooling2D()(y))))


@case()
def fixed_batch(k, L):
    x = k.Input(batch_shape=(2, 6, 6, 3)) if k is keras else k.Input(batch_size=2, shape=(6, 6, 3))
    return k.Model(x, L.Dense(2)(L.Flatten()(L.Conv2D(2, 3)(x))))


@case()
def mixed(k, L):
    policy = (lambda: "mixed_float16")()
    x = images(k, 6, 6)
    y = L.Conv2D(2, 3, activation="relu", dtype=policy)(x)
    return k.Model(x, L.Dense(2, dtype="float32")(L.Flatten()(y)))


@case()
def several_outputs(k, L):
    x = images(k)
    y = L.Conv2D(4, 3, activation="relu", name="trunk")(x)
    flat = L.Flatten()(y)
    return k.Model(x, [L.Dense(3, activation="softmax", name="which")(flat), L.Dense(1, name="how_much")(flat),
                       L.Conv2D(1, 1, activation="sigmoid", name="where")(y)])


@case()
def odd_names(k, L):
    x = images(k, name="the image")
    y = L.Conv2D(2, 3, name="inception_3a.1x1")(x)
    y = L.BatchNormalization(name="Mixed 5b bn" if k is keras else "Mixed_5b/bn")(y)
    return k.Model(x, L.Dense(2, name="constructor")(L.Flatten(name="toString")(y)), name="odd")


@case()
def crossed_names(k, L):
    """Names that other layers would have, if they were counted."""
    x = images(k)
    y = L.Conv2D(3, 3, name="conv2d_1", padding="same")(x)
    y = L.Conv2D(3, 3, name="conv2d", padding="same")(y)
    return k.Model(x, L.Flatten()(L.Conv2D(3, 3, name="conv2d_2")(y)))


@case(3)
def operations_3(k, L):
    o = keras.ops
    x = images(k, 6, 6, 4)
    y = x * 2.0 + 1
    y = y / o.sqrt(o.mean(y * y, axis=[1, 2], keepdims=True) + 1)
    z = o.relu(y[:, 1:5, ::2, :])
    z = 1 - o.concatenate([z, o.tanh(z)], axis=-1)
    z = o.maximum(o.clip(z, -0.5, 0.5), o.transpose(z, (0, 1, 2, 3)))
    z = o.sum(o.square(z), axis=-1) - o.max(z, axis=3) ** 2
    return k.Model(x, L.Dense(2)(L.Flatten()(o.expand_dims(o.sigmoid(z), -1))))


@case(2)
def operations_2(k, L):
    x = images(k, 6, 6, 4)
    y = x * 2.0 + 1
    y = y / tf.sqrt(tf.reduce_mean(y * y, axis=[1, 2], keepdims=True) + 1)
    z = tf.nn.relu(y[:, 1:5, ::2, :])
    z = 1 - tf.concat([z, tf.tanh(z)], axis=-1)
    z = tf.maximum(tf.clip_by_value(z, -0.5, 0.5), tf.transpose(z, (0, 1, 2, 3)))
    z = tf.reduce_sum(tf.square(z), axis=-1) - tf.pow(tf.reduce_max(z, axis=3), 2.0)
    z = tf.nn.swish(tf.nn.relu6(z + 0.5))
    return k.Model(x, L.Dense(2)(tf.reshape(tf.expand_dims(tf.sigmoid(z), -1), (-1, 12))))


@case(2)
def mobile_2(k, L):
    """As MobileNet V3 of Keras 2 writes its activations."""
    x = images(k, 6, 6, 3)
    y = L.Conv2D(4, 3)(x)
    y = L.Multiply()([y, L.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)])
    y = L.ZeroPadding2D(((0, 1), (0, 1)))(y)
    return k.Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)))


@case(custom=["scale"])
def lambdas(k, L):
    return k.Sequential([images(k), L.Lambda(lambda x: x / 2 - 1, name="scale", output_shape=(8, 8, 3)), L.Conv2D(2, 3),
                         L.GlobalAveragePooling2D()])


def weights_of(model, version):
    for i, weight in enumerate(model.weights):
        name = weight.path if version == 3 else weight.name
        if len(weight.shape) == 0 or name.split("/")[-1].startswith(("mean", "seed", "count")) or (
                name.split("/")[-1].startswith("variance")):
            continue
        value = wave(weight.shape, 101 + i) / 2
        weight.assign(np.abs(value) + 0.5 if "variance" in name else value)


def made(name, build, version, custom):
    library = {2: tf_keras, 3: keras}[version]
    library.backend.clear_session()
    if version == 3:
        keras.config.enable_unsafe_deserialization()
    model = build(library, library.layers)
    weights_of(model, version)
    shapes = [[2, *[6 if side is None else side for side in tensor.shape[1:]]] for tensor in model.inputs]
    inputs = [tf.constant(wave(shape, 1 + i)) for i, shape in enumerate(shapes)]
    with tf.GradientTape() as tape:
        for x in inputs:
            tape.watch(x)
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        loss = sum(tf.reduce_sum(tf.cast(y, tf.float32) * wave(y.shape, 51 + i)) for i, y in enumerate(outputs))
    gradients = tape.gradient(loss, inputs)
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        # Keras 3.15 itself cannot save a RandomBrightness as HDF5.
        for ending in ("keras",) if (name, version) == ("augmented", 3) else ("keras", "h5"):
            path = f"{folder}/model.{ending}"
            model.save(path)
            files[ending] = open(path, "rb").read()
        if name in ("sequential", "nested", "shared"):
            path = f"{folder}/model.weights.h5"
            model.save_weights(path)
            files["weights.h5"] = open(path, "rb").read()
            files["json"] = model.to_json().encode()
    return files, {
        "name": name, "keras": version, "files": sorted(files), "custom": custom, "inputs": shapes,
        "outputs": [pack(tf.cast(y, tf.float32).numpy()) for y in outputs],
        "gradients": [pack(np.zeros(x.shape) if g is None else g.numpy()) for x, g in zip(inputs, gradients)],
    }


def main() -> None:
    path = FIXTURES / "keras_files.zip"
    rows, files = [], {}
    for name, build, versions, custom in CASES:
        for version in versions:
            own, row = made(name, build, version, custom)
            rows.append(row)
            files.update({f"{name}.{version}.{ending}": content for ending, content in own.items()})
    cases = {"source": {"keras": keras.__version__, "tf_keras": tf_keras.__version__, "tensorflow": tf.__version__},
             "cases": rows}
    if "--check" in sys.argv:
        stored = json.loads(zipfile.ZipFile(path).read("cases.json"))
        assert stored["source"] == cases["source"], (stored["source"], cases["source"])
        assert len(stored["cases"]) == len(rows)
        for before, now in zip(stored["cases"], rows):
            for key in ("outputs", "gradients"):
                for a, b in zip(before[key], now[key], strict=True):
                    a, b = unpack(a), unpack(b)
                    assert a.shape == b.shape and np.abs(a - b).max(initial=0) <= TOLERANCE * np.abs(a).max(initial=1e-3), (
                        now["name"], key)
        print(f"{path.name}: equal, {len(rows)} networks")
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in {"cases.json": json.dumps(cases, separators=(",", ":")).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    print(f"wrote {path.name}: {path.stat().st_size} bytes, {len(rows)} networks, {len(files)} files")


if __name__ == "__main__":
    main()
