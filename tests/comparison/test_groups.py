"""Runs that differ in nothing but the seed, and the names of their groups."""

import numpy as np

from ncjax.comparison import compare
from ncjax.comparison.groups import IGNORED, name
from ncjax.config import default
from ncjax.options import flat
from tests.comparison.folders import row, write


def test_names_say_what_differs():
    cross_entropy = {"loss.name": "cross_entropy", "loss.label_smoothing": 0.0}
    hxe = {"loss.name": "hxe", "loss.alpha": 0.5, "loss.weighting": "depth"}
    soft = {"loss.name": "soft_labels", "loss.beta": 4.0}
    assert name([cross_entropy, soft, hxe]) == [
        "cross_entropy", "soft_labels beta=4", "hxe alpha=0.5 weighting=depth",
    ]  # fmt: skip
    # What is off, or a word at its default, is not told of an option that others lack.
    more = soft | {"loss.distance": "height", "loss.normalise": False}
    defaults = {"loss.distance": "height", "loss.beta": 4.0}
    assert name([cross_entropy, more], defaults)[1] == "soft_labels beta=4"
    depth = more | {"loss.distance": "depth"}
    assert name([cross_entropy, depth], defaults)[1].endswith("beta=4 distance=depth")
    assert name([cross_entropy, more, depth], defaults)[1].endswith("distance=height")
    smooth = cross_entropy | {"loss.label_smoothing": 0.1}
    assert name([cross_entropy, smooth]) == ["label_smoothing=0", "label_smoothing=0.1"]
    assert name([hxe]) == ["hxe"]
    assert name([hxe, hxe | {"loss.alpha": 1.0}]) == ["alpha=0.5", "alpha=1"]
    # A regulariser is named where it is, and elsewhere only if nothing else is told.
    plain, drawn = (cross_entropy | {"loss.cpcc": x} for x in (0.0, 1.0))
    more = hxe | {"loss.cpcc": 0.0, "loss.alpha_schedule": "constant"}
    falls = more | {"loss.alpha_schedule": "linear", "loss.alpha_end": 0.1}
    more["loss.alpha_end"] = 0.0
    table = name([plain, drawn, more, falls])
    assert table[:2] == ["cross_entropy", "cross_entropy cpcc=1"]
    assert table[2] == "hxe alpha=0.5 weighting=depth"
    assert (
        table[3] == "hxe alpha=0.5 alpha_end=0.1 alpha_schedule=linear weighting=depth"
    )
    assert name([plain, drawn]) == ["cpcc=0", "cpcc=1"]
    # The same word in two sections is written in full, and so is the data's seed.
    both = [{"model.alpha": 1, "loss.alpha": 1}, {"model.alpha": 2, "loss.alpha": 2}]
    assert name(both)[1] == "model.alpha=2 loss.alpha=2"
    assert name([{"data.seed": 0}, {"data.seed": 1}]) == ["data.seed=0", "data.seed=1"]
    assert name([{"model.widths": (8, 8)}, {"model.widths": (4,)}])[0] == "widths=8,8"
    # An option that is off is written where the names would not differ without it.
    assert name([{"loss.x": 0}, {}]) == ["x=0", "default"]


def test_ignored_fields_exist():
    fields = flat(default().to_dict()).keys() | {"data.dir"}
    assert fields >= IGNORED


def test_groups_of_a_folder(runs):
    comparison = compare(runs)
    ce, soft = comparison.groups
    assert (ce.name, ce.seeds) == ("cross_entropy", (0, 1, 2, 3))
    assert (soft.name, soft.seeds) == ("soft_labels beta=4", (0, 1, 2))
    assert comparison.warnings == ()
    np.testing.assert_array_equal(ce.final("test/error"), [0.10, 0.12, 0.14, 0.2])
    again = compare([f"{runs}/s*", runs / "ce0", runs])  # in this order, once each
    assert [g.name for g in again.groups] == [soft.name, ce.name]
    assert again.groups[1].seeds == ce.seeds


def test_the_seed_of_the_data_is_not_ignored_but_bookkeeping_is(tmp_path):
    write(tmp_path / "a", [row(5)], data__seed=0)
    write(tmp_path / "b", [row(5)], data__seed=1, eval__batch_size=7)
    write(tmp_path / "c", [row(5)], seed=1, data__seed=1, checkpoint__keep=9)
    groups = compare(tmp_path).groups
    assert [(g.name, g.seeds) for g in groups] == [
        ("data.seed=0", (0,)), ("data.seed=1", (0, 1)),
    ]  # fmt: skip


def test_runs_that_differ_in_their_probes_alone_are_one_group(tmp_path):
    probed = {"eval__probes": ["mse_decomposition"], "eval__mse_decay": 0.0}
    write(tmp_path / "a", [row(5)])
    write(tmp_path / "b", [row(5)], seed=1, **probed)
    assert [g.seeds for g in compare(tmp_path).groups] == [(0, 1)]
    write(tmp_path / "c", [row(5)], seed=2, **probed | {"eval__mse_decay": 0.3})
    groups = compare(tmp_path).groups
    assert [(g.name, g.seeds) for g in groups] == [
        ("default", (0, 1)), ("mse_decay=0.3", (2,)),
    ]  # fmt: skip
