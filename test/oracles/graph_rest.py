"""Graph models with operators that no layers are read for, and what TensorFlow computes of them.

    python graph_rest.py           writes fixtures/graph_rest.zip
    python graph_rest.py --check   compares with it and writes nothing

The archive is as that of `graph_models.py`, but that each image of the batch goes through the network alone; where there is
no gradient in TensorFlow.js, `gradients` is null. Outputs whose number of rows differs are given for the first image.
"""

from graph_models import K, files, keras, np, pack, tf, wave, weighted, write_or_check

CASES = []


def case(gradients):
    return lambda build: CASES.append((build, gradients)) or build


def convs(image):
    x = K.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="first")(image)
    return K.Conv2D(8, 3, padding="same", activation="relu", name="second")(x)


@case(gradients=False)
def ranked():
    """The three best classes: numbers and which they are."""
    image = K.Input((16, 12, 3))
    x = K.Dense(7, activation="softmax", name="classes")(K.GlobalAveragePooling2D()(convs(image)))
    best = K.Lambda(lambda x: tf.math.top_k(x, 3), name="best")(x)
    return keras.Model(image, [best[0], K.Lambda(lambda x: tf.cast(x, tf.float32), name="which")(best[1])])


@case(gradients=True)
def summed():
    """An operator before all layers, and one behind."""
    image = K.Input((16, 12, 3))
    x = K.Lambda(lambda x: tf.cumsum(x, axis=3), name="cumulated")(image)
    x = K.Lambda(lambda x: tf.cumsum(x, axis=3), name="channels")(convs(x))
    return keras.Model(image, K.Dense(4, name="numbers")(K.GlobalMaxPooling2D()(x)))


@case(gradients=False)
def boxes():
    """A detector: as many rows as boxes are left."""
    image = K.Input((16, 16, 3))
    x = convs(image)
    corners = K.Conv2D(4, 1, activation="sigmoid", name="corners")(x)
    scores = K.Conv2D(1, 1, activation="sigmoid", name="scores")(x)

    def kept(parts):
        places, values = tf.reshape(parts[0], [-1, 4]), tf.reshape(parts[1], [-1])
        best = tf.image.non_max_suppression(places, values, 5, iou_threshold=0.3)
        return tf.gather(places, best)

    return keras.Model(image, [K.Lambda(kept, name="kept")([corners, scores]), scores])


@case(gradients=False)
def loop():
    """A loop over the rows, as the converter writes it."""
    image = K.Input((10, 8, 3))

    def walked(x):
        step = lambda i, sum: (i + 1, 0.5 * sum + x[:, i])
        return tf.while_loop(lambda i, _: i < 5, step, [0, tf.zeros_like(x[:, 0])])[1]

    x = K.Lambda(walked, name="walked")(convs(image))
    return keras.Model(image, K.Dense(3, activation="softmax", name="answer")(K.Flatten()(x)))


def computed(model, gradients):
    shape = [2, *model.inputs[0].shape[1:]]
    image = tf.constant(wave(shape, 1))
    made = []
    slopes = []
    for one in tf.split(image, 2):
        with tf.GradientTape() as tape:
            tape.watch(one)
            outputs = model(one, training=False)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            loss = tf.reduce_sum(outputs[0] * wave(outputs[0].shape, 51))
        made.append(outputs)
        slopes.append(tape.gradient(loss, one) if gradients else None)
    first, second = made
    joined = [np.concatenate([a, b]) if a.shape[0] == 1 else a.numpy() for a, b in zip(first, second)]
    return {
        "inputs": [shape],
        "outputs": [pack(y) for y in joined],
        "gradients": [pack(np.concatenate(slopes))] if gradients else None,
    }


def main():
    entries, cases = {}, []
    for build, gradients in CASES:
        keras.utils.clear_session()
        model = weighted(build())
        cases.append({"name": build.__name__, **computed(model, gradients)})
        for file, content in files(model, False).items():
            entries[f"{build.__name__}/{file}"] = content
    write_or_check("graph_rest.zip", entries, cases)


if __name__ == "__main__":
    main()
