"""Conventions: what the same name means in different papers, as explicit options.

`PRESETS` holds what public code or text of each source fixes; where a source leaves a
choice open, the preset has the default.

- `default`: NC1 = tr(Sigma_W pinv(Sigma_B))/K, unweighted mean of class means, NC2 of
  the centred means, NC3 = W Mc' against the ETF, standard deviations with ddof 0.
- `papyan2020` (Papyan, Han & Donoho, PNAS): NC1 without 1/K, as in the public notebook
  (the paper's text divides by the number of classes); `torch.std` (ddof 1) in equinorm;
  NC2 is equinorm, equiangularity and max_angle, of means and of W; NC3 = nc3_papyan,
  squared; NC4 by the network decision with the bias.
- `zhu2021` (Zhu et al., NeurIPS): mean over samples, so that classes of unequal size
  keep NC2 of the means above 0; NC2 of W, not centred; their fourth metric is
  bias_collapse, not NC4.  Zhou et al. 2022 set center_classifier too.
- `kothapalli2023` (review, TMLR): the default.
- `wu2024` (Wu & Papyan, NeurIPS, and its package): the default, with uniform_duality
  the variance (ddof 1) of products, not of cosines; GNC2 is uniformity and
  uniformity_var.  Early commits of the package, whose covariance_ratio had no
  metric="pinv" yet, divided Sigma_B by d instead of K.  It reports agreement, 1 - NC4,
  without the bias.
- `zhao2026` (Zhao et al., ICLR, who compare optimizers): wu2024 with NC3 = nc3_papyan,
  not squared, and `torch.std` (ddof 1) in equinorm.  Their code writes |W'1| as NC0,
  and their tables print that (`nc0`); the (1/K)|W'1|^2 that their text defines is
  `nc0_squared`.  NC2 is that of the means; their NC2W is nc2_w and their NC2M nc3_etf.
  Their NC4 is agreement on the test set, without the bias.
"""

from __future__ import annotations

import dataclasses

from ncjax.collapse.means import Weighting
from ncjax.options import named


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
    "zhao2026": Convention(
        ddof=1,
        squared=False,
        normalise_duality=False,
        duality_ddof=1,
        nc3="nc3_papyan",
    ),
}


def get_convention(convention: str | Convention) -> Convention:
    """The convention of that name; a `Convention` is returned as it is.

    Args:
        convention: a `Convention`, or the name of one of `PRESETS`.

    Raises:
        ValueError: for an unknown name.
    """
    return named(convention, Convention, PRESETS)
