"""Images become a file: a GIF by Pillow, an MP4 by the program ffmpeg."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ncjax.io import write_whole
from ncjax.movie.view import MovieError

FORMATS = (".gif", ".mp4")
_MOST = 5e6  # bytes of a GIF
_HOLD = 2.0  # seconds for which the last image stands
_COLORS = 256  # in the palette of a GIF


def write(
    images: Iterable[np.ndarray], path: str | os.PathLike, fps: int | float
) -> tuple[Path, str]:
    """Writes a movie, whole or not at all.

    Args:
        images: uint8 images of one size [height, width, 3].
        path: the file, .gif or .mp4.
        fps: images a second.

    Returns:
        The file that was written, and why it is not the one that was asked for: without
        ffmpeg an .mp4 becomes a .gif.

    Raises:
        MovieError: for another ending, or if ffmpeg fails.
        OSError: if it cannot be written.
    """
    path, why = Path(path), ""
    if path.suffix.lower() not in FORMATS:
        raise MovieError(
            f"{path} has the ending {path.suffix!r}. Available: {', '.join(FORMATS)}."
        )
    program = shutil.which("ffmpeg") if path.suffix.lower() == ".mp4" else None
    if path.suffix.lower() == ".mp4" and program is None:
        path = path.with_suffix(".gif")
        why = (
            "The program ffmpeg, which makes .mp4, is not installed: the movie is a "
            ".gif instead."
        )
    kept = list(images)
    if program is None:
        content, smaller = small_gif(kept, fps)
        why = " ".join(filter(None, (why, smaller)))
    else:
        content = _mp4(program, kept, fps)
    write_whole(path, content)
    return path, why


def small_gif(images: Sequence[np.ndarray], fps: int | float) -> tuple[bytes, str]:
    """The bytes of a GIF under 5 MB, and what was left out for that, or "".

    Of too many images every second is left out, which then stand twice as long.
    """
    content, said = gif(images, fps), ""
    while len(content) > _MOST and len(images) > 20:
        images, fps = images[::-1][::2][::-1], fps / 2  # the last one stays
        content = gif(images, fps)
        said = "To stay under 5 MB every second image was left out, once or more often."
    return content, said


def gif(images: Sequence[np.ndarray], fps: int | float) -> bytes:
    """The bytes of a GIF without end, whose last image stands for two seconds.

    All images have the colours of one palette, so that what stands still stays the same
    and takes no room.  A GIF counts in hundredths of a second.
    """
    palette, white = _palette(images)
    drawn = []
    for image in images:
        plain = {"palette": palette, "dither": Image.Dither.NONE}
        shown = Image.fromarray(image).quantize(**plain)
        # Pillow looks for the nearest colour in steps, and takes a grey for white.
        blank = Image.fromarray((image == 255).all(-1))
        shown.paste(white, mask=blank)
        drawn.append(shown)
    each = max(round(100 / fps), 2) * 10
    last = max(each, round(1000 * _HOLD))
    buffer = io.BytesIO()
    drawn[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=drawn[1:],
        duration=[each] * (len(drawn) - 1) + [last],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _palette(images: Sequence[np.ndarray]) -> tuple[Image.Image, int]:
    """An image with the palette for all, the means of groups of colours; its white.

    A colour counts for 60 pixels at most, so that small points have one of their own
    beside large areas.
    """
    some = [images[i] for i in np.linspace(0, len(images) - 1, 5).astype(int)]
    pixels = np.concatenate([image.reshape(-1, 3) for image in some])
    units = np.array([2**16, 2**8, 1])  # a number for each colour is sorted fast
    numbers, counts = np.unique(pixels @ units, return_counts=True)
    colors = (numbers[:, None] // units % 256).astype(np.uint8)
    counted = np.repeat(colors, np.minimum(counts, 60), axis=0)
    found = Image.fromarray(counted[None]).quantize(_COLORS, kmeans=1)
    palette = np.array(found.getpalette()).reshape(-1, 3)
    white = int(np.argmax(palette.sum(1)))
    palette[white] = 255
    found.putpalette(palette.ravel().tolist())
    return found, white


def _mp4(program: str, images: Sequence[np.ndarray], fps: int | float) -> bytes:
    """The bytes of an MP4, H.264 as browsers and slides play it."""
    height, width = images[0].shape[:2]
    held = [images[-1]] * round(_HOLD * fps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.mp4"
        takes = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps:g} -i -"
        gives = "-c:v libx264 -crf 20 -pix_fmt yuv420p -movflags +faststart"
        command = [program, "-loglevel", "error", "-y", *takes.split(), *gives.split()]
        ran = subprocess.run(
            [*command, str(path)],
            input=b"".join(image.tobytes() for image in [*images, *held]),
            capture_output=True,
        )
        if ran.returncode or not path.exists():
            said = ran.stderr.decode(errors="replace").strip()[-300:]
            raise MovieError(
                f"ffmpeg could not make the movie: {said or 'it gave no reason'}. Give "
                "--out a name that ends in .gif."
            )
        return path.read_bytes()
