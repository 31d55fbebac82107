"""Each score against pytorch-ood, where PyTorch and that are installed.

They are no dependency of this project: `pip install torch torchvision pytorch-ood`.
Its scores are high for outliers.  It has no NECO.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import ood
from tests.ood.test_scores import BIAS, FEATURES, LABELS, TRAIN, WEIGHTS, K, known

torch = pytest.importorskip("torch")
detector = pytest.importorskip("pytorch_ood.detector", exc_type=ImportError)


def linear():
    head = torch.nn.Linear(WEIGHTS.shape[1], K)
    with torch.no_grad():
        head.weight.copy_(torch.tensor(WEIGHTS))
        head.bias.copy_(torch.tensor(BIAS))
    return head


def tensor(x):
    return torch.tensor(x, dtype=torch.float32)


def fitted(found):
    found.fit_features(tensor(TRAIN), torch.tensor(LABELS))
    return found.predict_features(tensor(FEATURES))


@pytest.fixture(scope="module")
def theirs():
    head, identity = linear(), torch.nn.Identity()
    logits = head(tensor(FEATURES))
    weights = {"d": 5, "w": head.weight, "b": head.bias}
    with torch.no_grad():
        scores = {
            # In float32 many of its probabilities are 1.
            "msp": detector.MaxSoftmax(None).predict_logits(logits.double()),
            "max_logit": detector.MaxLogit(None).predict_logits(logits),
            "energy": detector.EnergyBased(None).predict_logits(logits),
            "react": fitted_react(head),
            "knn": fitted(detector.KNN(None, k=7)),
            "mahalanobis": fitted(detector.Mahalanobis(None)),
            "relative_mahalanobis": fitted(detector.RMD(None)),
            "vim": fitted(detector.ViM(None, **weights)),
            "nci": fitted(detector.NCI(identity, head, alpha=0.01)),
            "fdbd": fitted(detector.fDBD(identity, head)),
        }
    return {name: -np.asarray(score, np.float64) for name, score in scores.items()}


def fitted_react(head):
    cut = float(np.percentile(TRAIN, 90))
    found = detector.ReAct(torch.nn.Identity(), head, threshold=cut)
    return found.predict(tensor(FEATURES))


def test_scores_order_as_those_of_pytorch_ood(theirs):
    about = known()
    far = {}
    for name, other in theirs.items():
        ours = np.asarray(ood.SCORES[name](about, jnp.float32(FEATURES)), np.float64)
        # Equal but for an increasing function, as the log of a probability is.
        ranks = [np.argsort(np.argsort(x)) for x in (ours, other)]
        far[name] = int(np.abs(ranks[0] - ranks[1]).max())
    assert far == dict.fromkeys(theirs, 0)
