"""What a tiny ConvNet has learned after twenty steps, asked of Keras on TensorFlow.

    training.py [--check]

Sixteen images of 8x8 pixels in three classes, all of them in each step, so that their order does not matter. The network
is convolution without bias, batch normalisation, ReLU, max pooling, dense with softmax. It starts from stored weights
and is trained with

- sgd: momentum 0.9, rate 0.05;
- nesterov: the same with Nesterov's momentum, an L2 penalty of 0.01 / 2 on the kernels (a weight decay of 0.01) and
  label smoothing 0.1;
- adam: rate 0.01.

For each the fixture holds the loss of each step (the penalty left out) and all weights after the last one, the moving
averages among them.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf

from fixture import significant, write_or_check

STEPS = 20
DECAY = 0.01


def network(decay: float) -> keras.Model:
    penalty = keras.regularizers.L2(decay / 2) if decay else None
    return keras.Sequential([
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(4, 3, padding="same", use_bias=False, kernel_regularizer=penalty, name="conv"),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.MaxPooling2D(2, name="pool"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(3, activation="softmax", kernel_regularizer=penalty, name="out"),
    ])


def listed(array) -> list:
    return [significant(float(value)) for value in np.asarray(array).ravel()]


def named(model: keras.Model) -> dict:
    return {
        f"{layer.name}/{weight.name}": {"shape": list(weight.shape), "data": listed(weight)}
        for layer in model.layers
        for weight in layer.weights
    }


def learn(start: dict, images: np.ndarray, classes: np.ndarray, optimizer, decay: float, smoothing: float) -> dict:
    model = network(decay)
    for layer in model.layers:
        for weight in layer.weights:
            stored = start.get(f"{layer.name}/{weight.name}")
            if stored:
                weight.assign(np.array(stored["data"]).reshape(stored["shape"]))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    targets = np.eye(3)[classes]
    losses = []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            own = loss(targets, outputs)
            total = own + sum(model.losses)
        losses.append(significant(float(own)))
        optimizer.apply_gradients(zip(tape.gradient(total, model.trainable_weights), model.trainable_weights))
    return {"losses": losses, "weights": named(model)}


def main() -> None:
    keras.config.set_floatx("float64")
    random = np.random.default_rng(4)
    classes = np.arange(16) % 3
    pixels = random.integers(0, 256, (16, 8, 8, 3))
    # A class shows in its colour, weakly.
    for i, c in enumerate(classes):
        pixels[i, :, :, c] = np.minimum(255, pixels[i, :, :, c] + 40)
    start = {
        "conv/kernel": random.normal(0, 0.3, (3, 3, 3, 4)),
        "out/kernel": random.normal(0, 0.2, (64, 3)),
    }
    start = {name: {"shape": list(value.shape), "data": listed(value)} for name, value in start.items()}
    images = pixels / 255.0
    sgd = keras.optimizers.SGD
    made = {
        "pixels": pixels.ravel().tolist(),
        "classes": classes.tolist(),
        "start": start,
        "sgd": learn(start, images, classes, sgd(0.05, momentum=0.9), 0, 0),
        "nesterov": learn(start, images, classes, sgd(0.05, momentum=0.9, nesterov=True), DECAY, 0.1),
        "adam": learn(start, images, classes, keras.optimizers.Adam(0.01), 0, 0),
    }
    write_or_check("training.json", made, "--check" in sys.argv)


if __name__ == "__main__":
    main()
