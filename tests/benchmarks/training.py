"""How fast networks train: images a second, share of the device's matrix rate, PyTorch.

    python -m tests.benchmarks.training [--only step,epoch,evaluation,heads,seeds]

- step: training steps in one compiled scan, the rate of a large matrix product in the
  same type, and the same networks with the same weights in PyTorch: eager on a CPU,
  compiled with channels last on a GPU.  The operations of a step are those that XLA
  counts for its own convolutions, however the step computes them.
- epoch: a scanned epoch over data on the device against a loop over host batches.
- evaluation: with and without measurement, as in `tests.benchmarks.evaluation`.
- seeds: steps of 4 and 16 networks in one program against one: at once, those with
  convolutions also in turn, as in a run.
- heads: steps with the other classifiers of 100 classes against the linear one.
- digits: 16 runs as one program, from start to end, against 16 runs.

Everything that is compared runs in turns; ratios are medians over rounds.  float32 on a
CPU, bfloat16 on a GPU, where batches are larger too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh

import ncjax
from ncjax.classifiers import CLASSIFIERS
from ncjax.cluster.members import Over, map_networks, vmap_networks
from ncjax.config import default
from ncjax.losses import cross_entropy
from ncjax.models import MODELS
from ncjax.training.epoch import make_epoch
from ncjax.training.step import init_state, make_train_step
from tests.benchmarks import evaluation, harness

try:
    import torch

    from tests.models import torch_twins
except ImportError:
    torch = None

CPU = jax.default_backend() == "cpu"
DTYPE = jnp.float32 if CPU else jnp.bfloat16
SIZE = 2048 if CPU else 8192  # of the matrices of the yardstick
HEADS = ("linear", "nearest", "class_means", "spherical", "fixed")
RATE, LEARNING_RATE = "matrix product", 0.01

# Name: (model, its options, image, batch and steps on a CPU, on an accelerator).
NETWORKS = {
    "mlp 784-512-512-10": (
        "mlp",
        {"widths": (512, 512)},
        (28, 28, 1),
        (128, 20),
        (1024, 50),
    ),
    "mlp 64-128-128-64-10": (
        "mlp",
        {"widths": (128, 128, 64)},
        (8, 8, 1),
        (128, 100),
        (128, 100),
    ),
    "mlp 784-512-512-10, small batch": ("mlp", {}, (28, 28, 1), (32, 50), (128, 50)),
    "mlp 64-128-128-64-10, small batch": (
        "mlp",
        {"widths": (128, 128, 64)},
        (8, 8, 1),
        (32, 100),
        (32, 100),
    ),
    "resnet18, width 1/4": (
        "resnet18",
        {"width": 0.25},
        (32, 32, 3),
        (128, 4),
        (1024, 20),
    ),
    "resnet18": ("resnet18", {}, (32, 32, 3), (128, 2), (1024, 10)),
    "resnet18, small batch": ("resnet18", {}, (32, 32, 3), (32, 4), (128, 20)),
}
COMMON = [name for name in NETWORKS if "small batch" not in name]


def row(what, network, ratio, images=None, share=None, over="PyTorch"):
    """A line of the table; `ratio` is the time of `over` divided by ours."""
    return {
        "what": what,
        "network": network,
        "images/s": "-" if images is None else round(images),
        "of matrix rate": "-" if share is None else share,
        "compared with": over,
        "times as fast": "-" if ratio is None else ratio,
    }


class Training:
    """A network, its batches [steps, n, ...] and its step."""

    def __init__(self, name: str, classes: int = 10, head: str = ""):
        model, options, shape, on_cpu, on_accelerator = NETWORKS[name]
        self.batch, self.steps = on_cpu if CPU else on_accelerator
        self.twin = model.removesuffix("18")
        rng = np.random.default_rng(0)
        sizes = (self.steps, self.batch)
        self.images = rng.normal(size=(*sizes, *shape)).astype(np.float32)
        self.labels = rng.integers(0, classes, sizes).astype(np.int32)
        classifier = CLASSIFIERS[head](classes) if head else classes
        self.make_model = partial(MODELS[model], classifier, **options)
        self.model = self.make_model(dtype=DTYPE)
        self.optimizer = optax.sgd(LEARNING_RATE, momentum=0.9)
        self.step = make_train_step(self.model, cross_entropy, self.optimizer)
        self.init = partial(init_state, self.model, self.optimizer, image_shape=shape)

    def run(self, seeds: int = 0, many: Over = vmap_networks) -> Callable[[], object]:
        """All steps, from the same state each time; of one network or of many."""
        state = jax.jit(self.init)(key=jax.random.key(0))

        def run(state, batches):
            return jax.lax.scan(lambda s, b: self.step(s, *b), state, batches)

        if seeds:
            keys = jax.random.split(jax.random.key(0), seeds)
            state = jax.jit(jax.vmap(lambda key: self.init(key=key)))(keys)
            run = many(run, (0, None))
        batches = jnp.asarray(self.images), jnp.asarray(self.labels)
        run = jax.jit(run)
        return lambda: run(state, batches)

    def flops(self) -> float:
        """Operations of one step with direct convolutions, as XLA counts them."""
        conv = {} if self.twin == "mlp" else {"conv": "xla"}
        model = self.make_model(dtype=DTYPE, **conv)
        step = make_train_step(model, cross_entropy, self.optimizer)
        state = jax.eval_shape(lambda: self.init(key=jax.random.key(0)))
        lowered = jax.jit(step).lower(state, self.images[0], self.labels[0])
        return float(lowered.cost_analysis()["flops"])

    def torch_run(self) -> Callable[[], object]:
        """The same steps and metrics in PyTorch, once both gave the same logits."""
        device = "cpu" if CPU else "cuda"
        state = jax.jit(self.init)(key=jax.random.key(0))
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        params, stats = torch_twins.tensors(variables, device)
        forward, model = getattr(torch_twins, self.twin), self.model
        images = torch.tensor(self.images, device=device).permute(0, 1, 4, 2, 3)
        labels = torch.tensor(self.labels, device=device).long()

        def logits(x, train):
            net = torch_twins.Twin(params, stats, train)
            return net.dense("classifier", forward(net, model, x))

        exact = jax.jit(partial(self.make_model().apply, train=False))
        with jax.default_matmul_precision("highest"), torch.no_grad():
            np.testing.assert_allclose(
                exact(variables, self.images[0])[0],
                logits(images[0], False).cpu(),
                rtol=1e-4,
                atol=1e-4,
            )
        leaves = [leaf.requires_grad_() for leaf in _leaves(params)]
        optimizer = torch.optim.SGD(leaves, lr=LEARNING_RATE, momentum=0.9)

        def loss(x, y):
            with torch.autocast(device, torch.bfloat16, enabled=not CPU):
                z = logits(x, True)
                wrong = (z.detach().argmax(1) != y).float().mean()
                return torch.nn.functional.cross_entropy(z, y), wrong

        if CPU:
            images = images.contiguous()
        else:
            loss = torch.compile(loss)
            images = [x.contiguous(memory_format=torch.channels_last) for x in images]

        def run():
            metrics = []
            for x, y in zip(images, labels):
                optimizer.zero_grad(set_to_none=True)
                value, wrong = loss(x, y)
                value.backward()
                optimizer.step()
                metrics.append((value.detach(), wrong))
            if not CPU:
                torch.cuda.synchronize()
            return metrics

        return run


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    return [tree]


def steps(rounds: int) -> list[dict]:
    """Training steps against the matrix rate and PyTorch."""
    rows = []
    square = jnp.ones((SIZE, SIZE), DTYPE)
    product = jax.jit(jnp.matmul)
    for name in NETWORKS:
        training = Training(name)
        functions = {"ncjax": training.run(), RATE: lambda: product(square, square)}
        if torch is not None:
            functions["PyTorch"] = training.torch_run()
        seconds = harness.interleave(functions, rounds)
        work = training.flops() * training.steps / (2 * SIZE**3)
        images = training.batch * training.steps / np.median(seconds["ncjax"])
        share = work * harness.ratio(seconds, RATE, "ncjax")
        faster = None if torch is None else harness.ratio(seconds, "PyTorch", "ncjax")
        what = f"step, batch {training.batch}"
        rows.append(row(what, name, faster, float(images), share))
    return rows


def epochs(rounds: int) -> list[dict]:
    """A scanned epoch against a loop over the same step and batches of the host."""
    rows = []
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",), axis_types=(AxisType.Auto,))
    for name in [name for name in COMMON if name.startswith("mlp")]:
        training = Training(name)
        images, labels = (
            a.reshape(-1, *a.shape[2:]) for a in (training.images, training.labels)
        )
        epoch = make_epoch(training.step, lambda x: x, training.batch, mesh)
        device = jnp.asarray(images), jnp.asarray(labels)
        step = jax.jit(training.step, donate_argnums=0)
        rng, key = np.random.default_rng(0), jax.random.key(0)
        states = {way: jax.jit(training.init)(key=key) for way in ("scan", "loop")}

        def scan(epoch=epoch, states=states, device=device, key=key):
            states["scan"], metrics = epoch(states["scan"], key, *device)
            return metrics

        def loop(
            step=step, states=states, images=images, labels=labels, t=training, rng=rng
        ):
            order = rng.permutation(len(labels)).reshape(t.steps, t.batch)
            for rows in order:
                states["loop"], metrics = step(
                    states["loop"], images[rows], labels[rows]
                )
            return metrics

        seconds = harness.interleave({"scan": scan, "loop": loop}, rounds)
        images_s = float(len(labels) / np.median(seconds["scan"]))
        faster = harness.ratio(seconds, "loop", "scan")
        rows.append(row("scanned epoch", name, faster, images_s, over="host batches"))
    return rows


def evaluations(rounds: int) -> list[dict]:
    """Evaluation that measures, against one that does not."""
    return [
        row(
            "measured evaluation",
            line["network, path"],
            1 / line["measured / bare"],
            over="bare evaluation",
        )
        for line in evaluation.compare(rounds)
    ]


def seeds(rounds: int) -> list[dict]:
    """Steps of many networks in one program against as many steps of one."""
    rows = []
    for name in [name for name in COMMON if name != "resnet18"]:  # a minute a step
        training = Training(name)
        convolves, counts, runs = not name.startswith("mlp"), {}, {"1": training.run()}
        for many in (vmap_networks, map_networks) if convolves else (vmap_networks,):
            for count in (4,) if CPU and convolves else (4, 16):
                how = "in turn" if many is map_networks else "at once"
                what = f"{count} seeds {how}"
                counts[what], runs[what] = count, training.run(count, many)
        seconds = harness.interleave(runs, rounds)
        for what, count in counts.items():
            images = count * training.batch * training.steps
            rows.append(
                row(
                    what,
                    name,
                    count * harness.ratio(seconds, "1", what),
                    float(images / np.median(seconds[what])),
                    over=f"{count} times one",
                )
            )
    return rows


def heads(rounds: int) -> list[dict]:
    """Steps with a classifier of 100 classes on 512 features against a linear one.

    The nearest frame takes an eigendecomposition of 99 x 99 numbers, and its gradient,
    however many images are in a batch and however large the network is.
    """
    rows = []
    for name in ("mlp 784-512-512-10", "resnet18, small batch"):
        trained = {head: Training(name, 100, head) for head in HEADS}
        functions = {head: training.run() for head, training in trained.items()}
        seconds = harness.interleave(functions, rounds)
        training = trained[HEADS[0]]
        network = f"{name.removesuffix('-10')}, K = 100"
        for head in HEADS[1:]:
            ratio = harness.ratio(seconds, HEADS[0], head)
            images = training.batch * training.steps / np.median(seconds[head])
            what = f"step, {head}, batch {training.batch}"
            rows.append(row(what, network, ratio, float(images), over="linear"))
    return rows


def digits(rounds: int) -> list[dict]:
    """16 runs of the digits as one program against 16 runs, compiling and all."""
    del rounds  # minutes long: once
    config = default()
    if "num_seeds" not in config:
        print("There is no config.num_seeds: `digits` is left out.", file=sys.stderr)
        return []
    config.model.widths, config.num_epochs = (128, 128, 64), 300

    def timed(count: int, first: int) -> float:
        config.num_seeds, config.seed = count, first
        began = time.perf_counter()
        ncjax.train(config, progress=False)
        return time.perf_counter() - began

    together = timed(16, 0)
    apart = sum(timed(1, seed) for seed in range(16))
    name, over = "mlp 64-128-128-64-10", "16 runs"
    return [row("16 digits runs", name, apart / together, over=over)]


PARTS = {
    "step": steps,
    "epoch": epochs,
    "evaluation": evaluations,
    "seeds": seeds,
    "heads": heads,
    "digits": digits,
}


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS))
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(
            f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}"
        )
    if torch is None:
        print("PyTorch is not installed: its ratios are left out.", file=sys.stderr)
    rows = [line for part in parts for line in PARTS[part](args.rounds)]
    if rows:
        harness.report("training", rows)


if __name__ == "__main__":
    main()
