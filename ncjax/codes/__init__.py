"""Codes: unit vectors for more classes than a simplex has room for.

`solve` finds the code of the largest margin or least angle for any number of classes
and dimensions, `describe` says how good given vectors are, `assign` decides which class
gets which vector.
"""

from ncjax.codes.assign import (
    Assignment as Assignment,
    assign_means as assign_means,
    assign_similar as assign_similar,
    assignments as assignments,
)
from ncjax.codes.bounds import (
    Bound as Bound,
    best_margin as best_margin,
    cosine_bound as cosine_bound,
    margin_bound as margin_bound,
)
from ncjax.codes.code import Code as Code, describe as describe, solve as solve
from ncjax.codes.known import (
    known_code as known_code,
    known_margin as known_margin,
)
from ncjax.codes.margin import (
    margin_of_angle as margin_of_angle,
    one_vs_rest_distance as one_vs_rest_distance,
    one_vs_rest_distances as one_vs_rest_distances,
)
