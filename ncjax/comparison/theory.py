"""Theory beside trained networks: the UFM optimum nearest to each.

Every run whose loss `ncjax.ufm` knows is read back from its last checkpoint.  The Gram
matrix of its class means is compared with that of the unconstrained-features optimum
for its loss, tree and class sizes, with a free bias; the one free constant c is fitted
by `ncjax.ufm.match`, once to that Gram matrix and once to the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncjax.comparison.groups import Group, is_recorded
from ncjax.comparison.networks import Network, data_of, read_networks
from ncjax.comparison.runs import CompareError, Run
from ncjax.config.binding import bind_moving
from ncjax.config.fields import choice
from ncjax.gram import gram_cosines, gram_distance, gram_nc2, simplex_gram, unit_gram
from ncjax.hierarchy import Hierarchy, from_nested
from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.losses import LOSSES
from ncjax.options import fill
from ncjax.ufm.match import (
    Match,
    OptimumPath,
    class_loss,
    match_gram,
    match_loss,
    optimum_path,
)
from ncjax.ufm.tables import FITS


class RunTheory(NamedTuple):
    """One run and its predictions; K classes.

    Attributes:
        seed: seed of the run.
        epoch: epoch of the checkpoint.
        gram: Gram matrix of the network's centred class means, of norm 1 [K, K].
        loss: its loss at the class means.
        fitted: prediction with c fitted to `gram`.
        from_loss: prediction with c fitted to `loss`.
        prediction: the predicted Gram matrix [K, K], of norm 1.
        values: numbers by name, see `theory_tables.COLUMNS`, and those of the
            classifier.
        cosines: {height: (found, predicted)}, means over the pairs of classes whose
            lowest common ancestor has that height.
    """

    seed: int
    epoch: int
    gram: np.ndarray
    loss: float
    fitted: Match
    from_loss: Match
    prediction: np.ndarray
    values: dict[str, float]
    cosines: dict[int, tuple[float, float]]


class GroupTheory(NamedTuple):
    """The runs of one group and their predictions.

    Attributes:
        name: name of the group.
        hierarchy: its class tree; a group without one has all classes under the root.
        runs: the runs, by ascending seed.
    """

    name: str
    hierarchy: Hierarchy
    runs: tuple[RunTheory, ...]


def add_theory(groups: Sequence[Group]) -> tuple[list[GroupTheory], list[str]]:
    """Theory for every group that has one, and warnings about the others.

    Raises:
        CompareError: if no group has a theory, or a network cannot be read back.
    """
    known = [g for g in groups if _is_known(g.runs[0])]
    if not known:
        names = {g.runs[0].config.get("loss.name", "not known") for g in groups}
        losses = ", ".join(sorted(map(str, names)))
        raise CompareError(
            f"No theory for these runs: their loss is {losses}. The optima of "
            f"{', '.join(FITS)} are known. Compare without theory."
        )
    warnings = [
        f"No theory is known for {g.name}: it is left out of the tables of theory."
        for g in groups
        if g not in known
    ]
    return [_group(g) for g in known], warnings


def _group(group: Group) -> GroupTheory:
    config, dataset, tree = data_of(group.runs[0])
    classes = dataset.class_names
    hierarchy = tree or from_nested({"all classes": list(classes)}, classes)
    networks = read_networks(group.runs, config, dataset)
    chosen = choice(config, "loss")
    moves = bind_moving(chosen, tree)({})
    loss = dict(chosen.values)
    if moves is not None and moves.at is not None:  # the loss as it is at the end
        loss[moves.option] = float(moves.at(1.0))
    path = optimum_path(
        config.loss.name,
        num_classes=dataset.num_classes,
        feature_dim=min(networks[0].classifier.shape),
        sizes=networks[0].counts,
        **fill(LOSSES[config.loss.name], loss, hierarchy=tree).keywords,
    )
    each = zip(group.runs, networks, strict=True)
    runs = tuple(_run(run, network, path, hierarchy) for run, network in each)
    return GroupTheory(group.name, hierarchy, runs)


def _run(run: Run, net: Network, path: OptimumPath, tree: Hierarchy) -> RunTheory:
    try:
        gram = unit_gram(net.centred_means @ net.centred_means.T)
        classifier = unit_gram(net.classifier @ net.classifier.T)
    except ValueError as error:
        raise CompareError(
            f"The network of {run.path} has no geometry: {error}"
        ) from error
    loss = float(class_loss(path.fit, net.logits, net.counts))
    fitted, from_loss = match_gram(path, gram), match_loss(path, loss)
    of_loss = from_loss.optimum
    # Where the geometry fits any c, as that of cross-entropy and MSE with balanced
    # classes does (always the simplex), the prediction is that of the loss.
    predicted = of_loss if fitted.state == "free" else fitted.optimum
    limit = soft_label_limit(tree.distances(), free_bias=True)
    values = {
        "c": fitted.c,
        "c_from_loss": from_loss.c,
        "nc2": gram_nc2(gram),
        "nc2_predicted": round(predicted.nc2, 9),  # the solver's precision
        "to_prediction": gram_distance(gram, predicted.gram),
        "to_prediction_from_loss": gram_distance(gram, of_loss.gram),
        "to_simplex": gram_distance(gram, simplex_gram(len(gram))),
        "to_tree": gram_distance(gram, limit),
        "classifier_nc2": gram_nc2(classifier),
    }
    for end, optimum in ("", predicted), ("_from_loss", of_loss):
        name = f"classifier_to_prediction{end}"
        values[name] = gram_distance(classifier, optimum.classifier_gram)
    both = [by_height(g, tree) for g in (gram, predicted.gram)]
    cosines = {height: (both[0][height], both[1][height]) for height in both[0]}
    return RunTheory(
        *(run.seed, net.epoch, gram, loss, fitted, from_loss),
        prediction=predicted.gram,
        values=values,
        cosines=cosines,
    )


def by_height(gram: np.ndarray, tree: Hierarchy) -> dict[int, float]:
    """Mean cosine of the pairs of classes that meet at each height."""
    cosines, heights = gram_cosines(gram), tree.lca_heights()
    return {
        int(h): float(cosines[heights == h].mean()) for h in np.unique(heights) if h
    }


def _is_known(run: Run) -> bool:
    """Whether the optimum is known: a loss in `FITS` alone, a classifier that learns.

    A recorder leaves no networks to compare with it.
    """
    learns = run.config.get("classifier.name") in ("auto", "linear")
    more = run.config.get("loss.cpcc") or run.config.get("loss.learn_alpha")
    alone = learns and not more
    return not is_recorded(run.config) and alone and run.config["loss.name"] in FITS
