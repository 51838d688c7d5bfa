"""Attributions by Captum, of small networks in double precision.

    python captum_gradients.py           writes fixtures/captum_gradients.json
    python captum_gradients.py --check   compares with it and writes nothing

What the fixture holds:
  source  the versions used
  nets    by name: `preprocess` as convlens takes it; `layers`, one after another, each with its `kind`, its settings and
          its weights (in the shapes of TensorFlow.js, row-major); `add` adds the output of layer `from` (-1 is the
          input); `pixels`, the image [h, w, 3]; `target`, a class; `scores`, of all classes before a softmax;
          `camLayer`, the place of a layer; and attributions for the target, each in row-major order:
            saliency, inputXGradient, guidedBackprop, deconvolution    [h, w, 3] in the network's order of channels
            integratedGradients  by rule and baseline (its pixels), of `steps` steps
            gradCam, layerCam    in the cells of `camLayer`, [h', w']; LayerCAM is written out here, Captum lacks it
            smoothGrad           `mean` and `deviation` over `samples` copies with noise of `share` of the input's range

Weights are whole numbers of 512ths, exact in single precision. Where an all-zero window of a max pooling ties, Captum sees
PyTorch's rule: the first cell takes all.
"""

import argparse

import captum
import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Saliency,
)
from torch import nn

from fixture import significant, write_or_check

SIDE = 10
CLASSES = 4
STEPS = 20
NOISE = 0.15
SAMPLES = 20_000
PARTS = 512
UNIT = {"order": "rgb", "mean": [0, 0, 0], "deviation": [255, 255, 255]}
SWAPPED = {"order": "bgr", "mean": [100, 110, 125], "deviation": [64, 64, 128]}


def conv(filters, size=3, stride=1, pad="same", dilation=1):
    return {"kind": "conv", "filters": filters, "size": size, "stride": stride, "pad": pad, "dilation": dilation}


def pool(kind, size, stride):
    return {"kind": kind, "size": size, "stride": stride}


def dense(units):
    return {"kind": "dense", "units": units}


def add(start):
    return {"kind": "add", "from": start}


RELU, NORM, FLATTEN, MEAN = {"kind": "relu"}, {"kind": "norm"}, {"kind": "flatten"}, {"kind": "mean"}

# Preprocessing, layers, and the place of the layer whose class activation map is made.
NETS = {
    "plain": (
        UNIT,
        [conv(5), RELU, pool("max", 2, 2), conv(6, pad="valid"), RELU, FLATTEN, dense(8), RELU, dense(CLASSES)],
        4,
    ),
    "residual": (
        SWAPPED,
        [conv(5), NORM, RELU, conv(5), RELU, conv(5), NORM, add(2), RELU, conv(5), NORM, add(8), RELU, MEAN, dense(CLASSES)],
        9,
    ),
    "overlapping pools": (
        UNIT,
        [conv(5), RELU, pool("max", 3, 2), conv(6), RELU, pool("max", 3, 1), FLATTEN, dense(CLASSES)],
        4,
    ),
    "dense-only": (UNIT, [FLATTEN, dense(6), RELU, dense(6), RELU, dense(CLASSES)], None),
    "avg-pooled": (SWAPPED, [conv(5), RELU, pool("average", 2, 2), conv(6), RELU, MEAN, dense(CLASSES)], 4),
    "dilated": (UNIT, [conv(5, dilation=2), RELU, conv(6, pad="valid", dilation=3), RELU, MEAN, dense(CLASSES)], 1),
    "strided": (UNIT, [conv(5, 4, 2, "valid"), RELU, conv(6, 2, 2, "valid"), RELU, FLATTEN, dense(CLASSES)], 3),
}


class ChannelsLast(nn.Flatten):
    """Flattens in the order of TensorFlow.js."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1))


def parts(whole):
    return np.array(whole) / PARTS


class Net(nn.Module):
    """Layers one after another; each ReLU is a module of its own, which Captum's hooks need."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.parts = nn.ModuleList([self.part(layer) for layer in layers])

    def part(self, layer):
        kind = layer["kind"]
        if kind == "conv":
            kernel = parts(layer["kernel"]).reshape(layer["shape"])
            dilation, size = layer["dilation"], layer["size"]
            padding = dilation * (size - 1) // 2 if layer["pad"] == "same" else 0
            inputs, outputs = kernel.shape[2:]
            part = nn.Conv2d(inputs, outputs, size, layer["stride"], padding, dilation)
            return self.fill(part, kernel.transpose(3, 2, 0, 1), layer["bias"])
        if kind == "dense":
            kernel = parts(layer["kernel"]).reshape(layer["shape"])
            return self.fill(nn.Linear(*kernel.shape), kernel.T, layer["bias"])
        if kind == "norm":
            part = nn.BatchNorm2d(len(layer["gamma"]), eps=1e-3)
            part.running_mean = torch.tensor(parts(layer["mean"]))
            part.running_var = torch.tensor(parts(layer["variance"]))
            return self.fill(part, parts(layer["gamma"]), layer["beta"])
        return {
            "relu": lambda: nn.ReLU(),
            "max": lambda: nn.MaxPool2d(layer["size"], layer["stride"]),
            "average": lambda: nn.AvgPool2d(layer["size"], layer["stride"]),
            "flatten": lambda: ChannelsLast(),
            "mean": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "add": lambda: nn.Identity(),
        }[kind]()

    def fill(self, part, weight, bias):
        part.weight.data = torch.tensor(np.ascontiguousarray(weight))
        part.bias.data = torch.tensor(parts(bias))
        return part

    def forward(self, x):
        values = [x]
        for layer, part in zip(self.layers, self.parts):
            value = values[-1] + values[layer["from"] + 1] if layer["kind"] == "add" else values[-1]
            values.append(part(value))
        return values[-1]


def with_weights(layers, random):
    """The layers with random weights, whose signals neither die nor grow."""

    def draw(shape, spread, mean=0.0):
        return np.round((mean + spread * random.uniform(-1, 1, shape)) * PARTS).astype(int).ravel().tolist()

    filled, channels, side = [], 3, SIDE
    for layer in layers:
        layer = dict(layer)
        kind = layer["kind"]
        if kind in ("conv", "dense"):
            outputs = layer["filters"] if kind == "conv" else layer["units"]
            layer["shape"] = [layer["size"], layer["size"], channels, outputs] if kind == "conv" else [channels, outputs]
            fan = channels * (layer["size"] ** 2 if kind == "conv" else 1)
            layer["kernel"] = draw(layer["shape"], 2.4 / np.sqrt(fan))
            layer["bias"] = draw([outputs], 0.2)
            channels = outputs
        if kind == "norm":
            layer |= {name: draw([channels], 0.3, mean) for name, mean in dict(gamma=1, beta=0, mean=0, variance=1).items()}
        if kind in ("conv", "max", "average"):
            reach = layer.get("dilation", 1) * (layer["size"] - 1) + 1
            side = side if layer.get("pad") == "same" else (side - reach) // layer["stride"] + 1
        if kind == "flatten":
            channels *= side**2 if filled else SIDE**2
        filled.append(layer)
    return filled


def network_input(pixels, preprocess):
    order = slice(None, None, -1) if preprocess["order"] == "bgr" else slice(None)
    values = (np.asarray(pixels, dtype=np.float64)[..., order] - preprocess["mean"]) / preprocess["deviation"]
    return torch.tensor(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def row_major(attribution, digits=6):
    """[1, c, h, w] as rows of pixels, colours last."""
    values = attribution.detach()[0].permute(1, 2, 0).numpy()
    return [significant(float(v), digits) for v in values.ravel()]


def explain(name, random):
    preprocess, layers, cam_layer = NETS[name]
    layers = with_weights(layers, random)
    net = Net(layers).eval()
    pixels = random.integers(0, 256, (SIDE, SIDE, 3))
    x = network_input(pixels, preprocess)
    scores = net(x)[0].detach()
    target = int(scores.argmax())
    torch.manual_seed(1)

    def integrated(rule, level):
        baseline = network_input(np.full(pixels.shape, level), preprocess)
        return row_major(IntegratedGradients(net).attribute(x, baseline, target, method=rule, n_steps=STEPS))

    deviation = NOISE * float(x.max() - x.min())
    tunnel = NoiseTunnel(Saliency(net))
    noisy = dict(nt_samples=SAMPLES, nt_samples_batch_size=1000, stdevs=deviation, target=target, abs=False)
    made = {
        "preprocess": preprocess,
        "layers": layers,
        "pixels": pixels.ravel().tolist(),
        "target": target,
        "scores": [significant(float(v)) for v in scores],
        "saliency": row_major(Saliency(net).attribute(x, target, abs=False)),
        "inputXGradient": row_major(InputXGradient(net).attribute(x, target)),
        "guidedBackprop": row_major(GuidedBackprop(net).attribute(x, target)),
        "deconvolution": row_major(Deconvolution(net).attribute(x, target)),
        "integratedGradients": {
            "steps": STEPS,
            "gauss-legendre, black": integrated("gausslegendre", 0),
            "gauss-legendre, grey": integrated("gausslegendre", 127.5),
            "left, black": integrated("riemann_left", 0),
            "middle, grey": integrated("riemann_middle", 127.5),
        },
        "smoothGrad": {
            "samples": SAMPLES,
            "share": NOISE,
            "mean": row_major(tunnel.attribute(x, nt_type="smoothgrad", **noisy), 4),
            "deviation": row_major(tunnel.attribute(x, nt_type="vargrad", **noisy).sqrt(), 3),
        },
    }
    if cam_layer is not None:
        part = net.parts[cam_layer]
        seen = {}
        handle = part.register_forward_hook(lambda _part, _inputs, output: seen.update(maps=output))
        gradient = torch.autograd.grad(net(x)[0, target], seen["maps"])[0]
        handle.remove()
        layer_cam = (gradient.relu() * seen["maps"]).sum(1, keepdim=True).relu()
        grad_cam = LayerGradCam(net, part).attribute(x, target, relu_attributions=True)
        made |= {"camLayer": cam_layer, "gradCam": row_major(grad_cam), "layerCam": row_major(layer_cam)}
    return made


def main():
    parser = argparse.ArgumentParser(description="Attributions by Captum, to test against")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    random = np.random.default_rng(41)
    made = {
        "source": {"captum": captum.__version__, "torch": torch.__version__.split("+")[0], "precision": "float64"},
        "nets": {name: explain(name, random) for name in NETS},
    }
    write_or_check("captum_gradients.json", made, arguments.check)


if __name__ == "__main__":
    main()
