"""Where a run takes place: its devices, and the data on them or streamed to them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import DTypeLike

from ncjax import cluster
from ncjax.data import Dataset
from ncjax.options import ConfigError

Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]


@dataclasses.dataclass(frozen=True)
class Placement:
    """The devices of a run, and its data.

    Attributes:
        mesh: the devices, with the axes "seeds" and "data".
        networks: sharding of what each network has of its own: over "seeds" if there
            are several networks, else replicated.
        train_set: training images and labels, replicated over the devices; or on the
            host, from where they are streamed.
        test_set: test images and labels, in the same place.
        streamed: whether the data lie on the host.
    """

    mesh: Mesh
    networks: NamedSharding
    train_set: Arrays
    test_set: Arrays
    streamed: bool


def place(
    dataset: Dataset,
    devices: Sequence[jax.Device] | None,
    *,
    num_networks: int,
    batch_size: int,
    where: str,
    device_mb: int,
    bfloat16: bool,
) -> Placement:
    """Chooses the devices and puts the data on them.

    Args:
        dataset: the data.
        devices: the devices, by default all.
        num_networks: number of networks in the program.
        batch_size: examples per step of a network, over all its devices.
        where: "device", "stream", or "auto": by the size of the images.
        device_mb: MiB of images that a device may hold, for "auto".
        bfloat16: whether the networks compute in bfloat16.

    Raises:
        ConfigError: if the batch does not fit the data or the devices, if the devices
            do not have bfloat16, or if the data cannot be streamed.
    """
    several = num_networks > 1
    devices = _devices(devices, several)
    if bfloat16:
        _check_bfloat16(devices[0])
    mesh = cluster.make_mesh(devices, num_networks)
    _check_batch(batch_size, len(dataset.train), mesh, num_networks)
    streamed = _is_streamed(dataset, where, device_mb)
    if streamed:
        _check_stream(dataset, where, device_mb, num_networks)
    everywhere = NamedSharding(mesh, P())

    def put(array: np.ndarray) -> Array:
        return array if streamed else cluster.put(array, everywhere)

    return Placement(
        mesh=mesh,
        networks=NamedSharding(mesh, P("seeds")) if several else everywhere,
        train_set=(put(dataset.train.images), put(dataset.train.labels)),
        test_set=(put(dataset.test.images), put(dataset.test.labels)),
        streamed=streamed,
    )


def _devices(given: Sequence[jax.Device] | None, several: bool) -> Sequence[jax.Device]:
    """The devices that are given, or all that make the run faster."""
    if given:
        return given
    if several and jax.devices()[0].platform == "cpu":
        # Virtual devices share the cores, so one in each process is as fast; and with
        # two, jax 0.10 was seen to wait forever in a measurement of 16 seeds.
        return [jax.local_devices(i)[0] for i in range(jax.process_count())]
    return jax.devices()


def _mebibytes(dataset: Dataset) -> float:
    """Size of all images."""
    return (dataset.train.images.nbytes + dataset.test.images.nbytes) / 2**20


def _is_streamed(dataset: Dataset, where: str, device_mb: int) -> bool:
    return where == "stream" or (where == "auto" and _mebibytes(dataset) > device_mb)


def _check_stream(
    dataset: Dataset, where: str, device_mb: int, num_networks: int
) -> None:
    """Says that images are streamed, unless the user asked for it.

    Raises:
        ConfigError: if there are many networks, or grain, which reads ahead, is not
            installed.
    """
    if num_networks > 1:  # each network would read all images for itself
        raise ConfigError(
            f"config.num_seeds = {num_networks} takes images that lie on the "
            f"devices, but {_mebibytes(dataset):.0f} MiB are to be streamed "
            f"(config.data.placement = {where!r}, config.data.device_mb = "
            f"{device_mb}). Train one seed at a time, or set config.data.placement = "
            "'device'."
        )
    if where == "auto" and cluster.is_first():
        print(
            f"The images take {_mebibytes(dataset):.0f} MiB, more than "
            f"config.data.device_mb = {device_mb}: they are streamed to the devices.",
            file=sys.stderr,
        )
    try:
        import ncjax.data.reading  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"To stream images takes a package that is not installed: {error}. Either "
            "`pip install 'ncjax[stream]'`, or keep the images on the devices with "
            "config.data.placement = 'device'."
        ) from error


def _check_bfloat16(device: jax.Device) -> None:
    """Refuses a device without bfloat16; says so where it is there but not faster."""
    try:
        _multiply(jnp.bfloat16, device)
    except jax.errors.JaxRuntimeError as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
        raise ConfigError(
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


def _multiply(dtype: DTypeLike, device: jax.Device) -> None:
    ones = jax.device_put(np.ones((2, 2), dtype), device)
    jax.block_until_ready(ones @ ones)


def _check_batch(
    batch_size: int, num_examples: int, mesh: Mesh, num_networks: int
) -> None:
    """Raises `ConfigError` for a batch that does not fit the data or the devices."""
    groups, devices = mesh.shape["seeds"], mesh.shape["data"]
    if batch_size > num_examples:
        raise ConfigError(
            f"config.batch_size = {batch_size} is larger than the training set "
            f"of {num_examples} examples. Choose a batch of at most {num_examples}."
        )
    if batch_size % devices:
        others, count = "", jax.process_count()
        if num_networks > 1:
            others = (
                f", or another config.num_seeds: {num_networks} seeds and "
                f"{groups * devices} devices make {groups} group(s) of {devices} "
                "devices, each of which shares its batches"
            )
        held = (
            f" ({count} processes with {devices / count:g} each)" if count > 1 else ""
        )
        raise ConfigError(
            f"config.batch_size = {batch_size} cannot be divided evenly over "
            f"{devices} devices{held}. Choose a multiple of {devices}{others}."
        )
