"""`ncjax movie RUN [RUN2] [--out=FILE] ...`: the collapse as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ncjax import style
from ncjax.cli.usage import Parser, UsageError, announce, check_output, command

_MOVIES = (".gif", ".mp4")

_ABOUT = """\
Show the collapse as an animation: features, class means and classifier in a plane.

RUN is the workdir of a run that was trained with --config.eval.movie=True, or a workdir
of `ncjax ufm`, whose gradient flow is shown.  Two or three RUNs stand side by side.
The plane is that of the class means: exact for three classes, a tetrahedron for four;
of more classes the means of a simplex are the corners of a regular polygon.
"""

_MORE = """\
examples:
  ncjax movie runs/digits                          writes runs/digits/collapse.gif
  ncjax movie runs/digits --classes=3,5,8          the plane of three class means
  ncjax movie runs/ce runs/soft --out=both.mp4     side by side
  ncjax movie runs/digits --out=epoch9.pdf --epoch=9
  ncjax movie runs/ufm_ce --out=flow.gif           a gradient flow

Images are log-spaced over the epochs; between two measured epochs they are
interpolated.  Each frame is turned toward one fixed target, so that nothing jumps.
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Writes the movie of one run or some."""
    parser = _parser()
    options = parser.read(argv)
    out = _out(options.out, options.runs)
    moving = out.suffix.lower() in _MOVIES
    if moving and options.epoch is not None:
        raise UsageError(
            f"--epoch={options.epoch:g} is for a figure of one moment: give --out a "
            f"name that ends in {', '.join(style.FORMATS)}."
        )
    check_output("--out", out, (*_MOVIES, *style.FORMATS))

    announce("make a movie")
    from ncjax.movie import draw_still, film_of, make_movie

    chosen = [name for name in (options.classes or "").split(",") if name]
    films = [film_of(run, classes=chosen, view=options.view) for run in options.runs]
    try:
        if not moving:
            style.save(draw_still(films, options.epoch), out)
            said = ""
        else:
            how = {"images": options.images, "fps": options.fps}
            out, said = make_movie(films, out, **how)
    except OSError as error:
        raise UsageError(f"--out={out} cannot be written: {error.strerror}.") from error
    size = out.stat().st_size / 1e6
    print("\n".join(filter(None, (said, f"Written to {out} ({size:.1f} MB)"))))
    return 0


def _out(given: Path | None, runs: Sequence[str]) -> Path:
    """The file to be written."""
    if given is not None:
        return given
    if len(runs) > 1:
        raise UsageError("Of several runs, --out=FILE.gif says where the movie goes.")
    return Path(runs[0]).expanduser() / "collapse.gif"


def _parser() -> Parser:
    parser = Parser("ncjax movie", _ABOUT, _MORE)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="workdir of a run; up to three")
    out = (
        "file, .gif, .mp4 (takes ffmpeg) or, for one moment, "
        f"{', '.join(style.FORMATS)}; by default RUN/collapse.gif"
    )
    add("--out", metavar="FILE", type=Path, help=out)
    add("--classes", metavar="A,B,C", help="names of the classes to show; else all")
    view = "polygon, principal (plane of the last means), or auto"
    add("--view", metavar="VIEW", default="auto", help=view)
    add("--images", metavar="N", type=int, default=100, help="images; by default 100")
    add("--fps", metavar="X", type=float, default=15.0, help="images a second; 15")
    epoch = "epoch, or time of a flow, of a figure; by default the last one"
    add("--epoch", metavar="N", type=float, help=epoch)
    return parser
