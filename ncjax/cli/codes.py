"""`ncjax codes --classes=K --dim=D`: vectors for more classes than a simplex has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ncjax.cli.usage import Parser, UsageError, announce, check_output, command
from ncjax.io import open_whole

_ABOUT = """\
Find K unit vectors in d dimensions that are as far apart as can be.

With the objective "margin" each vector is far from the hull of the others (softmax
code, to which cross-entropy on unit features tends); with "angle" the least angle is
wide (Tammes code).  What is found is polished in float64 and stands beside the best
that is known and the upper bounds: "proved", "best known", or within x of the bound.
"""

_MORE = """\
examples:
  ncjax codes --classes=100 --dim=10 --out=code.npy
  ncjax codes --classes=24 --dim=3 --objective=angle --starts=100
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Searches for a code, writes its vectors and prints how good it is."""
    options = _parser().read(argv)
    if options.classes is None or options.dim is None:
        raise UsageError(
            "Give the number of vectors, --classes=K, and of dimensions, --dim=D."
        )
    check_output("--out", options.out, (".npy",))
    announce("search for a code")
    from ncjax.codes import solve
    from ncjax.training.kept import Lines

    with Lines() as lines:
        code = solve(
            options.classes,
            options.dim,
            objective=options.objective,
            starts=options.starts,
            steps=options.steps,
            seed=options.seed,
            progress=lines.update,
        )
    try:
        with open_whole(options.out) as file:
            np.save(file, code.vectors)
    except OSError as error:
        raise UsageError(
            f"--out={options.out} cannot be written: {error.strerror}."
        ) from error
    print(f"{code}\n\nWritten to {options.out}: float64 {list(code.vectors.shape)}")
    return 0


def _parser() -> Parser:
    parser = Parser("ncjax codes", _ABOUT, _MORE)
    add = parser.add_argument
    add("--classes", metavar="K", type=int, help="number of vectors")
    add("--dim", metavar="D", type=int, help="number of dimensions")
    out = "file of the vectors, an array [K, D]; by default code.npy"
    add("--out", metavar="FILE", type=Path, default=Path("code.npy"), help=out)
    objective = 'what is made large, "margin" or "angle"; by default margin'
    add("--objective", metavar="NAME", default="margin", help=objective)
    starts = "number of random starts; by default 32"
    add("--starts", metavar="N", type=int, default=32, help=starts)
    steps = "number of steps of each start; by default 2000"
    add("--steps", metavar="N", type=int, default=2000, help=steps)
    seed = "seed of the random starts; by default 0"
    add("--seed", metavar="N", type=int, default=0, help=seed)
    return parser
