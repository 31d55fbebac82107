"""Neural collapse of anybody's features: a function and a command line.

result = ncjax.measure(features, labels, classifier=W, bias=b)
ncjax measure features.npy --labels=labels.npy --classifier=head.npz
"""

from ncjax.measurement.core import measure as measure
from ncjax.measurement.pooling import pool_tokens as pool_tokens
from ncjax.measurement.result import Measurement as Measurement
from ncjax.measurement.sources import (
    MeasureError as MeasureError,
    MeasureTypeError as MeasureTypeError,
)
