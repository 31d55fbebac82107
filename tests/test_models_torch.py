"""The same weights in PyTorch give the same logits; written with its functions only."""

import jax
import numpy as np
import pytest

from ncjax.models.densenet import DenseNet
from ncjax.models.resnet import ResNet
from ncjax.models.vgg import VGG

torch = pytest.importorskip("torch")
F = torch.nn.functional


class Twin:
    """Layers of one module, by the names that Linen gives them."""

    def __init__(self, params, stats):
        self.params, self.stats = params, stats

    def __getitem__(self, name):
        return Twin(self.params[name], self.stats.get(name, {}))

    def __contains__(self, name):
        return name in self.params

    def conv(self, name, x, stride=1, groups=1):
        leaves = {k: torch.tensor(v) for k, v in self.params[name].items()}
        kernel = leaves["kernel"].permute(3, 2, 0, 1)
        padding = kernel.shape[-1] // 2
        return F.conv2d(x, kernel, leaves.get("bias"), stride, padding, groups=groups)

    def norm(self, name, x):
        p, s = self.params[name], self.stats[name]
        leaves = (s["mean"], s["var"], p["scale"], p["bias"])
        return F.batch_norm(x, *map(torch.tensor, leaves))

    def stem(self, x, stem):
        x = self.conv("stem_conv", x, 1 if stem == "cifar" else 2)
        if "stem_norm" in self:
            x = self.norm("stem_norm", x).relu()
        return x if stem == "cifar" else F.max_pool2d(x, 3, 2, 1)


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
    return x


def vgg(net, model, x):
    number = 0
    for stage in model.stages:
        for _ in stage:
            number += 1
            x = net.norm(f"norm{number}", net.conv(f"conv{number}", x)).relu()
        x = F.max_pool2d(x, 2)
    return x


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
    return net.norm("last_norm", x).relu()


def _random(rng, shape):
    """Kernels of the usual size; statistics, scales and biases around 1."""
    if len(shape) > 1:
        x = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
    else:
        x = rng.uniform(0.5, 1.5, shape)
    return x.astype(np.float32)


@pytest.mark.parametrize(
    ("twin", "model"),
    [
        (resnet, ResNet(3, (2, 2, 2, 2), 8)),  # ResNet-18
        (resnet, ResNet(3, (1, 2), 4, feature_dim=5, stem="imagenet")),
        (resnet, ResNet(3, (1, 2), 4, bottleneck=8, groups=4)),
        (vgg, VGG(3, ((4,), (6, 8)), feature_dim=5)),
        (densenet, DenseNet(3, (2, 1), 4)),
        (densenet, DenseNet(3, (1, 2), 4, feature_dim=5, stem="imagenet")),
    ],
)
def test_same_weights_same_logits(twin, model):
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 2)).astype(np.float32)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda x: _random(rng, x.shape),
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images),
    )
    del variables["layers"]
    logits, features = jax.jit(model.apply, static_argnums=2)(variables, images, False)
    net = Twin(variables["params"], variables["batch_stats"])
    x = twin(net, model, torch.tensor(images).permute(0, 3, 1, 2)).mean((2, 3))
    np.testing.assert_allclose(features, x, rtol=1e-4, atol=1e-4)
    head = variables["params"]["classifier"]
    expected = F.linear(x, torch.tensor(head["kernel"]).T, torch.tensor(head["bias"]))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
