"""`python -m ncjax.main --config=configs/NAME.py`: trains, as `ncjax train` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ncjax.cli import train


def main(argv: Sequence[str] | None = None) -> int:
    """Trains a network, and returns the exit status of `ncjax train`.

    Args:
        argv: the name of the program and its arguments; by default those that it was
            started with.
    """
    argv = sys.argv if argv is None else argv
    return train.main(argv[1:], prog="python -m ncjax.main")


if __name__ == "__main__":
    sys.exit(main())
