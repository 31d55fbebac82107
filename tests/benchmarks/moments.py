"""NC1 of 50,000 features of width 512: time, memory and error of every way to get it.

    python -m tests.benchmarks.moments
    python -m tests.benchmarks.moments --numbers

Everybody gets the same float32 array and returns NC1.  Ratios are medians over rounds;
the error is relative to two passes with extended-precision means.  With `--numbers` all
numbers of collapse are asked for, of features and a classifier in memory, and the first
call of a new process, which compiles, counts as well.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import ncjax
from ncjax import collapse
from ncjax.moments import ClassMoments
from tests.benchmarks import harness

N, D, BATCH = 50_000, 512, 5_000


def data(num_classes: int, std: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of order 1, deviations `std` of the norm of a mean."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(num_classes, D))
    labels = rng.permutation(np.arange(N) % num_classes).astype(np.int32)
    x = np.empty((N, D), np.float32)
    for i in range(0, N, 1000):  # in blocks, so that making it is not the memory's peak
        x[i : i + 1000] = means[labels[i : i + 1000]] + std * rng.normal(size=(1000, D))
    return x, labels


def nc1_of(means, within, xp=np):
    """NC1 from class means [K, d] and Sigma_W [d, d], by the K-1 directions."""
    centred = means - means.mean(0)
    _, s, v = xp.linalg.svd(centred, full_matrices=False)
    r = min(len(means) - 1, D)
    return float((((v[:r] @ within) * v[:r]).sum(1) / s[:r] ** 2).sum())


def numpy_two_pass(x, y, num_classes, dtype):
    """Two vectorised passes: means by sorting, then residuals."""
    x = x.astype(dtype)
    order = np.argsort(y, kind="stable")
    starts = np.searchsorted(y[order], np.arange(num_classes))
    counts = np.bincount(y, minlength=num_classes)
    means = np.add.reduceat(x[order], starts, axis=0) / counts[:, None].astype(dtype)
    residual = x - means[y]
    return nc1_of(means, residual.T @ residual / dtype(N))


def loops(x, y, num_classes):
    """One class at a time, float64, as scikit-learn takes class covariances."""
    means, within = np.zeros((num_classes, D)), np.zeros((D, D))
    for k in range(num_classes):
        rows = x[y == k].astype(np.float64)
        means[k] = rows.mean(0)
        within += np.cov(rows, rowvar=False, bias=True) * (len(rows) / N)
    return nc1_of(means, within)


def torch_two_pass(x, y, num_classes):
    """Two vectorised float32 passes in PyTorch: index_add, then residuals."""
    import torch

    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    means = torch.zeros(num_classes, D).index_add_(0, y, x)
    means /= torch.bincount(y, minlength=num_classes)[:, None]
    residual = x - means[y]
    return nc1_of(means, residual.T @ residual / N, torch)


@partial(jax.jit, static_argnums=2)
def streaming(x, y, num_classes):
    """`ClassMoments` with the d x d scatter, batch by batch in a scan."""
    batches = x.reshape(-1, BATCH, D), y.reshape(-1, BATCH)
    moments, _ = jax.lax.scan(
        lambda m, b: (m.update(*b), None), ClassMoments.empty(num_classes, D), batches
    )
    return collapse.nc1(moments)


@partial(jax.jit, static_argnums=2)
def buffered(x, y, num_classes):
    """Features in memory, by whatever way is the cheaper for K and d."""
    return collapse.nc1_of_features(x, y, num_classes)


@jax.jit
def gram(x, y):
    """The yardstick: X'X alone."""
    del y
    return jnp.matmul(x.T, x, precision="highest")


def contenders(num_classes: int, x, y) -> dict[str, Callable[[], object]]:
    """Name -> call that returns NC1 (or, for the yardstick, a matrix)."""
    device = jnp.asarray(x), jnp.asarray(y)
    found: dict[str, Callable[[], object]] = {
        "X'X alone": lambda: gram(*device),
        "ncjax streaming": lambda: streaming(*device, num_classes),
        "ncjax buffered": lambda: buffered(*device, num_classes),
        "NumPy two-pass float64": lambda: numpy_two_pass(x, y, num_classes, np.float64),
        "NumPy two-pass float32": lambda: numpy_two_pass(x, y, num_classes, np.float32),
        "per-class loops float64": lambda: loops(x, y, num_classes),
    }
    try:
        import torch  # noqa: F401

        found["PyTorch two-pass float32"] = lambda: torch_two_pass(x, y, num_classes)
    except ImportError:
        print("PyTorch is not installed: its row is left out.", file=sys.stderr)
    return found


def torch_accumulator(x, y, classifier):
    """Streaming sums over batches in PyTorch, as users of accumulators write them.

    Four passes: class sums, the pooled scatter about the class means, the squared
    distances of each class, and the decisions of nearest mean and classifier.  Returns
    NC1, CDNV, NC2 and NC3 as distances to a simplex, norms and NC4.
    """
    import torch

    x, y, w = map(torch.from_numpy, (x, y.astype(np.int64), classifier))
    num_classes, places = len(w), range(0, N, BATCH)
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in places]

    def one_hot(labels):
        return torch.nn.functional.one_hot(labels, num_classes).to(x.dtype).T

    sums, count = torch.zeros(num_classes, D), torch.zeros(num_classes)
    for features, labels in batches:
        member = one_hot(labels)
        sums += member @ features
        count += member.sum(1)
    means = sums / count[:, None]
    scatter = torch.zeros(D, D)
    for features, labels in batches:
        residual = features - means[labels]
        scatter += residual.T @ residual
    spread = torch.zeros(num_classes)
    for features, labels in batches:
        squares = ((features - means[labels]) ** 2).sum(1)
        spread += one_hot(labels) @ squares
    disagree = 0
    for features, _ in batches:
        nearest = torch.cdist(features, means).argmin(1)
        disagree += int((nearest != (features @ w.T).argmax(1)).sum())

    centred, variance = means - means.mean(0), spread / count
    norms, distances = centred.norm(dim=1), torch.cdist(means, means) ** 2
    pairs = ~torch.eye(num_classes, dtype=bool)
    simplex = torch.eye(num_classes) - 1 / num_classes
    simplex /= simplex.norm()
    grams = centred @ centred.T, w @ centred.T
    nc2, nc3 = (float((g / g.norm() - simplex).norm()) for g in grams)
    both = (variance[:, None] + variance[None])[pairs]
    return {
        "nc1": nc1_of(means, scatter / N, torch),
        "cdnv": float((both / (2 * distances[pairs])).mean()),
        "nc2": nc2,
        "nc3": nc3,
        "equinorm": float(norms.std(correction=0) / norms.mean()),
        "nc4": disagree / N,
    }


def numbers_of(num_classes: int, x, y) -> dict[str, Callable[[], object]]:
    """Name -> call that returns all numbers of features and a classifier."""
    rng = np.random.default_rng(1)
    classifier = rng.normal(size=(num_classes, D)).astype(np.float32)
    return {
        "PyTorch accumulator": lambda: torch_accumulator(x, y, classifier),
        "ncjax.measure": lambda: ncjax.measure(x, y, classifier=classifier).values,
    }


def numbers(num_classes: int, rounds: int) -> None:
    """Seconds on all cores, and seconds of one core alone with those of the first call.

    The seconds of one core are those in which it worked: what else runs on the machine
    counts little.
    """
    x, y = data(num_classes, 1e-1)
    calls = numbers_of(num_classes, x, y)
    seconds, first = harness.interleave(calls, rounds), next(iter(calls))
    rows, base = [], math.nan
    for name, call in calls.items():
        alone = [in_a_process(name, num_classes, one_core=True) for _ in range(3)]
        begun, later, mib = (statistics.median(column) for column in zip(*alone))
        base = later if name == first else base
        rows.append(
            {
                "K": num_classes,
                "way": name,
                "numbers": len(call()),
                "seconds": float(np.median(seconds[name])),
                "/ accumulator": harness.ratio(seconds, name, first),
                "one core": later,
                "one core / accumulator": later / base,
                "one core, first call": begun,
                "peak MiB": mib,
            }
        )
    harness.report("moments_numbers", rows)


def in_a_process(name: str, num_classes: int, *, one_core: bool = False) -> list[float]:
    """What `first_of` prints in a new process."""
    command = [sys.executable, "-m", "tests.benchmarks.moments", "--first-of", name]
    threads = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    one = dict.fromkeys(threads, "1") if one_core else {}
    out = subprocess.run(
        [*command, "--classes", str(num_classes), *(["--one-core"] * one_core)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | one,
    ).stdout
    return list(map(float, out.split()[-3:]))


def first_of(name: str, num_classes: int, one_core: bool) -> None:
    """Prints CPU seconds of the first call, of later ones, and MiB of the first.

    The MiB are those by which it raises the peak of this process.
    """
    if one_core:  # before JAX counts them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    x, y = data(num_classes, 1e-2)
    calls = numbers_of(num_classes, x, y) | contenders(num_classes, x, y)
    jax.block_until_ready(gram(x[:64], y[:64]))  # start the backend
    before, spent, peaks = peak_kib(), [], []
    for _ in range(6):
        began = time.process_time()
        jax.block_until_ready(calls[name]())
        spent.append(time.process_time() - began)
        peaks.append(peak_kib())
    print(spent[0], statistics.median(spent[1:]), (peaks[0] - before) / 1024)


def peak_kib() -> int:
    """Largest resident size of this process so far.

    Not `getrusage`, which on Linux starts at the size of the parent process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def errors(num_classes: int, std: float, names: list[str]) -> dict[str, float]:
    """Relative error of NC1 against two passes with extended-precision means."""
    x, y = data(num_classes, std)
    means = np.stack(
        [x[y == k].astype(np.longdouble).mean(0) for k in range(num_classes)]
    )
    residual = (x - means[y]).astype(np.float64)
    exact = nc1_of(means.astype(np.float64), residual.T @ residual / N)
    calls = contenders(num_classes, x, y)
    return {name: abs(float(calls[name]()) / exact - 1) for name in names}


def main() -> None:
    """Times, errors at three spreads, memory; for 10, 100 and 1000 classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--classes", type=int, default=0)
    parser.add_argument("--numbers", action="store_true")
    parser.add_argument("--first-of", default="")
    parser.add_argument("--one-core", action="store_true")
    args = parser.parse_args()
    if args.first_of:
        return first_of(args.first_of, args.classes, args.one_core)
    if args.numbers:
        return numbers(args.classes or 10, args.rounds)
    rows = []
    for num_classes in [args.classes] if args.classes else [10, 100, 1000]:
        x, y = data(num_classes, 1e-2)
        calls = contenders(num_classes, x, y)
        seconds = harness.interleave(calls, args.rounds)
        names = [name for name in calls if name != "X'X alone"]
        wrong = {std: errors(num_classes, std, names) for std in (1e-1, 1e-3, 1e-6)}
        for name in calls:
            rows.append(
                {
                    "K": num_classes,
                    "way": name,
                    "seconds": float(np.median(seconds[name])),
                    "/ X'X": harness.ratio(seconds, name, "X'X alone"),
                    "/ NumPy f64": harness.ratio(
                        seconds, name, "NumPy two-pass float64"
                    ),
                    "peak MiB": in_a_process(name, num_classes)[-1],
                    **{
                        f"error {std:g}": wrong[std].get(name, float("nan"))
                        for std in wrong
                    },
                }
            )
    harness.report("moments", rows)
    return None


if __name__ == "__main__":
    main()
