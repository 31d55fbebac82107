"""Which frame does each method that knows a class tree choose?  All beside each other.

The models have a free bias, as those that `ncjax compare --theory` puts beside
networks; each method has the default options of its loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.gram import gram_cosines, gram_distance, unit_gram
from ncjax.hierarchy import Hierarchy
from ncjax.losses.predicted import limit_values
from ncjax.options import ConfigError, choose, options_of, takes
from ncjax.ufm.closed_forms import Balanced, predict
from ncjax.ufm.cpcc import Correlated
from ncjax.ufm.frames import FRAMES, frame_optimum
from ncjax.ufm.problem import Problem
from ncjax.ufm.proof import STARTS, Proof, solve_proven
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, Statement, at_least, at_most
from ncjax.ufm.run.setting import tree_of
from ncjax.ufm.tables import known_losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The methods of launch/hierarchy_table.sh: loss, and options other than its defaults.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "cross_entropy": ("cross_entropy", {}),
    "soft_labels": ("soft_labels", {}),
    "hxe_depth": ("hxe", {"weighting": "depth"}),
    "hxe_height": ("hxe", {"weighting": "height"}),
    "hace": ("hace", {}),
    "cpcc": ("cross_entropy", {"cpcc": 1.0}),
    "multi_level": ("multi_level", {}),
    "haf": ("haf", {}),
    "cascade": ("cascade", {}),
    "label_embedding": ("label_embedding", {}),
    "haframe": ("haframe", {}),
    "hier_cos": ("hier_cos", {}),
}

FIELDS = {
    "frames.methods": Field(tuple(METHODS), "methods, in this order"),
    "frames.starts": Field(STARTS, "random starts where nothing is certified", 1),
}
_OPEN = "cascade"  # outputs off the path of a class cost nothing: it has many optima
_UP_TO_SIGNS = "hier_cos"  # of its coordinates, which the loss does not see
_SIMPLEX = ("cross_entropy", "cpcc")  # whose optimum for balanced classes is one
_COLUMNS = ("nc/nc2", "tree/sibling_cosine", "nc/gram_to_tree")


class Frame(NamedTuple):
    """The optimum of one method; K classes.

    Attributes:
        name: name of the method.
        objective: value of its objective.
        rank: rank of the class means minus their mean.
        gram: Gram matrix of these, of norm 1 [K, K].
        values: NC2, distance to the tree and cosine of siblings, by metric.
        proof: why it is thought to be global.
        closed: distance of the Gram matrix to the closed form; None without one.
    """

    name: str
    objective: float
    rank: int
    gram: np.ndarray
    values: dict[str, float]
    proof: Proof
    closed: float | None


def run(config: ConfigDict, progress: Progress) -> Report:
    """Solves the model of each method for one tree and one c."""
    own, c, tree = config.frames, config.model.c, tree_of(config)
    if tree is None:
        raise ConfigError("hierarchy needs config.model.tree, a built-in tree or 2x2x2")
    for name in own.methods:
        choose("config.frames.methods", name, METHODS)
    if not own.methods:
        raise ConfigError(f"Give config.frames.methods, some of {', '.join(METHODS)}.")
    frames = []
    for name in own.methods:
        progress(name)
        frames.append(_frame(name, tree, c, own.starts))
    return Report(
        title=f"Frames of {len(frames)} methods: tree {config.model.tree}, "
        f"K = {tree.num_classes}, c = {c:g}, free bias",
        facts=[
            (
                "method",
                f"{'f':>9} {'rank':>4} {'NC2':>6} {'siblings':>8} {'to tree':>7}",
            ),
            *((frame.name, _line(frame)) for frame in frames),
        ],
        statements=[x for frame in frames for x in _statements(frame, tree)],
        rows=[_row(frame) for frame in frames],
        figure=_draw(frames, tree),
    )


def _frame(name: str, tree: Hierarchy, c: float, starts: int) -> Frame:
    """The optimum of one method.

    Raises:
        ConfigError: where all classes have merged.
    """
    loss, changed = METHODS[name]
    closed = None
    if loss in FRAMES:
        best = frame_optimum(loss, hierarchy=tree, c=c, **changed)
        means = np.zeros((2, 2)) if best is None else best.outputs
        objective = np.nan if best is None else best.objective
        kind, gap = "certified", np.nan if best is None else best.gap
        proof = Proof("closed form" if np.isnan(gap) else kind, gap)
    else:
        function, options = known_losses()[loss], dict(changed)
        create = Correlated.create if "cpcc" in changed else Problem.create
        if takes(function, "hierarchy") or "cpcc" in changed:
            options["hierarchy"] = tree
        decays = {"lambda_w": c, "lambda_h": c, "lambda_b": 0.0}
        problem = create(loss, num_classes=tree.num_classes, **decays, **options)
        found, proof = solve_proven(problem, starts)
        means, objective = np.asarray(found.params["H"]), float(found.objective)
        closed = _closed_form(loss, tree, c, options_of(function) | options)
    means = means - means.mean(axis=0)
    values = np.linalg.svd(means, compute_uv=False)
    if values[0] < 1e-6:
        raise ConfigError(
            f"With config.model.c = {c:g} all classes of {name} merge: there is no "
            "frame. Choose a smaller one."
        )
    gram = unit_gram(means @ means.T)
    return Frame(
        name=name,
        objective=objective,
        rank=int(np.sum(values > 1e-6 * values[0])),
        gram=gram,
        values=limit_values(gram, tree),
        proof=proof,
        closed=None if closed is None else gram_distance(gram, closed),
    )


def _closed_form(
    loss: str, tree: Hierarchy, c: float, options: dict[str, Any]
) -> np.ndarray | None:
    """Logits [K, K] of the closed form of a loss with a tree, for class means."""
    if "hierarchy" not in options or "cpcc" in options:
        return None
    model = Balanced(tree.num_classes, 1, c, c, 0.0)
    found = predict(loss, model, options)
    return None if found is None else found.logits


def _statements(frame: Frame, tree: Hierarchy) -> list[Statement]:
    """What must be so of one method."""
    name, proof, found = frame.name, frame.proof, []
    if proof.kind == "certified":
        found.append(at_most(f"{name}: gap", proof.gap, 1e-9))
    if proof.kind == "starts":
        text = f"{name}: of {proof.starts} starts, those that reach the best value"
        found.append(at_least(text, proof.reached, 2))
    if frame.closed is not None:
        found.append(at_most(f"{name}: distance to closed form", frame.closed, 1e-5))
    if frame.name == _OPEN:
        return found
    if METHODS[name][0] not in FRAMES:  # whose optima are not searched
        text = f"{name}: distance between its optima"
        found.append(at_most(text, proof.spread, 1e-4))
    cosine, simplex = frame.values["tree/sibling_cosine"], -1 / (tree.num_classes - 1)
    if name in _SIMPLEX:
        found.append(at_most(f"{name}: NC2", frame.values["nc/nc2"], 1e-6))
    elif name == "hxe_height":
        found.append(at_most(f"{name}: cosine of siblings", cosine, simplex))
    else:
        found.append(at_least(f"{name}: cosine of siblings", cosine, simplex))
    return found


def _line(frame: Frame) -> str:
    nc2, cosine, far = (frame.values[key] for key in _COLUMNS)
    signs = ", up to signs" if frame.name == _UP_TO_SIGNS else ""
    return (
        f"{frame.objective:9.6f} {frame.rank:4d} {nc2:6.3f} {cosine:8.3f} {far:7.3f}"
        f"  {frame.proof}{signs}"
    )


def _row(frame: Frame) -> dict[str, Any]:
    return {
        "method": frame.name,
        "objective": frame.objective,
        "rank": frame.rank,
        **frame.values,
        **frame.proof._asdict(),
        "gram": frame.gram.tolist(),
    }


def _draw(frames: list[Frame], tree: Hierarchy) -> Figure:
    """Cosines of the class means of each method, in the order of the tree."""
    from ncjax import style  # matplotlib is loaded when used
    from ncjax.hierarchy.draw import leaf_order
    from ncjax.ufm.run import figures

    columns = min(len(frames), 6)
    rows = -(-len(frames) // columns)
    size = 2.3 * columns + 1.8, 2.7 * rows + 0.3
    figure, axes = figures.panels(size, rows, columns, squeeze=False)
    order = leaf_order(tree)
    cosines = [gram_cosines(frame.gram)[np.ix_(order, order)] for frame in frames]
    others = ~np.eye(len(order), dtype=bool)
    top = max(float(np.abs(table[others]).max()) for table in cosines)
    names = [tree.class_names[k] for k in order] if len(order) <= 20 else []
    for i, (frame, axis) in enumerate(zip(frames, axes.ravel(), strict=False)):
        axis.imshow(cosines[i], cmap="RdBu_r", vmin=-top, vmax=top)
        style.part(axis, tree.lineage[1:-1, order])
        axis.set_xticks([])
        shown = names if i % columns == 0 else []
        axis.set_yticks(range(len(shown)), shown, fontsize=7)
        axis.tick_params(length=0)
        proof = frame.proof
        word = f"best of {proof.starts} starts" if proof.starts else proof.kind
        word += "" if proof.unique else ", one of many"
        axis.set_title(f"{frame.name}\n{word}", fontsize=9)
    for axis in axes.ravel()[len(frames) :]:
        axis.set_axis_off()
    label = "cosine of centred class means"
    image = axes[0, 0].images[0]
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, extend="max")
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)
    return figure


TREE_FRAMES = Experiment(run, FIELDS, uses=("tree", "c"))
