"""Theory beside trained networks: read back, matched, tabled, drawn; bad input."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax.cli.compare import main
from ncjax.comparison import CompareError, compare
from ncjax.comparison.networks import data_of, read_networks, to_config
from ncjax.comparison.runs import read
from ncjax.comparison.theory import by_height
from ncjax.comparison.theory_figure import leaf_order
from ncjax.comparison.theory_tables import spectrum
from ncjax.config import ConfigError, default, resolved
from ncjax.gram import gram_nc2
from ncjax.hierarchy import BUILTIN, balanced
from ncjax.options import flat

pytestmark = pytest.mark.slow  # the fit itself is in test_ufm_match.py

LOSSES = {
    "ce": {"name": "cross_entropy"},
    "soft": {"name": "soft_labels", "beta": 10.0},
    "split": {"name": "multi_level", "split_features": True},
}


def small(loss, seed=0, **data):
    config = default()
    config.seed = seed
    config.num_epochs = 12
    config.batch_size = 40
    config.data.name = "synthetic"
    config.data.train_size_per_class = 20
    config.data.update(data)
    config.model.widths = (32, 16)
    config.eval.num_points = 2
    config.eval.batch_size = 48  # the last batch of 160 is not full
    config.loss.update(loss)
    return config


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of cross-entropy, two seeds of soft labels, one without a theory."""
    folder = tmp_path_factory.mktemp("runs")
    for name, loss in LOSSES.items():
        for seed in (0, 1) if name == "soft" else (0,):
            path = folder / f"{name}{seed}"
            ncjax.train(
                small(loss, seed), path, devices=jax.devices()[:1], progress=False
            )
    return folder


@pytest.fixture(scope="module")
def compared(runs):
    return compare([runs / "ce*", runs / "soft*"], theory=True)


def state(folder):
    files = sorted(folder.rglob("*"))
    return [(f, f.stat().st_mtime_ns, f.stat().st_size) for f in files]


def test_a_configuration_comes_back():
    config = small(LOSSES["soft"])
    stored = json.loads(json.dumps(resolved(config)))
    assert to_config(flat(stored)).to_dict() == config.to_dict()
    with pytest.raises(ConfigError, match=r"Unknown field config.loss.gamma"):
        to_config({"loss.gamma": 1.0})


def test_the_network_is_the_one_that_was_measured(runs):
    run = read(runs / "soft1")
    before = state(runs)
    config, dataset, tree = data_of(run)
    (network,) = read_networks([run], config, dataset)
    assert tree.num_classes == 8
    assert network.epoch == 12
    np.testing.assert_array_equal(network.counts, 20)
    gram = network.centred_means @ network.centred_means.T
    np.testing.assert_allclose(gram_nc2(gram), run.rows[-1]["nc/nc2"], rtol=1e-4)
    found = ncjax.collapse.nc2(jnp.asarray(network.classifier, jnp.float32))
    np.testing.assert_allclose(found, run.rows[-1]["nc/nc2_w"], rtol=1e-4)
    assert state(runs) == before  # nothing was written


def test_numbers_of_a_run(compared):
    ce, soft = compared.theory
    assert (ce.name, [r.seed for r in soft.runs]) == ("cross_entropy", [0, 1])
    for group, found in zip(compared.theory, compared.groups):
        np.testing.assert_allclose(
            [r.values["nc2"] for r in group.runs], found.final("nc/nc2"), rtol=1e-4
        )
        np.testing.assert_allclose(
            [r.values["to_tree"] for r in group.runs],
            found.final("nc/gram_to_tree"),
            rtol=1e-4,
        )
        np.testing.assert_allclose(
            [r.cosines[1][0] for r in group.runs],
            found.final("tree/sibling_cosine"),
            rtol=1e-3,
            atol=1e-5,
        )
    for run in ce.runs:
        assert run.fitted.state == "free"
        assert run.values["nc2_predicted"] == 0
        np.testing.assert_allclose(
            run.values["to_prediction"], run.values["nc2"], rtol=1e-6
        )
        np.testing.assert_allclose([p for _, p in run.cosines.values()], -1 / 7)
    for run in soft.runs:
        values = run.values
        assert values["to_prediction"] <= values["to_prediction_from_loss"]
        assert values["to_prediction"] < values["to_simplex"]
        assert set(run.cosines) == {1, 2, 3}
        np.testing.assert_allclose(np.linalg.norm(spectrum(run.gram)), 1)


def test_what_is_written(runs, tmp_path, capsys):
    out = tmp_path / "out"
    pattern = [str(runs / "ce*"), str(runs / "soft*")]
    assert main([*pattern, "--theory", f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert "## Theory beside the networks" in printed
    assert "theory.png" in printed
    assert "cross_entropy has the same geometry for every c" in printed
    data = json.loads((out / "comparison.json").read_text())["theory"]
    assert [group["name"] for group in data] == ["cross_entropy", "soft_labels beta=10"]
    run = data[0]["runs"][0]
    assert run["c"] is None
    assert run["c_state"] == "free"
    assert np.shape(run["gram"]["found"]) == (8, 8)
    assert (out / "theory.png").stat().st_size > 10_000
    assert "theory of c (loss)" in (out / "comparison.md").read_text()


def test_one_run_is_enough(runs):
    found = compare(runs / "soft0", theory=True)
    assert len(found.theory) == 1
    assert "| Theory" in found.theory_table()
    with pytest.raises(CompareError, match="Nothing to compare"):
        compare(runs / "soft0")


def test_without_theory_there_is_none(runs):
    found = compare(runs / "soft*")
    assert found.theory_table() == ""
    assert "theory" not in found.to_dict()
    with pytest.raises(ValueError, match="theory=True"):
        found.theory_figure()


def test_without_a_tree_all_classes_are_siblings(tmp_path):
    config = small(LOSSES["ce"])
    config.hierarchy.name = "none"
    ncjax.train(config, tmp_path / "run", progress=False, devices=jax.devices()[:1])
    found = compare(tmp_path / "run", theory=True)
    (run,) = found.theory[0].runs
    assert set(run.cosines) == {1}
    np.testing.assert_allclose(run.values["to_tree"], run.values["to_simplex"])


def test_runs_without_a_theory(runs):
    with pytest.raises(CompareError, match="their loss is multi_level"):
        compare(runs / "split0", theory=True)
    found = compare([runs / "ce0", runs / "split0"], theory=True)
    assert [group.name for group in found.theory] == ["cross_entropy"]
    assert any("No theory is known for multi_level" in w for w in found.warnings)


def test_runs_without_checkpoints(runs, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(runs / "soft0", path)
    shutil.rmtree(path / "checkpoints" / "12")
    for file in (path / "checkpoints").iterdir():
        shutil.rmtree(file)
    with pytest.raises(CompareError, match="no whole checkpoint: it did"):
        compare(path, theory=True)
    shutil.rmtree(path / "checkpoints")
    assert main([str(path), "--theory", f"--out={tmp_path / 'out'}"]) == 2
    assert "has no whole checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint(runs, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(runs / "soft0", path)
    for file in (path / "checkpoints" / "12").rglob("*"):
        if file.is_file() and file.parent.name != "12":
            file.write_bytes(b"")
    with pytest.raises(CompareError, match=r"checkpoint of the run .* cannot be read"):
        compare(path, theory=True)


def test_data_that_cannot_be_had(runs, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(runs / "soft0", path)
    config = json.loads((path / "config.json").read_text())
    config["data"]["classes"] = [99]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CompareError, match="cannot be measured again"):
        compare(path, theory=True)


def test_cosines_by_height_by_hand():
    tree = balanced(2, 2)
    rows = np.array([[1, 1, 0], [1, -1, 0], [-1, 0, 1], [-1, 0, -1.0]])
    found = by_height(rows @ rows.T, tree)  # centred already
    np.testing.assert_allclose([found[1], found[2]], [0, -0.5])


def test_leaf_order_keeps_groups_together():
    tree = BUILTIN["cifar10"]()
    groups = tree.superclasses(1)[0][leaf_order(tree)]
    assert np.count_nonzero(np.diff(groups)) == 1
    np.testing.assert_array_equal(np.sort(leaf_order(tree)), np.arange(10))


METHODS = {
    "cascade": {"name": "cascade"},
    "cpcc": {"cpcc": 1.0},
    "hier_cos": {"name": "hier_cos"},
    "haframe": {"name": "haframe"},
    "label_embedding": {"name": "label_embedding"},
}


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    """A run of each kind of classifier, and their theory."""
    folder = tmp_path_factory.mktemp("methods")
    for name, loss in METHODS.items():
        path = folder / name
        ncjax.train(small(loss), path, devices=jax.devices()[:1], progress=False)
    return compare([folder / name for name in METHODS], theory=True)


def test_methods_with_other_outputs_and_vectors_have_a_theory(methods):
    found = {group.name.split()[0]: group.runs[0] for group in methods.theory}
    assert len(methods.theory) == len(METHODS)
    kinds = {name: run.proof.kind for name, run in found.items()}
    assert kinds.pop("label_embedding") == "closed form"
    assert set(kinds.values()) == {"certified"}
    frame = found["label_embedding"]
    assert frame.fitted.state == "free"
    assert np.isnan(frame.values["c_from_loss"])
    for run in found.values():
        assert run.gram.shape == run.prediction.shape == (8, 8)
        assert 0 <= run.values["to_prediction"] <= np.sqrt(2)


def test_the_table_says_what_theory_rests_on(methods):
    text = methods.theory_table()
    assert "| optimum" in text
    assert "closed form" in text
    assert "Class means of hier_cos" in text
    assert "without their signs" in text
