"""The probe `mse_decomposition`: what the MSE loss of a network consists of."""

from __future__ import annotations

import jax

from ncjax import collapse
from ncjax.collapse.registry import Metric
from ncjax.evaluation.passes import Variables
from ncjax.moments import ClassMoments
from ncjax.probes.probe import TRAIN, Probe, Reader, Subject

METRICS = tuple(
    Metric(
        f"mse_decomposition/{key}",
        f"MSE loss: {title}",
        sentence,
        home="probe",
        smaller_is_better=True,
        log=True,
    )
    for key, title, sentence in (
        ("nc1", "NC1", "part of the features' spread within classes"),
        ("nc2_nc3", "NC2 and NC3", "part of the class means against their targets"),
        ("off_path", "off the path", "part of the classifier against the best one"),
        ("loss", "sum", "regularised MSE loss of the last layer"),
    )
)


def mse_decomposition(subject: Subject, *, mse_decay: float = 0.0) -> Probe:
    """The parts of the regularised MSE loss: NC1, NC2 and NC3, off the central path.

    They are those of `ncjax.collapse.mse_decomposition`, for the features of the
    training set and the classifier of the network, whatever loss it was trained on:
    `nc1`, `nc2_nc3` and `off_path`, and their sum `loss`, the mean of
    (1/2)|W h + b - e_y|^2 with the weight decay of W and b.

    Args:
        subject: the networks.
        mse_decay: weight decay lambda of the last layer in this loss; 0 takes that of
            the training.

    Raises:
        ValueError: if both are 0: without a weight decay there is no central path.

    References:
        Han, Papyan & Donoho, Neural Collapse Under MSE Loss: Proximity to and Dynamics
        on the Central Path, ICLR 2022.
    """
    if mse_decay < 0:
        raise ValueError(f"mse_decay must be at least 0, got {mse_decay}.")
    if mse_decay == 0 and subject.weight_decay({}) == 0:
        raise ValueError(
            "The probe 'mse_decomposition' needs a weight decay above 0, and this "
            "training adds no such penalty to the loss. Set config.eval.mse_decay."
        )

    def update(moments, variables, images, labels, weights):
        return moments.update(subject.features(variables, images), labels, weights)

    def measure(variables: Variables, reader: Reader) -> dict[str, jax.Array]:
        weights, bias = subject.classifier(variables)
        num_classes, feature_dim = weights.shape
        empty = ClassMoments.empty(num_classes, feature_dim, scatter="pooled")
        moments = reader.fold(update, empty, variables, TRAIN)
        decay = mse_decay or subject.weight_decay(variables)
        parts = collapse.mse_decomposition(moments, weights, bias, decay)
        total = parts.nc1 + parts.nc2_nc3 + parts.off_path
        return {**parts._asdict(), "loss": total}

    return Probe(measure)
