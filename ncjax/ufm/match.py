"""Which optimum of the UFM is a trained network nearest to?

With the loss and the class sizes given, the geometry of an optimum depends on one
number, c = sqrt(n lW lH) (n samples in a class, on average).  The lH of a network is
not known, for its features are not free and not decayed: so c is fitted, to the Gram
matrix of the class means (`match_gram`), or to the loss of the class means
(`match_loss`), which leaves the geometry as a test without any free constant.

A model with a free bias (lb = 0) is the default: ReLU features have a large common part
that acts as a bias, however much the bias itself is decayed.

Where the vectors of the classes do not learn (`ncjax.ufm.frames`), c = n lH, the
features are the outputs that these vectors classify, and there is no bias.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ncjax.gram import gram_distance, gram_nc2, unit_gram
from ncjax.losses import LOSSES
from ncjax.options import options_of, takes
from ncjax.ufm.cpcc import Correlated
from ncjax.ufm.fits import Fit, Plain
from ncjax.ufm.frames import FRAMES, class_vectors, frame_optimum
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Problem
from ncjax.ufm.proof import STARTS, Proof, solve_proven
from ncjax.ufm.solve import Solution, solve
from ncjax.ufm.tables import outputs_of

C_RANGE = (1e-5, 1e-1)
_POINTS = 41  # of the grid, log-spaced
_STARTS = 3  # random ones, where the problem is not known to be convex
_CRITICAL = 1e-9  # gradient norm of what counts as an optimum
_TRIVIAL = 1e-6  # logits below which all classes have merged
_FLAT = 1e-5  # distances that differ by less do not determine c


class OptimumError(ValueError):
    """No optimum was found in a range of c."""


class Optimum(NamedTuple):
    """An optimum; K classes."""

    c: float
    gram: np.ndarray  # [K, K] unit Gram matrix of the centred class means
    classifier_gram: np.ndarray  # [K, K] unit Gram matrix of the centred classifier
    loss: float  # loss of the class means, without the penalties

    @property
    def nc2(self) -> float:
        """NC2 of the class means."""
        return gram_nc2(self.gram)


class Match(NamedTuple):
    """The optimum nearest to what was measured; `state` says how c was determined.

    "inside" the range of c; "edge": at an end of it, the true c may lie beyond; "free":
    all c are equally near (to within 1e-5), so that `c` is NaN and the optimum is any.
    """

    c: float
    optimum: Optimum
    distance: float  # its distance to what was measured, in Gram matrix or loss
    state: str


# c -> the optimum there, None where it is trivial or was not found, and its proof.
Solver = Callable[[float], tuple[Optimum | None, Proof]]


@dataclasses.dataclass(frozen=True)
class OptimumPath:
    """Optima of one loss along c, ascending; without those where all have merged."""

    optima: tuple[Optimum, ...]
    fit: Fit  # the loss of the class means
    at: Callable[[float], Optimum | None]  # c -> the optimum there, from few starts
    proven: Solver  # the same with its certificate, or from many starts

    def prove(
        self, match: Match, gram: np.ndarray | None = None
    ) -> tuple[Match, Proof]:
        """A match with the best optimum that can be had for its c, and its proof.

        From more starts a better optimum than that of `match_gram` may be found.

        Args:
            match: what `match_gram` or `match_loss` found.
            gram: Gram matrix [K, K] that was matched, for the distance to the better
                optimum; None leaves the distance.
        """
        optimum, proof = self.proven(match.optimum.c)
        if optimum is None:
            return match, proof
        match = match._replace(optimum=optimum)
        if gram is not None:
            match = match._replace(distance=gram_distance(gram, optimum.gram))
        return match, proof


def optimum_path(
    loss: str | Callable,
    *,
    num_classes: int | None = None,
    feature_dim: int | None = None,
    sizes: Any = 1,
    free_bias: bool = True,
    c_range: tuple[float, float] = C_RANGE,
    cpcc: float = 0.0,
    **options: Any,
) -> OptimumPath:
    """Optima of a loss for log-spaced c.

    Args:
        loss: the loss, as for `Problem.create`.
        num_classes: number K of classes; by default that of `sizes` or of the tree.
        feature_dim: width d of the features; by default K, which is as good as more.
        sizes: samples of each class, one number or [K]; only their ratios count.
        free_bias: True for a bias without weight decay, False for no bias.
        c_range: least and greatest c.
        cpcc: weight of the regulariser `ncjax.losses.cpcc`; it needs a `hierarchy`.
        **options: options of the loss, and of its classifier where that does not learn,
            among them `hierarchy` where it takes a tree.

    Raises:
        ValueError: for bad options or range.
        OptimumError: (a ValueError) if every optimum in the range is trivial.
    """
    least, most = c_range
    if not 0 < least < most < np.inf:
        raise ValueError(f"c_range must be 0 < least < most, got {c_range}.")
    sizes = np.asarray(sizes, np.float64)
    if loss in FRAMES:
        fit, at, proven = _of_frames(str(loss), sizes, options)
        return path_of(fit, at, proven, c_range)
    create = functools.partial(Correlated.create, cpcc=cpcc) if cpcc else Problem.create

    def problem(c: float) -> Problem:
        return create(
            loss,
            lambda_w=c,
            lambda_h=c,
            lambda_b=0.0 if free_bias else None,
            num_classes=num_classes,
            feature_dim=feature_dim,
            sizes=sizes / sizes.mean(),
            **options,
        )

    first = problem(least)
    wide = first.feature_dim >= first.num_classes - 1
    starts = 1 if wide and first.fit.is_convex() else _STARTS

    def proven(c: float, starts: int = STARTS) -> tuple[Optimum | None, Proof]:
        solution, proof = solve_proven(problem(c), starts)
        return as_optimum(problem(c), solution, c), proof

    def at(c: float) -> Optimum | None:
        if cpcc:  # whose optimum no start may find: see `Correlated`
            return proven(c, _STARTS)[0]
        found = [solve(problem(c), seed, tol=1e-11) for seed in range(starts)]
        best = min(found, key=lambda solution: float(solution.objective))
        return as_optimum(problem(c), best, c)

    return path_of(first.fit, at, proven, c_range)


def path_of(fit: Fit, at: Callable, proven: Solver, c_range: tuple) -> OptimumPath:
    """The optima on the grid of c."""
    grid = np.geomspace(c_range[0], c_range[1], _POINTS).tolist()
    optima = tuple(optimum for c in grid if (optimum := at(c)) is not None)
    if not optima:
        raise OptimumError(
            f"For every c in {c_range} all classes have merged at the optimum, or no "
            "start found it. Choose smaller c."
        )
    return OptimumPath(optima, fit, at, proven)


def _of_frames(
    loss: str, sizes: np.ndarray, options: dict[str, Any]
) -> tuple[Fit, Callable, Solver]:
    """The loss of the outputs, and its optima, where class vectors do not learn."""
    tree = options["hierarchy"]
    known = options_of(LOSSES[loss])
    bound = {name: value for name, value in options.items() if name in known}
    if takes(LOSSES[loss], "vectors"):
        bound["vectors"] = class_vectors(loss, **options)
    else:
        bound["hierarchy"] = tree
    classes, items = np.arange(tree.num_classes), tuple(sorted(bound.items()))

    def proven(c: float) -> tuple[Optimum | None, Proof]:
        found = frame_optimum(loss, c=c, **options)
        if found is None:
            return None, Proof("certified")
        proof = Proof("closed form" if np.isnan(found.gap) else "certified", found.gap)
        grams = (unit_gram(x @ x.T) for x in (found.outputs, found.vectors))
        weights = np.broadcast_to(sizes, len(classes)) / np.mean(sizes) / len(classes)
        return Optimum(c, *grams, loss=float(found.losses @ weights)), proof

    outputs = outputs_of(loss, tree)
    width = len(classes) if outputs is None else int(np.sum(outputs.size))
    fit = Plain(classes, LOSSES[loss], items, width)
    return fit, lambda c: proven(c)[0], proven


def match_gram(path: OptimumPath, gram: np.ndarray) -> Match:
    """The optimum whose class means have the nearest Gram matrix.

    Nearest in || G/|G|_F - G'/|G'|_F ||_F of the centred matrices: on the grid first,
    then between its neighbours.

    Args:
        path: the optima to compare with, of `optimum_path`.
        gram: Gram matrix [K, K] of the measured class means, of any scale, centred or
            not.

    Raises:
        ValueError: for another shape, or a matrix that is 0 or not finite.
    """
    from scipy import optimize  # late: half a second

    gram = unit_gram(gram)
    if gram.shape != path.optima[0].gram.shape:
        raise ValueError(
            f"The Gram matrix is {gram.shape}, the optima are of "
            f"{len(path.optima[0].gram)} classes."
        )
    distances = [gram_distance(gram, optimum.gram) for optimum in path.optima]
    nearest = int(np.argmin(distances))
    if np.ptp(distances) < _FLAT:
        return Match(np.nan, path.optima[nearest], distances[nearest], "free")
    known = {path.optima[nearest].c: path.optima[nearest]}

    def distance(log_c: float) -> float:
        optimum = _visit(path, known, log_c)
        return gram_distance(gram, optimum.gram) if optimum else np.sqrt(2)

    around = path.optima[max(nearest - 1, 0) : nearest + 2]
    bounds = float(np.log(around[0].c)), float(np.log(around[-1].c))
    optimize.minimize_scalar(
        distance, bounds=bounds, method="bounded", options={"xatol": 1e-8}
    )
    best = min(known.values(), key=lambda optimum: gram_distance(gram, optimum.gram))
    return Match(best.c, best, gram_distance(gram, best.gram), _state(path, best.c))


def match_loss(path: OptimumPath, loss: float) -> Match:
    """The optimum with a given loss, which grows with c.

    Args:
        path: the optima to compare with, of `optimum_path`.
        loss: measured loss of the class means, averaged over the classes with their
            weights; without any penalty.

    Raises:
        ValueError: for a loss that is not finite.
    """
    from scipy import optimize  # late: half a second

    if not np.isfinite(loss):
        raise ValueError(f"The loss must be finite, got {loss}.")
    losses = [optimum.loss for optimum in path.optima]
    if np.ptp(losses) == 0:  # as that of label embeddings, whatever their length
        return Match(np.nan, path.optima[0], abs(losses[0] - loss), "free")
    place = int(np.searchsorted(losses, loss))
    if place in (0, len(losses)):
        end = path.optima[0 if place == 0 else -1]
        return Match(end.c, end, abs(end.loss - loss), "edge")
    known = {optimum.c: optimum for optimum in path.optima[place - 1 : place + 1]}
    bounds = [float(np.log(c)) for c in known]

    def excess(log_c: float) -> float:
        optimum = _visit(path, known, log_c)
        # None: all have merged between two points of the grid.
        return (optimum.loss if optimum else losses[place]) - loss

    optimize.brentq(excess, *bounds, xtol=1e-10, rtol=1e-14)
    best = min(known.values(), key=lambda optimum: abs(optimum.loss - loss))
    return Match(best.c, best, abs(best.loss - loss), "inside")


@double
def class_loss(fit: Fit, logits: np.ndarray, sizes: Any = 1) -> Any:
    """Loss of the class means, averaged over the samples [].

    Args:
        fit: the loss of one row for each class.
        logits: logits of the class means [K, K].
        sizes: samples of each class, one number or [K]; only their ratios count.
    """
    sizes = np.asarray(sizes, np.float64) * np.ones(len(logits))
    return fit.losses(jnp.asarray(logits, np.float64)) @ (sizes / sizes.sum())


def as_optimum(problem: Problem, best: Solution, c: float) -> Optimum | None:
    """A solution as an optimum; None if it is not critical, or trivial."""
    point = problem.class_point(best.params)
    means, classifier = (np.asarray(point[k]) for k in ("H", "W"))
    centred = means - means.mean(axis=0)
    merged = np.abs(classifier @ centred.T).max() < _TRIVIAL
    if float(best.gradient_norm) > _CRITICAL or merged:
        return None
    return Optimum(
        c=c,
        gram=unit_gram(means @ means.T),
        classifier_gram=unit_gram(classifier @ classifier.T),
        loss=float(
            class_loss(problem.fit, problem.logits(best.params), problem.counts)
        ),
    )


def _visit(path: OptimumPath, known: dict, log_c: float) -> Optimum | None:
    """The optimum for one c, kept in `known` too if there is one."""
    c = float(np.exp(log_c))
    if optimum := path.at(c):
        known[c] = optimum
    return optimum


def _state(path: OptimumPath, c: float) -> str:
    ends = np.array([path.optima[0].c, path.optima[-1].c])
    return "edge" if np.any(np.abs(np.log(c / ends)) < 1e-6) else "inside"
