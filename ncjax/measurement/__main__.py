"""Command line: `python -m ncjax.measure FEATURES [--labels FILE] ...`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from ncjax.collapse import PRESETS
from ncjax.measurement.core import measure
from ncjax.measurement.figure import figure, render
from ncjax.measurement.readers import READERS, Arrays, find, open_arrays
from ncjax.measurement.result import write_whole
from ncjax.measurement.sources import POOLS, MeasureError, Stored

_FIGURES = (".png", ".pdf", ".svg")

_ABOUT = """\
Measure the neural collapse of features, from whatever framework, in bounded memory.

FEATURES are the inputs of the last layer, [n, d], one row for each sample of the
training set; labels are integers 0..K-1.
"""

_EXAMPLES = f"""\
examples:
  python -m ncjax.measure features.npy --labels labels.npy
  python -m ncjax.measure train.npz --classifier model.safetensors \\
      --test-features test.npz --json collapse.json --figure collapse.png

Files end in {", ".join(READERS)}.
In files of several arrays the names are: features, embeddings, h or x; labels, y or
targets; classifier, weight, W or fc.weight; bias, b or the bias beside the weight.
In tables a column `label` holds the labels and the other numbers are the features.
A classifier is [K, d], as in PyTorch; transpose kernels of Flax and Keras.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, or 2 for bad input."""
    options = _parser().parse_args(argv)
    try:
        _check_outputs(options)
        result = measure(**_inputs(options))
        # Both are made before either is written: nothing is left half done.
        outputs = {}
        if options.json:
            text = json.dumps(result.to_dict(), indent=2, allow_nan=False)
            outputs[options.json] = f"{text}\n".encode()
        if options.figure:
            drawn = render(figure(result), options.figure.suffix.lower())
            outputs[options.figure] = drawn
        for path, content in outputs.items():
            write_whole(path, content)
    except MeasureError as error:
        return _refuse(error)
    except OSError as error:
        return _refuse(f"Cannot read or write {error.filename or 'a file'}: {error}")
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    print(result)
    for path in outputs:
        print(f"\nWritten to {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ncjax.measure",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("features", metavar="FEATURES", help="file of the training features")
    add("--labels", metavar="FILE", help="by default in the file of the features")
    add("--classifier", metavar="FILE", help="W [K, d], and its bias if that is there")
    add("--bias", metavar="FILE", help="b [K]")
    add("--test-features", metavar="FILE", help="measured about the training means")
    add("--test-labels", metavar="FILE", help="by default in the file before")
    add("--ood-features", metavar="FILE", help="out-of-distribution, for NC5 and NECO")
    add("--preset", default="default", choices=list(PRESETS), help="whose definitions")
    add("--json", metavar="FILE", type=Path, help="write the numbers there")
    add("--figure", metavar="FILE", type=Path, help=f"draw: {', '.join(_FIGURES)}")
    add("--batch-size", metavar="N", type=int, help="rows read at a time")
    add("--num-classes", metavar="K", type=int, help="by default what the labels say")
    add("--class-names", metavar="FILE", help="names of class 0, 1, ..., one a line")
    add("--one-vs-rest", action="store_true", help="also this margin, for K > d + 1")
    add("--pool", choices=POOLS, help="how feature maps become vectors")
    for what in ("features", "labels", "classifier", "bias"):
        add(f"--{what}-key", metavar="NAME", help=f"name of the {what} in their file")
    return parser


def _inputs(options: argparse.Namespace) -> dict:
    """Arguments of `measure` from those of the command line."""
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
        raise MeasureError("There are --test-labels, but no --test-features.")
    if options.ood_features:
        ood = open_arrays(options.ood_features)
        inputs["ood_features"] = _features(ood, options.ood_features, options)
    return inputs


def _features(arrays: Arrays, path: str, options: argparse.Namespace) -> Stored:
    found = find(arrays, "features", path, options.features_key)
    if found is None:
        raise MeasureError(
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
    key = options.labels_key
    if given:
        found = find(open_arrays(given), "labels", given, key)
    else:
        found = find(arrays, "labels", path, key, only=False)
    if found is None or found is features:
        where = given or path
        raise MeasureError(
            f"{where} has no labels. Give --labels FILE (.npy, .txt, .csv, ...), or "
            "--labels-key, the name of the array or column."
        )
    return found


def _classifier(arrays: Arrays, options: argparse.Namespace) -> dict:
    """W and b from their own files, or from that of the features."""
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
        raise MeasureError(
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
    if key is not None:
        return find(arrays, "bias", path, key)
    name = next(name for name, array in arrays.items() if array is weight)
    if name.endswith("weight"):
        return arrays.get(name.removesuffix("weight") + "bias")
    return find(arrays, "bias", path, only=False)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuses outputs that cannot be written, before anything is measured.

    Raises:
        MeasureError: naming the option.
    """
    for flag, path in (("--json", options.json), ("--figure", options.figure)):
        if path is None:
            continue
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise MeasureError(
                f"{flag} {path} cannot be written: there must be a folder {folder} "
                "that you may write to, and no folder of that name in it."
            )
    if options.figure and options.figure.suffix.lower() not in _FIGURES:
        raise MeasureError(
            f"--figure {options.figure} has the ending {options.figure.suffix!r}. "
            f"Available: {', '.join(_FIGURES)}."
        )


def _refuse(error: object) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
