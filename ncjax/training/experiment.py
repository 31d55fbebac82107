"""The pieces of a run: its data on the devices, and the compiled functions."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax import config as configs
from ncjax.cluster.members import Over, map_networks, vmap_networks
from ncjax.data import DataError, Dataset, channel_statistics, select
from ncjax.data.augment import AUGMENTATIONS
from ncjax.evaluation.evaluate import make_evaluate
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.protocol import LAST, Array, Features
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, from_nested, read
from ncjax.models import classifier, layer_outputs
from ncjax.optimizers import SCHEDULES
from ncjax.training.step import (
    TrainState,
    init_state,
    make_epoch,
    make_steps,
    make_train_step,
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The pieces of a run and its data.

    With `config.num_seeds` = S > 1 the state, the key and whatever an epoch and a
    measurement return have a leading axis [S]; metrics are replicated over the devices.

    Attributes:
        init: () -> a new `TrainState`, replicated over the devices, or networks over
            the mesh axis "seeds".
        run_epoch: from `make_epoch`, or a `StreamedEpoch`.
        run_evaluate: from `make_evaluate`, or a `StreamedEvaluate`.
        key: of the run; an epoch's key is folded from it.
        train_set: images and labels, replicated over the devices; or on the host, to
            be streamed.
        test_set: the same.
        features: (state of one network, images [n, h, w, c]) -> features [n, d] that
            the classifier sees, in evaluation mode.
        classifier: state of one network -> W [K, d], b [K].
    """

    init: Callable[[], TrainState]
    run_epoch: Any
    run_evaluate: Any
    key: jax.Array
    train_set: tuple[Array, Array]
    test_set: tuple[Array, Array]
    features: Callable[[TrainState, jax.Array], jax.Array]
    classifier: Callable[[TrainState], tuple[jax.Array, jax.Array]]

    def epoch(
        self, state: TrainState, number: int
    ) -> tuple[TrainState, dict[str, Array]]:
        """One epoch: a new state, {"loss": [steps], "error": [steps]}.

        The given state is donated.
        """
        return self.run_epoch(state, self._epoch_key(number), *self.train_set)

    def evaluate(self, state: TrainState) -> dict[str, jax.Array]:
        """Metrics over the whole training and test sets."""
        return self.run_evaluate(_variables(state), self.train_set, self.test_set)

    def compiled(self, state: TrainState) -> Experiment:
        """The same, compiled now instead of at the first call."""
        arguments = state, self._epoch_key(0), *self.train_set
        if isinstance(self.train_set[0], jax.Array):
            epoch = self.run_epoch.lower(*arguments).compile()
        else:
            epoch = self.run_epoch.compiled(*arguments)
        evaluate = self.run_evaluate.compiled(
            _variables(state), self.train_set, self.test_set
        )
        return dataclasses.replace(self, run_epoch=epoch, run_evaluate=evaluate)

    def _epoch_key(self, number: int) -> jax.Array:
        if self.key.ndim:
            fold_each = jax.jit(_fold_each, out_shardings=self.key.sharding)
            return fold_each(self.key, number)
        return jax.random.fold_in(self.key, number)


_fold_each = jax.vmap(jax.random.fold_in, in_axes=(0, None))


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
        ConfigError: if the batch does not fit the data or the devices, or they do not
            compute in bfloat16 as asked.
    """
    several = config.num_seeds > 1
    given, devices = devices is not None, devices or jax.devices()
    on_cpu = devices[0].platform == "cpu"
    if several and on_cpu and not given:
        # Virtual devices share the cores, so one in each process is as fast; and with
        # two, jax 0.10 was seen to wait forever in a measurement of 16 seeds.
        devices = [jax.local_devices(i)[0] for i in range(jax.process_count())]
    _check_bfloat16(config, devices[0])
    mesh = cluster.make_mesh(devices, config.num_seeds)
    _check_batch(config, dataset, mesh)
    network = NamedSharding(mesh, P("seeds") if several else P())
    everywhere = NamedSharding(mesh, P())
    stream = _streaming(config, dataset)
    train_set, test_set = (
        (part.images, part.labels)
        if stream is not None
        else (
            cluster.put(part.images, everywhere),
            cluster.put(part.labels, everywhere),
        )
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

    def new(key: jax.Array) -> TrainState:
        return init_state(model, optimizer, key, dataset.image_shape)

    abstract = jax.eval_shape(new, jax.random.key(0))
    many = _many(abstract) if several else None
    key, new_all = jax.random.key(config.seed), new
    if several:
        seeds = config.seed + np.arange(config.num_seeds)
        key = jax.jit(jax.vmap(jax.random.key), out_shardings=network)(seeds)
        new_all = jax.vmap(new)
    # Random numbers take LLVM half a second an array at its usual level; they are drawn
    # once, and are the same.
    quick = {"xla_backend_optimization_level": 1} if on_cpu else {}
    init = jax.jit(new_all, out_shardings=network, compiler_options=quick)
    step = make_train_step(model, loss, optimizer, scores=outputs.scores)
    augment = AUGMENTATIONS[config.data.augment]
    if stream is None:
        run_epoch = make_epoch(
            step, prepare, config.batch_size, mesh, augment, many=many
        )
    else:
        steps = make_steps(step, prepare, mesh, augment)
        run_epoch = stream[0](steps, config.batch_size, mesh)

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

    image = jax.ShapeDtypeStruct((1, *dataset.image_shape), train_set[0].dtype)
    _, layers = jax.eval_shape(forward, _variables(abstract), image)
    # Kept are float32 residuals and their coordinates in the span of the class means.
    widths = [x.shape[1] for x in layers.values()]
    per_example = 4 * sum(d + min(dataset.num_classes - 1, d) for d in widths)
    copies = config.num_seeds * len(dataset.train)
    needed = per_example * copies / len(devices) / 2**20
    buffer = needed <= config.eval.buffer_mb
    if not buffer and cluster.is_first():
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
        mistakes=Mistakes(
            hierarchy,
            crm=config.eval.crm and hierarchy is not None,
            confusion=config.eval.confusion,
        ),
        geometry=geometry,
        buffer=buffer,
        scatter=config.eval.scatter,
        many=many,
    )
    if stream is not None:
        run_evaluate = stream[1](run_evaluate, mesh)
    return Experiment(
        init=partial(init, key),
        run_epoch=run_epoch,
        run_evaluate=run_evaluate,
        key=key,
        train_set=train_set,
        test_set=test_set,
        features=jax.jit(lambda state, x: forward(_variables(state), x)[1][LAST]),
        classifier=lambda state: head(state.params),
    )


def _many(state: TrainState) -> Over:
    """How a function of one network like that of `state` becomes one of many."""
    convolves = any(x.ndim == 4 for x in jax.tree.leaves(state.params))
    return map_networks if convolves else vmap_networks


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


def _streaming(config: ConfigDict, dataset: Dataset) -> tuple[Any, Any] | None:
    """What streams images, if that is wanted; None if the devices hold them.

    Raises:
        ConfigError: if there are many seeds, or grain, which reads ahead, is not
            installed.
    """
    images = dataset.train.images.nbytes + dataset.test.images.nbytes
    chosen, limit = config.data.placement, config.data.device_mb
    if chosen == "device" or (chosen == "auto" and images <= limit * 2**20):
        return None
    if config.num_seeds > 1:  # each seed would read all images for itself
        raise configs.ConfigError(
            f"config.num_seeds = {config.num_seeds} takes images that lie on the "
            f"devices, but {images / 2**20:.0f} MiB are to be streamed "
            f"(config.data.placement = {chosen!r}, config.data.device_mb = {limit}). "
            "Train one seed at a time, or set config.data.placement = 'device'."
        )
    if chosen == "auto" and cluster.is_first():
        print(
            f"The images take {images / 2**20:.0f} MiB, more than "
            f"config.data.device_mb = {limit}: they are streamed to the devices.",
            file=sys.stderr,
        )
    try:
        from ncjax.evaluation.streamed import StreamedEvaluate
        from ncjax.training.streamed import StreamedEpoch
    except ImportError as error:
        raise configs.ConfigError(
            f"To stream images takes a package that is not installed: {error}. Either "
            "`pip install 'ncjax[stream]'`, or keep the images on the devices with "
            "config.data.placement = 'device'."
        ) from error
    return StreamedEpoch, StreamedEvaluate


def _check_bfloat16(config: ConfigDict, device: jax.Device) -> None:
    """Refuses devices that do not have it, and says which have it without its speed."""
    if config.compute_dtype != "bfloat16":
        return
    try:
        _multiply(jnp.bfloat16, device)
    except jax.errors.JaxRuntimeError as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
        raise configs.ConfigError(
            f"config.compute_dtype = 'bfloat16' is not available on {device}: "
            f"{reason}. Choose 'float32'."
        ) from error
    capability = getattr(device, "compute_capability", "8.0")  # of NVIDIA's GPUs
    if not _fast_bfloat16(device.platform, capability) and cluster.is_first():
        print(
            f"config.compute_dtype = 'bfloat16' saves memory on {device}, but most "
            "likely no time: it is meant for TPUs, and GPUs of compute capability 8.0 "
            "or more.",
            file=sys.stderr,
        )


def _fast_bfloat16(platform: str, capability: str) -> bool:
    return platform != "cpu" and float(capability) >= 8


def _multiply(dtype: Any, device: jax.Device) -> None:
    ones = jax.device_put(np.ones((2, 2), dtype), device)
    jax.block_until_ready(ones @ ones)


def _check_batch(config: ConfigDict, dataset: Dataset, mesh: Mesh) -> None:
    n, groups, devices = len(dataset.train), mesh.shape["seeds"], mesh.shape["data"]
    if config.batch_size > n:
        raise configs.ConfigError(
            f"config.batch_size = {config.batch_size} is larger than the training set "
            f"of {n} examples. Choose a batch of at most {n}."
        )
    if config.batch_size % devices:
        others, count = "", jax.process_count()
        if config.num_seeds > 1:
            others = (
                f", or another config.num_seeds: {config.num_seeds} seeds and "
                f"{groups * devices} devices make {groups} group(s) of {devices} "
                "devices, each of which shares its batches"
            )
        held = (
            f" ({count} processes with {devices / count:g} each)" if count > 1 else ""
        )
        raise configs.ConfigError(
            f"config.batch_size = {config.batch_size} cannot be divided evenly over "
            f"{devices} devices{held}. Choose a multiple of {devices}{others}."
        )
