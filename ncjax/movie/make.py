"""Films become a file: a movie, or one moment as a figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ncjax.movie.encode import write
from ncjax.movie.film import EPOCH, Film, moments_of
from ncjax.movie.stage import Stage
from ncjax.movie.view import MovieError

MOST = 3  # films side by side


def make_movie(
    films: Sequence[Film],
    path: str | os.PathLike,
    *,
    images: int = 100,
    fps: int | float = 15.0,
) -> tuple[Path, str]:
    """Writes films side by side, at the same moments, as one movie.

    Args:
        films: one to three, all of runs or all of flows.
        path: the file, .gif or .mp4; without ffmpeg an .mp4 becomes a .gif.
        images: number of images, log-spaced over the moments of all films.
        fps: images a second.

    Returns:
        The file that was written, and why it is not what was asked for, or "".

    Raises:
        MovieError: for films that do not go together, or another ending of the file.
        OSError: if it cannot be written.
    """
    _check(films)
    if images < 2 or not 0 < fps <= 50:
        raise MovieError(
            f"A movie has at least 2 images and up to 50 a second; got {images} images "
            f"and {fps:g} a second."
        )

    def drawn() -> Iterator[np.ndarray]:
        stage = Stage(films)
        for moment in moments_of(films, images):
            stage.show(float(moment))
            yield stage.image()

    return write(drawn(), path, fps)


def draw_still(films: Sequence[Film], moment: int | float | None = None) -> Figure:
    """Films side by side at one moment, as a figure.

    Args:
        films: one to three, all of runs or all of flows.
        moment: an epoch that all runs have kept, or a time of flows; by default the
            last one.

    Raises:
        MovieError: for films that do not go together, or an epoch that is not kept.
    """
    _check(films)
    for film in films:
        kept = film.moments
        between = kept[0] <= (kept[-1] if moment is None else moment) <= kept[-1]
        if moment is None or (between and film.unit != EPOCH) or moment in kept:
            continue
        listed = f"It goes from t = 0 to {kept[-1]:g}."
        if film.unit == EPOCH:
            listed = f"It has those of {', '.join(f'{x:.0f}' for x in kept)}."
        raise MovieError(
            f"The film {film.title!r} has no frame of {film.unit} {moment:g}. {listed}"
        )
    stage = Stage(films)
    stage.show(max(f.moments[-1] for f in films) if moment is None else moment)
    return stage.figure


def _check(films: Sequence[Film]) -> None:
    if not 1 <= len(films) <= MOST:
        raise MovieError(
            f"A movie shows one to {MOST} runs side by side, got {len(films)}."
        )
    if len({film.unit for film in films}) > 1:
        raise MovieError(
            "Epochs of training and times of a flow are no common axis: a movie shows "
            "the one or the other."
        )
