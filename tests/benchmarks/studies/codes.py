"""Is the softmax code the Tammes code without rattlers?

    python -m tests.benchmarks.studies.codes

For all numbers of classes up to 20 in 3 to 5 dimensions in which the answer is no
closed form (K > 2d): the largest margin found over vectors and directions, and the
widest least angle found over vectors, each from random starts of its own.  They say the
same if the margin is 1 minus the cosine of the angle; where they do not at first, both
are searched again from more starts, for one of them may have missed its optimum.  Some
sizes of which the optimum is proved are searched, too, as a check of the search.
"""

from __future__ import annotations

import csv
import io

import numpy as np
from matplotlib.figure import Figure

from ncjax import codes, style
from ncjax.codes.bounds import cosine_bound
from ncjax.codes.code import Code, search_code
from ncjax.codes.known import known_code
from tests.benchmarks.studies.harness import flags, write
from tests.benchmarks.verdicts import Verdict

COMMAND = "python -m tests.benchmarks.studies.codes"
_SOURCE = "Jiang et al., ICML 2024 (arXiv 2310.05351)"
_SAME = 1e-7  # a gap below this is none
_COLUMNS = (
    *("num_classes", "feature_dim", "margin", "cosine", "gap", "rattlers_margin"),
    *("rattlers_angle", "bound_of_cosine", "proved"),
)


def sizes(smoke: bool) -> list[tuple[int, int]]:
    """(K, d) of the study."""
    if smoke:
        return [(5, 2), (7, 3), (9, 4)]
    proved = [(5, 2), (8, 2), (12, 2), (6, 4), (8, 5)]
    return proved + [(k, d) for d in range(3, 6) for k in range(2 * d + 1, 21)]


def row(k: int, d: int, starts: int, steps: int) -> dict:
    """The best of both searches for K classes in d dimensions."""
    for more in (1, 2, 4):
        found: dict[str, Code] = {
            name: search_code(
                k, d, objective=name, starts=more * starts, steps=more * steps
            )
            for name in ("margin", "angle")
        }
        cosine = float(np.cos(np.radians(found["angle"].angle)))
        if abs(found["margin"].margin - (1 - cosine)) <= _SAME:
            break
    known = known_code(k, d)
    return {
        "num_classes": k,
        "feature_dim": d,
        "margin": found["margin"].margin,
        "cosine": cosine,
        "gap": found["margin"].margin - (1 - cosine),
        "rattlers_margin": len(found["margin"].rattlers),
        "rattlers_angle": len(found["angle"].rattlers),
        "bound_of_cosine": cosine_bound(k, d).value,
        "proved": int(known is not None and known.proved),
    }


def picture(rows: list[dict]) -> Figure:
    """Gap of each size, and how far the cosine is from its bound."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, d in enumerate(sorted({r["feature_dim"] for r in rows})):
        these = [r for r in rows if r["feature_dim"] == d]
        classes = [r["num_classes"] for r in these]
        look = {"color": style.COLORS[place], "label": f"d = {d}", "marker": "o"}
        look |= {"markersize": 3, "linewidth": 1}
        gaps = [max(abs(r["gap"]), 1e-16) for r in these]
        left.semilogy(classes, gaps, **(look | {"linewidth": 0}))
        right.plot(classes, [r["margin"] for r in these], **look)
    left.axhline(_SAME, color=style.GREY, linewidth=1)
    left.text(20, 1.5 * _SAME, "equal below", color=style.GREY, fontsize=8, ha="right")
    style.decorate(left, "|margin - (1 - cosine)| of the best codes", x="classes")
    style.decorate(right, "margin of the best code found", x="classes", legend=True)
    for axis in (left, right):
        axis.set_xticks(range(4, 21, 4))
    return figure


def judge(rows: list[dict]) -> list[Verdict]:
    """The claim, over the sizes that are no closed form; the check of the search."""
    beyond = [r for r in rows if r["feature_dim"] > 2]
    beyond = [r for r in beyond if r["num_classes"] > 2 * r["feature_dim"]]
    closed = [r for r in rows if r not in beyond]
    found = []
    for claim, these, theirs, value in (
        (
            "The greatest margin is that of the Tammes code, 1 - cosine of the angle",
            beyond,
            "0",
            lambda r: abs(r["gap"]),
        ),
        (
            "The search finds the margin 1 for d + 2 <= K <= 2d and that of the "
            "polygon in d = 2",
            closed,
            "0",
            lambda r: abs(
                r["margin"] - codes.known_margin(r["num_classes"], r["feature_dim"])
            ),
        ),
    ):
        gaps = [value(r) for r in these]
        wrong = [r for r, gap in zip(these, gaps, strict=True) if gap > _SAME]
        names = ", ".join(f"({r['num_classes']}, {r['feature_dim']})" for r in wrong)
        note = f"{len(these)} sizes (K, d)" + f"; all but {names}" * bool(wrong)
        found.append(
            Verdict(
                claim=claim,
                source=_SOURCE,
                theirs=f"gap {theirs}",
                ours=f"largest gap {max(gaps):.1g}",
                interval="",
                seeds=0,
                verdict="does not" if wrong else "holds",
                command=COMMAND,
                note=note,
            )
        )
    return found


def table(rows: list[dict]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for found in rows:
        writer.writerow(
            {k: f"{v:.12g}" if isinstance(v, float) else v for k, v in found.items()}
        )
    return text.getvalue()


def main() -> None:
    """Searches, and writes the table, the figure and the verdicts."""
    folder, smoke = flags(__doc__, "codes")
    rows = []
    for k, d in sizes(smoke):
        rows.append(row(k, d, starts=2 if smoke else 24, steps=200 if smoke else 600))
        print(*(f"{rows[-1][name]:.10g}" for name in _COLUMNS), flush=True)
    found = judge(rows)
    for verdict in found:
        print(verdict)
    if smoke:
        folder.mkdir(parents=True, exist_ok=True)
        style.save(picture(rows), folder / "codes.png")
        return
    write("codes", found, picture(rows), table(rows))


if __name__ == "__main__":
    main()
