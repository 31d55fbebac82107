"""The networks in PyTorch, written with its functions only, on the weights of Linen's.

`Twin(*tensors(variables))` holds the layers by the names that Linen gives them.
"""

import numpy as np
import torch

F = torch.nn.functional


def tensors(variables, device="cpu"):
    """Parameters and statistics as tensors: kernels as PyTorch orders them."""

    def convert(tree):
        if hasattr(tree, "items"):
            return {name: convert(branch) for name, branch in tree.items()}
        x = torch.tensor(np.asarray(tree), device=device)
        return x.permute({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[x.ndim]).contiguous()

    return convert(variables["params"]), convert(variables.get("batch_stats", {}))


class Twin:
    """Layers of one module, by the names that Linen gives them."""

    def __init__(self, params, stats, train=False):
        self.params, self.stats, self.train = params, stats, train

    def __getitem__(self, name):
        return Twin(self.params[name], self.stats.get(name, {}), self.train)

    def __contains__(self, name):
        return name in self.params

    def conv(self, name, x, stride=1, groups=1):
        kernel, bias = self.params[name]["kernel"], self.params[name].get("bias")
        return F.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2, groups=groups)

    def dense(self, name, x):
        return F.linear(x, self.params[name]["kernel"], self.params[name]["bias"])

    def norm(self, name, x):
        p, s = self.params[name], self.stats[name]
        leaves = (s["mean"], s["var"], p["scale"], p["bias"])
        return F.batch_norm(x, *leaves, training=self.train)

    def stem(self, x, stem):
        x = self.conv("stem_conv", x, 1 if stem == "cifar" else 2)
        if "stem_norm" in self:
            x = self.norm("stem_norm", x).relu()
        return x if stem == "cifar" else F.max_pool2d(x, 3, 2, 1)


def mlp(net, model, x):
    """Features [n, d] of images [n, c, h, w]; the others alike."""
    x = x.permute(0, 2, 3, 1).flatten(1)
    for i in range(1, len(model.widths) + 1):
        x = net.dense(f"dense{i}", x)
        x = (net.norm(f"norm{i}", x) if model.batch_norm else x).relu()
    return x


def resnet(net, model, x):
    x = net.stem(x, model.stem)
    for i, count in enumerate(model.blocks):
        for j in range(count):
            block, stride = net[f"stage{i + 1}_block{j + 1}"], 2 if i and not j else 1
            if model.bottleneck:
                y = block.norm("norm1", block.conv("conv1", x)).relu()
                y = block.conv("conv2", y, stride, model.groups)
                y = block.norm("norm2", y).relu()
                y = block.norm("norm3", block.conv("conv3", y))
            else:
                y = block.norm("norm1", block.conv("conv1", x, stride)).relu()
                y = block.norm("norm2", block.conv("conv2", y))
            if "shortcut_conv" in block:
                x = block.norm("shortcut_norm", block.conv("shortcut_conv", x, stride))
            x = (x + y).relu()
    return x.mean((2, 3))


def vgg(net, model, x):
    number = 0
    for stage in model.stages:
        for _ in stage:
            number += 1
            x = net.norm(f"norm{number}", net.conv(f"conv{number}", x)).relu()
        x = F.max_pool2d(x, 2)
    return x.mean((2, 3))


def densenet(net, model, x):
    x = net.stem(x, model.stem)
    for i, count in enumerate(model.layers, 1):
        for j in range(1, count + 1):
            layer = net[f"stage{i}_layer{j}"]
            y = layer.conv("conv1", layer.norm("norm1", x).relu())
            y = layer.conv("conv2", layer.norm("norm2", y).relu())
            x = torch.cat([x, y], 1)
        if f"transition{i}_conv" in net:
            y = net.norm(f"transition{i}_norm", x).relu()
            x = net.conv(f"transition{i}_conv", y)
        if i < len(model.layers):
            x = F.avg_pool2d(x, 2)
    return net.norm("last_norm", x).relu().mean((2, 3))
