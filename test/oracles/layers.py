"""Every layer that TensorFlow.js has, with its options, computed by Keras on TensorFlow.

    python layers.py           writes fixtures/layers.json
    python layers.py --check   compares with it and writes nothing

What the fixture holds:
  source  the versions used
  cases   one a row: `kind`, the layer's class; `name`, the options that differ from the defaults; `keras`, 2 (tf-keras,
          whose files TensorFlow.js reads) or 3; `layers`, one behind the other, the first of which takes all inputs, each
          as Keras saves it; where it stands alone and is not the first of its kind (and Keras), what differs from that one,
          initializers, regularizers and constraints aside;
          `inputs` and `weights`, shapes without values: see `wave`; and what Keras computes, as `pack` writes it:
          `output`, `inputGradients` (none for whole numbers) and `weightGradients`, of the sum of output · wave

The numbers that go in are the same in `test/runtime/layers/cases.ts`, so that no fixture has to hold them.
"""

import argparse
import json
import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# With oneDNN the gradient to the kernel of Conv2DTranspose is wrong where a stride is longer than the window.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from fixture import FIXTURES, pack, unpack, wave

# In parts of the largest value: twice what rounding to 16 bits may differ by, where the sums differ a little.
TOLERANCE = 4e-5
# What is left of numbers that cancel, as in the gradients of a softmax's sum, differs from processor to processor.
ROUNDING = 1e-6

IMAGE = [6, 5, 2]
FIRST = [2, 6, 5]
VECTOR = [5]
SEQUENCE = [6, 3]
VOLUME = [3, 4, 4, 2]
VOLUME_FIRST = [2, 3, 4, 4]
FILM = [3, 4, 3, 2]
FILM_FIRST = [3, 2, 4, 3]


CASES = []


def add(kind, shape, build=None, integers=None, versions=(2,), behind=None, batch=None, **options):
    """One case: `build(layers)` makes the layers where they are more than the one of the kind with its options."""
    shapes = shape if isinstance(shape[0], list) else [shape]
    # One input where it is large, which keeps the fixture small.
    batch = batch or (1 if np.prod(shapes[0]) > 40 else 2)
    CASES.append(dict(kind=kind, shapes=shapes, build=build, integers=integers, versions=versions, behind=behind,
                      batch=batch, options=options))


def windows(kind, shape, rank, first, **options):
    """Paddings, strides, dilations and data formats of one kind of convolution or pooling."""
    pooling = "Pooling" in kind
    size = "pool_size" if pooling else "kernel_size"
    uneven = {1: 3, 2: (3, 2), 3: (2, 3, 1)}[rank]
    odd_strides = {1: 3, 2: (2, 3), 3: (1, 2, 3)}[rank]
    # TensorFlow has depthwise convolutions with equal strides only.
    equal = kind in ("DepthwiseConv2D", "SeparableConv2D")
    for padding in ("valid", "same"):
        for strides in (1, 2, 2 if equal else odd_strides):
            for window in (3, 2, uneven):
                # And without it that of Conv3DTranspose to its input is, where it is longer than the window and uneven.
                if kind == "Conv3DTranspose" and window == uneven and strides == odd_strides:
                    continue
                add(kind, shape, **{size: window}, strides=strides, padding=padding, **options)
        add(kind, shape, **{size: 1}, strides=2, padding=padding, **options)
        if not pooling:
            for dilation in (2,) if rank == 3 else (2, 3) if rank == 1 or equal else (2, (1, 3)):
                add(kind, shape, kernel_size=2, dilation_rate=dilation, padding=padding, **options)
    for strides in (1, 2):
        for padding in ("valid", "same"):
            add(kind, first, **{size: 2}, strides=strides, padding=padding, data_format="channels_first", **options)


ACTIVATIONS = ["elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid", "softmax",
               "softplus", "softsign", "swish", "tanh"]
NEW_ACTIVATIONS = ["celu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid",
                   "log_softmax", "relu6", "silu", "soft_shrink", "sparse_plus", "sparsemax", "squareplus",
                   "tanh_shrink", "threshold"]


def convolutions():
    for kind, shape, rank, first, more in (
        ("Conv2D", IMAGE, 2, FIRST, {"filters": 3}),
        ("DepthwiseConv2D", IMAGE, 2, FIRST, {}),
        ("SeparableConv2D", IMAGE, 2, FIRST, {"filters": 3}),
        ("Conv2DTranspose", [4, 3, 3], 2, [3, 4, 3], {"filters": 2}),
        ("Conv1D", SEQUENCE, 1, [3, 6], {"filters": 3}),
        ("Conv3D", VOLUME, 3, VOLUME_FIRST, {"filters": 2}),
        ("Conv3DTranspose", [2, 3, 2, 2], 3, [2, 2, 3, 2], {"filters": 2}),
    ):
        windows(kind, shape, rank, first, **more)
        add(kind, shape, kernel_size=2, use_bias=False, **more)
        for activation in ("relu", "elu", "tanh", "softmax", "swish") if rank < 3 else ("relu",):
            add(kind, shape, kernel_size=2, activation=activation, **more)
    for activation in ("sigmoid", "hard_sigmoid", "selu", "gelu"):
        add("Conv2D", IMAGE, filters=4, kernel_size=2, activation=activation)
    add("Conv2D", FIRST, filters=4, kernel_size=2, data_format="channels_first", activation="relu", dilation_rate=2)
    add("Conv2D", FIRST, filters=4, kernel_size=2, data_format="channels_first", activation="softmax")
    for options in ({"padding": "same"}, {"strides": 2}, {"use_bias": False, "activation": "relu"},
                    {"dilation_rate": 2}):
        add("Conv2D", [5, 4, 4], batch=2, filters=6, kernel_size=3 if "strides" in options else 2, groups=2, **options)
    add("Conv2D", [5, 4, 4], filters=4, kernel_size=2, groups=4)
    add("Conv1D", [6, 4], filters=6, kernel_size=2, groups=2)
    add("Conv3D", [3, 4, 3, 4], filters=2, kernel_size=2, groups=2)
    # Wide enough for kernels of our own.
    add("Conv2D", [4, 4, 8], batch=2, filters=8, kernel_size=3, padding="same", activation="relu")
    add("Conv2D", [5, 4, 8], filters=8, kernel_size=2, strides=3)
    add("Conv2D", [2, 2, 3], filters=8, kernel_size=5, padding="same")
    for multiplier in (2, 3):
        add("DepthwiseConv2D", IMAGE, kernel_size=3, depth_multiplier=multiplier, padding="same")
        add("DepthwiseConv2D", FIRST, kernel_size=2, depth_multiplier=multiplier, data_format="channels_first")
        add("SeparableConv2D", IMAGE, filters=4, kernel_size=2, depth_multiplier=multiplier)
    add("DepthwiseConv2D", IMAGE, kernel_size=2, depth_multiplier=2, dilation_rate=2, padding="same", activation="relu")
    add("DepthwiseConv2D", FIRST, kernel_size=2, dilation_rate=2, data_format="channels_first")
    for strides, dilation in ((1, 1), (2, 1), (1, 2)):
        add("Conv1D", SEQUENCE, filters=4, kernel_size=3, padding="causal", strides=strides, dilation_rate=dilation)
    for padding in ("valid", "same"):
        add("Conv2DTranspose", [4, 3, 3], filters=2, kernel_size=3, strides=2, padding=padding, output_padding=1)
        add("Conv2DTranspose", [4, 3, 3], filters=2, kernel_size=(2, 3), strides=(3, 2), padding=padding,
            output_padding=(2, 0))
        add("Conv3DTranspose", [2, 3, 2, 2], filters=2, kernel_size=3, strides=2, padding=padding, output_padding=1)
    for time in ("valid", "same"):
        for options in ({}, {"strides": 2}, {"dilation_rate": 2}, {"return_sequences": True},
                        {"go_backwards": True, "return_sequences": True}, {"activation": "relu"}, {"use_bias": False}):
            add("ConvLSTM2D", FILM, filters=2, kernel_size=2, padding=time, **options)
    add("ConvLSTM2D", FILM_FIRST, filters=2, kernel_size=2, data_format="channels_first")
    add("ConvLSTM2D", FILM, filters=2, kernel_size=2, recurrent_activation="sigmoid")


def poolings():
    for rank, shape, first in ((1, SEQUENCE, [3, 6]), (2, IMAGE, FIRST), (3, VOLUME, VOLUME_FIRST)):
        for kind in ("MaxPooling", "AveragePooling"):
            windows(f"{kind}{rank}D", shape, rank, first)
            add(f"{kind}{rank}D", shape)
    for kind in ("GlobalMaxPooling", "GlobalAveragePooling"):
        for rank, shape, first in ((1, SEQUENCE, [3, 6]), (2, IMAGE, FIRST)):
            for keep in (False, True):
                add(f"{kind}{rank}D", shape, keepdims=keep, versions=(2, 3))
                add(f"{kind}{rank}D", first, keepdims=keep, data_format="channels_first")


def shapes():
    for cropping in (1, (1, 2), ((0, 2), (1, 0))):
        add("Cropping2D", IMAGE, cropping=cropping)
        add("Cropping2D", FIRST, cropping=cropping, data_format="channels_first")
    for padding in (1, (1, 2), ((0, 2), (1, 0))):
        add("ZeroPadding2D", IMAGE, padding=padding)
        add("ZeroPadding2D", FIRST, padding=padding, data_format="channels_first")
    for size in (2, (3, 2), (1, 2)):
        for interpolation in ("nearest", "bilinear"):
            add("UpSampling2D", IMAGE, size=size, interpolation=interpolation, versions=(2, 3))
            add("UpSampling2D", FIRST, size=size, interpolation=interpolation, data_format="channels_first")
    for interpolation in ("bicubic", "area", "lanczos3"):
        add("UpSampling2D", IMAGE, size=2, interpolation=interpolation)
    add("Flatten", IMAGE)
    add("Flatten", FIRST, data_format="channels_first")
    add("Flatten", [4, 3], data_format="channels_first")
    add("Reshape", IMAGE, target_shape=(4, 15))
    add("Reshape", IMAGE, target_shape=(-1, 6))
    add("Permute", IMAGE, dims=(2, 1, 3))
    add("Permute", IMAGE, dims=(3, 1, 2))
    add("Permute", SEQUENCE, dims=(2, 1))
    add("RepeatVector", VECTOR, n=3)
    for rate in (1 / 255, 2.0, [0.5, 2.0]):
        add("Rescaling", IMAGE, scale=rate, offset=-1.0)
        add("Rescaling", IMAGE, scale=rate, offset=[0.5, -2.0])
    for size in ((4, 4), (9, 8), (6, 5), (12, 3)):
        for interpolation in ("bilinear", "nearest"):
            add("Resizing", IMAGE, height=size[0], width=size[1], interpolation=interpolation)
    add("Resizing", IMAGE, height=4, width=4, interpolation="bicubic")
    add("Resizing", IMAGE, height=4, width=3, crop_to_aspect_ratio=True)
    add("Resizing", IMAGE, height=4, width=3, pad_to_aspect_ratio=True, versions=(3,))
    for size in ((4, 4), (3, 5), (6, 4), (5, 5), (4, 3), (9, 9)):
        add("CenterCrop", IMAGE, height=size[0], width=size[1])


def activations():
    for activation in ACTIVATIONS:
        add("Activation", IMAGE, activation=activation)
        add("Dense", VECTOR, units=4, activation=activation)
    for activation in ("relu", "gelu", *NEW_ACTIVATIONS):
        if activation != "glu":
            add("Activation", [4, 6], activation=activation, versions=(3,))
    add("Dense", VECTOR, units=4, use_bias=False)
    add("Dense", IMAGE, units=4)
    add("Dense", SEQUENCE, units=4, activation="relu")
    add("Dense", VECTOR, units=4, activation=("LeakyReLU", {"alpha": 0.1}))
    add("Dense", VECTOR, units=4, activation=("ELU", {"alpha": 0.5}))
    add("Conv2D", IMAGE, filters=2, kernel_size=2, activation=("ReLU", {"max_value": 0.5, "negative_slope": 0.1}))
    for options in ({}, {"max_value": 0.5}, {"negative_slope": 0.1}, {"threshold": 0.25},
                    {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.25}, {"max_value": 0.5, "threshold": 0.1},
                    {"max_value": 6.0}):
        add("ReLU", IMAGE, **options, versions=(2, 3))
    for alpha in (0.3, 0.01, 0.0):
        add("LeakyReLU", IMAGE, alpha=alpha)
        add("LeakyReLU", IMAGE, negative_slope=alpha, versions=(3,))
    for alpha in (1.0, 0.5, 2.0):
        add("ELU", IMAGE, alpha=alpha, versions=(2, 3))
    for theta in (1.0, 0.25, 0.0):
        add("ThresholdedReLU", IMAGE, theta=theta)
    add("PReLU", IMAGE)
    for shared in ([1, 2], [1], [3], [2, 3]):
        add("PReLU", IMAGE, shared_axes=shared, versions=(2, 3) if shared == [1, 2] else (2,))
    add("PReLU", VECTOR)
    for shape, axes in ((IMAGE, (-1, 1, 2, 3, [1, 2], [-1])), (VECTOR, (-1, 1))):
        for axis in axes:
            add("Softmax", shape, axis=axis)


def normalizations():
    for shape in (IMAGE, VECTOR, SEQUENCE, VOLUME):
        for axis in sorted({-1, 1, len(shape)}):
            add("BatchNormalization", shape, axis=axis, versions=(2, 3) if shape == IMAGE else (2,))
    for options in ({"center": False}, {"scale": False}, {"center": False, "scale": False}, {"epsilon": 0.1},
                    {"renorm": True}, {"momentum": 0.5}):
        add("BatchNormalization", IMAGE, **options)
    add("BatchNormalization", IMAGE, axis=[1, 3])
    for shape in (IMAGE, VECTOR, SEQUENCE):
        for axis in sorted({-1, 1}) + ([[1, 2], [1, 2, 3], 2, [-1, -3]] if shape == IMAGE else []):
            add("LayerNormalization", shape, axis=axis)
    for options in ({"center": False}, {"scale": False}, {"epsilon": 0.1}):
        add("LayerNormalization", IMAGE, **options)
    add("LayerNormalization", IMAGE, rms_scaling=True, versions=(3,))
    for kind in ("Dropout", "GaussianDropout", "AlphaDropout"):
        add(kind, IMAGE, rate=0.5)
    add("GaussianNoise", IMAGE, stddev=0.5)
    add("SpatialDropout1D", SEQUENCE, rate=0.5)
    add("Dropout", IMAGE, rate=0.5, noise_shape=(None, 1, 1, 2))


def recurrent():
    for kind in ("SimpleRNN", "LSTM", "GRU"):
        plain = {"units": 3} if kind != "GRU" else {"units": 3, "reset_after": False}
        for options in ({}, {"return_sequences": True}, {"go_backwards": True}, {"use_bias": False},
                        {"go_backwards": True, "return_sequences": True}, {"activation": "relu"},
                        {"dropout": 0.5, "recurrent_dropout": 0.5}, {"unroll": True}, {"stateful": True}):
            add(kind, SEQUENCE, **plain, **options)
        if kind != "SimpleRNN":
            for options in ({"recurrent_activation": "hard_sigmoid"}, {"implementation": 1}):
                add(kind, SEQUENCE, **plain, **options)
        add(kind, SEQUENCE, time_major=True, **plain)
        add(kind, SEQUENCE, build=lambda k, kind=kind, plain=plain: [k.Masking(0.0), getattr(k, kind)(**plain)],
            behind="masking")
        add(kind, SEQUENCE, build=lambda k, kind=kind, plain=plain:
            [k.Masking(0.0), getattr(k, kind)(return_sequences=True, zero_output_for_mask=True, **plain)],
            behind="masking, zero_output_for_mask")
    add("GRU", SEQUENCE, units=3)
    add("GRU", SEQUENCE, units=3, return_sequences=True, use_bias=False)
    add("GRU", SEQUENCE, units=3, recurrent_activation="hard_sigmoid", versions=(3,))
    add("LSTM", SEQUENCE, units=3, unit_forget_bias=False)
    add("LSTM", SEQUENCE, units=3, recurrent_activation="hard_sigmoid", versions=(3,))
    for mode in ("concat", "sum", "ave", "mul"):
        for kind in ("LSTM", "SimpleRNN"):
            for sequences in (False, True):
                add("Bidirectional", SEQUENCE, behind=f"{kind}, {mode}, return_sequences {sequences}", versions=(2, 3),
                    build=lambda k, kind=kind, mode=mode, sequences=sequences: [k.Bidirectional(
                        getattr(k, kind)(3, return_sequences=sequences), merge_mode=mode)])
    add("Bidirectional", SEQUENCE, behind="backward_layer", build=lambda k: [k.Bidirectional(
        k.LSTM(3), backward_layer=k.LSTM(3, go_backwards=True, activation="relu"))])
    add("Bidirectional", SEQUENCE, behind="GRU, reset_after", build=lambda k: [k.Bidirectional(k.GRU(3))])
    add("Bidirectional", SEQUENCE, behind="masking",
        build=lambda k: [k.Masking(0.0), k.Bidirectional(k.LSTM(3, return_sequences=True))])
    add("RNN", SEQUENCE, behind="stacked cells",
        build=lambda k: [k.RNN([k.LSTMCell(3), k.SimpleRNNCell(2)], return_sequences=True)])
    add("RNN", SEQUENCE, behind="SimpleRNNCell", build=lambda k: [k.RNN(k.SimpleRNNCell(3))])
    add("RNN", SEQUENCE, behind="GRUCell", build=lambda k: [k.RNN(k.GRUCell(3, reset_after=False))])
    add("TimeDistributed", SEQUENCE, behind="Dense", build=lambda k: [k.TimeDistributed(k.Dense(4, activation="relu"))])
    add("TimeDistributed", FILM, behind="Conv2D", build=lambda k: [k.TimeDistributed(k.Conv2D(2, 2))])
    add("TimeDistributed", FILM, behind="DepthwiseConv2D, dilation_rate 2",
        build=lambda k: [k.TimeDistributed(k.DepthwiseConv2D(2, dilation_rate=2))])
    add("TimeDistributed", FILM, behind="BatchNormalization",
        build=lambda k: [k.TimeDistributed(k.BatchNormalization())])
    add("Masking", SEQUENCE, mask_value=0.0)
    add("GlobalAveragePooling1D", SEQUENCE, behind="masking",
        build=lambda k: [k.Masking(0.0), k.GlobalAveragePooling1D()])


def merging():
    two = [IMAGE, IMAGE]
    for kind in ("Add", "Average", "Maximum", "Minimum", "Multiply"):
        add(kind, two)
        add(kind, [IMAGE, IMAGE, IMAGE])
        add(kind, [IMAGE, [1, 1, 2]])
        add(kind, [[6, 1, 2], [1, 5, 2]])
        add(kind, [IMAGE, [5, 2]])
    for axis in (-1, 3, 1, 2, -2):
        add("Concatenate", [IMAGE, IMAGE], axis=axis)
    add("Concatenate", [IMAGE, [6, 5, 1], [6, 5, 3]], axis=-1)
    for shape, axes in (([VECTOR, VECTOR], (1, -1)), ([[4, 3], [4, 3]], (1, 2, -1, (1, 1), (2, 2))),
                        ([[4, 3], [3, 5]], ((2, 1),)), ([[4, 3], [3]], ((2, 1),))):
        for axis in axes:
            for normalize in (False, True):
                add("Dot", shape, axes=axis, normalize=normalize)
    for mask in (False, True):
        add("Embedding", [4], input_dim=6, output_dim=3, mask_zero=mask, integers=6)
    add("Embedding", [4], behind="mask_zero, LSTM", integers=6,
        build=lambda k: [k.Embedding(6, 3, mask_zero=True), k.LSTM(3)])
    add("CategoryEncoding", [4], num_tokens=6, integers=6)
    add("CategoryEncoding", [1], num_tokens=6, output_mode="one_hot", integers=6)
    add("CategoryEncoding", [4], num_tokens=6, output_mode="count", integers=6)
    for factor in (0.2, (-0.3, 0.4)):
        add("RandomWidth", IMAGE, factor=factor)
        add("RandomHeight", IMAGE, factor=factor)


def missing():
    """Layers that TensorFlow.js has not."""
    both = (2, 3)
    for padding in (1, (2, 0), (1, 2)):
        add("ZeroPadding1D", SEQUENCE, padding=padding, versions=both)
        add("Cropping1D", SEQUENCE, cropping=padding, versions=both)
    for amount in (1, (1, 2, 0), ((0, 1), (1, 0), (2, 1))):
        add("ZeroPadding3D", VOLUME, padding=amount, versions=both)
    for amount in (1, (1, 1, 0), ((0, 1), (1, 0), (2, 1))):
        add("Cropping3D", VOLUME, cropping=amount, versions=both)
    add("ZeroPadding3D", VOLUME_FIRST, padding=((0, 1), (1, 0), (2, 1)), data_format="channels_first", versions=both)
    add("Cropping3D", VOLUME_FIRST, cropping=((0, 1), (1, 0), (2, 1)), data_format="channels_first", versions=both)
    for size in (2, 3):
        add("UpSampling1D", SEQUENCE, size=size, versions=both)
    for size in (2, (1, 2, 3)):
        add("UpSampling3D", [2, 3, 2, 2], size=size, versions=both)
    add("UpSampling3D", [2, 2, 3, 2], size=(1, 2, 3), data_format="channels_first", versions=both)
    for kind in ("GlobalAveragePooling3D", "GlobalMaxPooling3D"):
        for keep in (False, True):
            add(kind, VOLUME, keepdims=keep, versions=both)
            add(kind, VOLUME_FIRST, keepdims=keep, data_format="channels_first", versions=both)
    for kind, more in (("SeparableConv1D", {"filters": 4}), ("DepthwiseConv1D", {})):
        for options in ({}, {"padding": "same"}, {"strides": 2}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2},
                        {"dilation_rate": 2, "padding": "same"}, {"padding": "causal"}, {"use_bias": False},
                        {"depth_multiplier": 2}, {"activation": "relu"}):
            add(kind, SEQUENCE, kernel_size=3, **more, **options, versions=both)
    for options in ({}, {"padding": "same"}, {"strides": 2}, {"strides": 2, "padding": "same"}, {"strides": 3},
                    {"use_bias": False}, {"activation": "relu"}):
        add("Conv1DTranspose", SEQUENCE, filters=2, kernel_size=3, **options, versions=both)
    for options in ({"groups": 1}, {"groups": 2}, {"groups": -1}, {"groups": 2, "center": False, "scale": False},
                    {"groups": 2, "epsilon": 0.1}):
        add("GroupNormalization", [4, 3, 4], **options, versions=both)
    add("GroupNormalization", [4, 4, 3], groups=2, axis=1, versions=both)
    add("GroupNormalization", [6, 4], groups=2, versions=both)
    for axis in (-1, 1, [1, 2], [1, 2, 3]):
        add("UnitNormalization", IMAGE, axis=axis, versions=both)
    for axis in (-1, 1, [1, 2]):
        add("RMSNormalization", IMAGE, axis=axis, versions=(3,))
    for options in ({}, {"axis": None}, {"mean": [0.5, -1.0], "variance": [2.0, 0.25]}, {"axis": None, "mean": 0.5,
                    "variance": 4.0}, {"invert": True}, {"axis": [1, 3]}):
        add("Normalization", IMAGE, **options, versions=both)
    for kind in ("SpatialDropout2D", "SpatialDropout3D"):
        add(kind, IMAGE if kind.endswith("2D") else VOLUME, rate=0.5, versions=both)
    add("ActivityRegularization", IMAGE, l1=0.1, versions=both)
    add("Identity", IMAGE, versions=both)
    for kind, options in (("RandomFlip", {}), ("RandomRotation", {"factor": 0.2}), ("RandomZoom", {"height_factor": 0.2}),
                          ("RandomTranslation", {"height_factor": 0.1, "width_factor": 0.1}),
                          ("RandomContrast", {"factor": 0.2}), ("RandomBrightness", {"factor": 0.2})):
        add(kind, IMAGE, **options, versions=both)
    two = [IMAGE, IMAGE]
    add("Subtract", two, versions=both)
    add("Subtract", [IMAGE, [1, 1, 2]], versions=both)


def optional(kind, key, value):
    """An option as Keras takes it: a pair is an activation that is a layer."""
    if key == "activation" and isinstance(value, tuple):
        return lambda layers: getattr(layers, value[0])(**value[1])
    return lambda layers: value


def title(case) -> str:
    told = [f"{key} {json.dumps(value)}" for key, value in case["options"].items() if key not in ("filters", "units")]
    shapes = [] if len(case["shapes"]) == 1 else [json.dumps(case["shapes"])]
    return ", ".join([*told, *([case["behind"]] if case["behind"] else []), *shapes]) or "defaults"


FIRSTS = {}
DROPPED = ("_initializer", "_regularizer", "_constraint")


def slim(config):
    """A layer's configuration without what only a new or a training network needs."""
    if isinstance(config, dict):
        return {key: slim(value) for key, value in config.items() if not key.endswith(DROPPED)}
    return [slim(value) for value in config] if isinstance(config, (list, tuple)) else config


def plain(value):
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


TRANSPOSED = {"channels_first": "channels_last"}


def last(config):
    """A configuration with channels last, for TensorFlow on processors, which has no other kernels."""
    return {key: TRANSPOSED.get(value, value) if key == "data_format" else value for key, value in config.items()}


def turn(tensor, first_to_last: bool, time: bool):
    """Channels first to last, or back."""
    start = 2 if time else 1
    axes = list(range(len(tensor.shape)))
    channel = axes.pop(start if first_to_last else -1)
    axes.insert(len(axes) if first_to_last else start, channel)
    return tf.transpose(tensor, axes)


class Case:
    def __init__(self, case, version):
        library = {2: tf_keras, 3: keras}[version]
        made = library.layers
        options = {key: optional(case["kind"], key, value)(made) for key, value in case["options"].items()}
        self.layers = case["build"](made) if case["build"] else [getattr(made, case["kind"])(**options)]
        for i, layer in enumerate(self.layers):
            setattr(layer, "_name" if version == 2 else "name", f"layer{i}")
        self.case, self.version = case, version
        self.library = library

    def compute(self):
        case = self.case
        batch = case["batch"]
        whole = case["integers"]
        if case["behind"] and "mask" in case["behind"] and not whole:
            # Two steps of the first sequence, and the last of the second, are nothing but zeros.
            inputs = [wave([batch, *shape], 1 + i) for i, shape in enumerate(case["shapes"])]
            inputs[0][0, :2] = 0
            inputs[0][1, -1] = 0
        else:
            inputs = [wave([batch, *shape], 1 + i) for i, shape in enumerate(case["shapes"])]
        if whole:
            inputs = [np.floor((x + 1) / 2 * whole).astype(np.float32) for x in inputs]
        tensors = [tf.constant(x) for x in inputs]
        config = [plain({"class_name": layer.__class__.__name__, "config": layer.get_config()}) for layer in self.layers]
        config = json.loads(json.dumps(config, default=lambda value: value.get_config()))
        run = self.runner(tensors)
        run(tensors)
        weights = [weight for layer in self.running for weight in layer.weights]
        for i, weight in enumerate(weights):
            value = wave(weight.shape, 101 + i) / 2
            if "variance" in weight.name or "stddev" in weight.name:
                value = np.abs(value) + 0.5
            weight.assign(value)
        variables = [weight if self.version == 2 else weight.value for weight in weights]
        for layer in self.running:
            if getattr(layer, "stateful", False):
                layer.reset_states()
            # A Normalization makes what it computes with of its weights, as when it is loaded.
            if self.case["kind"] == "Normalization" and weights:
                layer.finalize_state()
        taught = [i for i, weight in enumerate(weights) if weight.trainable and "renorm" not in weight.name]
        with tf.GradientTape() as tape:
            for x in tensors:
                tape.watch(x)
            output = run(tensors)
            loss = tf.reduce_sum(output * wave(output.shape, 51))
        to = tape.gradient(loss, [*([] if whole else tensors), *[variables[i] for i in taught]])
        to = [np.zeros(v.shape) if g is None else tf.convert_to_tensor(g).numpy()
              for v, g in zip([*([] if whole else tensors), *[variables[i] for i in taught]], to)]
        count = 0 if whole else len(tensors)
        return {
            "kind": case["kind"],
            "name": title(case),
            "keras": self.version,
            "layers": self.told([slim(layer) for layer in config], config),
            "inputs": case["shapes"],
            **({"integers": whole} if whole else {}),
            **({"masked": True} if case["behind"] and "mask" in case["behind"] and not whole else {}),
            "weights": [[self.name_of(weight), list(weight.shape)] for weight in weights],
            "taught": taught,
            "output": pack(output.numpy()),
            "inputGradients": [pack(g) for g in to[:count]],
            "weightGradients": [pack(g) for g in to[count:]],
        }

    def told(self, slim, full):
        """The layers; of a single one that is not the first of its kind only what differs from that."""
        if len(slim) > 1 or self.case["build"]:
            return slim
        kind = (self.case["kind"], self.version)
        first = FIRSTS.setdefault(kind, slim[0]["config"])
        if first is slim[0]["config"]:
            return full
        return [{"class_name": slim[0]["class_name"],
                 "config": {key: value for key, value in slim[0]["config"].items() if first.get(key, self) != value}}]

    def name_of(self, weight):
        name = weight.name if self.version == 2 else weight.path
        return name.split(":")[0]

    def runner(self, tensors):
        """The layers as a function; those with channels first are computed with channels last."""
        config = self.layers[0].get_config()
        if config.get("data_format") != "channels_first" or len(self.layers) > 1 or self.case["kind"] in (
                "Flatten", "Cropping2D", "ZeroPadding2D"):
            self.running = self.layers
            return self.call
        kind = self.layers[0].__class__
        options = last(config)
        time = kind.__name__ == "ConvLSTM2D"
        # An activation along the channels would be along another axis.
        activation = options.pop("activation", None) if not time else None
        layer = kind.from_config(options)
        self.running = [layer]
        function = self.library.activations.get(activation)

        def call(inputs):
            output = layer(turn(inputs[0], True, time))
            if len(output.shape) > 2:
                output = turn(output, False, time and options["return_sequences"])
            return function(output) if function else output

        return call

    def call(self, inputs):
        value = inputs if len(inputs) > 1 else inputs[0]
        mask = None
        for layer in self.layers:
            if layer.__class__.__name__.startswith("Random"):
                return layer(value, training=False)
            takes = mask is not None and layer.supports_masking
            value, before = (layer(value, mask=mask) if takes and layer.__class__.__name__ in MASKED
                             else layer(value)), value
            if hasattr(layer, "compute_mask") and layer.supports_masking:
                mask = layer.compute_mask(before, mask)
        return value


MASKED = ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "GlobalAveragePooling1D", "Softmax")


def main() -> None:
    parser = argparse.ArgumentParser(description="layers by Keras, as numbers to test against")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    parser.add_argument("--only", help="a kind, to look at")
    arguments = parser.parse_args()
    for group in (convolutions, poolings, shapes, activations, normalizations, recurrent, merging, missing):
        group()
    rows, refused, names = [], [], set()
    for case in CASES:
        if arguments.only and case["kind"] != arguments.only:
            continue
        for version in case["versions"]:
            key = (case["kind"], title(case), json.dumps(case["shapes"]), version)
            if key in names:
                continue
            names.add(key)
            try:
                row = Case(case, version).compute()
            except Exception as error:  # what Keras or TensorFlow on processors refuses
                refused.append(f"{case['kind']}, {title(case)}, Keras {version}")
                print(refused[-1], ":", str(error).strip().split("\n")[0][:160])
                continue
            rows.append(row)
    made = {"source": {"keras": keras.__version__, "tf_keras": tf_keras.__version__, "tensorflow": tf.__version__},
            "refused": refused, "cases": rows}
    path = FIXTURES / "layers.json"
    if arguments.check:
        check(json.loads(path.read_text()), made)
        print(f"layers.json: equal, {len(rows)} cases")
        return
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    path.write_text(f'{{"source":{json.dumps(made["source"])},"refused":{json.dumps(refused)},"cases":[\n{lines}\n]}}\n')
    print(f"wrote {path.name}: {path.stat().st_size} bytes, {len(rows)} cases")


def check(stored, made) -> None:
    numbers = ("output", "inputGradients", "weightGradients")
    if stored["source"] != made["source"] or stored["refused"] != made["refused"] or len(stored["cases"]) != len(made["cases"]):
        sys.exit(f"stored {len(stored['cases'])} cases of {stored['source']}, now {len(made['cases'])} of "
                 f"{made['source']}")
    for a, b in zip(stored["cases"], made["cases"]):
        where = f"{b['kind']}, {b['name']}"
        if {k: v for k, v in a.items() if k not in numbers} != {k: v for k, v in json.loads(json.dumps(b)).items()
                                                               if k not in numbers}:
            sys.exit(f"{where}: stored {a}, now {b}")
        for key in numbers:
            pairs = [(a[key], b[key])] if key == "output" else zip(a[key], b[key], strict=True)
            for before, now in pairs:
                before, now = unpack(before), unpack(now)
                most = max(ROUNDING, TOLERANCE * np.abs(before).max(initial=0))
                if before.shape != now.shape or np.abs(before - now).max(initial=0) > most:
                    sys.exit(f"{where}: the {key} differ")


if __name__ == "__main__":
    main()
