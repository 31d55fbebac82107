"""The same weights in PyTorch give the same logits."""

import jax
import numpy as np
import pytest

from ncjax.models.densenet import DenseNet
from ncjax.models.mlp import MLP
from ncjax.models.resnet import ResNet
from ncjax.models.vgg import VGG

torch = pytest.importorskip("torch")

from tests.models import torch_twins  # noqa: E402
from tests.models.torch_twins import densenet, mlp, resnet, vgg  # noqa: E402


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
        (mlp, MLP(3, (8, 6))),
        (mlp, MLP(3, (8, 6), batch_norm=False)),
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
    net = torch_twins.Twin(*torch_twins.tensors(variables))
    x = twin(net, model, torch.tensor(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(features, x, rtol=1e-4, atol=1e-4)
    expected = net.dense("classifier", x)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
