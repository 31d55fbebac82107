"""Several devices and several processes that are one run.

- `launchers`: where this process stands among all, read from the environment.
- `rollcall`: a roll call of all processes, which names those that are missing.
- `processes`: joining the others, and agreeing with them.
- `mesh`: the grid of devices, and arrays laid on it.
- `members`: a function of one network, for all networks of one program.
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
