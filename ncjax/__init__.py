"""ncjax: train into neural collapse and measure it exactly."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncjax import collapse as collapse
    from ncjax import hierarchy as hierarchy
    from ncjax import losses as losses
    from ncjax import ufm as ufm
    from ncjax.comparison import CompareError as CompareError
    from ncjax.comparison import Comparison as Comparison
    from ncjax.comparison import compare as compare
    from ncjax.config import ConfigError as ConfigError
    from ncjax.config import default as default
    from ncjax.data import DataError as DataError
    from ncjax.data import Dataset as Dataset
    from ncjax.hierarchy import Hierarchy as Hierarchy
    from ncjax.hierarchy import HierarchyError as HierarchyError
    from ncjax.measurement import MeasureError as MeasureError
    from ncjax.measurement import Measurement as Measurement
    from ncjax.measurement import measure as measure
    from ncjax.moments import ClassMoments as ClassMoments
    from ncjax.moments import class_moments as class_moments
    from ncjax.runs import plots as plots
    from ncjax.runs.history import History as History
    from ncjax.runs.workdir import WorkdirError as WorkdirError
    from ncjax.training.loop import TrainingError as TrainingError
    from ncjax.training.loop import train as train

# Public name -> the module that has it.  Each is imported when it is first asked for:
# JAX and what is built on it take seconds to import.
_HOME = {
    "ClassMoments": "ncjax.moments",
    "CompareError": "ncjax.comparison",
    "Comparison": "ncjax.comparison",
    "ConfigError": "ncjax.config",
    "DataError": "ncjax.data",
    "Dataset": "ncjax.data",
    "Hierarchy": "ncjax.hierarchy",
    "HierarchyError": "ncjax.hierarchy",
    "History": "ncjax.runs.history",
    "MeasureError": "ncjax.measurement",
    "Measurement": "ncjax.measurement",
    "TrainingError": "ncjax.training.loop",
    "WorkdirError": "ncjax.runs.workdir",
    "class_moments": "ncjax.moments",
    "collapse": "",  # the modules themselves
    "compare": "ncjax.comparison",
    "default": "ncjax.config",
    "hierarchy": "",
    "losses": "",
    "measure": "ncjax.measurement",
    "plots": "ncjax.runs",
    "train": "ncjax.training.loop",
    "ufm": "",
}

__all__ = sorted(["__version__", *_HOME])


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("ncjax")
    elif name not in _HOME:
        import difflib

        near = difflib.get_close_matches(name, __all__, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'ncjax' has no attribute {name!r}.{meant}")
    elif home := _HOME[name]:
        module = importlib.import_module(home)
        found = getattr(module, name, None)
        value = found or importlib.import_module(f"{home}.{name}")
    else:
        value = importlib.import_module(f"ncjax.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
