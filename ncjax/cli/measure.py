"""`ncjax measure FEATURES [--labels=FILE] ...`: the collapse of features in files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncjax.cli.usage import Parser, UsageError, refuse

if TYPE_CHECKING:
    from ncjax.measurement.readers import Arrays
    from ncjax.measurement.sources import Stored

_ABOUT = """\
Measure the neural collapse of features, from whatever framework, in bounded memory.

FEATURES is a file of the inputs of the last layer, [n, d], one row for each sample of
the training set; labels are integers 0..K-1.
"""

_MORE = """\
examples:
  {prog} features.npy --labels=labels.npy
  {prog} train.npz --classifier=model.safetensors \\
      --test-features=test.npz --json=collapse.json --figure=collapse.png

Files end in {endings}.
In files of several arrays the names are: features, embeddings, h or x; labels, y or
targets; classifier, weight, W or fc.weight; bias, b or the bias beside the weight.
In tables a column `label` holds the labels and the other numbers are the features.
A classifier is [K, d], as in PyTorch; transpose kernels of Flax and Keras.
"""


def main(argv: Sequence[str], prog: str = "ncjax measure") -> int:
    """Measures the collapse of features in files and prints the numbers.

    Args:
        argv: the arguments.
        prog: how the program was called.

    Returns:
        The exit status: 0; 2 for input that cannot be used.
    """
    try:
        options = _parser(prog).read(argv)
    except UsageError as error:
        return refuse(error)
    if options is None:
        return 0

    # JAX and what is built on it take seconds to import.
    from ncjax.measurement import MeasureError, measure

    try:
        _check_outputs(options)
        result = measure(**_inputs(options))
        written = _write(result, options)
    except (MeasureError, UsageError) as error:
        return refuse(error)
    except OSError as error:
        return refuse(f"Cannot read or write {error.filename or 'a file'}: {error}")
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    print(result)
    for path in written:
        print(f"\nWritten to {path}")
    return 0


def _parser(prog: str) -> Parser:
    from ncjax.collapse.conventions import PRESETS
    from ncjax.measurement.readers import READERS
    from ncjax.measurement.sources import POOLS
    from ncjax.style import FORMATS

    parser = Parser(prog, _ABOUT, _MORE.format(prog=prog, endings=", ".join(READERS)))
    add = parser.add_argument
    add("features", metavar="FEATURES", help="file of the training features")
    add("--labels", metavar="FILE", help="by default in the file of the features")
    add("--classifier", metavar="FILE", help="W [K, d], and its bias if that is there")
    add("--bias", metavar="FILE", help="b [K]")
    add("--test-features", metavar="FILE", help="measured about the training means")
    add("--test-labels", metavar="FILE", help="by default in the file of the above")
    add("--ood-features", metavar="FILE", help="out-of-distribution, for NC5 and NECO")
    add("--preset", default="default", choices=list(PRESETS), help="whose definitions")
    add("--json", metavar="FILE", type=Path, help="write the numbers to this file")
    add("--figure", metavar="FILE", type=Path, help=f"draw: {', '.join(FORMATS)}")
    add("--batch-size", metavar="N", type=int, help="rows read at a time")
    add("--num-classes", metavar="K", type=int, help="by default what the labels say")
    add("--class-names", metavar="FILE", help="names of class 0, 1, ..., one per line")
    add("--one-vs-rest", action="store_true", help="also this margin, for K > d + 1")
    add("--pool", choices=POOLS, help="how feature maps become vectors")
    for what in ("features", "labels", "classifier", "bias"):
        add(f"--{what}-key", metavar="NAME", help=f"name of the {what} in their file")
    return parser


def _write(result: Any, options: argparse.Namespace) -> list[Path]:
    """Writes the files that were asked for, and returns their paths.

    Both are made before either is written: nothing is left half done.
    """
    from ncjax.io import to_json, write_whole

    contents: dict[Path, str | bytes] = {}
    if options.json:
        contents[options.json] = to_json(result.to_dict(), indent=2) + "\n"
    if options.figure:
        from ncjax.style import render

        suffix = options.figure.suffix.lower()
        contents[options.figure] = render(result.figure(), suffix)
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def _inputs(options: argparse.Namespace) -> dict:
    """Arguments of `measure` from those of the command line."""
    from ncjax.measurement.readers import open_arrays

    arrays = open_arrays(options.features)
    features = _features(arrays, options.features, options)
    names = None
    if options.class_names:
        names = Path(options.class_names).read_text(encoding="utf-8").split("\n")
        names = [name.strip() for name in names if name.strip()]
    inputs = {
        "features": features,
        "labels": _labels(arrays, options.features, options.labels, options, features),
        "num_classes": options.num_classes,
        "class_names": names,
        "preset": options.preset,
        "pool": options.pool,
        "batch_size": options.batch_size,
        "one_vs_rest": options.one_vs_rest,
        "source": options.features,
        "progress": True,
    }
    inputs |= _classifier(arrays, options)
    if options.test_features:
        test = open_arrays(options.test_features)
        inputs["test_features"] = _features(test, options.test_features, options)
        inputs["test_labels"] = _labels(
            *(test, options.test_features, options.test_labels, options),
            inputs["test_features"],
        )
    elif options.test_labels:
        raise UsageError("There are --test-labels, but no --test-features.")
    if options.ood_features:
        ood = open_arrays(options.ood_features)
        inputs["ood_features"] = _features(ood, options.ood_features, options)
    return inputs


def _features(arrays: Arrays, path: str, options: argparse.Namespace) -> Stored:
    """The features of a file, by their key or by a name that is usual for them."""
    from ncjax.measurement.readers import find

    found = find(arrays, "features", path, options.features_key)
    if found is None:
        raise UsageError(
            f"{path} has no array named features. Give --features-key; there are: "
            f"{', '.join(arrays)}."
        )
    return found


def _labels(
    arrays: Arrays,
    path: str,
    given: str | None,
    options: argparse.Namespace,
    features: Stored,
) -> Stored:
    """Labels from their own file, or from that of the features."""
    from ncjax.measurement.readers import find, open_arrays

    key = options.labels_key
    if given:
        found = find(open_arrays(given), "labels", given, key)
    else:
        found = find(arrays, "labels", path, key, only=False)
    if found is None or found is features:
        where = given or path
        raise UsageError(
            f"{where} has no labels. Give --labels FILE (.npy, .txt, .csv, ...), or "
            "--labels-key, the name of the array or column."
        )
    return found


def _classifier(arrays: Arrays, options: argparse.Namespace) -> dict:
    """W and b from their own files, or from that of the features."""
    from ncjax.measurement.readers import find, open_arrays

    path, key = options.classifier or options.features, options.classifier_key
    if options.classifier:
        arrays = open_arrays(path)
    table = Path(path).suffix.lower() not in (".npz", ".safetensors", ".pt", ".pth")
    if table and not options.classifier:
        arrays = {}  # a column named w or b is a feature
    if key is None and not options.classifier and not arrays:
        weight = None
    else:
        own = options.classifier is not None
        weight = find(arrays, "classifier", path, key, only=own)
    if weight is None and options.classifier:
        raise UsageError(
            f"{path} has no array named classifier. Give --classifier-key; there are: "
            f"{', '.join(arrays)}."
        )
    bias = None
    if options.bias:
        beside = open_arrays(options.bias)
        bias = find(beside, "bias", options.bias, options.bias_key)
    elif weight is not None:
        bias = _bias_of(arrays, weight, path, options.bias_key)
    return {
        "classifier": None if weight is None else weight.load(),
        "bias": None if bias is None else bias.load(),
    }


def _bias_of(
    arrays: Arrays, weight: Stored, path: str, key: str | None
) -> Stored | None:
    """The bias that belongs to a weight of the same file."""
    from ncjax.measurement.readers import find

    if key is not None:
        return find(arrays, "bias", path, key)
    name = next(name for name, array in arrays.items() if array is weight)
    if name.endswith("weight"):
        return arrays.get(name.removesuffix("weight") + "bias")
    return find(arrays, "bias", path, only=False)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuses outputs that cannot be written, before anything is measured.

    Raises:
        UsageError: naming the option.
    """
    from ncjax.style import FORMATS

    for flag, path in (("--json", options.json), ("--figure", options.figure)):
        if path is None:
            continue
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(
                f"{flag} {path} cannot be written: there must be a folder {folder} "
                "that you may write to, and no folder of that name in it."
            )
    if options.figure and options.figure.suffix.lower() not in FORMATS:
        raise UsageError(
            f"--figure {options.figure} has the ending {options.figure.suffix!r}. "
            f"Available: {', '.join(FORMATS)}."
        )
