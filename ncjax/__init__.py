"""ncjax: train into neural collapse and measure it exactly."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncjax import (
        codes as codes,
        collapse as collapse,
        hierarchy as hierarchy,
        losses as losses,
        ufm as ufm,
    )
    from ncjax.comparison import (
        CompareError as CompareError,
        Comparison as Comparison,
        compare as compare,
    )
    from ncjax.config import ConfigError as ConfigError, default as default
    from ncjax.data import DataError as DataError, Dataset as Dataset
    from ncjax.hierarchy import Hierarchy as Hierarchy, HierarchyError as HierarchyError
    from ncjax.measurement import (
        MeasureError as MeasureError,
        Measurement as Measurement,
        measure as measure,
    )
    from ncjax.measurement.recorder import Recorder as Recorder
    from ncjax.moments import (
        ClassMoments as ClassMoments,
        class_moments as class_moments,
    )
    from ncjax.runs import plots as plots
    from ncjax.runs.history import History as History
    from ncjax.runs.workdir import WorkdirError as WorkdirError
    from ncjax.sweeps import Sweep as Sweep, sweep as sweep
    from ncjax.training.loaded import LoadedRun as LoadedRun, load as load
    from ncjax.training.loop import (
        Stopped as Stopped,
        TrainingError as TrainingError,
        train as train,
    )

# Programs that a notebook starts inherit its backend, for which matplotlib stops where
# the package is not installed.  Figures of ncjax are files and need none.
_BACKENDS = {
    **dict.fromkeys(("inline", "module://matplotlib_inline"), "matplotlib_inline"),
    **dict.fromkeys(("widget", "ipympl", "module://ipympl"), "ipympl"),
}
_package = _BACKENDS.get(os.environ.get("MPLBACKEND", "").partition(".")[0])
if _package and importlib.util.find_spec(_package) is None:
    del os.environ["MPLBACKEND"]

# Module -> its public names; each is imported when it is first asked for: JAX and what
# is built on it take seconds to import.
_NAMES = {
    # The modules themselves.
    "ncjax": ("codes", "collapse", "hierarchy", "losses", "ufm"),
    "ncjax.comparison": ("CompareError", "Comparison", "compare"),
    "ncjax.config": ("ConfigError", "default"),
    "ncjax.data": ("DataError", "Dataset"),
    "ncjax.hierarchy": ("Hierarchy", "HierarchyError"),
    "ncjax.measurement": ("MeasureError", "Measurement", "measure"),
    "ncjax.measurement.recorder": ("Recorder",),
    "ncjax.moments": ("ClassMoments", "class_moments"),
    "ncjax.runs": ("plots",),
    "ncjax.runs.history": ("History",),
    "ncjax.runs.workdir": ("WorkdirError",),
    "ncjax.sweeps": ("Sweep", "sweep"),
    "ncjax.training.loaded": ("LoadedRun", "load"),
    "ncjax.training.loop": ("Stopped", "TrainingError", "train"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(["__version__", *_HOME])


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("ncjax")
    elif name not in _HOME:
        from ncjax.options import suggest

        meant = suggest(name, __all__)
        raise AttributeError(f"module 'ncjax' has no attribute {name!r}.{meant}")
    elif (home := _HOME[name]) in ("ncjax", "ncjax.runs"):
        value = importlib.import_module(f"{home}.{name}")
    else:
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
