"""`ncjax prepare NAME...`: data sets are downloaded and prepared."""

from __future__ import annotations

from collections.abc import Sequence

from ncjax.cli.usage import Parser, UsageError, command
from ncjax.data.prepare import NAMES, prepare
from ncjax.extras import install

_ABOUT = """\
Download data sets and prepare them for ncjax and tensorflow-datasets, without
TensorFlow.  Data sets that are prepared already are left as they are.
"""

_MORE = """\
examples:
  ncjax prepare mnist cifar10
  ncjax prepare fashion_mnist --data-dir=DIR --originals=DIR

Needs the packages of `{install}`.
"""


@command("Stopped. The same command starts the data set again.")
def main(argv: Sequence[str]) -> int:
    """Downloads and prepares data sets."""
    options = _parser().read(argv)
    try:
        prepare(options.names, dir=options.data_dir, originals=options.originals)
    except OSError as error:
        raise UsageError(str(error)) from error
    return 0


def _parser() -> Parser:
    parser = Parser("ncjax prepare", _ABOUT, _MORE.format(install=install("tfds")))
    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", choices=NAMES, help=", ".join(NAMES))
    where = "folder to write to; by default TFDS_DATA_DIR or ~/tensorflow_datasets"
    add("--data-dir", metavar="DIR", default="", help=where)
    originals = "folder with the original archives, to do without the network"
    add("--originals", metavar="DIR", default="", help=originals)
    return parser
