"""Conventions: three papers call different things NRC1, NRC2 and NRC3.

With features h_i [d], targets y_i [t], P the projection on the first t principal
directions of the centred features and Q that on the rows of W:

- `default`: NRC1 is `unexplained`, the share of the features' variance outside of P,
  NRC2 is `outside_rows`, the same of Q: both are blind to a common mean, which the bias
  absorbs, and to scale.  NRC3 is `nrc3_best`.
- `andriopoulos2024` (Andriopoulos et al., NeurIPS): the mean squared distance of the
  directions h_i/|h_i|, not centred, to P and Q; NRC3 by 1000 values of gamma between 0
  and the least eigenvalue of Sigma (`nrc3_grid`).  With a large common mean of the
  features their NRC1 is large, whatever the centred features do.  Their code also has
  the features as they are (`nrc1_raw`, a sum over the d coordinates; older plots divide
  it by d) and directions of centred features (`nrc1_unit_centred`).
- `altay2026` (Deep NRC, CPAL 2026): NRC1 is `unexplained`, NRC2 linear CKA of features
  and targets (`cka`, 1 at collapse), NRC3 the mean cosine of P and Q (`alignment`, 1 at
  collapse); their NRC4 is `least_squares`.

Other public code takes principal directions of features that are not centred:
`centre_pca=False`.
"""

from __future__ import annotations

import dataclasses

from ncjax.options import named


@dataclasses.dataclass(frozen=True)
class Convention:
    """Options under which `measure` computes; hashable, so static under jit."""

    centre_pca: bool = True  # principal directions of centred features, or of all
    nrc1: str = "unexplained"  # the key that is also given as `nrc1`
    nrc2: str = "outside_rows"  # the key that is also given as `nrc2`
    nrc3: str = "nrc3_best"  # the key that is also given as `nrc3`


PRESETS: dict[str, Convention] = {
    "default": Convention(),
    "andriopoulos2024": Convention(
        nrc1="nrc1_unit", nrc2="nrc2_unit", nrc3="nrc3_grid"
    ),
    "altay2026": Convention(nrc2="cka", nrc3="alignment"),
}


def get_convention(convention: str | Convention) -> Convention:
    """The convention of that name; a `Convention` is returned as it is.

    Args:
        convention: a `Convention`, or the name of one of `PRESETS`.

    Raises:
        ValueError: for an unknown name.
    """
    return named(convention, Convention, PRESETS)
