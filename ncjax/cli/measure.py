"""`ncjax measure FEATURES ...` of files, `--checkpoint=RUN[@EPOCH]` of a run."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncjax.cli.cache import keep_compiled_programs
from ncjax.cli.usage import Parser, UsageError, add_columns, check_output, command
from ncjax.collapse.conventions import PRESETS
from ncjax.io import read_text, to_json, write_whole
from ncjax.measurement import MeasureError, Measurement, measure
from ncjax.measurement.pooling import POOLS
from ncjax.measurement.readers import (
    NAMES,
    READERS,
    Arrays,
    find,
    open_arrays,
)
from ncjax.measurement.sources import Source
from ncjax.multilabel.conventions import PRESETS as OF_SETS
from ncjax.regression.conventions import PRESETS as OF_VECTORS
from ncjax.runs.about import about
from ncjax.style import FORMATS, render
from ncjax.targets import DEFAULT, TARGETS

if TYPE_CHECKING:
    from ncjax.measurement.checkpoint import CheckpointMeasurement
    from ncjax.measurement.labelled import LabelledMeasurement

    Measured = Measurement | CheckpointMeasurement | LabelledMeasurement

_ABOUT = """\
Measure the neural collapse of features, from whatever framework, in bounded memory.

FEATURES is a file of the inputs of the last layer, [n, d], one row for each sample of
the training set; labels are integers 0..K-1, or what --target says.  Or measure a
checkpoint of a run.
"""

_MORE = f"""\
examples:
  ncjax measure features.npy --labels=labels.npy
  ncjax measure train.npz --classifier=model.safetensors \\
      --test-features=test.npz --json=collapse.json --figure=collapse.png
  ncjax measure train.npz --target=vector --classifier=head.npz
  ncjax measure --checkpoint=runs/digits@100 --json=epoch100.json

Labels of --target=vector are numbers [n, t], of ordinal levels [n], of set zeros and
ones [n, K], of tasks the class of each task [n, T]; these features are loaded whole.
A checkpoint is measured by the programs of its run, on the data of the run, and gives
the numbers that the run logged after that epoch, under the names of metrics.jsonl.
Files end in {", ".join(READERS)}.
In files of several arrays the names are: features, embeddings, h or x; labels, y or
targets; classifier, weight, W or fc.weight; bias, b or the bias beside the weight.
In tables a column `label`, or that of --labels-key, holds the labels; `id` and `index`
are left out; all other numbers are the features, and the report names them.
A classifier is [K, d], as in PyTorch; transpose kernels of Flax and Keras.
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Measures the collapse of features in files and prints the numbers."""
    options = _parser().read(argv)

    try:
        _check_outputs(options)
        result = _result(options)
        written = _write(result, options)
    except MeasureError as error:
        raise UsageError(_ARGUMENT.sub(_flag, str(error))) from error
    except OSError as error:
        where = error.filename or "a file"
        raise UsageError(f"Cannot read or write {where}: {error}") from error
    print(result)
    for path in written:
        print(f"\nWritten to {path}")
    return 0


def _result(options: argparse.Namespace) -> Measured:
    """What is measured: features in files, or a checkpoint of a run."""
    keep_compiled_programs()
    if options.checkpoint is None:
        if options.features is None:
            raise UsageError(
                "Nothing to measure: give FEATURES, a file of features, or "
                "--checkpoint=RUN[@EPOCH], a run that `ncjax train` has written."
            )
        if options.target != DEFAULT:
            return _labelled(options)
        return measure(**_inputs(options))
    allowed = {"checkpoint", "json"}
    for name, value in vars(options).items():
        if name not in allowed and value != _parser().get_default(name):
            flag = "FEATURES" if name == "features" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--checkpoint is measured as its run was: {flag} cannot be given "
                "with it, only --json."
            )
    from ncjax.measurement.checkpoint import measure_checkpoint, split_epoch

    run, epoch = split_epoch(options.checkpoint)
    if epoch is not None and not epoch.isdecimal():
        raise UsageError(
            f"--checkpoint={options.checkpoint}: the epoch after @ must be a number, "
            f"got {epoch!r}."
        )
    return measure_checkpoint(run, None if epoch is None else int(epoch))


# Flags that mean something of classes alone.
_OF_CLASSES = (
    *("ood_features", "num_classes", "class_names", "one_vs_rest", "pool"),
    *("figure", "columns"),
)


def _labelled(options: argparse.Namespace) -> LabelledMeasurement:
    """Features whose labels are no classes."""
    for name in _OF_CLASSES:
        if getattr(options, name) != _parser().get_default(name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{flag} is for classes: with --target={options.target} it cannot be "
                "given."
            )
    from ncjax.measurement.labelled import measure_labelled

    inputs = _inputs(options)
    for name in ("num_classes", "pool", "one_vs_rest"):
        del inputs[name]
    return measure_labelled(target=options.target, **inputs)


# An argument of `measure` in one of its messages, which is no part of a path.
_ARGUMENT = re.compile(
    r"(?<![\w/.-])(?:pool='(\w+)'|(num_classes|class_names|batch_size)(?![\w/.]\w))"
)


def _flag(argument: re.Match) -> str:
    """The flag that gives an argument of `measure`."""
    pool, name = argument.groups()
    if pool:
        return f"--pool={pool}"
    file = "=FILE (one name a line)" if name == "class_names" else ""
    return f"--{name.replace('_', '-')}{file}"


def _parser() -> Parser:
    parser = Parser("ncjax measure", _ABOUT, _MORE, registers=True)
    add = parser.add_argument
    add("features", metavar="FEATURES", nargs="?", help="file of training features")
    of_run = "a checkpoint of a run, by default the newest, instead of FEATURES"
    add("--checkpoint", metavar="RUN[@EPOCH]", help=of_run)
    add("--labels", metavar="FILE", help="by default in the file of the features")
    add("--classifier", metavar="FILE", help="W [K, d], and its bias if that is there")
    add("--bias", metavar="FILE", help="b [K]")
    add("--test-features", metavar="FILE", help="measured about the training means")
    add("--test-labels", metavar="FILE", help="by default in the file of the above")
    add("--ood-features", metavar="FILE", help="out-of-distribution, for AUROCs, NC5")
    # Not `choices`: --register may add targets, after the flags are read.
    what = f"what an example is labelled with: {', '.join(TARGETS)}"
    add("--target", metavar="NAME", default=DEFAULT, help=what)
    presets = dict.fromkeys([*PRESETS, *OF_VECTORS, *OF_SETS])
    add("--preset", default="default", choices=list(presets), help="whose definitions")
    add("--json", metavar="FILE", type=Path, help="write the numbers to this file")
    add("--figure", metavar="FILE", type=Path, help=f"draw: {', '.join(FORMATS)}")
    add_columns(parser)
    add("--batch-size", metavar="N", type=int, help="rows read at a time")
    add("--num-classes", metavar="K", type=int, help="by default what the labels say")
    add("--class-names", metavar="FILE", help="names of class 0, 1, ..., one per line")
    margin = "also this margin where K <= d + 1, or K > 1,000"
    add("--one-vs-rest", action="store_true", help=margin)
    add("--pool", choices=POOLS, help="how feature maps become vectors")
    for what in ("features", "labels", "classifier", "bias"):
        add(f"--{what}-key", metavar="NAME", help=f"name of the {what} in their file")
    return parser


def _write(result: Measured, options: argparse.Namespace) -> list[Path]:
    """Writes the files that were asked for, and returns their paths."""
    # Both are made before either is written: nothing is left half done.
    contents: dict[Path, str | bytes] = {}
    if options.json:
        content = result.to_dict() | {"about": about()}
        contents[options.json] = to_json(content, indent=2) + "\n"
    if options.figure and isinstance(result, Measurement):
        suffix = options.figure.suffix.lower()
        contents[options.figure] = render(result.plot(options.columns), suffix)
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def _inputs(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `measure` from those of the command line."""
    same = ("num_classes", "preset", "pool", "batch_size", "one_vs_rest")
    inputs = {name: getattr(options, name) for name in same}
    inputs |= {"source": options.features, "progress": True}
    if options.class_names:
        names = read_text(options.class_names).split("\n")
        inputs["class_names"] = [name.strip() for name in names if name.strip()]
    arrays = open_arrays(options.features, options.labels_key)
    inputs |= _samples(arrays, options.features, options.labels, options)
    inputs |= _classifier(arrays, inputs["features"], options)
    if path := options.test_features:
        test = open_arrays(path, options.labels_key)
        test = _samples(test, path, options.test_labels, options)
        inputs |= {f"test_{what}": array for what, array in test.items()}
    elif options.test_labels:
        raise UsageError("There are --test-labels, but no --test-features.")
    if path := options.ood_features:
        key = options.features_key
        arrays = open_arrays(path, options.labels_key)
        inputs["ood_features"] = _array(arrays, "features", path, key)
    return inputs


def _array(arrays: Arrays, what: str, path: str, key: str | None) -> Source:
    """An array of a file, by its key or by a name that is usual for it."""
    found = find(arrays, what, path, key)
    if found is None:
        raise UsageError(
            f"{path} has no array named {what}. Give --{what}-key; there are: "
            f"{', '.join(arrays)}."
        )
    return found


def _samples(
    arrays: Arrays, path: str, given: str | None, options: argparse.Namespace
) -> dict[str, Source]:
    """Features of a file, and labels from that file or the one that is given."""
    features = _array(arrays, "features", path, options.features_key)
    if given:
        arrays, path = open_arrays(given, options.labels_key), given
    labels = find(arrays, "labels", path, options.labels_key, only=bool(given))
    if labels is None or labels is features:
        raise UsageError(
            f"{path} has no labels. Give --labels=FILE (.npy, .txt, .csv, ...), or "
            "--labels-key, the name of the array or column."
        )
    return {"features": features, "labels": labels}


def _classifier(
    arrays: Arrays, features: Source, options: argparse.Namespace
) -> dict[str, Any]:
    """W and b from their own files, or from that of the features, with a note there."""
    inputs: dict[str, Any] = {}
    path, key = options.classifier or options.features, options.classifier_key
    if options.classifier:
        arrays = open_arrays(path)
        weight = _array(arrays, "classifier", path, key)
    else:
        if Path(path).suffix.lower() not in (".npz", ".safetensors", ".pt", ".pth"):
            arrays = {}  # a column named w or b is a feature
        weight = find(arrays, "classifier", path, key, only=False)
        if key is None and weight and weight.shape == (features.rows, 1):
            weight = None
        named = [n for n in arrays if n.lower() in NAMES["classifier"]]
        unused = [n for n in named if key is None and arrays[n] is not weight]
        if unused and weight is None:
            note = (
                f"{path}[{unused[0]}] is no classifier [K, d] by its shape; not used."
            )
            notes = (*features.notes, note)
            inputs["features"] = dataclasses.replace(features, notes=notes)
    bias, key = None, options.bias_key
    name = next((name for name, array in arrays.items() if array is weight), "")
    if options.bias:
        bias = find(open_arrays(options.bias), "bias", options.bias, key)
    elif name.endswith("weight") and key is None:
        bias = arrays.get(name.removesuffix("weight") + "bias")
    elif weight is not None:
        bias = find(arrays, "bias", path, key, only=False)
    found = {"classifier": weight, "bias": bias}
    return inputs | {what: x and x.load() for what, x in found.items()}


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuses outputs that cannot be written, before anything is measured."""
    if options.json is not None:
        check_output("--json", options.json)
    if options.figure is not None:
        check_output("--figure", options.figure, FORMATS)
