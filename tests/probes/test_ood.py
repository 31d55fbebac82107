"""The probe `ood` against the scores of whole arrays; what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import ood
from ncjax.collapse.outliers import nc5
from ncjax.moments import class_moments
from ncjax.probes import METRICS, PROBES
from ncjax.probes.foreign import foreign_images
from ncjax.runs.metrics import describe
from tests.probes.test_probes import (
    DATA,
    TEST,
    TRAIN,
    classifier,
    features,
    measure,
    network,
    subject,
)

OPTIONS = {"neighbours": 3, "main": 2}
SETS = ("noise", "gaussian")


@jax.jit
def expected(variables, outliers):
    """The same numbers without passes over batches."""
    train, test, out = (features(variables, x) for x in (TRAIN[0], TEST[0], outliers))
    moments = class_moments(train, jnp.asarray(TRAIN[1]), DATA.num_classes)
    known = ood.fit(moments, *classifier(variables), train, **OPTIONS)
    found = {"nc5": nc5(moments, out)}
    for name, score in ood.SCORES.items():
        both = score(known, test), score(known, out)
        found[f"{name}_auroc"] = ood.auroc(*both)
        found[f"{name}_fpr95"] = ood.fpr_at_tpr(*both, positive="outliers")
        found[f"{name}_aupr"] = ood.aupr(*both, positive="outliers")
    return found


@pytest.mark.parametrize("devices", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_it_finds_what_whole_arrays_give(devices):
    """8 is no multiple of the 21, 6 and 5 examples: padding counts for nothing."""
    options = {"ood_neighbours": 3, "ood_main": 2, "ood_examples": 5}
    probe = PROBES["ood"](subject(), ood=SETS, ood_positive="outliers", **options)
    found = measure({"ood": probe}, network(), devices)
    with jax.default_matmul_precision("highest"):
        each = {
            name: expected(network(), foreign_images(name, DATA, examples=5))
            for name in SETS
        }
    wanted = {f"probe/ood/{s}/{k}": v for s, of in each.items() for k, v in of.items()}
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert float(found[key]) == pytest.approx(float(value), abs=1e-5), key


def test_every_number_has_a_title():
    assert describe("probe/ood/noise/knn_auroc").title == "AUROC of KNN (noise)"
    for name in ood.SCORES:
        for measured in ("auroc", "fpr95", "aupr"):
            assert f"ood/{name}_{measured}" in METRICS
    assert describe("probe/ood/noise/other").title == "probe/ood/noise/other"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ood": ()}, r"ood must name foreign sets, each once, got \(\)"),
        ({"ood": ("noise", "noise")}, "each once"),
        ({"ood_positive": "in"}, r"Unknown ood_positive 'in'.*known, outliers"),
        ({"ood_bank": 0}, "ood_bank must be at least 1, got 0"),
        ({"ood_neighbours": 22}, r"ood_neighbours must be in 1\.\.21.*got 22"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PROBES["ood"](subject(), **options)


def test_a_small_training_set_has_fewer_neighbours():
    """The default of 50 neighbours is more than 21 examples."""
    found = measure({"ood": PROBES["ood"](subject(), ood_main=2)}, network())
    assert all(np.isfinite(float(value)) for value in found.values())
