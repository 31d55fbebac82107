"""`python -m ncjax COMMAND`: the same as the program `ncjax`."""

import sys

from ncjax.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
