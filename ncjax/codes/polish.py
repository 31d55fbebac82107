"""Codes to the last digit: a primal-dual interior-point method for a least maximum.

    minimise t  subject to  v_c(x) <= t,   x_r on the unit sphere,

where v_c is a cosine x_i.x_j (the angle), or h_k.w_j - h_k.w_k (the margin, with the
vectors w and a direction h_k for each class).  Newton's method solves the equations
s_c (t - v_c) = mu and sum_c s_c grad v_c = 0 in tangent coordinates, and mu falls to 0
faster than linearly.  The multipliers s are the forces with which the vectors hold each
other in place; a vector without forces stands in the middle of the room it has.

References:
    Wright, Primal-Dual Interior-Point Methods, 1997.
    Nocedal & Wright, Numerical Optimization, 2006, chapter 19.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

_LAST = 1e-13  # mu at the end: v is then equal to about 1e-12 where forces act
_WINDOW = 0.15  # pairs this much further apart than the nearest have no force
_STEPS = 300  # of Newton's method, at most
_WORK = 2e11  # cubes of unknowns, the cost of a step, after which it ends
_SMALL = 300  # unknowns up to which eigenvalues are computed
_RIDGE = 1e-9  # the least one; products of the points are of the order 1
_TO_EDGE = 0.995  # share of the way to the edge of the feasible set that a step may go


class Polished(NamedTuple):
    """A local optimum."""

    points: np.ndarray  # [R, d] unit vectors: w, and h below them for the margin
    value: float  # the largest v_c
    solved: bool  # whether mu came to its end


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of points of which a product x_a.x_b, minus another one, is bounded.

    Attributes:
        first: a of each pair [m].
        second: b of each pair [m].
        minus: a pair of points whose product is subtracted, as two arrays [m], or None.
    """

    first: np.ndarray
    second: np.ndarray
    minus: tuple[np.ndarray, np.ndarray] | None

    def values(self, points: np.ndarray) -> np.ndarray:
        """v_c of the points [R, d], for each pair [m]."""
        products = points @ points.T
        found = products[self.first, self.second]
        return found if self.minus is None else found - products[self.minus]

    def take(self, which: np.ndarray) -> Pairs:
        """Some of the pairs, by their numbers."""
        minus = self.minus and (self.minus[0][which], self.minus[1][which])
        return Pairs(self.first[which], self.second[which], minus)


def pairs_of(num_classes: int, margin: bool) -> Pairs:
    """All pairs of classes: of points for the angle, of h_k and w_j for the margin.

    Args:
        num_classes: number K of classes.
        margin: whether the points are w and h, K of each, or w alone.
    """
    if not margin:
        return Pairs(*np.triu_indices(num_classes, 1), None)
    k, j = np.nonzero(~np.eye(num_classes, dtype=bool))
    return Pairs(num_classes + k, j, (num_classes + k, k))


def polish(points: np.ndarray, margin: bool) -> Polished:
    """A local minimum of the largest v_c; see the module.

    Args:
        points: where it starts: w [K, d], or w and h [2K, d] for the margin.
        margin: whether the points are w and h.
    """
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    pairs = pairs_of(len(points) // (2 if margin else 1), margin)
    state = _State(points, pairs)
    for _ in range(min(_STEPS, max(30, int(_WORK / state.size**3)))):
        falling = state.step()
        if state.stuck and state.mu > _LAST:
            break  # rounding has the last word
        if falling <= 0.3 * state.mu * state.size:
            if state.mu <= _LAST:
                break
            total = state.mu * state.size
            state.mu = max(_LAST, min(0.2 * total, total**1.5) / state.size)
    value = float(pairs.values(state.points).max())
    return Polished(state.points, value, state.mu <= _LAST)


class _State:
    """Where the interior-point method stands."""

    def __init__(self, points: np.ndarray, pairs: Pairs):
        self.points, self.pairs = points, pairs
        count, dim = points.shape
        self.size = count * (dim - 1)  # unknowns
        self.values = pairs.values(points)
        self.level = self.values.max() + 1e-3  # t
        # The barrier of all pairs pushes t up by mu for each of them that is near.
        self.mu = 2e-3 / self.size
        self.forces = np.zeros(len(self.values))  # s, where it is known
        self.ridge = 1e-6
        self.stuck = False

    def step(self) -> float:
        """A step of Newton's method; gives by how much it lowers the barrier."""
        near = np.flatnonzero(self.values > self.values.max() - _WINDOW)
        pairs, slack = self.pairs.take(near), self.level - self.values[near]
        primal = self.mu / slack
        forces = np.where(self.forces[near] > 0, self.forces[near], primal)
        forces = np.clip(forces, 1e-3 * primal, 1e3 * primal)
        basis = _tangents(self.points)
        slopes = _jacobian(basis, self.points, pairs)
        gradient = np.append(slopes.T @ primal, 1 - primal.sum())
        matrix = _curvature(basis, self.points, pairs, forces)
        weights = forces / slack
        matrix += (slopes.T @ slopes.multiply(weights[:, None])).toarray()
        move = -self._solve(matrix, -(slopes.T @ weights), weights.sum(), gradient)
        # A step of Newton's method is no good far from where it starts.
        far = np.linalg.norm(move[:-1]) / (0.3 * np.sqrt(len(self.points)))
        move /= max(1.0, far)
        falling = -float(gradient @ move)
        opening = move[-1] - slopes @ move[:-1]  # growth of the slack
        self._search(basis, move, near, falling)
        dual = (self.mu - forces * opening) / slack
        self.forces[:] = 0
        self.forces[near] = np.maximum(dual, (1 - _TO_EDGE) * forces)
        return falling

    def _solve(self, matrix, column, corner, right) -> np.ndarray:
        """The solution of [[matrix, column], [column', corner]] x = right.

        Where the matrix curves downwards Newton's step would go up: its eigenvalues are
        taken without their sign, which leaves saddles fast.  Where there are too many
        for that a ridge makes it positive definite.  Rotations of all points change
        nothing: their eigenvalues, 0, become those of the least ridge.
        """
        from scipy import linalg  # late: half a second

        size = len(matrix)
        whole = np.empty((size + 1, size + 1))
        places = np.arange(size)
        while True:
            whole[:size, :size] = matrix
            whole[size, :size], whole[:size, size] = column, column
            whole[size, size] = corner
            if size <= _SMALL:
                curves, axes = np.linalg.eigh(whole)
                curves = np.maximum(np.abs(curves), _RIDGE)
                return axes @ ((axes.T @ right) / curves)
            whole[places, places] += self.ridge
            try:
                factor = linalg.cho_factor(
                    whole, lower=True, overwrite_a=True, check_finite=False
                )
            except linalg.LinAlgError:
                self.ridge *= 10
                continue
            self.ridge = max(self.ridge / 10, _RIDGE)
            return np.asarray(linalg.cho_solve(factor, right, check_finite=False))

    def _search(self, basis, move, near, falling) -> None:
        """Goes as far along the step as the barrier falls, inside the feasible set."""
        room = self.level - self.values.max()
        before = self.level - self.mu * np.log(self.level - self.values[near]).sum()
        share = 1.0
        while share > 1e-10:
            tangent = (share * move[:-1]).reshape(len(self.points), -1)
            points = self.points + np.einsum("rdi,ri->rd", basis, tangent)
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            level, values = self.level + share * move[-1], self.pairs.values(points)
            if level - values.max() > (1 - _TO_EDGE) * room:
                after = level - self.mu * np.log(level - values[near]).sum()
                if after <= before - 1e-4 * share * falling + 1e-14:
                    self.points, self.level, self.values = points, level, values
                    return
            share /= 2
        self.stuck = True


def _tangents(points: np.ndarray) -> np.ndarray:
    """Orthonormal bases of the tangent spaces [R, d, d-1], by reflections."""
    mirror = points.copy()
    mirror[:, 0] += np.where(points[:, 0] >= 0, 1, -1)
    mirror /= np.linalg.norm(mirror, axis=1, keepdims=True)
    whole = np.eye(points.shape[1]) - 2 * mirror[:, :, None] * mirror[:, None, :]
    return whole[:, :, 1:]


def _jacobian(basis: np.ndarray, points: np.ndarray, pairs: Pairs):
    """Derivatives of v_c along the tangent coordinates, sparse [m, R(d-1)]."""
    found = _products_jacobian(basis, points, pairs.first, pairs.second)
    if pairs.minus is None:
        return found
    return found - _products_jacobian(basis, points, *pairs.minus)


def _products_jacobian(basis, points, first, second):
    """Derivatives of the products x_a.x_b, sparse [m, R(d-1)]."""
    from scipy import sparse

    width = basis.shape[2]
    rows = np.repeat(np.arange(len(first)), width)
    columns = [(x[:, None] * width + np.arange(width)).ravel() for x in (first, second)]
    entries = [
        np.einsum("mdi,md->mi", basis[a], points[b]).ravel()
        for a, b in ((first, second), (second, first))
    ]
    shape = len(first), len(points) * width
    where = np.concatenate([rows, rows]), np.concatenate(columns)
    return sparse.csr_array((np.concatenate(entries), where), shape)


def _curvature(basis, points, pairs: Pairs, forces) -> np.ndarray:
    """Second derivatives of sum_c s_c v_c on the spheres [R(d-1), R(d-1)].

    With A_ab the force on the product x_a.x_b and the bases B, they are A_ab B_a'B_b,
    minus x_a.(Ax)_a on the diagonal.
    """
    count, dim, width = basis.shape
    table = np.zeros((count, count))
    np.add.at(table, (pairs.first, pairs.second), forces)
    if pairs.minus is not None:
        np.add.at(table, pairs.minus, -forces)
    table += table.T
    flat = basis.transpose(1, 0, 2).reshape(dim, count * width)
    whole = (flat.T @ flat).reshape(count, width, count, width)
    whole *= table[:, None, :, None]
    whole = whole.reshape(count * width, count * width)
    pull = np.einsum("rd,rd->r", points, table @ points)
    places = np.arange(count * width)
    whole[places, places] -= np.repeat(pull, width)
    return whole
