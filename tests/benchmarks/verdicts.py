"""Claims of the field, each with its verdict: one form for all studies, one page.

    python -m tests.benchmarks.verdicts      # writes results/README.md anew

A study is a folder of `results/` with a README and a `verdicts.json`: a list of
`Verdict`s.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal, get_args

from ncjax.io import write_whole
from tests.benchmarks.harness import RESULTS

Answer = Literal["holds", "does not", "undecided"]
ANSWERS: tuple[str, ...] = get_args(Answer)
PAGE = RESULTS / "README.md"

_HEAD = """\
# Claims and verdicts

Each line is a claim of a paper or of theory, the number that was published, and what
was found here with the number of seeds.  Brackets are 95 % intervals over seeds;
without seeds the number is that of a certified optimum, or of a computation without
chance.  "Undecided" says that the interval, or a single seed, allows both.  The folder
of a study has its README and the data; `python -m tests.benchmarks.verdicts` writes
this page.
"""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: the claim, in a sentence.
        source: the paper or the theorem.
        theirs: the published or predicted number, with its unit.
        ours: the number found here, in the same unit.
        interval: 95 % interval of it over seeds, or "" if there is none.
        seeds: number of seeds; 0 for a computation without chance.
        verdict: "holds", "does not" or "undecided".
        command: the command that gives the number.
        note: what to know of it, or "".
    """

    claim: str
    source: str
    theirs: str
    ours: str
    interval: str
    seeds: int
    verdict: Answer
    command: str
    note: str = ""

    def __post_init__(self):
        """Refuses a verdict that is not one, or says nothing."""
        if self.verdict not in ANSWERS:
            raise ValueError(
                f"Unknown verdict {self.verdict!r}. Available: {', '.join(ANSWERS)}."
            )
        for field in ("claim", "source", "theirs", "ours", "command"):
            if not getattr(self, field):
                raise ValueError(f"The verdict on {self.claim!r} has no {field}.")
        if self.seeds > 1 and not self.interval:
            raise ValueError(f"{self.claim!r} has {self.seeds} seeds and no interval.")


def read(study: Path) -> list[Verdict]:
    """The verdicts of a study, from its folder.

    Raises:
        TypeError, ValueError: for a verdict that lacks something.
    """
    rows = json.loads((study / "verdicts.json").read_text())
    return [Verdict(**row) for row in rows]


def studies() -> list[Path]:
    """The folders with verdicts."""
    return sorted(path.parent for path in RESULTS.glob("*/verdicts.json"))


def page() -> str:
    """All verdicts as Markdown, a table for each study."""
    every = {study: read(study) for study in studies()}
    counts = [sum(v.verdict == a for vs in every.values() for v in vs) for a in ANSWERS]
    total = ", ".join(f"{n} {a}" for n, a in zip(counts, ANSWERS, strict=True))
    parts = [_HEAD, f"In all: {total}.\n"]
    for study, verdicts in every.items():
        parts.append(f"## [{study.name}]({study.name}/README.md)\n")
        parts.append("| claim | source | theirs | ours | seeds | verdict |")
        parts.append("|---|---|---|---|---|---|")
        parts += map(_line, verdicts)
        commands = dict.fromkeys(verdict.command for verdict in verdicts)
        parts += ["", "```bash", *commands, "```", ""]
    return "\n".join(parts)


def _line(verdict: Verdict) -> str:
    ours = f"{verdict.ours} {verdict.interval}".strip()
    claim = f"{verdict.claim} ({verdict.note})" if verdict.note else verdict.claim
    cells = [claim, verdict.source, verdict.theirs, ours, str(verdict.seeds or "-")]
    return f"| {' | '.join(cells)} | **{verdict.verdict}** |"


def main() -> None:
    """Writes the page."""
    write_whole(PAGE, page())
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
