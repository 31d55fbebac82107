"""Several devices and several processes that are one run.

Its modules: `launchers` finds this process among all; `rollcall` names those that are
missing; `processes` joins the others and agrees with them; `mesh` is the grid of
devices; `members` makes a function of one network that of all networks of a program.
"""

from ncjax.cluster.mesh import make_mesh as make_mesh
from ncjax.cluster.mesh import put as put
from ncjax.cluster.processes import abandon as abandon
from ncjax.cluster.processes import agree as agree
from ncjax.cluster.processes import check_devices as check_devices
from ncjax.cluster.processes import from_first as from_first
from ncjax.cluster.processes import is_first as is_first
from ncjax.cluster.processes import join as join
from ncjax.cluster.rollcall import ClusterError as ClusterError
