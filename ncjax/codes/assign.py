"""Which class gets which vector of a code.

A simplex has no such question: all assignments are equal.  The vectors of other codes
differ in their distances, and classes that are alike can be put on near ones, or apart.
An assignment is an order: class k gets the vector order[k].

    linear      max  sum_k m_k.p_{order[k]}  of unit class means m and vectors p
    quadratic   max  sum_jk S_jk G_{order[j], order[k]}  of a similarity S and Gram G

References:
    Koopmans & Beckmann, Assignment problems and the location of economic activities,
    1957.
    Hadley, Rendl & Wolkowicz, A new lower bound via projection for the quadratic
    assignment problem, 1992.
    Vogelstein et al., Fast approximate quadratic programming for graph matching, 2015.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from ncjax.codes.margin import unit_rows
from ncjax.options import InputError, unknown

MOST_EXACT = 9  # classes: 9! = 362,880 assignments
METHODS = ("auto", "exact", "faq")
_SAME = 1e-9  # entries of a Gram matrix that differ by less are equal
_CHUNK = 20_000  # assignments whose values are computed at a time


@dataclasses.dataclass(frozen=True)
class Assignment:
    """Which class gets which vector.

    Attributes:
        order: number of the vector of each class, integers [K].
        value: the sum that it maximises, or minimises if the worst was asked for.
        bound: no assignment has a better value.
        exact: whether all assignments were compared, or the problem is linear.
    """

    order: np.ndarray
    value: float
    bound: float
    exact: bool

    @property
    def gap(self) -> float:
        """How much better another assignment can be at most: |bound - value|."""
        return abs(self.bound - self.value)


def assign_means(
    means: np.ndarray, vectors: np.ndarray, *, worst: bool = False
) -> Assignment:
    """The assignment that brings class means and vectors closest; exact.

    It maximises sum_k m_k.p_{order[k]}, with means and vectors at length 1.

    Args:
        means: a class mean for each class [K, d].
        vectors: the vectors of the code [K, d].
        worst: whether to minimise it instead.

    Raises:
        InputError: for other shapes, numbers that are not finite, or a vector of
            length 0.
    """
    from scipy import optimize  # late: half a second

    means, vectors = unit_rows(means), unit_rows(vectors)
    if means.shape != vectors.shape:
        raise InputError(
            f"Class means {means.shape} and vectors {vectors.shape} must have the same "
            "shape [K, d]."
        )
    table = means @ vectors.T
    _, order = optimize.linear_sum_assignment(table, maximize=not worst)
    value = float(table[np.arange(len(order)), order].sum())
    return Assignment(order, value, value, True)


def assign_similar(
    similarity: np.ndarray,
    gram: np.ndarray,
    *,
    method: str = "auto",
    worst: bool = False,
    starts: int = 10,
    seed: int = 0,
) -> Assignment:
    """The assignment that puts similar classes on vectors near each other.

    It maximises sum_jk S_jk G_{order[j], order[k]}.  Up to 9 classes all assignments
    are compared, once for each set that the symmetries of the code make equal.  For
    more, FAQ is run from several starts; its ends, and random orders, are improved by
    exchanges of two classes; the projected eigenvalue bound then says how far it can be
    from the best.  The diagonal of S adds a constant; without it, with P = I - 11'/K,
    row sums a of S and b of G, and their totals s and t,

        value <= <eig(P S P), eig(P G P)> + (2/K) <a, b> - s t/K^2,

    each pair of lists sorted; for the worst, one of each pair is reversed.

    Args:
        similarity: S [K, K], symmetric; of a tree for instance `-tree.distances()`.
        gram: inner products G of the vectors [K, K], all vectors of one length.
        method: "exact", "faq", or "auto": exact up to 9 classes.
        worst: whether to minimise the sum instead.
        starts: number of starts of FAQ, at least 1.
        seed: seed of the starts.

    Raises:
        InputError: for matrices of other shapes, that are not symmetric or finite, or
            vectors of different lengths; another method; "exact" with more than 9
            classes.
    """
    similarity = _symmetric("The similarity of the classes", similarity)
    gram = _symmetric("The Gram matrix of the vectors", gram)
    count = len(gram)
    if similarity.shape != gram.shape:
        raise InputError(
            f"The similarity is of {len(similarity)} classes, the Gram matrix of "
            f"{count} vectors; they must be as many."
        )
    if np.ptp(np.diag(gram)) > _SAME * max(1.0, np.abs(gram).max()):
        raise InputError(
            "The vectors have different lengths; assignment is for vectors of one "
            "length. Normalise them, or the Gram matrix by its diagonal."
        )
    if method not in METHODS:
        raise InputError(unknown("method", method, METHODS))
    if method == "exact" and count > MOST_EXACT:
        raise InputError(
            f"Exact assignment compares all of them, for at most {MOST_EXACT} classes; "
            f"got {count}. method='faq' gives a good one, with a bound."
        )
    if starts < 1:
        raise InputError(f"starts must be at least 1, got {starts}.")
    sign = -1.0 if worst else 1.0
    signed = sign * similarity
    exact = method == "exact" or (method == "auto" and count <= MOST_EXACT)
    if exact:
        order, value = _exact(signed, gram)
        bound = value
    else:
        order, value = _faq(signed, gram, starts, seed)
        bound = max(value, _projected_bound(signed, gram))
    return Assignment(order, sign * value, sign * bound, exact)


def assignments(gram: np.ndarray) -> Iterator[np.ndarray]:
    """All assignments of a code that differ, as orders [K].

    Two are the same where a symmetry of the code, a permutation of the vectors that
    leaves G as it is, leads from one to the other; of these the first in the order of
    the dictionary is given.  A square has 4!/8 = 3, a simplex 1.

    Args:
        gram: inner products G of the vectors [K, K], for at most 9 classes.

    Raises:
        InputError: for more classes, or a matrix that is not symmetric or finite.
    """
    gram = _symmetric("The Gram matrix of the vectors", gram)
    if len(gram) > MOST_EXACT:
        raise InputError(
            f"All assignments are listed for at most {MOST_EXACT} classes, got "
            f"{len(gram)}."
        )
    for block in _blocks(gram):
        yield from block


def _symmetric(what: str, table: np.ndarray) -> np.ndarray:
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2:
        raise InputError(f"{what} must be [K, K] with K >= 2, got {table.shape}.")
    if not np.isfinite(table).all():
        raise InputError(f"{what} must be finite; some entries are not.")
    if np.abs(table - table.T).max() > _SAME * max(1.0, np.abs(table).max()):
        raise InputError(f"{what} must be symmetric.")
    return (table + table.T) / 2


def _values(similarity: np.ndarray, gram: np.ndarray, orders: np.ndarray):
    """The quadratic sum of each of the orders [n, K]."""
    moved = gram[orders[:, :, None], orders[:, None, :]]
    return np.einsum("jk,njk->n", similarity, moved)


def _exact(similarity: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, float]:
    best, most = np.arange(len(gram)), -np.inf
    for block in _blocks(gram):
        values = _values(similarity, gram, block)
        place = int(values.argmax())
        if values[place] > most:
            best, most = block[place], float(values[place])
    return best, most


def _blocks(gram: np.ndarray) -> Iterator[np.ndarray]:
    """The assignments that differ, some at a time [n, K].

    The first class gets the first vector of each set that the symmetries map to each
    other; the second the same under the symmetries that leave that vector in its place;
    and so on until no symmetry is left, and all orders of the rest differ.
    """
    count = len(gram)
    pairs = gram[~np.eye(count, dtype=bool)]
    if np.ptp(pairs) < _SAME * max(1.0, np.abs(gram).max()):
        yield np.arange(count)[None]  # a simplex: all orders are the same
        return

    def extend(chosen: tuple[int, ...], group: np.ndarray) -> Iterator[np.ndarray]:
        rest = [v for v in range(count) if v not in chosen]
        if len(group) == 1 or not rest:
            orders = itertools.permutations(rest)
            while block := list(itertools.islice(orders, _CHUNK)):
                head = np.tile(np.array(chosen, int), (len(block), 1))
                yield np.concatenate([head, np.array(block, int)], axis=1)
            return
        for vector in rest:
            if group[:, vector].min() == vector:
                yield from extend((*chosen, vector), group[group[:, vector] == vector])

    yield from extend((), _symmetries(gram))


def _symmetries(gram: np.ndarray) -> np.ndarray:
    """The permutations of the vectors that leave G as it is [n, K]."""
    count = len(gram)
    same = _SAME * max(1.0, np.abs(gram).max())
    partial = np.zeros((1, 0), int)
    for k in range(count):
        grown = np.repeat(partial, count, axis=0)
        images = np.tile(np.arange(count), len(partial))
        kept = (grown != images[:, None]).all(axis=1)
        moved = gram[images[:, None], grown]
        kept &= (np.abs(moved - gram[k, :k]) < same).all(axis=1)
        kept &= np.abs(gram[images, images] - gram[k, k]) < same
        partial = np.column_stack([grown[kept], images[kept]])
    return partial


def _faq(similarity, gram, starts: int, seed: int) -> tuple[np.ndarray, float]:
    """The best of what exchanges make of the ends of FAQ, and of random orders."""
    from scipy import optimize

    rng = np.random.default_rng(seed)
    best, most = np.arange(len(gram)), -np.inf
    for start in range(starts):
        how = "randomized" if start else "barycenter"
        options = {"maximize": True, "P0": how, "rng": rng, "maxiter": 100}
        found = optimize.quadratic_assignment(similarity, gram, options=options)
        for order in (np.asarray(found.col_ind), rng.permutation(len(gram))):
            order = _exchange(similarity, gram, order)
            value = float(_values(similarity, gram, order[None])[0])
            if value > most:
                best, most = order, value
    return best, most


def _exchange(similarity, gram, order: np.ndarray) -> np.ndarray:
    """Exchanges the two classes that gain most, until none do.

    With N = G in the order of the classes and C = S N, without their diagonals, classes
    r and s gain 2 (C_rs + C_sr - C_rr - C_ss + 2 S_rs N_rs).
    """
    order = order.copy()
    plain = similarity - np.diag(np.diag(similarity))
    gram = gram - np.diag(np.diag(gram))
    while True:
        moved = gram[np.ix_(order, order)]
        product = plain @ moved
        own = np.diag(product)
        gain = product + product.T - own[:, None] - own[None] + 2 * plain * moved
        r, s = np.unravel_index(gain.argmax(), gain.shape)
        if gain[r, s] <= 1e-12 * max(1.0, np.abs(product).max()):
            return order
        order[[r, s]] = order[[s, r]]


def _projected_bound(similarity: np.ndarray, gram: np.ndarray) -> float:
    """The projected eigenvalue bound of the largest sum; see `assign_similar`."""
    count = len(gram)
    values, sums = [], []
    own = np.diag(np.diag(similarity))
    for table in (similarity - own, gram):
        rows = table - table.mean(axis=0)
        centred = rows - rows.mean(axis=1, keepdims=True)
        # The eigenvalue 0 of the direction 1 is no part of the bound: shifted apart.
        far = np.linalg.norm(centred) + 1
        values.append(np.linalg.eigvalsh(centred - far / count)[1:])
        sums.append(np.sort(table.sum(axis=0)))
    linear = 2 / count * (sums[0] @ sums[1])
    total = sums[0].sum() * sums[1].sum() / count**2
    return float(values[0] @ values[1] + linear - total + gram[0, 0] * own.sum())
