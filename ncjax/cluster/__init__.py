"""Several devices and several processes that are one run.

Its modules: `launchers` finds this process among all; `rollcall` names those that are
missing; `watch` ends a run when one is gone; `processes` joins the others and agrees
with them; `mesh` is the grid of devices; `members` makes a function of one network that
of all networks of a program.
"""

from ncjax.cluster.mesh import make_mesh as make_mesh, put as put
from ncjax.cluster.processes import (
    abandon as abandon,
    agree as agree,
    check_devices as check_devices,
    first_true as first_true,
    from_first as from_first,
    in_turn as in_turn,
    is_first as is_first,
    join as join,
    say as say,
)
from ncjax.cluster.rollcall import ClusterError as ClusterError
