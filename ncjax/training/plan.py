"""What a run does and where: its networks, devices, measurements and checkpoints."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config.binding import numeric_fields
from ncjax.data import Dataset
from ncjax.extras import install
from ncjax.memory import device_memory, gigabytes
from ncjax.options import ConfigError


@dataclasses.dataclass(frozen=True)
class Members:
    """The networks that train in one program.

    Attributes:
        seeds: seed of each network.
        hyper: fields of the configuration in which the networks differ, such as
            "optimizer.learning_rate", with the value of each network.  These are the
            numbers that JAX traces; a field that is not here is the same for all
            networks, and a constant of the program.
    """

    seeds: tuple[int, ...]
    hyper: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seeds)

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields of `hyper` as float32 arrays [S], or [] for a single network."""
        one = len(self) == 1
        return {
            field: np.asarray(values[0] if one else values, np.float32)
            for field, values in self.hyper.items()
        }


def members_of(
    config: ConfigDict, hyper: Mapping[str, Sequence[float]] | None = None
) -> Members:
    """The networks of a configuration: one for each seed, and each value of `hyper`.

    Args:
        config: the configuration; its seeds are seed, ..., seed + num_seeds - 1.
        hyper: fields in which the networks differ, each with as many values as there
            are seeds.

    Raises:
        ConfigError: for a field in which the networks of one program cannot differ, or
            a wrong number of values.
    """
    seeds = tuple(range(config.seed, config.seed + config.num_seeds))
    given = {field: tuple(values) for field, values in (hyper or {}).items()}
    allowed = numeric_fields(config)
    for field, values in given.items():
        if field not in allowed:
            raise ConfigError(
                f"The networks of one program cannot differ in config.{field}. They "
                f"can in {', '.join(allowed)}."
            )
        if len(values) != len(seeds):
            raise ConfigError(
                f"config.{field} has {len(values)} values for {len(seeds)} networks. "
                "Give one for each."
            )
    return Members(seeds, given)


def seeds_of(config: ConfigDict) -> range:
    """The seeds of a run of many seeds; none of a run of a single network."""
    many = config.num_seeds > 1
    return range(config.seed, config.seed + config.num_seeds) if many else range(0)


def measured_epochs(config: ConfigDict) -> list[int]:
    """Epochs after which to measure: those given, or log-spaced; always the last."""
    if config.eval.epochs:
        return sorted({*config.eval.epochs, config.num_epochs})
    points = np.geomspace(1, config.num_epochs, config.eval.num_points)
    return sorted({round(float(p)) for p in points})


def saved_epochs(config: ConfigDict) -> set[int]:
    """Epochs after which a checkpoint is written; always the last."""
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    return {*range(every, config.num_epochs, every), config.num_epochs}


def place(
    config: ConfigDict,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None,
    num_networks: int,
) -> tuple[Mesh, bool]:
    """Chooses the devices, and whether the data lie on them.

    Args:
        config: a valid configuration.
        dataset: the data.
        devices: the devices, by default all.
        num_networks: number of networks in the program.

    Returns:
        The devices, with the axes "seeds" and "data"; and whether the data stay on the
        host, from where they are streamed.

    Raises:
        ConfigError: if the batch does not fit the data or the devices, if the devices
            do not have bfloat16, or if the data cannot be streamed.
    """
    devices = devices or _all_devices(num_networks > 1)
    if config.compute_dtype == "bfloat16":
        _check_bfloat16(devices[0])
    mesh = cluster.make_mesh(devices, num_networks)
    _check_batch(config.batch_size, len(dataset.train), mesh, num_networks)
    return mesh, _is_streamed(config.data, dataset, num_networks)


def check_memory(state: Any, mesh: Mesh, num_networks: int) -> None:
    """Refuses networks whose state alone is more than the memory of a device.

    Args:
        state: shapes and types of the state of one network, as `jax.eval_shape` gives.
        mesh: the devices, as of `place`; those of a CPU have one memory, of the host.
        num_networks: number of networks in the program.

    Raises:
        ConfigError: which says what to lower.
    """
    each = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    device = mesh.local_devices[0]  # those of other processes tell nothing
    parts = 1 if device.platform == "cpu" else mesh.shape["seeds"]
    needed, there = each * num_networks / parts, device_memory(device)
    if needed > there:
        raise ConfigError(
            f"Memory does not suffice: the parameters of {num_networks} network(s) and "
            f"the state of the optimizer are {gigabytes(needed)}, and there are "
            f"{gigabytes(there)}. Lower the widths in config.model or config.num_seeds."
        )


def _all_devices(several: bool) -> Sequence[jax.Device]:
    """All devices that make the run of one or several networks faster."""
    if several and jax.devices()[0].platform == "cpu":
        # Virtual devices share the cores, so one in each process is as fast.
        return [jax.local_devices(i)[0] for i in range(jax.process_count())]
    return jax.devices()


def _is_streamed(data: ConfigDict, dataset: Dataset, num_networks: int) -> bool:
    """Whether images are streamed; says so, unless the user asked for it."""
    size = (dataset.train.images.nbytes + dataset.test.images.nbytes) / 2**20
    large = data.placement == "auto" and size > data.device_mb
    if not large and data.placement != "stream":
        return False
    if num_networks > 1:  # each network would read all images for itself
        raise ConfigError(
            f"config.num_seeds = {num_networks} takes images that lie on the devices, "
            f"but {size:.0f} MiB are to be streamed (config.data.placement = "
            f"{data.placement!r}, config.data.device_mb = {data.device_mb}). Train one "
            "seed at a time, or set config.data.placement = 'device'."
        )
    if large:
        cluster.say(
            f"The images take {size:.0f} MiB, more than config.data.device_mb = "
            f"{data.device_mb}: they are streamed to the devices."
        )
    try:
        import ncjax.data.reading  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"To stream images takes a package that is not installed: {error}. Either "
            f"`{install('stream')}`, or keep the images on the devices with "
            "config.data.placement = 'device'."
        ) from error
    return True


def _check_bfloat16(device: jax.Device) -> None:
    """Refuses a device without bfloat16; says so where it is there but not faster."""
    try:
        _multiply(device)
    except jax.errors.JaxRuntimeError as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
        raise ConfigError(
            f"config.compute_dtype = 'bfloat16' is not available on {device}: "
            f"{reason}. Choose 'float32'."
        ) from error
    capability = getattr(device, "compute_capability", "8.0")  # of NVIDIA's GPUs
    if not _fast_bfloat16(device.platform, capability):
        cluster.say(
            f"config.compute_dtype = 'bfloat16' saves memory on {device}, but most "
            "likely no time: it is meant for TPUs, and GPUs of compute capability 8.0 "
            "or more."
        )


def _fast_bfloat16(platform: str, capability: str) -> bool:
    return platform != "cpu" and float(capability) >= 8


def _multiply(device: jax.Device) -> None:
    ones = jax.device_put(np.ones((2, 2), jnp.bfloat16), device)
    jax.block_until_ready(ones @ ones)


def check_full_batch(batch_size: int, num_examples: int) -> None:
    """Raises `ConfigError` for a batch of more examples than there are."""
    if batch_size > num_examples:
        raise ConfigError(
            f"config.batch_size = {batch_size} is larger than the training set "
            f"of {num_examples} examples. Choose a batch of at most {num_examples}."
        )


def _check_batch(batch_size: int, num_examples: int, mesh: Mesh, networks: int) -> None:
    """Raises `ConfigError` for a batch that does not fit the data or the devices."""
    groups, devices = mesh.shape["seeds"], mesh.shape["data"]
    check_full_batch(batch_size, num_examples)
    if batch_size % devices:
        others = held = ""
        if networks > 1:
            others = (
                f", or another config.num_seeds: {networks} seeds and "
                f"{groups * devices} devices make {groups} group(s) of {devices} "
                "devices, each of which shares its batches"
            )
        if (count := jax.process_count()) > 1:
            held = f" ({count} processes with {devices / count:g} each)"
        raise ConfigError(
            f"config.batch_size = {batch_size} cannot be divided evenly over "
            f"{devices} devices{held}. Choose a multiple of {devices}{others}."
        )
