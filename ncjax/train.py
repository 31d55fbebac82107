"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from ncjax import config as configs
from ncjax import plots
from ncjax.augment import AUGMENTATIONS
from ncjax.checkpoints import Checkpoints
from ncjax.data import DataError, Dataset, channel_statistics, select
from ncjax.evaluate import LAST, Evaluate, Features, make_evaluate
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, from_nested, read
from ncjax.history import History
from ncjax.mistakes import Mistakes
from ncjax.models import classifier, layer_outputs
from ncjax.optimizers import SCHEDULES
from ncjax.progress import Progress
from ncjax.step import TrainState, init_state, make_epoch, make_train_step
from ncjax.workdir import Workdir


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


def train(
    config: ConfigDict,
    workdir: str | os.PathLike | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> History:
    """Trains and measures as `config` says.

    The same call on the same `workdir` continues from the last checkpoint and ends with
    the same numbers as a run that was never stopped.

    Args:
        config: from `ncjax.config.default()` or a config file.
        workdir: folder for metrics, checkpoints and the figure; None writes nothing.
        devices: to train on, by default all; the result does not depend on them.
        progress: show a progress line on standard error.

    Returns:
        The metrics of all measured epochs.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite.
    """
    configs.validate(config)
    dataset = load_data(config)
    experiment = build(config, dataset, devices)
    run = None if workdir is None else Workdir(workdir, configs.resolved(config))
    state = experiment.init()
    checkpoints, start, rows = None, 0, []
    if run is not None:
        checkpoints = Checkpoints(run.checkpoints, config.checkpoint.keep)
        start = checkpoints.latest or 0
        if start:
            state = checkpoints.load(start, state)
        rows = run.resume(start)
    history = History(
        [row for row in rows if "nc/nc1" in row], None if run is None else run.path
    )
    try:
        if start < config.num_epochs:
            experiment = _compile(experiment, state, progress)
        with closing(Progress(config.num_epochs, start, enabled=progress)) as bar:
            _loop(config, experiment, state, start, history, run, checkpoints, bar)
    finally:
        if run is not None and checkpoints is not None:
            checkpoints.close()
            run.close()
    if run is not None:
        plots.save(plots.collapse(history), run.path / "collapse.png")
        if config.eval.layers == "all":
            plots.save(plots.layers(history), run.path / "layers.png")
    return history


def _compile(experiment: Experiment, state: TrainState, progress: bool) -> Experiment:
    """Compiles an epoch and a measurement, and says how long that took."""
    began = time.perf_counter()
    experiment = experiment.compiled(state)
    if progress:
        seconds = time.perf_counter() - began
        print(f"Compiled in {seconds:.1f} s.", file=sys.stderr, flush=True)
    return experiment


def _loop(
    config: ConfigDict,
    experiment: Experiment,
    state: TrainState,
    start: int,
    history: History,
    run: Workdir | None,
    checkpoints: Checkpoints | None,
    bar: Progress,
) -> None:
    """Epochs start+1 ... num_epochs.

    An epoch is read only after the next was dispatched, so the device does not wait for
    the host, except before a checkpoint: what is saved is known to be finite.
    """
    measured = set(measured_epochs(config))
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    pending: tuple[int, dict, dict] | None = None

    def read() -> None:
        nonlocal pending
        if pending is None:
            return
        (epoch, steps, metrics), pending = pending, None
        losses = np.asarray(steps["loss"])
        if not np.isfinite(losses).all():
            first = int(np.argmin(np.isfinite(losses)))
            last_good = None if checkpoints is None else checkpoints.latest
            saved = (
                f"The last good checkpoint is that of epoch {last_good}"
                if last_good
                else "There is no checkpoint yet"
            )
            raise TrainingError(
                f"The loss became {losses[first]} in epoch {epoch}, at step "
                f"{(epoch - 1) * len(losses) + first + 1}. {saved}. Try a lower "
                f"config.optimizer.learning_rate (now "
                f"{config.optimizer.learning_rate})."
            )
        row = {
            "epoch": epoch,
            "running/loss": float(losses.mean()),
            "running/error": float(np.mean(steps["error"])),
        } | {name: float(value) for name, value in jax.device_get(metrics).items()}
        if metrics:
            history.rows.append(row)
        if run is not None:
            run.write(row)
        shown = {"loss": row["running/loss"], "error": row["running/error"]}
        if history.rows:
            shown["NC1"] = history.rows[-1]["nc/nc1"]
        bar.update(epoch, shown)

    for epoch in range(start + 1, config.num_epochs + 1):
        state, steps = experiment.epoch(state, epoch)
        metrics = experiment.evaluate(state) if epoch in measured else {}
        read()
        pending = (epoch, steps, metrics)
        if epoch == config.num_epochs or epoch % every == 0:
            read()
            if checkpoints is not None:
                checkpoints.save(epoch, state)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The pieces of a run and its data.

    Attributes:
        init: () -> a new `TrainState`, replicated over the devices.
        run_epoch: from `make_epoch`.
        run_evaluate: from `make_evaluate`.
        key: of the run; an epoch's key is folded from it.
        train_set: images and labels, replicated over the devices.
        test_set: the same.
        features: (state, images [n, h, w, c]) -> features [n, d] that the classifier
            sees, in evaluation mode.
        classifier: state -> W [K, d], b [K].
    """

    init: Callable[[], TrainState]
    run_epoch: Any
    run_evaluate: Evaluate
    key: jax.Array
    train_set: tuple[jax.Array, jax.Array]
    test_set: tuple[jax.Array, jax.Array]
    features: Callable[[TrainState, jax.Array], jax.Array]
    classifier: Callable[[TrainState], tuple[jax.Array, jax.Array]]

    def epoch(
        self, state: TrainState, number: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One epoch: a new state, {"loss": [steps], "error": [steps]}.

        The given state is donated.
        """
        return self.run_epoch(state, self._epoch_key(number), *self.train_set)

    def evaluate(self, state: TrainState) -> dict[str, jax.Array]:
        """Metrics over the whole training and test sets."""
        return self.run_evaluate(_variables(state), self.train_set, self.test_set)

    def compiled(self, state: TrainState) -> Experiment:
        """The same, compiled now instead of at the first call."""
        epoch = self.run_epoch.lower(state, self._epoch_key(0), *self.train_set)
        evaluate = self.run_evaluate.compiled(
            _variables(state), self.train_set, self.test_set
        )
        return dataclasses.replace(
            self, run_epoch=epoch.compile(), run_evaluate=evaluate
        )

    def _epoch_key(self, number: int) -> jax.Array:
        return jax.random.fold_in(self.key, number)


def build(
    config: ConfigDict,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None = None,
) -> Experiment:
    """Puts the data on the devices and makes the functions of a run.

    Args:
        config: a valid configuration.
        dataset: to train on, whatever `config.data` says.
        devices: by default all.

    Raises:
        ConfigError: if the batch does not fit the data or the devices.
    """
    devices = jax.devices() if devices is None else devices
    _check_batch(config, dataset, len(devices))
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    everywhere = NamedSharding(mesh, P())
    train_set, test_set = (
        jax.device_put((np.asarray(part.images), np.asarray(part.labels)), everywhere)
        for part in (dataset.train, dataset.test)
    )
    mean, std = channel_statistics(dataset.train.images)

    def prepare(images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) - mean) / std

    hierarchy = load_hierarchy(config, dataset)
    loss, outputs, geometry = configs.bind_loss(config, hierarchy, dataset.num_classes)
    model = configs.bind(config, "model")(
        outputs=outputs.size,
        dtype=configs.COMPUTE_DTYPES[config.compute_dtype],
    )
    schedule = SCHEDULES[config.optimizer.schedule](
        config.optimizer.learning_rate,
        config.num_epochs,
        len(dataset.train) // config.batch_size,
    )
    optimizer = configs.bind(config, "optimizer")(schedule)
    key = jax.random.key(config.seed)
    init = jax.jit(
        lambda: init_state(model, optimizer, key, dataset.image_shape),
        out_shardings=everywhere,
    )
    step = make_train_step(model, loss, optimizer, scores=outputs.scores)
    run_epoch = make_epoch(
        step, prepare, config.batch_size, mesh, AUGMENTATIONS[config.data.augment]
    )

    def forward(variables: Any, images: jax.Array) -> tuple[jax.Array, "Features"]:
        images, inner = prepare(images), {}
        if config.eval.layers == "all":
            logits, features, inner = layer_outputs(
                model, variables, images, config.eval.pool
            )
        else:
            logits, features = model.apply(variables, images, train=False)
        if outputs.embedding is not None:
            features = logits
        return logits, {LAST: features, **inner}

    def head(params: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        weights, bias = classifier(params)
        if outputs.embedding is not None:
            weights = jnp.asarray(outputs.embedding, jnp.float32)
            return weights, jnp.zeros(len(weights))
        if outputs.readout is not None:
            readout = jnp.asarray(outputs.readout, jnp.float32)
            return readout @ weights, readout @ bias
        return weights, bias

    abstract = jax.eval_shape(init)
    image = jax.ShapeDtypeStruct((1, *dataset.image_shape), train_set[0].dtype)
    _, layers = jax.eval_shape(forward, _variables(abstract), image)
    per_example = sum(x.size * x.dtype.itemsize for x in layers.values())
    needed = per_example * len(dataset.train) / len(devices) / 2**20
    buffer = needed <= config.eval.buffer_mb
    if not buffer:
        print(
            f"The features of the training set take {needed:.0f} MiB a device, more "
            f"than config.eval.buffer_mb = {config.eval.buffer_mb}: each measurement "
            "makes a second forward pass.",
            file=sys.stderr,
        )
    run_evaluate = make_evaluate(
        forward,
        head,
        loss,
        mesh,
        num_classes=dataset.num_classes,
        batch_size=config.eval.batch_size,
        scores=outputs.scores,
        mistakes=Mistakes(hierarchy, crm=config.eval.crm and hierarchy is not None),
        geometry=geometry,
        buffer=buffer,
        scatter=config.eval.scatter,
    )
    return Experiment(
        init=init,
        run_epoch=run_epoch,
        run_evaluate=run_evaluate,
        key=key,
        train_set=train_set,
        test_set=test_set,
        features=jax.jit(lambda state, x: forward(_variables(state), x)[1][LAST]),
        classifier=lambda state: head(state.params),
    )


def _variables(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats}


def load_data(config: ConfigDict) -> Dataset:
    """The data set of a configuration, cut as it says."""
    try:
        dataset = configs.bind(config, "data")()
        return select(dataset, **configs.select_options(config))
    except DataError:
        raise
    except ValueError as error:  # an option out of its range
        raise configs.ConfigError(f"config.data: {error}") from error


def load_hierarchy(config: ConfigDict, dataset: Dataset) -> Hierarchy | None:
    """The class tree of a configuration, over the classes of its data; None if none.

    Raises:
        ConfigError: if the tree cannot be read, or lacks a class of the data.
    """
    name, file = config.hierarchy.name, config.hierarchy.file
    try:
        if file:
            tree = read(file)
        elif name == "dataset" and dataset.tree is not None:
            tree = from_nested(dataset.tree)
        elif name == "dataset" and config.data.name in BUILTIN:
            tree = BUILTIN[config.data.name]()
        elif name in ("dataset", "none"):
            return None
        else:
            tree = BUILTIN[name]()
        return tree.restrict(dataset.class_names)
    except HierarchyError as error:
        source = f"file {file}" if file else name
        raise configs.ConfigError(
            f"The class tree of config.hierarchy ({source}) does not fit the data set "
            f"{dataset.name}: {error}"
        ) from error


def measured_epochs(config: ConfigDict) -> list[int]:
    """Epochs after which to measure: those given, or log-spaced; always the last."""
    if config.eval.epochs:
        return sorted({*config.eval.epochs, config.num_epochs})
    points = np.geomspace(1, config.num_epochs, config.eval.num_points)
    return sorted({round(float(p)) for p in points})


def _check_batch(config: ConfigDict, dataset: Dataset, devices: int) -> None:
    n = len(dataset.train)
    if config.batch_size > n:
        raise configs.ConfigError(
            f"config.batch_size = {config.batch_size} is larger than the training set "
            f"of {n} examples. Choose a batch of at most {n}."
        )
    if config.batch_size % devices:
        raise configs.ConfigError(
            f"config.batch_size = {config.batch_size} cannot be divided evenly over "
            f"{devices} devices. Choose a multiple of {devices}."
        )
