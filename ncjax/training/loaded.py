"""`load`: a finished or unfinished run as Python objects; nothing is written."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from ml_collections import ConfigDict

from ncjax.config.binding import load_data
from ncjax.data import Dataset
from ncjax.moments import ClassMoments, Scatter
from ncjax.runs.columns import is_measured
from ncjax.runs.history import History
from ncjax.runs.journal import NAME, read_rows
from ncjax.runs.workdir import WorkdirError
from ncjax.targets import Target, get_target
from ncjax.training.network import Network
from ncjax.training.stored import check_kept, load_states, read_config, read_fields

_update = jax.jit(lambda moments, *rows: moments.update(*rows))


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedRun:
    """A trained network, with the data, the configuration and the history of its run.

    It is a function of images, `logits, features = run(images)`, in evaluation mode.

    Attributes:
        path: folder of the run.
        epoch: epoch of the checkpoint that the network is of.
        kept: epochs of all checkpoints that the run keeps.
        config: configuration of the run.
        dataset: its data, with `train.images`, `train.labels`, `test` and the names of
            the classes.
        network: its layers, loss and class tree, as functions of `variables`.
        variables: "params" and "batch_stats" of the network.
    """

    path: Path
    epoch: int
    kept: tuple[int, ...]
    config: ConfigDict
    dataset: Dataset
    network: Network
    variables: Mapping[str, Any]

    @functools.cached_property
    def history(self) -> History:
        """All that the run has logged, also after the epoch of this network."""
        parts = (self.config.data, self.config.model, self.config.loss)
        return History(
            rows=list(filter(is_measured, read_rows(self.path / NAME))),
            workdir=self.path,
            about=", ".join(part.name for part in parts),
            limit=dict(self.network.limit),
        )

    def __call__(self, images: Any) -> tuple[jax.Array, jax.Array]:
        """Logits [n, K] and features [n, d] of images.

        The largest logit is the decision.  Features are those that the classifier sees
        and that the run measures: the inputs of the last layer, their directions where
        their lengths do not count, or, for losses with fixed vectors of the classes,
        the embedding.

        Args:
            images: raw images [n, h, w, c], as `dataset.test.images` has them, such as
                0 to 255; the network normalises them itself.

        Raises:
            ValueError: for images of another shape.
        """
        images = images if hasattr(images, "shape") else np.asarray(images)
        shape = self.dataset.image_shape
        if tuple(images.shape[1:]) != shape:
            sizes = ", ".join(map(str, shape))
            raise ValueError(
                f"The images have shape {tuple(images.shape)}; this network takes "
                f"[n, {sizes}]. A single image is images[None]."
            )
        parts = [
            self.network.predict(self.variables, jnp.asarray(images[rows]))
            for rows in self._batches(len(images))
        ]
        if len(parts) == 1:
            return parts[0]
        logits, features = zip(*parts, strict=True)
        return jnp.concatenate(logits), jnp.concatenate(features)

    @property
    def classifier(self) -> tuple[jax.Array, jax.Array]:
        """Weights W [K, d] and bias b [K] of the last layer."""
        return self.network.objective.classifier.weights(self.variables)

    @functools.cached_property
    def moments(self) -> Any:
        """Moments of the features of the training set.

        They are `ClassMoments` or, where examples are labelled with vectors,
        `ncjax.regression.RegressionMoments`, with sets `ncjax.multilabel.SetMoments`,
        with several tasks `ncjax.tasks.TaskMoments`.
        """
        return self._moments("pooled")

    @property
    def class_means(self) -> jax.Array:
        """Class means of the features of the training set [K, d].

        Raises:
            ValueError: if the examples have no classes.
        """
        self._check_classes()
        return self.moments.means

    def class_moments(self, scatter: Scatter = "pooled") -> ClassMoments:
        """Class moments of the features of the training set, computed anew.

        Args:
            scatter: what is kept of the scatter; see `ClassMoments.empty`.

        Raises:
            ValueError: if the examples have no classes.
        """
        self._check_classes()
        return self._moments(scatter)

    def _moments(self, scatter: Scatter) -> Any:
        """The moments that the target of the data has."""
        width = self.network.feature_dims()[-1]  # of the last layer
        outputs, train = self.dataset.num_classes, self.dataset.train
        empty = self._target.moments
        moments = empty(outputs, width, scatter=scatter, largest_norm=True)
        for rows in self._batches(len(train)):
            _, features = self(train.images[rows])
            moments = _update(moments, features, jnp.asarray(train.labels[rows]))
        return moments

    @property
    def _target(self) -> Target:
        return get_target(self.dataset.target, self.dataset.tasks)

    def _check_classes(self) -> None:
        if not self._target.ranks:
            raise ValueError(
                f"The examples of {self.dataset.name} are labelled with the target "
                f"{self.dataset.target!r} and have no classes. Their moments are "
                "`moments`."
            )

    def _batches(self, number: int) -> list[slice]:
        size = self.config.eval.batch_size
        return [slice(start, start + size) for start in range(0, max(number, 1), size)]

    def __repr__(self) -> str:
        """What it is, in one line."""
        about = f"epoch {self.epoch} of {self.config.num_epochs}"
        return f"LoadedRun({str(self.path)!r}, {about}; {self.history.about})"


def load(
    workdir: str | os.PathLike, epoch: int | None = None, *, seed: int | None = None
) -> LoadedRun:
    """Reads a run back: its history, configuration, network and data.

    Nothing is written to its folder, and a run that is still going on can be loaded.

    Args:
        workdir: folder of the run, as `--workdir` of `ncjax train` or the second
            argument of `ncjax.train`.
        epoch: epoch of a checkpoint that the run keeps, by default the newest.
        seed: the seed whose network it is, where the run has many.

    Raises:
        WorkdirError: if there is no such run, no such checkpoint or no such seed, or
            the run is of a version that this one cannot read.
        CheckpointError: (a WorkdirError) if the checkpoint is damaged.
        DataError: if the data of the run cannot be had.

    Example:
        >>> import ncjax
        >>> config = ncjax.default()
        >>> config.num_epochs, config.data.examples_per_class = 2, 20  # of the digits
        >>> config.batch_size = 64
        >>> _ = ncjax.train(config, "runs/loaded", progress=False)
        >>> run = ncjax.load("runs/loaded")
        >>> logits, features = run(run.dataset.test.images)
        >>> weights, bias = run.classifier
        >>> run.class_means.shape == weights.shape
        True
        >>> run.epoch, run.history["epoch"].tolist()
        (2, [1, 2])
    """
    folder = _of_seed(Path(workdir).expanduser().absolute(), seed)
    check_kept(folder, epoch)
    config = read_config(folder)
    (run,) = load_runs([folder], config, load_data(config), epoch)
    return run


def load_runs(
    folders: Iterable[Path],
    config: ConfigDict,
    dataset: Dataset,
    epoch: int | None = None,
) -> Iterator[LoadedRun]:
    """The runs in some folders, which differ in nothing but the seed.

    Args:
        folders: folders of runs, or folders seeds/SEED of a run of many seeds.
        config: configuration of one of them.
        dataset: their data.
        epoch: epoch of the checkpoints, by default the newest of each.

    Raises:
        WorkdirError, CheckpointError: if one of them cannot be read.
    """
    folders, here = list(folders), SingleDeviceSharding(jax.devices()[0])
    network = Network(config, dataset, folders[0])
    states = load_states(folders, lambda traced: network.abstract(traced, here), epoch)
    for folder, (number, state) in zip(folders, states, strict=True):
        yield LoadedRun(
            path=folder,
            epoch=number,
            kept=tuple(check_kept(folder)),
            config=config,
            dataset=dataset,
            network=network,
            variables=network.variables(state),
        )


def _of_seed(folder: Path, seed: int | None) -> Path:
    """The folder of the run of a seed."""
    fields = read_fields(folder)
    first, number = fields["seed"], fields["num_seeds"]
    if seed is None and number == 1:
        return folder
    if seed is None or not first <= seed < first + number:
        seeds = f"{first} to {first + number - 1}" if number > 1 else f"{first} alone"
        got = "none was chosen" if seed is None else f"seed={seed} was asked for"
        raise WorkdirError(
            f"The run {folder} has networks of the seeds {seeds}, and {got}. Choose "
            f"one: ncjax.load(workdir, seed={first})."
        )
    return folder / "seeds" / str(seed) if number > 1 else folder
