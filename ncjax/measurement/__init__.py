"""Neural collapse of anybody's features: a function and a command line.

result = ncjax.measure(features, labels, classifier=W, bias=b)
ncjax measure features.npy --labels=labels.npy --classifier=head.npz
"""

from ncjax.measurement.core import measure
from ncjax.measurement.result import Measurement
from ncjax.measurement.sources import MeasureError, MeasureTypeError

__all__ = ["MeasureError", "MeasureTypeError", "Measurement", "measure"]
