r"""Regression on the outputs of a random teacher, with a chosen target covariance.

Inputs are standard normal, $x \sim N(0, I)$ in `dim` dimensions. The teacher has one
hidden layer of $tanh$ units with random weights, $g(x) = A \tanh(B x / \sqrt{dim})$, or
is linear. With $L$ the linear map that whitens $g$ on the training set and $S$ the root
of a covariance with the chosen eigenvalues in a random basis,

$$ y = S L (g(x) - \bar g) + target\_noise \cdot S e, $$

so that without noise the covariance of the training targets is $S^2$ exactly.
"""

import numpy as np
from jaxtyping import Float

from ncjax.data.dataset import Dataset, Split, generator
from ncjax.memory import gigabytes, host_memory
from ncjax.options import check_value


def synthetic_regression(
    *,
    spectrum: tuple[float, ...] = (4.0, 1.0, 0.25),
    target_mean: float = 0.0,
    hidden: int = 32,
    dim: int = 64,
    train_size: int = 1000,
    test_size: int = 1000,
    target_noise: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Vectors, labelled with what a random teacher makes of them.

    The teacher, the inputs of both splits and the noise come from random streams of
    their own: sizes do not change the teacher.

    Args:
      spectrum: Eigenvalues of the covariance Sigma of the targets, above 0; as many as
        there are targets, t.
      target_mean: Mean of each target on the training set.
      hidden: Units of the teacher, at least t; 0 for a linear one.
      dim: Number of dimensions of an input, at least t.
      train_size: Number of training examples, more than t.
      test_size: Number of test examples.
      target_noise: Standard deviation of the noise in units of that of the targets,
        added in both splits; the covariance of noisy targets is about 1 +
        target_noise^2 times Sigma.
      seed: Seed of the teacher, the inputs and the noise.

    Returns:
      Float32 images [n, 1, dim, 1] with labels [n, t], of the target "vector".

    Raises:
      ValueError: If an option is out of range.
    """
    count = len(spectrum)
    if not count:
        raise ValueError("spectrum has no eigenvalue; give one for each target.")
    for value in spectrum:
        finite = "finite and above 0"
        check_value("spectrum", value, lambda s: 0 < s < np.inf, finite)
    check_value("target_mean", target_mean, np.isfinite, "finite")
    check_value(
        "target_noise",
        target_noise,
        lambda s: 0 <= s < np.inf,
        "finite and 0 or larger",
    )
    for name, size, least in (
        ("dim", dim, count),
        ("train_size", train_size, count + 1),
        ("test_size", test_size, 1),
    ):
        must_be = f"{least} or larger for {count} targets"
        check_value(name, size, lambda v, least=least: v >= least, must_be)
    must_be = f"0, or {count} or larger for {count} targets"
    check_value("hidden", hidden, lambda v: v == 0 or v >= count, must_be)
    needed = 8 * (train_size + test_size) * (2 * dim + hidden + 3 * count)
    if needed > host_memory():
        raise ValueError(
            f"{train_size} and {test_size} examples of dim={dim} need "
            f"{gigabytes(needed)} of memory, and there are {gigabytes(host_memory())}."
        )
    return _make(
        spectrum, target_mean, hidden, dim, (train_size, test_size), target_noise, seed
    )


def _make(spectrum, target_mean, hidden, dim, sizes, noise, seed) -> Dataset:
    """The data set of checked options."""
    teacher = _teacher(generator(seed, "teacher"), dim, hidden, len(spectrum))
    turn = generator(seed, "basis").standard_normal((len(spectrum),) * 2)
    axes, _ = np.linalg.qr(turn)
    root = (axes * np.sqrt(spectrum)) @ axes.T
    inputs = [
        generator(seed, f"{name} inputs").standard_normal((size, dim))
        for name, size in zip(("train", "test"), sizes, strict=True)
    ]
    outputs = [teacher(x) for x in inputs]
    centre = outputs[0].mean(0)
    whiten = _whitener(outputs[0] - centre)
    splits = []
    for name, x, output in zip(("train", "test"), inputs, outputs, strict=True):
        white = (output - centre) @ whiten
        white += noise * generator(seed, f"{name} noise").standard_normal(white.shape)
        labels = (white @ root + target_mean).astype(np.float32)
        splits.append(Split(x.astype(np.float32)[:, None, :, None], labels))
    names = tuple(f"y{j}" for j in range(len(spectrum)))
    train, test = splits
    return Dataset("synthetic_regression", train, test, names, target="vector")


def _teacher(rng: np.random.Generator, dim: int, hidden: int, count: int):
    """The function inputs [n, dim] -> outputs [n, t], not whitened."""
    first = rng.standard_normal((dim, hidden or count)) / np.sqrt(dim)
    if not hidden:
        return lambda x: x @ first
    second = rng.standard_normal((hidden, count)) / np.sqrt(hidden)
    return lambda x: np.tanh(x @ first) @ second


def _whitener(
    centred: Float[np.ndarray, "n t"],
) -> Float[np.ndarray, "t t"]:
    """The symmetric map that gives rows with mean 0 the covariance I."""
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    return (axes / np.sqrt(values)) @ axes.T
