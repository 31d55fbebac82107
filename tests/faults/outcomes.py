"""What came of each try to hurt a run: kept in a file, counted in a table."""

import dataclasses
import json
from pathlib import Path

from ncjax.io import to_json, write_whole
from ncjax.runs.about import about

RESULTS = Path(__file__).parent / "results" / "faults.json"

# What a try may come to.
HARMLESS = "harmless"  # nothing was said, and the run ended bit for bit the same
RECOVERED = "recovered"  # likewise after it had to go on or to mend something
REFUSED = "refused"  # exit status 2 in a paragraph; recovered by doing what it says
WRONG = "silently wrong"  # exit status 0, and other numbers or gaps
FAILED = "failed"  # a traceback, another exit status, a run that cannot go on
RESULT = (RECOVERED, REFUSED, HARMLESS, WRONG, FAILED)
BAD = (WRONG, FAILED)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one try came to.

    Attributes:
        result: one of `RESULT`.
        said: whether the program said something of it.
        note: what was done, and of a bad result what was seen.
        count: tries that it stands for: a chain of kills is compared once, at its end.
    """

    result: str
    said: bool = False
    note: str = ""
    count: int = 1


class Tally:
    """The outcomes of a schedule, in a file from which a later start goes on."""

    def __init__(self, path: Path | None, seed: int):
        """Reads what there is; `ValueError` if it is of another seed or program."""
        made = about(computed=False)
        names = ("ncjax", "commit", "jax", "jaxlib", "numpy", "python")
        self._head = {"seed": seed, "versions": {name: made[name] for name in names}}
        self._path, self._rows = path, []
        if path is not None and path.exists():
            found = json.loads(path.read_text())
            for name, value in self._head.items():
                if found[name] != value:
                    raise ValueError(
                        f"{path} has results of another {name}: {found[name]!r}, now "
                        f"{value!r}. Give another --out, or delete it."
                    )
            self._rows = found["rows"]

    def add(self, kind: str, index: int, outcome: Outcome, seconds: float) -> None:
        """Takes in the outcome of a try, and writes the file."""
        row = {"kind": kind, "index": index, "seconds": round(seconds, 2)}
        found = dataclasses.asdict(outcome)
        if outcome.result not in BAD:  # the seed tells it again
            del found["note"]
        self._rows.append(row | found)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            rows = ",\n".join(to_json(row) for row in self._rows)
            head = to_json(self._head | {"counts": self.counts()})
            write_whole(self._path, f'{head[:-1]},\n"rows": [\n{rows}\n]}}\n')

    def done(self, kind: str) -> tuple[int, int]:
        """The tries of a kind that there are, and the index of the next one."""
        rows = [row for row in self._rows if row["kind"] == kind]
        return sum(r["count"] for r in rows), max(
            (r["index"] for r in rows), default=-1
        ) + 1

    def seconds(self, kind: str) -> float | None:
        """The mean time of a try of a kind; None before the first."""
        rows = [row for row in self._rows if row["kind"] == kind]
        count = sum(row["count"] for row in rows)
        return sum(row["seconds"] for row in rows) / count if count else None

    def counts(self) -> dict[str, dict[str, int]]:
        """Of each kind how many were tried, how many were said, and each result."""
        return counts(self._rows)

    def bad(self) -> list[dict]:
        """The rows that must not be."""
        return [row for row in self._rows if row["result"] in BAD]


def counts(rows: list[dict]) -> dict[str, dict[str, int]]:
    """Kind -> tried, said and each result, in the order of the rows."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        own = found.setdefault(
            row["kind"], dict.fromkeys(("tried", "said", *RESULT), 0)
        )
        own["tried"] += row["count"]
        own["said"] += row["count"] if row["said"] else 0
        own[row["result"]] += row["count"]
    return found


def table(counted: dict[str, dict[str, int]]) -> str:
    """The counts as a table of Markdown, with a last line for all kinds."""
    names = ("tried", "said", *RESULT)
    total = {name: sum(own[name] for own in counted.values()) for name in names}
    lines = [["fault", *names], ["---"] + ["---:"] * len(names)]
    for kind, own in (*counted.items(), ("all", total)):
        lines.append([kind, *(str(own[name]) for name in names)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
