"""Networks that PyTorch exports as ONNX, with what PyTorch computes of them.

    python onnx_files.py           writes fixtures/onnx_files.zip
    python onnx_files.py --check   compares with it and writes nothing

What the archive holds:
  cases.json  `source`, the versions used; `cases`: `name`; `file`, the network; `inputs` and `outputs`, channels last, the
              values of inputs as `wave` has them; `outputs` and `gradients` (of the sum of output · wave over all outputs)
              as `pack` of fixture.py writes them
  NAME.onnx   the networks
  sequential.*.onnx  the first network with its weights in other places: `outside`, in weights.bin beside it; `fields`, as lists of
              numbers; `half`, in half precision

Weights are `wave`'s, halved; variances positive.
"""

import io
import json
import sys
import zipfile

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

from fixture import FIXTURES, pack, unpack, wave

TOLERANCE = 4e-5
CASES = []


def case(*shapes, opset=17, dynamic=False, dynamo=False):
    """A network of some input shapes (channels first), made by a function."""
    def add(build):
        CASES.append((build.__name__, build, shapes, opset, dynamic, dynamo))
        return build
    return add


class Net(nn.Module):
    """A module of parts and a function of them."""
    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *x):
        return self.run(self, *x)


class SymbolicLrn(torch.autograd.Function):
    """PyTorch has no operator for it: its module becomes poolings of five axes."""
    @staticmethod
    def forward(context, x):
        return F.local_response_norm(x, 3, 0.1, 0.75, 2.0)

    @staticmethod
    def symbolic(g, x):
        return g.op("LRN", x, size_i=3, alpha_f=0.1, beta_f=0.75, bias_f=2.0)


class Lrn(nn.Module):
    def forward(self, x):
        return SymbolicLrn.apply(x) if torch.onnx.is_in_onnx_export() else F.local_response_norm(x, 3, 0.1, 0.75, 2.0)


@case((2, 3, 9, 8))
def sequential():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2, stride=2, bias=False),
                         nn.BatchNorm2d(5), nn.LeakyReLU(0.1), nn.Flatten(), nn.Dropout(), nn.Linear(20, 6), nn.Tanh(),
                         nn.Linear(6, 4), nn.Softmax(1))


@case((2, 3, 16, 16), dynamic=True)
def residual():
    def run(s, x):
        x = s.pool(F.relu(s.bn(s.stem(x))))
        y = s.b(F.relu(s.a(x)))
        x = F.relu(y + s.down(x))
        return s.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
    return Net(run, stem=nn.Conv2d(3, 4, 7, 2, 3, bias=False), bn=nn.BatchNorm2d(4), pool=nn.MaxPool2d(3, 2, 1),
               a=nn.Conv2d(4, 6, 3, 2, 1), b=nn.Conv2d(6, 6, 3, 1, 1), down=nn.Conv2d(4, 6, 1, 2), fc=nn.Linear(6, 3))


@case((2, 1, 12, 12), opset=11)
def alexnet():
    return nn.Sequential(nn.Conv2d(1, 4, 5, stride=2, padding=2), nn.ReLU(), Lrn(),
                         nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.ELU(0.7),
                         nn.Flatten(), nn.Linear(54, 8), nn.ReLU6(), nn.Linear(8, 5), nn.LogSoftmax(1))


@case((2, 3, 10, 10), dynamic=True)
def mobile():
    def run(s, x):
        x = F.hardswish(s.bn(s.stem(x)))
        x = F.relu6(s.deep(x))
        scale = F.hardsigmoid(s.up(F.silu(s.down(F.adaptive_avg_pool2d(x, 1)))))
        return s.fc(s.out(x * scale).mean([2, 3]))
    return Net(run, stem=nn.Conv2d(3, 6, 3, 2, 1), bn=nn.BatchNorm2d(6, eps=1e-3), deep=nn.Conv2d(6, 12, 3, 1, 1, groups=6),
               down=nn.Conv2d(12, 3, 1), up=nn.Conv2d(3, 12, 1), out=nn.Conv2d(12, 4, 1), fc=nn.Linear(4, 2))


@case((2, 4, 6, 6))
def shuffled():
    def run(s, x):
        x = s.a(x)
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = x.chunk(2, 1)
        return s.fc(torch.cat([s.b(a), b, a], 1).mean(3).flatten(1))
    return Net(run, a=nn.Conv2d(4, 8, 1, groups=2), b=nn.Conv2d(4, 4, 3, padding=1, groups=4), fc=nn.Linear(72, 2))


@case((2, 3, 8, 8))
def dense_blocks():
    def run(s, x):
        mean, deviation = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1), torch.tensor([0.5, 0.7, 0.9]).view(1, 3, 1, 1)
        x = (x - mean) / deviation
        x = torch.cat([x, s.a(x)], 1)
        x = torch.cat([F.avg_pool2d(x, 3, 1, 1), F.max_pool2d(x, 3, 1, 1)], 1)
        x = F.avg_pool2d(F.prelu(x, s.slope), 3, 2, 1, count_include_pad=False)
        return s.fc(F.adaptive_max_pool2d(x, 1).squeeze(-1).squeeze(-1))
    net = Net(run, a=nn.Conv2d(3, 2, 3, padding=(2, 1), dilation=(2, 1)), fc=nn.Linear(10, 3))
    net.slope = nn.Parameter(torch.zeros(10))
    return net


@case((2, 3, 8, 8))
def segmentation():
    def run(s, x):
        a = F.relu(s.a(x))
        b = F.gelu(s.b(a))
        up = F.interpolate(b, scale_factor=2, mode="nearest")
        up = up + F.interpolate(F.interpolate(b, size=(3, 5), mode="bilinear", align_corners=True), size=(4, 4))
        up = torch.cat([up, a], 1)
        wide = s.c(F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=False))
        return torch.sigmoid(s.d(wide)[:, :, 1:-1, 2:])
    return Net(run, a=nn.Conv2d(3, 4, 3, 2, 1), b=nn.Conv2d(4, 6, 3, 2, 1), c=nn.Conv2d(10, 4, 1),
               d=nn.ConvTranspose2d(4, 2, 3, 2, 1, output_padding=1))


@case((2, 3, 6, 6), opset=13)
def norms():
    return Net(lambda s, x: s.fc(F.softplus(s.g(s.i(F.pad(s.a(x), (1, 0, 2, 1))))).flatten(2).amax(2)).abs().sqrt(),
               a=nn.Conv2d(3, 4, 3), i=nn.InstanceNorm2d(4, affine=True), g=nn.GroupNorm(2, 4), fc=nn.Linear(4, 3))


@case((2, 3, 8, 8))
def super_resolution():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Hardtanh(-0.5, 0.5), nn.PixelShuffle(2), nn.Conv2d(2, 3, 3))


@case((2, 3, 8, 8))
def attention():
    def run(s, x):
        tokens = s.norm(s.patch(x).flatten(2).transpose(1, 2))
        q, k, v = s.q(tokens), s.k(tokens), s.v(tokens)
        y = torch.softmax(q @ k.transpose(1, 2) * 0.5, -1) @ v
        return s.fc((y + tokens).mean(1))
    return Net(run, patch=nn.Conv2d(3, 4, 4, 4), norm=nn.LayerNorm(4), q=nn.Linear(4, 4), k=nn.Linear(4, 4), v=nn.Linear(4, 4),
               fc=nn.Linear(4, 3))


@case((2, 2, 12))
def signals():
    return nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 3, 3, 2),
                         nn.Flatten(), nn.Linear(6, 2))


@case((2, 1, 6, 6, 6))
def volumes():
    return nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool3d(2), nn.Conv3d(2, 3, 2), nn.SELU(),
                         nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 2))


@case((2, 3, 6, 6), (2, 4))
def two_inputs():
    def run(s, image, numbers):
        x = torch.cat([F.relu(s.a(image)).flatten(1), s.b(numbers)], 1)
        y = s.c(x)
        return y, torch.exp(-y * y) / (1 + y.abs())
    return Net(run, a=nn.Conv2d(3, 2, 3, stride=3), b=nn.Linear(4, 3), c=nn.Linear(11, 3))


@case((2, 3, 12, 12), dynamo=True, opset=18)
def dynamo():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3),
                         nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def last(values):
    values = values.detach().numpy()
    return np.moveaxis(values, 1, -1) if values.ndim > 2 else values


def made(name, build, shapes, opset, dynamic, dynamo):
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for i, (key, value) in enumerate(model.state_dict().items()):
            if not value.dtype.is_floating_point:
                continue
            given = torch.tensor(wave(tuple(value.shape), 101 + i)) / 2
            value.copy_(given.abs() + 0.5 if "running_var" in key else given)
    # `wave` is in the order of the values as TensorFlow.js has them.
    laid = [[shape[0], *shape[2:], shape[1]] for shape in shapes]
    inputs = [torch.tensor(np.ascontiguousarray(np.moveaxis(wave(shape, 1 + i), -1, 1))).requires_grad_()
              for i, shape in enumerate(laid)]
    outputs = model(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    loss = 0
    for i, y in enumerate(outputs):
        shape = last(y).shape
        given = wave(shape, 51 + i)
        loss = loss + (y * torch.tensor(np.moveaxis(given, -1, 1) if y.ndim > 2 else given)).sum()
    gradients = torch.autograd.grad(loss, inputs)
    file = io.BytesIO()
    names = [f"input_{i}" for i in range(len(inputs))]
    one = tuple(x.detach() if dynamic else x.detach()[:1] for x in inputs)
    options = dict(input_names=names, opset_version=opset)
    if dynamo:
        torch.onnx.export(model, one, dynamo=True, **options).save(file)
    else:
        axes = {input: {0: "batch"} for input in names} if dynamic else None
        torch.onnx.export(model, one, file, dynamo=False, dynamic_axes=axes, **options)
    return file.getvalue(), {"name": name, "file": f"{name}.onnx", "inputs": laid, "outputs": [pack(last(y)) for y in outputs],
                             "gradients": [pack(last(x)) for x in gradients]}


def variants(content):
    """The same network with its weights in other places."""
    files = {}
    for kind in ("outside", "fields", "half"):
        model = onnx.load_from_string(content)
        weights, offset = b"", 0
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if kind == "outside":
                weights += tensor.raw_data
                onnx.external_data_helper.set_external_data(tensor, "weights.bin", offset, len(tensor.raw_data))
                offset += len(tensor.raw_data)
                tensor.ClearField("raw_data")
            elif kind == "fields":
                tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, values.ravel().tolist()))
            elif values.dtype == np.float32:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name))
        files[f"sequential.{kind}.onnx"] = model.SerializeToString()
        if weights:
            files["weights.bin"] = weights
    return files


def main() -> None:
    path = FIXTURES / "onnx_files.zip"
    rows, files = [], {}
    for given in CASES:
        content, row = made(*given)
        rows.append(row)
        files[row["file"]] = content
    files.update(variants(files["sequential.onnx"]))
    cases = {"source": {"torch": torch.__version__, "onnx": onnx.__version__}, "cases": rows}
    if "--check" in sys.argv:
        stored = json.loads(zipfile.ZipFile(path).read("cases.json"))
        assert stored["source"] == cases["source"], (stored["source"], cases["source"])
        assert len(stored["cases"]) == len(rows)
        for before, now in zip(stored["cases"], rows):
            for key in ("outputs", "gradients"):
                for a, b in zip(before[key], now[key], strict=True):
                    a, b = unpack(a), unpack(b)
                    assert a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * np.abs(a).max(initial=1e-3), (
                        now["name"], key)
        print(f"{path.name}: equal, {len(rows)} networks")
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in {"cases.json": json.dumps(cases, separators=(",", ":")).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    print(f"wrote {path.name}: {path.stat().st_size} bytes, {len(rows)} networks")


if __name__ == "__main__":
    main()
