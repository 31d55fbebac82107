"""Target frames: class vectors with a prescribed Gram matrix, in as few dimensions.

A target is a name in `TARGETS`: a function `name(num_classes, **options) -> rows
[K, r]`, float64, of which `classifier.target` chooses one.  To add one: write it and
add its line.  `orthonormal` places the rows in feature space.

A run that goes on on another machine must find the same vectors.  So none of this
depends on how a library breaks ties, as eigenvectors of equal eigenvalues would.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncjax.classifiers.setting import Setting
from ncjax.classifiers.vectors import frame_gram
from ncjax.codes.code import Progress, describe, solve
from ncjax.codes.known import simple_code
from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import check_tree
from ncjax.options import InputError, check_value, unknown

# Eigenvalues of a Gram matrix below this share of the largest are 0, or negative.
_ROUNDING = 1e-9
MOST_SEARCHED = 1000  # classes for whose code a run searches
_STARTS, _FEW, _MANY = 32, 4, 200  # starts of a search, up to and beyond _MANY classes


def frame_rows(
    num_classes: int,
    *,
    target: str,
    file: str,
    norm: float,
    hierarchy: Hierarchy | None,
    frame_gamma: float,
    distance: str,
    setting: Setting | None = None,
) -> np.ndarray:
    """The rows [K, r] of a target frame, float64, of rank r.

    Args:
        num_classes: K, the number of classes.
        target: name in `TARGETS`.
        file: .npy file of the targets "gram" and "vectors"; "" for the others.
        norm: root mean square of the lengths of the rows, positive and finite.
        hierarchy: tree over the K classes, for the target "tree".
        frame_gamma: gamma of the target "tree".
        distance: rule of distance of the target "tree".
        setting: the run, which knows the dimensions of the target "code"; None for no
            run.

    Raises:
        ValueError: for an unknown target, a file that is missing, cannot be read, is of
            another size, holds no numbers or a Gram matrix that is none, a target that
            needs a tree without one, or options out of range.
    """
    if target not in TARGETS:
        raise ValueError(unknown("target", target, TARGETS))
    check_value("norm", norm, lambda x: 0 < x < math.inf, "positive and finite")
    if (target in _OF_A_FILE) != bool(file):
        needs = "needs" if target in _OF_A_FILE else "takes no"
        raise ValueError(
            f"The target {target!r} {needs} file, got file = {file!r}. A file of class "
            "vectors is of the target 'vectors', one of their inner products 'gram'."
        )
    rows = TARGETS[target](
        num_classes,
        file=file,
        hierarchy=hierarchy,
        frame_gamma=frame_gamma,
        distance=distance,
        setting=setting or Setting(),
    )
    size = np.sqrt(np.mean(np.sum(rows**2, axis=1)))
    if size == 0:
        raise ValueError(f"The class vectors of the target {target!r} are all 0.")
    return rows * (norm / size)


def simplex(num_classes: int, **options) -> np.ndarray:
    """Rows of a simplex ETF: length 1, cosines -1/(K-1) [K, K-1]."""
    del options
    # Helmert's contrasts: column j is (1, .., 1, -j, 0, ..) / sqrt(j (j + 1)).
    j = np.arange(1, num_classes)
    row = np.arange(num_classes)[:, None]
    contrasts = np.where(row < j, 1.0, np.where(row == j, -j, 0)) / np.sqrt(j * (j + 1))
    return contrasts * math.sqrt(num_classes / (num_classes - 1))


def orthogonal(num_classes: int, **options) -> np.ndarray:
    """Rows of an orthonormal basis [K, K]."""
    del options
    return np.eye(num_classes)


def tree(
    num_classes: int,
    *,
    hierarchy: Hierarchy | None,
    frame_gamma: float,
    distance: str,
    **options,
) -> np.ndarray:
    """Rows with the inner products of `haframe` [K, r]."""
    del options
    if hierarchy is None:
        raise ValueError(
            "The target 'tree' needs a class tree, and there is none. Set "
            "config.hierarchy.name or config.hierarchy.file."
        )
    check_tree(hierarchy, num_classes, "the classifier")
    return root_of_gram(frame_gram(hierarchy, frame_gamma, distance))


def vectors(num_classes: int, *, file: str, **options) -> np.ndarray:
    """Rows that are in a file [K, r], at whatever r."""
    del options
    rows = _read(file)
    if len(rows) != num_classes:
        raise ValueError(
            f"{file} has {len(rows)} vectors, shape {rows.shape}; the {num_classes} "
            "classes need [K, d] with a row for each."
        )
    return rows.astype(np.float64)


def code(num_classes: int, *, setting: Setting, **options) -> np.ndarray:
    """Rows of the code of the widest margin, in as many dimensions as the features.

    A simplex where there is room for one, K <= d + 1; a softmax code beyond, in closed
    form for K <= 2d and d = 2, else the best that a search has found.  [K, min(d, K-1)]
    """
    del options
    width = setting.width()
    if width < 1:
        raise ValueError(
            "The target 'code' has as many dimensions as there are features, and their "
            "number is not known here. Give it as project, the width of a linear layer "
            "before the classifier."
        )
    dim = min(width, num_classes - 1)
    try:
        simple = simple_code(num_classes, dim)
    except InputError as error:  # d = 1, or a single class
        raise ValueError(f"The target 'code' cannot be had: {error}") from error
    if simple is not None:
        return simple
    if num_classes > MOST_SEARCHED:
        raise ValueError(
            f"The target 'code' is searched for at most {MOST_SEARCHED:,} classes, and "
            f"there are {num_classes:,} in {dim} dimensions. Search with `ncjax codes` "
            "and give its file with target = 'vectors'."
        )
    starts = _STARTS if num_classes <= _MANY else _FEW

    def make(progress: Progress | None) -> np.ndarray:
        return solve(num_classes, dim, starts=starts, progress=progress).vectors

    name = f"code-{num_classes}x{dim}"
    rows = setting.keep(name, make)
    if rows.shape != (num_classes, dim):
        raise ValueError(
            f"What is kept as {name} has shape {rows.shape}, not {(num_classes, dim)}: "
            "it is no code of these classes. Remove the file."
        )
    return rows


def describe_rows(target: str, rows: np.ndarray) -> str:
    """A sentence on the vectors of a target, for people; "" where there is none.

    Args:
        target: name in `TARGETS`; of "code" it says how good it is.
        rows: the vectors [K, r].
    """
    number, dim = rows.shape
    if target != "code" or number > _MANY:  # seconds for more
        return ""
    found = describe(rows)
    return (
        f"The code of {number} vectors in {dim} dimensions has a margin of "
        f"{found.margin:.6f} ({found.margin_verdict})."
    )


def gram(num_classes: int, *, file: str, **options) -> np.ndarray:
    """Rows [K, r] with the inner products of a file."""
    del options
    table = _read(file)
    if table.shape != (num_classes, num_classes):
        raise ValueError(
            f"The Gram matrix in {file} has shape {table.shape}; {num_classes} classes "
            f"need {(num_classes, num_classes)}. Vectors [K, d] are of the target "
            "'vectors'."
        )
    try:
        return root_of_gram(table.astype(np.float64), _rounding(table.dtype))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _read(file: str) -> np.ndarray:
    """The matrix of finite numbers in a .npy file."""
    path = Path(file).expanduser()
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{file} cannot be read as a .npy file of numbers: {error}"
        ) from error
    matrix = isinstance(table, np.ndarray) and table.ndim == 2
    if not matrix or table.dtype.kind not in "biufc":
        raise ValueError(
            f"{file} must hold one matrix [K, d] or [K, K] of numbers, as `np.save` "
            "writes it."
        )
    if np.iscomplexobj(table) or not np.isfinite(table).all():
        raise ValueError(f"{file} holds numbers that are not real and finite.")
    return table


def _rounding(dtype: np.dtype) -> float:
    """Share of the largest eigenvalue that rounding of a Gram matrix may change."""
    if dtype.kind != "f":
        return _ROUNDING
    return max(_ROUNDING, 4 * float(np.finfo(dtype).eps))


_OF_A_FILE = ("vectors", "gram")
TARGETS: dict[str, Callable[..., np.ndarray]] = {
    "simplex": simplex,
    "orthogonal": orthogonal,
    "tree": tree,
    "code": code,
    "vectors": vectors,
    "gram": gram,
}


def root_of_gram(table: np.ndarray, rounding: float = _ROUNDING) -> np.ndarray:
    """Rows R [K, r] with R R' = G, r the rank of G.

    They are those of a Cholesky factor without its columns of zeros: row k has a new
    direction unless it depends on the rows before it.

    Args:
        table: G [K, K], symmetric, positive semi-definite and not 0.
        rounding: share of the largest eigenvalue up to which others count as 0.

    Raises:
        ValueError: for a matrix that is not symmetric, has an eigenvalue below 0, or is
            0.
    """
    size = np.abs(table).max()
    if np.abs(table - table.T).max() > rounding * size:
        raise ValueError("A Gram matrix must be symmetric, and this one is not.")
    if size == 0:
        raise ValueError("A Gram matrix of zeros has no directions.")
    table = (table + table.T) / 2
    values = np.linalg.eigvalsh(table)
    if values[0] < -rounding * values[-1]:
        raise ValueError(
            "A Gram matrix must be positive semi-definite; the least eigenvalue of "
            f"this one is {values[0]:.3g}, the largest {values[-1]:.3g}. Add "
            f"{-values[0]:.3g} to its diagonal, or give other inner products."
        )
    columns, rest = [], table.copy()
    for k in range(len(table)):
        if rest[k, k] > rounding * values[-1]:
            column = rest[:, k] / np.sqrt(rest[k, k])
            column[:k] = 0
            columns.append(column)
            rest -= np.outer(column, column)
    return np.stack(columns, axis=1)


@functools.lru_cache(maxsize=8)
def orthonormal(width: int, rank: int, seed: int) -> np.ndarray:
    """A random orthonormal basis of `rank` directions in R^width [width, rank].

    Uniformly distributed: the factor Q of normal numbers, with signs such that R has a
    positive diagonal.

    Args:
        width: dimension of the space.
        rank: number of directions, at most `width`.
        seed: seed of the random numbers.

    Raises:
        ValueError: if `rank` is more than `width`.
    """
    if rank > width:
        raise ValueError(
            f"The class vectors span {rank} dimensions, and the features have {width}. "
            "Choose a wider network, or a target of lower rank."
        )
    # The numbers of this generator never change from version to version of NumPy.
    draw = np.random.RandomState(seed).standard_normal((width, rank))
    basis, factor = np.linalg.qr(draw)
    return basis * np.sign(np.diag(factor))
