"""Where a run takes place: its devices, and whether the data lie on them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.data import Dataset
from ncjax.options import ConfigError


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


def _all_devices(several: bool) -> Sequence[jax.Device]:
    """All devices that make the run of one or several networks faster."""
    if several and jax.devices()[0].platform == "cpu":
        # Virtual devices share the cores, so one in each process is as fast; and with
        # two, jax 0.10 was seen to wait forever in a measurement of 16 seeds.
        return [jax.local_devices(i)[0] for i in range(jax.process_count())]
    return jax.devices()


def _is_streamed(data: ConfigDict, dataset: Dataset, num_networks: int) -> bool:
    """Whether images are streamed; says so, unless the user asked for it.

    Raises:
        ConfigError: if they are, and there are many networks, or grain, which reads
            ahead, is not installed.
    """
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
    if large and cluster.is_first():
        print(
            f"The images take {size:.0f} MiB, more than config.data.device_mb = "
            f"{data.device_mb}: they are streamed to the devices.",
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
    if not _fast_bfloat16(device.platform, capability) and cluster.is_first():
        print(
            f"config.compute_dtype = 'bfloat16' saves memory on {device}, but most "
            "likely no time: it is meant for TPUs, and GPUs of compute capability 8.0 "
            "or more.",
            file=sys.stderr,
        )


def _fast_bfloat16(platform: str, capability: str) -> bool:
    return platform != "cpu" and float(capability) >= 8


def _multiply(device: jax.Device) -> None:
    ones = jax.device_put(np.ones((2, 2), jnp.bfloat16), device)
    jax.block_until_ready(ones @ ones)


def _check_batch(batch_size: int, num_examples: int, mesh: Mesh, networks: int) -> None:
    """Raises `ConfigError` for a batch that does not fit the data or the devices."""
    groups, devices = mesh.shape["seeds"], mesh.shape["data"]
    if batch_size > num_examples:
        raise ConfigError(
            f"config.batch_size = {batch_size} is larger than the training set "
            f"of {num_examples} examples. Choose a batch of at most {num_examples}."
        )
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
