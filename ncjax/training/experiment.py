"""The pieces of a run: its data on the devices, and the compiled functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config.binding import RANDOM_LABELS, bind_probes, named, try_hyper
from ncjax.data import Dataset
from ncjax.data.augment import AUGMENTATIONS
from ncjax.evaluation.evaluate import Evaluate, StreamedEvaluate
from ncjax.evaluation.risk import MOST
from ncjax.evaluation.shares import Array, Arrays
from ncjax.losses import REGULARISERS
from ncjax.options import ConfigError
from ncjax.probes.probe import make_probes
from ncjax.training.epoch import StreamedEpoch, make_epoch
from ncjax.training.network import Network
from ncjax.training.parameters import saved_parameters
from ncjax.training.plan import Members, check_memory, members_of, place
from ncjax.training.reassign import Reassign
from ncjax.training.row_sum import RowSum
from ncjax.training.step import TrainState


class Experiment:
    """The pieces of a run: its data on the devices, and the functions of its networks.

    With S > 1 networks in the program the state, the key and whatever an epoch and a
    measurement return have a leading axis [S]; metrics are replicated over the devices.

    Attributes:
        network: what is trained.
        init: () -> a new `TrainState`, replicated over the devices, or networks over
            the mesh axis "seeds".
        key: key of the run; the key of an epoch is folded from it.
        train_set: images and labels, replicated over the devices; or on the host, to
            be streamed.
        test_set: the same of the test set.
        run_epoch: an epoch over the training set, as of `make_epoch`.
        run_evaluate: a measurement over both sets, an `Evaluate` or the like.
        run_probes: the measurement of all probes, as of `make_probes`.
        probe_sets: the data sets that the probes bring; {} without probes.
        watched: names of the classes that a movie watches, and the place of each of its
            examples among them [n]; None without a movie.
    """

    def __init__(
        self,
        config: ConfigDict,
        dataset: Dataset,
        devices: Sequence[jax.Device] | None = None,
        *,
        members: Members | None = None,
        folder: str | os.PathLike | None = None,
    ):
        """Puts the data on the devices and makes the functions.

        Args:
            config: a valid configuration.
            dataset: the data to train on, whatever `config.data` says.
            devices: the devices, by default all.
            members: the networks of the program, by default those of `config.seed` and
                `config.num_seeds`; `ncjax.training.plan.members_of` makes networks that
                differ in numeric fields too.
            folder: folder of the run, where class vectors that were searched are kept;
                None where there is none.  Nothing is written to it here.

        Raises:
            ConfigError: if the batch does not fit the data or the devices, if they do
                not compute in bfloat16 as asked, or for hyper-parameters out of their
                range.
        """
        members = members or members_of(config)
        self.network = network = Network(config, dataset, folder)
        _check_members(members, network)
        if any(any(members.hyper.get(f"loss.{name}", ())) for name in REGULARISERS):
            network.forget_limit()
        probes = bind_probes(config.eval, network.subject())
        mesh, streamed = place(config, dataset, devices, len(members))
        with named("config.model"):  # the last layer knows how wide it must be
            shapes = network.abstract()
        check_memory(shapes, mesh, len(members))
        _say_classifier(network)
        _say_gap(network)
        over = network.over() if len(members) > 1 else None
        everywhere = NamedSharding(mesh, P())
        own = NamedSharding(mesh, P("seeds")) if over else everywhere
        self.key, new = _initialisation(network, members, own)
        self._row_sum = RowSum(config, network, members, everywhere)
        self.init = lambda: self._row_sum.begin(new())
        self._fold_in: Callable[..., jax.Array] = jax.random.fold_in
        if over:
            fold_each = jax.vmap(jax.random.fold_in, (0, None))
            self._fold_in = jax.jit(fold_each, out_shardings=own)
        labels, own_labels = _train_labels(dataset, members)
        self.watched = _watched(network, own_labels) if config.eval.movie else None
        self.train_set = dataset.train.images, labels
        self.test_set = dataset.test.images, dataset.test.labels
        if not streamed:
            where = everywhere, own if own_labels else everywhere
            self.train_set = jax.tree.map(cluster.put, self.train_set, where)
            self.test_set = jax.tree.map(cluster.put, self.test_set, (everywhere,) * 2)
        many = {"many": over, "own_labels": own_labels}
        make_run: Callable[..., Any] = partial(make_epoch, **many)
        how = {"batch_size": config.eval.batch_size, **many}
        evaluate = Evaluate(
            network.passes(config.eval),
            mesh,
            buffer=_fits(network, mesh, len(members), config.eval.buffer_mb),
            **how,
        )
        if streamed:
            make_run, evaluate = StreamedEpoch, StreamedEvaluate(evaluate)
        augment = AUGMENTATIONS[config.data.augment]
        self.run_epoch = make_run(
            network.step, network.prepare, config.batch_size, mesh, augment
        )
        self.run_evaluate = evaluate
        how["streamed"] = streamed
        self.run_probes, self.probe_sets = make_probes(probes, mesh, **how)
        self._reassign = Reassign(network, mesh, **how)

    def epoch(
        self, state: TrainState, number: int
    ) -> tuple[TrainState, Mapping[str, Array]]:
        """One epoch: a new state, {"loss": [steps], "error": [steps]}.

        At its end classes may get other vectors of a fixed frame.  The given state is
        donated.
        """
        state, steps = self.run_epoch(state, self._epoch_key(number), *self.train_set)
        variables = self.network.variables(state)
        return self._reassign(state, number, variables, self.train_set), steps

    def evaluate(self, state: TrainState) -> dict[str, jax.Array]:
        """Metrics over both sets, those of the probes, and what theory says of NC0.

        With a movie also the arrays of its frame, which `part_frame` takes off.
        """
        found = self.run_evaluate(*self._measured(state)) | self.probe(state)
        return found | self._row_sum(state)

    def probe(self, state: TrainState) -> dict[str, jax.Array]:
        """What the probes find: `probe/NAME/KEY` -> value."""
        if not self.probe_sets:
            return {}
        return self.run_probes(*self._measured(state), self.probe_sets)

    def _measured(self, state: TrainState) -> tuple[dict[str, Any], Arrays, Arrays]:
        return self.network.variables(state), self.train_set, self.test_set

    def compile(self, state: TrainState) -> None:
        """Compiles everything now instead of at the first call."""
        # A call finds in JAX's caches the program that `compile` has made.
        arguments = state, self._epoch_key(0), *self.train_set
        if isinstance(self.run_epoch, jax.stages.Wrapped):
            self.run_epoch.lower(*arguments).compile()
        else:
            self.run_epoch.compile(*arguments)
        self.run_evaluate.compile(*self._measured(state))
        # Streamed probes are left to the first call, as only it knows their passes.
        if self.probe_sets and isinstance(self.run_probes, jax.stages.Wrapped):
            self.run_probes.lower(*self._measured(state), self.probe_sets).compile()

    def _epoch_key(self, number: int) -> jax.Array:
        return self._fold_in(self.key, number)


def _check_members(members: Members, network: Network) -> None:
    """Raises `ConfigError` for hyper-parameters of a network out of their range."""
    for i in range(len(members) if members.hyper else 0):  # a plain one was checked
        hyper = {field: values[i] for field, values in members.hyper.items()}
        try_hyper(hyper, network.objective, network.optimizer)


def _say_classifier(network: Network) -> None:
    """Says what is to be known of its vectors, and how many parameters they save."""
    if note := network.objective.classifier.note:
        cluster.say(note)
    if (saved := saved_parameters(network)) is not None:
        number, usual = saved
        share = f"{abs(1 - number / usual):.2%} {'more' if number > usual else 'fewer'}"
        cluster.say(
            f"The classifier learns nothing: {number:,} parameters, {share} than with "
            "a linear classifier on the usual number of features."
        )


def _say_gap(network: Network) -> None:
    """Says so where there are too many classes for the Jensen gap."""
    classes = network.dataset.num_classes
    if classes < 2**10:  # it takes many more, and to trace the network takes time
        return
    image = network.dataset.train.images[:1]
    variables = network.abstract().variables()
    outputs = jax.eval_shape(network.forward, variables, image)[0].shape[1]
    if classes * outputs > MOST:
        cluster.say(
            f"The means of {outputs} outputs for {classes} classes are more than "
            f"{MOST} numbers: the Jensen gap is not measured."
        )


def _initialisation(
    network: Network, members: Members, sharding: NamedSharding
) -> tuple[jax.Array, Callable[[], TrainState]]:
    """The key of each network, and what makes their first states."""
    init, key = network.init, jax.random.key(members.seeds[0])
    if len(members) > 1:
        seeds = np.array(members.seeds)
        key = jax.jit(jax.vmap(jax.random.key), out_shardings=sharding)(seeds)
        init = jax.vmap(init)
    # Random numbers take LLVM half a second an array at its usual level; they are drawn
    # once, and are the same.
    on_cpu = sharding.mesh.devices.flat[0].platform == "cpu"
    quick = {"xla_backend_optimization_level": 1} if on_cpu else {}
    compiled = jax.jit(init, out_shardings=sharding, compiler_options=quick)
    return key, lambda: compiled(key, members.arrays())


def _train_labels(dataset: Dataset, members: Members) -> tuple[np.ndarray, bool]:
    """Labels of the training set, and whether each network has its own: [n], [S, n].

    Raises:
        DataError: where a share of random labels leaves a class without an example.
    """
    if (shares := members.hyper.get(RANDOM_LABELS)) is None:
        return dataset.train.labels, False
    found = np.stack([dataset.train_labels(share) for share in shares])
    many = len(members) > 1
    return found if many else found[0], many


def _watched(network: Network, own_labels: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """What a movie watches; see `Experiment`.

    Raises:
        ConfigError: if each network has training labels of its own.
    """
    if own_labels:
        raise ConfigError(
            "config.eval.movie takes networks that train on the same labels, and these "
            f"differ in config.{RANDOM_LABELS}. Sweep it without a movie."
        )
    sample, names = network.sample(), network.dataset.class_names
    return tuple(names[label] for label in sample.classes), sample.place


def _fits(network: Network, mesh: Mesh, copies: int, buffer_mb: int) -> bool:
    """Whether the features of the training set fit in the memory meant for them."""
    # Kept are float32 residuals and, of classes, their coordinates in the span of the
    # means.
    per_example = 4 * sum(d + network.kept(d) for d in network.feature_dims())
    copies *= len(network.dataset.train)
    needed = per_example * copies / mesh.devices.size / 2**20
    if needed > buffer_mb:
        cluster.say(
            f"The features of the training set take {needed:.0f} MiB a device, more "
            f"than config.eval.buffer_mb = {buffer_mb}: each measurement makes a "
            "second forward pass."
        )
    return needed <= buffer_mb
