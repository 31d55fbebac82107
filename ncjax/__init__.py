"""ncjax: train into neural collapse and measure it exactly."""

from ncjax.config import ConfigError
from ncjax.data import DataError
from ncjax.history import History
from ncjax.measure import Measurement, measure
from ncjax.moments import ClassMoments, class_moments
from ncjax.train import TrainingError, train
from ncjax.workdir import WorkdirError

__all__ = [
    "ClassMoments",
    "ConfigError",
    "DataError",
    "History",
    "Measurement",
    "TrainingError",
    "WorkdirError",
    "class_moments",
    "measure",
    "train",
]
