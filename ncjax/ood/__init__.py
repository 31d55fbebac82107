"""Out-of-distribution (OOD) detection by the last layer: scores, and how good they are.

    known = ncjax.ood.fit(moments, weights, bias, features)
    inside = ncjax.ood.SCORES["vim"](known, test_features)
    outside = ncjax.ood.SCORES["vim"](known, foreign_features)
    ncjax.ood.auroc(inside, outside)

All scores use the features that enter the last layer, what `fit` found in one pass over
those of the training set, and the classifier.  They are pure functions of arrays, made
to be compiled.  `config.eval.probes=("ood",)` measures them in a run, `ncjax measure
--ood-features` on features of any framework.
"""

from collections.abc import Callable

from ncjax.ood.bank import Bank as Bank
from ncjax.ood.known import Known as Known, fit as fit
from ncjax.ood.ranking import (
    aupr as aupr,
    auroc as auroc,
    fpr_at_tpr as fpr_at_tpr,
)
from ncjax.ood.scores import (
    Features,
    Scores,
    energy,
    fdbd,
    knn,
    mahalanobis,
    max_logit,
    msp,
    nci,
    neco,
    react,
    relative_mahalanobis,
    vim,
)

SCORES: dict[str, Callable[[Known, Features], Scores]] = {
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "react": react,
    "knn": knn,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": relative_mahalanobis,
    "vim": vim,
    "neco": neco,
    "nci": nci,
    "fdbd": fdbd,
}

# Scores of the features alone, for which it does not matter what the classifier is.
OF_FEATURES = ("knn", "mahalanobis", "relative_mahalanobis", "neco")
