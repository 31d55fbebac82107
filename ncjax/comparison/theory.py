"""Theory beside trained networks: the UFM optimum nearest to each.

Every run whose loss `ncjax.ufm` knows is read back from its last checkpoint.  The Gram
matrix of its class means is compared with that of the unconstrained-features optimum
for its loss, tree and class sizes, with a free bias; the one free constant c is fitted
by `ncjax.ufm.match`, once to that Gram matrix and once to the loss.

Class means are those of the features that the run measures.  But those of `hier_cos`
are its outputs, coordinates on the directions of the nodes, without their signs: the
loss does not see these, and theory has an optimum for each choice of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncjax.classifiers import CLASSIFIERS
from ncjax.comparison.groups import Group, is_recorded
from ncjax.comparison.networks import (
    Network,
    data_of,
    loaded_networks,
    read_networks,
)
from ncjax.comparison.overlays import OVERLAYS, Overlay, overlay
from ncjax.comparison.runs import CompareError, Run
from ncjax.config.binding import bind_moving
from ncjax.config.fields import choice
from ncjax.gram import gram_cosines, gram_distance, gram_nc2, simplex_gram, unit_gram
from ncjax.hierarchy import Hierarchy, from_nested
from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.losses import CLASSIFIER_OF, LOSSES, targets_of
from ncjax.options import fill
from ncjax.targets import DEFAULT as CLASS
from ncjax.ufm.frames import FRAMES
from ncjax.ufm.given import given_path
from ncjax.ufm.match import (
    Match,
    OptimumError,
    OptimumPath,
    class_loss,
    match_gram,
    match_loss,
    optimum_path,
)
from ncjax.ufm.proof import Proof
from ncjax.ufm.sphere import sphere_path
from ncjax.ufm.tables import FITS


class RunTheory(NamedTuple):
    """One run and its predictions; K classes.

    Attributes:
        seed: seed of the run.
        epoch: epoch of the checkpoint.
        gram: Gram matrix of the network's centred class means, of norm 1 [K, K].
        loss: its loss at the class means.
        fitted: prediction with c fitted to `gram`.
        proof: what makes it the global optimum, or whether nothing does.
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
    proof: Proof
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
        of_outputs: whether its class means are those of the sizes of its outputs.
        head: name of its classifier, "linear" as a rule.
    """

    name: str
    hierarchy: Hierarchy
    runs: tuple[RunTheory, ...]
    of_outputs: bool = False
    head: str = "linear"


class Theory(NamedTuple):
    """What theory says of some groups.

    Attributes:
        classes: those whose examples have one class each.
        overlays: those whose examples have other labels.
        warnings: what is left out, and why.
    """

    classes: tuple[GroupTheory, ...]
    overlays: tuple[Overlay, ...]
    warnings: list[str]


def add_theory(groups: Sequence[Group]) -> Theory:
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
            f"{', '.join(FITS | FRAMES)} are known, those of the last "
            f"{len(FRAMES)} without cpcc. Compare without theory."
        )
    warnings = [
        f"No theory is known for {g.name}: it is left out of the tables of theory."
        for g in groups
        if g not in known
    ]
    found = []
    for group in known:
        try:
            found.append(_group(group))
        except OptimumError as error:
            warnings.append(
                f"{group.name} is left out of the tables of theory: {error}"
            )
    if not found:
        raise CompareError(f"{' '.join(warnings)} Compare without theory.")
    return Theory(
        classes=tuple(one for one in found if isinstance(one, GroupTheory)),
        overlays=tuple(one for one in found if isinstance(one, Overlay)),
        warnings=warnings,
    )


def _group(group: Group) -> GroupTheory | Overlay:
    config, dataset, tree = data_of(group.runs[0])
    if dataset.target in OVERLAYS:
        return overlay(group, loaded_networks(group.runs, config, dataset))
    if dataset.target != CLASS:
        raise OptimumError(
            f"its examples are labelled with the target {dataset.target!r}; theory is "
            f"known for {CLASS}, {', '.join(OVERLAYS)}."
        )
    classes = dataset.class_names
    hierarchy = tree or from_nested({"all classes": list(classes)}, classes)
    networks = read_networks(group.runs, config, dataset)
    chosen = choice(config, "loss")
    moves = bind_moving(chosen, tree)({})
    loss = dict(chosen.values)
    if moves is not None and moves.at is not None:  # the loss as it is at the end
        loss[moves.option] = float(moves.at(1.0))
    name = chosen.name
    given = fill(LOSSES[name], loss, hierarchy=tree).keywords
    if name in FRAMES:
        given["hierarchy"] = tree
        if name in CLASSIFIERS:
            given |= fill(CLASSIFIERS[name], config.classifier.to_dict()).keywords
    elif config.loss.cpcc:
        given |= {"hierarchy": tree, "cpcc": config.loss.cpcc}
    head = choice(config, "classifier").name
    if head in HEADS:
        paths = [HEADS[head](name, net, given) for net in networks]
    else:
        path = optimum_path(
            name,
            num_classes=dataset.num_classes,
            feature_dim=min(networks[0].classifier.shape),
            sizes=networks[0].counts,
            **given,
        )
        paths = [path] * len(networks)
    each = zip(group.runs, networks, paths, strict=True)
    of_outputs = name == "hier_cos"
    runs = tuple(_run(*one, hierarchy, of_outputs) for one in each)
    return GroupTheory(group.name, hierarchy, runs, of_outputs, head)


def _fixed(loss: str, net: Network, options: dict) -> OptimumPath:
    """The features for the class vectors that the network has."""
    return given_path(loss, net.classifier, sizes=net.counts, **options)


def _spherical(loss: str, net: Network, options: dict) -> OptimumPath:
    """Unit features and rows, at the temperature that the network has."""
    del loss  # cross-entropy, by one name or the other
    if options.get("label_smoothing"):
        raise OptimumError("with label smoothing no optimum on the sphere is known.")
    extra = float(options.get("temperature", 1.0))
    layer = 1 / np.linalg.norm(net.classifier, axis=1).mean()
    means, count = net.centred_means, len(net.counts)
    path = sphere_path(
        count,
        net.classifier.shape[1],
        float(layer) * extra,
        sizes=net.counts,
        gram=means @ means.T,
    )
    fit = FITS["cross_entropy"](count, temperature=extra)
    return dataclasses.replace(path, fit=fit)


# Classifiers other than the linear one: (loss, network, options of the loss) -> path.
HEADS = {"fixed": _fixed, "spherical": _spherical}


def _run(
    run: Run, net: Network, path: OptimumPath, tree: Hierarchy, of_outputs: bool
) -> RunTheory:
    means = np.abs(net.outputs) if of_outputs else net.centred_means
    try:
        gram = unit_gram(means @ means.T)
        classifier = unit_gram(net.classifier @ net.classifier.T)
    except ValueError as error:
        raise CompareError(
            f"The network of {run.path} has no geometry: {error}"
        ) from error
    loss = float(class_loss(path.fit, net.outputs, net.counts))
    fitted, from_loss = match_gram(path, gram), match_loss(path, loss)
    # Where the geometry fits any c, as that of cross-entropy and MSE with balanced
    # classes does (always the simplex), the prediction is that of the loss.
    if fitted.state == "free":
        from_loss, proof = path.prove(from_loss)
        predicted = from_loss.optimum
    else:
        fitted, proof = path.prove(fitted, gram)
        predicted = fitted.optimum
    of_loss = from_loss.optimum
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
        *(run.seed, net.epoch, gram, loss, fitted, proof, from_loss),
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
    """Whether the optimum is known: the loss has one, with the classifier that it has.

    A recorder leaves no networks to compare with it, heads that do not send their
    gradients into all features (`split_features`) have no objective, and of an alpha
    that is learned no optimum is known.
    """
    if is_recorded(run.config) or any(
        run.config.get(f"loss.{x}")
        for x in ("split_features", "learn_alpha", "gc_penalty")
    ):
        return False
    name, classifier = run.config["loss.name"], run.config.get("classifier.name")
    if CLASS not in targets_of(name):  # its own target has an overlay, or none
        return not OVERLAYS.keys().isdisjoint(targets_of(name))
    if classifier == "auto":
        classifier = _own(name)
    if run.config.get("loss.cpcc") and (name in FRAMES or classifier in HEADS):
        return False
    if name in FRAMES:
        return classifier == _own(name)
    if classifier == "spherical":
        return name in ("cross_entropy", "normface")
    if classifier == "fixed":
        return name in FITS
    return name in FITS and classifier == "linear"


def _own(name: str) -> str:
    """The classifier that a loss means by "auto"."""
    return CLASSIFIER_OF.get(name, "linear")
