"""Downloads and prepares datasets for `ncjax.data.tfds`, without TensorFlow.

    ncjax prepare mnist cifar10 [--data-dir=DIR] [--originals=DIR]

The readers do the same at first use.

Runs the builders of tensorflow-datasets, so that names, versions, the order of examples
and metadata are those that other users have. The few TensorFlow functions that they
call are replaced by plain Python while they run.
"""

import contextlib
import io
import logging
import os
import pathlib
import sys
import tempfile
import types
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ncjax.data.dataset import DataError
from ncjax.extras import install

NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")


def data_dir(dir: str = "") -> pathlib.Path:
    """The folder `dir`, else that of TFDS_DATA_DIR, else the default folder of tfds."""
    dir = dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(dir).expanduser().absolute()


def prepare(names: Sequence[str], *, dir: str = "", originals: str = ""):
    """Downloads datasets and writes them as array_record; skips what is there.

    Of several processes with the same folder one does it, and the others wait.

    Args:
      names: Names of datasets, of `NAMES`.
      dir: The data folder to write to; see `data_dir` for the default.
      originals: A folder with the original archives, such as cifar-10-binary.tar.gz,
        to use instead of the network. The archives of a dataset may lie in a subfolder
        with its name, because the files of MNIST and Fashion-MNIST have equal names.

    Raises:
      DataError: If packages or archives are missing, or a download fails.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"Preparing needs tensorflow-datasets ({error}): `{install('tfds')}`."
        ) from error
    folder = data_dir(dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror}). Choose another folder by "
            "TFDS_DATA_DIR."
        ) from error
    if not sys.stderr.isatty():  # its bars would break the lines of a log
        tfds.disable_progress_bar()
    for name in names:
        with _alone(folder), quiet():
            builder = tfds.builder(name, data_dir=folder, file_format="array_record")
            if not builder.is_prepared():
                _prepare(builder, folder, originals)
        sizes = " + ".join(f"{s.num_examples:,}" for s in builder.info.splits.values())
        _say(f"{builder.info.full_name}: {sizes} examples in {builder.data_dir}")


def _prepare(builder: Any, folder: pathlib.Path, originals: str) -> None:
    """Downloads one dataset, or takes its originals, and writes it."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import download_manager, extractor

    name, sizes = builder.name, builder.url_infos
    source = originals or ", ".join(dict.fromkeys(map(os.path.dirname, sizes)))
    size = sum(info.size for info in sizes.values()) / 2**20
    _say(
        f"{name} is not prepared yet: {'reading' if originals else 'downloading'} "
        f"{size:.0f} MiB from {source} to {folder}, once."
    )
    try:
        with _without_tensorflow(), tempfile.TemporaryDirectory(dir=folder) as tmp:
            config = tfds.download.DownloadConfig(extract_dir=tmp)
            if originals:
                config.manual_dir = _find_originals(builder, originals)
            with contextlib.redirect_stdout(io.StringIO()):  # says the same again
                builder.download_and_prepare(download_config=config)
    except (
        OSError,  # errors of the package requests are OSErrors too
        tfds.download.DownloadError,
        download_manager.NonMatchingChecksumError,
        extractor.ExtractError,
    ) as error:
        raise DataError(
            f"Cannot prepare {name} in {folder}: {error}\nIf there is no network, or "
            f"an archive is damaged, get {', '.join(sizes)} by other means, and run "
            f"`python -m ncjax prepare {name} --data-dir={folder} --originals=DIR`, "
            "where DIR is the folder with what you have got."
        ) from error


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Holds back warnings of tfds and of the network: what matters becomes an error."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Generator[None]:
    """Waits until no other process of this machine, or file system, prepares there."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs started at once both download
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Another process prepares data in {folder}: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: as on Windows
        yield
    finally:
        os.close(file)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _find_originals(builder: Any, originals: str) -> pathlib.Path:
    """The folder from which tfds takes the archives; checks that all are there."""
    folder = pathlib.Path(originals).expanduser().absolute()
    if (folder / builder.name).is_dir():
        folder = folder / builder.name
    files = [info.filename for info in builder.url_infos.values()]
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise DataError(
            f"{folder} has no {', '.join(missing)}; {builder.name} needs "
            f"{', '.join(files)} there, or in a subfolder {builder.name!r}."
        )
    return folder


@contextlib.contextmanager
def _without_tensorflow():
    """Stand-ins for what the four builders call of TensorFlow (tfds 4.9.10)."""
    from unittest import mock  # late: it takes long to import

    from tensorflow_datasets.core.download import downloader, extractor
    from tensorflow_datasets.core.features import image_feature
    from tensorflow_datasets.image_classification import cifar, mnist

    tf = types.SimpleNamespace(
        compat=types.SimpleNamespace(as_text=str),
        io=types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open)),
    )
    with contextlib.ExitStack() as stack:
        for module in (cifar, extractor, mnist):
            stack.enter_context(mock.patch.object(module, "tf", tf))
        encoder = image_feature._ImageEncoder
        stack.enter_context(mock.patch.object(encoder, "_encode_image", _encode_png))
        # Ten retries take minutes to say that there is no network.
        stack.enter_context(mock.patch.object(downloader, "MAX_RETRIES", 3))
        yield


def _encode_png(encoder: Any, image: UInt8[np.ndarray, "h w c"]) -> bytes:
    from PIL import Image

    if image.shape != encoder.shape or encoder.encoding_format != "png":
        raise ValueError(
            f"Got an image of shape {image.shape} for {encoder.encoding_format} of "
            f"shape {encoder.shape}, must be PNG of the same shape."
        )
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
