"""Configurations: every shipped one is valid, every bad one is refused by name."""

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from ncjax import config as configs
from ncjax.cli.configs import shipped_configs
from ncjax.cli.train import parse
from ncjax.config import ConfigError, default, validate
from ncjax.config.fields import describe
from ncjax.losses import LOSSES


def load(path: Path, preset: str = ""):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(preset)


@pytest.mark.parametrize("preset", ["", "smoke"])
@pytest.mark.parametrize("path", shipped_configs(), ids=lambda p: p.stem)
def test_shipped_configs(path, preset):
    config = load(path, preset)
    validate(config)
    assert config.is_locked
    command = f"python -m ncjax.main --config=configs/{path.name}"
    assert command in path.read_text()
    with pytest.raises(ConfigError, match=r"preset 'fast'\. Available: smoke"):
        load(path, "fast")


def test_the_default_is_what_main_trains_without_a_config():
    assert parse([])[0].to_dict() == default().to_dict()


def test_paper_configs_keep_papyans_recipe():
    for path in shipped_configs():
        config = load(path)
        # Some say themselves where they depart from the recipe.
        if any(word in path.name for word in ("narrow", "spherical", "ordinal")):
            continue
        if config.data.name in ("mnist", "cifar10", "cifar100"):
            got = (
                config.num_epochs,
                config.batch_size,
                config.optimizer.name,
                config.optimizer.momentum,
                config.optimizer.weight_decay,
                config.optimizer.schedule,
            )
            # Our squared error is K/2 times that of the papers' code.
            decay = 5e-4 * (10 / 2 if config.loss.name == "mse" else 1)
            assert got == (350, 128, "sgd", 0.9, decay, "step"), path


BAD = [
    ("num_epochs", 0, "num_epochs must be between 1"),
    ("batch_size", -4, "batch_size must be between 1"),
    ("seed", -1, "seed must be between 0"),
    ("compute_dtype", "float16", "compute_dtype 'float16'. Available: float32, bfl"),
    (
        "data.name",
        "mnits",
        r"'mnits'. Did you mean 'mnist'\? Available: digits, synthetic",
    ),
    ("model.name", "vgg", "Unknown config.model.name 'vgg'. Available: mlp, resnet18"),
    ("loss.name", "sce", "config.loss.name 'sce'.* Available: cross_entropy, mse"),
    ("loss.label_smoothing", 1.5, r"label_smoothing must be in \[0, 1\), got 1.5"),
    ("optimizer.name", "adagrad", "Available: sgd, sgdw, sam, adam"),
    ("optimizer.schedule", "linear", "Available: constant, step, cosine"),
    ("optimizer.learning_rate", 0.0, "must be positive and finite, got 0"),
    ("optimizer.learning_rate", float("nan"), "learning_rate must be positive"),
    ("optimizer.learning_rate", float("inf"), "must be positive and finite"),
    ("optimizer.momentum", 1.0, "momentum must be in"),
    ("optimizer.weight_decay", -1e-4, "weight_decay must be at least 0"),
    ("model.widths", (), "at least one width"),
    ("model.widths", (-5,), "each at least 1"),
    ("model.width", 2.0, r"config.model.width = 2.0 has no effect: 'mlp' takes "),
    ("eval.epochs", (0,), "between 1 and num_epochs = 400, got 0"),
    ("eval.epochs", (3.5,), "must hold integers"),
    ("checkpoint.max_share", 0.0, "max_share = 0.0 must be more than 0"),
    ("checkpoint.max_share", 1.5, "must be more than 0 and at most 1"),
    ("eval.num_points", 1, "num_points must be between 2"),
    ("eval.probes", ("mse_decompositon",), r"mse_decompositon'. Available: mse_dec"),
    ("eval.layers", "first", "eval.layers 'first'. Available: last, all"),
    ("data.placement", "disk", "data.placement 'disk'. Available: auto, device, str"),
    ("data.device_mb", -1, "data.device_mb must be between 0"),
    ("checkpoint.keep", 0, "checkpoint.keep must be between 1"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD)
def test_bad_values(field, value, message):
    config = default()
    *sections, name = field.split(".")
    section = config
    for part in sections:
        section = section[part]
    section[name] = value
    with pytest.raises(ConfigError, match=message):
        validate(config)


def test_unknown_missing_and_mistyped_fields():
    config = default().unlock()
    config.loss.gamma = 1.0
    with pytest.raises(ConfigError, match=r"Unknown field config\.loss\.gamma\. Avail"):
        validate(config)
    config = default().unlock()
    config.optimizer.momentun = 0.5
    with pytest.raises(ConfigError, match=r"Did you mean 'momentum'\?"):
        validate(config)
    config = default().unlock()
    del config.loss["label_smoothing"]
    with pytest.raises(ConfigError, match=r"Missing field config\.loss\.label"):
        validate(config)
    config = default().unlock()
    with config.ignore_type():
        config.num_epochs = "many"
    with pytest.raises(ConfigError, match="num_epochs must be of type int, got 'many'"):
        validate(config)
    with config.ignore_type():
        config.num_epochs = True
    with pytest.raises(ConfigError, match="num_epochs must be of type int, got True"):
        validate(config)
    config = default()
    config.model.widths = ("a",)
    with pytest.raises(ConfigError, match="widths must hold values of type int"):
        validate(config)


def test_an_option_of_another_loss_is_refused():
    config = default()
    config.loss.name = "mse"
    validate(config)
    config.loss.label_smoothing = 0.1
    with pytest.raises(
        ConfigError, match=r"label_smoothing = 0\.1 has no effect: 'mse'"
    ):
        validate(config)


def test_resolved_holds_only_what_is_used():
    config = default()
    config.loss.name = "mse"
    plain = configs.resolved(config)
    assert plain["loss"] == {"name": "mse", "cpcc": 0.0}
    assert set(plain["model"]) == {"name", "widths", "batch_norm"}
    assert json.loads(json.dumps(plain))["optimizer"]["momentum"] == 0.9


def test_a_new_loss_needs_only_its_line_in_the_registry(monkeypatch):
    def focal(logits, labels, *, gamma: float = 2.0):
        if gamma < 0:
            raise ValueError(f"gamma must be at least 0, got {gamma}.")
        return LOSSES["cross_entropy"](logits, labels) * gamma

    monkeypatch.setitem(LOSSES, "focal", focal)
    config = default()
    config.loss.name = "focal"
    config.loss.gamma = 1.0
    validate(config)
    assert configs.resolved(config)["loss"] == {
        "name": "focal",
        "gamma": 1.0,
        "cpcc": 0.0,
    }
    config.loss.gamma = -1.0
    with pytest.raises(ConfigError, match="gamma must be at least 0"):
        validate(config)


def test_one_name_must_mean_one_thing(monkeypatch):
    def other(logits, labels, *, label_smoothing: float = 0.3):
        return logits[:, 0]

    monkeypatch.setitem(LOSSES, "other", other)
    with pytest.raises(ValueError, match="an option of one name must mean one thing"):
        default()


def test_every_package_is_installed():
    """`pip install .` must not leave out a folder that the clone has."""
    root = Path(__file__).parents[2]
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    # Setuptools finds all folders of these names; `ncjax/configs` is one by a link.
    assert listed["packages"] == {"find": {"include": ["ncjax*"]}}
    assert (root / "ncjax" / "configs" / "digits.py").samefile(
        root / "configs" / "digits.py"
    )
    for folder in {path.parent for path in (root / "ncjax").rglob("*.py")}:
        assert (folder / "__init__.py").is_file() or folder.name == "configs"


def test_describe_names_every_field():
    text = describe()
    for section, fields in default().to_dict().items():
        for field in fields if isinstance(fields, dict) else [section]:
            assert field in text


def test_what_validate_has_passed_is_frozen_and_not_checked_again(monkeypatch):
    config = default()
    valid = validate(config)
    with pytest.raises(AttributeError):
        valid.num_epochs = 3
    config.num_epochs = 3  # the copy does not see it
    assert valid.num_epochs == 400
    monkeypatch.setattr("ncjax.config.check.default", None)
    assert validate(valid) is valid


def test_auto_is_the_classifier_that_the_loss_is_meant_for():
    config = default()
    assert configs.resolved(config)["classifier"] == {"name": "auto"}
    config.loss.name = "haframe"
    assert configs.resolved(config)["classifier"]["frame_gamma"] == 3.0
    config.loss.name = "mse"
    config.classifier.frame_gamma = 1.0
    with pytest.raises(ConfigError, match=r"frame_gamma = 1\.0 has no eff.*'linear'"):
        validate(config)
    config.classifier.name = "frame"
    with pytest.raises(ConfigError, match=r"'frame'. Available: auto, linear, label_"):
        validate(config)
