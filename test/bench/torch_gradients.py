"""Attributions of ResNet-50 by Captum on PyTorch, for comparison: the catalogue's network with random weights.

Reads the name of a task from each line of its input, runs it once, and answers with a line of JSON: the milliseconds it
took, and the most bytes that the process held meanwhile. The first line tells what there is. Captum runs as its
documentation shows it, all steps or samples in one batch, once with PyTorch's usual layout and once with channels last.

Usage: python torch_gradients.py THREADS
"""

import sys
import warnings

import captum
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, NoiseTunnel, Saliency

from peer import serve
from torch_resnet50 import network

CLASS = 281


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    # Captum warns that it switches gradients on.
    warnings.simplefilter("ignore")
    tasks = {}

    def add(title, layout):
        net = network(False, layout)
        x = torch.rand(1, 3, 224, 224).contiguous(memory_format=layout)
        noise = 0.15 * float(x.max() - x.min())

        def integrated_gradients():
            IntegratedGradients(net).attribute(x, target=CLASS, n_steps=50)

        def smooth_grad():
            NoiseTunnel(Saliency(net)).attribute(x, nt_samples=50, stdevs=noise, target=CLASS, abs=False)

        def grad_cam():
            cam = LayerGradCam(net, net.blocks[-1]).attribute(x, CLASS, relu_attributions=True)
            LayerAttribution.interpolate(cam, (224, 224), "bilinear")

        tasks[f"integrated gradients, 50 steps, {title}"] = integrated_gradients
        tasks[f"SmoothGrad, 50 samples, {title}"] = smooth_grad
        tasks[f"Grad-CAM, {title}"] = grad_cam

    add("plain", torch.contiguous_format)
    add("channels_last", torch.channels_last)
    about = f"Captum {captum.__version__}, PyTorch {torch.__version__}, {threads} threads"
    serve(about, tasks)


if __name__ == "__main__":
    main()
