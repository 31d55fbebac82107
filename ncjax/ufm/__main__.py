"""Command line: `python -m ncjax.ufm --config=configs/ufm_NAME.py`."""

from __future__ import annotations

import sys

from ncjax.ufm.run.cli import main

if __name__ == "__main__":
    sys.exit(main())
