"""ResNet-50 in PyTorch, for comparison: the same network as the catalogue's, with random weights.

Reads the name of a task from each line of its input, runs it once, and answers with a line of JSON: the milliseconds
it took. The first line tells what there is.

Usage: python torch_resnet50.py BATCH WALK THREADS
"""

import sys

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from peer import serve


class Unit(nn.Module):
    """A convolution and its batch normalisation."""

    def __init__(self, inputs, outputs, size, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))

    def fold(self):
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Block(nn.Module):
    """A bottleneck whose first convolution strides, as in the paper and in Keras."""

    def __init__(self, inputs, width, stride, widen):
        super().__init__()
        self.units = nn.ModuleList([
            Unit(inputs, width, 1, stride),
            Unit(width, width, 3, padding=1),
            Unit(width, 4 * width, 1),
        ])
        self.shortcut = Unit(inputs, 4 * width, 1, stride) if widen else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.units[0](x))
        y = torch.relu(self.units[1](y))
        return torch.relu(self.units[2](y) + self.shortcut(x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Unit(3, 64, 7, 2, padding=3)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        blocks = []
        inputs = 64
        for width, depth, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
            for i in range(depth):
                blocks.append(Block(inputs, width, stride if i == 0 else 1, i == 0))
                inputs = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Linear(2048, 1000)

    def forward(self, x):
        x = self.pool(torch.relu(self.stem(x)))
        return torch.softmax(self.dense(self.blocks(x).mean((2, 3))), 1)


def network(folded, layout):
    net = ResNet50().eval().requires_grad_(False)
    if folded:
        for part in net.modules():
            if isinstance(part, Unit):
                part.fold()
    return net.to(memory_format=layout)


def main():
    batch, walk, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tasks = {}

    def add(name, net, layout):
        x = torch.rand(batch, 3, 224, 224).contiguous(memory_format=layout)

        def forward():
            with torch.no_grad():
                net(x)

        def gradient():
            leaf = x.clone().requires_grad_(True)
            torch.autograd.grad(net(leaf)[:, 281].sum(), leaf)

        def again(task):
            for _ in range(walk // batch):
                task()

        for title, task in [("forward", forward), ("gradient", gradient)]:
            tasks[f"{title}, {name}"] = task
            tasks[f"walk over {walk}, {title}, {name}"] = lambda task=task: again(task)

    for folded in [False, True]:
        for layout, title in [(torch.contiguous_format, "plain"), (torch.channels_last, "channels_last")]:
            add(f"{title}, folded" if folded else title, network(folded, layout), layout)

    serve(f"{torch.__version__}, {threads} threads", tasks)


if __name__ == "__main__":
    main()
