"""Conventions: what the same name means in different papers, as explicit options."""

from __future__ import annotations

import dataclasses

from ncjax.collapse.means import Weighting


@dataclasses.dataclass(frozen=True)
class Convention:
    """Options under which `measure` computes; hashable, so static under jit."""

    divide_by_classes: bool = True  # NC1 = tr(.)/K, else tr(.)
    global_mean: Weighting = "classes"  # mu_G: mean of class means, or of samples
    between: Weighting = "classes"  # Sigma_B: weights 1/K, or n_k/N
    ddof: int = 0  # of the standard deviation of norms; torch.std has 1
    row_normalise: bool = False  # NC2 of unit rows
    center_classifier: bool = False  # W minus its mean row, in NC2 and NC3
    squared: bool = True  # nc3_papyan, squared or not
    normalise_duality: bool = True  # uniform duality of cosines, else of products
    duality_ddof: int = 0  # of the variance in uniform duality
    nc2: str = "nc2_means"  # the key that is also given as `nc2`
    nc3: str = "nc3_etf"  # the key that is also given as `nc3`


PRESETS: dict[str, Convention] = {
    "default": Convention(),
    "papyan2020": Convention(divide_by_classes=False, ddof=1, nc3="nc3_papyan"),
    "zhu2021": Convention(global_mean="samples", nc2="nc2_w"),
    "kothapalli2023": Convention(),
    "wu2024": Convention(normalise_duality=False, duality_ddof=1),
}


def get_convention(convention: str | Convention) -> Convention:
    """A preset by name; conventions pass.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(convention, Convention):
        return convention
    if convention not in PRESETS:
        raise ValueError(
            f"Unknown convention {convention!r}. Available: {', '.join(PRESETS)}."
        )
    return PRESETS[convention]
