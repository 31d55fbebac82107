"""Few examples of new classes: what a network's features are worth there.

`Classes` holds what is known of the features of the new classes; `directional_cdnv`
and the bounds say what theory promises of a nearest-mean classifier from it, `episodes`
what happens when some examples are drawn, over and over, in one program.
"""

from ncjax.transfer.bounds import (
    Classes as Classes,
    classes as classes,
    directional_cdnv as directional_cdnv,
    few_shot_bound as few_shot_bound,
    known_means_bound as known_means_bound,
)
from ncjax.transfer.episodes import episodes as episodes
from ncjax.transfer.learners import LEARNERS as LEARNERS
