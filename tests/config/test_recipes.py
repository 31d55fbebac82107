"""Recipes: what each changes of the default, and what the smoke preset changes."""

import pytest

from ncjax.config import ConfigError, default, recipes, validate

PAPYAN = {
    "num_epochs": 350,
    "optimizer.schedule": "step",
    "optimizer.weight_decay": 5e-4,
}
RECIPES = {
    "papyan_mlp": (
        lambda: recipes.papyan_mlp("mnist"),
        {"data.name": "mnist", "model.widths": (512, 512), **PAPYAN},
    ),
    "papyan_resnet18": (
        lambda: recipes.papyan_resnet18("cifar10"),
        {"data.name": "cifar10", "model.name": "resnet18", **PAPYAN},
    ),
    "small_mlp": (
        lambda: recipes.small_mlp("digits"),
        {
            "num_epochs": 400,
            "model.widths": (128, 128, 64),
            "optimizer.schedule": "cosine",
            "optimizer.weight_decay": 1e-2,
        },
    ),
    "binary_tree_mlp": (
        recipes.binary_tree_mlp,
        {
            "num_epochs": 400,
            "data.name": "synthetic",
            "data.num_classes": 8,
            "data.branching": 2,
            "data.dim": 64,
            "data.train_size_per_class": 200,
            "model.widths": (128, 128, 64),
            "optimizer.schedule": "cosine",
            "optimizer.weight_decay": 5e-3,
        },
    ),
    "pair_tasks_mlp": (
        lambda: recipes.pair_tasks_mlp("mnist"),
        {
            "num_epochs": 300,
            "batch_size": 250,
            "data.name": "pair_tasks",
            "data.source": "mnist",
            "data.train_size": 3000,
            "loss.name": "sum_of_tasks",
            "optimizer.weight_decay": 1e-2,
        },
    ),
    "fashion_mlp": (
        recipes.fashion_mlp,
        {
            "num_epochs": 150,
            "batch_size": 500,
            "data.name": "fashion_mnist",
            "data.examples_per_class": 1000,
            "model.widths": (256, 256, 256),
            "optimizer.learning_rate": 0.1,
            "optimizer.schedule": "cosine",
            "optimizer.weight_decay": 3e-3,
            "eval.num_points": 16,
            "eval.crm": True,
        },
    ),
}
SMOKES = {
    "smoke_epochs": {"num_epochs": 20},
    "smoke_tasks": {
        "num_epochs": 20,
        "batch_size": 50,
        "data.source": "digits",
        "data.train_size": 500,
        "data.test_size": 100,
    },
    "smoke_mlp": {
        "num_epochs": 10,
        "batch_size": 50,
        "data.examples_per_class": 50,
        "data.test_examples_per_class": 20,
    },
    "smoke_resnet": {
        "num_epochs": 6,
        "optimizer.schedule": "cosine",
        "batch_size": 32,
        "model.width": 0.125,
        "data.examples_per_class": 20,
        "data.test_examples_per_class": 10,
        "eval.num_points": 4,
    },
}


def flat(config):
    """Fields by their dotted names."""
    fields = {}
    for name, value in config.to_dict().items():
        if isinstance(value, dict):
            fields.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            fields[name] = value
    return fields


def changed(config, original):
    """The fields in which a configuration differs from another."""
    before = flat(original)
    return {
        field: value for field, value in flat(config).items() if value != before[field]
    }


def without_default_values(fields):
    before = flat(default())
    return {field: value for field, value in fields.items() if value != before[field]}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_changes_these_fields_of_the_default(name):
    recipe, fields = RECIPES[name]
    config = recipe()
    validate(config)
    assert config.is_locked
    assert changed(config, default()) == without_default_values(fields)


@pytest.mark.parametrize("name", SMOKES)
def test_the_smoke_preset_changes_these_fields(name):
    smoke = getattr(recipes, name)
    assert not changed(smoke(default(), ""), default())
    wanted = without_default_values(SMOKES[name])
    assert changed(smoke(default(), "smoke"), default()) == wanted
    with pytest.raises(ConfigError, match=r"preset 'fast'\. Available: smoke"):
        smoke(default(), "fast")


def test_a_small_run_stays_small_whatever_the_config_has_changed():
    config = recipes.papyan_resnet18("cifar100")
    config.data.examples_per_class = 500
    config.num_epochs = 1000
    config.optimizer.weight_decay = 5e-3
    small = recipes.smoke_resnet(config, "smoke", per_class=4)
    assert small.num_epochs == 6
    assert small.data.examples_per_class == 4
    assert small.data.test_examples_per_class == 2
    assert small.optimizer.weight_decay == 5e-3
