"""Prepares datasets for `ncjax.data.tfds`, without TensorFlow.

    ncjax prepare mnist cifar10 [--data-dir=DIR] [--originals=DIR]

Runs the builders of tensorflow-datasets, so that names, versions, the order of examples
and metadata are those that other users have. The few TensorFlow functions that they
call are replaced by plain Python while they run.
"""

import contextlib
import io
import pathlib
import sys
import tempfile
import types
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
from jaxtyping import UInt8

from ncjax.data.dataset import DataError
from ncjax.data.tfds import data_dir
from ncjax.extras import install


def prepare(names: Sequence[str], *, dir: str = "", originals: str = ""):
    """Downloads datasets and writes them as array_record; skips what is there.

    Args:
      names: Names of datasets, of `ncjax.data.tfds.NAMES`.
      dir: The data folder to write to; see `ncjax.data.tfds.data_dir` for the default.
      originals: A folder with the original archives, such as cifar-10-binary.tar.gz,
        to use instead of the network. The archives of a dataset may lie in a subfolder
        with its name, because the files of MNIST and Fashion-MNIST have equal names.

    Raises:
      DataError: If packages or archives are missing, or a download fails.
    """
    try:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download import download_manager, extractor
    except ImportError as error:
        raise DataError(
            f"Preparing needs tensorflow-datasets ({error}): {install('tfds')}."
        ) from error

    folder = data_dir(dir)
    folder.mkdir(parents=True, exist_ok=True)
    if not sys.stderr.isatty():  # its bars would break the lines of a log
        tfds.disable_progress_bar()
    for name in names:
        builder: Any = tfds.builder(name, data_dir=folder, file_format="array_record")
        if not builder.is_prepared():
            print(f"Preparing {name} in {folder}.", file=sys.stderr, flush=True)
        try:
            with _without_tensorflow(), tempfile.TemporaryDirectory(dir=folder) as tmp:
                config = tfds.download.DownloadConfig(extract_dir=tmp)
                if originals:
                    config.manual_dir = _find_originals(builder, originals)
                builder.download_and_prepare(download_config=config)
        except (
            OSError,  # errors of the package requests are OSErrors too
            tfds.download.DownloadError,
            download_manager.NonMatchingChecksumError,
            extractor.ExtractError,
        ) as error:
            raise DataError(
                f"Cannot prepare {name} in {folder}: {error}\nIf there is no network, "
                "or an archive is damaged, get the archives by other means and give "
                f"their folder as `--originals=DIR`: {', '.join(builder.url_infos)}"
            ) from error
        sizes = " + ".join(f"{s.num_examples:,}" for s in builder.info.splits.values())
        print(f"{builder.info.full_name}: {sizes} examples in {builder.data_dir}")


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
